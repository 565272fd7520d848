package dag_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// life is what a node does between an open and a close, with what it was told
// is durable.
type life struct {
	n      *node
	peer   *node
	blocks []dag.BlockID
	values map[string]string // acknowledged
	tried  map[string]string // of the write that failed
	chain  dag.ChainID       // of the newest block
}

func newLife(t testing.TB) *life {
	return &life{
		n: newNode("a", dagtest.NewMem()), peer: openNode(t, "peer", dagtest.NewMem()), values: map[string]string{}, tried: map[string]string{},
	}
}

func (l *life) wrote(r dag.Receipt, err error) error {
	if err == nil {
		l.blocks = append(l.blocks, r.Block)
		if a, err := l.n.Block(r.Block); err == nil {
			l.chain = a.Block.Chain
		}
	}
	return err
}

func (l *life) put(t testing.TB, key, value string) error {
	l.tried = map[string]string{key: value}
	r, err := l.n.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error { return putTx(tx, key, []byte(value)) })
	if err == nil {
		l.values[key] = value
	}
	return l.wrote(r, err)
}

// take applies what a peer wrote.
func (l *life) take(t testing.TB) error {
	l.peer.pull(t, l.n)
	l.peer.put(t, "p", "from the peer")
	l.peer.put(t, "a", "peer's")
	l.tried = map[string]string{"p": "from the peer", "a": "peer's"}
	done, err := l.n.Apply(t.Context(), bundles(l.n.lacks(t, l.peer)))
	if err == nil {
		l.values["p"], l.values["a"] = "from the peer", "peer's"
		l.blocks = append(l.blocks, done.Blocks...)
	}
	return err
}

// first is the life of a new node.
func (l *life) first(t testing.TB) error {
	return inTurn(
		func() error { return l.n.open(t.Context()) },
		func() error { return l.wrote(l.n.Found(t.Context(), dag.Member{Name: "a"})) },
		func() error { return l.put(t, "a", "1") },
		func() error { return l.put(t, "b", strings.Repeat("long", dag.InlineMax)) },
		func() error { return l.put(t, "b", strings.Repeat("long", dag.InlineMax)+"er") },
		func() error {
			return l.wrote(l.n.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error {
				return tx.Op(dag.NewOp(dag.MemberOp{Node: l.peer.key.ID(), Role: dag.RoleWriter, Name: "peer"}))
			}))
		},
		func() error { return l.take(t) },
		func() error { return l.put(t, "a", "2") },
		func() error { l.tried = nil; return l.n.Close() },
	)
}

// second is the life after a clean stop.
func (l *life) second(t testing.TB) error {
	return inTurn(
		func() error { return l.n.open(t.Context()) },
		func() error { return l.put(t, "a", "3") },
		func() error { return l.put(t, "c", "4") },
		func() error { return l.put(t, "b", "no"+strings.Repeat("long", dag.InlineMax)+"er") },
		func() error { l.tried = nil; return l.n.Close() },
	)
}

