package crdt

import (
	"bytes"
	"cmp"
	"slices"
)

// contender is what the rank of a side depends on.
type contender struct {
	rank  int
	top   Write // the highest (Time, Chain, ID)
	own   bool  // some write is Written or Inherited
	shape shape // tells groups of one revision apart
	// deletion: nothing in it is a value.
	deletion bool
	// inherited are the writes that were there when the fork was made.
	inherited []RevisionID
	// sourceRank is the best rank that one of those had on the source then.
	sourceRank int
}

func (c *contender) add(w Write) {
	if c.top.ID.IsZero() || compareClaims(w, c.top) > 0 {
		c.top = w
	}
	if w.Origin != Merged {
		c.own = true
	}
	if w.Origin == Inherited {
		c.inherited = append(c.inherited, w.ID)
	}
}

// rank numbers the sides of one conflict from 0, which is served, by rule 5
// of the model:
//
//   - sides of the fork's own line (written there, or there when it was made)
//     before the others;
//   - sides that were there when the fork was made among themselves in the
//     order that they had on the source;
//   - otherwise a value before a deletion, then the highest (time, chain, id).
//
// The second and third could form a circle: two inherited sides A before B by
// the source, and a side C that was written here, later than A and earlier
// than B. The inherited sides are therefore one queue that keeps its order,
// the written ones another, and of the two sides in front the third rule takes
// the next. Where no circle exists, that is the one order that fits all three.
//
// source is asked only if two sides were inherited.
func rank(at Path, sides []side, source func() sourceRanks) {
	were := 0
	for i := range sides {
		if len(sides[i].inherited) > 0 {
			were++
		}
	}
	var ranks sourceRanks
	if were > 1 {
		ranks = source()
	}
	var inherited, written, merged []*contender
	for i := range sides {
		c := &sides[i].contender
		var ok bool
		c.sourceRank, ok = ranks.best(at, c.inherited)
		switch {
		case ok:
			inherited = append(inherited, c)
		case c.own:
			written = append(written, c)
		default:
			merged = append(merged, c)
		}
	}
	slices.SortFunc(inherited, func(a, b *contender) int {
		return cmp.Or(cmp.Compare(a.sourceRank, b.sourceRank), compareContenders(a, b))
	})
	slices.SortFunc(written, compareContenders)
	slices.SortFunc(merged, compareContenders)
	for i, c := range append(zip(inherited, written), merged...) {
		c.rank = i
	}
}

// zip takes from two queues, always the better of the two sides in front.
func zip(a, b []*contender) []*contender {
	out := make([]*contender, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if compareContenders(a[0], b[0]) < 0 {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// compareContenders is negative when a ranks before b by the third rule.
func compareContenders(a, b *contender) int {
	if a.deletion != b.deletion {
		if b.deletion {
			return -1
		}
		return 1
	}
	return cmp.Or(compareClaims(b.top, a.top), cmp.Compare(a.shape, b.shape))
}

// compareClaims orders writes by (Time, Chain, ID).
func compareClaims(a, b Write) int {
	return cmp.Or(
		cmp.Compare(a.Time, b.Time),
		bytes.Compare(a.Chain[:], b.Chain[:]),
		bytes.Compare(a.ID[:], b.ID[:]),
	)
}

// sourceRanks are the ranks of sides, by the path of the conflict and by their
// revisions.
type sourceRanks map[sidePlace]int

type sidePlace struct {
	path     Path
	revision RevisionID
}

// add keeps the lowest rank.
func (r sourceRanks) add(p sidePlace, rank int) {
	if old, ok := r[p]; !ok || rank < old {
		r[p] = rank
	}
}

// best returns the lowest rank that one of the revisions had; false for none.
func (r sourceRanks) best(at Path, revisions []RevisionID) (best int, ok bool) {
	for _, id := range revisions {
		if rank, there := r[sidePlace{at, id}]; there && (!ok || rank < best) {
			best, ok = rank, true
		}
	}
	return best, ok
}

// ranks returns the ranks that sides have in v: those of its conflicts, and of
// the conflicts inside their sides.
func (v View) ranks() sourceRanks {
	ranks := make(sourceRanks)
	for p, rank := range v.inner {
		ranks.add(p, rank)
	}
	for _, c := range v.Conflicts {
		for _, s := range c.Sides {
			for _, id := range s.Revisions {
				ranks.add(sidePlace{c.Path, id}, s.Rank)
			}
		}
	}
	return ranks
}
