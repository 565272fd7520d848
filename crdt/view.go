package crdt

import (
	"bytes"
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
}

// View is what a read of a key returns. The zero View is that of a key which
// nobody has written on the fork.
type View struct {
	// Served is the head whose value is served, or that deletes; zero if there
	// is no visible write. Of several heads with that value it is the one with
	// the highest (Time, Chain, ID).
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
}

// Exists reports whether there is a visible write at all. A deletion is one.
func (v View) Exists() bool { return !v.Served.IsZero() }

// Absent reports whether no value is served: nothing is visible, or what is
// served is a deletion.
func (v View) Absent() bool { return v.Deleted || !v.Exists() }

// View reads the key by algorithm m1. The result shares no memory with v and
// depends on the set of Heads alone, not on their order. Cost is O(n log n)
// in the number of heads; a single head costs no allocation.
func (v Visible) View() View {
	if len(v.Heads) == 1 {
		return clean(v.Heads[0])
	}
	sides := group(v.Heads)
	if len(sides) == 0 {
		return View{}
	}
	rank(sides, v.Source)
	best := slices.IndexFunc(sides, func(s side) bool { return s.rank == 0 })
	view := clean(sides[best].top)
	if len(sides) > 1 {
		view.Opaque = slices.ContainsFunc(sides, func(s side) bool { return s.top.opaque() })
		view.Conflicts = []Conflict{conflict(v.Fork, v.Key, Root, sides)}
	}
	return view
}

// clean returns the view that serves w, without conflicts.
func clean(w Write) View {
	return View{Served: w.ID, Kind: w.Kind, Deleted: w.Deleted, Opaque: w.opaque()}
}

// opaque leaves deletions out: they mean the same in every kind.
func (w Write) opaque() bool { return !w.Deleted && w.Kind.Opaque() }

// side is a side on its way to becoming a Side.
type side struct {
	ids  []RevisionID // ascending
	top  Write        // the highest (Time, Chain, ID)
	rank int

	own bool // some write is Written or Inherited
	// inherited is one of the writes that are, or zero. All of them had one
	// content on the source too, and so one rank.
	inherited RevisionID
}

// content is equal for equal values, and for all deletions.
type content struct {
	deleted bool
	kind    Kind
	value   Sum
}

// group collapses writes of equal content into sides, in ascending order of
// their smallest IDs, which is the order of their letters.
func group(writes []Write) []side {
	writes = slices.Clone(writes)
	slices.SortFunc(writes, func(a, b Write) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	writes = slices.CompactFunc(writes, func(a, b Write) bool { return a.ID == b.ID })
	var sides []side
	index := make(map[content]int)
	for _, w := range writes {
		c := content{w.Deleted, w.Kind, w.Value}
		if w.Deleted {
			c = content{deleted: true}
		}
		i, ok := index[c]
		if !ok {
			i = len(sides)
			index[c] = i
			sides = append(sides, side{top: w})
		}
		sides[i].add(w)
	}
	return sides
}

func (s *side) add(w Write) {
	s.ids = append(s.ids, w.ID)
	if compareClaims(w, s.top) > 0 {
		s.top = w
	}
	if w.Origin != Merged {
		s.own = true
	}
	if w.Origin == Inherited {
		s.inherited = w.ID
	}
}
