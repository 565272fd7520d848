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
	flights          int // runs of messages in one direction
	bytes            int64
	toOpener         [][]byte // chunks
	toAnswerer       [][]byte
}

// blocksOf are the blocks in chunks of fake logs.
func blocksOf(t *testing.T, chunks [][]byte) (ids []dag.BlockID) {
	t.Helper()
	for _, c := range chunks {
		bundles, err := parseChunk(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range bundles {
			h, _ := fakeHeader(b)
			ids = append(ids, h.ID)
		}
	}
	return ids
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
	last := (*Session)(nil)
	step := func(from, to *Session, w *wire, got *[][]byte) bool {
		m, ok := from.Next(ctx)
		if !ok {
			return false
		}
		if err := w.w.write(m); err != nil {
			t.Fatal(err)
		}
		if from != last {
			last = from
			x.flights++
		}
		m, err := w.r.read()
		if err != nil {
			t.Fatal(err)
		}
		x.messages++
		if r, ok := m.(Range); ok {
			*got = append(*got, r.bytes())
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
		for _, id := range blocksOf(t, second.toOpener) {
			if haveB.Have(id) {
				t.Errorf("block %s sent again", id.Short())
			}
		}
		for _, id := range blocksOf(t, second.toAnswerer) {
			if haveA.Have(id) {
				t.Errorf("block %s sent again", id.Short())
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
// meet in one session, whoever opens and whichever branch is longer.
func TestSessionDivergentChain(t *testing.T) {
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
		x := run(t, a, b, []Part{Open, Probe}[r.IntN(2)], -1)
		x.wantDone(t)
		wantEqual(t, a, b)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestSessionOtherCluster(t *testing.T) {
	a, _ := history(newRand(1), 5, 0, 0)
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
	a, _ := history(newRand(1), 50, 0, 0)
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
			a, b := history(newRand(1), 5, 0, 5)
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
			sizes = append(sizes, len(blocksOf(t, [][]byte{r.bytes()})))
		}
	}
	if !slices.Equal(sizes, []int{4, 4, 4}) {
		t.Errorf("chunks of %v blocks", sizes)
	}
}

// Payloads go as deltas to a peer that reads them, and to no other.
func TestSessionDeltas(t *testing.T) {
	for version, want := range map[uint8]bool{1: false, 2: true, 3: true} {
		l, _ := history(newRand(5), 10, 0, 0)
		s := fakeSession(l, Answer)
		s.Receive(t.Context(), Hello{Version: version, Follows: true})
		s.Receive(t.Context(), Frontier{})
		ranges := 0
		for m, ok := s.Next(t.Context()); ok; m, ok = s.Next(t.Context()) {
			if _, is := m.(Range); is {
				ranges++
			}
		}
		if s.Close(); ranges == 0 || l.deltas != want {
			t.Errorf("version %d: %d chunks, with deltas %v", version, ranges, l.deltas)
		}
	}
}

// Blocks of a later version are left out, and said to be; the rest comes, and
// what is here goes to the peer.
func TestSessionLater(t *testing.T) {
	for _, part := range []Part{Open, Answer} {
		old, newer := history(newRand(5), 10, 0, 0)
		old.reads = 1
		newer.extend(dag.ChainID{7}, []byte{1, 'x'})
		newer.extend(dag.ChainID{7}, []byte{2, 'y'})
		newer.extend(dag.ChainID{8}, []byte{1, 'z'}) // follows on it
		old.extend(dag.ChainID{9}, []byte{1})
		opener, answerer := old, newer
		if part == Answer {
			opener, answerer = newer, old
		}
		x := run(t, opener, answerer, Open, -1)
		mine, theirs := x.opener, x.answerer
		if part == Answer {
			mine, theirs = theirs, mine
		}
		if o := mine.Outcome(); !errors.Is(mine.Err(), dag.ErrLater) || errors.Is(mine.Err(), errDamaged) || o.Applied != 1 || o.Later != 2 {
			t.Errorf("part %v: %+v, %v", part, o, mine.Err())
		}
		if o := theirs.Outcome(); theirs.Err() != nil || o.Applied != 1 {
			t.Errorf("the newer one: %+v, %v", o, theirs.Err())
		}
	}
}
