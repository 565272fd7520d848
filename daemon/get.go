package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"strings"
	"time"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// Get implements rpc.Values.
func (r *Replica) Get(ctx context.Context, q rpc.GetRequest) (rpc.Entry, error) {
	if err := checkKey(q.Key); err != nil {
		return rpc.Entry{}, err
	}
	if err := r.awaitBlocks(ctx, q.After); err != nil {
		return rpc.Entry{}, err
	}
	f, err := r.fork(q.Fork)
	if err != nil {
		return rpc.Entry{}, err
	}
	if q.Path == crdt.Root {
		q.Path = ""
	}
	if q.Rev != "" {
		return r.getRevision(ctx, f, q)
	}
	e, err := r.entryAt(f, q.Key, q.At)
	if err != nil {
		return rpc.Entry{}, err
	}
	s, err := r.look(&e)
	if err != nil {
		return rpc.Entry{}, outward(err)
	}
	if !q.Winner && !q.Meta {
		if err := s.mayServe(f, q.At); err != nil {
			return rpc.Entry{}, err
		}
	}
	out, err := r.describe(f, s, !q.Meta, q.Bare)
	if err == nil && !q.Meta && out.Purged != nil {
		return rpc.Entry{}, purgedValue(q.Key, out.Revision, out.Purged)
	}
	if err != nil || q.Path == "" {
		return out, err
	}
	d, err := s.document()
	if err != nil {
		return out, outward(err)
	}
	if err := narrow(&out, d, q.Path); err != nil {
		return rpc.Entry{}, err
	}
	return out, nil
}

// narrow leaves of an answer what stands at a path of the document d.
func narrow(out *rpc.Entry, d *crdt.Document, path crdt.Path) error {
	switch {
	case out.Deleted:
		return failure(rpc.CodeNotFound, "the key %q is not there", out.Key)
	case !isDocument(out.Kind):
		return failure(rpc.CodeInvalid, "%q is of kind %s: paths lead into a json or yaml", out.Key, out.Kind)
	case !d.Has(path):
		for at := path.Parent(); at != crdt.Root; at = at.Parent() {
			if l, ok := d.Leaf(at); ok {
				return failure(rpc.CodeNotFound, "%q has nothing at %s: what stands at %s is %.40s", out.Key, path, at, l.JSON)
			}
		}
		return failure(rpc.CodeNotFound, "%q has nothing at %s", out.Key, path)
	}
	part := d.At(path)
	hadDocument := out.Document != nil
	out.Document = bytes.TrimSpace(part.JSON())
	var err error
	var text string
	if l, ok := part.Leaf(crdt.Root); ok && json.Unmarshal([]byte(l.JSON), &text) == nil && l.JSON[0] == '"' {
		out.Value = []byte(text)
	} else {
		if out.Value, err = part.Render(out.Kind, nil); err != nil {
			out.Value = part.JSON() // elements without a name have no other text
		}
		out.Value = bytes.TrimSuffix(out.Value, []byte("\n"))
	}
	if !hadDocument {
		out.Document = nil
	}
	return nil
}

// documentOf is a value of a document as JSON; nil of other kinds.
func documentOf(kind crdt.Kind, value []byte) []byte {
	if value == nil || kind == crdt.JSON {
		return value
	}
	if kind != crdt.YAML {
		return nil
	}
	// Read by no schemas, lists are in the order that the text has.
	d, err := crdt.ParseDocument(kind, value, nil)
	if err != nil {
		return nil // what somebody else wrote that is none
	}
	out := d.JSON()
	if len(d.Lists()) > 0 { // a stream: its documents are told apart by their names
		if d, err = crdt.ParseFragment(kind, value, crdt.Root, nil); err == nil && d.JSON()[0] == '[' {
			out = d.JSON()
		}
	}
	return out
}

// mayServe refuses a key that is withheld.
func (s *sight) mayServe(f dag.Fork, at string) error {
	withheld, err := s.withheld(func() (dag.Entry, error) { return s.r.entryAt(f, rpc.PolicyKey, at) })
	if withheld && err == nil {
		err = failure(rpc.CodeConflict, "%q is in conflict, and its policy serves nothing then: crush conflicts lists the sides", s.Key)
	}
	return err
}

// withheld reports whether a key is in conflict and a policy wants it not to be
// served then; policies reads those of the cut that the key was read at.
func (s *sight) withheld(policies func() (dag.Entry, error)) (bool, error) {
	if s.settled() {
		return false, nil
	}
	e, err := policies()
	if err != nil {
		return false, err
	}
	p, err := s.r.policiesOf(graphReader{s.r.graph}, &e)
	if err != nil {
		return false, outward(err)
	}
	return p.of(s.Key).Served == rpc.ServedFail, nil
}

