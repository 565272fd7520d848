package dag

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Now is the cut of everything applied.
func (g *Graph) Now() Cut {
	f := g.moment.Load().front
	c := Cut{clock: f.all(), tips: slices.Collect(maps.Keys(f.tips)), views: &viewCache{}}
	slices.SortFunc(c.tips, func(a, b BlockID) int { return slices.Compare(a[:], b[:]) })
	return c
}

// CutOfAll is the union of the causal pasts of blocks, themselves included.
func (g *Graph) CutOfAll(ids []BlockID) (Cut, error) {
	all := Cut{clock: clock{}, tips: slices.Clone(ids), views: &viewCache{}}
	for _, id := range ids {
		c, err := g.CutOf(id)
		if err != nil {
			return Cut{}, err
		}
		all.clock.join(c.clock)
	}
	return all, nil
}

// Before is the causal past of a block without the block.
func (g *Graph) Before(id BlockID) (Cut, error) {
	a, err := g.Block(id)
	if err != nil {
		return Cut{}, err
	}
	ids := slices.Clone(a.Block.Deps)
	if !a.Block.Prev.IsZero() {
		ids = append(ids, a.Block.Prev)
	}
	return g.CutOfAll(ids)
}

// span is what is visible on a fork, whatever the key: for each fork that
// contributes, the cut.
type span map[uint32]before

// spanOf joins the contributions of a fork within a set. With filtered
// contributions the span is a superset of what any key shows; without them it
// is a subset of what every key shows.
func (t *forkTable) spanOf(fork uint32, set before, filtered bool) span {
	out := span{fork: set}
	for num, cut := range t.cutsOf(fork, set, filtered) {
		out[num] = cut.set()
	}
	return out
}

// cutsOf is spanOf without the fork itself.
func (t *forkTable) cutsOf(fork uint32, set before, filtered bool) map[uint32]bound {
	s := t.newSearch(func(*Filter) bool { return filtered }, fork)
	s.run(t.num(fork), allIn(set))
	out := make(map[uint32]bound, len(s.shown))
	for _, c := range s.shown {
		out[c.fork] = c.cut
	}
	return out
}

// reachable lists the fork and every other that contributes to it, whatever
// the filters.
func (t *forkTable) reachable(fork uint32) []uint32 {
	out := []uint32{fork}
	if v := t.sources(fork, everything, ""); len(v.asked) == 0 {
		for _, s := range v.shown {
			out = append(out, s.fork)
		}
	} else {
		out = slices.AppendSeq(out, maps.Keys(t.cutsOf(fork, everything, true)))
	}
	slices.Sort(out)
	return out
}

// ChangedKeys returns, in byte order, the keys of which something may be
// visible on one fork at a cut and not on another at its cut; it leaves none
// out. Its cost grows with the blocks that wrote on the forks in between, not
// with their keys.
func (g *Graph) ChangedKeys(ctx context.Context, from ForkID, at Cut, on ForkID, onAt Cut) ([]string, error) {
	m := g.moment.Load()
	a, b := m.forks.id(from), m.forks.id(on)
	if a == nil || b == nil {
		return nil, fmt.Errorf("compare forks: %w", ErrNotFound)
	}
	c := &comparison{g: g, m: m, from: a, on: b, at: at.set(), onAt: onAt.set(), keys: map[string]bool{}}
	c.filtered = len(m.forks.sources(a.num, c.at, "").asked)+len(m.forks.sources(b.num, c.onAt, "").asked) > 0
	have, know := m.forks.cutsOf(a.num, c.at, true), m.forks.cutsOf(b.num, c.onAt, false)
	for _, num := range slices.Sorted(maps.Keys(have)) {
		if cut := have[num]; num != b.num && !cut.within(know[num]) {
			if err := c.changedOn(ctx, num, cut.set(), know[num].set()); err != nil {
				return nil, err
			}
		}
	}
	if cut, ok := have[b.num]; ok {
		if err := c.changedOn(ctx, b.num, cut.set(), c.onAt); err != nil {
			return nil, err
		}
	}
	known := know[a.num].set()
	if a == b {
		known = c.onAt
	}
	if err := c.changedOn(ctx, a.num, c.at, known); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(c.keys)), nil
}

