package daemon

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// Reset implements rpc.Resets.
func (r *Replica) Reset(ctx context.Context, q rpc.ResetRequest) (rpc.Reset, error) {
	if q.Prefix != "" && !strings.HasSuffix(q.Prefix, "/") {
		return rpc.Reset{}, failure(rpc.CodeInvalid, "rolling back below %q: the prefix must end in a slash", q.Prefix)
	}
	f, err := r.forkToChange(q.Fork)
	if err != nil {
		return rpc.Reset{}, err
	}
	to, err := r.cutOf(f, q.To)
	if err != nil {
		return rpc.Reset{}, err
	}
	keys, err := r.graph.ChangedKeys(ctx, f.ID, r.graph.Now(), f.ID, to)
	if err != nil {
		return rpc.Reset{}, outward(err)
	}
	keys = slices.DeleteFunc(keys, func(key string) bool { return !strings.HasPrefix(key, q.Prefix) })
	return r.writeOld(ctx, f, keys, to, q.Claim, q.Plan, nil)
}

// Undo implements rpc.Resets. Keys that were written again since are not
// touched: the undo is refused.
func (r *Replica) Undo(ctx context.Context, q rpc.UndoRequest) (rpc.Reset, error) {
	f, err := r.forkToChange(q.Fork)
	if err != nil {
		return rpc.Reset{}, err
	}
	id, err := r.blockToUndo(ctx, f, q.Block)
	if err != nil {
		return rpc.Reset{}, err
	}
	before, err := r.graph.Before(id)
	if err != nil {
		return rpc.Reset{}, outward(err)
	}
	if !r.graph.ForkIn(f.ID, before) {
		return rpc.Reset{}, failure(rpc.CodeNotFound, "there is nothing to undo on %q: block %s made the fork (fork rm removes it)", f.Name, id.Short())
	}
	then, err := r.graph.CutOf(id)
	if err != nil {
		return rpc.Reset{}, outward(err)
	}
	keys, err := r.graph.ChangedKeys(ctx, f.ID, then, f.ID, before)
	if err != nil {
		return rpc.Reset{}, outward(err)
	}
	return r.writeOld(ctx, f, keys, before, q.Claim, q.Plan, &then)
}

// blockToUndo finds the block, by default the newest that changed what the fork
// shows.
func (r *Replica) blockToUndo(ctx context.Context, f dag.Fork, text string) (dag.BlockID, error) {
	if text == "" {
		for b, err := range r.graph.Log(ctx, []dag.ForkID{f.ID}, false, 0) {
			if err != nil || changesFork(&b, f.ID) {
				return b.ID, outward(err)
			}
		}
		return dag.BlockID{}, failure(rpc.CodeNotFound, "nothing was written on %q yet", f.Name)
	}
	m, err := r.find(text)
	switch {
	case err != nil:
		return dag.BlockID{}, err
	case len(m.Blocks) == 1:
		return m.Blocks[0], nil
	case len(m.Revisions) > 0:
		return dag.BlockID{}, failure(rpc.CodeInvalid, "%s is a revision: give the block that it stands in, or roll the key back", text)
	}
	return dag.BlockID{}, failure(rpc.CodeNotFound, "no block %s on this node", text)
}

// changesFork reports whether a block made a fork, merged into it, or has
// revisions on it; not if it only gave it another name.
func changesFork(b *dag.Logged, id dag.ForkID) bool {
	for _, i := range b.Ops {
		switch body, _ := dag.ReadOp(b.Block.Ops[i]); o := body.(type) {
		case dag.ForkOp:
			if madeBy(b, i, &o) == id {
				return true
			}
		case dag.MergeOp:
			if o.Into == id {
				return true
			}
		}
	}
	return slices.ContainsFunc(b.Changes, func(c dag.Change) bool { return c.Revision.Fork == id })
}

