package dag

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Now is the cut of everything applied.
func (g *Graph) Now() Cut {
	f := g.moment.Load().front
	c := Cut{clock: f.all(), tips: slices.Collect(maps.Keys(f.tips))}
	slices.SortFunc(c.tips, func(a, b BlockID) int { return slices.Compare(a[:], b[:]) })
	return c
}

// CutOfAll is the union of the causal pasts of blocks, themselves included.
func (g *Graph) CutOfAll(ids []BlockID) (Cut, error) {
	all := Cut{clock: clock{}, tips: slices.Clone(ids)}
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
	found := map[uint32]clock{}
	t.spanReach(fork, set, filtered, found)
	out := span{}
	for num, c := range found {
		out[num] = before{next: func(line uint32) uint64 { return c[line] }}
	}
	out[fork] = set
	return out
}

func (t *forkTable) spanReach(fork uint32, set before, filtered bool, found map[uint32]clock) {
	for _, c := range slices.Backward(t.byNum[fork].within(set)) {
		if !set.hasBlock(c.at) || c.filter != nil && !filtered {
			continue
		}
		old, seen := found[c.from]
		if seen && c.cut.within(old) {
			continue
		}
		joined := maps.Clone(c.cut)
		joined.join(old)
		found[c.from] = joined
		t.spanReach(c.from, before{next: func(line uint32) uint64 { return joined[line] }}, filtered, found)
	}
}

// ChangedKeys returns, in byte order, the keys of which something may be
// visible on one fork at a cut and not on another at its cut; it leaves none
// out. Its cost grows with the blocks that wrote on the forks in between, not
// with their keys.
func (g *Graph) ChangedKeys(ctx context.Context, from ForkID, at Cut, on ForkID, onAt Cut) ([]string, error) {
	m := g.moment.Load()
	a, b := m.forks.byID[from], m.forks.byID[on]
	if a == nil || b == nil {
		return nil, fmt.Errorf("compare forks: %w", ErrNotFound)
	}
	have, know := m.forks.spanOf(a.num, at.set(), true), m.forks.spanOf(b.num, onAt.set(), false)
	keys := map[string]bool{}
	for _, num := range slices.Sorted(maps.Keys(have)) {
		if err := g.changedOn(ctx, m, num, have[num], know[num], keys); err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(keys)), nil
}

// changedOn adds the keys that blocks in one set and not in the other wrote on
// a fork.
func (g *Graph) changedOn(ctx context.Context, m *moment, num uint32, have, know before, keys map[string]bool) error {
	if know.next == nil {
		know = before{next: func(uint32) uint64 { return 0 }}
	}
	first, err := g.firstUnknown(m, have, know)
	if err != nil || first == 0 {
		return err
	}
	id := m.forks.byNum[num].id
	for {
		page, next, err := g.forkLogPage(num, first)
		if err != nil {
			return err
		}
		for _, at := range page {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !have.hasBlock(at) || know.hasBlock(at) {
				continue
			}
			_, p, err := loadBlock(g.store, at.line, at.seq)
			if err != nil {
				return err
			}
			for _, r := range p.revs {
				if r.Fork == id {
					keys[r.Key] = true
				}
			}
		}
		if next == 0 {
			return nil
		}
		first = next
	}
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

// MergedEntry is the entry that a key would have on a fork if another fork, at
// a cut, contributed to it.
func (g *Graph) MergedEntry(into, from ForkID, at Cut, filter *Filter, key string) (Entry, error) {
	m := *g.moment.Load()
	a, b := m.forks.byID[from], m.forks.byID[into]
	if a == nil || b == nil {
		return Entry{}, fmt.Errorf("merge forks: %w", ErrNotFound)
	}
	next := *b
	next.contribute(contribution{from: a.num, cut: at.clock, filter: filter})
	m.forks = m.forks.set(&next)
	e, err := g.lineage(&m, g.store).entry(entryKey{b.num, key})
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
func (g *Graph) Ways(e *Entry) []Way {
	t := g.moment.Load().forks
	f := t.byID[e.Fork]
	out := make([]Way, len(e.Heads))
	elsewhere := func(h Head) bool { return h.fork != 0 && h.fork != f.num }
	if f == nil || !slices.ContainsFunc(e.Heads, elsewhere) {
		return out
	}
	made := *f
	made.contribs = slices.DeleteFunc(slices.Clone(f.contribs), func(c contribution) bool { return !c.creation })
	made.active = made.contribs
	creation := lineage{forks: t.set(&made)}
	for i := range e.Heads {
		h := &e.Heads[i]
		switch on := t.byNum[h.fork]; {
		case h.fork == 0 || h.fork == f.num || on.label().name == "" && t.mergedInto(f, h.fork):
		case creation.visibleAt(f.num, everything, e.Key, h.fork, h.loc):
			out[i] = Inherited
		default:
			out[i] = Merged
		}
	}
	return out
}

// mergedInto reports whether a fork was merged into another directly.
func (t *forkTable) mergedInto(f *forkState, from uint32) bool {
	return slices.ContainsFunc(f.contribs, func(c contribution) bool { return c.from == from && !c.creation })
}

// CreationEntry is the entry that a key had on the source of a fork at the cut
// at which the fork was made; ok is false if the fork was not made of one.
func (g *Graph) CreationEntry(fork ForkID, key string) (e Entry, ok bool, err error) {
	m := g.moment.Load()
	f := m.forks.byID[fork]
	if f == nil || len(f.contribs) == 0 || !f.contribs[0].creation {
		return e, false, nil
	}
	c := f.contribs[0]
	e, err = g.EntryAt(m.forks.byNum[c.from].id, key, Cut{clock: c.cut})
	return e, err == nil, err
}

// ForkOfHead returns the fork that a head was written on.
func (g *Graph) ForkOfHead(h *Head) (Fork, bool) {
	t := g.moment.Load().forks
	if h.fork == 0 || int(h.fork) >= len(t.byNum) {
		return Fork{}, false
	}
	return t.describe(t.byNum[h.fork]), true
}

// Contributed is a contribution as people are told of it.
type Contributed struct {
	From     Fork
	Filter   *Filter
	Creation bool
}

// Contributions lists what contributes to a fork, in order of arrival.
func (g *Graph) Contributions(fork ForkID) []Contributed {
	t := g.moment.Load().forks
	f := t.byID[fork]
	if f == nil {
		return nil
	}
	var out []Contributed
	for _, c := range f.contribs {
		out = append(out, Contributed{t.describe(t.byNum[c.from]), c.filter, c.creation})
	}
	return out
}
