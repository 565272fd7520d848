package dag

import (
	"math"

	"github.com/fxamacker/cbor/v2"
)

// Blocks are read and written by hand where they have only the usual fields,
// for the reason that revisions are (see append.go): a node that catches up
// hashes each block twice and stores it once.

// plain reports whether the block has only fields that append knows.
func (b *Block) plain() bool {
	for i := range b.Ops {
		if len(b.Ops[i].Body) == 0 {
			return false
		}
	}
	return b.Note == nil && b.extra == nil && b.Time >= 0
}

// append appends the canonical bytes of a plain block.
func (b *Block) append(out []byte) []byte {
	out = appendHead(out, majorMap, 9)
	out = appendNumber(out, "v", b.Version)
	out = appendHead(appendText(out, "ops"), majorArray, uint64(len(b.Ops)))
	for _, op := range b.Ops {
		out = appendHead(appendHead(out, majorArray, 2), majorUint, uint64(op.Kind))
		out = append(out, op.Body...)
	}
	out = appendNumber(out, "seq", b.Seq)
	out = appendHead(appendText(out, "deps"), majorArray, uint64(len(b.Deps)))
	for _, id := range b.Deps {
		out = appendLink(out, codecDagCBOR, id)
	}
	out = appendText(out, "prev")
	if b.Prev.IsZero() {
		out = append(out, cborNull)
	} else {
		out = appendLink(out, codecDagCBOR, b.Prev)
	}
	out = appendHead(appendText(out, "revs"), majorArray, uint64(len(b.Revisions)))
	for _, id := range b.Revisions {
		out = appendLink(out, codecDagCBOR, id)
	}
	out = appendBytes(appendText(out, "salt"), b.Salt[:])
	out = appendNumber(out, "time", uint64(b.Time))
	return appendBytes(appendText(out, "chain"), b.Chain[:])
}

// encodedSize is a little more than append takes.
func (b *Block) encodedSize() int {
	n := 256 + linkSize*(len(b.Deps)+len(b.Revisions))
	for i := range b.Ops {
		n += 10 + len(b.Ops[i].Body)
	}
	return n
}

// readPlain reads a map that has only the fields of a plain block. Whatever it
// takes is canonical; whatever it does not take is left to the library.
func readPlain(raw []byte) (*Block, bool) {
	r := itemReader{b: raw}
	if r.head(majorMap) != 9 {
		return nil, false
	}
	b := &Block{}
	r.name("v")
	b.Version = r.number()
	r.name("ops")
	n := r.head(majorArray)
	if n > MaxOps {
		return nil, false
	}
	for range n {
		if r.head(majorArray) != 2 {
			return nil, false
		}
		kind := OpKind(r.number())
		b.Ops = append(b.Ops, Op{Kind: kind, Body: append(cbor.RawMessage(nil), r.item(maxNesting-opNesting)...)})
	}
	r.name("seq")
	b.Seq = r.number()
	r.name("deps")
	b.Deps = readLinks[BlockID](&r)
	r.name("prev")
	if !r.null() {
		if b.Prev = BlockID(r.link()); b.Prev.IsZero() {
			return nil, false
		}
	}
	r.name("revs")
	b.Revisions = readLinks[RevisionID](&r)
	r.name("salt")
	salt := r.str(majorBytes)
	r.name("time")
	b.Time = int64(r.number())
	r.name("chain")
	chain := r.str(majorBytes)
	if r.bad || len(r.b) > 0 || len(salt) != len(b.Salt) || len(chain) != len(b.Chain) {
		return nil, false
	}
	b.Salt, b.Chain = Salt(salt), ChainID(chain)
	return b, true
}

// number reads an integer of at most 63 bits, not negative.
func (r *itemReader) number() uint64 {
	n := r.head(majorUint)
	if n > math.MaxInt64 {
		r.b, r.bad = nil, true
		return 0
	}
	return n
}

// name reads the name of a field.
func (r *itemReader) name(want string) {
	if string(r.str(majorText)) != want {
		r.b, r.bad = nil, true
	}
}

// link reads a link to a dag-cbor node.
func (r *itemReader) link() [32]byte {
	if len(r.b) < linkSize {
		r.b, r.bad = nil, true
		return [32]byte{}
	}
	digest, err := parseLink(codecDagCBOR, r.b[:linkSize])
	if err != nil {
		r.b, r.bad = nil, true
		return digest
	}
	r.b = r.b[linkSize:]
	return digest
}

// readLinks reads an array of links; it is never nil.
func readLinks[T ~[32]byte](r *itemReader) []T {
	n := r.head(majorArray)
	if n > uint64(len(r.b)/linkSize) {
		r.b, r.bad = nil, true
		return nil
	}
	out := make([]T, n)
	for i := range out {
		out[i] = T(r.link())
	}
	return out
}
