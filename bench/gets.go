package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"syscall"
	"time"

	"crush/bench/load"
)

// getting measures reads of one store after the other: what is in nobody's memory, what is read all the time, and what
// the server needs for it.
type getting struct {
	keys, cold int
	length     time.Duration
	start      *table // s from the start of a server with the keys until it is ready
	first      *table // gets/s of keys that are on disk only
	memory     *table // MB resident after the gets
}

// gets compares servers that hold many keys of 256 bytes: a restart, gets of one client right behind it, with the
// system's cache of files emptied where that is allowed, and gets by 64 clients.
func gets(ctx context.Context, args []string) error {
	g := getting{start: newTable(), first: newTable(), memory: newTable()}
	r, err := begin("gets", args, func(flags *flag.FlagSet) {
		flags.IntVar(&g.keys, "keys", 100_000, "keys of 256 bytes")
		flags.IntVar(&g.cold, "cold", 2000, "keys that one client gets behind a restart")
		flags.DurationVar(&g.length, "length", 5*time.Second, "length of a round")
	})
	if err != nil {
		return err
	}
	defer r.end()
	servers, err := r.servers(ctx)
	if err != nil {
		return err
	}
	var contestants []contestant
	for _, s := range servers {
		contestants = append(contestants, contestant{s.name, func(ctx context.Context, dir string) (float64, error) {
			return g.measure(ctx, s, dir)
		}})
	}
	hot, err := r.race(ctx, contestants)
	if err != nil {
		return err
	}
	return errors.Join(
		r.show("gets/s", "64 clients", hot, "gets/s", "etcd", "goleveldb over http", "crush before"),
		r.show("gets/s", "cold, 1 client", g.first, "gets/s", "etcd", "goleveldb over http", "crush before"),
		r.show("restart", "s to ready", g.start, "s", "etcd", "goleveldb over http", "crush before"),
		r.show("memory", "MB after the gets", g.memory, "MB", "etcd", "goleveldb over http", "crush before"),
	)
}

func (g *getting) measure(ctx context.Context, s server, dir string) (float64, error) {
	if err := g.fill(ctx, s, dir); err != nil {
		return 0, err
	}
	dropCaches()
	from := time.Now()
	p, err := s.start(ctx, dir)
	if err != nil {
		return 0, err
	}
	g.start.add(s.name, time.Since(from).Seconds())
	hot, err := g.read(ctx, s, dir, p)
	return hot, errors.Join(err, p.stop())
}

func (g *getting) fill(ctx context.Context, s server, dir string) error {
	p, err := s.start(ctx, dir)
	if err != nil {
		return err
	}
	_, err = s.drive(ctx, dir, load.Load{Clients: 64, Size: 256, Fill: g.keys})
	return errors.Join(err, p.stop())
}

func (g *getting) read(ctx context.Context, s server, dir string, p *process) (float64, error) {
	first, err := s.drive(ctx, dir, load.Load{Clients: 1, Size: 256, Keys: g.keys, Once: g.cold})
	if err != nil {
		return 0, err
	}
	g.first.add(s.name, first)
	hot, err := s.drive(ctx, dir, load.Load{Clients: 64, Size: 256, Keys: g.keys, WarmUp: time.Second, Length: g.length})
	if err != nil {
		return 0, err
	}
	bytes, err := p.resident()
	g.memory.add(s.name, bytes/1e6)
	return hot, err
}

// dropCaches makes the system forget which files it has in memory, if this process may do that.
func dropCaches() {
	syscall.Sync()
	_ = os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0) // without it the row is one of warm reads
}
