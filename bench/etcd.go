package main

import (
	"context"
	"errors"
	"fmt"

	"crush/bench/load"
)

// contestEtcd makes a contestant of etcd under the load. Its server and its client are two processes of a program that
// bench builds, because neither can be linked into this one; see peers/etcd.
func contestEtcd(program string, l load.Load) contestant {
	return contestant{"etcd", func(ctx context.Context, dir string) (float64, error) {
		server, _, err := startReady(ctx, program, "serve", dir)
		if err != nil {
			return 0, err
		}
		rate, err := driveEtcd(ctx, program, l, dir)
		return rate, errors.Join(err, server.stop())
	}}
}

// driveEtcd lets the client process put the load on the server of dir.
func driveEtcd(ctx context.Context, program string, l load.Load, dir string) (rate float64, err error) {
	client, line, err := startReady(ctx, program, append(append([]string{"drive"}, l.Args()...), dir)...)
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(line, &rate)
	return rate, errors.Join(err, client.stop())
}
