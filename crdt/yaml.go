package crdt

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The limits of what the YAML library is given. Its time and memory are
// quadratic in the marks and in the depth of a document.
const (
	maxYAMLDocument = 1 << 20 // bytes of one document of a stream
	maxYAMLMarks    = 20_000  // dashes, colons, commas and question marks in it
	maxYAMLStream   = 60_000  // those of all documents of a stream
)

// maxExpanded bounds a document in which every alias is what it stands for, in
// bytes of scalars and names, and nodeWeight for every node.
const (
	maxExpanded = 4 * MaxDocument
	nodeWeight  = 64
)

// parseYAML reads a stream by the core schema of YAML 1.2, as the package
// comment says.
func parseYAML(text string) (value, error) {
	if at := invalidUTF8(text); at >= 0 {
		return value{}, syntaxError(YAML, text, at, fmt.Sprintf("0x%02x is not valid UTF-8 here", text[at]))
	}
	parts, err := splitStream(text)
	if err != nil {
		return value{}, err
	}
	var documents []value
	marks, weight := 0, 0
	for _, part := range parts {
		body, err := parsePart(text, part, &marks)
		if err != nil {
			return value{}, err
		}
		if body == nil {
			continue
		}
		r := yamlReader{text: text, part: part, lines: part.lines(text), anchors: make(map[string]measured), weight: weight}
		m, err := r.read(body, 0)
		if err != nil {
			return value{}, err
		}
		weight = r.weight
		documents = append(documents, m.value)
	}
	switch {
	case len(documents) == 0:
		return value{scalar: "null"}, nil
	case len(parts) == 1:
		return documents[0], nil
	}
	return value{container: &container{form: streamForm, items: documents}}, nil
}

// part is the place of one document in a stream: its lines without the marks
// that bound it.
type part struct {
	from, to int // in the text
	line     int // that from is in, counted from 0
	// inline: from is behind a "---" with more in its line.
	inline bool
}

// splitStream finds the documents of a stream. A line that begins with "---"
// or "..." bounds one, whatever it stands in.
func splitStream(text string) ([]part, error) {
	var parts []part
	at, line := len(text)-len(strings.TrimPrefix(text, "\ufeff")), 0
	current := part{from: at}
	open := false // whether there was anything since the last bound
	for ; at < len(text); line++ {
		end := at + len(text[at:])
		if i := strings.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		switch l := text[at:end]; {
		case isBound(l, "---"):
			if open {
				current.to = at
				parts = append(parts, current)
			}
			current = part{from: at + 3, line: line, inline: true}
			open = true
		case isBound(l, "..."):
			if open {
				current.to = at
				parts = append(parts, current)
			}
			if rest := strings.TrimSpace(l[3:]); rest != "" && rest[0] != '#' {
				return nil, syntaxError(YAML, text, at+3, "only a comment may stand behind the end of a document")
			}
			current = part{from: end, line: line + 1}
			open = false
		case !open && strings.HasPrefix(l, "%TAG"):
			return nil, syntaxError(YAML, text, at, "a directive %TAG: all tags are those of the core schema")
		case !open && strings.HasPrefix(l, "%"):
			current = part{from: end, line: line + 1}
		case !open && strings.TrimSpace(l) != "" && strings.TrimSpace(l)[0] != '#':
			open = true
		}
		at = end
	}
	if open {
		current.to = len(text)
		parts = append(parts, current)
	}
	return parts, nil
}

