package main

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	crdt "github.com/ipfs/go-ds-crdt"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// news carries announcements of heads over gossip. Other than go-ds-crdt's own broadcaster, it holds a long queue, does
// not hand a node its own announcements, and tells a peer that has just come the last head at once.
type news struct {
	self  peer.ID
	topic *pubsub.Topic
	sub   *pubsub.Subscription

	mu    sync.Mutex
	last  []byte    // what this node announced last
	first time.Time // when the first announcement of another node came
}

var _ crdt.Broadcaster = (*news)(nil)

// newNews joins the topic until the context ends.
func newNews(ctx context.Context, h host.Host) (*news, error) {
	ps, err := newPubsub(ctx, h)
	if err != nil {
		return nil, err
	}
	n := &news{self: h.ID()}
	if n.topic, err = ps.Join("bench"); err != nil {
		return nil, err
	}
	if n.sub, err = n.topic.Subscribe(pubsub.WithBufferSize(queue)); err != nil {
		return nil, err
	}
	peers, err := n.topic.EventHandler()
	if err != nil {
		return nil, err
	}
	go n.welcome(ctx, peers)
	return n, nil
}

// welcome announces the last head again when a peer comes.
func (n *news) welcome(ctx context.Context, peers *pubsub.TopicEventHandler) {
	for {
		event, err := peers.NextPeerEvent(ctx)
		if err != nil {
			return // the context has ended
		}
		n.mu.Lock()
		last := n.last
		n.mu.Unlock()
		if event.Type == pubsub.PeerJoin && last != nil {
			_ = n.publish(ctx, last) // it is told again every second
		}
	}
}

// Broadcast implements crdt.Broadcaster.
func (n *news) Broadcast(ctx context.Context, data []byte) error {
	n.mu.Lock()
	n.last = data
	n.mu.Unlock()
	return n.publish(ctx, data)
}

// stampSize is the length of the random bytes before the data of a message. They are its id: by its data alone, a head
// that is announced again would count as seen.
const stampSize = 16

func (n *news) publish(ctx context.Context, data []byte) error {
	message := make([]byte, stampSize, stampSize+len(data))
	_, _ = rand.Read(message) // never fails
	return n.topic.Publish(ctx, append(message, data...))
}

// identify returns the id of a message, from whatever bytes came.
func identify(m *pb.Message) string { return string(m.Data[:min(len(m.Data), stampSize)]) }

// newPubsub makes gossip with the settings that crush uses: no signatures, messages to every peer at once, long queues.
func newPubsub(ctx context.Context, h host.Host) (*pubsub.PubSub, error) {
	return pubsub.NewGossipSub(ctx, h,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(identify),
		pubsub.WithFloodPublish(true),
		pubsub.WithPeerOutboundQueueSize(queue),
		pubsub.WithValidateQueueSize(queue),
	)
}

// Next implements crdt.Broadcaster.
func (n *news) Next(ctx context.Context) ([]byte, error) {
	for {
		m, err := n.sub.Next(ctx)
		if err != nil {
			return nil, crdt.ErrNoMoreBroadcast
		}
		if m.ReceivedFrom == n.self || len(m.Data) < stampSize {
			continue
		}
		n.mu.Lock()
		if n.first.IsZero() {
			n.first = time.Now()
		}
		n.mu.Unlock()
		return m.Data[stampSize:], nil
	}
}

// heard returns when the first announcement of another node came.
func (n *news) heard() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.first
}
