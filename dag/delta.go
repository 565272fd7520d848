package dag

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A payload that is kept apart is encoded, most often against the payload that
// it follows on, its base; see the package comment. A config of which one line
// was changed is then some 40 bytes. Nothing here reads a store.

// errDelta says that an encoding does not give a payload of the size that it
// should.
var errDelta = errors.New("encoded payload does not decode")

// appendSplice appends what two payloads do not share: how many bytes are the
// same at their starts, of the rest how many at their ends, and what stands
// between in value.
func appendSplice(b, base, value []byte) []byte {
	most := min(len(base), len(value))
	prefix := sharedPrefixLen(base[:most], value[:most])
	suffix := sharedSuffixLen(base[len(base)-most+prefix:], value[len(value)-most+prefix:])
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(prefix)), uint64(suffix))
	return append(b, value[prefix:len(value)-suffix]...)
}

// sharedPrefixLen is how many bytes are the same at the starts of two slices of
// one length.
func sharedPrefixLen(a, b []byte) int {
	i := 0
	for ; i+8 <= len(a); i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < len(a) && a[i] == b[i] {
		i++
	}
	return i
}

// sharedSuffixLen is how many bytes are the same at their ends.
func sharedSuffixLen(a, b []byte) int {
	n := 0
	for ; n+8 <= len(a); n += 8 {
		if x := binary.LittleEndian.Uint64(a[len(a)-n-8:]) ^ binary.LittleEndian.Uint64(b[len(b)-n-8:]); x != 0 {
			return n + bits.LeadingZeros64(x)/8
		}
	}
	for n < len(a) && a[len(a)-n-1] == b[len(b)-n-1] {
		n++
	}
	return n
}

// unsplice is the inverse of appendSplice.
func unsplice(base, enc []byte) ([]byte, error) {
	r := recordReader{b: enc}
	prefix, suffix := r.num(), r.num()
	if r.bad || prefix > uint64(len(base)) || suffix > uint64(len(base))-prefix {
		return nil, errDelta
	}
	size := int(prefix) + len(r.b) + int(suffix)
	if size > MaxPayload {
		return nil, errDelta
	}
	out := make([]byte, 0, size)
	out = append(append(out, base[:prefix]...), r.b...)
	return append(out, base[uint64(len(base))-suffix:]...), nil
}

// codec compresses with zstd. Encoders and decoders are costly to make, so they
// are kept from one use to the next. The zero value is ready; it is safe for
// concurrent use.
type codec struct{ packers, patchers, largePatchers, readers sync.Pool }

const (
	// codecWindow is how far back a compressed payload refers; largeWindow if it
	// has a base of more than largeBase, which it must reach.
	codecWindow = 1 << 20
	largeWindow = 8 << 20
	largeBase   = 128 << 10
)

func newEncoder(level zstd.EncoderLevel, window int) *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(level),
		zstd.WithWindowSize(window), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic("dag: zstd encoder: " + err.Error())
	}
	return e
}

// pack returns value as a zstd frame; nil if that is not shorter.
func (c *codec) pack(value []byte) []byte {
	e, ok := c.packers.Get().(*zstd.Encoder)
	if !ok {
		e = newEncoder(zstd.SpeedDefault, codecWindow)
	}
	defer c.packers.Put(e)
	return c.good(e.EncodeAll(value, nil), nil, value)
}

// patch is pack with base as the content that stands before value. Most of its
// cost is the table of base, of which the fastest level has the smallest. It is
// too small for what is large.
func (c *codec) patch(base, value []byte) []byte {
	pool, level, window := &c.patchers, zstd.SpeedFastest, codecWindow
	if len(base) > largeBase {
		pool, level, window = &c.largePatchers, zstd.SpeedDefault, largeWindow
	}
	e, ok := pool.Get().(*zstd.Encoder)
	if !ok {
		e = newEncoder(level, window)
	}
	defer pool.Put(e)
	var out bytes.Buffer
	err := e.ResetWithOptions(&out, zstd.WithEncoderDictRaw(0, base))
	if err == nil {
		_, err = e.Write(value)
	}
	if err = errors.Join(err, e.Close()); err != nil {
		panic("dag: zstd in memory: " + err.Error())
	}
	return c.good(out.Bytes(), base, value)
}

// good returns a frame if it is shorter than value and gives that back: what is
// written may be all that there ever is of a payload.
func (c *codec) good(frame, base, value []byte) []byte {
	if len(frame) >= len(value) {
		return nil
	}
	if back, err := c.unpack(frame, base, len(value)); err != nil || !bytes.Equal(back, value) {
		return nil
	}
	return frame
}

// unpack is the inverse of pack, and of patch with its base. It allocates size
// bytes, and does not go on beyond.
func (c *codec) unpack(frame, base []byte, size int) ([]byte, error) {
	d, ok := c.readers.Get().(*zstd.Decoder)
	if !ok {
		var err error
		d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			panic("dag: zstd decoder: " + err.Error())
		}
	}
	defer c.readers.Put(d)
	if len(base) > 0 {
		if err := d.ResetWithOptions(nil, zstd.WithDecoderDictRaw(0, base)); err != nil {
			return nil, err
		}
		defer d.ResetWithOptions(nil, zstd.WithDecoderDictDelete())
	}
	out, err := d.DecodeAll(frame, make([]byte, 0, size))
	if err != nil || len(out) != size {
		return nil, errDelta
	}
	return out, nil
}
