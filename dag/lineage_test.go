package dag_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"crush/crdt"
	"crush/crdt/oracle"
	"crush/dag"
	"crush/dag/dagtest"
)

// forkWorld is some nodes that fork, merge and write at random, and all that
// they did.
type forkWorld struct {
	t      testing.TB
	r      *rand.Rand
	oracle *oracle.Oracle
	blocks map[dag.BlockID]*deed
	nodes  []*party
	forks  []dag.ForkID            // all, in order of creation
	revs   map[string][]dag.Change // by key, of all nodes
	told   map[string]*told
	did    map[string]int
	most   int  // heads of a key
	crowd  bool // most writes are of one key, and have seen little of it
}

// deed is a block that somebody wrote.
type deed struct {
	id    dag.BlockID
	line  crdt.ChainID // unlike its chain, it has one block at each seq
	prev  dag.BlockID
	order uint64
	lam   uint64
	past  oracle.Cut // itself included
	ops   []forkDeed
	wrote map[dag.ForkID]bool
}

// forkDeed is an operation on a fork.
type forkDeed struct {
	kind dag.OpKind
	fork dag.ForkID
	name string
}

// told is what the oracle says of a key on a fork at a cut.
type told struct {
	heads   []oracle.Revision
	visible map[dag.RevisionID]bool
	history []dag.Change
	first   int64 // the lowest time
	since   int   // revisions of the history before its first delete
}

// party is a node of the world, with the blocks that it has applied.
type party struct {
	node
	has oracle.Cut
}

var (
	forkKeys  = []string{"a", "a/b", "a/b/c", "b", "k\xc3\xa9y"}
	forkNames = []string{"blue", "green", "red"}
)

func newForkWorld(t testing.TB, seed uint64) *forkWorld {
	w := &forkWorld{
		t: t, r: rand.New(rand.NewPCG(seed, 7)), oracle: oracle.New(), blocks: map[dag.BlockID]*deed{},
		forks: []dag.ForkID{dag.DefaultFork()}, revs: map[string][]dag.Change{}, told: map[string]*told{}, did: map[string]int{},
		crowd: seed%4 == 3,
	}
	a := w.join("n0")
	r, err := a.Found(t.Context(), dag.Member{Name: a.name})
	w.must("found", err)
	w.wrote(a, r.Block, &script{})
	for i := range 1 + w.r.IntN(2) {
		b := w.join("n" + strconv.Itoa(i+1))
		r := a.setRole(t, b.key.ID(), b.name, dag.RoleAdmin)
		w.wrote(a, r.Block, &script{})
	}
	for _, b := range w.nodes[1:] {
		w.pull(b, a, false)
	}
	return w
}

