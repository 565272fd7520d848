package p2p

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"

	"crush/dag"
)

// DefaultListen is where a node listens unless told otherwise.
func DefaultListen() []string {
	return []string{
		"/ip4/0.0.0.0/tcp/7655", "/ip4/0.0.0.0/udp/7655/quic-v1",
		"/ip6/::/tcp/7655", "/ip6/::/udp/7655/quic-v1",
	}
}

// Config says what a Host works on. Key, State, Blocks, Chains and Gate are
// needed.
type Config struct {
	Key    dag.NodeKey // the node's identity
	State  State
	Blocks Blocks
	Chains Chains
	Gate   Gate
	Judge  Judge // nil: signatures are checked when blocks are applied, not before gossip passes them on

	Bundles Bundles // nil: peers that ask for a single block are not answered

	Listen   []string // multiaddrs; nil: DefaultListen; empty: none
	Announce []string // multiaddrs told to peers besides those listened on
	Peers    []string // multiaddrs with /p2p/ID that are dialled for ever
	Book     Book     // keeps addresses of peers between runs; nil: nothing does
	MDNS     bool     // look for members on the local network, and be found there

	Logger      *slog.Logger     // nil: discard
	Clock       func() time.Time // wall clock told to peers; nil: time.Now
	SyncEvery   time.Duration    // with a random peer, ±25 %; 0: 10 s
	IdleTimeout time.Duration    // a peer that neither sends nor takes; 0: 60 s

	header  func(dag.Bundle) (dag.Header, error) // nil: dag.ReadHeader
	options []libp2p.Option                      // a simulated network; nil: the machine's own
	lose    func() bool                          // loses a gossip message that came; nil: none
}

// Validate names the first field that cannot be worked with.
func (c *Config) Validate() error {
	switch {
	case c.Key.IsZero():
		return errors.New("p2p config: Key: no key")
	case c.State == nil || c.Blocks == nil || c.Chains == nil || c.Gate == nil:
		return errors.New("p2p config: State, Blocks, Chains and Gate are needed")
	case c.SyncEvery < 0 || c.IdleTimeout < 0:
		return fmt.Errorf("p2p config: SyncEvery %v, IdleTimeout %v: negative", c.SyncEvery, c.IdleTimeout)
	}
	if err := c.ValidateAddresses(); err != nil {
		return fmt.Errorf("p2p config: %w", err)
	}
	return nil
}

// ValidateAddresses names the first of Listen, Announce and Peers that is no
// address. It needs nothing else of the config.
func (c *Config) ValidateAddresses() error {
	for _, a := range slices.Concat(c.Listen, c.Announce) {
		if _, err := ma.NewMultiaddr(a); err != nil {
			return fmt.Errorf("address %q: %w", a, err)
		}
	}
	for _, a := range c.Peers {
		if _, err := peer.AddrInfoFromString(a); err != nil {
			return fmt.Errorf("peer %q: %w", a, err)
		}
	}
	return nil
}

