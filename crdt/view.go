package crdt

import (
	"cmp"
	"slices"
)

// Origin says how a revision came to be visible on the fork that is read.
// Where several ways lead to it, the first in this list counts.
type Origin uint8

const (
	// Written: on this fork, directly or through the unnamed fork of a batch.
	Written Origin = iota
	// Inherited: it was there when the fork was made.
	Inherited
	// Merged: it came by a merge.
	Merged
)

// String returns the name of o in lower case.
func (o Origin) String() string {
	switch o {
	case Written:
		return "written"
	case Inherited:
		return "inherited"
	case Merged:
		return "merged"
	}
	return "unknown"
}

// Write is what the view needs to know of a revision.
type Write struct {
	ID    RevisionID
	Chain ChainID
	// Time is the author's claim, in milliseconds. It breaks ties.
	Time int64
	Kind Kind
	// Deleted: the revision deletes. Value then means nothing.
	Deleted bool
	Value   Sum
	Origin  Origin
	// Open: the author saw a conflict and left it open beside what it changed.
	// A revision that is not open is complete: the view of it and all that it
	// has seen is its own text, without a conflict.
	Open bool
}

// Visible is what is visible of one key on one fork.
type Visible struct {
	Fork ForkID
	Key  string
	// Heads are the visible revisions that no other visible one has seen, in
	// any order. They are a set: an ID that is repeated counts once.
	Heads []Write
	// Source is the view that the key had on the fork's source at the cut at
	// which the fork was made. It matters only where two or more Heads are
	// Inherited, and may be left zero elsewhere. A revision without a rank in
	// it ranks as if it were Written.
	Source View
	// History has what is behind the heads. It is asked only if there is a head
	// of the kind JSON, YAML, Counter or Set that does not delete, and several
	// heads or an open one; Source is then asked of it as well. If it is nil,
	// such heads are read as registers whose value is the payload.
	History History
	// Memory has what is known of open revisions. A view is the same with any
	// Memory, and with none: then everything is looked up each time.
	Memory Memory

	// source is of History.Source; nil before it was asked. It is the same for
	// all conflicts.
	source sourceRanks
}

func (v *Visible) sourceRanks() sourceRanks {
	if v.source == nil {
		v.source = v.History.Source().ranks()
	}
	return v.source
}

// View is what a read of a key returns. The zero View is that of a key which
// nobody has written on the fork.
type View struct {
	// Served is the head whose value is served, or that deletes; zero if there
	// is no visible write. Of several heads with that value it is the one with
	// the highest (Time, Chain, ID), among those of a document one of the fork's
	// own line if there is any. What is served can have been written by several,
	// and be the value of none: then Served is a head whose text it is like.
	Served RevisionID
	// Kind is the kind of Served, also where that is a deletion.
	Kind Kind
	// Deleted: what is served is a deletion.
	Deleted bool
	// Opaque: some live value has a kind that this version has no rules for,
	// and a version that has them may show something else.
	Opaque bool
	// Conflicts are in ascending order of their paths; nil when the view is
	// clean. A register has at most one.
	Conflicts []Conflict
	// Document is what is served of the kind JSON or YAML, and Text what is
	// served of any other, if that is not the text of Served, or, of a document,
	// if other heads have comments or a layout to add to it. Both are nil
	// otherwise; see Bytes.
	Document *Document
	Text     []byte
	// Author is the revision whose payload Text is, where one is served that
	// others have written beside; zero otherwise.
	Author RevisionID

	// whole: Served has just that Document, spelled in one of its ways.
	whole bool
	// inner are the ranks of sides of the conflicts inside the sides. Forks
	// that are made here rank by them.
	inner sourceRanks
	// woven is of a Document without conflicts.
	woven woven
}

// Exists reports whether there is a visible write at all. A deletion is one.
func (v View) Exists() bool { return !v.Served.IsZero() }

// Absent reports whether no value is served: nothing is visible, or what is
// served is a deletion.
func (v View) Absent() bool { return v.Deleted || !v.Exists() }

// View reads the key by algorithm m1. The result shares no memory with v and
// depends on the set of Heads alone, not on their order. For registers the cost
// is O(n log n) in the number of heads; a single complete head of any kind costs
// no allocation. For other kinds it grows with what was written since all heads
// had one complete revision in common, and with the document.
func (v Visible) View() View {
	if v.single() && !v.Heads[0].Open {
		return clean(v.Heads[0])
	}
	if v.History != nil && slices.ContainsFunc(v.Heads, func(w Write) bool { return !w.Deleted && w.Kind.class() != registerClass }) {
		return v.merged()
	}
	return v.registers()
}

