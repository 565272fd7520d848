package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// Rollback implements rpc.Changes.
func (r *Replica) Rollback(ctx context.Context, q rpc.RollbackRequest) (rpc.RolledBack, error) {
	var out rpc.RolledBack
	if err := checkKey(q.Key); err != nil {
		return out, err
	}
	f, err := r.forkToChange(q.Fork)
	if err != nil {
		return out, err
	}
	old, err := r.rollbackTo(ctx, f, q.Key, q.To)
	if err != nil {
		return out, err
	}
	out.To, out.Plan = old.id, q.Plan
	var o outcome
	rec, err := r.commit(ctx, q.Claim, func(tx *dag.Tx) error {
		e, err := tx.Entry(f.ID, q.Key)
		if err != nil {
			return err
		}
		v := r.view(e)
		if len(e.Heads) == 0 {
			return failure(rpc.CodeNotFound, "the key %q is not there", q.Key)
		}
		out.From = dag.RevisionID(v.Served)
		o = outcome{entry: e, before: v, unchanged: true}
		if q.Plan || old.deleted && v.Absent() && len(v.Conflicts) == 0 {
			return nil
		}
		parents := parentsOf(e, &v)
		if err := tx.Put(dag.Draft{
			Fork: f.ID, Key: q.Key, Parents: parents, Kind: old.kind, Deleted: old.deleted, Payload: old.value, Mark: dag.MarkReverted,
		}); err != nil {
			return err
		}
		o, err = after(tx, f.ID, q.Key, &v, len(parents))
		return err
	})
	if err != nil {
		return rpc.RolledBack{}, err
	}
	out.Written = r.written(&o, &rec)
	return out, nil
}

// oldValue is what a rollback writes again.
type oldValue struct {
	id      dag.RevisionID // zero if the key was not there
	kind    uint64
	deleted bool
	value   []byte
}

// rollbackTo finds the value that a key had at a revision, time or block.
func (r *Replica) rollbackTo(ctx context.Context, f dag.Fork, key, to string) (old oldValue, err error) {
	if to == "" {
		return old, failure(rpc.CodeInvalid, "say what to roll %q back to: a revision, a time or a block", key)
	}
	_, timeErr := time.Parse(time.RFC3339, to)
	if _, tagged := r.graph.Tag(to); tagged {
		return r.valueAt(f, key, to)
	}
	c, err := r.revisionOf(ctx, f, key, rpc.Ref(to))
	switch {
	case timeErr != nil && err == nil:
		old = oldValue{id: c.ID, kind: c.Revision.Kind, deleted: c.Revision.Deleted}
		old.value, err = r.graph.ChangePayload(&c)
		return old, outward(err)
	case timeErr != nil && !errors.Is(err, rpc.ErrNotFound):
		return old, err
	}
	old, cutErr := r.valueAt(f, key, to)
	if timeErr != nil && errors.Is(cutErr, rpc.ErrNotFound) {
		return old, err // as a revision it was not found either
	}
	return old, cutErr
}

// valueAt is what a key served at a time, tag or block.
func (r *Replica) valueAt(f dag.Fork, key, at string) (old oldValue, err error) {
	e, err := r.entryAt(f, key, at)
	if err != nil {
		return old, err
	}
	v := r.view(&e)
	h := served(&e, &v)
	if h == nil {
		return oldValue{kind: uint64(crdt.Bytes), deleted: true}, nil
	}
	old = oldValue{id: h.ID, kind: h.Kind, deleted: h.Deleted}
	old.value, err = r.graph.Payload(h)
	return old, outward(err)
}

// Apply implements rpc.Changes.
func (r *Replica) Apply(ctx context.Context, q rpc.ApplyRequest) (rpc.Applied, error) {
	f, err := r.forkToChange(q.Fork)
	if err != nil {
		return rpc.Applied{}, err
	}
	wanted, err := checkFiles(&q)
	if err != nil {
		return rpc.Applied{}, err
	}
	var surplus []string
	if q.Prune {
		present, err := r.presentKeys(ctx, f.ID, q.Prefix)
		if err != nil {
			return rpc.Applied{}, err
		}
		surplus = slices.DeleteFunc(present, func(key string) bool { return wanted[key] })
	}
	parts := splitFiles(q.Files, r.partSize)
	if len(parts) > 1 && !q.Plan {
		return r.applyParts(ctx, f, &q, parts, surplus)
	}
	var out rpc.Applied
	rec, err := r.commit(ctx, q.Claim, func(tx *dag.Tx) error {
		out = rpc.Applied{Plan: q.Plan, Created: []string{}, Changed: []string{}, Deleted: []string{}}
		err := r.applyIn(tx, f.ID, &q, surplus, &out)
		if err == nil && q.Plan {
			return errPlanned
		}
		return err
	})
	if err != nil && !errors.Is(err, errPlanned) {
		return rpc.Applied{}, err
	}
	out.Block = rec.Block
	return out, nil
}

// errPlanned takes back what a plan put into its commit.
var errPlanned = errors.New("planned only")

// checkFiles refuses bad keys and values before anything is written.
func checkFiles(q *rpc.ApplyRequest) (wanted map[string]bool, err error) {
	wanted = make(map[string]bool, len(q.Files))
	for _, file := range q.Files {
		if err := checkKey(file.Key); err != nil {
			return nil, failure(rpc.CodeOf(err), "%q: %s", file.Key, err)
		}
		if err := checkValue(file.Key, crdt.Bytes, file.Value); err != nil {
			return nil, err
		}
		if wanted[file.Key] {
			return nil, failure(rpc.CodeInvalid, "the key %q is given twice", file.Key)
		}
		if !strings.HasPrefix(file.Key, q.Prefix) {
			return nil, failure(rpc.CodeInvalid, "the key %q does not start with the prefix %q", file.Key, q.Prefix)
		}
		wanted[file.Key] = true
	}
	return wanted, nil
}

// holds reports whether a key has a value already, without a conflict.
func holds(e *dag.Entry, v *crdt.View, value []byte) bool {
	h := served(e, v)
	return h != nil && !v.Absent() && len(v.Conflicts) == 0 && h.Value == dag.SumOf(value)
}

// applyIn puts what differs into a commit.
func (r *Replica) applyIn(tx *dag.Tx, fork dag.ForkID, q *rpc.ApplyRequest, surplus []string, out *rpc.Applied) error {
	for _, file := range q.Files {
		e, err := tx.Entry(fork, file.Key)
		if err != nil {
			return err
		}
		v := r.view(e)
		if holds(e, &v, file.Value) {
			out.Unchanged++
			continue
		}
		if _, err := r.putIn(tx, fork, &rpc.PutRequest{KeyRef: rpc.KeyRef{Key: file.Key}, Value: file.Value}, &condition{}); err != nil {
			return fmt.Errorf("apply %q: %w", file.Key, err)
		}
		if v.Absent() {
			out.Created = append(out.Created, file.Key)
		} else {
			out.Changed = append(out.Changed, file.Key)
		}
	}
	for _, key := range surplus {
		w, err := r.deleteIn(tx, fork, key, &condition{})
		if err != nil {
			return fmt.Errorf("delete %q: %w", key, err)
		}
		if !w.unchanged {
			out.Deleted = append(out.Deleted, key)
		}
	}
	return nil
}
