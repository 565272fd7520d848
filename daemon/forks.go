package daemon

import (
	"context"
	"errors"

	"crush/dag"
	"crush/rpc"
)

var (
	_ rpc.Forks         = (*Replica)(nil)
	_ rpc.Merges        = (*Replica)(nil)
	_ rpc.Pointers      = (*Replica)(nil)
	_ rpc.Resets        = (*Replica)(nil)
	_ rpc.AncestorForks = (*Replica)(nil)
)

func (r *Replica) forkInfo(f dag.Fork) rpc.ForkInfo {
	out := rpc.ForkInfo{ID: f.ID, Name: f.Name, Labels: f.Labels, Deleted: f.Deleted, Clash: f.Clash, Frozen: f.Frozen, From: []rpc.ForkSource{}}
	for _, c := range r.graph.Contributions(f.ID) {
		if c.From.Name == "" {
			continue // a change that was too big for one block
		}
		out.From = append(out.From, rpc.ForkSource{Fork: c.From.ID, Name: c.From.Name, Filter: (*rpc.Filter)(c.Filter), Creation: c.Creation})
	}
	return out
}

// Forks implements rpc.Forks.
func (r *Replica) Forks(context.Context) ([]rpc.ForkInfo, error) {
	out := []rpc.ForkInfo{}
	for _, f := range r.graph.Forks() {
		out = append(out, r.forkInfo(f))
	}
	return out, nil
}

// checkName refuses what cannot be the name of a fork, tag or alias.
func checkName(name string) error {
	if err := dag.ValidName(name); err != nil {
		return failure(rpc.CodeInvalid, "%s", err)
	}
	return nil
}

// CreateFork implements rpc.Forks.
func (r *Replica) CreateFork(ctx context.Context, q rpc.ForkRequest) (rpc.ForkInfo, error) {
	if err := checkName(q.Name); err != nil {
		return rpc.ForkInfo{}, err
	}
	from, err := r.fork(q.From)
	if err != nil {
		return rpc.ForkInfo{}, err
	}
	cut := r.graph.Now()
	if q.At != "" {
		if cut, err = r.cutOf(from, q.At); err != nil {
			return rpc.ForkInfo{}, err
		}
	}
	var id dag.ForkID
	_, err = r.commit(ctx, q.Claim, func(tx *dag.Tx) error {
		if err := nameIsFree(tx, q.Name); err != nil {
			return err
		}
		f, err := tx.CreateFork(q.Name, dag.NewContribution(from.ID, cut.Tips(), (*dag.Filter)(q.Filter)))
		id = f.ID
		return err
	})
	if err != nil {
		return rpc.ForkInfo{}, err
	}
	f, _ := r.graph.ForkOf(id)
	return r.forkInfo(f), nil
}

// nameIsFree refuses a name that a live fork has here.
func nameIsFree(tx *dag.Tx, name string) error {
	if f, ok := tx.Fork(name); ok && !f.Deleted {
		return failure(rpc.CodeStale, "there is a fork or alias %q already", name)
	}
	return nil
}

// changeFork runs an operation on a fork and describes it afterwards.
func (r *Replica) changeFork(ctx context.Context, c rpc.Claim, f dag.Fork, fn func(*dag.Tx) error) (rpc.ForkInfo, error) {
	if _, err := r.commit(ctx, c, fn); err != nil {
		return rpc.ForkInfo{}, err
	}
	f, _ = r.graph.ForkOf(f.ID)
	return r.forkInfo(f), nil
}

// RenameFork implements rpc.Forks.
func (r *Replica) RenameFork(ctx context.Context, q rpc.ForkChange) (rpc.ForkInfo, error) {
	if err := checkName(q.Name); err != nil {
		return rpc.ForkInfo{}, err
	}
	f, err := r.forkToChange(q.Fork)
	if err != nil {
		return rpc.ForkInfo{}, err
	}
	if f.ID == dag.DefaultFork() {
		return rpc.ForkInfo{}, failure(rpc.CodeInvalid, "the fork %q can be neither renamed nor removed", f.Name)
	}
	return r.changeFork(ctx, q.Claim, f, func(tx *dag.Tx) error {
		if err := nameIsFree(tx, q.Name); err != nil {
			return err
		}
		return tx.Op(dag.NewOp(dag.RenameOp{Fork: f.ID, Name: q.Name}))
	})
}

// RemoveFork implements rpc.Forks.
func (r *Replica) RemoveFork(ctx context.Context, q rpc.ForkChange) (rpc.ForkInfo, error) {
	f, err := r.forkToChange(q.Fork)
	if err != nil {
		return rpc.ForkInfo{}, err
	}
	if f.ID == dag.DefaultFork() {
		return rpc.ForkInfo{}, failure(rpc.CodeInvalid, "the fork %q can be neither renamed nor removed", f.Name)
	}
	if f.Deleted {
		return rpc.ForkInfo{}, failure(rpc.CodeNotFound, "the fork %q is removed already", f.Name)
	}
	for _, a := range r.graph.Aliases() {
		if a.Fork == f.ID {
			return rpc.ForkInfo{}, failure(rpc.CodeConflict, "the alias %q points at the fork %q: point it elsewhere or remove it first", a.Name, f.Name)
		}
	}
	if !q.Force {
		unmerged, err := r.graph.Unmerged(f.ID)
		if err != nil {
			return rpc.ForkInfo{}, outward(err)
		}
		if unmerged {
			return rpc.ForkInfo{}, failure(rpc.CodeConflict, "the fork %q has writes that no other fork has: merge it first, or remove it with --force (fork restore brings it back)", f.Name)
		}
	}
	return r.changeFork(ctx, q.Claim, f, func(tx *dag.Tx) error { return tx.Op(dag.NewOp(dag.DeleteOp{Fork: f.ID})) })
}

