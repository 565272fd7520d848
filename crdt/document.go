package crdt

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// The limits of documents. They decide what is a document and what is not, on
// every node alike.
const (
	// MaxDocument is the longest text of a document, in bytes.
	MaxDocument = 4 << 20
	// maxDepth bounds how deep objects and lists are nested.
	maxDepth = 500
	// maxPaths bounds the sum of the lengths of all leaves' paths, in bytes: a
	// short text can have long ones.
	maxPaths = 32 << 20
)

// Document is a JSON or YAML document as a tree, of which all that counts is
// its leaves. It never changes. A nil *Document is that nothing is there; its
// methods say so.
type Document struct {
	root     *node
	warnings []Warning
}

// Leaf is what stands at a path with nothing below it: null, a boolean, a
// number, a string, a list that is atomic, {} or [].
type Leaf struct {
	// Sum is that of the canonical content: leaves are equal when their sums
	// are.
	Sum Sum
	// JSON is the value in its author's spelling, without space.
	JSON string

	rank int32 // how many leaves its author's text has before it
}

// Warning says that a list is atomic, against its schema.
type Warning struct {
	Path    Path
	Problem string
}

// node is a leaf, or has children in ascending order of their segments.
type node struct {
	leaf     Leaf
	children []child
	source   *value // in the text that a tree is rendered like, else nil
}

type child struct {
	segment string
	node    *node
}

// ParseDocument reads text, which is of the kind JSON or YAML. The error is a
// *SyntaxError, and then there is no document. The result shares no memory
// with text.
func ParseDocument(kind Kind, text []byte, lists Lists) (*Document, error) {
	lists = append(slices.Clip(lists), ListRule{PathPattern(Root), DocumentsList})
	return parseDocument(kind, string(text), lists, nil)
}

// ParseFragment is ParseDocument of what is to stand at a path of a document,
// see Document.With: the schemas of its lists are those of their paths there.
func ParseFragment(kind Kind, text []byte, at Path, lists Lists) (*Document, error) {
	return parseDocument(kind, string(text), lists, newTrail(at))
}

// parseDocument knows no schema but those of lists.
func parseDocument(kind Kind, text string, lists Lists, at trail) (*Document, error) {
	v, err := parseValue(kind, text)
	if err != nil {
		return nil, err
	}
	b := builder{rules: newListRules(lists)}
	root := b.build(&v, slices.Clip(at))
	if b.paths > maxPaths {
		return nil, syntaxError(kind, text, 0, fmt.Sprintf("its paths are longer than %d bytes in sum", maxPaths))
	}
	return &Document{root, b.warnings}, nil
}

func parseValue(kind Kind, text string) (value, error) {
	if len(text) > MaxDocument {
		return value{}, syntaxError(kind, text, MaxDocument, fmt.Sprintf("longer than %d bytes", MaxDocument))
	}
	switch kind {
	case JSON:
		return parseJSON(text)
	case YAML:
		return parseYAML(text)
	}
	panic("crdt: parse a document of the kind " + kind.String())
}

// builder makes the tree of a value.
type builder struct {
	rules    listRules
	sources  bool // whether nodes get their source
	warnings []Warning
	paths    int // the sum of the lengths of the leaves' paths
	leaves   int32
	buf      []byte
}

// build returns the tree of v. It stops short once the
// paths are too long.
func (b *builder) build(v *value, at trail) *node {
	n := &node{}
	if b.sources {
		n.source = v
	}
	if b.paths > maxPaths {
		return n
	}
	if v.container != nil {
		n.children = b.children(v, at)
		slices.SortFunc(n.children, compareChildren)
	}
	if n.children == nil && v.container != nil && v.form == streamForm && len(v.items) == 1 {
		return b.build(&v.items[0], at) // nothing tells it from the document alone
	}
	if n.children == nil {
		b.paths += len(at)
		n.leaf = b.leaf(v)
	}
	return n
}

