package dag

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"math"
)

// Records are the values of the local index. Each starts with its version;
// numbers are uvarints in their shortest form, digests stand as they are. They
// are local: they hold interned numbers, and are never sent. Each has one
// encoding, so that Check can compare bytes.
const recordVersion = 1

// recordReader reads the fields of a record; bad is set once it ran out.
type recordReader struct {
	b   []byte
	bad bool
}

func (r *recordReader) num() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// num32 reads a number of 32 bits.
func (r *recordReader) num32() uint32 {
	v := r.num()
	if v > math.MaxUint32 {
		r.bad, r.b = true, nil
		return 0
	}
	return uint32(v)
}

// flags reads a set of flags; others than known are bad.
func (r *recordReader) flags(known uint64) uint64 {
	v := r.num()
	r.bad = r.bad || v&^known != 0
	return v
}

func (r *recordReader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *recordReader) digest() (d [32]byte) {
	copy(d[:], r.bytes(32))
	return d
}

// open checks the version, close that all was read.
func (r *recordReader) open() { r.bad = r.num() != recordVersion || r.bad }

func (r *recordReader) close(what string) error {
	if r.bad || len(r.b) > 0 {
		return corrupt("%s record does not decode", what)
	}
	return nil
}

// blockRecord is the value of blockKey: what this node knows of the block, and
// the block.
type blockRecord struct {
	lsn     uint64
	arrival int64  // local clock when it came, unix milliseconds
	at      int64  // highest min(time, arrival) in the causal past, itself included
	lam     uint64 // Lamport time: above those of prev and deps, at least time
	bundle  Bundle
}

func (r *blockRecord) encode() []byte {
	b := make([]byte, 0, len(r.bundle)+36)
	b = binary.AppendUvarint(b, recordVersion)
	b = append(b, 0, 0, 0, 0)
	b = binary.AppendUvarint(b, r.lsn)
	b = binary.AppendUvarint(b, uint64(r.arrival))
	b = binary.AppendUvarint(b, uint64(r.at))
	b = binary.AppendUvarint(b, r.lam)
	b = append(b, r.bundle...)
	binary.BigEndian.PutUint32(b[1:], crc32.Checksum(b[5:], castagnoli))
	return b
}

// castagnoli is the polynomial of the checksum of block records. What they hold
// is named by its hash, but nothing read alone knows which hash it should have:
// without a checksum, a damaged value would be served as a good one.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func decodeBlockRecord(b []byte) (blockRecord, error) {
	r := recordReader{b: b}
	r.open()
	if sum := r.bytes(4); r.bad || binary.BigEndian.Uint32(sum) != crc32.Checksum(r.b, castagnoli) {
		return blockRecord{}, corrupt("block record does not have its checksum")
	}
	rec := blockRecord{lsn: r.num(), arrival: int64(r.num()), at: int64(r.num()), lam: r.num()}
	rec.bundle = Bundle(r.b)
	if r.bad || len(r.b) == 0 {
		return rec, corrupt("block record does not decode")
	}
	return rec, nil
}

// lineRecord is the value of a line: a chain, or a suffix of one that has two
// blocks at one seq.
type lineRecord struct {
	chain  ChainID
	node   NodeID
	first  uint64 // seq of the line's first block
	parent uint32 // line of that block's prev; 0 for none
}

func (l *lineRecord) encode() []byte {
	b := binary.AppendUvarint(nil, recordVersion)
	b = append(append(b, l.chain[:]...), l.node[:]...)
	return binary.AppendUvarint(binary.AppendUvarint(b, l.first), uint64(l.parent))
}

func decodeLineRecord(b []byte) (l lineRecord, err error) {
	r := recordReader{b: b}
	r.open()
	l = lineRecord{chain: r.digest(), node: r.digest(), first: r.num(), parent: r.num32()}
	return l, r.close("line")
}

// Entry is a key on a fork as it stands now, or stood at a cut.
type Entry struct {
	Fork  ForkID
	Key   string
	Heads []Head // in order of their ids; none if the key was never written
	// Count is the number of visible revisions, deletes included.
	Count uint64
	// SinceDelete is how many revisions the history lists before its first
	// delete: all, if there is none.
	SinceDelete uint64
	First       int64 // the lowest time of a revision, unix milliseconds

	lastDelete order // of the newest delete in the history
	contribs   int   // how many contributions of the fork are taken into account; -1: computed, not stored
	bare       bool  // of the head there is only what a revision needs that has seen it
}

// Head is a revision that no other visible revision has seen.
type Head struct {
	ID      RevisionID
	Place   Place
	Time    int64 // unix milliseconds, the author's claim
	Kind    uint64
	Deleted bool
	Open    bool // it has MarkOpen
	Value   Sum
	Size    int64

	loc     loc
	fork    uint32 // that it was written on
	lam     uint64
	ordinal uint64 // as in historyRecord
	first   int64  // as in historyRecord
	inline  []byte // the payload, if it is short; nil if it is not at hand
}

