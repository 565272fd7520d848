package dag_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"crush/dag"
)

// errSeen ends a commit that only tries.
var errSeen = errors.New("seen")

// snapshot is every key of a fork with its heads and counts.
func (n *node) snapshot(t testing.TB, fork dag.ForkID) (out []string) {
	t.Helper()
	for e, err := range n.Entries(t.Context(), fork, "", "") {
		if err != nil {
			t.Fatal(err)
		}
		var s strings.Builder
		s.WriteString(e.Key)
		for _, id := range headIDs(&e) {
			s.WriteString(" " + id.String())
		}
		out = append(out, s.String())
	}
	return out
}

// TestTrickyForks are those rows of the model's table of tricky cases that
// forks and merges alone decide. The value of a key is its heads, sorted.
func TestTrickyForks(t *testing.T) {
	d := dag.DefaultFork()
	for name, test := range map[string]func(t *testing.T, a *node){
		"fork of fork merged to root, then the middle one": func(t *testing.T, a *node) {
			a.set(t, d, "k", "0")
			mid := a.fork(t, "mid", d)
			a.set(t, mid, "k", "1")
			leaf := a.fork(t, "leaf", mid)
			a.set(t, leaf, "k", "2")
			a.merge(t, d, leaf, nil)
			a.is(t, d, "k", "2")
			before := a.snapshot(t, d)
			a.merge(t, d, mid, nil)
			if !slices.Equal(a.snapshot(t, d), before) {
				t.Error("the second merge changed something")
			}
		},
		"merge back twice": func(t *testing.T, a *node) {
			a.set(t, d, "k", "0")
			x := a.fork(t, "x", d)
			a.set(t, x, "k", "1")
			a.merge(t, d, x, nil)
			a.set(t, x, "k", "2")
			a.set(t, x, "new", "2")
			a.is(t, d, "k", "1")
			a.is(t, d, "new", "")
			a.merge(t, d, x, nil)
			a.is(t, d, "k", "2")
			a.is(t, d, "new", "2")
			before := a.snapshot(t, d)
			a.merge(t, d, x, nil)
			if !slices.Equal(a.snapshot(t, d), before) {
				t.Error("the third merge changed something")
			}
		},
		"merge, revert, merge again": func(t *testing.T, a *node) {
			a.set(t, d, "k", "0")
			x := a.fork(t, "x", d)
			a.set(t, x, "k", "1")
			a.merge(t, d, x, nil)
			a.set(t, d, "k", "0")
			a.set(t, x, "other", "1")
			a.merge(t, d, x, nil)
			a.is(t, d, "k", "0")
			a.is(t, d, "other", "1")
		},
		"merge with skip, then something else, then without": func(t *testing.T, a *node) {
			x, y := a.fork(t, "x", d), a.fork(t, "y", d)
			a.set(t, x, "k", "1")
			a.set(t, x, "l", "1")
			a.set(t, y, "m", "1")
			a.merge(t, d, x, &dag.Filter{SkipKeys: []string{"k"}})
			a.is(t, d, "k", "")
			a.is(t, d, "l", "1")
			a.merge(t, d, y, nil)
			a.set(t, d, "l", "2")
			a.is(t, d, "k", "")
			a.merge(t, d, x, &dag.Filter{Skips: []string{"k*"}})
			a.is(t, d, "k", "")
			a.merge(t, d, x, nil)
			a.is(t, d, "k", "1")
			a.is(t, d, "l", "2")
		},
		"skip through a third fork": func(t *testing.T, a *node) {
			x, y := a.fork(t, "x", d), a.fork(t, "y", d)
			a.set(t, x, "k", "1")
			a.set(t, x, "l", "1")
			a.merge(t, y, x, &dag.Filter{SkipKeys: []string{"k"}})
			a.merge(t, d, y, nil)
			a.is(t, d, "k", "")
			a.is(t, d, "l", "1")
			a.merge(t, y, x, nil)
			a.is(t, d, "k", "")
			a.merge(t, d, y, nil)
			a.is(t, d, "k", "1")
		},
		"deleted in the fork, untouched in the root": func(t *testing.T, a *node) {
			a.set(t, d, "k", "0")
			x := a.fork(t, "x", d)
			a.set(t, x, "k", "DEL")
			a.is(t, d, "k", "0")
			a.merge(t, d, x, nil)
			a.is(t, d, "k", "DEL")
		},
		"deleted here, edited there": func(t *testing.T, a *node) {
			a.set(t, d, "k", "0")
			x := a.fork(t, "x", d)
			a.set(t, x, "k", "1")
			a.set(t, d, "k", "DEL")
			a.merge(t, d, x, nil)
			a.is(t, d, "k", "1 DEL")
			a.is(t, x, "k", "1")
		},
		"deleted and re-created here, edited there": func(t *testing.T, a *node) {
			a.set(t, d, "k", "0")
			x := a.fork(t, "x", d)
			a.set(t, x, "k", "1")
			a.set(t, d, "k", "DEL")
			a.set(t, d, "k", "2")
			a.merge(t, d, x, nil)
			a.is(t, d, "k", "1 2")
		},
		"2 and back to 1 here, 3 there": func(t *testing.T, a *node) {
			a.set(t, d, "k", "1")
			x := a.fork(t, "x", d)
			a.set(t, d, "k", "2")
			a.set(t, d, "k", "1")
			a.set(t, x, "k", "3")
			a.merge(t, d, x, nil)
			a.is(t, d, "k", "1 3")
		},
		"merge into an ancestor of an empty fork": func(t *testing.T, a *node) {
			a.set(t, d, "k", "0")
			x := a.fork(t, "x", d)
			before := a.snapshot(t, d)
			a.merge(t, d, x, nil)
			if !slices.Equal(a.snapshot(t, d), before) {
				t.Error("it changed something")
			}
			a.set(t, d, "k", "1")
			a.is(t, x, "k", "0")
		},
		"resolved after criss-cross stays resolved": func(t *testing.T, a *node) {
			a.set(t, d, "k", "0")
			x := a.fork(t, "x", d)
			a.set(t, d, "k", "1")
			a.set(t, x, "k", "2")
			a.op(t, mergeOf(d, x), mergeOf(x, d))
			a.is(t, d, "k", "1 2")
			a.is(t, x, "k", "1 2")
			a.set(t, d, "k", "3")
			a.is(t, x, "k", "1 2")
			a.merge(t, x, d, nil)
			a.is(t, x, "k", "3")
			a.merge(t, d, x, nil)
			a.is(t, d, "k", "3")
		},
		"one key is forked": func(t *testing.T, a *node) {
			a.set(t, d, "svc/api", "0")
			a.set(t, d, "svc/db", "0")
			x := a.forkOf(t, "x", dag.NewContribution(d, nil, &dag.Filter{Keys: []string{"svc/api"}}))
			a.is(t, x, "svc/api", "0")
			a.is(t, x, "svc/db", "")
			a.set(t, x, "svc/db", "mine")
			a.merge(t, d, x, nil)
			a.is(t, d, "svc/db", "0 mine")
		},
		"fork of an earlier cut": func(t *testing.T, a *node) {
			a.set(t, d, "k", "0")
			cut := tips(a)
			a.set(t, d, "k", "1")
			a.set(t, d, "l", "1")
			x := a.forkOf(t, "x", dag.NewContribution(d, cut, nil))
			a.is(t, x, "k", "0")
			a.is(t, x, "l", "")
			a.set(t, x, "k", "2")
			a.merge(t, d, x, nil)
			a.is(t, d, "k", "1 2")
		},
		"200 heads, then one put": func(t *testing.T, a *node) {
			x := a.fork(t, "x", d)
			a.commit(t, func(tx *dag.Tx) error {
				for range 200 {
					if err := tx.Put(dag.Draft{Fork: x, Key: "k", Kind: 1}); err != nil {
						return err
					}
				}
				return nil
			})
			a.merge(t, d, x, nil)
			if e, err := a.Entry(d, "k"); err != nil || len(e.Heads) != 200 {
				t.Errorf("%d heads, %v", len(e.Heads), err)
			}
			a.set(t, d, "k", "1")
			a.is(t, d, "k", "1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := foundNode(t, "a")
			test(t, a)
			before := answersOf(t, a)
			a.restart(t)
			if answersOf(t, a) != before {
				t.Error("a restart changed something")
			}
			a.check(t)
			rebuilt(t, a)
			b := a.enlist(t, "b", dag.RoleReader)
			for _, f := range a.Forks() {
				if !slices.Equal(a.snapshot(t, f.ID), b.snapshot(t, f.ID)) {
					t.Errorf("fork %s differs on another node", f.Name)
				}
			}
		})
	}
}

