package p2p

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"crush/dag"
)

// wire is one direction between two sessions, with real frames.
type wire struct {
	buf bytes.Buffer
	w   *frameWriter
	r   *frameReader
}

func newWire(t *testing.T) *wire {
	w := &wire{}
	w.w, w.r = newFrameWriter(&w.buf), newFrameReader(&w.buf)
	t.Cleanup(w.w.close)
	t.Cleanup(w.r.close)
	return w
}

// party is one side of a session.
type party interface {
	State
	Blocks
}

func fakeSession(l party, part Part) *Session {
	return NewSession(l, l, part, 1_750_000_000_000)
}

// exchange is what a run of two sessions came to.
type exchange struct {
	opener, answerer *Session
	complete         bool // both sides came to an end
	messages         int
	bytes            int64
	toOpener         []dag.Bundle
	toAnswerer       []dag.Bundle
}

// run runs a session between two logs and cuts it after cut messages have
// arrived; negative: never.
func run(t *testing.T, opener, answerer party, part Part, cut int) exchange {
	t.Helper()
	ctx := context.Background()
	x := exchange{opener: fakeSession(opener, part), answerer: fakeSession(answerer, Answer)}
	defer x.opener.Close()
	defer x.answerer.Close()
	there, back := newWire(t), newWire(t)
	step := func(from, to *Session, w *wire, got *[]dag.Bundle) bool {
		m, ok := from.Next(ctx)
		if !ok {
			return false
		}
		if err := w.w.write(m); err != nil {
			t.Fatal(err)
		}
		m, err := w.r.read()
		if err != nil {
			t.Fatal(err)
		}
		x.messages++
		if r, ok := m.(Range); ok {
			*got = append(*got, r.Bundles...)
		}
		to.Receive(ctx, m)
		return true
	}
	for x.messages != cut {
		if !step(x.opener, x.answerer, there, &x.toAnswerer) && !step(x.answerer, x.opener, back, &x.toOpener) {
			break
		}
	}
	x.bytes = there.w.bytes + back.w.bytes
	x.complete = x.opener.Ended() && x.answerer.Ended()
	return x
}

func (x exchange) wantDone(t *testing.T) {
	t.Helper()
	for name, s := range map[string]*Session{"opener": x.opener, "answerer": x.answerer} {
		if !x.complete || s.Err() != nil {
			t.Errorf("%s: complete %v, error %v", name, x.complete, s.Err())
		}
	}
}

func wantEqual(t *testing.T, a, b *fakeLog) {
	t.Helper()
	a.check(t)
	b.check(t)
	if a.Digest() != b.Digest() || len(a.order) != len(b.order) || a.cluster != b.cluster {
		t.Errorf("not equal: %d and %d blocks", len(a.order), len(b.order))
	}
}

func TestSessionConverges(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		a, b := history(r, r.IntN(80), r.IntN(3)*r.IntN(60), r.IntN(3)*r.IntN(60))
		part := []Part{Open, Probe}[r.IntN(2)]
		x := run(t, a, b, part, -1)
		x.wantDone(t)
		wantEqual(t, a, b)
		if !x.opener.InSync() || !x.answerer.InSync() {
			t.Errorf("not in sync after the session")
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// Every point at which the line can be cut: what was applied stays, is never
// sent again, and the next session completes.
func TestSessionCutEverywhere(t *testing.T) {
	big := func(l *fakeLog, chain dag.ChainID, n int) {
		for i := range n {
			l.extend(chain, bytes.Repeat([]byte{byte(i)}, 100<<10))
		}
	}
	left, right := history(rand.New(rand.NewPCG(7, 7)), 30, 20, 20)
	big(left, dag.ChainID{0xaa}, 9)
	big(right, dag.ChainID{0xbb}, 8)
	for cut := 0; ; cut++ {
		a, b := left.clone(), right.clone()
		first := run(t, a, b, Open, cut)
		a.check(t)
		b.check(t)
		haveA, haveB := a.clone(), b.clone()
		second := run(t, b, a, Open, -1) // the other side opens: there is no session state
		second.wantDone(t)
		wantEqual(t, a, b)
		for _, sent := range second.toOpener {
			if h, _ := fakeHeader(sent); haveB.Have(h.ID) {
				t.Errorf("block %s sent again", h.ID.Short())
			}
		}
		for _, sent := range second.toAnswerer {
			if h, _ := fakeHeader(sent); haveA.Have(h.ID) {
				t.Errorf("block %s sent again", h.ID.Short())
			}
		}
		if t.Failed() {
			t.Fatalf("cut after %d messages", cut)
		}
		if first.complete {
			if cut < 12 {
				t.Fatalf("only %d messages: too few to cut", cut)
			}
			return
		}
	}
}

// A node that ran twice from one disk wrote two branches of one chain. They
// meet in at most two sessions, whoever opens and whichever branch is longer.
func TestSessionDivergentChain(t *testing.T) {
	gaps := 0
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 2))
		a, b := history(r, 5+r.IntN(20), r.IntN(10), r.IntN(10))
		clone, other := dag.ChainID{0, 0xcc}, dag.ChainID{5, 0xcc}
		for range 1 + r.IntN(8) {
			a.extend(clone, []byte{'a', byte(r.Uint32())})
		}
		for range 1 + r.IntN(8) {
			b.extend(clone, []byte{'b', byte(r.Uint32())})
			b.extend(other, nil)
		}
		sessions := 0
		for a.Digest() != b.Digest() {
			if sessions++; sessions > 2 {
				t.Fatalf("seed %d: still different after two sessions", seed)
			}
			x := run(t, a, b, Open, -1)
			for _, s := range []*Session{x.opener, x.answerer} {
				if _, gap := errors.AsType[*dag.MissingError](s.Err()); s.Err() != nil && !gap {
					t.Fatalf("seed %d: %v", seed, s.Err())
				} else if gap {
					gaps++
				}
			}
		}
		wantEqual(t, a, b)
	}
	if gaps == 0 {
		t.Error("no session met blocks that do not connect: this tries nothing")
	}
}

