package crdt

import (
	"fmt"
	"slices"
	"strings"
)

// ListSchema says what the elements of a list are told apart by. Its spelling
// is "atomic", "set", "documents" or "map(FIELD)".
type ListSchema string

const (
	// AtomicList is compared and written as a whole. It is the default.
	AtomicList ListSchema = "atomic"
	// SetList is keyed by the elements themselves.
	SetList ListSchema = "set"
	// DocumentsList keys the documents of a YAML stream by their apiVersion,
	// kind, metadata.namespace (which may be missing) and metadata.name. It is
	// the default of a stream, which no other schema but AtomicList applies to,
	// and applies to nothing else.
	DocumentsList ListSchema = "documents"
)

// MapList returns the schema of a list of objects that a field tells apart. It
// is a string, a number or a boolean, and valid UTF-8.
func MapList(field string) ListSchema { return ListSchema("map(" + field + ")") }

// ParseListSchema is the inverse of String.
func ParseListSchema(s string) (ListSchema, error) {
	schema := ListSchema(s)
	switch _, ok := schema.field(); {
	case ok, schema == AtomicList, schema == SetList, schema == DocumentsList:
		return schema, nil
	}
	return "", fmt.Errorf("parse list schema %.80q: want atomic, set, documents or map(FIELD)", s)
}

func (s ListSchema) field() (string, bool) {
	name, ok := strings.CutPrefix(string(s), "map(")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, ")")
}

// IsZero reports whether s is the zero value, which is no schema.
func (s ListSchema) IsZero() bool { return s == "" }

// String returns the spelling that ParseListSchema takes.
func (s ListSchema) String() string { return string(s) }

// MarshalText returns what String does.
func (s ListSchema) MarshalText() ([]byte, error) { return []byte(s), nil }

// UnmarshalText sets s as ParseListSchema does, and leaves it alone on error.
func (s *ListSchema) UnmarshalText(text []byte) error { return unmarshal(s, text, ParseListSchema) }

// PathPattern names places: it is spelled like a path, in which the segment *
// stands for any one segment, and ** for any number of them, none too. Every
// Path is the pattern of itself.
type PathPattern string

const (
	anySegment  = "*"
	anySegments = "**"
)

// ParsePathPattern is the inverse of String.
func ParsePathPattern(s string) (PathPattern, error) {
	plain := strings.Split(s, "/")
	for i, segment := range plain {
		if segment == anySegment || segment == anySegments {
			plain[i] = "x"
		}
	}
	if _, err := ParsePath(strings.Join(plain, "/")); err != nil {
		return "", fmt.Errorf("parse pattern %.80q: %w", s, err)
	}
	return PathPattern(s), nil
}

// Matches reports whether p is one of the places.
func (w PathPattern) Matches(p Path) bool { return matches(Path(w).segments(), p.segments()) }

// matches goes back only to the last ** that it has passed, so its cost is at
// most the product of the two lengths.
func matches(pattern, path []string) bool {
	i, j, last, from := 0, 0, -1, 0
	for j < len(path) {
		switch {
		case i < len(pattern) && pattern[i] == anySegments:
			last, from = i, j
			i++
		case i < len(pattern) && (pattern[i] == anySegment || pattern[i] == path[j]):
			i++
			j++
		case last >= 0:
			from++
			i, j = last+1, from
		default:
			return false
		}
	}
	return !slices.ContainsFunc(pattern[i:], func(s string) bool { return s != anySegments })
}

// IsZero reports whether w is the zero value, which matches nothing.
func (w PathPattern) IsZero() bool { return w == "" }

// String returns the spelling that ParsePathPattern takes.
func (w PathPattern) String() string { return string(w) }

// MarshalText returns what String does.
func (w PathPattern) MarshalText() ([]byte, error) { return []byte(w), nil }

// UnmarshalText sets w as ParsePathPattern does, and leaves it alone on error.
func (w *PathPattern) UnmarshalText(text []byte) error { return unmarshal(w, text, ParsePathPattern) }

// Lists is which lists are keyed, and by what: of the rules that match a
// list's path the first decides. The lists inside an atomic list are part of
// it.
type Lists []ListRule

// ListRule gives the lists at some places their schema.
type ListRule struct {
	Path   PathPattern
	Schema ListSchema
}

// listRules is a Lists made ready for many questions.
type listRules struct {
	literal map[Path]indexedRule
	wild    []indexedRule
}

type indexedRule struct {
	index   int
	pattern []string
	schema  ListSchema
}

func newListRules(lists Lists) listRules {
	r := listRules{literal: make(map[Path]indexedRule)}
	for i, l := range lists {
		rule := indexedRule{i, Path(l.Path).segments(), l.Schema}
		if slices.Contains(rule.pattern, anySegment) || slices.Contains(rule.pattern, anySegments) {
			r.wild = append(r.wild, rule)
		} else if _, ok := r.literal[Path(l.Path)]; !ok {
			r.literal[Path(l.Path)] = rule
		}
	}
	return r
}

// schema returns the schema of the list at a place.
func (r listRules) schema(at trail) ListSchema {
	if len(r.literal) == 0 && len(r.wild) == 0 {
		return AtomicList
	}
	found, ok := r.literal[at.path()]
	var segments []string
	for _, rule := range r.wild {
		if ok && found.index < rule.index {
			break
		}
		if segments == nil {
			segments = at.path().segments()
		}
		if matches(rule.pattern, segments) {
			return rule.schema
		}
	}
	if !ok {
		return AtomicList
	}
	return found.schema
}
