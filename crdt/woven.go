package crdt

import (
	"bytes"
	"slices"
)

// maxWoven is how many texts are woven into one.
const maxWoven = 16

// woven is the text of a document, and those that were made of it at once. It is
// what View.Bytes makes a text of that has the layout, the order and the comments
// of all of them.
type woven struct {
	before []byte
	after  [][]byte // in the order of the ids of their revisions
}

// weave returns what the text of a document without conflicts can be woven of:
// nothing if the heads have no document of that kind in common, or are many.
func (g *stage) weave(kind Kind) woven {
	if g.base == nil || g.events[0].Gone || g.events[0].Kind != kind {
		return woven{}
	}
	text := func(e *event) []byte { return TextOf(kind, g.visible.History.Revision(e.ID).Payload) }
	w := woven{before: text(&g.events[0])}
	var heads []*event
	for i := range g.events {
		e := &g.events[i]
		switch {
		case !e.head:
			continue
		case len(heads) == maxWoven, e.class != documentClass, e.Kind != kind:
			return woven{}
		}
		heads = append(heads, e)
	}
	slices.SortFunc(heads, func(a, b *event) int { return compareIDs(a.ID, b.ID) })
	for _, e := range heads {
		w.after = append(w.after, text(e))
	}
	return w
}

// addsTo reports whether some of the texts has something to add to one of them.
func (w *woven) addsTo(text []byte) bool {
	return slices.ContainsFunc(w.after, func(after []byte) bool {
		return !bytes.Equal(after, text) && !bytes.Equal(after, w.before)
	})
}

// text returns the texts merged line by line, if they can be, and the result is
// d. No value is decided by that: d is.
func (w *woven) text(kind Kind, d *Document) ([]byte, bool) {
	if len(w.after) == 0 {
		return nil, false
	}
	text := w.after[0]
	for _, after := range w.after[1:] {
		var conflict *LineConflict
		if text, conflict = MergeLines(w.before, text, after); conflict != nil {
			return nil, false
		}
	}
	back, err := parseDocument(kind, string(text), d.Lists(), nil)
	return text, err == nil && back.equal(d)
}
