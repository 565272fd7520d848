package p2p

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"
)

const (
	dialTimeout  = 10 * time.Second
	dialMin      = 500 * time.Millisecond
	dialMax      = 30 * time.Second // what a network that is back may wait for its nodes
	maxDials     = 16               // at a time; those to addresses that do not answer take long
	maxDialAddrs = 16
	maxHeard     = 4  // addresses of a peer on somebody else's word
	sayAfter     = 3  // dials, before the log says that a configured peer is not reached
	enoughPeers  = 16 // with so many connected, remembered addresses rest
	saveEvery    = 5 * time.Second
)

// dials says whom to dial when. It has no clock and no goroutine; its methods
// may be called from any goroutine. Wake receives after every change.
type dials struct {
	wake chan struct{}

	mu      sync.Mutex
	targets map[peer.ID]*dialTarget
}

type dialTarget struct {
	info    peer.AddrInfo // proved, or from config and book
	static  bool          // named in the config: dialled for ever
	heard   []ma.Multiaddr
	running bool
	tries   int // since the last HELLO
	said    bool
	due     time.Time
}

func newDials() *dials {
	return &dials{wake: make(chan struct{}, 1), targets: make(map[peer.ID]*dialTarget)}
}

func (d *dials) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// add adds addresses of a peer.
func (d *dials) add(info peer.AddrInfo, static bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.targets[info.ID]
	if t == nil {
		t = &dialTarget{info: peer.AddrInfo{ID: info.ID}}
		d.targets[info.ID] = t
	}
	t.static = t.static || static
	for _, a := range info.Addrs {
		if !slices.ContainsFunc(t.info.Addrs, a.Equal) {
			t.info.Addrs = append(t.info.Addrs, a)
		}
	}
	if over := len(t.info.Addrs) - maxDialAddrs; over > 0 && !t.static {
		t.info.Addrs = slices.Delete(t.info.Addrs, 0, over)
	}
}

// hear adds addresses of a peer on the word of somebody who need not know:
// they take no place from those that it was reached at. A new one is tried
// soon, however often the others failed.
func (d *dials) hear(info peer.AddrInfo, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.targets[info.ID]
	if t == nil {
		t = &dialTarget{info: peer.AddrInfo{ID: info.ID}}
		d.targets[info.ID] = t
	}
	fresh := false
	for _, a := range info.Addrs[:min(len(info.Addrs), maxHeard)] {
		if !slices.ContainsFunc(t.info.Addrs, a.Equal) && !slices.ContainsFunc(t.heard, a.Equal) {
			t.heard, fresh = append(t.heard, a), true
		}
	}
	if over := len(t.heard) - maxHeard; over > 0 {
		t.heard = slices.Delete(t.heard, 0, over)
	}
	if soon := now.Add(dialMin); fresh && t.due.After(soon) {
		t.due = soon
	}
	if fresh {
		d.signal()
	}
}

// knows reports whether the peer is a target.
func (d *dials) knows(p peer.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.targets[p] != nil
}

// reached notes that a peer has said HELLO: the next dial comes soon after the
// connection drops. A connection alone proves nothing: the other side may
// still refuse it. It reports whether done had said that it was not reached.
func (d *dials) reached(p peer.ID) (again bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.targets[p]; t != nil {
		again = t.said
		t.tries, t.said = 0, false
	}
	return again
}

// dropped notes that no connection stands any more.
func (d *dials) dropped(p peer.ID, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.targets[p]; t != nil {
		t.due = now.Add(backoff(dialMin, dialMax, t.tries, rand.Float64()))
		d.signal()
	}
}

