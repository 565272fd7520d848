package dag

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// Mended is a block whose stored bytes were damaged.
type Mended struct {
	Block BlockID // zero if even that is not known
	Chain ChainID
	Seq   uint64
	Was   error // what was wrong
	Err   error // why it still is; nil if the block is good again
}

// Fetch yields copies of a block that others have, until the caller breaks.
// What it yields need not be good.
type Fetch func(ctx context.Context, id BlockID) iter.Seq[Bundle]

// Mend looks at every block and payload, and writes those again whose stored
// bytes are damaged, from copies that fetch brings: a copy is taken if it has
// the block's id, which the block behind it, or the frontier, names. It reports
// each that was damaged. Other nodes, and writes here, see nothing of it.
// Indexes are left to Rebuild. The error is of reading, or of ctx.
func (g *Graph) Mend(ctx context.Context, fetch Fetch, progress Progress, report func(Mended)) error {
	m := &mending{g: g, fetch: fetch, report: report}
	front := g.moment.Load()
	done := uint64(0)
	for _, l := range front.front.lines[1:] {
		want := l.tip
		for seq := l.next; seq > l.first; {
			seq--
			if err := ctx.Err(); err != nil {
				return err
			}
			var err error
			if want, err = m.look(ctx, loc{line: l.num, seq: seq}, want); err != nil {
				return err
			}
			if done++; progress != nil {
				progress(done, front.state.lsn)
			}
		}
	}
	return m.again(ctx)
}

// mending is a Mend under way.
type mending struct {
	g      *Graph
	fetch  Fetch
	report func(Mended)
	blocks blockCache // what was read; the graph's own would hide damage
	left   []unmended
}

// unmended is a block that is not mended yet: what it stands on may have to be
// mended before, and perhaps nothing else.
type unmended struct {
	at loc
	Mended
}

// look looks at the block at a place, whose id is zero if it is not known, and
// mends it if it is damaged. It returns the id of the block before it in the
// chain, as far as that is known.
func (m *mending) look(ctx context.Context, at loc, want BlockID) (prev BlockID, err error) {
	p, err := m.parcelAt(at, want)
	if err == nil {
		return p.block.Prev, nil
	}
	if !errors.Is(err, ErrCorrupt) {
		return prev, err
	}
	l, lineErr := m.g.moment.Load().front.line(at.line)
	if lineErr != nil {
		return prev, lineErr // all of it has gone meanwhile
	}
	u := unmended{at, Mended{Block: want, Chain: l.chain, Seq: at.seq, Was: err}}
	if _, old, err := loadBlock(m.g.store, at.line, at.seq); err == nil && (want.IsZero() || want == old.id) {
		// A payload is damaged, or one that it stands on.
		u.Block = old.id
		m.left = append(m.left, u)
		return old.block.Prev, nil
	}
	if prev, err = m.mend(ctx, &u); err != nil {
		return prev, err
	}
	if u.Err != nil {
		m.left = append(m.left, u)
	} else {
		m.report(u.Mended)
	}
	if prev.IsZero() { // as far as the damaged bytes say
		if _, old, err := loadBlock(m.g.store, at.line, at.seq); err == nil {
			prev = old.block.Prev
		}
	}
	return prev, nil
}

// again looks at what is left from the oldest on and mends it, as long as that
// helps, and reports the rest.
func (m *mending) again(ctx context.Context) error {
	for helped := true; helped; {
		helped = false
		for i := len(m.left) - 1; i >= 0; i-- {
			u := &m.left[i]
			_, err := m.parcelAt(u.at, u.Block)
			if err != nil && !errors.Is(err, ErrCorrupt) {
				return err
			}
			if err != nil {
				if _, err := m.mend(ctx, u); err != nil {
					return err
				}
				if u.Err != nil {
					continue
				}
				m.report(u.Mended)
			}
			m.left = append(m.left[:i], m.left[i+1:]...)
			helped = true
		}
	}
	for _, u := range m.left {
		m.report(u.Mended)
	}
	return nil
}

