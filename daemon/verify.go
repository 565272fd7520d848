package daemon

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"

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
func VerifyData(ctx context.Context, dir string) iter.Seq2[rpc.Fault, error] {
	return func(yield func(rpc.Fault, error) bool) {
		if err := verifyData(ctx, dir, yield); err != nil {
			yield(rpc.Fault{}, err)
		}
	}
}

// errStop says that the consumer has heard enough.
var errStop = errors.New("the consumer stopped")

func verifyData(ctx context.Context, path string, yield func(rpc.Fault, error) bool) (err error) {
	dir, err := openExisting(path)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, dir.close()); errors.Is(err, errStop) {
			err = nil
		}
	}()
	if _, err := os.Stat(dir.store()); errors.Is(err, fs.ErrNotExist) {
		return nil // an identity that has written nothing
	}
	r, err := openReplica(ctx, dir, Config{}.withDefaults(), opening{unfounded: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for f, err := range faults(ctx, r) {
		if err != nil {
			return err
		}
		if !yield(f, nil) {
			return errStop
		}
	}
	return nil
}

// faults checks everything that a replica has stored.
func faults(ctx context.Context, r *Replica) iter.Seq2[rpc.Fault, error] {
	return func(yield func(rpc.Fault, error) bool) {
		for out, err := range r.Graph().Missing(ctx, nil) {
			if err == nil {
				_, err = dag.ReadHeader(out.Bundle)
			}
			switch {
			case ctx.Err() != nil:
				yield(rpc.Fault{}, context.Cause(ctx))
				return
			case errors.Is(err, dag.ErrCorrupt), errors.Is(err, dag.ErrRefused):
				if !yield(rpc.Fault{Kind: "damaged", Where: "store", Detail: err.Error()}, nil) {
					return
				}
			case err != nil:
				yield(rpc.Fault{}, err)
				return
			}
		}
	}
}
