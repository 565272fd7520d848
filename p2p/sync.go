package p2p

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"crush/dag"
)

// quietTick is how long our frontier must stand still before peers that are
// known to differ are asked.
const quietTick = time.Second

// runSync opens sessions as the plan says until the context ends.
func (h *Host) runSync(ctx context.Context) error {
	var running errgroup.Group
	defer running.Wait()
	random, still := time.Now().Add(h.nextRandom()), h.cfg.State.Digest()
	tick := time.NewTicker(quietTick)
	defer tick.Stop()
	for {
		id, wait, ok := h.plan.start(time.Now(), time.Until(random))
		if ok {
			running.Go(func() error {
				h.runOne(ctx, id)
				return nil
			})
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-h.plan.wake:
		case <-tick.C:
			now := h.cfg.State.Digest()
			if now == still {
				h.wantDiffering(now)
			}
			still = now
		case <-ctx.Done():
		}
		if timer.Stop(); ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if now := time.Now(); !now.Before(random) {
			if ids := h.roster.connected(); len(ids) > 0 {
				h.plan.want(ids[rand.IntN(len(ids))], now)
			}
			random = now.Add(h.nextRandom())
		}
	}
}

func (h *Host) nextRandom() time.Duration {
	return time.Duration(float64(h.cfg.SyncEvery) * (0.75 + rand.Float64()/2))
}

// wantDiffering asks for a sync with up to two peers whose last digest is not
// ours. A peer that was behind at its last HELLO and has caught up by gossip
// does not say so by itself.
func (h *Host) wantDiffering(ours dag.Digest) {
	ids := h.roster.connected()
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	asked := 0
	for _, id := range ids {
		if e, ok := h.roster.get(id); ok && e.told && e.digest != ours && asked < 2 {
			h.plan.want(id, time.Now())
			asked++
		}
	}
}

// runOne runs the session that the plan has started.
func (h *Host) runOne(ctx context.Context, id peer.ID) {
	if !h.trusts(id) {
		h.plan.done(id, time.Now(), false)
		return
	}
	ours := h.cfg.State.Digest()
	e, _ := h.roster.get(id)
	part := Open
	if e.told && e.digest == ours || !h.fetches.alone() {
		part = Probe
	}
	o, err := h.sync(ctx, id, part)
	h.report(ctx, id, o, err)
	now := time.Now()
	h.plan.done(id, now, err == nil)
	if errors.Is(err, dag.ErrLater) {
		h.plan.hold(id, now.Add(restLong))
	}
	refused, busy := errors.AsType[*RefusedError](err)
	switch {
	case errors.Is(err, errBusy), busy && refused.Reason == ReasonBusy:
		h.plan.want(id, now.Add(busyWait/2+rand.N(busyWait)))
	case err != nil && h.net.Network().Connectedness(id) == network.Connected:
		h.plan.want(id, now) // after its rest
	}
}

// Greeting is what a node says of itself.
type Greeting struct {
	Node    dag.NodeID
	Cluster dag.ClusterID // zero if it has no history
	Digest  dag.Digest
	Clock   time.Time // its own
}

// Hello asks the node at a multiaddr with /p2p/ID who it is. Neither need be a
// member here; this node must be one there. The connection is closed again
// unless the node is a member here.
func (h *Host) Hello(ctx context.Context, addr string) (Greeting, error) {
	var g Greeting
	err := h.visit(ctx, addr, func(id peer.ID) error {
		o, err := h.syncWhenFree(ctx, id, Ask)
		if err != nil {
			return err
		}
		g.Node, _ = nodeOf(id)
		g.Cluster, g.Digest, g.Clock = o.Peer.Cluster, o.Peer.Digest, time.UnixMilli(o.Peer.Clock)
		return nil
	})
	if err != nil {
		return Greeting{}, fmt.Errorf("greet %s: %w", addr, err)
	}
	return g, nil
}

// Join asks the node at a multiaddr with /p2p/ID for its cluster. The caller
// then drops its own history, so that State has no cluster and Changed fires,
// and calls SyncWith with the same address.
func (h *Host) Join(ctx context.Context, addr string) (cluster dag.ClusterID, via dag.NodeID, err error) {
	g, err := h.Hello(ctx, addr)
	if err == nil && g.Cluster.IsZero() {
		err = fmt.Errorf("greet %s: the node has no cluster", addr)
	}
	return g.Cluster, g.Node, err
}

// SyncWith syncs with the node at a multiaddr with /p2p/ID, to the end. The
// node need not be a member here. It waits for its turn when other transfers
// run, and for what they fetch. The address is dialled from now on as if the config named it, so that a
// join that is interrupted goes on.
func (h *Host) SyncWith(ctx context.Context, addr string) (Outcome, error) {
	var o Outcome
	if info, err := peer.AddrInfoFromString(addr); err == nil && info.ID != h.self {
		h.dials.add(*info, true)
	}
	err := h.visit(ctx, addr, func(id peer.ID) (err error) {
		for {
			run, err := h.syncWhenFree(ctx, id, Open)
			run.Sent, run.Received, run.Applied = run.Sent+o.Sent, run.Received+o.Received, run.Applied+o.Applied
			if o = run; err != nil || !o.Left {
				return err
			}
			if err := waitFor(ctx, time.After(busyWait/2+rand.N(busyWait))); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return o, fmt.Errorf("sync with %s: %w", addr, err)
	}
	return o, nil
}

// syncWhenFree is sync that waits for its turn when the peer is busy.
func (h *Host) syncWhenFree(ctx context.Context, id peer.ID, part Part) (o Outcome, err error) {
	for {
		run, err := h.sync(ctx, id, part)
		o.Peer, o.Digest, o.Left = run.Peer, run.Digest, run.Left
		o.Sent += run.Sent
		o.Received += run.Received
		o.Applied += run.Applied
		r, refused := errors.AsType[*RefusedError](err)
		if !errors.Is(err, errBusy) && (!refused || r.Reason != ReasonBusy) {
			return o, err
		}
		if err := waitFor(ctx, time.After(busyWait/2+rand.N(busyWait))); err != nil {
			return o, err
		}
	}
}

// visit runs a function on a connection to a node that need not be a member.
func (h *Host) visit(ctx context.Context, addr string, f func(peer.ID) error) error {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return err
	}
	if info.ID == h.self {
		return errors.New("this is the address of this node itself")
	}
	if err := waitFor(ctx, h.ready); err != nil {
		return err
	}
	release := h.gate.target(info.ID)
	defer func() {
		release()
		if !h.gate.isMember(info.ID) {
			h.net.Network().ClosePeer(info.ID)
		}
	}()
	if err := h.connect(ctx, *info); err != nil {
		return err
	}
	err = f(info.ID)
	if cut, ok := errors.AsType[*cutError](err); ok && h.net.Network().Connectedness(info.ID) != network.Connected {
		return fmt.Errorf("it closed the connection; is this node, %s, a member there? (%w)", h.id, cut.cause)
	}
	return err
}
