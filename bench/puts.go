package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"crush/bench/load"
)

// puts compares servers: durable puts of 256 bytes by some numbers of clients.
func puts(ctx context.Context, args []string) error {
	l := load.Load{WarmUp: time.Second, Size: 256}
	clients := counts{64}
	r, err := begin("puts", args, func(flags *flag.FlagSet) {
		flags.Var(&clients, "clients", "clients at a time; several numbers, with commas, make a table each")
		flags.DurationVar(&l.Length, "length", 5*time.Second, "length of a round")
	})
	if err != nil {
		return err
	}
	defer r.end()
	servers, err := r.servers(ctx)
	if err != nil {
		return err
	}
	servers = append(servers, ofSelf("empty handler", serveEmpty))
	for _, n := range clients {
		l.Clients = n
		var contestants []contestant
		for _, s := range servers {
			contestants = append(contestants, contestant{s.name, func(ctx context.Context, dir string) (float64, error) {
				p, err := s.start(ctx, dir)
				if err != nil {
					return 0, err
				}
				rate, err := s.drive(ctx, dir, l)
				return rate, errors.Join(err, p.stop())
			}})
		}
		t, err := r.race(ctx, contestants)
		if err != nil {
			return err
		}
		if err := r.show("puts/s by clients", strconv.Itoa(n), t, "puts/s", "etcd", "empty handler", "goleveldb over http", "crush before"); err != nil {
			return err
		}
	}
	return nil
}

// counts is a flag of numbers with commas between them.
type counts []int

func (c *counts) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(*c), " ", ","), "[]")
}

// Set implements flag.Value.
func (c *counts) Set(text string) error {
	*c = nil
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is not a number from 1 on", field)
		}
		*c = append(*c, n)
	}
	return nil
}
