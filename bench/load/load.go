// Package load drives a store with durable puts, or with gets of what was put. It is a package of its own for the sake
// of programs that cannot be linked into bench, as the one in peers/etcd.
package load

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
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

// A Getter reads one value. One that is not there is an error.
type Getter interface {
	Get(ctx context.Context, key string) ([]byte, error)
}

// A Load says how a putter is driven. With none of Fill, Once and Keys set, all clients put distinct keys as fast as
// they can.
type Load struct {
	Clients int
	WarmUp  time.Duration // not counted
	Length  time.Duration
	Size    int // of a value, in bytes

	Fill int // put this many keys and no more
	Keys int // get keys at random of this many that Fill has put
	Once int // get this many of Keys, each once, instead of for Length
}

// Args returns the load as flags, for another process's Parse.
func (l Load) Args() []string {
	return []string{
		fmt.Sprint("-clients=", l.Clients), fmt.Sprint("-warmup=", l.WarmUp), fmt.Sprint("-length=", l.Length),
		fmt.Sprint("-size=", l.Size), fmt.Sprint("-fill=", l.Fill), fmt.Sprint("-keys=", l.Keys), fmt.Sprint("-once=", l.Once),
	}
}

// Parse is the inverse of Args. It returns the arguments behind the flags too.
func Parse(args []string) (l Load, rest []string, err error) {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.IntVar(&l.Clients, "clients", 0, "clients at a time")
	flags.DurationVar(&l.WarmUp, "warmup", 0, "time that is not counted")
	flags.DurationVar(&l.Length, "length", 0, "time that is counted")
	flags.IntVar(&l.Size, "size", 0, "bytes of a value")
	flags.IntVar(&l.Fill, "fill", 0, "put this many keys and no more")
	flags.IntVar(&l.Keys, "keys", 0, "get keys of this many")
	flags.IntVar(&l.Once, "once", 0, "get this many keys, each once")
	err = flags.Parse(args)
	return l, flags.Args(), err
}

// Main is the program of a store that Bench drives from a process of its own: serve runs a server on a directory, and
// prints a line when it is ready; connect returns the client of the server on a directory. It returns the exit code.
func Main(ctx context.Context, name string, serve func(ctx context.Context, args []string) error, connect func(ctx context.Context, dir string) (Putter, error)) int {
	err := errors.New("usage: " + name + " serve … DIR | " + name + " drive FLAGS DIR | " + name + " fill KEYS REVISIONS DIR")
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "serve":
			err = serve(ctx, os.Args[2:])
		case "drive":
			err = drive(ctx, os.Args[2:], connect)
		case "fill":
			err = fill(ctx, os.Args[2:], connect)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		return 1
	}
	return 0
}

// drive puts the load of args on a server and prints what came of it.
func drive(ctx context.Context, args []string, connect func(ctx context.Context, dir string) (Putter, error)) error {
	l, rest, err := Parse(args)
	if err != nil || len(rest) != 1 {
		return errors.Join(err, errors.New("drive: want flags and a directory"))
	}
	p, err := connect(ctx, rest[0])
	if err != nil {
		return err
	}
	rate, err := l.Drive(ctx, p)
	if err = errors.Join(err, p.Close()); err != nil {
		return err
	}
	_, err = fmt.Println(rate)
	return err
}

// Drive puts the load on a putter, which must be a Getter if keys are to be got, and returns how many a second.
func (l Load) Drive(ctx context.Context, p Putter) (float64, error) {
	do, most := l.work(p)
	var (
		next, done atomic.Int64
		stop       atomic.Bool
	)
	start := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for range l.Clients {
		group.Go(func() error {
			for !stop.Load() {
				i := next.Add(1)
				if most > 0 && i > most {
					return nil
				}
				if err := do(ctx, i); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	if most > 0 {
		err := group.Wait()
		return float64(most) / time.Since(start).Seconds(), err
	}
	Pause(ctx, l.WarmUp)
	from, before := time.Now(), done.Load()
	Pause(ctx, l.Length)
	rate := float64(done.Load()-before) / time.Since(from).Seconds()
	stop.Store(true)
	return rate, group.Wait()
}

// work returns what is done for the i-th time, from 1, and how often at most; 0 is no bound.
func (l Load) work(p Putter) (do func(ctx context.Context, i int64) error, most int64) {
	value := Incompressible(l.Size)
	put := func(ctx context.Context, i int64) error { return p.Put(ctx, keyOf(i), value) }
	get := func(ctx context.Context, i int64) error {
		got, err := p.(Getter).Get(ctx, keyOf(i))
		if err == nil && len(got) != l.Size {
			err = fmt.Errorf("%s has %d bytes, not %d", keyOf(i), len(got), l.Size)
		}
		return err
	}
	switch {
	case l.Fill > 0:
		return put, int64(l.Fill)
	case l.Once > 0:
		some := rand.New(rand.NewPCG(1, 1)).Perm(l.Keys)[:l.Once]
		return func(ctx context.Context, i int64) error { return get(ctx, int64(some[i-1])+1) }, int64(l.Once)
	case l.Keys > 0:
		return func(ctx context.Context, _ int64) error { return get(ctx, rand.Int64N(int64(l.Keys))+1) }, 0
	}
	return put, 0
}

func keyOf(i int64) string { return fmt.Sprintf("bench/%08d", i) }

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
