package p2p

import (
	"context"
	"slices"
	"sync"

	"crush/dag"
)

// AwaitHeld returns the members that have said that a block, and all before
// it, is on their disk: sorted, without this node, the caller's own. It
// returns as soon as enough is true of them, which is asked at once (of none)
// and after each answer; or when ctx ends, then with those that have answered
// and ctx's cause; or when Run has returned, with those and ErrStopped.
//
// Every connected member is asked, and every member that connects while the
// wait goes on. The block need not be here. It may be called before Run, and
// by any number of goroutines; enough runs on the caller's and must not keep
// its argument.
func (h *Host) AwaitHeld(ctx context.Context, block dag.BlockID, enough func(held []dag.NodeID) bool) ([]dag.NodeID, error) {
	q, leave := h.questions.join(block)
	defer leave()
	for {
		held, more := q.answers()
		if enough(slices.Clone(held)) {
			return held, nil
		}
		select {
		case <-more:
		case <-h.stopped:
			return held, ErrStopped
		case <-ctx.Done():
			return held, context.Cause(ctx)
		}
	}
}

// questions are the blocks that this node wants to know of who holds them. Its
// methods may be called from any goroutine.
type questions struct {
	mu   sync.Mutex
	open map[dag.BlockID]*question
}

// question is one block that somebody waits for.
type question struct {
	waiting int // calls of AwaitHeld; guarded by questions.mu

	mu   sync.Mutex
	held []dag.NodeID  // sorted
	more chan struct{} // closed and replaced at each answer
}

func newQuestions() *questions { return &questions{open: make(map[dag.BlockID]*question)} }

// join returns the question about a block until leave is called.
func (qs *questions) join(block dag.BlockID) (q *question, leave func()) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if q = qs.open[block]; q == nil {
		q = &question{more: make(chan struct{})}
		qs.open[block] = q
	}
	q.waiting++
	return q, func() {
		qs.mu.Lock()
		defer qs.mu.Unlock()
		if q.waiting--; q.waiting == 0 {
			delete(qs.open, block)
		}
	}
}

// answers returns a copy of who has answered, and a channel that closes when
// there are more.
func (q *question) answers() ([]dag.NodeID, <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.held), q.more
}
