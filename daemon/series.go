package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

var _ rpc.Series = (*Replica)(nil)

// openSeries is the series that may be written.
type openSeries struct {
	mu      sync.Mutex
	id      string        // "" for none
	next    int           // how many changes of it are written
	writing bool          // a request writes
	moved   chan struct{} // closed and replaced when any of these change; nil before anybody waits
}

// begin opens another series when nobody writes.
func (s *openSeries) begin(ctx context.Context) (id string, err error) {
	id = rand.Text()
	err = s.await(ctx, func() (bool, error) {
		if s.writing {
			return false, nil
		}
		s.id, s.next = id, 0
		return true, nil
	})
	return id, err
}

// enter waits for the turn of a request; leave must be called behind it.
func (s *openSeries) enter(ctx context.Context, id string, sent int) error {
	return s.await(ctx, func() (bool, error) {
		switch {
		case id == "" || id != s.id:
			return false, failure(rpc.CodeStale, "this series is over: another import has begun, or the daemon was started again; run the import again, it goes on where this one ends")
		case sent < s.next:
			return false, failure(rpc.CodeInvalid, "change %d of the series is written already", sent)
		case s.writing || sent > s.next:
			return false, nil
		}
		s.writing = true
		return true, nil
	})
}

// leave ends the turn of a request that has written n changes. If one of them
// failed the series is over: those behind it stand on it.
func (s *openSeries) leave(n int, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
	s.next += n
	if failed {
		s.id = ""
	}
	s.tell()
}

