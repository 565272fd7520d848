package main

import (
	"context"
	"errors"
	"flag"
	"strconv"
	"time"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"

	"crush/bench/load"
	"crush/daemon"
	"crush/dag"
	"crush/rpc"
)

// open makes a fresh putter in an empty directory, for the given number of clients.
type open func(ctx context.Context, dir string, clients int) (load.Putter, error)

// contest makes a contestant of a putter; its figure is puts a second.
func contest(name string, l load.Load, open open) contestant {
	return contestant{name, func(ctx context.Context, dir string) (float64, error) {
		p, err := open(ctx, dir, l.Clients)
		if err != nil {
			return 0, err
		}
		rate, err := l.Drive(ctx, p)
		return rate, errors.Join(err, p.Close())
	}}
}

// library compares stores inside one process: durable puts of 256 bytes by 64 and by 256 goroutines.
func library(ctx context.Context, args []string) error {
	var length time.Duration
	r, err := begin("library", args, func(flags *flag.FlagSet) {
		flags.DurationVar(&length, "length", 5*time.Second, "length of a round")
	})
	if err != nil {
		return err
	}
	defer r.end()
	for _, waiters := range []int{64, 256} {
		l := load.Load{Clients: waiters, WarmUp: time.Second, Length: length, Size: 256}
		var written batches
		t, err := r.race(ctx, []contestant{
			contest("goleveldb", l, openLevel),
			contest("crush", l, openReplica),
			{"crush, noting", written.note(l)},
			{sameBatches, written.replay},
		})
		if err != nil {
			return err
		}
		if err := r.show("puts/s in one process, by goroutines", strconv.Itoa(waiters), t, "puts/s", "goleveldb", sameBatches); err != nil {
			return err
		}
	}
	return nil
}

// level is goleveldb with one record a put and a group commit: the least that a durable store on it can do.
// The first waiter of a batch leads, as soon as the batch before is on disk: it writes all that have come meanwhile.
type level struct {
	db      *leveldb.DB
	leading chan struct{} // holds one token; whoever has it writes
	waiting chan *waiter
}

// A waiter is one put that is not on disk yet.
type waiter struct {
	key   string
	value []byte
	done  chan error
}

func openLevel(_ context.Context, dir string, clients int) (load.Putter, error) {
	db, err := leveldb.OpenFile(dir, &opt.Options{
		Filter:              filter.NewBloomFilter(10),
		WriteBuffer:         32 * opt.MiB,
		CompactionTableSize: 16 * opt.MiB,
		CompactionTotalSize: 160 * opt.MiB,
		BlockCacheCapacity:  64 * opt.MiB,
	})
	if err != nil {
		return nil, err
	}
	l := &level{db: db, leading: make(chan struct{}, 1), waiting: make(chan *waiter, clients)}
	l.leading <- struct{}{}
	return l, nil
}

func (l *level) Put(_ context.Context, key string, value []byte) error {
	w := &waiter{key: key, value: value, done: make(chan error, 1)}
	l.waiting <- w
	select {
	case err := <-w.done:
		return err
	case <-l.leading:
		l.commit()
		l.leading <- struct{}{}
		return <-w.done
	}
}

// commit writes everything that waits. The caller holds the token; its own put may have been written before.
func (l *level) commit() {
	var batch leveldb.Batch
	var group []*waiter
	for len(l.waiting) > 0 {
		w := <-l.waiting
		batch.Put([]byte(w.key), w.value)
		group = append(group, w)
	}
	if len(group) == 0 {
		return
	}
	err := l.db.Write(&batch, &opt.WriteOptions{Sync: true})
	for _, w := range group {
		w.done <- err
	}
}

func (l *level) Get(_ context.Context, key string) ([]byte, error) { return l.db.Get([]byte(key), nil) }

func (l *level) Close() error { return l.db.Close() }

// replica is crush as a library: no network, no socket.
type replica struct{ *daemon.Replica }

func openReplica(ctx context.Context, dir string, _ int) (load.Putter, error) {
	return openStore(ctx, dir, dag.NewNodeKey([32]byte{1}))
}

// openStore opens the store in dir as the node of the key.
func openStore(ctx context.Context, dir string, key dag.NodeKey) (replica, error) {
	r, err := daemon.OpenReplica(ctx, daemon.ReplicaConfig{Dir: dir, Key: key, Name: "bench"})
	return replica{r}, err
}

func (r replica) Put(ctx context.Context, key string, value []byte) error {
	_, err := r.Replica.Put(ctx, rpc.PutRequest{KeyRef: rpc.KeyRef{Key: key}, Value: value})
	return err
}

// sameBatches is the contestant that writes to goleveldb what crush has written.
const sameBatches = "goleveldb, crush's batches"

// batches is what crush has written in a round, and how many puts that were.
type batches struct {
	all  []*dag.Batch
	puts float64
}

// noting is a store that keeps a copy of each batch.
type noting struct {
	dag.Store
	kept *batches
}

func (n noting) Write(b *dag.Batch, sync bool) error {
	var kept dag.Batch
	if err := b.Each(kept.Put, kept.Delete); err != nil {
		return err
	}
	n.kept.all = append(n.kept.all, &kept)
	return n.Store.Write(b, sync)
}

// note drives crush on a store that notes what is written. Its figure is lower than crush's for the copies.
func (bs *batches) note(l load.Load) func(ctx context.Context, dir string) (float64, error) {
	return func(ctx context.Context, dir string) (float64, error) {
		db, err := dag.OpenLevelDB(dir, false)
		if err != nil {
			return 0, err
		}
		bs.all = nil
		p, err := daemon.OpenReplica(ctx, daemon.ReplicaConfig{Store: noting{db, bs}, Key: localKey(), Name: "bench"})
		if err != nil {
			return 0, err
		}
		rate, err := l.Drive(ctx, replica{p})
		bs.puts = float64(p.Graph().Stats().Revisions)
		return rate, errors.Join(err, p.Close())
	}
}

// replay writes the same batches to another LevelDB, one after another, each synced: crush without crush.
func (bs *batches) replay(_ context.Context, dir string) (float64, error) {
	db, err := dag.OpenLevelDB(dir, false)
	if err != nil {
		return 0, err
	}
	from := time.Now()
	for _, b := range bs.all {
		if err := db.Write(b, true); err != nil {
			return 0, errors.Join(err, db.Close())
		}
	}
	return bs.puts / time.Since(from).Seconds(), db.Close()
}
