package crdt

// Diff returns the write set that makes new of old: the paths, ascending, at
// which new's leaf, or that it has none there, is written. A nil old is
// nothing, so that all leaves of new are written.
//
// What new lacks altogether is one path, the highest; a leaf that becomes
// structure, or an object that becomes a keyed list, is its path and every
// leaf below it.
func Diff(old, new *Document) []Path {
	var paths []Path
	switch {
	case new == nil && old == nil:
	case new == nil:
		paths = append(paths, Root)
	case old == nil:
		paths = new.root.appendPaths(paths, nil)
	default:
		paths = appendDiff(paths, nil, old.root, new.root)
	}
	return paths
}

// Settle returns the write set that puts d in place of all that was written at
// p or below: p, and every leaf of d below it. A nil d is nothing.
func Settle(p Path, d *Document) []Path {
	paths := []Path{p}
	if n := d.node(p); n != nil && !n.isLeaf() {
		paths = n.appendPaths(paths, newTrail(p))
	}
	return paths
}

func appendDiff(paths []Path, at trail, old, new *node) []Path {
	switch {
	case old == new:
		return paths
	case new.isLeaf():
		if old.isLeaf() && old.leaf.Sum == new.leaf.Sum {
			return paths
		}
		return append(paths, at.path())
	case old.shape() != new.shape():
		return new.appendPaths(append(paths, at.path()), at)
	}
	i := 0
	for _, c := range new.children {
		for i < len(old.children) && old.children[i].segment < c.segment {
			paths = append(paths, at.child(old.children[i].segment).path())
			i++
		}
		below := at.child(c.segment)
		if i < len(old.children) && old.children[i].segment == c.segment {
			paths = appendDiff(paths, below, old.children[i].node, c.node)
			i++
		} else {
			paths = c.node.appendPaths(paths, below)
		}
	}
	for ; i < len(old.children); i++ {
		paths = append(paths, at.child(old.children[i].segment).path())
	}
	return paths
}

// appendPaths appends the paths of all leaves of n.
func (n *node) appendPaths(paths []Path, at trail) []Path {
	n.leaves(at, func(p Path, _ Leaf) bool {
		paths = append(paths, p)
		return true
	})
	return paths
}
