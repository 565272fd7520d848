package main

import (
	"context"
	"errors"
	"flag"
	"time"

	"crush/bench/load"
)

// open makes a fresh putter in an empty directory, for the given number of clients.
type open func(ctx context.Context, dir string, clients int) (load.Putter, error)

// contest makes a contestant of a putter; its figure is puts a second.
func contest(name string, l load.Load, open open) contestant {
	return contestant{name, func(ctx context.Context, dir string) (float64, error) {
		p, err := open(ctx, dir, l.Clients)
		if err != nil {
			return 0, err
		}
		rate, err := l.Drive(ctx, p)
		return rate, errors.Join(err, p.Close())
	}}
}

// puts compares servers: durable puts of 256 bytes by 64 clients.
func puts(ctx context.Context, args []string) error {
	l := load.Load{WarmUp: time.Second, Size: 256}
	r, err := begin("puts", args, func(flags *flag.FlagSet) {
		flags.IntVar(&l.Clients, "clients", 64, "clients at a time")
		flags.DurationVar(&l.Length, "length", 5*time.Second, "length of a round")
	})
	if err != nil {
		return err
	}
	defer r.end()
	etcd, err := r.build(ctx, "etcd", ".", "./peers/etcd")
	if err != nil {
		return err
	}
	contestants := []contestant{contestEtcd(etcd, l), contest("empty handler", l, openSelf(serveEmpty)), contest("goleveldb over http", l, openSelf(serveLevel))}
	contestants, err = r.withCrush(ctx, contestants, func(program string) contestant {
		return contest("crush", l, openCrush(program))
	})
	if err != nil {
		return err
	}
	t, err := r.race(ctx, contestants)
	if err != nil {
		return err
	}
	t.print("puts/s", "etcd", "empty handler", "goleveldb over http")
	return nil
}
