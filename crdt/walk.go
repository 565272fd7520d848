package crdt

import (
	"bytes"
	"cmp"
	"container/heap"
	"slices"
)

// Revision is what the view needs to know of a revision whose kind has deltas,
// and of one beside it.
type Revision struct {
	Write
	// Parents are all visible.
	Parents []RevisionID
	// Order exceeds that of every parent. Nodes may number differently: the
	// view does not depend on it.
	Order Order
	// Gone: the payload was purged, and there is none.
	Gone bool
	// Payload is what the revision carries. View does not keep it: it asks for a
	// revision again whose whole value it wants.
	Payload []byte
}

// Order is a place in an order that extends causality.
type Order struct {
	Lamport uint64
	Index   uint64 // among those of one Lamport time
}

func (o Order) compare(p Order) int {
	return cmp.Or(cmp.Compare(o.Lamport, p.Lamport), cmp.Compare(o.Index, p.Index))
}

// History looks up what is behind the heads of a key. It has no error results,
// so that View stays total: an implementation that reads from a store keeps its
// first error, and the caller that passed it throws the view away.
type History interface {
	// Revision returns a visible revision. Its Origin is not looked at.
	Revision(RevisionID) Revision
	// Origin says how a visible revision that is no head came to the fork.
	Origin(RevisionID) Origin
	// Source returns what Visible.Source holds otherwise.
	Source() View
}

// event is a revision that the walk met.
type event struct {
	Revision
	change
	head   bool // nothing that is looked at has seen it
	placed bool // Origin is known
	buried bool // an addition that someone has seen who wrote the whole value, and no counter

	// A line is a series of events each of which is a parent of the next; pos
	// counts them from 1. An event has seen the ones before it on its line, and
	// of every other line all up to past.
	line, pos int32
	past      []int32
}

// walked is what a walk met.
type walked struct {
	// events are parents before children; none is of what the state has.
	events []event
	// bounded: the first of events stands for all that is older.
	bounded bool
	// joint is how many of events are one that is open, as the last of them, and
	// what it has seen: all others have seen it. It is 0 if there is none.
	joint int
	// passed: between joint and the end there was another revision at which the
	// walk would have ended by itself.
	passed bool
	// state is that of top, which all events have seen; nil if there is none.
	state *State
	top   event
}

// end is where a walk ends: by itself, or, for a part of what another walk has
// met, where that one did.
type end struct {
	given  bool
	ground RevisionID // zero if everything is looked at
	whole  bool       // no state takes the place of anything
	base   *Document  // what the ground is, if that is gone
}

// walk returns the heads and what is behind them. It goes back until one
// complete revision is all that is left to look at, and everything met has seen
// that: it is the first event, and stands for all that is older. Where that one
// revision is open, and its state is known, the state takes the place of all
// that is behind it.
func (v *Visible) walk(heads []event, at end) (w walked) {
	met := make(map[RevisionID]bool)
	var waiting frontier
	for _, h := range heads {
		if !met[h.ID] {
			met[h.ID] = true
			r := v.History.Revision(h.ID)
			r.Write = h.Write
			heap.Push(&waiting, event{Revision: r, head: true, placed: h.placed})
		}
	}
	joint := -1
	for begun := false; len(waiting) > 0; {
		if len(waiting) == 1 && !begun {
			one := &waiting[0]
			stop := !one.Open && (!at.given || one.ID == at.ground)
			if w.state = v.stateOf(one, at); stop || w.state != nil {
				w.top, w.bounded = *one, stop
				break
			}
			w.passed = w.passed || !one.Open
			if joint < 0 && one.Open {
				joint, w.passed = len(w.events), false
			}
		}
		e := heap.Pop(&waiting).(event)
		w.events = append(w.events, e)
		begun = begun || len(e.Parents) == 0 // it has seen nothing, and so not what is left
		for _, p := range e.Parents {
			if !met[p] {
				met[p] = true
				r := v.History.Revision(p)
				r.ID = p
				heap.Push(&waiting, event{Revision: r})
			}
		}
	}
	if w.bounded {
		w.events = append(w.events, w.top)
	}
	if joint >= 0 {
		w.joint = len(w.events) - joint
	}
	slices.Reverse(w.events)
	return w
}

// stateOf returns what is remembered of an open event, if that ends where the
// walk is to end.
func (v *Visible) stateOf(e *event, at end) *State {
	if v.Memory == nil || !e.Open || at.whole {
		return nil
	}
	s := v.Memory.State(e.ID)
	if s == nil || (at.given && s.ground != at.ground) {
		return nil
	}
	return s
}

// frontier is a heap, the highest Order on top.
type frontier []event

func (f frontier) Len() int { return len(f) }

func (f frontier) Less(i, j int) bool {
	return cmp.Or(f[j].Order.compare(f[i].Order), bytes.Compare(f[j].ID[:], f[i].ID[:])) < 0
}

func (f frontier) Swap(i, j int) { f[i], f[j] = f[j], f[i] }

// Push implements heap.Interface.
func (f *frontier) Push(x any) { *f = append(*f, x.(event)) }

// Pop implements heap.Interface.
func (f *frontier) Pop() any {
	last := len(*f) - 1
	e := (*f)[last]
	*f = (*f)[:last]
	return e
}

// draw puts the events from the one at first on, parents before children, on
// lines. Those before it are on lines already, of which ends are the last
// positions; of them only the last is a parent. It returns the ends of all lines.
// It costs one vector of all lines for each event that does not simply go on with
// its only parent.
func draw(events []event, first int, ends []int32) []int32 {
	index := make(map[RevisionID]int, len(events)-first+1)
	if first > 0 {
		index[events[first-1].ID] = first - 1
	}
	for i := first; i < len(events); i++ {
		e := &events[i]
		e.line = -1
		var parents []*event
		for _, id := range e.Parents {
			if at, ok := index[id]; ok {
				p := &events[at]
				parents = append(parents, p)
				if e.line < 0 && p.pos == ends[p.line] {
					e.line, e.pos = p.line, p.pos+1
				}
			}
		}
		if len(parents) == 1 && e.line >= 0 {
			e.past = parents[0].past
		} else {
			for _, p := range parents {
				e.past = union(e.past, p.reach())
			}
		}
		if e.line < 0 {
			e.line, e.pos = int32(len(ends)), 1
			ends = append(ends, 0)
		}
		ends[e.line] = e.pos
		index[e.ID] = i
	}
	return ends
}

// reach is how far e reaches on each line, itself included.
func (e *event) reach() reach {
	r := make(reach, max(len(e.past), int(e.line)+1))
	copy(r, e.past)
	r[e.line] = e.pos
	return r
}

// sees reports whether e has seen f.
func (e *event) sees(f *event) bool {
	if e.line == f.line {
		return f.pos < e.pos
	}
	return int(f.line) < len(e.past) && f.pos <= e.past[f.line]
}

// reach is a set of events that holds with each all that it has seen: of each
// line, those up to a position.
type reach []int32

// union returns the union. It may change a.
func union(a, b reach) reach {
	if len(a) < len(b) {
		a = append(a, make(reach, len(b)-len(a))...)
	}
	for i, pos := range b {
		a[i] = max(a[i], pos)
	}
	return a
}

func (r reach) has(e *event) bool { return int(e.line) < len(r) && e.pos <= r[e.line] }

// equal reports whether both hold the same.
func (r reach) equal(o reach) bool {
	for i := range max(len(r), len(o)) {
		if r.to(i) != o.to(i) {
			return false
		}
	}
	return true
}

func (r reach) to(line int) int32 {
	if line < len(r) {
		return r[line]
	}
	return 0
}
