package crdt

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
)

// Render returns a text of that kind, JSON or YAML, that reads back as exactly
// d by d.Lists. It has the order, the layout and, in YAML, the comments of
// like, which is a text of the same kind, as far as it can keep them: what like
// has too comes as like has it, other members in the order of their names, and
// other elements in that of their identities, behind the rest. What these hold
// has the order of its author. A like that is
// no document of that kind, or nil, counts for nothing.
//
// The error says that d has no text of that kind: it is nil, an object and a
// keyed list stand at the same path, the elements of a list have not the
// identities of their paths, or it is beyond a limit of documents.
func (d *Document) Render(kind Kind, like []byte) ([]byte, error) {
	if d == nil {
		return nil, fmt.Errorf("render %s: there is nothing", kind)
	}
	if p, ok := d.root.mixed(nil); ok {
		return nil, fmt.Errorf("render %s: an object and a keyed list at %s", kind, p)
	}
	lists := d.Lists()
	old, text := d.parseLike(kind, string(like), lists)
	a := arranger{make(map[*container]Sum)}
	l := a.arrange(d.root, old)
	if l.form == listForm && l.container() && d.root.isStream(old) {
		l.form = streamForm
	}
	for _, attempt := range renderings(kind, l, text) {
		made := attempt()
		if back, err := parseDocument(kind, string(made), lists, nil); err == nil && back.equal(d) {
			return made, nil
		}
	}
	return nil, fmt.Errorf("render %s: the document has no such text", kind)
}

// JSON returns d as JSON to look at: keyed lists are written without asking how
// they are keyed, and the documents of a YAML stream are a list. So there always
// is one: authors who did not know of one another, and had different schemas for
// one list, can together make a document that no schema reads.
func (d *Document) JSON() []byte {
	a := arranger{make(map[*container]Sum)}
	return writeJSON(a.arrange(d.root, nil), "", true)
}

// renderings returns ways to write l, the best one first.
func renderings(kind Kind, l *layout, like string) []func() []byte {
	asJSON := func() []byte { return writeJSON(l, like, kind == JSON) }
	if kind == JSON {
		return []func() []byte{asJSON, func() []byte { return writeJSON(l, "", false) }}
	}
	plain := func() []byte { return writeYAML(l) }
	if l.old == nil {
		return []func() []byte{plain, asJSON}
	}
	return []func() []byte{
		func() []byte { return editYAML(l, like, false) },
		func() []byte { return editYAML(l, like, true) },
		plain, asJSON,
	}
}

// parseLike returns the tree of like, whose nodes know their source, and the
// text that they have their places in.
func (d *Document) parseLike(kind Kind, like string, lists Lists) (*node, string) {
	v, err := parseValue(kind, like)
	if err != nil {
		return nil, ""
	}
	b := builder{rules: newListRules(lists), sources: true}
	old := b.build(&v, nil)
	if b.paths > maxPaths {
		return nil, ""
	}
	return old, like
}

// equal reports whether d and e have the same leaves.
func (d *Document) equal(e *Document) bool { return len(Diff(d, e)) == 0 }

// mixed returns the first place with members and elements.
func (n *node) mixed(at trail) (Path, bool) {
	if n.shape() == mixedShape {
		return at.path(), true
	}
	for _, c := range n.children {
		if p, ok := c.node.mixed(at.child(c.segment)); ok {
			return p, true
		}
	}
	return "", false
}

// layout is a value on its way to a text.
type layout struct {
	name   string // of a member
	scalar string // JSON; "" for a container
	form   form
	parts  []*layout // members or items, in the order of the text
	old    *value    // what the text that it should be like has at this place
	same   bool      // old is equal
	rank   int32     // of the first leaf, in its author's text
}

func (l *layout) container() bool { return l.scalar == "" }

// arranger makes layouts. It remembers the sums of containers, so that each is
// looked through once.
type arranger struct{ sums map[*container]Sum }

// sum returns what is equal for equal values.
func (a *arranger) sum(v *value) Sum {
	if v.container == nil {
		return v.sum()
	}
	if sum, ok := a.sums[v.container]; ok {
		return sum
	}
	b := []byte{byte(v.form)}
	for _, i := range v.sorted() {
		sum := a.sum(&v.members[i].value)
		b = append(appendString(b, v.members[i].name), sum[:]...)
	}
	for i := range v.items {
		sum := a.sum(&v.items[i])
		b = append(b, sum[:]...)
	}
	sum := sha256.Sum256(b)
	a.sums[v.container] = sum
	return sum
}

