package p2p

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"crush/dag"
)

// arrival is a gossip message and the peer that it came from.
type arrival struct {
	gossipMessage
	from peer.ID
}

// receiver applies what gossip brings. It is used by one goroutine.
type receiver struct {
	h       *Host
	orphans *orphans
}

func newReceiver(h *Host) *receiver { return &receiver{h: h, orphans: newOrphans()} }

// run receives until the context ends.
func (r *receiver) run(ctx context.Context, inbox <-chan arrival) error {
	for {
		changed := r.h.cfg.State.Changed()
		var sweep <-chan struct{}
		if len(r.orphans.blocks) > 0 {
			sweep = changed
		}
		select {
		case first := <-inbox:
			r.take(ctx, gather(first, inbox))
		case <-sweep:
			// Others apply too; a burst of theirs is one sweep.
			if err := waitFor(ctx, time.After(orphanSweep)); err != nil {
				return err
			}
			r.apply(ctx, r.orphans.take(r.have(nil)))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// gather takes what has come already, so that a burst is one batch on disk.
func gather(first arrival, inbox <-chan arrival) []arrival {
	batch := []arrival{first}
	for blocks := len(first.blocks); blocks < batchBlocks; {
		select {
		case next := <-inbox:
			batch = append(batch, next)
			blocks += len(next.blocks)
		default:
			return batch
		}
	}
	return batch
}

// take applies what connects, keeps what does not and asks for what is missing
// from the peer that sent the message.
func (r *receiver) take(ctx context.Context, batch []arrival) {
	var blocks []block
	for _, a := range batch {
		blocks = append(blocks, a.blocks...)
	}
	have := r.have(blocks)
	ready, rest := connect(blocks, have)
	for _, b := range rest {
		r.orphans.add(b)
	}
	r.apply(ctx, ready)
	if len(r.orphans.blocks) > 0 {
		r.apply(ctx, r.orphans.take(have))
	}
	ours := r.h.cfg.State.Digest()
	for _, a := range batch {
		r.hint(a, have(a.head), ours)
	}
}

// have returns State.Have, which need not search for blocks whose place in
// their chain is known: the orphans and some others.
func (r *receiver) have(others []block) func(dag.BlockID) bool {
	tips := make(map[dag.BlockID]dag.Tip, len(others)+len(r.orphans.blocks))
	for _, blocks := range [][]block{others, r.orphans.blocks} {
		for _, b := range blocks {
			tips[b.ID] = dag.Tip{Chain: b.Chain, Seq: b.Seq, Block: b.ID}
		}
	}
	return func(id dag.BlockID) bool {
		if t, ok := tips[id]; ok {
			return r.h.cfg.Chains.HaveTip(t)
		}
		return r.h.cfg.State.Have(id)
	}
}

// hint plans a sync with the peer that sent a message: at once when its block
// is not here, in a while when only the digests differ.
func (r *receiver) hint(a arrival, here bool, ours dag.Digest) {
	r.h.roster.update(a.from, func(e *peerEntry) {
		e.digest, e.told, e.LastSeen = a.digest, true, r.h.cfg.Clock()
	})
	switch now := time.Now(); {
	case !here:
		r.h.plan.want(a.from, now)
	case a.digest != ours:
		r.h.plan.want(a.from, now.Add(hintWait+rand.N(hintWait)))
	}
}

// apply applies blocks in causal order, so many at once as a batch may hold.
func (r *receiver) apply(ctx context.Context, blocks []block) {
	for batch := range slices.Chunk(blocks, batchBlocks) {
		r.applyBatch(ctx, batch)
	}
}

// applyBatch applies blocks in causal order. Bad ones do not keep the others
// out.
func (r *receiver) applyBatch(ctx context.Context, blocks []block) {
	bundles := make([]dag.Bundle, len(blocks))
	for i, b := range blocks {
		bundles[i] = b.bundle
	}
	_, err := r.h.cfg.Blocks.Apply(ctx, bundles)
	_, gap := errors.AsType[*dag.MissingError](err)
	switch {
	case err == nil, ctx.Err() != nil:
	case (gap || errors.Is(err, dag.ErrRefused)) && len(blocks) > 1:
		for _, b := range blocks {
			r.applyBatch(ctx, []block{b})
		}
	case gap: // sync brings it
	case errors.Is(err, dag.ErrRefused):
		if r.h.quiet.due("apply", "") {
			r.h.log.Warn("gossip refused: block not valid", "block", blocks[0].ID.String(), "cause", err)
		}
	default:
		if r.h.quiet.due("store", "") {
			r.h.log.Error("gossip not applied: our store failed", "cause", err)
		}
	}
}
