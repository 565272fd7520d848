package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"crush/dag"
	"crush/rpc"
)

// lastKey is written after everything else: whoever shows it has everything.
const lastKey = "last"

// fresh returns value i of a benchmark: 200 bytes that no compressor makes shorter, not even with the values before.
func fresh(i int64) []byte {
	value := make([]byte, 200)
	_, _ = rand.NewChaCha8([32]byte{byte(i), byte(i >> 8), byte(i >> 16), byte(i >> 24), 1}).Read(value) // never fails
	return value
}

// A burst is n revisions of n keys, written on one of two nodes as fast as it takes them.
type burst struct{ n int64 }

// A writer writes revision i.
type writer func(ctx context.Context, i int64) error

// write lets so many goroutines write the revisions step by step: each call of w is for step of them, the first of
// which it gets.
func (b burst) write(ctx context.Context, name string, goroutines int, step int64, w writer) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range goroutines {
		group.Go(func() error {
			for i := next.Add(step) - step; i < b.n; i = next.Add(step) - step {
				if err := w(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	defer reporting(ctx, func(context.Context) string {
		return fmt.Sprintf("%s: %d of %d revisions", name, min(next.Load(), b.n), b.n)
	})()
	return group.Wait()
}

func keyOf(i int64) string { return fmt.Sprintf("bench/%08d", i) }

// batchSize is the number of revisions in a batch.
const batchSize = 100

// batch returns the revisions of a batch from the first on.
func (b burst) batch(first int64) []rpc.File {
	var files []rpc.File
	for i := first; i < min(first+batchSize, b.n); i++ {
		files = append(files, rpc.File{Key: keyOf(i), Value: fresh(i)})
	}
	return files
}

// pairs says how much is written, and collects what is not a contestant's figure.
type pairs struct {
	crush, dscrdt string // programs
	all           burst
	few           burst // puts of go-ds-crdt, which would take too long
	busy          *table
}

// pairing measures writes on one of two nodes until both have all of them on disk, in revisions a second.
func pairing(ctx context.Context, args []string) error {
	p := pairs{busy: newTable()}
	r, err := begin("pair", args, func(flags *flag.FlagSet) {
		flags.Int64Var(&p.all.n, "revisions", 100_000, "revisions of 200 bytes in a round")
		flags.Int64Var(&p.few.n, "relative", 2000, "the same for go-ds-crdt without batches")
	})
	if err != nil {
		return err
	}
	defer r.end()
	if p.dscrdt, err = r.build(ctx, "dscrdt", ".", "./peers/dscrdt"); err != nil {
		return err
	}
	if p.crush, err = r.program(ctx); err != nil {
		return err
	}
	t, err := r.race(ctx, []contestant{
		{"go-ds-crdt, puts", p.theirPuts},
		{"crush, puts", p.ourPuts},
		{"go-ds-crdt, batches", p.theirBatches},
		{"crush, batches", p.ourBatches},
		{"crush, inside", p.inside},
	})
	if err != nil {
		return err
	}
	fmt.Printf("%d revisions of 200 B (go-ds-crdt, puts: %d) written on one node, until both have them on disk\n", p.all.n, p.few.n)
	if err := r.show("revisions/s on two nodes", "durable on both", t, "revisions/s", "go-ds-crdt, puts", "go-ds-crdt, batches"); err != nil {
		return err
	}
	p.busy.print("µs of CPU a revision, both nodes")
	return nil
}

// used is the processor time of some nodes.
func used(nodes ...*process) (total time.Duration, err error) {
	for _, n := range nodes {
		t, cause := n.cpu()
		total, err = total+t, errors.Join(err, cause)
	}
	return total, err
}

// time runs the load of a burst, which ends when both nodes have everything, and returns revisions a second. spent
// returns the processor time that the nodes have used.
func (p *pairs) time(name string, b burst, spent func() (time.Duration, error), load func() error) (float64, error) {
	before, err := spent()
	if err != nil {
		return 0, err
	}
	from := time.Now()
	if err := load(); err != nil {
		return 0, err
	}
	rate := float64(b.n) / time.Since(from).Seconds()
	after, err := spent()
	p.busy.add(name, float64((after-before).Microseconds())/float64(b.n))
	return rate, err
}

// relatives is a contestant of two nodes of go-ds-crdt: load writes all on the first, in so many blocks. It has one
// client: with more its DAG branches, and it is slower.
func (p *pairs) relatives(ctx context.Context, dir, name string, b burst, blocks int64, load func(context.Context, *relative) error) (float64, error) {
	a, other, err := startRelatives(ctx, p.dscrdt, dir, 1)
	if err != nil {
		return 0, err
	}
	spent := func() (time.Duration, error) { return used(a.process, other.process) }
	rate, err := p.time(name, b, spent, func() error {
		if err := load(ctx, a); err != nil {
			return err
		}
		_, err := other.caughtUp(ctx, blocks+1) // and the one of startRelatives
		return err
	})
	return rate, errors.Join(err, a.end(), other.end())
}

func (p *pairs) theirPuts(ctx context.Context, dir string) (float64, error) {
	const name = "go-ds-crdt, puts"
	return p.relatives(ctx, dir, name, p.few, p.few.n, func(ctx context.Context, a *relative) error {
		return p.few.write(ctx, name, 1, 1, func(ctx context.Context, i int64) error { return a.Put(ctx, keyOf(i), fresh(i)) })
	})
}

func (p *pairs) theirBatches(ctx context.Context, dir string) (float64, error) {
	const name = "go-ds-crdt, batches"
	b := p.all
	return p.relatives(ctx, dir, name, b, (b.n+batchSize-1)/batchSize, func(ctx context.Context, a *relative) error {
		return b.write(ctx, name, 1, batchSize, func(ctx context.Context, i int64) error { return a.batch(ctx, b.batch(i)) })
	})
}

// daemons is a contestant of two daemons: load writes all on the first.
func (p *pairs) daemons(ctx context.Context, dir, name string, b burst, load func(context.Context, *member) error) (float64, error) {
	a, other, err := startPair(ctx, p.crush, dir)
	if err != nil {
		return 0, err
	}
	spent := func() (time.Duration, error) { return used(a.process, other.process) }
	rate, err := p.time(name, b, spent, func() error {
		if err := load(ctx, a); err != nil {
			return err
		}
		if _, err := a.client.Put(ctx, rpc.PutRequest{KeyRef: rpc.KeyRef{Key: lastKey}, Value: []byte("value")}); err != nil {
			return err
		}
		return other.await(ctx, lastKey)
	})
	return rate, errors.Join(err, a.end(), other.end())
}

// ourPuts writes one revision a request.
func (p *pairs) ourPuts(ctx context.Context, dir string) (float64, error) {
	const name, clients = "crush, puts", 64
	return p.daemons(ctx, dir, name, p.all, func(ctx context.Context, a *member) error {
		d := door{unixClient(socketIn(a.data), clients)}
		defer d.client.CloseIdleConnections()
		return p.all.write(ctx, name, clients, 1, func(ctx context.Context, i int64) error { return d.Put(ctx, keyOf(i), fresh(i)) })
	})
}

// ourBatches writes a batch a request, each one atomic change.
func (p *pairs) ourBatches(ctx context.Context, dir string) (float64, error) {
	const name, clients = "crush, batches", 16
	return p.daemons(ctx, dir, name, p.all, func(ctx context.Context, a *member) error {
		return p.all.write(ctx, name, clients, batchSize, func(ctx context.Context, i int64) error {
			_, err := a.client.Apply(ctx, rpc.ApplyRequest{Files: p.all.batch(i)})
			return err
		})
	})
}

// inside is the contestant that writes within this process, through the replica that the daemon has and with its line
// to the other node, which is a daemon: what is left without the socket.
func (p *pairs) inside(ctx context.Context, dir string) (float64, error) {
	const name, goroutines = "crush, inside", 256
	other, err := startMember(ctx, p.crush, filepath.Join(dir, "b"))
	if err != nil {
		return 0, err
	}
	a, err := openLine(ctx, filepath.Join(dir, "a"), dag.NewNodeKey([32]byte{1}))
	if err != nil {
		return 0, errors.Join(err, other.end())
	}
	if err := a.takeIn(ctx, other); err != nil {
		return 0, errors.Join(err, a.close(), other.end())
	}
	spent := func() (time.Duration, error) {
		var here syscall.Rusage
		err := syscall.Getrusage(syscall.RUSAGE_SELF, &here)
		there, cause := used(other.process)
		return there + time.Duration(here.Utime.Nano()+here.Stime.Nano()), errors.Join(err, cause)
	}
	rate, err := p.time(name, p.all, spent, func() error {
		err := p.all.write(ctx, name, goroutines, 1, func(ctx context.Context, i int64) error {
			return a.store.Put(ctx, keyOf(i), fresh(i))
		})
		if err == nil {
			err = a.store.Put(ctx, lastKey, []byte("value"))
		}
		if err != nil {
			return err
		}
		return other.await(ctx, lastKey)
	})
	return rate, errors.Join(err, a.close(), other.end())
}
