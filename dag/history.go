package dag

import (
	"bytes"
	"errors"
	"slices"
)

// histories reads the history records of keys: those of the store, and those
// that a batch under construction will add.
type histories struct {
	r       Reader
	pending map[entryKey][]pendingRevision // in the order of writing; nil for none
	pastOf  func(at loc) (past, error)
	blocks  map[loc]*applying // of the batch, by line and seq; nil for none
	chainOf func(line uint32) ChainID
}

// compare orders revisions of one key.
func (h *histories) compare(a, b order) (int, error) {
	c := a.compare(b)
	if c != 0 || a.line == b.line {
		return c, nil
	}
	x, err := h.orderID(a)
	if err != nil {
		return 0, err
	}
	y, err := h.orderID(b)
	return bytes.Compare(x[:], y[:]), err
}

func (h *histories) orderID(o order) (orderID, error) {
	if o.line == 0 {
		return o.block, nil
	}
	if a, ok := h.blocks[loc{line: o.line, seq: o.seq}]; ok {
		return orderID(a.p.id[:]), nil
	}
	_, p, err := loadBlock(h.r, o.line, o.seq)
	if err != nil {
		return orderID{}, err
	}
	return orderID(p.id[:]), nil
}

// before is a closed set of revisions: those in the causal past of something,
// of which the last block may be there only up to an index.
type before struct {
	next   func(line uint32) uint64 // seq after the last block of the line in the set
	within loc                      // of this block, only revisions below the index; zero for none
	all    bool                     // everything is in the set
	lines  func() []uint32          // those that the set has blocks of, in order; nil if they are not known
	views  *viewCache               // of forks within the set; nil if they are not kept
}

// everything is the set of all blocks.
var everything = before{next: func(uint32) uint64 { return ^uint64(0) }, all: true}

// last returns the highest place of a line that is in the set.
func (b before) last(line uint32) (at loc, ok bool) {
	next := b.next(line)
	if line == b.within.line && next == b.within.seq+1 {
		if b.within.index > 0 {
			return loc{line, b.within.seq, b.within.index - 1}, true
		}
		next--
	}
	if next == 0 {
		return at, false
	}
	return loc{line, next - 1, ^uint32(0)}, true
}

// has reports whether a revision is in the set.
func (b before) has(at loc) bool {
	last, ok := b.last(at.line)
	return ok && !after(at, last)
}

// hasBlock reports whether a block, with its operations, is in the set.
func (b before) hasBlock(at loc) bool { return b.next(at.line) > at.seq }

// linesOf returns the lines that wrote a key, in order.
func (h *histories) linesOf(k entryKey) ([]uint32, error) {
	var out []uint32
	next := historyPrefix(k.fork, k.key, 0)
	end := prefixEnd(next)
	for next != nil && bytes.Compare(next, end) < 0 {
		found := false
		err := h.r.Iterate(Range{Start: next, End: end}, func(key, _ []byte) bool {
			at, ok := parseHistoryKey(key)
			if found = ok; ok {
				out = append(out, at.line)
			}
			return false
		})
		if err != nil {
			return nil, err
		}
		if !found {
			break
		}
		next = prefixEnd(historyPrefix(k.fork, k.key, out[len(out)-1]))
	}
	for _, p := range h.pending[k] {
		if !slices.Contains(out, p.loc.line) {
			out = append(out, p.loc.line)
		}
	}
	return out, nil
}

// each yields the revisions of a key by one line, newest first, from the place
// from (inclusive) down.
func (h *histories) each(k entryKey, from loc, yield func(loc, historyRecord) bool) error {
	for _, p := range slices.Backward(h.pending[k]) {
		if p.loc.line == from.line && !after(p.loc, from) && !yield(p.loc, p.rec) {
			return nil
		}
	}
	end := prefixEnd(historyPrefix(k.fork, k.key, from.line))
	var bad error
	err := h.r.Iterate(Range{Start: historyKey(k.fork, k.key, from), End: end}, func(key, v []byte) bool {
		at, ok := parseHistoryKey(key)
		rec, err := decodeHistory(v)
		if !ok || err != nil {
			bad = corrupt("history record of %q does not decode", k.key)
			return false
		}
		return yield(at, rec)
	})
	return errors.Join(err, bad)
}

// after reports whether a stands after b on the same line.
func after(a, b loc) bool { return a.seq > b.seq || a.seq == b.seq && a.index > b.index }

// latest returns the newest revision of a key by a line within a set.
func (h *histories) latest(k entryKey, line uint32, set before) (at loc, rec historyRecord, ok bool, err error) {
	from, ok := set.last(line)
	if !ok {
		return at, rec, false, nil
	}
	ok = false
	err = h.each(k, from, func(l loc, r historyRecord) bool {
		at, rec, ok = l, r, true
		return false
	})
	return at, rec, ok, err
}
