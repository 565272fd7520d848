package p2p

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	peersTimeout = 5 * time.Second        // to ask a peer
	peersRest    = 100 * time.Millisecond // between two rounds of asking
	peersAgain   = 5 * time.Minute        // ±50 %, then any of them is asked again
)

// runPeers asks each member, once it is connected and known as one, where the
// others are, and any of them again now and then, until the context ends. So whoever joins by one address finds all, and two that
// moved at once find each other by a third.
func (h *Host) runPeers(ctx context.Context) error {
	asked := make(map[peer.ID]int) // the connection on which each was asked, by its number
	again := time.Now().Add(peersAgain)
	for {
		changed, connected := h.cfg.State.Changed(), h.questions.changed()
		peers := slices.DeleteFunc(h.roster.connected(), func(p peer.ID) bool { return !h.gate.isMember(p) })
		if now := time.Now(); !now.Before(again) {
			if len(peers) > 0 {
				delete(asked, peers[rand.IntN(len(peers))])
			}
			again = now.Add(time.Duration((0.5 + rand.Float64()) * float64(peersAgain)))
		}
		for _, p := range peers {
			e, ok := h.roster.get(p)
			if !ok || !e.told || asked[p] == e.connects {
				continue
			}
			asked[p] = e.connects
			if err := h.askForPeers(ctx, p); err != nil && ctx.Err() == nil {
				h.log.Debug("asking for addresses failed", "peer", p.String(), "cause", err)
			}
		}
		if err := waitFor(ctx, time.After(peersRest)); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-connected:
		case <-time.After(time.Until(again)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// askForPeers asks a peer where other members are and dials them.
func (h *Host) askForPeers(ctx context.Context, p peer.ID) error {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "peers"), peersTimeout)
	defer cancel()
	stream, err := h.net.NewStream(ctx, p, peersProtocol)
	if err != nil {
		return err
	}
	defer stream.Reset()
	defer context.AfterFunc(ctx, func() { stream.Reset() })()
	if err := stream.CloseWrite(); err != nil {
		return err
	}
	raw, err := io.ReadAll(io.LimitReader(stream, maxPeers+1))
	if err != nil {
		return err
	}
	infos, err := parsePeers(raw)
	if err != nil {
		if h.quiet.due("peers", p) {
			h.log.Warn("addresses refused: damaged bytes from the peer", "peer", p.String(), "cause", err)
		}
		return err
	}
	for _, info := range infos {
		h.heard(info)
	}
	return nil
}

// heard dials a member that somebody told of soon, unless it is connected.
// Nothing is kept of others.
func (h *Host) heard(info peer.AddrInfo) {
	if h.gate.isMember(info.ID) && info.ID != h.self {
		h.dials.hear(info, time.Now())
	}
}

// answerPeers is libp2p's handler of a stream on which a peer asks for
// addresses.
func (h *Host) answerPeers(stream network.Stream) {
	if !h.enter() {
		stream.Reset()
		return
	}
	defer h.handlers.Done()
	if err := h.tellPeers(stream); err != nil {
		stream.Reset()
		return
	}
	stream.Close() // Reset would take back what is on its way
}

var errNoQuestion = errors.New("no stranger, and nothing but the end of the stream, is answered")

func (h *Host) tellPeers(stream network.Stream) error {
	p := stream.Conn().RemotePeer()
	stream.SetDeadline(time.Now().Add(peersTimeout))
	if n, err := stream.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) || !h.gate.isMember(p) {
		return errNoQuestion
	}
	_, err := stream.Write(h.knownPeers(p, stream.Conn().RemoteMultiaddr()))
	return err
}

// knownPeers is what a peer that connects from an address is told: where the
// members are that are connected, then where others were.
func (h *Host) knownPeers(to peer.ID, from ma.Multiaddr) (raw []byte) {
	entries := h.roster.all()
	slices.SortStableFunc(entries, func(a, b peerEntry) int { return compareNodes(a.Node, b.Node) })
	here := manet.IsIPLoopback(from)
	for _, e := range entries {
		p := peerOf(e.Node)
		if p == to || !h.gate.isMember(p) {
			continue
		}
		raw = appendPeer(raw, e.Node, reachable(e.Addresses, here))
	}
	return raw
}

// reachable parses addresses and leaves out those that mean something else on
// another machine, unless it is the same.
func reachable(texts []string, here bool) (addrs []ma.Multiaddr) {
	for _, s := range texts {
		a, err := ma.NewMultiaddr(s)
		if err != nil || manet.IsIPUnspecified(a) || !here && (manet.IsIPLoopback(a) || manet.IsIP6LinkLocal(a)) {
			continue
		}
		addrs = append(addrs, a)
	}
	return addrs
}
