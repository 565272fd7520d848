package daemon

import (
	"context"
	"errors"
	"slices"

	"crush/dag"
	"crush/rpc"
)

// defaultPartSize is ReplicaConfig.PartSize where that is 0.
const defaultPartSize = 8 << 20

// partRoom is added for each file: its revision has this many bytes about.
const partRoom = 512

// splitFiles cuts a change into parts of at most room bytes, or of one file.
func splitFiles(files []rpc.File, room int) (parts [][]rpc.File) {
	from, size := 0, 0
	for i, f := range files {
		n := len(f.Key) + len(f.Value) + partRoom
		if size+n > room && i > from {
			parts = append(parts, files[from:i])
			from, size = i, 0
		}
		size += n
	}
	return append(parts, files[from:])
}

// applyParts writes a change that is too big for one block on a fork without a
// name, and merges that as one operation: for every reader, on every node, all
// of it or nothing. Keys that are written meanwhile make it fail, and nothing
// shows.
func (r *Replica) applyParts(ctx context.Context, f dag.Fork, q *rpc.ApplyRequest, parts [][]rpc.File, surplus []string) (rpc.Applied, error) {
	same, err := r.holdsAll(f.ID, q.Files)
	if err != nil {
		return rpc.Applied{}, err
	}
	if same && len(surplus) == 0 {
		return rpc.Applied{Created: []string{}, Changed: []string{}, Deleted: []string{}, Unchanged: len(q.Files)}, nil
	}
	cut := r.graph.Now()
	var batch dag.Fork
	_, err = r.commit(ctx, q.Claim, func(tx *dag.Tx) (err error) {
		batch, err = tx.CreateFork("", dag.NewContribution(f.ID, cut.Tips(), nil))
		return err
	})
	if err != nil {
		return rpc.Applied{}, err
	}
	total := rpc.Applied{Created: []string{}, Changed: []string{}, Deleted: []string{}}
	for i, files := range parts {
		part := *q
		part.Files = files
		gone := surplus
		if i < len(parts)-1 {
			gone = nil
		}
		if err := r.applyPart(ctx, batch, &part, gone, &total); err != nil {
			return rpc.Applied{}, err
		}
	}
	rec, err := r.mergePart(ctx, f, batch, cut, q.Claim, slices.Concat(total.Created, total.Changed, total.Deleted))
	if errors.Is(err, errMoved) {
		err = failure(rpc.CodeStale, "keys of the change were written meanwhile; nothing of it shows: apply it again")
	}
	total.Block = rec.Block
	return total, err
}

// holdsAll reports whether there is nothing to apply: then nothing is written,
// not even an empty batch.
func (r *Replica) holdsAll(fork dag.ForkID, files []rpc.File) (bool, error) {
	for _, file := range files {
		e, err := r.graph.Entry(fork, file.Key)
		if err != nil {
			return false, outward(err)
		}
		if v := r.view(&e); !holds(&e, &v, file.Value) {
			return false, nil
		}
	}
	return true, nil
}

// applyPart writes one part on the batch's fork.
func (r *Replica) applyPart(ctx context.Context, batch dag.Fork, q *rpc.ApplyRequest, surplus []string, total *rpc.Applied) error {
	var out rpc.Applied
	_, err := r.commit(ctx, q.Claim, func(tx *dag.Tx) error {
		out = rpc.Applied{}
		return r.applyIn(tx, batch.ID, q, surplus, &out)
	})
	total.Created = append(total.Created, out.Created...)
	total.Changed = append(total.Changed, out.Changed...)
	total.Deleted = append(total.Deleted, out.Deleted...)
	total.Unchanged += out.Unchanged
	return err
}

// mergePart makes the batch visible, if none of its keys was written since the
// cut that it was made at.
func (r *Replica) mergePart(ctx context.Context, f, batch dag.Fork, cut dag.Cut, c rpc.Claim, keys []string) (dag.Receipt, error) {
	return r.commit(ctx, c, func(tx *dag.Tx) error {
		for _, key := range keys {
			now, err := tx.Entry(f.ID, key)
			if err != nil {
				return err
			}
			then, err := r.graph.EntryAt(f.ID, key, cut)
			if err != nil {
				return err
			}
			if !slices.Equal(headIDs(now), headIDs(&then)) {
				return errMoved
			}
		}
		return tx.Op(dag.NewOp(dag.MergeOp{Into: f.ID, From: dag.NewContribution(batch.ID, r.graph.Now().Tips(), nil)}))
	})
}
