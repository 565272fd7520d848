package simulation

import (
	"bytes"
	"cmp"
	"context"
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

// kindOf is the kind of a key in a history of documents.
func kindOf(key string) crdt.Kind {
	switch key {
	case "app/b":
		return crdt.Counter
	case "env/z":
		return crdt.Set
	}
	return crdt.JSON
}

// declare sets the policies that all forks of a history of documents have.
func (w *World) declare(ctx context.Context) error {
	w.documents = true
	p := rpc.Policy{Pattern: "**", Lists: map[crdt.PathPattern]crdt.ListSchema{}}
	for _, rule := range schemas {
		p.Lists[rule.Path] = rule.Schema
	}
	kinds := []rpc.Policy{p}
	for _, key := range keys {
		kinds = append(kinds, rpc.Policy{Pattern: key, Kind: kindOf(key).String()})
	}
	for _, p := range kinds {
		if _, err := w.nodes[0].ChangePolicy(ctx, rpc.PolicyRequest{Policy: p}); err != nil {
			return err
		}
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
	gone    bool        // deleted
	left    []crdt.Path // where conflicts stay open
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
		if want.loose || maps.Equal(was.leaves(), want.leaves) && was.view.Absent() == want.gone && slices.Equal(was.paths(), want.left) {
			return t.others()
		}
		return fmt.Errorf("wrote nothing, and %s is %s", t.name(want.at), t.tell(was))
	}
	if len(t.made.revisions) != 1 || len(t.blocks) != 1 {
		return fmt.Errorf("wrote %d revisions in %d blocks, want 1 in 1", len(t.made.revisions), len(t.blocks))
	}
	id := t.made.revisions[0]
	parents := slices.SortedFunc(slices.Values(revisionIDs(t.mirror.revisions[id].Parents)), compareIDs)
	if !slices.Equal(parents, slices.SortedFunc(slices.Values(want.parents), compareIDs)) {
		return fmt.Errorf("wrote with %d parents, want %d or others", len(parents), len(want.parents))
	}
	if err := t.honest(id); err != nil {
		return err
	}
	now := t.see(want.at)
	if !want.loose && (!maps.Equal(now.leaves(), want.leaves) || now.view.Absent() != want.gone || !slices.Equal(now.paths(), want.left)) {
		return fmt.Errorf("%s became %v, conflicts at %v; want %v, %v", t.name(want.at), now.leaves(), now.paths(), want.leaves, want.left)
	}
	return t.others(want.at)
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

// spot finds the place of a step.
func (t *turn) spot() (at place, ref rpc.KeyRef, refusal rpc.Code, err error) {
	fork, text, refusal, err := t.fork(t.s.Fork, true)
	return place{fork, t.s.Key}, rpc.KeyRef{Fork: text, Key: t.s.Key}, refusal, err
}

// whole puts a whole value.
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
	q := rpc.PutRequest{KeyRef: ref, Kind: kindOf(at.key), Value: []byte(t.s.Value), Base: c.base, IfMatch: c.match}
	want := written{at: at, parents: c.parents, leaves: leavesOf(q.Kind, q.Value, crdt.Root), loose: c.base != ""}
	if done, err := t.expect(first(refusal, c.refusal), func() error { _, err := t.n.Put(ctx, q); return err }); !done {
		return err
	}
	return t.came(&want)
}

// edit puts a value at a path of a document, or, without one, removes what is
// there.
func edit(ctx context.Context, t *turn) error {
	at, ref, refusal, err := t.spot()
	if err != nil {
		return err
	}
	path, was := crdt.Path(t.s.Path), t.see(at)
	if top, _, ok := strings.Cut(t.s.Path, "["); ok && len(was.leaves().at(crdt.Path(top+"[x]"))) == 0 {
		return errNothing
	}
	want := t.edited(at, was, path, t.s.Value)
	if t.s.Value != "" && !was.leaves().leadsTo(path) {
		refusal = first(refusal, rpc.CodeInvalid)
	}
	for _, p := range was.paths() {
		// It is below a conflict, or would write {} over one.
		if path.Below(p) || slices.Contains(want.left, p) && !maps.Equal(was.leaves().at(p), want.leaves.at(p)) {
			refusal = first(refusal, rpc.CodeConflict)
		}
	}
	if done, err := t.expect(refusal, func() error {
		if t.s.Value == "" {
			_, err := t.n.Delete(ctx, rpc.DeleteRequest{KeyRef: ref, Path: path})
			return err
		}
		_, err := t.n.Put(ctx, rpc.PutRequest{KeyRef: ref, Value: []byte(t.s.Value), Path: path})
		return err
	}); !done {
		return err
	}
	return t.came(want)
}

// edited is what is left when a value stands at a path; "" is none.
func (t *turn) edited(at place, was *sight, path crdt.Path, value string) *written {
	part := leaves{}
	if value != "" {
		part = leavesOf(crdt.JSON, []byte(value), path)
	}
	want := &written{at: at, parents: was.headIDs(), leaves: was.leaves().with(path, part)}
	want.gone = len(want.leaves) == 0
	want.left = slices.DeleteFunc(was.paths(), func(p crdt.Path) bool { return p.Within(path) })
	return want
}

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
	before, _ := strconv.ParseInt(was.leaves()[crdt.Root], 10, 64)
	total := strconv.FormatInt(before+by, 10)
	want := written{at: at, parents: was.headIDs(), leaves: leaves{crdt.Root: total}, left: was.paths()}
	var got rpc.Counted
	if done, err := t.expect(refusal, func() (err error) {
		got, err = t.n.Increment(ctx, rpc.IncrementRequest{KeyRef: ref, By: by})
		return err
	}); !done {
		return err
	}
	// Nothing makes no counter; and a side that was deleted can be one by now.
	want.loose = by == 0 || was.conflicted() && was.view.Absent()
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
	if was.conflicted() {
		refusal = first(refusal, rpc.CodeConflict)
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
		value := []byte(t.s.Value)
		q.Value, part = &value, leavesOf(kindOf(at.key), value, path)
	default:
		q.Delete, gone = true, true
	}
	want := t.edited(at, was, path, "")
	if want.leaves = was.leaves().with(path, part); path == crdt.Root {
		want.leaves = part
	}
	want.gone = len(want.leaves) == 0 && (path != crdt.Root || gone)
	for _, p := range want.left {
		if !maps.Equal(was.leaves().at(p), want.leaves.at(p)) { // {} would be written over it
			refusal = first(refusal, rpc.CodeConflict)
		}
	}
	if done, err := t.expect(refusal, func() error { _, err := t.n.Resolve(ctx, q); return err }); !done {
		return err
	}
	return t.came(want)
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
	q := rpc.ApplyRequest{Fork: ref.Fork, Label: label, Files: []rpc.File{{Key: at.key, Value: []byte(t.s.Value)}}}
	if done, err := t.expect(refusal, func() error { _, err := t.n.Apply(ctx, q); return err }); !done {
		return err
	}
	if err := t.came(&want); err != nil || len(t.made.revisions) == 0 {
		return err
	}
	made := t.mirror.oracle.Revision(crdt.RevisionID(t.made.revisions[0])).Change.Whole
	if file := leavesOf(kindOf(at.key), []byte(t.s.Value), crdt.Root); !maps.Equal(made, file) {
		return fmt.Errorf("the job wrote %v, its file is %v", made, file)
	}
	return nil
}