// arrange puts n into the order of old, which may be nil.
func (a *arranger) arrange(n, old *node) *layout {
	if n.isLeaf() {
		v := leafValue(n.leaf)
		if old == nil {
			l := a.arrangeValue(&v, nil)
			l.rank = n.leaf.rank
			return l
		}
		l := a.arrangeValue(&v, old.source)
		l.same = old.isLeaf() && old.leaf.Sum == n.leaf.Sum
		return l
	}
	l := &layout{form: objectForm, same: old != nil && old.shape() == n.shape() && len(old.children) == len(n.children)}
	if n.shape() == listShape {
		l.form = listForm
	}
	if old != nil {
		l.old = old.source
	}
	for _, c := range n.children {
		var was *node
		if old != nil {
			was = old.find(c.segment)
		}
		part := a.arrange(c.node, was)
		part.name, _ = nameOf(c.segment)
		l.parts = append(l.parts, part)
		l.same = l.same && part.same
	}
	if l.old != nil && l.old.container != nil {
		l.sortLike(l.old)
	}
	if old == nil {
		slices.SortStableFunc(l.parts, func(a, b *layout) int { return cmp.Compare(a.rank, b.rank) })
		l.rank = l.parts[0].rank
	}
	return l
}

// isStream reports whether a list at the root, which is n, is the documents of
// a stream. Where it could be both, what it should be like decides.
func (n *node) isStream(old *node) bool {
	switch {
	case n.isLeaf():
		return false // a leaf knows its form
	case old != nil && old.shape() == listShape:
		return old.source.form == streamForm
	}
	return n.listSchema(true) == DocumentsList
}

