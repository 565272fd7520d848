package dag_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// forger makes blocks by hand, in the name of a member.
type forger struct {
	key   dag.NodeKey
	chain dag.ChainID
	nonce dag.Salt
	seq   uint64
	prev  dag.BlockID
}

func newForger(key dag.NodeKey, nonce byte) *forger {
	n := dag.Salt{nonce}
	return &forger{key: key, chain: dag.NewChainID(key.ID(), n), nonce: n}
}

// block is the next block of the chain, without its revisions.
func (f *forger) block(deps ...dag.BlockID) *dag.Block {
	slices.SortFunc(deps, func(a, b dag.BlockID) int { return slices.Compare(a[:], b[:]) })
	b := &dag.Block{Version: 1, Chain: f.chain, Seq: f.seq, Prev: f.prev, Deps: deps, Time: epoch, Salt: dag.Salt{byte(f.seq), 1}}
	if f.seq == 0 {
		b.Ops = []dag.Op{dag.NewOp(dag.ChainOp{Key: f.key.ID(), Nonce: f.nonce})}
	}
	return b
}

// revision is one that claims the place that it has in the block.
func revision(b *dag.Block, index uint64, key, value string, parents ...dag.RevisionID) *dag.Revision {
	return &dag.Revision{
		Key: key, Fork: dag.DefaultFork(), Parents: parents, Kind: 1, Value: dag.SumOf([]byte(value)), Size: int64(len(value)),
		Chain: b.Chain, Seq: b.Seq, Index: index, Salt: b.Salt, Time: b.Time,
	}
}

// write signs the block with values "forged", and moves the chain on.
func (f *forger) write(b *dag.Block, revs ...*dag.Revision) (dag.BlockID, dag.Bundle) {
	var loads [][]byte
	for range revs {
		loads = append(loads, []byte("forged"))
	}
	id, bundle := dag.Forge(f.key, b, revs, loads)
	f.seq, f.prev = b.Seq+1, id
	return id, bundle
}

func tips(n *node) (ids []dag.BlockID) {
	for _, t := range n.Frontier() {
		ids = append(ids, t.Block)
	}
	return ids
}

// TestVoid: what breaks a rule of meaning is applied, kept as void, and never
// seen; the same on a node that gets all at once and in another order.
func TestVoid(t *testing.T) {
	a := foundNode(t, "a")
	f := newForger(keyOf("writer"), 1)
	a.setRole(t, f.key.ID(), "writer", dag.RoleWriter)
	base := a.put(t, "k", "0").Revisions[0]
	other := a.put(t, "other", "0").Revisions[0]
	first := f.block(tips(a)...)
	_, bundle := f.write(first, revision(first, 0, "fine", "forged"))
	apply(t, a, bundle)
	unseen := a.put(t, "k", "1").Revisions[0]
	_, err := a.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error { _, err := tx.NameFork("blue"); return err })
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range voidCases(base, other, unseen) {
		t.Run(test.name, func(t *testing.T) {
			before := answersOf(t, a)
			b := f.block()
			revs := test.make(b)
			id, bundle := f.write(b, revs...)
			apply(t, a, bundle)
			found := false
			for at := range a.Voids() {
				found = found || at.Block == id && at.Op == test.op
			}
			if !found {
				t.Errorf("not void: %v", a.Voids())
			}
			if got := answersOf(t, a); got != before {
				t.Errorf("answers\n%s\nbefore\n%s", got, before)
			}
		})
	}
	a.check(t)
	b := openNode(t, "b", dagtest.NewMem())
	b.pull(t, a)
	if !maps.Equal(a.Voids(), b.Voids()) {
		t.Errorf("void on a %v, on b %v", a.Voids(), b.Voids())
	}
	b.check(t)
	rebuilt(t, b)
}

type voidCase struct {
	name string
	op   bool
	make func(b *dag.Block) []*dag.Revision
}

