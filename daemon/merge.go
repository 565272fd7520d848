package daemon

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// mergeTries bounds how often a merge is planned anew because a key of it was
// written meanwhile.
const mergeTries = 5

// Merge implements rpc.Merges. A merge that stops for conflicts returns its
// plan beside the error, and so does one whose plan is stale.
func (r *Replica) Merge(ctx context.Context, q rpc.MergeRequest) (rpc.Merged, error) {
	src, dst, err := r.mergeSides(&q)
	if err != nil {
		return rpc.Merged{}, err
	}
	for range mergeTries {
		p, err := r.plan(ctx, src, dst, &q)
		if err != nil {
			return rpc.Merged{}, err
		}
		out := p.answer()
		switch {
		case q.Apply != "" && q.Apply != p.id:
			return out, failure(rpc.CodeStale, "the plan %s no longer holds; this is the plan now: %s", q.Apply, p.id)
		case q.Plan, len(p.keys) == 0:
			return out, nil
		case p.stops:
			return out, failure(rpc.CodeConflict, "merging %q into %q stops for %s; nothing was written", src.Name, dst.Name, plural(len(p.open), "conflict"))
		}
		rec, err := r.apply(ctx, p, q.Claim)
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return rpc.Merged{}, err
		}
		out.Applied, out.Block = true, &rec.Block
		return out, nil
	}
	return rpc.Merged{}, failure(rpc.CodeStale, "keys of the merge are written faster than it can be planned; try again")
}

// mergeSides checks the request and finds its forks.
func (r *Replica) mergeSides(q *rpc.MergeRequest) (src, dst dag.Fork, err error) {
	switch q.OnConflict {
	case "", rpc.OnConflictFail, rpc.OnConflictKeep, rpc.OnConflictOurs, rpc.OnConflictTheirs, rpc.OnConflictLWW:
	default:
		return src, dst, failure(rpc.CodeInvalid, "on-conflict %q: want fail, keep, ours, theirs or lww", string(q.OnConflict))
	}
	if q.Source == "" || q.Into == "" {
		return src, dst, failure(rpc.CodeInvalid, "a merge names both forks: the source and the destination")
	}
	if src, err = r.forkToChange(q.Source); err != nil {
		return src, dst, err
	}
	if dst, err = r.forkToChange(q.Into); err != nil {
		return src, dst, err
	}
	if src.ID == dst.ID {
		return src, dst, failure(rpc.CodeInvalid, "%q cannot be merged into itself", dst.Name)
	}
	return src, dst, nil
}

// Conflicts implements rpc.Merges.
func (r *Replica) Conflicts(ctx context.Context, fork, prefix string) iter.Seq2[rpc.Conflict, error] {
	return func(yield func(rpc.Conflict, error) bool) {
		forks := r.graph.Forks()
		if fork != "" {
			f, err := r.fork(fork)
			if err != nil {
				yield(rpc.Conflict{}, err)
				return
			}
			forks = []dag.Fork{f}
		}
		for _, f := range forks {
			if f.Deleted {
				continue
			}
			for c, err := range r.conflictsOn(ctx, f, prefix) {
				if !yield(c, err) || err != nil {
					return
				}
			}
		}
	}
}

func (r *Replica) conflictsOn(ctx context.Context, f dag.Fork, prefix string) iter.Seq2[rpc.Conflict, error] {
	return func(yield func(rpc.Conflict, error) bool) {
		keys, err := r.graph.Contested(ctx, f.ID, r.graph.Now())
		if err != nil {
			yield(rpc.Conflict{}, outward(err))
			return
		}
		for _, key := range keys {
			if !strings.HasPrefix(key, prefix) {
				continue
			}
			var cs []rpc.Conflict
			s, err := r.lookAt(f.ID, key)
			if err == nil {
				cs, err = r.withProposals(f, s, r.seenByAll)
			}
			if err != nil {
				yield(rpc.Conflict{}, outward(err))
				return
			}
			for _, c := range cs {
				if !yield(c, nil) {
					return
				}
			}
		}
	}
}

