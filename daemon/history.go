package daemon

import (
	"context"
	"iter"
	"strconv"
	"strings"

	"crush/dag"
	"crush/rpc"
)

// revisionOf resolves what a person typed to a revision of a key on a fork.
func (r *Replica) revisionOf(ctx context.Context, f dag.Fork, key string, ref rpc.Ref) (dag.Change, error) {
	if n, ok := strings.CutPrefix(string(ref), "head~"); ok || ref == "head" {
		return r.headBack(ctx, f, key, ref, n)
	}
	m, err := r.find(string(ref))
	if err != nil {
		return dag.Change{}, err
	}
	var found []dag.Change
	elsewhere := ""
	for _, id := range m.Revisions {
		c, err := r.graph.Revision(id)
		if err != nil {
			return c, outward(err)
		}
		ok, err := r.graph.Visible(f.ID, &c)
		if err != nil {
			return c, outward(err)
		}
		if ok && c.Revision.Key == key {
			found = append(found, c)
		} else {
			elsewhere = c.Revision.Key
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return dag.Change{}, ambiguous(string(ref), changeIDs(found))
	case elsewhere != "" && elsewhere != key:
		return dag.Change{}, failure(rpc.CodeNotFound, "revision %s is one of %q, not of %q", ref, elsewhere, key)
	case len(ref) < 6:
		return dag.Change{}, failure(rpc.CodeInvalid, "%q is too short for a revision: give at least 6 characters, or head~N", string(ref))
	}
	return dag.Change{}, failure(rpc.CodeNotFound, "no revision %s of %q on fork %q", ref, key, f.Name)
}

func ambiguous(ref string, ids []string) error {
	return failure(rpc.CodeAmbiguous, "%s is ambiguous; it could be %s", ref, strings.Join(ids, ", "))
}

func changeIDs(cs []dag.Change) (out []string) {
	for _, c := range cs {
		out = append(out, c.ID.String())
	}
	return out
}

// headBack walks first parents from the served head.
func (r *Replica) headBack(ctx context.Context, f dag.Fork, key string, ref rpc.Ref, back string) (dag.Change, error) {
	n := 0
	if ref != "head" {
		var err error
		if n, err = strconv.Atoi(back); err != nil || n < 0 {
			return dag.Change{}, failure(rpc.CodeInvalid, "%q: write head~N with a number N", string(ref))
		}
	}
	e, err := r.graph.Entry(f.ID, key)
	if err != nil {
		return dag.Change{}, outward(err)
	}
	s, err := r.look(&e)
	if err != nil {
		return dag.Change{}, outward(err)
	}
	h := s.served()
	if h == nil {
		return dag.Change{}, failure(rpc.CodeNotFound, "the key %q is not there", key)
	}
	c, err := r.graph.HeadChange(h)
	for i := 0; i < n && err == nil; i++ {
		if len(c.Revision.Parents) == 0 {
			return c, failure(rpc.CodeNotFound, "%q has only %d revisions before its head", key, i)
		}
		if err = ctx.Err(); err == nil {
			c, err = r.graph.Revision(c.Revision.Parents[0])
		}
	}
	return c, outward(err)
}

// Show implements rpc.Histories.
func (r *Replica) Show(ctx context.Context, id string) (rpc.Shown, error) {
	m, err := r.find(id)
	if err != nil {
		return rpc.Shown{}, err
	}
	switch {
	case len(m.Revisions)+len(m.Blocks) > 1:
		var ids []string
		for _, x := range m.Revisions {
			ids = append(ids, "revision "+x.String())
		}
		for _, x := range m.Blocks {
			ids = append(ids, "block "+x.String())
		}
		return rpc.Shown{}, ambiguous(id, ids)
	case len(m.Revisions) == 1:
		return r.showRevision(m.Revisions[0])
	case len(m.Blocks) == 1:
		return r.showBlock(m.Blocks[0])
	case len(id) < 6:
		return rpc.Shown{}, failure(rpc.CodeInvalid, "%q is too short for an id: give at least 6 characters", id)
	}
	if c, err := r.findConflict(ctx, id); c != nil || err != nil {
		return rpc.Shown{Conflict: c}, err
	}
	return rpc.Shown{}, failure(rpc.CodeNotFound, "no revision, block or conflict %s on this node", id)
}

func (r *Replica) showRevision(id dag.RevisionID) (rpc.Shown, error) {
	c, err := r.graph.Revision(id)
	if err != nil {
		return rpc.Shown{}, outward(err)
	}
	e, err := r.logEntry(&c, true)
	if f, ok := r.graph.ForkOf(c.Revision.Fork); err == nil && ok {
		e.Head, err = r.isHead(f, &c)
	}
	return rpc.Shown{Revision: &e}, outward(err)
}

func (r *Replica) showBlock(id dag.BlockID) (rpc.Shown, error) {
	a, err := r.graph.Block(id)
	if err != nil {
		return rpc.Shown{}, outward(err)
	}
	out := &rpc.BlockInfo{
		Block: id, Chain: a.Block.Chain, Seq: a.Block.Seq, Deps: a.Block.Deps, Time: timeOf(a.Block.Time), Node: r.nodeName(a.Node),
	}
	if !a.Block.Prev.IsZero() {
		out.Prev = a.Block.Prev.String()
	}
	if n := a.Block.Note; n != nil {
		out.Author, out.Message = rpc.Author(n.Author), n.Message
	}
	for _, op := range a.Block.Ops {
		out.Ops = append(out.Ops, op.Kind.String())
	}
	l, err := r.graph.Logged(id)
	if err != nil {
		return rpc.Shown{}, outward(err)
	}
	for _, i := range l.Ops {
		op, err := r.operation(context.Background(), &l, i)
		if err != nil {
			return rpc.Shown{}, err
		}
		if !op.internal {
			out.Operations = append(out.Operations, op.said)
		}
	}
	for i := range a.Changes {
		c := &a.Changes[i]
		e, err := r.logEntry(c, false)
		if err != nil {
			return rpc.Shown{}, err
		}
		out.Revisions = append(out.Revisions, e)
	}
	return rpc.Shown{Block: out}, nil
}

// minShort is the shortest part of an id that names a thing.
const minShort = 6

// findConflict looks through every fork for an open conflict whose id starts
// with text; nil if there is none.
func (r *Replica) findConflict(ctx context.Context, text string) (found *rpc.Conflict, err error) {
	if len(text) < minShort {
		return nil, nil
	}
	for c, err := range r.Conflicts(ctx, "", "") {
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(c.ID.String(), text) {
			continue
		}
		if found != nil {
			return nil, ambiguous(text, []string{"conflict " + found.ID.String(), "conflict " + c.ID.String()})
		}
		found = &c
	}
	return found, nil
}

// Previous implements rpc.Ancestry.
func (r *Replica) Previous(ctx context.Context, k rpc.KeyRef) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		f, err := r.fork(k.Fork)
		if err != nil {
			return // not there
		}
		e, err := r.graph.Entry(f.ID, k.Key)
		if err != nil {
			yield(nil, outward(err))
			return
		}
		s, err := r.look(&e)
		if err != nil {
			yield(nil, outward(err))
			return
		}
		if s.Absent() {
			return
		}
		for c, err := range r.graph.History(ctx, f.ID, k.Key, dag.HistoryCursor{}) {
			if err == nil && c.Revision.Deleted {
				return
			}
			if err == nil && c.ID == dag.RevisionID(s.Served) {
				continue
			}
			var old content
			if err == nil {
				old, err = r.contentOf(&c)
				old.value, _, err = r.shown(old, err)
			}
			if !yield(old.value, outward(err)) || err != nil {
				return
			}
		}
	}
}

