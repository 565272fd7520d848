package dag_test

import (
	"bytes"
	"errors"
	"slices"

	"crush/crdt"
	"crush/crdt/oracle"
	"crush/dag"
)

// purged is a purge that somebody wrote, of a key or of a revision.
type purged struct {
	block dag.BlockID
	key   string
	rev   dag.RevisionID
}

// purge purges a key, or a revision of one, on a node that may.
func (w *world) purge() {
	a := w.pick()
	if m, _ := a.Member(a.key.ID()); len(a.has) == 0 || m.Role != dag.RoleWriter && m.Role != dag.RoleAdmin {
		return
	}
	p := purged{key: pickFrom(w, worldKeys)}
	var revs []dag.RevisionID
	keys := []string{p.key}
	if w.r.IntN(3) > 0 {
		fork := crdt.ForkID(dag.NamedFork(pickFrom(w, worldForks)))
		seen := w.oracle.At(a.has).Visible(fork, p.key)
		seen = slices.DeleteFunc(seen, func(r oracle.Revision) bool { return r.Deleted })
		if len(seen) == 0 {
			return
		}
		p.key, p.rev = "", dag.RevisionID(pickFrom(w, seen).ID)
		keys, revs = nil, []dag.RevisionID{p.rev}
	}
	r, err := a.Commit(w.t.Context(), dag.Note{Author: "who"}, func(tx *dag.Tx) error {
		return tx.Op(dag.NewPurge(keys, revs, "leaked"))
	})
	w.must("purge", err)
	w.wrote(a, r.Block)
	p.block = r.Block
	w.purges = append(w.purges, p)
}

// isPurged reports whether a purge that is among some blocks, or anywhere if
// has is nil, took the value of a revision.
func (w *world) isPurged(r *oracle.Revision, has oracle.Cut) bool {
	return !r.Deleted && slices.ContainsFunc(w.purges, func(p purged) bool {
		block := oracle.Block(p.block)
		return (has == nil || has[block]) && block != r.Block && w.blocks[p.block].past[r.Block] &&
			(p.key != "" && p.key == r.Key || p.rev == dag.RevisionID(r.ID))
	})
}

// sameValue checks what a node answers for the value of a revision. One that
// came without its bytes is damage until the purge comes.
func (w *world) sameValue(a *actor, r *oracle.Revision, v []byte, err error) {
	w.t.Helper()
	switch {
	case w.isPurged(r, a.has):
		w.did["read purged"]++
		if e, ok := errors.AsType[*dag.PurgedError](err); !ok || e.Purge.Why != "leaked" || e.Purge.Author != "who" {
			w.t.Fatalf("%s: %s was purged and reads as %q, %v", a.name, r.ID, v, err)
		}
	case errors.Is(err, dag.ErrCorrupt) && w.isPurged(r, nil):
		w.did["read absent"]++
	case err != nil || !bytes.Equal(v, r.Value):
		w.t.Fatalf("%s: %s is %q, %v, want %q", a.name, r.ID, v, err, r.Value)
	}
}

// pullChunks gives one node all that another has, as sync does.
func (w *world) pullChunks(to, from *actor) {
	w.t.Helper()
	var in dag.Inflow
	for c, err := range from.Chunks(w.t.Context(), dag.PinsOf(to.Frontier()), true) {
		w.must("chunk", err)
		done, err := to.Take(w.t.Context(), &in, c.Bytes())
		w.must("take", err)
		for _, id := range done.Blocks {
			w.got(to, id)
		}
	}
}
