package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// documentMemory keeps what was read of documents, while the conflicts of a key
// are described one by one: there can be as many as the document has fields.
type documentMemory struct {
	r        *Replica
	from     reader
	changes  map[dag.RevisionID]*dag.Change
	payloads map[dag.RevisionID]payloadRead
	written  map[dag.RevisionID]*crdt.Document
	paths    map[dag.RevisionID][]crdt.Path
	lineages map[string]*lineage
	looks    int // for bases
}

type payloadRead struct {
	payload []byte
	err     error
}

func (r *Replica) documentMemory() *documentMemory {
	return &documentMemory{
		r: r, changes: map[dag.RevisionID]*dag.Change{}, payloads: map[dag.RevisionID]payloadRead{}, written: map[dag.RevisionID]*crdt.Document{},
		paths: map[dag.RevisionID][]crdt.Path{}, lineages: map[string]*lineage{},
	}
}

// change is a revision of a key.
func (m *documentMemory) change(key string, id dag.RevisionID) (*dag.Change, error) {
	c, ok := m.changes[id]
	if !ok {
		found, err := m.from.change(key, id)
		if err != nil {
			return nil, err
		}
		c = &found
		m.changes[id] = c
	}
	return c, nil
}

// payload is that of a revision.
func (m *documentMemory) payload(c *dag.Change) ([]byte, error) {
	p, ok := m.payloads[c.ID]
	if !ok {
		p.payload, p.err = m.r.graph.ChangePayload(c)
		m.payloads[c.ID] = p
	}
	return p.payload, p.err
}

// document is what documentAsWritten returns.
func (m *documentMemory) document(c *dag.Change) (*crdt.Document, error) {
	if d, ok := m.written[c.ID]; ok {
		return d, nil
	}
	d, err := m.r.documentAsWritten(c)
	if err == nil {
		m.written[c.ID] = d
	}
	return d, err
}

// conflicts describes the conflicts of a view with the values of their sides.
func (r *Replica) conflicts(f dag.Fork, k *sight, find finder) ([]rpc.Conflict, error) {
	if k.settled() {
		return nil, nil
	}
	e := k.Entry
	m := r.documentMemory()
	m.from = k.from
	defer m.stop()
	if _, applied := k.from.(graphReader); applied {
		heads, err := r.graph.HeadChanges(e)
		if err != nil {
			return nil, outward(err)
		}
		for i := range heads {
			m.changes[heads[i].ID] = &heads[i]
		}
	}
	var out []rpc.Conflict
	for i := range k.Conflicts {
		c := &k.Conflicts[i]
		d := rpc.Conflict{Key: e.Key, Fork: f.Name, ID: c.ID, State: c.State, Path: c.Path.String(), Kind: string(c.Kind)}
		for j := range c.Sides {
			s := &c.Sides[j]
			change, err := m.change(e.Key, dag.RevisionID(s.Revision))
			if err != nil {
				return nil, outward(err)
			}
			side, err := m.side(f, change, c.Path, s)
			if err != nil {
				return nil, outward(err)
			}
			d.Sides = append(d.Sides, side)
		}
		base, ok, err := find(f, e, c, m)
		if err == nil && ok {
			d.Base, err = m.base(&base, c.Path)
		}
		if err != nil {
			return nil, outward(err)
		}
		out = append(out, d)
	}
	return out, nil
}

func (m *documentMemory) side(f dag.Fork, c *dag.Change, path crdt.Path, s *crdt.Side) (rpc.Side, error) {
	r := m.r
	out := rpc.Side{
		Letter: s.Letter, Deleted: s.Deleted, Served: s.Rank == 0, Revision: dag.RevisionID(s.Revision), Fork: f.Name,
		Node: r.nodeName(c.Node), Author: rpc.Author(c.Note.Author), Time: timeOf(c.Revision.Time),
	}
	if on, ok := r.graph.ForkOf(c.Revision.Fork); ok && on.Name != "" {
		out.Fork = on.Name
	}
	payload, err := m.payload(c)
	if _, out.Purged, err = r.shown(content{}, err); err != nil {
		return out, err
	}
	if out.Purged != nil {
		out.Kind = crdt.Kind(c.Revision.Kind)
		return out, nil
	}
	if path != crdt.Root {
		payload = nil // the text of the whole does not say how a part is spelled
	}
	out.Value, out.Kind, err = sideValue(s, payload)
	if path != crdt.Root {
		out.Value = bytes.TrimSuffix(out.Value, []byte("\n"))
	}
	return out, err
}

// base describes what the sides of a conflict at a path had in common.
func (m *documentMemory) base(c *dag.Change, path crdt.Path) (*rpc.Base, error) {
	r, rev := m.r, c.Revision
	out := &rpc.Base{
		Deleted: rev.Deleted, Kind: crdt.Kind(rev.Kind), Revision: c.ID, Node: r.nodeName(c.Node), Author: rpc.Author(c.Note.Author),
		Time: timeOf(rev.Time), Fork: r.forkLabel(rev.Fork),
	}
	payload, err := m.payload(c)
	value := contentOfRevision(rev, payload)
	if out.Value, out.Purged, err = r.shown(value, err); out.Purged != nil {
		return out, nil
	}
	if err != nil || path == crdt.Root || value.deleted {
		return out, err
	}
	d, err := m.document(c)
	if err != nil {
		return nil, err
	}
	part := d.At(path)
	if part == nil {
		out.Deleted, out.Value = true, nil
		return out, nil
	}
	out.Value, err = part.Render(out.Kind, nil)
	out.Value = bytes.TrimSuffix(out.Value, []byte("\n"))
	return out, err
}

// errNoProposal says that a conflict is not of two texts that parted.
var errNoProposal = errors.New("only two texts that were made of one have a proposal")

// withProposals is conflicts with the proposals of texts, for who settles them.
func (r *Replica) withProposals(f dag.Fork, k *sight, find finder) ([]rpc.Conflict, error) {
	all, err := r.conflicts(f, k, find)
	for i := range all {
		if text, clash := propose(&all[i]); clash == nil {
			all[i].Proposal = string(text)
		}
	}
	return all, err
}

// propose joins the lines of two texts in conflict.
func propose(c *rpc.Conflict) ([]byte, error) {
	if c.Base == nil || c.Base.Deleted || c.Base.Kind != crdt.Text || len(c.Sides) != 2 {
		return nil, errNoProposal
	}
	ours, theirs := &c.Sides[0], &c.Sides[1]
	if ours.Deleted || theirs.Deleted || ours.Kind != crdt.Text || theirs.Kind != crdt.Text {
		return nil, errNoProposal
	}
	text, clash := crdt.MergeLines(c.Base.Value, ours.Value, theirs.Value)
	if clash == nil {
		return text, nil
	}
	n := 0
	for _, h := range clash.Hunks {
		if h.Conflict() {
			n++
		}
	}
	return nil, fmt.Errorf("their lines clash in %s", plural(n, "place"))
}

// proposed is the proposal for a conflict of the key on a fork.
func (r *Replica) proposed(f dag.Fork, s *sight, c *crdt.Conflict, find finder) (choice, error) {
	all, err := r.conflicts(f, s, find)
	if err != nil {
		return choice{}, err
	}
	i := slices.IndexFunc(all, func(x rpc.Conflict) bool { return x.ID == c.ID })
	text, err := propose(&all[i])
	if err != nil {
		return choice{}, failure(rpc.CodeConflict, "there is no proposal for %q%s: %s; take a side, or give the value", s.Key, at(c.Path), err)
	}
	return choice{content: content{kind: crdt.Text, value: text}}, nil
}
