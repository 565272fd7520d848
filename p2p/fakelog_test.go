package p2p

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"crush/dag"
)

// fakeLog is the smallest history: blocks with dependencies, in memory. Its
// bundles are chain | seq | prev | signed | number of deps | deps | payload.
type fakeLog struct {
	mu      sync.Mutex
	cluster dag.ClusterID
	order   []dag.BlockID
	bundles map[dag.BlockID]dag.Bundle
	headers map[dag.BlockID]dag.Header
	tips    map[dag.BlockID]dag.Tip
	pins    map[dag.Pin]dag.BlockID // of all blocks, or out of date
	members map[dag.NodeID]bool
	changed chan struct{}
	fail    error // what Apply returns, if set
	reads   int   // the highest version that Apply and fakeReader read; 0: all
	deltas  bool  // what Chunks was last asked for
}

func newFakeLog() *fakeLog {
	return &fakeLog{
		bundles: make(map[dag.BlockID]dag.Bundle),
		headers: make(map[dag.BlockID]dag.Header),
		tips:    make(map[dag.BlockID]dag.Tip),
		members: make(map[dag.NodeID]bool),
		changed: make(chan struct{}),
	}
}

// clone returns an equal log that shares nothing that changes.
func (l *fakeLog) clone() *fakeLog {
	c := newFakeLog()
	c.cluster, c.order = l.cluster, slices.Clone(l.order)
	c.bundles, c.headers, c.tips, c.members = maps.Clone(l.bundles), maps.Clone(l.headers), maps.Clone(l.tips), maps.Clone(l.members)
	return c
}

const fakeFixed = 32 + 8 + 32 + 1 + 2

func fakeBundle(h dag.Header, payload []byte) dag.Bundle {
	b := append(dag.Bundle{}, h.Chain[:]...)
	b = binary.BigEndian.AppendUint64(b, h.Seq)
	b = append(b, h.Prev[:]...)
	b = append(b, map[bool]byte{true: 1}[h.Signed])
	b = binary.BigEndian.AppendUint16(b, uint16(len(h.Deps)))
	for _, d := range h.Deps {
		b = append(b, d[:]...)
	}
	return append(b, payload...)
}

func fakeHeader(b dag.Bundle) (dag.Header, error) {
	if len(b) < fakeFixed {
		return dag.Header{}, fmt.Errorf("%w: short bundle", dag.ErrRefused)
	}
	h := dag.Header{ID: sha256.Sum256(b), Chain: dag.ChainID(b[:32]), Seq: binary.BigEndian.Uint64(b[32:]), Prev: dag.BlockID(b[40:72]), Signed: b[72] == 1}
	n := int(binary.BigEndian.Uint16(b[73:]))
	if b[72] > 1 || len(b) < fakeFixed+32*n {
		return dag.Header{}, fmt.Errorf("%w: bad bundle", dag.ErrRefused)
	}
	for i := range n {
		h.Deps = append(h.Deps, dag.BlockID(b[fakeFixed+32*i:]))
	}
	return h, nil
}

// fakeReader reads headers up to a version, which is the first byte of the
// payload; 0: of any.
func fakeReader(version int) func(dag.Bundle) (dag.Header, error) {
	return func(b dag.Bundle) (dag.Header, error) {
		h, err := fakeHeader(b)
		if at := fakeFixed + 32*len(h.Deps); err == nil && version > 0 && len(b) > at && int(b[at]) > version {
			return h, dag.ErrLater
		}
		return h, err
	}
}

// write authors a block after prev (zero: the chain's first) that has seen
// all other tips.
func (l *fakeLog) write(chain dag.ChainID, prev dag.BlockID, payload []byte) dag.Bundle {
	l.mu.Lock()
	h := dag.Header{Chain: chain, Prev: prev, Signed: true}
	if !prev.IsZero() {
		h.Seq = l.headers[prev].Seq + 1
	}
	for id := range l.tips {
		if id != prev {
			h.Deps = append(h.Deps, id)
		}
	}
	l.mu.Unlock()
	slices.SortFunc(h.Deps, func(a, b dag.BlockID) int { return bytes.Compare(a[:], b[:]) })
	b := fakeBundle(h, payload)
	if _, err := l.Apply(context.Background(), []dag.Bundle{b}); err != nil {
		panic(err)
	}
	return b
}

