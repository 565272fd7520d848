package dag

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// errEncoding marks bytes that are not canonical DAG-CBOR of what they claim
// to be. It is part of ErrRefused.
var errEncoding = fmt.Errorf("%w: not canonical DAG-CBOR", ErrRefused)

// maxNesting bounds how deep the items of a revision or block stand below its
// map; our own fields use 6. In a bundle they stand up to bundleNesting deeper.
const (
	maxNesting    = 16
	bundleNesting = 8
	opNesting     = 3 // of the body of an operation in its block
)

// maxFields bounds the fields of a map of ours, those that this version does
// not know included.
const maxFields = 48

// encMode and decMode are immutable after construction.
var (
	encMode = newEncMode()
	decMode = newDecMode()
)

func newEncMode() cbor.EncMode {
	m, err := cbor.EncOptions{Sort: cbor.SortLengthFirst, IndefLength: cbor.IndefLengthForbidden, NilContainers: cbor.NilContainerAsEmpty}.EncMode()
	if err != nil {
		panic("dag: cbor options: " + err.Error())
	}
	return m
}

func newDecMode() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, MaxNestedLevels: 2 * (maxNesting + bundleNesting),
		MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, UTF8: cbor.UTF8RejectInvalid, IntDec: cbor.IntDecConvertNone,
	}.DecMode()
	if err != nil {
		panic("dag: cbor options: " + err.Error())
	}
	return m
}

// checkCanonical walks b, which must be exactly one item in canonical DAG-CBOR:
// shortest integers and lengths, definite lengths, text-string map keys in
// length-first order without duplicates, valid UTF-8, no floats, no tag but 42
// over a CID, no simple value but false, true and null, nothing more than depth
// levels below the item. The library's decoder alone accepts several of these,
// and does not look into raw bodies.
func checkCanonical(b []byte, depth int) error {
	n, err := skipItem(b, depth)
	if err != nil {
		return err
	}
	if n != len(b) {
		return fmt.Errorf("%w: %d bytes after the item", errEncoding, len(b)-n)
	}
	return nil
}

// readHead reads an item's head: its major type, its argument and the head's
// length. It refuses what is not the shortest form.
func readHead(b []byte) (major byte, arg uint64, n int, err error) {
	if len(b) == 0 {
		return 0, 0, 0, fmt.Errorf("%w: truncated", errEncoding)
	}
	major, info := b[0]>>5, b[0]&0x1f
	if info < 24 {
		return major, uint64(info), 1, nil
	}
	if info > 27 {
		return 0, 0, 0, fmt.Errorf("%w: indefinite length or reserved head 0x%02x", errEncoding, b[0])
	}
	width := 1 << (info - 24)
	if len(b) < 1+width {
		return 0, 0, 0, fmt.Errorf("%w: truncated head", errEncoding)
	}
	var buf [8]byte
	copy(buf[8-width:], b[1:1+width])
	arg = binary.BigEndian.Uint64(buf[:])
	shortest := arg >= 24
	if width > 1 {
		shortest = arg>>(4*width) != 0 // does not fit in half the width
	}
	if !shortest {
		return 0, 0, 0, fmt.Errorf("%w: integer not in its shortest form", errEncoding)
	}
	return major, arg, 1 + width, nil
}