// order is a place in the history of a key: it extends causality, and is the
// same on every node. Two blocks of one chain can have one seq and one Lamport
// time, when a clone wrote one of them; then their ids decide, which are read
// from the blocks on line, or known if line is 0.
type order struct {
	lam   uint64
	chain ChainID
	seq   uint64
	index uint32
	line  uint32
	block orderID
}

// orderID is the start of a block's id.
type orderID [16]byte

// compare leaves the blocks' ids to histories.compare.
func (o order) compare(p order) int {
	return cmp.Or(cmp.Compare(o.lam, p.lam), bytes.Compare(o.chain[:], p.chain[:]), cmp.Compare(o.seq, p.seq), cmp.Compare(o.index, p.index))
}

func (h *Head) order() order {
	return order{lam: h.lam, chain: h.Place.Chain, seq: h.Place.Seq, index: h.Place.Index, line: h.loc.line}
}

// inlineMax is the longest payload that entry and block records hold. Longer
// ones have records of their own, and so have shorter ones of which only what
// differs from another one is kept.
const inlineMax = 1 << 10

// inlineHeads is the most heads that an entry holds with their payloads: each
// write of a key writes all of its heads again.
const inlineHeads = 16

// byID finds a head in the order of ids.
func byID(h Head, id RevisionID) int { return bytes.Compare(h.ID[:], id[:]) }

const (
	flagDeleted = 1 << iota
	flagInline
	flagChain
	flagOpen
)

func (e *Entry) encode() []byte {
	b := make([]byte, 0, 64+len(e.Heads)*128)
	b = binary.AppendUvarint(b, recordVersion)
	b = binary.AppendUvarint(b, e.Count)
	b = binary.AppendUvarint(b, e.SinceDelete)
	b = binary.AppendUvarint(b, uint64(e.First))
	b = binary.AppendUvarint(b, e.lastDelete.lam)
	if e.lastDelete.lam > 0 {
		b = appendLoc(b, loc{e.lastDelete.line, e.lastDelete.seq, e.lastDelete.index})
	}
	b = binary.AppendUvarint(b, uint64(e.contribs))
	b = binary.AppendUvarint(b, uint64(len(e.Heads)))
	for i := range e.Heads {
		b = e.Heads[i].append(b)
	}
	return b
}

func (h *Head) append(b []byte) []byte {
	var flags uint64
	if h.Deleted {
		flags |= flagDeleted
	}
	if h.inline != nil {
		flags |= flagInline
	}
	if h.Open {
		flags |= flagOpen
	}
	b = append(b, h.ID[:]...)
	b = binary.AppendUvarint(b, uint64(h.fork))
	b = binary.AppendUvarint(b, uint64(h.loc.line))
	b = binary.AppendUvarint(b, h.loc.seq)
	b = binary.AppendUvarint(b, uint64(h.loc.index))
	b = binary.AppendUvarint(b, h.lam)
	b = binary.AppendUvarint(b, h.ordinal)
	b = binary.AppendUvarint(b, h.lam-uint64(h.first))
	b = binary.AppendUvarint(b, uint64(h.Time))
	b = binary.AppendUvarint(b, h.Kind)
	b = binary.AppendUvarint(b, flags)
	if h.Deleted {
		return b
	}
	b = append(b, h.Value[:]...)
	b = binary.AppendUvarint(b, uint64(h.Size))
	return append(b, h.inline...)
}

// decodeEntry reads an entry record; chains names the chain of a line.
func decodeEntry(fork ForkID, key string, b []byte, chains func(line uint32) ChainID) (Entry, error) {
	r := recordReader{b: b}
	r.open()
	e := Entry{Fork: fork, Key: key, Count: r.num(), SinceDelete: r.num(), First: int64(r.num())}
	if e.lastDelete.lam = r.num(); e.lastDelete.lam > 0 {
		at := r.loc()
		e.lastDelete.line, e.lastDelete.seq, e.lastDelete.index = at.line, at.seq, at.index
		e.lastDelete.chain = chains(at.line)
	}
	e.contribs = int(r.num32())
	n := r.num()
	if n > uint64(len(r.b)) {
		return e, corrupt("entry record of %q does not decode", key)
	}
	e.Heads = make([]Head, n)
	for i := range e.Heads {
		e.Heads[i].read(&r, chains)
	}
	return e, r.close("entry")
}