// comparison is a ChangedKeys under way.
type comparison struct {
	g        *Graph
	m        *moment
	from, on *forkState
	at, onAt before
	filtered bool // filters decide what some key shows
	keys     map[string]bool
}

// differs reports whether a revision is visible on the one fork and not on the
// other.
func (c *comparison) differs(key string, on uint32, at loc) bool {
	l := lineage{forks: c.m.forks}
	return l.visibleAt(c.from.num, c.at, key, on, at) && !l.visibleAt(c.on.num, c.onAt, key, on, at)
}

// changedOn adds the keys that blocks in one set and not in the other wrote on
// a fork.
func (c *comparison) changedOn(ctx context.Context, num uint32, have, know before) error {
	first, err := c.g.firstUnknown(c.m, have, know)
	if err != nil || first == 0 {
		return err
	}
	for {
		page, next, err := c.g.forkLogPage(num, first)
		if err != nil {
			return err
		}
		for _, at := range page {
			if err := ctx.Err(); err != nil {
				return err
			}
			if have.hasBlock(at) && !know.hasBlock(at) {
				if err := c.addKeys(num, at); err != nil {
					return err
				}
			}
		}
		if next == 0 {
			return nil
		}
		first = next
	}
}

// addKeys adds the keys that a block wrote on a fork.
func (c *comparison) addKeys(num uint32, at loc) error {
	_, p, err := loadBlock(c.g.store, at.line, at.seq)
	if err != nil {
		return err
	}
	id := c.m.forks.num(num).id
	for i, r := range p.revs {
		at.index = uint32(i)
		if r.Fork == id && !c.keys[r.Key] && (!c.filtered || c.differs(r.Key, num, at)) {
			c.keys[r.Key] = true
		}
	}
	return nil
}

// firstUnknown returns the lowest arrival number of a block in one set and not
// in the other; 0 if there is none.
func (g *Graph) firstUnknown(m *moment, have, know before) (uint64, error) {
	var first uint64
	for _, l := range m.front.lines[1:] {
		from := max(know.next(l.num), l.first)
		if from >= min(have.next(l.num), l.next) {
			continue
		}
		rec, err := loadBlockRecord(g.store, loc{line: l.num, seq: from})
		if err != nil {
			return 0, err
		}
		if first == 0 || rec.lsn < first {
			first = rec.lsn
		}
	}
	return first, nil
}

// forkLogPage returns the places of blocks that wrote on a fork, in order of
// arrival, and where the next page starts; 0 for none.
func (g *Graph) forkLogPage(num uint32, from uint64) (page []loc, next uint64, err error) {
	var bad error
	r := Range{Start: forkLogKey(num, from), End: prefixEnd(numKey(tagForkLog, num))}
	err = g.store.Iterate(r, func(k, v []byte) bool {
		if len(page) == historyPage {
			next = binary.BigEndian.Uint64(k[5:])
			return false
		}
		rr := recordReader{b: v}
		rr.open()
		at := loc{line: rr.num32(), seq: rr.num() / 2}
		bad = rr.close("fork log")
		page = append(page, at)
		return bad == nil
	})
	return page, next, errors.Join(err, bad)
}

// Preview shows a fork as it would be if another, at a cut, contributed to it.
type Preview struct {
	g    *Graph
	m    *moment
	into *forkState
}

// Preview makes one of what is here now.
func (g *Graph) Preview(into, from ForkID, at Cut, filter *Filter) (*Preview, error) {
	m := *g.moment.Load()
	a, b := m.forks.id(from), m.forks.id(into)
	if a == nil || b == nil {
		return nil, fmt.Errorf("merge forks: %w", ErrNotFound)
	}
	next := *b
	next.contribute(contribution{from: a.num, cut: bound{base: at.clock}, filter: filter})
	next.count = math.MaxInt32 // no record takes this one into account
	m.forks = m.forks.set(&next)
	return &Preview{g, &m, &next}, nil
}

// Entry returns a key as it would be.
func (p *Preview) Entry(key string) (Entry, error) {
	e, err := p.g.lineage(p.m, p.g.store).entry(entryKey{p.into.num, key})
	if err != nil {
		return Entry{}, err
	}
	return *e, nil
}

