package simulation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"crush/dag"
	"crush/p2p"
)

// Network carries what the nodes of a world say to each other, badly: gossip
// is late, out of order, twice or not at all; sync sessions are slow and break
// off. It runs in the goroutine of its caller, on a clock of its own, and what
// it does follows from the seed and the steps.
type Network struct {
	w      *World
	now    int64 // milliseconds since the start
	r      *rand.Rand
	events []event
	serial int
	wires  map[direction]Wire
	talks  []*talk
}

// direction is from one node to another.
type direction struct{ from, to int }

// Wire is one direction between two nodes. The zero value is a good one.
type Wire struct {
	Cut   bool
	Slow  int64   // milliseconds that a message takes, at most
	Loss  float64 // of gossip
	Twice float64 // of gossip
}

// event is what happens at a time; those of one time happen in their order.
type event struct {
	at     int64
	serial int
	do     func(ctx context.Context) error
}

// What the network and its nodes do by themselves, in milliseconds.
const (
	fastest    = 1
	syncEvery  = 10_000 // each node, with another one
	retryAfter = 500
	idleMost   = 60_000 // then a session is given up
	// betweenSteps passes before each step.
	betweenSteps = 20
	// healed bounds the time in which nodes that all reach each other agree.
	healed = 3 * idleMost
)

// newNetwork starts a network between the nodes of a world.
func newNetwork(w *World) *Network {
	n := &Network{w: w, wires: map[direction]Wire{}, r: w.dice(7)}
	for i := range w.nodes {
		n.after(n.r.Int64N(syncEvery), func(ctx context.Context) error { return n.meet(ctx, i) })
	}
	return n
}

// after schedules an event.
func (n *Network) after(delay int64, do func(context.Context) error) {
	n.serial++
	e := event{n.now + delay, n.serial, do}
	at, _ := slices.BinarySearchFunc(n.events, e, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.serial, b.serial))
	})
	n.events = slices.Insert(n.events, at, e)
}

// run lets time pass.
func (n *Network) run(ctx context.Context, time int64) error {
	n.r = n.w.dice(8)
	until := n.now + time
	for len(n.events) > 0 && n.events[0].at <= until {
		e := n.events[0]
		n.events = n.events[1:]
		n.now = e.at
		if err := e.do(ctx); err != nil {
			return fmt.Errorf("network, after %d ms: %w", n.now, err)
		}
	}
	n.now = until
	return nil
}

// latency is how long the next message of a direction takes.
func (n *Network) latency(d direction) int64 {
	if slow := n.wires[d].Slow; slow > 0 {
		return fastest + n.r.Int64N(slow)
	}
	return fastest
}

// gossip sends a new block to everybody.
func (n *Network) gossip(from int, bundle dag.Bundle) {
	for to := range n.w.nodes {
		d := direction{from, to}
		copies := 1
		switch wire := n.wires[d]; {
		case to == from, wire.Cut, n.r.Float64() < wire.Loss:
			continue
		case n.r.Float64() < wire.Twice:
			copies = 2
		}
		for range copies {
			n.after(n.latency(d), func(ctx context.Context) error { return n.hear(ctx, d, bundle) })
		}
	}
}

// hear applies a block that came by gossip, or asks for what comes before it.
func (n *Network) hear(ctx context.Context, d direction, bundle dag.Bundle) error {
	if n.wires[d].Cut {
		return nil
	}
	_, err := n.ledger(d.to).Apply(ctx, []dag.Bundle{bundle})
	if _, gap := errors.AsType[*dag.MissingError](err); gap {
		n.open(d.to, d.from, p2p.Open)
		return nil
	}
	return err
}

// meet lets a node sync with another one, and again after a while.
func (n *Network) meet(_ context.Context, node int) error {
	n.after(syncEvery*3/4+n.r.Int64N(syncEvery/2), func(ctx context.Context) error { return n.meet(ctx, node) })
	if others := len(n.w.nodes) - 1; others > 0 {
		other := n.r.IntN(others)
		if other >= node {
			other++
		}
		part := p2p.Open
		if n.r.IntN(2) == 0 {
			part = p2p.Probe
		}
		n.open(node, other, part)
	}
	return nil
}

// talk is a session of two nodes. Each direction keeps the order of what it
// carries, as a stream does.
type talk struct {
	n        *Network
	ends     [2]int // nodes: who opened, who answers
	sessions [2]*p2p.Session
	arrives  [2]int64 // the last message to each end
	moved    int64    // when something last came
	over     bool
}

// open starts a session unless these two have one.
func (n *Network) open(from, to int, part p2p.Part) {
	busy := slices.ContainsFunc(n.talks, func(t *talk) bool { return t.has(from) && t.has(to) })
	if busy {
		return
	}
	t := &talk{n: n, ends: [2]int{from, to}, moved: n.now}
	for end, part := range []p2p.Part{part, p2p.Answer} {
		l := n.ledger(t.ends[end])
		t.sessions[end] = p2p.NewSession(l, l, part, n.w.timeOf(l.n))
	}
	n.talks = append(n.talks, t)
	n.after(0, func(ctx context.Context) error { return t.pump(ctx, 0) })
	n.after(idleMost, t.watch)
}

