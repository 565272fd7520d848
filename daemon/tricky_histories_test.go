package daemon

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"crush/crdt"
	"crush/dag"
	"crush/dag/dagtest"
	"crush/rpc"
)

// jobApplies applies a file as the job "ci".
func (h hand) jobApplies(text string) rpc.Applied {
	h.t.Helper()
	q := rpc.ApplyRequest{Fork: h.on, Label: "ci", Files: []rpc.File{{Key: "k", Value: []byte(text)}}}
	out, err := h.Apply(h.t.Context(), q)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// trickyHistories are the rows of the model's table of documents, counters, sets
// and policies that one node shows, and that are no two writers.
var trickyHistories = map[string]func(l *lab, d, s hand){
	"fork of fork merged to root, then the middle one": func(l *lab, d, _ hand) {
		d.json(`{"a":1,"b":1,"c":1}`)
		l.fork("mid", "")
		hand{l, "mid"}.edit("/a", "2")
		l.fork("leaf", "mid")
		hand{l, "leaf"}.edit("/b", "2")
		d.edit("/c", "2")
		l.merge("leaf", "default", "")
		d.shows(`{"a":2,"b":2,"c":2}`)
		if m := l.merge("mid", "default", ""); !m.Unchanged {
			l.t.Errorf("the second merge: %+v", m)
		}
		d.shows(`{"a":2,"b":2,"c":2}`)
	},
	"merge back twice, source moved in between": func(l *lab, d, s hand) {
		d.json(`{"a":1,"b":1,"c":1}`)
		l.fork("s", "")
		s.edit("/a", "2")
		l.merge("s", "default", "")
		d.edit("/c", "3")
		s.edit("/b", "2")
		l.merge("s", "default", "")
		d.shows(`{"a":2,"b":2,"c":3}`)
		if m := l.merge("s", "default", ""); !m.Unchanged {
			l.t.Errorf("a third merge: %+v", m)
		}
	},
	"merge, revert in the destination, merge again": func(l *lab, d, s hand) {
		d.json(`{"a":1,"b":1}`)
		l.fork("s", "")
		s.edit("/a", "2")
		l.merge("s", "default", "")
		if _, err := l.Undo(l.t.Context(), rpc.UndoRequest{}); err != nil {
			l.t.Fatal(err)
		}
		d.shows(`{"a":1,"b":1}`)
		l.merge("s", "default", "")
		d.shows(`{"a":1,"b":1}`)
		s.edit("/b", "2")
		l.merge("s", "default", "")
		d.shows(`{"a":1,"b":2}`)
	},
	"key deleted in the fork, untouched in the root, merged": func(l *lab, d, s hand) {
		d.json(`{"a":1}`)
		l.fork("s", "")
		s.delete()
		l.merge("s", "default", "")
		d.shows("DEL")
	},
	"key deleted and re-created by one writer": func(_ *lab, d, _ hand) {
		d.json(`{"a":1,"b":1}`)
		d.delete()
		d.json(`{"a":2}`)
		d.shows(`{"a":2}`)
	},
	"counter +2 in the fork, +3 in the root, merged criss-cross": func(l *lab, d, s hand) {
		d.incr(10)
		l.fork("s", "")
		s.incr(2)
		d.incr(3)
		for range 2 {
			l.merge("s", "default", "")
			l.merge("default", "s", "")
			d.shows("15")
			s.shows("15")
		}
		s.incr(1)
		l.merge("s", "default", "")
		d.shows("16")
	},
	"incr 5, delete, incr 1": func(_ *lab, d, _ hand) {
		d.incr(5)
		d.delete()
		d.shows("DEL")
		d.incr(1)
		d.shows("1")
	},
	"CI re-applies its file (`apply --as ci`) after someone changed another field": func(l *lab, d, _ hand) {
		l.setPolicy("", rpc.Policy{Pattern: "**", Kind: "json"})
		d.jobApplies(`{"image":"v1","replicas":1}`)
		for _, image := range []string{"v1", "v2", "v2", "v3"} {
			d.edit("/replicas", "5")
			d.jobApplies(`{"image":"` + image + `","replicas":1}`)
			d.shows(`{"image":"` + image + `","replicas":5}`)
			if n := l.heads("k"); n > 2 {
				l.t.Errorf("%d heads", n)
			}
		}
		if out := d.jobApplies(`{"image":"v3","replicas":1}`); out.Unchanged != 1 {
			l.t.Errorf("the same file once more: %+v", out)
		}
		d.jobApplies(`{"image":"v3","replicas":2}`)
		d.shows(`{"image":"v3","replicas":2}; value at /replicas: 2 > 5`)
	},
	"200 heads of one key, then one put": func(l *lab, d, _ hand) {
		for i := range 200 {
			text := fmt.Appendf(nil, `{"f%03d":%d,"same":1}`, i, i)
			q := rpc.PutRequest{KeyRef: d.key(), Value: text, Kind: crdt.JSON, Base: makeToken(dag.DefaultFork(), "k", nil)}
			if _, err := l.Put(l.t.Context(), q); err != nil {
				l.t.Fatal(err)
			}
		}
		if n := l.heads("k"); n != 200 || len(d.reads()) < 200*len(`"f000":0,`) {
			l.t.Errorf("%d heads, %s", n, d.reads())
		}
		d.json(`{"a":1}`)
		if n := l.heads("k"); n != 1 {
			l.t.Errorf("%d heads", n)
		}
		d.shows(`{"a":1}`)
	},
	"an element of a list that is not there, or by another name": func(l *lab, d, _ hand) {
		l.keyed("", "/l", "map(n)")
		for _, first := range []string{"", `{"l":{"a":1}}`, `{"l":[{"n":"y"}]}`} {
			if first != "" {
				d.json(first)
			}
			was := d.reads()
			for at, value := range map[crdt.Path]string{"/l/[x]/v": "1", "/l/[x]": `{"n":"z"}`} {
				_, err := l.Put(l.t.Context(), rpc.PutRequest{KeyRef: d.key(), Path: at, Value: []byte(value)})
				if !errors.Is(err, rpc.ErrInvalid) {
					l.t.Errorf("%s at %s of %s: %v", value, at, was, err)
				}
			}
			d.shows(was)
		}
	},
	"`merge --on-conflict keep` of staging into default, where default's value was written there": func(l *lab, d, s hand) {
		d.json(`{"a":1,"b":1,"c":1}`)
		l.fork("s", "")
		d.json(`{"a":2,"b":1}`)
		s.json(`{"a":3,"b":4,"c":5}`)
		l.merge("s", "default", rpc.OnConflictKeep)
		d.shows(`{"a":2,"b":4}; value at /a: 2 > 3; delete/edit at /c: DEL > 5`)
		d.settleAt("/c", "6")
		d.shows(`{"a":2,"b":4,"c":6}; value at /a: 2 > 3`)
		d.edit("/b", "5")
		d.shows(`{"a":2,"b":5,"c":6}; value at /a: 2 > 3`)
		d.settle(rpc.ResolveRequest{Path: "/a", Take: "s"})
		d.shows(`{"a":3,"b":5,"c":6}`)
	},
	"three forks merged in any order with `keep`": func(l *lab, d, _ hand) {
		d.json(`{"a":1,"b":1,"c":1}`)
		for fork, text := range map[string]string{"x": `{"a":2,"b":1,"c":1}`, "y": `{"a":3,"b":2,"c":1}`, "z": `{"a":4,"c":3}`} {
			l.fork(fork, "")
			hand{l, fork}.json(text)
		}
		first := ""
		for i, order := range []string{"xyz", "xzy", "yxz", "yzx", "zxy", "zyx"} {
			into := hand{l, fmt.Sprint("into", i)}
			l.fork(into.on, "")
			for _, f := range order {
				l.merge(string(f), into.on, rpc.OnConflictKeep)
			}
			if first == "" {
				first = into.reads()
			}
			into.shows(first)
		}
		if (hand{l, "into0"}).heads("k") != 1 || first == "" {
			l.t.Errorf("default has changed, or %q", first)
		}
	},
	"sticky keys are left out of a merge, and come with the next when they are not": func(l *lab, d, s hand) {
		d.json(`{"a":1}`)
		l.fork("s", "")
		sticky := true
		l.setPolicy("", rpc.Policy{Pattern: "*", Sticky: &sticky})
		s.edit("/a", "2")
		if m := l.merge("s", "default", ""); !slices.Equal(m.Skipped, []string{"k"}) {
			l.t.Errorf("%+v", m)
		}
		d.shows(`{"a":1}`)
		sticky = false
		l.setPolicy("", rpc.Policy{Pattern: "*", Sticky: &sticky})
		l.merge("s", "default", "")
		d.shows(`{"a":2}`)
	},
	"a policy of the destination says how a merge settles": func(l *lab, d, s hand) {
		d.json(`{"a":1,"b":1}`)
		l.fork("s", "")
		l.setPolicy("", rpc.Policy{Pattern: "**", Merge: rpc.OnConflictTheirs})
		d.json(`{"a":2,"b":2}`)
		s.json(`{"a":3,"b":1}`)
		l.merge("s", "default", "")
		d.shows(`{"a":3,"b":2}`)
		s.shows(`{"a":3,"b":1}`)
	},
}

func TestTrickyHistories(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(trickyHistories)) {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && strings.HasPrefix(name, "200 heads") {
				t.Skip("one goroutine, and documents with 200 heads")
			}
			l := newLab(t, "a")
			trickyHistories[name](l, hand{l, ""}, hand{l, "s"})
		})
	}
}

