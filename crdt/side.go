package crdt

import (
	"bytes"
	"cmp"
	"math/big"
	"slices"
)

// side is a side of a conflict on its way to becoming a Side.
type side struct {
	contender
	ids    []RevisionID // ascending
	events []int32
	serves served

	// role says what it is; writes are the live ones, a leaf or DEL first.
	role   role
	writes []live
	// counted are the additions to a counter that are part of what it reads as.
	counted []int32
}

type role uint8

const (
	leafSide role = iota
	deletionSide
	groupSide
	addsSide // additions to a counter that was neither set nor deleted
)

// sides is rule 4: it returns the sides of a conflict in the order of their
// letters, which is that of their smallest revisions.
func (g *stage) sides(c *clash) []side {
	s := sorter{stage: g, clash: c, index: make(map[sideKey]int), joins: make(map[int32]int), contexts: make(map[int32]string)}
	for _, l := range c.here {
		s.addHere(l)
	}
	for _, l := range c.below {
		if i, ok := s.joins[l.event]; ok {
			s.sides[i].writes = append(s.sides[i].writes, l)
			continue
		}
		f := g.occupant(l, c.at)
		i := s.side(sideKey{role: groupSide, occupant: f, context: s.context(l.event)})
		s.sides[i].shape = f.shape
		s.sides[i].writes = append(s.sides[i].writes, l)
	}
	if c.at == Root {
		s.addAdds()
	}
	for i := range s.sides {
		s.complete(&s.sides[i])
	}
	s.want(s.sides)
	slices.SortFunc(s.sides, func(a, b side) int {
		return cmp.Or(compareIDs(a.ids[0], b.ids[0]), cmp.Compare(b.shape, a.shape))
	})
	return s.sides
}

// allSides returns the sides of each conflict.
func (g *stage) allSides(clashes []clash) [][]side {
	sides := make([][]side, len(clashes))
	for i := range clashes {
		sides[i] = g.sides(&clashes[i])
	}
	return sides
}

// sorter sorts live writes into sides.
type sorter struct {
	*stage
	clash    *clash
	sides    []side
	index    map[sideKey]int
	joins    map[int32]int // the side of an event that wrote it at the place
	contexts map[int32]string
}

// sideKey is equal for writes of one side.
type sideKey struct {
	role     role
	content  content  // of a leaf
	occupant occupant // of a group
	context  string
}

func (s *sorter) side(key sideKey) int {
	i, ok := s.index[key]
	if !ok {
		i = len(s.sides)
		s.index[key] = i
		s.sides = append(s.sides, side{role: key.role})
	}
	return i
}

func (s *sorter) addHere(l live) {
	key := sideKey{role: leafSide, content: l.content}
	if l.deleted {
		if slices.ContainsFunc(s.clash.below, func(v live) bool { return !v.deleted && s.knows(v.event, l.event) }) {
			return
		}
		key = sideKey{role: deletionSide}
	}
	i := s.side(key)
	s.sides[i].writes = append(s.sides[i].writes, l)
	s.joins[l.event] = i
	if !l.deleted && l.content.class == counterClass {
		s.sides[i].counted = append(s.sides[i].counted, s.unseenBy(l.event)...)
	}
}

// context is which of the live leaves and DELs at the place an event has
// written or seen.
func (s *sorter) context(event int32) string {
	if c, ok := s.contexts[event]; ok {
		return c
	}
	c := make([]byte, (len(s.clash.here)+7)/8)
	for i, l := range s.clash.here {
		if s.knows(event, l.event) {
			c[i/8] |= 1 << (i % 8)
		}
	}
	s.contexts[event] = string(c)
	return string(c)
}

// addAdds puts the live additions to a counter into the sides: they are part of
// the DEL; where there is none and nobody set the counter, they are a side.
func (s *sorter) addAdds() {
	if i, ok := s.index[sideKey{role: deletionSide}]; ok {
		s.sides[i].counted = s.afterDelete()
		return
	}
	adds := s.liveAdds()
	for i := range s.sides {
		if s.sides[i].role == leafSide && s.sides[i].writes[0].content.class == counterClass {
			return
		}
	}
	if len(adds) > 0 {
		i := s.side(sideKey{role: addsSide})
		s.sides[i].counted = adds
	}
}

// complete fills in what follows from the writes.
func (s *sorter) complete(a *side) {
	a.events = s.eventsOf(a.writes)
	if a.role == addsSide {
		a.events = a.counted
	}
	a.deletion = a.role != addsSide && !slices.ContainsFunc(a.writes, func(l live) bool { return !l.deleted })
	for _, i := range a.events {
		e := &s.events[i]
		a.ids = append(a.ids, e.ID)
		if !e.placed {
			e.Origin, e.placed = s.visible.History.Origin(e.ID), true
		}
		a.contender.add(e.Write)
	}
	slices.SortFunc(a.ids, compareIDs)
}

func compareIDs(a, b RevisionID) int { return bytes.Compare(a[:], b[:]) }

// serve is rule 6 for a side: a leaf or the DEL as such, with what was added to
// a counter; a group as the view of its revisions and their ancestors alone.
func (g *stage) serve(a *side, at Path) served {
	switch a.role {
	case leafSide:
		return g.leaf(authoritative(g, a.writes)[0])
	case deletionSide:
		if len(a.counted) == 0 {
			return served{}
		}
		return served{class: counterClass, total: g.sum(new(big.Int), a.counted)}
	}
	alone := g.alone(a)
	return alone.serves(at)
}

// alone is what the revisions of a group and their ancestors are, without all
// others.
func (g *stage) alone(a *side) *stage {
	if behind, events := g.behind(a.events); behind != nil {
		alone := &stage{scene: behind, adds: behind.adds}
		alone.reach(events)
		return alone
	}
	alone := &stage{scene: g.scene, own: g.own, adds: g.adds}
	alone.reach(a.events)
	// Only authors who write below a leaf of their context without a DEL can
	// make a group that is the whole stage again.
	if alone.sameAs(g) {
		alone.own, alone.adds = a.writes, a.counted
		if alone.own == nil {
			alone.own = []live{}
		}
	}
	return alone
}
