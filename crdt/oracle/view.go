package oracle

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"

	"crush/crdt"
)

// sides are rules 2 to 4 for a register: its heads by content, where all
// deletions have one content, and a value's content is its kind and bytes.
// They are in the order of their smallest IDs.
func (o *Oracle) sides(fork crdt.ForkID, key string) [][]Revision {
	var sides [][]Revision
	for _, r := range o.Heads(fork, key) {
		i := slices.IndexFunc(sides, func(side []Revision) bool {
			s := side[0]
			return r.Deleted && s.Deleted ||
				!r.Deleted && !s.Deleted && r.Kind == s.Kind && bytes.Equal(r.Value, s.Value)
		})
		if i < 0 {
			sides = append(sides, []Revision{r})
		} else {
			sides[i] = append(sides[i], r)
		}
	}
	return sides
}

// top returns the revision of a side with the highest (time, chain, CID).
func top(side []Revision) Revision { return slices.MaxFunc(side, compareClaims) }

func compareClaims(a, b Revision) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), bytes.Compare(a.Chain[:], b.Chain[:]), bytes.Compare(a.ID[:], b.ID[:]))
}

// ranked is rule 5: the sides, the one that is served first. A side may stand
// next as long as no side is left that stood before it on the source; of those
// that may, the best by the rest of the rule does.
func (o *Oracle) ranked(fork crdt.ForkID, key string) [][]Revision {
	var done [][]Revision
	left := o.sides(fork, key)
	for len(left) > 0 {
		best := -1
		for i, side := range left {
			may := !slices.ContainsFunc(left, func(other []Revision) bool {
				return o.beforeOnSource(fork, key, other, side)
			})
			if may && (best < 0 || o.better(fork, side, left[best])) {
				best = i
			}
		}
		done = append(done, left[best])
		left = slices.Delete(left, best, best+1)
	}
	return done
}

// better is rule 5 without the source.
func (o *Oracle) better(fork crdt.ForkID, a, b []Revision) bool {
	own := func(side []Revision) bool {
		return slices.ContainsFunc(side, func(r Revision) bool { return o.Origin(fork, r) != crdt.Merged })
	}
	switch {
	case own(a) != own(b):
		return own(a)
	case a[0].Deleted != b[0].Deleted:
		return b[0].Deleted
	}
	return compareClaims(top(a), top(b)) > 0
}

// beforeOnSource: both were there when the fork was made, and a ranked before
// b on the source then.
func (o *Oracle) beforeOnSource(fork crdt.ForkID, key string, a, b []Revision) bool {
	c, ok := o.creation(fork)
	if !ok {
		return false
	}
	then := o.At(c.Cut).ranked(c.From, key)
	rank := func(side []Revision) int { // -1: was not there
		return slices.IndexFunc(then, func(source []Revision) bool {
			return slices.ContainsFunc(source, func(s Revision) bool {
				return slices.ContainsFunc(side, func(r Revision) bool {
					return r.ID == s.ID && o.Origin(fork, r) == crdt.Inherited
				})
			})
		})
	}
	return rank(a) >= 0 && rank(b) >= 0 && rank(a) < rank(b)
}

// View returns what a read of the key on the fork must return.
func (o *Oracle) View(fork crdt.ForkID, key string) crdt.View {
	ranked := o.ranked(fork, key)
	if len(ranked) == 0 {
		return crdt.View{}
	}
	served := top(ranked[0])
	v := crdt.View{Served: served.ID, Kind: served.Kind, Deleted: served.Deleted}
	for _, side := range ranked {
		if k := side[0].Kind; !side[0].Deleted && k != crdt.Bytes && k != crdt.Text {
			v.Opaque = true
		}
	}
	if len(ranked) > 1 {
		v.Conflicts = []crdt.Conflict{o.conflict(fork, key, ranked)}
	}
	return v
}

// conflict is rule 7.
func (o *Oracle) conflict(fork crdt.ForkID, key string, ranked [][]Revision) crdt.Conflict {
	c := crdt.Conflict{Path: "/", Kind: crdt.ValueConflict}
	kinds := make(map[crdt.Kind]bool)
	state := []byte("crush/conflict-state/1")
	for i, side := range o.sides(fork, key) {
		t := top(side)
		s := crdt.Side{Letter: nthLetter(i), Deleted: t.Deleted, Kind: t.Kind, Revision: t.ID}
		s.Rank = slices.IndexFunc(ranked, func(r []Revision) bool { return r[0].ID == side[0].ID })
		if t.Deleted {
			c.Kind = crdt.DeleteEditConflict
		} else {
			s.Value = sha256.Sum256(t.Value)
			kinds[t.Kind] = true
		}
		for _, r := range side {
			s.Revisions = append(s.Revisions, r.ID)
		}
		c.Sides = append(c.Sides, s)
	}
	if len(kinds) > 1 {
		c.Kind = crdt.TypeConflict
	}
	for _, r := range o.Heads(fork, key) {
		state = append(state, r.ID[:]...)
	}
	id := fmt.Appendf(nil, "crush/conflict/1%s%s%s%s%s",
		fork[:], bigEndian(len(key)), key, bigEndian(len(c.Path)), c.Path)
	idSum, stateSum := sha256.Sum256(id), sha256.Sum256(state)
	copy(c.ID[:], idSum[:])
	copy(c.State[:], stateSum[:])
	return c
}

// bigEndian writes n in 8 bytes.
func bigEndian(n int) []byte {
	b := make([]byte, 8)
	for i := range b {
		b[7-i] = byte(n >> (8 * i))
	}
	return b
}

// nthLetter steps through a, b, … z, aa, ab, … from the start.
func nthLetter(n int) string {
	s := []byte("a")
	for range n {
		i := len(s) - 1
		for i >= 0 && s[i] == 'z' {
			s[i] = 'a'
			i--
		}
		if i < 0 {
			s = append([]byte("a"), s...)
		} else {
			s[i]++
		}
	}
	return string(s)
}
