package crdt

import (
	"cmp"
	"slices"
)

// scene is what a view looks at: the events of a walk, and what they wrote.
type scene struct {
	visible *Visible
	events  []event // parents before children
	// base is the document that the first event stands for; nil if that is
	// nothing, or no document. Its leaves are writes of that event. Those that
	// could meet others in a conflict are among the runs as well.
	base *Document
	runs []run // ascending
	at   map[Path]int
	met  map[Path]bool // what of base is among the runs
	adds []int32       // the events that add to a counter
	ends []int32       // of the lines of events
	// kept are the first events, which are of a State; 0 if there is none.
	kept int
	// back is the scene of wanted, which are some of the kept events, and all that
	// they have seen.
	back   *scene
	wanted []int32
	places map[RevisionID]int32 // nil before find
	handed *Document            // see end.base
	ground RevisionID           // where the walk ended; zero if nothing stands for what is older
	weight int                  // of base, in bytes; 0 if that is not known
}

// run is all writes at one path.
type run struct {
	path  Path
	marks []mark // in the order of their events
}

// mark is a write of an event.
type mark struct {
	event int32
	what  what
	leaf  *Leaf // of ofState
}

// what says how to find out what a mark wrote.
type what uint8

const (
	ofText    what = iota // the leaf that the event's text has there, or nothing
	leafMark              // a leaf, and all about it is known
	deleted               // nothing
	ofState               // the leaf that the mark has
	ofBase                // the leaf that base has there
	wholeMark             // the total of the first event, which is a counter
)

// newScene returns the scene of heads, and of what is behind them up to an end.
func newScene(v *Visible, heads []event, at end) *scene {
	w := v.walk(heads, at)
	s := &scene{visible: v, handed: at.base}
	if w.state != nil {
		s.resume(w.state, &w.top)
	}
	s.enter(w.events[:w.joint], w.bounded)
	if w.joint > 0 && v.Memory != nil && !w.passed {
		v.Memory.Keep(s.events[len(s.events)-1].ID, s.state())
	}
	if w.joint < len(w.events) || w.joint == 0 {
		s.enter(w.events[w.joint:], w.bounded && w.joint == 0)
	}
	return s
}

// enter puts down what further events wrote, which have all seen those that are
// there, if there are any. The first can be one that stands for all that is
// older.
func (s *scene) enter(events []event, bounded bool) {
	byPath := make(map[Path][]mark, len(s.runs))
	for _, r := range s.runs {
		byPath[r.path] = slices.Clip(r.marks)
	}
	first := len(s.events)
	s.events = append(s.events, events...)
	s.ends = draw(s.events, first, s.ends)
	for i := first; i < len(s.events); i++ {
		e := &s.events[i]
		e.change = decode(&e.Revision)
		e.Payload = nil // a branch can have more text than there is memory
	}
	for i := first; i < len(s.events); i++ {
		e := &s.events[i]
		if i == 0 && bounded {
			s.ground = e.ID
			s.stand(e, byPath)
			continue
		}
		s.write(int32(i), e, byPath)
	}
	if s.base != nil {
		s.meet(byPath)
	}
	s.index(byPath)
}

func (s *scene) index(byPath map[Path][]mark) {
	s.runs = make([]run, 0, len(byPath))
	for p, marks := range byPath {
		s.runs = append(s.runs, run{p, marks})
	}
	slices.SortFunc(s.runs, func(a, b run) int { return a.path.Compare(b.path) })
	s.at = make(map[Path]int, len(s.runs))
	for i := range s.runs {
		s.at[s.runs[i].path] = i
	}
}

// write puts down what an event wrote.
func (s *scene) write(i int32, e *event, byPath map[Path][]mark) {
	if e.add != nil {
		s.adds = append(s.adds, i)
	}
	for _, p := range e.paths {
		w := ofText
		switch {
		case e.class == setClass && e.removed[p], e.Deleted:
			w = deleted
		case e.class != documentClass:
			w = leafMark
		}
		byPath[p] = append(byPath[p], mark{event: i, what: w})
	}
}

// stand puts down the whole value of the first event, which stands for all that
// is older.
func (s *scene) stand(e *event, byPath map[Path][]mark) {
	if e.Gone && e.Kind.class() == documentClass {
		base, ok := s.handed, s.handed != nil
		if !ok {
			base, ok = s.rebuild(e)
		}
		if ok {
			s.base, e.change = base, change{class: documentClass}
			return
		}
	}
	readable := true
	switch e.class {
	case documentClass:
		s.base, readable = e.text(s.visible.History)
	case counterClass:
		e.add = nil
		byPath[Root] = []mark{{what: wholeMark}}
	case setClass:
		var elements []string
		elements, readable = e.members(s.visible.History)
		for _, el := range elements {
			byPath[Root.Element(el)] = []mark{{what: leafMark}}
		}
	default:
		s.write(0, e, byPath)
	}
	if !readable {
		s.base, e.change = nil, change{class: registerClass, paths: []Path{Root}}
		s.write(0, e, byPath)
	}
}

