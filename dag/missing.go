package dag

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"iter"
)

// chunkGoal is the size at which a chunk is closed, in bytes of bundles.
const chunkGoal = 256 << 10

// Outgoing is a block on its way to a peer, alone.
type Outgoing struct {
	Bundle Bundle
	// Whole is true if signatures vouch for this block and all before it: what
	// is sent may end here.
	Whole bool
}

// Missing yields what a node with a frontier lacks, block by block, in order of
// arrival, which is an order of causality. Tips that are not applied here say
// nothing. Chunks is the same in fewer bytes.
func (g *Graph) Missing(ctx context.Context, their []Tip) iter.Seq2[Outgoing, error] {
	return func(yield func(Outgoing, error) bool) {
		for b, err := range g.outgoing(ctx, g.moment.Load().front, PinsOf(their)) {
			out := Outgoing{Whole: b.whole}
			if err == nil {
				out.Bundle = b.p.encode(nil)
			}
			if !yield(out, err) {
				return
			}
		}
	}
}

// Chunks yields what a node lacks that has the pinned blocks and all that
// comes before them: one flow of chunks, in order of arrival, which is an order
// of causality. Pins that are not applied here say nothing. A chunk ends where
// signatures vouch for all of it. With deltas, payloads go as they are stored
// where the receiver has what they stand on; not every receiver reads that. Memory
// is bounded by some blocks of each chain and some payloads; no lock is held while a chunk is used. Damage of the store is an error
// that ends the flow before the damaged block.
func (g *Graph) Chunks(ctx context.Context, known []Pin, deltas bool) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		flow := newOutflow(deltas)
		var next gathering
		for b, err := range g.outgoing(ctx, g.moment.Load().front, known) {
			if err != nil {
				if next.whole == 0 || yield(flow.pack(next.take(next.whole)), nil) {
					yield(Chunk{}, err)
				}
				return
			}
			if chunk := next.add(b); chunk != nil && !yield(flow.pack(chunk), nil) {
				return
			}
			if next.full() && !yield(flow.pack(next.take(len(next.blocks))), nil) {
				return
			}
		}
		if len(next.blocks) > 0 {
			yield(flow.pack(next.blocks), nil)
		}
	}
}

// gathering is blocks that are in no chunk yet.
type gathering struct {
	blocks []outgoing
	size   int
	whole  int // so many of them may be a chunk
}

// add appends a block; if that passes the goal, it first takes what was whole
// before, so that chunks do not grow from node to node.
func (h *gathering) add(b outgoing) (chunk []outgoing) {
	if h.size+b.size > chunkGoal && h.whole > 0 {
		chunk = h.take(h.whole)
	}
	h.blocks, h.size = append(h.blocks, b), h.size+b.size
	if b.whole {
		h.whole = len(h.blocks)
	}
	return chunk
}

// full reports whether all of it is to be a chunk.
func (h *gathering) full() bool { return h.size > chunkGoal && h.whole == len(h.blocks) }

func (h *gathering) take(n int) []outgoing {
	chunk, rest := h.blocks[:n], h.blocks[n:]
	h.blocks, h.size, h.whole = append([]outgoing(nil), rest...), 0, 0
	for _, b := range rest {
		h.size += b.size
	}
	return chunk
}

// outgoing is a block that a peer lacks.
type outgoing struct {
	p       *parcel
	line    uint32
	records [][]byte // of the payloads that were read from one; nil: none was
	size    int      // of its bundle
	whole   bool     // signatures vouch for this block and all before it
}

// outgoing yields what a node with the pinned blocks lacks of a frontier.
func (g *Graph) outgoing(ctx context.Context, f *frontier, known []Pin) iter.Seq2[outgoing, error] {
	return func(yield func(outgoing, error) bool) {
		lines, err := g.lacking(f, known)
		open := map[uint32]bool{}
		for err == nil && len(lines) > 0 {
			if err = ctx.Err(); err != nil {
				break
			}
			s := lines[0]
			var b outgoing
			if b, err = s.pop(g.store, &g.blocks); err != nil {
				break
			}
			if len(s.page) == 0 && s.next < s.end {
				err = g.readOutgoing(s)
			}
			if len(s.page) == 0 {
				heap.Pop(&lines)
			} else {
				heap.Fix(&lines, 0)
			}
			if b.p.sig != nil {
				delete(open, s.line)
			} else {
				open[s.line] = true
			}
			if b.whole = len(open) == 0; !yield(b, nil) {
				return
			}
		}
		if err != nil {
			yield(outgoing{}, err)
		}
	}
}

// lacking returns the lines of a frontier of which a node with the pinned
// blocks lacks something, the one whose next block arrived first on top.
func (g *Graph) lacking(f *frontier, known []Pin) (lines sendings, err error) {
	have, err := g.pastOfPins(f, known)
	if err != nil {
		return nil, err
	}
	for _, l := range f.lines[1:] {
		if from := max(have[l.num], l.first); from < l.next {
			lines = append(lines, &sending{line: l.num, next: from, end: l.next, tip: l.tip})
		}
	}
	for _, s := range lines {
		s.most = min(max(pageBlocks/len(lines), 4), 128)
		if err := g.readOutgoing(s); err != nil {
			return nil, err
		}
	}
	heap.Init(&lines)
	return lines, nil
}

