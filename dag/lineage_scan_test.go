package dag_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"crush/dag"
)

// scanWorld is a node with some forks that wrote some keys and were merged, at
// random; forks of forks, so that many contribute to some and few to others.
func scanWorld(t *testing.T, seed uint64, forks, keys int) (a *node, all []dag.ForkID) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 11))
	a = foundNode(t, "a")
	all = []dag.ForkID{dag.DefaultFork()}
	write := func(f dag.ForkID, n int) {
		a.commit(t, func(tx *dag.Tx) error {
			for range n {
				d := dag.Draft{Fork: f, Key: "k/" + strconv.Itoa(r.IntN(keys)), Kind: 1, Deleted: r.IntN(8) == 0}
				e, err := tx.Entry(f, d.Key)
				if err != nil {
					return err
				}
				if r.IntN(8) > 0 {
					d.Parents = headIDs(e)
				}
				if err := tx.Put(d); err != nil {
					return err
				}
			}
			return nil
		})
	}
	write(all[0], keys/2)
	for i := range forks {
		f := a.fork(t, "f"+strconv.Itoa(i), one(r, all))
		all = append(all, f)
		if r.IntN(3) > 0 {
			write(f, r.IntN(keys/3))
		}
		write(one(r, all), r.IntN(6))
		if into, from := one(r, all), one(r, all); into != from {
			a.merge(t, into, from, nil)
		}
		if r.IntN(10) == 0 {
			a.merge(t, all[0], f, &dag.Filter{Skips: []string{"k/*3"}})
		}
	}
	return a, all
}

// TestScans: a scan finds what a read of each key finds, on forks that few and
// that many contribute to, in any part of the keys. DAG_SEED=n takes another
// start.
func TestScans(t *testing.T) {
	seed := uint64(setting("DAG_SEED", 1))
	for _, forks := range []int{0, 3, 12, 60} {
		t.Run(fmt.Sprintf("DAG_SEED=%d, %d forks", seed, forks), func(t *testing.T) {
			if forks == 60 && testing.Short() {
				t.Skip("one goroutine, and 60 forks")
			}
			const keys = 700
			a, all := scanWorld(t, seed, forks, keys)
			r := rand.New(rand.NewPCG(seed, 12))
			for range 12 {
				f := one(r, all)
				prefix, after := one(r, []string{"", "k/", "k/1", "k/77", "k/7777", "l"}), ""
				if r.IntN(2) == 0 {
					after = "k/" + strconv.Itoa(r.IntN(keys))
				}
				a.sameScan(t, f, keys, prefix, after)
			}
			a.check(t)
		})
	}
}

func (n *node) sameScan(t *testing.T, f dag.ForkID, keys int, prefix, after string) {
	t.Helper()
	last, seen := "", map[string]bool{}
	for e, err := range n.Entries(t.Context(), f, prefix, after) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Key <= last || e.Key <= after || !strings.HasPrefix(e.Key, prefix) {
			t.Fatalf("scan of %q after %q: %q after %q", prefix, after, e.Key, last)
		}
		last, seen[e.Key] = e.Key, true
		one, err := n.Entry(f, e.Key)
		if err != nil || fmt.Sprint(headIDs(&one), one.Count, one.SinceDelete, one.First, one.Fork) != fmt.Sprint(headIDs(&e), e.Count, e.SinceDelete, e.First, e.Fork) {
			t.Fatalf("scan of %q after %q: %+v, by itself %+v, %v", prefix, after, e, one, err)
		}
	}
	for i := range keys {
		key := "k/" + strconv.Itoa(i)
		if !strings.HasPrefix(key, prefix) || key <= after {
			continue
		}
		if e, err := n.Entry(f, key); err != nil || len(e.Heads) > 0 != seen[key] {
			t.Fatalf("scan of %q after %q: %q seen %v, by itself %d heads, %v", prefix, after, key, seen[key], len(e.Heads), err)
		}
	}
}
