package dag_test

import (
	"errors"
	"runtime"
	"testing"

	"crush/dag"
)

// TestCommitFunctionEndsItsGoroutine: the leader's function ends its goroutine;
// nobody waits for ever, the store closes for writing, reads go on, and the next
// open is whole.
func TestCommitFunctionEndsItsGoroutine(t *testing.T) {
	a := foundNode(t, "a")
	a.put(t, "k", "1")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.Commit(t.Context(), dag.Note{}, func(*dag.Tx) error { runtime.Goexit(); return nil })
	}()
	<-ended
	_, err := a.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error { return putTx(tx, "k", []byte("2")) })
	if !errors.Is(err, dag.ErrReadOnly) {
		t.Fatalf("a commit after it: %v", err)
	}
	if v := a.value(t, "k"); v != "1" {
		t.Errorf("read %q", v)
	}
}
