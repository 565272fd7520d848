package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"crush/rpc"
)

// catchups says what a node misses while it is away.
type catchups struct {
	short, long int64 // revisions; go-ds-crdt only does the short run
	crush, peer string
}

// catchup measures how long a node that was away takes to get what was written meanwhile, one durable put after
// another, over a line of a round trip.
func catchup(ctx context.Context, args []string) error {
	var c catchups
	var roundTrips string
	r, err := begin("catchup", args, func(flags *flag.FlagSet) {
		flags.Int64Var(&c.short, "revisions", 2000, "revisions of 200 bytes that the node misses")
		flags.Int64Var(&c.long, "long", 20_000, "revisions of a second run of crush, for which go-ds-crdt's time is extrapolated")
		flags.StringVar(&roundTrips, "rtt", "0,50ms", "round trips of the line")
		_ = flags.Set("rounds", "3") // go-ds-crdt takes minutes over a long line
		flags.Lookup("rounds").DefValue = "3"
	})
	if err != nil {
		return err
	}
	defer r.end()
	if c.peer, err = r.build(ctx, "dscrdt", ".", "./peers/dscrdt"); err != nil {
		return err
	}
	if c.crush, err = r.program(ctx); err != nil {
		return err
	}
	for text := range strings.SplitSeq(roundTrips, ",") {
		rtt, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("catchup: -rtt: %w", err)
		}
		if err := c.over(ctx, r, rtt); err != nil {
			return err
		}
	}
	return nil
}

// over races both stores over a line and prints what came out.
func (c *catchups) over(ctx context.Context, r *run, rtt time.Duration) error {
	away := func(name string, n int64, missed func(context.Context, string, time.Duration, int64) (time.Duration, error)) contestant {
		return contestant{name, func(ctx context.Context, dir string) (float64, error) {
			took, err := missed(ctx, dir, rtt, n)
			return took.Seconds(), err
		}}
	}
	const theirs, ours, more = "go-ds-crdt", "crush", "crush, more"
	t, err := r.race(ctx, []contestant{
		away(theirs, c.short, c.relative), away(ours, c.short, c.own), away(more, c.long, c.own),
	})
	if err != nil {
		return err
	}
	fmt.Printf("a node misses %d revisions of 200 B and gets them over a round trip of %v\n", c.short, rtt)
	if err := r.show("s to catch up", fmt.Sprintf("%d revisions, %v", c.short, rtt), t.only(theirs, ours), "s", theirs); err != nil {
		return err
	}
	// It fetches one block after another, so its time grows with their number.
	const guess = "go-ds-crdt, extrapolated"
	long := newTable()
	for round := range t.figures[theirs] {
		long.add(guess, t.figures[theirs][round]*float64(c.long)/float64(c.short))
		long.add(ours, t.figures[more][round])
	}
	fmt.Printf("the same for %d revisions; go-ds-crdt extrapolated from %d\n", c.long, c.short)
	return r.show("s to catch up", fmt.Sprintf("%d revisions, %v", c.long, rtt), long, "s", guess)
}

// own is the contestant crush: a member that has been away is started again and dials through the line. The time
// counts from its first connection.
func (c *catchups) own(ctx context.Context, dir string, rtt time.Duration, n int64) (time.Duration, error) {
	a, b, err := startPair(ctx, c.crush, dir)
	if err != nil {
		return 0, err
	}
	if err = b.end(); err == nil {
		err = c.miss(ctx, n, func(ctx context.Context, key string, value []byte) error {
			_, err := a.client.Put(ctx, rpc.PutRequest{KeyRef: rpc.KeyRef{Key: key}, Value: value})
			return err
		})
	}
	var took time.Duration
	if err == nil {
		took, err = c.back(ctx, a, b.data, rtt, n)
	}
	return took, errors.Join(err, a.end())
}

// back starts a daemon on the data directory of a member and returns how long it took to have what a has.
func (c *catchups) back(ctx context.Context, a *member, data string, rtt time.Duration, n int64) (took time.Duration, err error) {
	address, err := a.address(ctx)
	if err != nil {
		return 0, err
	}
	p, through, err := startProxy(address, rtt)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.stop(), c.went(p, n)) }()
	if err := onlyPeer(data, through); err != nil {
		return 0, err
	}
	b, err := startMember(ctx, c.crush, data)
	if err != nil {
		return 0, err
	}
	err = b.await(ctx, lastKey)
	return time.Since(p.opened()), errors.Join(err, b.end())
}

// relative is the contestant go-ds-crdt: a fresh node connects through the line. The time counts from the moment at
// which it has heard of the other's head.
func (c *catchups) relative(ctx context.Context, dir string, rtt time.Duration, n int64) (time.Duration, error) {
	a, err := startRelative(ctx, c.peer, filepath.Join(dir, "a"), 1)
	if err != nil {
		return 0, err
	}
	var took time.Duration
	if err = c.miss(ctx, n, a.Put); err == nil {
		took, err = c.fresh(ctx, a, filepath.Join(dir, "b"), rtt, n)
	}
	return took, errors.Join(err, a.end())
}

// fresh starts a node of go-ds-crdt in dir and returns how long it took to have what a has.
func (c *catchups) fresh(ctx context.Context, a *relative, dir string, rtt time.Duration, n int64) (took time.Duration, err error) {
	p, through, err := startProxy(a.address, rtt)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.stop(), c.went(p, n)) }()
	b, err := startRelative(ctx, c.peer, dir, 2)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.end()) }()
	if err := b.connect(ctx, through); err != nil {
		return 0, err
	}
	defer reporting(ctx, func(ctx context.Context) string {
		has, err := b.applied(ctx)
		if err != nil {
			return "" // caughtUp fails too
		}
		return fmt.Sprintf("go-ds-crdt: %d of %d blocks", has, n)
	})()
	return b.caughtUp(ctx, n+1)
}

// miss puts n revisions one after another, and the last one.
func (c *catchups) miss(ctx context.Context, n int64, put func(ctx context.Context, key string, value []byte) error) error {
	var done atomic.Int64
	defer reporting(ctx, func(context.Context) string {
		return fmt.Sprintf("wrote %d of %d revisions", done.Load(), n)
	})()
	for i := range n {
		if err := put(ctx, keyOf(i), fresh(i)); err != nil {
			return err
		}
		done.Add(1)
	}
	return put(ctx, lastKey, []byte("value"))
}

// went returns an error if less has gone over the line than the values need: two nodes on one machine may find another
// way.
func (c *catchups) went(p *proxy, n int64) error {
	if passed := p.passed.Load(); passed < n*int64(len(fresh(0))) {
		return fmt.Errorf("only %d bytes have gone over the line: the nodes have found another way", passed)
	}
	return nil
}
