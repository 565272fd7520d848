package crdt

import (
	"slices"
	"strings"
)

// editYAML writes l as like has it: lines that need not change are copied with
// their comments, others are replaced, left out or added. Where it cannot tell
// the lines apart it can be wrong, and the caller checks what it made.
//
// An anchor's value may have changed and an alias of it not. With inline every
// alias and every key << is written out, so that this does no harm.
func editYAML(l *layout, like string, inline bool) []byte {
	e := yamlEditor{like: like, inline: inline}
	if l.old.container != nil && l.old.form == streamForm {
		e.stream(l)
	} else {
		parts, _ := splitStream(like)
		e.document(l, 0, firstPart(like, parts))
	}
	return e.b
}

func firstPart(like string, parts []part) int {
	if len(parts) > 1 {
		return parts[1].from
	}
	return len(like)
}

// yamlEditor appends to b what becomes of like.
type yamlEditor struct {
	yamlWriter

	like   string
	inline bool
}

// copied reports whether the text of l can stay.
func (e *yamlEditor) copied(l *layout) bool { return l.same && (!e.inline || !hasAlias(l.old)) }

func hasAlias(v *value) bool {
	if v.style == aliasStyle {
		return true
	}
	if v.container == nil {
		return false
	}
	if len(v.merges) > 0 {
		return true
	}
	for i := range v.members {
		if hasAlias(&v.members[i].value) {
			return true
		}
	}
	for i := range v.items {
		if hasAlias(&v.items[i]) {
			return true
		}
	}
	return false
}

// document writes the document that reaches from one place to another.
func (e *yamlEditor) document(l *layout, from, to int) {
	v := l.old
	switch first := v.firstEntry(); {
	case e.copied(l):
		e.b = append(e.b, e.like[from:to]...)
	case first >= from && v.style == blockStyle && l.block() && l.form == v.form:
		end := bodyEnd(e.like, first, to, 0)
		e.b = append(e.b, e.like[from:first]...)
		e.entries(l, end)
		e.b = append(e.b, e.like[end:to]...)
	case v.to > v.from && int(v.from) >= from && e.inLine(l):
		e.b = append(e.b, e.like[from:v.from]...)
		e.yamlWriter.inline(l)
		e.b = append(e.b, e.like[v.to:to]...)
	default:
		e.root(l)
	}
}

// stream writes the documents of a stream.
func (e *yamlEditor) stream(l *layout) {
	parts, err := splitStream(e.like)
	if err != nil || !l.block() || l.form != streamForm {
		return
	}
	// A document's piece is its mark, its lines, and what follows up to the
	// next mark. Those without a value are no items.
	items := l.old.items
	bounds := make([]int, 0, len(items)+1)
	for _, p := range parts {
		if len(bounds) < len(items) && int(items[len(bounds)].from) >= p.from && int(items[len(bounds)].from) < p.to {
			bounds = append(bounds, p.pieceStart(e.like))
		}
	}
	if len(bounds) < len(items) {
		return
	}
	bounds = append(bounds, len(e.like))
	e.b = append(e.b, e.like[:bounds[0]]...)
	place := make(map[*value]int, len(items))
	for i := range items {
		place[&items[i]] = i
	}
	for _, part := range l.parts {
		i, ok := place[part.old]
		if !ok {
			e.endLine()
			e.b = append(e.b, "---\n"...)
			e.root(part)
			continue
		}
		if len(e.b) > 0 && !isBound(e.like[bounds[i]:], "---") {
			e.endLine()
			e.b = append(e.b, "---\n"...)
		}
		e.document(part, bounds[i], bounds[i+1])
	}
	if parts, err := splitStream(string(e.b)); err == nil && len(parts) == 1 {
		e.endLine()
		e.b = append(e.b, "---\n"...) // so that it is still a stream
	}
}

// pieceStart returns the place of the mark before a part, or where it begins.
func (p part) pieceStart(text string) int {
	if p.inline {
		return p.from - len("---")
	}
	return p.from
}