// entryAt returns a key as it stands, or stood at what a person named.
func (r *Replica) entryAt(f dag.Fork, key, at string) (dag.Entry, error) {
	if at == "" {
		e, err := r.graph.Entry(f.ID, key)
		return e, outward(err)
	}
	cut, err := r.cutOf(f, at)
	if err != nil {
		return dag.Entry{}, err
	}
	e, err := r.graph.EntryAt(f.ID, key, cut)
	return e, outward(err)
}

// cut resolves a time, a tag or a block.
func (r *Replica) cut(at string) (dag.Cut, error) {
	if t, err := time.Parse(time.RFC3339, at); err == nil {
		c, err := r.graph.CutAt(t)
		return c, outward(err)
	}
	if tag, ok := r.graph.Tag(at); ok {
		c, err := r.graph.CutOfAll(tag.Cut)
		return c, outward(err)
	}
	m, err := r.find(at)
	if err != nil {
		return dag.Cut{}, err
	}
	if len(m.Blocks) != 1 {
		return dag.Cut{}, failure(rpc.CodeNotFound, "%q is no time (RFC 3339), no tag and no block on this node", at)
	}
	c, err := r.graph.CutOf(m.Blocks[0])
	return c, outward(err)
}

// cutOf is cut for a fork, which must have been made by then.
func (r *Replica) cutOf(f dag.Fork, at string) (dag.Cut, error) {
	c, err := r.cut(at)
	if err == nil && !r.graph.ForkIn(f.ID, c) {
		err = failure(rpc.CodeNotFound, "the fork %q was not made yet at %s", f.Name, at)
	}
	return c, err
}

// describe fills the answer of a read.
func (r *Replica) describe(f dag.Fork, s *sight, value, bare bool) (rpc.Entry, error) {
	out := rpc.Entry{
		Key: s.Key, Fork: f.Name, Kind: s.Kind, Deleted: s.Absent(), Heads: headIDs(s.Entry), Token: tokenOf(s.Entry),
		RevisionCount: max(s.Count, 1) - 1, Conflict: !s.settled(),
	}
	h := s.served()
	if h == nil {
		return out, nil
	}
	out.Revision, out.Time = h.ID, timeOf(h.Time)
	if value {
		c, err := s.content()
		if out.Value, out.Purged, err = r.shown(c, err); err != nil {
			return out, err
		}
	}
	if bare {
		return out, nil
	}
	if isDocument(out.Kind) && out.Purged == nil {
		out.Document = documentOf(out.Kind, out.Value)
	}
	c, err := r.graph.HeadChange(h)
	if err != nil {
		return out, outward(err)
	}
	out.Block, out.Node, out.Author, out.Message = c.Block, r.nodeName(c.Node), rpc.Author(c.Note.Author), c.Note.Message
	if !value {
		out.Purged = r.purgedBy(&c)
	}
	out.Conflicts, err = r.conflicts(f, s, r.seenByAll)
	return out, err
}

// documentAsWritten is the document that the writer of a revision saw; nil if
// its payload is none.
func (r *Replica) documentAsWritten(c *dag.Change) (*crdt.Document, error) {
	payload, err := r.graph.ChangePayload(c)
	if err != nil {
		return nil, err
	}
	p, err := crdt.DecodeDocument(payload)
	if err != nil {
		return nil, nil
	}
	d, err := p.Document(crdt.Kind(c.Revision.Kind))
	if err != nil {
		return nil, nil
	}
	return d, nil
}

