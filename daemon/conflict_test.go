package daemon

import (
	"fmt"
	"strings"
	"testing"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// bases checks what a conflict says was there before: "-" for a deletion, "" for
// nothing.
func (l *lab) bases(c *rpc.Conflict, want string) {
	l.t.Helper()
	got := ""
	if b := c.Base; b != nil {
		got = string(b.Value)
		if b.Deleted {
			got = "-"
		}
		if b.Node == "" || b.Time.IsZero() || b.Fork == "" || b.Revision.IsZero() {
			l.t.Errorf("what is known of the base: %+v", b)
		}
	}
	if got != want {
		l.t.Errorf("before the conflict at %s on %s there was %q, want %q", c.Key, c.Fork, got, want)
	}
}

// open is the open conflict of a key.
func (l *lab) open(fork, key string) *rpc.Conflict {
	l.t.Helper()
	for c, err := range l.Conflicts(l.t.Context(), fork, key) {
		if err == nil && c.Key == key {
			return &c
		}
	}
	l.t.Fatalf("%s has no conflict on %s", key, fork)
	return nil
}

func TestBaseOfMerge(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(l *lab)
		want string
	}{
		"when the fork was made": {func(l *lab) {
			l.put("", "k", "0")
			l.put("", "k", "1")
			l.fork("s", "")
			l.put("s", "k", "2")
			l.put("s", "k", "3")
			l.put("", "k", "4")
		}, "1"},
		"deleted": {func(l *lab) {
			l.put("", "k", "0")
			l.del("", "k")
			l.fork("s", "")
			l.put("s", "k", "1")
			l.put("", "k", "2")
		}, "-"},
		"nothing": {func(l *lab) {
			l.fork("s", "")
			l.put("s", "k", "1")
			l.put("", "k", "2")
		}, ""},
		"at the last merge": {func(l *lab) {
			l.put("", "k", "0")
			l.fork("s", "")
			l.put("s", "k", "1")
			l.merge("s", "default", "")
			l.put("s", "k", "2")
			l.put("", "k", "3")
		}, "1"},
		"at the merge back": {func(l *lab) {
			l.put("", "k", "0")
			l.fork("s", "")
			l.put("", "k", "1")
			l.merge("default", "s", "")
			l.put("s", "k", "2")
			l.put("", "k", "3")
		}, "1"},
		"too far back": {func(l *lab) {
			l.put("", "k", "0")
			l.fork("s", "")
			for i := range baseSteps {
				l.put("s", "k", fmt.Sprint("s", i))
			}
			l.put("", "k", "3")
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name == "too far back" {
				t.Skip("one goroutine, and 1,000 revisions")
			}
			l := newLab(t, "a")
			test.do(l)
			m := l.merge("s", "default", "")
			if len(m.Conflicts) != 1 {
				t.Fatalf("%+v", m)
			}
			l.bases(&m.Conflicts[0], test.want)
			// Once it is open, it is what both sides have seen.
			l.merge("s", "default", rpc.OnConflictKeep)
			l.bases(l.open("default", "k"), test.want)
			e, err := l.Get(t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Key: "k"}})
			if err != nil {
				t.Fatal(err)
			}
			l.bases(&e.Conflicts[0], test.want)
		})
	}
}

// TestSidesOfPlan: a plan says of each side who wrote it, where and how long
// ago.
func TestSidesOfPlan(t *testing.T) {
	l := newLab(t, "a")
	l.put("", "k", "0")
	l.fork("s", "")
	for fork, author := range map[string]rpc.Author{"default": "ann", "s": "bob"} {
		_, err := l.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Fork: fork, Key: "k"}, Value: []byte(fork), Claim: rpc.Claim{Author: author}})
		if err != nil {
			t.Fatal(err)
		}
	}
	m := l.merge("s", "default", "")
	if len(m.Conflicts) != 1 || len(m.Conflicts[0].Sides) != 2 {
		t.Fatalf("%+v", m)
	}
	for _, s := range m.Conflicts[0].Sides {
		want := map[string]rpc.Author{"default": "ann", "s": "bob"}[string(s.Value)]
		if s.Fork != string(s.Value) || s.Author != want || s.Node != "a" || s.Time.IsZero() {
			t.Errorf("%+v", s)
		}
	}
}

