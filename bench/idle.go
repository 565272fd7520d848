package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"crush/bench/load"
)

// restart describes a store that is filled before the daemon is restarted on it.
type restart struct {
	revisions, keys int64
	settle          time.Duration // how long a daemon runs before its memory is read
}

// idle measures the daemon alone: its memory on an empty store, then with a long history its memory after a restart,
// and how long the restart took.
func idle(ctx context.Context, args []string) error {
	var s restart
	r, err := begin("idle", args, func(flags *flag.FlagSet) {
		flags.Int64Var(&s.revisions, "revisions", 1_000_000, "revisions of 200 bytes before the restart")
		flags.Int64Var(&s.keys, "keys", 100_000, "keys that they are spread over")
		flags.DurationVar(&s.settle, "settle", 30*time.Second, "how long a daemon runs before its memory is read")
	})
	if err != nil {
		return err
	}
	defer r.end()
	program, err := r.program(ctx)
	if err != nil {
		return err
	}
	t, err := r.race(ctx, []contestant{{"empty store", func(ctx context.Context, dir string) (float64, error) {
		_, memory, err := s.once(ctx, program, dir)
		return memory, err
	}}})
	if err != nil {
		return err
	}
	data := r.tmp + "/data"
	spread := filling{n: s.revisions, key: func(i int64) string { return fmt.Sprintf("bench/%08d", i%s.keys) }}
	if err := fill(ctx, program, data, spread); err != nil {
		return err
	}
	ready := newTable()
	for range r.rounds {
		took, memory, err := s.once(ctx, program, data)
		if err != nil {
			return err
		}
		ready.add("restart", took.Seconds())
		t.add("after a restart", memory)
	}
	fmt.Printf("%d revisions of %d keys; memory %v after the start\n", s.revisions, s.keys, s.settle)
	t.print("MB")
	ready.print("s to ready")
	return nil
}

// once starts a daemon on data and returns how long it took to be ready, and its memory in MB when it has settled.
func (s restart) once(ctx context.Context, program, data string) (time.Duration, float64, error) {
	from := time.Now()
	server, err := startCrush(ctx, program, data, "off")
	if err != nil {
		return 0, 0, err
	}
	ready := time.Since(from)
	load.Pause(ctx, s.settle)
	memory, err := server.resident()
	return ready, memory / 1e6, errors.Join(err, server.stop())
}
