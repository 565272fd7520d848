package crdt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"
)

// DocumentPayload is what a revision of the kind JSON or YAML carries.
type DocumentPayload struct {
	// Text is the whole value after the change, in its author's bytes.
	Text []byte
	// Lists are the keyed lists by which Text is read, as [Document.Lists] has
	// them: each at a path of its own, ascending.
	Lists Lists
	// Paths are what was written, ascending: at each of them the leaf that
	// Text has there, or that it has none.
	Paths []Path
}

// CounterPayload is what a revision of the kind Counter carries.
type CounterPayload struct {
	// Total is the whole value after the change.
	Total *big.Int
	// Set: the change sets the counter to Total, which then is N, or does not fit
	// there; else it adds N.
	Set bool
	N   int64
}

// SetPayload is what a revision of the kind Set carries. All lists are
// ascending by their bytes, and valid UTF-8.
type SetPayload struct {
	// Elements is the whole value after the change.
	Elements []string
	// Set: the change sets the value to Elements, whatever it was and of
	// whatever kind. Added then is Elements, and Removed is empty.
	Set bool
	// Added are among Elements, Removed are not.
	Added, Removed []string
}

// The limits of payloads.
const (
	// maxChange bounds the sum of the lengths of a change's paths, in bytes.
	maxChange = 2 * maxPaths
	// maxTotal bounds a counter's digits, with its sign.
	maxTotal = 64
)

// changeVersion begins every change.
const changeVersion = 1

// The codes of list schemas, and of what the change of a counter or a set does.
const (
	codeSetList       = 1
	codeMapList       = 2
	codeDocumentsList = 3

	codeAdd  = 0
	codeSet  = 1
	codeWide = 2 // sets a counter to what does not fit into 64 bits
)

// errPayload is what is wrong with every payload that is not the one encoding
// of its content.
var errPayload = errors.New("not a canonical payload")

// TextOf returns the bytes of a value of any kind, which are part of payload:
// those after the change for a document, a counter or a set, and the payload
// itself for any other kind, or if it cannot be split. It does not look at the
// change.
func TextOf(kind Kind, payload []byte) []byte {
	if kind.hasChange() {
		if text, _, ok := split(payload); ok {
			return text
		}
	}
	return payload
}

func (k Kind) hasChange() bool { return k == JSON || k == YAML || k == Counter || k == Set }

func split(payload []byte) (text, change []byte, ok bool) {
	n := len(payload) - 4
	if n < 0 {
		return nil, nil, false
	}
	length := binary.BigEndian.Uint32(payload[n:])
	if uint64(length) > uint64(min(n, MaxDocument)) {
		return nil, nil, false
	}
	return payload[:length:length], payload[length:n], true
}

func join(text, change []byte) []byte {
	b := slices.Grow([]byte(nil), len(text)+len(change)+4)
	b = append(append(b, text...), change...)
	return binary.BigEndian.AppendUint32(b, uint32(len(text)))
}

// Document reads Text by Lists; the error is a *SyntaxError.
func (p DocumentPayload) Document(kind Kind) (*Document, error) {
	return parseDocument(kind, string(p.Text), p.Lists, nil)
}

// Encode returns the payload. The error says that p is not as its fields want.
func (p DocumentPayload) Encode() ([]byte, error) {
	change := []byte{changeVersion}
	change = binary.AppendUvarint(change, uint64(len(p.Lists)))
	var before string
	for _, l := range p.Lists {
		change = appendPrefixed(change, before, string(l.Path))
		before = string(l.Path)
		switch field, ok := l.Schema.field(); {
		case ok:
			change = append(change, codeMapList)
			change = append(binary.AppendUvarint(change, uint64(len(field))), field...)
		case l.Schema == SetList:
			change = append(change, codeSetList)
		case l.Schema == DocumentsList:
			change = append(change, codeDocumentsList)
		default:
			return nil, fmt.Errorf("encode a document: the schema %.80q of %.80q is none of a keyed list", l.Schema, l.Path)
		}
	}
	change = appendPaths(change, p.Paths)
	payload := join(p.Text, change)
	if _, err := DecodeDocument(payload); err != nil {
		return nil, fmt.Errorf("encode a document: %w", err)
	}
	return payload, nil
}

