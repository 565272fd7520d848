package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"crush/dag"
	"crush/rpc"
)

var _ rpc.Archives = (*Daemon)(nil)

// Export implements rpc.Archives.
func (d *Daemon) Export(ctx context.Context, w io.Writer) (rpc.Exported, error) {
	return exportCAR(ctx, d.replica.Graph(), w)
}

// Import implements rpc.Archives.
func (d *Daemon) Import(ctx context.Context, r io.Reader) (rpc.Imported, error) {
	if !d.joining.CompareAndSwap(false, true) {
		return rpc.Imported{}, errOccupied()
	}
	defer d.joining.Store(false)
	return importCAR(ctx, d.dir, d.replica.Graph(), r)
}

// errOccupied refuses what must not run beside a join, an import or a repair.
func errOccupied() error {
	return failure(rpc.CodeBusy, "this node joins a cluster, imports a file or repairs its store: wait until that has ended")
}

// ExportData is Export of a data directory that no daemon uses, under its lock.
func ExportData(ctx context.Context, path string, w io.Writer) (out rpc.Exported, err error) {
	dir, err := openExisting(path)
	if err != nil {
		return out, err
	}
	err = withGraph(ctx, dir, func(g *dag.Graph) (err error) {
		out, err = exportCAR(ctx, g, w)
		return err
	})
	return out, err
}

// ImportData is Import into a data directory that no daemon uses, under its
// lock. One that is empty, or not there, gets an identity, and then is of the
// cluster of the file.
func ImportData(ctx context.Context, path string, r io.Reader) (out rpc.Imported, err error) {
	dir, err := openDirectory(path)
	if err != nil {
		return out, err
	}
	err = withGraph(ctx, dir, func(g *dag.Graph) (err error) {
		out, err = importCAR(ctx, dir, g, r)
		return err
	})
	return out, err
}

// withGraph opens the graph of a directory for a function, which may found no
// cluster, and closes both.
func withGraph(ctx context.Context, dir *directory, use func(*dag.Graph) error) (err error) {
	defer func() { err = errors.Join(err, dir.close()) }()
	r, err := openReplica(ctx, dir, Config{}.withDefaults(), opening{unfounded: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeReplica(dir, r)) }()
	return use(r.Graph())
}

func exportCAR(ctx context.Context, g *dag.Graph, w io.Writer) (rpc.Exported, error) {
	if g.Cluster().IsZero() {
		return rpc.Exported{}, failure(rpc.CodeNotFound, "there is nothing to export: this node has no history yet")
	}
	a, err := g.WriteCAR(ctx, w, nil)
	return rpc.ExportedOf(a), outward(err)
}

// importCAR checks a whole file before any of it is applied.
func importCAR(ctx context.Context, dir *directory, g *dag.Graph, r io.Reader) (out rpc.Imported, err error) {
	file, done, err := dir.spool(r)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, done()) }()
	start, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return out, err
	}
	err = withScratch(dir.path, func(scratch dag.Store) error {
		c, err := dag.OpenCAR(file)
		if err == nil {
			err = g.Takes(c.About().Cluster)
		}
		if err != nil {
			return err
		}
		return dag.CheckCAR(ctx, c, scratch, nil)
	})
	if err != nil {
		return out, importError(err, 0)
	}
	if _, err := file.Seek(start, io.SeekStart); err != nil {
		return out, err
	}
	c, err := dag.OpenCAR(file)
	if err != nil {
		return out, importError(err, 0)
	}
	taken, err := g.TakeCAR(ctx, c, nil)
	if err != nil {
		return out, importError(err, taken.Blocks)
	}
	return imported(g, c.About(), taken), nil
}

func imported(g *dag.Graph, a dag.Archive, t dag.Taken) rpc.Imported {
	self, ok := g.Member(g.Node())
	return rpc.Imported{
		Cluster: a.Cluster, Blocks: t.Blocks, Revisions: t.Revisions, Known: t.Known,
		Node: g.Node(), Member: ok && self.Role != dag.RoleReader,
	}
}

// importError says what became of a file that was not imported.
func importError(err error, blocks uint64) error {
	kept := "nothing was imported"
	if blocks > 0 {
		kept = plural(int(blocks), "block") + " before it were good and stay; run the import again to go on"
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, dag.ErrOtherCluster):
		return failure(rpc.CodeDenied, "%s: %s", err, kept)
	case errors.Is(err, dag.ErrRefused):
		return failure(rpc.CodeUnparsed, "%s: %s", err, kept)
	}
	if e, ok := errors.AsType[*rpc.Error](outward(err)); ok {
		return &rpc.Error{Code: e.Code, Message: e.Message + ": " + kept, Cause: err}
	}
	return err
}

// spool makes what r reads readable twice: itself if it is a file, else a copy
// in the data directory that has no name, so that it goes whatever happens.
func (d *directory) spool(r io.Reader) (file io.ReadSeeker, done func() error, err error) {
	if f, ok := r.(io.ReadSeeker); ok {
		if _, err := f.Seek(0, io.SeekCurrent); err == nil {
			return f, func() error { return nil }, nil
		}
	}
	f, err := os.CreateTemp(d.path, temporaryPrefix)
	if err != nil {
		return nil, nil, fmt.Errorf("make a copy of the file: %w", explain(d.path, err))
	}
	err = os.Remove(f.Name())
	if err == nil {
		_, err = io.Copy(f, r)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, nil, errors.Join(explain(d.path, err), f.Close())
	}
	return f, f.Close, nil
}
