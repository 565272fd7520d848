package dag

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// The limits of version 1 of the formats, the same for a writer and every
// receiver. They may only be changed with the block's version.
const (
	MaxKey     = 1 << 10            // bytes of a key
	MaxValue   = 4 << 20            // bytes of a value: the payload of kinds 1 and 2
	MaxPayload = 2*MaxValue + 1<<16 // bytes of a payload of any other kind
	MaxBlock   = 16 << 20           // the size of a block with its revisions and payloads, see blockSize
	MaxOps     = 1 << 16            // operations of a block
	MaxName    = 128                // bytes of the name of a fork, tag, alias, node or zone
	MaxNote    = 64 << 10           // bytes of a note
	maxTime    = 1 << 53            // milliseconds since 1970
)

// ErrRefused marks bytes that no node may take: badly encoded, over a limit,
// out of order in their chain, not signed, or not by a member. It is the
// sender's fault, not damage of ours.
var ErrRefused = errors.New("refused")

// ErrTooLarge marks a write over a limit.
var ErrTooLarge = errors.New("too large")

// ErrBadKey marks a key that breaks the rules of ValidKey.
var ErrBadKey = errors.New("bad key")

// Mark says why a revision was written, where that matters to later merges.
type Mark uint64

// The marks.
const (
	MarkNone     Mark = iota
	MarkResolved      // by resolve, or by the strategy of a merge
	MarkReverted      // by undo, reject or rollback

	// MarkOpen is a bit beside the others: the revision changes a part of its
	// value and leaves a conflict in another part open, so that its payload
	// alone is not what a read returns.
	MarkOpen Mark = 4
)

// Reason is m without what MarkOpen says.
func (m Mark) Reason() Mark { return m &^ MarkOpen }

// Note is what a writer claims of a write. It is not verified.
type Note struct {
	Author  string
	Message string
	Time    int64  // unix milliseconds, of an import
	Source  string // names what was imported, so that it is not written twice
	extra   string // canonical map of unknown fields; "" for none
}

// noteWire is the canonical map of a note.
type noteWire struct {
	Author  string `cbor:"author,omitempty"`
	Message string `cbor:"message,omitempty"`
	Time    int64  `cbor:"time,omitempty"`
	Source  string `cbor:"source,omitempty"`
}

// noteFields are the fields of noteWire.
var noteFields = []string{"author", "message", "time", "source"}

// MarshalCBOR implements cbor.Marshaler.
func (n Note) MarshalCBOR() ([]byte, error) {
	var more extras
	if n.extra != "" {
		if err := decMode.Unmarshal([]byte(n.extra), &more); err != nil {
			return nil, err
		}
	}
	return marshal(&noteWire{n.Author, n.Message, n.Time, n.Source}, more), nil
}

// UnmarshalCBOR implements cbor.Unmarshaler.
func (n *Note) UnmarshalCBOR(b []byte) error {
	var w noteWire
	more, err := unmarshal(b, &w, noteFields)
	if err != nil {
		return err
	}
	*n = Note{Author: w.Author, Message: w.Message, Time: w.Time, Source: w.Source}
	if len(more) > 0 {
		n.extra = string(marshal(more, nil))
	}
	return nil
}

// IsZero reports whether the note says nothing.
func (n Note) IsZero() bool { return n == Note{} }

func (n Note) check() error {
	if size := len(n.Author) + len(n.Message) + len(n.Source) + len(n.extra); size > MaxNote {
		return fmt.Errorf("note of %d bytes, limit %d: %w", size, MaxNote, ErrTooLarge)
	}
	if !utf8.ValidString(n.Author) || !utf8.ValidString(n.Message) || !utf8.ValidString(n.Source) {
		return errors.New("note is not valid UTF-8")
	}
	return nil
}

// Revision is one change to one key on one fork. Its payload is committed to
// by hash and length and is kept apart from it.
type Revision struct {
	Key     string
	Fork    ForkID
	Parents []RevisionID // what the writer had read; sorted as the writer ranked them, the served one first
	Kind    uint64       // of the value; the numbers are those of package crdt
	Deleted bool         // a delete of the whole key: no payload
	Value   Sum          // of the payload; zero if Deleted
	Size    int64        // of the payload, in bytes
	Chain   ChainID
	Seq     uint64
	Index   uint64 // in its block
	Salt    Salt   // of its block
	Time    int64  // of its block: unix milliseconds, the author's claim
	Mark    Mark
	Label   string // of `apply --as`; "" for none
	Note    *Note  // replaces the block's note; nil for the block's
	extra   extras
}

// revisionWire is the canonical map of a revision.
type revisionWire struct {
	Key     string   `cbor:"key"`
	Fork    [32]byte `cbor:"fork"`
	Kind    uint64   `cbor:"kind"`
	Parents []link   `cbor:"parents"`
	Value   *rawLink `cbor:"value"`
	Size    int64    `cbor:"size"`
	Chain   [32]byte `cbor:"chain"`
	Seq     uint64   `cbor:"seq"`
	Index   uint64   `cbor:"index"`
	Salt    [16]byte `cbor:"salt"`
	Time    int64    `cbor:"time"`
	Mark    uint64   `cbor:"mark,omitempty"`
	Label   string   `cbor:"label,omitempty"`
	Note    *Note    `cbor:"note,omitempty"`
}

// revisionFields are the fields of revisionWire.
var revisionFields = []string{"key", "fork", "kind", "parents", "value", "size", "chain", "seq", "index", "salt", "time", "mark", "label", "note"}