func (w *forkWorld) must(what string, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

func (w *forkWorld) pick() *party { return w.nodes[w.r.IntN(len(w.nodes))] }

func one[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func (w *forkWorld) join(name string) *party {
	a := &party{has: oracle.Cut{}}
	a.name, a.store, a.key = name, dagtest.NewMem(), keyOf(name)
	a.clock.Store(epoch + w.r.Int64N(100))
	w.open(a)
	w.nodes = append(w.nodes, a)
	return a
}

// open opens a node with randomness of the seed.
func (w *forkWorld) open(a *party) {
	w.t.Helper()
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(w.r.Uint32())
	}
	g, err := dag.Open(w.t.Context(), dag.Config{
		Store: a.store, Key: a.key, Now: a.now, Fingerprint: a.name, Rand: rand.NewChaCha8(seed),
	})
	w.must("open", err)
	a.Graph = g
}

// script is one commit, with what it tells the oracle.
type script struct {
	w    *forkWorld
	a    *party
	tx   *dag.Tx
	made []dag.ForkID
	adds []oracle.Contribution // without a cut: that of the block
	ops  []forkDeed
}

// commit writes what fn does; it may do nothing.
func (w *forkWorld) commit(a *party, fn func(x *script) error) {
	w.t.Helper()
	var x *script
	r, err := a.Commit(w.t.Context(), dag.Note{}, func(tx *dag.Tx) error {
		x = &script{w: w, a: a, tx: tx}
		return fn(x)
	})
	w.must("commit", err)
	if !r.Block.IsZero() {
		w.wrote(a, r.Block, x)
	}
}

// wrote tells the oracle of a block.
func (w *forkWorld) wrote(a *party, id dag.BlockID, x *script) {
	w.t.Helper()
	got, err := a.Block(id)
	w.must("read the block just written", err)
	b := &deed{id: id, prev: got.Block.Prev, lam: uint64(got.Block.Time), past: oracle.Cut{}, ops: x.ops, wrote: map[dag.ForkID]bool{}}
	b.line = crdt.ChainID(got.Block.Chain)
	for _, p := range append(slices.Clone(got.Block.Deps), b.prev) {
		if k := w.blocks[p]; k != nil {
			maps.Copy(b.past, k.past)
			b.lam = max(b.lam, k.lam+1)
		}
	}
	if p := w.blocks[b.prev]; p != nil {
		b.line, b.order = p.line, p.order+1
		for _, other := range w.blocks {
			if other.prev == b.prev {
				b.line = crdt.ChainID(id) // an equivocation: a line of its own
			}
		}
	}
	if !maps.Equal(b.past, a.has) {
		w.t.Fatalf("block %s has %d blocks in its past, its author had applied %d", id.Short(), len(b.past), len(a.has))
	}
	for _, c := range x.adds {
		c.Block = oracle.Block(id)
		if c.Cut == nil {
			c.Cut = maps.Clone(b.past)
		}
		w.oracle.AddContribution(c)
	}
	b.past[oracle.Block(id)] = true
	for _, c := range got.Changes {
		v, err := a.ChangePayload(&c)
		w.must("read a payload just written", err)
		r := oracle.Revision{
			ID: crdt.RevisionID(c.ID), Fork: crdt.ForkID(c.Revision.Fork), Key: c.Revision.Key, Kind: crdt.Kind(c.Revision.Kind),
			Deleted: c.Revision.Deleted, Value: v, Time: c.Revision.Time, Block: oracle.Block(id), Chain: b.line, Order: b.order<<20 + c.Revision.Index,
		}
		for _, p := range c.Revision.Parents {
			r.Parents = append(r.Parents, crdt.RevisionID(p))
		}
		w.oracle.Add(r)
		w.revs[r.Key] = append(w.revs[r.Key], c)
		b.wrote[c.Revision.Fork] = true
	}
	w.blocks[id] = b
	a.has[oracle.Block(id)] = true
	for _, f := range x.made {
		if !slices.Contains(w.forks, f) {
			w.forks = append(w.forks, f)
		}
	}
}

// known lists the forks that the node has seen created, batches' too.
func (a *party) known(w *forkWorld) (out []dag.ForkID) {
	for _, f := range w.forks {
		if _, ok := a.ForkOf(f); ok {
			out = append(out, f)
		}
	}
	return out
}

// fork picks one that the commit can name.
func (x *script) fork() dag.ForkID {
	return one(x.w.r, append(x.a.known(x.w), x.made...))
}

// filter picks one; most often none.
func (x *script) filter() *dag.Filter {
	r := x.w.r
	if r.IntN(3) > 0 {
		return nil
	}
	patterns := []string{"a/**", "**", "*", "a*", "a/*", "**b*", "a", "k*y"}
	f := &dag.Filter{}
	for range r.IntN(3) {
		switch r.IntN(4) {
		case 0:
			f.Keys = append(f.Keys, one(r, forkKeys))
		case 1:
			f.Scopes = append(f.Scopes, one(r, patterns))
		case 2:
			f.SkipKeys = append(f.SkipKeys, one(r, forkKeys))
		default:
			f.Skips = append(f.Skips, one(r, patterns))
		}
	}
	return f
}

// contribution makes one of a fork, now or at an earlier cut.
func (x *script) contribution(way oracle.Way, to, from dag.ForkID) dag.Contribution {
	f := x.filter()
	c := oracle.Contribution{Way: way, To: crdt.ForkID(to), From: crdt.ForkID(from)}
	if f != nil {
		c.Keys = func(key string) bool { return slowPass(f, key) }
	}
	var cut []dag.BlockID
	if x.w.r.IntN(3) == 0 {
		ids := x.a.sorted()
		c.Cut = oracle.Cut{}
		for range 1 + x.w.r.IntN(2) {
			id := one(x.w.r, ids)
			if !c.Cut[oracle.Block(id)] {
				cut = append(cut, id)
				maps.Copy(c.Cut, x.w.blocks[id].past)
			}
		}
	}
	x.adds = append(x.adds, c)
	return dag.NewContribution(from, cut, f)
}

// sorted lists the blocks that a node has, so that a seed picks the same.
func (a *party) sorted() []dag.BlockID {
	var ids []dag.BlockID
	for id := range a.has {
		ids = append(ids, dag.BlockID(id))
	}
	slices.SortFunc(ids, func(a, b dag.BlockID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

func (x *script) note(kind dag.OpKind, fork dag.ForkID, name string) {
	x.ops = append(x.ops, forkDeed{kind, fork, name})
}

// create makes a fork of one or two others.
func (x *script) create(name string, from ...dag.ForkID) (dag.ForkID, error) {
	at := len(x.adds)
	var cs []dag.Contribution
	for _, f := range from {
		cs = append(cs, x.contribution(oracle.Creation, dag.ForkID{}, f))
	}
	f, err := x.tx.CreateFork(name, cs...)
	for i := at; i < len(x.adds); i++ {
		x.adds[i].To = crdt.ForkID(f.ID)
	}
	x.made = append(x.made, f.ID)
	x.note(dag.OpFork, f.ID, name)
	return f.ID, err
}

func (x *script) mergeInto(into, from dag.ForkID) error {
	x.note(dag.OpMerge, into, "")
	return x.tx.Op(dag.NewOp(dag.MergeOp{Into: into, From: x.contribution(oracle.Merge, into, from)}))
}

// payload makes a value, often one that is like a head's.
func (x *script) payload(e *dag.Entry) ([]byte, error) {
	r := x.w.r
	if len(e.Heads) == 0 || r.IntN(3) == 0 {
		return fmt.Append(nil, r.IntN(3)), nil
	}
	old, err := x.tx.Payload(&e.Heads[r.IntN(len(e.Heads))])
	return shaped(r, old), err
}

// put writes a random value with a random context.
func (x *script) put(fork dag.ForkID, whole bool) error {
	r := x.w.r
	key := one(r, forkKeys)
	if x.w.crowd && r.IntN(6) > 0 {
		key = forkKeys[0]
	}
	e, err := x.tx.Entry(fork, key)
	if err != nil {
		return err
	}
	d := dag.Draft{Fork: fork, Key: key, Kind: 1, Deleted: r.IntN(5) == 0}
	if !d.Deleted {
		if d.Payload, err = x.payload(e); err != nil {
			return err
		}
	}
	how := r.IntN(10)
	if x.w.crowd && how > 0 {
		how = 9
	}
	x.w.most = max(x.w.most, len(e.Heads))
	for _, h := range e.Heads {
		if whole || how < 6 || how < 8 && r.IntN(2) == 0 {
			d.Parents = append(d.Parents, h.ID)
		}
	}
	if _, ok := x.a.ForkOf(fork); ok && !whole && how >= 8 {
		var older []dag.RevisionID
		for c, err := range x.a.History(x.w.t.Context(), fork, key, dag.HistoryCursor{}) {
			if err != nil {
				return err
			}
			older = append(older, c.ID)
		}
		for i := 0; i < r.IntN(3) && i < len(older) && !(x.w.crowd && i > 0); i++ {
			d.Parents = append(d.Parents, one(r, older))
		}
		slices.SortFunc(d.Parents, func(a, b dag.RevisionID) int { return bytes.Compare(a[:], b[:]) })
		d.Parents = slices.Compact(d.Parents)
	}
	return x.tx.Put(d)
}

// step does one random thing.
func (w *forkWorld) step() {
	type act struct {
		name   string
		weight int
		do     func()
	}
	acts := []act{
		{"write", 30, w.write},
		{"fork", 9, w.fork},
		{"name", 3, w.name},
		{"merge", 16, w.merge},
		{"both", 4, w.both},
		{"batch", 2, w.batch},
		{"delete", 4, w.remove},
		{"rename", 4, w.rename},
		{"restore", 2, w.restore},
		{"pointer", 3, w.pointer},
		{"sync", 22, w.sync},
		{"restart", 2, func() { w.reopen(true) }},
		{"crash", 2, func() { w.reopen(false) }},
		{"clone", 2, w.clone},
		{"clock", 3, w.turnClock},
		{"look", 3, func() { w.look(w.pick()) }},
	}
	total := 0
	for _, d := range acts {
		total += d.weight
	}
	n := w.r.IntN(total)
	for _, d := range acts {
		if n -= d.weight; n < 0 {
			w.did[d.name]++
			d.do()
			return
		}
	}
}

func (w *forkWorld) write() {
	most := 4
	if w.crowd {
		most = 16
	}
	w.commit(w.pick(), func(x *script) error {
		for range 1 + w.r.IntN(most) {
			if err := x.put(x.fork(), false); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *forkWorld) fork() {
	w.commit(w.pick(), func(x *script) error {
		from := []dag.ForkID{x.fork()}
		if w.r.IntN(6) == 0 {
			from = append(from, x.fork())
		}
		id, err := x.create(one(w.r, forkNames), from...)
		if err != nil || w.r.IntN(3) > 0 {
			return err
		}
		if w.r.IntN(2) == 0 {
			if _, err := x.create(one(w.r, forkNames), id); err != nil {
				return err
			}
		}
		return x.put(id, w.r.IntN(2) == 0)
	})
}

// name names a fork into being as the ancestor's API does, and writes on it.
func (w *forkWorld) name() {
	w.commit(w.pick(), func(x *script) error {
		name := one(w.r, forkNames)
		if _, found := x.tx.Fork(name); !found {
			x.note(dag.OpFork, dag.NamedFork(name), name)
		}
		f, err := x.tx.NameFork(name)
		if err != nil {
			return err
		}
		x.made = append(x.made, f.ID)
		if w.r.IntN(3) == 0 {
			return nil
		}
		return x.put(f.ID, false)
	})
}

// merge merges one fork into another, most often followed by writes that have
// seen both sides.
func (w *forkWorld) merge() {
	w.commit(w.pick(), func(x *script) error {
		into, from := x.fork(), x.fork()
		if into == from {
			return x.put(into, true)
		}
		if err := x.mergeInto(into, from); err != nil {
			return err
		}
		for range w.r.IntN(4) {
			if err := x.put(into, w.r.IntN(4) > 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// both merges criss-cross in one commit.
func (w *forkWorld) both() {
	w.commit(w.pick(), func(x *script) error {
		into, from := x.fork(), x.fork()
		if into == from {
			return nil
		}
		if err := x.mergeInto(into, from); err != nil {
			return err
		}
		return x.mergeInto(from, into)
	})
}

// batch gathers writes on an unnamed fork, and merges it.
func (w *forkWorld) batch() {
	a := w.pick()
	var batch, into dag.ForkID
	w.commit(a, func(x *script) (err error) {
		into = x.fork()
		batch, err = x.create("", into)
		return err
	})
	for range 2 {
		w.commit(a, func(x *script) error { return x.put(batch, true) })
	}
	w.commit(a, func(x *script) error { return x.mergeInto(into, batch) })
}

// removable picks a fork that is not the default one.
func (x *script) removable() (dag.ForkID, bool) {
	f := x.fork()
	return f, f != dag.DefaultFork()
}

func (w *forkWorld) remove() {
	w.commit(w.pick(), func(x *script) error {
		f, ok := x.removable()
		if !ok {
			return nil
		}
		x.note(dag.OpDelete, f, "")
		if err := x.tx.Op(dag.NewOp(dag.DeleteOp{Fork: f})); err != nil || w.r.IntN(4) > 0 {
			return err
		}
		return x.put(f, false)
	})
}

func (w *forkWorld) rename() {
	w.commit(w.pick(), func(x *script) error {
		f, ok := x.removable()
		if !ok {
			return nil
		}
		name := one(w.r, forkNames)
		x.note(dag.OpRename, f, name)
		return x.tx.Op(dag.NewOp(dag.RenameOp{Fork: f, Name: name}))
	})
}

func (w *forkWorld) restore() {
	w.commit(w.pick(), func(x *script) error {
		f := x.fork()
		x.note(dag.OpRestore, f, "")
		return x.tx.Op(dag.NewOp(dag.RestoreOp{Fork: f}))
	})
}

// pointer sets a tag or an alias; names of one kind take over those of the
// other.
func (w *forkWorld) pointer() {
	w.commit(w.pick(), func(x *script) error {
		name := one(w.r, []string{"p", "q"})
		if w.r.IntN(2) == 0 {
			return x.tx.Op(dag.NewTag(name, []dag.BlockID{one(w.r, x.a.sorted())}))
		}
		return x.tx.Op(dag.NewOp(dag.AliasOp{Name: name, Fork: x.fork(), Gone: w.r.IntN(4) == 0}))
	})
}

func (w *forkWorld) turnClock() {
	a := w.pick()
	switch w.r.IntN(3) {
	case 0:
		a.clock.Store(w.r.Int64N(5)) // 1970
	case 1:
		a.clock.Add(365 * 24 * 3600 * 1000)
	default:
		a.clock.Store(epoch + w.r.Int64N(1000))
	}
}

func (w *forkWorld) sync() {
	to, from := w.pick(), w.pick()
	if to != from {
		w.pull(to, from, w.r.IntN(3) == 0)
	}
}

// pull gives one node what another has, or only the start of it, in chunks of
// any size.
func (w *forkWorld) pull(to, from *party, part bool) {
	w.t.Helper()
	out := to.lacks(w.t, &from.node)
	if part {
		out = out[:w.r.IntN(len(out)+1)]
	}
	for len(out) > 0 {
		n := 1 + w.r.IntN(len(out))
		for n < len(out) && !out[n-1].Whole {
			n++
		}
		done, err := to.Apply(w.t.Context(), bundles(out[:n]))
		w.must("apply", err)
		for _, id := range done.Blocks {
			to.has[oracle.Block(id)] = true
		}
		out = out[n:]
	}
}

func (w *forkWorld) reopen(clean bool) {
	a := w.pick()
	if clean {
		w.must("close", a.Close())
		a.store = a.mem().Reopen()
	} else {
		a.store = a.mem().Crash(0)
	}
	w.open(a)
}

// clone copies a node that has stopped cleanly; both go on with one chain.
func (w *forkWorld) clone() {
	if len(w.nodes) >= 4 {
		return
	}
	a := w.pick()
	w.must("close", a.Close())
	b := &party{has: maps.Clone(a.has)}
	b.name, b.key, b.store = a.name, a.key, a.mem().Reopen()
	b.clock.Store(a.clock.Load())
	a.store = a.mem().Reopen()
	w.open(a)
	w.open(b)
	w.nodes = append(w.nodes, b)
}

// meet exchanges everything.
func (w *forkWorld) meet() {
	w.t.Helper()
	for range 2 {
		for _, to := range w.nodes {
			for _, from := range w.nodes {
				w.pull(to, from, false)
			}
		}
	}
	for _, a := range w.nodes {
		if len(a.has) != len(w.blocks) {
			w.t.Fatalf("after the exchange %s has %d blocks of %d", a.name, len(a.has), len(w.blocks))
		}
	}
}

// finish exchanges everything and compares all nodes with each other.
func (w *forkWorld) finish() {
	w.t.Helper()
	for _, a := range w.nodes {
		w.look(a)
	}
	w.meet()
	want := w.answersOf(w.nodes[0])
	for i, a := range w.nodes {
		w.look(a)
		if got := w.answersOf(a); got != want {
			w.t.Errorf("%s answers\n%s", a.name, firstDifference(got, want))
		}
		if i == 0 {
			a.check(w.t)
		}
	}
	rebuilt(w.t, &w.pick().node)
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d: %s\nthe first node: %s", i, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, the first node %d", len(a), len(b))
}

// answersOf is all that must be equal on nodes that have the same blocks.
func (w *forkWorld) answersOf(a *party) string {
	w.t.Helper()
	var out strings.Builder
	out.WriteString(answers(w.t.Context(), w.t, a.Graph))
	for _, id := range w.forks {
		f, ok := a.ForkOf(id)
		out.WriteString(fmt.Sprintln(ok, f.ID, f.Name, f.Labels, f.Deleted, f.Clash))
	}
	for _, name := range append([]string{"p", "q", dag.DefaultForkName}, forkNames...) {
		f, ok := a.ForkNamed(name)
		out.WriteString(fmt.Sprintln(name, f.ID, f.Name, ok))
		for _, f := range a.ForksLabelled(name) {
			out.WriteString(fmt.Sprintln(" ", f.ID, f.Name))
		}
	}
	return out.String() + fmt.Sprintln(a.Tags(), a.Aliases())
}

// TestRandomForks runs worlds of random forks. DAG_SEED=n runs one of them,
// DAG_SEEDS=n that many.
func TestRandomForks(t *testing.T) {
	n := setting("DAG_SEEDS", 30)
	if testing.Short() {
		n = setting("DAG_SEEDS", 5)
	}
	did := map[string]int{}
	run := func(seed int) bool {
		return t.Run(strconv.Itoa(seed), func(t *testing.T) {
			w := newForkWorld(t, uint64(seed))
			for range 20 + w.r.IntN(40) {
				w.step()
			}
			w.finish()
			for k, v := range w.did {
				did[k] += v
			}
			did["heads"] = max(did["heads"], w.most)
		})
	}
	if seed := setting("DAG_SEED", -1); seed >= 0 {
		run(seed)
		return
	}
	for seed := range n {
		if !run(seed) {
			t.Fatalf("DAG_SEED=%d fails", seed)
		}
	}
	t.Logf("did %v", did)
	if len(did) != 17 || n >= 30 && did["heads"] < 16 {
		t.Errorf("some kinds of deed were never done: %v", did)
	}
}
