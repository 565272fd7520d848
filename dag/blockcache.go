package dag

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// cachedRevisions is how many revisions a block has at least that is kept:
	// reading one of few is cheap.
	cachedRevisions = 16
	// cachedBlocks and cachedBytes bound what is kept. Who goes through the keys
	// of a large change looks at its block, and at a few before it, by turns.
	cachedBlocks = 4
	cachedBytes  = 32 << 20
)

// blockCache keeps the last large blocks that were read, so that looking at
// each revision of a block does not read and decode it as often, and payloads
// that others stand on. Blocks never change; it is safe for concurrent use.
type blockCache struct {
	mu   sync.Mutex
	kept []cachedBlock // the last used first

	loads payloadCache
	codec codec
	drops atomic.Uint64 // how often forget was called
}

// forget empties the cache: payloads have gone. What was read before is not
// kept after.
func (c *blockCache) forget() {
	c.drops.Add(1)
	c.mu.Lock()
	c.kept = nil
	c.mu.Unlock()
	c.loads.mu.Lock()
	defer c.loads.mu.Unlock()
	c.loads.young, c.loads.old, c.loads.size = nil, nil, 0
}

type cachedBlock struct {
	line uint32
	seq  uint64
	rec  blockRecord
	wire bundleWire // the block, with its head, as far as single revisions are read
	head *Block
	p    *parcel // nil until the whole block is wanted
}

// load is loadBlock.
func (c *blockCache) load(r Reader, line uint32, seq uint64) (blockRecord, *parcel, error) {
	b, ok := c.find(line, seq)
	if ok && b.p != nil {
		return b.rec, b.p, nil
	}
	var err error
	drops := c.drops.Load()
	b.line, b.seq = line, seq
	if b.rec, b.p, err = loadBlock(r, line, seq); err == nil && len(b.p.revs) >= cachedRevisions {
		c.keep(b, drops)
	}
	return b.rec, b.p, err
}

// revision returns the revision at a place as a head; its fork, ordinal and
// first are not set. It does not decode the rest of the block.
func (c *blockCache) revision(r Reader, at loc) (Head, error) {
	b, ok := c.find(at.line, at.seq)
	if ok && b.p != nil && int(at.index) < len(b.p.revs) {
		i := at.index
		return newHead(b.p.revs[i], b.p.block.Revisions[i], b.p.payloads[i], at, b.rec.lam), nil
	}
	if !ok || b.head == nil {
		var err error
		drops := c.drops.Load()
		b.line, b.seq = at.line, at.seq
		if b.rec, err = loadBlockRecord(r, at); err != nil {
			return Head{}, err
		}
		if b.wire, b.head, err = splitBundle(b.rec.bundle); err != nil {
			return Head{}, corrupt("block %d of line %d: %s", at.seq, at.line, err)
		}
		if len(b.wire.Revs) >= cachedRevisions {
			c.keep(b, drops)
		}
	}
	if int(at.index) >= len(b.wire.Revs) {
		return Head{}, corrupt("revision %d of block %d of line %d is missing", at.index, at.seq, at.line)
	}
	rev, payload, err := decodeRev(b.wire.Revs[at.index], b.head, int(at.index))
	if err != nil {
		return Head{}, corrupt("revision %d of block %d of line %d: %s", at.index, at.seq, at.line, err)
	}
	id, _ := rev.hash()
	return newHead(rev, id, payload, at, b.rec.lam), nil
}

// newHead describes a revision as a head; a short payload is copied, if it is
// there.
func newHead(r *Revision, id RevisionID, payload []byte, at loc, lam uint64) Head {
	h := Head{
		ID: id, Place: r.Place(), Time: r.Time, Kind: r.Kind, Deleted: r.Deleted, Open: r.Mark&MarkOpen != 0,
		Value: r.Value, Size: r.Size, loc: at, lam: lam,
	}
	if payload != nil && r.Size <= inlineMax {
		h.inline = bytes.Clone(payload)
	}
	return h
}

func (c *blockCache) find(line uint32, seq uint64) (cachedBlock, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.kept, func(b cachedBlock) bool { return b.line == line && b.seq == seq })
	if i < 0 {
		return cachedBlock{}, false
	}
	b := c.kept[i]
	copy(c.kept[1:i+1], c.kept[:i])
	c.kept[0] = b
	return b, true
}

// keep keeps a block, unless payloads have gone since it was read.
func (c *blockCache) keep(b cachedBlock, drops uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if drops != c.drops.Load() {
		return
	}
	c.kept = slices.DeleteFunc(c.kept, func(o cachedBlock) bool { return o.line == b.line && o.seq == b.seq })
	c.kept = slices.Insert(c.kept, 0, b)
	bytes, n := 0, 0
	for n < len(c.kept) && n < cachedBlocks && bytes+len(c.kept[n].rec.bundle) <= cachedBytes {
		bytes += len(c.kept[n].rec.bundle)
		n++
	}
	clear(c.kept[n:])
	c.kept = c.kept[:n]
}
