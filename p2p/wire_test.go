package p2p

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"crush/dag"
)

// exampleMessages are the messages of the example in the package comment.
func exampleMessages() []Message {
	var h Hello
	h.Version, h.Follows, h.Clock = 1, true, 1_750_000_000_000
	copy(h.Cluster[:], "cluster cluster cluster cluster!")
	copy(h.Digest[:], "digest of before")
	pin := func(seq uint64, block string) dag.Pin {
		return dag.Pin{Chain: dag.ChainStart([]byte("chain of")), Seq: seq, Block: dag.BlockStart([]byte(block))}
	}
	tip := pin(300, "block block bloc")
	return []Message{
		h,
		Frontier{Tips: []dag.Pin{tip}, Coming: []dag.Pin{pin(301, "next from others")}},
		Locator{Chains: []Trail{{Chain: tip.Chain, Pins: []dag.Pin{pin(0, "the very first 1"), tip}}}},
		Range{Parts: [][]byte{[]byte("one two")}},
		Range{Parts: [][]byte{[]byte("three")}},
		Done{Digest: dag.Digest([]byte("digest of after!"))},
		Refuse{Reason: ReasonBusy},
	}
}

// documented returns the bytes of an example in the package comment: the
// indented lines after its heading, up to " ;".
func documented(t *testing.T, heading string) []byte {
	t.Helper()
	var text []byte
	for _, file := range []string{"doc.go", "heldwire.go", "peerswire.go"} {
		part, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, part...)
	}
	_, rest, ok := strings.Cut(string(text), "// # "+heading+"\n//\n")
	if !ok {
		t.Fatalf("no %q in the package comment", heading)
	}
	var out []byte
	for line := range strings.Lines(rest) {
		line, ok := strings.CutPrefix(line, "//\t")
		if !ok {
			break
		}
		line, _, _ = strings.Cut(line, ";")
		b, err := hex.DecodeString(strings.Join(strings.Fields(line), ""))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

func TestDocumentedStream(t *testing.T) {
	raw := documented(t, "Example of a stream")
	r := newFrameReader(bytes.NewReader(raw))
	defer r.close()
	for _, want := range exampleMessages() {
		got, err := r.read()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v: got %v, %v\nwant %v", want.frame(), got, err, want)
		}
	}
	if _, err := r.read(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	var buf bytes.Buffer
	w := newFrameWriter(&buf)
	defer w.close()
	for _, m := range exampleMessages() {
		if err := w.write(m); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(buf.Bytes(), raw) {
		t.Errorf("written otherwise than documented:\n%x", buf.Bytes())
	}
}

// frameOf builds a frame by hand.
func frameOf(t frameType, payload []byte) []byte {
	return append(binary.AppendUvarint([]byte{byte(t)}, uint64(len(payload))), payload...)
}

func compressed(t testing.TB, raw []byte, opts ...zstd.EOption) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw, err := zstd.NewWriter(&buf, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := zw.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := zw.Flush(); err != nil {
		t.Fatal(err)
	}
	out := bytes.Clone(buf.Bytes())
	return out
}

func TestBadFrames(t *testing.T) {
	hello := appendHello(nil, exampleMessages()[0].(Hello))
	pin := appendPin(nil, exampleMessages()[1].(Frontier).Tips[0])
	tips := func(n byte, pins ...[]byte) []byte {
		return frameOf(frameFrontier, append([]byte{n}, bytes.Join(pins, nil)...))
	}
	trail := func(chain string, n byte, pins ...string) []byte {
		return append(append([]byte(chain), n), strings.Join(pins, "")...)
	}
	locator := func(trails ...[]byte) []byte { return frameOf(frameLocator, bytes.Join(trails, nil)) }
	change := func(b []byte, at int, to byte) []byte {
		b = bytes.Clone(b)
		b[at] = to
		return b
	}
	zeros := make([]byte, 64<<20)
	tests := map[string][]byte{
		"type 0":              frameOf(0, nil),
		"type 7":              frameOf(7, nil),
		"type 255":            frameOf(255, []byte{1}),
		"long HELLO":          frameOf(frameHello, make([]byte, maxHello+1)),
		"short HELLO":         frameOf(frameHello, hello[:57]),
		"HELLO with a tail":   frameOf(frameHello, append(bytes.Clone(hello), 0)),
		"HELLO of version 0":  frameOf(frameHello, change(hello, 0, 0)),
		"HELLO, unknown flag": frameOf(frameHello, change(hello, 1, 4)),
		"HELLO, both flags":   frameOf(frameHello, change(hello, 1, 3)),
		"HELLO before 1970":   frameOf(frameHello, change(hello, 50, 0x80)),
		"empty FRONTIER":      frameOf(frameFrontier, nil),
		"short pin":           tips(1, pin[:len(pin)-1]),
		"fewer tips":          tips(2, pin),
		"tip twice":           tips(2, pin, pin),
		"tips out of order":   tips(2, pin, change(pin, 0, 'a')),
		"coming out of order": tips(0, pin, change(pin, 0, 'a')),
		"long seq":            tips(1, pin[:8], []byte{0x80, 0x00}, pin[10:]),
		"endless seq":         tips(1, pin[:8], bytes.Repeat([]byte{0xff}, 40)),
		"many tips":           frameOf(frameFrontier, append([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, pin...)),
		"4 GiB FRONTIER":      {byte(frameFrontier), 0xff, 0xff, 0xff, 0xff, 0x0f},
		"huge FRONTIER":       binary.AppendUvarint([]byte{byte(frameFrontier)}, maxFrontier+1),
		"4 GiB RANGE":         {byte(frameRange), 0xff, 0xff, 0xff, 0xff, 0x0f},
		"huge RANGE":          binary.AppendUvarint([]byte{byte(frameRange)}, maxRange+1),
		"long length":         {byte(frameDone), 0x90, 0x00},
		"LOCATOR cut":         locator([]byte("chain o")),
		"LOCATOR without pin": locator(trail("chain of", 1, "\x05block")),
		"chain twice":         locator(trail("chain of", 0), trail("chain of", 0)),
		"chains out of order": locator(trail("chain of", 0), trail("a hain of", 0)),
		"sample twice":        locator(trail("chain of", 2, "\x05block block bloc", "\x00block block bloc")),
		"samples down":        locator(trail("chain of", 2, "\x05block block bloc", "\x00a lock block bloc")),
		"seq too far":         locator(trail("chain of", 2, "\x05block block bloc", strings.Repeat("\xff", 9)+"\x01block block bloc")),
		"empty RANGE":         frameOf(frameRange, nil),
		"empty chunk":         frameOf(frameRange, []byte{0}),
		"huge chunk":          frameOf(frameRange, append([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, compressed(t, zeros)...)),
		"bomb":                frameOf(frameRange, append([]byte{5}, compressed(t, zeros)...)),
		"large window":        frameOf(frameRange, append([]byte{4}, compressed(t, []byte{3, 'o', 'n', 'e'}, zstd.WithWindowSize(8<<20))...)),
		"no zstd":             frameOf(frameRange, []byte{4, 3, 'o', 'n', 'e'}),
		"chunk too short":     frameOf(frameRange, append([]byte{5}, compressed(t, []byte{3, 'o', 'n', 'e'})...)),
		"bytes after chunk":   frameOf(frameRange, append([]byte{4}, append(compressed(t, []byte{3, 'o', 'n', 'e'}), 0)...)),
		"short DONE":          frameOf(frameDone, make([]byte, 15)),
		"long DONE":           frameOf(frameDone, make([]byte, 17)),
		"empty REFUSE":        frameOf(frameRefuse, nil),
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			r := newFrameReader(bytes.NewReader(raw))
			defer r.close()
			if m, err := r.read(); !errors.Is(err, errDamaged) {
				t.Errorf("got %v, %v", m, err)
			}
		})
	}
}

// A frame that announces much and brings little allocates little.
func TestAllocationFollowsBytes(t *testing.T) {
	raw := append(binary.AppendUvarint([]byte{byte(frameRange)}, 16<<20), make([]byte, 100)...)
	allocated := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			if _, err := newFrameReader(bytes.NewReader(raw)).read(); err != io.ErrUnexpectedEOF {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if allocated > 256<<10 {
		t.Errorf("%d bytes allocated for a frame of %d", allocated, len(raw))
	}
}

func TestCutFrames(t *testing.T) {
	raw := documented(t, "Example of a stream")
	for n := range raw {
		r := newFrameReader(bytes.NewReader(raw[:n]))
		var err error
		for err == nil {
			_, err = r.read()
		}
		r.close()
		if err != io.EOF && err != io.ErrUnexpectedEOF {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
}

func TestLaterHello(t *testing.T) {
	b := appendHello(nil, Hello{Version: 9, Clock: 5})
	b[1] |= 0x80
	h, err := parseHello(append(b, "something new"...))
	if err != nil || h.Version != 9 || h.Clock != 5 {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestUvarint(t *testing.T) {
	for _, v := range []uint64{0, 1, 127, 128, 1<<14 - 1, 1 << 14, math.MaxUint64} {
		b := appendPin(nil, dag.Pin{Seq: v})[len(dag.ChainStart{}):]
		if got, n := uvarint(b); got != v || n != uvarintLen(v) {
			t.Errorf("%d: %d in %d bytes", v, got, n)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := newFrameReader(bytes.NewReader(raw))
		defer r.close()
		for {
			m, err := r.read()
			if err != nil {
				return
			}
			var again []byte
			switch m := m.(type) {
			case Hello:
				if m.Version > 1 {
					continue
				}
				again = appendHello(nil, m)
			case Frontier:
				again = appendFrontier(nil, m)
			case Locator:
				again = appendLocator(nil, m)
			default:
				continue
			}
			if !bytes.Contains(raw, again) {
				t.Errorf("%v is not canonical: %x", m.frame(), again)
			}
		}
	})
}

func FuzzChunk(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		bundles, err := parseChunk(raw)
		if err == nil && !bytes.Equal(appendChunk(nil, bundles), raw) {
			t.Errorf("not canonical: %x", raw)
		}
	})
}
