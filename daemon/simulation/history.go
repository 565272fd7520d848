package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"crush/crdt/oracle"
	"crush/dag"
	"crush/dag/dagtest"
)

// History is a program that somebody ran: steps on a number of nodes. The seed
// gives what the steps leave open.
type History struct {
	Seed  uint64
	Nodes int
	// Network says that nodes sync by themselves over a bad [Network].
	Network bool
	// Documents says that keys hold json, counters and sets, where else they
	// hold bytes.
	Documents bool
	Steps     []Step

	// Did counts what came of the steps of the last run.
	Did map[string]int
}

// String is the program, a line for each step, behind a line with the rest.
func (h *History) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# seed=%d nodes=%d", h.Seed, h.Nodes)
	if h.Network {
		b.WriteString(withNetwork)
	}
	if h.Documents {
		b.WriteString(ofDocuments)
	}
	b.WriteByte('\n')
	for _, s := range h.Steps {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}

// withNetwork ends the first line of a history with a network, ofDocuments that
// of one of documents.
const (
	withNetwork = " network"
	ofDocuments = " documents"
)

// ParseHistory is the inverse of String.
func ParseHistory(text string) (*History, error) {
	head, _, _ := strings.Cut(text, "\n")
	head, documents := strings.CutSuffix(head, ofDocuments)
	head, network := strings.CutSuffix(head, withNetwork)
	h := &History{Network: network, Documents: documents}
	if _, err := fmt.Sscanf(head+"\n", "# seed=%d nodes=%d\n", &h.Seed, &h.Nodes); err != nil || h.Nodes < 1 {
		return nil, fmt.Errorf("parse history: want the first line \"# seed=N nodes=N\": %w", err)
	}
	var err error
	h.Steps, err = ParseSteps(text)
	return h, err
}

// Explore runs a random history, which the seed decides, and returns it with
// the error that ended it, nil if there was none. With a network there are two
// nodes to five, else one to four.
func Explore(ctx context.Context, seed uint64, network, documents bool) (*History, error) {
	r := rand.New(rand.NewPCG(seed, 1))
	h := &History{Seed: seed, Nodes: []int{1, 2, 2, 3, 3, 4}[r.IntN(6)], Network: network, Documents: documents}
	if network {
		h.Nodes++
	}
	w, err := h.world(ctx)
	if err != nil {
		return h, err
	}
	c := &chooser{Rand: r, w: w}
	length := 6 + r.IntN(14)
	if r.IntN(8) == 0 {
		length += 30
	}
	for i := range length {
		s := c.propose(i + 1)
		h.Steps = append(h.Steps, s)
		if err := w.Do(ctx, s); err != nil {
			return h, err
		}
	}
	return h, w.Finish(ctx)
}

// Run runs a history and returns the error that ended it.
func (h *History) Run(ctx context.Context) error {
	w, err := h.world(ctx)
	if err != nil {
		return err
	}
	for _, s := range h.Steps {
		if err := w.Do(ctx, s); err != nil {
			return err
		}
	}
	return w.Finish(ctx)
}

// world makes the world that the history starts in.
func (h *History) world(ctx context.Context) (*World, error) {
	w, err := NewWorld(ctx, h.Seed, h.Nodes)
	if err != nil {
		return nil, err
	}
	h.Did = w.did
	if h.Documents {
		if err := w.declare(ctx); err != nil {
			return nil, err
		}
	}
	if h.Network {
		w.net = newNetwork(w)
	}
	return w, nil
}

// everything is all blocks that there are.
func (w *World) everything() oracle.Cut {
	all := oracle.Cut{}
	for id := range w.mirror.blocks {
		all[oracle.Block(id)] = true
	}
	return all
}