func mergeOf(into, from dag.ForkID) dag.Op {
	return dag.NewOp(dag.MergeOp{Into: into, From: dag.NewContribution(from, nil, nil)})
}

// TestMergeInAnyOrder: three forks merged in any order are identical, with
// conflicts left open.
func TestMergeInAnyOrder(t *testing.T) {
	a := foundNode(t, "a")
	for _, key := range []string{"k", "l", "m"} {
		a.set(t, dag.DefaultFork(), key, "0")
	}
	var from []dag.ForkID
	for i, name := range []string{"x", "y", "z"} {
		f := a.fork(t, name, dag.DefaultFork())
		a.set(t, f, "k", name)
		a.set(t, f, "klm"[i:i+1], "DEL")
		a.set(t, f, name, name)
		from = append(from, f)
	}
	a.set(t, dag.DefaultFork(), "m", "here")
	a.merge(t, from[2], from[0], nil)
	base := tips(a)
	var want []string
	for i, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}, {2, 1, 0, 0, 1, 2}} {
		into := a.forkOf(t, "into", dag.NewContribution(dag.DefaultFork(), base, nil))
		for _, j := range order {
			a.merge(t, into, from[j], nil)
		}
		if got := a.snapshot(t, into); i == 0 {
			want = got
		} else if !slices.Equal(got, want) {
			t.Errorf("in order %v\n%v\nwant\n%v", order, got, want)
		}
	}
	if len(want) != 6 {
		t.Errorf("merged to %v", want)
	}
	a.check(t)
}

