package crdt

import (
	"bytes"
	"cmp"
	"slices"
)

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
func rank(sides []side, source View) {
	ranks := sourceRanks(source)
	var inherited, written, merged []queued
	for i := range sides {
		s := &sides[i]
		sourceRank, ok := ranks[s.inherited]
		q := queued{s, sourceRank}
		switch {
		case ok:
			inherited = append(inherited, q)
		case s.own:
			written = append(written, q)
		default:
			merged = append(merged, q)
		}
	}
	slices.SortFunc(inherited, func(a, b queued) int {
		return cmp.Or(cmp.Compare(a.sourceRank, b.sourceRank), compareSides(a, b))
	})
	slices.SortFunc(written, compareSides)
	slices.SortFunc(merged, compareSides)
	for i, q := range append(zip(inherited, written), merged...) {
		q.rank = i
	}
}

// queued is a side with the rank that it had on the source, if any.
type queued struct {
	*side
	sourceRank int
}

// zip takes from two queues, always the better of the two sides in front.
func zip(a, b []queued) []queued {
	out := make([]queued, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if compareSides(a[0], b[0]) < 0 {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// compareSides is negative when a ranks before b by the third rule.
func compareSides(a, b queued) int {
	if a.top.Deleted != b.top.Deleted {
		if b.top.Deleted {
			return -1
		}
		return 1
	}
	return compareClaims(b.top, a.top)
}

// compareClaims orders writes by (Time, Chain, ID).
func compareClaims(a, b Write) int {
	return cmp.Or(
		cmp.Compare(a.Time, b.Time),
		bytes.Compare(a.Chain[:], b.Chain[:]),
		bytes.Compare(a.ID[:], b.ID[:]),
	)
}

// sourceRanks returns the rank of every revision in the conflicts of v.
func sourceRanks(v View) map[RevisionID]int {
	ranks := make(map[RevisionID]int)
	for _, c := range v.Conflicts {
		for _, s := range c.Sides {
			for _, id := range s.Revisions {
				ranks[id] = s.Rank
			}
		}
	}
	return ranks
}
