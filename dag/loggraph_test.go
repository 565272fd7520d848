package dag_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"crush/dag"
)

// graph is a log's graph, a block a line: its name, and those of what it
// stands on.
func (n *node) graph(t testing.TB, names map[dag.BlockID]string, fork dag.ForkID, all bool, limit int) (out []string) {
	t.Helper()
	bs, err := n.LogGraph(t.Context(), fork, all, limit)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bs {
		line := []string{names[b.ID]}
		for _, id := range b.Before {
			line = append(line, names[id])
		}
		out = append(out, strings.Join(line, " "))
	}
	return out
}

// drawn is a history of two nodes that fork and merge, with the names of its
// blocks.
func drawn(t *testing.T) (a *node, x, y dag.ForkID, names map[dag.BlockID]string) {
	a = foundNode(t, "a")
	d := dag.DefaultFork()
	names = map[dag.BlockID]string{}
	// did names the newest block of a node.
	did := func(n *node, name string) {
		t.Helper()
		for l, err := range n.Log(t.Context(), n.ForkIDs(), true, 0) {
			if err != nil {
				t.Fatal(err)
			}
			names[l.ID] = name
			break
		}
	}
	b := a.enlist(t, "b", dag.RoleAdmin)
	a.set(t, d, "k", "0")
	did(a, "d0")
	x = a.fork(t, "x", d)
	did(a, "fork-x")
	b.pull(t, a)
	a.set(t, x, "k", "x1")
	did(a, "x1")
	a.set(t, d, "l", "1")
	did(a, "d1")
	b.set(t, d, "m", "b")
	did(b, "b1")
	b.set(t, x, "m", "b")
	did(b, "bx")
	a.op(t, dag.NewTag("v1", nil)) // of no fork
	a.pull(t, b)
	a.merge(t, d, x, &dag.Filter{Skips: []string{"z"}})
	did(a, "merge")
	y = a.fork(t, "y", x)
	did(a, "fork-y")
	a.set(t, y, "k", "y")
	did(a, "y1")
	a.set(t, x, "k", "x2")
	did(a, "x2")
	a.merge(t, x, d, nil)
	did(a, "back")
	return a, x, y, names
}

func TestLogGraph(t *testing.T) {
	a, x, y, names := drawn(t)
	d := dag.DefaultFork()
	want := []string{"merge d1 b1 x1 bx", "bx fork-x", "b1 d0", "d1 d0", "x1 fork-x", "fork-x d0", "d0"}
	if got := a.graph(t, names, d, false, 100); !slices.EqualFunc(got, want, sameBlocks) {
		t.Errorf("default:\n%s", strings.Join(got, "\n"))
	}
	want = append([]string{"back x2 merge", "x2 x1 bx"}, want...)
	if got := a.graph(t, names, x, false, 100); !slices.EqualFunc(got, want, sameBlocks) {
		t.Errorf("x:\n%s", strings.Join(got, "\n"))
	}
	if got := a.graph(t, names, y, false, 100); !slices.Equal(got[:2], []string{"y1 fork-y", "fork-y x1 bx"}) && !slices.Equal(got[:2], []string{"y1 fork-y", "fork-y bx x1"}) || slices.Contains(got, "merge d1 b1 x1 bx") {
		t.Errorf("y:\n%s", strings.Join(got, "\n"))
	}
	if got := a.graph(t, names, d, true, 100); len(got) != 11 || got[0] != "back x2 merge" || got[2] != "y1 fork-y" {
		t.Errorf("all:\n%s", strings.Join(got, "\n"))
	}
	if got := a.graph(t, names, d, false, 3); len(got) != 3 || len(strings.Fields(got[0])) != 3 {
		t.Errorf("three: %q", got)
	}
	bs, err := a.LogGraph(t.Context(), d, false, 100)
	if err != nil || !slices.Equal(bs[0].Newest, []dag.ForkID{d}) || !slices.Equal(bs[1].On, []dag.ForkID{x}) {
		t.Errorf("%+v %v", bs, err)
	}
	for _, b := range bs[1:] {
		if len(b.Newest) > 0 { // x has gone on since
			t.Errorf("%s is the newest of %v", names[b.ID], b.Newest)
		}
	}
	if _, err := a.LogGraph(t.Context(), dag.ForkID{9}, false, 1); !errors.Is(err, dag.ErrNotFound) {
		t.Error(err)
	}
}

// sameBlocks compares two lines of a graph; what a block stands on may come in
// another order, which is that of arrival.
func sameBlocks(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	slices.Sort(x[1:])
	slices.Sort(y[1:])
	return slices.Equal(x, y)
}
