package dag

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Unmerged reports whether a fork shows a revision that no other live fork with
// a name shows: one that nobody would find if the fork were deleted. It follows
// each contribution of all forks once or twice, and reads the blocks that it
// finds no other fork to show whole.
func (g *Graph) Unmerged(fork ForkID) (bool, error) {
	m := g.moment.Load()
	f := m.forks.id(fork)
	if f == nil {
		return false, fmt.Errorf("fork %s: %w", fork, ErrNotFound)
	}
	u := &unmerged{g: g, m: m, fork: f, lineage: g.lineage(m, g.store)}
	for other := range m.forks.each {
		if other != f && found(other) {
			u.others = append(u.others, other)
		}
	}
	u.least = u.search(func(*Filter) bool { return false })
	u.least.all(u.others)
	u.most = u.search(func(*Filter) bool { return true })
	u.most.all(u.others)
	shows := m.forks.cutsOf(f.num, everything, true)
	for _, num := range slices.Sorted(maps.Keys(shows)) {
		on := m.forks.num(num)
		if found(on) {
			continue // it shows what was written on it
		}
		if only, err := u.on(on, shows[num].set()); only || err != nil {
			return only, err
		}
	}
	return u.on(f, everything)
}

// found reports whether people find a fork in a list.
func found(f *forkState) bool { return f.label().name != "" && !f.deleted() }

// unmerged is a search for what only one fork shows.
type unmerged struct {
	g           *Graph
	m           *moment
	fork        *forkState
	others      []*forkState
	least, most *search // what they show: of every key at least, and of any key at most
	lineage     *lineage
}

// search begins a search of what the others show.
func (u *unmerged) search(pass func(*Filter) bool) *search {
	s := u.m.forks.newSearch(pass)
	for _, o := range u.others {
		s.starts[o.num] = true
	}
	return s
}

// all follows all contributions of some forks.
func (s *search) all(forks []*forkState) {
	for _, f := range forks {
		if !s.done {
			s.run(f, allIn(everything))
		}
	}
}

// cut is what was found of a fork.
func (s *search) cut(num uint32) bound {
	if i, ok := s.at[num]; ok {
		return s.shown[i].cut
	}
	return bound{}
}

// elsewhere reports whether another fork shows a revision of a key.
func (u *unmerged) elsewhere(key string, on uint32, at loc) bool {
	if !u.most.cut(on).has(at) {
		return false
	}
	s := u.search(func(f *Filter) bool { return f.Pass(key) })
	s.target, s.enough = on, func(cut bound) bool { return cut.has(at) }
	s.all(u.others)
	return s.done
}

// on reports whether there is such a revision among those that were written on
// a fork within a set.
func (u *unmerged) on(f *forkState, set before) (bool, error) {
	shown := u.least.cut(f.num) // by some other, whatever the key
	var first uint64
	for {
		page, next, err := u.g.forkLogPage(f.num, first)
		if err != nil {
			return false, err
		}
		for _, at := range page {
			if !set.hasBlock(at) || shown.has(at) {
				continue
			}
			if only, err := u.in(f, at); only || err != nil {
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
func (u *unmerged) in(f *forkState, at loc) (bool, error) {
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
		if u.lineage.visibleAt(u.fork.num, everything, r.Key, f.num, at) && !u.elsewhere(r.Key, f.num, at) {
			return true, nil
		}
	}
	return false, nil
}
