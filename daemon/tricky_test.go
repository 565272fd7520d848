package daemon

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"crush/dag"
	"crush/dag/dagtest"
	"crush/rpc"
)

// pull applies what another lab has and this one lacks.
func (l *lab) pull(from *lab) {
	l.t.Helper()
	var bs []dag.Bundle
	for o, err := range from.Graph().Missing(l.t.Context(), l.Graph().Frontier()) {
		if err != nil {
			l.t.Fatal(err)
		}
		bs = append(bs, o.Bundle)
	}
	if _, err := l.Graph().Apply(l.t.Context(), bs); err != nil {
		l.t.Fatal(err)
	}
}

func meet(a, b *lab) {
	a.t.Helper()
	a.pull(b)
	b.pull(a)
}

// pair makes two labs of one cluster, with one clock.
func pair(t *testing.T) (a, b *lab) {
	t.Helper()
	return pairAt(t, newClock())
}

func pairAt(t *testing.T, now func() time.Time) (a, b *lab) {
	t.Helper()
	a = openLab(t, ReplicaConfig{Store: dagtest.NewMem(), Key: keyNamed("a"), Name: "a", Now: now})
	b = openLab(t, ReplicaConfig{Store: dagtest.NewMem(), Unfounded: true, Key: keyNamed("b"), Name: "b", Now: now})
	_, err := a.commit(t.Context(), rpc.Claim{}, func(tx *dag.Tx) error {
		return tx.Op(dag.NewOp(dag.MemberOp{Node: b.Graph().Node(), Role: dag.RoleWriter, Name: "b"}))
	})
	if err != nil {
		t.Fatal(err)
	}
	b.pull(a)
	return a, b
}

// conflictKind is the kind of the open conflict of a key; "" for none.
func (l *lab) conflictKind(fork, key string) string {
	l.t.Helper()
	for c, err := range l.Conflicts(l.t.Context(), fork, key) {
		if err != nil {
			l.t.Fatal(err)
		}
		if c.Key == key {
			return c.Kind
		}
	}
	return ""
}

func (l *lab) wantConflict(fork, key, kind string) {
	l.t.Helper()
	if got := l.conflictKind(fork, key); got != kind {
		l.t.Errorf("the conflict of %s on %s is %q, want %q", key, fork, got, kind)
	}
}