// getRevision answers with the value of one revision of a key.
func (r *Replica) getRevision(ctx context.Context, f dag.Fork, q rpc.GetRequest) (rpc.Entry, error) {
	if q.At != "" {
		return rpc.Entry{}, failure(rpc.CodeInvalid, "give one of rev and at, not both")
	}
	c, err := r.revisionOf(ctx, f, q.Key, q.Rev)
	if err != nil {
		return rpc.Entry{}, err
	}
	e, err := r.graph.Entry(f.ID, q.Key)
	if err != nil {
		return rpc.Entry{}, outward(err)
	}
	rev := c.Revision
	out := rpc.Entry{
		Key: q.Key, Fork: f.Name, Kind: crdt.Kind(rev.Kind), Deleted: rev.Deleted, Heads: headIDs(&e), Token: tokenOf(&e),
		RevisionCount: max(e.Count, 1) - 1, Revision: c.ID, Block: c.Block, Node: r.nodeName(c.Node),
		Author: rpc.Author(c.Note.Author), Time: timeOf(rev.Time), Message: c.Note.Message, Purged: r.purgedBy(&c),
	}
	if q.Meta && q.Path == "" {
		return out, nil
	}
	if out.Purged != nil {
		return rpc.Entry{}, purgedValue(q.Key, c.ID, out.Purged)
	}
	old, err := r.contentOf(&c)
	if err != nil {
		return out, outward(err)
	}
	out.Value = old.value
	var d *crdt.Document
	if isDocument(old.kind) && !old.deleted {
		if d, err = r.documentAsWritten(&c); err != nil {
			return out, outward(err)
		}
		out.Document = documentOf(old.kind, old.value)
	}
	if q.Path != "" {
		err = narrow(&out, d, q.Path)
	}
	if q.Meta {
		out.Value, out.Document = nil, nil
	}
	return out, err
}

// List implements rpc.Values.
func (r *Replica) List(ctx context.Context, q rpc.ListRequest) iter.Seq2[rpc.Entry, error] {
	return func(yield func(rpc.Entry, error) bool) {
		if err := r.awaitWithin(ctx, q.Within, q.AfterBlock); err != nil {
			yield(rpc.Entry{}, err)
			return
		}
		f, err := r.fork(q.Fork)
		if err != nil {
			yield(rpc.Entry{}, err)
			return
		}
		at, err := r.pastEntry(f, q.At)
		if err != nil {
			yield(rpc.Entry{}, err)
			return
		}
		for e, err := range r.graph.Entries(ctx, f.ID, q.Prefix, q.After) {
			if err == nil && at != nil {
				e, err = at(e.Key)
			}
			if err != nil {
				yield(rpc.Entry{}, outward(err))
				return
			}
			s, err := r.look(&e)
			if err != nil {
				yield(rpc.Entry{}, outward(err))
				return
			}
			withheld := false
			if q.Values && !q.Winner {
				withheld, err = s.withheld(func() (dag.Entry, error) { return r.entryAt(f, rpc.PolicyKey, q.At) })
			}
			if s.Absent() && !withheld && err == nil {
				continue
			}
			var out rpc.Entry
			if err == nil {
				out, err = r.describe(f, s, q.Values && !withheld, !q.Values)
				out.Withheld = withheld
			}
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}

// pastEntry returns how to read a key at what a person named; nil for now.
func (r *Replica) pastEntry(f dag.Fork, at string) (func(key string) (dag.Entry, error), error) {
	if at == "" {
		return nil, nil
	}
	cut, err := r.cutOf(f, at)
	if err != nil {
		return nil, err
	}
	return func(key string) (dag.Entry, error) { return r.graph.EntryAt(f.ID, key, cut) }, nil
}

// Info implements rpc.Histories.
func (r *Replica) Info(_ context.Context, k rpc.KeyRef) (rpc.Info, error) {
	if err := checkKey(k.Key); err != nil {
		return rpc.Info{}, err
	}
	f, err := r.fork(k.Fork)
	if err != nil {
		return rpc.Info{}, err
	}
	e, err := r.graph.Entry(f.ID, k.Key)
	if err != nil {
		return rpc.Info{}, outward(err)
	}
	if len(e.Heads) == 0 {
		return rpc.Info{}, failure(rpc.CodeNotFound, "the key %q is not there", k.Key)
	}
	s, err := r.look(&e)
	if err != nil {
		return rpc.Info{}, outward(err)
	}
	out := rpc.Info{
		Key: e.Key, RevisionCount: e.Count - 1, Heads: headIDs(&e), Fork: f.Name, Kind: s.Kind, Deleted: s.Absent(),
		Conflict: !s.settled(), First: timeOf(e.First), Token: tokenOf(&e),
	}
	for i := range e.Heads {
		if t := timeOf(e.Heads[i].Time); t.After(out.Last) {
			out.Last = t
		}
	}
	out.Size, err = s.size()
	return out, outward(err)
}

// find resolves the text form of an id, or a distinctive part of one.
func (r *Replica) find(text string) (dag.Matches, error) {
	if id, err := dag.ParseRevisionID(text); err == nil {
		text = id.String()[len(text)-52:]
	}
	m, err := r.graph.Find(strings.ToLower(text))
	return m, outward(err)
}
