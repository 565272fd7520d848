package dag_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// from gives the blocks of a graph, and before each one that is another, one
// that is damaged, and one with a bad signature.
func from(t testing.TB, n *node, asked *int) dag.Fetch {
	return func(ctx context.Context, id dag.BlockID) iter.Seq[dag.Bundle] {
		return func(yield func(dag.Bundle) bool) {
			*asked++
			other, err := n.Bundle(dag.BlockID(n.Cluster()))
			if err != nil {
				t.Fatal(err)
			}
			good, err := n.Bundle(id)
			if err != nil {
				return
			}
			bad := bytes.Clone(good)
			bad[len(bad)/2] ^= 1
			unsigned := bytes.Clone(good)
			if h, err := dag.ReadHeader(good); err == nil && h.Signed {
				unsigned[bytes.Index(unsigned, h.Sig)] ^= 1
			}
			for _, b := range []dag.Bundle{other, bad, unsigned, good} {
				if !yield(b) {
					return
				}
			}
		}
	}
}

func (n *node) mend(t testing.TB, fetch dag.Fetch) (mended, left []dag.Mended) {
	t.Helper()
	err := n.Mend(t.Context(), fetch, nil, func(m dag.Mended) {
		if m.Err == nil {
			mended = append(mended, m)
		} else {
			left = append(left, m)
		}
	})
	if err != nil {
		t.Fatalf("mend %s: %v", n.name, err)
	}
	return mended, left
}

// mendable is a node, and a peer with the same blocks.
func mendable(t testing.TB) (a, peer *node) {
	t.Helper()
	a = everything(t)
	peer = openNode(t, "peer", dagtest.NewMem())
	peer.pull(t, a)
	return a, peer
}

// TestMend: whatever byte of a block or payload is damaged, a peer's copy makes
// the store what it was.
func TestMend(t *testing.T) {
	a, peer := mendable(t)
	asked, places := 0, 6
	if testing.Short() {
		places = 2
	}
	for _, k := range keysOf(t, a.store, 'b') {
		v, err := a.store.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		for i := range places {
			bad := bytes.Clone(v)
			bad[i*(len(v)-1)/(places-1)] ^= 1
			a.mem().Set(k, bad)
			mended, left := a.mend(t, from(t, peer, &asked))
			if len(mended) != 1 || len(left) != 0 || mended[0].Was == nil {
				t.Fatalf("%x: mended %v, left %v", k, mended, left)
			}
			a.check(t)
		}
	}
	before := asked
	if mended, left := a.mend(t, from(t, peer, &asked)); len(mended)+len(left) > 0 || asked != before {
		t.Errorf("of a good store: %v %v, asked %d times", mended, left, asked-before)
	}
	a.restart(t)
	a.check(t)
	same(t, peer, a)
}

// TestMendAll: every block but those that opening reads is damaged at once.
func TestMendAll(t *testing.T) {
	a := foundNode(t, "a")
	b := a.enlist(t, "b", dag.RoleWriter)
	for i := range 20 {
		a.put(t, "k", fmt.Sprint("a", i))
		b.put(t, "k", strings.Repeat(fmt.Sprint("b", i), dag.InlineMax))
		a.pull(t, b)
	}
	peer := openNode(t, "peer", dagtest.NewMem())
	peer.pull(t, a)
	keys := keysOf(t, a.store, 'b')
	for _, k := range keys {
		v, err := a.store.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(v)
		bad[len(bad)/2] ^= 4
		a.mem().Set(k, bad)
	}
	asked := 0
	mended, left := a.mend(t, from(t, peer, &asked))
	if len(left) > 0 || len(mended) != int(a.Stats().Blocks) {
		t.Errorf("%d mended, left %v", len(mended), left)
	}
	a.check(t)
	same(t, peer, a)
}

// TestMendNothing: without a good copy everything stays, and is named.
func TestMendNothing(t *testing.T) {
	a, peer := mendable(t)
	keys := keysOf(t, a.store, 'b')
	k := keys[slices.IndexFunc(keys, func(k []byte) bool { return len(k) == len(keys[0]) })+1]
	v, err := a.store.Get(k)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(v)
	bad[len(bad)-1] ^= 1
	a.mem().Set(k, bad)
	nobody := func(context.Context, dag.BlockID) iter.Seq[dag.Bundle] { return func(func(dag.Bundle) bool) {} }
	mended, left := a.mend(t, nobody)
	if len(mended) > 0 || len(left) != 1 || left[0].Block.IsZero() || !strings.Contains(left[0].Err.Error(), "no peer") {
		t.Errorf("mended %v, left %v", mended, left)
	}
	if now, err := a.store.Get(k); err != nil || !bytes.Equal(now, bad) {
		t.Errorf("the record was written: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	asked := 0
	if err := a.Mend(ctx, from(t, peer, &asked), nil, nil); err == nil || asked > 0 {
		t.Errorf("cancelled: %v, asked %d times", err, asked)
	}
	if mended, left := a.mend(t, from(t, peer, &asked)); len(mended) != 1 || len(left) > 0 {
		t.Errorf("mended %v, left %v", mended, left)
	}
}

// TestMendKeepsTheRest: of a block with one damaged payload nothing else is
// written anew, and a block that stands in the place of another goes.
func TestMendKeepsTheRest(t *testing.T) {
	a := foundNode(t, "a")
	long := strings.Repeat("long", dag.InlineMax)
	for i := range 3 {
		a.commit(t, func(tx *dag.Tx) error {
			for j := range 3 - i {
				if err := putTx(tx, fmt.Sprint("short", j), fmt.Append(nil, i)); err != nil {
					return err
				}
			}
			return putTx(tx, "long", []byte(long+fmt.Sprint(i)))
		})
	}
	peer := openNode(t, "peer", dagtest.NewMem())
	peer.pull(t, a)
	keys := keysOf(t, a.store, 'b')
	good := records(t, a.store)
	var blocks [][]byte
	asked := 0
	for _, k := range keys {
		if len(k) == len(keys[0]) {
			blocks = append(blocks, k)
			continue
		}
		a.mem().Set(k, []byte("damaged"))
		before := records(t, a.store)
		if mended, left := a.mend(t, from(t, peer, &asked)); len(mended) != 1 || len(left) > 0 {
			t.Errorf("%x: mended %v, left %v", k, mended, left)
		}
		for other, v := range records(t, a.store) {
			if other != string(k) && v != before[other] {
				t.Errorf("mending %x writes %x", k, other)
			}
		}
	}
	for i, k := range blocks[1:] {
		a.mem().Set(k, []byte(good[string(blocks[len(blocks)-1-i])]))
	}
	a.mem().Set(blocks[1], []byte(good[string(blocks[3])]))
	if mended, left := a.mend(t, from(t, peer, &asked)); len(mended) == 0 || len(left) > 0 {
		t.Errorf("mended %v, left %v", mended, left)
	}
	if now := keysOf(t, a.store, 'b'); len(now) != len(keys) {
		t.Errorf("%d records of blocks and payloads became %d", len(keys), len(now))
	}
	a.check(t)
	same(t, peer, a)
}
