package crdt

import (
	"maps"
	"math/big"
	"slices"
	"strings"
)

// Memory keeps the states of open revisions, to spare a view what led to them.
// What it forgets is computed again. A state must be forgotten when the payload
// of a revision is lost that it was made of, and not be taken when a History
// failed meanwhile.
type Memory interface {
	// State returns what was kept of a revision, or nil.
	State(RevisionID) *State
	Keep(RevisionID, *State)
}

// State is all that a view needs to know of an open revision and of what it has
// seen, for revisions that have seen it: the writes that are live there, whose
// they are, and who of these has seen whom. It never changes. It depends on no
// fork, as the revisions that one has seen are visible wherever it is.
type State struct {
	ground RevisionID // at which the walk ended; zero if nothing stood for what is older
	events []event    // those that matter, parents before children; the last is the revision
	ends   []int32
	runs   []run // the live marks
	adds   []int32
	weight int       // of base
	based  bool      // events[0] is a document that stands for what is older
	base   *Document // that; nil if it is too large to be kept
	size   int
}

// maxBase is the size of the largest base that a state has in memory. Others are
// read again.
const maxBase = 4 << 20

// Size is about how many bytes s takes.
func (s *State) Size() int { return s.size }

// resume begins a scene with a state, that of top.
func (s *scene) resume(from *State, top *event) {
	s.events = slices.Clone(from.events)
	s.kept = len(s.events)
	last := &s.events[s.kept-1]
	last.Write, last.head, last.placed = top.Write, top.head, top.placed
	s.ends, s.runs, s.adds = slices.Clone(from.ends), from.runs, slices.Clone(from.adds)
	s.ground, s.weight = from.ground, from.weight
	if s.base = from.base; from.based && s.base == nil {
		s.base, _ = s.events[0].text(s.visible.History)
	}
}

// state returns what matters of the scene to those who have seen its last event,
// which has seen all others.
func (s *scene) state() *State {
	last := int32(len(s.events) - 1)
	k := keeper{stage: &stage{scene: s, adds: s.adds}, keep: make(map[int32]bool)}
	k.reach([]int32{last})
	k.keep[last] = true
	k.base()
	k.writes()
	k.sets()
	k.additions()
	return k.state()
}

// keeper picks what matters.
type keeper struct {
	*stage
	keep  map[int32]bool
	marks []placedMark
	adds  []addition
	out   State
}

// base keeps the document that stands for what is older: it shows where nothing
// was written over it.
func (k *keeper) base() {
	k.out.ground = k.ground
	if k.scene.base == nil {
		return
	}
	k.keep[0], k.out.based = true, true
	if k.weight == 0 {
		k.weight = k.scene.base.root.weigh()
	}
	if k.out.weight = k.weight; k.weight <= maxBase || k.events[0].Gone {
		k.out.base, k.out.size = k.scene.base, k.weight
	}
}

// weigh returns about how many bytes a tree takes.
func (n *node) weigh() int {
	size := 128 + len(n.leaf.JSON)
	for i := range n.children {
		size += 32 + len(n.children[i].segment) + n.children[i].node.weigh()
	}
	return size
}

// writes keeps the live writes, with what was written.
func (k *keeper) writes() {
	for _, m := range k.liveMarks(Root) {
		if m.what == ofBase {
			continue // as above
		}
		if m.what == ofText {
			if d, ok := k.events[m.event].text(k.visible.History); ok {
				m.mark = known(m.event, d, m.path)
			}
		}
		k.keep[m.event] = true
		k.marks = append(k.marks, m)
	}
}

// known is the mark of the write of a document at a path.
func known(event int32, d *Document, p Path) mark {
	leaf, ok := d.Leaf(p)
	if !ok {
		return mark{event: event, what: deleted}
	}
	leaf.JSON = strings.Clone(leaf.JSON) // it is part of a whole text
	return mark{event: event, what: ofState, leaf: &leaf}
}

// sets keeps, of the operations on a set that nobody wrote over, those that no
// other one has seen: they show that there is a set.
func (k *keeper) sets() {
	over := k.whole(func(*event) bool { return true })
	var seen reach
	for i := len(k.events) - 1; i >= 0; i-- {
		e := &k.events[i]
		if e.class != setClass || seen.has(e) || k.seenBy(int32(i), over) {
			continue
		}
		k.keep[int32(i)] = true
		seen = union(seen, e.reach())
	}
}

// addition is an addition to a counter, and which live settings of it have not
// seen that.
type addition struct {
	event  int32
	add    *big.Int
	buried bool
	unseen string
}

// additions keeps those that count for a live setting, or would after a
// deletion. Where a setting is live, no addition is looked at by itself, and so
// one that another has seen, and that counts for the same, becomes part of it.
func (k *keeper) additions() {
	buriers := k.whole(func(e *event) bool { return e.class != counterClass })
	var settings []int32
	for _, m := range k.marks {
		if m.path == Root && k.events[m.event].class == counterClass && m.what != deleted {
			settings = append(settings, m.event)
		}
	}
	for _, i := range slices.Backward(k.stage.adds) {
		e := &k.events[i]
		a := addition{event: i, add: e.add, buried: e.buried || k.seenBy(i, buriers)}
		unseen := make([]byte, len(settings))
		counts := !a.buried
		for j, setting := range settings {
			if !k.events[setting].sees(e) {
				unseen[j], counts = 1, true
			}
		}
		if a.unseen = string(unseen); counts && (len(settings) == 0 || !k.fold(a)) {
			k.adds = append(k.adds, a)
			k.keep[i] = true
		}
	}
}