func inTurn(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// survives opens the store as it is and checks that everything acknowledged is
// there, whole, and that the node writes on.
func (l *life) survives(t testing.TB, s *dagtest.Mem) {
	t.Helper()
	n := openNode(t, "a", s)
	for key, want := range l.values {
		if got := n.value(t, key); got != want && got != l.tried[key] {
			t.Errorf("%q is %.20q, %.20q was acknowledged", key, got, want)
		}
	}
	for _, id := range l.blocks {
		if !n.Have(id) {
			t.Errorf("block %s was acknowledged and is gone", id.Short())
		}
	}
	for item, err := range n.Feed(t.Context(), dag.FeedCursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range append(slices.Clone(item.Block.Deps), item.Block.Prev) {
			if !id.IsZero() && !n.Have(id) {
				t.Errorf("block %s is here without %s", item.ID.Short(), id.Short())
			}
		}
	}
	n.check(t)
	if n.Cluster().IsZero() {
		return
	}
	rebuilt(t, n)
	a, err := n.Block(n.put(t, "after", "x").Block)
	if err != nil || a.Block.Chain == l.chain {
		t.Errorf("a store that was not closed cleanly continues chain %s (%v)", l.chain.Short(), err)
	}
	n.check(t)
}

// readsOn: a node whose store has failed answers, and takes nothing.
func (l *life) readsOn(t testing.TB, err error) {
	t.Helper()
	if l.n.Graph == nil {
		return // the open failed
	}
	if l.n.Stats().Failed == nil {
		if l.tried != nil {
			t.Error("the graph does not say that it has failed")
		}
		return // the close failed
	}
	if !errors.Is(err, dag.ErrReadOnly) || !errors.Is(err, dagtest.ErrInjected) {
		t.Errorf("a failed write answers %v", err)
	}
	for key, want := range l.values {
		if got := l.n.value(t, key); got != want && got != l.tried[key] {
			t.Errorf("%q is %.20q after the failure, want %.20q", key, got, want)
		}
	}
	before := l.n.mem().Writes()
	if err := l.put(t, "later", "x"); !errors.Is(err, dag.ErrReadOnly) {
		t.Errorf("a commit after the failure answers %v", err)
	}
	delete(l.tried, "later")
	if _, err := l.n.Apply(t.Context(), nil); !errors.Is(err, dag.ErrReadOnly) {
		t.Errorf("an apply after the failure answers %v", err)
	}
	if err := l.n.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if l.n.mem().Writes() != before {
		t.Error("the store was written after it had failed")
	}
}

// TestEveryWriteFails fails each write of a node's life in turn.
func TestEveryWriteFails(t *testing.T) {
	for _, fault := range []dagtest.Fault{dagtest.FaultFailed, dagtest.FaultPersisted, dagtest.FaultFull} {
		for which := range 2 {
			for n, failed := 1, true; failed; n++ {
				t.Run(fmt.Sprintf("fault %d/life %d/write %d", fault, which+1, n), func(t *testing.T) {
					l := newLife(t)
					run := l.first
					if which == 1 {
						if err := l.first(t); err != nil {
							t.Fatal(err)
						}
						l.n.store = l.n.mem().Reopen()
						run = l.second
					}
					l.n.mem().FailWrite(n, fault)
					l.n.Graph = nil
					err := run(t)
					failed = l.n.mem().Writes() >= n
					if !failed {
						if err != nil || n < 4 {
							t.Fatalf("a life without failure: %v, %d writes", err, n-1)
						}
						return
					}
					if err == nil {
						t.Fatal("the failure was not noticed")
					}
					if l.n.Graph == nil {
						l.chain = dag.ChainID{} // its mark was not consumed
					}
					tries := l.tried
					l.readsOn(t, err)
					l.tried = tries
					if fault == dagtest.FaultPersisted && tries == nil {
						return // the mark of a clean stop is on disk: the chain goes on
					}
					l.survives(t, l.n.mem().Crash(0))
				})
			}
		}
	}
}

// TestPowerLoss cuts the power after each write of a node's life.
func TestPowerLoss(t *testing.T) {
	for n := 1; ; n++ {
		l := newLife(t)
		cut := &cutStore{Mem: l.n.mem(), at: n}
		l.n.store = cut
		err := l.first(t)
		if cut.after == nil {
			if err != nil || n < 8 {
				t.Fatalf("%d writes, %v", n-1, err)
			}
			return
		}
		if !errors.Is(err, errPower) {
			t.Fatalf("write %d: %v", n, err)
		}
		if l.tried == nil {
			continue // the mark of a clean stop was written: the chain goes on
		}
		t.Run(fmt.Sprint(n), func(t *testing.T) { l.survives(t, cut.after) })
	}
}

var errPower = errors.New("power is out")

// cutStore loses power right after its write number at.
type cutStore struct {
	*dagtest.Mem
	at    int
	after *dagtest.Mem
}

func (c *cutStore) Write(b *dag.Batch, sync bool) error {
	if c.after != nil {
		return errPower
	}
	err := c.Mem.Write(b, sync)
	if c.at--; c.at == 0 && err == nil {
		c.after, err = c.Mem.Crash(0), errPower
	}
	return err
}

// TestLookupAfterFailure: what a failed write would have added is not here,
// which is no damage.
func TestLookupAfterFailure(t *testing.T) {
	a := foundNode(t, "a")
	b := a.enlist(t, "b", dag.RoleWriter)
	r := a.put(t, "k", "1")
	b.mem().FailWrite(1, dagtest.FaultFailed)
	if _, err := b.Apply(t.Context(), bundles(b.lacks(t, a))); !errors.Is(err, dag.ErrReadOnly) {
		t.Fatalf("apply: %v", err)
	}
	if _, err := b.Revision(r.Revisions[0]); !errors.Is(err, dag.ErrNotFound) {
		t.Errorf("revision: %v", err)
	}
	if _, err := b.Block(r.Block); !errors.Is(err, dag.ErrNotFound) || b.Have(r.Block) {
		t.Errorf("block: %v", err)
	}
	if m, err := b.Find(r.Block.Short()); err != nil || len(m.Blocks) > 0 {
		t.Errorf("find: %v, %v", m, err)
	}
}

// TestAdoptFails: throwing away a history that fails half-way stops the graph,
// and is finished at the next open.
func TestAdoptFails(t *testing.T) {
	for _, fault := range []dagtest.Fault{dagtest.FaultFailed, dagtest.FaultPersisted} {
		for n := 1; n <= 2; n++ {
			a := foundNode(t, "a")
			a.put(t, "k", "1")
			other := foundNode(t, "other")
			a.mem().FailWrite(n, fault)
			if err := a.Adopt(t.Context(), other.Cluster()); err == nil {
				t.Fatalf("fault %d of write %d: no error", fault, n)
			}
			if _, err := a.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error { return putTx(tx, "k", []byte("2")) }); !errors.Is(err, dag.ErrReadOnly) {
				t.Errorf("fault %d of write %d: a commit answers %v", fault, n, err)
			}
			b := openNode(t, "a", a.mem().Crash(0))
			switch whole := n == 1 && fault == dagtest.FaultFailed; {
			case whole && b.value(t, "k") != "1":
				t.Errorf("fault %d of write %d: the history is gone", fault, n)
			case !whole && (b.Stats().Blocks > 0 || b.Joining() != other.Cluster()):
				t.Errorf("fault %d of write %d: %+v, joining %s", fault, n, b.Stats(), b.Joining())
			}
			b.check(t)
		}
	}
}

