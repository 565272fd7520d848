package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"crush/bench/load"
	"crush/rpc"
)

// warmups are writes before those that count.
const warmups = 50

// A hop is a write on one node and the wait until another one shows it.
type hop func(ctx context.Context, key string, value []byte) error

// hops says how many writes a round makes, and collects what is not a contestant's figure.
type hops struct {
	writes int
	slow   *table // 99th percentiles
}

// hopping measures how long after the start of a write on one node a read on another one, both on this machine, shows
// it: one write after another, durable on both.
func hopping(ctx context.Context, args []string) error {
	h := hops{slow: newTable()}
	r, err := begin("hop", args, func(flags *flag.FlagSet) {
		flags.IntVar(&h.writes, "writes", 2000, "writes in a round, one after another")
	})
	if err != nil {
		return err
	}
	defer r.end()
	relatives, err := r.build(ctx, "dscrdt", ".", "./peers/dscrdt")
	if err != nil {
		return err
	}
	contestants := []contestant{{"go-ds-crdt", func(ctx context.Context, dir string) (float64, error) {
		return h.relatives(ctx, relatives, dir)
	}}}
	contestants, err = r.withCrush(ctx, contestants, func(program string) contestant {
		return contestant{"crush", func(ctx context.Context, dir string) (float64, error) {
			return h.crush(ctx, program, dir)
		}}
	})
	if err != nil {
		return err
	}
	t, err := r.race(ctx, contestants)
	if err != nil {
		return err
	}
	fmt.Printf("a write of 200 B on one node until a read on another shows it; %d one after another\n", h.writes)
	if err := r.show("ms until another node shows a write", "median", t, "ms, median", "go-ds-crdt"); err != nil {
		return err
	}
	return r.show("ms until another node shows a write", "99th percentile", h.slow, "ms, 99th", "go-ds-crdt")
}

// relatives is the contestant go-ds-crdt.
func (h *hops) relatives(ctx context.Context, program, dir string) (float64, error) {
	a, b, err := startRelatives(ctx, program, dir, 1)
	if err != nil {
		return 0, err
	}
	median, err := h.measure(ctx, "go-ds-crdt", func(ctx context.Context, key string, value []byte) error {
		if err := a.Put(ctx, key, value); err != nil {
			return err
		}
		return b.await(ctx, key)
	})
	return median, errors.Join(err, a.end(), b.end())
}

// crush is the contestant crush: the other node's watch tells when to read.
func (h *hops) crush(ctx context.Context, program, dir string) (float64, error) {
	a, b, err := startPair(ctx, program, dir)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	seen := make(chan string, 1)
	standing := make(chan struct{})
	go func() { cancel(follow(ctx, b.client, standing, seen)) }()
	if err := receive(ctx, standing); err != nil {
		return 0, errors.Join(err, a.end(), b.end())
	}
	median, err := h.measure(ctx, "crush", func(ctx context.Context, key string, value []byte) error {
		if _, err := a.client.Put(ctx, rpc.PutRequest{KeyRef: rpc.KeyRef{Key: key}, Value: value}); err != nil {
			return err
		}
		for {
			select {
			case k := <-seen:
				if k != key {
					continue
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			e, err := b.client.Get(ctx, rpc.GetRequest{KeyRef: rpc.KeyRef{Key: key}})
			if err == nil && !bytes.Equal(e.Value, value) {
				err = fmt.Errorf("key %s: the event has come, but a read shows another value", key)
			}
			return err
		}
	})
	return median, errors.Join(err, a.end(), b.end())
}

// follow sends the key of every change on a node until ctx ends; it closes standing when no later change escapes it.
func follow(ctx context.Context, c *rpc.Client, standing chan<- struct{}, seen chan<- string) error {
	for e, err := range c.Watch(ctx, rpc.WatchRequest{Idle: time.Hour}) {
		if err != nil {
			return err
		}
		if standing != nil {
			close(standing)
			standing = nil
		}
		if e.Type != "put" {
			continue
		}
		select {
		case seen <- e.Key:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// receive waits for the channel.
func receive(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// measure hops as often as the flags say and returns the median in milliseconds.
func (h *hops) measure(ctx context.Context, name string, hop hop) (float64, error) {
	value := load.Incompressible(200)
	times := make([]float64, 0, h.writes)
	for i := range warmups + h.writes {
		from := time.Now()
		if err := within(ctx, fmt.Sprintf("bench/%08d", i), value, hop); err != nil {
			return 0, fmt.Errorf("write %d: %w", i, err)
		}
		if i >= warmups {
			times = append(times, float64(time.Since(from).Microseconds())/1000)
		}
		if (i+1)%1000 == 0 {
			fmt.Fprintf(os.Stderr, "%s: %d of %d writes\n", name, i+1, warmups+h.writes)
		}
	}
	slices.Sort(times)
	h.slow.add(name, times[len(times)*99/100])
	return median(times), nil
}

// within is hop with a limit far beyond anything that is worth measuring.
func within(ctx context.Context, key string, value []byte, hop hop) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("not readable on the other node after a minute"))
	defer cancel()
	return hop(ctx, key, value)
}