// extend writes after the highest tip of the chain.
func (l *fakeLog) extend(chain dag.ChainID, payload []byte) dag.Bundle {
	l.mu.Lock()
	var top dag.Tip
	for _, t := range l.tips {
		if t.Chain == chain && (top.Block.IsZero() || t.Seq > top.Seq) {
			top = t
		}
	}
	l.mu.Unlock()
	return l.write(chain, top.Block, payload)
}

func (l *fakeLog) Cluster() dag.ClusterID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cluster
}

func (l *fakeLog) Frontier() []dag.Tip {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.tips), func(a, b dag.Tip) int { return bytes.Compare(a.Block[:], b.Block[:]) })
}

func (l *fakeLog) Digest() dag.Digest {
	h := sha256.New()
	for _, t := range l.Frontier() {
		h.Write(t.Block[:])
	}
	return dag.Digest(h.Sum(nil)[:16])
}

func (l *fakeLog) Have(id dag.BlockID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bundles[id] != nil
}

func (l *fakeLog) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

func (l *fakeLog) IsMember(id dag.NodeID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.members[id]
}

func (l *fakeLog) setMember(id dag.NodeID, member bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.members[id] = member
	l.signalLocked()
}

func (l *fakeLog) signalLocked() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// pinned returns the blocks that have a pin, by it.
func (l *fakeLog) pinned() map[dag.Pin]dag.BlockID {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pins) < len(l.order) {
		l.pins = make(map[dag.Pin]dag.BlockID, len(l.order))
		for id, h := range l.headers {
			l.pins[dag.Tip{Chain: h.Chain, Seq: h.Seq, Block: id}.Pin()] = id
		}
	}
	return l.pins
}

func (l *fakeLog) Known(pins []dag.Pin) ([]bool, error) {
	known, here := make([]bool, len(pins)), l.pinned()
	for i, p := range pins {
		_, known[i] = here[p]
	}
	return known, nil
}

// Locator walks back from each tip of the chain, at growing distances.
func (l *fakeLog) Locator(chain dag.ChainStart) ([]dag.Pin, error) {
	var pins []dag.Pin
	tips := chainPins(dag.PinsOf(l.Frontier()), chain)
	here := l.pinned()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, tip := range tips {
		id := here[tip]
		for d, next := uint64(0), uint64(0); !id.IsZero(); d++ {
			h := l.headers[id]
			if d == next || h.Seq == 0 {
				pins = append(pins, dag.Tip{Chain: h.Chain, Seq: h.Seq, Block: id}.Pin())
				next = max(1, 2*d)
			}
			id = h.Prev
		}
	}
	slices.SortFunc(pins, dag.Pin.Compare)
	return slices.Compact(pins), nil
}

// Chunks yields chunks that are lists of bundles.
func (l *fakeLog) Chunks(ctx context.Context, known []dag.Pin, deltas bool) iter.Seq2[dag.Chunk, error] {
	l.mu.Lock()
	l.deltas = deltas
	l.mu.Unlock()
	return func(yield func(dag.Chunk, error) bool) {
		unsigned := make(map[dag.ChainID]bool)
		var chunk []dag.Bundle
		size := 0
		for _, b := range l.missing(known) {
			h, _ := fakeHeader(b)
			if delete(unsigned, h.Chain); !h.Signed {
				unsigned[h.Chain] = true
			}
			chunk, size = append(chunk, b), size+len(b)
			if size > fakeChunk && len(unsigned) == 0 {
				if !yield(dag.Chunk{Parts: [][]byte{appendChunk(nil, chunk)}, Blocks: len(chunk)}, ctx.Err()) {
					return
				}
				chunk, size = nil, 0
			}
		}
		if len(chunk) > 0 {
			yield(dag.Chunk{Parts: [][]byte{appendChunk(nil, chunk)}, Blocks: len(chunk)}, nil)
		}
	}
}

