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

// wish is the revision that a step is to write.
type wish struct {
	at      place
	parents []crdt.RevisionID
	kind    crdt.Kind
	deleted bool
	value   []byte
	mark    dag.Mark
	old     *sight // what it brings back
}

// keptKind is the kind of a write without one.
func keptKind(s *sight) crdt.Kind {
	if s.exists() {
		return s.view.Kind
	}
	return crdt.Bytes
}

// fulfilled checks that the step wrote one revision, as wished.
func (t *turn) fulfilled(want *wish) error {
	if len(t.made.revisions) != 1 || len(t.blocks) != 1 {
		return fmt.Errorf("wrote %d revisions in %d blocks, want 1 in 1", len(t.made.revisions), len(t.blocks))
	}
	return t.granted(t.made.revisions[0], want, t.before[want.at])
}

// granted checks one revision, and that it took the place of its parents among
// the heads that were there.
func (t *turn) granted(id dag.RevisionID, want *wish, was *sight) error {
	r := t.mirror.revisions[id]
	home := t.mirror.home[id]
	value := home.payloads[slices.Index(home.Revisions, id)]
	parents := revisionIDs(r.Parents)
	if crdt.Kind(r.Kind) != want.kind || r.Deleted != want.deleted || !bytes.Equal(value, want.value) || r.Mark != want.mark || r.Key != want.at.key {
		return fmt.Errorf("wrote %s=%.8q of kind %d, deleted %v, mark %d; want %s=%.8q of kind %d, %v, %d",
			r.Key, value, r.Kind, r.Deleted, r.Mark, want.at.key, want.value, want.kind, want.deleted, want.mark)
	}
	if i := slices.Index(parents, was.view.Served); i > 0 {
		return fmt.Errorf("the served parent stands at %d, not first", i)
	}
	slices.SortFunc(parents, compareIDs)
	wanted := slices.SortedFunc(slices.Values(want.parents), compareIDs)
	if !slices.Equal(parents, wanted) {
		return fmt.Errorf("wrote with %d parents, want %d or others", len(parents), len(wanted))
	}
	heads := []crdt.RevisionID{crdt.RevisionID(id)}
	for _, h := range was.headIDs() {
		if !slices.Contains(parents, h) {
			heads = append(heads, h)
		}
	}
	slices.SortFunc(heads, compareIDs)
	if now := t.see(want.at); !slices.Equal(now.headIDs(), heads) || now.visible != was.visible+1 {
		return fmt.Errorf("%s became %s, from %s", t.name(want.at), t.tell(now), t.tell(was))
	}
	return nil
}

func compareIDs(a, b crdt.RevisionID) int { return bytes.Compare(a[:], b[:]) }

// answered checks the answer to a write of one key. Who had read all heads, and
// left nothing open, has settled what was.
func (t *turn) answered(got *rpc.Written, at place) error {
	was, now := t.before[at], t.see(at)
	settled, wrote := 0, len(t.blocks) > 0
	if was.conflicted() && !now.conflicted() && wrote && t.readAll(was) {
		settled = len(was.view.Conflicts[0].Sides)
	}
	switch {
	case !slices.Equal(revisionIDs(got.Heads), now.headIDs()):
		return fmt.Errorf("the answer has the heads %v, %s has %s", got.Heads, t.name(at), t.tell(now))
	case got.Conflict != now.conflicted() || got.Sibling != (wrote && len(now.heads) > 1) || got.Unchanged == wrote || got.Settled != settled:
		return fmt.Errorf("the answer says conflict %v, sibling %v, unchanged %v, settled %d; %s is %s", got.Conflict, got.Sibling, got.Unchanged, got.Settled, t.name(at), t.tell(now))
	case got.Block != t.made.block || wrote && got.Revision != t.made.revisions[0]:
		return fmt.Errorf("the answer names block %s, %s was written", got.Block, t.made.block)
	}
	t.made.token, t.made.of, t.made.heads = got.Token, at, now
	return nil
}

// readAll reports whether who wrote had read all heads of a place.
func (t *turn) readAll(was *sight) bool {
	parents := t.mirror.revisions[t.made.revisions[0]].Parents
	return !slices.ContainsFunc(was.headIDs(), func(id crdt.RevisionID) bool { return !slices.Contains(parents, dag.RevisionID(id)) })
}

// condition is what the arguments base, match and absent say.
type condition struct {
	base, match rpc.Token
	parents     []crdt.RevisionID
	read        *sight // what the parents are the heads of
	refusal     rpc.Code
}

