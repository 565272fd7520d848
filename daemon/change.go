package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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
		s, err := r.lookIn(tx, f.ID, q.Key)
		if err != nil {
			return err
		}
		if len(s.Heads) == 0 {
			return failure(rpc.CodeNotFound, "the key %q is not there", q.Key)
		}
		out.From = dag.RevisionID(s.Served)
		if q.Plan || old.deleted && s.gone() {
			o = nothingDone(s)
			return nil
		}
		o, err = s.write(tx, r, &old.content, dag.MarkReverted)
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
	content
	id dag.RevisionID // zero if the key was not there
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
		old.id = c.ID
		old.content, err = r.contentOf(&c)
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
	s, err := r.look(&e)
	if err != nil {
		return old, outward(err)
	}
	old.id = dag.RevisionID(s.Served)
	old.content, err = s.content()
	return old, outward(err)
}

// Apply implements rpc.Changes.
func (r *Replica) Apply(ctx context.Context, q rpc.ApplyRequest) (rpc.Applied, error) {
	f, err := r.forkToChange(q.Fork)
	if err != nil {
		return rpc.Applied{}, err
	}
	if q.Label != "" {
		if err := checkName(q.Label); err != nil {
			return rpc.Applied{}, err
		}
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
	if err := r.foreseeLabel(ctx, f, q.Files, q.Label); err != nil {
		return rpc.Applied{}, err
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
		d, change, err := r.setting(tx, on, key, value, q.Label)
		if err != nil {
			err = fmt.Errorf("apply %q: %w", key, err)
		}
		return d, change, err
	}
	return c
}

// setting makes the revision that gives a key on a fork a value, as the job of a
// label; nil if there is nothing to write.
func (r *Replica) setting(tx *dag.Tx, on dag.ForkID, key string, value []byte, label string) (*dag.Draft, string, error) {
	now, err := r.lookIn(tx, on, key)
	if err != nil {
		return nil, "", err
	}
	kind, err := now.kindFor(0, 0)
	if err != nil {
		return nil, "", err
	}
	if err := checkValue(key, kind, value); err != nil {
		return nil, "", err
	}
	if now.Opaque {
		return nil, "", ofUnknownKind(key)
	}
	read, err := now.asWrittenBy(label)
	if err != nil {
		return nil, "", err
	}
	if read != now {
		if said, err := read.says(value); said || err != nil {
			return nil, "", err // the job has nothing new to say, whatever others made of the key, or of its kind
		}
	}
	d, change, err := read.change(&content{kind: kind, value: value}, dag.MarkNone)
	if d == nil || err != nil {
		return nil, "", err
	}
	d.Label = label
	switch {
	case now.Absent():
		change = "created"
	case change == "same": // and a conflict is settled
		change = "changed"
	}
	return d, change, nil
}
