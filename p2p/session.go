package p2p

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"crush/dag"
)

// State is what a node says of its applied set. Implemented by dag.Graph.
// All methods may be called from any goroutine.
type State interface {
	// Cluster is zero for a node without history.
	Cluster() dag.ClusterID
	Frontier() []dag.Tip
	// Digest is equal on two nodes only if their applied sets are.
	Digest() dag.Digest
	Have(id dag.BlockID) bool
	// Changed returns a channel that closes at the next commit or apply.
	Changed() <-chan struct{}
}

// Blocks is where blocks come from and go to. Implemented by dag.Graph.
type Blocks interface {
	// Missing yields what a peer with these tips lacks, in arrival order.
	// The loop's body may wait for the network: Missing must hold no lock
	// that readers or writers need. Tips unknown here are ignored.
	Missing(ctx context.Context, their []dag.Tip) iter.Seq2[dag.Outgoing, error]
	// Apply applies bundles in causal order in one durable batch and skips
	// what is here already. It may keep the bundles.
	Apply(ctx context.Context, bundles []dag.Bundle) (dag.Applied, error)
}

// OtherClusterError ends a session of nodes of different clusters, on both
// sides.
type OtherClusterError struct{ Ours, Theirs dag.ClusterID }

// Error names both clusters.
func (e *OtherClusterError) Error() string {
	return fmt.Sprintf("the peer belongs to another cluster: %s, ours is %s", e.Theirs, e.Ours)
}

// RefusedError says why the peer ended a session.
type RefusedError struct{ Reason Reason }

// Error says the reason.
func (e *RefusedError) Error() string { return "the peer refused to sync: " + e.Reason.String() }

// Part is the part that a side plays in a session.
type Part uint8

// The parts. All but Answer open the session.
const (
	Answer Part = iota
	Open        // HELLO and FRONTIER in one flight
	Probe       // HELLO alone: the digests are probably equal
	Ask         // only learn who the other is
)

// Outcome is what a session came to. It is filled as the session goes.
type Outcome struct {
	Peer     Hello      // zero until it came
	Digest   dag.Digest // of the peer's frontier, as last told
	Sent     int        // blocks
	Received int        // blocks
	Applied  int        // blocks that were new here
}

// Session is one run of the sync protocol (see the package comment), from one
// side. It is a state machine: Next gives what is to be sent, Receive takes
// what came, in any order that the network allows. It keeps no state that the
// history does not have, so that it can be dropped at any point.
//
// It is used by one goroutine. Close it.
type Session struct {
	state  State
	blocks Blocks
	part   Part
	clock  int64

	stage   stage
	said    Hello // the opener's, unless it only asks
	out     []Message
	tips    []WireTip // the peer's
	next    func() (dag.Outgoing, error, bool)
	stop    func()
	pending *dag.Outgoing // read from next, belongs to the next chunk
	gap     error         // a RANGE did not connect; later ones are dropped
	outcome Outcome
	err     error
}

type stage uint8

const (
	starting stage = iota
	awaitHello
	awaitFrontier
	sending   // RANGE, DONE
	receiving // RANGE, DONE
	awaitDone // the answerer's last one
	ended
)

// NewSession returns one side of a session. The clock is the time that HELLO
// tells, in unix milliseconds.
func NewSession(state State, blocks Blocks, part Part, clock int64) *Session {
	return &Session{state: state, blocks: blocks, part: part, clock: clock}
}

// Close drops the session at whatever point it is.
func (s *Session) Close() { s.end(nil) }

// Ended reports whether nothing more is to be received; what Next still gives
// is to be sent.
func (s *Session) Ended() bool { return s.stage == ended }

// Err returns why the session ended, nil if it did what it was for.
// A [dag.MissingError] in it means that the peer's blocks did not connect.
func (s *Session) Err() error { return s.err }

// Outcome returns what was exchanged so far.
func (s *Session) Outcome() Outcome { return s.outcome }