// condition reads the tokens of a step, and what they must lead to.
func (t *turn) condition(at place, was *sight) (c condition, err error) {
	c.parents, c.read = was.headIDs(), was
	arg := cmp.Or(t.s.Base, t.s.Match)
	if arg == "" {
		return c, nil
	}
	n, ok := number(arg, "t")
	if !ok || t.World.made[n] == nil || t.World.made[n].token == "" {
		return c, errNothing
	}
	from := t.World.made[n]
	if from.of != at {
		c.refusal = rpc.CodeStale
	}
	if t.s.Base == "" {
		c.match = from.token
		if !from.heads.same(was) {
			c.refusal = rpc.CodeStale
		}
		return c, nil
	}
	c.base, c.parents, c.read = from.token, from.heads.headIDs(), from.heads
	for _, id := range c.parents {
		// It may be here, and not yet be visible on the fork.
		if c.refusal == "" && !t.readable(at, id) {
			c.refusal = rpc.CodeNotHere
		}
	}
	return c, nil
}

// readable reports whether a revision is visible at a place.
func (t *turn) readable(at place, id crdt.RevisionID) bool {
	for _, r := range t.mirror.oracle.At(t.n.has).Visible(crdt.ForkID(at.fork), at.key) {
		if r.ID == id {
			return true
		}
	}
	return false
}

// put writes a key, with or without a context; How is absent for --if-absent,
// create to name the fork into being.
func put(ctx context.Context, t *turn) error {
	create := t.s.How == "create" && t.s.Fork != ""
	fork, text, refusal, err := t.fork(t.s.Fork, true)
	if err != nil {
		return err
	}
	if create && refusal == rpc.CodeNotFound {
		if _, ok := number(text, "#"); ok || len(text) > 20 {
			return errNothing
		}
		fork, refusal = dag.NamedFork(text), ""
	}
	at := place{fork, t.s.Key}
	if t.before[at] == nil {
		t.before[at] = t.see(at)
	}
	was := t.before[at]
	c, err := t.condition(at, was)
	if err != nil {
		return err
	}
	if t.s.How == "absent" && !was.view.Absent() {
		c.refusal = first(c.refusal, rpc.CodeStale)
	}
	want := wish{at: at, parents: c.parents, kind: keptKind(c.read), value: expand(t.s.Value)}
	if t.s.Kind != "" {
		if want.kind, err = crdt.ParseKind(t.s.Kind); err != nil {
			return err
		}
	}
	var got rpc.Written
	done, err := t.expect(first(refusal, c.refusal), func() (err error) {
		q := rpc.PutRequest{
			KeyRef: rpc.KeyRef{Fork: text, Key: t.s.Key}, Value: want.value, Base: c.base, IfMatch: c.match, IfAbsent: t.s.How == "absent", CreateFork: create,
		}
		if t.s.Kind != "" {
			q.Kind = want.kind
		}
		got, err = t.n.Put(ctx, q)
		return err
	})
	if !done {
		return err
	}
	if create {
		t.made.fork = fork
	}
	if err := t.fulfilled(&want); err != nil {
		return err
	}
	if err := t.others(at); err != nil {
		return err
	}
	return t.answered(&got, at)
}

// del deletes a key, or all below a prefix.
func del(ctx context.Context, t *turn) error {
	fork, text, refusal, err := t.fork(t.s.Fork, true)
	if err != nil {
		return err
	}
	q := rpc.DeleteRequest{KeyRef: rpc.KeyRef{Fork: text, Key: t.s.Key}, Recursive: strings.HasSuffix(t.s.Key, "/")}
	if q.Recursive {
		return t.delBelow(ctx, fork, refusal, q)
	}
	at := place{fork, t.s.Key}
	was := t.see(at)
	c, err := t.condition(at, was)
	if err != nil {
		return err
	}
	q.Base, q.IfMatch = c.base, c.match
	var got rpc.Written
	done, err := t.expect(first(refusal, c.refusal), func() (err error) { got, err = t.n.Delete(ctx, q); return err })
	if !done {
		return err
	}
	if err := t.others(at); err != nil {
		return err
	}
	if was.view.Absent() && !was.conflicted() && (c.base == "" || len(c.parents) == 0) {
		if len(t.blocks) > 0 {
			return fmt.Errorf("deleted what is not there")
		}
	} else if err := t.fulfilled(&wish{at: at, parents: c.parents, kind: keptKind(was), deleted: true}); err != nil {
		return err
	}
	return t.answered(&got, at)
}

func (t *turn) delBelow(ctx context.Context, fork dag.ForkID, refusal rpc.Code, q rpc.DeleteRequest) error {
	var touched []place
	var wishes []wish
	for _, key := range t.keys() {
		at := place{fork, key}
		if was := t.see(at); strings.HasPrefix(key, q.Key) && (!was.view.Absent() || was.conflicted()) {
			touched = append(touched, at)
			wishes = append(wishes, wish{at: at, parents: was.headIDs(), kind: was.view.Kind, deleted: true})
		}
	}
	var got rpc.Written
	done, err := t.expect(refusal, func() (err error) { got, err = t.n.Delete(ctx, q); return err })
	if !done {
		return err
	}
	if got.Keys != len(wishes) {
		return fmt.Errorf("the answer says %d keys, want %d", got.Keys, len(wishes))
	}
	if err := t.all(wishes); err != nil {
		return err
	}
	return t.others(touched...)
}

