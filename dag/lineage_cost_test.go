package dag_test

import (
	"fmt"
	"strconv"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// meter counts what a graph does to its store.
type meter struct {
	dag.Store
	reads int // gets, and ranges begun
	bytes int // written
}

func (m *meter) Get(key []byte) ([]byte, error) {
	m.reads++
	return m.Store.Get(key)
}

func (m *meter) Iterate(r dag.Range, yield func(k, v []byte) bool) error {
	m.reads++
	return m.Store.Iterate(r, yield)
}

func (m *meter) Write(b *dag.Batch, sync bool) error {
	m.bytes += b.Size()
	return m.Store.Write(b, sync)
}

func (m *meter) Snapshot() (dag.Snapshot, error) {
	s, err := m.Store.Snapshot()
	return &metered{s, m}, err
}

// metered counts reads of a snapshot.
type metered struct {
	dag.Snapshot
	m *meter
}

func (s *metered) Get(key []byte) ([]byte, error) {
	s.m.reads++
	return s.Snapshot.Get(key)
}

func (s *metered) Iterate(r dag.Range, yield func(k, v []byte) bool) error {
	s.m.reads++
	return s.Snapshot.Iterate(r, yield)
}

// meteredNode is a node whose root has some keys.
func meteredNode(t *testing.T, keys int) (*node, *meter) {
	t.Helper()
	m := &meter{Store: dagtest.NewMem()}
	a := openNode(t, "a", m)
	if _, err := a.Found(t.Context(), dag.Member{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	a.commit(t, func(tx *dag.Tx) error {
		for i := range keys {
			d := dag.Draft{Fork: dag.DefaultFork(), Key: fmt.Sprintf("k%05d", i), Kind: 1, Payload: []byte("v")}
			if err := tx.Put(d); err != nil {
				return err
			}
		}
		return nil
	})
	return a, m
}

// deep makes a fork of a fork, and so on.
func deep(t *testing.T, a *node, depth int) dag.ForkID {
	t.Helper()
	f := dag.DefaultFork()
	for i := range depth {
		f = a.fork(t, "f"+strconv.Itoa(i), f)
		a.set(t, f, "own"+strconv.Itoa(i), "v")
	}
	return f
}

func (m *meter) of(do func()) (reads, bytes int) {
	r, b := m.reads, m.bytes
	do()
	return m.reads - r, m.bytes - b
}

// TestCostOfDeepForks: a key that only the root wrote costs about the same on
// a fork eight deep, one by one and in a scan.
func TestCostOfDeepForks(t *testing.T) {
	a, m := meteredNode(t, 1000)
	f := deep(t, a, 8)
	read := func(fork dag.ForkID) int {
		n, _ := m.of(func() { a.is(t, fork, "k00500", "v") })
		return n
	}
	if root, leaf := read(dag.DefaultFork()), read(f); leaf > 3*root+2 {
		t.Errorf("a key costs %d reads on the root and %d eight forks deep", root, leaf)
	}
	scan := func(fork dag.ForkID) int {
		keys := 0
		n, _ := m.of(func() {
			for _, err := range a.Entries(t.Context(), fork, "k", "") {
				if keys++; err != nil {
					t.Fatal(err)
				}
			}
		})
		if keys != 1000 {
			t.Errorf("%d keys", keys)
		}
		return n
	}
	root, leaf := scan(dag.DefaultFork()), scan(f)
	if root > 10 || leaf > 4*1000+30 {
		t.Errorf("1,000 keys cost %d reads on the root and %d eight forks deep", root, leaf)
	}
}

// TestCostOfFork: making and merging a fork costs the same for any number of
// keys.
func TestCostOfFork(t *testing.T) {
	cost := func(keys int) [4]int {
		a, m := meteredNode(t, keys)
		var x dag.ForkID
		r1, b1 := m.of(func() { x = a.fork(t, "x", dag.DefaultFork()) })
		r2, b2 := m.of(func() { a.merge(t, dag.DefaultFork(), x, nil) })
		return [4]int{r1, b1, r2, b2}
	}
	few, many := cost(10), cost(10_000)
	// The first fork writes what it does not know to be needed later; ids have
	// one length, counters grow by a byte or two.
	for i := range few {
		if many[i] > few[i]+16 {
			t.Errorf("of 10 keys: reads, bytes %v; of 10,000 %v", few, many)
		}
	}
	if few[1] > 1200 || few[3] > 1200 {
		t.Errorf("a fork writes %d bytes, a merge %d", few[1], few[3])
	}
}

// TestCostOfManyMerges: a key on a fork that the same source was merged into a
// hundred times costs no more than after one merge, but for a constant.
func TestCostOfManyMerges(t *testing.T) {
	a, m := meteredNode(t, 10)
	x := a.fork(t, "x", dag.DefaultFork())
	read := func() int {
		n, _ := m.of(func() { a.is(t, x, "k00001", "v") })
		return n
	}
	first := read()
	for i := range 100 {
		a.set(t, dag.DefaultFork(), "other", strconv.Itoa(i))
		a.merge(t, x, dag.DefaultFork(), nil)
	}
	if n := read(); n > first+2 {
		t.Errorf("a key costs %d reads after 100 merges, %d before", n, first)
	}
}
