package daemon

import (
	"context"
	"iter"

	"crush/dag"
	"crush/rpc"
)

// Tags implements rpc.Pointers.
func (r *Replica) Tags(context.Context) ([]rpc.PointerInfo, error) {
	out := []rpc.PointerInfo{}
	for _, p := range r.graph.Tags() {
		out = append(out, rpc.PointerInfo{Name: p.Name, Cut: p.Cut, Clash: p.Clash})
	}
	return out, r.setBy(out)
}

// Aliases implements rpc.Pointers.
func (r *Replica) Aliases(context.Context) ([]rpc.PointerInfo, error) {
	out := []rpc.PointerInfo{}
	for _, p := range r.graph.Aliases() {
		out = append(out, rpc.PointerInfo{Name: p.Name, Fork: r.forkLabel(p.Fork), Clash: p.Clash})
	}
	return out, r.setBy(out)
}

// setBy fills in who set tags or aliases, and when.
func (r *Replica) setBy(ps []rpc.PointerInfo) error {
	for i := range ps {
		a, ok, err := r.graph.SetBy(ps[i].Name)
		if err != nil {
			return outward(err)
		}
		if ok { // not removed meanwhile
			r.signed(&ps[i], &a)
		}
	}
	return nil
}

func (r *Replica) signed(p *rpc.PointerInfo, a *dag.Arrival) {
	p.Time, p.Node = timeOf(a.Block.Time), r.nodeName(a.Node)
	if n := a.Block.Note; n != nil {
		p.Author, p.Message = rpc.Author(n.Author), n.Message
	}
}

// point commits the operation on a tag or alias and says who did it.
func (r *Replica) point(ctx context.Context, c rpc.Claim, out rpc.PointerInfo, fn func(*dag.Tx) error) (rpc.PointerInfo, error) {
	rec, err := r.commit(ctx, c, fn)
	if err != nil {
		return rpc.PointerInfo{}, err
	}
	a, err := r.graph.Block(rec.Block)
	if err != nil {
		return rpc.PointerInfo{}, outward(err)
	}
	r.signed(&out, &a)
	return out, nil
}

// Tag implements rpc.Pointers.
func (r *Replica) Tag(ctx context.Context, q rpc.PointRequest) (rpc.PointerInfo, error) {
	if err := checkName(q.Name); err != nil {
		return rpc.PointerInfo{}, err
	}
	out := rpc.PointerInfo{Name: q.Name}
	op := dag.NewOp(dag.TagOp{Name: q.Name, Gone: true})
	if q.Remove {
		if _, ok := r.graph.Tag(q.Name); !ok {
			return out, failure(rpc.CodeNotFound, "there is no tag %q", q.Name)
		}
	} else {
		cut := r.graph.Now()
		if q.At != "" {
			var err error
			if cut, err = r.cut(q.At); err != nil {
				return out, err
			}
		}
		out.Cut = cut.Tips()
		op = dag.NewTag(q.Name, out.Cut)
	}
	return r.point(ctx, q.Claim, out, func(tx *dag.Tx) error { return tx.Op(op) })
}

// Alias implements rpc.Pointers.
func (r *Replica) Alias(ctx context.Context, q rpc.PointRequest) (rpc.PointerInfo, error) {
	if err := checkName(q.Name); err != nil {
		return rpc.PointerInfo{}, err
	}
	op := dag.AliasOp{Name: q.Name, Gone: q.Remove}
	if !q.Remove {
		f, err := r.forkToChange(q.Fork)
		if err != nil {
			return rpc.PointerInfo{}, err
		}
		op.Fork = f.ID
	}
	return r.point(ctx, q.Claim, rpc.PointerInfo{Name: q.Name, Fork: q.Fork}, func(tx *dag.Tx) error {
		if err := r.checkAlias(tx, &q); err != nil {
			return err
		}
		return tx.Op(dag.NewOp(op))
	})
}

// checkAlias refuses an alias that hides a fork, one that does not point where
// it is expected to, and the removal of none.
func (r *Replica) checkAlias(tx *dag.Tx, q *rpc.PointRequest) error {
	if len(tx.ForksLabelled(q.Name)) > 0 {
		return failure(rpc.CodeInvalid, "%q is a fork: give the alias another name", q.Name)
	}
	now := ""
	for _, p := range r.graph.Aliases() {
		if p.Name == q.Name {
			now = r.forkLabel(p.Fork)
		}
	}
	switch {
	case q.Remove && now == "":
		return failure(rpc.CodeNotFound, "there is no alias %q", q.Name)
	case q.Expect != "" && q.Expect != now:
		return failure(rpc.CodeStale, "the alias %q points at %q, not at %q", q.Name, now, q.Expect)
	}
	return nil
}

// AliasLog implements rpc.Pointers.
func (r *Replica) AliasLog(ctx context.Context, name, after string) iter.Seq2[rpc.LogEntry, error] {
	return func(yield func(rpc.LogEntry, error) bool) {
		found := after != ""
		of := &forkLog{r: r, alias: name}
		for e, err := range r.blockLog(ctx, of, &rpc.LogRequest{After: after}) {
			found = true
			if !yield(e, outward(err)) || err != nil {
				return
			}
		}
		if !found {
			yield(rpc.LogEntry{}, failure(rpc.CodeNotFound, "there was never an alias %q", name))
		}
	}
}