// InSync reports whether the peer's last digest is ours now.
func (s *Session) InSync() bool { return s.outcome.Digest == s.state.Digest() }

// Bulk reports whether the session has passed HELLO and goes on to move blocks.
func (s *Session) Bulk() bool { return s.stage > awaitHello && s.stage < ended }

// Refuse ends the session and tells the peer why.
func (s *Session) Refuse(r Reason, err error) {
	if s.stage == ended {
		return
	}
	s.out = []Message{Refuse{r}}
	s.end(err)
}

func (s *Session) end(err error) {
	if s.stage == ended {
		return
	}
	s.stage, s.err = ended, err
	if s.stop != nil {
		s.stop()
		s.next, s.stop, s.pending = nil, nil, nil
	}
}

// Next returns the next message to send; false when it is the peer's turn, or
// when the session has ended.
func (s *Session) Next(ctx context.Context) (Message, bool) {
	if s.stage == starting {
		s.begin()
	}
	if len(s.out) == 0 && s.stage == sending {
		s.fill(ctx)
	}
	if len(s.out) == 0 {
		return nil, false
	}
	m := s.out[0]
	s.out = s.out[1:]
	return m, true
}

func (s *Session) begin() {
	s.stage = awaitHello
	switch s.part {
	case Open:
		s.said = s.hello()
		s.out = append(s.out, s.said, s.frontier())
	case Probe:
		s.said = s.hello()
		s.out = append(s.out, s.said)
	case Ask:
		s.out = append(s.out, Hello{Version: wireVersion, Ask: true, Clock: s.clock})
	}
}

func (s *Session) hello() Hello {
	return Hello{
		Version: wireVersion, Follows: s.part == Open,
		Cluster: s.state.Cluster(), Digest: s.state.Digest(), Clock: s.clock,
	}
}

func (s *Session) frontier() Frontier {
	var f Frontier
	for _, t := range s.state.Frontier() {
		f.Tips = append(f.Tips, WireTip{Chain: [chainPrefix]byte(t.Chain[:]), Seq: t.Seq, Block: t.Block})
	}
	slices.SortFunc(f.Tips, WireTip.compare)
	f.Tips = slices.Compact(f.Tips)
	return f
}

// Receive takes a message of the peer. It returns after what came is on disk.
func (s *Session) Receive(ctx context.Context, m Message) {
	if s.stage == starting {
		s.begin()
	}
	switch m := m.(type) {
	case Refuse:
		s.end(&RefusedError{m.Reason})
		return
	case Hello:
		if s.stage == awaitHello {
			s.greet(m)
			return
		}
	case Frontier:
		if s.stage == awaitFrontier {
			s.learn(m)
			return
		}
	case Range:
		if s.stage == receiving {
			s.take(ctx, m)
			return
		}
	case Done:
		if s.stage == receiving || s.stage == awaitDone {
			s.conclude(m)
			return
		}
	}
	s.Refuse(ReasonDamaged, damaged("unexpected %v", m.frame()))
}

func (s *Session) greet(h Hello) {
	s.outcome.Peer, s.outcome.Digest = h, h.Digest
	ours := s.said // the answerer has judged by that
	if s.part == Answer {
		ours = s.hello()
		s.out = append(s.out, ours)
	}
	if s.part == Ask || h.Ask {
		s.end(nil)
		return
	}
	if ours.Cluster != h.Cluster && !ours.Cluster.IsZero() && !h.Cluster.IsZero() {
		s.end(&OtherClusterError{Ours: ours.Cluster, Theirs: h.Cluster})
		return
	}
	if ours.Digest == h.Digest {
		s.end(nil)
		return
	}
	if s.part == Answer {
		s.out = append(s.out, s.frontier())
	}
	s.stage = awaitFrontier
}

func (s *Session) learn(f Frontier) {
	s.tips = f.Tips
	switch s.part {
	case Answer:
		s.stage = sending
	case Probe:
		s.out = append(s.out, s.frontier())
		s.stage = receiving
	default:
		s.stage = receiving
	}
}