// trickyOneNode are the rows of the model's table that one node shows.
var trickyOneNode = map[string]func(l *lab){
	"bytes key deleted here, rewritten there": func(l *lab) {
		l.put("", "k", "1")
		l.fork("s", "")
		l.del("", "k")
		l.put("s", "k", "2")
		l.merge("s", "default", rpc.OnConflictKeep)
		l.wantConflict("default", "k", "delete/edit")
		l.serves("", "k", "-!") // default's own line is served until somebody settles
		l.merge("default", "s", rpc.OnConflictKeep)
		l.serves("s", "k", "2!")
	},
	"deleted and re-created here, edited there": func(l *lab) {
		l.put("", "k", "1")
		l.fork("s", "")
		l.del("", "k")
		l.put("", "k", "again")
		l.put("s", "k", "edited")
		l.merge("s", "default", rpc.OnConflictKeep)
		l.wantConflict("default", "k", "value")
		l.serves("", "k", "again!")
	},
	"both sides made the same change": func(l *lab) {
		l.put("", "k", "1")
		l.fork("s", "")
		l.put("", "k", "2")
		l.put("s", "k", "2")
		l.merge("s", "default", "")
		l.merge("default", "s", "")
		l.serves("", "k", "2")
		l.serves("s", "k", "2")
		l.merge("s", "default", "")
		l.serves("", "k", "2") // the original must not come back
	},
	"fork of fork merged to root, then the middle one": func(l *lab) {
		l.put("", "k", "1")
		l.fork("mid", "")
		l.put("mid", "m", "m")
		l.fork("leaf", "mid")
		l.put("leaf", "k", "2")
		l.merge("leaf", "default", "")
		l.serves("", "m", "m")
		l.serves("", "k", "2")
		if m := l.merge("mid", "default", ""); !m.Unchanged {
			l.t.Errorf("the second merge: %+v", m)
		}
	},
	"merge back twice, source moved in between": func(l *lab) {
		l.fork("s", "")
		l.put("s", "a", "1")
		l.merge("s", "default", "")
		l.put("s", "b", "2")
		if m := l.merge("s", "default", ""); len(m.Clean) != 1 || m.Clean[0].Key != "b" {
			l.t.Errorf("only the new writes arrive: %+v", m)
		}
		if m := l.merge("s", "default", ""); !m.Unchanged {
			l.t.Errorf("a third merge: %+v", m)
		}
	},
	"merge, revert in the destination, merge again": func(l *lab) {
		l.put("", "k", "1")
		l.fork("s", "")
		l.put("s", "k", "2")
		l.merge("s", "default", "")
		if _, err := l.Undo(l.t.Context(), rpc.UndoRequest{}); err != nil {
			l.t.Fatal(err)
		}
		l.serves("", "k", "1")
		l.merge("s", "default", "")
		l.serves("", "k", "1")
		l.put("s", "new", "n")
		l.merge("s", "default", "")
		l.serves("", "k", "1")
		l.serves("", "new", "n")
	},
	"side A set 2 and rolled back to 1, side B set 3": func(l *lab) {
		l.put("", "k", "1")
		l.fork("s", "")
		l.put("", "k", "2")
		if _, err := l.Rollback(l.t.Context(), rpc.RollbackRequest{KeyRef: rpc.KeyRef{Key: "k"}, To: "head~1"}); err != nil {
			l.t.Fatal(err)
		}
		l.put("s", "k", "3")
		if m := l.merge("s", "default", ""); len(m.Conflicts) != 1 {
			l.t.Errorf("git silently takes 3: %+v", m)
		}
	},
	"merge with `--skip K`, then merge something else, then merge without": func(l *lab) {
		l.fork("s", "")
		l.put("s", "K", "k")
		l.put("s", "other", "o")
		m, err := l.Merge(l.t.Context(), rpc.MergeRequest{Source: "s", Into: "default", Skip: []string{"K"}})
		if err != nil || !slices.Equal(m.Skipped, []string{"K"}) {
			l.t.Fatalf("%+v %v", m, err)
		}
		l.serves("", "K", "-")
		l.serves("", "other", "o")
		l.fork("t", "")
		l.put("t", "something", "else")
		l.merge("t", "default", "")
		l.serves("", "K", "-")
		l.merge("s", "default", "")
		l.serves("", "K", "k")
	},
	"key deleted in the fork, untouched in the root, merged": func(l *lab) {
		l.put("", "k", "1")
		l.fork("s", "")
		l.del("s", "k")
		l.merge("s", "default", "")
		l.serves("", "k", "-")
	},
	"`\"\"` against delete; `\"\"` against null; null": func(l *lab) {
		l.put("", "k", "1")
		l.fork("s", "")
		l.put("", "k", "")
		l.del("s", "k")
		l.merge("s", "default", rpc.OnConflictKeep)
		l.wantConflict("default", "k", "delete/edit")
	},
	"key deleted and re-created by one writer": func(l *lab) {
		l.put("", "k", "1")
		l.del("", "k")
		l.put("", "k", "2")
		l.serves("", "k", "2")
	},
	"merge into an ancestor, of an empty fork / into itself": func(l *lab) {
		l.fork("s", "")
		if m := l.merge("s", "default", ""); !m.Unchanged {
			l.t.Errorf("%+v", m)
		}
		if _, err := l.Merge(l.t.Context(), rpc.MergeRequest{Source: "s", Into: "s"}); !errors.Is(err, rpc.ErrInvalid) {
			l.t.Errorf("into itself: %v", err)
		}
	},
	"plan applied after a key in it moved / after unrelated writes": func(l *lab) {
		l.fork("s", "")
		l.put("s", "k", "1")
		plan, _ := l.Merge(l.t.Context(), rpc.MergeRequest{Source: "s", Into: "default", Plan: true})
		l.put("s", "k", "2")
		if _, err := l.Merge(l.t.Context(), rpc.MergeRequest{Source: "s", Into: "default", Apply: plan.Plan}); !errors.Is(err, rpc.ErrStale) {
			l.t.Errorf("a key moved: %v", err)
		}
		plan, _ = l.Merge(l.t.Context(), rpc.MergeRequest{Source: "s", Into: "default", Plan: true})
		l.put("", "unrelated", "x")
		if _, err := l.Merge(l.t.Context(), rpc.MergeRequest{Source: "s", Into: "default", Apply: plan.Plan}); err != nil {
			l.t.Errorf("unrelated writes: %v", err)
		}
	},
	"`merge --on-conflict keep` of staging into default, where default's value was written there": func(l *lab) {
		l.put("", "k", "1")
		l.put("", "d", "1")
		l.fork("staging", "")
		l.put("staging", "k", "staging")
		l.put("staging", "d", "staging")
		l.put("", "k", "own")
		l.del("", "d")
		l.put("staging", "k", "staging, later")
		l.merge("staging", "default", rpc.OnConflictKeep)
		l.serves("", "k", "own!")
		l.serves("", "d", "-!")
	},
	"200 heads of one key, then one put": func(l *lab) {
		for i := range 200 {
			q := rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "k"}, Value: fmt.Append(nil, i), Base: makeToken(dag.DefaultFork(), "k", nil)}
			if _, err := l.Put(l.t.Context(), q); err != nil {
				l.t.Fatal(err)
			}
		}
		if n := l.heads("k"); n != 200 {
			l.t.Errorf("%d heads", n)
		}
		l.put("", "k", "one")
		if n := l.heads("k"); n != 1 {
			l.t.Errorf("%d heads", n)
		}
		l.serves("", "k", "one")
	},
}