// TestConcurrentCommits: what is acknowledged is there, whole, and commits
// share blocks.
func TestConcurrentCommits(t *testing.T) {
	const writers, each = 64, 2
	a := foundNode(t, "a")
	gate := &gateStore{Store: a.store, hold: make(chan struct{})}
	a.Close()
	gate.Store = a.mem().Reopen()
	a.store = gate
	if err := a.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	gate.on.Store(true)
	receipts := make([][]dag.Receipt, writers)
	var wg sync.WaitGroup
	var evaluated atomic.Int64
	wg.Go(func() {
		// The first batch is held in the store; everybody else waits.
		for int64(a.Waiting())+evaluated.Load() < writers {
			runtime.Gosched()
		}
		gate.open()
	})
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				r, err := a.Commit(t.Context(), dag.Note{Author: fmt.Sprint("w", w)}, func(tx *dag.Tx) error {
					evaluated.Add(1)
					if err := putTx(tx, "shared", fmt.Append(nil, w, " ", i)); err != nil {
						return err
					}
					return putTx(tx, fmt.Sprintf("own/%d/%d", w, i), fmt.Append(nil, w, " ", i))
				})
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				receipts[w] = append(receipts[w], r)
			}
		})
	}
	wg.Wait()
	lookShared(t, a, receipts)
	e, err := a.Entry(dag.DefaultFork(), "shared")
	if err != nil || len(e.Heads) != 1 || e.Count != writers*each {
		t.Errorf("shared: %d heads, %d revisions, %v", len(e.Heads), e.Count, err)
	}
	a.check(t)
}