// maxFold is how many additions are tried to make another part of.
const maxFold = 64

func (k *keeper) fold(a addition) bool {
	for i := range k.adds[:min(len(k.adds), maxFold)] {
		b := &k.adds[i]
		if a.buried == b.buried && a.unseen == b.unseen && k.events[b.event].sees(&k.events[a.event]) {
			b.add = new(big.Int).Add(a.add, b.add)
			return true
		}
	}
	return false
}

func (k *keeper) state() *State {
	s := &k.out
	index := make(map[int32]int32, len(k.keep))
	for i := range k.events {
		if !k.keep[int32(i)] {
			continue
		}
		index[int32(i)] = int32(len(s.events))
		e := k.events[i]
		e.Parents, e.paths, e.removed, e.tree, e.elements = nil, nil, nil, nil, nil
		e.read, e.head, e.placed = e.garbled, false, false
		s.events = append(s.events, e)
	}
	for _, m := range k.marks {
		if n := len(s.runs); n == 0 || s.runs[n-1].path != m.path {
			s.runs = append(s.runs, run{path: Path(strings.Clone(string(m.path)))})
		}
		r := &s.runs[len(s.runs)-1]
		m.event = index[m.event]
		r.marks = append(r.marks, m.mark)
		s.size += 96 + len(m.path)
		if m.leaf != nil {
			s.size += len(m.leaf.JSON)
		}
	}
	for _, a := range slices.Backward(k.adds) {
		i := index[a.event]
		s.events[i].add, s.events[i].buried = a.add, a.buried
		s.adds = append(s.adds, i)
	}
	s.ends = k.ends
	s.narrow()
	s.size += len(s.events) * (320 + 4*len(s.ends))
	return s
}

// narrow leaves out lines on which no event is left, if they are most.
func (s *State) narrow() {
	used := make(map[int32]bool)
	for i := range s.events {
		used[s.events[i].line] = true
	}
	if len(s.ends) <= 2*len(used)+8 {
		s.ends = slices.Clone(s.ends)
		return
	}
	lines := slices.Sorted(maps.Keys(used))
	on := func(of reach) reach {
		out := make(reach, len(lines))
		for i, line := range lines {
			out[i] = of.to(int(line))
		}
		return out
	}
	pasts := make(map[*int32]reach) // many events share one
	for i := range s.events {
		e := &s.events[i]
		at, _ := slices.BinarySearch(lines, e.line)
		e.line = int32(at)
		if len(e.past) == 0 {
			continue
		}
		past, ok := pasts[&e.past[0]]
		if !ok {
			past = on(e.past)
			pasts[&e.past[0]] = past
		}
		e.past = past
	}
	s.ends = on(s.ends)
}

// want notes which kept events will be looked at with what they have seen alone.
func (g *stage) want(sides []side) {
	for i := range sides {
		if a := &sides[i]; (a.role == groupSide || a.role == addsSide) && g.isBehind(a.events) {
			g.scene.wanted = append(g.scene.wanted, a.events...)
		}
	}
}

// isBehind reports whether the scene lacks some of what the events have seen,
// of which a state holds what matters to those that have seen all of it.
func (g *stage) isBehind(events []int32) bool {
	return g.own == nil && !slices.ContainsFunc(events, func(i int32) bool { return int(i) >= g.kept-1 })
}

// behind returns a scene in which the events are with all that they have seen,
// and which they are there; nil if that is the scene of the stage.
func (g *stage) behind(events []int32) (*scene, []int32) {
	if !g.isBehind(events) {
		return nil, nil
	}
	s := g.scene
	if s.back != nil {
		if found, ok := s.back.find(s, events); ok {
			return s.back, found
		}
	}
	s.wanted = append(s.wanted, events...)
	at := end{given: true, ground: s.ground}
	if s.base != nil && s.events[0].Gone {
		// What others make of it without what is here is not the same.
		at.base, at.whole = s.base, true
	}
	for _, whole := range [...]bool{at.whole, true} {
		at.whole = whole
		s.back = newScene(s.visible, s.maximal(s.wanted), at)
		if found, ok := s.back.find(s, events); ok {
			return s.back, found
		}
	}
	return nil, nil // the History failed
}

// find returns where events of another scene are in s; false if one is missing.
func (s *scene) find(other *scene, events []int32) (found []int32, ok bool) {
	if s.places == nil {
		s.places = make(map[RevisionID]int32, len(s.events))
		for i := range s.events {
			s.places[s.events[i].ID] = int32(i)
		}
	}
	for _, event := range events {
		i, ok := s.places[other.events[event].ID]
		if !ok {
			return nil, false
		}
		found = append(found, i)
	}
	return found, true
}

// maximal returns those of events that no other one of them has seen, as heads
// of a walk.
func (s *scene) maximal(events []int32) (heads []event) {
	events = slices.Clone(events)
	slices.Sort(events)
	var seen reach
	for _, i := range slices.Backward(slices.Compact(events)) {
		if e := &s.events[i]; !seen.has(e) {
			heads = append(heads, event{Revision: Revision{Write: e.Write}, placed: e.placed})
			seen = union(seen, e.reach())
		}
	}
	return heads
}
