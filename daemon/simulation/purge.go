package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// purge takes payloads away at the end of a history, of a key or of a revision,
// and compares two nodes with what must be left: the same revisions, heads and
// conflicts, in which what is gone is a value like no other. One of the nodes may
// be built again before. Then somebody writes the key anew.
func (w *World) purge(ctx context.Context, r *rand.Rand) error {
	writers := len(w.nodes)
	if w.nodes[writers-1].name == "late" { // it is no member
		writers--
	}
	a, b := w.nodes[r.IntN(writers)], w.nodes[r.IntN(len(w.nodes))]
	key := w.keys()[r.IntN(len(w.keys()))]
	q, gone := rpc.PurgeRequest{Key: key, Claim: rpc.Claim{Message: "leaked"}}, w.mirror.payloads(key)
	if len(gone) == 0 {
		return nil
	}
	if r.IntN(2) == 0 {
		id := gone[r.IntN(len(gone))]
		q.Key, q.Revision, gone = "", rpc.Ref(id.String()), []dag.RevisionID{id}
	}
	w.step += sameTick
	done, err := a.Purge(ctx, q)
	if err != nil {
		return fmt.Errorf("purge %+v: %w", q, err)
	}
	if done.Key != key || done.Values < len(gone) { // void ones have values, too
		return fmt.Errorf("purge %+v: %+v, want %d values", q, done, len(gone))
	}
	w.mirror.purge(gone)
	if a != b {
		if err := w.pull(ctx, b, a, 0, 300); err != nil {
			return err
		}
	}
	if r.IntN(4) == 0 {
		if err := w.rebuild(ctx, b); err != nil {
			return err
		}
	}
	for _, n := range []*Node{a, b} {
		if err := w.comparePurged(ctx, n); err != nil {
			return fmt.Errorf("after the purge of %d values of %s: %w", len(gone), key, err)
		}
	}
	return w.writeAnew(ctx, a, key)
}

// payloads lists the revisions of a key that have a value, ascending.
func (m *Mirror) payloads(key string) (out []dag.RevisionID) {
	for id, r := range m.revisions {
		if r.Key == key && !r.Deleted {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, func(a, b dag.RevisionID) int { return slices.Compare(a[:], b[:]) })
	return out
}

// purge forgets what revisions have written: each is a value like no other.
func (m *Mirror) purge(gone []dag.RevisionID) {
	for _, id := range gone {
		m.purged[id] = true
		r := m.oracle.Revision(crdt.RevisionID(id))
		r.Change, r.Gone = nil, true
		m.oracle.Add(r)
	}
	clear(m.seen)
	clear(m.policies)
}

// comparePurged compares what a node answers once payloads are gone.
func (w *World) comparePurged(ctx context.Context, n *Node) error {
	for _, fork := range w.mirror.forks(n.has, true) {
		for _, key := range w.keys() {
			at := place{fork, key}
			if err := w.compareGone(ctx, n, at, w.mirror.see(n.has, at)); err != nil {
				return fmt.Errorf("%s: %s: %w", n.name, w.name(at), err)
			}
			for e, err := range n.Log(ctx, rpc.LogRequest{KeyRef: rpc.KeyRef{Fork: fork.String(), Key: key}, Values: true}) {
				if rpc.CodeOf(err) == rpc.CodeNotFound && err != nil {
					break
				}
				if gone := w.mirror.purged[e.Revision]; err != nil || gone != (e.Purged != nil) || gone && e.Value != nil {
					return fmt.Errorf("%s: log of %s: %s is purged: %v, with the value %.40q: %w", n.name, w.name(at), e.Revision.Short(), e.Purged, e.Value, err)
				}
			}
		}
	}
	return w.compareConflicts(ctx, n)
}

// compareGone compares what is served at a place, and the value if it is there.
func (w *World) compareGone(ctx context.Context, n *Node, at place, want *sight) error {
	q := rpc.GetRequest{KeyRef: rpc.KeyRef{Fork: at.fork.String(), Key: at.key}, Meta: true}
	got, err := n.Get(ctx, q)
	if err != nil {
		return err
	}
	if err := w.sameHeads(&got, want); err != nil {
		return fmt.Errorf("%w; want %s", err, w.tell(want))
	}
	q.Meta, q.Winner = false, true
	got, err = n.Get(ctx, q)
	switch rpc.CodeOf(err) {
	case rpc.CodePurged:
		if here := want.known() && !w.mirror.purged[dag.RevisionID(want.view.Served)]; here {
			return err
		}
		return nil
	}
	// Of elements whose names are gone no text has the same leaves.
	if err == nil && want.known() && !want.holds(got.Kind, got.Value) {
		return fmt.Errorf("serves the %s %.40q, purged: %v; want %v", got.Kind, got.Value, got.Purged, want.leaves())
	}
	return err
}

// writeAnew puts a value on a key of which something is gone.
func (w *World) writeAnew(ctx context.Context, n *Node, key string) error {
	text := []byte(`{"z":{}}`)
	at := place{dag.DefaultFork(), key}
	w.step += sameTick
	if _, err := n.Put(ctx, rpc.PutRequest{KeyRef: rpc.KeyRef{Key: key}, Value: text, Kind: crdt.JSON}); err != nil {
		return fmt.Errorf("%s: put %s anew: %w", n.name, w.name(at), err)
	}
	want := w.mirror.see(n.has, at)
	if want.conflicted() || len(want.heads) != 1 || string(want.text()) != string(text) {
		return fmt.Errorf("%s: %s was put anew, and is %s", n.name, w.name(at), w.tell(want))
	}
	return w.compareGone(ctx, n, at, want)
}