// mend asks for copies of a block until one is good, and writes it. What keeps
// it from that is left in u.Err; the error is of the store, or of ctx.
func (m *mending) mend(ctx context.Context, u *unmended) (prev BlockID, err error) {
	u.Err = errors.New("no peer that is connected has it")
	if u.Block.IsZero() {
		u.Err = errors.New("which block stood here is not known: crush verify --rebuild goes on without it")
		return prev, nil
	}
	for b := range m.fetch(ctx, u.Block) {
		p, err := decodeBundle(b)
		if err != nil || p.id != u.Block {
			continue
		}
		if u.Err = m.putAgain(u.at, p); u.Err == nil {
			return p.block.Prev, nil
		}
		if !errors.Is(u.Err, ErrCorrupt) && !errors.Is(u.Err, errUnsigned) {
			return prev, u.Err
		}
		prev = p.block.Prev
	}
	return prev, ctx.Err()
}

// errCopyAbsent says that a copy lacks a value that was not purged, as far as is
// known here.
var errCopyAbsent = corrupt("no copy of it has its value")

// errUnsigned says that a copy lacks the signature that must stand here.
var errUnsigned = errors.New("no copy of it has the signature that vouches for it")

// parcelAt reads the block at a place with all its payloads. If it is not the
// one that is wanted, or the wanted one is damaged, that is ErrCorrupt; a zero
// id wants any.
func (m *mending) parcelAt(at loc, want BlockID) (*parcel, error) {
	if want.IsZero() {
		_, p, err := loadBlock(m.g.store, at.line, at.seq)
		if err != nil {
			return nil, err
		}
		want = p.id
	}
	s := &sending{line: at.line, next: at.seq, end: at.seq + 1, tip: want, most: 1}
	if err := m.g.readOutgoing(s); err != nil {
		return nil, err
	}
	b, err := s.pop(m.g.store, &m.blocks)
	if err != nil {
		return nil, err
	}
	return b.p, m.g.moment.Load().purges.excuse(at, b.p)
}

// excuseAt is excuse by the purges of a moment, of a block that is found by its
// id.
func (g *Graph) excuseAt(m *moment, p *parcel) error {
	g.findMu.RLock()
	at, ok, err := findBlock(g.store, g.gathered, p.id)
	g.findMu.RUnlock()
	if err == nil && !ok {
		err = corrupt("block %s is in no index", p.id)
	}
	if err != nil {
		return err
	}
	if err := m.purges.excuse(at, p); err == nil || g.moment.Load().purges.excuse(at, p) != nil {
		return err
	}
	return fmt.Errorf("a value of block %s was purged meanwhile: try again", p.id)
}

// excuse is ErrAbsent if a payload of a block is not here and was not purged.
func (ps *purges) excuse(at loc, p *parcel) error {
	for i, rev := range p.revs {
		at.index = uint32(i)
		if id := p.block.Revisions[i]; p.isAbsent(i) && ps.of(rev.Key, id, at) == nil {
			return fmt.Errorf("the value of revision %s: %w", id, ErrAbsent)
		}
	}
	return nil
}

// putAgain writes a good copy of the block at a place over a damaged one.
func (m *mending) putAgain(at loc, p *parcel) error {
	g := m.g
	g.writeMu.Lock()
	defer g.writeMu.Unlock()
	if g.failed != nil {
		return g.failed
	}
	w := g.newWorkspace(0, 0)
	l, err := w.front.line(at.line)
	if err != nil {
		return err
	}
	if p.sig != nil && !l.node.verifyBlock(p.id, p.sig) {
		p.sig = nil
	}
	rec, old, err := loadBlock(g.store, at.line, at.seq)
	switch {
	case err == nil && old.id == p.id: // a payload apart is damaged
		p.sig = old.sig
	case !errors.Is(err, ErrCorrupt) && err != nil:
		return err
	case p.sig == nil && at.seq == l.next-1:
		return errUnsigned
	default:
		old = nil
		if rec, err = w.recordAgain(at, p); err != nil {
			return err
		}
	}
	stored, err := m.keepAgain(at, p, old)
	if err != nil {
		return err
	}
	var b Batch
	putBlock(&b, at, &rec, p, stored)
	if err := g.store.Write(&b, true); err != nil {
		return g.fail(err)
	}
	return g.headsOf(p)
}

