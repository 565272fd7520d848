package daemon

import (
	"container/heap"
	"context"
	"iter"
	"slices"

	"crush/crdt"
	"crush/dag"
)

// finder finds the base of a conflict on a fork; ok is false if there is none.
type finder func(f dag.Fork, e *dag.Entry, c *crdt.Conflict, m *documentMemory) (base dag.Change, ok bool, err error)

// baseSteps bounds how many revisions are looked at to find a base, which is
// only shown, and baseSides of how many sides at most. baseLooks bounds for all
// conflicts of a key how often it is asked whether a revision wrote there.
const (
	baseSteps = 1000
	baseSides = 256
	baseLooks = 1 << 20
)

// lineage is what all sides of a conflict have in common, newest first, as far as
// that was wanted. Conflicts of one key mostly have the same.
type lineage struct {
	found []dag.Change
	next  func() (dag.Change, error, bool)
	stop  func()
}

// at returns the i-th; nil if there are no more.
func (l *lineage) at(i int) (*dag.Change, error) {
	for len(l.found) <= i {
		c, err, ok := l.next()
		if !ok || err != nil {
			return nil, err
		}
		l.found = append(l.found, c)
	}
	return &l.found[i], nil
}

func (m *documentMemory) stop() {
	for _, l := range m.lineages {
		l.stop()
	}
}

// wrote returns the newest revision of a lineage that wrote at a path; name tells
// it from the others of the key.
func (m *documentMemory) wrote(name string, path crdt.Path, all iter.Seq2[dag.Change, error]) (dag.Change, bool, error) {
	l := m.lineages[name]
	if l == nil {
		l = new(lineage)
		l.next, l.stop = iter.Pull2(all)
		m.lineages[name] = l
	}
	for i := 0; m.looks < baseLooks; i++ {
		m.looks++
		c, err := l.at(i)
		if c == nil || err != nil {
			return dag.Change{}, false, err
		}
		if ok, err := m.wroteAt(c, path); ok || err != nil {
			return *c, ok, err
		}
	}
	return dag.Change{}, false, nil
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
	return path.CoveredBy(paths) || path.Covers(paths), nil
}

// onBoth finds the base of a conflict that a merge would make: the newest
// revision that both forks show, of those that wrote there.
func (r *Replica) onBoth(src dag.Fork) finder {
	return func(dst dag.Fork, e *dag.Entry, c *crdt.Conflict, m *documentMemory) (dag.Change, bool, error) {
		return m.wrote("", c.Path, func(yield func(dag.Change, error) bool) {
			n := 0
			for c, err := range r.graph.History(context.Background(), src.ID, e.Key, dag.HistoryCursor{}) {
				if n++; n > baseSteps {
					return
				}
				ok := false
				if err == nil {
					ok, err = r.graph.Visible(dst.ID, &c)
				}
				if (ok || err != nil) && !yield(c, err) {
					return
				}
			}
		})
	}
}

// seenByAll finds the base of an open conflict: the newest revision that every
// side has seen, of those that wrote there.
func (r *Replica) seenByAll(_ dag.Fork, e *dag.Entry, c *crdt.Conflict, m *documentMemory) (dag.Change, bool, error) {
	if len(c.Sides) > baseSides {
		return dag.Change{}, false, nil
	}
	var name []byte
	for _, s := range c.Sides {
		for _, id := range s.Revisions {
			name = append(name, id[:]...)
		}
		name = append(name, '/')
	}
	return m.wrote(string(name), c.Path, m.common(e.Key, c.Sides))
}

// common yields what all sides have seen, newest first. It goes back from the
// sides, and not from the heads: much can have been written since.
func (m *documentMemory) common(key string, sides []crdt.Side) iter.Seq2[dag.Change, error] {
	return func(yield func(dag.Change, error) bool) {
		var left newestFirst
		seen := map[dag.RevisionID][]bool{} // which sides have it
		reach := func(id dag.RevisionID, by []bool) error {
			at := seen[id]
			if at == nil {
				c, err := m.change(key, id)
				if err != nil {
					return err
				}
				heap.Push(&left, *c)
				at = make([]bool, len(sides))
				seen[id] = at
			}
			for i, ok := range by {
				at[i] = at[i] || ok
			}
			return nil
		}
		var err error
		for i, s := range sides {
			by := make([]bool, len(sides))
			by[i] = true
			for _, id := range s.Revisions {
				if err == nil {
					err = reach(dag.RevisionID(id), by)
				}
			}
		}
		for range baseSteps {
			if err != nil || len(left) == 0 {
				break
			}
			c := heap.Pop(&left).(dag.Change)
			by := seen[c.ID]
			delete(seen, c.ID)
			if !slices.Contains(by, false) && !yield(c, nil) {
				return
			}
			for _, id := range c.Revision.Parents {
				if err == nil {
					err = reach(id, by)
				}
			}
		}
		if err != nil {
			yield(dag.Change{}, err)
		}
	}
}
