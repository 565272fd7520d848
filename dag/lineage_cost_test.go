package dag_test

import (
	"fmt"
	"strconv"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// The tests of this file count what reads and writes of forks do to the store:
// gets, ranges begun, records that ranges come to, and bytes written.

// meteredNode is a node whose root has some keys.
func meteredNode(t testing.TB, keys int) (*node, *dagtest.Meter) {
	t.Helper()
	m := dagtest.NewMeter(dagtest.NewMem())
	a := openNode(t, "a", m)
	if _, err := a.Found(t.Context(), dag.Member{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	a.fill(t, dag.DefaultFork(), 0, keys, "v")
	return a, m
}

func costKey(i int) string { return fmt.Sprintf("k%06d", i) }

// fill writes some keys, having seen all, in large blocks.
func (n *node) fill(t testing.TB, fork dag.ForkID, from, to int, value string) {
	t.Helper()
	for ; from < to; from += 25_000 {
		n.commit(t, func(tx *dag.Tx) error {
			for i := from; i < min(to, from+25_000); i++ {
				e, err := tx.Entry(fork, costKey(i))
				if err != nil {
					return err
				}
				d := dag.Draft{Fork: fork, Key: costKey(i), Parents: headIDs(e), Kind: 1, Payload: []byte(value)}
				if err := tx.Put(d); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// page lists keys behind one, at most so many.
func (n *node) page(t testing.TB, fork dag.ForkID, behind, most int) (keys int) {
	t.Helper()
	for _, err := range n.Entries(t.Context(), fork, "k", costKey(behind)) {
		if err != nil {
			t.Fatal(err)
		}
		if keys++; keys == most {
			break
		}
	}
	return keys
}

// reopen stops the node cleanly, and tells what opening it costs.
func (n *node) reopen(t testing.TB) (cost dagtest.Cost) {
	t.Helper()
	m := n.store.(*dagtest.Meter)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	m.Store = m.Store.(*dagtest.Mem).Reopen()
	return m.Of(func() {
		if err := n.open(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// chain makes a fork of a fork, and so on; each does something to itself.
func (n *node) chain(t testing.TB, depth int, do func(i int, f dag.ForkID)) dag.ForkID {
	t.Helper()
	f := dag.DefaultFork()
	for i := range depth {
		f = n.fork(t, "f"+strconv.Itoa(i), f)
		do(i, f)
	}
	return f
}

// TestCostOfDeepForks: a key costs three times as much on a fork of a fork of …
// as on the root at most, and a page of keys one range for each fork that wrote
// anything, and nothing for each key.
func TestCostOfDeepForks(t *testing.T) {
	if testing.Short() {
		t.Skip("one thing after another, and slow: not in short runs")
	}
	const keys = 1000
	for _, depth := range []int{8, 64} {
		for name, write := range map[string]func(a *node, i int, f dag.ForkID){
			"only the root wrote": func(a *node, i int, f dag.ForkID) { a.set(t, f, "own"+strconv.Itoa(i), "v") },
			"each wrote a part": func(a *node, i int, f dag.ForkID) {
				a.fill(t, f, i*keys/depth, (i+1)*keys/depth, "own")
			},
			"each wrote the same": func(a *node, _ int, f dag.ForkID) { a.fill(t, f, 490, 510, "own") },
		} {
			t.Run(fmt.Sprintf("%d deep, %s", depth, name), func(t *testing.T) {
				a, m := meteredNode(t, keys)
				d := dag.DefaultFork()
				leaf := a.chain(t, depth, func(i int, f dag.ForkID) { write(a, i, f) })
				for i := 495; i < 505; i++ {
					get := func(f dag.ForkID) int { return m.Of(func() { a.heads(t, f, costKey(i)) }).Reads }
					if root, deep := get(d), get(leaf); deep > 3*root {
						t.Errorf("%s costs %d reads on the root, %d on the leaf", costKey(i), root, deep)
					}
				}
				a.sameScans(t, m, leaf, depth)
				put := m.Of(func() { a.set(t, leaf, costKey(500), "x") })
				merge := m.Of(func() { a.merge(t, d, leaf, nil) })
				if put.Reads > 8 || merge.Reads > 2 || put.Bytes+merge.Bytes > 3000 {
					t.Errorf("a put costs %+v, a merge %+v", put, merge)
				}
				a.is(t, d, costKey(500), "x")
				if get := m.Of(func() { a.heads(t, d, costKey(501)) }); get.Reads > 4 {
					t.Errorf("a key costs %d reads on the root after the merge", get.Reads)
				}
			})
		}
	}
}

// sameScans compares a page and all keys of the root and of a fork that is so
// deep.
func (n *node) sameScans(t testing.TB, m *dagtest.Meter, leaf dag.ForkID, depth int) {
	t.Helper()
	for _, most := range []int{100, 1 << 20} {
		keys := 0
		scan := func(f dag.ForkID) dagtest.Cost {
			return m.Of(func() { keys = n.page(t, f, 299, most) })
		}
		root := scan(dag.DefaultFork())
		deep := scan(leaf)
		reads := (depth + 2) * root.Reads
		if depth > 32 { // then some keys are read by themselves
			reads = 3*root.Reads + keys
		}
		if deep.Reads > reads || deep.Records > 3*root.Records+4*depth {
			t.Errorf("%d keys cost %+v on the root, %+v %d forks deep", keys, root, deep, depth)
		}
	}
}

// TestCostOfPast: a key that was written again where a fork was made of is read
// from the history; its blocks are read once for all keys of a scan.
func TestCostOfPast(t *testing.T) {
	a, m := meteredNode(t, 1000)
	leaf := a.chain(t, 8, func(i int, f dag.ForkID) { a.set(t, f, "own"+strconv.Itoa(i), "v") })
	a.fill(t, dag.DefaultFork(), 0, 1000, "later")
	a.is(t, leaf, costKey(500), "v")
	if n := m.Of(func() { a.heads(t, leaf, costKey(501)) }).Reads; n > 4 {
		t.Errorf("a key costs %d reads", n)
	}
	if n := m.Of(func() { a.page(t, leaf, 299, 100) }).Reads; n > 100+20 {
		t.Errorf("a page of 100 keys costs %d reads", n)
	}
}

// TestCostOfFork: making a fork, and merging it, costs the same for any number
// of keys.
func TestCostOfFork(t *testing.T) {
	if testing.Short() {
		t.Skip("one thing after another, and slow: not in short runs")
	}
	cost := func(keys int) (out []dagtest.Cost) {
		a, m := meteredNode(t, keys)
		d := dag.DefaultFork()
		for _, name := range []string{"x", "y"} {
			var f dag.ForkID
			out = append(out, m.Of(func() { f = a.fork(t, name, d) }), m.Of(func() { a.merge(t, d, f, nil) }))
		}
		return out
	}
	few, many := cost(10), cost(100_000)
	for i := range few {
		// Ids have one length; counters grow by a byte or two.
		if few[i].Reads != many[i].Reads || many[i].Bytes > few[i].Bytes+16 || few[i].Bytes > 800 {
			t.Errorf("of 10 keys: %+v; of 100,000: %+v", few, many)
		}
	}
}

// backAndForth merges two forks into each other, again and again, each time
// after a write on one of them.
func (n *node) backAndForth(t testing.TB, x dag.ForkID, from, to int) {
	t.Helper()
	d := dag.DefaultFork()
	for i := from; i < to; i++ {
		n.commit(t, func(tx *dag.Tx) error {
			for _, op := range []dag.Op{mergeOf(d, x), mergeOf(x, d)} {
				if err := tx.Op(op); err != nil {
					return err
				}
			}
			key := costKey(i % 100)
			e, err := tx.Entry(x, key)
			if err != nil {
				return err
			}
			return tx.Put(dag.Draft{Fork: x, Key: key, Parents: headIDs(e), Kind: 1, Payload: []byte(strconv.Itoa(i))})
		})
	}
	n.merge(t, d, x, nil)
}

// TestCostOfManyMerges: what has been merged before costs nothing, however
// often it was; nor does it when the graph is opened, but for its operations.
func TestCostOfManyMerges(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and 2,000 merges")
	}
	a, m := meteredNode(t, 200)
	d := dag.DefaultFork()
	x := a.fork(t, "x", d)
	done := 0
	costs := func(until int) (out []dagtest.Cost) {
		a.backAndForth(t, x, done, until)
		done = until
		cut, err := a.CutOf(tips(a)[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, do := range []func(){
			func() { a.heads(t, d, costKey(50)) },
			func() { a.heads(t, d, costKey(150)) },
			func() { a.heads(t, x, costKey(50)) },
			func() { a.page(t, d, 0, 100) },
			func() { a.page(t, x, 0, 100) },
			func() { a.mustEntryAt(t, d, costKey(50), cut) },
			func() { a.set(t, d, costKey(50), "d") },
			func() { a.merge(t, x, d, nil) },
			func() { a.set(t, x, costKey(50), "x") },
			func() { a.fork(t, "y"+strconv.Itoa(until), x) },
		} {
			out = append(out, m.Of(do))
		}
		return out
	}
	few := costs(100)
	for _, n := range []int{1000, 5000} {
		for i, c := range costs(n) {
			if c.Reads > few[i].Reads+1 || c.Records > few[i].Records+8 || c.Bytes > few[i].Bytes+64 {
				t.Errorf("the %d-th costs %+v after 100 merges, %+v after %d", i, few[i], c, n)
			}
		}
		if open := a.reopen(t); open.Reads > 3*n+4500 {
			t.Errorf("after %d merges each way, opening costs %+v", n, open)
		}
		a.is(t, d, costKey(51), strconv.Itoa(n-49))
	}
}

func (n *node) mustEntryAt(t testing.TB, fork dag.ForkID, key string, c dag.Cut) dag.Entry {
	t.Helper()
	e, err := n.EntryAt(fork, key, c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestCostOfOpeningCuts: the blocks that merges name as their cuts are not
// looked for when the graph is opened.
func TestCostOfOpeningCuts(t *testing.T) {
	if testing.Short() {
		t.Skip("one thing after another, and slow: not in short runs")
	}
	a, m := meteredNode(t, 10_000) // some segments of the index of ids
	x := a.fork(t, "x", dag.DefaultFork())
	cut := tips(a)
	for range 300 {
		a.set(t, x, "k", "v") // so that the cut is one of the past
		a.op(t, dag.NewOp(dag.MergeOp{Into: dag.DefaultFork(), From: dag.NewContribution(x, cut, nil)}))
		cut = tips(a)
	}
	before := m.Of(func() { a.heads(t, dag.DefaultFork(), "k") })
	// The ids behind the last segment are gathered from their blocks.
	if open := a.reopen(t); open.Records > 3*4096 {
		t.Errorf("opening costs %+v", open)
	}
	if after := m.Of(func() { a.is(t, dag.DefaultFork(), "k", "v") }); after.Reads > before.Reads+1 {
		t.Errorf("a key costs %+v, %+v before", after, before)
	}
	a.check(t)
}
