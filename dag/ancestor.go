package dag

import (
	"fmt"
	"math"
	"slices"
)

// Order is a place in an order that extends causality among the revisions of a
// key: a revision's is higher than those of its parents.
type Order struct {
	Lamport uint64
	Index   uint64
}

// Order returns the change's place.
func (c *Change) Order() Order { return Order{c.lam, uint64(c.loc.index)} }

// Way says how a change that is visible on a fork came there.
func (g *Graph) Way(fork ForkID, c *Change) Way { return g.moment.Load().forks.wayOf(fork, c) }

func (t *forkTable) wayOf(fork ForkID, c *Change) Way {
	f, on := t.id(fork), t.id(c.Revision.Fork)
	if f == nil || on == nil {
		return Written
	}
	return t.way(f, c.Revision.Key, on.num, c.loc)
}

// Way is Graph.Way behind the operations so far.
func (tx *Tx) Way(fork ForkID, c *Change) Way {
	if c.lam == underConstruction {
		return Written
	}
	return tx.forks.wayOf(fork, c)
}

// Revision returns a revision of a key that Entry gave as a head, or that
// another one which Revision returned has as a parent. One that stands in the
// block under construction has neither Block nor Arrival.
func (tx *Tx) Revision(key string, id RevisionID) (Change, error) {
	if i := slices.Index(tx.b.p.block.Revisions, id); i >= 0 {
		return unwritten(id, tx.b.p.revs[i], tx.b.p.payloads[i]), nil
	}
	if i := slices.Index(tx.ids, id); i >= 0 {
		return unwritten(id, tx.revs[i], tx.loads[i]), nil
	}
	return tx.b.w.revision(key, id)
}

// underConstruction stands for the Lamport time of a block that is being built.
const underConstruction = math.MaxUint64

// unwritten is the change of a revision in the block under construction.
func unwritten(id RevisionID, r *Revision, payload []byte) Change {
	return Change{ID: id, Revision: r, payload: payload, lam: underConstruction, loc: loc{index: uint32(r.Index)}}
}

// ChangePayload is Graph.ChangePayload of what Revision returned.
func (tx *Tx) ChangePayload(c *Change) ([]byte, error) {
	if c.Revision.Deleted || c.payload != nil {
		return c.payload, nil
	}
	return tx.b.w.decoded.payload(tx.b.w.store, c.loc, c.Revision.Value, c.Revision.Size, c.ID)
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