// Resolve implements rpc.Merges.
func (r *Replica) Resolve(ctx context.Context, q rpc.ResolveRequest) (rpc.Written, error) {
	if err := r.checkResolve(ctx, &q); err != nil {
		return rpc.Written{}, err
	}
	f, err := r.forkToChange(q.Fork)
	if err != nil {
		return rpc.Written{}, err
	}
	var o outcome
	rec, err := r.commit(ctx, q.Claim, func(tx *dag.Tx) error {
		s, err := r.lookIn(tx, f.ID, q.Key)
		if err != nil {
			return err
		}
		d, err := r.resolution(f, s, &q)
		if err != nil {
			return err
		}
		o, err = s.put(tx, r, d)
		return err
	})
	if err != nil {
		return rpc.Written{}, err
	}
	return r.written(&o, &rec), nil
}

// checkResolve checks that one choice is made, and finds the key of an id.
func (r *Replica) checkResolve(ctx context.Context, q *rpc.ResolveRequest) error {
	choices := 0
	for _, set := range []bool{q.Take != "", q.Value != nil, q.Delete} {
		if set {
			choices++
		}
	}
	if choices != 1 {
		return failure(rpc.CodeInvalid, "say how to settle it: one of a side to take, a value, or a delete")
	}
	id := q.ID
	if id == "" {
		if err := checkKey(q.Key); err != nil || r.inConflict(q.KeyRef) {
			return err
		}
		id = q.Key // perhaps it is the id of a conflict
	}
	c, err := r.findConflict(ctx, id)
	switch {
	case err != nil:
		return err
	case c == nil && q.ID == "":
		return nil
	case c == nil:
		return failure(rpc.CodeStale, "there is no open conflict %s: somebody has settled it, or it is of another node", q.ID)
	}
	q.Fork, q.Key = c.Fork, c.Key
	if crdt.Path(c.Path) != crdt.Root {
		q.Path = crdt.Path(c.Path)
	}
	return nil
}

// inConflict reports whether a key is in conflict now.
func (r *Replica) inConflict(k rpc.KeyRef) bool {
	f, err := r.fork(k.Fork)
	if err != nil {
		return false
	}
	s, err := r.lookAt(f.ID, k.Key)
	return err == nil && !s.settled()
}

