package simulation

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"crush/crdt/oracle"
	"crush/daemon"
	"crush/dag"
	"crush/dag/dagtest"
	"crush/rpc"
)

// World is some nodes of one cluster, a clock that they read, and a mirror of
// all that they wrote. Equal seeds and steps make equal worlds, to the last
// bit. A World is not safe for concurrent use.
type World struct {
	seed   uint64
	step   int // the one under way
	nodes  []*Node
	mirror *Mirror
	forger dag.NodeKey
	made   map[int]*made
	tags   map[string]tagged
	did    map[string]int
	net    *Network // nil: blocks go from node to node by pull
	// documents: keys hold json, counters and sets, not bytes.
	documents bool
	failed    error // of a callback that cannot return it
}

// Node is a replica on a store in memory, with what the world knows of it.
type Node struct {
	*daemon.Replica
	name    string
	key     dag.NodeKey
	store   *dagtest.Mem
	skew    int64               // its clock minus the world's, in milliseconds
	has     oracle.Cut          // the blocks that it has applied
	arrived map[dag.BlockID]int // as the how manieth
	when    map[dag.BlockID]int64
}

// made is what a step left to name.
type made struct {
	fork      dag.ForkID
	block     dag.BlockID
	revisions []dag.RevisionID
	token     rpc.Token
	of        place // of the token
	heads     *sight
	plan      *foresight
}

// tagged is the cut of a tag, and the block that set it.
type tagged struct {
	cut oracle.Cut
	by  oracle.Block
}

// epoch is the time of the first step, tick what it takes. Some steps happen
// at once, so that times alone do not tell them apart.
const (
	epoch    = 1_700_000_000_000
	tick     = 1000
	sameTick = 4
)

// partSize lets an atomic change of three files fill two blocks.
const partSize = 1200

