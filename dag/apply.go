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
	b.p.block.Ops = append(b.p.block.Ops, NewOp(GenesisOp{Name: self.Name}), NewOp(MemberOp(self)))
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
	fresh, out, err := g.vouch(w, parcels)
	if err != nil {
		return Applied{}, err
	}
	for _, p := range fresh {
		if err := w.apply(p); err != nil {
			return Applied{}, err
		}
		g.fence(w, p)
		out.Blocks = append(out.Blocks, p.id)
		out.Revisions += len(p.revs)
	}
	if len(w.applied) == 0 {
		return out, nil
	}
	if err := g.write(w); err != nil {
		return Applied{}, err
	}
	return out, nil
}

// fence notices a block that this node's key signed and that came from
// elsewhere: the node was restored or cloned, so its next block starts a new
// chain.
func (g *Graph) fence(w *workspace, p *parcel) {
	l := w.front.lines[w.placed[p.id].line]
	if l.node != g.key.ID() {
		return
	}
	g.fenced++
	if m, err := w.front.line(g.mine); err == nil && m.chain == l.chain {
		g.mine = 0
	}
}

// vouch drops what is here already and what no signature vouches for, and
// checks the signatures that the rest depends on: the last of each run of a
// chain. Signatures that were not needed are dropped, because nobody has
// checked them.
func (g *Graph) vouch(w *workspace, parcels []*parcel) (fresh []*parcel, out Applied, err error) {
	authors := map[ChainID]NodeID{}
	for _, p := range parcels {
		if op, ok := p.block.announces(); ok {
			authors[p.block.Chain] = op.Key
		} else if ls := w.front.chains[p.block.Chain]; len(ls) > 0 {
			authors[p.block.Chain] = ls[0].node
		}
	}
	vouched := map[BlockID]bool{}
	for i := len(parcels) - 1; i >= 0; i-- {
		p := parcels[i]
		if vouched[p.id] {
			p.sig = nil
		} else if p.sig != nil {
			author, known := authors[p.block.Chain]
			if known && !author.verifyBlock(p.id, p.sig) {
				return nil, out, fmt.Errorf("block %s: %w: bad signature", p.id, ErrRefused)
			}
			vouched[p.id] = known
		}
		if vouched[p.id] {
			vouched[p.block.Prev] = true
		}
	}
	left := map[BlockID]bool{}
	seen := map[BlockID]bool{}
	for _, p := range parcels {
		if seen[p.id] {
			continue
		}
		seen[p.id] = true
		if _, have, err := g.findInChain(w.front, Tip{p.block.Chain, p.block.Seq, p.id}); err != nil {
			return nil, out, err
		} else if have {
			continue
		}
		if _, known := authors[p.block.Chain]; !known && p.block.Seq > 0 {
			return nil, out, &MissingError{[]BlockID{p.block.Prev}}
		}
		drop := !vouched[p.id]
		for _, d := range p.block.Deps {
			drop = drop || left[d]
		}
		if drop || left[p.block.Prev] {
			left[p.id] = true
			out.Unvouched++
			continue
		}
		fresh = append(fresh, p)
	}
	return fresh, out, nil
}