// skipItem returns the length of the canonical item that b starts with; it
// refuses what stands more than depth levels below it.
func skipItem(b []byte, depth int) (int, error) {
	if depth < 0 {
		return 0, fmt.Errorf("%w: nested too deep", errEncoding)
	}
	major, arg, n, err := readHead(b)
	if err != nil {
		return 0, err
	}
	switch major {
	case 0, 1:
		if arg > math.MaxInt64 {
			return 0, fmt.Errorf("%w: integer beyond 63 bits", errEncoding)
		}
		return n, nil
	case 2, 3:
		if arg > uint64(len(b)-n) {
			return 0, fmt.Errorf("%w: truncated string", errEncoding)
		}
		end := n + int(arg)
		if major == 3 && !utf8.Valid(b[n:end]) {
			return 0, fmt.Errorf("%w: text is not valid UTF-8", errEncoding)
		}
		return end, nil
	case 4:
		return skipArray(b, n, arg, depth)
	case 5:
		return skipMap(b, n, arg, depth)
	case 6:
		return skipLink(b, n, arg)
	default:
		if b[0] != 0xf4 && b[0] != 0xf5 && b[0] != 0xf6 {
			return 0, fmt.Errorf("%w: float or simple value 0x%02x", errEncoding, b[0])
		}
		return n, nil
	}
}

func skipArray(b []byte, n int, count uint64, depth int) (int, error) {
	if count > uint64(len(b)-n) {
		return 0, fmt.Errorf("%w: truncated array", errEncoding)
	}
	for range count {
		m, err := skipItem(b[n:], depth-1)
		if err != nil {
			return 0, err
		}
		n += m
	}
	return n, nil
}

func skipMap(b []byte, n int, count uint64, depth int) (int, error) {
	if count > uint64(len(b)-n)/2 {
		return 0, fmt.Errorf("%w: truncated map", errEncoding)
	}
	var last []byte
	for i := range count {
		major, arg, head, err := readHead(b[n:])
		if err != nil {
			return 0, err
		}
		if major != 3 {
			return 0, fmt.Errorf("%w: map key is not text", errEncoding)
		}
		m, err := skipItem(b[n:], depth-1)
		if err != nil {
			return 0, err
		}
		key := b[n+head : n+head+int(arg)]
		if i > 0 && (len(key) < len(last) || len(key) == len(last) && bytes.Compare(key, last) <= 0) {
			return 0, fmt.Errorf("%w: map keys out of order or repeated at %q", errEncoding, key)
		}
		last = key
		n += m
		if m, err = skipItem(b[n:], depth-1); err != nil {
			return 0, err
		}
		n += m
	}
	return n, nil
}

// skipLink accepts tag 42 over a byte string: a zero byte, then a CIDv1 of 32
// digest bytes by SHA-256.
func skipLink(b []byte, n int, tag uint64) (int, error) {
	const size = linkSize - 2
	if tag != 42 || len(b) < n+size {
		return 0, fmt.Errorf("%w: tag %d, or a truncated link", errEncoding, tag)
	}
	s := b[n : n+size]
	if s[0] != 0x58 || s[1] != linkLen || s[2] != 0 || s[3] != 1 || s[5] != 0x12 || s[6] != 0x20 {
		return 0, fmt.Errorf("%w: link is not a CIDv1 with sha2-256", errEncoding)
	}
	if s[4] != codecDagCBOR && s[4] != codecRaw {
		return 0, fmt.Errorf("%w: link with codec 0x%02x", errEncoding, s[4])
	}
	return n + size, nil
}

const (
	codecRaw     = 0x55
	codecDagCBOR = 0x71
	linkLen      = 1 + 4 + 32  // zero byte, CID prefix, digest
	linkSize     = 4 + linkLen // with the heads of tag and byte string
)

// link is a CBOR link (tag 42) to a dag-cbor node.
type link [32]byte

// rawLink is a CBOR link (tag 42) to raw bytes: a payload.
type rawLink [32]byte

func appendLink(b []byte, codec byte, digest [32]byte) []byte {
	b = append(b, 0xd8, 42, 0x58, linkLen, 0, 1, codec, 0x12, 0x20)
	return append(b, digest[:]...)
}

func parseLink(codec byte, b []byte) (digest [32]byte, err error) {
	if len(b) != linkSize || b[0] != 0xd8 || b[1] != 42 || b[6] != codec {
		return digest, fmt.Errorf("%w: not a link with codec 0x%02x", errEncoding, codec)
	}
	if _, err := skipItem(b, 0); err != nil {
		return digest, err
	}
	copy(digest[:], b[4+5:])
	return digest, nil
}

