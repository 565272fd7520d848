package p2p

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"crush/dag"
)

const syncProtocol protocol.ID = "/crush/sync/1"

const (
	openTimeout   = 10 * time.Second // for a stream on a connection that stands
	finishTimeout = 5 * time.Second  // for the peer to close its side
)

// cutError is a session whose line broke.
type cutError struct{ cause error }

func (e *cutError) Error() string { return "the peer stopped in the middle: " + e.cause.Error() }
func (e *cutError) Unwrap() error { return e.cause }

// transfer is one session on its stream. It is used by one goroutine.
type transfer struct {
	h       *Host
	peer    peer.ID
	part    Part
	bulk    bool // the right to move blocks is claimed
	session *Session
	stream  network.Stream
	begun   time.Time
	broken  error // writing failed: what the peer said before it left is still read
}

// sync runs one session that this node opens. It waits for its turn and for a
// session with the same peer that is running.
func (h *Host) sync(ctx context.Context, id peer.ID, part Part) (Outcome, error) {
	bulk := part == Open
	for {
		ok, changed := h.slots.open(id, bulk)
		if ok {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Outcome{}, context.Cause(ctx)
		}
	}
	t := &transfer{h: h, peer: id, part: part, bulk: bulk}
	defer func() { h.slots.release(id, part, t.bulk) }()
	openCtx, cancel := context.WithTimeout(network.WithNoDial(ctx, "sync"), openTimeout)
	defer cancel()
	stream, err := h.net.NewStream(openCtx, id, syncProtocol)
	if err != nil {
		return Outcome{}, &cutError{err}
	}
	t.stream = stream
	err = t.run(ctx)
	return t.session.Outcome(), err
}

// answer is libp2p's handler of a stream that a peer opened. The context ends
// with Run.
func (h *Host) answer(ctx context.Context, stream network.Stream) {
	if !h.enter() {
		stream.Reset()
		return
	}
	defer h.handlers.Done()
	id := stream.Conn().RemotePeer()
	if !h.gate.isTarget(id) && !h.trusts(id) {
		stream.Reset() // removed after the handshake
		return
	}
	t := &transfer{h: h, peer: id, part: Answer, stream: stream}
	if !h.slots.answer(h.self, id) {
		t.session = NewSession(h.cfg.State, h.cfg.Blocks, Answer, 0)
		t.session.Refuse(ReasonBusy, errBusy)
		_ = t.drive(ctx) // the peer asks again
		return
	}
	defer func() { h.slots.release(id, Answer, t.bulk) }()
	err := t.run(ctx)
	h.report(ctx, id, t.session.Outcome(), err)
}

// run drives the session to its end and records what it brought.
func (t *transfer) run(ctx context.Context) error {
	t.begun = t.h.cfg.Clock()
	t.session = NewSession(t.h.cfg.State, t.h.cfg.Blocks, t.part, t.begun.UnixMilli())
	if t.part != Ask {
		t.session.share(t.h.fetches)
	}
	err := t.drive(ctx)
	t.record()
	return err
}

// drive moves messages between the session and the stream until the session
// ends or the line breaks. What the peer says is read at once, also while this
// side is sending: it can change what is to be sent.
func (t *transfer) drive(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { t.stream.Reset() })()
	in := t.listen()
	defer t.finish(in)
	defer t.session.Close()
	out := bufio.NewWriterSize(t.stream, 32<<10)
	w := newFrameWriter(out)
	defer w.close()
	for {
		t.stream.SetReadDeadline(time.Time{})
		for t.broken == nil {
			if h, ok := t.overhear(in); ok {
				if err := t.receive(ctx, h); err != nil {
					return err
				}
				continue
			}
			m, ok := t.session.Next(ctx)
			if !ok {
				break
			}
			t.send(func() error { return w.write(m) })
		}
		t.send(out.Flush)
		if t.session.Ended() {
			break
		}
		t.stream.SetReadDeadline(time.Now().Add(t.h.cfg.IdleTimeout))
		if err := t.receive(ctx, <-in.heard); err != nil {
			return err
		}
	}
	if err := t.session.Err(); err != nil || t.broken == nil {
		return err
	}
	return t.cut(ctx, t.broken)
}

// overhear returns what the peer has said already. What an ended session still
// has to say comes first.
func (t *transfer) overhear(in *listener) (h heard, ok bool) {
	if t.session.Ended() {
		return h, false
	}
	select {
	case h = <-in.heard:
		return h, true
	default:
		return h, false
	}
}

// receive gives the session what was heard. The error is of the line.
func (t *transfer) receive(ctx context.Context, h heard) error {
	switch {
	case h.err == nil:
		t.session.Receive(ctx, h.message)
		t.admit(h.message)
	case errors.Is(h.err, errDamaged):
		t.session.Refuse(ReasonDamaged, h.err)
	default:
		return t.cut(ctx, errors.Join(t.broken, h.err))
	}
	return nil
}

