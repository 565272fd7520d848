package dag

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Order is a place in an order that extends causality among the revisions of a
// key: a revision's is higher than those of its parents.
type Order struct {
	Lamport uint64
	Index   uint64 // in the block
}

// Compare is negative if o comes before p.
func (o Order) Compare(p Order) int {
	return cmp.Or(cmp.Compare(o.Lamport, p.Lamport), cmp.Compare(o.Index, p.Index))
}

// Order returns the change's place.
func (c *Change) Order() Order { return Order{c.lam, uint64(c.loc.index)} }

// Head makes of a change what it would be as a head of an entry: Payload and
// Ways take it.
func (g *Graph) Head(c *Change) Head { return g.moment.Load().forks.head(c) }

// Head is Graph.Head of what Revision returned.
func (tx *Tx) Head(c *Change) Head {
	if c.lam == underConstruction {
		return newHead(c.Revision, c.ID, nil, loc{}, 0)
	}
	return tx.forks.head(c)
}

func (t *forkTable) head(c *Change) Head {
	h := newHead(c.Revision, c.ID, c.payload, c.loc, c.lam)
	if f := t.id(c.Revision.Fork); f != nil {
		h.fork = f.num
	}
	return h
}

// Revision returns a revision of a key that Entry gave as a head, or that
// another one which Revision returned has as a parent. One that stands in the
// block under construction has neither Block nor Arrival.
func (tx *Tx) Revision(key string, id RevisionID) (Change, error) {
	if i := slices.Index(tx.b.p.block.Revisions, id); i >= 0 {
		return tx.b.unwritten(id, tx.b.p.revs[i], tx.b.p.payloads[i]), nil
	}
	if i := slices.Index(tx.ids, id); i >= 0 {
		return tx.b.unwritten(id, tx.revs[i], tx.loads[i]), nil
	}
	c, err := tx.b.w.revision(key, id)
	if l, lineErr := tx.b.w.front.line(c.loc.line); err == nil && lineErr == nil {
		c.Node = l.node
	}
	return c, err
}

// underConstruction stands for the Lamport time of a block that is being built.
const underConstruction = math.MaxUint64

// unwritten is the change of a revision in the block under construction.
func (b *building) unwritten(id RevisionID, r *Revision, payload []byte) Change {
	return Change{Node: b.node, ID: id, Revision: r, payload: payload, lam: underConstruction, loc: loc{index: uint32(r.Index)}}
}

// revision finds a revision of a key in the batch or in the store.
func (w *workspace) revision(key string, id RevisionID) (Change, error) {
	forks, err := w.wroteOn(key)
	if err != nil {
		return Change{}, err
	}
	for _, fork := range append([]uint32{1}, forks...) {
		for _, p := range w.pending[entryKey{fork, key}] {
			if a := w.blocks[loc{line: p.loc.line, seq: p.loc.seq}]; a.p.block.Revisions[p.loc.index] == id {
				return makeChange(p.loc, &a.rec, a.p)
			}
		}
	}
	at, ok, err := findRevision(w.store, w.earlier, id)
	if err != nil {
		return Change{}, err
	}
	if !ok {
		return Change{}, fmt.Errorf("revision %s: %w", id, ErrNotFound)
	}
	rec, p, err := w.decoded.load(w.store, at.line, at.seq)
	if err != nil {
		return Change{}, err
	}
	return makeChange(at, &rec, p)
}
