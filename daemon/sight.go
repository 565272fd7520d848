package daemon

import (
	"bytes"
	"slices"

	"crush/crdt"
	"crush/dag"
)

// reader is what keys are read from: the graph, or a commit under way.
type reader interface {
	entry(fork dag.ForkID, key string) (*dag.Entry, error)
	payload(h *dag.Head) ([]byte, error)
	ways(e *dag.Entry) []dag.Way
	// change returns a revision of a key.
	change(key string, id dag.RevisionID) (dag.Change, error)
	// head makes of a change what it would be as a head.
	head(c *dag.Change) dag.Head
}

// graphReader reads what is applied.
type graphReader struct{ *dag.Graph }

func (g graphReader) entry(fork dag.ForkID, key string) (*dag.Entry, error) {
	e, err := g.Entry(fork, key)
	return &e, err
}

func (g graphReader) payload(h *dag.Head) ([]byte, error) { return g.Payload(h) }
func (g graphReader) ways(e *dag.Entry) []dag.Way         { return g.Ways(e) }

func (g graphReader) head(c *dag.Change) dag.Head { return g.Head(c) }

func (g graphReader) change(_ string, id dag.RevisionID) (dag.Change, error) {
	return g.Revision(id)
}

// txReader reads what is applied and what the commit has written so far.
type txReader struct{ *dag.Tx }

func (t txReader) entry(fork dag.ForkID, key string) (*dag.Entry, error) { return t.Entry(fork, key) }
func (t txReader) payload(h *dag.Head) ([]byte, error)                   { return t.Payload(h) }
func (t txReader) ways(e *dag.Entry) []dag.Way                           { return t.Ways(e) }

func (t txReader) head(c *dag.Change) dag.Head { return t.Head(c) }

func (t txReader) change(key string, id dag.RevisionID) (dag.Change, error) {
	return t.Revision(key, id)
}

// sight is a key on a fork as a reader sees it: its heads, and what the rules
// make of them. It must not outlive the commit that it was taken in.
type sight struct {
	*dag.Entry
	crdt.View
	r    *Replica
	from reader
	// warnings are of the document that was drafted last.
	warnings []crdt.Warning
}

// look reads an entry of the graph.
func (r *Replica) look(e *dag.Entry) (*sight, error) { return r.lookBy(graphReader{r.graph}, e) }

// lookBy reads an entry that a reader gave.
func (r *Replica) lookBy(from reader, e *dag.Entry) (*sight, error) {
	v := crdt.Visible{Fork: crdt.ForkID(e.Fork), Key: e.Key, Heads: make([]crdt.Write, 0, len(e.Heads))}
	for i := range e.Heads {
		h := &e.Heads[i]
		v.Heads = append(v.Heads, crdt.Write{
			ID: crdt.RevisionID(h.ID), Chain: crdt.ChainID(h.Place.Chain), Time: h.Time,
			Kind: crdt.Kind(h.Kind), Deleted: h.Deleted, Value: crdt.Sum(h.Value), Open: h.Open,
		})
	}
	if !e.Contested() {
		return &sight{Entry: e, View: v.View(), r: r, from: from}, nil
	}
	behind := &past{r: r, from: from, e: e, known: map[crdt.RevisionID]*dag.Change{}, purges: r.graph.Purges()}
	v.History, v.Memory = behind, behind
	behind.rankByOrigin(&v)
	s := &sight{Entry: e, View: v.View(), r: r, from: from}
	if s.Opaque && s.purgedIn() {
		// What was purged is not understood, and need not be.
		s.Opaque = slices.ContainsFunc(e.Heads, func(h dag.Head) bool { return !h.Deleted && !crdt.Kind(h.Kind).Known() })
	}
	return s, behind.err
}

// purgedIn reports whether a head, what is served, or a revision that a conflict
// is made of was purged.
func (s *sight) purgedIn() bool {
	gone := func(id crdt.RevisionID) bool {
		c, err := s.from.change(s.Key, dag.RevisionID(id))
		return err == nil && s.r.purgedBy(&c) != nil
	}
	if !s.Author.IsZero() && gone(s.Author) || slices.ContainsFunc(s.Heads, func(h dag.Head) bool { return s.r.graph.PurgedHead(s.Key, &h) }) {
		return true
	}
	for i := range s.Conflicts {
		for _, side := range s.Conflicts[i].Sides {
			if slices.ContainsFunc(side.Revisions, gone) {
				return true
			}
		}
	}
	return false
}

