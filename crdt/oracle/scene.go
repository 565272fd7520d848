package oracle

import (
	"bytes"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"

	"crush/crdt"
)

// scene is a set of revisions of one key that is read as if there were no
// others.
type scene struct {
	o       *Oracle
	fork    crdt.ForkID
	entries []entry
	seen    map[crdt.RevisionID]map[crdt.RevisionID]bool // by whom
	// sourceRanks returns the ranks that the sides of the conflicts at a path
	// had on the fork's source when the fork was made.
	sourceRanks func() map[crdt.Path]map[crdt.RevisionID]int
}

// mark is a live write. A live write of a garbled revision is a leaf at "/",
// which is the whole payload.
type mark struct {
	path    crdt.Path
	content string
	class   string
	by      Revision
}

// scene returns what a read of the key looks at: if some revision stands for
// all that is older, its whole value and what came after it; else everything.
func (o *Oracle) scene(fork crdt.ForkID, key string) *scene {
	s := &scene{o: o, fork: fork, seen: make(map[crdt.RevisionID]map[crdt.RevisionID]bool)}
	s.sourceRanks = sync.OnceValue(func() map[crdt.Path]map[crdt.RevisionID]int {
		c, ok := o.creation(fork)
		if !ok {
			return nil
		}
		return o.At(c.Cut).Read(c.From, key).ranks
	})
	all := o.Visible(fork, key)
	for _, r := range all {
		s.seen[r.ID] = o.Ancestors(r.ID)
	}
	m, cut := s.standsForAll(all)
	for _, r := range all {
		switch {
		case cut && r.ID == m.ID:
			s.entries = append(s.entries, rebuilt(asWhole(r), all))
		case !cut || s.hasSeen(r, m):
			s.entries = append(s.entries, asWritten(r))
		}
	}
	return s
}

// rebuilt is a document whose payload is gone, of which is known what those say
// who have seen it and nothing else, and did not write over it. Of several that
// say different things, the first by ID counts.
func rebuilt(e entry, all []Revision) entry {
	if !e.Gone || classOf(e.Revision) != document {
		return e
	}
	leaves := make(map[crdt.Path]string)
	found := false
	for _, r := range all { // by ID
		only := len(r.Parents) > 0 && !slices.ContainsFunc(r.Parents, func(p crdt.RevisionID) bool { return p != e.ID })
		if !only || r.Change == nil || r.Change.Garbled || classOf(r) != document {
			continue
		}
		found = true
		before := maps.Clone(leaves)
		for p, leaf := range r.Change.Whole {
			known := false
			for q := range before {
				known = known || Within(p, q) || Within(q, p)
			}
			if !known && !asWritten(r).writesAbove(p) {
				leaves[p] = leaf
			}
		}
	}
	if found {
		e.class, e.writes = document, leaves
	}
	return e
}

func (s *scene) hasSeen(a, b Revision) bool { return s.seen[a.ID][b.ID] }

// standsForAll returns the newest complete revision that every other visible
// one has seen or was seen by, none of the former past it: no parent of theirs
// is older than it.
func (s *scene) standsForAll(all []Revision) (newest Revision, ok bool) {
	if s.o.uncut {
		return newest, false
	}
	for _, m := range all {
		stands := !m.Open && !slices.ContainsFunc(all, func(r Revision) bool {
			if r.ID == m.ID || s.hasSeen(m, r) {
				return false
			}
			return !s.hasSeen(r, m) || slices.ContainsFunc(r.Parents, func(p crdt.RevisionID) bool { return s.seen[m.ID][p] })
		})
		if stands && (!ok || s.hasSeen(m, newest)) {
			newest, ok = m, true
		}
	}
	return newest, ok
}

// Within: p is top or below it.
func Within(p, top crdt.Path) bool {
	return top == "/" || p == top || strings.HasPrefix(string(p), string(top)+"/")
}

// writesAbove: e writes at p or above it.
func (e entry) writesAbove(p crdt.Path) bool {
	for q := range e.writes {
		if Within(p, q) {
			return true
		}
	}
	return false
}

// covered is rule 1: a revision that has seen e writes at p or above it.
func (s *scene) covered(e entry, p crdt.Path) bool {
	return slices.ContainsFunc(s.entries, func(f entry) bool {
		return s.hasSeen(f.Revision, e.Revision) && f.writesAbove(p)
	})
}

// live returns the live writes at a path and below it, those of one revision
// together.
func (s *scene) live(at crdt.Path) []mark {
	var live []mark
	for _, e := range s.entries {
		garbled := false
		for _, p := range slices.Sorted(maps.Keys(e.writes)) {
			switch {
			case !Within(p, at) || s.covered(e, p):
			case e.Change != nil && e.Change.Garbled && e.class == document:
				garbled = true
			default:
				live = append(live, mark{p, e.writes[p], e.class, e.Revision})
			}
		}
		if garbled && at == "/" {
			live = append(live, mark{"/", valueSum(e.Revision), register(e.Revision), e.Revision})
		}
	}
	return live
}

