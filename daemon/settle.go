package daemon

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// forkSide is a fork that a person may mean by its name, and what it shows.
type forkSide struct {
	fork  dag.Fork
	shows *sight
}

// choice is what a conflict is settled with. At the root of a key it is a
// content; below it is what is to stand at the path, nil for nothing.
type choice struct {
	content  content
	document *crdt.Document
}

// settling is the revision that settles some conflicts of a key, each with what
// choose returns for it, and leaves the others open.
func (s *sight) settling(which []*crdt.Conflict, choose func(*crdt.Conflict) (choice, error), mark dag.Mark) (*dag.Draft, error) {
	if which[0].Path == crdt.Root {
		with, err := choose(which[0])
		if err != nil {
			return nil, err
		}
		return s.draft(&with.content, mark)
	}
	with := make([]*crdt.Document, len(which))
	for i, c := range which {
		chosen, err := choose(c)
		if err != nil {
			return nil, err
		}
		with[i] = chosen.document
	}
	return s.drafted(s.parents(), mark, func(x crdt.Context) (crdt.Draft, error) { return x.Settle(which, with) })
}

// all are the conflicts of the key.
func (s *sight) all() (out []*crdt.Conflict) {
	for i := range s.Conflicts {
		out = append(out, &s.Conflicts[i])
	}
	return out
}

// conflictsAt are the conflicts that a path means: the one that stands there or
// above, or else those below. No path means all.
func (s *sight) conflictsAt(path crdt.Path) (out []*crdt.Conflict) {
	for _, c := range s.all() {
		switch {
		case path == "" || path == crdt.Root || c.Path.Within(path):
			out = append(out, c)
		case path.Within(c.Path):
			return []*crdt.Conflict{c}
		}
	}
	return out
}

// ofSide is what a side of a conflict holds.
func (s *sight) ofSide(c *crdt.Conflict, side *crdt.Side) (choice, error) {
	if c.Path != crdt.Root {
		return choice{document: side.Document}, nil
	}
	if side.Deleted {
		return choice{content: *s.nothing()}, nil
	}
	change, err := s.from.change(s.Key, dag.RevisionID(side.Revision))
	if err != nil {
		return choice{}, err
	}
	h := s.from.head(&change)
	payload, err := s.from.payload(&h)
	if err != nil {
		return choice{}, err
	}
	value, kind, err := sideValue(side, payload)
	return choice{content: content{kind: kind, value: value}}, err
}

// sideValue is the value of a side as people see it, and its kind. The payload
// is that of its revision.
func sideValue(side *crdt.Side, payload []byte) ([]byte, crdt.Kind, error) {
	kind := side.Kind
	switch {
	case side.Deleted:
		return nil, kind, nil
	case side.Document != nil:
		if !isDocument(kind) {
			kind = crdt.JSON
		}
		value, err := side.Document.Render(kind, crdt.TextOf(kind, payload))
		if err != nil { // elements without a name are left, say, of what was purged
			value = side.Document.JSON()
		}
		return value, kind, nil
	case side.Text != nil:
		if side.Text[0] == '[' {
			return side.Text, crdt.Set, nil
		}
		return side.Text, crdt.Counter, nil
	}
	return crdt.TextOf(kind, payload), kind, nil
}

// ofFork is what a fork serves in the place of a conflict.
func (s *sight) ofFork(c *crdt.Conflict, shows *sight) (choice, error) {
	if c.Path == crdt.Root {
		value, err := shows.content()
		return choice{content: value}, err
	}
	d, err := shows.document()
	return choice{document: d.At(c.Path)}, err
}

// newestSide is the side with the revision of the highest (time, chain, id).
func (s *sight) newestSide(c *crdt.Conflict) (choice, error) {
	var best *crdt.Side
	var newest dag.Change
	for i := range c.Sides {
		change, err := s.from.change(s.Key, dag.RevisionID(c.Sides[i].Revision))
		if err != nil {
			return choice{}, err
		}
		if best == nil || compareClaims(&change, &newest) > 0 {
			best, newest = &c.Sides[i], change
		}
	}
	return s.ofSide(c, best)
}

// compareClaims orders changes by (time, chain, id).
func compareClaims(a, b *dag.Change) int {
	return cmp.Or(
		cmp.Compare(a.Revision.Time, b.Revision.Time),
		bytes.Compare(a.Revision.Chain[:], b.Revision.Chain[:]),
		compareIDs(a.ID, b.ID),
	)
}

