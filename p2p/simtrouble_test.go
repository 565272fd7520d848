package p2p

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"crush/dag"
)

// busy lets a cluster write for some minutes and fails if it is ever slow.
func (w *simWorld) busy(minutes int) {
	w.t.Helper()
	for i := range minutes * 6 {
		n := w.nodes[i%len(w.nodes)]
		l := n.data.(*fakeLog)
		n.host.Announce(l.extend(dag.ChainID{n.n}, fmt.Append(nil, i)))
		w.settle(2 * time.Second)
		w.pass(10 * time.Second)
	}
}

// said returns the lines of the log, of all kinds, and how many start with a
// text.
func (n *simNode) said(start string) (lines []string, matching int) {
	lines = n.drainLog()
	for _, l := range lines {
		if strings.HasPrefix(l, start) {
			matching++
		}
	}
	return lines, matching
}

// visited runs a cluster of three for ten minutes while a guest dials all of
// them, and tests that each has so many lines about it in its log at most, and
// none about anything else.
func visited(t *testing.T, w *simWorld, logs []*fakeLog, guest *simNode, line string, least, most int) {
	for i, l := range logs {
		w.add(byte(i)+1, l)
	}
	for _, n := range w.nodes {
		n.up(w.nodes...)
	}
	w.settle(healLimit)
	w.pass(5 * time.Second)
	w.drainLogs()
	w.guest = guest
	guest.up(w.nodes...)
	w.busy(10)
	for _, n := range w.nodes {
		if all, about := n.said(line); about < least || about > most || len(all) > about {
			t.Errorf("node %d: %d lines about the guest, of:\n%s", n.n, about, strings.Join(all, "\n"))
		}
	}
}

// Somebody who is no member dials all the time: it gets nothing, and costs a
// line a minute.
func TestSimStranger(t *testing.T) {
	simulate(t, 0, func(t *testing.T, w *simWorld) {
		logs := cluster(3)
		own := logs[0].clone()
		own.members[keyOf(9).ID()] = true
		guest := &simNode{w: w, n: 9, lines: make(lines, 4096), data: own}
		visited(t, w, logs, guest, "stranger refused: not in the member list peer="+peerOf(keyOf(9).ID()).String(), 5, 11)
		if len(own.order) != 1 {
			t.Errorf("the stranger got %d blocks", len(own.order))
		}
		for _, p := range guest.host.Peers() {
			if p.Lag.Known || p.InSync {
				t.Errorf("the stranger knows of %+v", p)
			}
		}
	})
}

// A member whose data is of another cluster is refused, and told so.
func TestSimOtherCluster(t *testing.T) {
	simulate(t, 0, func(t *testing.T, w *simWorld) {
		logs := cluster(4)[:3]
		other := newFakeLog()
		other.extend(dag.ChainID{7}, []byte("another genesis"))
		other.members = logs[0].members
		guest := &simNode{w: w, n: 4, lines: make(lines, 4096), data: other}
		visited(t, w, logs, guest, "sync refused: other cluster", 1, 11)
		if _, n := guest.said("sync refused: other cluster"); n < 3 || len(other.order) != 1 {
			t.Errorf("the guest has %d blocks and %d lines about it", len(other.order), n)
		}
	})
}

// An address at which nobody answers costs one line, until somebody does.
func TestSimNobodyThere(t *testing.T) {
	simulate(t, 2, func(t *testing.T, w *simWorld) {
		a, b := w.nodes[0], w.nodes[1]
		a.up(b)
		w.pass(time.Hour)
		if all, n := a.said("peer not reached; it is dialled on peer=" + peerOf(b.secret().ID()).String()); n != 1 || len(all) != 1 {
			t.Errorf("after an hour alone:\n%s", strings.Join(all, "\n"))
		}
		if packets, _ := w.meter(); packets > 10_000 {
			t.Errorf("%d packets to nobody", packets)
		}
		b.up(a)
		w.settle(healLimit)
		if all, n := a.said("peer reached"); n != 1 || len(all) > 3 {
			t.Errorf("when somebody was there:\n%s", strings.Join(all, "\n"))
		}
	})
}

// A data directory was copied, and both copies run: two nodes with one name.
// Nothing that either writes is lost.
func TestSimClones(t *testing.T) {
	simulate(t, 3, func(t *testing.T, w *simWorld) {
		for _, n := range w.nodes {
			n.up(w.nodes...)
		}
		w.settle(healLimit)
		original := w.nodes[1]
		original.write("k", []byte("before"))
		w.settle(healLimit)
		original.down()
		clone := w.add(4, nil)
		clone.key = original.n
		clone.store, original.store = original.store.Reopen(), original.store.Reopen()
		w.drainLogs()

		original.up(w.nodes[0], w.nodes[2])
		clone.up(w.nodes[0], w.nodes[2])
		for i := range 30 {
			original.write("k", []byte{1, byte(i)})
			clone.write("k", []byte{2, byte(i)})
			w.pass(time.Duration(w.rnd.Int64N(int64(5 * time.Second))))
		}
		t.Logf("equal %v after the last write", w.settle(healLimit))
		w.check()
		if original.graph.Stats().Fenced+clone.graph.Stats().Fenced == 0 {
			t.Error("neither noticed the other")
		}
		for _, n := range w.nodes {
			if all := n.drainLog(); len(all) > 20 {
				t.Errorf("node %d:\n%s", n.n, strings.Join(all, "\n"))
			}
		}
	})
}

// All know the first node only, and it goes for good: the others have learnt
// from it where they are.
func TestSimFirstGone(t *testing.T) {
	simulate(t, 5, func(t *testing.T, w *simWorld) {
		first, others := w.nodes[0], w.nodes[1:]
		first.up()
		for _, n := range others {
			n.up(first)
			w.pass(time.Duration(w.rnd.Int64N(int64(30 * time.Second))))
		}
		w.settle(healLimit)
		w.pass(time.Minute)
		first.down()
		for i, n := range others {
			n.write(fmt.Sprint(i), nil)
			w.settle(2 * time.Second)
		}
	})
}