// pastOfPins joins the causal pasts of the pinned blocks that are applied
// here.
func (g *Graph) pastOfPins(f *frontier, pins []Pin) (clock, error) {
	have, starts := clock{}, f.starts()
	for _, m := range pins {
		places, err := g.locate(starts, m)
		if err != nil {
			return nil, err
		}
		if len(places) != 1 {
			continue // with two, which one is meant is not known
		}
		p, err := f.pastOf(g.store, places[0])
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
		id, err := g.blockAt(l, t.Seq)
		if err != nil {
			return loc{}, false, err
		}
		if id == t.Block {
			return loc{line: l.num, seq: t.Seq}, true, nil
		}
	}
	return loc{}, false, nil
}

// The bounds of what is read ahead: blocks of all lines together, bytes of
// each.
const (
	pageBlocks = 4096
	pageBytes  = 256 << 10
)

// sending walks the blocks of one line that a peer lacks.
type sending struct {
	line  uint32
	next  uint64 // seq of the next to read
	end   uint64
	tip   BlockID // the block before end
	most  int     // blocks to read at once
	page  []blockRecord
	first uint64         // seq of the page's first
	loads map[loc][]byte // records of payloads kept apart
	prev  BlockID        // of the block before the page's first; zero if not known
}

// pop takes the next block.
func (s *sending) pop(r Reader, c *blockCache) (outgoing, error) {
	rec, seq := s.page[0], s.first
	p, records, apart, err := c.wholeParcel(r, rec.bundle, s.line, seq, s.loads)
	switch {
	case err != nil:
		return outgoing{}, err
	case p.block.Prev != s.prev && !s.prev.IsZero(), seq == s.end-1 && p.id != s.tip:
		return outgoing{}, corrupt("block %d of line %d is another one", seq, s.line)
	}
	size := len(rec.bundle) + apart
	for i := range p.revs {
		delete(s.loads, loc{s.line, seq, uint32(i)})
	}
	s.page, s.first, s.prev = s.page[1:], seq+1, p.id
	return outgoing{p: p, line: s.line, records: records, size: size}, nil
}

// sendings is a heap of lines that are not empty.
type sendings []*sending

func (h sendings) Len() int           { return len(h) }
func (h sendings) Less(i, j int) bool { return h[i].page[0].lsn < h[j].page[0].lsn }
func (h sendings) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *sendings) Push(x any)        { *h = append(*h, x.(*sending)) }

func (h *sendings) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// readOutgoing reads the next blocks of a line whose page is empty, with
// payloads kept apart.
func (g *Graph) readOutgoing(s *sending) error {
	s.page, s.first, s.loads = nil, s.next, map[loc][]byte{}
	size := 0
	var bad error
	r := Range{Start: blockKey(s.line, s.next), End: blockKey(s.line, s.end)}
	err := g.store.Iterate(r, func(k, v []byte) bool {
		at, main, ok := parseBlockKey(k)
		if !ok {
			bad = corrupt("key of a block does not decode")
			return false
		}
		if main && len(s.page) > 0 && (len(s.page) >= s.most || size > pageBytes) {
			return false
		}
		v = bytes.Clone(v)
		size += len(v)
		if !main {
			s.loads[at] = v
			return true
		}
		if at.seq != s.next {
			bad = corrupt("block %d of line %d is missing", s.next, s.line)
			return false
		}
		var rec blockRecord
		if rec, bad = decodeBlockRecord(v); bad != nil {
			return false
		}
		s.page, s.next = append(s.page, rec), s.next+1
		return true
	})
	switch err = errors.Join(err, bad); {
	case len(s.page) > 0:
		return nil // what is bad is met again when these are sent
	case err == nil:
		return corrupt("block %d of line %d is missing", s.next, s.line)
	}
	return err
}

// wholeParcel decodes a stored bundle and puts payloads that are kept apart
// back, of which it returns the size, and the records that it read them from.
// Those that are not here stay nil.
func (c *blockCache) wholeParcel(r Reader, stored Bundle, line uint32, seq uint64, loads map[loc][]byte) (p *parcel, records [][]byte, apart int, err error) {
	if p, err = decodeStored(stored); err != nil {
		return nil, nil, 0, corrupt("block %d of line %d: %s", seq, line, err)
	}
	for i, rev := range p.revs {
		if p.payloads[i] != nil || rev.Deleted {
			continue
		}
		at := loc{line, seq, uint32(i)}
		_, cached := c.loads.get(at)
		load, err := c.loadPayload(r, at, loads[at], rev.Value, rev.Size, p.block.Revisions[i])
		if errors.Is(err, ErrAbsent) {
			continue
		}
		if err != nil {
			return nil, nil, 0, err
		}
		p.payloads[i] = load.value
		apart += len(load.value)
		if cached {
			continue // its record may be damaged
		}
		if records == nil {
			records = make([][]byte, len(p.revs))
		}
		records[i] = loads[at]
	}
	return p, records, apart, nil
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
	s := &sending{line: at.line, next: at.seq, end: at.seq + 1, tip: id, most: 1}
	if err := g.readOutgoing(s); err != nil {
		return nil, err
	}
	b, err := s.pop(g.store, &g.blocks)
	if err != nil {
		return nil, err
	}
	return b.p.encode(nil), nil
}