// endLine ends a line that has been begun.
func (e *yamlEditor) endLine() {
	if len(e.b) > 0 && e.b[len(e.b)-1] != '\n' {
		e.b = append(e.b, '\n')
	}
}

// firstEntry returns where the first entry of a block begins, or -1.
func (v *value) firstEntry() int {
	first := -1
	take := func(at int32) {
		if at >= 0 && (first < 0 || int(at) < first) {
			first = int(at)
		}
	}
	if v.container == nil {
		return -1
	}
	for _, at := range v.dashes {
		take(at)
	}
	for _, at := range v.merges {
		take(at)
	}
	for i := range v.members {
		take(v.members[i].at)
	}
	return first
}

// chunk is an entry of a block in like: the lines before it that are its
// comments, and its own.
type chunk struct {
	lead, at, end int
	part          *layout // nil if it is left out
	merge         bool    // the entry is a key <<
}

// chunks returns the entries of a block that reaches up to end.
func (e *yamlEditor) chunks(l *layout, end int) []chunk {
	v := l.old
	parts := make(map[*value]*layout, len(l.parts))
	for _, part := range l.parts {
		if part.old != nil {
			parts[part.old] = part
		}
	}
	var chunks []chunk
	for i, at := range v.dashes {
		if i < len(v.items) {
			chunks = append(chunks, chunk{at: int(at), part: parts[&v.items[i]]})
		}
	}
	merges := v.merges
	for i := range v.members {
		m := &v.members[i]
		if m.at < 0 {
			continue
		}
		for len(merges) > 0 && merges[0] < m.at {
			chunks = append(chunks, chunk{at: int(merges[0]), merge: true})
			merges = merges[1:]
		}
		chunks = append(chunks, chunk{at: int(m.at), part: parts[&m.value]})
	}
	for _, at := range merges {
		chunks = append(chunks, chunk{at: int(at), merge: true})
	}
	for i := range chunks {
		next := end
		if i+1 < len(chunks) {
			next = chunks[i+1].at
		}
		chunks[i].lead = chunks[i].at
		if i > 0 {
			chunks[i].lead = chunks[i-1].end
		}
		chunks[i].end = bodyEnd(e.like, chunks[i].at, next, column(e.like, chunks[0].at))
	}
	return chunks
}

// column returns how many bytes stand before at in its line.
func column(text string, at int) int { return at - 1 - strings.LastIndexByte(text[:at], '\n') }

// bodyEnd returns where the last line of an entry ends that is neither empty
// nor a comment at its column or before.
func bodyEnd(text string, from, to, column int) int {
	end := from
	for at := from; at < to; {
		next := to
		if i := strings.IndexByte(text[at:to], '\n'); i >= 0 {
			next = at + i + 1
		}
		line := text[at:next]
		rest := strings.TrimLeft(line, " \t")
		empty := strings.TrimSpace(line) == ""
		if at == from || !empty && !(rest[0] == '#' && len(line)-len(rest) <= column) {
			end = next
		}
		at = next
	}
	return end
}

// entries writes the entries of the block l, whose old text reaches from its
// first entry to end.
func (e *yamlEditor) entries(l *layout, end int) {
	chunks := e.chunks(l, end)
	if len(chunks) == 0 {
		return
	}
	indent := column(e.like, chunks[0].at)
	byPart := make(map[*layout]*chunk, len(chunks))
	for i := range chunks {
		if chunks[i].part != nil {
			byPart[chunks[i].part] = &chunks[i]
		}
	}
	begun := false
	if l.form == objectForm {
		for i := range chunks {
			if c := &chunks[i]; c.part != nil || c.merge && !e.inline {
				e.chunk(c, begun, indent)
				begun = true
			}
		}
	}
	for _, part := range l.parts {
		c, ok := byPart[part]
		switch {
		case ok && l.form == objectForm:
			continue
		case ok:
			e.chunk(c, begun, indent)
		case part.old != nil && part.same && l.form == objectForm && !e.inline:
			continue // a key << brings it
		default:
			if begun {
				e.endLine()
				e.indent(indent)
			}
			e.entry(part, l.form == objectForm, indent)
		}
		begun = true
	}
}

