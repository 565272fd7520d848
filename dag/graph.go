package dag

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// Config is what a graph is opened with.
type Config struct {
	// Store holds the graph. The graph owns it from a successful Open on, and
	// closes it.
	Store Store
	// Key is this node's; its blocks are signed with it.
	Key NodeKey
	// Now is the node's clock; required, because nothing here reads one itself.
	Now func() time.Time
	// Rand gives the salts and nonces; nil means crypto/rand.
	Rand io.Reader
	// Fingerprint says where the store is and on which machine. A chain goes
	// on only after a clean stop with the same fingerprint; anything else, and
	// an empty one, starts a new chain.
	Fingerprint string
	// Cluster, if set, is the only cluster whose genesis an empty graph takes.
	Cluster ClusterID
}

// Graph is the Merkle DAG of everything that this node has applied, with the
// indexes that are computed from it. Its methods are safe for concurrent use.
type Graph struct {
	store       Store
	key         NodeKey
	clock       func() time.Time
	rand        io.Reader
	fingerprint string
	unsynced    bool // batches need not be on disk: the graph is scratch

	moment atomic.Pointer[moment] // replaced after each batch

	queue commitQueue

	writeMu sync.Mutex // one batch at a time; held across its fsync, which its waiters share. Before findMu and changeMu.
	mine    uint32     // line that this node writes; 0: the next block starts a new chain
	failed  error      // why the store takes no writes; nil if it does
	cluster ClusterID  // expected, while the graph is empty
	fenced  uint64     // blocks of this node's own key that came from elsewhere

	dropped uint64        // payloads that purges took
	worn    worn          // safe by itself
	wearing chan struct{} // see Worn

	recent []changedKeys // of the last batches, the newest last
	spare  Batch         // the memory of the last batch, empty

	blocks blockCache // safe by itself

	tallies weak.Pointer[tallies] // under writeMu

	findMu   sync.RWMutex
	gathered *gathered

	changeMu sync.Mutex
	changed  chan struct{} // closed and replaced after each batch

	contested contested // safe by itself

	judged judged
}

// moment is everything in memory that a batch changes, as one value.
type moment struct {
	front   *frontier
	forks   *forkTable
	roster  *roster
	purges  *purges
	state   stateRecord
	cluster ClusterID
	failed  error
	fenced  uint64
}

// Open reads the graph in cfg.Store, or starts an empty one. A graph whose
// records do not agree with one another gives an error that wraps ErrCorrupt;
// Rebuild computes them again. On error the store stays the caller's.
func Open(ctx context.Context, cfg Config) (*Graph, error) {
	if cfg.Store == nil || cfg.Now == nil || cfg.Key.IsZero() {
		return nil, errors.New("open graph: Store, Key and Now must be set")
	}
	g := &Graph{
		store: cfg.Store, key: cfg.Key, clock: cfg.Now, rand: cfg.Rand, fingerprint: cfg.Fingerprint,
		cluster: cfg.Cluster, changed: make(chan struct{}), gathered: &gathered{}, wearing: make(chan struct{}, 1),
	}
	if g.rand == nil {
		g.rand = rand.Reader
	}
	if err := g.load(ctx); err != nil {
		return nil, fmt.Errorf("open graph: %w", err)
	}
	return g, nil
}

