package simulation

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"crush/crdt"
	"crush/crdt/oracle"
	"crush/dag"
	"crush/rpc"
)

// oldWish is the revision that brings a place back to what it was.
func (t *turn) oldWish(at place, old *sight) wish {
	w := wish{at: at, parents: t.see(at).headIDs(), kind: crdt.Bytes, deleted: true, mark: dag.MarkReverted, old: old}
	if old.exists() {
		r := old.served()
		w.kind, w.deleted, w.value = r.Kind, r.Deleted, r.Value
	}
	return w
}

// rollback writes the value again that a key had.
func rollback(ctx context.Context, t *turn) error {
	fork, text, refusal, err := t.fork(t.s.Fork, true)
	if err != nil {
		return err
	}
	at := place{fork, t.s.Key}
	was := t.see(at)
	want, to, missing, err := t.rollbackTo(at, was)
	if err != nil {
		return err
	}
	refusal = first(refusal, missing)
	if !was.exists() {
		refusal = first(refusal, rpc.CodeNotFound)
	}
	if t.documents {
		return t.rollbackDocument(ctx, at, refusal, want.old, rpc.RollbackRequest{KeyRef: rpc.KeyRef{Fork: text, Key: t.s.Key}, To: to})
	}
	var got rpc.RolledBack
	done, err := t.expect(refusal, func() (err error) {
		got, err = t.n.Rollback(ctx, rpc.RollbackRequest{KeyRef: rpc.KeyRef{Fork: text, Key: t.s.Key}, To: to})
		return err
	})
	if !done {
		return err
	}
	if want.deleted && was.view.Absent() && !was.conflicted() {
		if len(t.blocks) > 0 {
			return fmt.Errorf("deleted again what is not there")
		}
	} else if err := t.fulfilled(&want); err != nil {
		return err
	}
	if err := t.others(at); err != nil {
		return err
	}
	return t.answered(&got.Written, at)
}

// rollbackTo finds what a rollback must write.
func (t *turn) rollbackTo(at place, was *sight) (want wish, text string, refusal rpc.Code, err error) {
	if back, ok := strings.CutPrefix(t.s.Rev, "head~"); ok {
		n, err := strconv.Atoi(back)
		if err != nil || !was.exists() {
			return want, t.s.Rev, rpc.CodeNotFound, err
		}
		r := was.served()
		for ; n > 0 && refusal == ""; n-- {
			parents := t.mirror.revisions[dag.RevisionID(r.ID)].Parents
			if len(parents) == 0 {
				return want, t.s.Rev, rpc.CodeNotFound, nil
			}
			r = t.revisionOf(parents[0])
		}
		return t.oldWish(at, t.asWritten(dag.RevisionID(r.ID))), t.s.Rev, "", nil
	}
	if t.s.Rev != "" {
		id, err := t.revision(t.s.Rev)
		if err != nil {
			return want, "", "", err
		}
		if !t.readable(at, crdt.RevisionID(id)) {
			return want, id.String(), rpc.CodeNotFound, nil
		}
		return t.oldWish(at, t.asWritten(id)), id.String(), "", nil
	}
	cut, text, refusal, err := t.at(at.fork, t.s.At)
	if err != nil || refusal != "" {
		return want, text, refusal, err
	}
	return t.oldWish(at, t.mirror.see(cut, at)), text, "", nil
}

// revisionOf is a revision as the oracle has it.
func (t *turn) revisionOf(id dag.RevisionID) oracle.Revision {
	b := t.mirror.home[id]
	i := slices.Index(b.Revisions, id)
	r := b.revisions[i]
	return oracle.Revision{ID: crdt.RevisionID(id), Kind: crdt.Kind(r.Kind), Deleted: r.Deleted, Value: b.payloads[i]}
}

// only is the sight of one revision.
func only(r oracle.Revision) *sight {
	return &sight{heads: []oracle.Revision{r}, visible: 1, view: crdt.View{Served: r.ID, Kind: r.Kind, Deleted: r.Deleted}}
}

// reset rolls all keys below a prefix back to a cut; undo what one block did to
// a fork, by default the newest that wrote on it.
func reset(ctx context.Context, t *turn) error {
	fork, text, refusal, err := t.fork(t.s.Fork, true)
	if err != nil {
		return err
	}
	cut, to, missing, err := t.at(fork, t.s.At)
	if err != nil {
		return err
	}
	refusal = first(refusal, missing)
	var wishes []wish
	for _, key := range t.keys() {
		at := place{fork, key}
		if refusal != "" || !strings.HasPrefix(key, t.s.Key) {
			continue
		}
		if now, then := t.see(at), t.mirror.see(cut, at); !now.same(then) && t.goesBack(now, then) {
			wishes = append(wishes, t.oldWish(at, then))
		}
	}
	return t.bringBack(refusal, wishes, func(plan bool) (rpc.Reset, error) {
		return t.n.Reset(ctx, rpc.ResetRequest{Fork: text, Prefix: t.s.Key, To: to, Plan: plan})
	})
}

func undo(ctx context.Context, t *turn) error {
	fork, text, refusal, err := t.fork(t.s.Fork, true)
	if err != nil {
		return err
	}
	q := rpc.UndoRequest{Fork: text}
	var b *block
	if t.s.At != "" {
		n, _ := number(t.s.At, "b")
		if t.World.made[n] == nil || t.World.made[n].block.IsZero() {
			return errNothing
		}
		b = t.mirror.blocks[t.World.made[n].block]
		q.Block = b.id.String()
		if !t.n.has[oracle.Block(b.id)] {
			refusal, b = first(refusal, rpc.CodeNotFound), nil
		}
	} else if b = t.newestOn(fork); b == nil {
		refusal = first(refusal, rpc.CodeNotFound)
	}
	var wishes []wish
	if refusal == "" {
		wishes, refusal = t.undoing(fork, b)
	}
	return t.bringBack(refusal, wishes, func(plan bool) (rpc.Reset, error) {
		q.Plan = plan
		return t.n.Undo(ctx, q)
	})
}

