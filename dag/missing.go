package dag

import (
	"bytes"
	"context"
	"fmt"
	"iter"
)

// Outgoing is a block on its way to a peer.
type Outgoing struct {
	Bundle Bundle
	// Whole is true if signatures vouch for this block and all before it: a
	// chunk may end here.
	Whole bool
}

// missingPage is how many blocks of a line are read at once.
const missingPage = 128

// sending walks the blocks of one line that a peer lacks.
type sending struct {
	line uint32
	next uint64 // seq of the next to read
	end  uint64
	page []outgoingBlock
}

type outgoingBlock struct {
	lsn    uint64
	bundle Bundle
	signed bool
}

// Missing yields what a peer with a frontier lacks, in order of arrival, which
// is an order of causality. Tips that are not applied here say nothing. Memory
// is bounded by a page for each chain.
func (g *Graph) Missing(ctx context.Context, their []Tip) iter.Seq2[Outgoing, error] {
	return func(yield func(Outgoing, error) bool) {
		m := g.moment.Load()
		have, err := g.pastOfTips(m.front, their)
		if err != nil {
			yield(Outgoing{}, err)
			return
		}
		var lines []*sending
		for _, l := range m.front.lines[1:] {
			if from := max(have[l.num], l.first); from < l.next {
				lines = append(lines, &sending{line: l.num, next: from, end: l.next})
			}
		}
		open := map[uint32]bool{}
		for {
			s, err := g.nextOutgoing(lines)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(Outgoing{}, err)
				return
			}
			if s == nil {
				return
			}
			b := s.page[0]
			s.page = s.page[1:]
			if b.signed {
				delete(open, s.line)
			} else {
				open[s.line] = true
			}
			if !yield(Outgoing{b.bundle, len(open) == 0}, nil) {
				return
			}
		}
	}
}

// pastOfTips joins the causal pasts of the tips that are applied here.
func (g *Graph) pastOfTips(f *frontier, tips []Tip) (clock, error) {
	have := clock{}
	for _, t := range tips {
		at, ok, err := g.findInChain(f, t)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		p, err := f.pastOf(g.store, at)
		if err != nil {
			return nil, err
		}
		p.joinInto(have)
	}
	return have, nil
}

// findInChain finds a block by its chain and seq, and checks its id.
func (g *Graph) findInChain(f *frontier, t Tip) (loc, bool, error) {
	for _, l := range f.chains[t.Chain] {
		if t.Seq < l.first || t.Seq >= l.next {
			continue
		}
		if t.Seq == l.next-1 {
			if l.tip == t.Block {
				return loc{line: l.num, seq: t.Seq}, true, nil
			}
			continue
		}
		_, p, err := loadBlock(g.store, l.num, t.Seq)
		if err != nil {
			return loc{}, false, err
		}
		if p.id == t.Block {
			return loc{line: l.num, seq: t.Seq}, true, nil
		}
	}
	return loc{}, false, nil
}

// nextOutgoing returns the line whose next block arrived first; nil at the end.
func (g *Graph) nextOutgoing(lines []*sending) (best *sending, err error) {
	for _, s := range lines {
		if len(s.page) == 0 && s.next < s.end {
			if err := g.readOutgoing(s); err != nil {
				return nil, err
			}
		}
		if len(s.page) > 0 && (best == nil || s.page[0].lsn < best.page[0].lsn) {
			best = s
		}
	}
	return best, nil
}

// readOutgoing reads the next blocks of a line, with payloads kept apart put
// back.
func (g *Graph) readOutgoing(s *sending) error {
	var recs []blockRecord
	loads := map[loc][]byte{}
	size := 0
	var bad error
	r := Range{Start: blockKey(s.line, s.next), End: blockKey(s.line, s.end)}
	err := g.store.Iterate(r, func(k, v []byte) bool {
		at, main, ok := parseBlockKey(k)
		if !ok {
			bad = corrupt("key of a block does not decode")
			return false
		}
		v = append([]byte(nil), v...)
		if !main {
			loads[at] = v
			size += len(v)
			return true
		}
		if len(recs) == missingPage || size > 1<<20 {
			return false
		}
		var rec blockRecord
		rec, bad = decodeBlockRecord(v)
		recs = append(recs, rec)
		size += len(v)
		return bad == nil
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return err
	}
	if len(recs) == 0 {
		return corrupt("block %d of line %d is missing", s.next, s.line)
	}
	s.page = s.page[:0]
	for i, rec := range recs {
		b, signed, err := wholeBundle(rec.bundle, s.line, s.next+uint64(i), loads)
		if err != nil {
			return err
		}
		s.page = append(s.page, outgoingBlock{rec.lsn, b, signed})
	}
	s.next += uint64(len(recs))
	return nil
}

// wholeBundle puts payloads that are kept apart back into a bundle.
func wholeBundle(stored Bundle, line uint32, seq uint64, loads map[loc][]byte) (b Bundle, signed bool, err error) {
	w, _, err := splitBundle(stored)
	if err != nil {
		return nil, false, corrupt("block %d of line %d: %s", seq, line, err)
	}
	signed = len(w.Sig) > 0
	// A value that holds the word costs a decoding, no more.
	if !bytes.Contains(stored, []byte("apart")) {
		return stored, signed, nil
	}
	p, err := decodeStored(stored)
	if err != nil {
		return nil, false, corrupt("block %d of line %d: %s", seq, line, err)
	}
	for i, r := range p.revs {
		if p.payloads[i] != nil || r.Deleted {
			continue
		}
		load, ok := loads[loc{line, seq, uint32(i)}]
		if !ok {
			return nil, false, corrupt("the value of revision %s is missing", p.block.Revisions[i])
		}
		if p.payloads[i], err = checkPayload(load, r.Value, p.block.Revisions[i]); err != nil {
			return nil, false, err
		}
	}
	return p.encode(-1), signed, nil
}

// Bundle returns an applied block as it goes to peers.
func (g *Graph) Bundle(id BlockID) (Bundle, error) {
	g.findMu.RLock()
	at, ok, err := findBlock(g.store, g.gathered, id)
	g.findMu.RUnlock()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("block %s: %w", id, ErrNotFound)
	}
	s := &sending{line: at.line, next: at.seq, end: at.seq + 1}
	if err := g.readOutgoing(s); err != nil {
		return nil, err
	}
	return s.page[0].bundle, nil
}
