package simulation

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"crush/dag"
)

// pull gets blocks from another node.
func pull(ctx context.Context, t *turn) error {
	n, ok := number(t.s.From, "n")
	if !ok || n >= len(t.nodes) || n == t.s.Node {
		return errNothing
	}
	return t.World.pull(ctx, t.n, t.nodes[n], t.s.Parts, t.s.Salt)
}

// wire changes both directions between the node and another one: cut, lossy,
// slow or good; deaf is a cut of what comes.
func wire(_ context.Context, t *turn) error {
	n, ok := number(t.s.From, "n")
	if !ok || n >= len(t.nodes) || n == t.s.Node || t.net == nil {
		return errNothing
	}
	there, back := Wire{}, Wire{}
	switch t.s.How {
	case "cut":
		there.Cut, back.Cut = true, true
	case "deaf":
		back.Cut = true
	case "lossy":
		there.Loss, there.Twice, there.Slow = 0.5, 0.2, 50
		back = there
	case "slow":
		there.Slow, back.Slow = 3000, 3000
	}
	t.net.wires[direction{t.s.Node, n}], t.net.wires[direction{n, t.s.Node}] = there, back
	return nil
}

// wait lets Parts seconds pass, in which the nodes sync.
func wait(ctx context.Context, t *turn) error {
	if t.net == nil {
		return errNothing
	}
	return t.net.run(ctx, int64(t.s.Parts)*1000)
}

// restart stops a node, by a power loss if How is crash, and starts it again.
func restart(ctx context.Context, t *turn) error {
	if err := t.World.restart(ctx, t.n, t.s.How == "crash"); err != nil {
		return err
	}
	return t.Compare(ctx, t.n)
}

// skew sets the clock of a node back or forth.
func skew(_ context.Context, t *turn) error {
	switch t.s.How {
	case "back":
		t.n.skew = -int64(3 * sameTick * tick)
	case "ahead":
		t.n.skew = int64(3 * sameTick * tick)
	case "1970":
		t.n.skew = -epoch
	default:
		t.n.skew = 0
	}
	return nil
}

// compare holds all that the node answers against the oracle.
func compare(ctx context.Context, t *turn) error { return t.Compare(ctx, t.n) }

// forged applies a block that breaks a rule of meaning, or at times keeps all:
// How says which. It stands on the past of block At, or on all that the node
// has. It must change nothing but what the rules let it.
func forged(ctx context.Context, t *turn) error {
	cut := t.n.has
	if t.s.At != "" {
		n, _ := number(t.s.At, "b")
		if t.World.made[n] == nil || t.World.made[n].block.IsZero() {
			return errNothing
		}
		cut = t.mirror.blocks[t.World.made[n].block].past
	}
	for b := range cut {
		if !t.n.has[b] {
			return errNothing
		}
	}
	fork, _, _, err := t.fork(t.s.Fork, false)
	if err != nil || fork.IsZero() {
		return errNothing
	}
	sum := sha256.Sum256(fmt.Append(nil, "forged ", t.seed, t.s.ID))
	nonce := dag.Salt(sum[:16])
	b := &dag.Block{
		Version: 1, Chain: dag.NewChainID(t.forger.ID(), nonce), Deps: t.mirror.tips(cut), Time: t.timeOf(t.n), Salt: nonce,
		Ops: []dag.Op{dag.NewOp(dag.ChainOp{Key: t.forger.ID(), Nonce: nonce})},
	}
	r, err := t.forgery(b, fork)
	if err != nil {
		return err
	}
	bundle, err := forge(t.forger, b, r, expand(t.s.Value))
	if err != nil {
		return err
	}
	made, err := t.mirror.learn(bundle)
	if err != nil {
		return err
	}
	if want := maps.Clone(cut); !made.stands(want) {
		return fmt.Errorf("forged a block of another past")
	}
	t.made.block = made.id
	if err := t.give(ctx, t.n, []*block{made}); err != nil {
		return err
	}
	t.made.revisions = made.Revisions
	return nil
}

// forgery is the revision of a forged block, nil if it is the operation that
// is wrong.
func (t *turn) forgery(b *dag.Block, fork dag.ForkID) (*dag.Revision, error) {
	value := expand(t.s.Value)
	r := &dag.Revision{
		Key: t.s.Key, Fork: fork, Kind: 1, Value: dag.SumOf(value), Size: int64(len(value)), Chain: b.Chain, Salt: b.Salt, Time: b.Time,
	}
	if t.s.Rev != "" {
		parent, err := t.revision(t.s.Rev)
		if err != nil {
			return nil, err
		}
		r.Parents = append(r.Parents, parent)
	}
	switch t.s.How {
	case "twice":
		r.Parents = append(r.Parents, r.Parents...)
	case "misplaced":
		r.Time++
	case "nowhere":
		r.Fork = dag.NamedFork("nowhere")
	case "merge":
		from := dag.NewContribution(fork, t.mirror.tips(t.n.has), nil)
		b.Ops = append(b.Ops, dag.NewOp(dag.MergeOp{Into: dag.DefaultFork(), From: from}))
		return nil, nil
	}
	return r, nil
}

// agree lets all nodes exchange everything, each in its own order; a new one
// may get all of it.
func (w *World) agree(ctx context.Context, late bool) error {
	hub := w.nodes[0]
	if late {
		if _, err := w.join(ctx, "late", true); err != nil {
			return err
		}
	}
	for i, n := range append(slices.Clone(w.nodes), w.nodes...) {
		if n == hub {
			continue
		}
		if err := w.pull(ctx, hub, n, 0, 100+i); err != nil {
			return err
		}
		if err := w.pull(ctx, n, hub, 0, 200+i); err != nil {
			return err
		}
	}
	all := w.everything()
	for _, n := range w.nodes {
		if !maps.Equal(n.has, all) {
			return fmt.Errorf("%s has %d blocks, all are %d", n.name, len(n.has), len(all))
		}
	}
	return nil
}
