package simulation

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"crush/crdt"
	"crush/crdt/oracle"
	"crush/dag"
	"crush/rpc"
)

// foresight is what a merge must come to, by the oracle.
type foresight struct {
	q        rpc.MergeRequest
	id       string // of the plan, as the node said
	src, dst dag.ForkID
	keys     []foreseen
	skipped  []string
	refusal  rpc.Code
	policies *sight // of the destination
	nonsense bool   // it asks for what is not there
}

// foreseen is a key that a merge changes.
type foreseen struct {
	at       place
	was, now *sight                   // on the destination, before and after
	both     map[crdt.RevisionID]bool // revisions that both forks show before
	conflict bool                     // new with the merge
	settle   *wish                    // what is written beside the merge
	becomes  *written                 // the same of a document
	policy   policy
	stops    bool   // nothing may be written, for its conflict
	said     string // what it becomes, if only the bytes can tell
}

// change says what the key becomes.
func (k *foreseen) change() string {
	switch {
	case k.said != "":
		return k.said
	case k.becomes != nil:
		return k.becomes.changeTo(k.was)
	case k.settle == nil:
		return change(k.was, k.now)
	case k.was.view.Absent() && k.settle.deleted:
		return "same"
	case k.was.view.Absent():
		return "created"
	case k.settle.deleted:
		return "deleted"
	case k.keeps():
		return "same"
	}
	return "changed"
}

// keeps: the settlement writes what the destination serves.
func (k *foreseen) keeps() bool {
	return !k.settle.deleted && k.was.view.Kind == k.settle.kind && bytes.Equal(k.settle.value, k.was.served().Value)
}

// overrides: a value of the destination is replaced by a settlement.
func (k *foreseen) overrides() bool {
	if k.becomes != nil {
		return !k.was.view.Absent() && k.change() != "same"
	}
	return k.settle != nil && !k.was.view.Absent() && !k.keeps()
}

