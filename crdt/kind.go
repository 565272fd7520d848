package crdt

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kind says by which rules a value is read and joined. Its numbers stand in
// signed bytes and never change; any other number is a kind of a newer
// version.
type Kind uint64

// The kinds of the model.
const (
	Bytes   Kind = 1 // any bytes; the default
	Text    Kind = 2 // valid UTF-8, see ValidText
	JSON    Kind = 3
	YAML    Kind = 4
	Counter Kind = 5
	Set     Kind = 6
)

// kindNames is indexed by Kind.
var kindNames = [...]string{"", "bytes", "text", "json", "yaml", "counter", "set"}

const unnamedKind = "kind-"

// ParseKind is the inverse of [Kind.String]: it takes the name of a known kind
// ("text"), or "kind-" and the decimal number of one that has no name
// ("kind-12"). No other spelling is taken. Users write only known kinds; check
// with [Kind.Known].
func ParseKind(s string) (Kind, error) {
	if i := slices.Index(kindNames[1:], s); i >= 0 {
		return Kind(i + 1), nil
	}
	if digits, ok := strings.CutPrefix(s, unnamedKind); ok {
		n, err := strconv.ParseUint(digits, 10, 64)
		if k := Kind(n); err == nil && k.String() == s {
			return k, nil
		}
	}
	return 0, fmt.Errorf("parse kind %.80q: want one of %s", s, strings.Join(kindNames[1:], ", "))
}

// Known reports whether k is one of the kinds of the model. A known kind can
// still be [Kind.Opaque] in this version.
func (k Kind) Known() bool { return k > 0 && k < Kind(len(kindNames)) }

// Opaque reports whether this version has no rules for k and reads it as a
// register whose value is the payload.
func (k Kind) Opaque() bool { return !k.Known() }

// IsZero reports whether k is 0, which is the kind of nothing.
func (k Kind) IsZero() bool { return k == 0 }

// String returns the name of a known kind, and "kind-" with the number of any
// other.
func (k Kind) String() string {
	if k.Known() {
		return kindNames[k]
	}
	return unnamedKind + strconv.FormatUint(uint64(k), 10)
}

// MarshalText returns what String does.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText sets k as ParseKind does, and leaves it alone on error.
func (k *Kind) UnmarshalText(text []byte) error { return unmarshal(k, text, ParseKind) }
