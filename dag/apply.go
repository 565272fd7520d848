package dag

import (
	"context"
	"errors"
	"fmt"
)

// Found makes the genesis block of a new cluster, with this node as its only
// member and admin. The graph must be empty.
func (g *Graph) Found(ctx context.Context, self Member) (Receipt, error) {
	if err := ctx.Err(); err != nil {
		return Receipt{}, err
	}
	g.writeMu.Lock()
	defer g.writeMu.Unlock()
	if g.failed != nil {
		return Receipt{}, g.failed
	}
	if g.moment.Load().state.lsn > 0 {
		return Receipt{}, errors.New("found a cluster: this node has a history already")
	}
	now := g.clock().UnixMilli()
	w := g.newWorkspace(now)
	b, err := g.newBuilding(w, 0, now)
	if err != nil {
		return Receipt{}, err
	}
	self.Node, self.Role = g.key.ID(), RoleAdmin
	founder := MemberOp(self)
	if why := founder.fault(); why != "" {
		return Receipt{}, fmt.Errorf("found a cluster: %s", why)
	}
	b.p.block.Ops = append(b.p.block.Ops, NewOp(GenesisOp{Name: self.Name}), NewOp(founder))
	line, err := b.finish(g)
	if err != nil {
		return Receipt{}, err
	}
	if err := g.write(w); err != nil {
		return Receipt{}, err
	}
	g.mine = line
	return Receipt{Block: b.p.id, Bundle: b.bundle()}, nil
}

// Applied says what an Apply added.
type Applied struct {
	Blocks    []BlockID // newly applied, in order
	Revisions int
	Unvouched int // blocks at the end that no signature vouches for: left out
}

// Apply adds blocks of other nodes, in causal order, as one synced batch.
// Blocks that are here already are skipped. All or nothing is applied: a
// *MissingError names blocks that must come first; an error that wraps
// ErrRefused says that the bytes are bad, which is the sender's fault. A block
// that neither its own signature nor a later block of the call vouches for is
// left out, and so is what follows on it.
func (g *Graph) Apply(ctx context.Context, bundles []Bundle) (Applied, error) {
	parcels := make([]*parcel, len(bundles))
	for i, b := range bundles {
		if err := ctx.Err(); err != nil {
			return Applied{}, err
		}
		var err error
		if parcels[i], err = decodeBundle(b); err != nil {
			return Applied{}, err
		}
	}
	g.writeMu.Lock()
	defer g.writeMu.Unlock()
	if g.failed != nil {
		return Applied{}, g.failed
	}
	w := g.newWorkspace(g.clock().UnixMilli())
	if w.state.lsn == 0 {
		w.cluster = g.cluster
	}
	fresh, unvouched, err := g.vouch(w, parcels)
	if err != nil {
		return Applied{}, err
	}
	out := Applied{Unvouched: unvouched}
	for _, p := range fresh {
		if err := w.apply(p); err != nil {
			return Applied{}, err
		}
		out.Blocks = append(out.Blocks, p.id)
		out.Revisions += len(p.revs)
	}
	if len(w.applied) == 0 {
		return out, nil
	}
	g.fence(w)
	if err := g.write(w); err != nil {
		return Applied{}, err
	}
	return out, nil
}

// fence notices blocks that this node's key signed and that came from
// elsewhere: the node was restored or cloned, so its next block starts a new
// chain.
func (g *Graph) fence(w *workspace) {
	for _, a := range w.applied {
		l := w.front.lines[a.past.line]
		if l.node != g.key.ID() {
			continue
		}
		g.fenced++
		if m, err := w.front.line(g.mine); err == nil && m.chain == l.chain {
			g.mine = 0
		}
	}
}
