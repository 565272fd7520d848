package oracle

import (
	"maps"
	"slices"
	"strings"

	"crush/crdt"
)

// side is a side of a conflict at a path: a leaf there, the DEL, or a group of
// writes below.
type side struct {
	scene *scene
	at    crdt.Path
	marks []mark
	// leaf and deletion say which of the three it is.
	leaf, deletion bool
	// counted are the additions that are part of what a side of a counter
	// reads as. They are its only revisions where a counter has neither been
	// set nor deleted.
	counted []entry
}

// revisions are those that rank the side and carry it, ascending.
func (s side) revisions() []Revision {
	by := make(map[crdt.RevisionID]Revision)
	for _, m := range s.marks {
		by[m.by.ID] = m.by
	}
	if len(s.marks) == 0 {
		for _, e := range s.counted {
			by[e.ID] = e.Revision
		}
	}
	return slices.SortedFunc(maps.Values(by), byID)
}

// ranksAsDeletion: it has no value at all, but what was added to a counter
// that was deleted at once.
func (s side) ranksAsDeletion() bool {
	return len(s.marks) > 0 && !slices.ContainsFunc(s.marks, func(m mark) bool { return m.content != DEL })
}

// sides is rule 4: the sides of a conflict, in the order of their smallest
// revisions.
func (s *scene) sides(at crdt.Path, live []mark) []side {
	var here, below []mark
	for _, m := range live {
		switch {
		case m.path == at:
			here = append(here, m)
		case Within(m.path, at):
			below = append(below, m)
		}
	}
	named := make(map[string]*side)
	add := func(name string, m mark) {
		if named[name] == nil {
			named[name] = &side{scene: s, at: at}
		}
		named[name].marks = append(named[name].marks, m)
	}
	joins := make(map[crdt.RevisionID]string)
	for _, m := range here {
		name := "leaf " + m.class + " " + s.total(m)
		if m.content == DEL {
			name = "DEL"
			if s.seenByValue(m, below) {
				continue
			}
		}
		add(name, m)
		named[name].deletion, named[name].leaf = m.content == DEL, m.content != DEL
		joins[m.by.ID] = name
		if m.class == counter && m.content != DEL {
			named[name].counted = append(named[name].counted, s.unseenBy(m)...)
		}
	}
	for _, m := range below {
		if name, ok := joins[m.by.ID]; ok {
			add(name, m)
		} else {
			add("group "+form(m, at)+" "+s.context(m.by, here), m)
		}
	}
	if at == "/" {
		s.addAdds(named)
	}
	return slices.SortedFunc(func(yield func(side) bool) {
		for _, side := range named {
			if !yield(*side) {
				return
			}
		}
	}, func(a, b side) int {
		return byID(a.revisions()[0], b.revisions()[0])*2 + strings.Compare(a.name(), b.name())
	})
}

// name breaks the tie between groups that one revision stands in twice: it
// wrote, below a place, members and elements.
func (s side) name() string {
	if s.leaf || s.deletion || len(s.marks) == 0 {
		return ""
	}
	return form(s.marks[0], s.at)
}

// addAdds puts the live additions to a counter into the sides: they are part
// of the DEL; where there is none and nobody set the counter, they are a side.
func (s *scene) addAdds(named map[string]*side) {
	if del := named["DEL"]; del != nil {
		del.counted = s.afterDelete()
		return
	}
	counted := slices.ContainsFunc(slices.Collect(maps.Values(named)), func(side *side) bool {
		return side.leaf && side.marks[0].class == counter
	})
	if live := s.liveAdds(); len(live) > 0 && !counted {
		named["adds"] = &side{scene: s, at: "/", counted: live}
	}
}

func (s *scene) seenByValue(d mark, below []mark) bool {
	return slices.ContainsFunc(below, func(m mark) bool {
		return m.content != DEL && (m.by.ID == d.by.ID || s.hasSeen(m.by, d.by))
	})
}

// context names the live leaves and DELs at a path that r wrote or has seen.
func (s *scene) context(r Revision, here []mark) string {
	var names []string
	for _, m := range here {
		if m.by.ID == r.ID || s.hasSeen(r, m.by) {
			names = append(names, string(m.by.ID[:]))
		}
	}
	slices.Sort(names)
	return strings.Join(names, "")
}

