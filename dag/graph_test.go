package dag_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"crush/dag"
	"crush/dag/dagtest"
)

// node is a graph on a store, with a clock of its own.
type node struct {
	*dag.Graph
	name  string
	store dag.Store
	key   dag.NodeKey
	clock atomic.Int64 // unix milliseconds; each reading moves it on
}

func (n *node) now() time.Time { return time.UnixMilli(n.clock.Add(1)) }

// epoch is where the clocks of nodes start.
const epoch = 1_700_000_000_000

func keyOf(name string) dag.NodeKey { return dag.NewNodeKey(dag.SumOf([]byte(name))) }

// newNode is a node that is not open.
func newNode(name string, s dag.Store) *node {
	n := &node{name: name, store: s, key: keyOf(name)}
	n.clock.Store(epoch)
	return n
}

// open opens the store, whose place is the node's name.
func (n *node) open(ctx context.Context) error {
	g, err := dag.Open(ctx, dag.Config{Store: n.store, Key: n.key, Now: n.now, Fingerprint: n.name})
	n.Graph = g
	return err
}

func openNode(t testing.TB, name string, s dag.Store) *node {
	t.Helper()
	n := newNode(name, s)
	if err := n.open(t.Context()); err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	return n
}

// mem is the node's store.
func (n *node) mem() *dagtest.Mem { return n.store.(*dagtest.Mem) }

// restart closes the node cleanly and opens it again.
func (n *node) restart(t testing.TB) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Fatalf("close %s: %v", n.name, err)
	}
	n.store = n.mem().Reopen()
	if err := n.open(t.Context()); err != nil {
		t.Fatalf("open %s again: %v", n.name, err)
	}
}

// crash stops the node without a word and opens it again.
func (n *node) crash(t testing.TB) {
	t.Helper()
	n.store = n.mem().Crash(0)
	if err := n.open(t.Context()); err != nil {
		t.Fatalf("open %s after a crash: %v", n.name, err)
	}
}

func foundNode(t testing.TB, name string) *node {
	t.Helper()
	n := openNode(t, name, dagtest.NewMem())
	if _, err := n.Found(t.Context(), dag.Member{Name: name}); err != nil {
		t.Fatalf("found: %v", err)
	}
	return n
}

// enlist makes another node a member, and gives it everything.
func (n *node) enlist(t testing.TB, name string, role dag.Role) *node {
	t.Helper()
	m := openNode(t, name, dagtest.NewMem())
	n.setRole(t, m.key.ID(), name, role)
	m.pull(t, n)
	return m
}

func (n *node) setRole(t testing.TB, id dag.NodeID, name string, role dag.Role) dag.Receipt {
	t.Helper()
	r, err := n.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error {
		return tx.Op(dag.NewOp(dag.MemberOp{Node: id, Role: role, Name: name}))
	})
	if err != nil {
		t.Fatalf("make %s %s: %v", name, role, err)
	}
	return r
}

// lacks is what the node lacks of another's blocks.
func (n *node) lacks(t testing.TB, from *node) (out []dag.Outgoing) {
	t.Helper()
	for o, err := range from.Missing(t.Context(), n.Frontier()) {
		if err != nil {
			t.Fatalf("missing: %v", err)
		}
		out = append(out, o)
	}
	return out
}

func bundles(out []dag.Outgoing) (bs []dag.Bundle) {
	for _, o := range out {
		bs = append(bs, o.Bundle)
	}
	return bs
}

// pull applies everything that the node lacks of another's blocks.
func (n *node) pull(t testing.TB, from *node) {
	t.Helper()
	var in dag.Inflow
	for c, err := range from.Chunks(t.Context(), dag.PinsOf(n.Frontier()), true) {
		if err == nil {
			_, err = n.Take(t.Context(), &in, c.Bytes())
		}
		if err != nil {
			t.Fatalf("%s takes what %s has: %v", n.name, from.name, err)
		}
	}
}

// check fails for every fault that Check finds.
func (n *node) check(t testing.TB) {
	t.Helper()
	for _, f := range n.faults(t) {
		t.Errorf("%s: %v", n.name, f)
	}
}

func (n *node) faults(t testing.TB) (out []dag.Fault) {
	t.Helper()
	err := n.Check(t.Context(), dagtest.NewMem(), nil, func(f dag.Fault) { out = append(out, f) })
	if err != nil {
		t.Fatalf("check %s: %v", n.name, err)
	}
	return out
}

// value is what the only head of a key holds; "" if there is none.
func (n *node) value(t testing.TB, key string) string {
	t.Helper()
	e, err := n.Entry(dag.DefaultFork(), key)
	if err != nil || len(e.Heads) > 1 {
		t.Fatalf("entry %q: %d heads, %v", key, len(e.Heads), err)
	}
	if len(e.Heads) == 0 {
		return ""
	}
	v, err := n.Payload(&e.Heads[0])
	if err != nil {
		t.Fatalf("payload of %q: %v", key, err)
	}
	return string(v)
}

// put writes a value over all heads.
func (n *node) put(t testing.TB, key, value string) dag.Receipt {
	t.Helper()
	r, err := n.Commit(t.Context(), dag.Note{Author: "test"}, func(tx *dag.Tx) error {
		return putTx(tx, key, []byte(value))
	})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return r
}