// foresee computes what a merge must do, from the oracle and the request.
func (t *turn) foresee(src, dst dag.ForkID, q *rpc.MergeRequest) *foresight {
	if t.documents {
		return t.foreseeDocuments(src, dst, q)
	}
	f := &foresight{q: *q, src: src, dst: dst}
	skip := filter("", strings.Join(q.Skip, ","))
	for _, key := range slices.Sorted(slices.Values(t.keys())) {
		k := foreseen{at: place{dst, key}}
		k.was, k.now = t.see(k.at), t.mirror.foresee(t.n.has, k.at, src)
		if k.was.same(k.now) {
			continue
		}
		if !passes((*dag.Filter)(skip), key) {
			f.skipped = append(f.skipped, key)
			continue
		}
		k.conflict = k.now.conflicted() && (!k.was.conflicted() || k.was.view.Conflicts[0].State != k.now.view.Conflicts[0].State)
		k.both = t.onBoth(f, key)
		f.refusal = first(f.refusal, t.settle(f, &k))
		k.stops = k.conflict && k.settle == nil && (q.OnConflict == "" || q.OnConflict == rpc.OnConflictFail)
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

// settle decides what is written beside the merge for a key.
func (t *turn) settle(f *foresight, k *foreseen) (refusal rpc.Code) {
	var of *sight
	i := slices.IndexFunc(f.q.Resolve, func(r rpc.Resolution) bool { return r.Key == k.at.key })
	switch {
	case slices.Contains(f.q.Reject, k.at.key):
		of = k.was
	case i >= 0 && f.q.Resolve[i].Value != nil:
		k.settle = t.settlement(k, oracle.Revision{Kind: k.now.view.Kind, Value: *f.q.Resolve[i].Value})
		return ""
	case i >= 0:
		r, refusal := t.taken(f, k.at.key, k.now, f.q.Resolve[i].Side)
		k.settle = t.settlement(k, r)
		return refusal
	case !k.conflict:
		return ""
	case f.q.OnConflict == rpc.OnConflictOurs:
		of = k.was
	case f.q.OnConflict == rpc.OnConflictTheirs:
		of = t.see(place{f.src, k.at.key})
	case f.q.OnConflict == rpc.OnConflictLWW:
		newest := slices.MaxFunc(k.now.heads, func(a, b oracle.Revision) int {
			return cmp.Or(cmp.Compare(a.Time, b.Time), bytes.Compare(a.Chain[:], b.Chain[:]), compareIDs(a.ID, b.ID))
		})
		k.settle = t.settlement(k, k.now.taking(newest))
		return ""
	default:
		return ""
	}
	k.settle = t.settlement(k, of.servedOrGone())
	return ""
}

func (t *turn) settlement(k *foreseen, r oracle.Revision) *wish {
	return &wish{at: k.at, parents: k.now.headIDs(), kind: r.Kind, deleted: r.Deleted, value: r.Value, mark: dag.MarkResolved}
}

// taking is what a side writes when it is taken: a deletion is one of the kind
// that is served.
func (s *sight) taking(r oracle.Revision) oracle.Revision {
	if r.Deleted {
		r.Kind = s.view.Kind
	}
	return r
}

// side finds the head that a letter names.
func (t *turn) side(s *sight, letter string) (r oracle.Revision, refusal rpc.Code) {
	for _, c := range s.view.Conflicts {
		for _, side := range c.Sides {
			if side.Letter == letter {
				return s.taking(s.heads[slices.IndexFunc(s.heads, func(h oracle.Revision) bool { return h.ID == side.Revision })]), ""
			}
		}
	}
	return r, rpc.CodeNotFound
}

// request reads the arguments of a merge.
func (s *Step) request(src, dst string) rpc.MergeRequest {
	q := rpc.MergeRequest{Source: src, Into: dst, OnConflict: rpc.Strategy(s.How), Skip: list(s.Skip), Reject: list(s.Drop)}
	for _, r := range list(s.Take) {
		key, side, _ := strings.Cut(r, ":")
		key, path, _ := strings.Cut(key, "@")
		if value, ok := strings.CutPrefix(side, "="); ok {
			v := expand(value)
			q.Resolve = append(q.Resolve, rpc.Resolution{Key: key, Path: crdt.Path(path), Value: &v})
			continue
		}
		q.Resolve = append(q.Resolve, rpc.Resolution{Key: key, Path: crdt.Path(path), Side: side})
	}
	return q
}

// merge merges one fork into another, at once or by an earlier plan. It first
// asks for the plan, which must be what the oracle foresees; what happens must
// then be what the plan says.
func merge(ctx context.Context, t *turn) error {
	if t.s.Plan != "" {
		return t.mergePlanned(ctx)
	}
	src, from, noSource, err := t.fork(t.s.From, true)
	if err != nil {
		return err
	}
	dst, into, noFork, err := t.fork(t.s.Fork, true)
	if err != nil {
		return err
	}
	if from == "" || into == "" {
		return errNothing // a merge names both
	}
	q := t.s.request(from, into)
	refusal := first(noSource, noFork)
	if refusal == "" && src == dst {
		refusal = rpc.CodeInvalid
	}
	if refusal != "" {
		_, err := t.expect(refusal, func() error { _, err := t.n.Merge(ctx, q); return err })
		return err
	}
	f := t.foresee(src, dst, &q)
	if f.nonsense {
		return errNothing
	}
	if err := t.plan(ctx, f); err != nil || f.refusal != "" {
		return err
	}
	t.made.plan = f
	if t.s.Do == "plan" {
		return nil
	}
	return t.carryOut(ctx, f, f.q)
}

// mergePlanned merges by a plan that was made earlier, perhaps elsewhere. It
// must be refused if a key of it would come out otherwise by now.
func (t *turn) mergePlanned(ctx context.Context) error {
	n, ok := number(t.s.Plan, "p")
	if !ok || t.World.made[n] == nil || t.World.made[n].plan == nil {
		return errNothing
	}
	old := t.World.made[n].plan
	if !t.mirror.known(t.n.has, old.src) || !t.mirror.known(t.n.has, old.dst) || !t.means(old.q.Source, old.src) || !t.means(old.q.Into, old.dst) {
		return errNothing
	}
	q := old.q
	f := t.foresee(old.src, old.dst, &q)
	if f.nonsense {
		return errNothing
	}
	q.Apply = old.id
	if f.refusal != "" {
		_, err := t.expect(f.refusal, func() error { _, err := t.n.Merge(ctx, q); return err })
		return err
	}
	if !f.same(old) {
		var got rpc.Merged
		_, err := t.expect(rpc.CodeStale, func() (err error) { got, err = t.n.Merge(ctx, q); return err })
		if err == nil {
			err = t.announced(&got, f)
		}
		return err
	}
	f.id = old.id
	return t.carryOut(ctx, f, q)
}

// means reports whether a name still is that of a fork. An id always is.
func (t *turn) means(name string, fork dag.ForkID) bool {
	if name == fork.String() {
		return true
	}
	called := t.mirror.called(t.n.has, name)
	return len(called) == 1 && called[0] == fork
}

// same reports whether a plan still says what another one said.
func (f *foresight) same(old *foresight) bool {
	if t := f.policies; t != nil && !t.same(old.policies) {
		return false
	}
	return slices.Equal(f.skipped, old.skipped) && slices.EqualFunc(f.keys, old.keys, func(a, b foreseen) bool {
		return a.at == b.at && a.was.same(b.was) && a.now.same(b.now)
	})
}

// plan asks for the plan of a merge and holds it against the foresight.
func (t *turn) plan(ctx context.Context, f *foresight) error {
	q := f.q
	q.Plan = true
	var got rpc.Merged
	done, err := t.expect(f.refusal, func() (err error) { got, err = t.n.Merge(ctx, q); return err })
	if !done {
		return err
	}
	if len(t.blocks) > 0 || got.Applied || got.Plan == "" {
		return fmt.Errorf("a plan wrote %d blocks: %+v", len(t.blocks), got)
	}
	f.id = got.Plan
	return t.announced(&got, f)
}

// announced checks what a merge says of itself.
func (t *turn) announced(got *rpc.Merged, f *foresight) error {
	f.admit(got)
	var clean, settled []rpc.MergedKey
	var overrides []string
	var open []open
	var common []map[crdt.RevisionID]bool
	for _, k := range f.keys {
		m := rpc.MergedKey{Key: k.at.key, Change: k.change()}
		switch {
		case k.settle != nil || k.becomes != nil:
			settled = append(settled, m)
		case k.conflict:
			for i := range k.now.view.Conflicts {
				open, common = append(open, k.now.conflict(i)), append(common, k.both)
			}
		default:
			clean = append(clean, m)
		}
		if k.overrides() {
			overrides = append(overrides, k.at.key)
		}
	}
	if !slices.Equal(got.Clean, clean) || !slices.Equal(got.Settled, settled) || !slices.Equal(got.Skipped, f.skipped) ||
		!slices.Equal(got.Overrides, overrides) || got.Unchanged != (len(f.keys) == 0) || len(got.Conflicts) != len(open) {
		return fmt.Errorf("announces %v clean, %v settled, %v skipped, %v overridden, unchanged %v, %d conflicts; want %v, %v, %v, %v, %v, %d",
			got.Clean, got.Settled, got.Skipped, got.Overrides, got.Unchanged, len(got.Conflicts),
			clean, settled, f.skipped, overrides, len(f.keys) == 0, len(open))
	}
	for i := range open {
		if err := t.sameConflict(&got.Conflicts[i], open[i], common[i]); err != nil {
			return fmt.Errorf("announces %w", err)
		}
	}
	return nil
}

// admit takes over what a merge says of documents of which only the bytes can
// tell whether they are the same, where the oracle knows only the leaves.
func (f *foresight) admit(got *rpc.Merged) {
	for i := range f.keys {
		k := &f.keys[i]
		if !k.vague() {
			continue
		}
		for _, m := range append(slices.Clone(got.Clean), got.Settled...) {
			if m.Key == k.at.key && (m.Change == "same" || m.Change == "changed") {
				k.said = m.Change
			}
		}
	}
}

// vague reports whether the bytes that the key serves before the merge or after
// it, which nobody knows here, decide what it becomes.
func (k *foreseen) vague() bool {
	kind, now, known := k.now.view.Kind, k.now.leaves(), k.now.known()
	if w := k.becomes; w != nil {
		kind, now, known = cmp.Or(w.kind, k.was.view.Kind), w.leaves, false
	}
	if !isDocument(kind) || k.was.view.Kind != kind || k.was.view.Absent() || len(now) == 0 {
		return false
	}
	same := maps.Equal(k.was.leaves(), now)
	return same && !(known && k.was.known()) || !same && !slices.Equal(k.was.leaves().keyed(), now.keyed()) || k.becomes != nil && k.becomes.vague
}

// onBoth are the revisions of a key that both forks of a merge show.
func (t *turn) onBoth(f *foresight, key string) map[crdt.RevisionID]bool {
	both := map[crdt.RevisionID]bool{}
	for _, r := range t.mirror.oracle.At(t.n.has).Visible(crdt.ForkID(f.src), key) {
		both[r.ID] = t.readable(place{f.dst, key}, r.ID)
	}
	maps.DeleteFunc(both, func(_ crdt.RevisionID, on bool) bool { return !on })
	return both
}

// carryOut merges, and checks that what was foreseen is what happened.
func (t *turn) carryOut(ctx context.Context, f *foresight, q rpc.MergeRequest) error {
	refusal := rpc.Code("")
	for _, k := range f.keys {
		if k.stops {
			refusal = rpc.CodeConflict
		}
	}
	var got rpc.Merged
	done, err := t.expect(refusal, func() (err error) { got, err = t.n.Merge(ctx, q); return err })
	if err != nil {
		return err
	}
	if err := t.announced(&got, f); err != nil {
		return err
	}
	if got.Plan != f.id || got.Applied != (done && len(f.keys) > 0) {
		return fmt.Errorf("did plan %s: %v, want %s", got.Plan, got.Applied, f.id)
	}
	if !got.Applied {
		if len(t.blocks) > 0 {
			return fmt.Errorf("changed nothing, in %d blocks", len(t.blocks))
		}
		return t.others()
	}
	return t.happened(f)
}

// happened compares the destination with the foresight, and everything else
// with what it was.
func (t *turn) happened(f *foresight) error {
	if t.documents {
		return t.happenedDocuments(f)
	}
	var touched []place
	var wishes []wish
	for _, k := range f.keys {
		touched = append(touched, k.at)
		if k.settle != nil {
			wishes = append(wishes, *k.settle)
			continue
		}
		now := t.see(k.at)
		if !now.same(k.now) || now.visible != k.now.visible || now.view.Served != k.now.view.Served || now.conflicted() != k.now.conflicted() {
			return fmt.Errorf("%s became %s, the plan was %s", t.name(k.at), t.tell(now), t.tell(k.now))
		}
	}
	if len(wishes) < 2 && len(t.blocks) != 1 {
		return fmt.Errorf("merged in %d blocks", len(t.blocks))
	}
	for _, k := range f.keys {
		if k.settle != nil {
			t.before[k.at] = k.now // the settlement stands behind the merge
		}
	}
	if err := t.all(wishes); len(wishes) > 0 && err != nil {
		return err
	}
	if len(wishes) == 0 && len(t.made.revisions) > 0 {
		return fmt.Errorf("a merge wrote %d revisions", len(t.made.revisions))
	}
	return t.others(touched...)
}

// resolve settles an open conflict: by a side (How is empty), a value or a
// delete. Base tN wants the state of the conflict that step N read.
func resolve(ctx context.Context, t *turn) error {
	fork, text, refusal, err := t.fork(t.s.Fork, true)
	if err != nil {
		return err
	}
	at := place{fork, t.s.Key}
	was := t.see(at)
	q := rpc.ResolveRequest{KeyRef: rpc.KeyRef{Fork: text, Key: t.s.Key}}
	want := wish{at: at, parents: was.headIDs(), kind: was.view.Kind, mark: dag.MarkResolved}
	if !was.conflicted() {
		refusal = first(refusal, rpc.CodeStale)
	}
	if n, ok := number(t.s.Base, "t"); ok {
		from := t.World.made[n]
		if from == nil || from.of != at || !from.heads.conflicted() {
			return errNothing
		}
		q.State = from.heads.view.Conflicts[0].State.String()
		if !from.heads.same(was) {
			refusal = first(refusal, rpc.CodeStale)
		}
	}
	switch t.s.How {
	case "value":
		value := expand(t.s.Value)
		q.Value, want.value = &value, value
	case "delete":
		q.Delete, want.deleted = true, true
	default:
		if q.Take = t.s.Take; q.Take == "" {
			return errNothing
		}
		r, missing := t.taken(&foresight{src: fork, dst: fork}, t.s.Key, was, q.Take)
		want.kind, want.deleted, want.value = r.Kind, r.Deleted, r.Value
		refusal = first(refusal, missing)
	}
	var got rpc.Written
	done, err := t.expect(refusal, func() (err error) { got, err = t.n.Resolve(ctx, q); return err })
	if !done {
		return err
	}
	if err := t.fulfilled(&want); err != nil {
		return err
	}
	if now := t.see(at); now.conflicted() || len(now.heads) != 1 {
		return fmt.Errorf("%s was settled, and is %s", t.name(at), t.tell(now))
	}
	if err := t.others(at); err != nil {
		return err
	}
	return t.answered(&got, at)
}

// taken finds the side of a conflict that a letter, a fork or a node names. The
// forks of a merge stand for what they serve before it.
func (t *turn) taken(f *foresight, key string, s *sight, name string) (r oracle.Revision, refusal rpc.Code) {
	if r, refusal := t.side(s, name); refusal == "" {
		return r, ""
	}
	called := t.mirror.called(t.n.has, name)
	for _, side := range []dag.ForkID{f.dst, f.src} {
		if len(called) > 0 && called[0] == side {
			return t.see(place{side, key}).servedOrGone(), ""
		}
	}
	var found []oracle.Revision
	for _, h := range s.heads {
		label, _, _ := t.mirror.title(t.n.has, dag.ForkID(h.Fork))
		if label == name || t.writer(dag.RevisionID(h.ID)) == name {
			found = append(found, h)
		}
	}
	sides := map[string]bool{}
	for _, h := range found {
		side := "deleted"
		if !h.Deleted {
			side = fmt.Sprint(h.Kind, string(h.Value))
		}
		sides[side] = true
	}
	switch len(sides) {
	case 0:
		return r, rpc.CodeNotFound
	case 1:
		return s.taking(found[0]), ""
	}
	return r, rpc.CodeAmbiguous
}
