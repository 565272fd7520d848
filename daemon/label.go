package daemon

import (
	"slices"

	"crush/dag"
)

// asWrittenBy is the key as the job of a label wrote it last: what is seen from
// the newest of its revisions. It is s if the job never wrote the key, or has
// no name.
func (s *sight) asWrittenBy(label string) (*sight, error) {
	if label == "" {
		return s, nil
	}
	found, err := s.newestUnder(label)
	if err != nil || len(found) == 0 {
		return s, err
	}
	return s.before(found)
}

// newestUnder finds the revisions under a label that no other one under it has
// seen. It goes back from the heads, no further than to them.
func (s *sight) newestUnder(label string) (found []dag.Change, err error) {
	type step struct {
		dag.Change
		seen bool // by one that is found
	}
	left := map[dag.RevisionID]*step{}
	reach := func(id dag.RevisionID, seen bool) error {
		if p := left[id]; p != nil {
			p.seen = p.seen || seen
			return nil
		}
		c, err := s.from.change(s.Key, id)
		left[id] = &step{c, seen}
		return err
	}
	for _, id := range headIDs(s.Entry) {
		if err := reach(id, false); err != nil {
			return nil, err
		}
	}
	for {
		var newest *step
		open := false
		for _, p := range left {
			open = open || !p.seen
			if newest == nil || p.Order().Compare(newest.Order()) > 0 {
				newest = p
			}
		}
		if !open {
			return found, nil
		}
		delete(left, newest.ID)
		mine := newest.Revision.Label == label
		if mine && !newest.seen {
			found = append(found, newest.Change)
		}
		for _, id := range newest.Revision.Parents {
			if err := reach(id, newest.seen || mine); err != nil {
				return nil, err
			}
		}
	}
}

// before is the key as a writer sees it who has read these revisions, and
// nothing newer.
func (s *sight) before(read []dag.Change) (*sight, error) {
	e := &dag.Entry{Fork: s.Fork, Key: s.Key}
	for i := range read {
		e.Heads = append(e.Heads, s.from.head(&read[i]))
	}
	slices.SortFunc(e.Heads, func(a, b dag.Head) int { return compareIDs(a.ID, b.ID) })
	e.Heads = slices.CompactFunc(e.Heads, func(a, b dag.Head) bool { return a.ID == b.ID })
	return s.r.lookBy(s.from, e)
}

// beforeIDs is before of revisions that are named.
func (s *sight) beforeIDs(read []dag.RevisionID) (*sight, error) {
	changes := make([]dag.Change, len(read))
	for i, id := range read {
		var err error
		if changes[i], err = s.from.change(s.Key, id); err != nil {
			return nil, err
		}
	}
	return s.before(changes)
}