// PreviousCount implements rpc.Ancestry.
func (r *Replica) PreviousCount(ctx context.Context, k rpc.KeyRef) (uint64, error) {
	f, err := r.fork(k.Fork)
	if err != nil {
		return 0, nil // not there
	}
	e, err := r.graph.Entry(f.ID, k.Key)
	if err != nil {
		return 0, outward(err)
	}
	if s, err := r.look(&e); err != nil || s.Absent() {
		return 0, outward(err)
	}
	if len(e.Heads) == 1 {
		return max(e.SinceDelete, 1) - 1, nil
	}
	// The served one of several heads can stand behind a delete that it has not
	// seen.
	n := uint64(0)
	for _, err := range r.Previous(ctx, k) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// ForkKeys implements rpc.Ancestry.
func (r *Replica) ForkKeys(ctx context.Context, fork, prefix string) iter.Seq2[rpc.KeyRef, error] {
	return func(yield func(rpc.KeyRef, error) bool) {
		for _, f := range r.graph.Forks() {
			if fork != "" && f.Name != fork {
				continue
			}
			for e, err := range r.graph.Entries(ctx, f.ID, prefix, "") {
				var s *sight
				if err == nil {
					s, err = r.look(&e)
				}
				if err != nil {
					yield(rpc.KeyRef{}, outward(err))
					return
				}
				if s.Absent() {
					continue
				}
				if !yield(rpc.KeyRef{Fork: f.Name, Key: e.Key}, nil) {
					return
				}
			}
		}
	}
}