func putTx(tx *dag.Tx, key string, value []byte) error {
	e, err := tx.Entry(dag.DefaultFork(), key)
	if err != nil {
		return err
	}
	d := dag.Draft{Fork: dag.DefaultFork(), Key: key, Kind: 1, Payload: value, Deleted: value == nil}
	for _, h := range e.Heads {
		d.Parents = append(d.Parents, h.ID)
	}
	return tx.Put(d)
}

func TestPutGet(t *testing.T) {
	n := foundNode(t, "a")
	for i := range 5 {
		n.put(t, "k", fmt.Sprint("v", i))
	}
	e, err := n.Entry(dag.DefaultFork(), "k")
	if err != nil || len(e.Heads) != 1 || e.Count != 5 {
		t.Fatalf("entry %+v, %v", e, err)
	}
	v, err := n.Payload(&e.Heads[0])
	if err != nil || string(v) != "v4" {
		t.Fatalf("payload %q, %v", v, err)
	}
	i := 4
	for c, err := range n.History(t.Context(), dag.DefaultFork(), "k", dag.HistoryCursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		v, err := n.ChangePayload(&c)
		if err != nil || string(v) != fmt.Sprint("v", i) {
			t.Fatalf("history %d: %q %v", i, v, err)
		}
		i--
	}
}

// TestChains: a chain goes on only after a clean stop in the same place, and
// not once a peer has shown a block of this node's key that is not here.
func TestChains(t *testing.T) {
	chain := func(n *node) dag.ChainID {
		t.Helper()
		b, err := n.Block(n.put(t, "k", "v").Block)
		if err != nil {
			t.Fatal(err)
		}
		return b.Block.Chain
	}
	a := foundNode(t, "a")
	first := chain(a)
	if a.restart(t); chain(a) != first {
		t.Error("a clean stop started a new chain")
	}
	a.crash(t)
	second := chain(a)
	if second == first {
		t.Error("a crash continues the chain")
	}
	a.restart(t)
	a.crash(t) // the mark was consumed at the start, though nothing was written
	third := chain(a)
	if third == second || third == first {
		t.Error("the mark of a clean stop was used twice")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	moved := newNode("moved", a.mem().Reopen())
	moved.key = a.key
	if err := moved.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := chain(moved); c == third {
		t.Error("a store that was moved continues the chain")
	}
	clone := openNode(t, "a", a.mem().Reopen())
	twin := openNode(t, "a", a.mem().Reopen())
	if chain(clone) != third || chain(twin) != third {
		t.Fatal("a clone in the same place starts a new chain")
	}
	clone.pull(t, twin)
	if s := clone.Stats(); s.Fenced != 1 || s.Chains != 3 {
		t.Errorf("%+v", s)
	}
	if c := chain(clone); c == third {
		t.Error("a node that was shown a block of its own continues the chain")
	}
	twin.pull(t, clone)
	if e, err := twin.Entry(dag.DefaultFork(), "k"); err != nil || len(twin.Frontier()) != 5 || len(e.Heads) != 1 {
		t.Errorf("%d tips, %d heads, %v", len(twin.Frontier()), len(e.Heads), err)
	}
	clone.check(t)
	twin.check(t)
}

// TestFenceWaits: blocks that could not be applied fence nothing.
func TestFenceWaits(t *testing.T) {
	a := foundNode(t, "a")
	a.put(t, "k", "1")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	twin := openNode(t, "a", a.mem().Reopen())
	a = openNode(t, "a", a.mem().Reopen())
	twin.put(t, "k", "twin's")
	late := twin.put(t, "k", "twin's again")
	f := newForger(keyOf("stranger"), 1)
	_, bad := f.write(f.block(late.Block))
	if _, err := a.Apply(t.Context(), append(bundles(a.lacks(t, twin)), bad)); err == nil || a.Stats().Fenced > 0 {
		t.Errorf("%v, %+v", err, a.Stats())
	}
	a.pull(t, twin)
	if a.Stats().Fenced != 2 {
		t.Errorf("%+v", a.Stats())
	}
	if got := a.value(t, "k"); got != "twin's again" {
		t.Errorf("its own lost data reads %q", got)
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, clients := range []int{1, 64, 256} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			s, err := dag.OpenLevelDB(b.TempDir(), false)
			if err != nil {
				b.Fatal(err)
			}
			g, err := dag.Open(b.Context(), dag.Config{Store: s, Key: keyOf("b"), Now: time.Now})
			if err != nil {
				b.Fatal(err)
			}
			defer g.Close()
			if _, err := g.Found(b.Context(), dag.Member{Name: "b"}); err != nil {
				b.Fatal(err)
			}
			value := make([]byte, 256)
			var wg sync.WaitGroup
			b.ResetTimer()
			for c := range clients {
				wg.Go(func() {
					for i := c; i < b.N; i += clients {
						_, err := g.Commit(context.Background(), dag.Note{}, func(tx *dag.Tx) error {
							return putTx(tx, fmt.Sprintf("bench/%08d", i), value)
						})
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
		})
	}
}