func (b *builder) leaf(v *value) Leaf {
	b.buf = v.appendCanonical(b.buf[:0])
	l := Leaf{sha256.Sum256(b.buf), v.scalar, b.leaves}
	b.leaves++
	if v.container != nil {
		b.buf = v.appendCompact(b.buf[:0])
		l.JSON = string(b.buf)
	}
	return l
}

// children returns none for what is a leaf.
func (b *builder) children(v *value, at trail) []child {
	if v.form != objectForm {
		return b.elements(v, at)
	}
	if len(v.members) == 0 {
		return nil
	}
	children := make([]child, len(v.members))
	for i := range v.members {
		segment := memberSegment(v.members[i].name)
		children[i] = child{segment, b.build(&v.members[i].value, at.child(segment))}
	}
	return children
}

// elements returns none for a list that is atomic.
func (b *builder) elements(v *value, at trail) []child {
	schema := b.rules.schema(at)
	if schema == AtomicList || len(v.items) == 0 || (schema == DocumentsList) != (v.form == streamForm) {
		return nil
	}
	segments, problem := identities(v.items, schema)
	if problem != "" {
		b.warnings = append(b.warnings, Warning{at.path(), problem})
		return nil
	}
	children := make([]child, len(v.items))
	for i, segment := range segments {
		if schema == SetList {
			b.paths += len(at) + len(segment)
			children[i] = child{segment, &node{leaf: b.leaf(&v.items[i])}}
			if b.sources {
				children[i].node.source = &v.items[i]
			}
		} else {
			children[i] = child{segment, b.build(&v.items[i], at.child(segment))}
		}
	}
	return children
}

// identities returns the segments of the elements of a keyed list, or what
// makes it atomic.
func identities(items []value, schema ListSchema) (segments []string, problem string) {
	segments = make([]string, len(items))
	seen := make(map[string]struct{}, len(items))
	for i := range items {
		identity, ok := identityOf(&items[i], schema)
		if !ok {
			return nil, fmt.Sprintf("the list is read as atomic, not %s: element %d has no identity", schema, i+1)
		}
		if _, ok := seen[identity]; ok {
			return nil, fmt.Sprintf("the list is read as atomic, not %s: the identity %.80q is there twice", schema, identity)
		}
		seen[identity] = struct{}{}
		segments[i] = elementSegment(identity)
	}
	return segments, ""
}

// identityOf returns what tells v apart from the other elements; ok is false
// if it has nothing that does.
func identityOf(v *value, schema ListSchema) (identity string, ok bool) {
	if schema == SetList {
		return string(v.appendCanonical(nil)), true
	}
	if schema == DocumentsList {
		return documentIdentity(v)
	}
	field, _ := schema.field()
	return scalarIdentity(v.member(field))
}

// scalarIdentity returns a string as such, and other scalars as JSON.
func scalarIdentity(v *value) (identity string, ok bool) {
	if v == nil || v.container != nil || v.scalar == "null" {
		return "", false
	}
	if v.scalar[0] == '"' {
		return unquote(v.scalar), true
	}
	return string(appendCanonicalScalar(nil, v.scalar)), true
}

