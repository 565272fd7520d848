package dag

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
)

// Receipt says where a commit was written.
type Receipt struct {
	Block     BlockID
	Revisions []RevisionID // in the order of the Tx's Puts; none: nothing was written
	// Bundle is the block, to be announced to peers. Of the commits that share
	// a block, one gets it, and none of a block that has no signature of its own:
	// a later one of the same batch vouches for it, and is news of both.
	Bundle Bundle
}

// The bounds of one synced batch.
const (
	batchMax  = 4 << 20 // bytes of bundles
	batchMost = 64      // blocks
)

// ErrNotWriter marks a write by a node that may not write in its cluster.
var ErrNotWriter = errors.New("this node may not write: it is no writer of its cluster")

// spareMax bounds the memory that is kept from one batch for the next, in bytes.
const spareMax = 1 << 20

// commitQueue gathers the commits that wait while a batch is written.
type commitQueue struct {
	mu      sync.Mutex
	waiting []*waiter
	busy    bool // somebody leads
}

// waiter is one commit that waits. Its fields are the leader's until turn
// receives.
type waiter struct {
	note    Note
	fn      func(*Tx) error
	hints   []Hint
	alone   bool    // its block holds nothing else
	after   *waiter // must have been written before; nil for none
	receipt Receipt
	err     error
	turn    chan bool // false: done; true: lead the next batch
}

// Commit runs fn once or more on the state that its writes will follow, and
// writes what it puts as one atomic change, signed and on stable storage when
// Commit returns nil. Concurrent commits share a batch, a block, a signature
// and an fsync; they are evaluated in order, each seeing those before it. fn
// runs on some caller's goroutine while no other write can happen: it must not
// block, must not call the graph's writing methods, and may be called again.
// An error of fn is returned as it is, and nothing of it is written. A commit
// that puts nothing writes nothing. ctx ends the waiting only until the commit
// has been taken into a batch. Hints of keys that fn reads make it faster.
func (g *Graph) Commit(ctx context.Context, note Note, fn func(*Tx) error, hints ...Hint) (Receipt, error) {
	if err := errors.Join(context.Cause(ctx), note.check()); err != nil {
		return Receipt{}, err
	}
	w := &waiter{note: note, fn: fn, hints: hints, turn: make(chan bool, 1)}
	if g.queue.join(w) {
		return g.lead(w)
	}
	select {
	case leads := <-w.turn:
		if leads {
			return g.lead(w)
		}
		return w.receipt, w.err
	case <-ctx.Done():
	}
	if g.queue.leave(w) {
		return Receipt{}, context.Cause(ctx)
	}
	if leads := <-w.turn; leads {
		return g.lead(w)
	}
	return w.receipt, w.err
}

// Step is one of the commits of CommitEach.
type Step struct {
	Note Note
	Fn   func(*Tx) error // as Commit takes it
}

// errNotReached is the error of the steps that follow on one that failed.
var errNotReached = errors.New("a step before it failed")

// CommitEach is Commit of one step after the other, each in a block of its
// own, with many blocks a batch: what a history that comes from elsewhere is
// written with. It returns when all are on stable storage, with their receipts;
// or with the error of the first that failed and the receipts of those before
// it, which are written, and then nothing of those behind it is. ctx is asked
// only at the start.
func (g *Graph) CommitEach(ctx context.Context, steps []Step) ([]Receipt, error) {
	if err := context.Cause(ctx); err != nil || len(steps) == 0 {
		return nil, err
	}
	ws := make([]*waiter, len(steps))
	for i, c := range steps {
		if err := c.Note.check(); err != nil {
			return nil, err
		}
		ws[i] = &waiter{note: c.Note, fn: c.Fn, alone: true, turn: make(chan bool, 1)}
		if i > 0 {
			ws[i].after = ws[i-1]
		}
	}
	leads := g.queue.join(ws...)
	out := make([]Receipt, 0, len(ws))
	var failed error
	for i, w := range ws {
		if i == 0 && leads || <-w.turn {
			g.lead(w)
		}
		if failed == nil {
			failed = w.err
		}
		if failed == nil {
			out = append(out, w.receipt)
		}
	}
	return out, failed
}

// join appends waiters; the first of them leads if nobody does.
func (q *commitQueue) join(ws ...*waiter) (leads bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, ws...)
	leads = !q.busy
	q.busy = true
	return leads
}

// leave removes a waiter that no batch has taken and that does not lead.
func (q *commitQueue) leave(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, w)
	if i < 0 || len(w.turn) > 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

// len is how many wait.
func (q *commitQueue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// take empties the queue for a batch.
func (q *commitQueue) take() []*waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := q.waiting
	q.waiting = nil
	return out
}

// pass makes the first that waits the leader, or nobody.
func (q *commitQueue) pass() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.busy = false
		return
	}
	q.waiting[0].turn <- true
}

// errUnfinished is the answer to commits whose batch ended in the middle: in a
// panic, or because a commit function ended its goroutine.
var errUnfinished = errors.New("a write ended in the middle")