// all checks that the step wrote these revisions, one for each place, and no
// others: in one block, or in several that nobody sees before the last.
func (t *turn) all(wishes []wish) error {
	if len(t.made.revisions) != len(wishes) || len(wishes) == 0 && len(t.blocks) > 0 || len(wishes) == 1 && len(t.blocks) > 1 {
		return fmt.Errorf("wrote %d revisions in %d blocks, want %d", len(t.made.revisions), len(t.blocks), len(wishes))
	}
	for _, want := range wishes {
		i := slices.IndexFunc(t.made.revisions, func(id dag.RevisionID) bool { return t.mirror.revisions[id].Key == want.at.key })
		if i < 0 {
			return fmt.Errorf("wrote nothing to %s", t.name(want.at))
		}
		if err := t.granted(t.made.revisions[i], &want, t.before[want.at]); err != nil {
			return err
		}
	}
	return nil
}

// atOnce checks that nobody sees a part of what the step wrote.
func (t *turn) atOnce() error {
	if len(t.blocks) < 2 {
		return nil
	}
	part := maps.Clone(t.n.has)
	delete(part, oracle.Block(t.blocks[len(t.blocks)-1].id))
	for at, was := range t.before {
		if now := t.mirror.see(part, at); !was.same(now) || was.visible != now.visible {
			return fmt.Errorf("%s was %s before the last block of %d", t.name(at), t.tell(now), len(t.blocks))
		}
	}
	return nil
}

// read takes a token.
func read(ctx context.Context, t *turn) error {
	fork, text, refusal, err := t.fork(t.s.Fork, false)
	if err != nil {
		return err
	}
	at := place{fork, t.s.Key}
	if refusal == "" && t.withheld(t.n.has, at) {
		refusal = rpc.CodeConflict
	}
	var got rpc.Entry
	done, err := t.expect(refusal, func() (err error) {
		got, err = t.n.Get(ctx, rpc.GetRequest{KeyRef: rpc.KeyRef{Fork: text, Key: t.s.Key}})
		return err
	})
	if !done {
		return err
	}
	t.made.token, t.made.of, t.made.heads = got.Token, at, t.see(at)
	return t.sameEntry(&got, t.see(at), false)
}

// apply writes several keys as one change: Value has them as key:value, and
// Only a prefix whose other keys are pruned ("." for none). Three files are
// more than one block takes.
func apply(ctx context.Context, t *turn) error {
	fork, text, refusal, err := t.fork(t.s.Fork, true)
	if err != nil {
		return err
	}
	q := rpc.ApplyRequest{Fork: text, Prune: t.s.How == "prune"}
	var want rpc.Applied
	var wishes []wish
	for _, file := range list(t.s.Value) {
		key, value, _ := strings.Cut(file, ":")
		q.Files = append(q.Files, rpc.File{Key: key, Value: expand(value)})
		at := place{fork, key}
		was := t.see(at)
		switch {
		case !was.view.Absent() && !was.conflicted() && was.value() == string(expand(value)):
			want.Unchanged++
			continue
		case was.view.Absent():
			want.Created = append(want.Created, key)
		default:
			want.Changed = append(want.Changed, key)
		}
		wishes = append(wishes, wish{at: at, parents: was.headIDs(), kind: keptKind(was), value: expand(value)})
	}
	for _, key := range slices.Sorted(slices.Values(t.keys())) {
		at := place{fork, key}
		was := t.see(at)
		kept := slices.ContainsFunc(q.Files, func(f rpc.File) bool { return f.Key == key })
		if q.Prune && !kept && (!was.view.Absent() || was.conflicted()) {
			want.Deleted = append(want.Deleted, key)
			wishes = append(wishes, wish{at: at, parents: was.headIDs(), kind: was.view.Kind, deleted: true})
		}
	}
	var got rpc.Applied
	done, err := t.expect(refusal, func() (err error) { got, err = t.n.Apply(ctx, q); return err })
	if !done {
		return err
	}
	if !slices.Equal(got.Created, want.Created) || !slices.Equal(got.Changed, want.Changed) || !slices.Equal(got.Deleted, want.Deleted) || got.Unchanged != want.Unchanged {
		return fmt.Errorf("the answer is %+v, want %+v", got, want)
	}
	if err := t.all(wishes); err != nil {
		return err
	}
	var touched []place
	for _, w := range wishes {
		touched = append(touched, w.at)
	}
	return t.others(touched...)
}