// MarshalCBOR implements cbor.Marshaler.
func (l link) MarshalCBOR() ([]byte, error) { return appendLink(nil, codecDagCBOR, l), nil }

// UnmarshalCBOR implements cbor.Unmarshaler.
func (l *link) UnmarshalCBOR(b []byte) (err error) {
	*l, err = parseLink(codecDagCBOR, b)
	return err
}

// MarshalCBOR implements cbor.Marshaler.
func (l rawLink) MarshalCBOR() ([]byte, error) { return appendLink(nil, codecRaw, l), nil }

// UnmarshalCBOR implements cbor.Unmarshaler.
func (l *rawLink) UnmarshalCBOR(b []byte) (err error) {
	*l, err = parseLink(codecRaw, b)
	return err
}

// extras are the fields of a map that this version does not know, kept so that
// the bytes can be rebuilt.
type extras map[string]cbor.RawMessage

// marshal encodes v, which must be a struct of known fields, with extras added.
// A value that cannot be encoded is a bug.
func marshal(v any, more extras) []byte {
	b, err := encMode.Marshal(v)
	if err != nil {
		panic("dag: encode: " + err.Error())
	}
	if len(more) == 0 {
		return b
	}
	all := extras{}
	if err := decMode.Unmarshal(b, &all); err != nil {
		panic("dag: decode what was encoded: " + err.Error())
	}
	maps.Copy(all, more)
	return marshal(all, nil)
}

// unmarshal decodes canonical bytes into the struct that into points to, and
// returns the fields that the struct does not have. known lists those it has.
// b must have passed checkCanonical.
func unmarshal(b []byte, into any, known []string) (extras, error) {
	major, fields, _, err := readHead(b)
	if err != nil {
		return nil, err
	}
	if major != majorMap || fields > maxFields {
		return nil, fmt.Errorf("%w: not a map, or of more than %d fields", errEncoding, maxFields)
	}
	err = decMode.Unmarshal(b, into)
	if err == nil {
		return nil, nil
	}
	if _, unknown := errors.AsType[*cbor.UnknownFieldError](err); !unknown {
		return nil, fmt.Errorf("%w: %s", errEncoding, err)
	}
	all := extras{}
	if err := decMode.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("%w: %s", errEncoding, err)
	}
	have := extras{}
	for _, k := range known {
		if v, ok := all[k]; ok {
			have[k] = v
			delete(all, k)
		}
	}
	if err := decMode.Unmarshal(marshal(have, nil), into); err != nil {
		return nil, fmt.Errorf("%w: %s", errEncoding, err)
	}
	return all, nil
}

// itemReader reads the items of canonical bytes one after another; bad is set
// once one was not of the wanted type.
type itemReader struct {
	b   []byte
	bad bool
}

// head reads the head of an item of a major type and returns its argument.
func (r *itemReader) head(major byte) uint64 {
	m, arg, n, err := readHead(r.b)
	if err != nil || m != major {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return arg
}

// str reads a byte string or text; it aliases what is read.
func (r *itemReader) str(major byte) []byte {
	n := r.head(major)
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	s := r.b[:n:n]
	r.b = r.b[n:]
	return s
}

// null reads null, if that is next.
func (r *itemReader) null() bool {
	if len(r.b) == 0 || r.b[0] != cborNull {
		return false
	}
	r.b = r.b[1:]
	return true
}

// raw reads an item of any type; it aliases what is read.
func (r *itemReader) raw() cbor.RawMessage { return r.item(maxNesting + bundleNesting) }

// item is raw for an item below which nothing stands deeper than depth.
func (r *itemReader) item(depth int) cbor.RawMessage {
	n, err := skipItem(r.b, depth)
	if err != nil {
		r.b, r.bad = nil, true
		return nil
	}
	item := r.b[:n:n]
	r.b = r.b[n:]
	return item
}
