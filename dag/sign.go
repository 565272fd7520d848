package dag

import (
	"crypto/ed25519"
)

const sigLen = ed25519.SignatureSize

// signDomain goes before the CID in what is signed, so that a signature of a
// block is none of anything else that the node's key signs.
const signDomain = "crush block 1\x00"

// NodeKey is a node's secret Ed25519 key. It has no text form; Seed is the one
// way to its bytes.
type NodeKey struct{ key ed25519.PrivateKey }

// NewNodeKey makes the key of a 32-byte seed.
func NewNodeKey(seed [32]byte) NodeKey { return NodeKey{ed25519.NewKeyFromSeed(seed[:])} }

// IsZero reports whether there is no key.
func (k NodeKey) IsZero() bool { return k.key == nil }

// ID returns the public key.
func (k NodeKey) ID() NodeID { return NodeID(k.key.Public().(ed25519.PublicKey)) }

// Seed returns the secret bytes.
func (k NodeKey) Seed() [32]byte { return [32]byte(k.key.Seed()) }

// Sign signs a message.
func (k NodeKey) Sign(message []byte) []byte { return ed25519.Sign(k.key, message) }

// String hides the key.
func (k NodeKey) String() string { return "secret" }

func signedBytes(id BlockID) []byte {
	return append(append([]byte(signDomain), cidPrefix[:]...), id[:]...)
}

func (k NodeKey) signBlock(id BlockID) []byte { return k.Sign(signedBytes(id)) }

// verifyBlock reports whether sig is the node's signature of the block.
func (id NodeID) verifyBlock(b BlockID, sig []byte) bool {
	return ed25519.Verify(id[:], signedBytes(b), sig)
}
