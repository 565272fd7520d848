package dag

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// blockVersion is the version of the block format that this code writes.
const blockVersion = 1

// Block is one link of a chain: a batch of operations and revisions that is
// applied whole or not at all.
type Block struct {
	Version   uint64
	Chain     ChainID
	Seq       uint64    // 0 for the first of a chain
	Prev      BlockID   // zero for the first of a chain
	Deps      []BlockID // tips that the writer had applied and that Prev does not reach; ascending
	Time      int64     // unix milliseconds, the author's claim
	Salt      Salt
	Note      *Note
	Ops       []Op
	Revisions []RevisionID
	extra     extras
}

// blockWire is the canonical map of a block. The envelope is frozen.
type blockWire struct {
	Version   uint64   `cbor:"v"`
	Chain     [32]byte `cbor:"chain"`
	Seq       uint64   `cbor:"seq"`
	Prev      *link    `cbor:"prev"`
	Deps      []link   `cbor:"deps"`
	Time      int64    `cbor:"time"`
	Salt      [16]byte `cbor:"salt"`
	Note      *Note    `cbor:"note,omitempty"`
	Ops       opList   `cbor:"ops"`
	Revisions []link   `cbor:"revs"`
}

// blockFields are the fields of blockWire.
var blockFields = []string{"v", "chain", "seq", "prev", "deps", "time", "salt", "note", "ops", "revs"}

// Encode returns the canonical bytes of the block, which its id hashes. The
// signature is not part of them.
func (b *Block) Encode() []byte {
	if b.plain() {
		return b.append(make([]byte, 0, b.encodedSize()))
	}
	return b.encodeAny()
}

// encodeAny encodes any block, by the library.
func (b *Block) encodeAny() []byte {
	w := blockWire{
		Version: b.Version, Chain: b.Chain, Seq: b.Seq, Deps: links(b.Deps), Time: b.Time, Salt: b.Salt,
		Note: b.Note, Ops: b.Ops, Revisions: links(b.Revisions),
	}
	if w.Ops == nil {
		w.Ops = opList{}
	}
	if !b.Prev.IsZero() {
		w.Prev = (*link)(&b.Prev)
	}
	return marshal(&w, b.extra)
}

// ID returns the block's id: the hash of its canonical bytes.
func (b *Block) ID() BlockID { return sha256.Sum256(b.Encode()) }

// DecodeBlock reads the canonical bytes of a block. It refuses any other
// encoding, an unknown version, and what is over the limits. Unknown fields
// are kept.
func DecodeBlock(raw []byte) (*Block, error) {
	if len(raw) > MaxBlock {
		return nil, fmt.Errorf("decode block: %w: %d bytes, limit %d", ErrRefused, len(raw), MaxBlock)
	}
	b, plain := readPlain(raw)
	if !plain {
		var err error
		if b, err = readAny(raw); err != nil {
			return nil, err
		}
	}
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("decode block: %w: %w", ErrRefused, err)
	}
	return b, nil
}

// readAny reads the bytes of any block, by the library.
func readAny(raw []byte) (*Block, error) {
	if err := checkCanonical(raw, maxNesting); err != nil {
		return nil, fmt.Errorf("decode block: %w", err)
	}
	var w blockWire
	extra, err := unmarshal(raw, &w, blockFields)
	if err != nil {
		return nil, fmt.Errorf("decode block: %w", err)
	}
	b := &Block{
		Version: w.Version, Chain: w.Chain, Seq: w.Seq, Deps: unlinks[BlockID](w.Deps), Time: w.Time, Salt: w.Salt,
		Note: w.Note, Ops: w.Ops, Revisions: unlinks[RevisionID](w.Revisions), extra: extra,
	}
	if w.Prev != nil {
		b.Prev = BlockID(*w.Prev)
	}
	if !bytes.Equal(b.Encode(), raw) {
		return nil, fmt.Errorf("decode block: %w: field missing or null", errEncoding)
	}
	return b, nil
}

// check tests what every receiver enforces of the envelope.
func (b *Block) check() error {
	if b.Version != blockVersion {
		return fmt.Errorf("block version %d, this build knows %d", b.Version, blockVersion)
	}
	if b.Time < 0 || b.Time > maxTime {
		return fmt.Errorf("time %d", b.Time)
	}
	if (b.Seq == 0) != b.Prev.IsZero() {
		return fmt.Errorf("seq %d with prev %v", b.Seq, !b.Prev.IsZero())
	}
	for i, d := range b.Deps {
		if i > 0 && bytes.Compare(b.Deps[i-1][:], d[:]) >= 0 {
			return fmt.Errorf("dependency %s out of order or twice", d.Short())
		}
		if d == b.Prev {
			return fmt.Errorf("dependency %s is prev", d.Short())
		}
	}
	if b.genesis() && (len(b.Ops) < 2 || b.Ops[1].Kind != OpGenesis) {
		return errors.New("no dependencies, and it founds no cluster")
	}
	if b.Note != nil {
		if err := b.Note.check(); err != nil {
			return err
		}
	}
	for i, op := range b.Ops {
		if err := op.check(); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
	}
	return nil
}

// genesis reports whether the block comes before all others of a cluster.
func (b *Block) genesis() bool { return b.Seq == 0 && len(b.Deps) == 0 }

// blockSize is what MaxBlock bounds. It follows from what is hashed alone, not
// from how that is packed: 128 for signature and framing, the bytes of the
// block's map, and for each revision the bytes of its map and of its payload. A
// bundle is never longer.
func blockSize(blockMap, revisionMaps, payloads int) int {
	return 128 + blockMap + revisionMaps + payloads
}

// announces returns the announcement of the block's chain: the first operation
// of a chain's first block.
func (b *Block) announces() (ChainOp, bool) {
	if b.Seq != 0 || len(b.Ops) == 0 || b.Ops[0].Kind != OpChain {
		return ChainOp{}, false
	}
	op, err := decodeOp[ChainOp](b.Ops[0])
	if err != nil || NewChainID(op.Key, op.Nonce) != b.Chain {
		return ChainOp{}, false
	}
	return op, true
}

// opList is the operations of a block; their number is checked before they are
// allocated.
type opList []Op

// UnmarshalCBOR implements cbor.Unmarshaler.
func (l *opList) UnmarshalCBOR(b []byte) error {
	if _, n, _, err := readHead(b); err != nil || n > MaxOps {
		return fmt.Errorf("%d operations, limit %d", n, MaxOps)
	}
	return decMode.Unmarshal(b, (*[]Op)(l))
}

// Op is one operation on forks or on the cluster: a kind and its body, which
// is a canonical map. Bodies of unknown kinds are kept as they are.
type Op struct {
	_    struct{} `cbor:",toarray"`
	Kind OpKind
	Body cbor.RawMessage
}

func (o Op) check() error {
	if len(o.Body) == 0 || o.Body[0]>>5 != 5 {
		return errors.New("body is not a map")
	}
	return nil
}
