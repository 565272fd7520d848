package p2p

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"crush/dag"
)

// window bounds what a zstd stream may refer back to, on both sides.
const window = 1 << 20

// usualChunk is the size beyond which buffers are not kept.
const usualChunk = 256 << 10

// maxHeader is the longest header of a frame: type and length.
const maxHeader = 5

// A frameWriter writes the messages of one direction. Its zstd stream begins
// with the first Range. It is used by one goroutine; close it.
type frameWriter struct {
	w     io.Writer
	zw    *zstd.Encoder
	buf   bytes.Buffer
	bytes int64 // written
}

func newFrameWriter(w io.Writer) *frameWriter { return &frameWriter{w: w} }

// close frees the compressor.
func (f *frameWriter) close() {
	if f.zw != nil {
		f.zw.Reset(nil)
		f.zw.Close()
	}
}

func (f *frameWriter) write(m Message) error {
	f.buf.Reset()
	f.buf.Write(make([]byte, maxHeader))
	switch m := m.(type) {
	case Hello:
		f.buf.Write(appendHello(f.buf.AvailableBuffer(), m))
	case Frontier:
		f.buf.Write(appendFrontier(nil, m))
	case Range:
		if err := f.compress(m); err != nil {
			return fmt.Errorf("compress blocks: %w", err)
		}
	case Done:
		f.buf.Write(m.Digest[:])
	case Refuse:
		f.buf.WriteByte(byte(m.Reason))
	case Locator:
		f.buf.Write(appendLocator(nil, m))
	}
	b := f.buf.Bytes()
	size := len(b) - maxHeader
	if size > m.frame().limit() {
		return fmt.Errorf("write %v: %d bytes, limit %d", m.frame(), size, m.frame().limit())
	}
	b = b[maxHeader-1-uvarintLen(uint64(size)):]
	b[0] = byte(m.frame())
	binary.PutUvarint(b[1:], uint64(size))
	n, err := f.w.Write(b)
	f.bytes += int64(n)
	if f.buf.Cap() > 2*usualChunk {
		f.buf = bytes.Buffer{}
	}
	return err
}

func (f *frameWriter) compress(m Range) error {
	if f.zw == nil {
		zw, err := zstd.NewWriter(&f.buf, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window),
			zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return err
		}
		f.zw = zw
	}
	size := 0
	for _, part := range m.Parts {
		size += len(part)
	}
	f.buf.Write(binary.AppendUvarint(nil, uint64(size)))
	for _, part := range m.Parts {
		if len(part) == 0 {
			continue
		}
		if _, err := f.zw.Write(part); err != nil {
			return err
		}
		// What follows is of another kind: it gets a block, and codes, of its own.
		if err := f.zw.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// A frameReader reads the messages of one direction. It is used by one
// goroutine; close it. Errors of the bytes are errDamaged, all others are the
// reader's; io.EOF stands only between frames.
type frameReader struct {
	r     io.Reader
	zr    *zstd.Decoder
	feed  bytes.Reader // rest of the current RANGE frame
	bytes int64        // read
}

func newFrameReader(r io.Reader) *frameReader { return &frameReader{r: r} }

// close frees the decompressor.
func (f *frameReader) close() {
	if f.zr != nil {
		f.zr.Close()
	}
}

func (f *frameReader) read() (Message, error) {
	t, size, err := f.readHeader()
	if err != nil {
		return nil, err
	}
	if limit := t.limit(); limit == 0 || size > uint64(limit) {
		return nil, damaged("%v with %d bytes", t, size)
	}
	payload, err := readSized(f.r, int(size))
	f.bytes += int64(len(payload))
	if err != nil {
		return nil, err
	}
	return f.parse(t, payload)
}

// readHeader reads the type and length of a frame.
func (f *frameReader) readHeader() (t frameType, size uint64, err error) {
	var header [maxHeader]byte
	for i := range header {
		n, err := io.ReadFull(f.r, header[i:i+1])
		if f.bytes += int64(n); err != nil {
			if i > 0 && err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, 0, err
		}
		if i > 0 && header[i] < 0x80 {
			size, n = uvarint(header[1 : i+1])
			if n == 0 {
				break
			}
			return frameType(header[0]), size, nil
		}
	}
	return 0, 0, damaged("frame of type %d with a bad length", header[0])
}

func (f *frameReader) parse(t frameType, payload []byte) (Message, error) {
	switch t {
	case frameHello:
		return messageOr(parseHello(payload))
	case frameFrontier:
		return messageOr(parseFrontier(payload))
	case frameRange:
		return messageOr(f.expand(payload))
	case frameDone:
		if len(payload) != len(dag.Digest{}) {
			return nil, damaged("DONE of %d bytes", len(payload))
		}
		return Done{Digest: dag.Digest(payload)}, nil
	case frameRefuse:
		if len(payload) != 1 {
			return nil, damaged("REFUSE of %d bytes", len(payload))
		}
		return Refuse{Reason: Reason(payload[0])}, nil
	case frameLocator:
		return messageOr(parseLocator(payload))
	}
	return nil, damaged("%v", t)
}

func messageOr[M Message](m M, err error) (Message, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}

// expand decompresses one chunk. The bytes are the caller's.
func (f *frameReader) expand(payload []byte) (Range, error) {
	size, n := uvarint(payload)
	if n == 0 || size == 0 || size > dag.MaxChunk {
		return Range{}, damaged("RANGE with a chunk of %d bytes", size)
	}
	f.feed.Reset(payload[n:])
	if f.zr == nil {
		// Hiding the bytes.Reader's other methods keeps the decoder streaming.
		zr, err := zstd.NewReader(struct{ io.Reader }{&f.feed}, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
		if err != nil {
			return Range{}, fmt.Errorf("open decompressor: %w", err)
		}
		f.zr = zr
	}
	raw, err := readSized(f.zr, int(size))
	if err != nil {
		return Range{}, damaged("RANGE does not decompress: %v", err)
	}
	if f.feed.Len() > 0 {
		return Range{}, damaged("RANGE with %d bytes behind its chunk", f.feed.Len())
	}
	return Range{Parts: [][]byte{raw}}, nil
}