// Encode returns the canonical bytes of the revision, which its id hashes.
func (r *Revision) Encode() []byte {
	if r.plain() {
		return r.append(make([]byte, 0, r.encodedSize()))
	}
	return r.encodeAny()
}

// encodeAny encodes any revision, by the library.
func (r *Revision) encodeAny() []byte {
	w := revisionWire{
		Key: r.Key, Fork: r.Fork, Kind: r.Kind, Parents: links(r.Parents), Size: r.Size,
		Chain: r.Chain, Seq: r.Seq, Index: r.Index, Salt: r.Salt, Time: r.Time,
		Mark: uint64(r.Mark), Label: r.Label, Note: r.Note,
	}
	if !r.Deleted {
		w.Value = (*rawLink)(&r.Value)
	}
	return marshal(&w, r.extra)
}

// ID returns the revision's id: the hash of its canonical bytes.
func (r *Revision) ID() RevisionID {
	id, _ := r.hash()
	return id
}

// hash returns the id, and how many bytes it hashes.
func (r *Revision) hash() (id RevisionID, size int) {
	var buf [512]byte
	b := buf[:0]
	if r.plain() && r.encodedSize() <= len(buf) {
		b = r.append(b)
	} else {
		b = r.Encode()
	}
	return sha256.Sum256(b), len(b)
}

// Place returns where the revision stands.
func (r *Revision) Place() Place { return Place{r.Chain, r.Seq, uint32(r.Index)} }

// DecodeRevision reads the canonical bytes of a revision. It refuses any other
// encoding, and what is over the limits. Unknown fields are kept.
func DecodeRevision(b []byte) (*Revision, error) {
	if len(b) > MaxBlock {
		return nil, fmt.Errorf("decode revision: %w: %d bytes, limit %d", ErrRefused, len(b), MaxBlock)
	}
	if err := checkCanonical(b, maxNesting); err != nil {
		return nil, fmt.Errorf("decode revision: %w", err)
	}
	var w revisionWire
	extra, err := unmarshal(b, &w, revisionFields)
	if err != nil {
		return nil, fmt.Errorf("decode revision: %w", err)
	}
	r := &Revision{
		Key: w.Key, Fork: w.Fork, Kind: w.Kind, Parents: unlinks[RevisionID](w.Parents), Deleted: w.Value == nil, Size: w.Size,
		Chain: w.Chain, Seq: w.Seq, Index: w.Index, Salt: w.Salt, Time: w.Time,
		Mark: Mark(w.Mark), Label: w.Label, Note: w.Note, extra: extra,
	}
	if w.Value != nil {
		r.Value = Sum(*w.Value)
	}
	if !bytes.Equal(r.Encode(), b) {
		return nil, fmt.Errorf("decode revision: %w: field missing or null", errEncoding)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("decode revision: %w: %w", ErrRefused, err)
	}
	return r, nil
}

// check tests the limits that every receiver enforces.
func (r *Revision) check() error {
	if err := ValidKey(r.Key); err != nil {
		return err
	}
	if limit := payloadLimit(r.Kind); r.Size > limit {
		return fmt.Errorf("value of %d bytes, limit %d: %w", r.Size, limit, ErrTooLarge)
	}
	switch {
	case r.Size < 0, r.Deleted && r.Size != 0:
		return fmt.Errorf("size %d", r.Size)
	case r.Time < 0 || r.Time > maxTime:
		return fmt.Errorf("time %d", r.Time)
	case r.Kind > math.MaxInt64 || r.Mark > math.MaxInt64:
		return fmt.Errorf("kind %d, mark %d", r.Kind, r.Mark)
	case len(r.Label) > MaxName || !utf8.ValidString(r.Label) || strings.IndexByte(r.Label, 0) >= 0:
		return fmt.Errorf("label %.200q: at most %d bytes of UTF-8 without NUL", r.Label, MaxName)
	case r.Note != nil:
		return r.Note.check()
	}
	return nil
}

// payloadLimit is the size limit of a payload of this kind. The payloads of
// bytes (1) and text (2) are the value itself.
func payloadLimit(kind uint64) int64 {
	if kind == 1 || kind == 2 {
		return MaxValue
	}
	return MaxPayload
}

// ValidKey reports what is wrong with a key: it is 1 to MaxKey bytes of valid
// UTF-8 without NUL.
func ValidKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: the key is empty", ErrBadKey)
	case len(key) > MaxKey:
		return fmt.Errorf("%w: %d bytes, limit %d", ErrBadKey, len(key), MaxKey)
	case strings.IndexByte(key, 0) >= 0:
		return fmt.Errorf("%w: a key cannot contain NUL", ErrBadKey)
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: the key is not valid UTF-8", ErrBadKey)
	}
	return nil
}

// ValidName reports what is wrong with the name of a fork, tag, alias or node.
func ValidName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("name %q: 1 to %d characters", name, MaxName)
	}
	for i, c := range []byte(name) {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || !strings.ContainsRune("._/-", rune(c))) {
			return fmt.Errorf("name %q: letters, digits and . _ / - only, starting with a letter or digit", name)
		}
	}
	return nil
}

func links[T ~[32]byte](ids []T) []link {
	out := make([]link, len(ids))
	for i, id := range ids {
		out[i] = link(id)
	}
	return out
}

func unlinks[T ~[32]byte](ls []link) []T {
	out := make([]T, len(ls))
	for i, l := range ls {
		out[i] = T(l)
	}
	return out
}

// rawMap is the encoding of an empty map.
var rawMap = cbor.RawMessage{0xa0}