// disputed makes both labs have a document in conflict at /a.
func disputed(a, b hand) {
	a.t.Helper()
	a.json(`{"a":1,"b":1,"c":1}`)
	meet(a.lab, b.lab)
	a.edit("/a", "2")
	b.edit("/a", "3")
	meet(a.lab, b.lab)
	a.shows(`{"a":3,"b":1,"c":1}; value at /a: 3 > 2`)
}

// trickyMeetings are those that two nodes show.
var trickyMeetings = map[string]func(a, b hand){
	"A into B on one node, B into A on another": func(a, b hand) {
		a.json(`{"a":1,"b":1}`)
		a.fork("s", "")
		a.edit("/a", "2")
		hand{a.lab, "s"}.edit("/a", "3")
		meet(a.lab, b.lab)
		a.merge("s", "default", rpc.OnConflictKeep)
		b.merge("default", "s", rpc.OnConflictKeep)
		meet(a.lab, b.lab)
		for _, h := range []hand{a, b} {
			h.shows(`{"a":2,"b":1}; value at /a: 2 > 3`)
			hand{h.lab, "s"}.shows(`{"a":3,"b":1}; value at /a: 3 > 2`)
		}
	},
	"counter 100; delete and `incr 1` at once": func(a, b hand) {
		a.count("100")
		meet(a.lab, b.lab)
		a.delete()
		b.incr(1)
		meet(a.lab, b.lab)
		a.shows("1")
		b.shows("1")
	},
	"resolved differently on two nodes at once": func(a, b hand) {
		disputed(a, b)
		a.settleAt("/a", "4")
		b.settleAt("/a", "5")
		meet(a.lab, b.lab)
		a.shows(`{"a":5,"b":1,"c":1}; value at /a: 5 > 4`)
		b.shows(a.reads())
	},
	"resolved equally on two nodes at once": func(a, b hand) {
		disputed(a, b)
		a.settleAt("/a", "4")
		b.settleAt("/a", "4")
		meet(a.lab, b.lab)
		a.shows(`{"a":4,"b":1,"c":1}`)
		b.shows(`{"a":4,"b":1,"c":1}`)
	},
	"a late offline write on the losing side": func(a, b hand) {
		disputed(a, b)
		a.settleAt("/a", "3")
		b.edit("/c", "9")
		meet(a.lab, b.lab)
		a.shows(`{"a":3,"b":1,"c":9}`)
		a.edit("/a", "7")
		b.edit("/a", "8")
		b.edit("/b", "8")
		meet(a.lab, b.lab)
		b.shows(`{"a":8,"b":8,"c":9}; value at /a: 8 > 7`)
		a.shows(b.reads())
	},
	"a policy that was changed on two nodes at once": func(a, b hand) {
		sticky := true
		a.setPolicy("", rpc.Policy{Pattern: "*", Merge: rpc.OnConflictKeep})
		a.json(`{"a":1}`)
		a.fork("s", "")
		hand{a.lab, "s"}.edit("/a", "2")
		meet(a.lab, b.lab)
		a.setPolicy("", rpc.Policy{Pattern: "*", Merge: rpc.OnConflictOurs})
		b.setPolicy("", rpc.Policy{Pattern: "*", Merge: rpc.OnConflictLWW})
		b.setPolicy("", rpc.Policy{Pattern: "other", Sticky: &sticky})
		meet(a.lab, b.lab)
		for _, h := range []hand{a, b} {
			_, err := h.Merge(h.t.Context(), rpc.MergeRequest{Source: "s", Into: "default", OnConflict: rpc.OnConflictKeep})
			if !errors.Is(err, rpc.ErrConflict) {
				h.t.Errorf("a merge of what it matches: %v", err)
			}
			h.edit("/b", "1") // what is not a merge goes on
		}
		a.setPolicy("", rpc.Policy{Pattern: "*", Merge: rpc.OnConflictOurs})
		a.merge("s", "default", "")
		a.shows(`{"a":2,"b":1}`)
	},
}