// single reports whether there is one head, maybe repeated.
func (v Visible) single() bool {
	return len(v.Heads) > 0 && !slices.ContainsFunc(v.Heads[1:], func(w Write) bool { return w.ID != v.Heads[0].ID })
}

// registers is View where each head writes all there is.
func (v Visible) registers() View {
	sides := group(v.Heads)
	if len(sides) == 0 {
		return View{}
	}
	rank(Root, sides, v.Source.ranks)
	best := slices.IndexFunc(sides, func(s side) bool { return s.rank == 0 })
	view := clean(sides[best].top)
	view.Opaque = slices.ContainsFunc(sides, func(s side) bool { return !s.deletion && opaque(s.top.Kind) })
	if len(sides) > 1 {
		view.Conflicts = []Conflict{conflict(v.Fork, v.Key, Root, registerConflict(sides), sides, nil)}
	}
	return view
}

// clean returns the view that serves w, without conflicts.
func clean(w Write) View {
	return View{Served: w.ID, Kind: w.Kind, Deleted: w.Deleted, Opaque: !w.Deleted && !w.Kind.Known()}
}

// opaque reports whether a register of kind k is a value that was not
// understood.
func opaque(k Kind) bool { return k != Bytes && k != Text }

// group collapses writes of equal content into sides, in ascending order of
// their smallest IDs, which is the order of their letters.
func group(writes []Write) []side {
	writes = slices.Clone(writes)
	slices.SortFunc(writes, func(a, b Write) int { return compareIDs(a.ID, b.ID) })
	writes = slices.CompactFunc(writes, func(a, b Write) bool { return a.ID == b.ID })
	var sides []side
	index := make(map[content]int)
	for _, w := range writes {
		var c content // of nothing, for all deletions
		if !w.Deleted {
			c = content{registerClass, w.Kind, w.Value}
		}
		i, ok := index[c]
		if !ok {
			i = len(sides)
			index[c] = i
			sides = append(sides, side{serves: served{class: c.class, content: c}})
		}
		sides[i].ids = append(sides[i].ids, w.ID)
		sides[i].deletion = w.Deleted
		sides[i].contender.add(w)
		sides[i].serves.author = sides[i].top
	}
	return sides
}

// merged is View where what is behind the heads matters.
func (v Visible) merged() View {
	heads := make([]event, len(v.Heads))
	for i, h := range v.Heads {
		heads[i] = event{Revision: Revision{Write: h}, placed: true}
	}
	g := newScene(&v, heads, end{}).everything()
	writes := g.live(Root)
	clashes := g.clashes(Root, writes)
	what := g.clean(Root, writes, clashes)
	var view View
	var first *side // of a conflict about everything
	for i, sides := range g.allSides(clashes) {
		c := &clashes[i]
		g.rank(c, sides)
		for j := range sides {
			s := &sides[j]
			s.serves = g.serve(s, c.at)
			what.takeRanks(s.serves)
			if s.rank == 0 {
				what.take(s.serves, c.at == Root)
			}
			if s.rank == 0 && c.at == Root {
				first = s
			}
		}
		view.Conflicts = append(view.Conflicts, conflict(v.Fork, v.Key, c.at, c.kind, sides, g.counted(sides)))
	}
	what.end(Root)
	view.inner = what.inner
	view.Opaque = slices.ContainsFunc(writes, func(l live) bool {
		return !l.deleted && l.content.class == registerClass && opaque(l.content.kind)
	})
	g.pick(&view, &what, first)
	return view
}

