package p2p

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"crush/dag"
)

// Lag is how far a peer is behind this node, as far as is known from what it
// told last: of a peer that is away it goes on growing.
type Lag struct {
	// Known is false while the peer has told nothing since this node started;
	// the rest is zero then.
	Known bool
	// Blocks is how many blocks are here and, as far as known, not there.
	Blocks int
	// Since is when the oldest of them arrived here, by this node's clock; zero
	// if there are none.
	Since time.Time
}

const (
	lagEvery = time.Second // how often a peer is asked at most
	lagTips  = 64          // how many blocks it is asked about at a time
	heldTips = 256         // how many of its answers are kept
)

// hold notes that the peer has a block, and all before it.
func (e *peerEntry) hold(t dag.Tip) {
	same := func(u dag.Tip) bool { return u.Chain == t.Chain && u.Seq <= t.Seq }
	e.held = append(slices.DeleteFunc(e.held, same), t)
	if over := len(e.held) - heldTips; over > 0 {
		e.held = slices.Delete(e.held, 0, over)
	}
}

// noteEqual keeps this node's frontier as the peer's if the peer has told its
// digest.
func (h *Host) noteEqual(p peer.ID, theirs dag.Digest) {
	if h.cfg.State.Digest() != theirs {
		return
	}
	// The history only grows: with one digest before and after, this is its frontier.
	if front := h.cfg.State.Frontier(); h.cfg.State.Digest() == theirs {
		h.noteFrontier(p, dag.PinsOf(front))
	}
}

// noteFrontier keeps what a peer has. Some of it may not be here yet.
func (h *Host) noteFrontier(p peer.ID, front []dag.Pin) {
	if front == nil {
		front = []dag.Pin{} // it has nothing, and said so
	}
	h.roster.update(p, func(e *peerEntry) { e.base, e.held = front, nil })
}

// known is what the peer is known to have, with all before.
func (e *peerEntry) known() []dag.Pin { return slices.Concat(e.base, dag.PinsOf(e.held)) }

// lag computes a peer's lag from what is known of it.
func (h *Host) lag(e peerEntry, ours dag.Digest) (Lag, error) {
	switch {
	case e.told && e.digest == ours:
		return Lag{Known: true}, nil
	case e.base == nil && len(e.held) == 0:
		return Lag{}, nil
	}
	l, err := h.cfg.Chains.Lag(e.known())
	return Lag{Known: true, Blocks: int(l.Blocks), Since: l.Since}, err
}

// runLag asks peers about the newest blocks here, so that what is known of
// them is fresh also while nobody is ever equal, until the context ends. It
// costs nothing while nothing changes.
func (h *Host) runLag(ctx context.Context) error {
	for {
		changed, asked := h.cfg.State.Changed(), h.questions.changed()
		ours, newest := h.cfg.State.Digest(), h.cfg.Chains.Newest()
		for _, p := range h.roster.connected() {
			e, ok := h.roster.get(p)
			if !ok || !h.gate.isMember(p) || e.told && e.digest == ours {
				continue
			}
			known := e.known()
			unknown := slices.DeleteFunc(slices.Clone(newest), func(t dag.Tip) bool { return slices.Contains(known, t.Pin()) })
			h.questions.measure(p, unknown[:min(len(unknown), lagTips)])
		}
		if err := waitFor(ctx, time.After(lagEvery)); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-asked:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
