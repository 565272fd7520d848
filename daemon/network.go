package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"crush/dag"
	"crush/p2p"
	"crush/rpc"
)

// bookName is the file of the peers' addresses in the data directory.
const bookName = "peers"

// DefaultListen is where a node listens for others unless told otherwise.
func DefaultListen() []string { return p2p.DefaultListen() }

// newHost makes the node's line to the others; it does nothing until it runs.
func newHost(c Config, dir *directory, g *dag.Graph) (*p2p.Host, error) {
	h, err := p2p.New(p2p.Config{
		Key: dir.key, State: g, Blocks: g, Chains: g, Gate: g,
		Listen: c.Listen, Announce: c.Announce, Peers: c.Peers, MDNS: c.MDNS,
		Book: p2p.FileBook{Path: filepath.Join(dir.path, bookName)}, Logger: c.Logger,
	})
	if err != nil {
		return nil, invalid("%s", err)
	}
	return h, nil
}

// announce gives a block that this node wrote to gossip.
func (d *Daemon) announce(b dag.Bundle) {
	if d.host != nil {
		d.host.Announce(b)
	}
}

// runHost runs the network and says in one line what to do if it cannot.
func runHost(ctx context.Context, h *p2p.Host) error {
	if err := h.Run(ctx); err != nil {
		return fmt.Errorf("%w (choose other addresses with --listen, or --listen off)", err)
	}
	return nil
}

// Join implements rpc.Node.
func (d *Daemon) Join(ctx context.Context, r rpc.JoinRequest) (rpc.Joined, error) {
	return join(ctx, d.replica.Graph(), d.host, r)
}

// join makes this node a member of the cluster of the node at an address,
// where it was added before. Its own history goes, which must be without
// revisions unless the request says so.
func join(ctx context.Context, g *dag.Graph, h *p2p.Host, r rpc.JoinRequest) (rpc.Joined, error) {
	cluster, via, err := h.Join(ctx, r.Address)
	if err != nil {
		return rpc.Joined{}, joinError(err)
	}
	if g.Cluster() != cluster {
		if n := g.Stats().Revisions; n > 0 && !r.Discard {
			return rpc.Joined{}, failure(rpc.CodeDenied,
				"this node has data of its own (%s of another cluster): join --discard gives it up for good", plural(int(n), "revision"))
		}
		if g.Joining() != cluster || g.Stats().Blocks > 0 {
			if err := g.Adopt(ctx, cluster); err != nil {
				return rpc.Joined{}, outward(err)
			}
		}
	}
	if _, err := h.SyncWith(ctx, r.Address); err != nil {
		return rpc.Joined{}, failure(rpc.CodeNotHere, "%s; what came is kept: run join again to go on", err)
	}
	if g.Cluster() != cluster {
		return rpc.Joined{}, failure(rpc.CodeNotHere, "the node at %s sent no history; run join again", r.Address)
	}
	return rpc.Joined{Cluster: cluster, Via: via, Blocks: g.Stats().Blocks}, nil
}

// joinError gives an error of the first contact its code.
func joinError(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	// libp2p lists what it tried on lines of their own.
	return failure(rpc.CodeInternal, "%s", strings.Join(strings.Fields(err.Error()), " "))
}

// JoinData joins with a data directory that no daemon uses, under its lock. An
// empty one gets an identity, which nobody can have added before.
func JoinData(ctx context.Context, c Config, r rpc.JoinRequest) (joined rpc.Joined, err error) {
	c = c.withDefaults()
	c.Listen = []string{}
	dir, err := openDirectory(c.Data)
	if err != nil {
		return rpc.Joined{}, err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	if dir.fresh {
		return rpc.Joined{}, failure(rpc.CodeDenied,
			"this node is new: its id is %s; add it on a node of the cluster (crush member add %s), then join again", dir.key.ID(), dir.key.ID())
	}
	replica, err := openReplica(ctx, dir, c, opening{unfounded: true})
	if err != nil {
		return rpc.Joined{}, err
	}
	defer func() { err = errors.Join(err, closeReplica(dir, replica)) }()
	h, err := newHost(c, dir, replica.Graph())
	if err != nil {
		return rpc.Joined{}, err
	}
	running, stop := context.WithCancel(ctx)
	g, running := errgroup.WithContext(running)
	g.Go(func() error { return h.Run(running) })
	joined, err = join(running, replica.Graph(), h, r)
	stop()
	return joined, errors.Join(err, g.Wait())
}
