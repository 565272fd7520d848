package p2p

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"crush/dag"
)

// fakeLog as Chains.

func (l *fakeLog) tipLocked(id dag.BlockID) dag.Tip {
	h := l.headers[id]
	return dag.Tip{Chain: h.Chain, Seq: h.Seq, Block: id}
}

func (l *fakeLog) TipOf(id dag.BlockID) (dag.Tip, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tipLocked(id), l.bundles[id] != nil, l.fail
}

func (l *fakeLog) BlocksAt(chain dag.ChainID, seq uint64) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.headers {
		if h.Chain == chain && h.Seq == seq {
			n++
		}
	}
	return n
}

func (l *fakeLog) HaveTip(t dag.Tip) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bundles[t.Block] != nil && l.tipLocked(t.Block) == t
}

func (l *fakeLog) Newest() (tips []dag.Tip) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := make(map[dag.BlockID]bool)
	for _, h := range l.headers {
		for _, d := range append(h.Deps, h.Prev) {
			seen[d] = true
		}
	}
	for _, id := range l.order {
		if !seen[id] {
			tips = append(tips, l.tipLocked(id))
		}
	}
	return tips
}

// arrivalOf is a made-up arrival: one second a block.
func arrivalOf(n int) time.Time { return time.Unix(1000+int64(n), 0) }

func (l *fakeLog) Lag(their []dag.Pin) (lag dag.Lag, err error) {
	missing := l.missing(their)
	lag.Blocks = uint64(len(missing))
	if len(missing) > 0 {
		h, _ := fakeHeader(missing[0])
		lag.Since = arrivalOf(slices.Index(l.order, h.ID))
	}
	return lag, nil
}

func TestDocumentedHeld(t *testing.T) {
	raw := documented(t, "Example of asking who holds a block")
	r := bytes.NewReader(raw)
	var again []byte
	for _, kind := range []heldKind{heldAsk, heldDrop, heldHeld} {
		m, err := readHeld(r)
		if err != nil || m.kind != kind || string(m.tip.Block[:]) != "block block block block block bl" || kind == heldAsk && m.tip.Seq != 300 {
			t.Errorf("%+v, %v", m, err)
		}
		again = appendHeld(again, m)
	}
	if _, err := readHeld(r); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if !bytes.Equal(again, raw) {
		t.Errorf("written otherwise: %x", again)
	}
}

func FuzzHeld(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bytes.NewReader(raw)
		var again []byte
		for {
			before := r.Len()
			m, err := readHeld(r)
			if err != nil {
				left := before
				if errors.Is(err, errDamaged) {
					left = r.Len() + 1
				} else if err == io.EOF && left > 0 || err != io.EOF && err != io.ErrUnexpectedEOF {
					t.Errorf("%d bytes left: %v", left, err)
				}
				if !bytes.Equal(again, raw[:len(raw)-left]) {
					t.Errorf("not canonical: %x", raw)
				}
				return
			}
			again = appendHeld(again, m)
		}
	})
}

func atLeast(n int) func([]dag.NodeID) bool {
	return func(held []dag.NodeID) bool { return len(held) >= n }
}

// connectAll connects every host with the first and waits for their HELLOs.
func connectAll(t *testing.T, first *member, others ...*member) {
	t.Helper()
	for _, m := range others {
		if _, err := m.SyncWith(t.Context(), first.Addresses()[0]); err != nil {
			t.Fatal(err)
		}
	}
}

// awaiting runs AwaitHeld and hands over how it ended; begun closes when it has
// looked for the first time.
func awaiting(ctx context.Context, m *member, id dag.BlockID, n int) (begun chan struct{}, ended chan heldResult) {
	begun, ended = make(chan struct{}), make(chan heldResult, 1)
	look := sync.OnceFunc(func() { close(begun) })
	go func() {
		held, err := m.AwaitHeld(ctx, id, func(held []dag.NodeID) bool {
			look()
			return len(held) >= n
		})
		ended <- heldResult{held, err}
	}()
	return begun, ended
}

type heldResult struct {
	held []dag.NodeID
	err  error
}

