package p2p

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"crush/dag"
)

const (
	maxInline    = 16 << 10 // body of an inline message
	gossipQueue  = 1024     // messages
	outboxBytes  = 16 << 20
	batchBlocks  = 256 // applied at once
	hintWait     = 500 * time.Millisecond
	orphanSweep  = 100 * time.Millisecond
	gossipPrefix = "crush/1/"
)

// A gossipMessage carries new blocks, or the name of one that is too big.
type gossipMessage struct {
	kind   gossipKind
	digest dag.Digest
	blocks []block     // inline
	head   dag.BlockID // the last block, also of inline messages
}

// headers are those of the blocks that are inline.
func (m *gossipMessage) headers() []dag.Header {
	headers := make([]dag.Header, len(m.blocks))
	for i, b := range m.blocks {
		headers[i] = b.Header
	}
	return headers
}

type gossipKind uint8

const (
	gossipInline gossipKind = 1
	gossipHead   gossipKind = 2
)

const gossipFixed = 1 + 16

func appendInline(digest dag.Digest, bundles []dag.Bundle) []byte {
	return appendChunk(append([]byte{byte(gossipInline)}, digest[:]...), bundles)
}

func appendHead(digest dag.Digest, head dag.BlockID) []byte {
	return append(append([]byte{byte(gossipHead)}, digest[:]...), head[:]...)
}

// parseGossip decodes a message and the headers of its blocks. The bundles
// alias b. Its errors are errDamaged, or dag.ErrLater, which is nobody's fault.
func parseGossip(b []byte, header func(dag.Bundle) (dag.Header, error)) (gossipMessage, error) {
	if len(b) < gossipFixed || len(b) > gossipFixed+maxInline {
		return gossipMessage{}, damaged("gossip of %d bytes", len(b))
	}
	m := gossipMessage{kind: gossipKind(b[0]), digest: dag.Digest(b[1:gossipFixed])}
	body := b[gossipFixed:]
	switch {
	case m.kind == gossipHead && len(body) == len(m.head):
		copy(m.head[:], body)
		return m, nil
	case m.kind != gossipInline:
		return gossipMessage{}, damaged("gossip of kind %d with %d bytes", b[0], len(body))
	}
	bundles, err := parseChunk(body)
	if err != nil {
		return gossipMessage{}, err
	}
	for _, bundle := range bundles {
		h, err := header(bundle)
		if errors.Is(err, dag.ErrLater) {
			return gossipMessage{}, err
		}
		if err != nil {
			return gossipMessage{}, fmt.Errorf("%w: %w", errDamaged, err)
		}
		m.blocks = append(m.blocks, block{h, bundle})
		m.head = h.ID
	}
	return m, nil
}

// parsedMax is how many parsed messages are remembered, of at most maxInline
// bytes each.
const parsedMax = 128

// gossipParser parses messages and remembers the last of them: pubsub asks for
// the id of a message several times, and for its verdict once more, and each
// answer would decode and hash every block in it. Its methods may be called
// from any goroutine.
type gossipParser struct {
	header func(dag.Bundle) (dag.Header, error)

	mu     sync.Mutex
	parsed map[[sha256.Size]byte]gossipVerdict
	order  [][sha256.Size]byte // oldest first
}

type gossipVerdict struct {
	message gossipMessage
	err     error
}

func newGossipParser(header func(dag.Bundle) (dag.Header, error)) *gossipParser {
	return &gossipParser{header: header, parsed: map[[sha256.Size]byte]gossipVerdict{}}
}

