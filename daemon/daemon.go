// Package daemon is a node: [Replica] binds history and merge rules to the
// verbs of package rpc, and [Daemon] gives it a data directory, an identity,
// doors for local programs and a life cycle.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"crush/dag"
	"crush/p2p"
	"crush/rpc"
)

// Daemon is one node. It runs once.
type Daemon struct {
	config Config // with defaults
	called Config // as given: what its Name and Zone set, the member list takes over

	// Set by Run before anything is served.
	dir     *directory
	replica *Replica
	server  *rpc.Server
	host    *p2p.Host
	started time.Time

	joining atomic.Bool // a join, an import of a file, or a repair is under way
	metrics *prometheus.Registry
}

// New checks the configuration. It touches nothing.
func New(c Config) (*Daemon, error) {
	called := c
	c = c.withDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Daemon{config: c, called: called}, nil
}

// Run opens the data directory, serves until the context ends, lets what is
// under way finish, and closes everything. It returns after the last goroutine
// has ended: nil after the context, else what went wrong.
func (d *Daemon) Run(ctx context.Context) (err error) {
	if d.dir, err = openDirectory(d.config.Data); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.dir.close()) }()
	if d.replica, err = openReplica(ctx, d.dir, d.config, opening{announce: d.announce}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeReplica(d.dir, d.replica)) }()
	if err := d.callSelf(ctx); err != nil {
		return err
	}
	if d.host, err = newHost(d.config, d.dir, d.replica.Graph()); err != nil {
		return err
	}
	d.metrics = newMetrics(d)
	if d.server, err = rpc.NewServer(rpc.ServerConfig{
		Handler:     rpc.HandlerConfig{Service: d.service(), Logger: d.config.Logger, Aside: d.dir.path},
		Socket:      d.config.Socket,
		SocketGroup: d.config.SocketGroup,
		HTTP:        d.config.HTTP,
		OpenHTTP:    d.config.HTTPOpen,
	}); err != nil {
		return err
	}
	if err := d.server.Listen(); err != nil {
		return err
	}
	d.started = time.Now()

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.server.Run(ctx) })
	g.Go(func() error { return runHost(ctx, d.host) })
	g.Go(func() error { return d.tell(ctx) })
	g.Go(func() error { return d.compact(ctx) })
	return g.Wait()
}

// opening is how a replica is opened.
type opening struct {
	announce  func(dag.Bundle) // of blocks written here; nil for nobody
	unfounded bool             // without a cluster, if it is empty
}

// openReplica opens the replica of a data directory that this process holds.
func openReplica(ctx context.Context, dir *directory, c Config, how opening) (*Replica, error) {
	if err := finishRebuild(dir); err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	if err := dir.expectStore(); err != nil {
		return nil, fmt.Errorf("open data of %s: %w", dir.path, err)
	}
	place, err := fingerprint(dir.path)
	if err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	r, err := OpenReplica(ctx, ReplicaConfig{
		Dir:         dir.store(),
		Key:         dir.key,
		Fingerprint: place,
		Logger:      c.Logger,
		Announce:    how.announce,
		Unfounded:   true, // until it is known that nothing has gone
	})
	if err != nil {
		return nil, fmt.Errorf("open data of %s: %w", dir.path, explain(dir.path, err))
	}
	err = dir.consumeStop(r.Graph())
	if err == nil && !how.unfounded {
		err = r.found(ctx, c.Name, c.Zone)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open data of %s: %w", dir.path, explain(dir.path, err)), r.Close())
	}
	return r, nil
}

func (d *Daemon) service() rpc.Service {
	r := d.replica
	return rpc.Service{
		Values: r, Histories: r, Changes: r, Ancestry: r, Node: d,
		Forks: r, Merges: r, Pointers: r, Resets: r, Purges: r, AncestorForks: r, Archives: d, Series: r, Policies: r, Elements: r, Blames: r,
		Waits:   waits{graph: r.Graph(), held: d.host.AwaitHeld},
		Metrics: d.writeMetrics,
	}
}

// isReady reports whether the doors and the network are open.
func (d *Daemon) isReady() bool {
	select {
	case <-d.host.Ready():
		return true
	default:
		return false
	}
}

// tell says that the node is ready, and later that it stops.
func (d *Daemon) tell(ctx context.Context) error {
	select {
	case <-d.host.Ready():
	case <-ctx.Done():
		return nil
	}
	r := d.reachable()
	d.config.Logger.Info("ready", "node", r.Node.String(), "data", r.Data, "socket", r.Socket, "http", r.HTTP)
	if d.config.Ready != nil {
		d.config.Ready(r)
	}
	d.manager("READY=1", "STATUS=ready")
	<-ctx.Done()
	d.config.Logger.Info("stopping")
	d.manager("STOPPING=1", "STATUS=stopping")
	return nil
}

// manager tells the service manager; a node that cannot still works.
func (d *Daemon) manager(lines ...string) {
	if err := notify(d.config.Notify, lines...); err != nil {
		d.config.Logger.Warn("service manager cannot be told", "error", err)
	}
}

func (d *Daemon) reachable() Reachable {
	r := Reachable{Node: d.dir.key.ID(), Data: d.dir.path, Socket: d.config.Socket, Addresses: d.host.Addresses()}
	if r.Addresses == nil {
		r.Addresses = []string{}
	}
	if a := d.server.HTTPAddr(); a != "" {
		r.HTTP = "http://" + a
	}
	return r
}
