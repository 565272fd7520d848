package dag_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// commit fails the test on an error.
func (n *node) commit(t testing.TB, fn func(tx *dag.Tx) error) dag.Receipt {
	t.Helper()
	r, err := n.Commit(t.Context(), dag.Note{}, fn)
	if err != nil {
		t.Fatalf("%s: commit: %v", n.name, err)
	}
	return r
}

// op commits operations alone.
func (n *node) op(t testing.TB, ops ...dag.Op) dag.Receipt {
	t.Helper()
	return n.commit(t, func(tx *dag.Tx) error {
		for _, op := range ops {
			if err := tx.Op(op); err != nil {
				return err
			}
		}
		return nil
	})
}

// fork makes a fork of others as they are, or an empty one.
func (n *node) fork(t testing.TB, name string, from ...dag.ForkID) dag.ForkID {
	t.Helper()
	var cs []dag.Contribution
	for _, f := range from {
		cs = append(cs, dag.NewContribution(f, nil, nil))
	}
	return n.forkOf(t, name, cs...)
}

func (n *node) forkOf(t testing.TB, name string, from ...dag.Contribution) (id dag.ForkID) {
	t.Helper()
	n.commit(t, func(tx *dag.Tx) error {
		f, err := tx.CreateFork(name, from...)
		id = f.ID
		return err
	})
	return id
}

func (n *node) nameFork(t testing.TB, name string) (id dag.ForkID) {
	t.Helper()
	n.commit(t, func(tx *dag.Tx) error {
		f, err := tx.NameFork(name)
		id = f.ID
		return err
	})
	return id
}

// merge merges a fork as it is.
func (n *node) merge(t testing.TB, into, from dag.ForkID, f *dag.Filter) {
	t.Helper()
	n.op(t, dag.NewOp(dag.MergeOp{Into: into, From: dag.NewContribution(from, nil, f)}))
}

// set writes a value, having seen all; DEL deletes.
func (n *node) set(t testing.TB, fork dag.ForkID, key, value string) dag.RevisionID {
	t.Helper()
	return n.commit(t, func(tx *dag.Tx) error {
		e, err := tx.Entry(fork, key)
		if err != nil {
			return err
		}
		return tx.Put(dag.Draft{Fork: fork, Key: key, Parents: headIDs(e), Kind: 1, Payload: []byte(value), Deleted: value == "DEL"})
	}).Revisions[0]
}

