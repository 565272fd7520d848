package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"crush/bench/load"
)

// A server is a store behind a socket: a process, and a client that puts a load on it.
type server struct {
	name  string
	start func(ctx context.Context, dir string) (*process, error)                      // on what dir holds
	drive func(ctx context.Context, dir string, l load.Load) (rate float64, err error) // the server of dir
}

// servers returns the stores behind sockets that are compared, those of others built from the programs in peers, each
// with every put synced before it is answered but where the name says otherwise.
func (r *run) servers(ctx context.Context) ([]server, error) {
	etcd, err := r.build(ctx, "etcd", ".", "./peers/etcd")
	if err != nil {
		return nil, err
	}
	nats, err := r.build(ctx, "nats", ".", "./peers/nats")
	if err != nil {
		return nil, err
	}
	out := []server{peer("etcd", etcd), peer("NATS KV", nats, "-sync"), peer("NATS KV, not synced", nats), ofSelf("goleveldb over http", serveLevel)}
	program, err := r.program(ctx)
	if errors.Is(err, errNoCrush) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	out = append(out, crush("crush", program))
	if r.before != "" {
		out = append(out, crush("crush before", r.before))
	}
	return out, nil
}

// peer is a server whose program bench builds, because it cannot be linked into this one; see load.Main.
func peer(name, program string, flags ...string) server {
	return server{
		name: name,
		start: func(ctx context.Context, dir string) (*process, error) {
			p, _, err := startReady(ctx, program, append(append([]string{"serve"}, flags...), dir)...)
			return p, err
		},
		drive: func(ctx context.Context, dir string, l load.Load) (rate float64, err error) {
			client, line, err := startReady(ctx, program, append(append([]string{"drive"}, l.Args()...), dir)...)
			if err != nil {
				return 0, err
			}
			_, err = fmt.Sscan(line, &rate)
			return rate, errors.Join(err, client.stop())
		},
	}
}

// ofSelf is a server that is a command of this program.
func ofSelf(name, command string) server {
	socket := func(dir string) string { return filepath.Join(dir, "self.sock") }
	return server{
		name: name,
		start: func(ctx context.Context, dir string) (*process, error) {
			p, _, err := startSelf(ctx, command, "unix", socket(dir), filepath.Join(dir, "store"))
			return p, err
		},
		drive: func(ctx context.Context, dir string, l load.Load) (float64, error) {
			return driveDoor(ctx, socket(dir), l)
		},
	}
}

// crush is the daemon in program.
func crush(name, program string) server {
	return server{
		name:  name,
		start: func(ctx context.Context, dir string) (*process, error) { return startCrush(ctx, program, dir, "off") },
		drive: func(ctx context.Context, dir string, l load.Load) (float64, error) {
			return driveDoor(ctx, socketIn(dir), l)
		},
	}
}

func driveDoor(ctx context.Context, socket string, l load.Load) (float64, error) {
	d := &door{unixClient(socket, l.Clients)}
	rate, err := l.Drive(ctx, d)
	return rate, errors.Join(err, d.Close())
}
