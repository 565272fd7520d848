// # Held, /crush/held/1
//
// On a stream of its own a node asks another which blocks are on its disk.
// Numbers are big-endian. A message is one of
//
//	1 ASK   chain id 32 bytes | seq 8 bytes | block id 32 bytes
//	2 DROP  block id 32 bytes
//	3 HELD  block id 32 bytes
//
// with the number before it as one byte. The opener sends ASK and DROP, the
// answerer HELD: once for each ASK, as soon as that block, and all that comes
// before it, is on its disk, at once if it is there already, in any order.
// Seq is where the block stands in its chain, so that the answerer need not
// search for a block that it does not have. DROP takes an ASK back; it may
// cross with the HELD, and the opener passes over a HELD that it does not wait
// for.
//
// No more than 256 asks of a stream wait at a time, and a node answers two
// streams of a peer. Who asks more, asks twice for a block that still waits,
// or sends anything else, has its stream reset. The opener ends its side when
// it has nothing to ask for a while; then the answerer ends its own.
//
// # Example of asking who holds a block
//
//	01 636861696e206f662061206e6f64652e20636861696e206f662061206e6f6465 ; ASK
//	   000000000000012c ; seq 300
//	   626c6f636b20626c6f636b20626c6f636b20626c6f636b20626c6f636b20626c
//	02 626c6f636b20626c6f636b20626c6f636b20626c6f636b20626c6f636b20626c ; DROP
//	03 626c6f636b20626c6f636b20626c6f636b20626c6f636b20626c6f636b20626c ; HELD
package p2p

import (
	"encoding/binary"
	"io"

	"github.com/libp2p/go-libp2p/core/protocol"

	"crush/dag"
)

const heldProtocol protocol.ID = "/crush/held/1"

// maxAsks is how many asks of one stream may wait.
const maxAsks = 256

// A heldMessage is an ASK, DROP or HELD. Only an ASK has the chain and the seq
// of its block.
type heldMessage struct {
	kind heldKind
	tip  dag.Tip
}

type heldKind uint8

const (
	heldAsk  heldKind = 1
	heldDrop heldKind = 2
	heldHeld heldKind = 3
)

func appendHeld(b []byte, m heldMessage) []byte {
	b = append(b, byte(m.kind))
	if m.kind == heldAsk {
		b = append(b, m.tip.Chain[:]...)
		b = binary.BigEndian.AppendUint64(b, m.tip.Seq)
	}
	return append(b, m.tip.Block[:]...)
}

// readHeld reads a message. Unknown bytes are errDamaged, all other errors are
// the reader's; io.EOF stands only between messages.
func readHeld(r io.Reader) (m heldMessage, err error) {
	var b [32 + 8 + 32]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return m, err
	}
	m.kind = heldKind(b[0])
	body := b[:]
	switch m.kind {
	case heldAsk:
	case heldDrop, heldHeld:
		body = b[:len(m.tip.Block)]
	default:
		return m, damaged("held message of kind %d", b[0])
	}
	if _, err := io.ReadFull(r, body); err == io.EOF {
		return m, io.ErrUnexpectedEOF
	} else if err != nil {
		return m, err
	}
	if m.kind == heldAsk {
		m.tip.Seq = binary.BigEndian.Uint64(body[copy(m.tip.Chain[:], body):])
	}
	copy(m.tip.Block[:], body[len(body)-len(m.tip.Block):])
	return m, nil
}