// TestMergeBothWaysOnTwoNodes: A into B on one node, B into A on another, give
// the same heads on both forks, on both nodes.
func TestMergeBothWaysOnTwoNodes(t *testing.T) {
	ns := team(t, "a", "b")
	a, b := ns[0], ns[1]
	a.set(t, dag.DefaultFork(), "k", "0")
	x := a.fork(t, "x", dag.DefaultFork())
	gather(t, ns...)
	a.set(t, x, "k", "1")
	b.set(t, dag.DefaultFork(), "k", "2")
	gather(t, ns...)
	a.merge(t, dag.DefaultFork(), x, nil)
	b.merge(t, x, dag.DefaultFork(), nil)
	gather(t, ns...)
	for _, n := range ns {
		n.is(t, x, "k", "1 2")
		n.is(t, dag.DefaultFork(), "k", "1 2")
	}
	a.set(t, x, "k", "3")
	b.set(t, dag.DefaultFork(), "k", "3")
	gather(t, ns...)
	a.merge(t, dag.DefaultFork(), x, nil)
	gather(t, ns...)
	for _, n := range ns {
		n.is(t, dag.DefaultFork(), "k", "3 3") // one value, of two writers
		n.is(t, x, "k", "3")
		n.check(t)
	}
}

// TestParentsOfAnotherFork: a context read on one fork is none on another, by
// commits and in blocks made by hand.
func TestParentsOfAnotherFork(t *testing.T) {
	a := foundNode(t, "a")
	d := dag.DefaultFork()
	old := a.set(t, d, "k", "0")
	x := a.forkOf(t, "x", dag.NewContribution(d, nil, nil))
	y := a.forkOf(t, "y", dag.NewContribution(d, nil, &dag.Filter{Skips: []string{"k"}}))
	here, there := a.set(t, d, "k", "1"), a.set(t, x, "k", "2")
	f := newForger(keyOf("writer"), 1)
	a.setRole(t, f.key.ID(), "writer", dag.RoleWriter)
	late := tips(a)
	a.merge(t, d, x, nil)
	for _, test := range []struct {
		fork   dag.ForkID
		parent dag.RevisionID
		ok     bool
	}{{d, old, true}, {x, old, true}, {y, old, false}, {d, here, true}, {x, here, false}, {y, here, false}, {d, there, true}, {x, there, true}, {y, there, false}} {
		_, err := a.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error {
			if err := tx.Put(dag.Draft{Fork: test.fork, Key: "k", Kind: 1, Parents: []dag.RevisionID{test.parent}}); err != nil {
				return err
			}
			return errSeen
		})
		if errors.Is(err, errSeen) != test.ok {
			t.Errorf("%+v: %v", test, err)
		}
		b := f.block()
		if f.seq == 0 {
			b = f.block(late...) // has not seen the merge
		}
		r := revision(b, 0, "k", "forged", test.parent)
		r.Fork = test.fork
		_, bundle := f.write(b, r)
		before := len(a.Voids())
		apply(t, a, bundle)
		ok := test.ok && (test.fork != d || test.parent != there)
		if (len(a.Voids()) == before) != ok {
			t.Errorf("%+v by hand: void %v", test, a.Voids())
		}
	}
	a.check(t)
	rebuilt(t, a)
}