// sortLike puts the parts that old has first, in its order.
func (l *layout) sortLike(old *value) {
	order := make(map[*value]int, len(l.parts))
	for i := range old.members {
		order[&old.members[i].value] = i
	}
	for i := range old.items {
		order[&old.items[i]] = i
	}
	rank := func(part *layout) int {
		if i, ok := order[part.old]; ok {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(l.parts, func(a, b *layout) int { return cmp.Compare(rank(a), rank(b)) })
}

// arrangeValue does what arrange does, for what is one leaf.
func (a *arranger) arrangeValue(v, old *value) *layout {
	l := &layout{scalar: v.scalar, old: old}
	l.same = old != nil && a.sum(v) == a.sum(old)
	if v.container == nil {
		return l
	}
	l.form = v.form
	if old == nil || old.container == nil || old.form != v.form {
		old = &value{container: &container{}}
	}
	for i := range v.members {
		part := a.arrangeValue(&v.members[i].value, old.member(v.members[i].name))
		part.name = v.members[i].name
		l.parts = append(l.parts, part)
	}
	l.sortLike(old)
	for i, was := range a.matchItems(v.items, old.items) {
		l.parts = append(l.parts, a.arrangeValue(&v.items[i], was))
	}
	return l
}

// matchItems returns for each item the old one whose place it takes, or nil.
// Their order is that of the old ones.
func (a *arranger) matchItems(items, old []value) []*value {
	match := make([]*value, len(items))
	places := make(map[Sum][]int)
	for i := range old {
		sum := a.sum(&old[i])
		places[sum] = append(places[sum], i)
	}
	next := 0
	for i := range items {
		if len(items) == len(old) {
			match[i] = &old[i]
			continue
		}
		sum := a.sum(&items[i])
		at := places[sum]
		for len(at) > 0 && at[0] < next {
			at = at[1:]
		}
		if places[sum] = at; len(at) > 0 {
			match[i], next = &old[at[0]], at[0]+1
		}
	}
	return match
}

// leafValue returns the value that a leaf was made of.
func leafValue(l Leaf) value {
	if l.JSON[0] != '[' && l.JSON[0] != '{' {
		return value{scalar: l.JSON}
	}
	v, err := parseJSON(l.JSON)
	if err != nil {
		panic("crdt: a leaf is not JSON: " + err.Error())
	}
	if v.form == listForm && v.sum() != l.Sum {
		v.form = streamForm
	}
	return v
}

// jsonWriter writes a layout as JSON.
type jsonWriter struct {
	b            []byte
	like         string
	unit         string // what one level is indented by
	colon, comma string // what stands between, in one line
}

// writeJSON writes l as like has it; pretty says whether new containers are
// written on many lines where like does not tell.
func writeJSON(l *layout, like string, pretty bool) []byte {
	w := jsonWriter{unit: "  ", colon: ": ", comma: ", "}
	if l.old == nil || like == "" {
		w.write(l, "", pretty)
		return append(w.b, '\n')
	}
	w.like = like
	w.learn(l.old)
	w.b = append(w.b, like[:l.old.from]...)
	w.write(l, "", pretty && l.old.container == nil)
	return append(w.b, like[l.old.to:]...)
}

// learn finds how the text is spaced, by the first places that tell.
func (w *jsonWriter) learn(root *value) {
	if root.container == nil {
		return
	}
	if indent, many := w.layoutOf(root); many && indent != "" {
		w.unit = indent
	}
	w.learnColon(root)
	if !w.learnComma(root) && w.colon == ":" {
		w.comma = ","
	}
}

func (w *jsonWriter) learnColon(v *value) (learnt bool) {
	if v.container == nil {
		return false
	}
	if len(v.members) > 0 {
		if w.like[v.members[0].value.from-1] == ':' {
			w.colon = ":"
		}
		return true
	}
	return slices.ContainsFunc(v.items, func(item value) bool { return w.learnColon(&item) })
}

func (w *jsonWriter) learnComma(v *value) (learnt bool) {
	if v.container == nil {
		return false
	}
	second := int32(0)
	if len(v.members) > 1 {
		second = v.members[1].at
	} else if len(v.items) > 1 {
		second = v.items[1].from
	}
	if _, many := w.layoutOf(v); second > 0 && !many {
		if w.like[second-1] == ',' {
			w.comma = ","
		}
		return true
	}
	return slices.ContainsFunc(v.members, func(m member) bool { return w.learnComma(&m.value) }) ||
		slices.ContainsFunc(v.items, func(item value) bool { return w.learnComma(&item) })
}

// layoutOf returns whether a container that is not empty has its parts on
// lines of their own, and how these are indented.
func (w *jsonWriter) layoutOf(v *value) (indent string, many bool) {
	first := int32(0)
	switch {
	case len(v.members) > 0:
		first = v.members[0].at
	case len(v.items) > 0:
		first = v.items[0].from
	}
	if first <= v.from {
		return "", false
	}
	between := w.like[v.from+1 : first]
	for i := len(between) - 1; i >= 0; i-- {
		if between[i] == '\n' {
			return between[i+1:], true
		}
	}
	return "", false
}

// write appends l, which stands in a line with that indentation.
func (w *jsonWriter) write(l *layout, indent string, many bool) {
	switch {
	case l.same && w.like != "" && l.old.to > 0:
		w.b = append(w.b, w.like[l.old.from:l.old.to]...)
		return
	case !l.container():
		w.b = append(w.b, l.scalar...)
		return
	}
	open, closing := byte('['), byte(']')
	if l.form == objectForm {
		open, closing = '{', '}'
	}
	w.b = append(w.b, open)
	inner := indent + w.unit
	if w.like != "" && l.old != nil && l.old.container != nil && len(l.old.members)+len(l.old.items) > 0 {
		var was string
		if was, many = w.layoutOf(l.old); many {
			inner = was
		}
	}
	for i, part := range l.parts {
		switch {
		case i > 0 && many:
			w.b = append(w.b, ',')
		case i > 0:
			w.b = append(w.b, w.comma...)
		}
		if many {
			w.b = append(append(w.b, '\n'), inner...)
		}
		if l.form == objectForm {
			w.b = append(appendString(w.b, part.name), w.colon...)
		}
		w.write(part, inner, many)
	}
	if many && len(l.parts) > 0 {
		w.b = append(append(w.b, '\n'), indent...)
	}
	w.b = append(w.b, closing)
}

// writeYAML writes l in block style, without a text that it should be like.
func writeYAML(l *layout) []byte {
	w := yamlWriter{}
	if l.form == streamForm && l.container() {
		for _, part := range l.parts {
			w.b = append(w.b, "---\n"...)
			w.root(part)
		}
		if len(l.parts) == 1 {
			w.b = append(w.b, "---\n"...) // so that it is a stream
		}
		return w.b
	}
	w.root(l)
	return bytes.TrimPrefix(w.b, []byte("\n"))
}