func (l *lab) heads(key string) int {
	l.t.Helper()
	e, err := l.Graph().Entry(dag.DefaultFork(), key)
	if err != nil {
		l.t.Fatal(err)
	}
	return len(e.Heads)
}

func TestTrickyOneNode(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(trickyOneNode)) {
		t.Run(name, func(t *testing.T) { trickyOneNode[name](newLab(t, "a")) })
	}
}

// trickyTwoNodes are the rows that two nodes show.
var trickyTwoNodes = map[string]func(a, b *lab){
	"fork renamed while others write to it; renamed twice at once": func(a, b *lab) {
		a.fork("f", "")
		meet(a, b)
		rename(a, "f", "north")
		rename(b, "f", "south")
		b.put("south", "k", "1")
		meet(a, b)
		for _, l := range []*lab{a, b} {
			l.serves("north", "k", "1")
			l.serves("south", "k", "1")
		}
		rename(a, "north", "one")
		meet(a, b)
		b.serves("one", "k", "1")
		if _, err := b.Get(b.t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Fork: "south", Key: "k"}}); !errors.Is(err, rpc.ErrNotFound) {
			b.t.Errorf("the settled label: %v", err)
		}
	},
	"fork deleted while another node writes to it": func(a, b *lab) {
		a.fork("f", "")
		meet(a, b)
		remove(a, "f")
		a.fork("f", "") // a newer fork of that name
		a.put("f", "k", "new")
		b.put("f", "k", "old")
		meet(a, b)
		for _, l := range []*lab{a, b} {
			l.serves("f", "k", "new")
			if got := l.names(); len(got) != 3 || got[1] != "f" || got[2][:2] != "f~" {
				l.t.Errorf("forks %v", got)
			}
			l.serves(l.names()[2], "k", "old")
		}
	},
	"same fork name created on two nodes": func(a, b *lab) {
		a.fork("f", "")
		b.fork("f", "")
		a.put("f", "k", "a")
		b.put("f", "k", "b")
		meet(a, b)
		first := a.value("f", "k")
		b.serves("f", "k", first)
		_, err := a.Put(a.t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Fork: "f", Key: "k"}})
		if !errors.Is(err, rpc.ErrAmbiguous) {
			a.t.Errorf("a write by name: %v", err)
		}
	},
	"A into B on one node, B into A on another": func(a, b *lab) {
		a.put("", "k", "1")
		a.fork("s", "")
		a.put("", "k", "ours")
		a.put("s", "k", "theirs")
		meet(a, b)
		a.merge("s", "default", rpc.OnConflictKeep)
		b.merge("default", "s", rpc.OnConflictKeep)
		meet(a, b)
		for _, l := range []*lab{a, b} {
			l.serves("default", "k", "ours!")
			l.serves("s", "k", "theirs!")
		}
	},
	"resolved differently on two nodes at once": func(a, b *lab) {
		conflicted(a, b)
		resolve(a, "x")
		resolve(b, "y")
		meet(a, b)
		a.wantConflict("default", "k", "value")
		b.serves("", "k", a.value("", "k")+"!")
	},
	"resolved equally on two nodes at once": func(a, b *lab) {
		conflicted(a, b)
		resolve(a, "x")
		resolve(b, "x")
		meet(a, b)
		a.serves("", "k", "x")
		b.serves("", "k", "x")
	},
	"a late offline write on the losing side": func(a, b *lab) {
		conflicted(a, b)
		resolve(a, "settled")
		b.put("", "k", "late")
		b.put("", "other", "o")
		meet(a, b)
		for _, l := range []*lab{a, b} {
			l.wantConflict("default", "k", "value")
			l.serves("", "k", a.value("", "k")+"!")
			l.serves("", "other", "o")
		}
	},
	"X writes, Y deletes having seen it, Z writes at once, unseen": func(a, b *lab) {
		a.put("", "k", "X")
		meet(a, b)
		a.del("", "k")
		b.put("", "k", "Z")
		meet(a, b)
		a.serves("", "k", "Z!")
		b.serves("", "k", "Z!")
	},
	"a fork deleted while another node merges into it": func(a, b *lab) {
		a.fork("f", "")
		meet(a, b)
		remove(a, "f")
		b.put("", "k", "1")
		b.merge("default", "f", "")
		meet(a, b)
		a.serves("f", "k", "1")
	},
	"three forks merged in any order with `keep`": func(a, b *lab) {
		a.put("", "k", "base")
		forks := []string{"one", "two", "three"}
		for _, f := range forks {
			a.fork(f, "")
			a.put(f, "k", f)
			a.put(f, f, f)
		}
		meet(a, b)
		for i := range forks {
			a.merge(forks[i], "default", rpc.OnConflictKeep)
			b.merge(forks[2-i], "default", rpc.OnConflictKeep)
		}
		want := a.value("", "k")
		b.serves("", "k", want+"!")
		meet(a, b)
		a.serves("", "k", want+"!")
		b.serves("", "k", want+"!")
	},
}

