package p2p

import (
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
// All methods may be called from any goroutine.
type Blocks interface {
	// Known reports for each pin whether its block is applied here.
	Known(pins []dag.Pin) ([]bool, error)
	// Locator returns pins along a chain, in order, none twice.
	Locator(chain dag.ChainStart) ([]dag.Pin, error)
	// Chunks yields what a node with the pinned blocks lacks, as one flow. The
	// loop's body may wait for the network: Chunks must hold no lock that
	// readers or writers need. Pins unknown here are ignored. Deltas says that the
	// peer speaks version 2.
	Chunks(ctx context.Context, known []dag.Pin, deltas bool) iter.Seq2[dag.Chunk, error]
	// Take applies the next chunk of a flow in one durable batch and skips
	// what is here already. It does not keep the chunk.
	Take(ctx context.Context, in *dag.Inflow, chunk []byte) (dag.Applied, error)
	// Apply does the same with blocks that came otherwise. It may keep them.
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
	Probe       // HELLO alone: the digests are probably equal, or the peer's FRONTIER is wanted first
	Ask         // only learn who the other is
)

// Outcome is what a session came to. It is filled as the session goes.
type Outcome struct {
	Peer     Hello      // zero until it came
	Digest   dag.Digest // of the peer's frontier, as last told
	Sent     int        // blocks
	Received int        // blocks
	Applied  int        // blocks that were new here
	Later    int        // blocks that this version cannot read, with what follows on them
	Rounds   int        // FRONTIERs that this side told
	Left     bool       // the peer was told not to send what other sessions fetch
}

var errBusy = errors.New("other transfers are running")

// The bounds of a session.
const (
	maxRounds  = 3        // FRONTIERs of one side
	maxUseless = 64 << 20 // bytes of chunks that bring nothing
	minUseless = 4 << 10  // what the smallest of them counts as

	maxOvertaken = 64 // blocks that are rather sent twice than asked for in another session
)

// Session is one run of the sync protocol (see the package comment), from one
// side. It is a state machine: Next gives what is to be sent, Receive takes
// what came, in any order that the network allows. It keeps no state that the
// history does not have, so that it can be dropped at any point.
//
// It is used by one goroutine. Close it.
type Session struct {
	state  State
	blocks Blocks
	claim  *claim
	part   Part
	clock  int64

	stage   stage
	said    Hello // by this side, unless it only asks: both judge by it, whatever comes since
	out     []Message
	told    bool     // our FRONTIER of this round is told
	stale   bool     // what is left of the peer's last round may still come
	stand   Frontier // as told last
	follows bool     // the opener's FRONTIER comes with its HELLO
	theirs  view
	in      dag.Inflow
	next    func() (dag.Chunk, error, bool)
	stop    func()
	useless int   // bytes
	located int   // LOCATORs that came
	fault   error // why the peer's blocks are not all here
	outcome Outcome
	err     error
}

type stage uint8

const (
	starting stage = iota
	awaitHello
	awaitFrontier
	sending   // RANGE, DONE
	receiving // LOCATOR, RANGE, DONE
	awaitDone // the answerer's last one
	ended
)

// NewSession returns one side of a session. The clock is the time that HELLO
// tells, in unix milliseconds.
func NewSession(state State, blocks Blocks, part Part, clock int64) *Session {
	return &Session{state: state, blocks: blocks, part: part, clock: clock, theirs: newView()}
}

// share keeps the session from fetching what others of the same node fetch. It
// must be called before anything else.
func (s *Session) share(f *fetches) { s.claim = f.open() }

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
	s.stopSending()
	s.claim.close()
}

