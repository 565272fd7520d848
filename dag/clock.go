package dag

import (
	"encoding/binary"
	"maps"
	"slices"
)

// clock is a set of blocks closed under "comes before": for each line, the seq
// after the last block that it has (Mattern 1988, over lines). A line that is
// not in it contributes nothing.
type clock map[uint32]uint64

// covers reports whether the block at (line, seq) is in the set.
func (c clock) covers(line uint32, seq uint64) bool { return c[line] > seq }

// add includes the block at (line, seq); the set stays closed only if its
// causal past is joined too.
func (c clock) add(line uint32, seq uint64) { c[line] = max(c[line], seq+1) }

// join makes c the union of both sets.
func (c clock) join(d clock) {
	for line, next := range d {
		c[line] = max(c[line], next)
	}
}

// within reports whether d has all that c has.
func (c clock) within(d clock) bool {
	for line, next := range c {
		if next > d[line] {
			return false
		}
	}
	return true
}

// since returns what c has beyond base.
func (c clock) since(base clock) clock {
	d := clock{}
	for line, next := range c {
		if next > base[line] {
			d[line] = next
		}
	}
	return d
}

// clockFullEvery bounds how many records one clock is made of.
const clockFullEvery = 32

// clockRecord is the clock of a block that names dependencies: whole, or what
// it adds to the record before it on the line.
type clockRecord struct {
	clock clock
	delta uint64 // how many records back the last whole one is; 0 if this is one
}

func (r *clockRecord) encode() []byte {
	b := binary.AppendUvarint(nil, recordVersion)
	b = binary.AppendUvarint(b, r.delta)
	for _, line := range slices.Sorted(maps.Keys(r.clock)) {
		b = binary.AppendUvarint(b, uint64(line))
		b = binary.AppendUvarint(b, r.clock[line])
	}
	return b
}

func decodeClock(b []byte) (clockRecord, error) {
	r := recordReader{b: b}
	r.open()
	rec := clockRecord{clock: clock{}, delta: r.num()}
	var last uint32
	for first := true; len(r.b) > 0 && !r.bad; first = false {
		line := r.num32()
		r.bad = r.bad || !first && line <= last
		rec.clock[line], last = r.num(), line
	}
	return rec, r.close("clock")
}

// past is the causal past of one block, itself included: what its line and its
// dependencies had before, and the line up to the block. base is shared and
// never changed; what it says of the block's own line is out of date.
type past struct {
	base clock
	line uint32
	seq  uint64
}

// covers reports whether the block at (line, seq) is in the past.
func (p past) covers(line uint32, seq uint64) bool {
	if line == p.line {
		return seq <= p.seq
	}
	return p.base.covers(line, seq)
}

// next returns the seq after the last block of a line in the past.
func (p past) next(line uint32) uint64 {
	if line == p.line {
		return p.seq + 1
	}
	return p.base[line]
}

// joinInto adds the past to a clock.
func (p past) joinInto(c clock) {
	c.join(p.base)
	c.add(p.line, p.seq)
}

// clockPast is the base of a stored block's past, and how many records it is
// made of beyond the whole one.
type clockPast struct {
	base  clock
	delta uint64
}

// loadClock returns the base of the past of the block at (line, seq). It reads
// at most clockFullEvery records.
func loadClock(s Reader, line uint32, seq uint64) (clockPast, error) {
	sum := clockPast{base: clock{}}
	var decodeErr error
	found, whole := false, false
	r := Range{Start: clockKey(line, 0), End: clockKey(line, seq+1), Reverse: true}
	err := s.Iterate(r, func(_, v []byte) bool {
		var rec clockRecord
		if rec, decodeErr = decodeClock(v); decodeErr != nil {
			return false
		}
		if !found {
			sum.delta, found = rec.delta, true
		}
		sum.base.join(rec.clock)
		whole = rec.delta == 0
		return !whole
	})
	if err == nil {
		err = decodeErr
	}
	if err == nil && !whole {
		err = corrupt("no whole clock for line %d at %d", line, seq)
	}
	return sum, err
}
