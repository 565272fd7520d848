package dag

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
)

// HistoryCursor is a place in the history of a key; the zero value is before
// the newest revision. It is valid on every node.
type HistoryCursor struct{ after order }

// MarshalText implements encoding.TextMarshaler.
func (c HistoryCursor) MarshalText() ([]byte, error) {
	b := binary.BigEndian.AppendUint64([]byte{cursorVersion}, c.after.lam)
	b = append(b, c.after.chain[:]...)
	b = binary.BigEndian.AppendUint64(b, c.after.seq)
	b = binary.BigEndian.AppendUint32(b, c.after.index)
	b = append(b, c.after.block[:]...)
	return []byte(base32Lower.EncodeToString(b)), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *HistoryCursor) UnmarshalText(text []byte) error {
	b, err := base32Lower.DecodeString(string(text))
	if err != nil || len(b) != 69 || b[0] != cursorVersion {
		return fmt.Errorf("parse history cursor: %w", ErrBadID)
	}
	b = b[1:]
	next := HistoryCursor{order{
		lam: binary.BigEndian.Uint64(b), chain: ChainID(b[8:40]),
		seq: binary.BigEndian.Uint64(b[40:]), index: binary.BigEndian.Uint32(b[48:]), block: orderID(b[52:]),
	}}
	if again, err := next.MarshalText(); err != nil || !bytes.Equal(again, text) { // trailing bits, line ends
		return fmt.Errorf("parse history cursor: %w", ErrBadID)
	}
	*c = next
	return nil
}

// Cursor is the place after the change in its key's history.
func (c *Change) Cursor() HistoryCursor {
	r := c.Revision
	return HistoryCursor{order{lam: c.lam, chain: r.Chain, seq: r.Seq, index: uint32(r.Index), block: orderID(c.Block[:])}}
}

// historyPage is how many records of a line are read at once; an iterator
// would pin files of the store while the caller works.
const historyPage = 256

// lineCursor walks the revisions of a key on one fork by one line, newest first.
type lineCursor struct {
	k     entryKey
	line  uint32
	chain ChainID
	from  loc // where the next page starts
	page  []pendingRevision
	more  bool
	block struct { // the last that was read
		at  loc
		rec blockRecord
		p   *parcel
	}
}

// History yields the revisions of a key on a fork that come after a place in
// its history, newest first: causally, then by time; the same order on every
// node. Revisions that arrive meanwhile may be left out.
func (g *Graph) History(ctx context.Context, fork ForkID, key string, from HistoryCursor) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		m := g.moment.Load()
		f := m.forks.id(fork)
		if f == nil {
			yield(Change{}, fmt.Errorf("fork %s: %w", fork, ErrNotFound))
			return
		}
		h := g.lineage(m, g.store)
		cursors, err := g.lineCursors(h, f.num, key, from)
		for err == nil {
			var c *lineCursor
			if c, err = h.next(cursors); err != nil || c == nil {
				break
			}
			if err = ctx.Err(); err != nil {
				break
			}
			at := c.page[0].loc
			c.page = c.page[1:]
			var ch Change
			if ch, err = g.changeCached(c, at); err == nil && !yield(ch, nil) {
				return
			}
		}
		if err != nil {
			yield(Change{}, err)
		}
	}
}

// lineCursors places a cursor on each line that wrote the key on a fork that
// is visible.
func (g *Graph) lineCursors(l *lineage, fork uint32, key string, from HistoryCursor) ([]*lineCursor, error) {
	sources, err := l.relevant(l.forks.sources(fork, everything, key), key)
	if err != nil {
		return nil, err
	}
	var out []*lineCursor
	for _, s := range sources {
		k := entryKey{s.fork, key}
		lines, err := l.linesOf(k)
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			last, ok := s.set.last(line)
			if !ok {
				continue
			}
			c := &lineCursor{k: k, line: line, chain: g.chainOf(line), from: last, more: true}
			if err := g.placeCursor(l, c, from); err != nil {
				return nil, err
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// placeCursor moves a cursor behind a place in the history.
func (g *Graph) placeCursor(l *lineage, c *lineCursor, from HistoryCursor) error {
	if from == (HistoryCursor{}) {
		return nil
	}
	at, err := g.seekLine(c.line, from.after.lam)
	if err != nil {
		return err
	}
	if after(c.from, at) {
		c.from = at
	}
	return l.skipTo(c, from.after)
}

// seekLine returns the last place of a line with a Lamport time of at most
// lam, by halving: Lamport times grow along a line.
func (g *Graph) seekLine(line uint32, lam uint64) (loc, error) {
	l, err := g.moment.Load().front.line(line)
	if err != nil {
		return loc{}, err
	}
	lo, hi := l.first, l.next
	for lo < hi {
		mid := lo + (hi-lo)/2
		rec, err := loadBlockRecord(g.store, loc{line: line, seq: mid})
		if err != nil {
			return loc{}, err
		}
		if rec.lam <= lam {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return loc{line: line}, nil
	}
	return loc{line, lo - 1, ^uint32(0)}, nil
}

// skipTo drops the revisions that do not come after o in the history.
func (h *histories) skipTo(c *lineCursor, o order) error {
	for {
		if len(c.page) == 0 && c.more {
			if err := h.readPage(c); err != nil {
				return err
			}
		}
		if len(c.page) == 0 {
			return nil
		}
		n, err := h.compare(c.order(), o)
		if err != nil || n < 0 {
			return err
		}
		c.page = c.page[1:]
	}
}

func (c *lineCursor) order() order {
	p := c.page[0]
	return order{lam: p.rec.lam, chain: c.chain, seq: p.loc.seq, index: p.loc.index, line: c.line}
}

// readPage reads the next records of a line.
func (h *histories) readPage(c *lineCursor) error {
	c.page = c.page[:0]
	c.more = false
	return h.each(c.k, c.from, func(at loc, rec historyRecord) bool {
		if len(c.page) == historyPage {
			c.from, c.more = at, true
			return false
		}
		c.page = append(c.page, pendingRevision{at, rec})
		return true
	})
}

// next returns the cursor with the newest revision, nil at the end.
func (h *histories) next(cursors []*lineCursor) (best *lineCursor, err error) {
	for _, c := range cursors {
		if len(c.page) == 0 && c.more {
			if err := h.readPage(c); err != nil {
				return nil, err
			}
		}
		switch {
		case len(c.page) == 0:
			continue
		case best == nil:
			best = c
			continue
		}
		n, err := h.compare(c.order(), best.order())
		if err != nil {
			return nil, err
		}
		if n > 0 {
			best = c
		}
	}
	return best, nil
}

// changeCached reads the revision at a place, keeping its block for the next.
func (g *Graph) changeCached(c *lineCursor, at loc) (Change, error) {
	if c.block.p == nil || c.block.at.seq != at.seq {
		rec, p, err := loadBlock(g.store, at.line, at.seq)
		if err != nil {
			return Change{}, err
		}
		c.block.at, c.block.rec, c.block.p = at, rec, p
	}
	return g.changeOf(at, &c.block.rec, c.block.p)
}