func (c *Config) setDefaults() {
	if c.Listen == nil {
		c.Listen = DefaultListen()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.SyncEvery == 0 {
		c.SyncEvery = 10 * time.Second
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = time.Minute
	}
	if c.header == nil {
		c.header = dag.ReadHeader
	}
}

// ErrStopped marks a wait for other nodes that ended with Run.
var ErrStopped = errors.New("this node's network is stopped")

// Host is this node's line to the others. All methods may be called from any
// goroutine; those that need the network wait until Run has opened it.
type Host struct {
	cfg         Config
	log         *slog.Logger
	id          dag.NodeID
	self        peer.ID
	quiet       *quiet
	gate        *gatekeeper
	roster      *roster
	plan        *plan
	slots       *slots
	fetches     *fetches
	dials       *dials
	outbox      *outbox
	gossip      *gossipParser
	questions   *questions
	heldStreams *heldStreams

	ready   chan struct{} // closed when net is set
	net     host.Host     // set once by Run
	stopped chan struct{} // closed when Run has returned

	mu       sync.Mutex
	closing  bool
	handlers sync.WaitGroup // stream handlers; added to under mu
}

// New validates the config and returns a host that does nothing until Run.
func New(cfg Config) (*Host, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	q := newQuiet(time.Now)
	h := &Host{
		cfg: cfg, log: cfg.Logger, id: cfg.Key.ID(), self: peerOf(cfg.Key.ID()), quiet: q,
		gate: newGatekeeper(cfg.Gate, cfg.Logger, q), roster: newRoster(), plan: newPlan(), slots: newSlots(), fetches: newFetches(),
		dials: newDials(), outbox: newOutbox(), gossip: newGossipParser(cfg.header), questions: newQuestions(), heldStreams: newHeldStreams(),
		ready: make(chan struct{}), stopped: make(chan struct{}),
	}
	for _, a := range cfg.Peers {
		h.dials.add(mustAddr(a), true)
	}
	return h, nil
}

// mustAddr parses an address that Validate has accepted.
func mustAddr(a string) peer.AddrInfo {
	info, err := peer.AddrInfoFromString(a)
	if err != nil {
		panic("p2p: validated address: " + err.Error())
	}
	return *info
}

// Run opens the network and works until the context ends, then closes it and
// returns nil after its last goroutine has ended. It is called once.
func (h *Host) Run(parent context.Context) error {
	defer close(h.stopped)
	g, ctx := errgroup.WithContext(parent)
	if err := h.open(ctx); err != nil {
		return err
	}
	close(h.ready)
	g.Go(func() error { return h.runGossip(ctx) })
	g.Go(func() error { return h.runSync(ctx) })
	g.Go(func() error { return h.runDials(ctx) })
	g.Go(func() error { return h.runMembers(ctx) })
	g.Go(func() error { return h.runHeld(ctx) })
	g.Go(func() error { return h.runLag(ctx) })
	g.Go(func() error { return h.runIdentified(ctx) })
	g.Go(func() error { return h.runPeers(ctx) })
	g.Go(func() error { return h.runMDNS(ctx) })
	err := g.Wait()
	h.mu.Lock()
	h.closing = true
	h.mu.Unlock()
	closeErr := h.net.Close()
	h.handlers.Wait()
	h.saveBook()
	if parent.Err() != nil {
		return nil
	}
	return errors.Join(err, closeErr)
}

// Ready is closed when Run listens.
func (h *Host) Ready() <-chan struct{} { return h.ready }

// ID returns this node's id.
func (h *Host) ID() dag.NodeID { return h.id }

// Addresses returns where peers can reach this node, as multiaddrs with
// /p2p/ID; nil before Ready.
func (h *Host) Addresses() []string {
	select {
	case <-h.ready:
	default:
		return nil
	}
	var addrs []string
	for _, a := range h.net.Addrs() {
		addrs = append(addrs, a.String()+"/p2p/"+h.self.String())
	}
	return addrs
}

// Peers returns what is known of the other nodes, sorted by id.
func (h *Host) Peers() []PeerState {
	ours := h.cfg.State.Digest()
	states := []PeerState{}
	for _, e := range h.roster.all() {
		s := e.PeerState
		s.InSync = e.told && e.digest == ours
		var err error
		if s.Lag, err = h.lag(e, ours); err != nil && h.quiet.due("lag", "") {
			h.log.Error("lag not known: our store failed", "cause", err)
		}
		states = append(states, s)
	}
	return states
}

// open makes the libp2p host and listens. At least one address must work.
func (h *Host) open(ctx context.Context) error {
	seed := h.cfg.Key.Seed()
	node, err := newNode(ed25519.NewKeyFromSeed(seed[:]), h.gate, h.cfg.Announce, h.cfg.options...)
	if err != nil {
		return fmt.Errorf("open network: %w", err)
	}
	h.net = node
	if err := h.loadBook(); err != nil {
		h.log.Warn("addresses of peers forgotten", "cause", err)
	}
	node.Network().Notify(&network.NotifyBundle{ConnectedF: h.connected, DisconnectedF: h.disconnected})
	node.SetStreamHandler(syncProtocol, func(s network.Stream) { h.answer(ctx, s) })
	node.SetStreamHandler(heldProtocol, func(s network.Stream) { h.answerHeld(ctx, s) })
	node.SetStreamHandler(peersProtocol, h.answerPeers)
	if h.cfg.Bundles != nil {
		node.SetStreamHandler(blockProtocol, h.answerBlock)
	}
	var failed []error
	for _, a := range h.cfg.Listen {
		addr, err := ma.NewMultiaddr(a)
		if err == nil {
			err = node.Network().Listen(addr)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("listen on %s: %w", a, err))
			h.log.Warn("not listening", "address", a, "cause", err)
		}
	}
	if len(failed) > 0 && len(failed) == len(h.cfg.Listen) {
		node.Close()
		return errors.Join(failed...)
	}
	return nil
}