// served is what is served at and below a path. The zero value is nothing.
type served struct {
	class  string
	leaves map[crdt.Path]string
	author Revision // of a register, the one with the highest claims
	// ranks are those of the sides of conflicts that were met, by path and
	// revision; the lowest where there are several.
	ranks map[crdt.Path]map[crdt.RevisionID]int
}

func (v *served) take(from served) {
	maps.Copy(v.leaves, from.leaves)
	for p, ranks := range from.ranks {
		for id, rank := range ranks {
			v.rank(p, id, rank)
		}
	}
}

func (v *served) rank(p crdt.Path, id crdt.RevisionID, rank int) {
	if v.ranks == nil {
		v.ranks = make(map[crdt.Path]map[crdt.RevisionID]int)
	}
	if v.ranks[p] == nil {
		v.ranks[p] = make(map[crdt.RevisionID]int)
	}
	if old, ok := v.ranks[p][id]; !ok || rank < old {
		v.ranks[p][id] = rank
	}
}

// serve is rule 6 for a side: a leaf or the DEL as such, with what was added
// to a counter; a group as the view of its revisions and their ancestors.
//
// Only authors that write below a leaf of their context without a DEL can make
// a group of which that is the whole scene again. It is served as its own
// writes.
func (s side) serve() served {
	switch {
	case s.leaf:
		m := s.marks[0]
		return served{class: m.class, leaves: map[crdt.Path]string{s.at: s.scene.total(m)}, author: top(s.revisions())}
	case s.deletion && len(s.counted) > 0:
		return served{class: counter, leaves: map[crdt.Path]string{"/": sum("0", s.counted)}}
	case s.deletion:
		return served{}
	}
	alone := &scene{o: s.scene.o, fork: s.scene.fork, seen: s.scene.seen, sourceRanks: s.scene.sourceRanks}
	for _, e := range s.scene.entries {
		if slices.ContainsFunc(s.revisions(), func(r Revision) bool { return r.ID == e.ID || alone.hasSeen(r, e.Revision) }) {
			alone.entries = append(alone.entries, e)
		}
	}
	if len(alone.entries) == len(s.scene.entries) {
		alone.entries = s.ownWrites()
	}
	return alone.serve(s.at)
}

func (s side) ownWrites() []entry {
	var own []entry
	for _, r := range s.revisions() {
		e := entry{Revision: r, writes: make(map[crdt.Path]string)}
		for _, m := range s.marks {
			if m.by.ID == r.ID {
				e.class, e.writes[m.path] = m.class, m.content
			}
		}
		for _, add := range s.counted {
			if add.ID == r.ID {
				e.class, e.add = counter, add.add
			}
		}
		own = append(own, e)
	}
	return own
}

// serve is rules 2 and 6 for what is at a path and below: what is not in
// conflict, and of each conflict the side that ranks first.
func (s *scene) serve(at crdt.Path) served {
	live := s.live(at)
	conflicts := s.outermost(at, live)
	v := served{leaves: make(map[crdt.Path]string)}
	if len(conflicts) == 0 || conflicts[0] != at {
		v = s.clean(at, live, conflicts)
	}
	for _, p := range conflicts {
		ranked := s.ranked(p, s.sides(p, live))
		for rank, side := range ranked {
			for _, r := range side.revisions() {
				v.rank(p, r.ID, rank)
			}
		}
		winner := ranked[0].serve()
		v.take(winner)
		if p == at {
			v.class, v.author = winner.class, winner.author
		}
	}
	if at == "/" && v.class == document && len(v.leaves) == 0 {
		v.class = "" // everything that was in it is deleted
	}
	return v
}

// clean is what is at a path and below, without what is in conflict.
func (s *scene) clean(at crdt.Path, live []mark, conflicts []crdt.Path) served {
	v := served{leaves: make(map[crdt.Path]string)}
	for _, m := range live {
		if m.content == DEL {
			continue
		}
		v.class = m.class
		if v.author.Key == "" || compareClaims(m.by, v.author) > 0 {
			v.author = m.by
		}
		if !slices.ContainsFunc(conflicts, func(p crdt.Path) bool { return Within(m.path, p) }) {
			v.leaves[m.path] = s.total(m)
		}
	}
	if at != "/" || v.class != "" {
		return v
	}
	if adds := s.afterDelete(); len(adds) > 0 {
		v.class, v.leaves["/"] = counter, sum("0", adds)
	} else if s.isSet(live) {
		v.class = set
	}
	return v
}
