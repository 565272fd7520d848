package dag

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// RevisionID names a revision: the SHA-256 digest in its CID.
type RevisionID [32]byte

// BlockID names a block: the SHA-256 digest in its CID.
type BlockID [32]byte

// ChainID names the sequence of blocks that one incarnation of one node
// writes: SHA-256 of the node's key and a random nonce (see [NewChainID]).
type ChainID [32]byte

// ForkID names a fork. It is derived from where the fork was created
// ([NewForkID]) or, for forks named into being, from its name ([NamedFork]).
type ForkID [32]byte

// NodeID is a node's Ed25519 public key. Its text form is the libp2p peer ID.
type NodeID [32]byte

// ClusterID names a cluster: the digest of its genesis block's CID.
type ClusterID [32]byte

// Sum is the SHA-256 digest of a payload.
type Sum [32]byte

// Salt is the random part of a block that makes equal writes of two clones
// different revisions.
type Salt [16]byte

// Digest is a short fingerprint of a frontier; equal digests mean equal
// applied sets.
type Digest [16]byte

// ErrBadID marks text that is not an identifier of the wanted type.
var ErrBadID = errors.New("not a valid id")

// cidPrefix starts every CID here: CIDv1, dag-cbor, sha2-256, 32 bytes.
var cidPrefix = [4]byte{0x01, 0x71, 0x12, 0x20}

// sharedPrefix is the text that all CIDs here start with; what follows is the
// distinctive part of an id.
const sharedPrefix = "bafyrei"

// minPrefix is the shortest distinctive part that names a revision or block.
const minPrefix = 6

// shortLen is the length of the distinctive part that people are shown.
const shortLen = 8

var base32Lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func cidText(digest [32]byte) string {
	var raw [len(cidPrefix) + len(digest)]byte
	copy(raw[copy(raw[:], cidPrefix[:]):], digest[:])
	var text [1 + (8*len(raw)+4)/5]byte
	text[0] = 'b'
	base32Lower.Encode(text[1:], raw[:])
	return string(text[:])
}

func cidParse(s string) (digest [32]byte, err error) {
	if len(s) == 0 || s[0] != 'b' {
		return digest, fmt.Errorf("parse CID %q: %w", s, ErrBadID)
	}
	raw, err := base32Lower.DecodeString(s[1:])
	if err != nil || len(raw) != 36 || !bytes.Equal(raw[:4], cidPrefix[:]) {
		return digest, fmt.Errorf("parse CID %q: %w", s, ErrBadID)
	}
	copy(digest[:], raw[4:])
	if cidText(digest) != s { // trailing bits
		return digest, fmt.Errorf("parse CID %q: %w", s, ErrBadID)
	}
	return digest, nil
}

func cidOf(digest [32]byte) cid.Cid {
	mh, err := multihash.Encode(digest[:], multihash.SHA2_256)
	if err != nil {
		panic("dag: encode multihash: " + err.Error())
	}
	return cid.NewCidV1(cid.DagCBOR, mh)
}

func hexParse(what, s string, into []byte) error {
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != len(into) || strings.ToLower(s) != s {
		return fmt.Errorf("parse %s %q: %w", what, s, ErrBadID)
	}
	copy(into, raw)
	return nil
}

// String returns the CID in its usual text form.
func (id RevisionID) String() string { return cidText(id) }

// CID returns the id as a CID value of the IPLD libraries.
func (id RevisionID) CID() cid.Cid { return cidOf(id) }

// Short returns the part of the CID that people are shown.
func (id RevisionID) Short() string { return cidText(id)[len(sharedPrefix):][:shortLen] }

// IsZero reports whether the id names nothing.
func (id RevisionID) IsZero() bool { return id == RevisionID{} }

// MarshalText implements encoding.TextMarshaler.
func (id RevisionID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *RevisionID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseRevisionID(string(b))
	return err
}

// ParseRevisionID reads the text form of a revision's CID.
func ParseRevisionID(s string) (RevisionID, error) {
	d, err := cidParse(s)
	return RevisionID(d), err
}

// String returns the CID in its usual text form.
func (id BlockID) String() string { return cidText(id) }

// CID returns the id as a CID value of the IPLD libraries.
func (id BlockID) CID() cid.Cid { return cidOf(id) }

// Short returns the part of the CID that people are shown.
func (id BlockID) Short() string { return cidText(id)[len(sharedPrefix):][:shortLen] }

// IsZero reports whether the id names nothing.
func (id BlockID) IsZero() bool { return id == BlockID{} }

// MarshalText implements encoding.TextMarshaler.
func (id BlockID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *BlockID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseBlockID(string(b))
	return err
}

// ParseBlockID reads the text form of a block's CID.
func ParseBlockID(s string) (BlockID, error) {
	d, err := cidParse(s)
	return BlockID(d), err
}

// NewChainID derives the name of a chain from its author and nonce.
func NewChainID(node NodeID, nonce Salt) ChainID {
	return ChainID(domainHash("crush chain 1", node[:], nonce[:]))
}

// String returns the id in hexadecimal.
func (id ChainID) String() string { return hex.EncodeToString(id[:]) }

// Short returns the start of the id, enough to tell chains of one cluster apart.
func (id ChainID) Short() string { return id.String()[:shortLen] }

// IsZero reports whether the id names nothing.
func (id ChainID) IsZero() bool { return id == ChainID{} }

