package daemon

import (
	"context"
	"errors"

	"crush/dag"
	"crush/rpc"
)

// Purge implements rpc.Purges.
func (r *Replica) Purge(ctx context.Context, q rpc.PurgeRequest) (rpc.Purged, error) {
	switch {
	case q.Message == "":
		return rpc.Purged{}, failure(rpc.CodeInvalid, "say why: whoever reads what was purged is told")
	case len(q.Message) > dag.MaxWhy:
		return rpc.Purged{}, failure(rpc.CodeInvalid, "the reason has %d bytes, at most %d", len(q.Message), dag.MaxWhy)
	}
	out, err := r.purgeOf(q)
	if err == nil && out.Values > 0 {
		out.Block, err = r.purge(ctx, q.Claim, out)
	}
	if err == nil { // also of what others purged
		err = outward(r.graph.Compact())
	}
	return out, err
}

func (r *Replica) purge(ctx context.Context, c rpc.Claim, out rpc.Purged) (dag.BlockID, error) {
	op := dag.NewPurge([]string{out.Key}, nil, c.Message)
	if !out.Revision.IsZero() {
		op = dag.NewPurge(nil, []dag.RevisionID{out.Revision}, c.Message)
	}
	rec, err := r.commit(ctx, c, func(tx *dag.Tx) error { return tx.Op(op) })
	return rec.Block, err
}

// compact lets go, until the context ends, of the bytes that purges took which
// came from other nodes.
func (d *Daemon) compact(ctx context.Context) error {
	graph := d.replica.Graph()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-graph.Worn():
		}
		if err := graph.Compact(); err != nil {
			d.config.Logger.Error("bytes of purged values cannot be removed yet", "error", err)
		}
	}
}

// purgeOf finds what a purge would take.
func (r *Replica) purgeOf(q rpc.PurgeRequest) (rpc.Purged, error) {
	key := q.Key + q.Name
	if key == "" {
		return r.purgeRevision(q.Revision)
	}
	if err := checkKey(key); err != nil {
		return rpc.Purged{}, err
	}
	written, left, err := r.graph.Unpurged(key)
	if err != nil {
		return rpc.Purged{}, outward(err)
	}
	if q.Name != "" {
		rev, err := r.purgeRevision(rpc.Ref(q.Name))
		switch {
		case err == nil && written:
			return rpc.Purged{}, failure(rpc.CodeAmbiguous, "%q is a key, and names revision %s of %q too: say which, with --key or by the whole id", key, rev.Revision, rev.Key)
		case err == nil, !written && !errors.Is(err, rpc.ErrNotFound) && !errors.Is(err, rpc.ErrInvalid):
			return rev, err
		}
	}
	if !written {
		return rpc.Purged{}, failure(rpc.CodeNotFound, "no key %q on any fork, and no revision of this id", key)
	}
	return rpc.Purged{Key: key, Values: left}, nil
}

// purgeRevision finds a revision that has a value.
func (r *Replica) purgeRevision(ref rpc.Ref) (out rpc.Purged, err error) {
	if len(ref) < minShort {
		return out, failure(rpc.CodeInvalid, "%q is too short for a revision: give at least %d characters", string(ref), minShort)
	}
	m, err := r.find(string(ref))
	switch {
	case err != nil:
		return out, err
	case len(m.Revisions) > 1:
		return out, ambiguous(string(ref), revisionTexts(m.Revisions))
	case len(m.Revisions) == 0:
		return out, failure(rpc.CodeNotFound, "no revision %s on this node", ref)
	}
	c, err := r.graph.Revision(m.Revisions[0])
	if err != nil {
		return out, outward(err)
	}
	out = rpc.Purged{Key: c.Revision.Key, Revision: c.ID, Values: 1}
	if c.Revision.Deleted || r.purgedBy(&c) != nil {
		out.Values = 0
	}
	return out, nil
}

// purgedBy says who purged the value of a revision; nil if nobody did.
func (r *Replica) purgedBy(c *dag.Change) *rpc.PurgeInfo {
	p, ok := r.graph.Purged(c)
	if !ok {
		return nil
	}
	return r.purgeInfo(&p)
}

func (r *Replica) purgeInfo(p *dag.Purge) *rpc.PurgeInfo {
	return &rpc.PurgeInfo{Block: p.Block, Node: r.nodeName(p.Node), Author: rpc.Author(p.Author), Time: timeOf(p.Time), Why: p.Why}
}

// isGone says of the error of reading a value that it was purged, or is not here
// because of a purge that has not come yet.
func isGone(err error) bool {
	_, purged := errors.AsType[*dag.PurgedError](err)
	return purged || errors.Is(err, dag.ErrAbsent)
}

// notGone leaves that out: what is gone is like nothing else.
func notGone(err error) error {
	if isGone(err) {
		return nil
	}
	return err
}

// shown is a value for somebody who looks at many: one that was purged is not
// there, and the answer says who purged it.
func (r *Replica) shown(c content, err error) ([]byte, *rpc.PurgeInfo, error) {
	if e, ok := errors.AsType[*dag.PurgedError](err); ok {
		return nil, r.purgeInfo(&e.Purge), nil
	}
	if errors.Is(err, dag.ErrAbsent) {
		return nil, &rpc.PurgeInfo{Why: "it came without its bytes, and no purge of it has come yet"}, nil
	}
	return c.value, nil, outward(err)
}

// purgedValue is the answer to who wants just this value.
func purgedValue(key string, id dag.RevisionID, p *rpc.PurgeInfo) error {
	if p.Block.IsZero() {
		return failure(rpc.CodeNotHere, "the value of %q, revision %s, is not here: %s (crush verify --repair asks other nodes for it)", key, id, p)
	}
	return failure(rpc.CodePurged, "the value of %q, revision %s, is not there: %s", key, id, p)
}