// heads are the values of the heads, sorted, DEL for a delete.
func (n *node) heads(t testing.TB, fork dag.ForkID, key string) string {
	t.Helper()
	e, err := n.Entry(fork, key)
	if err != nil {
		t.Fatalf("%s: entry: %v", n.name, err)
	}
	var out []string
	for i := range e.Heads {
		v, err := n.Payload(&e.Heads[i])
		if err != nil {
			t.Fatal(err)
		}
		if e.Heads[i].Deleted {
			v = []byte("DEL")
		}
		out = append(out, string(v))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// is checks the heads of a key on a fork.
func (n *node) is(t testing.TB, fork dag.ForkID, key, want string) {
	t.Helper()
	if got := n.heads(t, fork, key); got != want {
		t.Errorf("%s: %q on %s is %q, want %q", n.name, key, fork.Short(), got, want)
	}
}

// team is some nodes that have met.
func team(t testing.TB, names ...string) (out []*node) {
	out = append(out, foundNode(t, names[0]))
	for _, name := range names[1:] {
		out = append(out, out[0].enlist(t, name, dag.RoleWriter))
	}
	gather(t, out...)
	return out
}

// gather exchanges everything, first ones first.
func gather(t testing.TB, ns ...*node) {
	t.Helper()
	for range 2 {
		for _, to := range ns {
			for _, from := range ns {
				to.pull(t, from)
			}
		}
	}
}

// names is what nodes must agree on about a name.
func (n *node) names(name string) string {
	var out []string
	for _, f := range n.ForksLabelled(name) {
		out = append(out, fmt.Sprint(f.ID, f.Name, f.Labels, f.Deleted, f.Clash))
	}
	f, ok := n.ForkNamed(name)
	return fmt.Sprint(out, f.ID, f.Name, f.Deleted, ok)
}

// agree checks that nodes that have the same say the same of a name, at once,
// after a restart, and rebuilt.
func agree(t *testing.T, name string, ns ...*node) {
	t.Helper()
	want := ns[0].names(name)
	for _, n := range ns {
		if n.Digest() != ns[0].Digest() {
			t.Fatalf("%s and %s have not met", n.name, ns[0].name)
		}
		if got := n.names(name); got != want {
			t.Errorf("%s says %s\n%s says %s", n.name, got, ns[0].name, want)
		}
		n.restart(t)
		if got := n.names(name); got != want {
			t.Errorf("%s says after a restart %s\n%s says %s", n.name, got, ns[0].name, want)
		}
		n.check(t)
	}
	rebuilt(t, ns[len(ns)-1])
}

func labelled(n *node, name string) (ids []dag.ForkID) {
	for _, f := range n.ForksLabelled(name) {
		ids = append(ids, f.ID)
	}
	return ids
}

func forkNamed(t testing.TB, n *node, name string) dag.Fork {
	t.Helper()
	f, ok := n.ForkNamed(name)
	if !ok {
		t.Fatalf("%s: there is no fork %q", n.name, name)
	}
	return f
}

func deleteOf(f dag.ForkID) dag.Op              { return dag.NewOp(dag.DeleteOp{Fork: f}) }
func renameOf(f dag.ForkID, name string) dag.Op { return dag.NewOp(dag.RenameOp{Fork: f, Name: name}) }
func restoreOf(f dag.ForkID) dag.Op             { return dag.NewOp(dag.RestoreOp{Fork: f}) }
func aliasOf(name string, f dag.ForkID) dag.Op  { return dag.NewOp(dag.AliasOp{Name: name, Fork: f}) }

func TestNameOnTwoNodes(t *testing.T) {
	ns := team(t, "a", "b", "c")
	a, b, c := ns[0], ns[1], ns[2]
	a.clock.Store(epoch + 2000)
	b.clock.Store(epoch + 1000)
	x, y := a.fork(t, "blue", dag.DefaultFork()), b.fork(t, "blue")
	a.set(t, x, "k", "a")
	b.set(t, y, "k", "b")
	c.pull(t, a)
	c.pull(t, b)
	gather(t, b, a, c)
	agree(t, "blue", a, b, c)
	if got := labelled(c, "blue"); !slices.Equal(got, []dag.ForkID{y, x}) {
		t.Errorf("forks called blue are %v, want %v first, then %v", got, y, x)
	}
	for _, n := range ns {
		first, second := forkNamed(t, n, "blue"), forkNamed(t, n, "blue~"+x.Short())
		if first.ID != y || !first.Clash || second.ID != x || !second.Clash || second.Name != "blue~"+x.Short() {
			t.Errorf("%s: %+v, %+v", n.name, first, second)
		}
		n.is(t, first.ID, "k", "b")
	}
	c.op(t, renameOf(y, "green"))
	gather(t, ns...)
	agree(t, "blue", a, b, c)
	if f := forkNamed(t, a, "blue"); f.ID != x || f.Clash {
		t.Errorf("after the rename blue is %+v", f)
	}
}

// TestNameGivenTwice: a fork that two nodes named into being has its name from
// the earlier of the two, whichever came first.
func TestNameGivenTwice(t *testing.T) {
	ns := team(t, "a", "b", "c")
	a, b, c := ns[0], ns[1], ns[2]
	a.clock.Store(epoch + 3000)
	b.clock.Store(epoch + 1000)
	c.clock.Store(epoch + 2000)
	named := a.nameFork(t, "blue")
	b.nameFork(t, "blue")
	other := c.fork(t, "blue")
	gather(t, ns...)
	agree(t, "blue", a, b, c)
	if got := labelled(a, "blue"); !slices.Equal(got, []dag.ForkID{named, other}) {
		t.Errorf("forks called blue are %v, want %v first, then %v", got, named, other)
	}
}

// TestNameInCommit: a commit sees the order of names that it will have left,
// even by a clock that is behind.
func TestNameInCommit(t *testing.T) {
	a := foundNode(t, "a")
	first := a.fork(t, "blue")
	a.clock.Store(0)
	a.commit(t, func(tx *dag.Tx) error {
		second, err := tx.CreateFork("blue")
		if f, _ := tx.Fork("blue"); f.ID != first || second.Name != "blue~"+second.ID.Short() {
			t.Errorf("in the commit blue is %v, and the new one %q", f, second.Name)
		}
		return err
	})
}

func TestRenameOnTwoNodes(t *testing.T) {
	ns := team(t, "a", "b")
	a, b := ns[0], ns[1]
	x := a.fork(t, "blue")
	gather(t, ns...)
	a.op(t, renameOf(x, "green"))
	b.op(t, renameOf(x, "red"))
	b.set(t, x, "k", "b")
	gather(t, ns...)
	for _, name := range []string{"blue", "green", "red"} {
		agree(t, name, a, b)
	}
	for _, n := range ns {
		if g, r := forkNamed(t, n, "green"), forkNamed(t, n, "red"); g.ID != x || r.ID != x || !slices.Equal(g.Labels, []string{"green", "red"}) {
			t.Errorf("%s: green is %+v, red %+v", n.name, g, r)
		}
		if _, ok := n.ForkNamed("blue"); ok {
			t.Errorf("%s: the old name works", n.name)
		}
		n.is(t, x, "k", "b")
	}
	a.op(t, renameOf(x, "red"))
	gather(t, ns...)
	agree(t, "green", a, b)
	if f := forkNamed(t, b, "red"); f.ID != x || len(f.Labels) != 1 {
		t.Errorf("settled as %+v", f)
	}
	if _, ok := b.ForkNamed("green"); ok {
		t.Error("green works after it was settled")
	}
}

// TestDeleteAgainst: what another node does to a fork at once revives it.
func TestDeleteAgainst(t *testing.T) {
	for name, test := range map[string]struct {
		do      func(t *testing.T, b *node, x dag.ForkID)
		revived bool
	}{
		"nothing":        {func(t *testing.T, b *node, x dag.ForkID) {}, false},
		"write":          {func(t *testing.T, b *node, x dag.ForkID) { b.set(t, x, "k", "b") }, true},
		"merge into it":  {func(t *testing.T, b *node, x dag.ForkID) { b.merge(t, x, dag.DefaultFork(), nil) }, true},
		"merge of it":    {func(t *testing.T, b *node, x dag.ForkID) { b.merge(t, dag.DefaultFork(), x, nil) }, false},
		"fork of it":     {func(t *testing.T, b *node, x dag.ForkID) { b.fork(t, "other", x) }, false},
		"rename":         {func(t *testing.T, b *node, x dag.ForkID) { b.op(t, renameOf(x, "blue")) }, true},
		"restore":        {func(t *testing.T, b *node, x dag.ForkID) { b.op(t, restoreOf(x)) }, true},
		"delete":         {func(t *testing.T, b *node, x dag.ForkID) { b.op(t, deleteOf(x)) }, false},
		"alias":          {func(t *testing.T, b *node, x dag.ForkID) { b.op(t, aliasOf("z", x)) }, false},
		"write, deleted": {func(t *testing.T, b *node, x dag.ForkID) { b.set(t, x, "k", "b"); b.op(t, deleteOf(x)) }, false},
	} {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprint(name, again), func(t *testing.T) {
				ns := team(t, "a", "b")
				a, b := ns[0], ns[1]
				x := a.fork(t, "blue", dag.DefaultFork())
				a.set(t, x, "k", "a")
				gather(t, ns...)
				a.op(t, deleteOf(x))
				var y dag.ForkID
				if again {
					y = a.fork(t, "blue")
				}
				test.do(t, b, x)
				gather(t, ns...)
				agree(t, "blue", a, b)
				f, _ := b.ForkOf(x)
				if f.Deleted == test.revived {
					t.Fatalf("deleted: %v", f.Deleted)
				}
				got, ok := b.ForkNamed("blue")
				switch {
				case again && (got.ID != y || got.Clash != test.revived || test.revived && f.Name != "blue~"+x.Short()):
					t.Errorf("blue is %+v, the revived one %+v", got, f)
				case !again && (ok != test.revived || ok && (got.ID != x || got.Name != "blue" || got.Clash)):
					t.Errorf("blue is %+v, %v", got, ok)
				}
			})
		}
	}
}

