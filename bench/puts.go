package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// A putter stores one value durably: it returns when the value would survive a power cut. It is used by many
// goroutines at once.
type putter interface {
	Put(ctx context.Context, key string, value []byte) error
	Close() error
}

// A load says how a putter is driven.
type load struct {
	clients int
	warmUp  time.Duration // not counted
	length  time.Duration
	size    int // of a value, in bytes
}

// open makes a fresh putter in an empty directory, for the given number of clients.
type open func(ctx context.Context, dir string, clients int) (putter, error)

// contest makes a contestant of a putter; its figure is puts a second.
func (l load) contest(name string, open open) contestant {
	return contestant{name, func(ctx context.Context, dir string) (float64, error) {
		p, err := open(ctx, dir, l.clients)
		if err != nil {
			return 0, err
		}
		rate, err := l.drive(ctx, p)
		return rate, errors.Join(err, p.Close())
	}}
}

// drive lets all clients put distinct keys as fast as they can and returns puts a second.
func (l load) drive(ctx context.Context, p putter) (float64, error) {
	var (
		next, done atomic.Int64
		stop       atomic.Bool
	)
	group, ctx := errgroup.WithContext(ctx)
	for range l.clients {
		group.Go(func() error {
			value := incompressible(l.size)
			for !stop.Load() {
				if err := p.Put(ctx, fmt.Sprintf("bench/%08d", next.Add(1)), value); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	pause(ctx, l.warmUp)
	from, before := time.Now(), done.Load()
	pause(ctx, l.length)
	rate := float64(done.Load()-before) / time.Since(from).Seconds()
	stop.Store(true)
	return rate, group.Wait()
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// incompressible returns the same n bytes on every call, which no compressor makes shorter.
func incompressible(n int) []byte {
	value := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(value) // never fails
	return value
}

// puts compares servers: durable puts of 256 bytes by 64 clients.
func puts(ctx context.Context, args []string) error {
	l := load{warmUp: time.Second, size: 256}
	r, err := begin("puts", args, func(flags *flag.FlagSet) {
		flags.IntVar(&l.clients, "clients", 64, "clients at a time")
		flags.DurationVar(&l.length, "length", 5*time.Second, "length of a round")
	})
	if err != nil {
		return err
	}
	defer r.end()
	contestants := []contestant{l.contest("etcd", openEtcd), l.contest("empty handler", openEmpty)}
	contestants, err = r.withCrush(ctx, contestants, func(program string) contestant {
		return l.contest("crush", openCrush(program))
	})
	if err != nil {
		return err
	}
	t, err := r.race(ctx, contestants)
	if err != nil {
		return err
	}
	t.print("puts/s", "etcd", "empty handler")
	return nil
}
