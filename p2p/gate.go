package p2p

import (
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"crush/dag"
)

// Gate is the member list. Implemented by dag.Graph. It is asked at every
// handshake and may be called from any goroutine.
type Gate interface {
	IsMember(id dag.NodeID) bool
}

// peerHeader starts the peer ID of an Ed25519 key: an identity multihash of
// 36 bytes that holds the protobuf header of the key.
const peerHeader = "\x00\x24\x08\x01\x12\x20"

func peerOf(id dag.NodeID) peer.ID { return peer.ID(peerHeader + string(id[:])) }

// nodeOf returns the node of a peer ID; false if its key is no Ed25519 key.
func nodeOf(p peer.ID) (id dag.NodeID, ok bool) {
	if len(p) != len(peerHeader)+len(id) || p[:len(peerHeader)] != peerHeader {
		return id, false
	}
	copy(id[:], p[len(peerHeader):])
	return id, true
}

// gatekeeper is libp2p's connection gater by the member list: every
// connection, in both directions, is judged when the handshake has proved who
// the other is.
type gatekeeper struct {
	members Gate
	log     *slog.Logger
	quiet   *quiet

	mu      sync.Mutex
	targets map[peer.ID]int // dialled on somebody's word, though not members
}

func newGatekeeper(members Gate, log *slog.Logger, q *quiet) *gatekeeper {
	return &gatekeeper{members: members, log: log, quiet: q, targets: make(map[peer.ID]int)}
}

// target lets this node dial p until the returned function is called.
func (g *gatekeeper) target(p peer.ID) (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.targets[p]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.targets[p]--; g.targets[p] == 0 {
			delete(g.targets, p)
		}
	}
}

func (g *gatekeeper) isTarget(p peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.targets[p] > 0
}

// isMember reports whether p is in the member list.
func (g *gatekeeper) isMember(p peer.ID) bool {
	id, ok := nodeOf(p)
	return ok && g.members.IsMember(id)
}

// allowed reports whether a connection to p, opened by this side or not, may
// stand.
func (g *gatekeeper) allowed(dir network.Direction, p peer.ID) bool {
	return g.isMember(p) || dir == network.DirOutbound && g.isTarget(p)
}

func (g *gatekeeper) InterceptPeerDial(p peer.ID) bool { return g.allowed(network.DirOutbound, p) }

func (g *gatekeeper) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

func (g *gatekeeper) InterceptAccept(network.ConnMultiaddrs) bool { return true }

func (g *gatekeeper) InterceptSecured(dir network.Direction, p peer.ID, addrs network.ConnMultiaddrs) bool {
	if g.allowed(dir, p) {
		return true
	}
	if g.quiet.due("stranger", p) {
		g.log.Warn("stranger refused: not in the member list", "peer", p.String(), "address", addrs.RemoteMultiaddr().String())
	}
	return false
}

func (g *gatekeeper) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// quiet keeps what a peer can cause from filling the log: one line a minute
// for each kind of event and peer, and some for all peers together, because
// whoever makes keys can be many peers.
type quiet struct {
	now func() time.Time

	mu    sync.Mutex
	said  map[quietKey]time.Time
	kinds map[string]quietKind
}

type quietKey struct {
	kind string
	peer peer.ID
}

// quietKind is how many lines of a kind were written since a time.
type quietKind struct {
	since time.Time
	lines int
}

const (
	quietFor   = time.Minute
	quietMax   = 1024 // keys that are remembered
	quietLines = 20   // of one kind in quietFor
)

func newQuiet(now func() time.Time) *quiet {
	return &quiet{now: now, said: make(map[quietKey]time.Time), kinds: make(map[string]quietKind)}
}

// due reports whether the event may be logged now.
func (q *quiet) due(kind string, p peer.ID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now, key := q.now(), quietKey{kind, p}
	recent := func(t time.Time) bool { return now.Sub(t) < quietFor && !now.Before(t) }
	if last, ok := q.said[key]; ok && recent(last) {
		return false
	}
	k := q.kinds[kind]
	if !recent(k.since) {
		k = quietKind{since: now}
	}
	if k.lines++; k.lines > quietLines {
		return false
	}
	if len(q.said) >= quietMax {
		maps.DeleteFunc(q.said, func(_ quietKey, last time.Time) bool { return !recent(last) })
	}
	if len(q.said) >= quietMax {
		return false
	}
	q.said[key], q.kinds[kind] = now, k
	return true
}
