package dag

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Unmerged reports whether a fork shows a revision that no other live fork with
// a name shows: one that nobody would find if the fork were deleted.
func (g *Graph) Unmerged(fork ForkID) (bool, error) {
	m := g.moment.Load()
	f := m.forks.byID[fork]
	if f == nil {
		return false, fmt.Errorf("fork %s: %w", fork, ErrNotFound)
	}
	u := &unmerged{g: g, m: m, fork: f, lineage: g.lineage(m, g.store)}
	for _, other := range m.forks.byNum[1:] {
		if other != f && found(other) {
			u.others = append(u.others, reader{other, m.forks.spanOf(other.num, everything, false), m.forks.spanOf(other.num, everything, true)})
		}
	}
	shows := m.forks.spanOf(f.num, everything, true)
	for _, num := range slices.Sorted(maps.Keys(shows)) {
		on := m.forks.byNum[num]
		if on != f && found(on) {
			continue // it shows what was written on it
		}
		if only, err := u.on(on, shows[num]); only || err != nil {
			return only, err
		}
	}
	return false, nil
}

// found reports whether people find a fork in a list.
func found(f *forkState) bool { return f.label().name != "" && !f.deleted() }

// unmerged is a search for what only one fork shows.
type unmerged struct {
	g       *Graph
	m       *moment
	fork    *forkState
	others  []reader
	lineage *lineage
}

// reader is a fork, and what it shows of others: of every key at least, and of
// any key at most.
type reader struct {
	fork        *forkState
	least, most span
}

// on reports whether there is such a revision among those that were written on
// a fork within a set.
func (u *unmerged) on(f *forkState, set before) (bool, error) {
	var everyKey []before // what others show, whatever the key
	var someKeys []*forkState
	for _, r := range u.others {
		if s, ok := r.least[f.num]; ok {
			everyKey = append(everyKey, s)
		}
		if _, ok := r.most[f.num]; ok {
			someKeys = append(someKeys, r.fork)
		}
	}
	var first uint64
	for {
		page, next, err := u.g.forkLogPage(f.num, first)
		if err != nil {
			return false, err
		}
		for _, at := range page {
			if !set.hasBlock(at) || slices.ContainsFunc(everyKey, func(s before) bool { return s.hasBlock(at) }) {
				continue
			}
			if only, err := u.in(f, at, someKeys); only || err != nil {
				return only, err
			}
		}
		if next == 0 {
			return false, nil
		}
		first = next
	}
}

// in reports whether there is such a revision in a block.
func (u *unmerged) in(f *forkState, at loc, others []*forkState) (bool, error) {
	_, p, err := loadBlock(u.g.store, at.line, at.seq)
	if err != nil {
		return false, err
	}
	for i, r := range p.revs {
		if r.Fork != f.id {
			continue
		}
		at.index = uint32(i)
		switch _, err := u.g.store.Get(historyKey(f.num, r.Key, at)); {
		case errors.Is(err, ErrNotFound): // it is void
			continue
		case err != nil:
			return false, err
		}
		shows := func(o *forkState) bool { return u.lineage.visibleAt(o.num, everything, r.Key, f.num, at) }
		if shows(u.fork) && !slices.ContainsFunc(others, shows) {
			return true, nil
		}
	}
	return false, nil
}