// writeOld writes the values again that keys of a fork had at a cut, as one
// change. With then, keys whose heads are not those of that cut are refused.
func (r *Replica) writeOld(ctx context.Context, f dag.Fork, keys []string, to dag.Cut, c rpc.Claim, plan bool, then *dag.Cut) (rpc.Reset, error) {
	change := &largeChange{
		fork: f, note: noteOf(c), keys: keys,
		draft: func(tx *dag.Tx, on dag.ForkID, key string) (*dag.Draft, string, error) {
			return r.oldDraft(tx, f, on, key, to, then)
		},
	}
	out := rpc.Reset{Plan: plan}
	var rec dag.Receipt
	var err error
	if plan {
		out.Changed, err = change.plan(ctx, r)
	} else {
		rec, out.Changed, err = change.write(ctx, r)
	}
	if err != nil {
		return rpc.Reset{}, writtenMeanwhile(err)
	}
	out.Block, out.Keys, out.Unchanged = rec.Block, len(out.Changed), len(out.Changed) == 0
	out.Heads = []dag.RevisionID{}
	if len(rec.Revisions) > 0 {
		out.Revision = rec.Revisions[0]
	}
	return out, nil
}

// oldDraft makes the revision, to stand on a fork that shows what f does, that
// brings a key back; nil if it serves that already.
func (r *Replica) oldDraft(tx *dag.Tx, f dag.Fork, on dag.ForkID, key string, to dag.Cut, then *dag.Cut) (*dag.Draft, string, error) {
	e, err := tx.Entry(on, key)
	if err != nil {
		return nil, "", err
	}
	old, err := r.graph.EntryAt(f.ID, key, to)
	if err != nil {
		return nil, "", err
	}
	at := e
	if then != nil {
		a, err := r.graph.EntryAt(f.ID, key, *then)
		if err != nil {
			return nil, "", err
		}
		at = &a
	}
	switch {
	case slices.Equal(headIDs(at), headIDs(&old)):
		return nil, "", nil // ChangedKeys lists more than what has changed
	case !slices.Equal(headIDs(at), headIDs(e)):
		return nil, "", failure(rpc.CodeStale, "%q was written again since: undo that first, or roll the key back", key)
	}
	now, err := r.lookBy(txReader{tx}, e)
	if err != nil {
		return nil, "", err
	}
	was, err := r.look(&old)
	if err != nil {
		return nil, "", err
	}
	c, err := was.content()
	if err != nil {
		return nil, "", err
	}
	if keep := now.sameConflicts(was); len(keep) > 0 && isDocument(c.kind) && isDocument(now.Kind) {
		d, what, err := now.changeBeside(&c, dag.MarkReverted, keep)
		if _, within := errors.AsType[*crdt.ConflictError](err); !within {
			return d, what, err
		}
	}
	return now.change(&c, dag.MarkReverted)
}

// sameConflicts are the conflicts that stand now as they stood before: who goes
// back to that has no part in them. Ids are of the fork, which for a part of a long
// change is one of its own.
func (s *sight) sameConflicts(before *sight) (same []crdt.ConflictID) {
	for _, c := range s.Conflicts {
		if slices.ContainsFunc(before.Conflicts, func(b crdt.Conflict) bool { return b.Path == c.Path && b.State == c.State }) {
			same = append(same, c.ID)
		}
	}
	return same
}

// changeBeside is change to a document that leaves some conflicts open. The
// error can be a *crdt.ConflictError.
func (s *sight) changeBeside(c *content, mark dag.Mark, keep []crdt.ConflictID) (*dag.Draft, string, error) {
	lists, err := s.lists()
	if err != nil {
		return nil, "", err
	}
	var within error
	d, err := s.drafted(s.parents(), mark, func(x crdt.Context) (crdt.Draft, error) {
		out, err := x.PutBeside(c.kind, c.value, lists, keep)
		within = err
		return out, err
	})
	if err != nil {
		return nil, "", cmp.Or(within, err)
	}
	return d, "changed", nil
}
