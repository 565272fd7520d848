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
	head   bool // nothing visible has seen it
	placed bool // Origin is known; that of a head always is

	// A line is a series of events each of which is a parent of the next; pos
	// counts them from 1. An event has seen the ones before it on its line, and
	// of every other line all up to past.
	line, pos int32
	past      []int32
}

// walk returns the heads and what is behind them, parents before children. It
// goes back until one complete revision is all that is left to look at, and
// everything met has seen that: then bounded is true, and it is the first. It
// stands for all that is older.
func (v Visible) walk() (events []event, bounded bool) {
	met := make(map[RevisionID]bool)
	var waiting frontier
	push := func(r Revision, head bool) {
		met[r.ID] = true
		heap.Push(&waiting, event{Revision: r, head: head})
	}
	for _, h := range v.Heads {
		if !met[h.ID] {
			r := v.History.Revision(h.ID)
			r.Write = h
			push(r, true)
		}
	}
	for begun := false; len(waiting) > 0; {
		if len(waiting) == 1 && !begun && !waiting[0].Open {
			events, bounded = append(events, waiting[0]), true
			break
		}
		e := heap.Pop(&waiting).(event)
		events = append(events, e)
		begun = begun || len(e.Parents) == 0 // it has seen nothing, and so not what is left
		for _, p := range e.Parents {
			if !met[p] {
				r := v.History.Revision(p)
				r.ID = p
				push(r, false)
			}
		}
	}
	slices.Reverse(events)
	return events, bounded
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

// draw puts the events, parents before children, on lines. It costs one vector
// of all lines for each event that does not simply go on with its only parent.
func draw(events []event) {
	index := make(map[RevisionID]int, len(events))
	var ends []int32 // the last pos of each line
	for i := range events {
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

// size returns how many events r has.
func (r reach) size() int {
	n := 0
	for _, pos := range r {
		n += int(pos)
	}
	return n
}
