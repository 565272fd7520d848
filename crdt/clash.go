package crdt

// clash is the place of an outermost conflict.
type clash struct {
	at   Path
	kind ConflictKind
	// here are the live leaves and DELs at the place, below the live writes
	// below it.
	here, below []live
}

// clashes is rule 3: it returns the outermost conflicts among live writes,
// which are all at a path or below it, ascending. It costs one pass over what
// is below for each level of paths, and for each DEL one over what is below it.
func (g *stage) clashes(top Path, writes []live) []clash {
	f := finder{stage: g, values: make([]int, len(writes)+1), writes: writes}
	for i, l := range writes {
		f.values[i+1] = f.values[i]
		if !l.deleted {
			f.values[i+1]++
		}
	}
	f.find(top, 0, len(writes))
	return f.found
}

type finder struct {
	*stage
	writes []live
	values []int // how many of those before an index are no DELs
	found  []clash
}

// find looks at writes[from:to], which are all that is at a path or below it.
func (f *finder) find(at Path, from, to int) {
	if to-from < 2 && at != Root {
		return
	}
	below := from
	for below < to && f.writes[below].path == at {
		below++
	}
	c := clash{at: at, here: f.writes[from:below:below], below: f.writes[below:to:to]}
	if f.values[to] > f.values[from] || at == Root {
		if c.kind = f.kind(&c); c.kind != "" {
			f.found = append(f.found, c)
			return
		}
	}
	if f.values[below] > f.values[from] {
		return // a leaf; below it there are DELs at most
	}
	for i := below; i < to; {
		child := childOf(f.writes[i].path, at)
		j := i + 1
		for j < to && f.writes[j].path.Within(child) {
			j++
		}
		f.find(child, i, j)
		i = j
	}
}

// childOf returns the path one step below top that p is at or below.
func childOf(p, top Path) Path {
	i := len(top) + 1
	if top == Root {
		i = 1
	}
	for i < len(p) && p[i] != '/' {
		i++
	}
	return p[:i]
}

// occupant is what can be at one place: leaves of a kind, elements of a class, or
// members of one.
type occupant struct {
	class class
	kind  Kind // of a register
	shape shape
}

// occupant returns the occupant that a write gives a place at its path or above.
func (g *stage) occupant(l live, at Path) occupant {
	if l.path == at {
		return occupant{l.content.class, l.content.kind, leafShape}
	}
	first := len(at)
	if at != Root {
		first++
	}
	shape := objectShape
	if l.path[first] == '[' {
		shape = listShape
	}
	return occupant{class: g.events[l.event].class, shape: shape}
}

// kind returns "" for no conflict.
func (g *stage) kind(c *clash) ConflictKind {
	forms := make(map[occupant]bool)
	leaves := make(map[content]bool)
	unseen := false
	for _, l := range c.here {
		if !l.deleted {
			forms[g.occupant(l, c.at)] = true
			leaves[l.content] = true
			continue
		}
		unseen = unseen || g.competes(l, c)
	}
	for _, l := range c.below {
		if !l.deleted {
			forms[g.occupant(l, c.at)] = true
		}
	}
	if c.at == Root && len(g.liveAdds()) > 0 {
		forms[occupant{counterClass, 0, leafShape}] = true
	}
	switch {
	case len(forms) > 1:
		return TypeConflict
	case unseen:
		return DeleteEditConflict
	case len(leaves) > 1:
		return ValueConflict
	}
	return ""
}

// competes reports whether there is a value that a DEL at the place competes
// with. An element that is removed from a set competes with nothing: adding
// wins.
func (g *stage) competes(del live, c *clash) bool {
	if c.at != Root && g.events[del.event].class == setClass {
		return false
	}
	for _, writes := range [...][]live{c.here, c.below} {
		for _, l := range writes {
			if !l.deleted && !g.knows(l.event, del.event) {
				return true
			}
		}
	}
	return false
}

// knows reports whether an event is another, or has seen it.
func (g *stage) knows(event, other int32) bool {
	return event == other || g.events[event].sees(&g.events[other])
}
