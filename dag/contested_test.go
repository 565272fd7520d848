package dag_test

import (
	"slices"
	"testing"

	"crush/dag"
)

// TestContestedIsKept: a clean stop keeps which keys are contested, so that the
// next start looks only at what has changed since.
func TestContestedIsKept(t *testing.T) {
	n, m := meteredNode(t, 0)
	n.fill(t, dag.DefaultFork(), 0, 2000, "v")
	e := n.mustEntryAt(t, dag.DefaultFork(), costKey(7), n.Now())
	for range 2 { // two siblings
		if _, err := n.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error {
			return tx.Put(dag.Draft{Fork: dag.DefaultFork(), Key: costKey(7), Kind: 1, Payload: []byte("x"), Parents: []dag.RevisionID{e.Heads[0].ID}})
		}); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(want ...string) (reads int) {
		t.Helper()
		var got []string
		c := m.Of(func() {
			var err error
			if got, err = n.Contested(t.Context(), dag.DefaultFork(), n.Now()); err != nil {
				t.Fatal(err)
			}
		})
		if !slices.Equal(got, want) {
			t.Fatalf("contested: %q, want %q", got, want)
		}
		return c.Records
	}
	if read := ask(costKey(7)); read < 2000 {
		t.Errorf("the first question read %d records: the test measures nothing", read)
	}
	n.reopen(t)
	n.fill(t, dag.DefaultFork(), 5, 10, "settled")
	if read := ask(); read > 50 {
		t.Errorf("after a restart and a write of 5 keys %d records are read", read)
	}
}