// A block is held by those that have it on disk, not before.
func TestAwaitHeld(t *testing.T) {
	logs := cluster(3)
	a, b, c := start(t, 1, logs[0]), start(t, 2, logs[1]), start(t, 3, logs[2])
	connectAll(t, a, b, c)
	both := slices.SortedFunc(slices.Values([]dag.NodeID{b.ID(), c.ID()}), compareNodes)

	if held, err := a.AwaitHeld(t.Context(), dag.BlockID{99}, atLeast(0)); err != nil || len(held) > 0 {
		t.Errorf("nobody is enough: %v, %v", held, err)
	}
	held, err := a.AwaitHeld(t.Context(), dag.BlockID(logs[0].cluster), atLeast(2))
	if err != nil || !slices.Equal(held, both) {
		t.Errorf("an old block: %v, %v", held, err)
	}

	// A block that a alone has: nobody holds it until it is told.
	bundle := a.extend(dag.ChainID{1}, []byte("new"))
	header, _ := fakeHeader(bundle)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("waited long enough")
	begun, ended := awaiting(ctx, a, header.ID, 1)
	<-begun
	cancel(cause)
	if got := <-ended; !errors.Is(got.err, cause) || len(got.held) > 0 {
		t.Errorf("nobody: %v", got)
	}
	_, ended = awaiting(t.Context(), a, header.ID, 2)
	a.Announce(bundle)
	if got := <-ended; got.err != nil || !slices.Equal(got.held, both) {
		t.Errorf("a new block: %v", got)
	}
}

// A wait goes on for members that connect later, for a block that comes later,
// and not beyond the end of the host.
func TestAwaitHeldLater(t *testing.T) {
	logs := cluster(3)
	a, b := start(t, 1, logs[0]), start(t, 2, logs[1])
	connectAll(t, a, b)
	begun, ended := awaiting(t.Context(), a, dag.BlockID(logs[0].cluster), 2)
	<-begun
	start(t, 3, logs[2], peers(a.Addresses()...))
	if got := <-ended; got.err != nil {
		t.Errorf("a late member: %v", got)
	}

	next := logs[0].clone().extend(dag.ChainID{1}, []byte("next"))
	header, _ := fakeHeader(next)
	begun, ended = awaiting(t.Context(), b, header.ID, 1)
	<-begun
	if _, err := a.Apply(t.Context(), []dag.Bundle{next}); err != nil {
		t.Fatal(err)
	}
	a.Announce(next)
	if got := <-ended; got.err != nil {
		t.Errorf("a late block: %v", got)
	}

	_, never := awaiting(t.Context(), a, dag.BlockID{99}, 1)
	_, few := awaiting(t.Context(), a, header.ID, 3)
	a.stop()
	for _, ended := range []chan heldResult{never, few} {
		if got := <-ended; !errors.Is(got.err, ErrStopped) {
			t.Errorf("stopped: %v", got)
		}
	}
}

// Many waits at once, more than a stream takes.
func TestAwaitHeldMany(t *testing.T) {
	logs := cluster(2)
	a, b := start(t, 1, logs[0]), start(t, 2, logs[1])
	connectAll(t, a, b)
	const n = 3 * maxAsks
	ended := make(chan error, n)
	var bundles []dag.Bundle
	for range n {
		bundles = append(bundles, a.extend(dag.ChainID{1}, nil))
		h, _ := fakeHeader(bundles[len(bundles)-1])
		go func() {
			_, err := a.AwaitHeld(t.Context(), h.ID, atLeast(1))
			ended <- err
		}()
	}
	a.Announce(bundles...)
	for range n {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	if open := len(a.questions.open); open > 0 {
		t.Errorf("%d questions left", open)
	}
}

// heldStream opens a stream of asks by hand.
func heldStream(t *testing.T, from, to *member) network.Stream {
	t.Helper()
	if err := from.connect(t.Context(), mustAddr(to.Addresses()[0])); err != nil {
		t.Fatal(err)
	}
	s, err := from.net.NewStream(t.Context(), to.self, heldProtocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Reset() })
	return s
}

func askOf(i int) []byte {
	return appendHeld(nil, heldMessage{heldAsk, dag.Tip{Chain: dag.ChainID{5}, Seq: 7, Block: dag.BlockID{byte(i), byte(i >> 8), 1}}})
}

