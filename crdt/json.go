package crdt

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// parseJSON reads what RFC 8259 calls a JSON text. It refuses duplicate names,
// bytes that are not UTF-8, surrogates that are not in pairs, a byte order
// mark, and what is beyond the limits of the package comment. The result
// refers to text.
func parseJSON(text string) (value, error) {
	p := jsonParser{text: text}
	v := p.document()
	if p.problem != "" {
		return value{}, syntaxError(JSON, text, p.problemAt, p.problem)
	}
	return v, nil
}

// jsonParser reads from at on, until there is a problem.
type jsonParser struct {
	text  string
	at    int
	depth int

	problem   string
	problemAt int
}

func (p *jsonParser) fail(at int, format string, args ...any) {
	if p.problem == "" {
		p.problemAt, p.problem = at, fmt.Sprintf(format, args...)
	}
}

func (p *jsonParser) document() value {
	if strings.HasPrefix(p.text, "\ufeff") {
		p.fail(0, "a byte order mark is not JSON")
	}
	v := p.value()
	if p.space(); p.problem == "" && p.at < len(p.text) {
		p.fail(p.at, "%s after the end of the value", p.found())
	}
	return v
}

func (p *jsonParser) value() value {
	p.space()
	from := p.at
	v := p.bare()
	v.from, v.to = int32(from), int32(p.at)
	return v
}

// bare returns a value without its place.
func (p *jsonParser) bare() value {
	switch c := p.peek(); {
	case p.problem != "":
	case c == '{':
		return p.object()
	case c == '[':
		return p.list()
	case c == '"':
		return value{scalar: p.string()}
	case c == '-' || isDigit(c):
		return value{scalar: p.number()}
	default:
		for _, word := range [...]string{"null", "true", "false"} {
			if strings.HasPrefix(p.text[p.at:], word) {
				p.at += len(word)
				return value{scalar: word}
			}
		}
		p.fail(p.at, "%s where a value should begin", p.found())
	}
	return value{}
}

func (p *jsonParser) object() value {
	v := value{container: &container{form: objectForm}}
	var seen nameSet
	p.items('}', func() {
		at := p.at
		if p.peek() != '"' {
			p.fail(at, "%s where a name should begin", p.found())
			return
		}
		quoted := p.string()
		if p.problem != "" {
			return
		}
		name := unquote(quoted)
		if !seen.add(name, v.members) {
			p.fail(at, "the name %.80q is there twice", name)
			return
		}
		if p.space(); p.peek() != ':' {
			p.fail(p.at, "%s where a colon should be", p.found())
			return
		}
		p.at++
		v.members = append(v.members, member{name, p.value(), int32(at)})
	})
	return v
}

func (p *jsonParser) list() value {
	v := value{container: &container{form: listForm}}
	p.items(']', func() { v.items = append(v.items, p.value()) })
	return v
}

// items reads what stands between a bracket and the one that closes it.
func (p *jsonParser) items(closing byte, item func()) {
	if p.depth++; p.depth > maxDepth {
		p.fail(p.at, "nested deeper than %d", maxDepth)
		return
	}
	p.at++
	if p.space(); p.peek() == closing {
		p.at++
		p.depth--
		return
	}
	for p.problem == "" {
		p.space()
		item()
		p.space()
		switch p.peek() {
		case ',':
			p.at++
		case closing:
			p.at++
			p.depth--
			return
		default:
			p.fail(p.at, "%s where a comma or %c should be", p.found(), closing)
		}
	}
}

// number returns the spelling of a number.
func (p *jsonParser) number() string {
	from := p.at
	if p.peek() == '-' {
		p.at++
	}
	if p.peek() == '0' {
		p.at++
	} else {
		p.digits()
	}
	if p.peek() == '.' {
		p.at++
		p.digits()
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		p.digits()
	}
	spelling := p.text[from:p.at]
	if p.problem != "" {
		return ""
	}
	if _, ok := parseDecimal(spelling); !ok {
		p.fail(from, "an exponent beyond %d", maxExponent)
	}
	return spelling
}

// digits reads at least one.
func (p *jsonParser) digits() {
	if !isDigit(p.peek()) {
		p.fail(p.at, "%s where a digit should be", p.found())
	}
	for isDigit(p.peek()) {
		p.at++
	}
}

// string returns the spelling of a string, with its quotes.
func (p *jsonParser) string() string {
	from := p.at
	p.at++
	for p.problem == "" {
		switch c := p.peek(); {
		case p.at == len(p.text):
			p.fail(from, "this string has no end")
		case c == '"':
			p.at++
			return p.text[from:p.at]
		case c == '\\':
			_, n := unescapeRune(p.text[p.at:])
			if n == 0 {
				p.fail(p.at, "%s", escapeProblem(p.text[p.at:]))
			}
			p.at += n
		case c < 0x20:
			p.fail(p.at, "the control character U+%04X in a string", c)
		case c < utf8.RuneSelf:
			p.at++
		default:
			r, n := utf8.DecodeRuneInString(p.text[p.at:])
			if r == utf8.RuneError && n == 1 {
				p.fail(p.at, "0x%02x is not valid UTF-8 here", c)
				return ""
			}
			p.at += n
		}
	}
	return ""
}

func (p *jsonParser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// peek returns the next byte, or 0 at the end and after a problem.
func (p *jsonParser) peek() byte {
	if p.problem != "" || p.at >= len(p.text) {
		return 0
	}
	return p.text[p.at]
}

// found describes what stands at p.at.
func (p *jsonParser) found() string {
	if p.at >= len(p.text) {
		return "the end"
	}
	r, n := utf8.DecodeRuneInString(p.text[p.at:])
	if r == utf8.RuneError && n == 1 {
		return fmt.Sprintf("the byte 0x%02x", p.text[p.at])
	}
	return fmt.Sprintf("%q", r)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// unescapeRune reads the escape at the beginning of s, two of them where they
// are a pair of surrogates. n is 0 where it is none.
func unescapeRune(s string) (r rune, n int) {
	if len(s) < 2 {
		return 0, 0
	}
	switch s[1] {
	case '"', '\\', '/':
		return rune(s[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	r, ok := unescapeUnit(s)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	low, ok := unescapeUnit(s[6:])
	if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
		return pair, 12
	}
	return 0, 0
}

// unescapeUnit reads \uXXXX at the beginning of s.
func unescapeUnit(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(unit), err == nil
}

func escapeProblem(s string) string {
	if _, ok := unescapeUnit(s); ok {
		return fmt.Sprintf("the surrogate %s without its other half", s[:6])
	}
	r, _ := utf8.DecodeRuneInString(s[1:])
	if r == utf8.RuneError {
		return "a broken escape"
	}
	return fmt.Sprintf("no escape begins with \\%c", r)
}

// nameSet finds duplicates among the names of one object.
type nameSet struct{ names map[string]struct{} }

// fewNames are looked through faster than a map is made.
const fewNames = 8

// add reports whether name is new; before holds the names that were added.
func (s *nameSet) add(name string, before []member) bool {
	if s.names == nil && len(before) < fewNames {
		for i := range before {
			if before[i].name == name {
				return false
			}
		}
		return true
	}
	if s.names == nil {
		s.names = make(map[string]struct{}, 2*fewNames)
		for i := range before {
			s.names[before[i].name] = struct{}{}
		}
	}
	if _, ok := s.names[name]; ok {
		return false
	}
	s.names[name] = struct{}{}
	return true
}
