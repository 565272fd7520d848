package dag

import (
	"encoding/binary"
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
	return p.id, p.encode(-1)
}

// Unsigned is the bundle without its signature.
func Unsigned(b Bundle) Bundle {
	p, err := decodeStored(b)
	if err != nil {
		panic(err)
	}
	p.sig = nil
	return p.encode(-1)
}

// Resigned is the bundle with a signature by a key.
func Resigned(b Bundle, key NodeKey) Bundle {
	p, err := decodeStored(b)
	if err != nil {
		panic(err)
	}
	p.sig = key.signBlock(p.id)
	return p.encode(-1)
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
)

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
