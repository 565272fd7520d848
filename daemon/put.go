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

// condition is the context that a writer gave.
type condition struct {
	base, match *seenHeads
	absent      bool
}

// condition reads the tokens of a write, and waits until the heads of a base
// token are here, or ctx ends.
func (r *Replica) condition(ctx context.Context, fork dag.ForkID, key string, base, match rpc.Token, absent bool) (c condition, err error) {
	c.absent = absent
	given := 0
	for _, set := range []bool{base != "", match != "", absent} {
		if set {
			given++
		}
	}
	if given > 1 {
		return c, failure(rpc.CodeInvalid, "at most one of base, if-match and if-absent can be given")
	}
	if base != "" {
		s, err := parseToken(base, fork, key)
		if err != nil {
			return c, err
		}
		c.base = &s
		return c, r.awaitVisible(ctx, fork, s.heads)
	}
	if match != "" {
		s, err := parseToken(match, fork, key)
		if err != nil {
			return c, err
		}
		c.match = &s
	}
	return c, nil
}

// awaitVisible returns when all revisions are visible on the fork here: one can
// arrive before the merge, or the rest of a change of many blocks, that shows
// it. A context without a deadline does not wait.
func (r *Replica) awaitVisible(ctx context.Context, fork dag.ForkID, ids []dag.RevisionID) error {
	for _, id := range ids {
		for {
			changed := r.graph.Changed()
			here, err := r.isVisible(fork, id)
			if err != nil {
				return outward(err)
			}
			if here {
				break
			}
			missing := failure(rpc.CodeNotHere, "the token names revision %s, which is not on this node yet", id.Short())
			if _, ok := ctx.Deadline(); !ok {
				return missing
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return missing
			}
		}
	}
	return nil
}

