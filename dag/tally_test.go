package dag

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestTalliesHold: what was put last is found until there is no room for it.
func TestTalliesHold(t *testing.T) {
	tl := newTallies()
	r := rand.New(rand.NewPCG(1, 1))
	last := map[entryKey]uint64{}
	entry := countedEntry
	check := func(missing int) {
		t.Helper()
		lost := 0
		for k, n := range last {
			e := tl.entry(k, defaultFork)
			if e == nil {
				lost++
			} else if e.Count != n || e.First != int64(n) || e.Key != k.key || !e.bare {
				t.Fatalf("%v: %+v, want %d", k, e, n)
			}
		}
		if lost > missing {
			t.Errorf("%d of %d keys lost, at most %d", lost, len(last), missing)
		}
	}
	for n := range uint64(40_000) {
		k := entryKey{uint32(r.IntN(2)), fmt.Sprint(r.IntN(10_000))}
		tl.keep(map[entryKey]*Entry{k: entry(n, 1)}, false)
		last[k] = n
	}
	check(len(last) / 15)
	for n := range uint64(5000) {
		k := entryKey{0, fmt.Sprint(r.IntN(20_000))}
		_, known := last[k]
		switch r.IntN(3) {
		case 0:
			tl.keep(map[entryKey]*Entry{k: entry(n, 2)}, false) // two heads are not for here
			delete(last, k)
		case 1:
			tl.keep(map[entryKey]*Entry{k: entry(n, 1)}, true)
			if known {
				last[k] = n
			} else if tl.entry(k, defaultFork) != nil {
				t.Fatal("a key of this node's own is remembered")
			}
		case 2:
			deleted := entry(n, 1)
			deleted.lastDelete.lam = 1
			tl.keep(map[entryKey]*Entry{k: deleted}, false)
			delete(last, k)
		}
		if e := tl.entry(k, defaultFork); e != nil && last[k] != e.Count {
			t.Fatalf("%v: %d is out of date", k, e.Count)
		}
	}
	check(len(last) / 15)
}

// countedEntry is an entry of n revisions.
func countedEntry(n uint64, heads int) *Entry {
	return &Entry{Count: n, SinceDelete: n, First: int64(n), Heads: make([]Head, heads)}
}

// TestTalliesBounded: more keys than there is room for take no more of it.
func TestTalliesBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and a table that is full")
	}
	tl := newTallies()
	for n := range uint64(3 * tallySetsMax * tallyWays) {
		tl.keep(map[entryKey]*Entry{{0, fmt.Sprint("more", n)}: countedEntry(n, 1)}, false)
	}
	if len(tl.sets) != tallySetsMax || tl.used > tallySetsMax*tallyWays {
		t.Errorf("%d sets, %d used", len(tl.sets), tl.used)
	}
	tl.forget()
	if tl.entry(entryKey{0, "more1"}, defaultFork) != nil || len(tl.sets) != tallySets {
		t.Error("not forgotten")
	}
}
