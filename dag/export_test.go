package dag

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// Forge makes the bundle of a block that no Tx would make. It fills in the
// list of revisions; a key that is zero leaves the block unsigned.
func Forge(key NodeKey, b *Block, revs []*Revision, payloads [][]byte) (BlockID, Bundle) {
	b.Revisions = nil
	for _, r := range revs {
		b.Revisions = append(b.Revisions, r.ID())
	}
	p := &parcel{id: b.ID(), block: b, revs: revs, payloads: payloads}
	if !key.IsZero() {
		p.sig = key.signBlock(p.id)
	}
	return p.id, p.encode(nil)
}

// Unsigned is the bundle without its signature.
func Unsigned(b Bundle) Bundle {
	p, err := decodeStored(b)
	if err != nil {
		panic(err)
	}
	p.sig = nil
	return p.encode(nil)
}

// Resigned is the bundle with a signature by a key.
func Resigned(b Bundle, key NodeKey) Bundle {
	p, err := decodeStored(b)
	if err != nil {
		panic(err)
	}
	p.sig = key.signBlock(p.id)
	return p.encode(nil)
}

// Voids returns what the graph keeps as void: "block/index", operations
// starting with op, and why.
func (g *Graph) Voids() map[VoidPlace]string {
	out := map[VoidPlace]string{}
	err := g.store.Iterate(prefixRange([]byte{tagVoid}), func(k, v []byte) bool {
		lsn, index := binary.BigEndian.Uint64(k[1:]), binary.BigEndian.Uint32(k[9:])
		_, _, p, err := loadArrival(g.store, lsn)
		if err != nil {
			panic(err)
		}
		at := VoidPlace{Block: p.id, Index: int(index &^ voidOps), Op: index >= voidOps}
		out[at] = string(v)
		return true
	})
	if err != nil {
		panic(err)
	}
	return out
}

// VoidPlace is where something void stands.
type VoidPlace struct {
	Block BlockID
	Op    bool
	Index int
}

// The constants of the layout that tests step over.
const (
	FindEvery     = findEvery
	InlineMax     = inlineMax
	CursorMaxTips = cursorMaxTips
	FindEntry     = findLen
	KeptSpliced   = keptSpliced
)

// SpliceHead is how long the head of a spliced payload's record is.
func SpliceHead(record []byte) int {
	k, err := decodeKept(record)
	if err != nil || k.form != keptSpliced {
		panic("no record of a spliced payload")
	}
	return len(record) - len(k.body)
}

// TagsDerived are the kinds of record that Check compares byte for byte.
func TagsDerived() []byte { return derivedTags }

// Waiting is how many commits wait to be taken into a batch.
func (g *Graph) Waiting() int {
	g.queue.mu.Lock()
	defer g.queue.mu.Unlock()
	return len(g.queue.waiting)
}

// NameRecord is how Check names a record.
func NameRecord(key []byte) string { return nameRecord(key) }

// ForgetPayloads empties the cache of payloads.
func (g *Graph) ForgetPayloads() {
	g.blocks.loads.mu.Lock()
	defer g.blocks.loads.mu.Unlock()
	g.blocks.loads.young, g.blocks.loads.old, g.blocks.loads.size = nil, nil, 0
}

// apartOver stores a block's payloads of more than some bytes apart.
func apartOver(p *parcel, most int) []kept {
	out := make([]kept, len(p.revs))
	for i, r := range p.revs {
		if r.Size > int64(most) {
			out[i].record = []byte{keptWhole}
		}
	}
	return out
}

// PayloadKey is where the payload of a change is kept, if it is kept apart.
func PayloadKey(c *Change) []byte { return payloadKey(c.loc) }

// DepthOf is how many deltas the payload of a head stands on.
func (g *Graph) DepthOf(h *Head) int {
	n, err := g.blocks.depth(g.store, h.loc)
	if err != nil {
		panic(err)
	}
	return n
}

// StoredSize is what the payload of a head takes in the store.
func (g *Graph) StoredSize(h *Head) int {
	b, err := g.store.Get(payloadKey(h.loc))
	if errors.Is(err, ErrNotFound) {
		return int(h.Size)
	}
	return len(b)
}

// AsFormat2 makes a store one of the format before: short payloads stand in
// their blocks, the records of long ones are the payloads.
func AsFormat2(t testing.TB, s interface {
	Store
	Set(key, value []byte)
},
) {
	var keys [][]byte
	err := s.Iterate(prefixRange([]byte{tagBlock}), func(k, _ []byte) bool {
		keys = append(keys, bytes.Clone(k))
		return true
	})
	g := &Graph{store: s}
	for _, k := range keys {
		at, main, _ := parseBlockKey(k)
		if !main || err != nil {
			continue
		}
		var rec blockRecord
		var p *parcel
		if rec, p, err = loadBlock(s, at.line, at.seq); err != nil {
			break
		}
		for i, r := range p.revs {
			if at.index = uint32(i); p.payloads[i] == nil && !r.Deleted {
				p.payloads[i], err = g.blocks.payload(s, at, r.Value, r.Size, p.block.Revisions[i])
			}
		}
		rec.bundle = p.encode(apartOver(p, inlineMax))
		defer s.Set(k, rec.encode())
		for i, r := range p.revs {
			at.index = uint32(i)
			if k := payloadKey(at); r.Size > inlineMax {
				defer s.Set(k, p.payloads[i])
			} else {
				defer s.Set(k, nil)
			}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Set(keyFormat, []byte("crush graph 2"))
}

// PackedZeros is the record of a payload of zeros.
func PackedZeros(n int) []byte { return new(codec).keep(make([]byte, n)).record }