// lookShared checks that the first commits of all share at most two blocks,
// that of the first that came and that of those that waited for it, and that
// one commit of each block got its bundle.
func lookShared(t *testing.T, a *node, receipts [][]dag.Receipt) {
	t.Helper()
	first, bundles := map[dag.BlockID]bool{}, map[dag.BlockID]int{}
	for w, rs := range receipts {
		for i, r := range rs {
			if i == 0 {
				first[r.Block] = true
			}
			bundles[r.Block] += 0
			if r.Bundle != nil {
				bundles[r.Block]++
			}
			lookCommit(t, a, r, w, i)
		}
	}
	if len(first) > 2 {
		t.Errorf("the first commit and those that waited for it are in %d blocks", len(first))
	}
	for id, n := range bundles {
		if n != 1 {
			t.Errorf("%d commits got the bundle of block %s", n, id.Short())
		}
	}
}

// lookCommit checks that one commit of TestConcurrentCommits is there whole,
// with its own note.
func lookCommit(t *testing.T, a *node, r dag.Receipt, w, i int) {
	t.Helper()
	if len(r.Revisions) != 2 {
		t.Fatalf("%d revisions", len(r.Revisions))
	}
	for j, id := range r.Revisions {
		c, err := a.Revision(id)
		if err != nil || c.Block != r.Block || c.Note.Author != fmt.Sprint("w", w) {
			t.Errorf("revision %d of writer %d: %+v, %v", j, w, c.Note, err)
			continue
		}
		if v, err := a.ChangePayload(&c); err != nil || string(v) != fmt.Sprint(w, " ", i) {
			t.Errorf("revision %d of writer %d: %q, %v", j, w, v, err)
		}
	}
	if r.Bundle == nil {
		return // another commit of the block has it
	}
	h, err := dag.ReadHeader(r.Bundle)
	if err != nil || h.ID != r.Block || !h.Signed {
		t.Errorf("bundle of the receipt: %+v, %v", h, err)
	}
}

// gateStore holds the first write until it is opened.
type gateStore struct {
	dag.Store
	on   atomic.Bool
	once sync.Once
	hold chan struct{}
}

func (g *gateStore) open() { g.once.Do(func() { close(g.hold) }) }

func (g *gateStore) Write(b *dag.Batch, sync bool) error {
	if g.on.Load() {
		<-g.hold
	}
	return g.Store.Write(b, sync)
}

// company is a commit that is held in the store, so that others gather behind
// it and are written in one batch.
type company struct {
	n    *node
	gate *gateStore
	wg   sync.WaitGroup
}

func newCompany(t *testing.T) *company {
	n := foundNode(t, "a")
	g := &gateStore{Store: n.store, hold: make(chan struct{})}
	n.store = g
	n.clock.Add(1000)
	if err := n.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.on.Store(true)
	c := &company{n: n, gate: g}
	leading := make(chan struct{})
	var once sync.Once
	c.wg.Go(func() {
		_, err := n.Commit(context.Background(), dag.Note{}, func(tx *dag.Tx) error {
			once.Do(func() { close(leading) })
			return putTx(tx, "leader", []byte("x"))
		})
		if err != nil {
			t.Errorf("leader: %v", err)
		}
	})
	<-leading
	return c
}

// join starts a commit and returns once it waits.
func (c *company) join(ctx context.Context, note dag.Note, fn func(*dag.Tx) error, done func(dag.Receipt, error)) {
	n := c.n.Waiting()
	c.wg.Go(func() { done(c.n.Commit(ctx, note, fn)) })
	for c.n.Waiting() == n {
		runtime.Gosched()
	}
}

// finish lets the store go on and waits for all.
func (c *company) finish() {
	c.gate.open()
	c.wg.Wait()
}

