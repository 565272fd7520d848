package dag

// The bytes of revisions are made by hand: each write hashes one and stores
// one, and the library's reflection was a sixth of the cost of a write. A test
// holds the two against each other.

// appendHead appends the head of an item: a major type and its argument.
func appendHead(b []byte, major byte, n uint64) []byte {
	m := major << 5
	switch {
	case n < 24:
		return append(b, m|byte(n))
	case n < 1<<8:
		return append(b, m|24, byte(n))
	case n < 1<<16:
		return append(b, m|25, byte(n>>8), byte(n))
	case n < 1<<32:
		return append(b, m|26, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(b, m|27, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// The major types of CBOR.
const (
	majorUint  = 0
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
)

const cborNull = 0xf6

func appendText(b []byte, s string) []byte {
	return append(appendHead(b, majorText, uint64(len(s))), s...)
}

func appendBytes(b, s []byte) []byte { return append(appendHead(b, majorBytes, uint64(len(s))), s...) }

func appendNumber(b []byte, name string, n uint64) []byte {
	return appendHead(appendText(b, name), majorUint, n)
}

// plain reports whether the revision has only fields that append knows.
func (r *Revision) plain() bool {
	return r.Note == nil && r.extra == nil && r.Size >= 0 && r.Time >= 0
}

// append appends the canonical bytes of a plain revision.
func (r *Revision) append(b []byte) []byte {
	fields := uint64(11)
	if r.Mark != 0 {
		fields++
	}
	if r.Label != "" {
		fields++
	}
	b = appendHead(b, majorMap, fields)
	b = appendText(appendText(b, "key"), r.Key)
	b = appendNumber(b, "seq", r.Seq)
	b = appendBytes(appendText(b, "fork"), r.Fork[:])
	b = appendNumber(b, "kind", r.Kind)
	if r.Mark != 0 {
		b = appendNumber(b, "mark", uint64(r.Mark))
	}
	b = appendBytes(appendText(b, "salt"), r.Salt[:])
	b = appendNumber(b, "size", uint64(r.Size))
	b = appendNumber(b, "time", uint64(r.Time))
	b = appendBytes(appendText(b, "chain"), r.Chain[:])
	b = appendNumber(b, "index", r.Index)
	if r.Label != "" {
		b = appendText(appendText(b, "label"), r.Label)
	}
	b = appendText(b, "value")
	if r.Deleted {
		b = append(b, cborNull)
	} else {
		b = appendLink(b, codecRaw, r.Value)
	}
	b = appendHead(appendText(b, "parents"), majorArray, uint64(len(r.Parents)))
	for _, id := range r.Parents {
		b = appendLink(b, codecDagCBOR, id)
	}
	return b
}

// encodedSize is a little more than append takes.
func (r *Revision) encodedSize() int { return 256 + len(r.Key) + len(r.Label) + 41*len(r.Parents) }