// liveAdds returns the additions to a counter that nobody who has seen them
// has written over.
func (s *scene) liveAdds() []entry {
	return s.adds(func(add entry) bool { return !s.covered(add, "/") })
}

func (s *scene) adds(which func(entry) bool) []entry {
	return slices.DeleteFunc(slices.Clone(s.entries), func(e entry) bool { return e.add == nil || !which(e) })
}

// unseenBy returns the additions that the setting of a counter has not seen.
func (s *scene) unseenBy(setting mark) []entry {
	return s.adds(func(add entry) bool { return !s.hasSeen(setting.by, add.Revision) })
}

// afterDelete returns the additions that make a value of a deletion: those
// that no deletion has seen, and nobody who wrote anything but a counter.
func (s *scene) afterDelete() []entry {
	return s.adds(func(add entry) bool {
		return !slices.ContainsFunc(s.entries, func(f entry) bool {
			return f.class != counter && s.hasSeen(f.Revision, add.Revision) && f.writesAbove("/")
		})
	})
}

func sum(start string, adds []entry) string {
	total, _ := new(big.Int).SetString(start, 10)
	for _, e := range adds {
		total.Add(total, e.add)
	}
	return total.String()
}

// total is what the setting of a counter, or any other leaf, reads as.
func (s *scene) total(m mark) string {
	if m.class == counter {
		return sum(m.content, s.unseenBy(m))
	}
	return m.content
}

// isSet: there is a set, maybe empty. An operation on it that nobody wrote over
// shows that, unless a deletion competes with it.
func (s *scene) isSet(live []mark) bool {
	return slices.ContainsFunc(s.entries, func(e entry) bool {
		return e.class == set && !s.covered(e, "/") && !slices.ContainsFunc(live, func(d mark) bool {
			return d.path == "/" && d.content == DEL && d.by.ID != e.ID && !s.hasSeen(e.Revision, d.by)
		})
	})
}

// form tells apart what cannot be at one place: a leaf of a class, members,
// elements.
func form(m mark, at crdt.Path) string {
	if m.path == at {
		return m.class + " leaf"
	}
	below := strings.TrimPrefix(strings.TrimPrefix(string(m.path), string(at)), "/")
	if strings.HasPrefix(below, "[") {
		return m.class + " elements"
	}
	return m.class + " members"
}

// conflictAt is rule 3; it returns "" for no conflict.
func (s *scene) conflictAt(at crdt.Path, live []mark) crdt.ConflictKind {
	forms := make(map[string]bool)
	leaves := make(map[string]bool)
	if at == "/" && len(s.liveAdds()) > 0 {
		forms[counter+" leaf"] = true
	}
	deleteEdit := false
	for _, m := range live {
		if !Within(m.path, at) || m.content == DEL {
			continue
		}
		forms[form(m, at)] = true
		if m.path == at {
			leaves[s.total(m)] = true
		}
		for _, d := range live {
			addWins := at != "/" && d.class == set
			if !addWins && d.path == at && d.content == DEL && d.by.ID != m.by.ID && !s.hasSeen(m.by, d.by) {
				deleteEdit = true
			}
		}
	}
	switch {
	case len(forms) > 1:
		return crdt.TypeConflict
	case deleteEdit:
		return crdt.DeleteEditConflict
	case len(leaves) > 1:
		return crdt.ValueConflict
	}
	return ""
}

// outermost returns the paths of the conflicts at a path and below it that are
// below no other one.
func (s *scene) outermost(at crdt.Path, live []mark) []crdt.Path {
	places := make(map[crdt.Path]bool)
	for _, m := range live {
		for p := m.path; Within(p, at); p = parent(p) {
			places[p] = true
			if p == at {
				break
			}
		}
	}
	if at == "/" {
		places["/"] = true
	}
	var found []crdt.Path
	for _, p := range slices.Sorted(maps.Keys(places)) { // what is above comes first
		inside := slices.ContainsFunc(found, func(c crdt.Path) bool { return Within(p, c) })
		if !inside && s.conflictAt(p, live) != "" {
			found = append(found, p)
		}
	}
	return found
}

func parent(p crdt.Path) crdt.Path {
	if i := strings.LastIndexByte(string(p), '/'); i > 0 {
		return p[:i]
	}
	return "/"
}

func byID(a, b Revision) int { return bytes.Compare(a.ID[:], b.ID[:]) }
