package daemon

import (
	"container/list"
	"sync"

	"crush/crdt"
)

// maxStates is how many bytes the states take that a replica keeps, about.
const maxStates = 16 << 20

// states keeps the states of open revisions that were used last. They are in
// memory only: after a start the first read of a key with an open conflict walks
// all that was written since its branches parted. It is safe for concurrent use.
type states struct {
	mu     sync.Mutex
	by     map[crdt.RevisionID]*list.Element
	newest list.List // of *state, the one that was used last in front
	size   int
	purges int // that the graph had when the oldest of them was made
}

type state struct {
	id crdt.RevisionID
	*crdt.State
}

// get returns nil to who began to look before a purge that others know of.
func (s *states) get(id crdt.RevisionID, purges int) *crdt.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.asOf(purges) {
		return nil
	}
	at := s.by[id]
	if at == nil {
		return nil
	}
	s.newest.MoveToFront(at)
	return at.Value.(*state).State
}

// put takes a state that was made when the graph had some purges or more.
func (s *states) put(id crdt.RevisionID, made *crdt.State, purges int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.asOf(purges) || made.Size() > maxStates {
		return
	}
	if at := s.by[id]; at != nil {
		s.remove(at)
	}
	s.by[id] = s.newest.PushFront(&state{id, made})
	for s.size += made.Size(); s.size > maxStates; {
		s.remove(s.newest.Back())
	}
}

// asOf forgets everything if there were purges since: states can hold what was
// purged. It reports whether the caller knows of as many.
func (s *states) asOf(purges int) bool {
	if s.by == nil || purges > s.purges {
		s.by, s.purges, s.size = make(map[crdt.RevisionID]*list.Element), purges, 0
		s.newest.Init()
	}
	return purges == s.purges
}

func (s *states) remove(at *list.Element) {
	old := s.newest.Remove(at).(*state)
	delete(s.by, old.id)
	s.size -= old.Size()
}

// State implements crdt.Memory.
func (p *past) State(id crdt.RevisionID) *crdt.State { return p.r.states.get(id, p.purges) }

// Keep implements crdt.Memory.
func (p *past) Keep(id crdt.RevisionID, s *crdt.State) {
	if p.err == nil {
		p.r.states.put(id, s, p.purges)
	}
}