func TestSessionBytes(t *testing.T) {
	a, _ := history(rand.New(rand.NewPCG(3, 3)), 1000, 0, 0)
	x := run(t, a, a.clone(), Probe, -1)
	x.wantDone(t)
	if x.bytes > 2*(headerLen+helloLen) {
		t.Errorf("equal nodes exchanged %d bytes", x.bytes)
	}
	const perTip, perBlock, constant = 51, 8, 250
	for _, missing := range []int{1, 10, 300} {
		b := a.clone()
		size := 0
		for range missing {
			p := make([]byte, 200)
			for i := range p {
				p[i] = byte(rand.Uint32())
			}
			size += len(b.extend(dag.ChainID{9}, p))
		}
		x := run(t, a.clone(), b, Open, -1)
		x.wantDone(t)
		tips := len(a.Frontier()) + len(b.Frontier())
		if bound := int64(perTip*tips + perBlock*missing + size + constant); x.bytes > bound {
			t.Errorf("%d blocks of %d bytes: %d bytes exchanged, bound %d", missing, size, x.bytes, bound)
		}
		t.Logf("%d missing: %d bytes, blocks %d, tips %d", missing, x.bytes, size, tips)
	}
}

func TestSessionOtherCluster(t *testing.T) {
	a, _ := history(rand.New(rand.NewPCG(1, 1)), 5, 0, 0)
	b := newFakeLog()
	b.extend(dag.ChainID{77}, []byte("another genesis"))
	for _, part := range []Part{Open, Probe} {
		x := run(t, a.clone(), b.clone(), part, -1)
		for name, s := range map[string]*Session{"opener": x.opener, "answerer": x.answerer} {
			if _, ok := errors.AsType[*OtherClusterError](s.Err()); !ok || !x.complete {
				t.Errorf("%s: %v", name, s.Err())
			}
		}
		if len(x.toOpener)+len(x.toAnswerer) > 0 {
			t.Error("blocks crossed between clusters")
		}
	}
}

func TestSessionJoiner(t *testing.T) {
	a, _ := history(rand.New(rand.NewPCG(1, 1)), 50, 0, 0)
	for _, joinerOpens := range []bool{true, false} {
		joiner, member := newFakeLog(), a.clone()
		opener, answerer := joiner, member
		if !joinerOpens {
			opener, answerer = member, joiner
		}
		x := run(t, opener, answerer, Open, -1)
		x.wantDone(t)
		wantEqual(t, joiner, member)
	}
	x := run(t, newFakeLog(), a, Ask, -1)
	x.wantDone(t)
	if got := x.opener.Outcome().Peer.Cluster; got != a.cluster || x.messages != 2 {
		t.Errorf("asked: cluster %s after %d messages", got, x.messages)
	}
}

// Whatever goes wrong on one side is known on both.
func TestSessionRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		fail error
		want Reason
	}{
		"damaged": {dag.ErrRefused, ReasonDamaged},
		"store":   {errors.New("disk full"), ReasonStore},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := history(rand.New(rand.NewPCG(1, 1)), 5, 0, 5)
			a.fail = test.fail
			x := run(t, a, b, Open, -1)
			if !errors.Is(x.opener.Err(), test.fail) {
				t.Errorf("opener: %v", x.opener.Err())
			}
			if r, ok := errors.AsType[*RefusedError](x.answerer.Err()); !ok || r.Reason != test.want {
				t.Errorf("answerer: %v", x.answerer.Err())
			}
		})
	}
}

func TestSessionUnexpected(t *testing.T) {
	for _, m := range []Message{Frontier{}, Range{}, Done{}} {
		s := fakeSession(newFakeLog(), Answer)
		s.Receive(t.Context(), m)
		if got, ok := s.Next(t.Context()); !ok || got != Message(Refuse{ReasonDamaged}) || !errors.Is(s.Err(), errDamaged) {
			t.Errorf("%v first: %v, %v", m.frame(), got, s.Err())
		}
		s.Receive(t.Context(), Hello{Version: 1})
		if _, ok := s.Next(t.Context()); ok {
			t.Error("an ended session speaks")
		}
	}
}

// A chunk does not end with a block that nothing vouches for.
func TestChunkEndsSigned(t *testing.T) {
	l := newFakeLog()
	var prev dag.BlockID
	for i := range 12 {
		h := dag.Header{Chain: dag.ChainID{1}, Seq: uint64(i), Prev: prev, Signed: i%4 == 3}
		b := fakeBundle(h, make([]byte, 200<<10))
		if _, err := l.Apply(t.Context(), []dag.Bundle{b}); err != nil {
			t.Fatal(err)
		}
		prev = l.order[i]
	}
	s := fakeSession(l, Answer)
	defer s.Close()
	s.Receive(t.Context(), Hello{Version: 1, Follows: true})
	s.Receive(t.Context(), Frontier{})
	var sizes []int
	for m, ok := s.Next(t.Context()); ok; m, ok = s.Next(t.Context()) {
		if r, is := m.(Range); is {
			sizes = append(sizes, len(r.Bundles))
		}
	}
	if !slices.Equal(sizes, []int{4, 4, 4}) {
		t.Errorf("chunks of %v blocks", sizes)
	}
}