// TestForkOfManyContributions: a fork of very many contributions, which any
// member can write, costs no more than its bytes.
func TestForkOfManyContributions(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and 50,000 contributions")
	}
	a := foundNode(t, "a")
	from := []dag.Contribution{}
	for range 50_000 {
		from = append(from, dag.NewContribution(dag.DefaultFork(), nil, nil))
	}
	a.set(t, dag.DefaultFork(), "k", "0")
	a.is(t, a.forkOf(t, "x", from...), "k", "0")
}

// TestMergedElsewhereMeanwhile: what is merged into a fork on one node does not
// reach another node's fork of it, though it came here first and is older.
func TestMergedElsewhereMeanwhile(t *testing.T) {
	ns := team(t, "a", "b")
	a, b := ns[0], ns[1]
	a.set(t, dag.DefaultFork(), "k", "0")
	x := a.fork(t, "x")
	gather(t, ns...)
	a.merge(t, x, dag.DefaultFork(), nil)
	b.set(t, x, "k", "1")
	y := b.fork(t, "y", x)
	gather(t, ns...)
	for _, n := range ns {
		n.is(t, x, "k", "0 1")
		n.is(t, y, "k", "1")
		n.check(t)
	}
}

// TestSiblingOfAnotherFork: a head that another fork's revision left beside
// itself is found on its own fork, though one chain wrote on both.
func TestSiblingOfAnotherFork(t *testing.T) {
	a := foundNode(t, "a")
	d := dag.DefaultFork()
	x := a.fork(t, "x")
	a.set(t, x, "k", "0")
	a.set(t, d, "k", "1")
	y := a.fork(t, "y", d)
	a.merge(t, x, d, nil)
	a.commit(t, func(tx *dag.Tx) error { return tx.Put(dag.Draft{Fork: x, Key: "k", Kind: 1, Payload: []byte("2")}) })
	a.is(t, x, "k", "0 1 2")
	a.set(t, y, "k", "3")
	z := a.fork(t, "z", x, y)
	a.is(t, z, "k", "0 2 3")
	a.check(t)
}