// voidCases: base is a revision of "k" before the block, unseen one that is
// not; other is a revision of another key.
func voidCases(base, other, unseen dag.RevisionID) []voidCase {
	one := func(change func(r *dag.Revision)) func(b *dag.Block) []*dag.Revision {
		return func(b *dag.Block) []*dag.Revision {
			r := revision(b, 0, "k", "forged", base)
			change(r)
			return []*dag.Revision{r}
		}
	}
	op := func(o dag.Op) func(b *dag.Block) []*dag.Revision {
		return func(b *dag.Block) []*dag.Revision { b.Ops = append(b.Ops, o); return nil }
	}
	victim := keyOf("victim").ID()
	return []voidCase{
		{"unknown fork", false, one(func(r *dag.Revision) { r.Fork, r.Parents = dag.NamedFork("nowhere"), nil })},
		{"fork that is named elsewhere at once", false, one(func(r *dag.Revision) { r.Fork, r.Parents = dag.NamedFork("blue"), nil })},
		{"parent of another key", false, one(func(r *dag.Revision) { r.Parents = []dag.RevisionID{other} })},
		{"parent twice", false, one(func(r *dag.Revision) { r.Parents = []dag.RevisionID{base, base} })},
		{"parent that is nowhere", false, one(func(r *dag.Revision) { r.Parents = []dag.RevisionID{{1}} })},
		{"parent that is not before", false, one(func(r *dag.Revision) { r.Parents = []dag.RevisionID{unseen} })},
		{"another chain", false, one(func(r *dag.Revision) { r.Chain = dag.ChainID{1} })},
		{"another seq", false, one(func(r *dag.Revision) { r.Seq++ })},
		{"another index", false, one(func(r *dag.Revision) { r.Index++ })},
		{"another salt", false, one(func(r *dag.Revision) { r.Salt = dag.Salt{9} })},
		{"another time", false, one(func(r *dag.Revision) { r.Time++ })},
		{"parent that is void", false, func(b *dag.Block) []*dag.Revision {
			r := revision(b, 0, "k", "forged", other)
			return []*dag.Revision{r, revision(b, 1, "k", "forged", r.ID())}
		}},
		{"member by a writer", true, op(dag.NewOp(dag.MemberOp{Node: victim, Role: dag.RoleWriter}))},
		{"second genesis", true, op(dag.NewOp(dag.GenesisOp{Name: "x"}))},
		{"second chain", true, op(dag.NewOp(dag.ChainOp{Key: victim}))},
		{"fork without a name", true, op(dag.NewOp(dag.ForkOp{Named: true, From: []dag.Contribution{}}))},
		{"unknown kind", true, op(dag.Op{Kind: 999, Body: []byte{0xa0}})},
		{"body of another kind", true, op(dag.Op{Kind: dag.OpMember, Body: []byte{0xa0}})},
	}
}

func apply(t testing.TB, n *node, bs ...dag.Bundle) {
	t.Helper()
	if done, err := n.Apply(t.Context(), bs); err != nil || done.Unvouched > 0 {
		t.Fatalf("apply: %+v, %v", done, err)
	}
}

// answersOf is what users see: no frontier, and no count of what is void.
func answersOf(t testing.TB, n *node) (out string) {
	t.Helper()
	for _, f := range n.Forks() {
		out += f.Name + "\n"
		for e, err := range n.Entries(t.Context(), f.ID, "", "") {
			if err != nil {
				t.Fatal(err)
			}
			out += e.Key
			for c, err := range n.History(t.Context(), f.ID, e.Key, dag.HistoryCursor{}) {
				if err != nil {
					t.Fatal(err)
				}
				out += " " + c.ID.Short()
			}
			out += "\n"
		}
	}
	for _, m := range n.Members() {
		out += m.Name + " " + string(m.Role) + "\n"
	}
	return out
}

// TestVoidMember: an admin's operation with a role or name that is none.
func TestVoidMember(t *testing.T) {
	a := foundNode(t, "a")
	f := newForger(keyOf("a"), 1)
	for i, op := range []dag.MemberOp{{Role: "king"}, {Role: ""}, {Role: dag.RoleWriter, Name: "a b"}, {Role: dag.RoleWriter, Zone: " "}} {
		op.Node = keyOf("victim").ID()
		b := f.block()
		if i == 0 {
			b = f.block(tips(a)...)
		}
		b.Ops = append(b.Ops, dag.NewOp(op))
		_, bundle := f.write(b)
		apply(t, a, bundle)
		if len(a.Voids()) != i+1 || len(a.Members()) != 1 {
			t.Errorf("%+v: void %v, members %v", op, a.Voids(), a.Members())
		}
	}
}

