package simulation

import (
	"context"
	"fmt"
	"slices"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// oldValue is what is left of a place once it is brought back to what a sight
// shows, all conflicts settled.
func (t *turn) oldValue(at place, old *sight) *written {
	w := &written{at: at, parents: t.see(at).headIDs(), kind: crdt.Bytes, gone: true, mark: dag.MarkReverted}
	if !old.exists() {
		return w
	}
	w.kind, w.gone, w.leaves = old.view.Kind, old.view.Absent(), old.leaves()
	switch lists := t.mirror.policy(t.n.has, at.fork, at.key).lists; {
	case w.gone || !isDocument(w.kind):
	case old.known():
		w.text = old.text()
		w.leaves = leavesOf(lists, w.kind, w.text, crdt.Root)
	default:
		w.vague = w.leaves.reread(lists)
	}
	return w
}

// rollbackDocument rolls a key back.
func (t *turn) rollbackDocument(ctx context.Context, at place, refusal rpc.Code, old *sight, q rpc.RollbackRequest) error {
	var want *written
	if refusal == "" {
		want = t.oldValue(at, old)
	}
	var got rpc.RolledBack
	done, err := t.expect(refusal, func() (err error) { got, err = t.n.Rollback(ctx, q); return err })
	if !done {
		return err
	}
	if was := t.see(at); want.gone && len(t.blocks) == 0 && was.view.Absent() && !was.conflicted() {
		return t.others() // it is gone already, of whatever kind it was
	}
	return first(t.came(want), t.answered(&got.Written, at))
}

// pickDocument writes the value of a revision on a fork.
func (t *turn) pickDocument(ctx context.Context, at place, refusal rpc.Code, id dag.RevisionID, into string) error {
	was, old := t.see(at), t.asWritten(id)
	want := t.oldValue(at, old)
	if want.mark = dag.MarkNone; want.gone {
		want.kind = keptKind(was)
	}
	var got rpc.Written
	done, err := t.expect(refusal, func() (err error) {
		got, err = t.n.Pick(ctx, rpc.PickRequest{Revision: rpc.Ref(id.String()), Into: into})
		return err
	})
	if !done {
		return err
	}
	if want.gone && was.view.Absent() && !was.conflicted() {
		want.kind = was.view.Kind
	}
	return first(t.came(want), t.answered(&got, at))
}

// broughtBack checks a reset or an undo: what each key became, and that of those
// that need not change none did.
func (t *turn) broughtBack(wishes []wish, got *rpc.Reset) error {
	changed := map[string]string{}
	for _, k := range got.Changed {
		changed[k.Key] = k.Change
	}
	if got.Keys != len(changed) || got.Unchanged != (len(changed) == 0) || len(t.made.revisions) != len(changed) {
		return fmt.Errorf("wrote %d revisions, the answer says %v, %d keys, unchanged %v", len(t.made.revisions), got.Changed, got.Keys, got.Unchanged)
	}
	var touched []place
	for _, w := range wishes {
		what, did := changed[w.at.key]
		delete(changed, w.at.key)
		if err := t.wentBack(w.at, w.old, what, did); err != nil {
			return err
		}
		touched = append(touched, w.at)
	}
	if len(changed) > 0 {
		return fmt.Errorf("changed %v, which were what they were", changed)
	}
	return t.others(touched...)
}

// wentBack checks one key of a reset or an undo. Conflicts that stand as they
// stood then are left alone, unless what is written is a part of them.
func (t *turn) wentBack(at place, then *sight, what string, did bool) error {
	now, want := t.before[at], t.oldValue(at, then)
	want.parents = now.headIDs()
	kept := now.alike(then)
	beside := len(kept) > 0 && isDocument(want.kind) && isDocument(now.view.Kind) && !want.gone
	if beside {
		want.left = kept
	}
	if !did && want.gone && now.view.Absent() && !now.conflicted() {
		return nil // of whatever kind it was
	}
	if !did {
		if sure := want.text != nil && now.known(); !want.is(now) || sure && string(now.text()) != string(want.text) {
			return fmt.Errorf("%s is %s and was %s, and was not brought back", t.name(at), t.tell(now), t.tell(then))
		}
		return nil
	}
	i := slices.IndexFunc(t.made.revisions, func(id dag.RevisionID) bool { return t.mirror.revisions[id].Key == at.key })
	if i < 0 {
		return fmt.Errorf("wrote nothing to %s", t.name(at))
	}
	if beside && !t.leaves(now, want, kept) {
		want.left = t.see(at).paths()
		if len(want.left) > 0 && !slices.Equal(want.left, kept) {
			return fmt.Errorf("%s is left with conflicts at %v, they were alike at %v", t.name(at), want.left, kept)
		}
	}
	switch becomes := want.changeTo(now); {
	case what == becomes, isDocument(want.kind) && !want.gone && what == "changed" && becomes == "same", what == "same" && want.vague:
	default:
		return fmt.Errorf("%s is said to be %s, it is %s", t.name(at), what, becomes)
	}
	return t.fulfils(t.made.revisions[i], want)
}

// leaves reports whether what is to be written has no part in some conflicts.
func (t *turn) leaves(now *sight, want *written, conflicts []crdt.Path) bool {
	for _, pair := range []struct{ a, b leaves }{{now.leaves(), want.leaves}, {want.leaves, now.leaves()}} {
		for p, content := range pair.a {
			if pair.b[p] != content && slices.ContainsFunc(conflicts, func(c crdt.Path) bool { return p.Within(c) || c.Within(p) }) {
				return false
			}
		}
	}
	return !want.vague
}

// alike are the places of the conflicts that stand as they stood then.
func (s *sight) alike(then *sight) (out []crdt.Path) {
	for _, c := range s.view.Conflicts {
		if slices.ContainsFunc(then.view.Conflicts, func(b crdt.Conflict) bool { return b.ID == c.ID && b.State == c.State }) {
			out = append(out, c.Path)
		}
	}
	return out
}