func isBound(line, mark string) bool {
	rest, ok := strings.CutPrefix(line, mark)
	return ok && (rest == "" || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

// source returns the part as a document of its own, in which every character
// has the column that it has in the stream.
func (p part) source(text string) string {
	if p.inline {
		return "   " + text[p.from:p.to]
	}
	return text[p.from:p.to]
}

// lines returns the index of the lines of the part's source.
func (p part) lines(text string) lineIndex {
	at := p.from
	if p.inline {
		at -= len("---")
	}
	x := lineIndex{starts: []int{at}, to: p.to}
	for i := strings.IndexByte(text[at:p.to], '\n'); i >= 0; i = strings.IndexByte(text[at:p.to], '\n') {
		at += i + 1
		x.starts = append(x.starts, at)
	}
	x.columns = make([][]int, len(x.starts))
	return x
}

// offset returns the byte that a position in the part's source is at.
func (p part) offset(text string, pos *token.Position) int {
	x := p.lines(text)
	return x.offset(text, pos)
}

// lineIndex finds the byte of a line and column, which counts characters.
type lineIndex struct {
	starts []int
	to     int
	// columns of a line are the places of every columnStep-th character; none
	// if they are not known yet.
	columns [][]int
}

const columnStep = 256

func (x *lineIndex) offset(text string, pos *token.Position) int {
	line := pos.Line - 1
	if line < 0 || line >= len(x.starts) {
		return x.to
	}
	end := x.to
	if line+1 < len(x.starts) {
		end = x.starts[line+1]
	}
	if x.columns[line] == nil {
		n := 0
		for i := range text[x.starts[line]:end] {
			if n%columnStep == 0 {
				x.columns[line] = append(x.columns[line], x.starts[line]+i)
			}
			n++
		}
	}
	column := max(pos.Column-1, 0)
	step := column / columnStep
	if step >= len(x.columns[line]) {
		return end
	}
	at := x.columns[line][step]
	for range column % columnStep {
		if at >= end {
			break
		}
		_, n := utf8.DecodeRuneInString(text[at:])
		at += n
	}
	return at
}

// parsePart returns the tree of one document, nil if there is only space and
// comments.
func parsePart(text string, p part, marks *int) (body ast.Node, err error) {
	source := p.source(text)
	if len(source) > maxYAMLDocument {
		return nil, syntaxError(YAML, text, p.from, fmt.Sprintf("a document longer than %d bytes", maxYAMLDocument))
	}
	// The library panics on some texts that are not YAML.
	defer func() {
		if recover() != nil {
			err = syntaxError(YAML, text, p.from, "this document cannot be read")
		}
	}()
	tokens := lexer.Tokenize(source)
	if bad, problem := tooMuch(tokens, marks); bad != nil {
		return nil, syntaxError(YAML, text, p.offset(text, bad.Position), problem)
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at := p.from
		problem := "this document cannot be read"
		if e, ok := errors.AsType[yaml.Error](err); ok {
			problem = e.GetMessage()
			if t := e.GetToken(); t != nil && t.Position != nil {
				at = p.offset(text, t.Position)
			}
		}
		return nil, syntaxError(YAML, text, at, problem)
	}
	if len(file.Docs) > 1 {
		return nil, syntaxError(YAML, text, p.offset(text, file.Docs[1].GetToken().Position), "a second document without a --- before it")
	}
	if len(file.Docs) == 0 {
		return nil, nil
	}
	return file.Docs[0].Body, nil
}

// tooMuch returns the token with which a document passes a limit.
func tooMuch(tokens token.Tokens, stream *int) (bad *token.Token, problem string) {
	marks, flow := 0, 0
	var block []int // the columns of the collections that are open, ascending
	for _, t := range tokens {
		column := t.Position.Column
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.MappingValueType:
			if t.Prev != nil {
				column = t.Prev.Position.Column
			}
		case token.SequenceEntryType, token.MappingKeyType, token.CollectEntryType:
		default:
			continue
		}
		marks++
		if t.Type != token.CollectEntryType && flow == 0 {
			for len(block) > 0 && block[len(block)-1] >= column {
				block = block[:len(block)-1]
			}
			block = append(block, column)
		}
		if flow+len(block) > maxDepth {
			return t, fmt.Sprintf("nested deeper than %d", maxDepth)
		}
		if *stream++; marks > maxYAMLMarks {
			return t, fmt.Sprintf("a document with more than %d entries", maxYAMLMarks)
		}
		if *stream > maxYAMLStream {
			return t, fmt.Sprintf("more than %d entries", maxYAMLStream)
		}
	}
	return nil, ""
}

// yamlReader makes the value of one document.
type yamlReader struct {
	text    string
	part    part
	lines   lineIndex
	anchors map[string]measured
	weight  int
}

// measured is a value with what it costs to write it out.
type measured struct {
	value
	weight int
	height int // how deep it is nested; 0 for a scalar
}

func (r *yamlReader) fail(n ast.Node, format string, args ...any) error {
	at := r.part.from
	if t := n.GetToken(); t != nil && t.Position != nil {
		at = r.part.offset(r.text, t.Position)
	}
	return syntaxError(YAML, r.text, at, fmt.Sprintf(format, args...))
}

// read returns the value of n, which is nested that deep.
func (r *yamlReader) read(n ast.Node, depth int) (measured, error) {
	switch n := n.(type) {
	case *ast.AnchorNode:
		m, err := r.read(n.Value, depth)
		if err != nil {
			return measured{}, err
		}
		r.anchors[n.Name.GetToken().Value] = m
		return m, nil
	case *ast.AliasNode:
		return r.alias(n, depth)
	case *ast.TagNode:
		return r.tagged(n, depth)
	case *ast.MappingNode:
		return r.mapping(n, n.Values, depth+1)
	case *ast.MappingValueNode:
		return r.mapping(n, []*ast.MappingValueNode{n}, depth+1)
	case *ast.SequenceNode:
		return r.sequence(n, depth+1)
	}
	scalar, err := r.scalar(n)
	if err != nil {
		return measured{}, err
	}
	m := measured{value: value{scalar: scalar, span: r.scalarSpan(n)}, weight: nodeWeight + len(scalar)}
	return m, r.count(n, m.weight, depth)
}

// at returns the place of a token.
func (r *yamlReader) at(t *token.Token) int32 {
	if t == nil || t.Position == nil {
		return int32(r.part.from)
	}
	return int32(r.lines.offset(r.text, t.Position))
}

// scalarSpan returns the place of a scalar. It can be wrong where the library
// is wrong about it.
func (r *yamlReader) scalarSpan(n ast.Node) span {
	t := n.GetToken()
	if t == nil {
		return span{style: blockStyle}
	}
	from := r.at(t)
	switch rest := r.text[from:]; {
	case t.Type == token.ImplicitNullType:
		return span{from: from, to: from}
	case t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType:
		if n := quotedLength(rest); n > 0 {
			return span{from, from + int32(n), quotedStyle}
		}
	case n.Type() != ast.LiteralType && t.Value != "" && strings.HasPrefix(rest, t.Value):
		return span{from: from, to: from + int32(len(t.Value))}
	}
	return span{from: from, style: blockStyle}
}

// quotedLength returns the length of the quoted scalar that s begins with, or
// 0.
func quotedLength(s string) int {
	if s == "" || (s[0] != '"' && s[0] != '\'') {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && s[0] == '"':
			i++
		case s[i] != s[0]:
		case s[0] == '\'' && strings.HasPrefix(s[i+1:], "'"):
			i++
		default:
			return i + 1
		}
	}
	return 0
}