func appendPaths(b []byte, paths []Path) []byte {
	b = binary.AppendUvarint(b, uint64(len(paths)))
	var before string
	for _, p := range paths {
		b = appendPrefixed(b, before, string(p))
		before = string(p)
	}
	return b
}

// appendPrefixed appends how many bytes s shares with the one before it, and
// the rest.
func appendPrefixed(b []byte, before, s string) []byte {
	shared := 0
	for shared < min(len(before), len(s)) && before[shared] == s[shared] {
		shared++
	}
	b = binary.AppendUvarint(b, uint64(shared))
	b = binary.AppendUvarint(b, uint64(len(s)-shared))
	return append(b, s[shared:]...)
}

// DecodeDocument is the inverse of Encode. It does not read the text as a
// document. The result's Text is part of payload.
func DecodeDocument(payload []byte) (DocumentPayload, error) {
	text, change, ok := split(payload)
	r := changeReader{rest: change, bad: !ok}
	r.version()
	p := DocumentPayload{Text: text}
	var at Path
	for range r.count() {
		at = r.path(at)
		rule := ListRule{PathPattern(at), r.schema()}
		if r.bad {
			break
		}
		p.Lists = append(p.Lists, rule)
	}
	at = ""
	for range r.count() {
		if at = r.path(at); r.bad {
			break
		}
		p.Paths = append(p.Paths, at)
	}
	if !r.ended() {
		return DocumentPayload{}, fmt.Errorf("decode a document: %w", errPayload)
	}
	return p, nil
}

// Encode returns the payload. The error says that p is not as its fields want.
func (p CounterPayload) Encode() ([]byte, error) {
	code := byte(codeAdd)
	if p.Set {
		code = codeSet
	}
	if p.Total == nil {
		return nil, fmt.Errorf("encode a counter: %w", errPayload)
	}
	change := binary.AppendVarint([]byte{changeVersion, code}, p.N)
	if p.Set && !p.Total.IsInt64() {
		change = []byte{changeVersion, codeWide}
	}
	payload := join(p.Total.Append(nil, 10), change)
	if _, err := DecodeCounter(payload); err != nil {
		return nil, fmt.Errorf("encode a counter: %w", err)
	}
	return payload, nil
}

// DecodeCounter is the inverse of Encode.
func DecodeCounter(payload []byte) (CounterPayload, error) {
	text, change, ok := split(payload)
	r := changeReader{rest: change, bad: !ok}
	r.version()
	code := r.byte()
	p := CounterPayload{Set: code != codeAdd}
	if code != codeWide {
		p.N = r.varint()
	}
	if !r.ended() || code > codeWide || len(text) > maxTotal {
		return CounterPayload{}, fmt.Errorf("decode a counter: %w", errPayload)
	}
	p.Total, ok = new(big.Int).SetString(string(text), 10)
	if ok = ok && bytes.Equal(p.Total.Append(nil, 10), text); ok && p.Set {
		ok = p.Total.IsInt64() == (code == codeSet) && (code == codeWide || p.Total.Int64() == p.N)
	}
	if !ok {
		return CounterPayload{}, fmt.Errorf("decode a counter: %w", errPayload)
	}
	return p, nil
}

// Text returns the whole value as TextOf has it: canonical JSON.
func (p SetPayload) Text() []byte {
	text := []byte{'['}
	for i, e := range p.Elements {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendString(text, e)
	}
	return append(text, ']')
}

// Encode returns the payload. The error says that p is not as its fields want.
func (p SetPayload) Encode() ([]byte, error) {
	code := byte(codeAdd)
	if p.Set {
		code = codeSet
	}
	change := appendElements(appendElements([]byte{changeVersion, code}, p.Added), p.Removed)
	payload := join(p.Text(), change)
	if _, err := DecodeSet(payload); err != nil {
		return nil, fmt.Errorf("encode a set: %w", err)
	}
	return payload, nil
}

func appendElements(b []byte, elements []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(elements)))
	for _, e := range elements {
		b = append(binary.AppendUvarint(b, uint64(len(e))), e...)
	}
	return b
}

