package gitstream

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"strings"
)

// idBytes is how much of the hash an id keeps.
const idBytes = 15

// CommitID names a commit by what it is: see the package comment.
type CommitID [idBytes]byte

// String returns the 20 characters of the id, of base64url.
func (id CommitID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// IsZero reports whether there is no id.
func (id CommitID) IsZero() bool { return id == CommitID{} }

// MarshalText implements encoding.TextMarshaler.
func (id CommitID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// ParseCommitID reads what String returns; ok is false for anything else.
func ParseCommitID(text string) (id CommitID, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != idBytes || strings.ContainsAny(text, "\r\n") {
		return id, false
	}
	return CommitID(b), true
}

// identify hashes a commit: a domain, then each part with its length in 8 bytes
// before it.
func identify(c *Commit, raw *CommitCommand, blobs Blobs) (id CommitID) {
	h := sha256.New()
	h.Write([]byte("crush git commit 1"))
	addNumber(h, len(c.Parents))
	for _, p := range c.Parents {
		addPart(h, p.ID[:])
	}
	for _, who := range []Person{raw.Author, raw.Committer} {
		addPart(h, []byte(who.Label))
		addNumber(h, int(who.Time))
		addPart(h, []byte(who.Zone))
	}
	addPart(h, []byte(strings.ToLower(raw.Encoding)))
	addPart(h, raw.Message)
	addNumber(h, len(c.Writes))
	for _, w := range c.Writes {
		addPart(h, []byte(w.Path))
		if w.Deleted {
			addPart(h, nil)
			continue
		}
		sum := blobs.Sum(w.Blob)
		addPart(h, sum[:])
	}
	copy(id[:], h.Sum(nil))
	return id
}

func addPart(h hash.Hash, b []byte) {
	addNumber(h, len(b))
	h.Write(b)
}

func addNumber(h hash.Hash, n int) {
	var buf [8]byte
	binary.BigEndian.PutUint64(buf[:], uint64(n))
	h.Write(buf[:])
}
