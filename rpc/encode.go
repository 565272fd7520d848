package rpc

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"crush/crdt"
	"crush/dag"
)

// timeLayout is RFC 3339 with milliseconds; times are UTC in JSON.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Nothing is escaped that JSON does
// not ask for, and bytes that are not UTF-8 become U+FFFD.
func appendString[S string | []byte](b []byte, s S) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[from:i]...)
			b = appendEscape(b, c)
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
		if r == utf8.RuneError && size == 1 {
			b = append(b, s[from:i]...)
			b = append(b, "\ufffd"...)
			from = i + 1
		}
		i += size
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// appendName starts the next member of the object that b ends in.
func appendName(b []byte, name string) []byte {
	if len(b) > 0 && b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

func appendStringMember(b []byte, name, s string) []byte {
	return appendString(appendName(b, name), s)
}

func appendBoolMember(b []byte, name string, v bool) []byte {
	return strconv.AppendBool(appendName(b, name), v)
}

func appendUintMember(b []byte, name string, v uint64) []byte {
	return strconv.AppendUint(appendName(b, name), v, 10)
}

// appendTimeMember appends null for the zero time.
func appendTimeMember(b []byte, name string, t time.Time) []byte {
	return appendTime(appendName(b, name), t)
}

func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	if y := t.Year(); t.IsZero() || y < 0 || y > 9999 { // RFC 3339 has no other years
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = t.AppendFormat(b, timeLayout)
	return append(b, '"')
}

// appendValueMember appends the member value if v is UTF-8, else value_base64;
// nothing if v is nil.
func appendValueMember(b, v []byte) []byte { return appendBytesMember(b, "value", "value_base64", v) }

// appendDocumentMember appends the member document, which is JSON, without
// space: it stands on one line. Nothing if it is nil, or no JSON: a faulty node
// can write a json that is none, and its key is read all the same.
func appendDocumentMember(b, document []byte) []byte {
	if document == nil {
		return b
	}
	to := bytes.NewBuffer(appendName(b, "document"))
	if err := json.Compact(to, document); err != nil {
		return b
	}
	return to.Bytes()
}

func appendBytesMember(b []byte, text, base string, v []byte) []byte {
	switch {
	case v == nil:
		return b
	case utf8.Valid(v):
		return appendString(appendName(b, text), v)
	}
	b = append(appendName(b, base), '"')
	b = base64.StdEncoding.AppendEncode(b, v)
	return append(b, '"')
}

// appendIDMember appends "" for the zero id.
func appendIDMember[T interface {
	fmt.Stringer
	IsZero() bool
}](b []byte, name string, id T) []byte {
	b = append(appendName(b, name), '"')
	if !id.IsZero() {
		b = append(b, id.String()...)
	}
	return append(b, '"')
}

func appendIDsMember[T fmt.Stringer](b []byte, name string, ids []T) []byte {
	b = append(appendName(b, name), '[')
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, id.String()...)
		b = append(b, '"')
	}
	return append(b, ']')
}

// textOr is an id whose JSON form is "" when it is zero.
type textOr[T interface {
	comparable
	encoding.TextMarshaler
}, P interface {
	*T
	encoding.TextUnmarshaler
}] struct{ is T }

func (t textOr[T, P]) MarshalText() ([]byte, error) {
	var zero T
	if t.is == zero {
		return []byte{}, nil
	}
	return t.is.MarshalText()
}

func (t *textOr[T, P]) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		var zero T
		t.is = zero
		return nil
	}
	return P(&t.is).UnmarshalText(text)
}

// The ids that can be "" in JSON.
type (
	revisionText = textOr[dag.RevisionID, *dag.RevisionID]
	blockText    = textOr[dag.BlockID, *dag.BlockID]
	clusterText  = textOr[dag.ClusterID, *dag.ClusterID]
	nodeText     = textOr[dag.NodeID, *dag.NodeID]
	forkText     = textOr[dag.ForkID, *dag.ForkID]
	kindText     = textOr[crdt.Kind, *crdt.Kind]
)

// stamp is a time in JSON: UTC with milliseconds, null when zero.
type stamp struct{ time.Time }

func (s stamp) MarshalJSON() ([]byte, error) { return appendTime(nil, s.Time), nil }

func (s *stamp) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		s.Time = time.Time{}
		return nil
	}
	var t time.Time
	if err := json.Unmarshal(data, &t); err != nil {
		return err
	}
	s.Time = t.UTC()
	return nil
}

// valueWire is how values stand in JSON.
type valueWire struct {
	Value  *string `json:"value"`
	Base64 []byte  `json:"value_base64"`
}

func (v valueWire) bytes() []byte {
	if v.Value != nil {
		return []byte(*v.Value)
	}
	return v.Base64
}

// list returns s, or an empty list instead of nil, which would be null.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
