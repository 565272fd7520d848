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
	change := r.applying(f, &q, surplus)
	var rec dag.Receipt
	var done []rpc.MergedKey
	if q.Plan {
		done, err = change.plan(ctx, r)
	} else {
		rec, done, err = change.write(ctx, r)
	}
	if err != nil {
		return rpc.Applied{}, writtenMeanwhile(err)
	}
	out := rpc.Applied{Block: rec.Block, Created: []string{}, Changed: []string{}, Deleted: []string{}, Plan: q.Plan, Unchanged: len(q.Files)}
	for _, k := range done {
		switch k.Change {
		case "created":
			out.Created = append(out.Created, k.Key)
		case "changed":
			out.Changed = append(out.Changed, k.Key)
		default:
			out.Deleted = append(out.Deleted, k.Key)
		}
	}
	out.Unchanged -= len(out.Created) + len(out.Changed)
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
		if size := file.Size(); size > dag.MaxValue {
			return nil, valueTooLarge(file.Key, size)
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

// applying is the change that gives keys the values of files where they differ,
// and deletes surplus ones.
func (r *Replica) applying(f dag.Fork, q *rpc.ApplyRequest, surplus []string) *largeChange {
	files := make(map[string]*rpc.File, len(q.Files))
	c := &largeChange{fork: f, note: noteOf(q.Claim)}
	for i := range q.Files {
		file := &q.Files[i]
		files[file.Key], c.keys = file, append(c.keys, file.Key)
	}
	c.keys = append(c.keys, surplus...)
	c.draft = func(tx *dag.Tx, on dag.ForkID, key string) (*dag.Draft, string, error) {
		file, ok := files[key]
		if !ok {
			return r.deletion(tx, on, key)
		}
		value, err := file.Load()
		if err != nil {
			return nil, "", err
		}
		d, change, err := r.setting(tx, on, key, value)
		if err != nil {
			err = fmt.Errorf("apply %q: %w", key, err)
		}
		return d, change, err
	}
	return c
}

// setting makes the revision that gives a key on a fork a value; nil if it has
// that already.
func (r *Replica) setting(tx *dag.Tx, on dag.ForkID, key string, value []byte) (*dag.Draft, string, error) {
	e, err := tx.Entry(on, key)
	if err != nil {
		return nil, "", err
	}
	v := r.view(e)
	if holds(e, &v, value) {
		return nil, "", nil
	}
	kind, err := kindFor(key, 0, &v)
	if err != nil {
		return nil, "", err
	}
	if err := checkValue(key, kind, value); err != nil {
		return nil, "", err
	}
	if v.Opaque {
		return nil, "", ofUnknownKind(key)
	}
	change := "changed"
	if v.Absent() {
		change = "created"
	}
	return &dag.Draft{Key: key, Parents: parentsOf(e, &v), Kind: uint64(kind), Payload: value}, change, nil
}