// NewWorld founds a cluster of some nodes, all of which may write, and which
// know of each other.
func NewWorld(ctx context.Context, seed uint64, nodes int) (*World, error) {
	w := &World{seed: seed, mirror: newMirror(), made: map[int]*made{}, tags: map[string]tagged{}, did: map[string]int{}, forger: keyOf("forger")}
	for i := range nodes {
		if _, err := w.join(ctx, "n"+strconv.Itoa(i), i > 0); err != nil {
			return nil, err
		}
	}
	founder := w.nodes[0]
	_, err := founder.Graph().Commit(ctx, dag.Note{}, func(tx *dag.Tx) error {
		err := tx.Op(dag.NewOp(dag.MemberOp{Node: w.forger.ID(), Role: dag.RoleWriter, Name: "forger"}))
		for _, n := range w.nodes[1:] {
			err = errors.Join(err, tx.Op(dag.NewOp(dag.MemberOp{Node: n.key.ID(), Role: dag.RoleWriter, Name: n.name})))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for out, err := range founder.Graph().Missing(ctx, nil) {
		if err != nil {
			return nil, err
		}
		if err := w.wrote(founder, out.Bundle); err != nil {
			return nil, err
		}
	}
	for _, n := range w.nodes[1:] {
		if err := w.pull(ctx, n, founder, 0, 0); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Close closes every node.
func (w *World) Close() error {
	var err error
	for _, n := range w.nodes {
		err = errors.Join(err, n.Close())
	}
	return err
}

func keyOf(name string) dag.NodeKey {
	return dag.NewNodeKey(sha256.Sum256([]byte("simulated " + name)))
}

// join adds a node. It has nothing yet, unless it founds the cluster.
func (w *World) join(ctx context.Context, name string, unfounded bool) (*Node, error) {
	n := &Node{
		name: name, key: keyOf(name), store: dagtest.NewMem(), has: oracle.Cut{}, arrived: map[dag.BlockID]int{}, when: map[dag.BlockID]int64{},
	}
	w.nodes = append(w.nodes, n)
	return n, w.open(ctx, n, unfounded)
}

// open opens a node's replica on its store.
func (w *World) open(ctx context.Context, n *Node, unfounded bool) (err error) {
	n.Replica, err = daemon.OpenReplica(ctx, daemon.ReplicaConfig{
		Store: n.store, Key: n.key, Name: n.name, Fingerprint: n.name, Unfounded: unfounded, PartSize: partSize,
		Now:  func() time.Time { return time.UnixMilli(w.timeOf(n)) },
		Rand: &salts{w: w, name: n.name},
		Announce: func(b dag.Bundle) {
			if err := w.wrote(n, b); err != nil {
				w.failed = errors.Join(w.failed, err)
			}
			if w.net != nil {
				w.net.gossip(slices.Index(w.nodes, n), b)
			}
		},
	})
	return err
}

// now is the world's time.
func (w *World) now() int64 { return stepTime(w.step) }

func stepTime(step int) int64 { return epoch + int64(step/sameTick)*tick }

func (w *World) timeOf(n *Node) int64 { return max(w.now()+n.skew, 0) }

// salts is the randomness of a node: other bytes at each step, which do not
// depend on the steps before.
type salts struct {
	w    *World
	name string
	step int
	from *rand.ChaCha8
}

// Read never fails.
func (s *salts) Read(p []byte) (int, error) {
	if s.from == nil || s.step != s.w.step {
		s.step = s.w.step
		s.from = rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%d %d %s", s.w.seed, s.step, s.name)))
	}
	return s.from.Read(p)
}

// dice are for choices that belong to a step and are not written in it.
func (w *World) dice(what uint64) *rand.Rand {
	return rand.New(rand.NewPCG(w.seed, uint64(w.step)<<8|what))
}

// wrote tells the mirror of a block, and the world that a node has it.
func (w *World) wrote(n *Node, bundle dag.Bundle) error {
	b, err := w.mirror.learn(bundle)
	if err != nil {
		return err
	}
	if !b.stands(n.has) {
		return fmt.Errorf("block %s of %s: its past is not what %s had", b.id.Short(), n.name, n.name)
	}
	n.got(b.id, w.timeOf(n))
	return nil
}

// stands reports whether the block's past, without it, is exactly a cut.
func (b *block) stands(on oracle.Cut) bool {
	past := maps.Clone(b.past)
	delete(past, oracle.Block(b.id))
	return maps.Equal(past, on)
}

func (n *Node) got(id dag.BlockID, now int64) {
	n.has[oracle.Block(id)], n.arrived[id], n.when[id] = true, len(n.arrived), now
}

// pull gives one node what another has and it lacks, in an order of causality
// that salt chooses, in chunks; all of it, or a part.
func (w *World) pull(ctx context.Context, to, from *Node, parts, salt int) error {
	r := w.dice(uint64(salt))
	out := w.order(r, to, from)
	if parts > 0 {
		out = out[:min(parts, len(out))]
	}
	for len(out) > 0 {
		n := 1 + r.IntN(len(out))
		if err := w.give(ctx, to, out[:n]); err != nil {
			return fmt.Errorf("pull from %s: %w", from.name, err)
		}
		out = out[n:]
	}
	return nil
}

// give applies blocks on a node.
func (w *World) give(ctx context.Context, to *Node, blocks []*block) error {
	var bundles []dag.Bundle
	for _, b := range blocks {
		bundles = append(bundles, b.bundle)
	}
	done, err := to.Graph().Apply(ctx, bundles)
	if err != nil {
		return err
	}
	if len(done.Blocks) != len(blocks) {
		return fmt.Errorf("%d of %d blocks were applied", len(done.Blocks), len(blocks))
	}
	for _, id := range done.Blocks {
		to.got(id, w.timeOf(to))
	}
	return nil
}

// order lists the blocks that one node lacks and another has: those that may
// come next are drawn again and again.
func (w *World) order(r *rand.Rand, to, from *Node) (out []*block) {
	var left []dag.BlockID
	for b := range from.has {
		if !to.has[b] {
			left = append(left, dag.BlockID(b))
		}
	}
	slices.SortFunc(left, func(a, b dag.BlockID) int { return slices.Compare(a[:], b[:]) })
	have := maps.Clone(to.has)
	for len(left) > 0 {
		i := r.IntN(len(left))
		for {
			b := w.mirror.blocks[left[i]]
			if !slices.ContainsFunc(b.before(), func(id dag.BlockID) bool { return !have[oracle.Block(id)] }) {
				have[oracle.Block(b.id)] = true
				out = append(out, b)
				break
			}
			i = (i + 1) % len(left)
		}
		left = slices.Delete(left, i, i+1)
	}
	return out
}

// restart stops a node, cleanly or by a power loss, and opens it again.
func (w *World) restart(ctx context.Context, n *Node, crash bool) error {
	if w.net != nil {
		w.net.drop(slices.Index(w.nodes, n))
	}
	if crash {
		n.store = n.store.Crash(0)
	} else {
		if err := n.Close(); err != nil {
			return err
		}
		n.store = n.store.Reopen()
	}
	return w.open(ctx, n, true)
}

// cutAt is what a node had, or claims to be written, by a time: the blocks of
// which all that comes before was there by then, too.
func (w *World) cutAt(n *Node, until int64) oracle.Cut {
	cut := oracle.Cut{}
	for b := range n.has {
		late := false
		for p := range w.mirror.blocks[dag.BlockID(b)].past {
			id := dag.BlockID(p)
			late = late || min(w.mirror.blocks[id].Time, n.when[id]) > until
		}
		if !late {
			cut[b] = true
		}
	}
	return cut
}

// Do does a step and checks that it did what was asked, and nothing else.
func (w *World) Do(ctx context.Context, s Step) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err = errors.Join(err, w.failed); err != nil {
			err = fmt.Errorf("step %s: %w", s, err)
		}
	}()
	w.step = s.ID
	if s.Node >= len(w.nodes) || !s.has(deeds[s.Do].needs) {
		return nil
	}
	if w.net != nil {
		if err := w.net.run(ctx, betweenSteps); err != nil {
			return err
		}
	}
	t := &turn{World: w, n: w.nodes[s.Node], s: &s, made: &made{}}
	w.made[s.ID] = t.made
	t.before = t.sights()
	err = deeds[s.Do].do(ctx, t)
	if errors.Is(err, errNothing) {
		w.did[s.Do+", nothing to do"]++
		return nil
	}
	if err != nil {
		return err
	}
	w.did[s.Do+t.how()]++
	return t.glance(ctx)
}

// errNothing says that a step names what is not there.
var errNothing = errors.New("nothing to do")