// runMembers closes connections to nodes that are members no more.
func (h *Host) runMembers(ctx context.Context) error {
	for {
		changed := h.cfg.State.Changed()
		for _, c := range h.net.Network().Conns() {
			p := c.RemotePeer()
			if h.gate.isTarget(p) || h.trusts(p) {
				continue
			}
			h.log.Info("connection closed: not in the member list", "peer", p.String())
			h.net.Network().ClosePeer(p)
		}
		h.dials.signal() // new members can be dialled
		if err := waitBoth(ctx, changed, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// waitBoth waits for the channel, and at least for the duration.
func waitBoth(ctx context.Context, changed <-chan struct{}, least time.Duration) error {
	timer := time.NewTimer(least)
	defer timer.Stop()
	for _, c := range []func() error{
		func() error { return waitFor(ctx, changed) },
		func() error { return waitFor(ctx, timer.C) },
	} {
		if err := c(); err != nil {
			return err
		}
	}
	return nil
}

func waitFor[T any](ctx context.Context, c <-chan T) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// connected and disconnected are libp2p's notifications; they must not block.
func (h *Host) connected(_ network.Network, c network.Conn) {
	p, now := c.RemotePeer(), time.Now()
	h.roster.update(p, func(e *peerEntry) {
		e.Connected, e.LastSeen = true, h.cfg.Clock()
		e.connects++
	})
	h.questions.signal()
	if !h.trusts(p) {
		return // visited, see Hello and SyncWith
	}
	if c.Stat().Direction != network.DirOutbound {
		// The side that dialled syncs. If it does not, this one does.
		now = now.Add(time.Second + rand.N(time.Second))
	}
	h.plan.forget(p)
	h.plan.want(p, now)
}

// trusts reports whether this node dials and syncs with p by itself: with
// members, and with whom its config and its book name while it is not in its
// own member list. So a join that was interrupted goes on, whatever part of
// the list has come.
func (h *Host) trusts(p peer.ID) bool {
	return h.gate.isMember(p) || !h.gate.isMember(h.self) && h.dials.knows(p)
}

func (h *Host) disconnected(n network.Network, c network.Conn) {
	p := c.RemotePeer()
	if n.Connectedness(p) == network.Connected {
		return
	}
	h.plan.forget(p)
	h.dials.dropped(p, time.Now())
	if h.trusts(p) {
		h.roster.update(p, func(e *peerEntry) { e.Connected, e.LastSeen = false, h.cfg.Clock() })
	} else {
		h.roster.remove(p)
	}
	h.questions.signal()
}

// greeted notes a HELLO: the line works in both directions.
func (h *Host) greeted(p peer.ID, hello Hello, skew time.Duration) {
	h.learnAddresses(p)
	first := false
	h.roster.update(p, func(e *peerEntry) {
		first = !e.told
		e.digest, e.told, e.ClockSkew, e.LastSeen = hello.Digest, true, skew, h.cfg.Clock()
	})
	if first {
		h.questions.signal()
	}
	h.noteEqual(p, hello.Digest)
	if h.dials.reached(p) {
		h.log.Info("peer reached", "peer", p.String())
	}
}