// lookAt reads a key as it is now.
func (r *Replica) lookAt(fork dag.ForkID, key string) (*sight, error) {
	e, err := r.graph.Entry(fork, key)
	if err != nil {
		return nil, err
	}
	return r.look(&e)
}

// lookIn reads a key in a commit.
func (r *Replica) lookIn(tx *dag.Tx, fork dag.ForkID, key string) (*sight, error) {
	e, err := tx.Entry(fork, key)
	if err != nil {
		return nil, err
	}
	return r.lookBy(txReader{tx}, e)
}

// origins translates how a revision came to be visible.
var origins = [...]crdt.Origin{dag.Written: crdt.Written, dag.Inherited: crdt.Inherited, dag.Merged: crdt.Merged}

// rankByOrigin fills in what decides between sides on a fork with
// contributions: where each head came from, and how the source ranked those
// that were there when the fork was made.
func (p *past) rankByOrigin(v *crdt.Visible) {
	inherited := 0
	for i, way := range p.from.ways(p.e) {
		v.Heads[i].Origin = origins[way]
		if way == dag.Inherited {
			inherited++
		}
	}
	if inherited > 1 {
		v.Source = p.Source()
	}
}

// sourceView is what the source of a fork showed of a key when the fork was
// made.
func (r *Replica) sourceView(e *dag.Entry) (crdt.View, error) {
	source, ok, err := r.graph.CreationEntry(e.Fork, e.Key)
	if !ok || err != nil {
		return crdt.View{}, err
	}
	s, err := r.look(&source)
	if err != nil {
		return crdt.View{}, err
	}
	return s.View, nil
}

// served returns the head that the view serves; nil if there is none.
func (s *sight) served() *dag.Head {
	for i := range s.Heads {
		if crdt.RevisionID(s.Heads[i].ID) == s.Served {
			return &s.Heads[i]
		}
	}
	return nil
}

// settled reports whether the key has no open conflict.
func (s *sight) settled() bool { return len(s.Conflicts) == 0 }

// gone reports whether nothing is left to delete.
func (s *sight) gone() bool { return s.Absent() && s.settled() }

// parents lists the heads, the served one first.
func (s *sight) parents() []dag.RevisionID { return s.parentsFrom(headIDs(s.Entry)) }

// parentsFrom lists what a writer has read, the served head first if it is
// among it.
func (s *sight) parentsFrom(read []dag.RevisionID) []dag.RevisionID {
	out := make([]dag.RevisionID, len(read))
	copy(out, read)
	for i, id := range out {
		if crdt.RevisionID(id) == s.Served {
			copy(out[1:], out[:i])
			out[0] = id
		}
	}
	return out
}

// content is a value of a key, as people see it.
type content struct {
	kind    crdt.Kind
	deleted bool
	value   []byte // nil if deleted; it must not be changed
}

// kind is that of what is served, or of what was deleted; bytes if nothing was
// ever written.
func (s *sight) kind() crdt.Kind {
	if s.Kind.IsZero() {
		return crdt.Bytes
	}
	return s.Kind
}

// nothing is the content of the key once it is deleted.
func (s *sight) nothing() *content { return &content{kind: s.kind(), deleted: true} }

// context is what a writer has read who has seen all heads.
func (s *sight) context() (crdt.Context, error) {
	c := crdt.Context{View: s.View}
	h := s.served()
	if h == nil {
		return c, nil
	}
	var err error
	c.Payload, err = s.from.payload(h)
	if err == nil && !s.Author.IsZero() { // what is served stands behind the heads, and can be gone
		var behind dag.Change
		if behind, err = s.from.change(s.Key, dag.RevisionID(s.Author)); err == nil {
			of := s.from.head(&behind)
			_, err = s.from.payload(&of)
		}
	}
	return c, err
}

// writing is context for who replaces what is gone: it counts as a value that is
// not understood.
func (s *sight) writing() (crdt.Context, error) {
	c, err := s.context()
	return c, notGone(err)
}

