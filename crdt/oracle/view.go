package oracle

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"crush/crdt"
)

// Reading is what a read of a key must return: a view, and the values that are
// in it as plain leaves, by their paths. A counter is the number at "/", an
// element of a set is at "/[element]", a register's leaf is the sum of the
// payload.
type Reading struct {
	// View has no documents and no texts.
	View crdt.View
	// Leaves are what is served.
	Leaves map[crdt.Path]string
	// Sides are what each side of each conflict serves, in View's order.
	Sides [][]map[crdt.Path]string
	// Exact: the whole value of View.Served is what is served.
	Exact bool

	ranks map[crdt.Path]map[crdt.RevisionID]int
}

// View returns what a read of the key on the fork must return.
func (o *Oracle) View(fork crdt.ForkID, key string) crdt.View { return o.Read(fork, key).View }

// Read returns View and what is in it.
func (o *Oracle) Read(fork crdt.ForkID, key string) Reading {
	s := o.scene(fork, key)
	if len(s.entries) == 0 {
		return Reading{}
	}
	live := s.live("/")
	what := s.serve("/")
	r := Reading{Leaves: what.leaves}
	var candidates []Revision
	for _, p := range s.outermost("/", live) {
		c, ranked := s.conflict(fork, key, p, live)
		sides := make([]map[crdt.Path]string, len(c.Sides))
		for i, side := range s.sides(p, live) {
			v := side.serve()
			what.take(served{ranks: v.ranks})
			sides[i] = v.leaves
		}
		r.View.Conflicts = append(r.View.Conflicts, c)
		r.Sides = append(r.Sides, sides)
		if p == "/" {
			candidates = ranked[0].revisions()
		}
	}
	r.ranks = what.ranks
	r.serve(o, s, what, candidates)
	r.View.Opaque = s.isOpaque(live, o.Heads(fork, key))
	return r
}

// isOpaque: what is live has a value without rules. The only head's payload is
// taken to be what its kind says.
func (s *scene) isOpaque(live []mark, heads []Revision) bool {
	if len(heads) == 1 && !heads[0].Open {
		return !heads[0].Deleted && !heads[0].Kind.Known()
	}
	return slices.ContainsFunc(live, func(m mark) bool { return m.content != DEL && opaque(m.class) })
}

// serve finds the head whose text and kind go with what is served: of the heads
// that are, or have seen, the side that is served at "/", the first of those
// whose whole value that is, of those of its class, of a document of those of
// the fork's own line, and then the highest (time, chain, CID).
func (r *Reading) serve(o *Oracle, s *scene, what served, side []Revision) {
	heads := slices.DeleteFunc(s.heads(), func(h Revision) bool {
		return len(side) > 0 && !slices.ContainsFunc(side, func(c Revision) bool { return c.ID == h.ID || s.hasSeen(h, c) })
	})
	yes := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	best := slices.MaxFunc(heads, func(a, b Revision) int {
		return cmp.Or(
			cmp.Compare(yes(isWhole(a, what)), yes(isWhole(b, what))),
			cmp.Compare(yes(wholeClass(a) == what.class), yes(wholeClass(b) == what.class)),
			cmp.Compare(yes(what.class == document && o.own(s.fork, a)), yes(what.class == document && o.own(s.fork, b))),
			compareClaims(a, b),
		)
	})
	r.Exact = isWhole(best, what)
	r.View.Served, r.View.Kind, r.View.Deleted = best.ID, best.Kind, what.class == ""
	switch {
	case what.class == document && (best.Deleted || classOf(best) != document):
		r.View.Kind = crdt.JSON
	case opaqueOrRegister(what.class) && !r.Exact:
		r.View.Kind = what.author.Kind
	case what.class == counter:
		r.View.Kind = crdt.Counter
	case what.class == set:
		r.View.Kind = crdt.Set
	}
}

func opaqueOrRegister(class string) bool {
	return class != "" && class != document && class != counter && class != set
}

func wholeClass(r Revision) string {
	if r.Deleted {
		return ""
	}
	return asWhole(r).class
}

func isWhole(r Revision, what served) bool {
	if r.Deleted {
		return what.class == ""
	}
	e := asWhole(r)
	return e.class == what.class && maps.Equal(e.writes, what.leaves)
}