// TestCommitFailsAlone: an error, a panic, a change too large and a context
// that ends are the business of one caller.
func TestCommitFailsAlone(t *testing.T) {
	c := newCompany(t)
	errMine := errors.New("mine")
	ctx, cancel := context.WithCancel(t.Context())
	put := func(key string) func(tx *dag.Tx) error {
		return func(tx *dag.Tx) error { return putTx(tx, key, []byte(key)) }
	}
	huge := func(tx *dag.Tx) error {
		for i := range 5 {
			if err := putTx(tx, fmt.Sprint("huge", i), make([]byte, dag.MaxValue)); err != nil {
				return err
			}
		}
		return nil
	}
	expect := func(what string, want func(error) bool) func(dag.Receipt, error) {
		return func(r dag.Receipt, err error) {
			if !want(err) {
				t.Errorf("%s: %v", what, err)
			}
			if err != nil && len(r.Revisions) > 0 {
				t.Errorf("%s: a receipt with an error", what)
			}
		}
	}
	fine := func(err error) bool { return err == nil }
	author := func(a string) dag.Note { return dag.Note{Author: a, Message: a} }
	c.join(t.Context(), author("err"), func(tx *dag.Tx) error { _ = putTx(tx, "err", nil); return errMine },
		expect("error", func(err error) bool { return err == errMine }))
	c.join(t.Context(), author("one"), put("one"), expect("one", fine))
	c.join(t.Context(), author("panic"), func(tx *dag.Tx) error { _ = putTx(tx, "panic", nil); panic("mine") },
		expect("panic", func(err error) bool { return err != nil && strings.Contains(err.Error(), "mine") }))
	c.join(t.Context(), author("huge"), huge, expect("huge", func(err error) bool { return errors.Is(err, dag.ErrTooLarge) }))
	c.join(t.Context(), dag.Note{}, put("two"), expect("two", fine))
	c.join(t.Context(), author("none"), func(*dag.Tx) error { return nil }, expect("none", fine))
	c.join(ctx, author("gone"), put("gone"), expect("gone", func(err error) bool { return errors.Is(err, context.Canceled) }))
	c.join(t.Context(), author("three"), put("three"), expect("three", fine))
	cancel()
	for c.n.Waiting() == 8 {
		runtime.Gosched()
	}
	c.finish()
	lookAlone(t, c.n)
	if s := c.n.Stats(); s.Blocks != 4 {
		t.Errorf("%d blocks, want that of the genesis, the leader's and two for the others, around the one too large", s.Blocks)
	}
	c.n.check(t)
}

// lookAlone checks what TestCommitFailsAlone left, and whose notes it has.
func lookAlone(t *testing.T, n *node) {
	t.Helper()
	for key, want := range map[string]string{"one": "one", "two": "", "three": "three"} {
		e, err := n.Entry(dag.DefaultFork(), key)
		if err != nil || len(e.Heads) != 1 {
			t.Fatalf("%s: %d heads, %v", key, len(e.Heads), err)
		}
		ch, err := n.HeadChange(&e.Heads[0])
		if err != nil || ch.Note.Author != want || ch.Note.Message != want {
			t.Errorf("%s: note %+v, %v", key, ch.Note, err)
		}
	}
	for _, key := range []string{"err", "panic", "huge0", "gone"} {
		if e, err := n.Entry(dag.DefaultFork(), key); err != nil || e.Count > 0 {
			t.Errorf("%s: %d revisions, %v", key, e.Count, err)
		}
	}
}

// TestOverflow: what does not fit into one block goes into several blocks of
// one batch, each commit whole, in the order of arrival.
func TestOverflow(t *testing.T) {
	if testing.Short() {
		t.Skip("blocks of 8 MiB")
	}
	c := newCompany(t)
	var mu sync.Mutex
	blocks := map[dag.BlockID]int{}
	load := bytes.Repeat([]byte("x"), dag.MaxValue)
	for i := range 4 {
		c.join(t.Context(), dag.Note{Author: fmt.Sprint(i)}, func(tx *dag.Tx) error {
			for j := range 2 {
				if err := putTx(tx, fmt.Sprint("key", j), append(load[:len(load)-2], byte(i), byte(j))); err != nil {
					return err
				}
			}
			return nil
		}, func(r dag.Receipt, err error) {
			mu.Lock()
			defer mu.Unlock()
			if blocks[r.Block]++; err != nil {
				t.Errorf("commit %d: %v", i, err)
			}
		})
	}
	c.finish()
	if len(blocks) != 4 {
		t.Errorf("%d blocks", len(blocks))
	}
	e, err := c.n.Entry(dag.DefaultFork(), "key1")
	if err != nil || e.Count != 4 || len(e.Heads) != 1 {
		t.Fatalf("%d revisions, %d heads, %v", e.Count, len(e.Heads), err)
	}
	i := 3
	for ch, err := range c.n.History(t.Context(), dag.DefaultFork(), "key1", dag.HistoryCursor{}) {
		if err != nil || ch.Note.Author != fmt.Sprint(i) {
			t.Errorf("entry %d: %+v, %v", i, ch.Note, err)
		}
		i--
	}
	if n := c.n.store.(*gateStore).Store.(*dagtest.Mem).Writes(); n > 2+3 {
		t.Errorf("%d writes", n)
	}
}