// TestBaseOfMany: of more than two sides, it is what every one has seen.
func TestBaseOfMany(t *testing.T) {
	a, b := pair(t)
	a.put("", "k", "base")
	meet(a, b)
	a.put("", "k", "a1")
	a.put("", "k", "a2")
	b.put("", "k", "b1")
	meet(a, b)
	for _, l := range []*lab{a, b} {
		l.bases(l.open("", "k"), "base")
	}
	e, err := a.Graph().Entry(dag.DefaultFork(), "k")
	if err != nil {
		t.Fatal(err)
	}
	one := makeToken(dag.DefaultFork(), "k", headIDs(&e)[:1])
	if _, err := a.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "k"}, Value: []byte("third"), Base: one}); err != nil {
		t.Fatal(err)
	}
	a.put("", "l", "1")
	none := makeToken(dag.DefaultFork(), "k", nil)
	a.bases(a.open("", "k"), "base")
	if _, err := a.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "k"}, Value: []byte("of nothing"), Base: none}); err != nil {
		t.Fatal(err)
	}
	a.bases(a.open("", "k"), "")
}

// TestDiffOfSides: two forks that show the same conflict, each its own side of
// it, differ; also after a restart, and at cuts.
func TestDiffOfSides(t *testing.T) {
	l := newLab(t, "a")
	l.put("", "k", "base")
	l.put("", "other", "same")
	l.fork("s", "")
	l.put("", "k", "ours")
	l.put("s", "k", "theirs")
	l.merge("s", "default", rpc.OnConflictKeep)
	l.merge("default", "s", rpc.OnConflictKeep)
	l.serves("", "k", "ours!")
	l.serves("s", "k", "theirs!")
	if n := l.differences("default", "s"); n != 1 {
		t.Errorf("%d differences, want the one conflict", n)
	}
	w, err := l.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "k"}, Value: []byte("settled")})
	if err != nil {
		t.Fatal(err)
	}
	l.merge("default", "s", rpc.OnConflictFail)
	if n := l.differences("default", "s"); n != 0 {
		t.Errorf("%d differences after it is settled", n)
	}
	if n := l.differences("default@"+w.Block.String(), "s"); n != 0 {
		t.Errorf("%d differences from the block that settled it", n)
	}
	before, err := l.Graph().Before(w.Block)
	if err != nil {
		t.Fatal(err)
	}
	if n := l.differences("default@"+before.Tips()[0].String(), "s"); n != 1 {
		t.Errorf("%d differences from before it was settled", n)
	}
}

// TestProposal: the lines of two texts that parted are joined, when somebody
// says so.
func TestProposal(t *testing.T) {
	const base, ours, theirs, joined = "one\ntwo\nthree\n", "ONE\ntwo\nthree\n", "one\ntwo\nTHREE\n", "ONE\ntwo\nTHREE\n"
	for _, how := range []string{"merge", "resolve"} {
		l := newLab(t, "a")
		l.says("ann", "", "k", crdt.Text, base)
		l.fork("s", "")
		l.says("bob", "", "k", 0, ours)
		l.says("cat", "s", "k", 0, theirs)
		if how == "merge" {
			q := rpc.MergeRequest{Source: "s", Into: "default", Resolve: []rpc.Resolution{{Key: "k", Side: rpc.TakeProposal}}}
			if _, err := l.Merge(t.Context(), q); err != nil {
				t.Fatal(err)
			}
			l.serves("", "k", joined)
			continue
		}
		l.merge("s", "default", rpc.OnConflictKeep)
		l.serves("", "k", ours+"!")
		if c := l.open("default", "k"); c.Proposal != joined {
			t.Errorf("proposed %q", c.Proposal)
		}
		if _, err := l.Resolve(t.Context(), rpc.ResolveRequest{KeyRef: rpc.KeyRef{Key: "k"}, Take: rpc.TakeProposal}); err != nil {
			t.Fatal(err)
		}
		l.serves("", "k", joined)
	}
}

// TestNoProposal: lines that clash, and what are no two texts.
func TestNoProposal(t *testing.T) {
	for name, kind := range map[string]crdt.Kind{"clash": crdt.Text, "bytes": crdt.Bytes} {
		l := newLab(t, "a")
		l.says("ann", "", "k", kind, "one\n")
		l.fork("s", "")
		l.says("bob", "", "k", 0, "1\n")
		l.says("cat", "s", "k", 0, "uno\n")
		l.merge("s", "default", rpc.OnConflictKeep)
		if c := l.open("default", "k"); c.Proposal != "" {
			t.Errorf("%s: proposed %q", name, c.Proposal)
		}
		_, err := l.Resolve(t.Context(), rpc.ResolveRequest{KeyRef: rpc.KeyRef{Key: "k"}, Take: rpc.TakeProposal})
		if rpc.CodeOf(err) != rpc.CodeConflict || !strings.Contains(err.Error(), "there is no proposal") {
			t.Errorf("%s: %v", name, err)
		}
		l.serves("", "k", "1\n!")
	}
}
