package crdt

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"unicode/utf8"
)

// form says what a container is.
type form uint8

const (
	objectForm form = iota
	listForm
	streamForm // a YAML stream with more than one "---"
)

// value is a document as its text has it, before lists are keyed: in the
// author's order and spelling.
type value struct {
	scalar     string // JSON, as the author spelled it; "" for a container
	*container        // nil for a scalar
	span
}

type container struct {
	form    form
	members []member
	items   []value

	// dashes are the places of the items of a block sequence, merges those of
	// the keys << of a mapping.
	dashes, merges []int32
}

type member struct {
	name  string
	value value
	at    int32 // the place of the name; -1 if a key << brought the member
}

// span is the place of a value in its text. The end of a block is not known:
// there to is 0.
type span struct {
	from, to int32
	style    style
}

// style is how a value is written in YAML.
type style uint8

const (
	plainStyle style = iota // and all of JSON
	quotedStyle
	blockStyle
	aliasStyle
)

// member returns the value of the member called name of an object, or nil.
func (v *value) member(name string) *value {
	if v.container == nil {
		return nil
	}
	for i := range v.members {
		if v.members[i].name == name {
			return &v.members[i].value
		}
	}
	return nil
}

// appendCompact appends v as JSON without space, in the author's order and
// spelling. A stream is the list of its documents.
func (v *value) appendCompact(b []byte) []byte {
	if v.container == nil {
		return append(b, v.scalar...)
	}
	if v.form == objectForm {
		b = append(b, '{')
		for i := range v.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, v.members[i].name), ':')
			b = v.members[i].value.appendCompact(b)
		}
		return append(b, '}')
	}
	b = append(b, '[')
	for i := range v.items {
		if i > 0 {
			b = append(b, ',')
		}
		b = v.items[i].appendCompact(b)
	}
	return append(b, ']')
}

// streamMark begins the canonical content of a stream, so that it never equals
// that of a list.
const streamMark = "---"

// appendCanonical appends the canonical content of v, as the package comment
// has it: equal values have the same.
func (v *value) appendCanonical(b []byte) []byte {
	if v.container == nil {
		return appendCanonicalScalar(b, v.scalar)
	}
	switch v.form {
	case objectForm:
		b = append(b, '{')
		for n, i := range v.sorted() {
			if n > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, v.members[i].name), ':')
			b = v.members[i].value.appendCanonical(b)
		}
		return append(b, '}')
	case streamForm:
		b = append(b, streamMark...)
	}
	b = append(b, '[')
	for i := range v.items {
		if i > 0 {
			b = append(b, ',')
		}
		b = v.items[i].appendCanonical(b)
	}
	return append(b, ']')
}

// sorted returns the indexes of the members in the order of their names.
func (c *container) sorted() []int {
	order := make([]int, len(c.members))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(c.members[i].name, c.members[j].name) })
	return order
}

// appendCanonicalScalar takes what the parsers have checked.
func appendCanonicalScalar(b []byte, scalar string) []byte {
	switch c := scalar[0]; {
	case c == '"':
		return appendString(b, unquote(scalar))
	case c == '-' || ('0' <= c && c <= '9'):
		d, _ := parseDecimal(scalar)
		return d.append(b)
	}
	return append(b, scalar...)
}

// appendString appends the canonical JSON string of s, which is valid UTF-8:
// only the quote, the backslash and what is below U+0020 are escaped.
func appendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(append(b, s[from:]...), '"')
}

// unquote returns what a checked JSON string spells.
func unquote(s string) string {
	s = s[1 : len(s)-1]
	var b []byte
	from := 0
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			i++
			continue
		}
		b = append(b, s[from:i]...)
		r, n := unescapeRune(s[i:])
		b = utf8.AppendRune(b, r)
		i += n
		from = i
	}
	if b == nil {
		return s
	}
	return string(append(b, s[from:]...))
}

// sum returns that of v as a leaf.
func (v *value) sum() Sum { return sha256.Sum256(v.appendCanonical(nil)) }
