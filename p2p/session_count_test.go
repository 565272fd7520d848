package p2p

import (
	"bytes"
	"flag"
	"fmt"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

var blocksFlag = flag.Int("blocks", 20_000, "blocks of the history in which some are missing")

// Equal nodes find out with two small messages, however much they hold.
func TestSessionEqualBytes(t *testing.T) {
	a, _ := history(newRand(3), 1000, 0, 0)
	x := run(t, a, a.clone(), Probe, -1)
	x.wantDone(t)
	if x.bytes > 130 || x.flights != 2 {
		t.Errorf("equal nodes exchanged %d bytes in %d flights", x.bytes, x.flights)
	}
	x = run(t, a, a.clone(), Open, -1)
	if tips := len(a.Frontier()); x.bytes > int64(130+35*tips) || x.flights != 2 {
		t.Errorf("equal nodes of %d tips exchanged %d bytes in %d flights", tips, x.bytes, x.flights)
	}
}

// What is missing comes in one round trip: HELLO and FRONTIER there, HELLO,
// FRONTIER and all blocks back. Two more flights carry what the other side
// lacks, and say that it is on disk.
func TestSessionMissingOfMany(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and a long history")
	}
	const perTip, perBlock, constant = 35, 8, 250
	r := newRand(4)
	a, _ := history(r, *blocksFlag, 0, 0)
	for _, missing := range []int{1, 10, 1000} {
		b := a.clone()
		size := 0
		for range missing {
			p := make([]byte, 200)
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			size += len(b.extend(dag.ChainID{9}, p))
		}
		behind := a.clone()
		x := run(t, behind, b, Open, -1)
		x.wantDone(t)
		wantEqual(t, behind, b)
		if o := x.opener.Outcome(); o.Received != missing || o.Applied != missing || o.Sent > 0 || x.opener.Outcome().Rounds != 1 || x.flights != 4 {
			t.Errorf("%d missing: %d flights, %+v", missing, x.flights, o)
		}
		tips := len(a.Frontier()) + len(b.Frontier())
		if bound := int64(perTip*tips + perBlock*missing + size + constant); x.bytes > bound {
			t.Errorf("%d blocks of %d bytes: %d bytes exchanged, bound %d", missing, size, x.bytes, bound)
		}
	}
}

// values puts random values of 200 bytes into a graph, some in each block,
// each a second revision of its key.
func values(t *testing.T, g *dag.Graph, revisions, each int) {
	t.Helper()
	r := newRand(uint64(revisions * each))
	for i := 0; i < revisions; i += each {
		commit(t, g, func(tx *dag.Tx) error {
			for j := range each {
				key := fmt.Sprintf("svc/%06d/replicas", (i+j)/2)
				e, err := tx.Entry(dag.DefaultFork(), key)
				if err != nil {
					return err
				}
				d := dag.Draft{Fork: dag.DefaultFork(), Key: key, Kind: 1, Payload: make([]byte, 200)}
				for k := range d.Payload {
					d.Payload[k] = byte(r.Uint32())
				}
				for _, h := range e.Heads {
					d.Parents = append(d.Parents, h.ID)
				}
				if err := tx.Put(d); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// What a revision costs on the wire beside its value, with the hashes that the
// receiver computes left out.
func TestGraphWireCost(t *testing.T) {
	for _, c := range []struct{ revisions, each, most int }{
		{256, 1, 24}, {512, 4, 10}, {2048, 16, 7}, {2048, 64, 6},
	} {
		graphs := found(t, 2)
		run(t, graphs[1], graphs[0], Open, -1).wantDone(t)
		values(t, graphs[0], c.revisions, c.each)
		x := run(t, graphs[1], graphs[0], Open, -1)
		x.wantDone(t)
		wantSame(t, graphs...)
		cost := (x.bytes - 500) / int64(c.revisions)
		if cost -= 200; cost > int64(c.most) {
			t.Errorf("%d revisions a block: %d bytes beside the value, at most %d", c.each, cost, c.most)
		}
		t.Logf("%d revisions, %d a block: %d bytes each beside the value", c.revisions, c.each, cost)
		if x.flights != 4 || x.bytes < 200*int64(c.revisions) {
			t.Errorf("%d bytes in %d flights", x.bytes, x.flights)
		}
	}
}

// A sync that is cut after any message goes on where it was: nothing that is
// applied is sent again, whichever side opens.
func TestGraphCutEverywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("one thing after another, and slow: not in short runs")
	}
	stores := []*dagtest.Mem{dagtest.NewMem(), dagtest.NewMem()}
	graphs := foundOn(t, stores[0], stores[1])
	run(t, graphs[1], graphs[0], Open, -1).wantDone(t)
	for i, g := range graphs {
		for j := range 40 {
			put(t, g, fmt.Sprint("k", j%3), bytes.Repeat([]byte{byte(i), byte(j)}, 15<<10))
		}
		put(t, g, "large", make([]byte, 1<<20))
	}
	for cut := 0; ; cut++ {
		a, b := openGraph(t, keyOf(1), stores[0].Reopen()), openGraph(t, keyOf(2), stores[1].Reopen())
		first := run(t, a, b, Open, cut)
		opener, answerer := a, b
		if cut%2 == 0 {
			opener, answerer = b, a
		}
		second := run(t, opener, answerer, Open, -1)
		second.wantDone(t)
		wantSame(t, a, b)
		for name, s := range map[string]*Session{"opener": second.opener, "answerer": second.answerer} {
			if o := s.Outcome(); o.Received != o.Applied {
				t.Errorf("the %s got %d blocks, %d of them new", name, o.Received, o.Applied)
			}
		}
		if t.Failed() {
			t.Fatalf("cut after %d messages", cut)
		}
		if first.complete {
			if cut < 15 {
				t.Fatalf("only %d messages: too few to cut", cut)
			}
			return
		}
	}
}