// MarshalText implements encoding.TextMarshaler.
func (id ChainID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ChainID) UnmarshalText(b []byte) error { return hexParse("chain id", string(b), id[:]) }

// ParseChainID reads the text form of a chain id.
func ParseChainID(s string) (id ChainID, err error) {
	err = id.UnmarshalText([]byte(s))
	return id, err
}

// DefaultForkName is the name of the root fork.
const DefaultForkName = "default"

// defaultFork never changes.
var defaultFork = NamedFork(DefaultForkName)

// DefaultFork returns the fixed id of the root fork.
func DefaultFork() ForkID { return defaultFork }

// NamedFork is the id of a fork that was named into being, without a parent:
// the default fork and those of the ancestor's HTTP API.
func NamedFork(name string) ForkID { return ForkID(domainHash("crush named fork 1", []byte(name))) }

// NewForkID is the id of a fork that the operation with this index creates in
// the block at (chain, seq) with this salt.
func NewForkID(chain ChainID, seq uint64, index uint32, salt Salt) ForkID {
	var n [12]byte
	binary.BigEndian.PutUint64(n[:8], seq)
	binary.BigEndian.PutUint32(n[8:], index)
	return ForkID(domainHash("crush fork 1", chain[:], n[:], salt[:]))
}

// String returns the id in hexadecimal.
func (id ForkID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the id names nothing.
func (id ForkID) IsZero() bool { return id == ForkID{} }

// MarshalText implements encoding.TextMarshaler.
func (id ForkID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ForkID) UnmarshalText(b []byte) error { return hexParse("fork id", string(b), id[:]) }

// ParseForkID reads the text form of a fork id.
func ParseForkID(s string) (id ForkID, err error) {
	err = id.UnmarshalText([]byte(s))
	return id, err
}

// peerKeyPrefix is the protobuf header of an Ed25519 public key in a libp2p
// peer ID, inside an identity multihash.
var peerKeyPrefix = [4]byte{0x08, 0x01, 0x12, 0x20}

// String returns the libp2p peer ID.
func (id NodeID) String() string {
	mh, err := multihash.Encode(append(peerKeyPrefix[:], id[:]...), multihash.IDENTITY)
	if err != nil {
		panic("dag: encode multihash: " + err.Error())
	}
	return multihash.Multihash(mh).B58String()
}

// Short returns the end of the peer ID, where peer IDs differ.
func (id NodeID) Short() string {
	s := id.String()
	return s[len(s)-shortLen:]
}

// IsZero reports whether the id names nobody.
func (id NodeID) IsZero() bool { return id == NodeID{} }

// MarshalText implements encoding.TextMarshaler.
func (id NodeID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *NodeID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseNodeID(string(b))
	return err
}

// ParseNodeID reads a libp2p peer ID of an Ed25519 key.
func ParseNodeID(s string) (id NodeID, err error) {
	bad := fmt.Errorf("parse node id %q: %w", s, ErrBadID)
	mh, err := multihash.FromB58String(s)
	if err != nil {
		return id, bad
	}
	dec, err := multihash.Decode(mh)
	if err != nil || dec.Code != multihash.IDENTITY || len(dec.Digest) != 36 || !bytes.Equal(dec.Digest[:4], peerKeyPrefix[:]) {
		return id, bad
	}
	copy(id[:], dec.Digest[4:])
	return id, nil
}

// String returns the CID of the genesis block.
func (id ClusterID) String() string { return cidText(id) }

// IsZero reports whether the id names nothing.
func (id ClusterID) IsZero() bool { return id == ClusterID{} }

// MarshalText implements encoding.TextMarshaler.
func (id ClusterID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ClusterID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseClusterID(string(b))
	return err
}

// ParseClusterID reads the text form of a cluster id.
func ParseClusterID(s string) (ClusterID, error) {
	d, err := cidParse(s)
	return ClusterID(d), err
}

// SumOf returns the digest of a payload.
func SumOf(payload []byte) Sum { return sha256.Sum256(payload) }

// String returns the digest in hexadecimal.
func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// IsZero reports whether no digest is set.
func (s Sum) IsZero() bool { return s == Sum{} }

// MarshalText implements encoding.TextMarshaler.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Sum) UnmarshalText(b []byte) error { return hexParse("digest", string(b), s[:]) }

// ParseSum reads the text form of a digest.
func ParseSum(text string) (s Sum, err error) {
	err = s.UnmarshalText([]byte(text))
	return s, err
}

// String returns the fingerprint in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether no fingerprint is set.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(b []byte) error { return hexParse("digest", string(b), d[:]) }

// Place is where a revision or operation stands: in the block at (Chain, Seq),
// at Index among its revisions.
type Place struct {
	Chain ChainID
	Seq   uint64
	Index uint32
}

// String returns the place as chain/seq/index.
func (p Place) String() string { return fmt.Sprintf("%s/%d/%d", p.Chain.Short(), p.Seq, p.Index) }

// domainHash hashes length-prefixed parts under a domain string, so that no
// two uses of SHA-256 here can meet.
func domainHash(domain string, parts ...[]byte) [32]byte {
	h := sha256.New()
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(domain)))
	h.Write(n[:])
	h.Write([]byte(domain))
	for _, p := range parts {
		binary.BigEndian.PutUint32(n[:], uint32(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	var out [32]byte
	h.Sum(out[:0])
	return out
}
