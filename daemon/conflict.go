package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// finder finds the base of a conflict on a fork; ok is false if there is none.
type finder func(f dag.Fork, e *dag.Entry, c *crdt.Conflict, m *documentMemory) (base dag.Change, ok bool, err error)

// documentMemory keeps what was read of documents, while the conflicts of a key
// are described one by one: there can be as many as the document has fields.
type documentMemory struct {
	r        *Replica
	payloads map[dag.RevisionID]payloadRead
	written  map[dag.RevisionID]*crdt.Document
	paths    map[dag.RevisionID][]crdt.Path
}

type payloadRead struct {
	payload []byte
	err     error
}

func (r *Replica) documentMemory() *documentMemory {
	return &documentMemory{r, map[dag.RevisionID]payloadRead{}, map[dag.RevisionID]*crdt.Document{}, map[dag.RevisionID][]crdt.Path{}}
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
	var err error
	var changes []dag.Change
	heads := make(map[dag.RevisionID]int, len(e.Heads))
	if _, applied := k.from.(graphReader); applied {
		if changes, err = r.graph.HeadChanges(e); err != nil {
			return nil, outward(err)
		}
		for i := range e.Heads {
			heads[e.Heads[i].ID] = i
		}
	}
	var out []rpc.Conflict
	m := r.documentMemory()
	for i := range k.Conflicts {
		c := &k.Conflicts[i]
		d := rpc.Conflict{Key: e.Key, Fork: f.Name, ID: c.ID, State: c.State, Path: c.Path.String(), Kind: string(c.Kind)}
		for j := range c.Sides {
			s := &c.Sides[j]
			change := new(dag.Change)
			if h, ok := heads[dag.RevisionID(s.Revision)]; ok {
				change = &changes[h]
			} else if *change, err = k.from.change(e.Key, dag.RevisionID(s.Revision)); err != nil {
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
	value, err := r.contentOf(c)
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

// baseSteps bounds how many revisions are looked at to find a base, which is
// only shown, and baseSides of how many sides at most.
const (
	baseSteps = 1000
	baseSides = 256
)

// onBoth finds the base of a conflict that a merge would make: the newest
// revision that both forks show.
func (r *Replica) onBoth(src dag.Fork) finder {
	return func(dst dag.Fork, e *dag.Entry, conflict *crdt.Conflict, m *documentMemory) (dag.Change, bool, error) {
		n := 0
		for c, err := range r.graph.History(context.Background(), src.ID, e.Key, dag.HistoryCursor{}) {
			if n++; err != nil || n > baseSteps {
				return dag.Change{}, false, err
			}
			ok, err := r.graph.Visible(dst.ID, &c)
			if ok && err == nil {
				ok, err = m.wroteAt(&c, conflict.Path)
			}
			if ok || err != nil {
				return c, ok, err
			}
		}
		return dag.Change{}, false, nil
	}
}

// wroteAt reports whether a revision changed what stands at a path: of a
// document another may have done so, and this one has only what its author saw.
func (m *documentMemory) wroteAt(c *dag.Change, path crdt.Path) (bool, error) {
	if path == crdt.Root || c.Revision.Deleted || !isDocument(crdt.Kind(c.Revision.Kind)) {
		return true, nil
	}
	paths, ok := m.paths[c.ID]
	if !ok {
		payload, err := m.payload(c)
		if err != nil && !isGone(err) {
			return false, err
		}
		d, err := crdt.DecodeDocument(payload)
		if paths = d.Paths; err != nil {
			paths = []crdt.Path{crdt.Root} // it is read as one value, or was purged and can be the base
		}
		m.paths[c.ID] = paths
	}
	return slices.ContainsFunc(paths, func(p crdt.Path) bool { return p.Within(path) || path.Within(p) }), nil
}

// seenByAll finds the base of an open conflict: the newest revision that every
// side has seen, of those that wrote there.
func (r *Replica) seenByAll(f dag.Fork, e *dag.Entry, c *crdt.Conflict, m *documentMemory) (dag.Change, bool, error) {
	if len(c.Sides) > baseSides {
		return dag.Change{}, false, nil
	}
	seen := map[dag.RevisionID][]bool{} // which sides have it; of revisions still to come
	for i, s := range c.Sides {
		for _, id := range s.Revisions {
			seen[dag.RevisionID(id)] = make([]bool, len(c.Sides))
			seen[dag.RevisionID(id)][i] = true
		}
	}
	n := 0
	// A revision stands in the history behind all that have seen it.
	for ch, err := range r.graph.History(context.Background(), f.ID, e.Key, dag.HistoryCursor{}) {
		if n++; err != nil || n > baseSteps {
			return dag.Change{}, false, err
		}
		by := seen[ch.ID]
		delete(seen, ch.ID)
		if by == nil {
			continue
		}
		if !slices.Contains(by, false) {
			if ok, err := m.wroteAt(&ch, c.Path); ok || err != nil {
				return ch, ok, err
			}
		}
		for _, id := range ch.Revision.Parents {
			at := seen[id]
			if at == nil {
				at = make([]bool, len(c.Sides))
				seen[id] = at
			}
			for i, ok := range by {
				at[i] = at[i] || ok
			}
		}
		if len(seen) == 0 {
			break
		}
	}
	return dag.Change{}, false, nil
}
