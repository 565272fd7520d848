package simulation

import (
	"bytes"
	"cmp"
	"slices"

	"crush/crdt/oracle"
	"crush/dag"
)

// forkDeed is an operation that says something of a fork's life or name.
type forkDeed struct {
	op    dag.OpKind
	fork  dag.ForkID
	name  string
	index uint32
	again bool // it names a fork into being that was there
}

// told is a deed with its block.
type told struct {
	forkDeed
	in *block
}

// naming is what a cut says of the name of a fork.
type naming struct {
	fork    dag.ForkID
	deleted bool
	revived bool
	labels  []told // those that no later renaming has seen
}

// naming computes labels and deletion from all that was done within a cut.
func (m *Mirror) naming(cut oracle.Cut, fork dag.ForkID) *naming {
	n := &naming{fork: fork}
	var deeds, deletes []told
	var writes []*block
	for b := range cut {
		in := m.blocks[dag.BlockID(b)]
		for _, d := range in.ops {
			if d.fork == fork {
				deeds = append(deeds, told{d, in})
			}
		}
		for i, r := range in.revisions {
			if r.Fork == fork && m.revisions[in.Revisions[i]] == r {
				writes = append(writes, in)
			}
		}
	}
	for _, d := range deeds {
		if d.op == dag.OpDelete {
			deletes = append(deletes, d)
		}
	}
	n.revived = len(deletes) > 0
	n.deleted = n.revived && !slices.ContainsFunc(writes, func(w *block) bool {
		return !slices.ContainsFunc(deletes, func(d told) bool { return d.in != w && d.in.past[oracle.Block(w.id)] })
	})
	for _, d := range deeds {
		if d.op != dag.OpDelete && !slices.ContainsFunc(deletes, func(e told) bool { return e.after(d) }) {
			n.deleted = false
		}
		renamed := slices.ContainsFunc(deeds, func(e told) bool { return e.op == dag.OpRename && e.after(d) })
		if (d.op == dag.OpRename || d.op == dag.OpFork && !d.again) && !renamed {
			n.labels = append(n.labels, d)
		}
	}
	slices.SortFunc(n.labels, compareTold)
	return n
}

// after reports whether a deed has seen another: operations act in order, and
// before the revisions of their block.
func (d told) after(e told) bool {
	if d.in == e.in {
		return d.index > e.index
	}
	return d.in.past[oracle.Block(e.in.id)]
}

// compareTold puts the name that was given first in front.
func compareTold(a, b told) int {
	return cmp.Or(cmp.Compare(a.in.lam, b.in.lam), bytes.Compare(a.in.Chain[:], b.in.Chain[:]), cmp.Compare(a.in.Seq, b.in.Seq),
		cmp.Compare(a.index, b.index), cmp.Compare(a.name, b.name))
}

// when returns the time that counts for a label, and whether the fork has it.
func (n *naming) when(label string) (lam uint64, ok bool) {
	for _, l := range n.labels {
		if l.name == label && (!ok || l.in.lam < lam) {
			lam, ok = l.in.lam, true
		}
	}
	return lam, ok
}

// called lists the live forks that have a label, the one that reads serve
// first.
func (m *Mirror) called(cut oracle.Cut, label string) (out []dag.ForkID) {
	if label == dag.DefaultForkName {
		out = append(out, dag.DefaultFork())
	}
	var found []*naming
	for _, id := range m.forks(cut, false) {
		n := m.naming(cut, id)
		if _, ok := n.when(label); ok && !n.deleted {
			found = append(found, n)
		}
	}
	slices.SortFunc(found, func(a, b *naming) int {
		if a.revived != b.revived {
			return map[bool]int{true: 1, false: -1}[a.revived]
		}
		x, _ := a.when(label)
		y, _ := b.when(label)
		return cmp.Or(cmp.Compare(x, y), bytes.Compare(a.fork[:], b.fork[:]))
	})
	for _, n := range found {
		out = append(out, n.fork)
	}
	return out
}

// title is what a fork is called: its first label, with a part of its id if
// another fork has that before it.
func (m *Mirror) title(cut oracle.Cut, fork dag.ForkID) (name string, n *naming, clash bool) {
	if fork == dag.DefaultFork() {
		return dag.DefaultForkName, &naming{fork: fork}, false
	}
	n = m.naming(cut, fork)
	if len(n.labels) == 0 || n.labels[0].name == "" {
		return "", n, false
	}
	name = n.labels[0].name
	if n.deleted {
		return name, n, false
	}
	all := m.called(cut, name)
	if all[0] != fork {
		return name + "~" + fork.Short(), n, len(all) > 1
	}
	return name, n, len(all) > 1
}
