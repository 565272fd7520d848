package dag_test

import (
	"cmp"
	"errors"
	"reflect"
	"slices"
	"testing"

	"crush/dag"
)

// lsns are the arrival numbers of a log.
func (n *node) lsns(t testing.TB, forks []dag.ForkID, operations bool, below uint64) (out []uint64) {
	t.Helper()
	for l, err := range n.Log(t.Context(), forks, operations, below) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l.LSN)
	}
	return out
}

func TestLogJoinsForks(t *testing.T) {
	n := foundNode(t, "a")
	d := dag.DefaultFork()
	x, y := n.fork(t, "x", d), n.fork(t, "y", d) // 2, 3
	for range 300 {                              // more than are read at once
		n.set(t, x, "k", "x")
		n.set(t, y, "k", "y")
	}
	n.set(t, d, "k", "d") // 604
	n.op(t, dag.NewTag("v1", nil))
	n.merge(t, d, x, nil) // 606
	ofX := n.lsns(t, []dag.ForkID{x}, false, 0)
	if len(ofX) != 301 || ofX[0] != 602 || ofX[300] != 2 {
		t.Errorf("the log of x: %v", ofX)
	}
	both := n.lsns(t, []dag.ForkID{x, y}, false, 0)
	falling := func(a, b uint64) int { return cmp.Compare(b, a) }
	if len(both) != 602 || !slices.IsSortedFunc(both, falling) || len(slices.Compact(slices.Clone(both))) != 602 {
		t.Errorf("the log of x and y: %v", both)
	}
	if got := n.lsns(t, []dag.ForkID{d}, true, 0); !slices.Equal(got, []uint64{606, 605, 604, 3, 2, 1}) {
		t.Errorf("the log of default with operations: %v", got)
	}
	if got := n.lsns(t, []dag.ForkID{x, y}, true, 5); !slices.Equal(got, []uint64{4, 3, 2, 1}) {
		t.Errorf("below a place: %v", got)
	}
	for _, err := range n.Log(t.Context(), []dag.ForkID{{9}}, false, 0) {
		if !errors.Is(err, dag.ErrNotFound) {
			t.Errorf("an unknown fork: %v", err)
		}
	}
	if first, err := n.FirstArrival(y); first != 3 || err != nil {
		t.Errorf("y begins at %d, %v", first, err)
	}
	if got := n.Sources(d); !slices.Equal(got, []dag.ForkID{d, x}) {
		t.Errorf("the sources of default: %v", got)
	}
	if got := n.Sources(x); !slices.Equal(got, []dag.ForkID{x, d}) {
		t.Errorf("the sources of x: %v", got)
	}
}

func TestLoggedOperations(t *testing.T) {
	n := foundNode(t, "a")
	d := dag.DefaultFork()
	x := n.fork(t, "x", d)
	r := n.commit(t, func(tx *dag.Tx) error {
		for _, op := range []dag.Op{dag.NewOp(dag.RenameOp{Fork: x, Name: "y"}), dag.NewOp(dag.DeleteOp{Fork: x}), dag.NewOp(dag.RestoreOp{Fork: x})} {
			if err := tx.Op(op); err != nil {
				return err
			}
		}
		return nil
	})
	l, err := n.Logged(r.Block)
	if err != nil || !slices.Equal(l.Ops, []int{0, 1, 2}) {
		t.Fatalf("%v %v", l.Ops, err)
	}
	body, err := dag.ReadOp(l.Block.Ops[0])
	if o, ok := body.(dag.RenameOp); !ok || o.Name != "y" || err != nil {
		t.Errorf("%+v %v", body, err)
	}
	if _, err := dag.ReadOp(dag.Op{Kind: 99, Body: l.Block.Ops[0].Body}); err == nil {
		t.Error("an operation of an unknown kind is read")
	}
	// The first block announces its chain and founds the cluster: neither is of
	// a log, its membership is.
	for l, err := range n.Log(t.Context(), nil, true, 2) {
		if err != nil || len(l.Block.Ops) != 3 || !slices.Equal(l.Ops, []int{2}) {
			t.Errorf("%v of %v, %v", l.Ops, l.Block.Ops, err)
		}
		for i, want := range []any{dag.ChainOp{}, dag.GenesisOp{}, dag.MemberOp{}} {
			if got, err := dag.ReadOp(l.Block.Ops[i]); reflect.TypeOf(got) != reflect.TypeOf(want) || err != nil {
				t.Errorf("operation %d: %T, %v", i, got, err)
			}
		}
	}
}

func TestSetBy(t *testing.T) {
	n := foundNode(t, "a")
	first := n.op(t, dag.NewTag("v1", nil))
	if a, ok, err := n.SetBy("v1"); a.ID != first.Block || !ok || err != nil {
		t.Errorf("%v %v %v", a.ID, ok, err)
	}
	second := n.op(t, dag.NewOp(dag.AliasOp{Name: "v1", Fork: dag.DefaultFork()}))
	if a, ok, err := n.SetBy("v1"); a.ID != second.Block || !ok || err != nil {
		t.Errorf("set again: %v %v %v", a.ID, ok, err)
	}
	n.op(t, dag.NewOp(dag.AliasOp{Name: "v1", Gone: true}))
	for _, name := range []string{"v1", "none"} {
		if _, ok, err := n.SetBy(name); ok || err != nil {
			t.Errorf("%s: %v %v", name, ok, err)
		}
	}
}