// TestNameAgain: a deleted fork that was named into being comes back when it
// is named again.
func TestNameAgain(t *testing.T) {
	ns := team(t, "a", "b")
	a, b := ns[0], ns[1]
	x := a.nameFork(t, "blue")
	gather(t, ns...)
	a.op(t, deleteOf(x))
	if _, ok := a.ForkNamed("blue"); ok {
		t.Error("a deleted name works")
	}
	if a.nameFork(t, "blue") != x {
		t.Error("another fork")
	}
	gather(t, ns...)
	agree(t, "blue", a, b)
	if f := forkNamed(t, b, "blue"); f.ID != x || f.Deleted || f.Name != "blue" {
		t.Errorf("blue is %+v", f)
	}
	b.op(t, deleteOf(x))
	gather(t, ns...)
	if f, _ := a.ForkOf(x); !f.Deleted {
		t.Errorf("after the second deletion: %+v", f)
	}
}

func TestDefaultForkStays(t *testing.T) {
	a := foundNode(t, "a")
	for _, op := range []dag.Op{deleteOf(dag.DefaultFork()), renameOf(dag.DefaultFork(), "x"), dag.NewOp(dag.MergeOp{Into: dag.DefaultFork(), From: dag.NewContribution(dag.DefaultFork(), nil, nil)})} {
		_, err := a.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error { return tx.Op(op) })
		if !errors.Is(err, dag.ErrVoid) {
			t.Errorf("%s: %v", op.Kind, err)
		}
	}
	x := a.fork(t, dag.DefaultForkName)
	if f := forkNamed(t, a, dag.DefaultForkName); f.ID != dag.DefaultFork() || !f.Clash {
		t.Errorf("default is %+v", f)
	}
	if f, _ := a.ForkOf(x); f.Name != dag.DefaultForkName+"~"+x.Short() {
		t.Errorf("the other is %+v", f)
	}
	if f, err := forkAt(a); err != nil || len(f) != 2 {
		t.Errorf("forks %v, %v", f, err)
	}
}

