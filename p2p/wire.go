package p2p

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"crush/dag"
)

// wireVersion is the highest version of the sync protocol spoken here.
const wireVersion = 2

// Limits, tested before anything is allocated for what they limit.
const (
	helloLen    = 58                     // payload of a HELLO of version 1 or 2
	maxHello    = 256                    // payload of any HELLO
	maxFrontier = 4 << 20                // payload of a FRONTIER: of some 150,000 tips
	maxLocator  = 512 << 10              // payload of a LOCATOR
	maxSamples  = 16 << 10               // pins in a LOCATOR that is sent
	maxRange    = dag.MaxChunk + 512<<10 // payload of a RANGE
	minPin      = 8 + 1 + 16
)

// errDamaged marks bytes of a peer that are not what the protocol says.
var errDamaged = errors.New("damaged message")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errDamaged, fmt.Sprintf(format, args...))
}

// A Message is one of Hello, Frontier, Range, Done, Refuse, Locator.
type Message interface{ frame() frameType }

type frameType uint8

const (
	frameHello frameType = 1 + iota
	frameFrontier
	frameRange
	frameDone
	frameRefuse
	frameLocator
)

// String names the frame as the package comment does.
func (t frameType) String() string {
	names := [...]string{"HELLO", "FRONTIER", "RANGE", "DONE", "REFUSE", "LOCATOR"}
	if t == 0 || int(t) > len(names) {
		return fmt.Sprintf("frame of type %d", uint8(t))
	}
	return names[t-1]
}

// limit is the longest payload of a frame, 0 for an unknown type.
func (t frameType) limit() int {
	switch t {
	case frameHello:
		return maxHello
	case frameFrontier:
		return maxFrontier
	case frameRange:
		return maxRange
	case frameDone:
		return len(dag.Digest{})
	case frameRefuse:
		return 1
	case frameLocator:
		return maxLocator
	}
	return 0
}

// Hello is who a node is and where it stands.
type Hello struct {
	Version uint8
	Follows bool // FRONTIER follows without being asked for
	Ask     bool // the sender wants the answering HELLO and nothing else
	Cluster dag.ClusterID
	Digest  dag.Digest
	Clock   int64 // unix milliseconds
}

// Frontier is where a node stands. Both lists are sorted and distinct.
type Frontier struct {
	Tips   []dag.Pin // of all that it has applied
	Coming []dag.Pin // of what it fetches from others now: not to be sent
}

// Locator tells along which blocks chains run, so that the other side finds
// where its own part from them.
type Locator struct{ Chains []Trail }

// Trail is pins along one chain, sorted and distinct; none if there would be
// too many.
type Trail struct {
	Chain dag.ChainStart
	Pins  []dag.Pin
}

// Range is a chunk of whole blocks in causal order, in parts that follow on
// one another.
type Range struct{ Parts [][]byte }

// bytes puts the parts together.
func (r Range) bytes() []byte {
	if len(r.Parts) == 1 {
		return r.Parts[0]
	}
	return slices.Concat(r.Parts...)
}

// Done ends a direction: all of it was sent, and what came is on disk.
type Done struct{ Digest dag.Digest }

// Refuse ends the session at once.
type Refuse struct{ Reason Reason }

func (Hello) frame() frameType    { return frameHello }
func (Frontier) frame() frameType { return frameFrontier }
func (Range) frame() frameType    { return frameRange }
func (Done) frame() frameType     { return frameDone }
func (Refuse) frame() frameType   { return frameRefuse }
func (Locator) frame() frameType  { return frameLocator }

// Reason says why a session was refused.
type Reason uint8

// The reasons of REFUSE.
const (
	ReasonBusy    Reason = 1 // ask again later
	ReasonDamaged Reason = 2 // the receiver of REFUSE sent bad bytes
	ReasonStore   Reason = 3 // the sender's store takes nothing, or gives nothing
	ReasonGap     Reason = 4 // the receiver of REFUSE sent blocks that follow on none that are here
)