// newestOn is the block that arrived last of those that made a fork, merged into
// it or wrote on it.
func (t *turn) newestOn(fork dag.ForkID) (newest *block) {
	for b := range t.n.has {
		in := t.mirror.blocks[dag.BlockID(b)]
		on := slices.ContainsFunc(in.ops, func(d forkDeed) bool {
			return d.fork == fork && (d.op == dag.OpFork || d.op == dag.OpMerge)
		})
		for i, r := range in.revisions {
			on = on || r.Fork == fork && t.mirror.revisions[in.Revisions[i]] != nil
		}
		if on && (newest == nil || t.n.arrived[in.id] > t.n.arrived[newest.id]) {
			newest = in
		}
	}
	return newest
}

// undoing finds what an undo must write: for each key on the fork of which the
// block changed the heads, what was served before it. A key that has other
// heads by now stops it.
func (t *turn) undoing(fork dag.ForkID, b *block) (wishes []wish, refusal rpc.Code) {
	before := oracle.Cut{}
	for p := range b.past {
		if p != oracle.Block(b.id) {
			before[p] = true
		}
	}
	if !t.mirror.known(before, fork) {
		return nil, rpc.CodeNotFound
	}
	for _, key := range t.keys() {
		at := place{fork, key}
		was, then, now := t.mirror.see(before, at), t.mirror.see(b.past, at), t.see(at)
		switch {
		case was.same(then):
		case !then.same(now):
			refusal = rpc.CodeStale
		case t.goesBack(now, was):
			wishes = append(wishes, t.oldWish(at, was))
		}
	}
	return wishes, refusal
}

// goesBack: who goes back from what there is has something to write.
func (t *turn) goesBack(now, then *sight) bool {
	return t.documents || change(now, then) != "same" || now.conflicted()
}

// bringBack checks a reset or an undo, and that its plan says what it does.
func (t *turn) bringBack(refusal rpc.Code, wishes []wish, call func(plan bool) (rpc.Reset, error)) error {
	plan, planErr := call(true)
	if refused := planErr != nil; refused != (refusal != "") || refused && rpc.CodeOf(planErr) != refusal {
		return fmt.Errorf("its plan is refused: %v, want %q", planErr, refusal)
	}
	var got rpc.Reset
	done, err := t.expect(refusal, func() (err error) { got, err = call(false); return err })
	if !done {
		return err
	}
	if !slices.Equal(plan.Changed, got.Changed) {
		return fmt.Errorf("it changed %v, its plan was %v", got.Changed, plan.Changed)
	}
	if t.documents {
		return t.broughtBack(wishes, &got)
	}
	var touched []place
	var changed []rpc.MergedKey
	for _, w := range wishes {
		touched = append(touched, w.at)
		old := only(oracle.Revision{Kind: w.kind, Deleted: w.deleted, Value: w.value, ID: crdt.RevisionID{1}})
		changed = append(changed, rpc.MergedKey{Key: w.at.key, Change: change(t.before[w.at], old)})
	}
	slices.SortFunc(changed, func(a, b rpc.MergedKey) int { return strings.Compare(a.Key, b.Key) })
	if !slices.Equal(got.Changed, changed) || got.Keys != len(wishes) || got.Unchanged != (len(wishes) == 0) {
		return fmt.Errorf("the answer says %v, %d keys, unchanged %v; want %v", got.Changed, got.Keys, got.Unchanged, changed)
	}
	if err := t.all(wishes); err != nil {
		return err
	}
	return t.others(touched...)
}

// pick writes the value of a revision on a fork.
func pick(ctx context.Context, t *turn) error {
	fork, text, refusal, err := t.fork(t.s.Fork, true)
	if err != nil {
		return err
	}
	id, err := t.revision(t.s.Rev)
	if err != nil {
		return err
	}
	r := t.revisionOf(id)
	if r.Kind == crdt.Counter || r.Kind == crdt.Set {
		refusal = rpc.CodeInvalid // they only add to what they have seen
	}
	if !t.n.has[oracle.Block(t.mirror.home[id].id)] {
		refusal = rpc.CodeNotFound
	}
	b := t.mirror.home[id]
	at := place{fork, b.revisions[slices.Index(b.Revisions, id)].Key}
	if t.documents {
		return t.pickDocument(ctx, at, refusal, id, text)
	}
	was := t.see(at)
	want := wish{at: at, parents: was.headIDs(), kind: r.Kind, deleted: r.Deleted, value: r.Value}
	if r.Deleted {
		want.kind = keptKind(was)
	}
	var got rpc.Written
	done, err := t.expect(refusal, func() (err error) {
		got, err = t.n.Pick(ctx, rpc.PickRequest{Revision: rpc.Ref(id.String()), Into: text})
		return err
	})
	if !done {
		return err
	}
	if want.deleted && was.view.Absent() && !was.conflicted() {
		if len(t.blocks) > 0 {
			return fmt.Errorf("deleted what is not there")
		}
	} else if err := t.fulfilled(&want); err != nil {
		return err
	}
	if err := t.others(at); err != nil {
		return err
	}
	return t.answered(&got, at)
}
