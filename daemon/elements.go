package daemon

import (
	"context"
	"encoding/json"
	"unicode/utf8"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// Increment implements rpc.Elements.
func (r *Replica) Increment(ctx context.Context, q rpc.IncrementRequest) (rpc.Counted, error) {
	o, rec, err := r.byRule(ctx, &ruledWrite{
		KeyRef: q.KeyRef, Claim: q.Claim, base: q.Base, match: q.IfMatch,
		rule: func(x crdt.Context) (crdt.Draft, error) { return x.Add(q.By) },
	})
	if err != nil {
		return rpc.Counted{}, err
	}
	out := rpc.Counted{Written: r.written(&o, &rec), Total: "0"}
	s, err := r.lookAt(o.now.Fork, q.Key)
	if err != nil {
		return out, outward(err)
	}
	withheld, err := s.withheld(func() (dag.Entry, error) { return r.graph.Entry(s.Fork, rpc.PolicyKey) })
	switch {
	case err != nil:
		return out, outward(err)
	case withheld:
		out.Total = ""
	case !s.Absent():
		c, err := s.content()
		if err != nil {
			return out, outward(err)
		}
		out.Total = string(c.value)
	}
	return out, nil
}

// ChangeSet implements rpc.Elements.
func (r *Replica) ChangeSet(ctx context.Context, q rpc.ElementsRequest) (rpc.Written, error) {
	for _, list := range [][]string{q.Add, q.Remove} {
		for _, e := range list {
			if !utf8.ValidString(e) || len(e) > dag.MaxKey {
				return rpc.Written{}, failure(rpc.CodeInvalid, "an element of a set is at most %d bytes of valid UTF-8", dag.MaxKey)
			}
		}
	}
	o, rec, err := r.byRule(ctx, &ruledWrite{
		KeyRef: q.KeyRef, Claim: q.Claim, base: q.Base, match: q.IfMatch,
		rule: func(x crdt.Context) (crdt.Draft, error) { return x.Change(q.Add, q.Remove) },
	})
	if err != nil {
		return rpc.Written{}, err
	}
	return r.written(&o, &rec), nil
}

// ruledWrite is a write of what a rule of crdt makes of what its writer read.
type ruledWrite struct {
	rpc.KeyRef
	rpc.Claim
	base, match rpc.Token
	rule        func(crdt.Context) (crdt.Draft, error)
}

func (r *Replica) byRule(ctx context.Context, w *ruledWrite) (o outcome, rec dag.Receipt, err error) {
	if err := checkKey(w.Key); err != nil {
		return o, rec, err
	}
	f, err := r.forkToChange(w.Fork)
	if err != nil {
		return o, rec, err
	}
	cond, err := r.condition(ctx, f.ID, w.Key, w.base, w.match, false)
	if err != nil {
		return o, rec, err
	}
	rec, err = r.commit(ctx, w.Claim, func(tx *dag.Tx) error {
		s, err := r.lookIn(tx, f.ID, w.Key)
		if err != nil {
			return err
		}
		parents, err := cond.parents(s)
		if err != nil {
			return err
		}
		d, err := s.drafted(parents, dag.MarkNone, w.rule)
		if err != nil || d == nil {
			o = nothingDone(s)
			return err
		}
		o, err = s.put(tx, r, d)
		return err
	}, r.graph.Hint(f.ID, w.Key))
	return o, rec, err
}

// Elements implements rpc.Elements.
func (r *Replica) Elements(_ context.Context, k rpc.KeyRef) ([]string, error) {
	if err := checkKey(k.Key); err != nil {
		return nil, err
	}
	f, err := r.fork(k.Fork)
	if err != nil {
		return nil, err
	}
	s, err := r.lookAt(f.ID, k.Key)
	if err != nil {
		return nil, outward(err)
	}
	if err := s.mayServe(f, ""); err != nil {
		return nil, err
	}
	if s.Absent() {
		return []string{}, nil
	}
	if s.Kind != crdt.Set {
		return nil, unparsed(k.Key, &crdt.KindError{Have: s.Kind, Want: crdt.Set})
	}
	c, err := s.content()
	if err != nil {
		return nil, outward(err)
	}
	elements := []string{}
	if err := json.Unmarshal(c.value, &elements); err != nil {
		return nil, failure(rpc.CodeInternal, "the set %q does not read: %s", k.Key, err)
	}
	return elements, nil
}
