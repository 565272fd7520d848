package dag

import (
	"encoding/binary"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// Chunk is whole blocks on their way to a peer, in causal order.
type Chunk struct {
	// Parts are the chunk's bytes, one part after another. A compressor does
	// best that starts afresh at each.
	Parts  [][]byte
	Blocks int
}

// The forms of a block in a chunk: flags, or a bundle that lacks payloads; more
// are of later versions.
const (
	formSigned = 1 << iota
	formDeps
	formRest
	formLacking
)

// The flags of a revision in a chunk.
const (
	revIsDelete = 1 << iota
	revHasRest
	revIsLike
	revOneParent
	revIsDelta
	revFlags = 1<<iota - 1
)

// outflow is the sending end of a flow. It is used by one goroutine.
type outflow struct {
	flow
	deltas  bool               // the receiver reads payloads that are sent as deltas
	numbers map[BlockID]uint64 // of the chain that goes on behind this block
	named   map[ForkID]uint32
	blockAt map[BlockID]uint64    // how many blocks passed before
	revAt   map[RevisionID]uint64 // how many revisions passed before
	blockN  uint64
	revN    uint64

	plan, ids, bodies []byte // of the chunk under way
}

func newOutflow(deltas bool) *outflow {
	return &outflow{
		deltas:  deltas,
		numbers: map[BlockID]uint64{}, named: map[ForkID]uint32{defaultFork: 0},
		blockAt: map[BlockID]uint64{}, revAt: map[RevisionID]uint64{},
	}
}

// pack makes a chunk. Only the last of the blocks of each line is sent with its
// signature: it vouches for the others.
func (f *outflow) pack(blocks []outgoing) Chunk {
	last := map[uint32]int{}
	for i := range blocks {
		last[blocks[i].line] = i
	}
	f.plan, f.ids, f.bodies = binary.AppendUvarint(nil, uint64(len(blocks))), nil, nil
	for i := range blocks {
		if p, sign := blocks[i].p, last[blocks[i].line] == i; p.lacks() {
			f.addLacking(p, sign)
		} else {
			f.add(&blocks[i], sign)
		}
	}
	head := binary.AppendUvarint(nil, uint64(len(f.plan)))
	head = binary.AppendUvarint(head, uint64(len(f.ids)))
	return Chunk{Parts: [][]byte{append(head, f.plan...), f.ids, f.bodies}, Blocks: len(blocks)}
}

func (f *outflow) num(n uint64) { f.plan = binary.AppendUvarint(f.plan, n) }

// add packs one block.
func (f *outflow) add(o *outgoing, sign bool) {
	p, b := o.p, o.p.block
	rest := packRest(b)
	form := byte(0)
	if sign && p.sig != nil {
		form |= formSigned
	}
	if len(b.Deps) > 0 {
		form |= formDeps
	}
	if rest != nil {
		form |= formRest
	}
	f.plan = append(f.plan, form)
	f.ids = append(f.ids, b.Salt[:]...)
	number := f.addChain(b)
	f.plan = binary.AppendVarint(f.plan, b.Time-f.time)
	if len(b.Deps) > 0 {
		f.num(uint64(len(b.Deps)))
		for _, d := range b.Deps {
			f.addBlockID(d)
		}
	}
	if rest != nil {
		f.num(uint64(len(rest)))
		f.plan = append(f.plan, rest...)
	}
	f.num(uint64(len(p.revs)))
	for i := range p.revs {
		f.addRevision(o, i)
	}
	if form&formSigned != 0 {
		f.ids = append(f.ids, p.sig...)
	}
	f.note(number, p)
}

// addLacking packs a block of which payloads are not here. It is remembered as a
// block, no more, as by those that cannot read it.
func (f *outflow) addLacking(p *parcel, sign bool) {
	q := *p
	if !sign {
		q.sig = nil
	}
	b := q.encode(nil)
	f.plan = append(f.plan, formLacking)
	f.num(uint64(len(b)))
	f.plan = append(f.plan, b...)
	f.ids = append(f.ids, p.id[:]...)
	f.noteBlock(p.id)
}

// addChain says where the block stands.
func (f *outflow) addChain(b *Block) (number uint64) {
	if number, ok := f.numbers[b.Prev]; ok && f.chains[number].id == b.Chain {
		f.num(number)
		return number
	}
	number = uint64(len(f.chains))
	f.num(number)
	f.ids = append(f.ids, b.Chain[:]...)
	f.num(b.Seq)
	if b.Seq > 0 {
		f.addBlockID(b.Prev)
	}
	return number
}

// addBlockID refers to a block that passed, or names one that did not.
func (f *outflow) addBlockID(id BlockID) {
	at, ok := f.blockAt[id]
	if !ok {
		f.num(0)
		f.ids = append(f.ids, id[:]...)
		return
	}
	f.num(f.blockN - at)
}

func (f *outflow) addRevision(o *outgoing, i int) {
	p, r := o.p, o.p.revs[i]
	var flags byte
	if r.Deleted {
		flags |= revIsDelete
	}
	rest, usual := p.restOf(i, r)
	if !usual {
		flags |= revHasRest
	}
	if len(r.Parents) == 1 {
		flags |= revOneParent
	}
	like := f.like(r)
	if like != nil {
		flags |= revIsLike
	}
	delta := f.delta(o, i)
	if delta != nil {
		flags |= revIsDelta
	}
	f.plan = append(f.plan, flags)
	if flags&revOneParent == 0 {
		f.num(uint64(len(r.Parents)))
	}
	for _, id := range r.Parents {
		if at, ok := f.revAt[id]; ok {
			f.num(f.revN - at)
			continue
		}
		f.num(0)
		f.ids = append(f.ids, id[:]...)
	}
	note := flowRevision{id: p.block.Revisions[i], kind: r.Kind}
	if like != nil {
		note.key, note.fork = like.key, like.fork
	} else {
		note.key, note.fork = r.Key, f.addKey(r)
	}
	if !usual {
		raw := marshal(&rest, nil)
		f.num(uint64(len(raw)))
		f.plan = append(f.plan, raw...)
	}
	if !r.Deleted {
		f.addPayload(p.payloads[i], delta)
	}
	if f.deltas && len(p.payloads[i]) >= deltaMin {
		note.payload, note.at = p.payloads[i], loc{o.line, p.block.Seq, uint32(i)}
	}
	f.noteRevision(note)
}

// addPayload packs a payload, as a delta if there is one.
func (f *outflow) addPayload(payload []byte, delta *keptRecord) {
	if delta != nil {
		f.plan, payload = append(f.plan, delta.form), delta.body
		if delta.form == keptPatched {
			f.num(uint64(delta.size))
		}
	}
	f.num(uint64(len(payload)))
	f.bodies = append(f.bodies, payload...)
}

// delta returns the record of the i-th payload if it can be sent as that: it
// was read from it, and stands on the payload of its first parent, which the
// receiver remembers.
func (f *outflow) delta(o *outgoing, i int) *keptRecord {
	r := o.p.revs[i]
	if !f.deltas || o.records == nil || o.records[i] == nil || len(r.Parents) == 0 {
		return nil
	}
	at, ok := f.revAt[r.Parents[0]]
	if !ok {
		return nil
	}
	parent := f.revs.back(f.revN - at)
	k, err := decodeKept(o.records[i])
	if err != nil || k.depth == 0 || parent.payload == nil || k.base != parent.at {
		return nil
	}
	return &k
}

// like returns the first parent if it passed and has the key, fork and kind.
func (f *outflow) like(r *Revision) *flowRevision {
	if len(r.Parents) == 0 {
		return nil
	}
	at, ok := f.revAt[r.Parents[0]]
	if !ok {
		return nil
	}
	parent := f.revs.back(f.revN - at)
	if fork, ok := f.named[r.Fork]; ok && parent.fork == fork && parent.key == r.Key && parent.kind == r.Kind {
		return parent
	}
	return nil
}

// addKey writes a key with its kind and fork, and returns the fork's number.
func (f *outflow) addKey(r *Revision) uint32 {
	f.num(r.Kind)
	number, ok := f.named[r.Fork]
	if ok {
		f.num(uint64(number))
	} else {
		f.num(uint64(len(f.forks)) + 1)
		f.ids = append(f.ids, r.Fork[:]...)
		if number = f.fork(r.Fork); number != forkUnnamed {
			f.named[r.Fork] = number
		}
	}
	shared := 0
	for shared < min(len(r.Key), len(f.key)) && r.Key[shared] == f.key[shared] {
		shared++
	}
	f.num(uint64(shared))
	f.num(uint64(len(r.Key) - shared))
	f.plan = append(f.plan, r.Key[shared:]...)
	return number
}

func (f *outflow) noteRevision(r flowRevision) {
	if _, twice := f.revAt[r.id]; !twice {
		f.revAt[r.id] = f.revN
	}
	f.revN++
	f.revision(r, func(id RevisionID) { delete(f.revAt, id) })
}

func (f *outflow) note(number uint64, p *parcel) {
	if number < uint64(len(f.chains)) {
		delete(f.numbers, f.chains[number].prev)
	}
	if f.chain(number, p.block, p.id); number < uint64(len(f.chains)) {
		f.numbers[p.id] = number
	}
	f.noteBlock(p.id)
	f.time = p.block.Time
}

func (f *outflow) noteBlock(id BlockID) {
	f.blockAt[id] = f.blockN
	f.blockN++
	if gone, ok := f.block(id); ok {
		delete(f.blockAt, gone)
	}
}

// restWire is what the rest of a block in a chunk has besides unknown fields.
type restWire struct {
	Note *Note  `cbor:"note,omitempty"`
	Ops  opList `cbor:"ops,omitempty"`
}

// restFields are the fields of restWire.
var restFields = []string{"note", "ops"}

// packRest is the map of a block's fields that most blocks do not have; nil if
// it has none.
func packRest(b *Block) cbor.RawMessage {
	if b.Note == nil && len(b.Ops) == 0 && len(b.extra) == 0 {
		return nil
	}
	if len(b.Ops) == 0 && b.plain() {
		return b.Note.append(appendText(appendHead(nil, majorMap, 1), "note"))
	}
	return marshal(&restWire{Note: b.Note, Ops: b.Ops}, b.extra)
}

// Bytes puts the parts together.
func (c Chunk) Bytes() []byte { return slices.Concat(c.Parts...) }