// TestVoidForkIsJudgedAtItsPlace: a fork that is named elsewhere, at once, is
// unknown to a block that had not seen it, whatever came first.
func TestVoidForkIsJudgedAtItsPlace(t *testing.T) {
	a := foundNode(t, "a")
	f := newForger(keyOf("writer"), 1)
	a.setRole(t, f.key.ID(), "writer", dag.RoleWriter)
	b := openNode(t, "b", dagtest.NewMem())
	b.pull(t, a)
	block := f.block(tips(a)...)
	r := revision(block, 0, "k", "forged")
	r.Fork = dag.NamedFork("blue")
	_, bundle := f.write(block, r)
	if _, err := a.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error { _, err := tx.NameFork("blue"); return err }); err != nil {
		t.Fatal(err)
	}
	apply(t, a, bundle)
	apply(t, b, bundle)
	b.pull(t, a)
	if !maps.Equal(a.Voids(), b.Voids()) || len(a.Voids()) != 1 {
		t.Errorf("void on a %v, on b %v", a.Voids(), b.Voids())
	}
	a.check(t)
	b.check(t)
}

// TestForkNamedTwice: each node may write on a fork that it named itself.
func TestForkNamedTwice(t *testing.T) {
	a := foundNode(t, "a")
	b := a.enlist(t, "b", dag.RoleWriter)
	for _, n := range []*node{a, b} {
		_, err := n.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error {
			f, err := tx.NameFork("blue")
			if err != nil {
				return err
			}
			return tx.Put(dag.Draft{Fork: f.ID, Key: "k", Kind: 1, Payload: []byte(n.name)})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	a.pull(t, b)
	b.pull(t, a)
	for _, n := range []*node{a, b} {
		n.restart(t)
		e, err := n.Entry(dag.NamedFork("blue"), "k")
		if err != nil || len(e.Heads) != 2 || len(n.Voids()) > 0 {
			t.Errorf("%s: %d heads, %v, void %v", n.name, len(e.Heads), err, n.Voids())
		}
		n.check(t)
	}
}

// TestRefused: bytes that no node may take change nothing.
func TestRefused(t *testing.T) {
	a := foundNode(t, "a")
	f := newForger(keyOf("writer"), 1)
	a.setRole(t, f.key.ID(), "writer", dag.RoleWriter)
	a.setRole(t, keyOf("reader").ID(), "reader", dag.RoleReader)
	first := f.block(tips(a)...)
	_, ok := f.write(first, revision(first, 0, "k", "forged"))
	apply(t, a, ok)
	foreign := foundNode(t, "foreign")
	for name, make := range refusedCases(t, a, f, foreign) {
		t.Run(name, func(t *testing.T) {
			before := records(t, a.store)
			stats := a.Stats()
			good := f.good()
			if _, err := a.Apply(t.Context(), []dag.Bundle{good, make()}); !errors.Is(err, dag.ErrRefused) {
				t.Errorf("answers %v", err)
			}
			if !maps.Equal(records(t, a.store), before) || a.Stats() != stats {
				t.Error("something changed")
			}
		})
	}
	a.check(t)
}

// good is a block that could be applied.
func (f forger) good() dag.Bundle {
	b := f.block()
	_, bundle := f.write(b, revision(b, 0, "good", "forged"))
	return bundle
}

func refusedCases(t *testing.T, a *node, f *forger, foreign *node) map[string]func() dag.Bundle {
	next := func(change func(b *dag.Block)) func() dag.Bundle {
		return func() dag.Bundle {
			g := *f
			b := g.block()
			change(b)
			_, bundle := g.write(b)
			return bundle
		}
	}
	by := func(name string) func() dag.Bundle {
		return func() dag.Bundle {
			g := newForger(keyOf(name), 7)
			_, bundle := g.write(g.block(tips(a)...))
			return bundle
		}
	}
	return map[string]func() dag.Bundle{
		"no bundle":          func() dag.Bundle { return dag.Bundle("x") },
		"by a stranger":      by("stranger"),
		"by a reader":        by("reader"),
		"of another cluster": func() dag.Bundle { return bundles(openNode(t, "x", dagtest.NewMem()).lacks(t, foreign))[0] },
		"signed by another":  func() dag.Bundle { return dag.Resigned(next(func(*dag.Block) {})(), keyOf("a")) },
		"seq too high":       next(func(b *dag.Block) { b.Seq++ }),
		"seq of prev": next(func(b *dag.Block) {
			b.Seq--
			if b.Seq == 0 {
				b.Seq = 5
			}
		}),
		"prev of another chain": next(func(b *dag.Block) {
			b.Prev = a.Frontier()[0].Block
			if b.Prev == f.prev {
				b.Prev = a.Frontier()[1].Block
			}
			b.Time++
		}),
		"first without prev that announces nothing": func() dag.Bundle {
			g := newForger(f.key, 8)
			b := g.block(tips(a)...)
			b.Ops = nil
			_, bundle := g.write(b)
			return bundle
		},
		"chain of another key": func() dag.Bundle {
			g := newForger(f.key, 8)
			b := g.block(tips(a)...)
			b.Ops = []dag.Op{dag.NewOp(dag.ChainOp{Key: keyOf("a").ID(), Nonce: g.nonce})}
			_, bundle := g.write(b)
			return bundle
		},
		"version 0":        next(func(b *dag.Block) { b.Version = 0 }),
		"time below zero":  next(func(b *dag.Block) { b.Time = -1 }),
		"dependency twice": next(func(b *dag.Block) { b.Deps = []dag.BlockID{f.prev} }),
	}
}

// TestLater: blocks of a later version of the format, and what follows on them,
// are left out; the rest is applied.
func TestLater(t *testing.T) {
	a := foundNode(t, "a")
	f := newForger(keyOf("writer"), 1)
	a.setRole(t, f.key.ID(), "writer", dag.RoleWriter)
	_, first := f.write(f.block(tips(a)...))
	other := newForger(keyOf("writer"), 2)
	_, beside := other.write(other.block(tips(a)...))
	b := f.block()
	b.Version = 2
	_, later := f.write(b)
	onLater, next := f.write(f.block())
	_, dependent := other.write(other.block(onLater))
	_, behind := other.write(other.block())
	if _, err := dag.ReadHeader(later); !errors.Is(err, dag.ErrLater) || errors.Is(err, dag.ErrRefused) {
		t.Errorf("its header: %v", err)
	}
	done, err := a.Apply(t.Context(), []dag.Bundle{first, later, next, beside, dependent, behind})
	if err != nil || len(done.Blocks) != 2 || done.Later != 4 {
		t.Errorf("got %+v, %v", done, err)
	}
	if _, err := a.Apply(t.Context(), []dag.Bundle{next}); err == nil || errors.Is(err, dag.ErrRefused) {
		t.Errorf("what follows on it, alone: %v", err)
	}
	a.check(t)
}

// TestVouching: only a block that is taken vouches, only for its own chain, and
// what it vouches for can be passed on.
func TestVouching(t *testing.T) {
	a := foundNode(t, "a")
	f := newForger(keyOf("writer"), 1)
	a.setRole(t, f.key.ID(), "writer", dag.RoleWriter)
	start := f.block(tips(a)...)
	_, bundle := f.write(start)
	apply(t, a, bundle)
	victim := a.Frontier()[0]
	if victim.Chain == f.chain {
		victim = a.Frontier()[1]
	}

	t.Run("another chain", func(t *testing.T) {
		b := &dag.Block{Version: 1, Chain: victim.Chain, Seq: victim.Seq + 1, Prev: victim.Block, Time: epoch}
		forged, x := dag.Forge(dag.NodeKey{}, b, []*dag.Revision{revision(b, 0, "k", "forged")}, [][]byte{[]byte("forged")})
		g := *f
		lost, z := dag.Forge(dag.NodeKey{}, g.block(), nil, nil)
		y := g.block(lost)
		y.Prev = forged
		_, vouching := dag.Forge(f.key, y, nil, nil)
		done, err := a.Apply(t.Context(), []dag.Bundle{z, x, vouching})
		if a.Have(forged) || len(done.Blocks) > 0 {
			t.Errorf("a block that the key of another chain vouches for is applied: %+v, %v", done, err)
		}
	})
	t.Run("left out itself", func(t *testing.T) {
		other := newForger(f.key, 2)
		first, z := other.write(other.block(tips(a)...))
		g := *f
		_, x := g.write(g.block())
		_, y := g.write(g.block(first))
		done, err := a.Apply(t.Context(), []dag.Bundle{dag.Unsigned(z), dag.Unsigned(x), y})
		if err != nil || len(done.Blocks) > 0 || done.Unvouched != 3 {
			t.Errorf("got %+v, %v", done, err)
		}
	})
	t.Run("twice", func(t *testing.T) {
		_, x := f.write(f.block())
		_, y := f.write(f.block())
		done, err := a.Apply(t.Context(), []dag.Bundle{dag.Unsigned(x), dag.Unsigned(y), y, x, y})
		if err != nil || len(done.Blocks) != 2 || done.Unvouched != 0 {
			t.Errorf("got %+v, %v", done, err)
		}
	})
	vouchingSignatures(t, a, f)
	a.check(t)
	b := openNode(t, "b", dagtest.NewMem())
	b.pull(t, a)
	if b.Digest() != a.Digest() {
		t.Error("what was applied cannot be passed on")
	}
}

func vouchingSignatures(t *testing.T, a *node, f *forger) {
	t.Run("bad signature that nothing needs", func(t *testing.T) {
		x, bx := f.write(f.block())
		_, by := f.write(f.block())
		apply(t, a, dag.Resigned(bx, keyOf("a")), by)
		if b, err := a.Block(x); err != nil || b.Signed {
			t.Errorf("kept as signed: %v, %v", b.Signed, err)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		g := *f
		_, x := g.write(g.block())
		done, err := a.Apply(t.Context(), []dag.Bundle{dag.Unsigned(x)})
		if err != nil || len(done.Blocks) > 0 || done.Unvouched != 1 {
			t.Errorf("got %+v, %v", done, err)
		}
	})
}

// TestRemovedWriter: what a member wrote before it saw its removal is taken,
// in every order; what it writes after is not.
func TestRemovedWriter(t *testing.T) {
	a := foundNode(t, "a")
	b := a.enlist(t, "b", dag.RoleWriter)
	b.put(t, "k", "b's")
	removal := a.setRole(t, b.key.ID(), "b", dag.RoleRemoved)
	a.pull(t, b)
	b.pull(t, a)
	for _, n := range []*node{a, b} {
		if got := n.value(t, "k"); got != "b's" || n.IsMember(b.key.ID()) {
			t.Errorf("%s: %q, a member: %v", n.name, got, n.IsMember(b.key.ID()))
		}
	}
	if _, err := b.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error { return putTx(tx, "k", nil) }); !errors.Is(err, dag.ErrNotWriter) {
		t.Errorf("b writes on: %v", err)
	}
	f := newForger(b.key, 1)
	_, bundle := f.write(f.block(removal.Block))
	if _, err := a.Apply(t.Context(), []dag.Bundle{bundle}); !errors.Is(err, dag.ErrRefused) {
		t.Errorf("what b wrote after its removal: %v", err)
	}
	a.check(t)
}

// TestRolesOfClones: two clones of an admin say different things at one place
// of one chain and at one time; all nodes come to the same answer.
func TestRolesOfClones(t *testing.T) {
	for i := range 4 {
		a := foundNode(t, "a")
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		one, two := openNode(t, "a", a.mem().Reopen()), openNode(t, "a", a.mem().Reopen())
		victim := keyOf("victim").ID()
		one.clock.Store(epoch - int64(i))
		two.clock.Store(epoch - 2*int64(i))
		one.setRole(t, victim, "x", dag.RoleWriter)
		two.setRole(t, victim, "x", dag.RoleReader)
		one.pull(t, two)
		two.pull(t, one)
		if !slices.Equal(one.Members(), two.Members()) {
			t.Errorf("members %v and %v", one.Members(), two.Members())
		}
		want := two.Members()
		if two.restart(t); !slices.Equal(two.Members(), want) {
			t.Errorf("members %v after a restart, were %v", two.Members(), want)
		}
	}
}
