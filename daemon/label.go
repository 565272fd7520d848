package daemon

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"crush/dag"
	"crush/rpc"
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

// labelMemo remembers, of a key and a label, revisions behind which nothing
// stands under it. That stays true, so that a job with a new label walks the
// history of a key once, and not again each time that it finds nothing to write.
type labelMemo struct {
	mu   sync.Mutex
	none map[keyLabel][]dag.RevisionID
}

type keyLabel struct{ key, label string }

// labelMemoMax is how many keys are remembered.
const labelMemoMax = 10_000

func (m *labelMemo) get(of keyLabel) []dag.RevisionID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.none[of]
}

func (m *labelMemo) put(of keyLabel, heads []dag.RevisionID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.none == nil || len(m.none) >= labelMemoMax {
		m.none = map[keyLabel][]dag.RevisionID{}
	}
	m.none[of] = heads
}

// foreseeLabel walks the histories that a job of a label will have read, so that
// who writes meanwhile need not wait for that.
func (r *Replica) foreseeLabel(ctx context.Context, f dag.Fork, files []rpc.File, label string) error {
	if label == "" {
		return nil
	}
	for i := range files {
		s, err := r.lookAt(f.ID, files[i].Key)
		if err == nil {
			_, err = s.newestUnder(label)
		}
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return outward(err)
		}
	}
	return nil
}

// newestUnder finds the revisions under a label that no other one under it has
// seen. It goes back from the heads, no further than to them, or to where it is
// known that there are none.
func (s *sight) newestUnder(label string) (found []dag.Change, err error) {
	type step struct {
		dag.Change
		seen bool // by one that is found
	}
	left := map[dag.RevisionID]*step{}
	none := s.r.labels.get(keyLabel{s.Key, label})
	reach := func(id dag.RevisionID, seen bool) error {
		if slices.Contains(none, id) {
			return nil
		}
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
			if len(found) == 0 {
				s.r.labels.put(keyLabel{s.Key, label}, headIDs(s.Entry))
			}
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