func forkAt(n *node) ([]dag.Fork, error) { return n.Forks(), nil }

func TestForkNamed(t *testing.T) {
	a := foundNode(t, "a")
	x, y := a.fork(t, "blue"), a.fork(t, "blue")
	a.op(t, aliasOf("prod", y), aliasOf("blue", y))
	a.op(t, dag.NewTag("release", tips(a)))
	for name, want := range map[string]dag.ForkID{
		"blue": x, "blue~" + x.Short(): x, "blue~" + y.Short(): y, x.String(): x, y.String(): y, "prod": y, "default": dag.DefaultFork(),
	} {
		if f := forkNamed(t, a, name); f.ID != want {
			t.Errorf("%q is %s, want %s", name, f.ID, want)
		}
	}
	for _, name := range []string{"", "release", "bl", "blue~", "blue~" + x.Short()[1:], "prod~" + y.Short(), "~" + x.Short(), "nope", strings.ToUpper(x.String())} {
		if f, ok := a.ForkNamed(name); ok {
			t.Errorf("%q is %+v", name, f)
		}
	}
	a.op(t, deleteOf(x), deleteOf(y))
	if f, ok := a.ForkNamed("blue"); !ok || f.ID != y || !f.Deleted {
		t.Errorf("the alias of a deleted fork is %+v, %v", f, ok)
	}
	a.op(t, dag.NewOp(dag.AliasOp{Name: "prod", Fork: y, Gone: true}))
	if _, ok := a.ForkNamed("prod"); ok || len(a.Aliases()) != 1 {
		t.Errorf("aliases %v", a.Aliases())
	}
	if f := forkNamed(t, a, "blue~"+x.Short()); f.ID != x || !f.Deleted {
		t.Errorf("a deleted fork by its label and id: %+v", f)
	}
}

