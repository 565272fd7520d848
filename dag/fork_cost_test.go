package dag_test

import (
	"runtime"
	"strconv"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// manyForks makes forks of the default one, many in one block.
func (n *node) manyForks(t testing.TB, from, to int) (ids []dag.ForkID) {
	t.Helper()
	for ; from < to; from += 1000 {
		n.commit(t, func(tx *dag.Tx) error {
			for i := from; i < min(to, from+1000); i++ {
				f, err := tx.CreateFork("f"+strconv.Itoa(i), dag.NewContribution(dag.DefaultFork(), nil, nil))
				if err != nil {
					return err
				}
				ids = append(ids, f.ID)
			}
			return nil
		})
	}
	return ids
}

// allocated is how many bytes a function allocates, the least of some runs.
func allocated(do func()) (least uint64) {
	for i := range 8 {
		var a, b runtime.MemStats
		runtime.ReadMemStats(&a)
		do()
		runtime.ReadMemStats(&b)
		if n := b.TotalAlloc - a.TotalAlloc; i == 0 || n < least {
			least = n
		}
	}
	return least
}

// TestCostOfManyForks: the ten thousandth fork costs what the tenth did, in
// what is read, written and allocated, and so do its renaming, a write on it
// and its merge. Opening reads the operations, and no blocks for them.
func TestCostOfManyForks(t *testing.T) {
	if testing.Short() {
		t.Skip("one thing after another, and slow: not in short runs")
	}
	store, err := dag.OpenLevelDB(t.TempDir(), false) // the one in memory copies itself for each write
	if err != nil {
		t.Fatal(err)
	}
	m := dagtest.NewMeter(store)
	a := openNode(t, "a", m)
	defer func() { _ = a.Close() }()
	if _, err := a.Found(t.Context(), dag.Member{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	d := dag.DefaultFork()
	a.set(t, d, "k", "0")
	n := 0
	costs := func() (out []uint64) {
		var f dag.ForkID
		for _, do := range []func(){
			func() { n++; f = a.fork(t, "one"+strconv.Itoa(n), d) },
			func() { n++; a.op(t, dag.NewOp(dag.RenameOp{Fork: f, Name: "two" + strconv.Itoa(n)})) },
			func() { a.set(t, f, "k", "1") },
			func() { a.merge(t, d, f, nil) },
			func() { n++; a.op(t, dag.NewTag("three"+strconv.Itoa(n), tips(a))) },
			func() { a.is(t, f, "k", "1") },
			func() { forkNamed(t, a, "f7") },
		} {
			var c dagtest.Cost
			bytes := allocated(func() { c = m.Of(do) })
			out = append(out, bytes, uint64(c.Reads), uint64(c.Bytes))
		}
		return out
	}
	// What has been merged by then decides which records are looked at first.
	a.manyForks(t, 0, 10)
	few := costs()
	a.manyForks(t, 10, 10_000)
	many := costs()
	for i := range few {
		if i%3 == 0 && many[i] > 2*few[i]+8<<10 || i%3 == 1 && many[i] > few[i]+3 || i%3 == 2 && many[i] > few[i]+64 {
			t.Fatalf("allocated, read, written with 10 forks: %v; with 10,000: %v", few, many)
		}
	}
	if c := m.Of(func() { a.Forks() }); c.Reads > 0 {
		t.Errorf("listing reads: %+v", c)
	}
}

// TestCostOfOpeningForks: what opening a graph with many forks reads and
// allocates grows with their number, not with its square.
func TestCostOfOpeningForks(t *testing.T) {
	if testing.Short() {
		t.Skip("one thing after another, and slow: not in short runs")
	}
	open := func(forks int) (dagtest.Cost, uint64) {
		a, _ := meteredNode(t, 10)
		a.manyForks(t, 0, forks)
		var c dagtest.Cost
		bytes := allocated(func() { c = a.reopen(t) })
		if f := forkNamed(t, a, "f"+strconv.Itoa(forks-1)); f.Deleted {
			t.Error("the last fork is deleted")
		}
		return c, bytes
	}
	few, fewBytes := open(1000)
	many, manyBytes := open(10_000)
	if many.Reads > few.Reads+100 || many.Records > 11*few.Records || manyBytes > 20*fewBytes {
		t.Errorf("opening with 1,000 forks costs %+v and %d bytes, with 10,000 %+v and %d", few, fewBytes, many, manyBytes)
	}
}

// TestCostOfMergedForks: forks that have been merged, as every feature of a
// year was, cost nothing where they wrote nothing, and one read of each key
// that only they wrote.
func TestCostOfMergedForks(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and 2,000 forks")
	}
	a, m := meteredNode(t, 300)
	d := dag.DefaultFork()
	const forks = 2000
	ids := a.manyForks(t, 0, forks)
	a.commit(t, func(tx *dag.Tx) error {
		for i, f := range ids {
			if err := tx.Put(dag.Draft{Fork: f, Key: "k-feature" + strconv.Itoa(i), Kind: 1, Payload: []byte("v")}); err != nil {
				return err
			}
		}
		return nil
	})
	a.commit(t, func(tx *dag.Tx) error {
		for _, f := range ids {
			if err := tx.Op(mergeOf(d, f)); err != nil {
				return err
			}
		}
		return nil
	})
	x := a.fork(t, "x", d)
	for _, f := range []dag.ForkID{d, x} {
		for key, most := range map[string]int{costKey(7): 3, "k-feature77": 3} {
			if c := m.Of(func() { a.heads(t, f, key) }); c.Reads > most {
				t.Errorf("%s costs %+v", key, c)
			}
		}
		if c := m.Of(func() { a.page(t, f, 0, 100) }); c.Reads > 10 {
			t.Errorf("a page of keys that the root wrote costs %+v", c)
		}
	}
	all := 0
	if c := m.Of(func() { all = a.page(t, d, 0, 1<<20) }); all != 299 || c.Reads > 20 {
		t.Errorf("%d keys cost %+v", all, c)
	}
	count := 0
	c := m.Of(func() {
		for range a.Entries(t.Context(), d, "k-", "") {
			count++
		}
	})
	if count != forks || c.Reads > forks+100 {
		t.Errorf("%d keys that forks wrote cost %+v", count, c)
	}
	for _, do := range []func(){
		func() { a.set(t, x, "k-feature77", "w") },
		func() { a.merge(t, d, x, nil) },
		func() { _, _ = a.Unmerged(x) },
	} {
		if c := m.Of(do); c.Reads > 10 || c.Bytes > 2000 {
			t.Errorf("a write, a merge or a question costs %+v", c)
		}
	}
	a.is(t, d, "k-feature77", "w")
}

// TestCostOfManyHeads: a sibling of very many heads is written, and a write
// over them, without reading their histories; the lists of siblings do not grow
// with their square.
func TestCostOfManyHeads(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and 10,000 heads")
	}
	const each = 500
	names := []string{"a", "b"}
	for i := 2; i < 20; i++ {
		names = append(names, "n"+strconv.Itoa(i))
	}
	ns := team(t, names...)
	all := each * len(ns)
	d := dag.DefaultFork()
	sibling := func(tx *dag.Tx) error {
		return tx.Put(dag.Draft{Fork: d, Key: "k", Kind: 1, Payload: make([]byte, 100)})
	}
	for _, n := range ns {
		m := dagtest.NewMeter(n.store)
		n.restartOn(t, m)
		c := m.Of(func() {
			n.commit(t, func(tx *dag.Tx) error {
				for range each {
					if err := sibling(tx); err != nil {
						return err
					}
				}
				return nil
			})
		})
		if c.Reads > 20+each/4 || c.Bytes > 700*each {
			t.Fatalf("%d siblings cost %+v", each, c)
		}
	}
	a := ns[0]
	m := a.store.(*dagtest.Meter)
	for _, n := range ns[1:] {
		if c := m.Of(func() { a.pull(t, n) }); c.Reads > 20+5*each || c.Bytes > 400*each+150*all {
			t.Fatalf("applying %d siblings costs %+v", each, c)
		}
	}
	x := a.fork(t, "x", d)
	for name, test := range map[string]struct {
		reads int
		do    func()
	}{
		"get":           {1, func() { a.wantHeads(t, d, all) }},
		"get on a fork": {3, func() { a.wantHeads(t, x, all) }},
	} {
		if c := m.Of(test.do); c.Reads > test.reads {
			t.Errorf("%s of %d heads costs %+v", name, all, c)
		}
	}
	if c := m.Of(func() { a.commit(t, sibling) }); c.Reads > 5 || c.Bytes > 150*all+2000 {
		t.Errorf("a sibling of %d heads costs %+v", all, c)
	}
	if c := m.Of(func() { a.set(t, d, "k", "over") }); c.Reads > 5 || c.Bytes > 50*all {
		t.Errorf("a write over %d heads costs %+v", all, c)
	}
	a.is(t, d, "k", "over")
	a.wantHeads(t, x, all)
	a.merge(t, x, d, nil)
	a.is(t, x, "k", "over")
	if testing.Short() { // it writes all of them again
		a.check(t)
	}
}

// restartOn opens the node again, on its store behind a meter.
func (n *node) restartOn(t testing.TB, m *dagtest.Meter) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	m.Store = m.Store.(*dagtest.Mem).Reopen()
	n.store = m
	if err := n.open(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (n *node) wantHeads(t testing.TB, fork dag.ForkID, want int) {
	t.Helper()
	if e, err := n.Entry(fork, "k"); err != nil || len(e.Heads) != want || e.Count != uint64(want) {
		t.Fatalf("%d heads, %d revisions, want %d: %v", len(e.Heads), e.Count, want, err)
	}
}
