package daemon

import (
	"crush/crdt"
	"crush/dag"
)

// reader is what keys are read from: the graph, or a commit under way.
type reader interface {
	Payload(h *dag.Head) ([]byte, error)
	Ways(e *dag.Entry) []dag.Way
}

// sight is a key on a fork as a reader sees it: its heads, and what the rules
// make of them. It must not outlive the commit that it was taken in.
type sight struct {
	*dag.Entry
	crdt.View
	from reader
}

// look reads an entry of the graph.
func (r *Replica) look(e *dag.Entry) (*sight, error) { return r.lookBy(r.graph, e) }

// lookBy reads an entry that a reader gave.
func (r *Replica) lookBy(from reader, e *dag.Entry) (*sight, error) {
	var buf [4]crdt.Write
	v := crdt.Visible{Fork: crdt.ForkID(e.Fork), Key: e.Key, Heads: buf[:0]}
	for i := range e.Heads {
		h := &e.Heads[i]
		v.Heads = append(v.Heads, crdt.Write{
			ID: crdt.RevisionID(h.ID), Chain: crdt.ChainID(h.Place.Chain), Time: h.Time,
			Kind: crdt.Kind(h.Kind), Deleted: h.Deleted, Value: crdt.Sum(h.Value),
		})
	}
	if len(e.Heads) > 1 {
		if err := r.rankByOrigin(e, from.Ways(e), &v); err != nil {
			return nil, err
		}
	}
	return &sight{e, v.View(), from}, nil
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
	return r.lookBy(tx, e)
}

// origins translates how a revision came to be visible.
var origins = [...]crdt.Origin{dag.Written: crdt.Written, dag.Inherited: crdt.Inherited, dag.Merged: crdt.Merged}

// rankByOrigin fills in what decides between sides on a fork with
// contributions: where each head came from, and how the source ranked those
// that were there when the fork was made.
func (r *Replica) rankByOrigin(e *dag.Entry, ways []dag.Way, v *crdt.Visible) error {
	inherited := 0
	for i, way := range ways {
		v.Heads[i].Origin = origins[way]
		if way == dag.Inherited {
			inherited++
		}
	}
	if inherited < 2 {
		return nil
	}
	source, ok, err := r.graph.CreationEntry(e.Fork, e.Key)
	if !ok || err != nil {
		return err
	}
	s, err := r.look(&source)
	if err == nil {
		v.Source = s.View
	}
	return err
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

// content returns what a read returns.
func (s *sight) content() (content, error) {
	h := s.served()
	if h == nil || s.Absent() {
		return *s.nothing(), nil
	}
	value, err := s.from.Payload(h)
	return content{kind: s.Kind, value: value}, err
}

// contentOfHead returns what the writer of a head saw.
func (s *sight) contentOfHead(h *dag.Head) (content, error) {
	value, err := s.from.Payload(h)
	return content{kind: crdt.Kind(h.Kind), deleted: h.Deleted, value: value}, err
}

// size is how long what is read is, in bytes.
func (s *sight) size() (int64, error) {
	h := s.served()
	if h == nil || s.Absent() {
		return 0, nil
	}
	return h.Size, nil
}

// contentOf returns what the writer of a revision saw when it was written.
func (r *Replica) contentOf(c *dag.Change) (content, error) {
	value, err := r.graph.ChangePayload(c)
	return content{kind: crdt.Kind(c.Revision.Kind), deleted: c.Revision.Deleted, value: value}, err
}

// equal reports whether both are read as the same value.
func (s *sight) equal(o *sight) bool {
	if s.Absent() || o.Absent() {
		return s.Absent() && o.Absent()
	}
	a, b := s.served(), o.served()
	return a.Value == b.Value && a.Kind == b.Kind
}

// holds reports whether what is read is c.
func (s *sight) holds(c *content) bool {
	if c.deleted || s.Absent() {
		return c.deleted && s.Absent()
	}
	h := s.served()
	return crdt.Kind(h.Kind) == c.kind && h.Size == int64(len(c.value)) && h.Value == dag.SumOf(c.value)
}

// changeTo says what a key becomes.
func (s *sight) changeTo(now *sight) string {
	switch {
	case s.equal(now):
		return "same"
	case s.Absent():
		return "created"
	case now.Absent():
		return "deleted"
	}
	return "changed"
}

// changeToContent says what a key becomes when c is written.
func (s *sight) changeToContent(c *content) string {
	switch {
	case s.holds(c):
		return "same"
	case s.Absent():
		return "created"
	case c.deleted:
		return "deleted"
	}
	return "changed"
}

// change is draft with what the key becomes; the revision is nil if the key is
// read as c already, and without a conflict.
func (s *sight) change(c *content, mark dag.Mark) (*dag.Draft, string, error) {
	what := s.changeToContent(c)
	if what == "same" && s.settled() {
		return nil, "", nil
	}
	d, err := s.draft(c, mark)
	return d, what, err
}

// draft is the revision that makes c of the key, for a writer who has read
// what s shows.
func (s *sight) draft(c *content, mark dag.Mark) (*dag.Draft, error) {
	return s.draftOn(s.parents(), c, mark)
}

// draftOn is draft for a writer who has read parents.
func (s *sight) draftOn(parents []dag.RevisionID, c *content, mark dag.Mark) (*dag.Draft, error) {
	return &dag.Draft{
		Fork: s.Fork, Key: s.Key, Parents: parents, Kind: uint64(c.kind), Deleted: c.deleted, Payload: c.value, Mark: mark,
	}, nil
}

// lookTwice reads two entries of the graph.
func (r *Replica) lookTwice(a, b *dag.Entry) (x, y *sight, err error) {
	if x, err = r.look(a); err != nil {
		return nil, nil, err
	}
	y, err = r.look(b)
	return x, y, err
}