// rebuild puts together a document that is gone, of the texts of those that have
// seen it and nothing else: what they did not write over is as it was. What all of
// them wrote over is dead wherever one of them is looked at. It returns false if
// there is no such text.
func (s *scene) rebuild(gone *event) (d *Document, ok bool) {
	var next []*event
	for i := range s.events {
		e := &s.events[i]
		if e.class == documentClass && len(e.Parents) > 0 && !slices.ContainsFunc(e.Parents, func(p RevisionID) bool { return p != gone.ID }) {
			next = append(next, e)
		}
	}
	slices.SortFunc(next, func(a, b *event) int { return compareIDs(a.ID, b.ID) })
	var leaves []placedLeaf
	var paths []Path // theirs
	for _, e := range next {
		tree, readable := e.text(s.visible.History)
		if !readable {
			continue
		}
		ok = true
		known := slices.Clone(paths)
		for p, l := range tree.Leaves() {
			if !p.CoveredBy(e.paths) && !p.CoveredBy(known) && !p.Covers(known) {
				leaves, paths = append(leaves, placedLeaf{p, l}), append(paths, p)
			}
		}
		slices.SortFunc(paths, Path.Compare)
	}
	return NewDocument(leavesOf(leaves)), ok
}

// meet puts down the leaves of base that could be in conflict with what came
// later. Its author was seen by all, so that is so only where someone wrote
// below a leaf, or members where there are elements, and no DEL above.
func (s *scene) meet(byPath map[Path][]mark) {
	tops := make(map[Path]bool)
	for p := range byPath {
		top, n := Root, s.base.root
		for rest := p; rest != Root && n != nil; {
			var segment string
			segment, rest = rest.cut()
			if n.isLeaf() || (n.shape() == listShape) != isElement(segment) || n.shape() == mixedShape {
				tops[top] = true
				break
			}
			top, n = top.child(segment), n.find(segment)
		}
	}
	if slices.ContainsFunc(s.events[1:], func(e event) bool { return e.class == setClass || e.class == counterClass }) {
		tops[Root] = true
	}
	s.meetWithin(tops, byPath)
}

func (s *scene) meetWithin(tops map[Path]bool, byPath map[Path][]mark) {
	if s.met == nil {
		s.met = make(map[Path]bool)
	}
	for top := range tops {
		s.base.node(top).leaves(newTrail(top), func(p Path, _ Leaf) bool {
			if !s.met[p] {
				s.met[p] = true
				byPath[p] = append([]mark{{what: ofBase}}, byPath[p]...)
			}
			return true
		})
	}
}

// meetAll puts down all leaves of base, and reports whether that is new.
func (s *scene) meetAll() bool {
	if s.base == nil || s.met[Root] {
		return false
	}
	byPath := make(map[Path][]mark)
	for _, r := range s.runs {
		byPath[r.path] = r.marks
	}
	s.meetWithin(map[Path]bool{Root: true}, byPath)
	s.met[Root] = true
	s.index(byPath)
	return true
}

// within returns the runs at a path and below it.
func (s *scene) within(top Path) []run {
	from, _ := slices.BinarySearchFunc(s.runs, top, func(r run, p Path) int { return r.path.Compare(p) })
	to := from
	if top == Root {
		to = len(s.runs)
	} else {
		// What is within a path comes before what is after it.
		n, _ := slices.BinarySearchFunc(s.runs[from:], top, func(r run, p Path) int {
			if r.path.Within(p) {
				return -1
			}
			return 1
		})
		to += n
	}
	return s.runs[from:to]
}

// live is a live write.
type live struct {
	path    Path
	event   int32
	deleted bool
	content content // of a leaf; of the setting of a counter, its total
	leaf    Leaf    // of a document
}

// stage is a set of events of a scene that is read as if there were no others,
// or, where own is not nil, some live writes and additions of theirs.
type stage struct {
	*scene
	in   reach
	own  []live
	adds []int32
}

// everything is the stage of all events.
func (s *scene) everything() *stage {
	g := &stage{scene: s, adds: s.adds}
	for i := range s.events {
		if s.events[i].head {
			g.in = union(g.in, s.events[i].reach())
		}
	}
	return g
}

// reach makes the stage that of events and all that they have seen.
func (g *stage) reach(events []int32) {
	g.in = nil
	for _, i := range events {
		g.in = union(g.in, g.events[i].reach())
	}
}

