package p2p

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"crush/dag"
)

// PeerState is what is known of another node.
type PeerState struct {
	Node      dag.NodeID
	Connected bool
	Addresses []string // multiaddrs without /p2p
	// InSync is true when the frontier that the peer last told equals ours.
	InSync bool
	// ClockSkew is the peer's clock less ours, at the last HELLO.
	ClockSkew time.Duration
	LastSeen  time.Time // zero: not since this node started
	Sent      uint64    // blocks sent to it by sync
	Received  uint64    // blocks received from it by sync
	Lag       Lag
}

// roster is what this node knows of its peers. Its methods may be called from
// any goroutine. Only members and dialled peers get in, so it is bounded by
// the member list.
type roster struct {
	mu    sync.Mutex
	peers map[peer.ID]*peerEntry
	dirty bool // addresses changed since they were saved
}

type peerEntry struct {
	PeerState
	told     bool // Digest is set
	digest   dag.Digest
	base     []dag.Pin // the frontier that the peer last told, or is known to have had; nil: none; never changed
	held     []dag.Tip // what it has said to hold since, the newest last
	connects int       // how often it was connected
}

// maxAddrs is the number of addresses remembered for a peer.
const maxAddrs = 8

func newRoster() *roster { return &roster{peers: make(map[peer.ID]*peerEntry)} }

func (r *roster) entryLocked(p peer.ID) *peerEntry {
	e := r.peers[p]
	if e == nil {
		e = &peerEntry{}
		e.Node, _ = nodeOf(p)
		r.peers[p] = e
	}
	return e
}

// update changes a peer's entry under the roster's lock.
func (r *roster) update(p peer.ID, change func(*peerEntry)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r.entryLocked(p))
}

// get returns a copy of a peer's entry.
func (r *roster) get(p peer.ID) (e peerEntry, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if found := r.peers[p]; found != nil {
		e = *found
		e.held = slices.Clone(e.held)
		return e, true
	}
	return e, false
}

// holds notes that a peer has a block, and all before it.
func (r *roster) holds(p peer.ID, t dag.Tip) { r.update(p, func(e *peerEntry) { e.hold(t) }) }

// learn adds addresses, newest first.
func (r *roster) learn(p peer.ID, addrs ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entryLocked(p)
	merged := slices.Clone(addrs)
	for _, a := range e.Addresses {
		if !slices.Contains(merged, a) {
			merged = append(merged, a)
		}
	}
	merged = merged[:min(len(merged), maxAddrs)]
	if !slices.Equal(slices.Sorted(slices.Values(merged)), slices.Sorted(slices.Values(e.Addresses))) {
		r.dirty = true
	}
	e.Addresses = merged
}

// remove forgets a peer.
func (r *roster) remove(p peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.peers[p]; ok {
		delete(r.peers, p)
		r.dirty = true
	}
}

// unsaved returns all addresses with /p2p/ID if they changed since the last
// call.
func (r *roster) unsaved() (addrs []string, dirty bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.dirty {
		return nil, false
	}
	r.dirty = false
	for p, e := range r.peers {
		for _, a := range e.Addresses {
			addrs = append(addrs, a+"/p2p/"+p.String())
		}
	}
	return addrs, true
}

// connected returns the peers that a connection stands to.
func (r *roster) connected() []peer.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []peer.ID
	for p, e := range r.peers {
		if e.Connected {
			ids = append(ids, p)
		}
	}
	return ids
}

// all returns copies of all entries, sorted by node.
func (r *roster) all() []peerEntry {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries := make([]peerEntry, 0, len(r.peers))
	for _, e := range r.peers {
		c := *e
		c.Addresses, c.held = slices.Clone(e.Addresses), slices.Clone(e.held)
		entries = append(entries, c)
	}
	slices.SortFunc(entries, func(a, b peerEntry) int { return strings.Compare(a.Node.String(), b.Node.String()) })
	return entries
}
