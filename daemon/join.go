package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"crush/dag"
	"crush/p2p"
	"crush/rpc"
)

// Join implements rpc.Node.
func (d *Daemon) Join(ctx context.Context, r rpc.JoinRequest) (rpc.Joined, error) {
	if !d.joining.CompareAndSwap(false, true) {
		return rpc.Joined{}, errOccupied()
	}
	defer d.joining.Store(false)
	return (&joiner{dir: d.dir, replica: d.replica, host: d.host}).join(ctx, r)
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
	joined, err = (&joiner{dir: dir, replica: replica, host: h}).join(running, r)
	stop()
	return joined, errors.Join(err, g.Wait())
}

// joiner makes a node a member of another cluster. It belongs to one goroutine.
type joiner struct {
	dir     *directory
	replica *Replica
	host    *p2p.Host
}

// join makes this node a member of the cluster of the node at an address,
// where it was added before. Its own history goes, which must be without
// revisions unless the request says what becomes of them. Whatever interrupts
// it, it can be done again.
func (j *joiner) join(ctx context.Context, r rpc.JoinRequest) (rpc.Joined, error) {
	g := j.replica.Graph()
	cluster, via, err := j.host.Join(ctx, r.Address)
	if err != nil {
		return rpc.Joined{}, joinError(err)
	}
	pending, err := j.pendingImport(&r)
	if err != nil {
		return rpc.Joined{}, err
	}
	if g.Cluster() != cluster {
		if pending, err = j.adopt(ctx, cluster, &r, pending); err != nil {
			return rpc.Joined{}, err
		}
	}
	if _, err := j.host.SyncWith(ctx, r.Address); err != nil {
		return rpc.Joined{}, failure(rpc.CodeNotHere, "%s; what came is kept: run join again to go on", err)
	}
	if g.Cluster() != cluster {
		return rpc.Joined{}, failure(rpc.CodeNotHere, "the node at %s sent no history; run join again", r.Address)
	}
	joined := rpc.Joined{Cluster: cluster, Via: via, Blocks: g.Stats().Blocks}
	if pending != nil {
		if joined.Import, err = j.finishImport(ctx, pending, r.Claim); err != nil {
			return rpc.Joined{}, err
		}
		joined.Blocks = g.Stats().Blocks
	}
	return joined, nil
}

// adopt gives up what this node has and makes it wait for another cluster's
// history. What is to be imported later is kept first.
func (j *joiner) adopt(ctx context.Context, cluster dag.ClusterID, r *rpc.JoinRequest, pending *pendingImport) (*pendingImport, error) {
	g := j.replica.Graph()
	if g.Joining() == cluster && g.Stats().Blocks == 0 {
		return pending, nil
	}
	own := g.Stats().Revisions
	switch {
	case pending != nil && own > 0:
		return nil, failure(rpc.CodeDenied,
			"this node is on its way into cluster %s, where what it had before is to be imported: finish that join first, or give it up with join --discard", g.Cluster())
	case own == 0 || r.Discard:
		return pending, outward(g.Adopt(ctx, cluster))
	case r.ImportAs != "":
		return j.keepAndAdopt(ctx, cluster, r)
	}
	return nil, failure(rpc.CodeDenied,
		"this node has data of its own (%s of another cluster): join --import-as FORK brings its values along as a fork, join --discard gives them up for good",
		plural(int(own), "revision"))
}

// joinError gives an error of the first contact its code.
func joinError(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	// libp2p lists what it tried on lines of their own.
	return failure(rpc.CodeInternal, "%s", strings.Join(strings.Fields(err.Error()), " "))
}

// importWarning is a line for the operator if an import waits.
func importWarning(dir *directory, g *dag.Graph) []string {
	p, err := dir.readImport()
	switch {
	case err != nil:
		return []string{fmt.Sprintf("what this node had before it joined cannot be imported: %s", err)}
	case p == nil || !p.needed(g):
		return nil
	}
	return []string{fmt.Sprintf("what this node had before it joined waits in %s to be imported as the fork %s: run join again", dir.aside(p), p.Fork)}
}
