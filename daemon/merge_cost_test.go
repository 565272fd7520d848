package daemon

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"crush/dag"
	"crush/dag/dagtest"
	"crush/rpc"
)

// newMeteredLab is a lab that counts what is done to its store, with some keys.
func newMeteredLab(t *testing.T, keys int) (*lab, *dagtest.Meter) {
	t.Helper()
	m := dagtest.NewMeter(dagtest.NewMem())
	tick := int64(1_700_000_000_000)
	r, err := OpenReplica(t.Context(), ReplicaConfig{
		Store: m, Key: dag.NewNodeKey(dag.SumOf([]byte("a"))), Name: "a",
		Now: func() time.Time { tick++; return time.UnixMilli(tick) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	l := &lab{r, t}
	l.fill("", 0, keys, "v")
	return l, m
}

func costKey(i int) string { return fmt.Sprintf("k/%06d", i) }

// fill writes some keys in large blocks.
func (l *lab) fill(fork string, from, to int, value string) {
	l.t.Helper()
	for ; from < to; from += 10_000 {
		q := rpc.ApplyRequest{Fork: fork}
		for i := from; i < min(to, from+10_000); i++ {
			q.Files = append(q.Files, rpc.File{Key: costKey(i), Value: []byte(value)})
		}
		if _, err := l.Apply(l.t.Context(), q); err != nil {
			l.t.Fatal(err)
		}
	}
}

// differences counts the keys that two forks show differently.
func (l *lab) differences(a, b string) (n int) {
	l.t.Helper()
	for _, err := range l.Diff(l.t.Context(), rpc.DiffRequest{A: a, B: b}) {
		if err != nil {
			l.t.Fatal(err)
		}
		n++
	}
	return n
}

// planned is a merge that writes nothing.
func (l *lab) planned(src, dst string) rpc.Merged {
	l.t.Helper()
	m, err := l.Merge(l.t.Context(), rpc.MergeRequest{Source: src, Into: dst, Plan: true})
	if err != nil {
		l.t.Fatal(err)
	}
	return m
}

// want checks how many keys something concerns.
func (l *lab) want(what string, got, want int) {
	l.t.Helper()
	if got != want {
		l.t.Errorf("%s of %d keys, want %d", what, got, want)
	}
}

// TestCostOfMerge: planning a merge, comparing and merging cost as much as the
// keys that have changed, whatever the number of those that have not.
func TestCostOfMerge(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and 100,000 keys")
	}
	const changed = 1000
	steps := func(keys int) (out []dagtest.Cost) {
		l, m := newMeteredLab(t, keys)
		l.fork("s", "")
		l.want("difference", l.differences("default", "s"), 0) // the first comparison looks at every key
		l.fill("s", 0, changed, "new")
		of := func(do func()) { out = append(out, m.Of(do)) }
		of(func() { l.want("plan", len(l.planned("s", "default").Clean), changed) })
		of(func() { l.want("difference", l.differences("default", "s"), changed) })
		of(func() { l.merge("s", "default", "") })
		of(func() { l.want("difference", l.differences("default", "s"), 0) })
		l.fill("s", 0, changed, "newer")
		l.fill("", 500, 600, "newest")
		of(func() { l.want("conflicts", len(l.planned("s", "default").Conflicts), 100) })
		of(func() { l.merge("s", "default", rpc.OnConflictTheirs) })
		l.fill("", 0, changed, "last")
		of(func() { l.merge("default", "s", "") })
		of(func() { l.want("plan", len(l.planned("s", "default").Clean), 0) })
		l.serves("s", costKey(550), "last")
		return out
	}
	few, many := steps(changed), steps(100_000)
	// The second difference looks at what the merge has changed since the first:
	// which of it is contested now.
	for i, most := range []int{4, 5, 5, 4, 12, 20, 5, 0} {
		if few[i].Reads > most*changed+20 || many[i].Reads > few[i].Reads+20 || many[i].Bytes > few[i].Bytes+64 {
			t.Errorf("step %d costs %+v of %d keys, %+v of 100,000", i, few[i], changed, many[i])
		}
	}
}

// TestCostOfRepeatedMerges: planning a merge costs as much as what has changed
// since the last one, however often there was one, also if each leaves out some
// keys.
func TestCostOfRepeatedMerges(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and 120 merges")
	}
	for _, skip := range []string{"", "env/**"} {
		l, m := newMeteredLab(t, 100)
		l.fork("s", "")
		var first, last dagtest.Cost
		for i := range 60 {
			l.fill("s", 0, 20, strconv.Itoa(i))
			last = m.Of(func() {
				q := rpc.MergeRequest{Source: "s", Into: "default"}
				if skip != "" {
					q.Skip = []string{skip}
				}
				if out, err := l.Merge(t.Context(), q); err != nil || len(out.Clean) != 20 {
					t.Fatalf("merged %+v, %v", out, err)
				}
			})
			if i == 1 {
				first = last
			}
		}
		// The blocks of what may have been left out are looked at again.
		if last.Reads > first.Reads+70 {
			t.Errorf("skipping %q: the second merge costs %+v, the sixtieth %+v", skip, first, last)
		}
		l.serves("", costKey(7), "59")
	}
}

// TestCostOfConflicts: a conflict of very many sides is read, listed and
// settled in time that does not grow with their square; each block is read
// once.
func TestCostOfConflicts(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and 1,000 heads")
	}
	l, m := newMeteredLab(t, 10)
	const sides = 1000
	for range 10 {
		_, err := l.Graph().Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error {
			for i := range sides / 10 {
				d := dag.Draft{Fork: dag.DefaultFork(), Key: "k", Kind: 1, Payload: []byte(strconv.Itoa(i))}
				if err := tx.Put(d); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	l.fork("x", "")
	for _, fork := range []string{"", "x"} {
		var e rpc.Entry
		c := m.Of(func() {
			var err error
			if e, err = l.Get(t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Fork: fork, Key: "k"}}); err != nil {
				t.Fatal(err)
			}
		})
		if !e.Conflict || len(e.Heads) != sides || len(e.Conflicts[0].Sides) != sides/10 || c.Reads > 60 {
			t.Errorf("reading %d heads costs %+v", len(e.Heads), c)
		}
	}
	if c := m.Of(func() { l.put("", "k", "over") }); c.Reads > 10 {
		t.Errorf("a write over %d heads costs %+v", sides, c)
	}
	l.serves("", "k", "over")
}
