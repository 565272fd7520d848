package p2p

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/metrics"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"

	"crush/dag"
	"crush/dag/dagtest"
)

// seedEnv repeats the script of a run.
const seedEnv = "P2P_SEED"

// simulate runs a script in a bubble with a seed that it prints.
func simulate(t *testing.T, nodes byte, script func(t *testing.T, w *simWorld)) {
	t.Helper()
	if raceDetector {
		// Seen with Go 1.26.8 in a quarter of the runs of these tests, and never
		// without the detector or on a real network.
		t.Skip("the race detector ends with SIGSEGV in timers of a synctest bubble")
	}
	seed := rand.Uint64()
	if text := os.Getenv(seedEnv); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("repeat the script with %s=%d", seedEnv, seed)
	synctest.Test(t, func(t *testing.T) {
		w := newSimWorld(t, seed, nodes)
		defer w.close()
		script(t, w)
	})
}

// A simWorld is a cluster of hosts on a simulated network in the bubble of a
// synctest: libp2p, QUIC and gossipsub are real, the packets and the time are
// not.
type simWorld struct {
	t     *testing.T
	rnd   *rand.Rand // of the script; used by the test's goroutine
	net   *simnet.Simnet
	nodes []*simNode
	guest *simNode    // of no interest to settle; nil if there is none
	did   map[int]int // steps of each kind

	mu    sync.Mutex
	cut   map[[2]byte]bool // from, to: what is sent is lost
	sent  int              // packets
	bytes map[protocol.ID]int64
}

// loud is lines without what only debugging needs.
type loud struct{ lines }

func (l loud) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// simNode is one node of a simWorld; down while its host is nil.
type simNode struct {
	w     *simWorld
	n     byte // its address, and its key unless key is set
	key   byte
	skew  time.Duration
	lines lines
	store *dagtest.Mem
	graph *dag.Graph // nil while it is closed, or if data is no graph
	data  simData    // nil while it is closed
	host  *Host      // nil while the node is down
	stop  func()
	// change changes the configuration before each start; nil: not.
	change func(*Config)
	acked  []dag.BlockID // written here and acknowledged
}

// simData is what a host works on.
type simData interface {
	State
	Blocks
	Chains
	Gate
}

// newSimWorld founds a cluster of nodes 1 to n, all members, all down.
func newSimWorld(t *testing.T, seed uint64, n byte) *simWorld {
	w := &simWorld{t: t, rnd: rand.New(rand.NewPCG(seed, 6)), did: make(map[int]int), cut: make(map[[2]byte]bool), bytes: make(map[protocol.ID]int64)}
	w.net = &simnet.Simnet{LatencyFunc: w.latency, Logger: slog.New(slog.DiscardHandler)}
	w.net.Start()
	for i := range n {
		w.add(i+1, nil).store = dagtest.NewMem()
	}
	if n == 0 {
		return w
	}
	first := w.nodes[0]
	first.open()
	if _, err := first.graph.Found(t.Context(), dag.Member{Name: "first"}); err != nil {
		t.Fatal(err)
	}
	for i := byte(2); i <= n; i++ {
		addMember(t, first.graph, keyOf(i).ID(), dag.RoleAdmin)
	}
	return w
}

// add adds a node that works on data; nil: on a graph of its own.
func (w *simWorld) add(n byte, data simData) *simNode {
	w.nodes = append(w.nodes, &simNode{w: w, n: n, lines: make(lines, 4096), data: data})
	return w.nodes[len(w.nodes)-1]
}

// close stops all nodes and the network. What still runs then is a leak, which
// synctest reports.
func (w *simWorld) close() {
	for _, n := range w.nodes {
		n.down()
	}
	if w.guest != nil {
		w.guest.down()
	}
	w.net.Close()
}

// lost is a latency that no test lives to see.
const lost = 100 * 365 * 24 * time.Hour

// latency says how long a packet travels: the same for all of a link, so that
// they stay in order.
func (w *simWorld) latency(p *simnet.Packet) time.Duration {
	from, to := simIndex(p.From), simIndex(p.To)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	if w.cut[[2]byte{from, to}] {
		return lost
	}
	return time.Duration(2+(int(from)*5+int(to)*3)%17) * time.Millisecond
}

func simIndex(a net.Addr) byte { return a.(*net.UDPAddr).IP.To4()[3] }

// set cuts or heals the way from one node to another.
func (w *simWorld) set(from, to *simNode, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[[2]byte{from.n, to.n}] = cut
}

// part cuts all ways between two sets of nodes; heal takes all cuts away.
func (w *simWorld) part(left, right []*simNode) {
	for _, a := range left {
		for _, b := range right {
			w.set(a, b, true)
			w.set(b, a, true)
		}
	}
}

func (w *simWorld) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.cut)
}