// take applies a chunk. Blocks that do not connect are dropped, with all that
// follows, but this side still sends its own: that is what lets the peer see
// where the two histories part.
func (s *Session) take(ctx context.Context, r Range) {
	s.outcome.Received += len(r.Bundles)
	if s.gap != nil {
		return
	}
	applied, err := s.blocks.Apply(ctx, r.Bundles)
	s.outcome.Applied += len(applied.Blocks)
	if _, gap := errors.AsType[*dag.MissingError](err); gap {
		s.gap = fmt.Errorf("apply blocks of the peer: %w", err)
		return
	}
	switch {
	case err == nil:
	case errors.Is(err, dag.ErrRefused):
		s.Refuse(ReasonDamaged, fmt.Errorf("apply blocks of the peer: %w", err))
	default:
		s.Refuse(ReasonStore, fmt.Errorf("apply blocks of the peer: %w", err))
	}
}

func (s *Session) conclude(d Done) {
	s.outcome.Digest = d.Digest
	switch {
	case s.stage == awaitDone:
		s.end(s.gap)
	case s.part == Answer:
		s.out = append(s.out, Done{s.state.Digest()})
		s.end(s.gap)
	default:
		s.stage = sending
	}
}

// fill puts the next chunk, or DONE, into out.
func (s *Session) fill(ctx context.Context) {
	if s.next == nil {
		s.next, s.stop = iter.Pull2(s.blocks.Missing(ctx, s.known()))
	}
	chunk, err := s.chunk()
	if err != nil {
		s.Refuse(ReasonStore, fmt.Errorf("read blocks for the peer: %w", err))
		return
	}
	if len(chunk) > 0 {
		s.outcome.Sent += len(chunk)
		s.out = append(s.out, Range{chunk})
		return
	}
	s.out = append(s.out, Done{s.state.Digest()})
	s.stage = receiving
	if s.part != Answer {
		s.stage = awaitDone
	}
}

// chunk returns the next whole blocks for the peer, none at the end.
func (s *Session) chunk() ([]dag.Bundle, error) {
	var chunk []dag.Bundle
	size, whole := 0, false
	for size <= chunkGoal || !whole {
		b := s.pending
		if s.pending = nil; b == nil {
			read, err, ok := s.next()
			if err != nil || !ok {
				return chunk, err
			}
			b = &read
		}
		if size += chunkSize(b.Bundle); size > maxChunk && len(chunk) > 0 {
			s.pending = b
			return chunk, nil
		}
		chunk, whole = append(chunk, b.Bundle), b.Whole
	}
	return chunk, nil
}

// known is what the peer is taken to have, as tips that this side knows: its
// tips that are here, and all of a chain of which it has more than is here.
// A tip that is neither shows a divergence and says nothing.
func (s *Session) known() []dag.Tip {
	ours := make(map[[chainPrefix]byte][]dag.Tip)
	for _, t := range s.state.Frontier() {
		prefix := [chainPrefix]byte(t.Chain[:])
		ours[prefix] = append(ours[prefix], t)
	}
	var known []dag.Tip
	for _, t := range s.tips {
		here := ours[t.Chain]
		switch {
		case len(here) == 0: // nothing of this chain to send
		case s.state.Have(t.Block):
			known = append(known, dag.Tip{Chain: here[0].Chain, Seq: t.Seq, Block: t.Block})
		case t.Seq > last(here):
			known = append(known, here...)
		}
	}
	slices.SortFunc(known, func(a, b dag.Tip) int {
		if c := bytes.Compare(a.Block[:], b.Block[:]); c != 0 {
			return c
		}
		return bytes.Compare(a.Chain[:], b.Chain[:])
	})
	return slices.Compact(known)
}

// last is the highest seq of the tips.
func last(tips []dag.Tip) uint64 {
	var seq uint64
	for _, t := range tips {
		seq = max(seq, t.Seq)
	}
	return seq
}
