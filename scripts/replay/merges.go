package main

import (
	"maps"
	"slices"

	"crush/gitstream"
)

// merges is what a history has of them.
type merges struct {
	plain     []merge
	octopus   int // of more than two parents
	crossing  int // whose parents have several best common ancestors
	unrelated int // whose parents have none
}

// merge is a commit of two parents, with their best common ancestor.
type merge struct {
	commit, base *gitstream.Commit
}

// collectMerges finds the merges of a history.
func collectMerges(h *gitstream.History) merges {
	var out merges
	for _, c := range h.Commits {
		switch len(c.Parents) {
		case 0, 1:
			continue
		case 2:
		default:
			out.octopus++
			continue
		}
		switch bases := bestCommon(h, c.Parents[0], c.Parents[1]); len(bases) {
		case 0:
			out.unrelated++
		case 1:
			out.plain = append(out.plain, merge{c, bases[0]})
		default:
			out.crossing++
		}
	}
	return out
}

// bestCommon returns the common ancestors that are before no other one, as git
// merge-base --all does.
func bestCommon(h *gitstream.History, a, b *gitstream.Commit) (best []*gitstream.Commit) {
	ofA, ofB := upTo(h, a), upTo(h, b)
	covered := make([]bool, len(h.Commits))
	for _, c := range slices.Backward(h.Commits) {
		if !ofA[c.Index] || !ofB[c.Index] {
			continue
		}
		if !covered[c.Index] {
			best = append(best, c)
		}
		for _, p := range c.Parents {
			covered[p.Index] = true
		}
	}
	return best
}

// upTo says of each commit whether it is c or before it.
func upTo(h *gitstream.History, c *gitstream.Commit) []bool {
	out := make([]bool, len(h.Commits))
	out[c.Index] = true
	for _, c := range slices.Backward(h.Commits[:c.Index+1]) {
		for _, p := range c.Parents {
			out[p.Index] = out[p.Index] || out[c.Index]
		}
	}
	return out
}

// treeOf returns the contents of all files of a commit.
func treeOf(c *gitstream.Commit) map[string]gitstream.Blob {
	tree, gone := map[string]gitstream.Blob{}, map[string]bool{}
	for c != nil {
		for _, w := range c.Writes {
			if _, ok := tree[w.Path]; ok || gone[w.Path] {
				continue
			}
			if w.Deleted {
				gone[w.Path] = true
			} else {
				tree[w.Path] = w.Blob
			}
		}
		if len(c.Parents) == 0 {
			break
		}
		c = c.Parents[0]
	}
	return tree
}

// file is a path that both sides of a merge have changed, and its versions; a
// version that is not there is nil.
type file struct {
	commit             *gitstream.Commit
	path               string
	base, ours, theirs []byte
	committed          []byte
}

// touched counts the files that parents of merges have changed.
type touched struct {
	one   int // by one parent alone
	alike int // by both to the same
}

// contested returns the files that both parents have changed, to different
// contents, in the order of their paths.
func (m *merge) contested(spool *gitstream.Spool, n *touched) (files []file, err error) {
	base, ours, theirs := treeOf(m.base), treeOf(m.commit.Parents[0]), treeOf(m.commit.Parents[1])
	committed := treeOf(m.commit)
	paths := map[string]bool{}
	for _, tree := range []map[string]gitstream.Blob{base, ours, theirs} {
		for path := range tree {
			paths[path] = true
		}
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		inOurs, inTheirs := differ(base, ours, path), differ(base, theirs, path)
		switch {
		case !inOurs && !inTheirs:
			continue
		case !inOurs || !inTheirs:
			n.one++
			continue
		case !differ(ours, theirs, path):
			n.alike++
			continue
		}
		f := file{commit: m.commit, path: path}
		for _, v := range []struct {
			to   *[]byte
			tree map[string]gitstream.Blob
		}{{&f.base, base}, {&f.ours, ours}, {&f.theirs, theirs}, {&f.committed, committed}} {
			if blob, ok := v.tree[path]; ok {
				if *v.to, err = spool.Load([]byte{}, blob); err != nil {
					return nil, err
				}
			}
		}
		files = append(files, f)
	}
	return files, nil
}

// differ reports whether two trees have different contents at a path.
func differ(a, b map[string]gitstream.Blob, path string) bool {
	x, inA := a[path]
	y, inB := b[path]
	return inA != inB || x != y
}