func (r *yamlReader) count(n ast.Node, weight, depth int) error {
	if depth > maxDepth {
		return r.fail(n, "nested deeper than %d", maxDepth)
	}
	if r.weight += weight; r.weight > maxExpanded {
		return r.fail(n, "with its aliases written out it is longer than %d bytes", maxExpanded)
	}
	return nil
}

func (r *yamlReader) alias(n *ast.AliasNode, depth int) (measured, error) {
	name := n.Value.GetToken().Value
	m, ok := r.anchors[name]
	if !ok {
		return measured{}, r.fail(n, "the alias *%.80s has no anchor before it", name)
	}
	from := r.at(n.Start)
	m.span = span{from, from + 1 + int32(len(name)), aliasStyle}
	return m, r.count(n, m.weight, depth+m.height)
}

// flowSpan returns the place of a container.
func (r *yamlReader) flowSpan(flow bool, start, end *token.Token) span {
	if flow && end != nil {
		return span{from: r.at(start), to: r.at(end) + 1}
	}
	return span{from: r.at(start), style: blockStyle}
}

func (r *yamlReader) sequence(n *ast.SequenceNode, depth int) (measured, error) {
	m := measured{value: value{container: &container{form: listForm}}, weight: nodeWeight}
	m.span = r.flowSpan(n.IsFlowStyle, n.Start, n.End)
	for _, entry := range n.Entries {
		m.dashes = append(m.dashes, r.at(entry.Start))
	}
	for _, item := range n.Values {
		of, err := r.read(item, depth)
		if err != nil {
			return measured{}, err
		}
		m.items = append(m.items, of.value)
		m.weight += of.weight
		m.height = max(m.height, of.height)
	}
	m.height++
	return m, r.count(n, nodeWeight, depth)
}

func (r *yamlReader) mapping(n ast.Node, entries []*ast.MappingValueNode, depth int) (measured, error) {
	m := measured{value: value{container: &container{form: objectForm}}, weight: nodeWeight}
	m.style = blockStyle
	if of, ok := n.(*ast.MappingNode); ok {
		m.span = r.flowSpan(of.IsFlowStyle, of.Start, of.End)
	}
	var seen nameSet
	var merged []measured
	for _, entry := range entries {
		of, err := r.read(entry.Value, depth)
		if err != nil {
			return measured{}, err
		}
		at := r.at(entry.Key.GetToken())
		if entry.Key.IsMergeKey() {
			m.merges = append(m.merges, at)
			if merged, err = r.merged(entry, of, merged); err != nil {
				return measured{}, err
			}
			continue
		}
		name, err := r.name(entry.Key)
		if err != nil {
			return measured{}, err
		}
		if !seen.add(name, m.members) {
			return measured{}, r.fail(entry.Key, "the key %.80q is there twice", name)
		}
		m.members = append(m.members, member{name, of.value, at})
		m.weight += of.weight + len(name)
		m.height = max(m.height, of.height)
	}
	for _, from := range merged {
		for _, of := range from.members {
			if seen.add(of.name, m.members) {
				of.at = -1
				m.members = append(m.members, of)
			}
		}
		m.weight += from.weight
		m.height = max(m.height, from.height-1)
	}
	m.height++
	return m, r.count(n, nodeWeight, depth)
}