func (s *Session) stopSending() {
	if s.stop != nil {
		s.stop()
		s.next, s.stop = nil, nil
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
	case Open, Probe:
		s.said = s.hello()
		s.out = append(s.out, s.said)
		if s.part == Open {
			s.tell()
		}
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

// tell says what this side has: once a round, with a locator of each chain on
// which the two sides are known to differ.
func (s *Session) tell() {
	if s.locate(); s.stage == ended {
		return
	}
	f := Frontier{Tips: dag.PinsOf(s.state.Frontier()), Coming: s.claim.coming(s.theirs.lacking)}
	s.out, s.stand = append(s.out, f), f
	s.outcome.Left = s.claim.waits()
	s.told = true
	s.outcome.Rounds++
}

// locate tells our samples of the chains on which the sides are known to differ.
func (s *Session) locate() {
	l, err := s.theirs.locate(s.blocks)
	switch {
	case err != nil:
		s.failed(err)
	case len(l.Chains) > 0:
		s.out = append(s.out, l)
	}
}

// Receive takes a message of the peer. It returns after what came is on disk.
func (s *Session) Receive(ctx context.Context, m Message) {
	if s.stage == starting {
		s.begin()
	}
	if !s.accept(ctx, m) {
		s.Refuse(ReasonDamaged, damaged("unexpected %v", m.frame()))
	}
}

// accept reports whether the message may come now.
func (s *Session) accept(ctx context.Context, m Message) bool {
	stale := s.stage == awaitFrontier && s.stale
	switch m := m.(type) {
	case Refuse:
		s.end(&RefusedError{m.Reason})
	case Hello:
		if s.stage != awaitHello {
			return false
		}
		s.greet(m)
	case Locator:
		if s.stage != awaitFrontier && s.stage != receiving && !(s.stage == sending && s.part == Answer) {
			return false
		}
		if s.located++; s.located > maxRounds {
			return false
		}
		s.theirs.hear(m)
	case Frontier:
		again := s.part == Answer && s.told && (s.stage == receiving || s.stage == sending)
		if s.stage != awaitFrontier && !again {
			return false
		}
		if again {
			s.stopSending()
			s.told = false
		}
		s.learn(m)
	case Range:
		if s.stage != receiving && !stale {
			return false
		}
		s.take(ctx, m, stale)
	case Done:
		if stale {
			s.stale = false
			return true
		}
		if s.stage != receiving && s.stage != awaitDone {
			return false
		}
		s.conclude(m)
	}
	return true
}

func (s *Session) greet(h Hello) {
	s.outcome.Peer, s.outcome.Digest = h, h.Digest
	if s.part == Answer {
		s.said = s.hello()
	}
	ours := s.said
	equal := ours.Digest == h.Digest
	other := ours.Cluster != h.Cluster && !ours.Cluster.IsZero() && !h.Cluster.IsZero()
	last := equal || other || s.part == Ask || h.Ask
	if s.part == Answer && (last || !h.Follows) {
		s.out = append(s.out, ours)
	}
	switch {
	case s.part == Ask || h.Ask:
		s.end(nil)
	case other:
		s.end(&OtherClusterError{Ours: ours.Cluster, Theirs: h.Cluster})
	case equal:
		s.end(nil)
	default:
		s.stage, s.follows = awaitFrontier, h.Follows
		if s.part == Answer && !h.Follows {
			s.tell()
		}
	}
}

// learn takes the peer's FRONTIER: the other half of a round.
func (s *Session) learn(f Frontier) {
	if !s.told && s.outcome.Rounds == maxRounds {
		s.Refuse(ReasonDamaged, damaged("no common history after %d FRONTIERs", maxRounds))
		return
	}
	s.in = dag.Inflow{}
	s.theirs.tips, s.theirs.coming = f.Tips, f.Coming
	if err := s.theirs.weigh(dag.PinsOf(s.state.Frontier()), s.blocks); err != nil {
		s.failed(err)
		return
	}
	if !s.claim.take(s.theirs.lacking, s.told) || s.told && s.overtaken() > maxOvertaken {
		s.Refuse(ReasonBusy, errBusy)
		return
	}
	if s.part == Answer && s.follows && s.outcome.Rounds == 0 {
		s.out = append(s.out, s.said)
	}
	s.stage = receiving
	if !s.told {
		s.tell()
	} else if s.part == Answer {
		s.locate()
	}
	switch {
	case s.part != Answer || s.stage == ended:
	case len(s.theirs.doubt) == 0:
		s.stage = sending
	default: // nothing can be sent before the opener has told its samples
		s.out = append(s.out, Done{s.state.Digest()})
	}
}

// overtaken counts blocks that came from others since this side told its
// FRONTIER, and that the peer, which told its own after that, will send.
func (s *Session) overtaken() (n uint64) {
	for _, p := range s.theirs.tips {
		if _, lacking := slices.BinarySearchFunc(s.theirs.lacking, p, dag.Pin.Compare); lacking {
			continue
		}
		had := uint64(0)
		for _, told := range [][]dag.Pin{s.stand.Tips, s.stand.Coming} {
			for _, t := range chainPins(told, p.Chain) {
				had = max(had, t.Seq+1)
			}
		}
		n += max(p.Seq+1, had) - had
	}
	return n
}

// again begins another round, if what the sides know of each other is not
// enough to tell what is missing.
func (s *Session) again() bool {
	if s.part == Answer || !s.theirs.open() {
		return false
	}
	if s.outcome.Rounds == maxRounds {
		s.Refuse(ReasonDamaged, damaged("no common history after %d FRONTIERs", maxRounds))
		return true
	}
	s.stage = awaitFrontier
	s.tell()
	return true
}

// take applies a chunk.
func (s *Session) take(ctx context.Context, r Range, stale bool) {
	chunk := r.bytes()
	if stale {
		s.waste(len(chunk))
		return
	}
	applied, err := s.blocks.Take(ctx, &s.in, chunk)
	s.outcome.Applied += len(applied.Blocks)
	s.outcome.Later += applied.Later
	s.outcome.Received += len(applied.Blocks) + applied.Known + applied.Later
	_, gap := errors.AsType[*dag.MissingError](err)
	switch {
	case gap && s.again():
		s.stale = true // what follows on the gap comes again, from where the chains part
	case gap && s.claim.waits():
		s.Refuse(ReasonBusy, errBusy) // another session fetches what is missing
	case gap:
		s.Refuse(ReasonGap, fmt.Errorf("apply blocks of the peer: %w", err))
	case errors.Is(err, dag.ErrRefused):
		s.Refuse(ReasonDamaged, fmt.Errorf("apply blocks of the peer: %w", err))
	case err != nil:
		s.Refuse(ReasonStore, fmt.Errorf("apply blocks of the peer: %w", err))
	case applied.Unvouched > 0:
		s.fault = fmt.Errorf("%w: %d blocks that nobody signed", dag.ErrRefused, applied.Unvouched)
		s.waste(len(chunk))
	case len(applied.Blocks) == 0:
		s.waste(len(chunk))
	}
}

// waste counts what came and was of no use: a little comes when two peers send
// the same, much only from one that does nothing else.
func (s *Session) waste(n int) {
	if s.useless += n + minUseless; s.useless > maxUseless {
		s.Refuse(ReasonDamaged, damaged("%d bytes of blocks that are here already, or cannot be", s.useless))
	}
}

func (s *Session) conclude(d Done) {
	s.outcome.Digest = d.Digest
	if s.stage == awaitDone {
		s.end(s.fault)
		return
	}
	if s.again() {
		return
	}
	if err := s.backed(); err != nil {
		s.failed(err)
		return
	}
	if s.part == Answer {
		s.out = append(s.out, Done{s.state.Digest()})
		s.end(s.fault)
		return
	}
	s.stage = sending
}

// backed notes whether the peer has sent what its FRONTIER names.
func (s *Session) backed() error {
	if s.fault != nil || s.claim.waits() || len(s.theirs.doubt) > 0 {
		return nil
	}
	if s.outcome.Later > 0 {
		s.fault = fmt.Errorf("%d blocks are left out: %w", s.outcome.Later, dag.ErrLater)
		return nil
	}
	known, err := s.blocks.Known(s.theirs.lacking)
	if i := slices.Index(known, false); err == nil && i >= 0 {
		s.fault = damaged("FRONTIER with %s, which did not come", s.theirs.lacking[i])
	}
	return err
}

func (s *Session) failed(err error) { s.Refuse(ReasonStore, fmt.Errorf("read our history: %w", err)) }

// fill puts the next chunk, or DONE, into out.
func (s *Session) fill(ctx context.Context) {
	if s.next == nil {
		// What came since counts too.
		if err := s.theirs.weigh(dag.PinsOf(s.state.Frontier()), s.blocks); err != nil {
			s.failed(err)
			return
		}
		s.next, s.stop = iter.Pull2(s.blocks.Chunks(ctx, s.theirs.known, s.outcome.Peer.Version > 1))
	}
	chunk, err, ok := s.next()
	switch {
	case ok && err != nil:
		s.Refuse(ReasonStore, fmt.Errorf("read blocks for the peer: %w", err))
		return
	case ok:
		s.outcome.Sent += chunk.Blocks
		s.out = append(s.out, Range{chunk.Parts})
		return
	}
	s.stopSending()
	s.out = append(s.out, Done{s.state.Digest()})
	s.stage = receiving
	if s.part != Answer {
		s.stage = awaitDone
	}
}