// RestoreFork implements rpc.Forks. A removed fork is named by its id, or by
// its name if only one was called so.
func (r *Replica) RestoreFork(ctx context.Context, q rpc.ForkChange) (rpc.ForkInfo, error) {
	f, err := r.removedFork(q.Fork)
	if err != nil {
		return rpc.ForkInfo{}, err
	}
	return r.changeFork(ctx, q.Claim, f, func(tx *dag.Tx) error { return tx.Op(dag.NewOp(dag.RestoreOp{Fork: f.ID})) })
}

func (r *Replica) removedFork(name string) (dag.Fork, error) {
	var found []dag.Fork
	for _, f := range r.graph.Forks() {
		if f.Deleted && (f.Name == name || f.ID.String() == name || f.Name+"~"+f.ID.Short() == name) {
			found = append(found, f)
		}
	}
	switch len(found) {
	case 0:
		return dag.Fork{}, failure(rpc.CodeNotFound, "there is no removed fork %q (fork ls --all lists them)", name)
	case 1:
		return found[0], nil
	}
	return dag.Fork{}, failure(rpc.CodeAmbiguous, "%d removed forks were called %q: name one as %s~%s", len(found), name, name, found[0].ID.Short())
}

func (r *Replica) forkLabel(id dag.ForkID) string {
	f, ok := r.graph.ForkOf(id)
	if !ok || f.Name == "" {
		return id.String()
	}
	return f.Name
}

// ForkKey implements rpc.AncestorForks: the target is named into being, or
// widened by the key.
func (r *Replica) ForkKey(ctx context.Context, key, fork, target string) error {
	missing := failure(rpc.CodeNotFound, "not_found")
	if err := checkKey(key); err != nil {
		return err
	}
	from, err := r.fork(fork)
	if err != nil {
		return missing
	}
	e, err := r.graph.Entry(from.ID, key)
	if err != nil {
		return outward(err)
	}
	if s, err := r.look(&e); err != nil {
		return outward(err)
	} else if s.Absent() {
		return missing
	}
	_, err = r.commit(ctx, rpc.Claim{}, func(tx *dag.Tx) error {
		into, err := tx.NameFork(target)
		if err != nil {
			return failure(rpc.CodeInvalid, "%s", err)
		}
		if into.ID == from.ID {
			return nil
		}
		return tx.Op(dag.NewOp(dag.MergeOp{Into: into.ID, From: oneKey(from.ID, r.graph.Now(), key)}))
	})
	return err
}

func oneKey(from dag.ForkID, cut dag.Cut, key string) dag.Contribution {
	return dag.NewContribution(from, cut.Tips(), &dag.Filter{Keys: []string{key}})
}

// MergeKey implements rpc.AncestorForks: the source's value wins.
func (r *Replica) MergeKey(ctx context.Context, key, fork, target string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	from, into, err := r.ancestorSides(key, fork, target)
	if err != nil {
		return err
	}
	cut := r.graph.Now()
	source, err := r.graph.EntryAt(from.ID, key, cut)
	if err != nil {
		return outward(err)
	}
	theirs, err := r.look(&source)
	if err != nil {
		return outward(err)
	}
	if err := theirs.mayServe(from, ""); err != nil {
		return err
	}
	value, err := theirs.content()
	if err != nil {
		return outward(err)
	}
	_, err = r.commit(ctx, rpc.Claim{}, func(tx *dag.Tx) error {
		if from.ID != into.ID {
			if err := tx.Op(dag.NewOp(dag.MergeOp{Into: into.ID, From: oneKey(from.ID, cut, key)})); err != nil {
				return err
			}
		}
		s, err := r.lookIn(tx, into.ID, key)
		if err != nil {
			return err
		}
		d, _, err := s.change(&value, dag.MarkResolved)
		if d == nil || err != nil {
			return err
		}
		return tx.Put(*d)
	})
	return err
}

// ancestorSides finds both forks of the ancestor's merge; the key must be
// there on both.
func (r *Replica) ancestorSides(key, fork, target string) (from, into dag.Fork, err error) {
	for _, side := range []struct {
		name, missing string
		to            *dag.Fork
	}{{fork, "source_not_found", &from}, {target, "target_not_found", &into}} {
		f, err := r.fork(side.name)
		if errors.Is(err, rpc.ErrNotFound) {
			return from, into, failure(rpc.CodeNotFound, "%s", side.missing)
		}
		e, err := r.graph.Entry(f.ID, key)
		if err != nil {
			return from, into, outward(err)
		}
		s, err := r.look(&e)
		if err != nil {
			return from, into, outward(err)
		}
		if s.Absent() {
			return from, into, failure(rpc.CodeNotFound, "%s", side.missing)
		}
		*side.to = f
	}
	return from, into, nil
}