func (g *Graph) load(ctx context.Context) error {
	if waits, err := g.resumeJoin(); waits || err != nil {
		return err
	}
	mark, err := g.store.Get(keyFormat)
	switch {
	case errors.Is(err, ErrNotFound):
		return g.loadEmpty()
	case err != nil:
		return err
	case !knownFormat(mark):
		return fmt.Errorf("the store has the format %q, this build reads %q and %q: crush verify --rebuild writes it anew, from the same blocks", mark, formatMark, formatPurged)
	}
	m := &moment{front: newFrontier(), forks: newForkTable(), roster: &roster{}, purges: &purges{}}
	if m.state, err = loadState(g.store); err != nil {
		return err
	}
	if err := loadLines(g.store, m.front); err != nil {
		return err
	}
	if err := m.agrees(); err != nil {
		return err
	}
	g.moment.Store(m)
	if m.roster, err = g.loadRoster(); err != nil {
		return err
	}
	var pending []*purgeEvent
	if m.purges, pending, err = g.loadPurges(); err != nil {
		return err
	}
	if m.cluster, err = g.loadCluster(); err != nil {
		return err
	}
	if err := g.loadGathered(ctx); err != nil {
		return err
	}
	loaded := *m
	if loaded.forks, err = g.loadForks(m); err != nil {
		return err
	}
	g.moment.Store(&loaded)
	if err := g.loadWorn(); err != nil {
		return err
	}
	for _, e := range pending {
		if err := g.dropPurged(e); err != nil {
			return err
		}
	}
	return g.consumeCleanMark()
}

// loadEmpty accepts a store without any record.
func (g *Graph) loadEmpty() error {
	empty := true
	if err := g.store.Iterate(Range{}, func(_, _ []byte) bool { empty = false; return false }); err != nil {
		return err
	}
	if !empty {
		return corrupt("the store has records but no format mark")
	}
	g.moment.Store(emptyMoment())
	return nil
}

func loadState(r Reader) (stateRecord, error) {
	b, err := r.Get(keyState)
	if errors.Is(err, ErrNotFound) {
		return stateRecord{}, corrupt("the state record is missing")
	}
	if err != nil {
		return stateRecord{}, err
	}
	return decodeState(b)
}

// loadLines reads every line with its tip.
func loadLines(r Reader, f *frontier) error {
	var bad error
	err := r.Iterate(prefixRange([]byte{tagLine}), func(k, v []byte) bool {
		var rec lineRecord
		if rec, bad = decodeLineRecord(v); bad != nil {
			return false
		}
		if l := f.add(rec); len(k) != 5 || l.num != binary.BigEndian.Uint32(k[1:]) {
			bad = corrupt("line %d is missing", l.num)
		}
		return bad == nil
	})
	if err = errors.Join(err, bad); err != nil {
		return err
	}
	for _, l := range f.lines[1:] {
		if err := loadTip(r, f, l); err != nil {
			return err
		}
	}
	findTips(f)
	return nil
}

// loadTip finds the last block of a line.
func loadTip(r Reader, f *frontier, l *line) error {
	var last []byte
	err := r.Iterate(Range{Start: blockKey(l.num, 0), End: blockKey(l.num+1, 0), Reverse: true}, func(k, _ []byte) bool {
		last = bytes.Clone(k)
		return false
	})
	if err != nil {
		return err
	}
	at, _, ok := parseBlockKey(last)
	if !ok {
		return corrupt("line %d has no blocks", l.num)
	}
	rec, p, err := loadBlock(r, at.line, at.seq)
	if err != nil {
		return err
	}
	cp, err := loadClock(r, l.num, at.seq)
	if err != nil {
		return err
	}
	l.tip, l.next, l.lam, l.at = p.id, at.seq+1, rec.lam, rec.at
	l.base, l.delta = cp.base, cp.delta
	f.digest = f.digest.toggle(Tip{l.chain, at.seq, l.tip})
	f.last[l.tip] = loc{line: l.num, seq: at.seq}
	return nil
}

// findTips computes the blocks that no applied block depends on: tips of lines
// that are in no other tip's past.
func findTips(f *frontier) {
	for _, l := range f.lines[1:] {
		covered := false
		for _, m := range f.lines[1:] {
			covered = covered || m != l && m.past().covers(l.num, l.next-1)
		}
		if !covered {
			f.tips[l.tip] = loc{line: l.num, seq: l.next - 1}
		}
	}
}

// agrees compares the frontier with the state that the last batch wrote down.
func (m *moment) agrees() error {
	var blocks uint64
	for _, l := range m.front.lines[1:] {
		blocks += l.next - l.first
	}
	if blocks != m.state.lsn || m.front.digest != m.state.digest {
		return corrupt("the store has %d blocks and frontier %s, but its last write left %d and %s: records were lost",
			blocks, m.front.digest, m.state.lsn, m.state.digest)
	}
	return nil
}

