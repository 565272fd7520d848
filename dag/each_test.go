package dag_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// TestCommitEach writes a history in one call: a block for each change, each
// seeing those before it, 64 of them a batch.
func TestCommitEach(t *testing.T) {
	n := foundNode(t, "a")
	const many = 150
	writes := n.mem().Writes()
	rs, err := n.CommitEach(t.Context(), counting(many, -1, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := n.mem().Writes() - writes; got != 3 {
		t.Errorf("%d changes took %d batches, not 3", many, got)
	}
	n.wroteEach(t, rs, many)
	n.crash(t)
	n.wroteEach(t, rs, many)
}

// TestCommitEachLarge signs more often where blocks are large: peers are sent
// chunks of some size, which end at signatures.
func TestCommitEachLarge(t *testing.T) {
	n := foundNode(t, "a")
	value := make([]byte, 100<<10)
	steps := counting(20, -1, nil)
	for i := range steps {
		steps[i].Fn = func(tx *dag.Tx) error { return putTx(tx, fmt.Sprint(i), value) }
	}
	rs, err := n.CommitEach(t.Context(), steps)
	if err != nil {
		t.Fatal(err)
	}
	open := 0
	for i, r := range rs {
		if open++; len(r.Bundle) > 0 {
			open = 0
		}
		if open > 4 || i == len(rs)-1 && open > 0 {
			t.Errorf("%d blocks up to %d of %d KiB each have no signature", open, i, len(value)>>10)
		}
	}
	n.check(t)
}

// TestCommitEachFails stops at the change that fails, and keeps those before.
func TestCommitEachFails(t *testing.T) {
	bad := errors.New("bad")
	for _, at := range []int{0, 1, 63, 64, 99} {
		n := foundNode(t, "a")
		rs, err := n.CommitEach(t.Context(), counting(100, at, bad))
		if !errors.Is(err, bad) {
			t.Errorf("failing at %d: %v", at, err)
		}
		n.wroteEach(t, rs, at)
		n.put(t, "k", "on")
		n.check(t)
	}
	n := foundNode(t, "a")
	n.mem().FailWrite(2, dagtest.FaultFailed)
	rs, err := n.CommitEach(t.Context(), counting(100, -1, nil))
	if !errors.Is(err, dag.ErrReadOnly) {
		t.Errorf("the second batch fails: %v", err)
	}
	n.wroteEach(t, rs, 64)
}

// TestCommitEachAmongOthers writes steps in one batch with commits that share
// blocks: a step's block is its own.
func TestCommitEachAmongOthers(t *testing.T) {
	c := newCompany(t)
	one := func(key string) {
		c.join(t.Context(), dag.Note{}, func(tx *dag.Tx) error { return putTx(tx, key, nil) }, func(_ dag.Receipt, err error) {
			if err != nil {
				t.Errorf("%s: %v", key, err)
			}
		})
	}
	one("before")
	n := c.n.Waiting()
	c.wg.Go(func() {
		rs, err := c.n.CommitEach(context.Background(), counting(2, -1, nil))
		if err != nil {
			t.Error(err)
		}
		c.n.wroteEach(t, rs, 2)
	})
	for c.n.Waiting() != n+2 {
		runtime.Gosched()
	}
	one("after")
	one("after too")
	c.finish()
	if s := c.n.Stats(); s.Blocks != 2+1+2+1 {
		t.Errorf("%d blocks, want those of the genesis and the leader, and 4", s.Blocks)
	}
	c.n.check(t)
}

// TestCommitEnded: a context that has ended before the call writes nothing.
func TestCommitEnded(t *testing.T) {
	n := foundNode(t, "a")
	writes := n.mem().Writes()
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := n.Commit(ctx, dag.Note{}, func(tx *dag.Tx) error { return putTx(tx, "k", []byte("v")) }); !errors.Is(err, why) {
		t.Errorf("commit: %v", err)
	}
	if _, err := n.CommitEach(ctx, counting(2, -1, nil)); !errors.Is(err, why) {
		t.Errorf("commit of steps: %v", err)
	}
	if n.mem().Writes() != writes {
		t.Error("it was written all the same")
	}
}

// counting returns changes that each put the count that they read plus one; the
// one at fail returns an error.
func counting(many, fail int, err error) []dag.Step {
	out := make([]dag.Step, many)
	for i := range out {
		out[i] = dag.Step{Note: dag.Note{Message: fmt.Sprint(i)}, Fn: func(tx *dag.Tx) error {
			if i == fail {
				return err
			}
			e, err := tx.Entry(dag.DefaultFork(), "k")
			if err != nil {
				return err
			}
			return putTx(tx, "k", fmt.Append(nil, e.Count))
		}}
	}
	return out
}

// wroteEach checks what counting has written: a block a change, in order.
func (n *node) wroteEach(t *testing.T, rs []dag.Receipt, want int) {
	t.Helper()
	if len(rs) != want {
		t.Fatalf("%d receipts, want %d", len(rs), want)
	}
	if want > 0 {
		if got := n.value(t, "k"); got != fmt.Sprint(want-1) {
			t.Errorf("the value is %s after %d changes", got, want)
		}
	}
	blocks := map[dag.BlockID]bool{}
	for i, r := range rs {
		blocks[r.Block] = true
		a, err := n.Block(r.Block)
		if err != nil {
			t.Fatal(err)
		}
		if a.Block.Note == nil || a.Block.Note.Message != fmt.Sprint(i) || len(a.Block.Revisions) != 1 {
			t.Errorf("the block of change %d holds %d revisions, and the note %v", i, len(a.Block.Revisions), a.Block.Note)
		}
		last := i == want-1 || i%64 == 63
		if a.Signed != last || (len(r.Bundle) > 0) != last {
			t.Errorf("change %d of %d: signed %v, its bundle has %d bytes", i, want, a.Signed, len(r.Bundle))
		}
		if len(r.Bundle) == 0 {
			continue
		}
		if h, err := dag.ReadHeader(r.Bundle); err != nil || h.ID != r.Block || !h.Signed {
			t.Errorf("change %d: the bundle is %+v, %v", i, h, err)
		}
	}
	if len(blocks) != want {
		t.Errorf("%d changes stand in %d blocks", want, len(blocks))
	}
	peer := openNode(t, "peer", dagtest.NewMem())
	peer.pull(t, n)
	if peer.Digest() != n.Digest() {
		t.Error("a peer does not take all of it")
	}
	peer.check(t)
}
