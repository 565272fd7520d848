package p2p

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// replica is a graph that counts its blocks.
type replica struct {
	*dag.Graph
	key    dag.NodeKey
	store  *dagtest.Mem
	blocks map[dag.BlockID]bool
}

// Take keeps the account of the blocks.
func (r *replica) Take(ctx context.Context, in *dag.Inflow, chunk []byte) (dag.Applied, error) {
	done, err := r.Graph.Take(ctx, in, chunk)
	for _, id := range done.Blocks {
		r.blocks[id] = true
	}
	return done, err
}

// lacks counts the blocks of another that are not here.
func (r *replica) lacks(other *replica) (n int) {
	for id := range other.blocks {
		if !r.blocks[id] {
			n++
		}
	}
	return n
}

// on is a replica like this one on a store.
func (r *replica) on(t *testing.T, s *dagtest.Mem) *replica {
	t.Helper()
	return &replica{openGraph(t, r.key, s), r.key, s, maps.Clone(r.blocks)}
}

// copied is a replica on a copy of the store, as it stands.
func (r *replica) copied(t *testing.T) *replica {
	t.Helper()
	var all dag.Batch
	if err := r.store.Iterate(dag.Range{}, func(k, v []byte) bool { all.Put(k, v); return true }); err != nil {
		t.Fatal(err)
	}
	s := dagtest.NewMem()
	if err := s.Write(&all, true); err != nil {
		t.Fatal(err)
	}
	return r.on(t, s)
}

// stopped returns two replicas on copies that were made after a clean stop:
// both go on with one chain.
func (r *replica) stopped(t *testing.T) (one, two *replica) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return r.on(t, r.store.Reopen()), r.on(t, r.store.Reopen())
}

func (r *replica) write(t *testing.T, rnd *rand.Rand) {
	t.Helper()
	b := put(t, r.Graph, fmt.Sprint("k", rnd.IntN(5)), make([]byte, rnd.IntN(2000)))
	h, err := dag.ReadHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	r.blocks[h.ID] = true
}

// meet runs one whole session. Each side gets what it lacks, and of divergent
// chains no more beside that than both sides have on their own.
func meet(t *testing.T, a, b *replica, part Part) (rounds int) {
	t.Helper()
	lackA, lackB := a.lacks(b), b.lacks(a)
	x := run(t, a, b, part, -1)
	x.wantDone(t)
	wantSame(t, a.Graph, b.Graph)
	if n := a.lacks(b) + b.lacks(a); n > 0 {
		t.Errorf("%d blocks are on one side alone", n)
	}
	rounds = x.opener.Outcome().Rounds
	for _, side := range []struct {
		o    Outcome
		lack int
	}{{x.opener.Outcome(), lackA}, {x.answerer.Outcome(), lackB}} {
		most := side.lack
		if rounds > 1 || part == Probe {
			most = lackA + lackB
		}
		if side.o.Applied != side.lack || side.o.Received > most {
			t.Errorf("%d blocks came, %d new; %d and %d were lacking, %d rounds", side.o.Received, side.o.Applied, lackA, lackB, rounds)
		}
	}
	return rounds
}

// Nodes that run from copies, from old backups, and twice at once from one
// disk, over which nothing is known before they meet: all converge, each pair
// in one session, and what is sent is bounded by what the two differ in.
func TestClonesConverge(t *testing.T) {
	long, seeds := 0, uint64(25)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		r := newRand(seed)
		nodes := replicas(t)
		for step := range 60 {
			i, j := r.IntN(len(nodes)), r.IntN(len(nodes))
			n := nodes[i]
			switch {
			case n.Cluster().IsZero():
				if j = 0; i != 0 {
					meet(t, n, nodes[0], Open)
				}
			case step%13 == 12 && len(nodes) < 6: // a copy of a stopped node: both go on with one chain
				one, two := n.stopped(t)
				nodes[i] = one
				nodes = append(nodes, two)
			case step%17 == 16: // an old copy comes back, and then the node does not know it
				nodes = append(nodes, n.copied(t))
			case i != j && r.IntN(4) == 0 && !nodes[j].Cluster().IsZero():
				if r.IntN(2) == 0 {
					run(t, n, nodes[j], Open, r.IntN(9)) // cut
				} else if meet(t, n, nodes[j], []Part{Open, Probe}[r.IntN(2)]) > 1 {
					long++
				}
			default:
				for range 1 + r.IntN(1+step/6) {
					n.write(t, r)
				}
			}
			if t.Failed() {
				t.Fatalf("seed %d, step %d", seed, step)
			}
		}
		for range 2 {
			for i := range nodes {
				if meet(t, nodes[i], nodes[(i+1)%len(nodes)], Open) > 1 {
					long++
				}
			}
		}
		for _, n := range nodes {
			wantSame(t, nodes[0].Graph, n.Graph)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if long == 0 {
		t.Error("no session met a divergence: this tries nothing")
	}
}

// replicas are the three nodes of a new cluster, of which two have nothing yet.
func replicas(t *testing.T) (nodes []*replica) {
	t.Helper()
	stores := []*dagtest.Mem{dagtest.NewMem(), dagtest.NewMem(), dagtest.NewMem()}
	for i, g := range foundOn(t, stores[0], stores[1], stores[2]) {
		nodes = append(nodes, &replica{g, keyOf(byte(i + 1)), stores[i], map[dag.BlockID]bool{}})
	}
	nodes[0].blocks = allBlocks(t, nodes[0].copied(t))
	return nodes
}

// allBlocks are the blocks of a replica.
func allBlocks(t *testing.T, r *replica) map[dag.BlockID]bool {
	t.Helper()
	to := &replica{openGraph(t, keyOf(99), dagtest.NewMem()), keyOf(99), nil, map[dag.BlockID]bool{}}
	run(t, to, r, Open, -1).wantDone(t)
	return to.blocks
}