// headsOf writes the entries again whose heads are of a block, and which may
// have their payloads at hand now. g.writeMu is held.
func (g *Graph) headsOf(p *parcel) error {
	var b Batch
	done := map[string]bool{}
	for _, r := range p.revs {
		if r.Deleted || r.Size > inlineMax || done[r.Key] {
			continue
		}
		done[r.Key] = true
		// What is damaged as well is mended next, or computed again by Rebuild.
		if _, err := g.headsAgain(&b, r.Key); err != nil && !errors.Is(err, ErrCorrupt) {
			return err
		}
	}
	if b.Len() == 0 {
		return nil
	}
	if err := g.store.Write(&b, true); err != nil {
		return g.fail(err)
	}
	return nil
}

// keepAgain chooses how the payloads of a good copy are stored: as they are,
// where that is not damaged, else so that they stand on nothing. Old is the
// block as it is; nil if that is damaged.
func (m *mending) keepAgain(at loc, p, old *parcel) ([]kept, error) {
	stored, purges := make([]kept, len(p.revs)), m.g.moment.Load().purges
	for i, rev := range p.revs {
		if at.index = uint32(i); !rev.Deleted && purges.of(rev.Key, p.block.Revisions[i], at) != nil {
			stored[i].record = absentRecord
			continue
		}
		if rev.Deleted || old != nil && old.payloads[i] != nil {
			continue
		}
		record, err := m.g.store.Get(payloadKey(at))
		isApart := err == nil || old != nil
		if err == nil {
			_, err = m.blocks.loadPayload(m.g.store, at, record, rev.Value, rev.Size, p.block.Revisions[i])
		}
		switch {
		case err == nil:
			stored[i].record = record
			continue
		case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt):
			return nil, err
		}
		switch {
		case p.payloads[i] == nil:
			return nil, errCopyAbsent
		case isApart:
			stored[i].record = m.g.blocks.codec.keepAlone(p.payloads[i])
		default:
			stored[i] = m.g.blocks.codec.keep(p.payloads[i])
		}
	}
	return stored, nil
}

// recordAgain computes what this node knew of a block whose record is damaged.
// When it came is taken from its neighbours.
func (w *workspace) recordAgain(at loc, p *parcel) (rec blockRecord, err error) {
	a, err := w.causalPast(p, w.front.lines[at.line])
	if err != nil {
		return rec, err
	}
	rec = a.rec
	if rec.lsn, err = arrivalOf(w.store, at); err != nil {
		return rec, err
	}
	rec.arrival = p.block.Time
	for _, lsn := range []uint64{rec.lsn - 1, rec.lsn + 1} {
		if lsn == 0 || lsn > w.state.lsn {
			continue
		}
		if beside, _, err := loadArrivalPlace(w.store, lsn); err == nil {
			if r, err := loadBlockRecord(w.store, beside); err == nil {
				rec.arrival = max(rec.arrival, r.arrival)
				break
			}
		}
	}
	rec.at = max(rec.at, min(p.block.Time, rec.arrival))
	rec.lam = max(rec.lam, uint64(p.block.Time))
	return rec, nil
}

// arrivalOf searches the number with which the block at a place arrived.
func arrivalOf(r Reader, at loc) (lsn uint64, err error) {
	var bad error
	err = r.Iterate(prefixRange([]byte{tagArrival}), func(k, v []byte) bool {
		var place loc
		if place, _, bad = decodeArrival(v); bad == nil && place == at {
			lsn = binary.BigEndian.Uint64(k[1:])
			return false
		}
		return bad == nil
	})
	if err = errors.Join(err, bad); err == nil && lsn == 0 {
		err = corrupt("the arrival of block %d of line %d is missing", at.seq, at.line)
	}
	return lsn, err
}
