package dag_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// TestAdoptKeeping: what a graph gives up can be kept whole first; if that
// fails nothing is given up.
func TestAdoptKeeping(t *testing.T) {
	a, other := foundNode(t, "a"), foundNode(t, "other")
	noise := rand.NewChaCha8([32]byte{})
	for range 60 { // several batches of a copy
		value := make([]byte, 50_000)
		noise.Read(value)
		a.put(t, "k", string(value))
	}
	digest, value := a.Digest(), a.value(t, "k")
	failed := errors.New("no room")
	err := a.AdoptKeeping(t.Context(), other.Cluster(), func(dag.Reader) error { return failed })
	if !errors.Is(err, failed) || a.Digest() != digest || a.value(t, "k") != value {
		t.Fatalf("when keeping fails: %v, digest %s", err, a.Digest())
	}
	a.put(t, "k", "still written")
	digest = a.Digest()
	kept := dagtest.NewMem()
	err = a.AdoptKeeping(t.Context(), other.Cluster(), func(all dag.Reader) error { return dag.CopyStore(t.Context(), all, kept) })
	if err != nil || a.Stats().Blocks > 0 || a.Joining() != other.Cluster() {
		t.Fatalf("%v; %+v, joining %s", err, a.Stats(), a.Joining())
	}
	b := openNode(t, "a", kept.Crash(0))
	if b.Digest() != digest || b.value(t, "k") != "still written" {
		t.Errorf("kept: digest %s, want %s", b.Digest(), digest)
	}
	b.check(t)
}

func TestCopyStoreFails(t *testing.T) {
	a := foundNode(t, "a")
	a.put(t, "k", "v")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := dag.CopyStore(ctx, a.store, dagtest.NewMem()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	into := dagtest.NewMem()
	into.FailWrite(1, dagtest.FaultFailed)
	if err := dag.CopyStore(t.Context(), a.store, into); err == nil {
		t.Error("a failed write is no error")
	}
}