// content returns what a read returns.
func (s *sight) content() (content, error) {
	if s.Absent() {
		return *s.nothing(), nil
	}
	c, err := s.context()
	if err != nil {
		return content{}, err
	}
	return content{kind: s.Kind, value: c.Bytes(c.Payload)}, nil
}

// plain reports whether what is read is the payload of the served head.
func (s *sight) plain() bool { return !isDelta(s.Kind) && s.Document == nil && s.Text == nil }

// isDelta reports whether revisions of a kind say what they change.
func isDelta(k crdt.Kind) bool { return isDocument(k) || k == crdt.Counter || k == crdt.Set }

func isDocument(k crdt.Kind) bool { return k == crdt.JSON || k == crdt.YAML }

// size is how long what is read is, in bytes.
func (s *sight) size() (int64, error) {
	if s.Absent() {
		return 0, nil
	}
	if s.plain() {
		return s.served().Size, nil
	}
	c, err := s.content()
	return int64(len(c.value)), err
}

// contentOf returns what the writer of a revision saw when it was written.
func (r *Replica) contentOf(c *dag.Change) (content, error) {
	payload, err := r.graph.ChangePayload(c)
	return contentOfRevision(c.Revision, payload), err
}

func contentOfRevision(r *dag.Revision, payload []byte) content {
	out := content{kind: crdt.Kind(r.Kind), deleted: r.Deleted}
	if !r.Deleted {
		out.value = crdt.TextOf(out.kind, payload)
	}
	return out
}

// document returns what is read as a document; nil if it is none.
func (s *sight) document() (*crdt.Document, error) {
	c, err := s.context()
	if err != nil || !isDocument(s.Kind) {
		return nil, err
	}
	return c.Tree(), nil
}

// equal reports whether both are read as the same value, byte for byte.
func (s *sight) equal(o *sight) (bool, error) {
	switch {
	case s.Absent() || o.Absent():
		return s.Absent() && o.Absent(), nil
	case s.Kind != o.Kind:
		return false, nil
	case s.plain() && o.plain():
		return s.served().Value == o.served().Value, nil
	case s.Served == o.Served && s.Document == nil && s.Text == nil && o.Document == nil && o.Text == nil:
		return true, nil
	}
	c, err := o.content()
	if err != nil {
		return false, notGone(err)
	}
	return s.holds(&c)
}

// holds reports whether what is read is c, byte for byte.
func (s *sight) holds(c *content) (bool, error) {
	switch {
	case c.deleted || s.Absent():
		return c.deleted && s.Absent(), nil
	case s.Kind != c.kind:
		return false, nil
	case s.plain():
		h := s.served()
		return h.Size == int64(len(c.value)) && h.Value == dag.SumOf(c.value), nil
	}
	now, err := s.content()
	return err == nil && bytes.Equal(now.value, c.value), notGone(err)
}

// says reports whether what is read has these bytes, of whatever kind, and no
// conflict.
func (s *sight) says(value []byte) (bool, error) {
	if s.Absent() || !s.settled() {
		return false, nil
	}
	now, err := s.content()
	return err == nil && bytes.Equal(now.value, value), notGone(err)
}

// lists is how the lists in a document of the key are keyed.
func (s *sight) lists() (crdt.Lists, error) {
	p, err := s.r.policiesBy(s.from, s.Fork)
	if err != nil {
		return nil, err
	}
	return p.lists(s.Key), nil
}

// changeTo says what a key becomes.
func (s *sight) changeTo(now *sight) (string, error) {
	same, err := s.equal(now)
	return s.becomes(same, now.Absent()), err
}

// changeToContent says what a key becomes when c is written.
func (s *sight) changeToContent(c *content) (string, error) {
	same, err := s.holds(c)
	return s.becomes(same, c.deleted), err
}

func (s *sight) becomes(same, deleted bool) string {
	switch {
	case same:
		return "same"
	case s.Absent():
		return "created"
	case deleted:
		return "deleted"
	}
	return "changed"
}

// lookTwice reads two entries of the graph.
func (r *Replica) lookTwice(a, b *dag.Entry) (x, y *sight, err error) {
	if x, err = r.look(a); err != nil {
		return nil, nil, err
	}
	y, err = r.look(b)
	return x, y, err
}
