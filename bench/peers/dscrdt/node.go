package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/go-datastore"
	crdt "github.com/ipfs/go-ds-crdt"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// What go-ds-crdt gets beyond its defaults, so that it shows what it can do.
const (
	// workers walk the DAG; the default is 5.
	workers = 50
	// rebroadcast is how soon heads that were lost are told again; the default is a minute.
	rebroadcast = time.Second
	// queue is how many announcements wait to be read and to be sent; the default is 32 for each.
	queue = 4096
)

// node is one replica with the parts that it needs: a libp2p host, pubsub, bitswap and a LevelDB.
type node struct {
	host     host.Host
	exchange *bitswap.Bitswap
	store    *store
	news     *news
	crdt     *crdt.Datastore
	cancel   context.CancelFunc // ends the goroutines of pubsub and news
}

// openNode opens the node in dir, with a new identity.
func openNode(ctx context.Context, dir string) (*node, error) {
	s, err := openStore(dir + "/store")
	if err != nil {
		return nil, err
	}
	h, err := newHost()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	n := &node{host: h, store: s, cancel: cancel}
	if n.news, err = newNews(ctx, h); err != nil {
		cancel()
		return nil, errors.Join(err, h.Close(), s.Close())
	}
	blocks := blockstore.NewBlockstore(s)
	n.exchange = bitswap.New(ctx, bsnet.NewFromIpfsHost(h), nil, blocks)
	options := crdt.DefaultOptions()
	options.NumWorkers = workers
	options.RebroadcastInterval = rebroadcast
	// The DAG service makes bitswap sessions, which go-ds-crdt uses if it can.
	service := merkledag.NewDAGService(blockservice.New(blocks, n.exchange))
	if n.crdt, err = crdt.New(s, datastore.NewKey(namespace), service, n.news, options); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

// close ends everything, the replica before what it stands on.
func (n *node) close() error {
	n.cancel()
	var err error
	if n.crdt != nil {
		err = n.crdt.Close()
	}
	return errors.Join(err, n.exchange.Close(), n.host.Close(), n.store.Close())
}

// newHost makes a host with the transport that crush prefers, on a free port of this machine.
func newHost() (host.Host, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	return libp2p.New(
		libp2p.Identity(key),
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Security(tls.ID, tls.New),
		libp2p.DefaultMuxers,
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.ForceReachabilityPublic(),
	)
}

func (n *node) address() string {
	return fmt.Sprintf("%s/p2p/%s", n.host.Addrs()[0], n.host.ID())
}

func (n *node) dial(ctx context.Context, address string) error {
	info, err := peer.AddrInfoFromString(address)
	if err != nil {
		return err
	}
	return n.host.Connect(ctx, *info)
}
