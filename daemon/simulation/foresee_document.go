package simulation

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// foreseeDocuments is foresee in a history of documents: the policies of the
// destination decide, too.
func (t *turn) foreseeDocuments(src, dst dag.ForkID, q *rpc.MergeRequest) *foresight {
	f := &foresight{q: *q, src: src, dst: dst, policies: t.see(place{dst, rpc.PolicyKey})}
	skip := filter("", strings.Join(q.Skip, ","))
	for _, key := range slices.Sorted(slices.Values(t.keys())) {
		k := foreseen{at: place{dst, key}}
		k.was, k.now = t.see(k.at), t.mirror.foresee(t.n.has, k.at, src)
		if k.was.same(k.now) {
			continue
		}
		k.policy = t.mirror.policy(t.n.has, dst, key)
		switch {
		case k.policy.sticky || !passes((*dag.Filter)(skip), key):
			f.skipped = append(f.skipped, key)
			continue
		case k.policy.torn && key != rpc.PolicyKey:
			f.refusal = first(f.refusal, rpc.CodeConflict)
		}
		k.conflict, k.both = k.tears(), t.onBoth(f, key)
		f.refusal = first(f.refusal, t.settleDocument(f, &k))
		k.stops = k.conflict && k.becomes == nil && k.strategy(q) == rpc.OnConflictFail
		f.keys = append(f.keys, k)
	}
	named := slices.Clone(q.Reject)
	for _, r := range q.Resolve {
		named = append(named, r.Key)
	}
	for _, key := range named {
		if !slices.ContainsFunc(f.keys, func(k foreseen) bool { return k.at.key == key }) {
			f.refusal = first(f.refusal, rpc.CodeStale)
		}
	}
	return f
}

// strategy is what is done with conflicts of the key.
func (k *foreseen) strategy(q *rpc.MergeRequest) rpc.Strategy {
	return cmp.Or(q.OnConflict, k.policy.merge, rpc.OnConflictFail)
}

// tears: there is a conflict that was not there, or stood otherwise.
func (k *foreseen) tears() bool {
	return slices.ContainsFunc(k.now.view.Conflicts, func(c crdt.Conflict) bool {
		return !slices.ContainsFunc(k.was.view.Conflicts, func(b crdt.Conflict) bool { return b.ID == c.ID && b.State == c.State })
	})
}

// settleDocument decides what is written beside the merge for a key.
func (t *turn) settleDocument(f *foresight, k *foreseen) (refusal rpc.Code) {
	var named []rpc.Resolution
	for _, r := range f.q.Resolve {
		if r.Key == k.at.key {
			named = append(named, r)
		}
	}
	theirs := t.see(place{f.src, k.at.key})
	switch how := k.strategy(&f.q); {
	case slices.Contains(f.q.Reject, k.at.key):
		k.becomes = k.like(k.was)
		k.needed()
		return ""
	case len(named) > 0:
		return t.resolving(f, k, named)
	case !k.conflict:
	case how == rpc.OnConflictOurs:
		k.choose(func(i int) *sight { return k.part(i, k.was) })
	case how == rpc.OnConflictTheirs:
		k.choose(func(i int) *sight { return k.part(i, theirs) })
	case how == rpc.OnConflictLWW:
		k.choose(func(i int) *sight { return k.side(i, t.newest(&k.now.view.Conflicts[i])) })
	}
	return ""
}

// like is a settlement that makes of the key what a sight shows.
func (k *foreseen) like(s *sight) *written {
	w := &written{at: k.at, leaves: s.leaves(), gone: s.view.Absent(), kind: s.view.Kind}
	w.vague = !w.gone && s.leaves().reread(k.policy.lists)
	if w.kind.IsZero() {
		w.kind = crdt.Bytes
	}
	return w
}

// needed takes a settlement back that would write what there is.
func (k *foreseen) needed() {
	w := k.becomes
	if !w.vague && !w.gone && !k.now.conflicted() && w.kind == k.now.view.Kind && (isDocument(w.kind) || w.kind == crdt.Set) && maps.Equal(w.leaves, k.now.leaves()) {
		k.becomes = nil
	}
}

// reread reports whether the text of what has these leaves may have others when
// it is read again, since lists are keyed otherwise by now.
func (l leaves) reread(lists crdt.Lists) bool {
	keyed := l.keyed()
	for _, rule := range schemas {
		is, will := slices.Contains(keyed, rule), slices.Contains(lists, rule)
		if _, leaf := l[crdt.Path(rule.Path)]; is && !will || !is && will && leaf {
			return true
		}
	}
	return false
}

// part is what a fork shows in the place of the i-th conflict.
func (k *foreseen) part(i int, of *sight) *sight {
	path := k.now.view.Conflicts[i].Path
	if path == crdt.Root {
		return of
	}
	out := &sight{}
	out.reading.Leaves = of.leaves().at(path)
	if !isDocument(of.view.Kind) {
		out.reading.Leaves = leaves{}
	}
	return out
}

// side is what a side of the i-th conflict shows.
func (k *foreseen) side(i, side int) *sight {
	c := k.now.conflict(i)
	s := &sight{visible: 1}
	s.reading.Leaves, s.view.Deleted = c.sides[side], c.Sides[side].Deleted
	s.view.Served = c.Sides[side].Revision
	return s
}

