package p2p

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"crush/dag"
)

// lagOf is what a node says of another's lag.
func (n *simNode) lagOf(other *simNode) Lag {
	for _, p := range n.host.Peers() {
		if p.Node == keyOf(other.n).ID() {
			return p.Lag
		}
	}
	return Lag{}
}

func wantLag(t *testing.T, what string, n, other *simNode, want Lag) {
	t.Helper()
	if got := n.lagOf(other); got != want {
		t.Errorf("%s: node %d says of %d: %+v, want %+v", what, n.n, other.n, got, want)
	}
}

// A peer that is cut off lags by what was written since, also when it counts
// as gone, until it is back.
func TestSimLag(t *testing.T) {
	simulate(t, 3, func(t *testing.T, w *simWorld) {
		a, b, c := w.nodes[0], w.nodes[1], w.nodes[2]
		a.up()
		b.up(a)
		c.up(a, b)
		w.settle(healLimit)
		w.pass(20 * time.Second)
		for _, n := range []*simNode{b, c} {
			wantLag(t, "equal", a, n, Lag{Known: true})
		}
		a.write("k", nil)
		w.pass(3 * time.Second)
		wantLag(t, "one more", a, c, Lag{Known: true})

		w.part(w.nodes[:2], w.nodes[2:])
		first := time.Now()
		for i := range 10 {
			a.write("k", []byte{byte(i)})
			w.pass(time.Second)
		}
		lagging := Lag{Known: true, Blocks: 10, Since: first.Truncate(time.Millisecond)}
		w.pass(2 * lagEvery)
		wantLag(t, "cut off", a, c, lagging)
		wantLag(t, "reached", a, b, Lag{Known: true})
		w.pass(10 * time.Minute)
		b.write("k", []byte("later"))
		w.pass(10 * time.Second)
		lagging.Blocks = 11
		wantLag(t, "gone", a, c, lagging)
		if s := a.host.Peers(); s[0].Connected && s[1].Connected {
			t.Errorf("both count as connected: %+v", s)
		}

		// After a restart nothing is known of who is away.
		a.down()
		a.up()
		w.pass(time.Minute)
		wantLag(t, "after a restart", a, c, Lag{})

		w.heal()
		w.settle(healLimit)
		w.pass(healLimit)
		wantLag(t, "back", a, c, Lag{Known: true})
	})
}

// While one node writes all the time, nobody is ever equal; the lag of those
// that follow stays small all the same.
func TestSimBusyLag(t *testing.T) {
	simulate(t, 2, func(t *testing.T, w *simWorld) {
		for _, n := range w.nodes {
			n.change = func(c *Config) { c.SyncEvery = 24 * time.Hour }
			n.up(w.nodes[:n.n-1]...)
		}
		a, b := w.nodes[0], w.nodes[1]
		w.settle(healLimit)
		w.pass(5 * time.Second)
		const each = 50 * time.Millisecond
		for i := range 400 {
			a.write(fmt.Sprint(i%10), []byte{byte(i)})
			w.pass(each)
			// One round of asking, one in flight.
			if lag := a.lagOf(b); lag.Blocks > int(2*lagEvery/each) || i > 100 && !lag.Known {
				t.Fatalf("after %d writes: %+v", i, lag)
			}
		}
		w.pass(3 * time.Second)
		wantLag(t, "at the end", a, b, Lag{Known: true})
	})
}

// A write is held by who can be reached, and by the others when they are back.
func TestSimAwaitHeld(t *testing.T) {
	simulate(t, 3, func(t *testing.T, w *simWorld) {
		for _, n := range w.nodes {
			n.up(w.nodes...)
		}
		w.settle(healLimit)
		w.pass(time.Second)
		a, c := w.nodes[0], w.nodes[2]
		w.part(w.nodes[:2], w.nodes[2:])
		a.write("k", []byte("v"))
		block := a.acked[len(a.acked)-1]

		begun := time.Now()
		held, err := a.host.AwaitHeld(t.Context(), block, atLeast(1))
		if took := time.Since(begun); err != nil || len(held) != 1 || held[0] != keyOf(2).ID() || took > 100*time.Millisecond {
			t.Errorf("held by %v after %v, %v", held, took, err)
		}
		short, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		held, err = a.host.AwaitHeld(short, block, atLeast(2))
		if len(held) != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cut off: %v, %v", held, err)
		}

		w.heal()
		begun = time.Now()
		if held, err = a.host.AwaitHeld(t.Context(), block, atLeast(2)); err != nil || len(held) != 2 {
			t.Errorf("healed: %v, %v", held, err)
		}
		if took := time.Since(begun); took > healLimit || !c.data.Have(block) {
			t.Errorf("held after %v", took)
		}
		// A block that nobody but a distant node has: it is waited for here.
		if _, err := c.host.AwaitHeld(t.Context(), dag.BlockID(w.nodes[0].graph.Cluster()), atLeast(2)); err != nil {
			t.Error(err)
		}
	})
}