// heads are the revisions of the scene that no other one has seen.
func (s *scene) heads() []Revision {
	var heads []Revision
	for _, e := range s.entries {
		if !slices.ContainsFunc(s.entries, func(f entry) bool { return s.hasSeen(f.Revision, e.Revision) }) {
			heads = append(heads, e.Revision)
		}
	}
	return heads
}

// top returns the revision with the highest (time, chain, CID).
func top(revisions []Revision) Revision { return slices.MaxFunc(revisions, compareClaims) }

func compareClaims(a, b Revision) int {
	return cmp.Or(cmp.Compare(a.Time, b.Time), bytes.Compare(a.Chain[:], b.Chain[:]), bytes.Compare(a.ID[:], b.ID[:]))
}

// own: it is of the fork's own line.
func (o *Oracle) own(fork crdt.ForkID, r Revision) bool { return o.Origin(fork, r) != crdt.Merged }

// ranked is rule 5: the sides, the one that is served first. A side may stand
// next as long as no side is left that stood before it on the source; of those
// that may, the best by the rest of the rule does.
func (s *scene) ranked(at crdt.Path, sides []side) []side {
	then := s.sourceRanks()[at]
	rank := func(a side) int { // -1: was not there
		best := -1
		for _, r := range a.revisions() {
			if rank, ok := then[r.ID]; ok && s.o.Origin(s.fork, r) == crdt.Inherited && (best < 0 || rank < best) {
				best = rank
			}
		}
		return best
	}
	var done []side
	left := slices.Clone(sides)
	for len(left) > 0 {
		best := -1
		for i, next := range left {
			may := rank(next) < 0 || !slices.ContainsFunc(left, func(other side) bool {
				return rank(other) >= 0 && rank(other) < rank(next)
			})
			if may && (best < 0 || s.better(next, left[best])) {
				best = i
			}
		}
		done = append(done, left[best])
		left = slices.Delete(left, best, best+1)
	}
	return done
}

// better is rule 5 without the source.
func (s *scene) better(a, b side) bool {
	own := func(side side) bool {
		return slices.ContainsFunc(side.revisions(), func(r Revision) bool { return s.o.own(s.fork, r) })
	}
	switch {
	case own(a) != own(b):
		return own(a)
	case a.ranksAsDeletion() != b.ranksAsDeletion():
		return b.ranksAsDeletion()
	}
	ta, tb := top(a.revisions()), top(b.revisions())
	if ta.ID == tb.ID {
		return a.name() > b.name()
	}
	return compareClaims(ta, tb) > 0
}

// conflict is rule 7.
func (s *scene) conflict(fork crdt.ForkID, key string, at crdt.Path, live []mark) (c crdt.Conflict, ranked []side) {
	c = crdt.Conflict{Path: at, Kind: s.conflictAt(at, live)}
	sides := s.sides(at, live)
	ranked = s.ranked(at, sides)
	carried := make(map[crdt.RevisionID]Revision)
	for i, of := range sides {
		t, what := top(of.revisions()), of.serve()
		v := crdt.Side{Letter: nthLetter(i), Kind: t.Kind, Revision: t.ID}
		v.Deleted = len(what.leaves) == 0 && what.class != set
		v.Rank = slices.IndexFunc(ranked, func(r side) bool {
			return r.revisions()[0].ID == of.revisions()[0].ID && r.name() == of.name()
		})
		if opaqueOrRegister(what.class) {
			v.Revision, v.Kind, v.Value = what.author.ID, what.author.Kind, sha256.Sum256(what.author.Value)
		}
		for _, r := range of.revisions() {
			v.Revisions = append(v.Revisions, r.ID)
			carried[r.ID] = r
		}
		for _, add := range of.counted {
			// One that another has seen counts with it.
			if !slices.ContainsFunc(of.counted, func(other entry) bool { return s.hasSeen(other.Revision, add.Revision) }) {
				carried[add.ID] = add.Revision
			}
		}
		c.Sides = append(c.Sides, v)
	}
	var state []byte
	for _, r := range slices.SortedFunc(maps.Values(carried), byID) {
		state = append(state, r.ID[:]...)
	}
	id := fmt.Appendf(nil, "crush/conflict/1%s%s%s%s%s",
		fork[:], bigEndian(len(key)), key, bigEndian(len(at)), at)
	idSum, stateSum := sha256.Sum256(id), sha256.Sum256(append([]byte("crush/conflict-state/1"), state...))
	copy(c.ID[:], idSum[:])
	copy(c.State[:], stateSum[:])
	return c, ranked
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