// isVisible reports whether a revision is here and visible on a fork.
func (r *Replica) isVisible(fork dag.ForkID, id dag.RevisionID) (bool, error) {
	c, err := r.graph.Revision(id)
	if errors.Is(err, dag.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return r.graph.Visible(fork, &c)
}

// parents decides the context of a write to an entry, or refuses it.
func (c *condition) parents(s *sight) ([]dag.RevisionID, error) {
	switch {
	case c.match != nil && !c.match.matches(headIDs(s.Entry)):
		return nil, failure(rpc.CodeStale, "%q has changed since the token was read; read it again", s.Key)
	case c.absent && !s.Absent():
		return nil, failure(rpc.CodeStale, "%q exists already", s.Key)
	case c.base == nil:
		return s.parents(), nil
	case !c.base.summed:
		return s.parentsFrom(c.base.heads), nil
	case c.base.matches(headIDs(s.Entry)):
		return s.parents(), nil
	}
	return nil, failure(rpc.CodeStale, "the token of %q stands for too many heads to write on, and they have changed; read it again", s.Key)
}

// kindFor decides the kind of a write: the wanted one, else what the key has,
// else what a policy says, else the other one, else bytes.
func (s *sight) kindFor(want, other crdt.Kind) (crdt.Kind, error) {
	if want.IsZero() {
		want = s.Kind
	}
	if want.IsZero() || s.Key == rpc.PolicyKey {
		p, err := s.r.policiesBy(s.from, s.Fork)
		if err != nil {
			return 0, err
		}
		want = cmp.Or(p.kind(s.Key), want, other, crdt.Bytes)
	}
	if want.Opaque() {
		return 0, failure(rpc.CodeInvalid, "%q is of kind %s, which this version cannot write; give --type bytes or text to replace it", s.Key, want)
	}
	return want, nil
}

func checkValue(key string, kind crdt.Kind, value []byte) error {
	if len(value) > dag.MaxValue {
		return valueTooLarge(key, len(value))
	}
	if kind == crdt.Text {
		if err := crdt.ValidText(value); err != nil {
			return &rpc.Error{Code: rpc.CodeUnparsed, Message: "the value of \"" + key + "\": " + err.Error(), Cause: err}
		}
	}
	return nil
}

func valueTooLarge(key string, size int) error {
	return failure(rpc.CodeTooLarge, "the value of %q has %d bytes, the limit is %d", key, size, dag.MaxValue)
}

// Put implements rpc.Values.
func (r *Replica) Put(ctx context.Context, q rpc.PutRequest) (rpc.Written, error) {
	if err := checkKey(q.Key); err != nil {
		return rpc.Written{}, err
	}
	if err := checkValue(q.Key, q.Kind, q.Value); err != nil {
		return rpc.Written{}, err
	}
	id, err := r.forkToWrite(q.Fork, q.CreateFork)
	if err != nil {
		return rpc.Written{}, err
	}
	cond, err := r.condition(ctx, id, q.Key, q.Base, q.IfMatch, q.IfAbsent)
	if err != nil {
		return rpc.Written{}, err
	}
	var o outcome
	rec, err := r.commit(ctx, q.Claim, func(tx *dag.Tx) error {
		if q.CreateFork {
			if _, err := tx.NameFork(q.Fork); err != nil {
				return failure(rpc.CodeInvalid, "%s", err)
			}
		}
		var err error
		o, err = r.putIn(tx, id, &q, &cond)
		return err
	}, r.graph.Hint(id, q.Key))
	if err != nil {
		return rpc.Written{}, err
	}
	return r.written(&o, &rec), nil
}

// forkToWrite returns the id of the fork of a name, which need not exist yet
// if it is to be created.
func (r *Replica) forkToWrite(name string, create bool) (dag.ForkID, error) {
	f, err := r.forkToChange(name)
	if errors.Is(err, rpc.ErrNotFound) && create {
		return dag.NamedFork(name), nil
	}
	return f.ID, err
}

// putIn adds the revision of a put to a commit.
func (r *Replica) putIn(tx *dag.Tx, fork dag.ForkID, q *rpc.PutRequest, cond *condition) (o outcome, err error) {
	s, err := r.lookIn(tx, fork, q.Key)
	if err != nil {
		return o, err
	}
	parents, err := cond.parents(s)
	if err != nil {
		return o, err
	}
	if q.Path != "" && q.Path != crdt.Root {
		d, err := s.edit(parents, q.Path, &q.Value, q.Kind, dag.MarkNone)
		if err != nil {
			return o, err
		}
		return s.put(tx, r, d)
	}
	read, err := s.as(parents)
	if err != nil {
		return o, err
	}
	kind, err := read.kindFor(q.Kind, q.Otherwise)
	if err != nil {
		return o, err
	}
	if err := checkValue(q.Key, kind, q.Value); err != nil {
		return o, err
	}
	if s.Opaque && cond.base == nil && cond.match == nil {
		return o, ofUnknownKind(q.Key)
	}
	return s.writeOn(tx, r, parents, &content{kind: kind, value: q.Value}, dag.MarkNone)
}

func ofUnknownKind(key string) error {
	return failure(rpc.CodeConflict, "%q holds a value of a kind that this version does not know; read it and write with --base", key)
}

// outcome is what a write left, as the commit function saw it: little is done
// there, because everybody who writes waits for it.
type outcome struct {
	now       *sight // after the write
	before    crdt.View
	all       bool // the writer had read all heads
	unchanged bool
	warnings  []crdt.Warning
}

// nothingDone is the outcome of a write that finds nothing to do.
func nothingDone(s *sight) outcome { return outcome{now: s, before: s.View, unchanged: true} }

// write makes c of the key, for a writer who has read what s shows.
func (s *sight) write(tx *dag.Tx, r *Replica, c *content, mark dag.Mark) (outcome, error) {
	return s.writeOn(tx, r, s.parents(), c, mark)
}

// writeOn is write for a writer who has read parents.
func (s *sight) writeOn(tx *dag.Tx, r *Replica, parents []dag.RevisionID, c *content, mark dag.Mark) (outcome, error) {
	d, err := s.draftOn(parents, c, mark)
	if err != nil {
		return outcome{}, err
	}
	return s.put(tx, r, d)
}

// put adds a revision of the key to a commit; nil is nothing to do.
func (s *sight) put(tx *dag.Tx, r *Replica, d *dag.Draft) (outcome, error) {
	if d == nil {
		return nothingDone(s), nil
	}
	if err := tx.Put(*d); err != nil {
		return outcome{}, err
	}
	all := !slices.ContainsFunc(s.Heads, func(h dag.Head) bool { return !slices.Contains(d.Parents, h.ID) })
	now, err := r.lookIn(tx, s.Fork, s.Key)
	return outcome{now: now, before: s.View, all: all, warnings: s.warnings}, err
}

// written describes an outcome once it is on disk.
func (r *Replica) written(o *outcome, rec *dag.Receipt) rpc.Written {
	out := rpc.Written{
		Block: rec.Block, Heads: headIDs(o.now.Entry), Token: tokenOf(o.now.Entry), Conflict: !o.now.settled(),
		Sibling: len(o.now.Heads) > 1 && !o.unchanged, Unchanged: o.unchanged,
	}
	for _, w := range o.warnings {
		out.Warnings = append(out.Warnings, "at "+w.Path.String()+" "+w.Problem)
	}
	if len(rec.Revisions) > 0 {
		out.Revision = rec.Revisions[0]
	}
	if len(o.before.Conflicts) > 0 && o.now.settled() && o.all {
		out.Settled = len(o.before.Conflicts[0].Sides)
	}
	return out
}

// Delete implements rpc.Values.
func (r *Replica) Delete(ctx context.Context, q rpc.DeleteRequest) (rpc.Written, error) {
	f, err := r.forkToChange(q.Fork)
	if err != nil {
		return rpc.Written{}, err
	}
	if q.Recursive {
		return r.deleteBelow(ctx, f, q)
	}
	if err := checkKey(q.Key); err != nil {
		return rpc.Written{}, err
	}
	cond, err := r.condition(ctx, f.ID, q.Key, q.Base, q.IfMatch, false)
	if err != nil {
		return rpc.Written{}, err
	}
	// A poller deletes keys that are not there: find that out without a place
	// in the queue of writers.
	if e, err := r.graph.Entry(f.ID, q.Key); err == nil && cond.base == nil && cond.match == nil {
		if s, err := r.look(&e); err == nil && s.gone() {
			return unchanged(&e), nil
		}
	}
	var o outcome
	rec, err := r.commit(ctx, q.Claim, func(tx *dag.Tx) error {
		var err error
		o, err = r.deleteIn(tx, f.ID, q.Key, q.Path, &cond)
		return err
	})
	if err != nil {
		return rpc.Written{}, err
	}
	out := r.written(&o, &rec)
	if !o.unchanged {
		out.Keys = 1
	}
	return out, nil
}

func unchanged(e *dag.Entry) rpc.Written {
	return rpc.Written{Heads: headIDs(e), Token: tokenOf(e), Unchanged: true}
}

// deleteIn adds the delete of a key to a commit, unless it is not there.
func (r *Replica) deleteIn(tx *dag.Tx, fork dag.ForkID, key string, path crdt.Path, cond *condition) (o outcome, err error) {
	s, err := r.lookIn(tx, fork, key)
	if err != nil {
		return o, err
	}
	parents, err := cond.parents(s)
	if err != nil {
		return o, err
	}
	if s.gone() && (cond.base == nil || len(parents) == 0) {
		return nothingDone(s), nil
	}
	if path != "" && path != crdt.Root {
		d, err := s.edit(parents, path, nil, 0, dag.MarkNone)
		if err != nil {
			return o, err
		}
		return s.put(tx, r, d)
	}
	return s.writeOn(tx, r, parents, s.nothing(), dag.MarkNone)
}

// deleteBelow deletes every key that starts with q.Key, as one change.
func (r *Replica) deleteBelow(ctx context.Context, f dag.Fork, q rpc.DeleteRequest) (rpc.Written, error) {
	if !strings.HasSuffix(q.Key, "/") {
		return rpc.Written{}, failure(rpc.CodeInvalid, "deleting below %q: the prefix must end in a slash", q.Key)
	}
	keys, err := r.presentKeys(ctx, f.ID, q.Key)
	if err != nil {
		return rpc.Written{}, err
	}
	change := &largeChange{fork: f, note: noteOf(q.Claim), keys: keys, draft: r.deletion}
	rec, done, err := change.write(ctx, r)
	if err != nil {
		return rpc.Written{}, writtenMeanwhile(err)
	}
	out := rpc.Written{Block: rec.Block, Heads: []dag.RevisionID{}, Keys: len(done), Unchanged: len(done) == 0}
	if len(rec.Revisions) > 0 {
		out.Revision = rec.Revisions[0]
	}
	return out, nil
}

// deletion makes the revision that deletes a key on a fork; nil if it is not
// there.
func (r *Replica) deletion(tx *dag.Tx, on dag.ForkID, key string) (*dag.Draft, string, error) {
	s, err := r.lookIn(tx, on, key)
	if err != nil || s.gone() {
		return nil, "", err
	}
	d, err := s.draft(s.nothing(), dag.MarkNone)
	return d, "deleted", err
}

// presentKeys lists the keys below a prefix that are there.
func (r *Replica) presentKeys(ctx context.Context, fork dag.ForkID, prefix string) (keys []string, err error) {
	for e, err := range r.graph.Entries(ctx, fork, prefix, "") {
		if err != nil {
			return nil, outward(err)
		}
		s, err := r.look(&e)
		if err != nil {
			return nil, outward(err)
		}
		if !s.gone() {
			keys = append(keys, e.Key)
		}
	}
	return keys, nil
}
