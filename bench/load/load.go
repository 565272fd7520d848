// Package load drives a store with durable puts. It is a package of its own for the sake of programs that cannot be
// linked into bench, as the one in peers/etcd.
package load

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Putter stores one value durably: it returns when the value would survive a power cut. It is used by many
// goroutines at once.
type Putter interface {
	Put(ctx context.Context, key string, value []byte) error
	Close() error
}

// A Load says how a putter is driven.
type Load struct {
	Clients int
	WarmUp  time.Duration // not counted
	Length  time.Duration
	Size    int // of a value, in bytes
}

// Args returns the load as flags, for another process's Parse.
func (l Load) Args() []string {
	return []string{
		fmt.Sprint("-clients=", l.Clients), fmt.Sprint("-warmup=", l.WarmUp),
		fmt.Sprint("-length=", l.Length), fmt.Sprint("-size=", l.Size),
	}
}

// Parse is the inverse of Args. It returns the arguments behind the flags too.
func Parse(args []string) (l Load, rest []string, err error) {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.IntVar(&l.Clients, "clients", 0, "clients at a time")
	flags.DurationVar(&l.WarmUp, "warmup", 0, "time that is not counted")
	flags.DurationVar(&l.Length, "length", 0, "time that is counted")
	flags.IntVar(&l.Size, "size", 0, "bytes of a value")
	err = flags.Parse(args)
	return l, flags.Args(), err
}

// Drive lets all clients put distinct keys as fast as they can and returns puts a second.
func (l Load) Drive(ctx context.Context, p Putter) (float64, error) {
	var (
		next, done atomic.Int64
		stop       atomic.Bool
	)
	group, ctx := errgroup.WithContext(ctx)
	for range l.Clients {
		group.Go(func() error {
			value := Incompressible(l.Size)
			for !stop.Load() {
				if err := p.Put(ctx, fmt.Sprintf("bench/%08d", next.Add(1)), value); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	Pause(ctx, l.WarmUp)
	from, before := time.Now(), done.Load()
	Pause(ctx, l.Length)
	rate := float64(done.Load()-before) / time.Since(from).Seconds()
	stop.Store(true)
	return rate, group.Wait()
}

// Pause waits for d or the end of ctx.
func Pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// Incompressible returns the same n bytes on every call, which no compressor makes shorter.
func Incompressible(n int) []byte {
	value := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(value) // never fails
	return value
}
