package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"crush/dag"
	"crush/rpc"
)

// Identity returns the identity of a data directory that no daemon uses, and
// whether it was made just now, because there was none.
func Identity(dir string) (id dag.NodeID, made bool, err error) {
	d, err := openDirectory(dir)
	if err != nil {
		return dag.NodeID{}, false, err
	}
	return d.key.ID(), d.fresh, d.close()
}

// VerifyData checks a data directory that no daemon uses, under its lock.
func VerifyData(ctx context.Context, dir string, progress rpc.Progress) iter.Seq2[rpc.Fault, error] {
	return func(yield func(rpc.Fault, error) bool) {
		if err := verifyData(ctx, dir, progress, yield); err != nil {
			yield(rpc.Fault{}, err)
		}
	}
}

// errStop says that the consumer has heard enough.
var errStop = errors.New("the consumer stopped")

func verifyData(ctx context.Context, path string, progress rpc.Progress, yield func(rpc.Fault, error) bool) (err error) {
	dir, err := openExisting(path)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, dir.close()); errors.Is(err, errStop) {
			err = nil
		}
	}()
	if err := dir.expectStore(); err != nil {
		return err
	}
	if _, err := os.Stat(dir.store()); errors.Is(err, fs.ErrNotExist) {
		return nil // an identity that has written nothing
	}
	r, err := openReplica(ctx, dir, Config{}.withDefaults(), opening{unfounded: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeReplica(dir, r)) }()
	for f, err := range faults(ctx, r, dir.path, progress) {
		if err != nil {
			return err
		}
		if !yield(f, nil) {
			return errStop
		}
	}
	return nil
}

// scratchPrefix starts the names of directories that a verify, and the check of
// a file, make in the data directory and remove again.
const scratchPrefix = "verify-"

// faults checks everything that a replica has stored, computing every index
// again in a scratch directory.
func faults(ctx context.Context, r *Replica, dir string, progress rpc.Progress) iter.Seq2[rpc.Fault, error] {
	return func(yield func(rpc.Fault, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		wanted := true
		err := withScratch(dir, func(scratch dag.Store) error {
			return r.Graph().Check(ctx, scratch, dag.Progress(progress), func(f dag.Fault) {
				if wanted = wanted && yield(rpc.Fault{Kind: f.Kind, Where: f.Where, Detail: f.Detail}, nil); !wanted {
					stop()
				}
			})
		})
		if err != nil && wanted {
			yield(rpc.Fault{}, outward(err))
		}
	}
}

// removeScratch removes what a verify left behind in a crash.
func (d *directory) removeScratch() error {
	left, err := filepath.Glob(filepath.Join(d.path, scratchPrefix+"*"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// withScratch runs a function on an empty store that is thrown away.
func withScratch(dir string, use func(dag.Store) error) (err error) {
	path, err := os.MkdirTemp(dir, scratchPrefix)
	if err != nil {
		return fmt.Errorf("make scratch directory: %w", explain(dir, err))
	}
	defer func() { err = errors.Join(err, os.RemoveAll(path)) }()
	db, err := dag.OpenLevelDB(path, false)
	if err != nil {
		return explain(dir, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return explain(dir, use(db))
}

// Rebuilt says what a rebuild of the store kept.
type Rebuilt struct {
	dag.Rebuilt
	Old string // where the store as it was is kept
}

// RebuildData computes every index of a data directory that no daemon uses
// again from its blocks, under its lock, and reports what is damaged. The old
// store is kept aside; the operator removes it.
func RebuildData(ctx context.Context, path string, progress dag.Progress, report func(rpc.Fault)) (out Rebuilt, err error) {
	dir, err := openExisting(path)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	fresh := dir.rebuilt()
	if err := os.RemoveAll(fresh); err != nil {
		return out, err
	}
	if out.Rebuilt, err = rebuildInto(ctx, dir.store(), fresh, progress, report); err != nil {
		return out, errors.Join(outward(err), os.RemoveAll(fresh))
	}
	if err := dir.forgetStop(); err != nil {
		return out, err
	}
	out.Old = dir.store() + ".old-" + time.Now().UTC().Format("20060102T150405")
	if err := os.Rename(dir.store(), out.Old); err != nil {
		return out, err
	}
	return out, errors.Join(os.Rename(fresh, dir.store()), syncDirectory(dir.path))
}

// finishRebuild ends a rebuild that a crash interrupted between its renames:
// the old store is aside already, and the new one is whole.
func finishRebuild(dir *directory) error {
	if _, err := os.Stat(dir.store()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(dir.rebuilt()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(os.Rename(dir.rebuilt(), dir.store()), syncDirectory(dir.path))
}

func rebuildInto(ctx context.Context, from, into string, progress dag.Progress, report func(rpc.Fault)) (out dag.Rebuilt, err error) {
	old, err := dag.OpenLevelDB(from, true)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	db, err := dag.OpenLevelDB(into, false)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return dag.Rebuild(ctx, old, db, progress, func(f dag.Fault) {
		report(rpc.Fault{Kind: f.Kind, Where: f.Where, Detail: f.Detail})
	})
}