func (p *gossipParser) parse(b []byte) (gossipMessage, error) {
	sum := sha256.Sum256(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := p.parsed[sum]; ok {
		return v.message, v.err
	}
	var v gossipVerdict
	v.message, v.err = parseGossip(b, p.header)
	if len(p.order) == parsedMax {
		delete(p.parsed, p.order[0])
		p.order = p.order[1:]
	}
	p.parsed[sum], p.order = v, append(p.order, sum)
	return v.message, v.err
}

// id is the message's kind, the id of its last block and, of an inline one, a
// hash of the body: signatures are no part of a block's id, and a copy with a
// bad one must not take the place of the good.
func (p *gossipParser) id(b []byte) string {
	m, err := p.parse(b)
	if err != nil {
		sum := sha256.Sum256(b)
		return "bad" + string(sum[:])
	}
	id := string(byte(m.kind)) + string(m.head[:])
	if m.kind == gossipInline {
		sum := sha256.Sum256(b[gossipFixed:])
		id += string(sum[:8])
	}
	return id
}

// outbox keeps what was announced until it is published. Its methods may be
// called from any goroutine. Wake receives after every put.
type outbox struct {
	wake chan struct{}

	mu      sync.Mutex
	batches [][]dag.Bundle
	bytes   int
	dropped uint64
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

// put keeps a batch; when too much waits already it is dropped, which sync
// makes good.
func (o *outbox) put(bundles []dag.Bundle) {
	size := 0
	for _, b := range bundles {
		size += chunkSize(b)
	}
	if size > maxInline {
		bundles = bundles[len(bundles)-1:] // only the head is told
		size = chunkSize(bundles[0])
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.batches) >= gossipQueue || o.bytes+size > outboxBytes && o.bytes > 0 {
		o.dropped++
		return
	}
	o.batches, o.bytes = append(o.batches, bundles), o.bytes+size
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take returns what fits one message: batches that can stand inline together,
// or one block that is too big.
func (o *outbox) take() []dag.Bundle {
	o.mu.Lock()
	defer o.mu.Unlock()
	var bundles []dag.Bundle
	size := 0
	for len(o.batches) > 0 {
		next := 0
		for _, b := range o.batches[0] {
			next += chunkSize(b)
		}
		if len(bundles) > 0 && size+next > maxInline {
			break
		}
		bundles, size = append(bundles, o.batches[0]...), size+next
		o.batches = o.batches[1:]
	}
	o.bytes -= size
	return bundles
}

// Announce tells the peers of blocks that this node has written, in one batch
// or in the order of writing. It never waits. It keeps the bundles.
func (h *Host) Announce(bundles ...dag.Bundle) {
	if len(bundles) > 0 {
		h.outbox.put(bundles)
	}
}

// runGossip takes part in the topic of the cluster until the context ends,
// also when the cluster becomes known or another one.
func (h *Host) runGossip(ctx context.Context) error {
	ps, err := pubsub.NewGossipSub(ctx, h.net, h.gossipOptions()...)
	if err != nil {
		return fmt.Errorf("start gossip: %w", err)
	}
	for {
		changed, cluster := h.cfg.State.Changed(), h.cfg.State.Cluster()
		if cluster.IsZero() {
			if err := waitFor(ctx, changed); err != nil {
				return err
			}
			continue
		}
		if err := h.runTopic(ctx, ps, cluster); err != nil {
			return err
		}
	}
}

func (h *Host) gossipOptions() []pubsub.Option {
	params := pubsub.DefaultGossipSubParams()
	params.HeartbeatInterval = 250 * time.Millisecond
	params.HistoryLength, params.HistoryGossip = 20, 12
	topics := pubsub.NewRegexpSubscriptionFilter(regexp.MustCompile("^" + gossipPrefix))
	return []pubsub.Option{
		pubsub.WithGossipSubParams(params),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(func(m *pb.Message) string { return h.gossip.id(m.GetData()) }),
		pubsub.WithFloodPublish(true),
		pubsub.WithPeerOutboundQueueSize(gossipQueue),
		pubsub.WithValidateQueueSize(gossipQueue),
		pubsub.WithValidateWorkers(1), // keeps the order of arrival
		pubsub.WithSubscriptionFilter(pubsub.WrapLimitSubscriptionFilter(topics, 8)),
		pubsub.WithPeerScore(
			&pubsub.PeerScoreParams{
				Topics:               make(map[string]*pubsub.TopicScoreParams),
				SkipAtomicValidation: true, DecayInterval: 10 * time.Second, DecayToZero: 0.1, RetainScore: 10 * time.Minute,
			},
			&pubsub.PeerScoreThresholds{GossipThreshold: -10, PublishThreshold: -100, GraylistThreshold: -1000},
		),
	}
}

// runTopic gossips in one cluster until it is no longer ours.
func (h *Host) runTopic(ctx context.Context, ps *pubsub.PubSub, cluster dag.ClusterID) error {
	name := gossipPrefix + cluster.String()
	if err := ps.RegisterTopicValidator(name, h.validate, pubsub.WithValidatorInline(true)); err != nil {
		return fmt.Errorf("join gossip: %w", err)
	}
	defer ps.UnregisterTopicValidator(name)
	topic, err := ps.Join(name)
	if err != nil {
		return fmt.Errorf("join gossip: %w", err)
	}
	defer topic.Close()
	score := &pubsub.TopicScoreParams{
		SkipAtomicValidation: true, TopicWeight: 1,
		TimeInMeshQuantum:              time.Second, // pubsub divides by it even at weight 0
		InvalidMessageDeliveriesWeight: -10, InvalidMessageDeliveriesDecay: 0.9,
	}
	if err := topic.SetScoreParams(score); err != nil {
		return fmt.Errorf("join gossip: %w", err)
	}
	sub, err := topic.Subscribe(pubsub.WithBufferSize(gossipQueue))
	if err != nil {
		return fmt.Errorf("join gossip: %w", err)
	}
	defer sub.Cancel()
	g, ctx := errgroup.WithContext(ctx)
	inbox := make(chan arrival, gossipQueue)
	g.Go(func() error { return h.readTopic(ctx, sub, inbox) })
	g.Go(func() error { return h.publish(ctx, topic) })
	g.Go(func() error { return newReceiver(h).run(ctx, inbox) })
	g.Go(func() error { return h.leaveWith(ctx, cluster) })
	if err := g.Wait(); !errors.Is(err, errOtherTopic) {
		return err
	}
	return nil
}

var errOtherTopic = errors.New("the cluster is another one now")

// leaveWith ends with errOtherTopic when the cluster is no longer ours.
func (h *Host) leaveWith(ctx context.Context, cluster dag.ClusterID) error {
	for {
		changed := h.cfg.State.Changed()
		if h.cfg.State.Cluster() != cluster {
			return errOtherTopic
		}
		if err := waitFor(ctx, changed); err != nil {
			return err
		}
	}
}

// Judge says what signatures are worth before blocks are applied. Implemented
// by dag.Graph. It may be called from any goroutine.
type Judge interface {
	Judge(headers []dag.Header) dag.Verdict
}

// validate is pubsub's validator: bad bytes and bad signatures are refused and
// count against the peer that sent them; they are not passed on. Blocks of a later version of the
// format are left to a newer version of crush, and count against nobody.
func (h *Host) validate(_ context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	parsed, err := h.gossip.parse(m.Data)
	if errors.Is(err, dag.ErrLater) {
		if h.quiet.due("later", from) {
			h.log.Warn("gossip left out: newer version needed", "peer", from.String(), "cause", err)
		}
		return pubsub.ValidationIgnore
	}
	if err != nil {
		if h.quiet.due("gossip", from) {
			h.log.Warn("gossip refused: damaged bytes from the peer", "peer", from.String(), "cause", err)
		}
		return pubsub.ValidationReject
	}
	if from != h.self && h.cfg.Judge != nil && h.cfg.Judge.Judge(parsed.headers()) == dag.Bad {
		if h.quiet.due("signature", from) {
			h.log.Warn("gossip refused: bad signature", "peer", from.String(), "block", parsed.head.String())
		}
		return pubsub.ValidationReject
	}
	if h.cfg.lose != nil && h.cfg.lose() {
		return pubsub.ValidationIgnore
	}
	m.ValidatorData = parsed
	return pubsub.ValidationAccept
}

// readTopic moves messages of others from pubsub to the receiver.
func (h *Host) readTopic(ctx context.Context, sub *pubsub.Subscription, inbox chan<- arrival) error {
	for {
		m, err := sub.Next(ctx)
		if err != nil {
			return fmt.Errorf("read gossip: %w", err)
		}
		parsed, ok := m.ValidatorData.(gossipMessage)
		if !ok || m.ReceivedFrom == h.self {
			continue
		}
		select {
		case inbox <- arrival{parsed, m.ReceivedFrom}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// publish sends what is announced.
func (h *Host) publish(ctx context.Context, topic *pubsub.Topic) error {
	for {
		bundles := h.outbox.take()
		if len(bundles) == 0 {
			if err := waitFor(ctx, h.outbox.wake); err != nil {
				return err
			}
			continue
		}
		if len(topic.ListPeers()) == 0 {
			continue // nobody listens; whoever comes next will sync
		}
		size := 0
		for _, b := range bundles {
			size += chunkSize(b)
		}
		digest := h.cfg.State.Digest()
		data := appendInline(digest, bundles)
		if size > maxInline {
			head, err := h.cfg.header(bundles[len(bundles)-1])
			if err != nil {
				h.log.Error("announced block not readable", "cause", err)
				continue
			}
			data = appendHead(digest, head.ID)
		}
		if err := topic.Publish(ctx, data); err != nil && ctx.Err() == nil {
			h.log.Warn("gossip not sent", "cause", err)
		}
	}
}