// meter returns what was sent since it was called last.
func (w *simWorld) meter() (packets int, bytes map[protocol.ID]int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	packets, bytes = w.sent, w.bytes
	w.sent, w.bytes = 0, make(map[protocol.ID]int64)
	return packets, bytes
}

// simTraffic counts what streams carry.
type simTraffic struct {
	metrics.Reporter // of the methods that nobody calls
	w                *simWorld
}

func (c simTraffic) LogSentMessage(int64) {}
func (c simTraffic) LogRecvMessage(int64) {}
func (c simTraffic) LogSentMessageStream(n int64, p protocol.ID, _ peer.ID) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.bytes[p] += n
}
func (c simTraffic) LogRecvMessageStream(int64, protocol.ID, peer.ID) {}

func (n *simNode) now() time.Time { return time.Now().Add(n.skew) }

func (n *simNode) secret() dag.NodeKey { return keyOf(cmp.Or(n.key, n.n)) }

func (n *simNode) address() string { return fmt.Sprintf("/ip4/1.0.0.%d/udp/8000/quic-v1", n.n) }

// open opens the node's graph.
func (n *simNode) open() {
	g, err := dag.Open(n.w.t.Context(), dag.Config{Store: n.store, Key: n.secret(), Now: n.now, Fingerprint: "here"})
	if err != nil {
		n.w.t.Fatalf("open node %d: %v", n.n, err)
	}
	n.graph, n.data = g, g
}

// up starts a node, which dials the peers that it is told.
func (n *simNode) up(peers ...*simNode) {
	t := n.w.t
	if n.data == nil {
		n.open()
	}
	cfg := Config{
		Key: n.secret(), State: n.data, Blocks: n.data, Chains: n.data, Gate: n.data, Clock: n.now,
		Listen: []string{n.address()}, Logger: slog.New(loud{n.lines}),
		options: []libp2p.Option{simlibp2p.QUICSimnet(n.w.net, simLink), libp2p.BandwidthReporter(simTraffic{w: n.w})},
	}
	for _, p := range peers {
		cfg.Peers = append(cfg.Peers, p.address()+"/p2p/"+peerOf(p.secret().ID()).String())
	}
	if _, fake := n.data.(*fakeLog); fake {
		cfg.header = fakeHeader
	}
	if n.change != nil {
		n.change(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.host = h
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	n.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run node %d: %v", n.n, err)
		}
	}
	<-h.Ready()
}

var simLink = simnet.NodeBiDiLinkSettings{
	Downlink: simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps},
	Uplink:   simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps},
}

// down stops a node cleanly, if it is up.
func (n *simNode) down() {
	n.downHost()
	if n.graph == nil {
		return
	}
	if err := n.graph.Close(); err != nil {
		n.w.t.Errorf("close node %d: %v", n.n, err)
	}
	n.graph, n.data, n.store = nil, nil, n.store.Reopen()
}

// crash stops a node without a word to its store.
func (n *simNode) crash() {
	n.downHost()
	n.graph, n.data, n.store = nil, nil, n.store.Crash(0)
}

func (n *simNode) downHost() {
	if n.host != nil {
		n.stop()
		n.host = nil
	}
}

// write writes one block and tells the others.
func (n *simNode) write(key string, value []byte) {
	n.w.t.Helper()
	r, err := n.graph.Commit(n.w.t.Context(), dag.Note{}, func(tx *dag.Tx) error {
		e, err := tx.Entry(dag.DefaultFork(), key)
		if err != nil {
			return err
		}
		d := dag.Draft{Fork: dag.DefaultFork(), Key: key, Kind: 1, Payload: value}
		for _, h := range e.Heads {
			d.Parents = append(d.Parents, h.ID)
		}
		return tx.Put(d)
	})
	if err != nil {
		n.w.t.Fatalf("write on node %d: %v", n.n, err)
	}
	n.acked = append(n.acked, r.Block)
	if n.host != nil {
		n.host.Announce(r.Bundle)
	}
}

// pass lets time pass.
func (w *simWorld) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// equal reports whether the nodes that are up have equal frontiers.
func (w *simWorld) equal() bool {
	digests := make(map[dag.Digest]bool)
	for _, n := range w.nodes {
		if n.host != nil {
			digests[n.data.Digest()] = true
		}
	}
	return len(digests) < 2
}

// settle waits until all nodes are equal, and fails if that takes longer than
// a limit. It returns how long it took.
func (w *simWorld) settle(limit time.Duration) time.Duration {
	w.t.Helper()
	begun := time.Now()
	for !w.equal() {
		if time.Since(begun) > limit {
			for _, n := range w.nodes {
				if n.host != nil {
					w.t.Logf("node %d: %s", n.n, n.data.Digest())
				}
			}
			w.t.Fatalf("not equal after %v", limit)
		}
		w.pass(10 * time.Millisecond)
	}
	return time.Since(begun)
}
