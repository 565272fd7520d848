package simulation

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"crush/dag"
)

var (
	seedFlag      = flag.Uint64("seed", 0, "the first seed; alone, the one history that is run")
	historiesFlag = flag.Int("histories", 0, "how many random histories are run; 0 for the usual number")
)

// TestHistories runs random histories whose steps say what blocks go where.
func TestHistories(t *testing.T) {
	runHistories(t, "TestHistories", 2000, []string{
		"merge, with conflicts", "merge, refused as conflict", "merge, refused as stale", "merge, changed nothing",
		"put, refused as stale", "put, refused as not_here", "put, refused as ambiguous", "undo, refused as stale",
		"resolve, refused as stale", "rm, refused as conflict", "fork, refused as stale", "pull",
	})
}

// TestNetworks runs random histories whose nodes sync over a bad network.
func TestNetworks(t *testing.T) {
	runHistories(t, "TestNetworks", 600, []string{"wire", "wait", "merge, with conflicts", "merge, refused as stale", "resolve"})
}

// TestDocuments runs random histories of json, counters and sets.
func TestDocuments(t *testing.T) {
	runHistories(t, "TestDocuments", 1000, []string{
		"edit, refused as invalid", "settle", "merge, with conflicts", "merge, refused as conflict", "merge, refused as stale", "pull", "policy",
		"whole, refused as unparsable", "undo, refused as stale", "reset", "rollback", "pick", "pick, refused as invalid",
	})
}

// runHistories runs the usual number of histories, or as many as the flags
// say, on all processors. Many of them must do all that must, and every kind of
// thing that does not depend on the network.
func runHistories(t *testing.T, test string, n int, must []string) {
	switch {
	case *historiesFlag > 0:
		n = *historiesFlag
	case *seedFlag > 0:
		n = 1
	case testing.Short():
		n = 24
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	done := newTally()
	shards := runtime.GOMAXPROCS(0)
	t.Run("shards", func(t *testing.T) {
		for shard := range shards {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				for i := shard; i < n && !done.failed(); i += shards {
					history(t, max(*seedFlag, 1)+uint64(i), test, done)
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	done.report(t)
	if n >= 500 {
		done.complete(t, must, test == "TestDocuments")
	}
}

// history runs one, and shrinks it if it fails.
func history(t *testing.T, seed uint64, test string, done *tally) {
	// A bad network carries documents every other time.
	documents := test == "TestDocuments" || test == "TestNetworks" && seed%2 == 0
	h, err := Explore(t.Context(), seed, test == "TestNetworks", documents)
	if err == nil {
		if made := done.add(h); made%1000 == 0 {
			t.Logf("%d histories", made)
		}
		return
	}
	done.fail()
	less, again := h.Shrink(t.Context())
	t.Fatalf("seed %d: %v\nshrunk from %d to %d steps: %v\n%s\nrepeat it: go test ./daemon/simulation -run %s -seed %d",
		seed, err, len(h.Steps), len(less.Steps), again, less, test, seed)
}

// tally counts what histories did.
type tally struct {
	mu     sync.Mutex
	did    map[string]int
	runs   int
	broken bool
}

func newTally() *tally { return &tally{did: map[string]int{}} }

func (d *tally) add(h *History) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	for what, times := range h.Did {
		d.did[what] += times
	}
	d.runs++
	return d.runs
}

func (d *tally) fail() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = true
}

func (d *tally) failed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.broken
}

func (d *tally) report(t *testing.T) {
	t.Logf("%d histories", d.runs)
	for _, what := range slices.Sorted(maps.Keys(d.did)) {
		t.Logf("%7d %s", d.did[what], what)
	}
}

// complete checks that many histories did every kind of thing, and what they
// must.
func (d *tally) complete(t *testing.T, must []string, documents bool) {
	for _, what := range append(must, DeedNames(documents)...) {
		elsewhere := slices.Contains([]string{"pull", "wire", "wait"}, what) && !slices.Contains(must, what)
		if d.did[what] == 0 && !elsewhere {
			t.Errorf("no history did %q", what)
		}
	}
}

// TestSaved runs the histories that once failed.
func TestSaved(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d saved histories, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			h, err := ParseHistory(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Run(t.Context()); err != nil {
				t.Error(err)
			}
			for what := range h.Did {
				if strings.HasSuffix(what, "nothing to do") {
					t.Errorf("the history is out of date: %s", what)
				}
			}
		})
	}
}

// TestRepeats: a seed gives the same history again, and a history, written and
// read, the same blocks.
func TestRepeats(t *testing.T) {
	for seed := range uint64(8) {
		network, documents := seed%2 == 0, seed%3 == 0
		h, err := Explore(t.Context(), seed, network, documents)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Explore(t.Context(), seed, network, documents)
		if err != nil || again.String() != h.String() {
			t.Fatalf("seed %d gives\n%s\nand then\n%s\n%v", seed, h, again, err)
		}
		read, err := ParseHistory(h.String())
		if err != nil || read.String() != h.String() {
			t.Fatalf("read again, the history is\n%s\nnot\n%s\n%v", read, h, err)
		}
		if a, b := tips(t, h), tips(t, read); !slices.Equal(a, b) {
			t.Fatalf("seed %d: %v, read again %v", seed, a, b)
		}
	}
}

// tips runs a history and returns the tips of each node before the end.
func tips(t *testing.T, h *History) (out []string) {
	t.Helper()
	w, err := h.world(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range h.Steps {
		if err := w.Do(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range w.nodes {
		out = append(out, fmt.Sprint(n.Graph().Now().Tips()))
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	return out
}

// TestShrink: of a long history, what is left is what the failure needs.
func TestShrink(t *testing.T) {
	deeds["trip"] = deed{do: func(_ context.Context, t *turn) error {
		if t.see(place{dag.DefaultFork(), "k"}).value() == "2" {
			return errors.New("tripped")
		}
		return nil
	}}
	defer delete(deeds, "trip")
	h, err := ParseHistory(`# seed=1 nodes=2
		1 n0 put key=k value=1
		2 n0 read key=k
		3 n1 put key=app/a value=3
		4 n0 fork name=red from=default skip=env/*
		5 n0 put fork=red key=k value=2 kind=text
		6 n1 pull from=n0 salt=7
		7 n0 del key=k base=t2
		8 n0 merge fork=default from=#4 how=theirs
		9 n0 clock how=ahead
		10 n0 trip
		11 n1 put key=k value=4`)
	if err != nil {
		t.Fatal(err)
	}
	less, err := h.Shrink(t.Context())
	if err == nil || !strings.Contains(err.Error(), "tripped") {
		t.Errorf("it fails with %v", err)
	}
	want := "# seed=1 nodes=2\n5 n0 put key=k value=2\n10 n0 trip\n"
	if got := less.String(); got != want {
		t.Errorf("what is left is\n%swant\n%s", got, want)
	}
}
