package p2p

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"crush/dag"
)

// lines is a slog handler that hands over messages.
type lines chan string

func (l lines) Enabled(context.Context, slog.Level) bool { return true }
func (l lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l lines) WithGroup(string) slog.Handler            { return l }
func (l lines) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	select {
	case l <- text:
	default:
	}
	return nil
}

// wait returns the first line that starts with want.
func (l lines) wait(t *testing.T, want string) string {
	t.Helper()
	var others []string
	timeout := time.After(20 * time.Second)
	for {
		select {
		case line := <-l:
			if strings.HasPrefix(line, want) {
				return line
			}
			others = append(others, line)
		case <-timeout:
			t.Fatalf("no line %q in the log, only:\n%s", want, strings.Join(others, "\n"))
		}
	}
}

// member is a node of a test: its log and its running host.
type member struct {
	*fakeLog
	*Host
	cfg   Config
	lines lines
	stop  func()
}

func keyOf(n byte) dag.NodeKey { return dag.NewNodeKey([32]byte{n}) }

// start runs a host until the test ends or stop is called.
func start(t *testing.T, n byte, l *fakeLog, change ...func(*Config)) *member {
	t.Helper()
	m := &member{fakeLog: l, lines: make(lines, 1024)}
	m.cfg = Config{
		Key: keyOf(n), State: l, Blocks: l, Chains: l, Gate: l, SyncEvery: time.Hour, header: fakeHeader,
		Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}, Logger: slog.New(m.lines),
	}
	for _, c := range change {
		c(&m.cfg)
	}
	h, err := New(m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.Host = h
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	m.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		ended <- nil
	}
	t.Cleanup(m.stop)
	select {
	case <-h.Ready():
	case err := <-ended:
		t.Fatalf("run: %v", err)
	}
	return m
}

func peers(addrs ...string) func(*Config) { return func(c *Config) { c.Peers = addrs } }

// cluster returns logs of one history in which nodes 1 to n are members.
func cluster(n byte) []*fakeLog {
	first := newFakeLog()
	first.extend(dag.ChainID{1}, []byte("genesis"))
	for i := range n {
		first.members[keyOf(i+1).ID()] = true
	}
	logs := []*fakeLog{first}
	for range n - 1 {
		logs = append(logs, first.clone())
	}
	return logs
}

// waitEqual waits until all logs are equal.
func waitEqual(t *testing.T, logs ...*fakeLog) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for _, l := range logs[1:] {
		for {
			changed, other := l.Changed(), logs[0].Changed()
			if l.Digest() == logs[0].Digest() {
				break
			}
			select {
			case <-changed:
			case <-other:
			case <-timeout:
				t.Fatalf("not equal: %d and %d blocks", len(l.order), len(logs[0].order))
			}
		}
		l.check(t)
	}
}

func TestHostsConverge(t *testing.T) {
	for _, transport := range []string{"/tcp/", "/quic-v1"} {
		t.Run(strings.Trim(transport, "/"), func(t *testing.T) {
			logs := cluster(2)
			for i := range 200 {
				logs[0].extend(dag.ChainID{1}, bytes.Repeat([]byte{byte(i)}, 5000))
				logs[1].extend(dag.ChainID{2}, bytes.Repeat([]byte{byte(i)}, 5000))
			}
			a := start(t, 1, logs[0])
			i := slices.IndexFunc(a.Addresses(), func(s string) bool { return strings.Contains(s, transport) })
			b := start(t, 2, logs[1], peers(a.Addresses()[i]))
			waitEqual(t, logs...)
			b.SyncWith(t.Context(), a.Addresses()[i])
			for _, m := range []*member{a, b} {
				p := m.Peers()
				if len(p) != 1 || !p[0].Connected || !p[0].InSync || p[0].Sent != 200 || p[0].Received != 200 || p[0].ClockSkew.Abs() > time.Second || p[0].LastSeen.IsZero() {
					t.Errorf("peers: %+v", p)
				}
			}
		})
	}
}