// Finish delivers everything everywhere, to a new node too, and compares, before
// and after: a node with the oracle, two nodes with each other, the records of a
// store with those that its blocks give, and a store that is built again from
// its blocks with another. The seed decides which, and not all of it each time.
func (w *World) Finish(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			err = fmt.Errorf("at the end: %w", err)
		}
	}()
	w.step += sameTick
	r := w.dice(3)
	if w.net != nil {
		if err := w.net.join(ctx); err != nil {
			return err
		}
	}
	if r.IntN(2) == 0 {
		if err := w.Compare(ctx, w.nodes[r.IntN(len(w.nodes))]); err != nil {
			return err
		}
	}
	if err := w.agree(ctx, r.IntN(2) == 0); err != nil {
		return err
	}
	if err := w.Compare(ctx, w.nodes[r.IntN(len(w.nodes))]); err != nil {
		return err
	}
	if err := w.checkStores(ctx, r); err != nil {
		return err
	}
	if r.IntN(2) == 0 {
		if err := w.sameAnswers(ctx, r); err != nil {
			return err
		}
	}
	if r.IntN(3) == 0 {
		if err := w.purge(ctx, r); err != nil {
			return err
		}
	}
	return w.Close()
}

// sameAnswers compares two nodes, one of which may be built again before.
func (w *World) sameAnswers(ctx context.Context, r *rand.Rand) error {
	if len(w.nodes) < 2 {
		return nil
	}
	pair := r.Perm(len(w.nodes))
	a, b := w.nodes[pair[0]], w.nodes[pair[1]]
	if r.IntN(8) == 0 {
		if err := w.rebuild(ctx, b); err != nil {
			return err
		}
	}
	want, err := w.answers(ctx, a)
	if err != nil {
		return err
	}
	got, err := w.answers(ctx, b)
	if err == nil && got != want {
		err = fmt.Errorf("%s answers otherwise than %s: %s", b.name, a.name, firstDifference(got, want))
	}
	return err
}

// checkStores checks the records of a node now and then.
func (w *World) checkStores(ctx context.Context, r *rand.Rand) error {
	if r.IntN(3) > 0 {
		return nil
	}
	n := w.nodes[r.IntN(len(w.nodes))]
	var faults []error
	report := func(f dag.Fault) { faults = append(faults, errors.New(f.String())) }
	if err := n.Graph().Check(ctx, dagtest.NewMem(), nil, report); err != nil || len(faults) > 0 {
		return fmt.Errorf("check %s: %w", n.name, errors.Join(append(faults, err)...))
	}
	return nil
}

// rebuild computes a store again from its blocks, and opens that.
func (w *World) rebuild(ctx context.Context, n *Node) error {
	into := dagtest.NewMem()
	var faults []error
	report := func(f dag.Fault) { faults = append(faults, errors.New(f.String())) }
	if _, err := dag.Rebuild(ctx, n.store, into, nil, report); err != nil || len(faults) > 0 {
		return fmt.Errorf("rebuild %s: %w", n.name, errors.Join(append(faults, err)...))
	}
	if err := n.Close(); err != nil {
		return err
	}
	n.store = into
	return w.open(ctx, n, true)
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d is %q, not %q", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, not %d", len(a), len(b))
}

// Shrink takes away what the failure does not need: steps, in halves and
// quarters and one by one, then arguments of steps, until nothing more can go.
// The error is that of the history that is left.
func (h *History) Shrink(ctx context.Context) (*History, error) {
	best := *h
	err := best.Run(ctx)
	if err == nil {
		return h, errors.New("it does not fail again")
	}
	try := func(steps []Step) bool {
		less := History{Seed: h.Seed, Nodes: h.Nodes, Network: h.Network, Documents: h.Documents, Steps: steps}
		fault := less.Run(ctx)
		if fault == nil {
			return false
		}
		best, err = less, fault
		return true
	}
	for again := true; again; {
		again = best.dropSteps(try)
		for i := 0; i < len(best.Steps); i++ {
			for _, s := range best.Steps[i].simpler() {
				steps := append(append(append([]Step{}, best.Steps[:i]...), s), best.Steps[i+1:]...)
				if try(steps) {
					again = true
					break
				}
			}
		}
	}
	return &best, err
}

// dropSteps tries to leave out runs of steps, long ones first.
func (h *History) dropSteps(try func([]Step) bool) (less bool) {
	for size := (len(h.Steps) + 1) / 2; size > 0; size /= 2 {
		for from := 0; from < len(h.Steps); {
			steps := append(append([]Step{}, h.Steps[:from]...), h.Steps[min(from+size, len(h.Steps)):]...)
			if try(steps) {
				less = true
			} else {
				from += size
			}
		}
	}
	return less
}
