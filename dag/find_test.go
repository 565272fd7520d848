package dag_test

import (
	"errors"
	"fmt"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// many is a node with more ids than some segments of their index hold.
func many(t *testing.T) (a *node, receipts []dag.Receipt) {
	t.Helper()
	a = foundNode(t, "a")
	const perBlock = 100
	for b := range 3*dag.FindEvery/perBlock + 2 {
		r, err := a.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error {
			for i := range perBlock {
				if err := tx.Put(dag.Draft{Fork: dag.DefaultFork(), Key: fmt.Sprint(b, "/", i), Kind: 1}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, r)
	}
	return a, receipts
}

// TestFind looks up ids of all ages.
func TestFind(t *testing.T) {
	if testing.Short() {
		t.Skip("one thing after another, and slow: not in short runs")
	}
	a, receipts := many(t)
	if n := len(keysOf(t, a.store, 'c')); n < 3 {
		t.Fatalf("%d segments", n)
	}
	old := a.put(t, "0/0", "over")
	look := func(t *testing.T, n *node, each int) {
		for i, r := range receipts {
			if i%each > 0 {
				continue
			}
			findsBlock(t, n, r.Block)
			findsRevision(t, n, r.Revisions[(7*i)%len(r.Revisions)], r.Block)
			findsRevision(t, n, r.Revisions[0], r.Block)
			findsRevision(t, n, r.Revisions[len(r.Revisions)-1], r.Block)
		}
		findsBlock(t, n, old.Block)
		findsNothing(t, n)
		// A parent that is no head any more, from the oldest segment.
		if _, err := n.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error {
			return tx.Put(dag.Draft{Fork: dag.DefaultFork(), Key: "0/0", Kind: 1, Parents: receipts[0].Revisions[:1]})
		}); err != nil {
			t.Errorf("an old parent: %v", err)
		}
	}
	look(t, a, 4)
	a.restart(t)
	look(t, a, 20)
	a.crash(t)
	look(t, a, 20)
	a.check(t)
	b := openNode(t, "b", dagtest.NewMem())
	b.pull(t, a)
	if _, err := dag.Rebuild(t.Context(), a.store, b.store, nil, func(dag.Fault) {}); err != nil {
		t.Fatal(err)
	}
	for _, r := range receipts[:10] {
		findsBlock(t, b, r.Block)
		findsRevision(t, b, r.Revisions[1], r.Block)
	}
	badSegments(t, a)
}

func findsBlock(t *testing.T, n *node, id dag.BlockID) {
	t.Helper()
	if b, err := n.Block(id); err != nil || b.ID != id || !n.Have(id) {
		t.Errorf("block %s: %v", id.Short(), err)
	}
	for _, length := range []int{6, 8, 11, 52} {
		m, err := n.Find(id.String()[7:][:length])
		if err != nil || length > 6 && (len(m.Blocks) != 1 || len(m.Revisions) > 0) || len(m.Blocks) == 0 || m.Blocks[0] != id {
			t.Errorf("find %d letters of block %s: %v, %v", length, id.Short(), m, err)
		}
	}
}

func findsRevision(t *testing.T, n *node, id dag.RevisionID, in dag.BlockID) {
	t.Helper()
	if c, err := n.Revision(id); err != nil || c.ID != id || c.Block != in {
		t.Errorf("revision %s: %v", id.Short(), err)
	}
	for _, length := range []int{8, 10, 52} {
		m, err := n.Find(id.String()[7:][:length])
		if err != nil || len(m.Revisions) != 1 || m.Revisions[0] != id {
			t.Errorf("find %d letters of revision %s: %v, %v", length, id.Short(), m, err)
		}
	}
}

func findsNothing(t *testing.T, n *node) {
	t.Helper()
	id := dag.SumOf([]byte("nothing"))
	if _, err := n.Revision(dag.RevisionID(id)); !errors.Is(err, dag.ErrNotFound) {
		t.Errorf("revision: %v", err)
	}
	if _, err := n.Block(dag.BlockID(id)); !errors.Is(err, dag.ErrNotFound) || n.Have(dag.BlockID(id)) {
		t.Errorf("block: %v", err)
	}
	for _, text := range []string{"", "a", "aaaaa", "zzzzzzzz", "1111111", "AAAAAAA", dag.BlockID(id).String()[7:] + "a", dag.BlockID(id).Short()} {
		if m, err := n.Find(text); err != nil || len(m.Blocks)+len(m.Revisions) > 0 {
			t.Errorf("find %q: %v, %v", text, m, err)
		}
	}
}

// badSegments: Check names a segment that lost, changed or gained an id.
func badSegments(t *testing.T, a *node) {
	t.Helper()
	k := keysOf(t, a.store, 'c')[1]
	v, err := a.store.Get(k)
	if err != nil {
		t.Fatal(err)
	}
	half := len(v) / dag.FindEntry / 2 * dag.FindEntry
	changed := append([]byte{}, v...)
	changed[half] ^= 1
	for name, bad := range map[string][]byte{
		"missing": nil, "cut": v[:half], "torn": v[:len(v)-1], "changed": changed, "more": append(append([]byte{}, v...), v[:dag.FindEntry]...),
		"tail": append(append([]byte{}, v...), 0),
	} {
		a.mem().Set(k, bad)
		faults := a.faults(t)
		if len(faults) == 0 {
			t.Errorf("%s: no fault", name)
		}
		for _, f := range faults {
			if f.Kind != "record" || f.Where[0] != 'c' {
				t.Errorf("%s: %v", name, f)
				break
			}
		}
	}
	a.mem().Set(k, v)
	a.check(t)
}

// TestFindOnce: an id is found once, whatever the moment: here, between the
// write of a segment and its taking over.
func TestFindOnce(t *testing.T) {
	a := foundNode(t, "a")
	r := a.put(t, "first", "x")
	hook := &hookStore{Store: a.store}
	a.store = hook
	if err := a.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	hook.after = func() {
		m, err := a.Find(r.Block.Short())
		if err != nil || len(m.Blocks) != 1 {
			t.Errorf("found %v, %v", m, err)
		}
	}
	_, err := a.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error {
		for i := range dag.FindEvery {
			if err := tx.Put(dag.Draft{Fork: dag.DefaultFork(), Key: fmt.Sprint(i), Kind: 1}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// hookStore calls after behind each write.
type hookStore struct {
	dag.Store
	after func()
}

func (h *hookStore) Write(b *dag.Batch, sync bool) error {
	err := h.Store.Write(b, sync)
	if h.after != nil {
		h.after()
	}
	return err
}
