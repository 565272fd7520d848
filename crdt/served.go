package crdt

import (
	"iter"
	"math/big"
	"slices"
)

// served is what is served at a path and below it. The zero value is nothing.
type served struct {
	class   class
	content content  // of a register
	author  Write    // of a register, the one with the highest claims
	total   *big.Int // of a counter
	// leaves of a document, or of a set, where only the paths mean something.
	leaves []placedLeaf
	// inner are the ranks of the sides of conflicts that were met on the way.
	inner sourceRanks
}

type placedLeaf struct {
	path Path
	leaf Leaf
}

// leaf returns what a leaf is as it is served.
func (g *stage) leaf(l live) served {
	switch l.content.class {
	case documentClass:
		return served{class: documentClass, leaves: []placedLeaf{{l.path, l.leaf}}}
	case counterClass:
		return served{class: counterClass, total: g.total(l)}
	case setClass:
		return served{class: setClass, leaves: []placedLeaf{{path: l.path}}}
	}
	return served{class: registerClass, content: l.content, author: g.events[l.event].Write}
}

// serves is rules 2 and 6 for what is at a path and below it: what is not in
// conflict, and of each conflict the side that ranks first.
func (g *stage) serves(at Path) served {
	writes := g.live(at)
	clashes := g.clashes(at, writes)
	v := g.clean(at, writes, clashes)
	for i, sides := range g.allSides(clashes) {
		c := &clashes[i]
		g.rank(c, sides)
		for j := range sides {
			v.ranked(c.at, &sides[j])
		}
		best := slices.IndexFunc(sides, func(s side) bool { return s.rank == 0 })
		v.take(g.serve(&sides[best], c.at), c.at == at)
	}
	v.end(at)
	return v
}

func (g *stage) rank(c *clash, sides []side) {
	rank(c.at, sides, func() sourceRanks {
		return g.visible.sourceRanks()
	})
}

func (v *served) ranked(at Path, s *side) {
	if v.inner == nil {
		v.inner = make(sourceRanks)
	}
	for _, id := range s.ids {
		v.inner.add(sidePlace{at, id}, s.rank)
	}
}

// take adds what the side of a conflict serves. If that conflict is about all
// that is asked for, that is all there is.
func (v *served) take(from served, all bool) {
	if all {
		v.class, v.content, v.author, v.total = from.class, from.content, from.author, from.total
	}
	v.leaves = append(v.leaves, from.leaves...)
	v.takeRanks(from)
}

func (v *served) takeRanks(from served) {
	if v.inner == nil && len(from.inner) > 0 {
		v.inner = make(sourceRanks)
	}
	for p, rank := range from.inner {
		v.inner.add(p, rank)
	}
}

// end makes nothing of a whole document in which everything is deleted.
func (v *served) end(at Path) {
	if at == Root && v.class == documentClass && len(v.leaves) == 0 {
		v.class = noClass
	}
}

// clean is what is at a path and below it, without what is in conflict.
func (g *stage) clean(at Path, writes []live, clashes []clash) served {
	if len(clashes) > 0 && clashes[0].at == at {
		return served{}
	}
	var v served
	left := clashes
	for _, l := range authoritative(g, writes) {
		v.class = l.content.class
		for len(left) > 0 && !l.path.Within(left[0].at) && left[0].at.Compare(l.path) < 0 {
			left = left[1:]
		}
		if len(left) > 0 && l.path.Within(left[0].at) {
			continue
		}
		one := g.leaf(l)
		v.content, v.author, v.total = one.content, one.author, one.total
		v.leaves = append(v.leaves, one.leaves...)
	}
	g.takeBase(&v, at, clashes)
	if at == Root && v.class == noClass {
		if adds := g.afterDelete(); len(adds) > 0 {
			v.class, v.total = counterClass, g.sum(new(big.Int), adds)
		} else if g.isSet(writes) {
			v.class = setClass
		}
	}
	return v
}

// authoritative returns, of live writes, the leaves; of leaves at one path the
// one whose author has the highest claims: its spelling counts.
func authoritative(g *stage, writes []live) []live {
	var out []live
	for _, l := range writes {
		n := len(out)
		switch {
		case l.deleted:
		case n == 0 || out[n-1].path != l.path:
			out = append(out, l)
		case compareClaims(g.events[l.event].Write, g.events[out[n-1].event].Write) > 0:
			out[n-1] = l
		}
	}
	return out
}

// takeBase adds the leaves of the document that stands for all that is older,
// but for what was written over, and what is in conflict.
func (g *stage) takeBase(v *served, at Path, clashes []clash) {
	if g.base == nil || g.own != nil || !g.base.Has(at) {
		return
	}
	for p := at; p != Root; {
		p = p.Parent()
		if i, ok := g.at[p]; ok && g.wroteAt(&g.runs[i]) {
			return
		}
	}
	var over []Path
	for _, r := range g.within(at) {
		if g.wroteAt(&r) {
			over = append(over, r.path)
		}
	}
	for i := range clashes {
		over = append(over, clashes[i].at)
	}
	slices.SortFunc(over, Path.Compare)
	g.base.node(at).leaves(newTrail(at), func(p Path, l Leaf) bool {
		for len(over) > 0 && !p.Within(over[0]) && over[0].Compare(p) < 0 {
			over = over[1:]
		}
		if len(over) == 0 || !p.Within(over[0]) {
			v.class = documentClass
			v.leaves = append(v.leaves, placedLeaf{p, l})
		}
		return true
	})
}

// wroteAt reports whether an event of the stage wrote there. The writes of base
// count: they are taken as the others are.
func (g *stage) wroteAt(r *run) bool {
	return slices.ContainsFunc(r.marks, func(m mark) bool { return g.in.has(&g.events[m.event]) })
}

// isSet reports whether there is a set, maybe an empty one. An operation on it
// that nobody wrote over shows that, unless a deletion competes with it.
func (g *stage) isSet(writes []live) bool {
	if g.own != nil {
		return slices.ContainsFunc(g.live(Root), func(l live) bool { return g.events[l.event].class == setClass })
	}
	var over []mark
	if i, ok := g.at[Root]; ok {
		over = g.newest(g.runs[i].marks)
	}
	for i := range g.events {
		e := &g.events[i]
		if e.class != setClass || !g.in.has(e) || g.seenBy(int32(i), over) {
			continue
		}
		if !slices.ContainsFunc(writes, func(l live) bool { return l.path == Root && l.deleted && !g.knows(int32(i), l.event) }) {
			return true
		}
	}
	return false
}

func (v *served) nothing() bool {
	return v.class == noClass || (v.class == documentClass && len(v.leaves) == 0)
}

// document returns what is served of a document, below at as a document of its
// own; nil if it is none.
func (v *served) document(at Path) *Document {
	if v.class != documentClass {
		return nil
	}
	return NewDocument(leavesOf(v.leaves)).At(at)
}

func leavesOf(leaves []placedLeaf) iter.Seq2[Path, Leaf] {
	return func(yield func(Path, Leaf) bool) {
		for _, l := range leaves {
			if !yield(l.path, l.leaf) {
				return
			}
		}
	}
}

// text returns the text of a counter or a set; nil for every other class.
func (v *served) text() []byte {
	switch v.class {
	case counterClass:
		return v.total.Append(nil, 10)
	case setClass:
		return SetPayload{Elements: v.elements()}.Text()
	}
	return nil
}

// elements returns the elements of a set, in ascending order.
func (v *served) elements() []string {
	var elements []string
	for _, l := range v.leaves {
		e, _ := l.path.Last()
		elements = append(elements, e)
	}
	slices.Sort(elements)
	return elements
}