// tell wakes whoever waits. s.mu is held.
func (s *openSeries) tell() {
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

// await calls try with s.mu held until it is done or fails, each time that
// something has changed.
func (s *openSeries) await(ctx context.Context, try func() (bool, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if done, err := try(); done || err != nil {
			s.tell()
			return err
		}
		if s.moved == nil {
			s.moved = make(chan struct{})
		}
		moved := s.moved
		s.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
}

// OpenSeries implements rpc.Series.
func (r *Replica) OpenSeries(ctx context.Context, prefix string) iter.Seq2[rpc.SeriesEntry, error] {
	return func(yield func(rpc.SeriesEntry, error) bool) {
		id, err := r.series.begin(ctx)
		if err != nil {
			yield(rpc.SeriesEntry{}, err)
			return
		}
		if !yield(rpc.SeriesEntry{Series: id}, nil) {
			return
		}
		for s, err := range r.graph.Sourced(ctx) {
			if err != nil {
				yield(rpc.SeriesEntry{}, outward(err))
				return
			}
			if !strings.HasPrefix(s.Source, prefix) {
				continue
			}
			e := rpc.SeriesEntry{Source: s.Source, Block: s.Block, Fork: s.Fork}
			if f, ok := r.graph.ForkOf(s.Fork); ok {
				e.Live = !f.Deleted
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// WriteSeries implements rpc.Series. A change that is too large for a block is
// written as a largeChange.
func (r *Replica) WriteSeries(ctx context.Context, id string, sent int, changes []rpc.SeriesChange, c rpc.Claim) (done []rpc.SeriesReceipt, err error) {
	if err := r.series.enter(ctx, id, sent); err != nil {
		return nil, err
	}
	wanted := len(changes)
	defer func() { r.series.leave(len(done), len(done) < wanted) }()
	for len(changes) > 0 {
		n := 0
		for n < len(changes) && changeSize(&changes[n]) <= r.partSize {
			n++
		}
		var part []rpc.SeriesReceipt
		var err error
		if n > 0 {
			part, err = r.writeSteps(ctx, changes[:n], c)
		} else {
			n = 1
			var one rpc.SeriesReceipt
			if one, err = r.writeLargeStep(ctx, &changes[0], c); err == nil {
				part = append(part, one)
			}
		}
		done = append(done, part...)
		if err != nil {
			return done, err
		}
		changes = changes[n:]
	}
	return done, nil
}

// changeSize is about how many bytes of a block a change takes.
func changeSize(c *rpc.SeriesChange) int {
	size := 0
	for i := range c.Writes {
		size += len(c.Writes[i].Key) + len(c.Writes[i].Value) + partRoom
	}
	return size
}

// seriesNote is the note of a change.
func seriesNote(ch *rpc.SeriesChange, c rpc.Claim) dag.Note {
	n := noteOf(c)
	if ch.Author != "" {
		n.Author = string(ch.Author)
	}
	if ch.Message != "" {
		n.Message = ch.Message
	}
	if !ch.Time.IsZero() {
		n.Time = ch.Time.UnixMilli()
	}
	n.Source = ch.Source
	return n
}

// writeSteps writes changes, each as a block.
func (r *Replica) writeSteps(ctx context.Context, changes []rpc.SeriesChange, c rpc.Claim) ([]rpc.SeriesReceipt, error) {
	steps, works := make([]dag.Step, len(changes)), make([]seriesWork, len(changes))
	for i := range changes {
		works[i] = seriesWork{r: r, change: &changes[i]}
		steps[i] = dag.Step{Note: seriesNote(&changes[i], c), Fn: works[i].all}
	}
	recs, err := r.graph.CommitEach(ctx, steps)
	done := make([]rpc.SeriesReceipt, len(recs))
	for i := range recs {
		done[i] = works[i].receipt
		done[i].Block = recs[i].Block
	}
	// One head is news of all that is before it; peers fetch that as one stream.
	for _, rec := range slices.Backward(recs) {
		if rec.Bundle != nil && r.announce != nil {
			r.announce(rec.Bundle)
			break
		}
	}
	return done, seriesFailure(err, changes, len(done))
}

// seriesFailure says which change could not be written.
func seriesFailure(err error, changes []rpc.SeriesChange, at int) error {
	if err == nil || at >= len(changes) {
		return outward(err)
	}
	err = outward(err)
	if errors.Is(err, context.Canceled) {
		return err
	}
	return &rpc.Error{Code: rpc.CodeOf(err), Message: "change " + changes[at].Source + ": " + err.Error(), Cause: err}
}

// seriesWork writes one change in a commit.
type seriesWork struct {
	r       *Replica
	change  *rpc.SeriesChange
	receipt rpc.SeriesReceipt // as the last try left it, without the block
	fork    dag.Fork          // that the change is about
}

// all puts the whole change.
func (w *seriesWork) all(tx *dag.Tx) error {
	w.receipt = rpc.SeriesReceipt{}
	if err := w.operations(tx); err != nil {
		return err
	}
	for i := range w.change.Writes {
		d, _, err := w.draft(tx, w.fork.ID, &w.change.Writes[i])
		if err == nil && d != nil {
			err = tx.Put(*d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// operations finds or makes the fork, merges, removes and tags.
func (w *seriesWork) operations(tx *dag.Tx) (err error) {
	ch := w.change
	if ch.Fork == "" {
		return w.tag(tx)
	}
	from, err := w.sources(tx)
	if err != nil {
		return err
	}
	if ch.Create {
		if err := checkName(ch.Fork); err != nil {
			return err
		}
		if err := nameIsFree(tx, ch.Fork); err != nil {
			return err
		}
		w.fork, err = tx.CreateFork(ch.Fork, from...)
		from = nil
	} else {
		w.fork, err = writableFork(tx, ch.Fork)
	}
	if err != nil {
		return err
	}
	w.receipt.Fork = w.fork.ID
	if err := mergeAll(tx, w.fork.ID, from); err != nil {
		return err
	}
	return w.remove(tx)
}

// sources are the places that a change forks or merges.
func (w *seriesWork) sources(tx *dag.Tx) (from []dag.Contribution, err error) {
	for _, place := range w.change.From {
		f, ok := tx.Fork(place.Fork)
		if !ok {
			return nil, failure(rpc.CodeNotFound, "there is no fork %q on this node", place.Fork)
		}
		var cut []dag.BlockID // none for all that is before the change
		if !place.Block.IsZero() {
			cut = []dag.BlockID{place.Block}
		}
		from = append(from, dag.NewContribution(f.ID, cut, nil))
	}
	return from, nil
}

func mergeAll(tx *dag.Tx, into dag.ForkID, from []dag.Contribution) error {
	for _, c := range from {
		if err := tx.Op(dag.NewOp(dag.MergeOp{Into: into, From: c})); err != nil {
			return err
		}
	}
	return nil
}

// writableFork finds a fork by its id, or by a name that means one.
func writableFork(tx *dag.Tx, name string) (dag.Fork, error) {
	f, ok := tx.Fork(name)
	switch {
	case !ok:
		return f, failure(rpc.CodeNotFound, "there is no fork %q on this node", name)
	case f.Clash && f.ID.String() != name:
		return f, failure(rpc.CodeAmbiguous, "more than one fork is called %q: rename one", name)
	}
	return f, nil
}

func (w *seriesWork) remove(tx *dag.Tx) error {
	for _, name := range w.change.Remove {
		f, err := writableFork(tx, name)
		if err != nil {
			return err
		}
		if err := tx.Op(dag.NewOp(dag.DeleteOp{Fork: f.ID})); err != nil {
			return err
		}
	}
	return nil
}

func (w *seriesWork) tag(tx *dag.Tx) error {
	if err := checkName(w.change.Tag); err != nil {
		return err
	}
	var cut []dag.BlockID
	for _, place := range w.change.From {
		cut = append(cut, place.Block)
	}
	return tx.Op(dag.NewTag(w.change.Tag, cut))
}

// draft makes the revision of a write, to stand on a fork; nil if the key
// serves the value there already, and without a conflict.
func (w *seriesWork) draft(tx *dag.Tx, on dag.ForkID, want *rpc.SeriesWrite) (*dag.Draft, string, error) {
	s, err := w.r.lookIn(tx, on, want.Key)
	if err != nil {
		return nil, "", err
	}
	c := content{kind: s.kind(), deleted: true}
	if !want.Deleted {
		if c.kind, err = s.kindFor(want.Kind, 0); err != nil {
			return nil, "", err
		}
		if err := checkValue(want.Key, c.kind, want.Value); err != nil {
			return nil, "", err
		}
		c.deleted, c.value = false, want.Value
	}
	d, change, err := s.change(&c, dag.MarkNone)
	if rpc.CodeOf(err) == rpc.CodeUnparsed && isDocument(c.kind) {
		// History is what it is: this one was no document.
		w.receipt.Unparsed++
		if c.kind = crdt.Text; crdt.ValidText(c.value) != nil {
			c.kind = crdt.Bytes
		}
		d, change, err = s.change(&c, dag.MarkNone)
	}
	switch {
	case err != nil:
		return nil, "", err
	case d == nil:
		w.receipt.Equal++
	case want.Deleted:
		w.receipt.Deleted++
	default:
		w.receipt.Written++
	}
	return d, change, nil
}

// writeLargeStep writes a change that does not fit a block.
func (r *Replica) writeLargeStep(ctx context.Context, ch *rpc.SeriesChange, c rpc.Claim) (rpc.SeriesReceipt, error) {
	if ch.Create {
		return rpc.SeriesReceipt{}, failure(rpc.CodeTooLarge, "change %s makes a fork and is too large for a block: make the fork in a change of its own", ch.Source)
	}
	f, err := r.forkToChange(ch.Fork)
	if err != nil {
		return rpc.SeriesReceipt{}, seriesFailure(err, []rpc.SeriesChange{*ch}, 0)
	}
	w := &seriesWork{r: r, change: ch, fork: f}
	wanted := make(map[string]*rpc.SeriesWrite, len(ch.Writes))
	large := &largeChange{fork: f, note: seriesNote(ch, c)}
	for i := range ch.Writes {
		if key := ch.Writes[i].Key; wanted[key] == nil {
			large.keys = append(large.keys, key)
		}
		wanted[ch.Writes[i].Key] = &ch.Writes[i]
	}
	written := 0
	large.draft = func(tx *dag.Tx, on dag.ForkID, key string) (*dag.Draft, string, error) {
		return w.draft(tx, on, wanted[key])
	}
	large.operations = func(tx *dag.Tx, on dag.ForkID) error {
		from, err := w.sources(tx)
		if err == nil {
			err = mergeAll(tx, on, from)
		}
		if err != nil || on != f.ID {
			return err
		}
		return w.remove(tx)
	}
	rec, done, err := large.write(ctx, r)
	if err != nil {
		return rpc.SeriesReceipt{}, seriesFailure(writtenMeanwhile(err), []rpc.SeriesChange{*ch}, 0)
	}
	for _, k := range done {
		if !wanted[k.Key].Deleted {
			written++
		}
	}
	return rpc.SeriesReceipt{
		Block: rec.Block, Fork: f.ID, Written: written, Deleted: len(done) - written, Equal: len(large.keys) - len(done),
		Unparsed: w.receipt.Unparsed,
	}, nil
}
