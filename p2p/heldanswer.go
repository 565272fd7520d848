package p2p

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"crush/dag"
)

// maxHeldStreams is how many streams with asks a peer may have open: the one
// that it uses, and one that it has just left.
const maxHeldStreams = 2

// heldStreams counts the streams with asks of each peer. Its methods may be
// called from any goroutine.
type heldStreams struct {
	mu   sync.Mutex
	open map[peer.ID]int
}

func newHeldStreams() *heldStreams { return &heldStreams{open: make(map[peer.ID]int)} }

func (s *heldStreams) claim(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[p] >= maxHeldStreams {
		return false
	}
	s.open[p]++
	return true
}

func (s *heldStreams) release(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[p]--; s.open[p] == 0 {
		delete(s.open, p)
	}
}

// answerHeld is libp2p's handler of a stream on which a peer asks. The context
// ends with Run.
func (h *Host) answerHeld(ctx context.Context, stream network.Stream) {
	if !h.enter() {
		stream.Reset()
		return
	}
	defer h.handlers.Done()
	p := stream.Conn().RemotePeer()
	if !h.gate.isMember(p) || !h.heldStreams.claim(p) {
		stream.Reset()
		return
	}
	defer h.heldStreams.release(p)
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { stream.Reset() })()
	a := &answering{h: h, stream: stream, out: bufio.NewWriter(stream), waiting: make(map[dag.BlockID]*heldAsked)}
	asks := make(chan heldMessage, 16)
	g.Go(func() error { return readAsks(ctx, stream, asks) })
	g.Go(func() error { return a.run(ctx, asks) })
	err := g.Wait()
	if errors.Is(err, errFinished) {
		stream.Close()
		return
	}
	stream.Reset()
	if errors.Is(err, errDamaged) && h.quiet.due("asks", p) {
		h.log.Warn("asks refused: damaged bytes from the peer", "peer", p.String(), "cause", err)
	}
}

// readAsks moves messages of the peer to a channel.
func readAsks(ctx context.Context, stream io.Reader, asks chan<- heldMessage) error {
	for r := bufio.NewReader(stream); ; {
		m, err := readHeld(r)
		if err == io.EOF {
			return errFinished
		}
		if err != nil {
			return err
		}
		select {
		case asks <- m:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// answering is one stream on which a peer asks. It is used by one goroutine.
type answering struct {
	h       *Host
	stream  network.Stream
	out     *bufio.Writer
	waiting map[dag.BlockID]*heldAsked
}

type heldAsked struct {
	tip dag.Tip
	// tried is how many blocks at the tip's place were compared: which those
	// are never changes.
	tried int
}

// run answers until the stream ends.
func (a *answering) run(ctx context.Context, asks <-chan heldMessage) error {
	for {
		changed := a.h.cfg.State.Changed()
		for _, w := range a.waiting {
			if err := a.try(w); err != nil {
				return err
			}
		}
		for again := false; !again; {
			if err := a.flush(len(asks) > 0); err != nil {
				return err
			}
			select {
			case m := <-asks:
				if err := a.take(m); err != nil {
					return err
				}
			case <-changed:
				again = true
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// take takes a message of the peer.
func (a *answering) take(m heldMessage) error {
	id := m.tip.Block
	switch {
	case m.kind == heldDrop:
		delete(a.waiting, id)
		return nil
	case m.kind != heldAsk:
		return damaged("an ask of kind %d", m.kind)
	case a.waiting[id] != nil:
		return damaged("block %s asked about twice", id.Short())
	case len(a.waiting) >= maxAsks:
		return damaged("more than %d asks", maxAsks)
	}
	a.waiting[id] = &heldAsked{tip: m.tip}
	return a.try(a.waiting[id])
}

// try answers an ask if the block is here.
func (a *answering) try(w *heldAsked) error {
	n := a.h.cfg.Chains.BlocksAt(w.tip.Chain, w.tip.Seq)
	if n <= w.tried {
		return nil
	}
	w.tried = n
	if !a.h.cfg.Chains.HaveTip(w.tip) {
		return nil
	}
	delete(a.waiting, w.tip.Block)
	a.stream.SetWriteDeadline(time.Now().Add(a.h.cfg.IdleTimeout))
	_, err := a.out.Write(appendHeld(nil, heldMessage{heldHeld, w.tip}))
	return err
}

// flush sends what is answered, unless more is to come at once.
func (a *answering) flush(more bool) error {
	if more || a.out.Buffered() == 0 {
		return nil
	}
	a.stream.SetWriteDeadline(time.Now().Add(a.h.cfg.IdleTimeout))
	return a.out.Flush()
}
