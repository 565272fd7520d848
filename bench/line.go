package main

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"crush/daemon"
	"crush/dag"
	"crush/p2p"
	"crush/rpc"
)

// A line is a node within this process: a replica and its line to other nodes, as the daemon has them, without doors.
type line struct {
	store replica
	host  *p2p.Host
	stop  context.CancelFunc
	ended *errgroup.Group
}

// openLine opens the store in dir as the node of the key, founds a cluster if it is empty, and listens.
func openLine(ctx context.Context, dir string, key dag.NodeKey) (*line, error) {
	l := &line{}
	r, err := daemon.OpenReplica(ctx, daemon.ReplicaConfig{
		Dir: dir, Key: key, Name: "bench", Announce: func(b dag.Bundle) { l.host.Announce(b) },
	})
	if err != nil {
		return nil, err
	}
	l.store = replica{r}
	g := r.Graph()
	l.host, err = p2p.New(p2p.Config{Key: key, State: g, Blocks: g, Chains: g, Gate: g, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	ctx, l.stop = context.WithCancel(ctx)
	l.ended, ctx = errgroup.WithContext(ctx)
	l.ended.Go(func() error { return l.host.Run(ctx) })
	if err := receive(ctx, l.host.Ready()); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// close ends the line and closes the store.
func (l *line) close() error {
	l.stop()
	return errors.Join(l.ended.Wait(), l.store.Close())
}

// takeIn makes a daemon a member of the line's cluster.
func (l *line) takeIn(ctx context.Context, other *member) error {
	s, err := other.client.Status(ctx)
	if err != nil {
		return err
	}
	_, err = l.store.Graph().Commit(ctx, dag.Note{}, func(tx *dag.Tx) error {
		return tx.Op(dag.NewOp(dag.MemberOp{Node: s.Node, Role: dag.RoleWriter, Name: "other"}))
	})
	if err != nil {
		return err
	}
	_, err = other.client.Join(ctx, rpc.JoinRequest{Address: l.host.Addresses()[0]})
	return err
}
