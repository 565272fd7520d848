package simulation

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"crush/crdt"
	"crush/crdt/oracle"
	"crush/dag"
	"crush/rpc"
)

// kindOf is the kind of a key as the first policies say it.
func kindOf(key string) crdt.Kind {
	switch key {
	case "app/a":
		return crdt.YAML
	case "app/b":
		return crdt.Counter
	case "env/z":
		return crdt.Set
	}
	return crdt.JSON
}

// declare sets the policies that a history of documents starts with.
func (w *World) declare(ctx context.Context) error {
	w.documents = true
	all := map[string]rpc.Policy{"**": {Lists: map[crdt.PathPattern]crdt.ListSchema{}}}
	for _, rule := range schemas {
		all["**"].Lists[rule.Path] = rule.Schema
	}
	for _, key := range keys {
		all[key] = rpc.Policy{Kind: kindOf(key).String()}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	text = bytes.ReplaceAll(text, []byte(`"pattern":"",`), nil)
	if _, err := w.nodes[0].Put(ctx, rpc.PutRequest{KeyRef: rpc.KeyRef{Key: rpc.PolicyKey}, Value: text}); err != nil {
		return err
	}
	for _, n := range w.nodes[1:] {
		if err := w.pull(ctx, n, w.nodes[0], 0, 0); err != nil {
			return err
		}
	}
	return w.failed
}

// written is what a step is to leave of a key.
type written struct {
	at      place
	parents []crdt.RevisionID
	leaves  leaves
	text    []byte    // of a document, if it is known
	kind    crdt.Kind // zero: any
	mark    dag.Mark
	gone    bool        // deleted
	left    []crdt.Path // where conflicts stay open
	vague   bool        // lists are read otherwise by now
	loose   bool        // others are not in the context: only what the author saw is known
}

// paths are where conflicts are.
func (s *sight) paths() (out []crdt.Path) {
	for _, c := range s.view.Conflicts {
		out = append(out, c.Path)
	}
	return out
}

// came checks that one revision was written, on what it was to be, and what
// became of the key; nothing at all if that is what there was.
func (t *turn) came(want *written) error {
	was := t.before[want.at]
	if len(t.made.revisions) == 0 {
		if want.loose || want.is(was) && !(want.text != nil && was.known() && isDocument(want.kind) && !bytes.Equal(was.text(), want.text)) {
			return t.others()
		}
		return fmt.Errorf("wrote nothing, and %s is %s", t.name(want.at), t.tell(was))
	}
	if len(t.made.revisions) != 1 || len(t.blocks) != 1 {
		return fmt.Errorf("wrote %d revisions in %d blocks, want 1 in 1", len(t.made.revisions), len(t.blocks))
	}
	if err := t.fulfils(t.made.revisions[0], want); err != nil {
		return err
	}
	return t.others(want.at)
}

// fulfils checks the one revision of a key that a step wrote, and what became of
// the key.
func (t *turn) fulfils(id dag.RevisionID, want *written) error {
	r := t.mirror.revisions[id]
	parents := slices.SortedFunc(slices.Values(revisionIDs(r.Parents)), compareIDs)
	if !slices.Equal(parents, slices.SortedFunc(slices.Values(want.parents), compareIDs)) {
		return fmt.Errorf("wrote with %d parents, want %d or others", len(parents), len(want.parents))
	}
	if mark := r.Mark &^ dag.MarkOpen; mark != want.mark {
		return fmt.Errorf("marked the revision %d, want %d", mark, want.mark)
	}
	if text := t.asWritten(id).text(); want.text != nil && isDocument(want.kind) && !bytes.Equal(text, want.text) {
		return fmt.Errorf("wrote the text %q, not %q", text, want.text)
	}
	if err := t.honest(id); err != nil {
		return err
	}
	if now := t.see(want.at); !want.loose && !want.is(now) {
		return fmt.Errorf("%s became a %s, %v, conflicts at %v; want %s, %v, %v", t.name(want.at), now.view.Kind, now.leaves(), now.paths(), want.kind, want.leaves, want.left)
	}
	return nil
}

// is reports whether a place is what it was to become.
func (w *written) is(s *sight) bool {
	return (w.vague || maps.Equal(s.leaves(), w.leaves)) && s.view.Absent() == w.gone && slices.Equal(s.paths(), w.left) &&
		(w.kind.IsZero() || w.kind == s.view.Kind)
}

// honest checks what a revision says of itself: it is open if a conflict is
// left in all that its author had seen, and else its value is what that gives.
func (t *turn) honest(id dag.RevisionID) error {
	own, alone := t.mirror.oracle.Revision(crdt.RevisionID(id)), oracle.New()
	seen := t.mirror.oracle.Ancestors(own.ID)
	seen[own.ID] = true
	for id := range seen {
		r := t.mirror.oracle.Revision(id)
		r.Fork = own.Fork
		alone.Add(r)
	}
	got := alone.Uncut().Read(own.Fork, own.Key)
	switch {
	case own.Open != (len(got.View.Conflicts) > 0):
		return fmt.Errorf("revision %s is open: %v; its author saw %d conflicts", id.Short(), own.Open, len(got.View.Conflicts))
	case own.Open:
	case own.Deleted != got.View.Absent(), own.Change != nil && !maps.Equal(own.Change.Whole, got.Leaves):
		return fmt.Errorf("revision %s says %v, and with what its author saw that is %v", id.Short(), own.Change, got.Leaves)
	}
	return nil
}

// wrote is the value of the revision that the step wrote, as its author saw it.
func (t *turn) wrote() *sight { return t.asWritten(t.made.revisions[0]) }

// asWritten is the whole value of a revision as its author saw it.
func (t *turn) asWritten(id dag.RevisionID) *sight {
	r := t.mirror.oracle.Revision(crdt.RevisionID(id))
	s := only(r)
	switch {
	case r.Deleted:
	case r.Change != nil:
		s.reading.Leaves = r.Change.Whole
	default:
		s.reading.Leaves = leavesOf(nil, r.Kind, r.Value, crdt.Root)
	}
	return s
}

// spot finds the place of a step.
func (t *turn) spot() (at place, ref rpc.KeyRef, refusal rpc.Code, err error) {
	fork, text, refusal, err := t.fork(t.s.Fork, true)
	return place{fork, t.s.Key}, rpc.KeyRef{Fork: text, Key: t.s.Key}, refusal, err
}

// whole puts a whole value, of a kind that is given or of that which the key has.
func whole(ctx context.Context, t *turn) error {
	at, ref, refusal, err := t.spot()
	if err != nil {
		return err
	}
	was := t.see(at)
	c, err := t.condition(at, was)
	if err != nil {
		return err
	}
	q := rpc.PutRequest{KeyRef: ref, Value: textOf(t.s.Value), Base: c.base, IfMatch: c.match}
	if t.s.Kind != "" {
		if q.Kind, err = crdt.ParseKind(t.s.Kind); err != nil {
			return err
		}
	} else if c.base != "" && len(c.parents) > 1 {
		return errNothing // what is served to whom has read these is not known here
	}
	want := t.replaced(at, c.read, q.Kind, q.Value)
	want.parents, want.loose = c.parents, c.base != ""
	refusal = first(refusal, c.refusal)
	if want.leaves == nil {
		refusal = first(refusal, rpc.CodeUnparsed)
	}
	var got rpc.Written
	if done, err := t.expect(refusal, func() (err error) { got, err = t.n.Put(ctx, q); return err }); !done {
		return err
	}
	return first(t.came(want), t.answered(&got, at))
}

// replaced is what is left when a value replaces all that there was; its leaves
// are nil if it is none of its kind.
func (t *turn) replaced(at place, read *sight, kind crdt.Kind, value []byte) *written {
	p := t.mirror.policy(t.n.has, at.fork, at.key)
	kind = p.kindFor(at.key, read, kind)
	w := &written{at: at, parents: read.headIDs(), kind: kind, text: value, leaves: leavesOf(p.lists, kind, value, crdt.Root)}
	if at.key == rpc.PolicyKey && !isPolicies(value) {
		w.leaves = nil
	}
	return w
}

// edit puts a value at a path of a document, or, without one, removes what is
// there.
func edit(ctx context.Context, t *turn) error {
	at, ref, refusal, err := t.spot()
	if err != nil {
		return err
	}
	path := crdt.Path(t.s.Path)
	if top, _, ok := strings.Cut(t.s.Path, "["); ok && len(t.see(at).leaves().at(crdt.Path(top+"[x]"))) == 0 {
		return errNothing
	}
	return t.edit(at, path, t.s.Value, refusal, func() error {
		if t.s.Value == "" {
			_, err := t.n.Delete(ctx, rpc.DeleteRequest{KeyRef: ref, Path: path})
			return err
		}
		_, err := t.n.Put(ctx, rpc.PutRequest{KeyRef: ref, Value: []byte(t.s.Value), Path: path})
		return err
	})
}

// edit checks a call that puts a value at a path, or removes what is there.
func (t *turn) edit(at place, path crdt.Path, value string, refusal rpc.Code, call func() error) error {
	was := t.see(at)
	want := t.edited(at, was, path, value)
	if isOther := !was.view.Absent() && !isDocument(was.view.Kind); isOther || value != "" && !was.leaves().leadsTo(path) {
		refusal = first(refusal, rpc.CodeInvalid)
	}
	for _, p := range was.paths() {
		// It is below a conflict, or would write {} over one.
		if path.Below(p) || slices.Contains(want.left, p) && !maps.Equal(was.leaves().at(p), want.leaves.at(p)) {
			refusal = first(refusal, rpc.CodeConflict)
		}
	}
	if want.leaves.mixed() {
		refusal = first(refusal, rpc.CodeInvalid)
	}
	if done, err := t.expect(refusal, call); !done {
		return err
	}
	return t.came(want)
}

// edited is what is left when a value stands at a path; "" is none.
func (t *turn) edited(at place, was *sight, path crdt.Path, value string) *written {
	part := leaves{}
	p := t.mirror.policy(t.n.has, at.fork, at.key)
	want := &written{at: at, parents: was.headIDs()}
	if value != "" {
		part = leavesOf(p.lists, crdt.YAML, []byte(value), path)
		if want.kind = was.view.Kind; was.view.Absent() {
			want.kind = p.documentKind()
		}
	}
	want.leaves = was.leaves().with(path, part)
	want.gone = len(want.leaves) == 0
	want.left = slices.DeleteFunc(was.paths(), func(p crdt.Path) bool { return p.Within(path) })
	return want
}

func isDocument(k crdt.Kind) bool { return k == crdt.JSON || k == crdt.YAML }

// incr adds to a counter.
func incr(ctx context.Context, t *turn) error {
	at, ref, refusal, err := t.spot()
	if err != nil {
		return err
	}
	by, err := strconv.ParseInt(t.s.Value, 10, 64)
	if err != nil {
		return err
	}
	was := t.see(at)
	if isCounter := was.view.Kind == crdt.Counter; !isCounter && (was.conflicted() || !was.view.Absent()) {
		refusal = first(refusal, rpc.CodeInvalid)
	}
	before, _ := strconv.ParseInt(was.leaves()[crdt.Root], 10, 64)
	total := strconv.FormatInt(before+by, 10)
	want := written{at: at, parents: was.headIDs(), leaves: leaves{crdt.Root: total}, left: was.paths(), kind: crdt.Counter}
	var got rpc.Counted
	if done, err := t.expect(refusal, func() (err error) {
		got, err = t.n.Increment(ctx, rpc.IncrementRequest{KeyRef: ref, By: by})
		return err
	}); !done {
		return err
	}
	// Nothing makes no counter; and a side that was deleted can be one by now.
	want.loose = by == 0 || was.conflicted() && (was.view.Absent() || was.view.Conflicts[0].Kind == crdt.TypeConflict)
	if t.withheld(t.n.has, at) {
		total = ""
	}
	if !want.loose && got.Total != total {
		return fmt.Errorf("counted %s, want %s", got.Total, total)
	}
	return t.came(&want)
}

// changeSet adds an element to a set; How is remove for the contrary.
func changeSet(ctx context.Context, t *turn) error {
	at, ref, refusal, err := t.spot()
	if err != nil {
		return err
	}
	was := t.see(at)
	want := written{at: at, parents: was.headIDs(), leaves: maps.Clone(was.leaves())}
	if want.leaves == nil {
		want.leaves = leaves{}
	}
	q := rpc.ElementsRequest{KeyRef: ref}
	place := crdt.Root.Element(t.s.Value)
	if t.s.How == "remove" {
		q.Remove, want.gone = []string{t.s.Value}, was.view.Absent()
		delete(want.leaves, place)
	} else {
		q.Add, want.leaves[place] = []string{t.s.Value}, element
	}
	switch {
	case was.conflicted():
		refusal = first(refusal, rpc.CodeConflict)
	case !was.view.Absent() && was.view.Kind != crdt.Set:
		refusal = first(refusal, rpc.CodeInvalid)
	}
	if done, err := t.expect(refusal, func() error { _, err := t.n.ChangeSet(ctx, q); return err }); !done {
		return err
	}
	return t.came(&want)
}

// settle settles one conflict: by the side of a letter, a value, or, without
// both, by removing what is there.
func settle(ctx context.Context, t *turn) error {
	at, ref, refusal, err := t.spot()
	if err != nil {
		return err
	}
	was, path := t.see(at), crdt.Path(t.s.Path)
	i := slices.Index(was.paths(), path)
	if i < 0 {
		return errNothing
	}
	q := rpc.ResolveRequest{KeyRef: ref, Path: path, Take: t.s.Take}
	part, gone := leaves{}, false
	switch {
	case q.Take != "":
		j := slices.IndexFunc(was.view.Conflicts[i].Sides, func(s crdt.Side) bool { return s.Letter == q.Take })
		if j < 0 {
			return errNothing
		}
		part, gone = was.reading.Sides[i][j], was.view.Conflicts[i].Sides[j].Deleted
	case t.s.Value != "":
		value := textOf(t.s.Value)
		p := t.mirror.policy(t.n.has, at.fork, at.key)
		q.Value, part = &value, leavesOf(p.lists, p.kindFor(at.key, was, 0), value, path)
	default:
		q.Delete, gone = true, true
	}
	want := t.edited(at, was, path, "")
	want.mark = dag.MarkResolved
	if want.leaves = was.leaves().with(path, part); path == crdt.Root {
		want.leaves = part
		want.vague = q.Value == nil && leaves(part).reread(t.mirror.policy(t.n.has, at.fork, at.key).lists)
	}
	want.kind, want.gone = 0, len(want.leaves) == 0 && (path != crdt.Root || gone)
	if q.Value != nil && (part == nil || at.key == rpc.PolicyKey && path == crdt.Root && !isPolicies(*q.Value)) {
		refusal = first(refusal, rpc.CodeUnparsed)
	}
	if q.Value != nil && part != nil && !part.isElement(path) {
		refusal = first(refusal, rpc.CodeInvalid)
	}
	for _, p := range want.left {
		if !maps.Equal(was.leaves().at(p), want.leaves.at(p)) { // {} would be written over it
			refusal = first(refusal, rpc.CodeConflict)
		}
	}
	var got rpc.Written
	if done, err := t.expect(refusal, func() (err error) { got, err = t.n.Resolve(ctx, q); return err }); !done {
		return err
	}
	return first(t.came(want), t.answered(&got, at))
}

// job applies one file as the job of a label. What it has read is what it wrote
// last.
func job(ctx context.Context, t *turn) error {
	at, ref, refusal, err := t.spot()
	if err != nil {
		return err
	}
	label := cmp.Or(t.s.Name, "ci")
	was := t.see(at)
	want := written{at: at, parents: was.headIDs(), loose: true}
	var mine []crdt.RevisionID
	for _, r := range t.mirror.oracle.At(t.n.has).Visible(crdt.ForkID(at.fork), at.key) {
		if t.mirror.revisions[dag.RevisionID(r.ID)].Label == label {
			mine = append(mine, r.ID)
		}
	}
	newest := slices.DeleteFunc(slices.Clone(mine), func(id crdt.RevisionID) bool {
		return slices.ContainsFunc(mine, func(other crdt.RevisionID) bool { return t.mirror.oracle.Ancestors(other)[id] })
	})
	if len(newest) > 0 {
		want.parents = newest
	}
	file := t.replaced(at, was, 0, textOf(t.s.Value))
	if file.leaves == nil {
		refusal = first(refusal, rpc.CodeUnparsed)
	}
	q := rpc.ApplyRequest{Fork: ref.Fork, Label: label, Files: []rpc.File{{Key: at.key, Value: textOf(t.s.Value)}}}
	if done, err := t.expect(refusal, func() error { _, err := t.n.Apply(ctx, q); return err }); !done {
		return err
	}
	if err := t.came(&want); err != nil || len(t.made.revisions) == 0 {
		return err
	}
	if made := t.wrote(); !maps.Equal(made.leaves(), file.leaves) || made.view.Kind != file.kind {
		return fmt.Errorf("the job wrote %v of kind %s, its file is %v of kind %s", made.leaves(), made.view.Kind, file.leaves, file.kind)
	}
	return nil
}
