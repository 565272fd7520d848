package p2p

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"crush/dag"
)

// Chains is what a node says of single chains. Implemented by dag.Graph. All
// methods may be called from any goroutine.
type Chains interface {
	// TipOf tells the chain and the seq of a block; false if it is not applied.
	TipOf(id dag.BlockID) (dag.Tip, bool, error)
	// BlocksAt counts the applied blocks at a seq of a chain. It must be cheap.
	BlocksAt(chain dag.ChainID, seq uint64) int
	// HaveTip reports whether the block of a tip is applied, on disk. It must
	// be cheap when no block stands there.
	HaveTip(t dag.Tip) bool
	// Newest returns the blocks that no other applied block depends on.
	Newest() []dag.Tip
	// Lag tells what a node lacks that has these blocks and all before them.
	// Pins of blocks that are not here say nothing.
	Lag(their []dag.Pin) (dag.Lag, error)
}

// AwaitHeld returns the members that have said that a block, and all before
// it, is on their disk: sorted, without this node, the caller's own. It
// returns as soon as enough is true of them, which is asked at once (of none)
// and after each answer; or when ctx ends, then with those that have answered
// and ctx's cause; or when Run has returned, with those and ErrStopped.
//
// Every connected member is asked, and every member that connects while the
// wait goes on. A block that is not here yet is first waited for. It may be
// called before Run, and by any number of goroutines; enough runs on the
// caller's and must not keep its argument.
func (h *Host) AwaitHeld(ctx context.Context, block dag.BlockID, enough func(held []dag.NodeID) bool) ([]dag.NodeID, error) {
	if enough(nil) {
		return nil, nil
	}
	tip, err := h.awaitHere(ctx, block)
	if err != nil {
		return nil, err
	}
	q, leave := h.questions.join(tip)
	defer leave()
	for {
		held, more := q.answers()
		if enough(slices.Clone(held)) {
			return held, nil
		}
		if err := h.awaitMore(ctx, more); err != nil {
			return held, err
		}
	}
}

// awaitHere waits until a block is here.
func (h *Host) awaitHere(ctx context.Context, block dag.BlockID) (dag.Tip, error) {
	for {
		changed := h.cfg.State.Changed()
		tip, ok, err := h.cfg.Chains.TipOf(block)
		if err != nil {
			return tip, fmt.Errorf("find block %s: %w", block, err)
		}
		if ok {
			return tip, nil
		}
		if err := h.awaitMore(ctx, changed); err != nil {
			return tip, err
		}
	}
}

func (h *Host) awaitMore(ctx context.Context, more <-chan struct{}) error {
	select {
	case <-more:
		return nil
	case <-h.stopped:
		return ErrStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// questions are the blocks of which this node wants to know who holds them:
// those that somebody waits for, of all members, and for the lag of each peer
// some of the newest. Its methods may be called from any goroutine.
type questions struct {
	mu     sync.Mutex
	open   map[dag.BlockID]*question
	meters map[peer.ID][]dag.Tip // not answered yet; few, see runLag
	moved  chan struct{}         // closed and replaced when there may be something else to ask, or somebody else
}

// question is one block that somebody waits for.
type question struct {
	tip     dag.Tip
	waiting int // calls of AwaitHeld; guarded by questions.mu

	mu   sync.Mutex
	held []dag.NodeID  // sorted
	more chan struct{} // closed and replaced at each answer
}

func newQuestions() *questions {
	return &questions{open: make(map[dag.BlockID]*question), meters: make(map[peer.ID][]dag.Tip), moved: make(chan struct{})}
}

// join returns the question about a block until leave is called.
func (qs *questions) join(tip dag.Tip) (q *question, leave func()) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if q = qs.open[tip.Block]; q == nil {
		q = &question{tip: tip, more: make(chan struct{})}
		qs.open[tip.Block] = q
		qs.signalLocked()
	}
	q.waiting++
	return q, func() {
		qs.mu.Lock()
		defer qs.mu.Unlock()
		if q.waiting--; q.waiting == 0 {
			delete(qs.open, tip.Block)
			qs.signalLocked()
		}
	}
}

// measure asks a peer about blocks for its lag, unless it has such asks to
// answer.
func (qs *questions) measure(p peer.ID, tips []dag.Tip) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if len(tips) > 0 && len(qs.meters[p]) == 0 {
		qs.meters[p] = tips
		qs.signalLocked()
	}
}

// forget drops what a peer was asked for its lag.
func (qs *questions) forget(p peer.ID) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	delete(qs.meters, p)
}

// changed returns a channel that closes when there may be more, or less, to
// ask, or others to be asked.
func (qs *questions) changed() <-chan struct{} {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	return qs.moved
}

func (qs *questions) signal() {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	qs.signalLocked()
}

func (qs *questions) signalLocked() {
	close(qs.moved)
	qs.moved = make(chan struct{})
}

// of returns the blocks of which a peer has not said yet that it holds them.
func (qs *questions) of(p peer.ID) map[dag.BlockID]dag.Tip {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	wanted := make(map[dag.BlockID]dag.Tip)
	for _, t := range qs.meters[p] {
		wanted[t.Block] = t
	}
	node, _ := nodeOf(p)
	for id, q := range qs.open {
		if !q.hasAnswered(node) {
			wanted[id] = q.tip
		}
	}
	return wanted
}

// answer notes that a peer holds a block.
func (qs *questions) answer(p peer.ID, id dag.BlockID) {
	node, ok := nodeOf(p)
	if !ok {
		return
	}
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if q := qs.open[id]; q != nil {
		q.answer(node)
	}
	if ms := qs.meters[p]; ms != nil {
		qs.meters[p] = slices.DeleteFunc(ms, func(t dag.Tip) bool { return t.Block == id })
	}
}

func compareNodes(a, b dag.NodeID) int { return bytes.Compare(a[:], b[:]) }

func (q *question) answer(node dag.NodeID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i, found := slices.BinarySearchFunc(q.held, node, compareNodes)
	if found {
		return
	}
	q.held = slices.Insert(q.held, i, node)
	close(q.more)
	q.more = make(chan struct{})
}

func (q *question) hasAnswered(node dag.NodeID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, found := slices.BinarySearchFunc(q.held, node, compareNodes)
	return found
}

// answers returns a copy of who has answered, and a channel that closes when
// there are more.
func (q *question) answers() ([]dag.NodeID, <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.held), q.more
}