// Diff implements rpc.Merges.
func (r *Replica) Diff(ctx context.Context, q rpc.DiffRequest) iter.Seq2[rpc.Difference, error] {
	return func(yield func(rpc.Difference, error) bool) {
		a, aCut, err := r.forkAt(q.A)
		if err != nil {
			yield(rpc.Difference{}, err)
			return
		}
		b, bCut, err := r.forkAt(q.B)
		if err != nil {
			yield(rpc.Difference{}, err)
			return
		}
		there, err := r.graph.ChangedKeys(ctx, b.ID, bCut, a.ID, aCut)
		if err == nil {
			var back []string
			back, err = r.graph.ChangedKeys(ctx, a.ID, aCut, b.ID, bCut)
			there = append(there, back...)
		}
		if err == nil {
			// Both may show the same of a key in conflict, and serve two sides of it.
			var contested []string
			if b.ID == dag.DefaultFork() { // whose answer is likely to be at hand; on other keys both have the same heads
				contested, err = r.graph.Contested(ctx, b.ID, bCut)
			} else {
				contested, err = r.graph.Contested(ctx, a.ID, aCut)
			}
			there = slices.Compact(slices.Sorted(slices.Values(append(there, contested...))))
		}
		if err != nil {
			yield(rpc.Difference{}, outward(err))
			return
		}
		for _, key := range there {
			if q.Key != "" && key != q.Key && !(strings.HasSuffix(q.Key, "/") && strings.HasPrefix(key, q.Key)) {
				continue
			}
			d, differs, err := r.difference(key, a, aCut, b, bCut)
			if (differs || err != nil) && !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// forkAt reads FORK or FORK@AT.
func (r *Replica) forkAt(text string) (dag.Fork, dag.Cut, error) {
	name, at, dated := strings.Cut(text, "@")
	f, err := r.fork(name)
	if err != nil || !dated {
		return f, r.graph.Now(), err
	}
	c, err := r.cutOf(f, at)
	return f, c, err
}

func (r *Replica) difference(key string, a dag.Fork, aCut dag.Cut, b dag.Fork, bCut dag.Cut) (d rpc.Difference, differs bool, err error) {
	d.Key = key
	x, err := r.graph.EntryAt(a.ID, key, aCut)
	if err != nil {
		return d, false, outward(err)
	}
	y, err := r.graph.EntryAt(b.ID, key, bCut)
	if err != nil {
		return d, false, outward(err)
	}
	was, now, err := r.lookTwice(&x, &y)
	if err != nil {
		return d, false, outward(err)
	}
	if d.Change, err = was.changeTo(now); d.Change == "same" || err != nil {
		return d, false, outward(err)
	}
	if !was.Absent() {
		d.KindA = was.Kind
	}
	if !now.Absent() {
		d.KindB = now.Kind
	}
	policies := func(f dag.Fork, at dag.Cut) func() (dag.Entry, error) {
		return func() (dag.Entry, error) { return r.graph.EntryAt(f.ID, rpc.PolicyKey, at) }
	}
	if d.WithheldA, err = was.withheld(policies(a, aCut)); err == nil {
		d.WithheldB, err = now.withheld(policies(b, bCut))
	}
	if d.WithheldA || d.WithheldB || err != nil {
		return d, true, outward(err)
	}
	before, err := was.content()
	if d.A, d.PurgedA, err = r.shown(before, err); err != nil {
		return d, false, err
	}
	after, err := now.content()
	d.B, d.PurgedB, err = r.shown(after, err)
	if err != nil || d.A == nil || d.B == nil || !isDocument(d.KindA) || !isDocument(d.KindB) {
		return d, true, err
	}
	d.Fields, err = compare(was, now)
	d.Layout = err == nil && len(d.Fields) == 0
	return d, true, outward(err)
}

// compare tells where two documents differ; elements of keyed lists are told
// apart.
func compare(was, now *sight) ([]rpc.FieldChange, error) {
	a, err := was.document()
	if err != nil {
		return nil, err
	}
	b, err := now.document()
	return rpc.CompareDocuments(a, b), err
}

// Pick implements rpc.Merges.
func (r *Replica) Pick(ctx context.Context, q rpc.PickRequest) (rpc.Written, error) {
	m, err := r.find(string(q.Revision))
	if err != nil {
		return rpc.Written{}, err
	}
	if len(m.Revisions) != 1 {
		if len(m.Revisions) > 1 {
			return rpc.Written{}, ambiguous(string(q.Revision), revisionTexts(m.Revisions))
		}
		return rpc.Written{}, failure(rpc.CodeNotFound, "no revision %s on this node", q.Revision)
	}
	c, err := r.graph.Revision(m.Revisions[0])
	if err != nil {
		return rpc.Written{}, outward(err)
	}
	picked, err := r.contentOf(&c)
	if err != nil {
		return rpc.Written{}, outward(err)
	}
	if k := picked.kind; k == crdt.Counter || k == crdt.Set {
		return rpc.Written{}, failure(rpc.CodeInvalid, "%s is of a %s, whose revisions only add to what they have seen: use incr or set", q.Revision, k)
	}
	if picked.deleted {
		return r.Delete(ctx, rpc.DeleteRequest{KeyRef: rpc.KeyRef{Fork: q.Into, Key: c.Revision.Key}, Claim: q.Claim})
	}
	return r.Put(ctx, rpc.PutRequest{
		KeyRef: rpc.KeyRef{Fork: q.Into, Key: c.Revision.Key}, Claim: q.Claim, Value: picked.value, Kind: picked.kind,
	})
}

func revisionTexts(ids []dag.RevisionID) (out []string) {
	for _, id := range ids {
		out = append(out, id.String())
	}
	return out
}
