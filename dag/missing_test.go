package dag_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// chunks are what a node lacks of another's history.
func chunks(t *testing.T, from *node, known []dag.Pin) (out []dag.Chunk) {
	t.Helper()
	for c, err := range from.Chunks(t.Context(), known, true) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

// TestChunksDoNotGrow: a node that passes on what it took in chunks sends
// chunks of the same size, although only their last blocks are signed there;
// also when chains alternate and the next node has some of it.
func TestChunksDoNotGrow(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and 140 long blocks")
	}
	a := foundNode(t, "a")
	const value = 20 << 10
	names := []string{"b", "c", "d", "e", "f"}
	for _, name := range names {
		a.setRole(t, keyOf(name).ID(), name, dag.RoleWriter)
	}
	second := newNode("b", dagtest.NewMem())
	if err := second.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Each takes nine blocks of the other at a time: two thirds of a chunk, of
	// which only the last is signed there.
	for i := range 140 {
		n, other := a, second
		if i/9%2 == 1 {
			n, other = second, a
		}
		if i%9 == 0 {
			n.pull(t, other)
		}
		n.put(t, fmt.Sprint("k", i%7), string(bytes.Repeat([]byte{byte('a' + i%26)}, value+i)))
	}
	a.pull(t, second)
	from := a
	for i, name := range names[1:] {
		to := openNode(t, name, dagtest.NewMem())
		if i%2 == 1 { // it has a part already
			var in dag.Inflow
			for _, c := range chunks(t, a, nil)[:2] {
				if _, err := to.Take(t.Context(), &in, c.Bytes()); err != nil {
					t.Fatal(err)
				}
			}
		}
		var in dag.Inflow
		blocks := 0
		got := chunks(t, from, dag.PinsOf(to.Frontier()))
		for _, c := range got {
			done, err := to.Take(t.Context(), &in, c.Bytes())
			if err != nil || done.Unvouched > 0 || done.Known > 0 || len(done.Blocks) != c.Blocks {
				t.Fatalf("%s takes %+v, %v", name, done, err)
			}
			if n := len(c.Bytes()); n > 256<<10 {
				t.Errorf("%s gets a chunk of %d bytes", name, n)
			}
			blocks += c.Blocks
		}
		if to.Digest() != a.Digest() || len(got) > blocks/8 {
			t.Errorf("%s: %d blocks in %d chunks", name, blocks, len(got))
		}
		to.check(t)
		from = to
	}
}

// TestChunksDamage: what stands before damage is still sent.
func TestChunksDamage(t *testing.T) {
	a := foundNode(t, "a")
	for i := range 20 {
		a.put(t, "k", fmt.Sprint(i))
	}
	k := keysOf(t, a.store, 'b')[12]
	v, err := a.store.Get(k)
	if err != nil {
		t.Fatal(err)
	}
	v[len(v)/2] ^= 1
	a.mem().Set(k, v)
	b, blocks := openNode(t, "b", dagtest.NewMem()), 0
	var in dag.Inflow
	for c, err := range a.Chunks(t.Context(), nil, true) {
		if err != nil {
			if !errors.Is(err, dag.ErrCorrupt) {
				t.Error(err)
			}
			break
		}
		if _, err := b.Take(t.Context(), &in, c.Bytes()); err != nil {
			t.Fatal(err)
		}
		blocks += c.Blocks
	}
	if blocks == 0 || blocks > 12 {
		t.Errorf("%d blocks before the damage", blocks)
	}
}

