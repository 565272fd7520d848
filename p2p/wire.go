package p2p

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"crush/dag"
)

// wireVersion is the highest version of the sync protocol spoken here.
const wireVersion = 1

// Limits, tested before anything is allocated for what they limit.
const (
	helloLen    = 58       // payload of a HELLO of version 1
	maxHello    = 256      // payload of any HELLO
	maxFrontier = 16 << 20 // payload of a FRONTIER
	chunkGoal   = 256 << 10
	maxChunk    = dag.MaxBlock + 1<<20 // decompressed
	maxRange    = maxChunk + 64<<10    // payload of a RANGE
	chainPrefix = 16
	minTip      = chainPrefix + 1 + 32
)

// errDamaged marks bytes of a peer that are not what the protocol says.
var errDamaged = errors.New("damaged message")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errDamaged, fmt.Sprintf(format, args...))
}

// A Message is one of Hello, Frontier, Range, Done, Refuse.
type Message interface{ frame() frameType }

type frameType uint8

const (
	frameHello frameType = 1 + iota
	frameFrontier
	frameRange
	frameDone
	frameRefuse
)

// String names the frame as the package comment does.
func (t frameType) String() string {
	names := [...]string{"HELLO", "FRONTIER", "RANGE", "DONE", "REFUSE"}
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

// Frontier is the tips of all that a node has applied, sorted and distinct.
type Frontier struct{ Tips []WireTip }

// WireTip is a tip as it is told to a peer.
type WireTip struct {
	Chain [chainPrefix]byte // start of the chain id
	Seq   uint64
	Block dag.BlockID
}

// Range is a chunk of whole blocks in causal order.
type Range struct{ Bundles []dag.Bundle }

// Done ends a direction: all of it was sent, and what came is on disk.
type Done struct{ Digest dag.Digest }

// Refuse ends the session at once.
type Refuse struct{ Reason Reason }

func (Hello) frame() frameType    { return frameHello }
func (Frontier) frame() frameType { return frameFrontier }
func (Range) frame() frameType    { return frameRange }
func (Done) frame() frameType     { return frameDone }
func (Refuse) frame() frameType   { return frameRefuse }

// Reason says why a session was refused.
type Reason uint8

// The reasons of REFUSE.
const (
	ReasonBusy    Reason = 1 // ask again later
	ReasonDamaged Reason = 2 // the receiver of REFUSE sent bad bytes
	ReasonStore   Reason = 3 // the sender's store takes nothing
)

// String says the reason from the point of view of the refused side.
func (r Reason) String() string {
	switch r {
	case ReasonBusy:
		return "it is busy with other transfers"
	case ReasonDamaged:
		return "it found our bytes damaged"
	case ReasonStore:
		return "its store takes no writes"
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
	if len(b) < helloLen || b[0] == 0 || b[0] == 1 && len(b) != helloLen {
		return Hello{}, damaged("HELLO of %d bytes", len(b))
	}
	h := Hello{Version: b[0], Follows: b[1]&flagFollows != 0, Ask: b[1]&flagAsk != 0}
	if b[0] == 1 && b[1] > flagFollows|flagAsk || h.Ask && h.Follows {
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

func (t WireTip) compare(u WireTip) int {
	return cmp.Or(
		bytes.Compare(t.Chain[:], u.Chain[:]),
		cmp.Compare(t.Seq, u.Seq),
		bytes.Compare(t.Block[:], u.Block[:]),
	)
}

func appendFrontier(b []byte, f Frontier) []byte {
	for _, t := range f.Tips {
		b = append(b, t.Chain[:]...)
		b = binary.AppendUvarint(b, t.Seq)
		b = append(b, t.Block[:]...)
	}
	return b
}

func parseFrontier(b []byte) (Frontier, error) {
	f := Frontier{Tips: make([]WireTip, 0, len(b)/minTip)}
	for len(b) > 0 {
		if len(b) < minTip {
			return Frontier{}, damaged("FRONTIER with a tip of %d bytes", len(b))
		}
		var t WireTip
		copy(t.Chain[:], b)
		seq, n := uvarint(b[chainPrefix:])
		b = b[chainPrefix+n:]
		if n == 0 || len(b) < len(t.Block) {
			return Frontier{}, damaged("FRONTIER with a bad seq or short tip")
		}
		t.Seq = seq
		b = b[copy(t.Block[:], b):]
		if last := len(f.Tips) - 1; last >= 0 && f.Tips[last].compare(t) >= 0 {
			return Frontier{}, damaged("FRONTIER out of order")
		}
		f.Tips = append(f.Tips, t)
	}
	return f, nil
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