// choose makes the settlement that puts something in the place of each conflict.
func (k *foreseen) choose(with func(i int) *sight) {
	if k.now.view.Conflicts[0].Path == crdt.Root {
		k.becomes = k.like(with(0))
		k.becomes.kind = with(0).view.Kind
		if k.becomes.gone { // nothing is of the kind that is served, or was
			k.becomes.kind = 0
		}
		return
	}
	w := &written{at: k.at, leaves: k.now.leaves(), kind: k.now.view.Kind}
	for i, c := range k.now.view.Conflicts {
		w.leaves = w.leaves.with(c.Path, with(i).leaves())
	}
	w.vague = w.leaves.reread(k.policy.lists)
	w.gone = len(w.leaves) == 0
	k.becomes = w
}

// resolving is the settlement by a side or a value for each conflict.
func (t *turn) resolving(f *foresight, k *foreseen, named []rpc.Resolution) (refusal rpc.Code) {
	chosen := map[int]*sight{}
	for _, r := range named {
		i := slices.Index(k.now.paths(), cmp.Or(r.Path, crdt.Root))
		if i < 0 || chosen[i] != nil {
			f.nonsense = true
			return ""
		}
		if r.Value != nil {
			s := &sight{}
			s.reading.Leaves = leavesOf(k.policy.lists, crdt.YAML, *r.Value, r.Path)
			f.nonsense = f.nonsense || r.Path == "" || k.at.key == rpc.PolicyKey || strings.Contains(string(r.Path), "[")
			chosen[i] = s
			continue
		}
		j := slices.IndexFunc(k.now.view.Conflicts[i].Sides, func(s crdt.Side) bool { return s.Letter == r.Side })
		if j < 0 {
			f.nonsense = true
			return ""
		}
		chosen[i] = k.side(i, j)
	}
	if len(chosen) < len(k.now.view.Conflicts) {
		return rpc.CodeConflict
	}
	k.choose(func(i int) *sight { return chosen[i] })
	return ""
}

// newest is the side with the highest (time, chain, CID).
func (t *turn) newest(c *crdt.Conflict) int {
	best := 0
	for i := range c.Sides {
		a, b := t.mirror.revisions[dag.RevisionID(c.Sides[i].Revision)], t.mirror.revisions[dag.RevisionID(c.Sides[best].Revision)]
		if cmp.Or(cmp.Compare(a.Time, b.Time), bytes.Compare(a.Chain[:], b.Chain[:]), compareIDs(c.Sides[i].Revision, c.Sides[best].Revision)) > 0 {
			best = i
		}
	}
	return best
}

// joined checks what a merge made of a key: what was foreseen, or what settles
// it.
func (t *turn) joined(k *foreseen) error {
	now, want := t.see(k.at), k.becomes
	if want == nil {
		if !now.same(k.now) || now.view.Served != k.now.view.Served || !maps.Equal(now.leaves(), k.now.leaves()) || now.visible != k.now.visible {
			return fmt.Errorf("%s became %v, foreseen was %v", t.name(k.at), now.leaves(), k.now.leaves())
		}
		return nil
	}
	if len(now.heads) != 1 || !want.is(now) {
		return fmt.Errorf("%s was settled, and is a %s, %v, of %d heads, want %s, %v", t.name(k.at), now.view.Kind, now.leaves(), len(now.heads), want.kind, want.leaves)
	}
	id := now.headIDs()[0]
	r := t.mirror.revisions[dag.RevisionID(id)]
	parents := slices.SortedFunc(slices.Values(revisionIDs(r.Parents)), compareIDs)
	if !slices.Equal(parents, k.now.headIDs()) || r.Mark&dag.MarkResolved == 0 {
		return fmt.Errorf("the settlement of %s has %d parents and mark %d, want %d", t.name(k.at), len(parents), r.Mark, len(k.now.heads))
	}
	return t.honest(dag.RevisionID(id))
}

// happenedDocuments compares the destination with the foresight, and everything
// else with what it was.
func (t *turn) happenedDocuments(f *foresight) error {
	var touched []place
	settled := 0
	for i := range f.keys {
		touched = append(touched, f.keys[i].at)
		if f.keys[i].becomes != nil {
			settled++
		}
		if err := t.joined(&f.keys[i]); err != nil {
			return err
		}
	}
	if len(t.made.revisions) != settled || settled < 2 && len(t.blocks) != 1 {
		return fmt.Errorf("a merge wrote %d revisions in %d blocks, want %d", len(t.made.revisions), len(t.blocks), settled)
	}
	return t.others(touched...)
}

// sameValue reports whether two places serve the same.
func sameValue(a, b *sight) bool {
	if a.view.Kind != b.view.Kind {
		return false
	}
	switch k := a.view.Kind; {
	case isDocument(k):
		return maps.Equal(a.leaves(), b.leaves()) && (!a.known() || !b.known() || bytes.Equal(a.text(), b.text()))
	case k == crdt.Counter || k == crdt.Set:
		return maps.Equal(a.leaves(), b.leaves())
	}
	return bytes.Equal(a.served().Value, b.served().Value)
}

// known reports whether the bytes that are served are those of one revision:
// the texts of several can be woven into one.
func (s *sight) known() bool { return s.reading.Exact && len(s.heads) == 1 }

// changeTo says what the key becomes once it is settled.
func (w *written) changeTo(was *sight) string {
	now := &sight{visible: 1, view: crdt.View{Kind: w.kind, Deleted: w.gone, Served: crdt.RevisionID{1}}}
	now.reading.Leaves = w.leaves
	switch {
	case was.view.Absent() && w.gone:
		return "same"
	case was.view.Absent():
		return "created"
	case w.gone:
		return "deleted"
	case (w.kind.IsZero() || w.kind == was.view.Kind) && maps.Equal(w.leaves, was.leaves()):
		return "same"
	}
	return "changed"
}
