package gitstream

import (
	"errors"
	"fmt"
	"maps"
	"strings"
)

// absent stands for a path without a content.
const absent Blob = -1

// tree is what stands at the paths of one commit. Trees share directories: one
// is changed in place only by the tree that owns it.
type tree struct {
	root  *directory
	owner *owner
}

// owner is the identity of whoever may change a directory.
type owner struct{ _ byte }

type directory struct {
	owner   *owner
	entries map[string]entry
}

// entry is a directory, or a file if that is nil.
type entry struct {
	dir  *directory
	blob Blob
}

func newTree() *tree {
	o := new(owner)
	return &tree{&directory{o, map[string]entry{}}, o}
}

// child returns a tree that starts as this one. If it is the only use of this
// one, it takes its directories over.
func (t *tree) child(only bool) *tree {
	if only {
		return t
	}
	return &tree{t.root, new(owner)}
}

// editor changes a tree, and notes which contents the touched paths had.
type editor struct {
	tree   *tree
	before map[string]Blob
}

// own returns a directory that the tree may change, with the same entries.
func (e *editor) own(d *directory) *directory {
	if d.owner == e.tree.owner {
		return d
	}
	next := &directory{e.tree.owner, make(map[string]entry, len(d.entries)+1)}
	maps.Copy(next.entries, d.entries)
	return next
}

func (e *editor) touch(path string, old Blob) {
	if _, ok := e.before[path]; !ok {
		e.before[path] = old
	}
}

// find returns what stands at a path.
func (t *tree) find(path string) (entry, bool) {
	d := t.root
	for {
		name, rest, deeper := strings.Cut(path, "/")
		en, ok := d.entries[name]
		if !ok || !deeper {
			return en, ok
		}
		if en.dir == nil {
			return entry{}, false
		}
		d, path = en.dir, rest
	}
}

// get returns the content at a path, absent if no file stands there.
func (t *tree) get(path string) Blob {
	if en, ok := t.find(path); ok && en.dir == nil {
		return en.blob
	}
	return absent
}

// put sets what stands at a path. What was there and below it goes, and so do
// files where it needs directories.
func (e *editor) put(path string, en entry) {
	e.tree.root = e.own(e.tree.root)
	d := e.tree.root
	for from := 0; ; {
		name, _, deeper := strings.Cut(path[from:], "/")
		end := from + len(name)
		old, had := d.entries[name]
		if !deeper {
			e.gone(path, old, had)
			d.entries[name] = en
			e.come(path, en)
			return
		}
		next := old.dir
		if next == nil {
			e.gone(path[:end], old, had)
			next = &directory{e.tree.owner, map[string]entry{}}
		} else {
			next = e.own(next)
		}
		d.entries[name] = entry{dir: next}
		d, from = next, end+1
	}
}

// gone notes the contents that an entry had.
func (e *editor) gone(path string, en entry, had bool) {
	if !had {
		return
	}
	en.each(path, e.touch)
}

// come notes the paths that an entry brings.
func (e *editor) come(path string, en entry) {
	en.each(path, func(path string, _ Blob) { e.touch(path, absent) })
}

// each calls fn with every file of an entry.
func (en entry) each(path string, fn func(path string, b Blob)) {
	if en.dir == nil {
		fn(path, en.blob)
		return
	}
	for name, below := range en.dir.entries {
		below.each(path+"/"+name, fn)
	}
}

// remove takes away what stands at a path and below it, and directories that
// are empty then.
func (e *editor) remove(path string) {
	en, ok := e.tree.find(path)
	if !ok {
		return
	}
	e.gone(path, en, true)
	e.tree.root = e.own(e.tree.root)
	e.removeIn(e.tree.root, path)
}

// removeIn removes a path that is there from a directory that may be changed.
func (e *editor) removeIn(d *directory, path string) {
	name, rest, deeper := strings.Cut(path, "/")
	if deeper {
		below := e.own(d.entries[name].dir)
		e.removeIn(below, rest)
		if len(below.entries) > 0 {
			d.entries[name] = entry{dir: below}
			return
		}
	}
	delete(d.entries, name)
}

// removeAll empties the tree.
func (e *editor) removeAll() {
	entry{dir: e.tree.root}.each("", func(path string, b Blob) { e.touch(path[1:], b) })
	e.tree.root = &directory{e.tree.owner, map[string]entry{}}
}

// move is a rename or copy: of a file, or of a directory with all below it.
func (e *editor) move(from, to string, keep bool) error {
	en, ok := e.tree.find(from)
	if was, gave := e.gaveWay(from); gave {
		en, ok, keep = entry{blob: was}, true, true
	}
	if !ok {
		return fmt.Errorf("there is no %s to rename or copy", quoteLine([]byte(from)))
	}
	if from == to {
		return nil
	}
	if strings.HasPrefix(to, from+"/") && en.dir != nil {
		return errors.New("a directory is moved into itself")
	}
	// Both places hold the directories from now on: neither may be changed.
	en = en.disowned()
	if !keep {
		e.remove(from)
	}
	e.put(to, en)
	return nil
}

// disowned returns the entry with directories that no tree may change.
func (en entry) disowned() entry {
	if en.dir == nil {
		return en
	}
	next := &directory{nil, make(map[string]entry, len(en.dir.entries))}
	for name, below := range en.dir.entries {
		next.entries[name] = below.disowned()
	}
	return entry{dir: next}
}

// gaveWay reports whether a path was a file before the commit and has given way to
// others by now: to files below it, or to one above it. git fast-export names
// those first, and then deletes or renames the file; git fast-import takes that
// for the new directory.
func (e *editor) gaveWay(path string) (was Blob, gave bool) {
	was, touched := e.before[path]
	en, ok := e.tree.find(path)
	return was, touched && was != absent && (!ok || en.dir != nil)
}

// apply makes the changes of a commit.
func (e *editor) apply(ch *Change) error {
	switch ch.Op {
	case OpModify:
		if ch.Submodule {
			e.remove(ch.Path)
			return nil
		}
		e.put(ch.Path, entry{blob: ch.Blob})
	case OpDelete:
		if _, gave := e.gaveWay(ch.Path); !gave {
			e.remove(ch.Path)
		}
	case OpDeleteAll:
		e.removeAll()
	case OpRename, OpCopy:
		return e.move(ch.Path, ch.To, ch.Op == OpCopy)
	}
	return nil
}

// differing calls fn with every path at which two directories hold different
// contents, with that of the second.
func differing(path string, a, b *directory, fn func(path string, now Blob)) {
	if a == b {
		return
	}
	for name, was := range a.entries {
		is, ok := b.entries[name]
		if !ok {
			was.each(path+name, func(p string, _ Blob) { fn(p, absent) })
			continue
		}
		switch {
		case was.dir != nil && is.dir != nil:
			differing(path+name+"/", was.dir, is.dir, fn)
		case was.dir == nil && is.dir == nil:
			if was.blob != is.blob {
				fn(path+name, is.blob)
			}
		default:
			was.each(path+name, func(p string, _ Blob) { fn(p, absent) })
			is.each(path+name, fn)
		}
	}
	for name, is := range b.entries {
		if _, ok := a.entries[name]; !ok {
			is.each(path+name, fn)
		}
	}
}
