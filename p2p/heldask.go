package p2p

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"crush/dag"
)

const (
	askLinger   = 30 * time.Second // a stream without asks stays open
	askRetryMin = 250 * time.Millisecond
	askRetryMax = 10 * time.Second
)

// runHeld asks every connected member what this node wants to know, until the
// context ends.
func (h *Host) runHeld(ctx context.Context) error {
	var (
		lines   errgroup.Group
		mu      sync.Mutex
		running = make(map[peer.ID]bool) // guarded by mu
	)
	defer lines.Wait()
	for {
		changed := h.questions.changed()
		for _, p := range h.roster.connected() {
			mu.Lock()
			start := !running[p] && h.gate.isMember(p)
			running[p] = running[p] || start
			mu.Unlock()
			if !start {
				continue
			}
			lines.Go(func() error {
				h.askPeer(ctx, p)
				mu.Lock()
				delete(running, p)
				mu.Unlock()
				h.questions.signal() // it may have come back
				return nil
			})
		}
		if err := waitFor(ctx, changed); err != nil {
			return err
		}
	}
}

// askPeer asks one member while it is connected. It opens a stream when there
// is something to ask, again after a while when that fails.
func (h *Host) askPeer(ctx context.Context, p peer.ID) {
	defer h.questions.forget(p)
	misses := 0
	for {
		changed := h.questions.changed()
		if h.net.Network().Connectedness(p) != network.Connected {
			return
		}
		if len(h.questions.of(p)) == 0 {
			if waitFor(ctx, changed) != nil {
				return
			}
			continue
		}
		answered, err := h.askOn(ctx, p)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue
		}
		if errors.Is(err, errDamaged) && h.quiet.due("held", p) {
			h.log.Warn("answer refused: damaged bytes from the peer", "peer", p.String(), "cause", err)
		}
		h.log.Debug("asking who holds a block failed", "peer", p.String(), "cause", err)
		if misses++; answered {
			misses = 0
		}
		if h.restFromAsking(ctx, p, backoff(askRetryMin, askRetryMax, misses, rand.Float64())) != nil {
			return
		}
	}
}

// restFromAsking waits for a time, or until the connection to the peer is
// another one.
func (h *Host) restFromAsking(ctx context.Context, p peer.ID, least time.Duration) error {
	timer := time.NewTimer(least)
	defer timer.Stop()
	was, _ := h.roster.get(p)
	for {
		changed := h.questions.changed()
		if now, _ := h.roster.get(p); now.connects != was.connects || !now.Connected {
			return nil
		}
		select {
		case <-timer.C:
			return nil
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// asking is one stream on which this node asks a peer.
type asking struct {
	h      *Host
	peer   peer.ID
	stream network.Stream
	room   chan struct{} // receives after answers

	mu       sync.Mutex // before that of questions
	asked    map[dag.BlockID]dag.Tip
	answered bool
	ending   bool // this side is closed
}

// askOn asks a peer on a new stream until there was nothing to ask for a
// while; then the error is nil. Answered tells whether the peer said anything.
func (h *Host) askOn(ctx context.Context, p peer.ID) (answered bool, err error) {
	openCtx, cancel := context.WithTimeout(network.WithNoDial(ctx, "held"), openTimeout)
	defer cancel()
	stream, err := h.net.NewStream(openCtx, p, heldProtocol)
	if err != nil {
		return false, err
	}
	a := &asking{h: h, peer: p, stream: stream, room: make(chan struct{}, 1), asked: make(map[dag.BlockID]dag.Tip)}
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { stream.Reset() })()
	g.Go(a.read)
	g.Go(func() error { return a.write(ctx) })
	if err = g.Wait(); errors.Is(err, errFinished) {
		err = nil
	}
	stream.Reset()
	return a.answered, err
}

var errFinished = errors.New("nothing more to ask")

// read takes the answers.
func (a *asking) read() error {
	for r := bufio.NewReader(a.stream); ; {
		m, err := readHeld(r)
		switch {
		case err != nil && a.isEnding():
			return errFinished
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case m.kind != heldHeld:
			return damaged("an answer of kind %d", m.kind)
		}
		a.take(m.tip.Block)
	}
}

func (a *asking) take(id dag.BlockID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	tip, ok := a.asked[id]
	if !ok {
		return // taken back meanwhile
	}
	delete(a.asked, id)
	a.answered = true
	a.h.roster.holds(a.peer, tip)
	a.h.questions.answer(a.peer, id)
	select {
	case a.room <- struct{}{}:
	default:
	}
}

// write asks what there is to ask, and ends its side of the stream when there
// was nothing for a while.
func (a *asking) write(ctx context.Context) error {
	linger := time.NewTimer(askLinger)
	defer linger.Stop()
	for {
		changed := a.h.questions.changed()
		out, waiting := a.due()
		if len(out) > 0 {
			a.stream.SetWriteDeadline(time.Now().Add(a.h.cfg.IdleTimeout))
			if _, err := a.stream.Write(out); err != nil {
				return err
			}
		}
		if len(out) > 0 || waiting {
			linger.Reset(askLinger)
		}
		select {
		case <-changed:
		case <-a.room:
		case <-linger.C:
			if !waiting {
				return a.end()
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// end closes this side; read then waits for the other.
func (a *asking) end() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ending = true
	a.stream.SetReadDeadline(time.Now().Add(finishTimeout))
	return a.stream.CloseWrite()
}

func (a *asking) isEnding() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ending
}

// due returns the messages that are to be sent now, and whether an answer is
// waited for then.
func (a *asking) due() (out []byte, waiting bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	wanted := a.h.questions.of(a.peer)
	for id, tip := range a.asked {
		if _, ok := wanted[id]; !ok {
			delete(a.asked, id)
			out = appendHeld(out, heldMessage{heldDrop, tip})
		}
	}
	for id, tip := range wanted {
		if _, ok := a.asked[id]; !ok && len(a.asked) < maxAsks {
			a.asked[id] = tip
			out = appendHeld(out, heldMessage{heldAsk, tip})
		}
	}
	return out, len(a.asked) > 0
}
