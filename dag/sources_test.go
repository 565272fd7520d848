package dag_test

import (
	"testing"

	"crush/dag"
)

// TestSourced writes blocks with and without a source, and reads back which
// there are, after a crash too, and which fork each is about.
func TestSourced(t *testing.T) {
	n := foundNode(t, "a")
	var made dag.Fork
	write := func(source string, fn func(*dag.Tx) error) dag.BlockID {
		t.Helper()
		rec, err := n.Commit(t.Context(), dag.Note{Message: "m", Source: source}, fn)
		if err != nil {
			t.Fatal(err)
		}
		return rec.Block
	}
	put := func(tx *dag.Tx) error { return putTx(tx, "k", nil) }
	write("", put)
	want := []dag.Sourced{
		{Source: "b", Block: write("b", put), Fork: dag.DefaultFork()},
		{Source: "a", Block: write("a", func(tx *dag.Tx) (err error) {
			made, err = tx.CreateFork("x", dag.NewContribution(dag.DefaultFork(), nil, nil))
			return err
		})},
		{Source: "c", Block: write("c", func(tx *dag.Tx) error {
			return tx.Op(dag.NewOp(dag.MergeOp{Into: made.ID, From: dag.NewContribution(dag.DefaultFork(), nil, nil)}))
		})},
		{Source: "d", Block: write("d", func(tx *dag.Tx) error {
			return tx.Put(dag.Draft{Fork: made.ID, Key: "other", Kind: 1})
		})},
		{Source: "e", Block: write("e", func(tx *dag.Tx) error { return tx.Op(dag.NewTag("t", nil)) })},
	}
	want[1].Fork, want[2].Fork, want[3].Fork = made.ID, made.ID, made.ID
	for range 2 {
		i := 0
		for s, err := range n.Sourced(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if i >= len(want) || s != want[i] {
				t.Fatalf("%d: %+v", i, s)
			}
			i++
		}
		if i != len(want) {
			t.Fatalf("%d blocks with a source, want %d", i, len(want))
		}
		n.crash(t)
	}
}
