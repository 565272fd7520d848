package dag

import (
	"slices"
	"sync"
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

// blockCache keeps the last large blocks that were decoded, so that looking at
// each revision of a block does not decode it as often. Blocks never change; it
// is safe for concurrent use.
type blockCache struct {
	mu   sync.Mutex
	kept []cachedBlock // the last used first
}

type cachedBlock struct {
	line uint32
	seq  uint64
	rec  blockRecord
	p    *parcel
}

// load is loadBlock.
func (c *blockCache) load(r Reader, line uint32, seq uint64) (blockRecord, *parcel, error) {
	if b, ok := c.find(line, seq); ok {
		return b.rec, b.p, nil
	}
	rec, p, err := loadBlock(r, line, seq)
	if err == nil && len(p.revs) >= cachedRevisions {
		c.keep(cachedBlock{line, seq, rec, p})
	}
	return rec, p, err
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

func (c *blockCache) keep(b cachedBlock) {
	c.mu.Lock()
	defer c.mu.Unlock()
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
