package dag_test

import (
	"fmt"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// blockReads counts how often blocks are read.
type blockReads struct {
	dag.Store
	n int
}

func (b *blockReads) Get(key []byte) ([]byte, error) {
	if len(key) == 13 && key[0] == 'b' {
		b.n++
	}
	return b.Store.Get(key)
}

const blockKeys = 200

func blockKey(i int) string { return fmt.Sprintf("k%03d", i) }

// putAll writes every key in one block, with a prefix to its own name.
func (n *node) putAll(t testing.TB, fork dag.ForkID, value string) dag.Receipt {
	t.Helper()
	return n.commit(t, func(tx *dag.Tx) error {
		for i := range blockKeys {
			e, err := tx.Entry(fork, blockKey(i))
			if err != nil {
				return err
			}
			d := dag.Draft{Fork: fork, Key: blockKey(i), Parents: headIDs(e), Kind: 1, Payload: []byte(value + blockKey(i))}
			if err := tx.Put(d); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestKeysOfOneBlock: looking at each key of a large change, as it was and as a
// fork shows it, does not read its block for each.
func TestKeysOfOneBlock(t *testing.T) {
	store := &blockReads{Store: dagtest.NewMem()}
	a := openNode(t, "a", store)
	if _, err := a.Found(t.Context(), dag.Member{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	d := dag.DefaultFork()
	old := a.putAll(t, d, "old ")
	x := a.fork(t, "x", d)
	a.putAll(t, d, "new ")
	a.putAll(t, x, "of x ")
	a.merge(t, d, x, nil) // each key has two heads now, of two blocks
	cut, err := a.CutOf(old.Block)
	if err != nil {
		t.Fatal(err)
	}
	store.n = 0
	for i := range blockKeys {
		key := blockKey(i)
		was, err := a.EntryAt(d, key, cut)
		if err != nil || len(was.Heads) != 1 {
			t.Fatalf("%s: %d heads, %v", key, len(was.Heads), err)
		}
		if v, err := a.Payload(&was.Heads[0]); string(v) != "old "+key || err != nil {
			t.Fatalf("%s: %q, %v", key, v, err)
		}
		is, err := a.Entry(d, key)
		if err != nil || len(is.Heads) != 2 {
			t.Fatalf("%s: %d heads, %v", key, len(is.Heads), err)
		}
		for i := range is.Heads {
			if c, err := a.HeadChange(&is.Heads[i]); err != nil || c.ID != is.Heads[i].ID {
				t.Fatalf("%s: %v", key, err)
			}
		}
	}
	if store.n > 10 {
		t.Errorf("%d reads of blocks for %d keys", store.n, blockKeys)
	}
	store.n = 0
	a.putAll(t, d, "settled ")
	if store.n > 10 {
		t.Errorf("%d reads of blocks to write %d keys", store.n, blockKeys)
	}
}
