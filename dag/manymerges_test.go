package dag_test

import (
	"fmt"
	"testing"

	"crush/dag"
)

// TestManyForksOfOneKey: a key that many forks wrote apart from each other, all
// merged into one, has a head of each.
func TestManyForksOfOneKey(t *testing.T) {
	const forks = 24
	n, _ := meteredNode(t, 1)
	var made [forks]dag.ForkID
	for i := range made {
		n.commit(t, func(tx *dag.Tx) error {
			f, err := tx.CreateFork(fmt.Sprint("f", i), dag.NewContribution(dag.DefaultFork(), nil, nil))
			made[i] = f.ID
			return err
		})
	}
	for i, f := range made {
		n.fill(t, f, 0, 1, fmt.Sprint(i))
	}
	for i, f := range made {
		n.commit(t, func(tx *dag.Tx) error {
			return tx.Op(dag.NewOp(dag.MergeOp{Into: dag.DefaultFork(), From: dag.NewContribution(f, nil, nil)}))
		})
		e, err := n.Entry(dag.DefaultFork(), costKey(0))
		if err != nil || len(e.Heads) != i+1 {
			t.Fatalf("after %d merges: %d heads, %v", i+1, len(e.Heads), err)
		}
	}
	n.fill(t, dag.DefaultFork(), 0, 1, "settled")
	if e, err := n.Entry(dag.DefaultFork(), costKey(0)); err != nil || len(e.Heads) != 1 {
		t.Errorf("after a write that has seen all: %d heads, %v", len(e.Heads), err)
	}
	rebuilt(t, n)
}