func (l *lab) value(fork, key string) string {
	l.t.Helper()
	e, err := l.Get(l.t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Fork: fork, Key: key}})
	if err != nil {
		l.t.Fatal(err)
	}
	return string(e.Value)
}

// names are those of the live forks.
func (l *lab) names() (out []string) {
	l.t.Helper()
	fs, err := l.Forks(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, f := range fs {
		if !f.Deleted {
			out = append(out, f.Name)
		}
	}
	return out
}

func rename(l *lab, from, to string) {
	l.t.Helper()
	if _, err := l.RenameFork(l.t.Context(), rpc.ForkChange{Fork: from, Name: to}); err != nil {
		l.t.Fatal(err)
	}
}

func remove(l *lab, name string) {
	l.t.Helper()
	if _, err := l.RemoveFork(l.t.Context(), rpc.ForkChange{Fork: name, Force: true}); err != nil {
		l.t.Fatal(err)
	}
}

// conflicted makes both labs have a conflict at k.
func conflicted(a, b *lab) {
	a.t.Helper()
	a.put("", "k", "from a")
	b.put("", "k", "from b")
	meet(a, b)
	a.wantConflict("default", "k", "value")
}

func resolve(l *lab, value string) {
	l.t.Helper()
	v := []byte(value)
	if _, err := l.Resolve(l.t.Context(), rpc.ResolveRequest{KeyRef: rpc.KeyRef{Key: "k"}, Value: &v}); err != nil {
		l.t.Fatal(err)
	}
}

func TestTrickyTwoNodes(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(trickyTwoNodes)) {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			trickyTwoNodes[name](a, b)
			meet(a, b)
			if a.Graph().Digest() != b.Graph().Digest() {
				t.Error("the nodes differ")
			}
		})
	}
}