// join merges one fork into another.
func join(ctx context.Context, t *turn) error {
	src, from, noSource, err := t.fork(t.s.From, true)
	if err != nil {
		return err
	}
	dst, into, noFork, err := t.fork(t.s.Fork, true)
	if err != nil {
		return err
	}
	refusal := first(noSource, noFork)
	if from == "" || into == "" || src == dst {
		return errNothing
	}
	f := &foresight{src: src, dst: dst}
	how := rpc.Strategy(t.s.How)
	for _, key := range keys {
		k := foreseen{at: place{dst, key}}
		if refusal != "" {
			break
		}
		if k.was, k.now = t.see(k.at), t.mirror.foresee(t.n.has, k.at, src); k.was.same(k.now) {
			continue
		}
		k.conflict = k.tears()
		if k.conflict && (how == "" || how == rpc.OnConflictFail) {
			refusal = rpc.CodeConflict
		}
		f.keys = append(f.keys, k)
	}
	t.made.plan = f
	done, err := t.expect(refusal, func() error {
		_, err := t.n.Merge(ctx, rpc.MergeRequest{Source: from, Into: into, OnConflict: how})
		return err
	})
	if !done {
		return err
	}
	var touched []place
	for i := range f.keys {
		touched = append(touched, f.keys[i].at)
		if err := t.joined(f, &f.keys[i], how); err != nil {
			return err
		}
	}
	return t.others(touched...)
}

// tears: there is a conflict that was not there, or stood otherwise.
func (k *foreseen) tears() bool {
	return slices.ContainsFunc(k.now.view.Conflicts, func(c crdt.Conflict) bool {
		return !slices.ContainsFunc(k.was.view.Conflicts, func(b crdt.Conflict) bool { return b.ID == c.ID && b.State == c.State })
	})
}