// Live blocks travel by gossip: small ones inline, large ones by their name.
func TestGossip(t *testing.T) {
	logs := cluster(3)
	a := start(t, 1, logs[0])
	b := start(t, 2, logs[1], peers(a.Addresses()...))
	c := start(t, 3, logs[2], peers(a.Addresses()...))
	for _, m := range []*member{b, c} {
		if _, err := m.SyncWith(t.Context(), a.Addresses()[0]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 300 {
		b.Announce(b.extend(dag.ChainID{2}, []byte{byte(i), byte(i >> 8)}))
	}
	waitEqual(t, logs...)
	c.Announce(c.extend(dag.ChainID{3}, make([]byte, 100<<10)))
	waitEqual(t, logs...)
	var batch []dag.Bundle
	for i := range 40 {
		batch = append(batch, a.extend(dag.ChainID{1}, bytes.Repeat([]byte{byte(i)}, 2000)))
	}
	a.Announce(batch...)
	waitEqual(t, logs...)
}

func TestStrangerRefused(t *testing.T) {
	logs := cluster(2)
	a := start(t, 1, logs[0])
	stranger := start(t, 9, logs[1])
	_, err := stranger.Hello(t.Context(), a.Addresses()[0])
	if err == nil || !strings.Contains(err.Error(), "a member there?") {
		t.Errorf("stranger greeted: %v", err)
	}
	a.lines.wait(t, "stranger refused: not in the member list peer="+stranger.ID().String())
	if p := a.Peers(); len(p) > 0 {
		t.Errorf("stranger among the peers: %+v", p)
	}
	stranger.setMember(a.ID(), false)
	if err := stranger.connect(t.Context(), mustAddr(a.Addresses()[0])); err == nil {
		t.Error("dialled a node that is no member")
	}
}

func TestOtherClusterRefused(t *testing.T) {
	logs := cluster(2)
	other := newFakeLog()
	other.extend(dag.ChainID{7}, []byte("another genesis"))
	other.members = logs[0].members
	a := start(t, 1, logs[0])
	b := start(t, 2, other)
	_, err := b.SyncWith(t.Context(), a.Addresses()[0])
	if e, ok := errors.AsType[*OtherClusterError](err); !ok || e.Theirs != logs[0].cluster {
		t.Errorf("opener: %v", err)
	}
	a.lines.wait(t, "sync refused: other cluster")
}

// A new node asks, drops what it had, and takes the cluster's history over
// the address of one member that it does not know as one.
func TestJoin(t *testing.T) {
	logs := cluster(2)
	for range 50 {
		logs[0].extend(dag.ChainID{1}, nil)
	}
	a := start(t, 1, logs[0])
	joiner := newFakeLog()
	b := start(t, 2, joiner)
	got, via, err := b.Join(t.Context(), a.Addresses()[0])
	if err != nil || got != a.Cluster() || via != a.ID() {
		t.Fatalf("join: %v, %v, %v", got, via, err)
	}
	if _, err := b.SyncWith(t.Context(), a.Addresses()[0]); err != nil || joiner.Digest() != logs[0].Digest() {
		t.Fatalf("synced %d blocks: %v", len(joiner.order), err)
	}
	joiner.setMember(a.ID(), true)
	b.connect(t.Context(), mustAddr(a.Addresses()[0]))
	a.Announce(a.extend(dag.ChainID{1}, []byte("live")))
	waitEqual(t, logs[0], joiner)
}

func TestRemovedMemberCutOff(t *testing.T) {
	logs := cluster(2)
	a := start(t, 1, logs[0])
	b := start(t, 2, logs[1])
	if _, err := b.SyncWith(t.Context(), a.Addresses()[0]); err != nil {
		t.Fatal(err)
	}
	a.setMember(b.ID(), false)
	a.lines.wait(t, "connection closed: not in the member list peer="+b.ID().String())
	if _, err := b.SyncWith(t.Context(), a.Addresses()[0]); err == nil {
		t.Error("a removed member synced")
	}
}

// A node that restarts is found again without configuration, by the addresses
// that its peer remembers over a restart of its own.
func TestAddressesRemembered(t *testing.T) {
	logs := cluster(2)
	book := FileBook{filepath.Join(t.TempDir(), "peers")}
	a := start(t, 1, logs[0])
	b := start(t, 2, logs[1], peers(a.Addresses()...), func(c *Config) { c.Book = book })
	if _, err := b.SyncWith(t.Context(), a.Addresses()[0]); err != nil {
		t.Fatal(err)
	}
	b.stop()
	saved, err := book.Load()
	if err != nil || len(saved) == 0 {
		t.Fatalf("book: %v, %v", saved, err)
	}
	logs[0].extend(dag.ChainID{1}, nil)
	start(t, 2, logs[1], func(c *Config) { c.Book = book })
	waitEqual(t, logs...)
}

// The side that is configured keeps dialling a peer that is away.
func TestRedial(t *testing.T) {
	logs := cluster(2)
	a := start(t, 1, logs[0])
	addr := a.Addresses()[0]
	b := start(t, 2, logs[1], peers(addr))
	if _, err := b.SyncWith(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	a.stop()
	logs[0].extend(dag.ChainID{1}, nil)
	listen, _, _ := strings.Cut(addr, "/p2p/")
	start(t, 1, logs[0], func(c *Config) { c.Listen = []string{listen} })
	waitEqual(t, logs...)
}

// rawStream opens a sync stream by hand.
func rawStream(t *testing.T, from *member, to *member) network.Stream {
	t.Helper()
	if err := from.connect(t.Context(), mustAddr(to.Addresses()[0])); err != nil {
		t.Fatal(err)
	}
	s, err := from.net.NewStream(t.Context(), peer.ID(to.self), syncProtocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Reset() })
	return s
}

// A refusal reaches an opener that is still sending.
func TestRefusalReachesOpener(t *testing.T) {
	for i, transport := range []string{"tcp", "quic"} {
		t.Run(transport, func(t *testing.T) {
			logs := cluster(2)
			other := newFakeLog()
			other.extend(dag.ChainID{7}, []byte("another genesis"))
			other.members = logs[0].members
			for n := range uint32(30_000) { // 1.5 MB of FRONTIER
				id := dag.BlockID{byte(n), byte(n >> 8), byte(n >> 16), 1}
				other.tips[id] = dag.Tip{Chain: dag.ChainID(id), Block: id}
			}
			a, b := start(t, 1, logs[0]), start(t, 2, other)
			times := 5
			if testing.Short() {
				times = 1
			}
			for range times {
				_, err := b.SyncWith(t.Context(), a.Addresses()[i])
				if _, ok := errors.AsType[*OtherClusterError](err); !ok {
					t.Errorf("opener: %v", err)
				}
			}
		})
	}
}

// No more than two transfers run; a third is put off, not lost.
func TestBusy(t *testing.T) {
	logs := cluster(2)
	logs[0].extend(dag.ChainID{1}, nil)
	a, b := start(t, 1, logs[0]), start(t, 2, logs[1])
	a.slots.bulk = maxBulk
	ctx, cancel := context.WithCancel(t.Context())
	_, err := b.sync(ctx, a.self, Open)
	if _, ok := errors.AsType[*cutError](err); !ok {
		t.Errorf("without a connection: %v", err)
	}
	if err := b.connect(ctx, mustAddr(a.Addresses()[0])); err != nil {
		t.Fatal(err)
	}
	_, err = b.sync(ctx, a.self, Open)
	if r, ok := errors.AsType[*RefusedError](err); !ok || r.Reason != ReasonBusy {
		t.Errorf("busy peer: %v", err)
	}
	for range maxBulk {
		a.slots.release("somebody", Answer, true)
	}
	waitEqual(t, logs...) // by the plan: b asks again
	cancel()
	b.slots.open("somebody", false)
	if _, err := b.sync(ctx, "somebody", Probe); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for a turn: %v", err)
	}
}

func TestBadPeers(t *testing.T) {
	hello := func(l *fakeLog) []byte {
		return frameOf(frameHello, appendHello(nil, Hello{Version: 1, Cluster: l.cluster, Clock: 1}))
	}
	tests := map[string]struct {
		send func(l *fakeLog) []byte
		want string
	}{
		"damaged": {func(*fakeLog) []byte { return []byte("GET / HTTP/1.1\r\n\r\n") }, "sync refused: damaged bytes"},
		"cut":     {hello, "sync incomplete: the peer stopped in the middle received=0"},
		"bad block": {func(l *fakeLog) []byte {
			chunk := appendChunk(nil, []dag.Bundle{dag.Bundle("no block")})
			return slices.Concat(hello(l), frameOf(frameFrontier, nil),
				frameOf(frameRange, append(binary.AppendUvarint(nil, uint64(len(chunk))), compressed(t, chunk)...)))
		}, "sync refused: damaged bytes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			logs := cluster(2)
			a, b := start(t, 1, logs[0]), start(t, 2, logs[1])
			b.slots.opening[a.self] = true // keeps b's own sessions away
			s := rawStream(t, b, a)
			if _, err := s.Write(test.send(logs[0])); err != nil {
				t.Fatal(err)
			}
			s.CloseWrite()
			line := a.lines.wait(t, "sync ")
			if !strings.HasPrefix(line, strings.SplitN(test.want, " received", 2)[0]) || !strings.Contains(line, "peer="+b.ID().String()) {
				t.Errorf("logged %q", line)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	l := newFakeLog()
	good := Config{Key: keyOf(1), State: l, Blocks: l, Chains: l, Gate: l}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]func(*Config){
		"Key":             func(c *Config) { c.Key = dag.NodeKey{} },
		"State":           func(c *Config) { c.State = nil },
		"Chains":          func(c *Config) { c.Chains = nil },
		"SyncEvery":       func(c *Config) { c.SyncEvery = -1 },
		"address \"x\"":   func(c *Config) { c.Listen = []string{"x"} },
		"peer \"/ip4/1.2": func(c *Config) { c.Peers = []string{"/ip4/1.2.3.4/tcp/5"} },
	} {
		bad := good
		c(&bad)
		if _, err := New(bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNodeIDs(t *testing.T) {
	id := keyOf(3).ID()
	p := peerOf(id)
	if back, ok := nodeOf(p); !ok || back != id || p.String() != id.String() {
		t.Errorf("%s became %s", id, p)
	}
	if _, ok := nodeOf("something else"); ok {
		t.Error("took a peer ID of another kind")
	}
}