// start returns a peer to dial now and marks it running; else how long to
// wait, at most limit. Only peers that wanted agrees to are dialled.
func (d *dials) start(now time.Time, limit time.Duration, wanted func(p peer.ID, static bool) bool) (info peer.AddrInfo, wait time.Duration, ok bool) {
	wait = limit
	for _, t := range d.resting() {
		if !wanted(t.info.ID, t.static) {
			continue
		}
		if at := t.due.Sub(now); at > 0 {
			wait = min(wait, at)
			continue
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.targets[t.info.ID].running = true
		return t.info, 0, true
	}
	return info, wait, false
}

// resting returns copies of the targets that are not being dialled; none if
// enough others are.
func (d *dials) resting() []dialTarget {
	d.mu.Lock()
	defer d.mu.Unlock()
	var resting []dialTarget
	for _, t := range d.targets {
		if !t.running {
			c := *t
			c.info.Addrs = slices.Concat(t.info.Addrs, t.heard)
			resting = append(resting, c)
		}
	}
	if len(d.targets)-len(resting) >= maxDials {
		return nil
	}
	return resting
}

// done ends a dial. It reports, once until the peer is reached, that a
// configured one is not.
func (d *dials) done(p peer.ID, now time.Time) (unreached bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.targets[p]
	if t == nil {
		return false
	}
	unreached = t.static && !t.said && t.tries == sayAfter
	t.said = t.said || unreached
	t.running = false
	t.due = now.Add(backoff(dialMin, dialMax, t.tries, rand.Float64()))
	t.tries++
	d.signal()
	return unreached
}

// runDials keeps dialling until the context ends.
func (h *Host) runDials(ctx context.Context) error {
	var running errgroup.Group
	defer running.Wait()
	saved := time.Now()
	for {
		if time.Since(saved) > saveEvery {
			h.saveBook()
			saved = time.Now()
		}
		connected := len(h.roster.connected())
		info, wait, ok := h.dials.start(time.Now(), saveEvery, func(p peer.ID, static bool) bool {
			return h.wantsDial(p, static, connected)
		})
		if ok {
			running.Go(func() error {
				h.dial(ctx, info)
				return nil
			})
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-h.dials.wake:
		case <-ctx.Done():
		}
		if timer.Stop(); ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// wantsDial reports whether a peer is to be dialled now.
func (h *Host) wantsDial(p peer.ID, static bool, connected int) bool {
	if p == h.self || h.net.Network().Connectedness(p) == network.Connected {
		return false
	}
	return (static || connected < enoughPeers) && h.trusts(p)
}

func (h *Host) dial(ctx context.Context, info peer.AddrInfo) {
	if !h.gate.isMember(info.ID) { // see trusts
		defer h.gate.target(info.ID)()
	}
	err := h.connect(ctx, info)
	unreached := h.dials.done(info.ID, time.Now())
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		err = errors.New("it closes the connection; is this node a member there?")
	} else {
		h.log.Debug("dial failed", "peer", info.ID.String(), "cause", err)
	}
	if unreached {
		h.log.Warn("peer not reached; it is dialled on", "peer", info.ID.String(), "cause", oneLine(err))
	}
}

// oneLine is the text of an error without line breaks: libp2p lists what it
// tried on lines of their own.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// runIdentified keeps what peers that have said HELLO tell of their addresses
// after it, until the context ends.
func (h *Host) runIdentified(ctx context.Context) error {
	told, err := h.net.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return err
	}
	defer told.Close()
	for {
		select {
		case e := <-told.Out():
			p := e.(event.EvtPeerIdentificationCompleted).Peer
			if known, _ := h.roster.get(p); known.told {
				h.learnAddresses(p)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// learnAddresses remembers where a connected peer is: first where it was
// reached, then what it says.
func (h *Host) learnAddresses(p peer.ID) {
	var addrs []ma.Multiaddr
	for _, c := range h.net.Network().ConnsToPeer(p) {
		if c.Stat().Direction == network.DirOutbound {
			addrs = append(addrs, c.RemoteMultiaddr())
		}
	}
	for _, a := range h.net.Peerstore().Addrs(p) {
		if !slices.ContainsFunc(addrs, a.Equal) {
			addrs = append(addrs, a)
		}
	}
	h.roster.learn(p, texts(addrs)...)
	h.dials.add(peer.AddrInfo{ID: p, Addrs: addrs}, false)
}

// connect dials a peer unless a connection stands, without waiting for the
// swarm's own back-off.
func (h *Host) connect(ctx context.Context, info peer.AddrInfo) error {
	if s, ok := h.net.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		s.Backoff().Clear(info.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return h.net.Connect(ctx, info)
}

// loadBook makes dial targets of the remembered addresses. Lines that do not
// parse are dropped.
func (h *Host) loadBook() error {
	if h.cfg.Book == nil {
		return nil
	}
	addrs, err := h.cfg.Book.Load()
	if err != nil {
		return err
	}
	for _, a := range addrs {
		info, err := peer.AddrInfoFromString(a)
		if err != nil || info.ID == h.self {
			continue
		}
		h.dials.add(*info, false)
		if h.trusts(info.ID) {
			h.roster.learn(info.ID, texts(info.Addrs)...)
		}
	}
	return nil
}

// saveBook writes the addresses if they have changed.
func (h *Host) saveBook() {
	addrs, dirty := h.roster.unsaved()
	if !dirty || h.cfg.Book == nil {
		return
	}
	if err := h.cfg.Book.Save(addrs); err != nil {
		h.log.Warn("addresses of peers not saved", "cause", err)
	}
}

func texts(addrs []ma.Multiaddr) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}
