package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"time"

	"crush/bench/load"
)

// A turn is what the control loop of a deployment system asks ten times a second: which deployments there are, and
// for each its value with its patches, its scaling deadline, and that the deadline be gone.
type turn struct {
	client *http.Client
	server *process
	keys   []string // URLs of the deployments
	list   string   // URL of the list
}

// deployments is the prefix of the loop's keys.
const deployments = "mahou:deployment:"

// newTurn makes the requests for n deployments at the server's address.
func newTurn(server *process, address string, n int) *turn {
	base := "http://" + address
	t := &turn{client: tcpClient(), server: server, list: base + "/keys?prefix=" + deployments}
	for i := range n {
		t.keys = append(t.keys, fmt.Sprintf("%s/%sservice-%04d", base, deployments, i))
	}
	return t
}

// fill stores the deployments.
func (t *turn) fill(ctx context.Context) error {
	value := load.Incompressible(2000)
	for _, key := range t.keys {
		if err := call(ctx, t.client, http.MethodPut, key, value); err != nil {
			return err
		}
	}
	return nil
}

// take makes all requests of one turn, one after another over one connection.
func (t *turn) take(ctx context.Context) error {
	if err := call(ctx, t.client, http.MethodGet, t.list, nil); err != nil {
		return err
	}
	for _, key := range t.keys {
		if err := errors.Join(
			call(ctx, t.client, http.MethodGet, key+"?patch=true", nil),
			call(ctx, t.client, http.MethodGet, key+":scale-until", nil),
			call(ctx, t.client, http.MethodDelete, key+":scale-until", nil),
		); err != nil {
			return err
		}
	}
	return nil
}

// measure returns the median time of a turn in milliseconds, and ends the server.
func (t *turn) measure(ctx context.Context, turns int) (float64, error) {
	err := t.fill(ctx)
	var times []float64
	for range turns {
		from := time.Now()
		err = errors.Join(err, t.take(ctx))
		times = append(times, float64(time.Since(from).Microseconds())/1000)
	}
	t.client.CloseIdleConnections()
	return median(times), errors.Join(err, t.server.stop())
}

// loop compares a turn against the daemon, over TCP, with the same requests to a server that does nothing.
func loop(ctx context.Context, args []string) error {
	var n, turns int
	r, err := begin("loop", args, func(flags *flag.FlagSet) {
		flags.IntVar(&n, "n", 200, "deployments")
		flags.IntVar(&turns, "turns", 20, "turns in a round")
	})
	if err != nil {
		return err
	}
	defer r.end()
	contestants := []contestant{{"empty handler", func(ctx context.Context, _ string) (float64, error) {
		server, address, err := startSelf(ctx, serveEmpty, "tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		return newTurn(server, address, n).measure(ctx, turns)
	}}}
	contestants, err = r.withCrush(ctx, contestants, func(program string) contestant {
		return contestant{"crush", func(ctx context.Context, dir string) (float64, error) {
			address, err := freePort()
			if err != nil {
				return 0, err
			}
			server, err := startCrush(ctx, program, dir, address)
			if err != nil {
				return 0, err
			}
			return newTurn(server, address, n).measure(ctx, turns)
		}}
	})
	if err != nil {
		return err
	}
	t, err := r.race(ctx, contestants)
	if err != nil {
		return err
	}
	fmt.Printf("%d deployments, %d requests a turn\n", n, 1+3*n)
	t.print("ms a turn", "empty handler")
	return nil
}

// freePort returns a TCP address of this machine at which nobody listens at the moment.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