// fakeChunk is the size at which a chunk is closed.
const fakeChunk = 256 << 10

func (l *fakeLog) missing(known []dag.Pin) []dag.Bundle {
	here := l.pinned()
	l.mu.Lock()
	defer l.mu.Unlock()
	theirs := make(map[dag.BlockID]bool)
	var walk []dag.BlockID
	for _, p := range known {
		if id, ok := here[p]; ok {
			walk = append(walk, id)
		}
	}
	for len(walk) > 0 {
		id := walk[len(walk)-1]
		walk = walk[:len(walk)-1]
		if h, ok := l.headers[id]; ok && !theirs[id] {
			theirs[id] = true
			walk = append(append(walk, h.Prev), h.Deps...)
		}
	}
	var out []dag.Bundle
	for _, id := range l.order {
		if !theirs[id] {
			out = append(out, l.bundles[id])
		}
	}
	return out
}

func (l *fakeLog) Take(ctx context.Context, _ *dag.Inflow, chunk []byte) (dag.Applied, error) {
	bundles, err := parseChunk(bytes.Clone(chunk))
	if err != nil {
		return dag.Applied{}, fmt.Errorf("%w: %w", dag.ErrRefused, err)
	}
	return l.Apply(ctx, bundles)
}

func (l *fakeLog) Apply(_ context.Context, bundles []dag.Bundle) (dag.Applied, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return dag.Applied{}, l.fail
	}
	batch := make(map[dag.BlockID]dag.Bundle)
	var applied dag.Applied
	for _, b := range bundles {
		h, err := fakeReader(l.reads)(b)
		if errors.Is(err, dag.ErrLater) || applied.Later > 0 {
			applied.Later++
			continue
		}
		if err != nil {
			return dag.Applied{}, err
		}
		for _, d := range append(h.Deps, h.Prev) {
			if !d.IsZero() && l.bundles[d] == nil && batch[d] == nil {
				return dag.Applied{}, &dag.MissingError{Blocks: []dag.BlockID{d}}
			}
		}
		if l.bundles[h.ID] != nil || batch[h.ID] != nil {
			applied.Known++
			continue
		}
		batch[h.ID] = b
		applied.Blocks = append(applied.Blocks, h.ID)
	}
	for _, id := range applied.Blocks {
		l.addLocked(id, batch[id])
	}
	if len(applied.Blocks) > 0 {
		l.signalLocked()
	}
	return applied, nil
}

func (l *fakeLog) addLocked(id dag.BlockID, b dag.Bundle) {
	h, _ := fakeHeader(b)
	if len(l.order) == 0 {
		l.cluster = dag.ClusterID(id)
	}
	l.order, l.bundles[id], l.headers[id] = append(l.order, id), b, h
	if t, ok := l.tips[h.Prev]; ok && t.Chain == h.Chain {
		delete(l.tips, h.Prev)
	}
	l.tips[id] = dag.Tip{Chain: h.Chain, Seq: h.Seq, Block: id}
}

// check tests that the applied set is closed and the order topological.
func (l *fakeLog) check(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := make(map[dag.BlockID]bool)
	for _, id := range l.order {
		for _, d := range append(l.headers[id].Deps, l.headers[id].Prev) {
			if !d.IsZero() && !seen[d] {
				t.Errorf("block %s stands before its dependency %s", id.Short(), d.Short())
			}
		}
		seen[id] = true
	}
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// history returns two logs of one cluster with a common part and a part of
// their own, written by several chains.
func history(r *rand.Rand, common, left, right int) (a, b *fakeLog) {
	chain := func(i int) dag.ChainID { return dag.ChainID{byte(i), 0xcc} }
	payload := func() []byte {
		p := make([]byte, r.IntN(400))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		return p
	}
	a = newFakeLog()
	a.extend(chain(0), nil)
	for range common {
		a.extend(chain(r.IntN(6)), payload())
	}
	b = a.clone()
	for range left {
		a.extend(chain(r.IntN(3)), payload())
	}
	for range right {
		b.extend(chain(3+r.IntN(3)), payload())
	}
	return a, b
}
