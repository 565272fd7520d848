package dag

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	dsleveldb "github.com/ipfs/go-ds-leveldb"
	"github.com/syndtr/goleveldb/leveldb"
	lerrors "github.com/syndtr/goleveldb/leveldb/errors"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/iterator"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"
)

// LevelDB is the production store.
type LevelDB struct {
	ds *dsleveldb.Datastore
	db *leveldb.DB
}

// levelOptions holds what differs from goleveldb's defaults. The sizes are
// measured against the targets for speed and memory; see bench/README.md.
func levelOptions() opt.Options {
	return opt.Options{
		Filter:                 filter.NewBloomFilter(10), // most lookups of a new key then read no table
		WriteBuffer:            24 * opt.MiB,              // of 4: writers wait less often for a table to be written
		CompactionTableSize:    8 * opt.MiB,               // of 2: a quarter of the files to open
		CompactionTotalSize:    80 * opt.MiB,              // of 10: in step with the table size
		BlockCacheCapacity:     32 * opt.MiB,              // of 8: holds the heads that are read often
		OpenFilesCacheCapacity: 256,                       // of 500: each open table holds its index in memory
		DisableSeeksCompaction: true,                      // reads must not start compactions
		// Bulk loads write level 0 faster than it is compacted for a while; a
		// writer is slowed at 12 tables (of 8) and stopped at 20 (of 12).
		WriteL0SlowdownTrigger: 12,
		WriteL0PauseTrigger:    20,
		// A batch beyond the write buffer would become a transaction, which
		// takes the exclusive lock and flushes.
		DisableLargeBatchTransaction: true,
		// Setting any flag replaces the default, so its flags stand here too. A
		// damaged manifest must be an error. StrictJournal is left out: it
		// refuses a torn tail, which every power cut leaves; holes in the
		// journal are found by the graph's own counts.
		Strict: opt.DefaultStrict | opt.StrictManifest,
	}
}

// OpenLevelDB opens or makes the store in dir. Damage that goleveldb would
// repair by silently leaving data out is an error that wraps ErrCorrupt, unless
// repair is set.
func OpenLevelDB(dir string, repair bool) (l *LevelDB, err error) {
	defer guard(&err)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make store: %w", err)
	}
	if err := dropUnfinished(dir); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	o := levelOptions()
	if repair {
		// A reader that is not strict leaves damaged parts out and goes on.
		o.Strict = opt.StrictBlockChecksum | opt.StrictJournalChecksum
	} else {
		if err := checkJournals(dir); err != nil {
			return nil, fmt.Errorf("open store %s: %w", dir, err)
		}
		// go-ds-leveldb calls RecoverFile by itself on a damaged manifest, and
		// that loses keys without an error. goleveldb's own call tells.
		// Its buffer would be used again for the store's, and then no longer be
		// memory that the system has not given yet: a small one leaves that alone.
		small := o
		small.WriteBuffer = 8 * opt.MiB
		probe, err := leveldb.OpenFile(dir, &small)
		if err != nil {
			return nil, fmt.Errorf("open store %s: %w", dir, mapErr(err))
		}
		if err := probe.Close(); err != nil {
			return nil, fmt.Errorf("open store %s: %w", dir, mapErr(err))
		}
	}
	opts := dsleveldb.Options(o)
	ds, err := dsleveldb.NewDatastore(dir, &opts)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, mapErr(err))
	}
	return &LevelDB{ds: ds, db: ds.DB}, nil
}

// dropUnfinished removes what is left of a store whose process was killed while
// goleveldb made it, which goleveldb takes for damage. The file that names the
// manifest is written last, and journals and tables only after it: a store with
// the first manifest and nothing else was never written to.
func dropUnfinished(dir string) error {
	const manifest, pending = "MANIFEST-000000", "CURRENT.0"
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !slices.Contains([]string{manifest, pending, "LOCK", "LOG", "LOG.old"}, f.Name()) {
			return nil
		}
	}
	for _, name := range []string{pending, manifest} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// mapErr marks goleveldb's errors of damage as ours.
func mapErr(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, leveldb.ErrNotFound):
		return ErrNotFound
	case lerrors.IsCorrupted(err):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: a file is missing: %w", ErrCorrupt, err)
	}
	return err
}

// guard turns a panic inside goleveldb, which damaged tables can cause, into
// an error of damage.
func guard(err *error) {
	if r := recover(); r != nil {
		*err = corrupt("goleveldb: %v", r)
	}
}

// Get implements Reader.
func (l *LevelDB) Get(key []byte) (v []byte, err error) {
	defer guard(&err)
	v, err = l.db.Get(key, nil)
	return v, mapErr(err)
}

// Iterate implements Reader.
func (l *LevelDB) Iterate(r Range, yield func(k, v []byte) bool) error {
	return iterate(l.db, r, yield)
}

// iterating is what goleveldb's databases and snapshots have in common here.
type iterating interface {
	NewIterator(slice *util.Range, ro *opt.ReadOptions) iterator.Iterator
}

func iterate(db iterating, r Range, yield func(k, v []byte) bool) (err error) {
	yielding := false
	defer func() {
		if yielding {
			return // a panic in yield is a bug, not damage
		}
		if r := recover(); r != nil {
			err = corrupt("goleveldb: %v", r)
		}
	}()
	it := db.NewIterator(&util.Range{Start: r.Start, Limit: r.End}, nil)
	defer it.Release()
	first, next := it.First, it.Next
	if r.Reverse {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok; ok = next() {
		k, v := it.Key(), it.Value()
		yielding = true
		ok = yield(k, v)
		if yielding = false; !ok {
			break
		}
	}
	return mapErr(it.Error())
}

// Write implements Store.
func (l *LevelDB) Write(b *Batch, sync bool) (err error) {
	defer guard(&err)
	return mapErr(l.db.Write(&b.b, &opt.WriteOptions{Sync: sync}))
}

// Snapshot implements Store.
func (l *LevelDB) Snapshot() (_ Snapshot, err error) {
	defer guard(&err)
	s, err := l.db.GetSnapshot()
	if err != nil {
		return nil, mapErr(err)
	}
	return levelSnapshot{s}, nil
}

// Compact implements Compacting.
func (l *LevelDB) Compact(r Range) (err error) {
	defer guard(&err)
	return mapErr(l.db.CompactRange(util.Range{Start: r.Start, Limit: r.End}))
}

// Close implements Store.
func (l *LevelDB) Close() (err error) {
	defer guard(&err)
	return mapErr(l.ds.Close())
}

type levelSnapshot struct{ s *leveldb.Snapshot }

func (s levelSnapshot) Get(key []byte) (v []byte, err error) {
	defer guard(&err)
	v, err = s.s.Get(key, nil)
	return v, mapErr(err)
}

func (s levelSnapshot) Iterate(r Range, yield func(k, v []byte) bool) error {
	return iterate(s.s, r, yield)
}

func (s levelSnapshot) Release() { s.s.Release() }