// TestFullBlock: a commit that is said to fit makes a block that others take.
func TestFullBlock(t *testing.T) {
	note := dag.Note{Message: strings.Repeat("m", dag.MaxNote)}
	for name, fill := range map[string]func(tx *dag.Tx) error{
		"a long note": func(tx *dag.Tx) error {
			for i := range 4 {
				size := dag.MaxValue
				if i == 3 {
					size -= 5 << 10
				}
				if err := putTx(tx, fmt.Sprint(i), make([]byte, size)); err != nil {
					return err
				}
			}
			return nil
		},
		"labels": func(tx *dag.Tx) error {
			f, err := tx.NameFork("f")
			if err != nil {
				return err
			}
			label := strings.Repeat("l", dag.MaxName)
			for i := range dag.MaxBlock / 80 {
				d := dag.Draft{Fork: f.ID, Key: fmt.Sprint(i), Kind: 1 << 60, Label: label, Mark: 1 << 60}
				if err := tx.Put(d); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() {
				t.Skip("blocks of 16 MiB")
			}
			a := foundNode(t, "a")
			r, err := a.Commit(t.Context(), note, fill)
			if errors.Is(err, dag.ErrTooLarge) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := dag.ReadHeader(r.Bundle); err != nil {
				t.Errorf("a block of our own of %d bytes: %v", len(r.Bundle), err)
			}
		})
	}
}

// TestOwnBlockIsFine: nothing that a caller can say makes a block of our own
// that is void or does not decode.
func TestOwnBlockIsFine(t *testing.T) {
	victim := keyOf("victim").ID()
	for name, fn := range map[string]func(tx *dag.Tx) error{
		"label": func(tx *dag.Tx) error {
			return tx.Put(dag.Draft{Fork: dag.DefaultFork(), Key: "k", Kind: 1, Label: "\xff"})
		},
		"role": func(tx *dag.Tx) error { return tx.Op(dag.NewOp(dag.MemberOp{Node: victim, Role: "king"})) },
		"name": func(tx *dag.Tx) error {
			return tx.Op(dag.NewOp(dag.MemberOp{Node: victim, Role: dag.RoleWriter, Name: "\xff"}))
		},
		"genesis": func(tx *dag.Tx) error { return tx.Op(dag.NewOp(dag.GenesisOp{})) },
		"not an admin any more": func(tx *dag.Tx) error {
			return errors.Join(
				tx.Op(dag.NewOp(dag.MemberOp{Node: keyOf("a").ID(), Role: dag.RoleWriter})),
				tx.Op(dag.NewOp(dag.MemberOp{Node: victim, Role: dag.RoleWriter})))
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := foundNode(t, "a")
			_, err := a.commitGuarded(t, fn)
			if err == nil {
				t.Error("taken")
			}
			if _, err := a.commitGuarded(t, func(tx *dag.Tx) error { return putTx(tx, "k", []byte("v")) }); err != nil {
				t.Errorf("the next commit: %v", err)
			}
			a.check(t)
			a.crash(t)
		})
	}
	for _, name := range []string{"a b", "\xff", strings.Repeat("n", dag.MaxName+1)} {
		func() {
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("found with the name %.5q panics: %v", name, r)
				}
			}()
			n := openNode(t, "n", dagtest.NewMem())
			if _, err := n.Found(t.Context(), dag.Member{Name: name}); err == nil {
				t.Errorf("found with the name %.5q", name)
			}
		}()
	}
}

// commitGuarded turns a panic of the graph into an error of the test.
func (n *node) commitGuarded(t *testing.T, fn func(*dag.Tx) error) (r dag.Receipt, err error) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Fatalf("commit panics: %v", p)
		}
	}()
	return n.Commit(t.Context(), dag.Note{}, fn)
}