// sameAs reports whether the stages of one scene, of which one is within the
// other, are the same.
func (g *stage) sameAs(of *stage) bool {
	if g.own == nil {
		return g.in.equal(of.in)
	}
	return len(g.eventsOf(g.live(Root))) == len(of.eventsOf(of.live(Root)))
}

// newest returns the marks of the stage whose events no other event of them
// has seen, the last event first.
func (g *stage) newest(marks []mark) []mark {
	var newest []mark
	for _, m := range slices.Backward(marks) {
		e := &g.events[m.event]
		if g.in.has(e) && (e.head || !g.seenBy(m.event, newest)) {
			newest = append(newest, m)
		}
	}
	return newest
}

// seenBy reports whether the event of one of the marks has seen an event.
func (g *stage) seenBy(event int32, marks []mark) bool {
	e := &g.events[event]
	return slices.ContainsFunc(marks, func(m mark) bool { return g.events[m.event].sees(e) })
}

// live is rule 1: it returns the live writes at a path and below it, by path.
func (g *stage) live(top Path) []live {
	if g.own != nil {
		return slices.DeleteFunc(slices.Clone(g.own), func(l live) bool {
			return !l.path.Within(top) || !g.in.has(&g.events[l.event])
		})
	}
	var out []live
	garbled := make(map[int32]bool)
	for _, m := range g.liveMarks(top) {
		if l, ok := g.wrote(m.path, m.mark); ok {
			out = append(out, l)
		} else {
			garbled[m.event] = true
		}
	}
	if top != Root || len(garbled) == 0 {
		return out
	}
	if g.meetAll() {
		return g.live(Root) // what cannot be read is in conflict with all of it
	}
	return g.withGarbled(out, garbled)
}

// placedMark is a mark with its path.
type placedMark struct {
	path Path
	mark
}

// liveMarks returns the live marks at a path and below it, by path and event.
func (g *stage) liveMarks(top Path) []placedMark {
	var out []placedMark
	var above []run // with their newest marks
	for p := top; p != Root; {
		p = p.Parent()
		if i, ok := g.at[p]; ok {
			above = append(above, run{p, g.newest(g.runs[i].marks)})
		}
	}
	slices.Reverse(above)
	for _, r := range g.within(top) {
		for len(above) > 0 && !r.path.Below(above[len(above)-1].path) {
			above = above[:len(above)-1]
		}
		newest := g.newest(r.marks)
		for _, m := range slices.Backward(newest) {
			if !g.covered(m.event, above) {
				out = append(out, placedMark{r.path, m})
			}
		}
		above = append(above, run{r.path, newest})
	}
	return out
}

func (g *stage) covered(event int32, above []run) bool {
	return !g.events[event].head && slices.ContainsFunc(above, func(r run) bool { return g.seenBy(event, r.marks) })
}

// withGarbled adds a leaf at the root for each event with live writes whose
// text cannot be read.
func (g *stage) withGarbled(out []live, garbled map[int32]bool) []live {
	for event := range garbled {
		out = append(out, live{path: Root, event: event, content: g.events[event].register()})
	}
	slices.SortFunc(out, func(a, b live) int {
		return cmp.Or(a.path.Compare(b.path), cmp.Compare(a.event, b.event))
	})
	return out
}

// wrote returns a write as if it were live; false if its text cannot be read.
func (g *stage) wrote(p Path, m mark) (l live, ok bool) {
	e := &g.events[m.event]
	l = live{path: p, event: m.event}
	switch m.what {
	case deleted:
		l.deleted = true
	case leafMark:
		if e.class == registerClass {
			l.content = e.register()
		} else {
			l.content = content{class: e.class} // the path says which element
		}
	case wholeMark:
		l.content = content{class: counterClass}
	case ofState:
		l.leaf = *m.leaf
		l.content = content{class: documentClass, sum: l.leaf.Sum}
	case ofBase:
		l.leaf, _ = g.base.Leaf(p)
		l.content = content{class: documentClass, sum: l.leaf.Sum}
	case ofText:
		d, readable := e.text(g.visible.History)
		if !readable {
			return l, false
		}
		var there bool
		l.leaf, there = d.Leaf(p)
		l.deleted = !there
		l.content = content{class: documentClass, sum: l.leaf.Sum}
	}
	if l.content.class == counterClass {
		l.content = numberContent(g.total(l))
	}
	return l, true
}

// eventsOf returns the events of live writes, each once.
func (g *stage) eventsOf(writes []live) []int32 {
	var events []int32
	for _, l := range writes {
		events = append(events, l.event)
	}
	slices.Sort(events)
	return slices.Compact(events)
}