// cloned are nodes that run from copies of one store, with one key.
func cloned(t *testing.T, n *node, copies int) (out []*node) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	for range copies {
		c := newNode(n.name, n.mem().Reopen())
		if err := c.open(t.Context()); err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

// TestLocator: two continuations of a chain find what is common to within as
// many blocks as lie behind it.
func TestLocator(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 9))
		a := foundNode(t, "a")
		for i := range r.IntN(200) {
			a.put(t, "k", fmt.Sprint(i))
		}
		both := cloned(t, a, 2)
		for _, n := range both {
			n.clock.Add(int64(r.IntN(5000)) + 1)
			for i := range 1 + r.IntN(60) {
				n.put(t, "k", fmt.Sprint(i))
			}
		}
		x, y := both[0], both[1]
		chain := x.Frontier()[0].Pin().Chain
		pins, err := x.Locator(chain)
		if err != nil || !slices.IsSortedFunc(pins, dag.Pin.Compare) || len(pins) > 20 {
			t.Fatalf("seed %d: %v, %v", seed, pins, err)
		}
		known, err := x.Known(pins)
		if err != nil || slices.Contains(known, false) {
			t.Fatalf("seed %d: own pins are not known: %v, %v", seed, known, err)
		}
		commonAt(t, y, pins, a.Stats().Blocks-1)
		for i, p := range pins {
			for _, bad := range []dag.Pin{
				{Chain: p.Chain, Seq: p.Seq + 1, Block: p.Block}, {Chain: dag.ChainStart{1}, Seq: p.Seq, Block: p.Block}, {Chain: p.Chain, Seq: p.Seq, Block: dag.BlockStart{byte(i)}},
			} {
				if known, err := x.Known([]dag.Pin{bad}); err != nil || known[0] {
					t.Errorf("%v is known, %v", bad, err)
				}
			}
		}
		// With both continuations on one node, both are told.
		x.pull(t, y)
		if pins, err = x.Locator(chain); err != nil {
			t.Fatal(err)
		}
		for _, tip := range x.Frontier() {
			if !slices.Contains(pins, tip.Pin()) {
				t.Errorf("the tip %s is not told", tip)
			}
		}
		commonAt(t, y, pins, y.Stats().Blocks-1)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// commonAt tests what a node makes of another's pins: it knows exactly those up
// to the last common seq, and one is no further from it than the tip is, or
// is a tip of its own.
func commonAt(t *testing.T, n *node, pins []dag.Pin, common uint64) {
	t.Helper()
	known, err := n.Known(pins)
	if err != nil {
		t.Fatal(err)
	}
	var best, tip uint64
	for i, p := range pins {
		if tip = max(tip, p.Seq); known[i] {
			best = max(best, p.Seq)
		}
		if known[i] && p.Seq > common {
			t.Errorf("pin at %d is known, common up to %d", p.Seq, common)
		}
	}
	if best < common && common-best > tip-common {
		t.Errorf("common up to %d, found %d, the tip is %d", common, best, tip)
	}
}

// TestTakeBesideWrites: what a flow remembers of keys follows what this node
// writes, what comes by other ways, forks, deletes and concurrent writes: the
// records are those that a rebuild makes.
func TestTakeBesideWrites(t *testing.T) {
	seeds := uint64(15)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 3))
		a := foundNode(t, "a")
		b, c := a.enlist(t, "b", dag.RoleWriter), a.enlist(t, "c", dag.RoleWriter)
		x := a.fork(t, "x", dag.DefaultFork())
		b.pull(t, a)
		c.pull(t, a)
		nodes := []*node{a, b, c}
		a.put(t, "k", "first")
		var held dag.Inflow // keeps what flows remember
		for _, c := range chunks(t, a, dag.PinsOf(b.Frontier())) {
			if _, err := b.Take(t.Context(), &held, c.Bytes()); err != nil {
				t.Fatal(err)
			}
		}
		for range 120 {
			n := nodes[r.IntN(3)]
			fork := []dag.ForkID{dag.DefaultFork(), dag.DefaultFork(), x}[r.IntN(3)]
			switch key := fmt.Sprint("k", r.IntN(4)); r.IntN(9) {
			case 0:
				n.commit(t, func(tx *dag.Tx) error {
					e, err := tx.Entry(fork, key)
					if err != nil || len(e.Heads) == 0 {
						return err
					}
					return tx.Put(dag.Draft{Fork: fork, Key: key, Kind: 1, Parents: headIDs(e), Deleted: true})
				})
			case 1:
				if _, err := n.Apply(t.Context(), bundles(n.lacks(t, nodes[r.IntN(3)]))); err != nil {
					t.Fatal(err)
				}
			case 2, 3, 4:
				b.pull(t, nodes[2*r.IntN(2)])
			default:
				n.set(t, fork, key, fmt.Sprint(r.IntN(1000)))
			}
		}
		for _, n := range nodes {
			n.check(t)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		runtime.KeepAlive(&held)
	}
}
