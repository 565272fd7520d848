package crdt

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Path names a place in a document: Root, or "/" and a segment for every step
// down. The package comment says how segments are spelled. A Path that came
// from ParsePath or from this package has the one spelling of its place, so
// paths are equal when they name the same place. The zero Path names nothing.
type Path string

// Root is the path of a whole value. The conflicts of registers stand there.
const Root Path = "/"

// ParsePath is the inverse of String. It takes only the one spelling of a
// place.
func ParsePath(s string) (Path, error) {
	if s == string(Root) {
		return Root, nil
	}
	rest, ok := strings.CutPrefix(s, "/")
	if !ok {
		return "", fmt.Errorf("parse path %.80q: want a leading /", s)
	}
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("parse path %.80q: not valid UTF-8", s)
	}
	if strings.Count(s, "/") > maxDepth {
		return "", fmt.Errorf("parse path %.80q: deeper than %d", s, maxDepth)
	}
	for segment := range strings.SplitSeq(rest, "/") {
		if problem := segmentProblem(segment); problem != "" {
			return "", fmt.Errorf("parse path %.80q: segment %.80q: %s", s, segment, problem)
		}
	}
	return Path(s), nil
}

// segmentProblem returns what is wrong with a segment, or "".
func segmentProblem(s string) string {
	name := s
	switch {
	case s == "":
		return "the empty name is spelled ~3"
	case s == "~3":
		return ""
	case s[0] == '[':
		if len(s) < 2 || s[len(s)-1] != ']' {
			return "want a closing ] (a name that begins with [ is spelled with ~2)"
		}
		name = s[1 : len(s)-1]
	case s[0] == '*':
		return "a name that begins with * is spelled with ~4"
	case strings.HasPrefix(s, "~2") || strings.HasPrefix(s, "~4"):
		name = s[2:]
	}
	for i := strings.IndexByte(name, '~'); i >= 0; i = strings.IndexByte(name, '~') {
		if name = name[i+1:]; name == "" || (name[0] != '0' && name[0] != '1') {
			return "want ~0 for ~ and ~1 for /"
		}
	}
	return ""
}

// memberSegment spells the name of a member of an object.
func memberSegment(name string) string {
	switch {
	case name == "":
		return "~3"
	case name[0] == '[':
		return "~2" + escape(name[1:])
	case name[0] == '*':
		return "~4" + escape(name[1:])
	}
	return escape(name)
}

// elementSegment spells the identity of an element of a keyed list.
func elementSegment(identity string) string { return "[" + escape(identity) + "]" }

func escape(s string) string {
	if !strings.ContainsAny(s, "~/") {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

func unescape(s string) string {
	if !strings.Contains(s, "~") {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
}

// nameOf returns what a segment spells: a name, or an identity.
func nameOf(segment string) (name string, element bool) {
	switch {
	case segment == "~3":
		return "", false
	case isElement(segment):
		return unescape(segment[1 : len(segment)-1]), true
	case strings.HasPrefix(segment, "~2"):
		return "[" + unescape(segment[2:]), false
	case strings.HasPrefix(segment, "~4"):
		return "*" + unescape(segment[2:]), false
	}
	return unescape(segment), false
}

func isElement(segment string) bool { return segment != "" && segment[0] == '[' }

// Member returns the path of the member called name of the object at p. The
// name is valid UTF-8.
func (p Path) Member(name string) Path { return p.child(memberSegment(name)) }

// Element returns the path of the element with that identity of the keyed list
// at p. The identity is valid UTF-8.
func (p Path) Element(identity string) Path { return p.child(elementSegment(identity)) }

func (p Path) child(segment string) Path {
	if p == Root {
		return Root + Path(segment)
	}
	return p + "/" + Path(segment)
}

// Parent returns the path one step up; Root is its own parent.
func (p Path) Parent() Path {
	if i := strings.LastIndexByte(string(p), '/'); i > 0 {
		return p[:i]
	}
	return Root
}

// Last returns the name of the member, or the identity of the element, that is
// the last step of p; "" and false for Root.
func (p Path) Last() (name string, element bool) {
	if p == Root {
		return "", false
	}
	return nameOf(string(p[strings.LastIndexByte(string(p), '/')+1:]))
}

// IsElement reports whether the last step of p is to an element of a keyed
// list. All children of one place are elements, or none is.
func (p Path) IsElement() bool {
	return isElement(string(p[strings.LastIndexByte(string(p), '/')+1:]))
}

// Within reports whether p is top or below it.
func (p Path) Within(top Path) bool { return p == top || p.Below(top) }

// Below reports whether p is below top, and not top itself.
func (p Path) Below(top Path) bool {
	if top == Root {
		return p != Root
	}
	return len(p) > len(top) && p[len(top)] == '/' && p[:len(top)] == top
}

// Compare orders paths by their segments: negative when p comes before q. What
// is above comes first, and what is within a path is contiguous. Segments are
// ordered by their bytes.
func (p Path) Compare(q Path) int {
	n := min(len(p), len(q))
	for i := range n {
		if p[i] == q[i] {
			continue
		}
		if p[i] == '/' {
			return -1
		}
		if q[i] == '/' {
			return 1
		}
		return cmp.Compare(p[i], q[i])
	}
	return cmp.Compare(len(p), len(q))
}

// cut splits the first segment off: "/a/b" is a and "/b". The rest of a single
// segment is Root.
func (p Path) cut() (segment string, rest Path) {
	segment, below, ok := strings.Cut(string(p[1:]), "/")
	if !ok {
		return segment, Root
	}
	return segment, p[len(p)-len(below)-1:]
}

// CoveredBy reports whether p is within one of some paths, which ascend.
func (p Path) CoveredBy(paths []Path) bool {
	for {
		if _, ok := slices.BinarySearchFunc(paths, p, Path.Compare); ok || p == Root {
			return ok
		}
		p = p.Parent()
	}
}

// Covers reports whether one of some paths, which ascend, is within p.
func (p Path) Covers(paths []Path) bool {
	i, _ := slices.BinarySearchFunc(paths, p, Path.Compare)
	return i < len(paths) && paths[i].Within(p)
}

// segments returns the steps of p, none for Root.
func (p Path) segments() []string {
	if p == Root {
		return nil
	}
	return strings.Split(string(p[1:]), "/")
}

// trail is a path on the way down a tree. Siblings take turns in the same
// memory, so that steps cost only their own length; it is empty for Root.
type trail []byte

func newTrail(p Path) trail {
	if p == Root {
		return nil
	}
	return trail(p)
}

func (t trail) child(segment string) trail { return append(append(t, '/'), segment...) }

func (t trail) path() Path {
	if len(t) == 0 {
		return Root
	}
	return Path(t)
}

// IsZero reports whether p is the zero Path, which names nothing.
func (p Path) IsZero() bool { return p == "" }

// String returns the spelling that ParsePath takes.
func (p Path) String() string { return string(p) }

// MarshalText returns what String does.
func (p Path) MarshalText() ([]byte, error) { return []byte(p), nil }

// UnmarshalText sets p as ParsePath does, and leaves it alone on error.
func (p *Path) UnmarshalText(text []byte) error { return unmarshal(p, text, ParsePath) }
