package dag

import (
	"bytes"
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
	return (b.Note == nil || b.Note.plain()) && b.extra == nil && b.Time >= 0
}

// append appends the canonical bytes of a plain block.
func (b *Block) append(out []byte) []byte {
	fields := uint64(9)
	if b.Note != nil {
		fields++
	}
	out = appendHead(out, majorMap, fields)
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
	if b.Note != nil {
		out = b.Note.append(appendText(out, "note"))
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
	if b.Note != nil {
		n += b.Note.encodedSize()
	}
	return n
}

// readPlain reads a map that has only the fields of a plain block. Whatever it
// takes is canonical; whatever it does not take is left to the library.
func readPlain(raw []byte) (*Block, bool) {
	r := itemReader{b: raw}
	fields := r.head(majorMap)
	if fields != 9 && fields != 10 {
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
	if fields == 10 {
		r.name("note")
		var ok bool
		if b.Note, ok = r.plainNote(); !ok {
			return nil, false
		}
	}
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

// plain reports whether the note has only fields that append knows, and any.
func (n *Note) plain() bool { return n.extra == "" && n.Time >= 0 && !n.IsZero() }

// append appends the canonical bytes of a plain note.
func (n *Note) append(out []byte) []byte {
	start := len(out)
	out = append(out, majorMap<<5)
	text := func(name, value string) {
		if value != "" {
			out = appendText(appendText(out, name), value)
			out[start]++
		}
	}
	if n.Time != 0 {
		out = appendNumber(out, "time", uint64(n.Time))
		out[start]++
	}
	text("author", n.Author)
	text("source", n.Source)
	text("message", n.Message)
	return out
}

// encodedSize is a little more than append takes.
func (n *Note) encodedSize() int { return 64 + len(n.Author) + len(n.Source) + len(n.Message) }

// plainNote reads what append of a plain note writes, and nothing else.
func (r *itemReader) plainNote() (*Note, bool) {
	raw := r.item(1)
	in := itemReader{b: raw}
	n := &Note{}
	for range in.head(majorMap) {
		switch string(in.str(majorText)) {
		case "time":
			n.Time = int64(in.number())
		case "author":
			n.Author = string(in.str(majorText))
		case "source":
			n.Source = string(in.str(majorText))
		case "message":
			n.Message = string(in.str(majorText))
		default:
			return nil, false
		}
	}
	if in.bad || !n.plain() {
		return nil, false
	}
	// What was written out that is empty has another encoding.
	return n, bytes.Equal(n.append(make([]byte, 0, n.encodedSize())), raw)
}

// append appends the canonical bytes of a revRest that has only Apart.
func (a *apart) append(b []byte) []byte {
	b = appendHead(appendText(appendHead(b, majorMap, 1), "apart"), majorArray, 2)
	return appendHead(appendBytes(b, a.Value[:]), majorUint, uint64(a.Size))
}

// readApart reads what append of an apart writes, and nothing else.
func readApart(raw []byte) (*apart, bool) {
	r := itemReader{b: raw}
	if r.head(majorMap) != 1 {
		return nil, false
	}
	r.name("apart")
	if r.head(majorArray) != 2 {
		return nil, false
	}
	a := &apart{}
	value := r.str(majorBytes)
	a.Size = int64(r.number())
	if r.bad || len(r.b) > 0 || len(value) != len(a.Value) {
		return nil, false
	}
	a.Value = Sum(value)
	return a, true
}
