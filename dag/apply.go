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
	w := g.newWorkspace(now, 0)
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
	line, err := b.finish(g, true)
	if err != nil {
		return Receipt{}, err
	}
	if err := g.write(w); err != nil {
		return Receipt{}, err
	}
	g.mine = line
	return Receipt{Block: b.p.id, Bundle: b.bundle()}, nil
}

// Applied says what an Apply or Take added.
type Applied struct {
	Blocks    []BlockID // newly applied, in order
	Revisions int
	Known     int // blocks that were here already
	Unvouched int // blocks that no signature vouches for: left out
	Later     int // blocks of a later version of the format, and what follows on them: left out
}

// ErrLater marks a block of a later version of the format: it is nobody's
// fault, and can be read by a newer version of crush.
var ErrLater = errors.New("a newer version of crush is needed")

// Apply adds blocks of other nodes, in causal order, as one synced batch.
// Blocks that are here already are skipped. All or nothing is applied: a
// *MissingError names blocks that must come first; an error that wraps
// ErrRefused says that the bytes are bad, which is the sender's fault. A block
// that neither its own signature nor a later block of the call vouches for is
// left out, and so is what follows on it; as are blocks that this version
// cannot read. The sizes of the blocks together are at most MaxChunk.
func (g *Graph) Apply(ctx context.Context, bundles []Bundle) (Applied, error) {
	var parcels []*parcel
	later, size := 0, 0
	for _, b := range bundles {
		if err := ctx.Err(); err != nil {
			return Applied{}, err
		}
		p, err := decodeBundle(b)
		if errors.Is(err, ErrLater) {
			later++
			continue
		}
		if err != nil {
			return Applied{}, err
		}
		if size += p.size; size > MaxChunk {
			return Applied{}, fmt.Errorf("apply %d bundles: %w: limit %d bytes together", len(bundles), ErrTooLarge, MaxChunk)
		}
		parcels = append(parcels, p)
	}
	return g.applyParcels(nil, parcels, later)
}

// Take is Apply for the next chunk of a flow. It does not keep the chunk. After
// an error the flow cannot go on.
func (g *Graph) Take(ctx context.Context, in *Inflow, chunk []byte) (Applied, error) {
	if err := ctx.Err(); err != nil {
		return Applied{}, err
	}
	parcels, later, err := in.unpack(chunk)
	if err != nil {
		return Applied{}, err
	}
	return g.applyParcels(in, parcels, later)
}

// applyParcels applies blocks whose bytes are good, of a flow or of none. Later
// is how many more there were that this version cannot read.
func (g *Graph) applyParcels(in *Inflow, parcels []*parcel, later int) (Applied, error) {
	g.writeMu.Lock()
	defer g.writeMu.Unlock()
	if g.failed != nil {
		return Applied{}, g.failed
	}
	w := g.newWorkspace(g.clock().UnixMilli(), revisionsOf(parcels))
	if w.state.lsn == 0 {
		w.cluster = g.cluster
	}
	if in != nil {
		w.tallies = g.talliesOf(in)
	}
	out := Applied{Later: later}
	if later > 0 {
		readable, err := w.connected(parcels)
		if err != nil {
			return Applied{}, err
		}
		out.Later += len(parcels) - len(readable)
		parcels = readable
	}
	fresh, unvouched, err := g.vouch(w, parcels)
	if err != nil {
		return Applied{}, err
	}
	out.Unvouched = unvouched
	out.Known = len(parcels) - unvouched - len(fresh)
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

func revisionsOf(parcels []*parcel) (n int) {
	for _, p := range parcels {
		n += len(p.revs)
	}
	return n
}

// connected leaves out the blocks that follow on what is neither here nor
// among them.
func (w *workspace) connected(parcels []*parcel) (kept []*parcel, err error) {
	here := map[BlockID]bool{{}: true}
	for _, p := range parcels {
		ok := true
		for _, id := range append(p.block.Deps[:len(p.block.Deps):len(p.block.Deps)], p.block.Prev) {
			if _, asked := here[id]; !asked {
				if _, here[id], err = w.locate(id); err != nil {
					return nil, err
				}
			}
			ok = ok && here[id]
		}
		if ok {
			here[p.id] = true
			kept = append(kept, p)
		}
	}
	return kept, nil
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