// heard is a message of the peer, or why there are no more.
type heard struct {
	message Message
	err     error
}

// listener reads a stream ahead by one message.
type listener struct {
	heard chan heard
	quit  chan struct{} // closed when nobody takes any more
	ended chan struct{} // closed when nothing is read any more
}

// listen reads the stream until finish.
func (t *transfer) listen() *listener {
	l := &listener{heard: make(chan heard), quit: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		in := bufio.NewReaderSize(t.stream, 32<<10)
		r := newFrameReader(in)
		defer r.close()
		for more := true; more; {
			m, err := r.read()
			more = err == nil
			select {
			case l.heard <- heard{m, err}:
			case <-l.quit:
				more = false
			}
		}
		<-l.quit
		_, err := io.CopyN(io.Discard, in, maxFrontier+maxRange)
		if err != io.EOF {
			t.stream.Reset()
		}
	}()
	return l
}

func (t *transfer) send(write func() error) {
	if t.broken != nil {
		return
	}
	t.stream.SetWriteDeadline(time.Now().Add(t.h.cfg.IdleTimeout))
	t.broken = write()
}

// finish closes the stream. What the peer is still sending is thrown away
// first: it reads what this side said only after it has sent its flight.
func (t *transfer) finish(in *listener) {
	t.stream.CloseWrite()
	t.stream.SetReadDeadline(time.Now().Add(finishTimeout))
	close(in.quit)
	<-in.ended
	t.stream.Close()
}

func (t *transfer) cut(ctx context.Context, err error) error {
	t.stream.Reset()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &cutError{err}
}

// admit notes the peer's HELLO and claims the right to move blocks, if that is
// what follows.
func (t *transfer) admit(m Message) {
	if f, ok := m.(Frontier); ok && !t.session.Ended() {
		t.h.noteFrontier(t.peer, f.Tips)
	}
	hello, ok := m.(Hello)
	if !ok {
		return
	}
	now := t.h.cfg.Clock()
	asked := now
	if t.part != Answer {
		asked = t.begun.Add(now.Sub(t.begun) / 2)
	}
	if t.part != Ask && !hello.Ask {
		t.h.greeted(t.peer, hello, time.UnixMilli(hello.Clock).Sub(asked))
	}
	if t.session.Bulk() && !t.bulk {
		if t.bulk = t.h.slots.claimBulk(); !t.bulk {
			t.session.Refuse(ReasonBusy, errBusy)
		}
	}
}

// record keeps what the session brought in the roster.
func (t *transfer) record() {
	o := t.session.Outcome()
	now := t.h.cfg.Clock()
	t.h.roster.update(t.peer, func(e *peerEntry) {
		e.Sent += uint64(o.Sent)
		e.Received += uint64(o.Received)
		if o.Peer.Version != 0 && !o.Peer.Ask && t.part != Ask {
			e.digest, e.told, e.LastSeen = o.Digest, true, now
		}
	})
	if o.Peer.Version != 0 && !o.Peer.Ask && t.part != Ask {
		t.h.noteEqual(t.peer, o.Digest)
	}
}

// report logs how a session ended: why it failed is one line, at most once a
// minute for each peer and kind.
func (h *Host) report(ctx context.Context, id peer.ID, o Outcome, err error) {
	if o.Applied > 0 || o.Sent > 0 {
		h.log.Debug("synced", "peer", id.String(), "sent", o.Sent, "received", o.Received, "applied", o.Applied)
	}
	other, isOther := errors.AsType[*OtherClusterError](err)
	refused, isRefused := errors.AsType[*RefusedError](err)
	cut, isCut := errors.AsType[*cutError](err)
	_, isGap := errors.AsType[*dag.MissingError](err)
	say := func(kind, message string, args ...any) {
		if h.quiet.due(kind, id) {
			h.log.Warn(message, append([]any{"peer", id.String()}, args...)...)
		}
	}
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, errBusy), isRefused && refused.Reason == ReasonBusy:
	case isOther:
		say("cluster", "sync refused: other cluster", "theirs", other.Theirs.String(), "ours", other.Ours.String())
	case errors.Is(err, dag.ErrLater):
		say("later", "sync incomplete: newer version needed", "cause", err)
	case errors.Is(err, errDamaged), errors.Is(err, dag.ErrRefused):
		say("damaged", "sync refused: damaged bytes from the peer", "cause", err)
	case isRefused:
		say("refused", "sync refused by the peer", "cause", err)
	case isGap:
		say("gap", "sync incomplete: blocks of the peer do not connect", "cause", err)
	case isCut:
		say("cut", "sync incomplete: the peer stopped in the middle", "received", o.Received, "sent", o.Sent, "cause", cut.cause)
	default:
		say("store", "sync stopped: our store failed", "cause", err)
	}
}

// enter counts a handler, unless the host is stopping.
func (h *Host) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing {
		return false
	}
	h.handlers.Add(1)
	return true
}
