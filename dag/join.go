package dag

import (
	"bytes"
	"context"
	"errors"
)

// keyJoin holds the cluster that an emptied graph waits for.
var keyJoin = []byte("mjoin")

// wipeBatch is how many records are removed at once.
const wipeBatch = 4096

// Adopt throws away everything that the graph holds, and makes it wait for
// another cluster's history: the next block applied must be its genesis. It is
// durable: a crash in the middle is finished at the next Open.
func (g *Graph) Adopt(ctx context.Context, cluster ClusterID) error {
	return g.AdoptKeeping(ctx, cluster, nil)
}

// AdoptKeeping is Adopt that first hands all records to keep, unless it is nil:
// nothing is written between the two. If keep fails, everything stays as it was.
func (g *Graph) AdoptKeeping(ctx context.Context, cluster ClusterID, keep func(Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.writeMu.Lock()
	defer g.writeMu.Unlock()
	if g.failed != nil {
		return g.failed
	}
	if keep != nil {
		if err := keep(g.store); err != nil {
			return err
		}
	}
	var b Batch
	b.Put(keyJoin, cluster[:])
	if err := g.store.Write(&b, true); err != nil {
		return g.fail(err)
	}
	if err := g.wipe(); err != nil {
		return g.fail(err)
	}
	g.mine, g.cluster, g.recent = 0, cluster, nil
	g.contested.forget()
	g.tallies.Value().forget()
	g.findMu.Lock()
	g.gathered = &gathered{}
	g.findMu.Unlock()
	g.moment.Store(emptyMoment())
	g.notify()
	return nil
}

// Joining is the cluster whose history this empty graph waits for; zero if it
// has one, or waits for none.
func (g *Graph) Joining() ClusterID {
	g.writeMu.Lock()
	defer g.writeMu.Unlock()
	if g.moment.Load().state.lsn > 0 {
		return ClusterID{}
	}
	return g.cluster
}

// copyBatch is how many bytes CopyStore writes at once.
const copyBatch = 1 << 20

// CopyStore copies every record; what it has written when it returns nil is on
// stable storage.
func CopyStore(ctx context.Context, from Reader, to Store) error {
	var b Batch
	size := 0
	var failed error
	flush := func() bool {
		if failed = ctx.Err(); failed == nil {
			failed = to.Write(&b, true)
		}
		b.Reset()
		size = 0
		return failed == nil
	}
	err := from.Iterate(Range{}, func(k, v []byte) bool {
		b.Put(k, v)
		size += len(k) + len(v)
		return size < copyBatch || flush()
	})
	if err == nil && failed == nil && b.Len() > 0 {
		flush()
	}
	return errors.Join(err, failed)
}

func emptyMoment() *moment {
	return &moment{front: newFrontier(), forks: newForkTable(), roster: &roster{}, purges: &purges{}}
}

// wipe removes every record but that of the awaited cluster.
func (g *Graph) wipe() error {
	for {
		var b Batch
		err := g.store.Iterate(Range{}, func(k, _ []byte) bool {
			if !bytes.Equal(k, keyJoin) {
				b.Delete(k)
			}
			return b.Len() < wipeBatch
		})
		if err != nil {
			return err
		}
		if b.Len() == 0 {
			return nil
		}
		if err := g.store.Write(&b, true); err != nil {
			return err
		}
	}
}

// resumeJoin finishes an Adopt that a crash interrupted. It reports whether the
// graph waits for a cluster.
func (g *Graph) resumeJoin() (bool, error) {
	id, err := g.store.Get(keyJoin)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if len(id) != len(g.cluster) {
		return false, corrupt("the record of the awaited cluster does not decode")
	}
	g.cluster = ClusterID(id)
	g.moment.Store(emptyMoment())
	return true, g.wipe()
}
