package dag_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"crush/dag"
	"crush/dag/dagtest"
)

// node is a graph on a store, with a clock that moves by itself.
type node struct {
	*dag.Graph
	store dag.Store
	key   dag.NodeKey
	tick  int64
}

func (n *node) now() time.Time { n.tick++; return time.UnixMilli(1_700_000_000_000 + n.tick) }

func keyOf(name string) dag.NodeKey { return dag.NewNodeKey(dag.SumOf([]byte(name))) }

func openNode(t testing.TB, name string, s dag.Store) *node {
	t.Helper()
	n := &node{store: s, key: keyOf(name)}
	g, err := dag.Open(t.Context(), dag.Config{Store: s, Key: n.key, Now: n.now, Fingerprint: name})
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	n.Graph = g
	return n
}

func foundNode(t testing.TB, name string) *node {
	t.Helper()
	n := openNode(t, name, dagtest.NewMem())
	if _, err := n.Found(t.Context(), dag.Member{Name: name}); err != nil {
		t.Fatalf("found: %v", err)
	}
	return n
}

// put writes a value over all heads.
func (n *node) put(t testing.TB, key, value string) dag.Receipt {
	t.Helper()
	r, err := n.Commit(t.Context(), dag.Note{Author: "test"}, func(tx *dag.Tx) error {
		return putTx(tx, key, []byte(value))
	})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return r
}

func putTx(tx *dag.Tx, key string, value []byte) error {
	e, err := tx.Entry(dag.DefaultFork(), key)
	if err != nil {
		return err
	}
	d := dag.Draft{Fork: dag.DefaultFork(), Key: key, Kind: 1, Payload: value, Deleted: value == nil}
	for _, h := range e.Heads {
		d.Parents = append(d.Parents, h.ID)
	}
	return tx.Put(d)
}

func TestPutGet(t *testing.T) {
	n := foundNode(t, "a")
	for i := range 5 {
		n.put(t, "k", fmt.Sprint("v", i))
	}
	e, err := n.Entry(dag.DefaultFork(), "k")
	if err != nil || len(e.Heads) != 1 || e.Count != 5 {
		t.Fatalf("entry %+v, %v", e, err)
	}
	v, err := n.Payload(&e.Heads[0])
	if err != nil || string(v) != "v4" {
		t.Fatalf("payload %q, %v", v, err)
	}
	i := 4
	for c, err := range n.History(t.Context(), dag.DefaultFork(), "k", dag.HistoryCursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		v, err := n.ChangePayload(&c)
		if err != nil || string(v) != fmt.Sprint("v", i) {
			t.Fatalf("history %d: %q %v", i, v, err)
		}
		i--
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, clients := range []int{1, 64, 256} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			s, err := dag.OpenLevelDB(b.TempDir(), false)
			if err != nil {
				b.Fatal(err)
			}
			g, err := dag.Open(b.Context(), dag.Config{Store: s, Key: keyOf("b"), Now: time.Now})
			if err != nil {
				b.Fatal(err)
			}
			defer g.Close()
			if _, err := g.Found(b.Context(), dag.Member{Name: "b"}); err != nil {
				b.Fatal(err)
			}
			value := make([]byte, 256)
			var wg sync.WaitGroup
			b.ResetTimer()
			for c := range clients {
				wg.Go(func() {
					for i := c; i < b.N; i += clients {
						_, err := g.Commit(context.Background(), dag.Note{}, func(tx *dag.Tx) error {
							return putTx(tx, fmt.Sprintf("bench/%08d", i), value)
						})
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
		})
	}
}
