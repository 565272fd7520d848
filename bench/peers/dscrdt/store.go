package main

import (
	"context"
	"strings"
	"sync"

	"github.com/ipfs/go-datastore"
	dsleveldb "github.com/ipfs/go-ds-leveldb"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
)

// namespace is where go-ds-crdt keeps its records; below applied it marks the blocks whose content is stored.
const (
	namespace = "/crdt"
	applied   = namespace + "/b/"
)

// store is the LevelDB, with the sizes that crush gives its own. Every put and every batch is synced, as go-ds-leveldb
// does with all. It tells when something was stored, and counts the blocks that are applied.
type store struct {
	*dsleveldb.Datastore

	mu    sync.Mutex
	count int64
	wake  chan struct{} // closed at the next change
}

var _ datastore.Batching = (*store)(nil)

func openStore(dir string) (*store, error) {
	db, err := dsleveldb.NewDatastore(dir, &dsleveldb.Options{
		Filter:                 filter.NewBloomFilter(10),
		WriteBuffer:            32 * opt.MiB,
		CompactionTableSize:    8 * opt.MiB,
		CompactionTotalSize:    80 * opt.MiB,
		BlockCacheCapacity:     32 * opt.MiB,
		OpenFilesCacheCapacity: 256,
		DisableSeeksCompaction: true,
		WriteL0SlowdownTrigger: 12,
		WriteL0PauseTrigger:    20,
	})
	if err != nil {
		return nil, err
	}
	return &store{Datastore: db, wake: make(chan struct{})}, nil
}

// blocks returns how many blocks are applied.
func (s *store) blocks() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// changed returns a channel that closes when something has been stored.
func (s *store) changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wake
}

// stored tells those that wait, and adds to the count of blocks.
func (s *store) stored(blocks int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count += blocks
	close(s.wake)
	s.wake = make(chan struct{})
}

// Put implements datastore.Write.
func (s *store) Put(ctx context.Context, key datastore.Key, value []byte) error {
	err := s.Datastore.Put(ctx, key, value)
	if err == nil && strings.HasPrefix(key.String(), applied) {
		s.stored(1)
	}
	return err
}

// Batch implements datastore.Batching.
func (s *store) Batch(ctx context.Context) (datastore.Batch, error) {
	b, err := s.Datastore.Batch(ctx)
	return &batch{b, s}, err
}

// batch tells the store when it is on disk: only then a value can be read.
type batch struct {
	datastore.Batch
	store *store
}

// Commit implements datastore.Batch.
func (b *batch) Commit(ctx context.Context) error {
	err := b.Batch.Commit(ctx)
	if err == nil {
		b.store.stored(0)
	}
	return err
}