// lead writes one batch for everyone who waits, self among them. However it
// ends, nobody is left waiting.
func (g *Graph) lead(self *waiter) (Receipt, error) {
	var group []*waiter
	defer func() {
		g.queue.pass()
		for _, w := range group {
			if w != self {
				w.turn <- false
			}
		}
	}()
	g.commitGroup(&group)
	return self.receipt, self.err
}

// commitGroup takes the queue and writes it, holding the write lock.
func (g *Graph) commitGroup(group *[]*waiter) {
	g.writeMu.Lock()
	defer g.writeMu.Unlock()
	// Those that the batch before released are just now coming back.
	for n, more := 0, true; more; {
		runtime.Gosched()
		before := n
		n = g.queue.len()
		more = n > before
	}
	*group = g.queue.take()
	rest, finished := *group, false
	defer func() {
		if !finished {
			failAll(rest, g.fail(errUnfinished))
		}
	}()
	for len(rest) > 0 {
		n, err := g.commitBatch(rest)
		if err != nil {
			failAll(rest, err)
			break
		}
		rest = rest[n:]
	}
	finished = true
}

// failAll gives waiters the error of their batch; one whose own function has
// failed keeps that error.
func failAll(ws []*waiter, err error) {
	for _, w := range ws {
		w.receipt = Receipt{}
		if w.err == nil {
			w.err = err
		}
	}
}

// commitBatch writes one batch with as many waiters as fit, and returns how
// many those were. On error nothing may be taken as written.
func (g *Graph) commitBatch(group []*waiter) (n int, err error) {
	if g.failed != nil {
		return 0, g.failed
	}
	m := g.moment.Load()
	if !m.roster.now[g.key.ID()].Role.writes() {
		return 0, ErrNotWriter
	}
	now := g.clock().UnixMilli()
	w := g.newWorkspace(now, len(group))
	g.takeHints(w, group)
	line := g.mine
	var last *building
	for size, open := 0, 0; n < len(group) && size < batchMax && len(w.applied) < batchMost; {
		b, err := g.newBuilding(w, line, now)
		if err != nil {
			return 0, err
		}
		taken := b.fill(group[n:])
		n += taken
		if len(b.p.revs)+len(b.p.block.Ops) == b.start {
			break // nobody put anything
		}
		signs := !b.continues(group[n:]) || open > chunkGoal || len(w.applied)+1 == batchMost
		if line, err = b.finish(g, signs); err != nil {
			return 0, err
		}
		last = b
		size += len(b.applied().rec.bundle)
		if open += b.size - blockRoom; signs {
			open = 0
		}
	}
	if last == nil {
		return n, nil
	}
	if last.p.sig == nil { // what was to follow on it did not
		last.signAgain(g)
	}
	if err := g.write(w); err != nil {
		return 0, err
	}
	g.mine = line
	return n, nil
}

// write puts the workspace's batch on disk and publishes what it changed. A
// failure stops all writing: goleveldb loses later acknowledged writes after
// one. g.writeMu is held.
func (g *Graph) write(w *workspace) error {
	if err := w.seal(); err != nil {
		return err
	}
	next := g.gather(w)
	if err := g.store.Write(&w.batch, !g.unsynced); err != nil {
		return g.fail(err)
	}
	g.remember(w)
	g.blocks.keepPayloads(w)
	g.tallies.Value().keep(w.entries, w.tallies == nil)
	if w.batch.Size() <= spareMax {
		w.batch.Reset()
		g.spare = w.batch
	}
	g.findMu.Lock()
	g.gathered = next
	g.findMu.Unlock()
	g.moment.Store(&moment{front: w.front, forks: w.forks, roster: w.roster, purges: w.purges, state: w.state, cluster: w.cluster, fenced: g.fenced})
	defer g.notify()
	for _, e := range w.purged {
		if err := g.dropPurged(e); err != nil {
			return err
		}
	}
	return nil
}

// fail stops all writing, because the store has failed, and returns the error
// of that. g.writeMu is held.
func (g *Graph) fail(err error) error {
	g.failed = fmt.Errorf("%w: %w", ErrReadOnly, err)
	m := *g.moment.Load()
	m.failed = g.failed
	g.moment.Store(&m)
	return g.failed
}

// gather returns the ids that are in no segment after the batch, and writes a
// segment when there are enough.
func (g *Graph) gather(w *workspace) *gathered {
	// Readers of what was gathered before never look behind its length.
	next := &gathered{first: g.gathered.first, entries: g.gathered.entries}
	for _, a := range w.applied {
		next.addBlock(a.rec.lsn, a.p)
	}
	if next.count() < findEvery {
		return next
	}
	w.batch.Put(lsnKey(tagFind, next.first), next.segment())
	return &gathered{}
}

// newSalt reads a salt; randomness that fails is fatal to the write.
func (g *Graph) newSalt() (s Salt, err error) {
	if _, err = io.ReadFull(g.rand, s[:]); err != nil {
		return s, fmt.Errorf("read randomness: %w", err)
	}
	return s, nil
}