func (t *talk) has(node int) bool { return t.ends[0] == node || t.ends[1] == node }

// pump sends what one end has to say.
func (t *talk) pump(ctx context.Context, end int) error {
	if t.over {
		return nil
	}
	d := direction{t.ends[end], t.ends[1-end]}
	for {
		m, ok := t.sessions[end].Next(ctx)
		if !ok {
			break
		}
		t.arrives[1-end] = max(t.arrives[1-end], t.n.now+t.n.latency(d))
		t.n.after(t.arrives[1-end]-t.n.now, func(ctx context.Context) error { return t.arrive(ctx, d, 1-end, m) })
	}
	return t.settle()
}

// arrive hands a message to an end. One that meets a cut is lost, and with it
// the stream: those behind it wait for it until the session is given up.
func (t *talk) arrive(ctx context.Context, d direction, end int, m p2p.Message) error {
	if t.over {
		return nil
	}
	if t.n.wires[d].Cut {
		t.over = true // nothing more comes through; see watch
		return nil
	}
	t.moved = t.n.now
	if t.sessions[end].Ended() {
		return nil
	}
	t.sessions[end].Receive(ctx, m)
	return t.pump(ctx, end)
}

// settle ends the talk when both ends have: a session between honest nodes
// fails only for what was in its way.
func (t *talk) settle() error {
	if !t.sessions[0].Ended() || !t.sessions[1].Ended() {
		return nil
	}
	t.close()
	for end, s := range t.sessions {
		if err := s.Err(); err != nil {
			if _, gap := errors.AsType[*dag.MissingError](err); !gap {
				return fmt.Errorf("session of %s with %s: %w", t.n.w.nodes[t.ends[end]].name, t.n.w.nodes[t.ends[1-end]].name, err)
			}
			t.again()
		}
	}
	if t.n.w.nodes[t.ends[0]].Graph().Digest() != t.n.w.nodes[t.ends[1]].Graph().Digest() {
		t.again()
	}
	return nil
}

// again lets the two meet once more soon.
func (t *talk) again() {
	t.n.after(retryAfter, func(context.Context) error {
		t.n.open(t.ends[0], t.ends[1], p2p.Open)
		return nil
	})
}

// watch gives the talk up when nothing has come for long.
func (t *talk) watch(context.Context) error {
	switch idle := t.n.now - t.moved; {
	case !slices.Contains(t.n.talks, t):
	case idle >= idleMost:
		t.close()
	default:
		t.n.after(idleMost-idle, t.watch)
	}
	return nil
}

// close drops the talk at whatever point it is.
func (t *talk) close() {
	t.over = true
	for _, s := range t.sessions {
		s.Close()
	}
	t.n.talks = slices.DeleteFunc(t.n.talks, func(o *talk) bool { return o == t })
}

// drop closes the talks of a node that stops.
func (n *Network) drop(node int) {
	for _, t := range slices.Clone(n.talks) {
		if t.has(node) {
			t.close()
		}
	}
}

// join makes all wires good, and waits until all nodes agree.
func (n *Network) join(ctx context.Context) error {
	clear(n.wires)
	for waited := int64(0); !n.agree(); waited += syncEvery / 10 {
		if waited > healed {
			return fmt.Errorf("the nodes do not agree %d s after the network was whole again", healed/1000)
		}
		if err := n.run(ctx, syncEvery/10); err != nil {
			return err
		}
	}
	return nil
}

// agree reports whether all nodes have the same.
func (n *Network) agree() bool {
	return !slices.ContainsFunc(n.w.nodes, func(o *Node) bool {
		return o.Graph().Digest() != n.w.nodes[0].Graph().Digest()
	})
}

// ledger is what a session reads and writes of a node; the world is told.
type ledger struct {
	*dag.Graph
	w *World
	n *Node
}

func (n *Network) ledger(node int) ledger {
	return ledger{n.w.nodes[node].Graph(), n.w, n.w.nodes[node]}
}

// Take implements p2p.Blocks.
func (l ledger) Take(ctx context.Context, in *dag.Inflow, chunk []byte) (dag.Applied, error) {
	done, err := l.Graph.Take(ctx, in, chunk)
	return l.tell(done), err
}

// Apply implements p2p.Blocks.
func (l ledger) Apply(ctx context.Context, bundles []dag.Bundle) (dag.Applied, error) {
	done, err := l.Graph.Apply(ctx, bundles)
	return l.tell(done), err
}

func (l ledger) tell(done dag.Applied) dag.Applied {
	for _, id := range done.Blocks {
		l.n.got(id, l.w.timeOf(l.n))
	}
	return done
}
