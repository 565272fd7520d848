package daemon

import (
	"context"
	"errors"
	"slices"

	"crush/dag"
	"crush/rpc"
)

// defaultPartSize is ReplicaConfig.PartSize where that is 0.
const defaultPartSize = 8 << 20

const (
	// partRoom is added for each key: its revision has this many bytes about.
	partRoom = 512
	// partParent is how many bytes a parent has in its revision.
	partParent = 48
)

// largeChange is an atomic change of many keys of a fork. It is one block if
// it fits; else it is written in parts on a fork without a name, and merged by
// one operation, so that every reader sees all of it or nothing, on every node.
type largeChange struct {
	fork dag.Fork
	note dag.Note // of its last block; those before it have no source
	keys []string
	// draft makes the revision of a key, to stand on a fork: that of the change,
	// or the one of its parts. It returns what becomes of the key, and nil if
	// nothing is to be written.
	draft func(tx *dag.Tx, on dag.ForkID, key string) (*dag.Draft, string, error)
	// operations puts what stands before the revisions, on the fork of the change
	// and on that of its parts; nil for nothing.
	operations func(tx *dag.Tx, on dag.ForkID) error
	// check is asked when the change is about to show; nil for nothing.
	check func(tx *dag.Tx) error
}

// errParts says that a change does not fit a block.
var errParts = errors.New("too large for one block")

// plan says what a change would write.
func (c *largeChange) plan(ctx context.Context, r *Replica) ([]rpc.MergedKey, error) {
	done := []rpc.MergedKey{}
	_, err := r.commitNote(ctx, dag.Note{}, func(tx *dag.Tx) error {
		done = []rpc.MergedKey{}
		if err := c.begin(tx, c.fork.ID); err != nil {
			return err
		}
		for _, key := range c.keys {
			d, change, err := c.draft(tx, c.fork.ID, key)
			if err != nil {
				return err
			}
			if d == nil {
				continue
			}
			done = append(done, rpc.MergedKey{Key: key, Change: change})
			if key == rpc.PolicyKey { // what it says decides how the keys after it are read
				if err := tx.Put(*d); err != nil {
					return err
				}
			}
		}
		return errPlanned
	})
	if !errors.Is(err, errPlanned) {
		return nil, err
	}
	return done, nil
}

// write writes a change, and says what it wrote. Keys that are written
// meanwhile make one of many parts errMoved, and then nothing of it shows.
func (c *largeChange) write(ctx context.Context, r *Replica) (dag.Receipt, []rpc.MergedKey, error) {
	done := []rpc.MergedKey{}
	rec, err := r.commitNote(ctx, c.note, func(tx *dag.Tx) error {
		done = []rpc.MergedKey{}
		if err := c.begin(tx, c.fork.ID); err != nil {
			return err
		}
		n, err := c.put(tx, c.fork.ID, c.keys, r.partSize, &done)
		if err == nil && n < len(c.keys) {
			err = errParts
		}
		return err
	})
	if errors.Is(err, errParts) {
		// What is refused is refused before anything of it is written.
		if _, err := c.plan(ctx, r); err != nil {
			return dag.Receipt{}, nil, err
		}
		return c.writeParts(ctx, r)
	}
	return rec, done, err
}

// begin puts what stands before the revisions.
func (c *largeChange) begin(tx *dag.Tx, on dag.ForkID) error {
	if c.check != nil && on == c.fork.ID {
		if err := c.check(tx); err != nil {
			return err
		}
	}
	if c.operations == nil {
		return nil
	}
	return c.operations(tx, on)
}

// put puts the revisions of keys until they have room bytes, of one key at
// least, and returns how many keys it went through.
func (c *largeChange) put(tx *dag.Tx, on dag.ForkID, keys []string, room int, done *[]rpc.MergedKey) (int, error) {
	size := 0
	for i, key := range keys {
		d, change, err := c.draft(tx, on, key)
		if err != nil {
			return i, err
		}
		if d == nil {
			continue
		}
		n := len(key) + len(d.Payload) + partRoom
		if size+n > room && size > 0 {
			return i, nil
		}
		size += n + partParent*len(d.Parents)
		d.Fork = on
		if err := tx.Put(*d); err != nil {
			return i, err
		}
		*done = append(*done, rpc.MergedKey{Key: key, Change: change})
	}
	return len(keys), nil
}

// writeParts writes a change as more than one block.
func (c *largeChange) writeParts(ctx context.Context, r *Replica) (dag.Receipt, []rpc.MergedKey, error) {
	cut := r.graph.Now()
	partNote := c.note
	partNote.Source = ""
	var batch dag.Fork
	_, err := r.commitNote(ctx, partNote, func(tx *dag.Tx) (err error) {
		if batch, err = tx.CreateFork("", dag.NewContribution(c.fork.ID, cut.Tips(), nil)); err != nil {
			return err
		}
		return c.begin(tx, batch.ID)
	})
	if err != nil {
		return dag.Receipt{}, nil, err
	}
	done := []rpc.MergedKey{}
	for rest := c.keys; len(rest) > 0; {
		var part []rpc.MergedKey
		n := 0
		_, err := r.commitNote(ctx, partNote, func(tx *dag.Tx) (err error) {
			part = nil
			n, err = c.put(tx, batch.ID, rest, r.partSize, &part)
			return err
		})
		if err != nil {
			return dag.Receipt{}, nil, err
		}
		rest, done = rest[n:], append(done, part...)
	}
	rec, err := c.show(ctx, r, batch, cut, done)
	return rec, done, err
}

// show makes the parts of a change visible, if none of its keys was written
// since the cut that they were made at.
func (c *largeChange) show(ctx context.Context, r *Replica, batch dag.Fork, cut dag.Cut, done []rpc.MergedKey) (dag.Receipt, error) {
	return r.commitNote(ctx, c.note, func(tx *dag.Tx) error {
		for _, k := range done {
			now, err := tx.Entry(c.fork.ID, k.Key)
			if err != nil {
				return err
			}
			then, err := r.graph.EntryAt(c.fork.ID, k.Key, cut)
			if err != nil {
				return err
			}
			if !slices.Equal(headIDs(now), headIDs(&then)) {
				return errMoved
			}
		}
		if err := c.begin(tx, c.fork.ID); err != nil {
			return err
		}
		return tx.Op(dag.NewOp(dag.MergeOp{Into: c.fork.ID, From: dag.NewContribution(batch.ID, r.graph.Now().Tips(), nil)}))
	})
}

// writtenMeanwhile is how a person is told of errMoved.
func writtenMeanwhile(err error) error {
	if errors.Is(err, errMoved) {
		return failure(rpc.CodeStale, "keys of the change were written meanwhile; nothing of it shows: try again")
	}
	return err
}
