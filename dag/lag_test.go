package dag_test

import (
	"testing"
	"time"

	"crush/dag"
)

func wantLag(t *testing.T, n *node, their []dag.Tip, blocks uint64, since time.Time) {
	t.Helper()
	got, err := n.Lag(dag.PinsOf(their))
	if err != nil || got.Blocks != blocks || !got.Since.Equal(since) {
		t.Errorf("lag %d since %v, %v; want %d since %v", got.Blocks, got.Since, err, blocks, since)
	}
}

// arrived is when a block came to a node, by its clock.
func arrived(t *testing.T, n *node, id dag.BlockID) time.Time {
	t.Helper()
	b, err := n.Block(id)
	if err != nil {
		t.Fatal(err)
	}
	return time.UnixMilli(b.Time)
}

// TestLag counts what others lack, by tips of all kinds.
func TestLag(t *testing.T) {
	a := foundNode(t, "a")
	b := a.enlist(t, "b", dag.RoleWriter)
	b.pull(t, a)
	before := a.Frontier()
	wantLag(t, a, before, 0, time.Time{})
	if got := a.Newest(); len(got) != 1 || got[0] != before[0] {
		t.Errorf("newest of one chain: %v", got)
	}

	var own []dag.Receipt
	for range 5 {
		own = append(own, a.put(t, "k", "v"))
	}
	b.put(t, "k", "w") // a chain of its own: announced in the same block
	second := b.put(t, "k", "x")
	a.pull(t, b)
	first := arrived(t, a, own[0].Block)
	wantLag(t, a, before, 7, first)
	wantLag(t, a, b.Frontier(), 5, first)
	wantLag(t, a, append(b.Frontier(), dag.Tip{Chain: dag.ChainID{9}, Seq: 3, Block: dag.BlockID{9}}), 5, first)
	middle, ok, err := a.TipOf(own[2].Block)
	if !ok || err != nil || middle.Block != own[2].Block || middle.Seq != before[0].Seq+3 {
		t.Fatalf("tip of a block in the middle: %v, %v, %v", middle, ok, err)
	}
	wantLag(t, a, []dag.Tip{middle}, 4, arrived(t, a, own[3].Block))
	wantLag(t, a, append(b.Frontier(), middle), 2, arrived(t, a, own[3].Block))
	wantLag(t, a, nil, a.Stats().Blocks, arrived(t, a, dag.BlockID(a.Cluster())))

	if got := a.Newest(); len(got) != 2 {
		t.Errorf("newest of two concurrent chains: %v", got)
	}
	joined := a.put(t, "k", "joined")
	if got := a.Newest(); len(got) != 1 || got[0].Block != joined.Block {
		t.Errorf("newest after one block has seen both: %v", got)
	}
	wantLag(t, a, a.Newest(), 0, time.Time{})

	for _, tip := range []dag.Tip{middle, a.Newest()[0], b.Newest()[0]} {
		if !a.HaveTip(tip) || a.BlocksAt(tip.Chain, tip.Seq) != 1 {
			t.Errorf("%v is not here", tip)
		}
	}
	if n := a.BlocksAt(middle.Chain, a.Newest()[0].Seq+1); n != 0 {
		t.Errorf("%d blocks after the last", n)
	}
	for name, tip := range map[string]dag.Tip{
		"other seq":   {Chain: middle.Chain, Seq: middle.Seq + 1, Block: middle.Block},
		"other block": {Chain: middle.Chain, Seq: middle.Seq, Block: second.Block},
		"other chain": {Chain: b.Newest()[0].Chain, Seq: middle.Seq, Block: middle.Block},
		"to come":     {Chain: middle.Chain, Seq: 1000, Block: dag.BlockID{1}},
	} {
		if a.HaveTip(tip) {
			t.Errorf("%s is here", name)
		}
	}
	if _, ok, err := b.TipOf(joined.Block); ok || err != nil {
		t.Errorf("tip of a block that is not here: %v, %v", ok, err)
	}
}
