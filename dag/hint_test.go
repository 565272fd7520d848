package dag_test

import (
	"testing"

	"crush/dag"
)

// TestHintOutOfDate: what was read ahead of a commit is not used once a batch
// has changed the key, be it the last one or one long ago.
func TestHintOutOfDate(t *testing.T) {
	for _, between := range []int{1, 3, 40} {
		a := foundNode(t, "a")
		a.put(t, "k", "old")
		stale := a.Hint(dag.DefaultFork(), "k")
		a.put(t, "k", "new")
		for range between - 1 {
			a.put(t, "other", "x")
		}
		_, err := a.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error { return putTx(tx, "k", []byte("last")) }, stale)
		if err != nil {
			t.Fatalf("%d batches later: %v", between, err)
		}
		e, err := a.Entry(dag.DefaultFork(), "k")
		if err != nil || len(e.Heads) != 1 || e.Count != 3 {
			t.Errorf("%d batches later: %d heads, %d revisions, %v", between, len(e.Heads), e.Count, err)
		}
		a.check(t)
	}
}