// Way says how a revision came to be visible on a fork.
type Way uint8

// The ways; where several lead to a revision the first counts.
const (
	Written   Way = iota // on the fork itself, or through the fork of a batch
	Inherited            // there when the fork was made
	Merged
)

// Ways says for each head of an entry how it came to be visible on the entry's
// fork.
func (g *Graph) Ways(e *Entry) []Way { return g.moment.Load().forks.ways(e) }

// Ways is Graph.Ways behind the operations so far, for an entry of Tx.Entry:
// forks that were made in the same batch are no part of the graph yet.
func (tx *Tx) Ways(e *Entry) []Way { return tx.forks.ways(e) }

func (t *forkTable) ways(e *Entry) []Way {
	f := t.id(e.Fork)
	out := make([]Way, len(e.Heads))
	elsewhere := func(h Head) bool { return h.fork != 0 && h.fork != f.num }
	if f == nil || !slices.ContainsFunc(e.Heads, elsewhere) {
		return out
	}
	for i := range e.Heads {
		out[i] = t.way(f, e.Key, e.Heads[i].fork, e.Heads[i].loc)
	}
	return out
}

// way says how a revision of a key on a fork, which is visible on f, came
// there; fork 0 is that of a revision which is not in the graph yet.
func (t *forkTable) way(f *forkState, key string, of uint32, at loc) Way {
	switch {
	case of == 0 || of == f.num:
		return Written
	case t.num(of).label().name == "" && f.takes(of):
		return Written
	case t.inherits(f, key, of, at):
		return Inherited
	}
	return Merged
}

// takes reports whether a fork was merged into another directly.
func (f *forkState) takes(from uint32) (merged bool) {
	fs, _ := f.from.get(from)
	fs.each(func(fl *supply) bool {
		merged = fl.merged >= 0
		return !merged
	})
	return merged
}

// inherits reports whether a revision was there when a fork was made.
func (t *forkTable) inherits(f *forkState, key string, of uint32, at loc) bool {
	return slices.ContainsFunc(f.creation, func(c contribution) bool {
		l := lineage{forks: t}
		return c.filter.Pass(key) && l.visibleAt(c.from, c.cut.set(), key, of, at)
	})
}

// CreationEntry is the entry that a key had on the source of a fork at the cut
// at which the fork was made; ok is false if the fork was not made of one.
func (g *Graph) CreationEntry(fork ForkID, key string) (e Entry, ok bool, err error) {
	m := g.moment.Load()
	f := m.forks.id(fork)
	if f == nil || len(f.creation) == 0 {
		return e, false, nil
	}
	c := f.creation[0]
	e, err = g.EntryAt(m.forks.num(c.from).id, key, Cut{clock: c.cut.clock()})
	return e, err == nil, err
}

// ForkOfHead returns the fork that a head was written on.
func (g *Graph) ForkOfHead(h *Head) (Fork, bool) {
	t := g.moment.Load().forks
	f := t.num(h.fork)
	if f == nil {
		return Fork{}, false
	}
	return t.describe(f), true
}

// Contributed is a contribution as people are told of it.
type Contributed struct {
	From     Fork
	Filter   *Filter
	Creation bool
}

// Contributions lists what contributes to a fork, in order of arrival. What
// contributed again in the same way is listed once.
func (g *Graph) Contributions(fork ForkID) []Contributed {
	t := g.moment.Load().forks
	f := t.id(fork)
	if f == nil {
		return nil
	}
	type listed struct {
		index int
		Contributed
	}
	var all []listed
	f.from.each(func(num uint32, fs supplies) bool {
		from := t.describe(t.num(num))
		fs.each(func(fl *supply) bool {
			if fl.made >= 0 {
				all = append(all, listed{fl.made, Contributed{from, fl.filter, true}})
			}
			if fl.merged >= 0 {
				all = append(all, listed{fl.merged, Contributed{from, fl.filter, false}})
			}
			return true
		})
		return true
	})
	slices.SortFunc(all, func(a, b listed) int { return a.index - b.index })
	var out []Contributed
	for _, l := range all {
		out = append(out, l.Contributed)
	}
	return out
}