// DecodeSet is the inverse of Encode.
func DecodeSet(payload []byte) (SetPayload, error) {
	p, text, ok := decodeSetChange(payload)
	if ok {
		p.Elements, ok = setElements(string(text))
		if ok && bytes.Equal(p.Text(), text) && p.fits() {
			return p, nil
		}
	}
	return SetPayload{}, fmt.Errorf("decode a set: %w", errPayload)
}

// decodeSetChange is DecodeSet without the Elements: it does not read the text.
func decodeSetChange(payload []byte) (p SetPayload, text []byte, ok bool) {
	text, change, ok := split(payload)
	r := changeReader{rest: change, bad: !ok}
	r.version()
	code := r.byte()
	p = SetPayload{Set: code == codeSet, Added: r.elements(), Removed: r.elements()}
	both := func(e string) bool {
		_, ok := slices.BinarySearch(p.Added, e)
		return ok
	}
	return p, text, r.ended() && code <= codeSet && (!p.Set || len(p.Removed) == 0) && !slices.ContainsFunc(p.Removed, both)
}

// setElements reads a list of ascending strings.
func setElements(text string) ([]string, bool) {
	v, err := parseJSON(text)
	if err != nil || v.container == nil || v.form != listForm {
		return nil, false
	}
	var elements []string
	for i := range v.items {
		if v.items[i].container != nil || v.items[i].scalar[0] != '"' {
			return nil, false
		}
		e := unquote(v.items[i].scalar)
		if i > 0 && elements[i-1] >= e {
			return nil, false
		}
		elements = append(elements, e)
	}
	return elements, true
}

// fits reports whether the change could have led to the elements.
func (p SetPayload) fits() bool {
	in := func(e string) bool {
		_, ok := slices.BinarySearch(p.Elements, e)
		return ok
	}
	if p.Set && len(p.Added) != len(p.Elements) {
		return false
	}
	return !slices.ContainsFunc(p.Removed, in) &&
		!slices.ContainsFunc(p.Added, func(e string) bool { return !in(e) })
}

// changeReader reads a change. After the first thing that is not canonical it
// is bad, and everything it returns is zero.
type changeReader struct {
	rest  []byte
	bad   bool
	paths int // the sum of the lengths of the paths
}

func (r *changeReader) version() { r.bad = r.bad || r.byte() != changeVersion }

func (r *changeReader) byte() byte {
	if r.bad = r.bad || len(r.rest) == 0; r.bad {
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *changeReader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if r.bad = r.bad || size <= 0 || (size > 1 && r.rest[size-1] == 0); r.bad {
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// varint is zigzag coded.
func (r *changeReader) varint() int64 {
	n := r.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

// count returns how many things follow, each of which has a byte or more.
func (r *changeReader) count() int {
	n := r.uvarint()
	if r.bad = r.bad || n > uint64(len(r.rest)); r.bad {
		return 0
	}
	return int(n)
}

func (r *changeReader) string() string {
	n := r.count()
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

// path returns the path that follows, which comes after before.
func (r *changeReader) path(before Path) Path {
	shared := r.uvarint()
	rest := r.string()
	r.bad = r.bad || shared > uint64(len(before)) || (rest != "" && shared < uint64(len(before)) && rest[0] == before[shared])
	if r.bad {
		return ""
	}
	r.paths += int(shared) + len(rest)
	if r.bad = r.paths > maxChange; r.bad {
		return ""
	}
	p, err := ParsePath(string(before[:shared]) + rest)
	if r.bad = err != nil || (before != "" && before.Compare(p) >= 0); r.bad {
		return ""
	}
	return p
}

func (r *changeReader) schema() ListSchema {
	switch code := r.byte(); code {
	case codeSetList:
		return SetList
	case codeMapList:
		field := r.string()
		r.bad = r.bad || !utf8.ValidString(field)
		return MapList(field)
	case codeDocumentsList:
		return DocumentsList
	}
	r.bad = true
	return ""
}

// elements returns strings in ascending order.
func (r *changeReader) elements() []string {
	var elements []string
	for range r.count() {
		e := r.string()
		n := len(elements)
		if r.bad = r.bad || !utf8.ValidString(e) || (n > 0 && elements[n-1] >= e); r.bad {
			return nil
		}
		elements = append(elements, strings.Clone(e))
	}
	return elements
}

// ended reports whether everything was read and was good.
func (r *changeReader) ended() bool { return !r.bad && len(r.rest) == 0 }
