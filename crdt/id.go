package crdt

import (
	"encoding/base32"
	"encoding/hex"
	"fmt"
)

// The ids below are the caller's own, converted byte for byte. Their String is
// lower-case hexadecimal, for messages of this package and its tests; what
// users see is the caller's spelling of them.
type (
	// RevisionID names a revision: the hash in its CID. The order of
	// revisions' CIDs is the order of these bytes.
	RevisionID [32]byte
	// ChainID names the chain that a revision was written in.
	ChainID [32]byte
	// ForkID names a fork, independently of its label.
	ForkID [32]byte
	// Sum is the SHA-256 of a value. Two values of one kind are equal when
	// their sums are.
	Sum [32]byte
)

// The ids that this package makes; the package comment says how. Their String
// is 32 digits of lower-case base32.
type (
	// ConflictID names the place of a conflict: a fork, a key and a path. It
	// stays the same while sides come and go.
	ConflictID [20]byte
	// ConflictState names the set of revisions that stand against each other
	// in a conflict. It changes whenever one comes or goes.
	ConflictState [20]byte
)

// ParseRevisionID is the inverse of String.
func ParseRevisionID(s string) (RevisionID, error) { return parseHex[RevisionID]("revision id", s) }

// ParseChainID is the inverse of String.
func ParseChainID(s string) (ChainID, error) { return parseHex[ChainID]("chain id", s) }

// ParseForkID is the inverse of String.
func ParseForkID(s string) (ForkID, error) { return parseHex[ForkID]("fork id", s) }

// ParseSum is the inverse of String.
func ParseSum(s string) (Sum, error) { return parseHex[Sum]("sum", s) }

// ParseConflictID is the inverse of String.
func ParseConflictID(s string) (ConflictID, error) {
	return parseBase32[ConflictID]("conflict id", s)
}

// ParseConflictState is the inverse of String.
func ParseConflictState(s string) (ConflictState, error) {
	return parseBase32[ConflictState]("conflict state", s)
}

// IsZero reports whether id is the zero value, which names nothing.
func (id RevisionID) IsZero() bool { return id == RevisionID{} }

// IsZero reports whether id is the zero value, which names nothing.
func (id ChainID) IsZero() bool { return id == ChainID{} }

// IsZero reports whether id is the zero value, which names nothing.
func (id ForkID) IsZero() bool { return id == ForkID{} }

// IsZero reports whether s is the zero value, which is the sum of nothing.
func (s Sum) IsZero() bool { return s == Sum{} }

// IsZero reports whether id is the zero value, which names nothing.
func (id ConflictID) IsZero() bool { return id == ConflictID{} }

// IsZero reports whether s is the zero value, which names nothing.
func (s ConflictState) IsZero() bool { return s == ConflictState{} }

// String returns 64 hexadecimal digits.
func (id RevisionID) String() string { return hex.EncodeToString(id[:]) }

// String returns 64 hexadecimal digits.
func (id ChainID) String() string { return hex.EncodeToString(id[:]) }

// String returns 64 hexadecimal digits.
func (id ForkID) String() string { return hex.EncodeToString(id[:]) }

// String returns 64 hexadecimal digits.
func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// String returns 32 base32 digits.
func (id ConflictID) String() string { return short.EncodeToString(id[:]) }

// String returns 32 base32 digits.
func (s ConflictState) String() string { return short.EncodeToString(s[:]) }

// MarshalText returns what String does.
func (id RevisionID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText returns what String does.
func (id ChainID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText returns what String does.
func (id ForkID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText returns what String does.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalText returns what String does.
func (id ConflictID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText returns what String does.
func (s ConflictState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText sets id as ParseRevisionID does, and leaves it alone on error.
func (id *RevisionID) UnmarshalText(text []byte) error { return unmarshal(id, text, ParseRevisionID) }

// UnmarshalText sets id as ParseChainID does, and leaves it alone on error.
func (id *ChainID) UnmarshalText(text []byte) error { return unmarshal(id, text, ParseChainID) }

// UnmarshalText sets id as ParseForkID does, and leaves it alone on error.
func (id *ForkID) UnmarshalText(text []byte) error { return unmarshal(id, text, ParseForkID) }

// UnmarshalText sets s as ParseSum does, and leaves it alone on error.
func (s *Sum) UnmarshalText(text []byte) error { return unmarshal(s, text, ParseSum) }

// UnmarshalText sets id as ParseConflictID does, and leaves it alone on error.
func (id *ConflictID) UnmarshalText(text []byte) error { return unmarshal(id, text, ParseConflictID) }

// UnmarshalText sets s as ParseConflictState does, and leaves it alone on
// error.
func (s *ConflictState) UnmarshalText(text []byte) error {
	return unmarshal(s, text, ParseConflictState)
}

// short never changes; 20 bytes are 32 of its digits with no bit left over.
var short = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// parseHex takes only the one spelling that hex.EncodeToString gives.
func parseHex[T ~[32]byte](what, s string) (T, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(T{}) || hex.EncodeToString(b) != s {
		return T{}, fmt.Errorf("parse %s %.80q: want 64 digits of lower-case hexadecimal", what, s)
	}
	return T(b), nil
}

// parseBase32 takes only the one spelling that short.EncodeToString gives:
// the decoder alone would skip line ends.
func parseBase32[T ~[20]byte](what, s string) (T, error) {
	b, err := short.DecodeString(s)
	if err != nil || len(b) != len(T{}) || short.EncodeToString(b) != s {
		return T{}, fmt.Errorf("parse %s %.80q: want 32 digits of lower-case base32", what, s)
	}
	return T(b), nil
}

func unmarshal[T any](to *T, text []byte, parse func(string) (T, error)) error {
	v, err := parse(string(text))
	if err != nil {
		return err
	}
	*to = v
	return nil
}