func (h *Head) read(r *recordReader, chains func(line uint32) ChainID) {
	h.ID = r.digest()
	h.fork = r.num32()
	h.loc = loc{r.num32(), r.num(), r.num32()}
	h.Place = Place{chains(h.loc.line), h.loc.seq, h.loc.index}
	h.lam, h.ordinal = r.num(), r.num()
	h.first = int64(h.lam - r.num())
	h.Time, h.Kind = int64(r.num()), r.num()
	flags := r.flags(flagDeleted | flagInline | flagOpen)
	h.Open = flags&flagOpen != 0
	if h.Deleted = flags&flagDeleted != 0; h.Deleted {
		r.bad = r.bad || flags&flagInline != 0
		return
	}
	h.Value, h.Size = r.digest(), int64(r.num())
	if flags&flagInline != 0 {
		if h.inline = r.bytes(uint64(h.Size)); h.inline == nil {
			h.inline = []byte{}
		}
	}
}

// historyRecord is what the history keeps of a revision; the rest stands in
// its block.
type historyRecord struct {
	ordinal  uint64 // how many revisions of the key this line wrote before
	lam      uint64
	first    int64 // the lowest time of these and itself; at most lam, and kept as the difference
	deleted  bool
	siblings []loc // heads of the key in the block's causal past that the revision has not seen
	// If chain is not 0, siblings are only those that are new since the line's
	// revision before this one, of whose siblings (and itself) those in gone
	// are no more. chain is how many records back the last whole list is, and
	// total how many siblings there are.
	chain, total uint64
	gone         []loc
}

// siblingCount is how many siblings the revision has.
func (h *historyRecord) siblingCount() int {
	if h.chain > 0 {
		return int(h.total)
	}
	return len(h.siblings)
}

func (h *historyRecord) encode() []byte {
	b := make([]byte, 0, 32)
	b = binary.AppendUvarint(b, recordVersion)
	b = binary.AppendUvarint(b, h.ordinal)
	b = binary.AppendUvarint(b, h.lam)
	b = binary.AppendUvarint(b, h.lam-uint64(h.first))
	var flags uint64
	if h.deleted {
		flags |= flagDeleted
	}
	if h.chain > 0 {
		flags |= flagChain
	}
	b = appendLocs(binary.AppendUvarint(b, flags), h.siblings)
	if h.chain > 0 {
		b = binary.AppendUvarint(binary.AppendUvarint(b, h.chain), h.total)
		b = appendLocs(b, h.gone)
	}
	return b
}

func decodeHistory(b []byte) (historyRecord, error) {
	r := recordReader{b: b}
	r.open()
	h := historyRecord{ordinal: r.num(), lam: r.num()}
	h.first = int64(h.lam - r.num())
	flags := r.flags(flagDeleted | flagChain)
	h.deleted = flags&flagDeleted != 0
	h.siblings = r.locs()
	if flags&flagChain != 0 {
		h.chain, h.total, h.gone = r.num(), r.num(), r.locs()
		r.bad = r.bad || h.chain == 0
	}
	return h, r.close("history")
}

func appendLocs(b []byte, ls []loc) []byte {
	b = binary.AppendUvarint(b, uint64(len(ls)))
	for _, l := range ls {
		b = appendLoc(b, l)
	}
	return b
}

func (r *recordReader) locs() (ls []loc) {
	for n := r.num(); n > 0 && !r.bad; n-- {
		ls = append(ls, r.loc())
	}
	return ls
}

func appendLoc(b []byte, l loc) []byte {
	b = binary.AppendUvarint(b, uint64(l.line))
	b = binary.AppendUvarint(b, l.seq)
	return binary.AppendUvarint(b, uint64(l.index))
}

func (r *recordReader) loc() loc { return loc{r.num32(), r.num(), r.num32()} }

// stateRecord is written in every batch, so that a store which lost records
// without an error is noticed at the next start.
type stateRecord struct {
	lsn       uint64 // of the newest block; 0 for none
	revisions uint64
	keys      uint64 // entries of all forks
	void      uint64
	ops       uint64 // operations on members and forks that are not void
	digest    Digest // of the frontier
	trail     trail  // of the arrivals up to lsn
}

func (s *stateRecord) encode() []byte {
	b := binary.AppendUvarint(nil, recordVersion)
	for _, n := range []uint64{s.lsn, s.revisions, s.keys, s.void, s.ops} {
		b = binary.AppendUvarint(b, n)
	}
	return append(append(b, s.digest[:]...), s.trail[:]...)
}

func decodeState(b []byte) (s stateRecord, err error) {
	r := recordReader{b: b}
	r.open()
	s = stateRecord{lsn: r.num(), revisions: r.num(), keys: r.num(), void: r.num(), ops: r.num()}
	copy(s.digest[:], r.bytes(16))
	copy(s.trail[:], r.bytes(8))
	return s, r.close("state")
}