// merged appends what a key << brings: a mapping, or each of a list.
func (r *yamlReader) merged(entry *ast.MappingValueNode, of measured, to []measured) ([]measured, error) {
	switch {
	case of.container != nil && of.form == objectForm:
		return append(to, of), nil
	case of.container != nil:
		for i := range of.items {
			item := of.items[i]
			if item.container == nil || item.form != objectForm {
				return nil, r.fail(entry.Value, "the key << wants mappings")
			}
			weight := 0
			if i == 0 {
				weight = of.weight
			}
			to = append(to, measured{item, weight, of.height - 1})
		}
		return to, nil
	}
	return nil, r.fail(entry.Value, "the key << wants a mapping, or a list of them")
}

// name returns the name that a key is. Names are strings: a plain scalar is its
// text, whatever else it would be as a value.
func (r *yamlReader) name(n ast.Node) (string, error) {
	switch k := n.(type) {
	case *ast.MappingKeyNode:
		if k.Value == nil {
			return "", r.fail(n, "a key that is empty")
		}
		return r.name(k.Value)
	case *ast.AnchorNode:
		name, err := r.name(k.Value)
		if err == nil {
			scalar := string(appendString(nil, name))
			r.anchors[k.Name.GetToken().Value] = measured{value: value{scalar: scalar}, weight: nodeWeight + len(scalar)}
		}
		return name, err
	case *ast.AliasNode:
		m, err := r.alias(k, 0)
		if err != nil {
			return "", err
		}
		if m.container != nil {
			return "", r.fail(n, "a key must be a scalar")
		}
		if m.scalar[0] == '"' {
			return unquote(m.scalar), nil
		}
		return m.scalar, nil
	case *ast.TagNode:
		if k.Start.Value != "!!str" && k.Start.Value != "!" {
			return "", r.fail(n, "the tag %.80s at a key", k.Start.Value)
		}
		return r.name(k.Value)
	case *ast.LiteralNode:
		return k.Value.Value, nil
	case *ast.MappingNode, *ast.SequenceNode, *ast.MappingValueNode:
		return "", r.fail(n, "a key must be a scalar")
	case *ast.NullNode:
		if k.Token.Type == token.ImplicitNullType {
			return "", r.fail(n, "a key that is empty")
		}
	}
	return n.GetToken().Value, nil
}

// scalar returns the JSON of a scalar.
func (r *yamlReader) scalar(n ast.Node) (string, error) {
	switch s := n.(type) {
	case nil:
		return "null", nil
	case *ast.LiteralNode:
		return string(appendString(nil, s.Value.Value)), nil
	case *ast.CommentGroupNode:
		return "null", nil
	case *ast.NullNode:
		if s.Token.Type == token.ImplicitNullType {
			return "null", nil
		}
	}
	t := n.GetToken()
	if t == nil {
		return "", r.fail(n, "this cannot be read")
	}
	if t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType {
		return string(appendString(nil, t.Value)), nil
	}
	scalar, problem := resolvePlain(t.Value)
	if problem != "" {
		return "", r.fail(n, "%s", problem)
	}
	return scalar, nil
}

// tagged reads a node with a tag of the core schema.
func (r *yamlReader) tagged(n *ast.TagNode, depth int) (measured, error) {
	if n.Value == nil {
		return measured{}, r.fail(n, "the tag %.80s at nothing", n.Start.Value)
	}
	m, err := r.read(n.Value, depth)
	if err != nil {
		return measured{}, err
	}
	fits := false
	switch n.Start.Value {
	case "!!map":
		fits = m.container != nil && m.form == objectForm
	case "!!seq":
		fits = m.container != nil && m.form == listForm
	case "!!str", "!":
		if fits = m.container == nil; fits && m.scalar[0] != '"' {
			m.scalar = string(appendString(nil, plainText(n.Value)))
		}
	case "!!null", "!!bool", "!!int", "!!float":
		fits = m.container == nil && fitsTag(m.scalar, n.Start.Value)
	default:
		return measured{}, r.fail(n, "the tag %.80s is none of the core schema", n.Start.Value)
	}
	if !fits {
		return measured{}, r.fail(n, "the tag %s at something else", n.Start.Value)
	}
	return m, nil
}

// plainText returns the text of a plain scalar.
func plainText(n ast.Node) string {
	if null, ok := n.(*ast.NullNode); ok && null.Token.Type == token.ImplicitNullType {
		return ""
	}
	return n.GetToken().Value
}

func fitsTag(scalar, tag string) bool {
	switch tag {
	case "!!null":
		return scalar == "null"
	case "!!bool":
		return scalar == "true" || scalar == "false"
	}
	number := scalar[0] == '-' || isDigit(scalar[0])
	return number && (tag == "!!float" || !strings.ContainsAny(scalar, ".eE"))
}