// String says the reason from the point of view of the refused side.
func (r Reason) String() string {
	switch r {
	case ReasonBusy:
		return "it is busy with other transfers"
	case ReasonDamaged:
		return "it found our bytes damaged"
	case ReasonStore:
		return "its store failed"
	case ReasonGap:
		return "it lacks what comes before our blocks"
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

const (
	flagFollows = 1 << iota
	flagAsk
)

func appendHello(b []byte, h Hello) []byte {
	var flags byte
	if h.Follows {
		flags |= flagFollows
	}
	if h.Ask {
		flags |= flagAsk
	}
	b = append(b, h.Version, flags)
	b = append(b, h.Cluster[:]...)
	b = append(b, h.Digest[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(h.Clock))
}

func parseHello(b []byte) (Hello, error) {
	if len(b) < helloLen || b[0] == 0 || b[0] <= wireVersion && len(b) != helloLen {
		return Hello{}, damaged("HELLO of %d bytes", len(b))
	}
	h := Hello{Version: b[0], Follows: b[1]&flagFollows != 0, Ask: b[1]&flagAsk != 0}
	if b[0] <= wireVersion && b[1] > flagFollows|flagAsk || h.Ask && h.Follows {
		return Hello{}, damaged("HELLO with flags %#x", b[1])
	}
	copy(h.Cluster[:], b[2:])
	copy(h.Digest[:], b[34:])
	h.Clock = int64(binary.BigEndian.Uint64(b[50:]))
	if h.Clock < 0 {
		return Hello{}, damaged("HELLO with clock %d", h.Clock)
	}
	return h, nil
}

func appendPin(b []byte, p dag.Pin) []byte {
	b = append(b, p.Chain[:]...)
	b = binary.AppendUvarint(b, p.Seq)
	return append(b, p.Block[:]...)
}

func parsePin(b []byte) (p dag.Pin, rest []byte, err error) {
	n := copy(p.Chain[:], b)
	seq, m := uvarint(b[n:])
	rest = b[n+m:]
	if m == 0 || len(rest) < len(p.Block) {
		return p, nil, damaged("pin with a bad seq, or short")
	}
	p.Seq = seq
	return p, rest[copy(p.Block[:], rest):], nil
}

func appendFrontier(b []byte, f Frontier) []byte {
	b = binary.AppendUvarint(b, uint64(len(f.Tips)))
	for _, p := range f.Tips {
		b = appendPin(b, p)
	}
	for _, p := range f.Coming {
		b = appendPin(b, p)
	}
	return b
}

func parseFrontier(b []byte) (Frontier, error) {
	n, m := uvarint(b)
	if b = b[m:]; m == 0 || n > uint64(len(b)/minPin) {
		return Frontier{}, damaged("FRONTIER of %d tips in %d bytes", n, len(b))
	}
	f := Frontier{Tips: make([]dag.Pin, 0, n)}
	for len(b) > 0 {
		list := &f.Tips
		if uint64(len(f.Tips)) == n {
			list = &f.Coming
		}
		p, rest, err := parsePin(b)
		if err != nil {
			return Frontier{}, err
		}
		if last := len(*list) - 1; last >= 0 && (*list)[last].Compare(p) >= 0 {
			return Frontier{}, damaged("FRONTIER out of order")
		}
		*list, b = append(*list, p), rest
	}
	if uint64(len(f.Tips)) < n {
		return Frontier{}, damaged("FRONTIER of %d tips with %d", n, len(f.Tips))
	}
	return f, nil
}

func appendLocator(b []byte, l Locator) []byte {
	for _, t := range l.Chains {
		b = append(b, t.Chain[:]...)
		b = binary.AppendUvarint(b, uint64(len(t.Pins)))
		seq := uint64(0)
		for _, p := range t.Pins {
			b = binary.AppendUvarint(b, p.Seq-seq)
			b = append(b, p.Block[:]...)
			seq = p.Seq
		}
	}
	return b
}

func parseLocator(b []byte) (l Locator, err error) {
	for len(b) > 0 {
		var t Trail
		n := copy(t.Chain[:], b)
		count, m := uvarint(b[n:])
		b = b[n+m:]
		if last := len(l.Chains) - 1; m == 0 || last >= 0 && bytes.Compare(l.Chains[last].Chain[:], t.Chain[:]) >= 0 {
			return l, damaged("LOCATOR cut or out of order")
		}
		seq := uint64(0)
		for range count {
			p := dag.Pin{Chain: t.Chain}
			more, m := uvarint(b)
			if b = b[m:]; m == 0 || len(b) < len(p.Block) || seq+more < seq {
				return l, damaged("LOCATOR with a bad seq, or cut")
			}
			seq += more
			p.Seq = seq
			b = b[copy(p.Block[:], b):]
			if last := len(t.Pins) - 1; last >= 0 && t.Pins[last].Compare(p) >= 0 {
				return l, damaged("LOCATOR out of order")
			}
			t.Pins = append(t.Pins, p)
		}
		l.Chains = append(l.Chains, t)
	}
	return l, nil
}

// uvarint reads a varint in its shortest form; n is 0 if there is none.
func uvarint(b []byte) (v uint64, n int) {
	v, n = binary.Uvarint(b)
	if n <= 0 || n != uvarintLen(v) {
		return 0, 0
	}
	return v, n
}

func uvarintLen(v uint64) int { return max(1, (bits.Len64(v)+6)/7) }

// chunkSize is what a bundle adds to a chunk.
func chunkSize(b dag.Bundle) int { return uvarintLen(uint64(len(b))) + len(b) }

func appendChunk(b []byte, bundles []dag.Bundle) []byte {
	for _, bundle := range bundles {
		b = binary.AppendUvarint(b, uint64(len(bundle)))
		b = append(b, bundle...)
	}
	return b
}

// parseChunk splits a chunk; the bundles alias b.
func parseChunk(b []byte) ([]dag.Bundle, error) {
	if len(b) == 0 {
		return nil, damaged("empty chunk")
	}
	var bundles []dag.Bundle
	for len(b) > 0 {
		size, n := uvarint(b)
		if n == 0 || size == 0 || size > dag.MaxBlock || size > uint64(len(b)-n) {
			return nil, damaged("block of %d bytes in a chunk with %d left", size, len(b))
		}
		end := n + int(size)
		bundles = append(bundles, dag.Bundle(b[n:end:end]))
		b = b[end:]
	}
	return bundles, nil
}

// readSized reads n bytes and allocates no more than twice what has come.
func readSized(r io.Reader, n int) ([]byte, error) {
	buf := make([]byte, 0, min(n, 64<<10))
	for len(buf) < n {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, min(len(buf), n-len(buf)))
		}
		m, err := io.ReadFull(r, buf[len(buf):min(cap(buf), n)])
		buf = buf[:len(buf)+m]
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
	return buf, nil
}
