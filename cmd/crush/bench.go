package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"crush/daemon"
	"crush/rpc"
)

type benchFlags struct {
	dir     string
	clients []int
	time    time.Duration
	size    int
}

// The bounds of what bench takes.
const (
	benchKeys    = 1000
	maxBenchers  = 4096
	maxBenchSize = 4 << 20
)

func (p *program) benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure what this machine and its disk can do",
		Long: `Measure how many puts and gets a node can do here, with several numbers of clients
at a time. Each put is on the disk before it counts, as always. Keys and values
are made up, in a directory of its own beside the data directory, which is removed
at the end, also after an interrupt; the daemon and its data are not touched.

The clients call the library that is in the daemon, without the way through its
socket. The columns are operations a second, and how long one takes: half of them
at most p50, all but one in a hundred at most p99. The disk decides about puts with
one client; more clients share its syncs.`,
		Example: `  crush bench
  crush bench --time 10s --clients 1,64,256 --size 10000
  crush bench --dir /mnt/disk
  crush bench -o json`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.validate(); err != nil {
				return err
			}
			ctx, cancel := p.streaming(cmd.Context())
			defer cancel()
			return p.bench(ctx, &f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.dir, "dir", "", "make the scratch directory in `DIR` (default: beside the data directory)")
	fl.IntSliceVar(&f.clients, "clients", []int{1, 16, 64}, "`NUMBERS` of clients to measure with")
	fl.DurationVar(&f.time, "time", 3*time.Second, "how long to measure each, a `DURATION`")
	fl.IntVar(&f.size, "size", 256, "`BYTES` of a value")
	return cmd
}

func (f *benchFlags) validate() error {
	for _, n := range f.clients {
		if n < 1 || n > maxBenchers {
			return usagef("--clients %d: want from 1 to %d", n, maxBenchers)
		}
	}
	switch {
	case len(f.clients) == 0:
		return usagef("--clients: want at least one number")
	case f.time <= 0:
		return usagef("--time %s: want a duration above 0", f.time)
	case f.size < 1 || f.size > maxBenchSize:
		return usagef("--size %d: want from 1 to %d", f.size, maxBenchSize)
	}
	return nil
}

// benched is the answer of bench.
type benched struct {
	Directory string        `json:"directory"` // whose disk was measured
	Size      int           `json:"size"`      // bytes of a value
	Results   []benchResult `json:"results"`
}

// benchResult is what a number of clients did at a time.
type benchResult struct {
	Operation string  `json:"operation"` // put, get
	Clients   int     `json:"clients"`
	Count     int     `json:"count"`
	PerSecond float64 `json:"per_second"`
	P50       int64   `json:"p50_ns"`
	P99       int64   `json:"p99_ns"`
}

func (p *program) bench(ctx context.Context, f *benchFlags) (err error) {
	if f.dir == "" {
		if f.dir, err = daemon.ScratchParent(p.flags.data); err != nil {
			return err
		}
	}
	node, err := daemon.OpenScratch(ctx, f.dir)
	if err != nil {
		return err
	}
	out := benched{Directory: f.dir, Size: f.size}
	g := p.startProgress("measuring")
	out.Results, err = measureAll(ctx, node, f)
	g.end()
	if err = errors.Join(err, node.Close()); err != nil {
		return err
	}
	return p.print(out, func() {
		p.printf("%-4s %8s %12s %12s %12s\n", "", "clients", "a second", "p50", "p99")
		for _, r := range out.Results {
			p.printf("%-4s %8d %12.0f %12s %12s\n", r.Operation, r.Clients, r.PerSecond, shortTime(r.P50), shortTime(r.P99))
		}
		p.printf("values of %d bytes, on the disk of %s\n", f.size, escape(f.dir))
	})
}

// shortTime is a duration with three digits or so.
func shortTime(ns int64) string {
	d := time.Duration(ns)
	for unit := time.Second; unit >= 100*time.Nanosecond; unit /= 10 {
		if d >= 100*unit {
			return d.Round(unit).String()
		}
	}
	return d.String()
}

// measureAll measures puts, and then gets of what was put.
func measureAll(ctx context.Context, node *daemon.Scratch, f *benchFlags) (all []benchResult, err error) {
	value := []byte(strings.Repeat("crush ", f.size/6+1)[:f.size])
	key := func() rpc.KeyRef { return rpc.KeyRef{Key: fmt.Sprintf("bench/%d", rand.IntN(benchKeys))} }
	put := func(ctx context.Context) error {
		_, err := node.Put(ctx, rpc.PutRequest{KeyRef: key(), Value: value})
		return err
	}
	get := func(ctx context.Context) error {
		_, err := node.Get(ctx, rpc.GetRequest{KeyRef: key(), Bare: true})
		return err
	}
	for _, m := range []struct {
		name string
		do   func(context.Context) error
	}{{"put", put}, {"get", get}} {
		for _, n := range f.clients {
			r, err := measure(ctx, n, f.time, m.do)
			if err != nil {
				return nil, err
			}
			r.Operation = m.name
			all = append(all, r)
		}
	}
	return all, nil
}

// measure runs clients that do one thing after the other for some time.
func measure(ctx context.Context, clients int, long time.Duration, do func(context.Context) error) (benchResult, error) {
	took := make([][]time.Duration, clients)
	g, ctx := errgroup.WithContext(ctx)
	begun := time.Now()
	end := begun.Add(long)
	for i := range clients {
		g.Go(func() error {
			for now := time.Now(); now.Before(end); {
				err := ctx.Err() // reads, and writes that need not wait, do not ask
				if err == nil {
					err = do(ctx)
				}
				if err != nil {
					return err
				}
				after := time.Now()
				took[i] = append(took[i], after.Sub(now))
				now = after
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return benchResult{}, err
	}
	spent := time.Since(begun)
	all := slices.Concat(took...)
	slices.Sort(all)
	at := func(percent int) int64 { return int64(all[min(len(all)*percent/100, len(all)-1)]) }
	return benchResult{
		Clients: clients, Count: len(all), PerSecond: float64(len(all)) / spent.Seconds(), P50: at(50), P99: at(99),
	}, nil
}