// documentIdentity joins what Kubernetes tells objects apart by with commas;
// commas and backslashes inside get a backslash.
func documentIdentity(v *value) (identity string, ok bool) {
	metadata := v.member("metadata")
	if metadata == nil {
		return "", false
	}
	var parts [4]string
	for i, part := range []*value{v.member("apiVersion"), v.member("kind"), metadata.member("namespace"), metadata.member("name")} {
		if i == 2 && part == nil {
			continue
		}
		if parts[i], ok = scalarIdentity(part); !ok {
			return "", false
		}
		parts[i] = strings.NewReplacer(`\`, `\\`, `,`, `\,`).Replace(parts[i])
	}
	return strings.Join(parts[:], ","), true
}

// NewDocument returns the document that has these leaves, in any order. No
// path may be given twice, or stand above another. No leaves make nil.
func NewDocument(leaves iter.Seq2[Path, Leaf]) *Document {
	var all []placed
	for p, l := range leaves {
		all = append(all, placed{p.segments(), l})
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b placed) int { return slices.Compare(a.segments, b.segments) })
	return &Document{root: assemble(all, 0)}
}

// placed is a leaf with the steps that lead to it.
type placed struct {
	segments []string
	leaf     Leaf
}

// assemble makes a tree of ascending leaves that agree in their first steps.
func assemble(leaves []placed, depth int) *node {
	if len(leaves[0].segments) == depth {
		if len(leaves) > 1 {
			panic("crdt: a leaf stands above another, or twice: /" + strings.Join(leaves[1].segments, "/"))
		}
		return &node{leaf: leaves[0].leaf}
	}
	var n node
	for len(leaves) > 0 {
		segment := leaves[0].segments[depth]
		end := 1
		for end < len(leaves) && leaves[end].segments[depth] == segment {
			end++
		}
		n.children = append(n.children, child{segment, assemble(leaves[:end], depth+1)})
		leaves = leaves[end:]
	}
	return &n
}

func compareChildren(a, b child) int { return cmp.Compare(a.segment, b.segment) }

func (n *node) isLeaf() bool { return n.children == nil }

// find returns the child of that segment, or nil.
func (n *node) find(segment string) *node {
	i, ok := n.search(segment)
	if !ok {
		return nil
	}
	return n.children[i].node
}

func (n *node) search(segment string) (int, bool) {
	return slices.BinarySearchFunc(n.children, segment, func(c child, s string) int { return cmp.Compare(c.segment, s) })
}

// shape says what a node is.
type shape uint8

const (
	leafShape shape = iota
	objectShape
	listShape
	// mixedShape has members and elements. No text has that; leaves that were
	// written by authors who did not know of each other can.
	mixedShape
)

func (n *node) shape() shape {
	if n.isLeaf() {
		return leafShape
	}
	// All that begins with [ stands together.
	first, _ := n.search("[")
	end, _ := n.search("\\")
	switch end - first {
	case 0:
		return objectShape
	case len(n.children):
		return listShape
	}
	return mixedShape
}

// node returns what stands at p, or nil.
func (d *Document) node(p Path) *node {
	if d == nil {
		return nil
	}
	n := d.root
	for p != Root && n != nil {
		var segment string
		segment, p = p.cut()
		n = n.find(segment)
	}
	return n
}

// Leaf returns the leaf at p; false if there is nothing, or structure.
func (d *Document) Leaf(p Path) (Leaf, bool) {
	if n := d.node(p); n != nil && n.isLeaf() {
		return n.leaf, true
	}
	return Leaf{}, false
}

// Has reports whether there is a leaf or structure at p.
func (d *Document) Has(p Path) bool { return d.node(p) != nil }

// At returns what stands at p as a document of its own, nil if nothing does.
// It takes no time.
func (d *Document) At(p Path) *Document {
	n := d.node(p)
	if n == nil {
		return nil
	}
	return &Document{root: n}
}

// Leaves yields all leaves, their paths ascending.
func (d *Document) Leaves() iter.Seq2[Path, Leaf] {
	return func(yield func(Path, Leaf) bool) {
		if d != nil {
			d.root.leaves(nil, yield)
		}
	}
}

func (n *node) leaves(at trail, yield func(Path, Leaf) bool) bool {
	if n.isLeaf() {
		return yield(at.path(), n.leaf)
	}
	for _, c := range n.children {
		if !c.node.leaves(at.child(c.segment), yield) {
			return false
		}
	}
	return true
}

// Sum returns the sum of a document that is one leaf, and that of all leaves
// of any other: documents are equal when their sums are. That of nil is zero.
func (d *Document) Sum() Sum {
	if d == nil {
		return Sum{}
	}
	if d.root.isLeaf() {
		return d.root.leaf.Sum
	}
	h := sha256.New()
	h.Write([]byte(documentDomain))
	var buf []byte
	for p, l := range d.Leaves() {
		buf = binary.BigEndian.AppendUint64(buf[:0], uint64(len(p)))
		buf = append(append(buf, p...), l.Sum[:]...)
		h.Write(buf)
	}
	return Sum(h.Sum(nil))
}

const documentDomain = "crush/document/1"

// Warnings lists the lists of the parsed text that are atomic against their
// schemas; nil for a document that was made in another way.
func (d *Document) Warnings() []Warning {
	if d == nil {
		return nil
	}
	return d.warnings
}

// With returns d with sub at p, in place of what stands there. A nil sub
// removes that; a container that becomes empty by it becomes {} or []. Objects
// and keyed lists that lead to p are made where they are missing, and take the
// place of leaves. d may be nil.
func (d *Document) With(p Path, sub *Document) *Document { return d.WithAll([]Part{{p, sub}}) }

// Part is what is to stand at a path of a document; nil for nothing.
type Part struct {
	Path     Path
	Document *Document
}

// WithAll is With for several paths, which ascend, none of them within another.
// It costs one pass over the containers that lead to them.
func (d *Document) WithAll(parts []Part) *Document {
	parts = slices.DeleteFunc(slices.Clone(parts), func(p Part) bool { return p.Document == nil && !d.Has(p.Path) })
	var root *node
	if d != nil {
		root = d.root
	}
	if len(parts) == 0 {
		return d
	}
	if root = root.with(parts); root == nil {
		return nil
	}
	return &Document{root: root}
}

// with returns nil when nothing is left. n may be nil.
func (n *node) with(parts []Part) *node {
	if parts[0].Path == Root {
		if parts[0].Document == nil {
			return nil
		}
		return parts[0].Document.root
	}
	var old []child
	if n != nil {
		old = n.children
	}
	children := make([]child, 0, len(old)+1)
	var segment string
	for len(parts) > 0 {
		segment, _ = parts[0].Path.cut()
		var below []Part
		for len(parts) > 0 {
			s, rest := parts[0].Path.cut()
			if s != segment {
				break
			}
			below = append(below, Part{rest, parts[0].Document})
			parts = parts[1:]
		}
		i, there := slices.BinarySearchFunc(old, segment, func(c child, s string) int { return cmp.Compare(c.segment, s) })
		children, old = append(children, old[:i]...), old[i:]
		var next *node
		if there {
			next, old = old[0].node, old[1:]
		}
		if made := next.with(below); made != nil {
			children = append(children, child{segment, made})
		}
	}
	if children = append(children, old...); len(children) == 0 {
		return emptyNode(isElement(segment))
	}
	return &node{children: children}
}

func emptyNode(list bool) *node {
	v := value{container: &container{form: objectForm}}
	if list {
		v.form = listForm
	}
	return &node{leaf: new(builder).leaf(&v)}
}

// Lists returns the schemas by which d's keyed lists are read, in ascending
// order of their paths: read with them, a text of d has the same leaves. They
// are found in the leaves, whatever schemas d was read by.
func (d *Document) Lists() Lists {
	var lists Lists
	if d != nil {
		d.root.appendLists(&lists, nil)
	}
	return lists
}

func (n *node) appendLists(lists *Lists, at trail) {
	if n.shape() == listShape {
		*lists = append(*lists, ListRule{PathPattern(at.path()), n.listSchema(len(at) == 0)})
	}
	for _, c := range n.children {
		c.node.appendLists(lists, at.child(c.segment))
	}
}

// listSchema returns a schema that gives the elements of n their identities.
// It is SetList where there is none, which then does not give them.
func (n *node) listSchema(root bool) ListSchema {
	first := n.children[0].node
	for _, field := range first.children {
		name, element := nameOf(field.segment)
		if !element && n.keyedBy(field.segment) {
			return MapList(name)
		}
	}
	if root && !first.isLeaf() {
		return DocumentsList
	}
	return SetList
}

// keyedBy reports whether the field tells the elements of n apart as they are.
func (n *node) keyedBy(field string) bool {
	for _, element := range n.children {
		of := element.node.find(field)
		if of == nil || !of.isLeaf() {
			return false
		}
		if c := of.leaf.JSON[0]; c == '{' || c == '[' {
			return false
		}
		identity, ok := scalarIdentity(&value{scalar: of.leaf.JSON})
		if !ok || elementSegment(identity) != element.segment {
			return false
		}
	}
	return true
}