// counted returns the additions to a counter that sides count, without those that
// another one of the side has seen: they count with it.
func (g *stage) counted(sides []side) []RevisionID {
	var ids []RevisionID
	for i := range sides {
		for _, e := range g.maximal(sides[i].counted) {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// pick finds the head whose text and kind go with what is served: of the heads
// that are, or have seen, the side that is served of a conflict about
// everything, the first of those whose whole value that is, of those of its
// class, of a document of those of the fork's own line, and then the highest
// (Time, Chain, ID).
func (g *stage) pick(view *View, what *served, first *side) {
	tree := what.document(Root)
	var best *event
	var bestFit fit
	for i := range g.events {
		e := &g.events[i]
		if !e.head || (first != nil && !slices.ContainsFunc(first.events, func(f int32) bool { return g.knows(int32(i), f) })) {
			continue
		}
		f := e.fit(what, tree, g.visible.History)
		if best == nil || f.compare(bestFit) > 0 || (f == bestFit && compareClaims(e.Write, best.Write) > 0) {
			best, bestFit = e, f
		}
	}
	view.Served, view.Kind, view.Deleted = best.ID, best.Kind, what.class == noClass
	switch {
	case what.class == registerClass && !bestFit.whole:
		// Someone who had read it wrote beside it, and not over it.
		view.Kind, view.Author = what.author.Kind, what.author.ID
		view.Text = append([]byte{}, g.visible.History.Revision(what.author.ID).Payload...)
	case what.class == documentClass && (best.Deleted || best.Kind.class() != documentClass):
		view.Kind = JSON
	case what.class == counterClass:
		view.Kind = Counter
	case what.class == setClass:
		view.Kind = Set
	}
	if !bestFit.whole && what.class != registerClass {
		view.Document, view.Text = tree, what.text()
	}
	if what.class == documentClass && len(view.Conflicts) == 0 {
		g.spell(view, tree, bestFit.whole)
	}
}

// spell finds what the text of a document that has no conflicts is made of. A
// head that has all of it is that text, unless another one changed comments or
// the layout.
func (g *stage) spell(view *View, tree *Document, whole bool) {
	w := g.weave(view.Kind)
	if whole && !w.addsTo(TextOf(view.Kind, g.visible.History.Revision(view.Served).Payload)) {
		return
	}
	view.Document, view.whole, view.woven = tree, whole, w
}

// fit is how well the value of a head goes with what is served.
type fit struct{ whole, class, own bool }

func (f fit) compare(g fit) int {
	yes := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(yes(f.whole)-yes(g.whole), yes(f.class)-yes(g.class), yes(f.own)-yes(g.own))
}

// fit compares the value that e says is all there is.
func (e *event) fit(what *served, tree *Document, h History) fit {
	f := fit{own: what.class == documentClass && e.Origin != Merged}
	class := e.class
	if e.Deleted {
		class = noClass
	}
	readable := true
	switch class {
	case documentClass:
		_, readable = e.text(h)
	case setClass:
		_, readable = e.members(h)
	}
	if !readable {
		class = registerClass
	}
	f.class = class == what.class && (class != registerClass || e.Kind == what.content.kind)
	if !f.class {
		return f
	}
	switch class {
	case noClass:
		f.whole = true
	case documentClass:
		f.whole = sameTree(e.tree.root, tree.root)
	case counterClass:
		f.whole = e.counter.Total.Cmp(what.total) == 0
	case setClass:
		f.whole = slices.Equal(e.elements, what.elements())
	default:
		f.whole = e.register() == what.content
	}
	return f
}

// sameTree reports whether the documents are equal.
func sameTree(a, b *node) bool {
	if a.isLeaf() || b.isLeaf() {
		return a.isLeaf() && b.isLeaf() && a.leaf.Sum == b.leaf.Sum
	}
	return slices.EqualFunc(a.children, b.children, func(c, d child) bool {
		return c.segment == d.segment && sameTree(c.node, d.node)
	})
}

// Bytes returns the value that v serves; nil if it serves none. payload is that
// of Served. The result may share memory with payload.
func (v View) Bytes(payload []byte) []byte {
	switch {
	case v.Absent():
		return nil
	case v.Document != nil:
		if text, ok := v.woven.text(v.Kind, v.Document); ok {
			return text
		}
		if v.whole {
			return TextOf(v.Kind, payload)
		}
		if text, err := v.Document.Render(v.Kind, TextOf(v.Kind, payload)); err == nil {
			return text
		}
		return v.Document.JSON()
	case v.Text != nil:
		return v.Text
	}
	return TextOf(v.Kind, payload)
}

// Bytes returns what s serves; nil if that is nothing. payload is that of
// s.Revision; nil will do for a document, which then has no model, and should
// have none below "/". The result may share memory with payload.
func (s *Side) Bytes(payload []byte) []byte {
	switch {
	case s.Deleted:
		return nil
	case s.Document != nil:
		if text, err := s.render(payload); err == nil {
			return text
		}
		return s.Document.JSON()
	case s.Text != nil:
		return s.Text
	}
	return payload
}

// render returns the text of a document: that of payload, if it is one.
func (s *Side) render(payload []byte) ([]byte, error) {
	kind := s.documentKind()
	if p, err := DecodeDocument(payload); err == nil && kind == s.Kind {
		if d, err := p.Document(kind); err == nil && sameTree(d.root, s.Document.root) {
			return p.Text, nil
		}
	}
	return s.Document.Render(kind, TextOf(kind, payload))
}

func (s *Side) documentKind() Kind {
	if s.Kind.class() == documentClass {
		return s.Kind
	}
	return JSON
}