// loadRoster reads the membership operations from their blocks.
func (g *Graph) loadRoster() (*roster, error) {
	type at struct {
		lsn   uint64
		index uint32
	}
	var events []at
	err := g.store.Iterate(prefixRange([]byte{tagMember}), func(k, _ []byte) bool {
		events = append(events, at{binary.BigEndian.Uint64(k[1:]), binary.BigEndian.Uint32(k[9:])})
		return true
	})
	if err != nil {
		return nil, err
	}
	r := &roster{}
	for _, e := range events {
		place, rec, p, err := loadArrival(g.store, e.lsn)
		if err != nil {
			return nil, err
		}
		if int(e.index) >= len(p.block.Ops) {
			return nil, corrupt("membership operation %d of block %s is missing", e.index, p.id)
		}
		op, err := decodeOp[MemberOp](p.block.Ops[e.index])
		if err != nil {
			return nil, corrupt("membership operation %d of block %s: %s", e.index, p.id, err)
		}
		place.index = e.index
		ps, err := g.pastOf(place)
		if err != nil {
			return nil, err
		}
		author := g.moment.Load().front.lines[place.line].node
		r = r.with(memberEvent{op, author, ps, place, order{lam: rec.lam, chain: p.block.Chain, seq: place.seq, index: e.index, block: orderID(p.id[:])}})
	}
	return r, nil
}

// loadCluster finds the genesis block: the first that arrived.
func (g *Graph) loadCluster() (ClusterID, error) {
	if g.moment.Load().state.lsn == 0 {
		return ClusterID{}, nil
	}
	_, _, p, err := loadArrival(g.store, 1)
	if err != nil {
		return ClusterID{}, err
	}
	return ClusterID(p.id), nil
}

// loadGathered reads the blocks behind the last segment of the index of ids.
func (g *Graph) loadGathered(ctx context.Context) error {
	m := g.moment.Load()
	from := uint64(1)
	var bad error
	err := g.store.Iterate(Range{Start: []byte{tagFind}, End: []byte{tagFind + 1}, Reverse: true}, func(k, v []byte) bool {
		first := binary.BigEndian.Uint64(k[1:])
		from = first
		for i := 0; i+findLen <= len(v); i += findLen {
			from = max(from, readFindRef(first, v[i:i+findLen]).lsn+1)
		}
		return false
	})
	if err = errors.Join(err, bad); err != nil {
		return err
	}
	for lsn := from; lsn <= m.state.lsn; lsn++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, _, p, err := loadArrival(g.store, lsn)
		if err != nil {
			return err
		}
		g.gathered.addBlock(lsn, p)
	}
	return nil
}

// consumeCleanMark continues this node's newest chain if the last stop was
// clean and here; the mark is gone, on disk, before anything is written.
func (g *Graph) consumeCleanMark() error {
	mark, err := g.store.Get(keyClean)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var b Batch
	b.Delete(keyClean)
	if err := g.store.Write(&b, true); err != nil {
		return fmt.Errorf("consume the mark of the clean stop: %w", err)
	}
	r := recordReader{b: mark}
	r.open()
	line := r.num32()
	l, err := g.moment.Load().front.line(line)
	if err != nil || r.bad || g.fingerprint == "" || string(r.b) != g.fingerprint || l.node != g.key.ID() {
		return nil
	}
	g.mine = line
	return nil
}

// Close waits for the write under way, writes the mark of a clean stop unless
// a write has failed, and closes the store.
func (g *Graph) Close() error {
	g.writeMu.Lock()
	defer g.writeMu.Unlock()
	var err error
	var b Batch
	g.contested.save(&b)
	if g.failed == nil && g.mine != 0 {
		mark := binary.AppendUvarint(nil, recordVersion)
		mark = binary.AppendUvarint(mark, uint64(g.mine))
		b.Put(keyClean, append(mark, g.fingerprint...))
	}
	if g.failed == nil && b.Len() > 0 {
		err = g.store.Write(&b, true)
	}
	if g.failed == nil {
		g.failed = fmt.Errorf("%w: it is closed", ErrReadOnly)
	}
	return errors.Join(err, g.store.Close())
}

