package daemon

import (
	"context"
	"slices"

	"crush/dag"
	"crush/rpc"
)

// operation is an operation of a block, as a log has it.
type operation struct {
	said rpc.Operation
	// touches are the forks in whose logs it stands; nil for all of them.
	touches []dag.ForkID
	// internal is one that no person asked for.
	internal bool
}

// operation describes the operation i of a block, which has effect.
func (r *Replica) operation(ctx context.Context, b *dag.Logged, i int) (operation, error) {
	body, err := dag.ReadOp(b.Block.Ops[i])
	if err != nil {
		return operation{}, outward(err)
	}
	switch o := body.(type) {
	case dag.ForkOp:
		return r.forkMade(b, i, &o), nil
	case dag.MergeOp:
		return r.forkMerged(ctx, b, &o)
	case dag.DeleteOp:
		return r.onFork(rpc.OperationDelete, o.Fork, ""), nil
	case dag.RenameOp:
		return r.onFork(rpc.OperationRename, o.Fork, o.Name), nil
	case dag.RestoreOp:
		return r.onFork(rpc.OperationRestore, o.Fork, ""), nil
	case dag.TagOp:
		return operation{said: rpc.Operation{Kind: rpc.OperationTag, Name: o.Name, Cut: o.Tips(), Gone: o.Gone}}, nil
	case dag.AliasOp:
		said := rpc.Operation{Kind: rpc.OperationAlias, Name: o.Name, Gone: o.Gone}
		if !o.Gone {
			said.Fork = r.forkLabel(o.Fork)
		}
		return operation{said: said}, nil
	case dag.PurgeOp:
		return operation{said: rpc.Operation{Kind: rpc.OperationPurge, PurgedKeys: o.Keys, PurgedRevisions: o.Revisions()}}, nil
	case dag.MemberOp:
		return operation{said: rpc.Operation{
			Kind: rpc.OperationMember, Name: o.Name, Node: o.Node, Role: string(o.Role), Zone: o.Zone, Gone: o.Role == dag.RoleRemoved,
		}}, nil
	}
	return operation{internal: true}, nil
}

// onFork describes an operation on one fork.
func (r *Replica) onFork(kind string, id dag.ForkID, name string) operation {
	return operation{said: rpc.Operation{Kind: kind, Fork: r.forkLabel(id), Name: name}, touches: []dag.ForkID{id}}
}

// forkMade describes the creation of a fork. That of a change which was too big
// for one block is nobody's.
func (r *Replica) forkMade(b *dag.Logged, i int, o *dag.ForkOp) operation {
	op := r.onFork(rpc.OperationFork, madeBy(b, i, o), o.Name)
	if op.internal = o.Name == ""; op.internal {
		op.said.Fork = ""
	}
	for i := range o.From {
		from := &o.From[i]
		op.touches = append(op.touches, from.Fork)
		op.said.Source, op.said.Filter = r.forkLabel(from.Fork), (*rpc.Filter)(from.Filter)
		if tips := from.Tips(); len(tips) > 0 && !r.isPast(b, tips) {
			op.said.Cut = tips
		}
	}
	return op
}

// madeBy is the fork that the operation i of a block creates.
func madeBy(b *dag.Logged, i int, o *dag.ForkOp) dag.ForkID {
	if o.Named {
		return dag.NamedFork(o.Name)
	}
	return dag.NewForkID(b.Block.Chain, b.Block.Seq, uint32(i), b.Block.Salt)
}

// isPast reports whether a cut is all that a block stands on: a fork of it is
// one of what was there.
func (r *Replica) isPast(b *dag.Logged, tips []dag.BlockID) bool {
	before, err := r.graph.Before(b.ID)
	if err != nil {
		return false
	}
	cut, err := r.graph.CutOfAll(tips)
	return err == nil && before.Within(cut)
}

// countLimit bounds how many keys of a merge are looked at to count them.
const countLimit = 1000

// forkMerged describes a merge, with what it changed.
func (r *Replica) forkMerged(ctx context.Context, b *dag.Logged, o *dag.MergeOp) (operation, error) {
	op := operation{
		said: rpc.Operation{
			Kind: rpc.OperationMerge, Fork: r.forkLabel(o.Into), Source: r.forkLabel(o.From.Fork), Filter: (*rpc.Filter)(o.From.Filter),
			Keys: &rpc.KeyCount{},
		},
		touches: []dag.ForkID{o.Into, o.From.Fork},
	}
	if r.isBatch(o.From.Fork) {
		op.said.Source = ""
		op.internal = r.mergesNamed(b) // then it is what that one settled
	}
	before, err := r.graph.Before(b.ID)
	if err != nil {
		return op, outward(err)
	}
	then, err := r.graph.CutOf(b.ID)
	if err != nil {
		return op, outward(err)
	}
	keys, err := r.graph.ChangedKeys(ctx, o.Into, then, o.Into, before)
	if err != nil {
		return op, outward(err)
	}
	if len(keys) > countLimit {
		op.said.Keys.AtMost = len(keys)
		return op, nil
	}
	for _, key := range keys {
		if err := r.countKey(op.said.Keys, o.Into, key, before, then); err != nil {
			return op, err
		}
	}
	return op, nil
}

// isBatch reports whether a fork is that of a change of several blocks.
func (r *Replica) isBatch(id dag.ForkID) bool {
	f, ok := r.graph.ForkOf(id)
	return ok && f.Name == ""
}

// mergesNamed reports whether a block merges a fork that has a name.
func (r *Replica) mergesNamed(b *dag.Logged) bool {
	return slices.ContainsFunc(b.Ops, func(i int) bool {
		body, err := dag.ReadOp(b.Block.Ops[i])
		o, ok := body.(dag.MergeOp)
		return err == nil && ok && !r.isBatch(o.From.Fork)
	})
}

// countKey counts what became of a key on a fork between two cuts.
func (r *Replica) countKey(n *rpc.KeyCount, fork dag.ForkID, key string, before, then dag.Cut) error {
	a, err := r.graph.EntryAt(fork, key, before)
	if err != nil {
		return outward(err)
	}
	b, err := r.graph.EntryAt(fork, key, then)
	if err != nil || slices.Equal(headIDs(&a), headIDs(&b)) {
		return outward(err)
	}
	was, now, err := r.lookTwice(&a, &b)
	if err != nil {
		return outward(err)
	}
	if !now.settled() {
		n.Conflict++
		return nil
	}
	what, err := was.changeTo(now)
	if err != nil {
		return outward(err)
	}
	switch what {
	case "created":
		n.Created++
	case "changed":
		n.Changed++
	case "deleted":
		n.Deleted++
	default:
		n.Same++
	}
	return nil
}

// opEntry is the entry of an operation in a log.
func (r *Replica) opEntry(b *dag.Logged, said *rpc.Operation) rpc.LogEntry {
	out := rpc.LogEntry{
		Block: b.ID, Fork: said.Fork, Node: r.nodeName(b.Node), Zone: r.zoneOf(b.Node), Time: timeOf(b.Block.Time), Operation: said,
	}
	if n := b.Block.Note; n != nil {
		out.Author, out.Message, out.Claimed = rpc.Author(n.Author), n.Message, claimed(n)
	}
	return out
}
