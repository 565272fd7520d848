package p2p

import (
	"crypto/ed25519"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

// newNode makes a libp2p host that does what is needed here and nothing else:
// TCP with TLS and QUIC, no relay, no address discovery, no hole punching, no
// services but identify. It does not listen yet. More options come last.
func newNode(key ed25519.PrivateKey, gate connmgr.ConnectionGater, announce []string, more ...libp2p.Option) (host.Host, error) {
	id, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		return nil, err
	}
	limits, err := limiter()
	if err != nil {
		return nil, err
	}
	var announced []ma.Multiaddr
	for _, s := range announce {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, err
		}
		announced = append(announced, a)
	}
	return libp2p.New(append([]libp2p.Option{
		libp2p.Identity(id),
		libp2p.UserAgent("crush"),
		libp2p.NoListenAddrs,
		// Two daemons must not share a port without noticing.
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Transport(quic.NewTransport),
		libp2p.Security(tls.ID, tls.New),
		libp2p.DefaultMuxers,
		libp2p.ConnectionGater(gate),
		libp2p.ConnectionManager(connmgr.NullConnMgr{}),
		libp2p.ResourceManager(limits),
		libp2p.AddrsFactory(func(own []ma.Multiaddr) []ma.Multiaddr {
			return append(own[:len(own):len(own)], announced...)
		}),
		libp2p.SwarmOpts(swarm.WithDialRanker(rank)),
		libp2p.WithDialTimeout(dialTimeout),
		libp2p.Ping(false),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.ForceReachabilityPublic(), // a fixed answer, so that nothing probes
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.IPv6BlackHoleSuccessCounter(nil),
	}, more...)...)
}

// rank dials TCP first: here it carries two to three times as much as QUIC,
// and answers in half the time.
func rank(addrs []ma.Multiaddr) []network.AddrDelay {
	tcp := func(a ma.Multiaddr) bool {
		_, err := a.ValueForProtocol(ma.P_TCP)
		return err == nil
	}
	some := slices.ContainsFunc(addrs, tcp)
	var ranked []network.AddrDelay
	for _, a := range addrs {
		d := network.AddrDelay{Addr: a}
		if some && !tcp(a) {
			d.Delay = 300 * time.Millisecond
		}
		ranked = append(ranked, d)
	}
	return ranked
}

// limiter bounds what all peers together and each one alone can take of this
// process. A stranger has only the transient share, until its handshake.
func limiter() (network.ResourceManager, error) {
	scaled := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaled)
	limits := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Memory: 256 << 20, FD: 512,
			Conns: 512, ConnsInbound: 384, ConnsOutbound: 256,
			Streams: 4096, StreamsInbound: 2048, StreamsOutbound: 4096,
		},
		Transient: rcmgr.ResourceLimits{
			Memory: 16 << 20, FD: 128,
			Conns: 128, ConnsInbound: 96, ConnsOutbound: 64,
			Streams: 256, StreamsInbound: 128, StreamsOutbound: 256,
		},
		PeerDefault: rcmgr.ResourceLimits{
			Memory: 64 << 20, FD: 8,
			Conns: 8, ConnsInbound: 8, ConnsOutbound: 8,
			Streams: 64, StreamsInbound: 32, StreamsOutbound: 64,
		},
	}
	return rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(limits.Build(scaled.Scale(256<<20, 512))),
		rcmgr.WithMetricsDisabled(),
		// Many nodes behind one address are a site, not an attack: only
		// members pass the handshake.
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: 256}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 64, ConnCount: 256}},
		),
	)
}
