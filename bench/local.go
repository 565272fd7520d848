package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"crush/daemon"
	"crush/dag"
	"crush/rpc"
)

// A local is crush as a library, on a LevelDB of its own, with counts of what it writes.
type local struct {
	*daemon.Replica
	blocks atomic.Int64 // bytes of its blocks as they go to other nodes
	stored atomic.Int64 // bytes of its synced batches, which LevelDB appends to its journal
}

// localKey is the key of the node of every local: a copy of a store is a clone of its node.
func localKey() dag.NodeKey { return dag.NewNodeKey([32]byte{1}) }

// openLocal opens the store in dir, or makes it.
func openLocal(ctx context.Context, dir string) (*local, error) {
	db, err := dag.OpenLevelDB(dir, false)
	if err != nil {
		return nil, err
	}
	l := &local{}
	l.Replica, err = daemon.OpenReplica(ctx, daemon.ReplicaConfig{
		Store: &metered{db, &l.stored}, Key: localKey(), Name: "bench",
		Announce: func(b dag.Bundle) { l.blocks.Add(int64(len(b))) },
	})
	return l, err
}

// metered counts the bytes that are written to a store.
type metered struct {
	dag.Store
	bytes *atomic.Int64
}

func (m *metered) Write(b *dag.Batch, sync bool) error {
	m.bytes.Add(int64(b.Size()))
	return m.Store.Write(b, sync)
}

// A forker has the forks of a replica or of a daemon.
type forker interface {
	rpc.Forks
	rpc.Changes
}

// settingKey is the name of setting i: directories of 1,000.
func settingKey(i int) string { return fmt.Sprintf("config/%03d/%03d.conf", i/1000, i%1000) }

// setting is the value of setting i in one version: 200 bytes about, of which one line differs from version to version.
func setting(i, version int) []byte {
	return fmt.Appendf(nil, `name = service-%08d
image = registry.example/services/%08x:stable
replicas = %d
port = %d
health = /healthz
memory = 256Mi
cpu = 250m
restart = on-failure
strategy = rolling
log = json
`, i, uint32(i)*2654435761, version, 8000+i%1000)
}

// maxBlock is the most settings that are written as one change, so that one block holds them.
const maxBlock = 10_000

// putSettings writes the settings 0 to n-1 on default, a block of them at a time.
func putSettings(ctx context.Context, to rpc.Changes, n, block int) error {
	from := time.Now()
	for first := 0; first < n; first += block {
		var files []rpc.File
		for i := first; i < min(n, first+block); i++ {
			files = append(files, rpc.File{Key: settingKey(i), Value: setting(i, 0)})
		}
		if _, err := to.Apply(ctx, rpc.ApplyRequest{Files: files}); err != nil {
			return err
		}
	}
	progress(from, "wrote %d keys", n)
	return nil
}

// progress says on stderr what was done since from, if it took long enough for a person to wonder.
func progress(from time.Time, format string, args ...any) {
	if took := time.Since(from); took > time.Second/2 {
		fmt.Fprintf(os.Stderr, format+" in %v\n", append(args, took.Round(time.Millisecond))...)
	}
}

// openSettings makes a store in dir that has n settings.
func openSettings(ctx context.Context, dir string, n, block int) (*local, error) {
	l, err := openLocal(ctx, dir)
	if err != nil {
		return nil, err
	}
	return l, putSettings(ctx, l, n, block)
}

// put writes one key on a fork.
func (l *local) put(ctx context.Context, fork, key string, value []byte) error {
	_, err := l.Put(ctx, rpc.PutRequest{KeyRef: rpc.KeyRef{Fork: fork, Key: key}, Value: value})
	return err
}

// fork makes a fork.
func (l *local) fork(ctx context.Context, name, from string) error {
	_, err := l.CreateFork(ctx, rpc.ForkRequest{Name: name, From: from})
	return err
}

// A place is a fork of a store, to be read.
type place struct {
	name string // what the tables call it
	*local
	fork string
	keys int // settings that it has
}

// A reading is one kind of read, and how often a round times it. It gets the number of a setting.
type reading struct {
	name  string
	times int
	do    func(ctx context.Context, p place, i int) error
}

// readings are the reads that every comparison of places makes.
func readings(times int) []reading {
	return []reading{
		{"get", times, func(ctx context.Context, p place, i int) error { return p.get(ctx, settingKey(i)) }},
		{"info", times, func(ctx context.Context, p place, i int) error {
			_, err := p.Info(ctx, rpc.KeyRef{Fork: p.fork, Key: settingKey(i)})
			return err
		}},
		{"page of 100 keys", max(times/10, 1), func(ctx context.Context, p place, i int) error {
			_, err := p.list(ctx, settingKey(i), 100)
			return err
		}},
		{"count of all keys", 1, func(ctx context.Context, p place, _ int) error {
			n, err := p.list(ctx, "", 1<<62)
			if err == nil && n < p.keys {
				err = fmt.Errorf("%d keys of %d", n, p.keys)
			}
			return err
		}},
	}
}

func (p place) get(ctx context.Context, key string) error {
	e, err := p.Get(ctx, rpc.GetRequest{KeyRef: rpc.KeyRef{Fork: p.fork, Key: key}, Bare: true})
	if err == nil && e.Deleted {
		err = fmt.Errorf("%s is not there", key)
	}
	return err
}

// list reads at most limit keys behind after, and returns how many there were.
func (p place) list(ctx context.Context, after string, limit int) (n int, err error) {
	for _, err := range p.List(ctx, rpc.ListRequest{Fork: p.fork, After: after}) {
		if err != nil {
			return n, err
		}
		if n++; n == limit {
			break
		}
	}
	return n, nil
}

// raceReads prints a table for each reading, of all places; the first is the baseline. In one round all places are read
// at the same settings.
func (r *run) raceReads(ctx context.Context, readings []reading, places ...place) error {
	for _, read := range readings {
		var contestants []contestant
		for _, p := range places {
			contestants = append(contestants, read.at(p))
		}
		t, err := r.race(ctx, contestants)
		if err != nil {
			return err
		}
		fmt.Println(read.name)
		t.print("µs", places[0].name)
	}
	return nil
}

// at makes a contestant of a reading.
func (read reading) at(p place) contestant {
	choice := rand.New(rand.NewPCG(1, 1))
	return contestant{p.name, func(ctx context.Context, _ string) (float64, error) {
		return microseconds(read.times, func() error { return read.do(ctx, p, choice.IntN(p.keys)) })
	}}
}
