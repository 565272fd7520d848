package p2p

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"crush/dag"
	"crush/dag/dagtest"
)

// Bounds of what is asserted below, in virtual time.
const (
	healLimit = time.Minute // from the last fault to equal digests
	// A session of two nodes that are equal carries some 200 bytes, in six
	// packets, every ten seconds.
	idleBytes   = 120 << 10 // on streams, of one node in an hour
	idlePackets = 5000      // of one node in an hour
)

// Five nodes for hours: links are cut, one way and both, nodes stop, crash and
// come back, clocks are wrong by a year, and everybody writes.
func TestSimChurn(t *testing.T) {
	simulate(t, 5, func(t *testing.T, w *simWorld) {
		w.nodes[1].skew, w.nodes[2].skew = 365*24*time.Hour, -365*24*time.Hour
		for _, n := range w.nodes {
			n.up(w.nodes...)
		}
		w.settle(healLimit)
		steps, apart := 200, 60
		if testing.Short() {
			steps, apart = 40, 3
		}
		for range steps {
			w.step()
			w.pass(time.Duration(w.rnd.Int64N(int64(4 * time.Second))))
		}
		w.heal()
		w.allUp()
		t.Logf("equal %v after the last fault", w.settle(healLimit))
		w.check()
		w.checkDone()

		w.apart(w.nodes[:2], w.nodes[2:], apart)
		t.Logf("equal %v after %d minutes apart", w.settle(healLimit), apart)
		w.check()

		if !testing.Short() {
			w.pass(time.Minute)
			w.meter()
			w.pass(time.Hour)
			w.checkIdle()
		}
	})
}

// apart cuts the cluster in two for some minutes, in which both sides write.
func (w *simWorld) apart(left, right []*simNode, minutes int) {
	w.t.Helper()
	w.drainLogs()
	w.part(left, right)
	for range minutes {
		w.rndNode().write("shared", []byte{byte(w.rnd.Int())})
		w.pass(time.Minute)
	}
	for _, side := range [][]*simNode{left, right} {
		for _, n := range side {
			if n.data.Digest() != side[0].data.Digest() {
				w.t.Errorf("nodes %d and %d of one side are not equal", n.n, side[0].n)
			}
		}
	}
	if left[0].data.Digest() == right[0].data.Digest() {
		w.t.Error("both sides are equal")
	}
	for _, n := range w.nodes {
		if said := n.drainLog(); len(said) > minutes+20 {
			w.t.Errorf("node %d has %d lines in its log:\n%s", n.n, len(said), strings.Join(said, "\n"))
		}
	}
	w.heal()
}

// The things that a step does.
const (
	doWrite = iota
	doLarge
	doCut
	doHeal
	doStart
	doStop
	doCrash
	kindsOfSteps
)

// rndNode is any node that is up.
func (w *simWorld) rndNode() *simNode {
	for {
		if n := w.nodes[w.rnd.IntN(len(w.nodes))]; n.host != nil {
			return n
		}
	}
}

// step does one thing at random.
func (w *simWorld) step() {
	a, b := w.nodes[w.rnd.IntN(len(w.nodes))], w.nodes[w.rnd.IntN(len(w.nodes))]
	did := doWrite
	switch action := w.rnd.IntN(20); {
	case action < 12:
		for range 1 + w.rnd.IntN(10) {
			w.rndNode().write(fmt.Sprint("k", w.rnd.IntN(20)), make([]byte, w.rnd.IntN(3000)))
		}
	case action < 13:
		did = doLarge
		w.rndNode().write("large", make([]byte, 200<<10))
	case action < 15:
		did = doCut
		w.set(a, b, true)
		w.set(b, a, w.rnd.IntN(2) == 0)
	case action < 17:
		did = doHeal
		w.heal()
	case a.host == nil:
		did = doStart
		a.up(w.nodes...)
	case w.rnd.IntN(2) == 0:
		did = doStop
		a.down()
		w.nodes[0].orUp()
	default:
		did = doCrash
		a.crash()
		w.nodes[0].orUp()
	}
	w.did[did]++
}

// checkDone tests that every kind of step was taken: a run without one says
// nothing about it.
func (w *simWorld) checkDone() {
	w.t.Helper()
	w.t.Logf("steps of each kind: %v", w.did)
	for kind := range kindsOfSteps {
		if w.did[kind] == 0 && !testing.Short() {
			w.t.Errorf("no step of kind %d was taken", kind)
		}
	}
}

// orUp starts the node unless it is up, so that somebody always is.
func (n *simNode) orUp() {
	if n.host == nil {
		n.up(n.w.nodes...)
	}
}

func (w *simWorld) allUp() {
	for _, n := range w.nodes {
		n.orUp()
	}
}

// check tests that nothing that was acknowledged is lost, anywhere, and that
// every store agrees with itself.
func (w *simWorld) check() {
	w.t.Helper()
	total := 0
	for _, from := range w.nodes {
		total += len(from.acked)
		for _, n := range w.nodes {
			for _, id := range from.acked {
				if !n.data.Have(id) {
					w.t.Errorf("node %d lacks block %s of node %d", n.n, id, from.n)
				}
			}
		}
	}
	for _, n := range w.nodes {
		err := n.graph.Check(w.t.Context(), dagtest.NewMem(), nil, func(f dag.Fault) { w.t.Errorf("node %d: %v", n.n, f) })
		if err != nil {
			w.t.Errorf("check node %d: %v", n.n, err)
		}
	}
	w.t.Logf("%d blocks written, all on all nodes", total)
}

// drainLog returns what the node has logged since the last call.
func (n *simNode) drainLog() (said []string) {
	for len(n.lines) > 0 {
		said = append(said, <-n.lines)
	}
	return said
}

func (w *simWorld) drainLogs() {
	for _, n := range w.nodes {
		n.drainLog()
	}
}

// checkIdle tests what an hour cost in which nothing happened.
func (w *simWorld) checkIdle() {
	w.t.Helper()
	packets, bytes := w.meter()
	var total int64
	for _, n := range bytes {
		total += n
	}
	w.t.Logf("an idle hour of %d nodes: %d packets, on streams %v", len(w.nodes), packets, bytes)
	if n := len(w.nodes); packets > n*idlePackets || total > int64(n*idleBytes) {
		w.t.Errorf("an idle hour of %d nodes: %d packets and %d bytes", n, packets, total)
	}
}

// Ten thousand blocks in a second while half of all gossip is lost.
func TestSimBurst(t *testing.T) {
	simulate(t, 0, func(t *testing.T, w *simWorld) {
		logs := cluster(3)
		for i, l := range logs {
			n := w.add(byte(i)+1, l)
			r := rand.New(rand.NewPCG(w.rnd.Uint64(), 0))
			n.change = func(c *Config) { c.lose = func() bool { return r.IntN(2) == 0 } }
			n.up(w.nodes[:n.n-1]...)
		}
		w.settle(10 * time.Second)
		w.pass(3 * time.Second) // gossip needs some heartbeats
		for i := range 10_000 {
			w.nodes[0].host.Announce(logs[0].extend(dag.ChainID{1}, fmt.Appendf(nil, "%050d", i)))
			if i%10 == 0 {
				w.pass(time.Millisecond)
			}
		}
		t.Logf("equal %v after the last write", w.settle(2*time.Second))
		_, bytes := w.meter()
		if bytes["/meshsub/1.3.0"] < 1<<20 {
			t.Errorf("there was hardly any gossip: %v", bytes)
		}
	})
}
