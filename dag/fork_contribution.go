package dag

import (
	"maps"
	"math"
	"slices"
)

// bound is a closed set of blocks that is held as small as can be: a clock that
// is shared with others and never changed, and one line of which the bound says
// something else. The zero value is empty; line 0 is no line.
type bound struct {
	base clock
	line uint32
	end  uint64 // seq after the last block of line in the set
}

// next returns the seq after the last block of a line in the set.
func (b bound) next(line uint32) uint64 {
	if line == b.line {
		return b.end
	}
	return b.base[line]
}

func (b bound) covers(line uint32, seq uint64) bool { return b.next(line) > seq }

// has reports whether the block of a revision is in the set.
func (b bound) has(at loc) bool { return b.covers(at.line, at.seq) }

// within reports whether d has all that b has.
func (b bound) within(d bound) bool {
	if b.end > d.next(b.line) {
		return false
	}
	for line, next := range b.base {
		if next > d.next(line) && line != b.line {
			return false
		}
	}
	return true
}

// clock returns the set as a clock of its own.
func (b bound) clock() clock {
	c := maps.Clone(b.base)
	if c == nil {
		c = clock{}
	}
	delete(c, b.line)
	if b.line != 0 && b.end > 0 {
		c[b.line] = b.end
	}
	return c
}

// join returns the union; one of the two if it has all of the other.
func (b bound) join(d bound) bound {
	switch {
	case b.within(d):
		return d
	case d.within(b):
		return b
	}
	c := b.clock()
	c.join(d.clock())
	return bound{base: c}
}

func (b bound) set() before { return before{next: b.next, lines: b.lines} }

// lines lists the lines that the set has blocks of, in order.
func (b bound) lines() []uint32 { return slices.Sorted(maps.Keys(b.clock())) }

// before is the past of a revision without it.
func (p past) before(at loc) before { return before{next: p.next, within: at, lines: p.upTo().lines} }

// upTo is the past of a block, itself included.
func (p past) upTo() bound { return bound{p.base, p.line, p.seq + 1} }

// below is the past of a block without the block.
func (p past) below() bound { return bound{p.base, p.line, p.seq} }

// lacking says where a set that is in the past has less than below: for each
// such line, the seq after the last block that it has.
func (p past) lacking(b bound) clock {
	out := clock{}
	for line, next := range p.below().clock() {
		if has := b.next(line); has < next {
			out[line] = has
		}
	}
	return out
}

// less is below with what it lacks; it shares the base of the past if it can.
func (p past) less(lacks clock) bound {
	b := p.below()
	if has, ok := lacks[p.line]; ok && len(lacks) == 1 {
		b.end = has
	} else if len(lacks) > 0 {
		c := b.clock()
		maps.Copy(c, lacks)
		b = bound{base: c}
	}
	return b
}

// contribution makes what was visible on a fork at a cut visible on another.
type contribution struct {
	from     uint32
	cut      bound
	filter   *Filter
	at       loc  // block of its operation
	creation bool // it stands in the fork's creation
}

// supply is the contributions of one fork to another that have one filter. It is
// replaced, never changed.
type supply struct {
	filter *Filter
	made   int     // place among the fork's contributions of the first that stands in a creation; -1 for none
	merged int     // the same of the first that does not
	last   int     // the same of the last of all
	all    bound   // what they show together
	lines  []steps // by the lines of their operations
}

// steps is what the contributions of a supply whose operations stand on one line
// show. Each step includes those before it: whoever has seen an operation has
// seen those before it on its line, and what is visible at a union of cuts is
// the union of what is visible at each. A contribution that shows nothing more
// has no step, so that merging again and again what stands still is free.
type steps struct {
	line uint32
	list numMap[step] // from 0
}

type step struct {
	seq   uint64 // of the operation's block
	index int    // place among the fork's contributions
	cut   bound
}

// with returns the supply with one more contribution.
func (f *supply) with(c *contribution, index int) *supply {
	next := &supply{filter: c.filter, made: -1, merged: -1}
	if f != nil {
		*next = *f
	}
	if c.creation && next.made < 0 {
		next.made = index
	}
	if !c.creation && next.merged < 0 {
		next.merged = index
	}
	next.last, next.all = index, next.all.join(c.cut)
	i := slices.IndexFunc(next.lines, func(l steps) bool { return l.line == c.at.line })
	if i < 0 {
		i, next.lines = len(next.lines), append(slices.Clip(next.lines), steps{line: c.at.line})
	} else {
		next.lines = slices.Clone(next.lines)
	}
	l := &next.lines[i]
	s := step{c.at.seq, index, c.cut}
	if l.list.len > 0 {
		before, _ := l.list.get(uint32(l.list.len - 1))
		if c.cut.within(before.cut) {
			return next
		}
		s.cut = before.cut.join(c.cut)
	}
	l.list = l.list.with(uint32(l.list.len), s)
	return next
}

// choice is some contributions of a fork: those whose operations are in a set,
// of the first that came.
type choice struct {
	set   before
	first int
}

// allIn is every contribution whose operation is in a set.
func allIn(set before) choice { return choice{set, math.MaxInt} }

// chosen returns what the chosen contributions of the supply show; ok is false
// if none is chosen.
func (f *supply) chosen(c choice) (cut bound, ok bool) {
	if c.set.all && f.last < c.first {
		return f.all, true
	}
	for i := range f.lines {
		l := &f.lines[i]
		end := c.set.next(l.line)
		n := lowerBound(l.list.len, func(i int) bool {
			s, _ := l.list.get(uint32(i))
			return s.index >= c.first || s.seq >= end
		})
		if n > 0 {
			s, _ := l.list.get(uint32(n - 1))
			cut, ok = cut.join(s.cut), true
		}
	}
	return cut, ok
}

// supplies is the contributions of one fork to another, by their filters.
type supplies struct{ by textMap[*supply] }

// filterName is different for different filters; "" for none.
func filterName(f *Filter) string {
	if f == nil {
		return ""
	}
	return string(marshal(f, nil))
}

func (fs supplies) with(c *contribution, index int) supplies {
	name := filterName(c.filter)
	old, _ := fs.by.get(name)
	return supplies{fs.by.with(name, old.with(c, index))}
}

// each yields the supply without a filter first: it may make others needless.
func (fs supplies) each(yield func(*supply) bool) {
	plain, ok := fs.by.get("")
	if ok && !yield(plain) {
		return
	}
	fs.by.each(func(name string, f *supply) bool { return name == "" || yield(f) })
}

// contribute adds a contribution to a copy of a fork.
func (f *forkState) contribute(c contribution) {
	old, _ := f.from.get(c.from)
	f.from = f.from.with(c.from, old.with(&c, f.count))
	f.count++
}

// shows reports whether contributions to a fork show as much as one more would,
// of every key that it would.
func (f *forkState) shows(c *contribution) bool {
	fs, _ := f.from.get(c.from)
	fl, ok := fs.by.get(filterName(c.filter))
	return ok && c.cut.within(fl.all)
}