// chunk writes an entry that like has.
func (e *yamlEditor) chunk(c *chunk, begun bool, indent int) {
	lead := e.like[c.lead:c.at]
	if begun {
		e.endLine()
	} else {
		lead = strings.TrimLeft(lead, " \t\r\n")
	}
	e.b = append(e.b, lead...)
	if c.part == nil || e.copied(c.part) {
		e.b = append(e.b, e.like[c.at:c.end]...)
		return
	}
	v := c.part.old
	first := v.firstEntry()
	switch {
	case v.style == blockStyle && first > c.at && c.part.block() && c.part.form == v.form:
		e.b = append(e.b, e.head(c, first)...)
		e.entries(c.part, c.end)
	case v.style != blockStyle && e.inLine(c.part):
		e.replace(c, v)
	default:
		e.rewrite(c, v, first, indent)
	}
}

// head returns what stands before the first entry of a block, without that
// entry's comments if it is left out.
func (e *yamlEditor) head(c *chunk, first int) string {
	head := e.like[c.at:first]
	line, below, ok := strings.Cut(head, "\n")
	if !ok || e.keepsFirst(c.part, first) {
		return head
	}
	return line + "\n" + below[strings.LastIndexByte(below, '\n')+1:]
}

// keepsFirst reports whether the first entry of l.old, which is at first, is
// not left out.
func (e *yamlEditor) keepsFirst(l *layout, first int) bool {
	old := l.old
	if len(old.merges) > 0 && int(old.merges[0]) == first {
		return !e.inline
	}
	var entry *value
	if len(old.items) > 0 {
		entry = &old.items[0]
	}
	for i := range old.members {
		if int(old.members[i].at) == first {
			entry = &old.members[i].value
		}
	}
	return slices.ContainsFunc(l.parts, func(part *layout) bool { return part.old != nil && part.old == entry })
}

// inLine reports whether l is best written in the line in which l.old stands.
func (e *yamlEditor) inLine(l *layout) bool {
	if l.block() {
		return l.old.container != nil && l.old.style != aliasStyle && len(l.old.members)+len(l.old.items) > 0
	}
	return l.container() || l.scalar[0] != '"' || !literal(unquote(l.scalar))
}

// replace writes an entry with another value in the same line.
func (e *yamlEditor) replace(c *chunk, v *value) {
	before := e.like[c.at:v.from]
	e.b = append(e.b, before...)
	if !strings.HasSuffix(before, " ") && !strings.HasSuffix(before, "\n") {
		e.b = append(e.b, ' ')
	}
	if l := c.part; v.style == quotedStyle && !l.container() && l.scalar[0] == '"' {
		e.b = append(e.b, quoteYAML(unquote(l.scalar))...)
	} else {
		e.yamlWriter.inline(l)
	}
	e.b = append(e.b, e.like[v.to:c.end]...)
}

// rewrite writes an entry with a value of another shape behind its key or
// dash. A comment in that line stays, unless lines of text follow.
func (e *yamlEditor) rewrite(c *chunk, v *value, first, indent int) {
	valueAt := int(v.from)
	if first > c.at {
		valueAt = first
	}
	head, _, _ := strings.Cut(e.like[c.at:valueAt], "\n")
	var comment string
	if v.style == blockStyle {
		head, comment, _ = strings.Cut(head, " #")
	} else {
		line, _, _ := strings.Cut(e.like[v.to:c.end], "\n")
		_, comment, _ = strings.Cut(line, " #")
	}
	head = strings.TrimRight(head, " \t\r")
	if comment = strings.TrimRight(comment, " \t\r"); comment != "" {
		comment = " #" + comment
	}
	e.b = append(e.b, head...)
	switch {
	case e.inLine(c.part) && !c.part.block():
		e.b = append(e.b, ' ')
		e.yamlWriter.inline(c.part)
		e.b = append(append(e.b, comment...), '\n')
	case c.part.block() && head != "-":
		e.b = append(e.b, comment...)
		fallthrough
	default:
		e.value(c.part, indent, head == "-")
	}
}