// loadBlock reads the block at (line, seq); payloads kept apart are nil.
func loadBlock(r Reader, line uint32, seq uint64) (blockRecord, *parcel, error) {
	rec, err := loadBlockRecord(r, loc{line: line, seq: seq})
	if err != nil {
		return rec, nil, err
	}
	p, err := decodeStored(rec.bundle)
	if err != nil {
		return rec, nil, corrupt("block %d of line %d: %s", seq, line, err)
	}
	return rec, p, nil
}

// loadBlockRecord reads what this node knows of a block, and its bundle.
func loadBlockRecord(r Reader, at loc) (blockRecord, error) {
	b, err := r.Get(blockKey(at.line, at.seq))
	if errors.Is(err, ErrNotFound) {
		return blockRecord{}, corrupt("block %d of line %d is missing", at.seq, at.line)
	}
	if err != nil {
		return blockRecord{}, err
	}
	return decodeBlockRecord(b)
}

// loadArrival reads the block that arrived with this number.
func loadArrival(r Reader, lsn uint64) (loc, blockRecord, *parcel, error) {
	at, _, err := loadArrivalPlace(r, lsn)
	if err != nil {
		return at, blockRecord{}, nil, err
	}
	rec, p, err := loadBlock(r, at.line, at.seq)
	if err == nil && rec.lsn != lsn {
		err = corrupt("block %s arrived as %d, not %d", p.id, rec.lsn, lsn)
	}
	return at, rec, p, err
}

func loadArrivalPlace(r Reader, lsn uint64) (loc, trail, error) {
	b, err := r.Get(lsnKey(tagArrival, lsn))
	if errors.Is(err, ErrNotFound) {
		return loc{}, trail{}, corrupt("arrival %d is missing", lsn)
	}
	if err != nil {
		return loc{}, trail{}, err
	}
	return decodeArrival(b)
}

func encodeArrival(at loc, t trail) []byte {
	b := binary.AppendUvarint(nil, recordVersion)
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(at.line)), at.seq)
	return append(b, t[:]...)
}

func decodeArrival(b []byte) (at loc, t trail, err error) {
	r := recordReader{b: b}
	r.open()
	at = loc{line: r.num32(), seq: r.num()}
	copy(t[:], r.bytes(uint64(len(t))))
	return at, t, r.close("arrival")
}

// Cluster is the id of the cluster; zero while there is no history.
func (g *Graph) Cluster() ClusterID { return g.moment.Load().cluster }

// Node is this node's id.
func (g *Graph) Node() NodeID { return g.key.ID() }

// Frontier returns the last applied block of every chain.
func (g *Graph) Frontier() []Tip { return g.moment.Load().front.list() }

// Digest is the fingerprint of Frontier.
func (g *Graph) Digest() Digest { return g.moment.Load().front.digest }

// Changed returns a channel that is closed after the next batch.
func (g *Graph) Changed() <-chan struct{} {
	g.changeMu.Lock()
	defer g.changeMu.Unlock()
	return g.changed
}

func (g *Graph) notify() {
	g.changeMu.Lock()
	defer g.changeMu.Unlock()
	close(g.changed)
	g.changed = make(chan struct{})
}

// Stats is how much a graph holds.
type Stats struct {
	Blocks    uint64
	Revisions uint64
	Keys      uint64 // of all forks, deleted ones included
	Void      uint64 // operations and revisions that are kept but have no effect
	Chains    int
	Fenced    uint64 // blocks of this node's own key that it got from others
	Failed    error  // why the store takes no writes; nil if it does
}

// Stats counts without reading the store.
func (g *Graph) Stats() Stats {
	m := g.moment.Load()
	return Stats{m.state.lsn, m.state.revisions, m.state.keys, m.state.void, len(m.front.chains), m.fenced, m.failed}
}