// taking resolves what a person named as the side to take: a letter of the
// list, which means one side of one conflict, a fork, a node, a revision, or
// the proposal.
func (r *Replica) taking(f dag.Fork, s *sight, which []*crdt.Conflict, side string, find finder, forks ...forkSide) (func(*crdt.Conflict) (choice, error), error) {
	for _, c := range which {
		for i := range c.Sides {
			if c.Sides[i].Letter != side {
				continue
			}
			if len(which) > 1 {
				return nil, failure(rpc.CodeAmbiguous, "%q has %d conflicts: name the one whose side %s to take by --path %s", s.Key, len(which), side, pathsOf(which))
			}
			return func(c *crdt.Conflict) (choice, error) { return s.ofSide(c, &c.Sides[i]) }, nil
		}
	}
	if on, ok := r.graph.ForkNamed(side); ok {
		for _, x := range forks {
			if x.fork.ID == on.ID {
				return func(c *crdt.Conflict) (choice, error) { return s.ofFork(c, x.shows) }, nil
			}
		}
	}
	if side == rpc.TakeProposal {
		return func(c *crdt.Conflict) (choice, error) { return r.proposed(f, s, c, find) }, nil
	}
	return func(c *crdt.Conflict) (choice, error) {
		found, err := r.sideCalled(s, c, side)
		if err != nil {
			return choice{}, err
		}
		return s.ofSide(c, found)
	}, nil
}

func pathsOf(which []*crdt.Conflict) string {
	var paths []string
	for _, c := range which {
		paths = append(paths, c.Path.String())
	}
	return strings.Join(paths, ", ")
}

// sideCalled finds the one side of a conflict that a fork, a node or a part of
// a revision's id names.
func (r *Replica) sideCalled(s *sight, c *crdt.Conflict, name string) (*crdt.Side, error) {
	var found []*crdt.Side
	for i := range c.Sides {
		side := &c.Sides[i]
		is := false
		for _, id := range side.Revisions {
			change, err := s.from.change(s.Key, dag.RevisionID(id))
			if err != nil {
				return nil, err
			}
			if is = r.isCalled(s, &change, name); is {
				break
			}
		}
		if is {
			found = append(found, side)
		}
	}
	switch len(found) {
	case 0:
		return nil, failure(rpc.CodeNotFound, "%q names no side of %q: give a letter, a fork, a node or a revision of the list", name, s.Key)
	case 1:
		return found[0], nil
	}
	return nil, failure(rpc.CodeAmbiguous, "%q names %d sides of %q: give the letter or the revision", name, len(found), s.Key)
}

// isCalled reports whether a name is that of the fork, the node or the revision
// of a change.
func (r *Replica) isCalled(s *sight, c *dag.Change, name string) bool {
	h := s.from.head(c)
	on, _ := r.graph.ForkOfHead(&h)
	id := c.ID.String()
	return on.Name == name || r.nodeName(c.Node) == name || c.Node.String() == name || id == name ||
		len(name) >= minShort && strings.HasPrefix(id[len(id)-52:], name)
}

// resolution makes the revision that settles conflicts of a key.
func (r *Replica) resolution(f dag.Fork, s *sight, q *rpc.ResolveRequest) (*dag.Draft, error) {
	which := s.conflictsAt(q.Path)
	if len(which) == 0 {
		return nil, failure(rpc.CodeStale, "%q has no open conflict%s on %q: somebody has settled it, or there was none", q.Key, at(q.Path), f.Name)
	}
	if q.State != "" && !slices.ContainsFunc(which, func(c *crdt.Conflict) bool {
		return len(q.State) >= minShort && strings.HasPrefix(c.State.String(), q.State)
	}) {
		return nil, failure(rpc.CodeStale, "the conflict of %q has moved since it was listed; list it again", q.Key)
	}
	if q.Take != "" {
		choose, err := r.taking(f, s, which, q.Take, r.seenByAll, forkSide{f, s})
		if err != nil {
			return nil, err
		}
		return s.settling(which, choose, dag.MarkResolved)
	}
	if q.Path != "" && q.Path != crdt.Root {
		top := q.Path
		if len(which) == 1 && q.Path.Within(which[0].Path) {
			top = which[0].Path
		}
		return s.edit(s.parents(), top, q.Value, 0, dag.MarkResolved)
	}
	c := s.nothing()
	if q.Value != nil {
		kind, err := s.kindFor(0, 0)
		if err != nil {
			return nil, err
		}
		c = &content{kind: kind, value: *q.Value}
		if err := checkValue(q.Key, kind, c.value); err != nil {
			return nil, err
		}
	}
	return s.draft(c, dag.MarkResolved)
}

// at is " at PATH", or nothing.
func at(path crdt.Path) string {
	if path == "" || path == crdt.Root {
		return ""
	}
	return " at " + path.String()
}