func TestTrickyMeetings(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(trickyMeetings)) {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			trickyMeetings[name](hand{a, ""}, hand{b, ""})
			meet(a, b)
			if a.Graph().Digest() != b.Graph().Digest() || (hand{a, ""}).reads() != (hand{b, ""}).reads() {
				t.Error("the nodes differ")
			}
		})
	}
}

// TestTrickyClone is the row "a machine cloned, both clones `incr` the same key".
func TestTrickyClone(t *testing.T) {
	store := dagtest.NewMem()
	c := ReplicaConfig{Store: store, Key: keyNamed("a"), Name: "a", Fingerprint: "one machine", Now: newClock()}
	a := hand{openLab(t, c), ""}
	a.incr(1)
	clone := dagtest.NewMem()
	if err := store.Iterate(dag.Range{}, func(k, v []byte) bool { clone.Set(k, v); return true }); err != nil {
		t.Fatal(err)
	}
	c.Store, c.Fingerprint = clone, "another machine"
	b := hand{openLab(t, c), ""}
	a.incr(1)
	b.incr(1)
	meet(a.lab, b.lab)
	a.shows("3")
	b.shows("3")
}

// TestTrickyWeeksOffline: a site that was cut off for a month, with a clock that
// was set forth, or back, comes back with what it changed; of what others have
// changed it takes nothing back, and what both have is told.
func TestTrickyWeeksOffline(t *testing.T) {
	const day = 24 * time.Hour
	for _, wrong := range []time.Duration{0, -365 * day, 365 * day} {
		now := time.UnixMilli(1_700_000_000_000)
		a, b := pairAt(t, func() time.Time { now = now.Add(time.Millisecond); return now })
		d, site := hand{a, ""}, hand{b, ""}
		d.json(`{"image":"v1","door":"shut","level":1,"limit":10}`)
		meet(a, b)
		now = now.Add(wrong)
		site.edit("/level", "2")
		site.edit("/limit", "20")
		now = now.Add(-wrong)
		for i := range 30 {
			now = now.Add(day)
			d.edit("/image", fmt.Sprintf(`"v%d"`, 2+i))
		}
		d.edit("/limit", "15")
		now = now.Add(wrong)
		site.edit("/door", `"open"`)
		meet(a, b)
		sides := "15 > 20" // a tie, which the clock decides
		if wrong > 0 {
			sides = "20 > 15"
		}
		for _, h := range []hand{d, site} {
			h.shows(`{"image":"v31","door":"open","level":2,"limit":` + sides[:2] + `}; value at /limit: ` + sides)
		}
		now = now.Add(-2 * wrong) // whatever the clock says, who has seen both decides
		d.edit("/limit", "17")
		meet(a, b)
		site.shows(`{"image":"v31","door":"open","level":2,"limit":17}`)
	}
}