// TestPointerOfClones: two clones set a tag at one place of one chain, with
// one Lamport time; all nodes take the same one.
func TestPointerOfClones(t *testing.T) {
	for i := range 6 {
		a := foundNode(t, "a")
		genesis := tips(a)
		a.put(t, "k", "1")
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		s := a.mem().Reopen()
		a.store = a.mem().Reopen()
		if err := a.open(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := openNode(t, "a", s)
		a.clock.Store(int64(i))
		b.clock.Store(int64(i))
		a.op(t, dag.NewTag("v1", genesis))
		b.op(t, dag.NewTag("v1", tips(b)))
		a.pull(t, b)
		b.pull(t, a)
		x, _ := a.Tag("v1")
		y, _ := b.Tag("v1")
		if !slices.Equal(x.Cut, y.Cut) || len(a.Tags()) != 1 || !a.Tags()[0].Clash {
			t.Fatalf("v1 is %v and %v; %+v", x, y, a.Tags())
		}
	}
}

// TestVoidForkOps: operations on what is not in their past are void, the same
// on every node, in every order of arrival.
func TestVoidForkOps(t *testing.T) {
	a := foundNode(t, "a")
	f := newForger(keyOf("writer"), 1)
	a.setRole(t, f.key.ID(), "writer", dag.RoleWriter)
	_, bundle := f.write(f.block(tips(a)...))
	apply(t, a, bundle)
	unseen, unseenCut := a.fork(t, "blue"), tips(a)[:1]
	for _, id := range tips(a) {
		if id != f.prev {
			unseenCut = []dag.BlockID{id}
		}
	}
	from := func(fork dag.ForkID, cut ...dag.BlockID) dag.Contribution { return dag.NewContribution(fork, cut, nil) }
	d := dag.DefaultFork()
	for name, op := range map[string]dag.Op{
		"fork of an unknown fork": dag.NewOp(dag.ForkOp{Name: "x", From: []dag.Contribution{from(unseen)}}),
		"fork of an unknown cut":  dag.NewOp(dag.ForkOp{Name: "x", From: []dag.Contribution{from(d, unseenCut...)}}),
		"fork of no block":        dag.NewOp(dag.ForkOp{Name: "x", From: []dag.Contribution{from(d, dag.BlockID{1})}}),
		"half unknown":            dag.NewOp(dag.ForkOp{Name: "x", From: []dag.Contribution{from(d), from(unseen)}}),
		"named with contribution": dag.NewOp(dag.ForkOp{Name: "x", Named: true, From: []dag.Contribution{from(d)}}),
		"bad name":                dag.NewOp(dag.ForkOp{Name: "a b", From: []dag.Contribution{}}),
		"merge of unknown":        dag.NewOp(dag.MergeOp{Into: d, From: from(unseen)}),
		"merge into unknown":      dag.NewOp(dag.MergeOp{Into: unseen, From: from(d)}),
		"merge at unknown":        dag.NewOp(dag.MergeOp{Into: d, From: from(d, unseenCut...)}),
		"merge into itself":       dag.NewOp(dag.MergeOp{Into: d, From: from(d)}),
		"delete unknown":          deleteOf(unseen),
		"delete default":          deleteOf(d),
		"rename unknown":          renameOf(unseen, "x"),
		"rename default":          renameOf(d, "x"),
		"restore unknown":         restoreOf(unseen),
		"tag unknown":             dag.NewTag("x", unseenCut),
		"tag badly":               dag.NewTag("", nil),
		"alias unknown":           aliasOf("x", unseen),
		"unknown fork":            deleteOf(dag.ForkID{1}),
	} {
		before := len(a.Voids())
		b := f.block()
		b.Ops = append(b.Ops, op)
		_, bundle := f.write(b)
		apply(t, a, bundle)
		if len(a.Voids()) != before+1 {
			t.Errorf("%s is not void", name)
		}
	}
	if len(a.Forks()) != 2 || len(a.Tags())+len(a.Aliases()) > 0 {
		t.Errorf("forks %v, tags %v, aliases %v", a.Forks(), a.Tags(), a.Aliases())
	}
	b := openNode(t, "b", dagtest.NewMem())
	b.pull(t, a)
	first := openNode(t, "c", dagtest.NewMem()) // gets what is void before what it lacks
	var late []dag.Outgoing
	for _, o := range first.lacks(t, a) {
		h, err := dag.ReadHeader(o.Bundle)
		if err != nil {
			t.Fatal(err)
		}
		if h.ID == unseenCut[0] {
			late = append(late, o)
		} else if _, err := first.Apply(t.Context(), []dag.Bundle{o.Bundle}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := first.Apply(t.Context(), bundles(late)); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*node{b, first} {
		if !maps.Equal(a.Voids(), n.Voids()) {
			t.Errorf("void on a %v, on %s %v", a.Voids(), n.name, n.Voids())
		}
		n.check(t)
	}
}