// joined checks what a merge made of a key: what was foreseen, and where there
// is a conflict what settles it.
func (t *turn) joined(f *foresight, k *foreseen, how rpc.Strategy) error {
	now := t.see(k.at)
	if how == rpc.OnConflictKeep || !k.conflict {
		if !now.same(k.now) || now.view.Served != k.now.view.Served || !maps.Equal(now.leaves(), k.now.leaves()) {
			return fmt.Errorf("%s became %v, foreseen was %v", t.name(k.at), now.leaves(), k.now.leaves())
		}
		return nil
	}
	want := maps.Clone(k.now.leaves())
	for i, c := range k.now.view.Conflicts {
		var part leaves
		switch how {
		case rpc.OnConflictOurs:
			part = k.was.leaves().at(c.Path)
		case rpc.OnConflictTheirs:
			part = t.see(place{f.src, k.at.key}).leaves().at(c.Path)
		default:
			part = k.now.reading.Sides[i][t.newest(&c)]
		}
		if want = leaves(want).with(c.Path, part); c.Path == crdt.Root {
			want = part
		}
	}
	if now.conflicted() || len(now.heads) != 1 || !maps.Equal(now.leaves(), want) {
		return fmt.Errorf("%s was settled, and is %v of %d heads, want %v", t.name(k.at), now.leaves(), len(now.heads), want)
	}
	id := now.headIDs()[0]
	if parents := t.mirror.revisions[dag.RevisionID(id)].Parents; len(parents) != len(k.now.heads) {
		return fmt.Errorf("the settlement of %s has %d parents, want %d", t.name(k.at), len(parents), len(k.now.heads))
	}
	return t.honest(dag.RevisionID(id))
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

// documentPaths are the places that edits are of.
var documentPaths = []string{"/a", "/b", "/o", "/o/a", "/o/b", "/l/[x]/v", "/l/[y]"}

// documents are whole values, parts those of a place.
var (
	documents = []string{
		`{"a":1,"b":1,"o":{"a":1,"b":1}}`, `{"a":1,"b":2}`, `{"b":2,"a":1.0}`, "{\n\"b\":2,\n\n\"a\":1\n}", "{\n\"b\":3,\n\n\"a\":1.0\n}", `{"a":2,"o":{"b":2}}`, `{"o":"s"}`, `{}`, `[1,2]`, `1.0`,
		`{"a":1,"l":[{"n":"x","v":1},{"n":"y","v":1}]}`, `{"a":1,"l":[{"n":"y","v":1},{"n":"x","v":2}],"t":["p","q"]}`, `{"l":[{"n":"x","v":1}],"t":["q"]}`,
	}
	parts = []string{"1", "2", `"s"`, "null", "{}", `{"a":1}`, `{"a":2,"b":1}`, "[1,2]", "1.0"}
)

func (c *chooser) whole(s *Step) bool {
	c.spot(s)
	s.Value = c.wholeValue(s.Key)
	c.context(s)
	if s.Key != "" && s.Base+s.Match != "" {
		s.Value = c.wholeValue(s.Key)
	}
	return true
}

func (c *chooser) wholeValue(key string) string {
	switch kindOf(key) {
	case crdt.Counter:
		return strconv.Itoa(c.IntN(4))
	case crdt.Set:
		return pickOne(c, []string{`[]`, `["x"]`, `["x","y"]`, `["y","z"]`})
	}
	return pickOne(c, documents)
}

// only picks a place of a key.
func (c *chooser) only(s *Step, keys ...string) bool {
	s.Fork, s.Key = c.forkArg(), pickOne(c, keys)
	return true
}

func (c *chooser) edit(s *Step) bool {
	c.only(s, "k", "k", "app/a")
	s.Path = pickOne(c, documentPaths)
	if !c.rarely(4) {
		s.Value = pickOne(c, parts)
	}
	fork, _, _, err := c.turn(s).fork(s.Fork, false)
	if err != nil {
		return false
	}
	// An element is written below a list that is there, and not by its name.
	was := c.w.mirror.see(c.n.has, place{fork, s.Key}).leaves()
	if strings.Contains(s.Path, "[") {
		up := crdt.Path(s.Path)
		for strings.Contains(string(up), "[") {
			up = up.Parent()
		}
		if s.Path == "/l/[y]" {
			s.Value = ""
		}
		return len(was.at(up+"/[x]")) > 0
	}
	return len(was) > 0 && s.Value != "" || len(was.at(crdt.Path(s.Path))) > 0
}

func (c *chooser) incr(s *Step) bool {
	s.Value = strconv.Itoa(c.IntN(7) - 2)
	return c.only(s, "app/b")
}

func (c *chooser) element(s *Step) bool {
	s.Value = pickOne(c, []string{"x", "y", "z"})
	if c.rarely(3) {
		s.How = "remove"
	}
	return c.only(s, "env/z")
}

func (c *chooser) settle(s *Step) bool {
	open := c.conflicts()
	if len(open) == 0 {
		return false
	}
	at := pickOne(c, open)
	conflict := pickOne(c, c.w.mirror.see(c.n.has, at).view.Conflicts)
	s.Fork, s.Key, s.Path = c.argOf(at.fork), at.key, string(conflict.Path)
	switch {
	case c.rarely(5) && conflict.Path == crdt.Root:
		s.Value = c.wholeValue(at.key)
	case c.rarely(5):
		s.Value = pickOne(c, parts)
		return conflict.Path != crdt.Root
	case !c.rarely(6):
		s.Take = pickOne(c, conflict.Sides).Letter
	}
	return true
}

func (c *chooser) join(s *Step) bool {
	src, dst, ok := c.unmerged()
	s.From, s.Fork = c.argOf(src), c.argOf(dst)
	s.How = pickOne(c, []string{"", "keep", "keep", "keep", "keep", "ours", "theirs", "lww"})
	return ok
}

func (c *chooser) job(s *Step) bool {
	c.spot(s)
	s.Value = c.wholeValue(s.Key)
	if c.rarely(3) {
		s.Name = "cd"
	}
	return true
}