func TestBadAsks(t *testing.T) {
	many := func() (raw []byte) {
		for i := range maxAsks + 1 {
			raw = append(raw, askOf(i)...)
		}
		return raw
	}
	for name, raw := range map[string][]byte{
		"kind 9":    {9},
		"HELD":      appendHeld(nil, heldMessage{kind: heldHeld}),
		"twice":     append(askOf(1), askOf(1)...),
		"too many":  many(),
		"part":      askOf(1)[:40],
		"no answer": append(append(askOf(1), appendHeld(nil, heldMessage{heldDrop, dag.Tip{Block: dag.BlockID{1, 0, 1}}})...), 0),
	} {
		t.Run(name, func(t *testing.T) {
			logs := cluster(2)
			a, b := start(t, 1, logs[0]), start(t, 2, logs[1])
			s := heldStream(t, b, a)
			s.Write(raw)
			if name == "part" {
				s.CloseWrite()
			} else {
				a.lines.wait(t, "asks refused: damaged bytes from the peer peer="+b.ID().String())
			}
			s.SetReadDeadline(time.Now().Add(20 * time.Second))
			if n, err := s.Read(make([]byte, 1)); !errors.Is(err, network.ErrReset) {
				t.Errorf("read %d, %v from a stream that was to be reset", n, err)
			}
		})
	}
}

// A peer gets no more than two streams, and a stranger none.
func TestHeldStreamsBounded(t *testing.T) {
	s := newHeldStreams()
	for range maxHeldStreams {
		if !s.claim("a") {
			t.Fatal("no stream")
		}
	}
	if s.claim("a") || !s.claim("b") {
		t.Error("not two streams for each")
	}
	s.release("a")
	if !s.claim("a") {
		t.Error("not given back")
	}

	logs := cluster(2)
	a, b := start(t, 1, logs[0]), start(t, 2, logs[1])
	if err := b.connect(t.Context(), mustAddr(a.Addresses()[0])); err != nil {
		t.Fatal(err)
	}
	for range maxHeldStreams {
		a.heldStreams.claim(b.self)
	}
	stream := heldStream(t, b, a)
	stream.Write(askOf(1))
	stream.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := stream.Read(make([]byte, 1)); !errors.Is(err, network.ErrReset) {
		t.Errorf("a third stream: %v", err)
	}
}

// An answer that is none ends the asking with one line in the log; it starts
// again later.
func TestBadAnswers(t *testing.T) {
	logs := cluster(2)
	a, b := start(t, 1, logs[0]), start(t, 2, logs[1])
	b.net.SetStreamHandler(heldProtocol, func(s network.Stream) {
		s.Write([]byte("nonsense"))
		s.CloseWrite()
	})
	connectAll(t, a, b)
	_, ended := awaiting(t.Context(), a, dag.BlockID(logs[0].cluster), 1)
	a.lines.wait(t, "answer refused: damaged bytes from the peer peer="+b.ID().String())
	b.net.SetStreamHandler(heldProtocol, func(s network.Stream) { b.answerHeld(t.Context(), s) })
	if got := <-ended; got.err != nil {
		t.Error(got.err)
	}
}

// HELD is said when the block is here and not before: of three asks, the one
// that can be answered is, and the others once their blocks have come, also
// one whose place in its chain another block has.
func TestHeldNotBefore(t *testing.T) {
	logs := cluster(2)
	before := logs[0].Newest()[0]
	a, b := start(t, 1, logs[0]), start(t, 2, logs[1])
	taken := a.write(dag.ChainID{1}, before.Block, []byte("here"))
	other := logs[1].clone()
	next := other.write(dag.ChainID{2}, dag.BlockID{}, []byte("not here"))
	twin := other.write(dag.ChainID{1}, before.Block, []byte("not here, at a place that is taken"))
	tipOf := func(bundle dag.Bundle) dag.Tip {
		h, _ := fakeHeader(bundle)
		return dag.Tip{Chain: h.Chain, Seq: h.Seq, Block: h.ID}
	}
	b.slots.opening[a.self] = true // keeps b's own sessions away
	s := heldStream(t, b, a)
	s.SetReadDeadline(time.Now().Add(20 * time.Second))
	for _, bundle := range []dag.Bundle{next, twin, taken} {
		if _, err := s.Write(appendHeld(nil, heldMessage{heldAsk, tipOf(bundle)})); err != nil {
			t.Fatal(err)
		}
	}
	wantHeld := func(bundle dag.Bundle) {
		t.Helper()
		if m, err := readHeld(s); err != nil || m.kind != heldHeld || m.tip.Block != tipOf(bundle).Block {
			t.Errorf("answered %+v, %v; want block %s", m, err, tipOf(bundle).Block.Short())
		}
	}
	wantHeld(taken)
	for _, bundle := range []dag.Bundle{next, twin} {
		if _, err := a.Apply(t.Context(), []dag.Bundle{bundle}); err != nil {
			t.Fatal(err)
		}
		wantHeld(bundle)
	}
}
