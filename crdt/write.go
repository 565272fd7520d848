package crdt

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Context is what a writer has read: the view of the heads that become the
// parents of what is written. Its methods say what to write, by the rules of
// the model; they change nothing.
type Context struct {
	View
	// Payload is that of View.Served.
	Payload []byte
}

// Draft is what to write.
type Draft struct {
	Kind    Kind
	Deleted bool
	Payload []byte
	// Open: conflicts of the context stay open beside what is written; the
	// revision must be marked so.
	Open bool
	// Settled are the paths of the conflicts that writing this settles.
	Settled []Path
	// Warnings are those of a document that is put as a whole.
	Warnings []Warning
	// Empty: the context has just that already, and no conflict would be
	// settled, so there is nothing to write. A text that is put says that only
	// if it is the served one, byte for byte: a document in which comments or
	// the layout alone differ is written, with an empty change. A value at a
	// path is compared as such.
	Empty bool
}

// ConflictError says that what was to be changed is below an open conflict.
// Whoever wants to change it settles that first, or as a whole.
type ConflictError struct {
	Path Path
	ID   ConflictID
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("write below the conflict at %s: settle it first", e.Path)
}

// TextError says that what was to be written makes a document that has no text:
// elements of a list that have not the identities of their paths, or elements
// and members at one place.
type TextError struct{ Err error }

func (e *TextError) Error() string { return e.Err.Error() }

// KindError says that a value is not of the kind that an operation is for.
type KindError struct{ Have, Want Kind }

func (e *KindError) Error() string {
	return fmt.Sprintf("change a %s: the value is of kind %s", e.Want, e.Have)
}

// Put returns what makes value the whole value. It settles all conflicts. The
// lists say how a document is read; the error is a *SyntaxError.
func (c Context) Put(kind Kind, value []byte, lists Lists) (Draft, error) {
	switch kind.class() {
	case documentClass:
		d, err := ParseDocument(kind, value, lists)
		if err != nil {
			return Draft{}, err
		}
		draft, err := c.putDocument(kind, d, value)
		draft.Warnings = d.Warnings()
		return draft, err
	case counterClass:
		n, ok := new(big.Int).SetString(string(value[:min(len(value), maxTotal+1)]), 10)
		if !ok || len(value) > maxTotal {
			return Draft{}, &SyntaxError{Kind: Counter, Line: 1, Column: 1, Problem: fmt.Sprintf("want a decimal number of at most %d digits", maxTotal)}
		}
		return c.SetCounter(n)
	case setClass:
		elements, err := parseElements(value)
		if err != nil {
			return Draft{}, err
		}
		return c.SetElements(elements)
	}
	if kind == Text {
		if err := ValidText(value); err != nil {
			return Draft{}, err
		}
	}
	return c.draft(Draft{Kind: kind, Payload: value}, c.paths(), !c.Absent() && c.says(kind, value)), nil
}

// Delete returns what deletes the whole value. It settles all conflicts.
func (c Context) Delete() Draft {
	return c.draft(Draft{Kind: c.Kind, Deleted: true}, c.paths(), c.Absent())
}

// Edit returns what puts d at a path of a document, or, if d is nil, removes
// what is there, and leaves the rest as it is. Conflicts at the path and below
// it are settled; below one, the error is a *ConflictError. A document of kind
// is made where nothing is.
func (c Context) Edit(kind Kind, at Path, d *Document) (Draft, error) {
	if at == Root && d == nil {
		return c.Delete(), nil
	}
	if !c.Absent() {
		if kind = c.Kind; kind.class() != documentClass {
			return Draft{}, &KindError{c.Kind, JSON}
		}
	}
	settled, err := c.touched(at)
	if err != nil {
		return Draft{}, err
	}
	old, err := c.tree()
	if err != nil {
		return Draft{}, err
	}
	return c.change(kind, old, old.With(at, d), settled)
}

// touched returns the paths of the conflicts at a path and below it, or an
// error if it is below one.
func (c Context) touched(at Path) (settled []Path, err error) {
	for i := range c.Conflicts {
		p := c.Conflicts[i].Path
		if at.Below(p) {
			return nil, &ConflictError{p, c.Conflicts[i].ID}
		}
		if p.Within(at) {
			settled = append(settled, p)
		}
	}
	return settled, nil
}

// Resolve returns what settles one of the conflicts with what one of its sides
// serves; payload is that of the side's Revision. All others stay open.
func (c Context) Resolve(conflict *Conflict, s *Side, payload []byte) (Draft, error) {
	if conflict.Path != Root {
		return c.Settle([]*Conflict{conflict}, []*Document{s.Document})
	}
	switch {
	case s.Deleted:
		return c.Delete(), nil
	case s.Document != nil:
		text, err := s.render(payload)
		if err != nil {
			return Draft{}, err
		}
		return c.putDocument(s.documentKind(), s.Document, text)
	case s.Text != nil && s.Text[0] == '[':
		return c.Put(Set, s.Text, nil)
	case s.Text != nil:
		return c.Put(Counter, s.Text, nil)
	}
	return c.draft(Draft{Kind: s.Kind, Payload: payload}, c.paths(), false), nil
}

// Settle returns what settles some of the conflicts below the root, each with
// what is to stand at its path, in the same order; nil is nothing. All others stay
// open.
func (c Context) Settle(conflicts []*Conflict, with []*Document) (Draft, error) {
	old, err := c.tree()
	if err != nil {
		return Draft{}, err
	}
	parts := make([]Part, len(conflicts))
	for i, open := range conflicts {
		parts[i] = Part{open.Path, with[i]}
	}
	slices.SortFunc(parts, func(a, b Part) int { return a.Path.Compare(b.Path) })
	var settled []Path
	for _, p := range parts {
		settled = append(settled, p.Path)
	}
	return c.change(c.Kind, old, old.WithAll(parts), settled)
}

// Add returns what adds n to a counter. It settles nothing, and makes a counter
// where nothing is.
func (c Context) Add(n int64) (Draft, error) {
	total, err := c.total()
	if err != nil {
		return Draft{}, err
	}
	if total.Add(total, big.NewInt(n)); len(total.Append(nil, 10)) > maxTotal {
		return Draft{}, &SyntaxError{Kind: Counter, Line: 1, Column: 1, Problem: fmt.Sprintf("the total would have more than %d digits", maxTotal)}
	}
	payload, err := CounterPayload{Total: total, N: n}.Encode()
	return c.draft(Draft{Kind: Counter, Payload: payload}, nil, n == 0), err
}

// SetCounter returns what sets a counter to n, whatever is there. It settles
// all conflicts.
func (c Context) SetCounter(n *big.Int) (Draft, error) {
	p := CounterPayload{Total: n, Set: true}
	if n.IsInt64() {
		p.N = n.Int64()
	}
	payload, err := p.Encode()
	return c.draft(Draft{Kind: Counter, Payload: payload}, c.paths(), false), err
}

// total returns the counter, and 0 where nothing is.
func (c Context) total() (*big.Int, error) {
	if c.Absent() && (c.Kind == Counter || len(c.Conflicts) == 0) {
		return new(big.Int), nil
	}
	text := c.Bytes(c.Payload)
	total, ok := new(big.Int).SetString(string(text), 10)
	if c.Kind != Counter || !ok {
		return nil, &KindError{c.Kind, Counter}
	}
	return total, nil
}

// Change returns what adds and removes elements of a set. It makes a set where
// nothing is. What is there already, or not there, is left out. If there is a
// conflict, the error is a *ConflictError.
func (c Context) Change(added, removed []string) (Draft, error) {
	if len(c.Conflicts) > 0 {
		return Draft{}, &ConflictError{c.Conflicts[0].Path, c.Conflicts[0].ID}
	}
	var old []string
	if !c.Absent() {
		var err error
		if old, err = c.elements(); err != nil {
			return Draft{}, err
		}
	}
	all := make(map[string]bool)
	for _, e := range old {
		all[e] = true
	}
	for _, e := range added {
		all[e] = true
	}
	for _, e := range removed {
		delete(all, e)
	}
	var elements []string
	for e := range all {
		elements = append(elements, e)
	}
	slices.Sort(elements)
	return c.changeSet(old, elements)
}

// SetElements returns what makes elements the whole set. It settles all
// conflicts.
func (c Context) SetElements(elements []string) (Draft, error) {
	elements = slices.Clone(elements)
	slices.Sort(elements)
	elements = slices.Compact(elements)
	switch old, err := c.elements(); {
	case len(c.Conflicts) > 0:
	case c.Absent():
		d, err := c.changeSet(nil, elements)
		d.Empty = false // an empty set is not nothing
		return d, err
	case err == nil:
		return c.changeSet(old, elements)
	}
	payload, err := SetPayload{Elements: elements, Set: true, Added: elements}.Encode()
	return c.draft(Draft{Kind: Set, Payload: payload}, c.paths(), false), err
}

// changeSet writes what differs between two sets.
func (c Context) changeSet(old, elements []string) (Draft, error) {
	p := SetPayload{Elements: elements}
	for _, e := range elements {
		if _, ok := slices.BinarySearch(old, e); !ok {
			p.Added = append(p.Added, e)
		}
	}
	for _, e := range old {
		if _, ok := slices.BinarySearch(elements, e); !ok {
			p.Removed = append(p.Removed, e)
		}
	}
	payload, err := p.Encode()
	return c.draft(Draft{Kind: Set, Payload: payload}, nil, len(p.Added)+len(p.Removed) == 0), err
}

// elements returns the elements of a set.
func (c Context) elements() ([]string, error) {
	text := c.Bytes(c.Payload)
	elements, ok := setElements(string(text))
	if c.Kind != Set || !ok {
		return nil, &KindError{c.Kind, Set}
	}
	return elements, nil
}

// parseElements reads a set as people write it: a JSON list of strings, in any
// order.
func parseElements(text []byte) ([]string, error) {
	v, err := parseJSON(string(text))
	if syntax, ok := errors.AsType[*SyntaxError](err); ok {
		syntax.Kind = Set
	}
	if err != nil {
		return nil, err
	}
	wrong := &SyntaxError{Kind: Set, Line: 1, Column: 1, Problem: "want a JSON list of strings"}
	if v.container == nil || v.form != listForm {
		return nil, wrong
	}
	var elements []string
	for i := range v.items {
		if v.items[i].container != nil || v.items[i].scalar[0] != '"' {
			return nil, wrong
		}
		elements = append(elements, unquote(v.items[i].scalar))
	}
	return elements, nil
}

// Tree returns the document that is served, and nil if that is none or does not
// parse.
func (c Context) Tree() *Document {
	d, _ := c.tree()
	return d
}

func (c Context) tree() (*Document, error) {
	switch {
	case c.Absent() || c.Document != nil:
		return c.Document, nil
	case c.Kind.class() != documentClass:
		return nil, &KindError{c.Kind, JSON}
	}
	p, err := DecodeDocument(c.Payload)
	if err != nil {
		return nil, err
	}
	return p.Document(c.Kind)
}

// putDocument writes a whole document.
func (c Context) putDocument(kind Kind, d *Document, text []byte) (Draft, error) {
	old, err := c.tree()
	if err != nil {
		// Something else is there: all of it is replaced.
		return c.encode(kind, d, text, Settle(Root, d), c.paths(), false)
	}
	paths := Diff(old, d)
	same := len(paths) == 0 && c.says(kind, text)
	draft, err := c.encode(kind, d, text, paths, c.paths(), same)
	if err == nil && len(draft.Payload) > 2*MaxDocument {
		// So much is removed that saying all of it would be too long.
		return c.encode(kind, d, text, Settle(Root, d), c.paths(), false)
	}
	return draft, err
}

// PutBeside is Put of a document that leaves some of the conflicts open. If it
// would write within one of these, the error is a *ConflictError.
func (c Context) PutBeside(kind Kind, value []byte, lists Lists, keep []ConflictID) (Draft, error) {
	d, err := ParseDocument(kind, value, lists)
	if err != nil {
		return Draft{}, err
	}
	old, err := c.tree()
	if err != nil {
		return Draft{}, err
	}
	paths := Diff(old, d)
	kept := make(map[ConflictID]bool, len(keep))
	for _, id := range keep {
		kept[id] = true
	}
	var settled []Path
	for i := range c.Conflicts {
		open := &c.Conflicts[i]
		switch {
		case !kept[open.ID]:
			settled = append(settled, open.Path)
		case open.Path.CoveredBy(paths), open.Path.Covers(paths):
			return Draft{}, &ConflictError{open.Path, open.ID}
		}
	}
	return c.encode(kind, d, value, paths, settled, len(paths) == 0 && c.says(kind, value))
}

// says reports whether a text of a kind is what is served, byte for byte.
func (c Context) says(kind Kind, text []byte) bool {
	return kind == c.Kind && string(text) == string(c.Bytes(c.Payload))
}

// change writes new in place of old.
func (c Context) change(kind Kind, old, new *Document, settled []Path) (Draft, error) {
	if new == nil {
		return c.Delete(), nil
	}
	text, err := new.Render(kind, c.Bytes(c.Payload))
	if err != nil {
		return Draft{}, &TextError{err}
	}
	paths := Diff(old, new)
	for i := range c.Conflicts {
		// What is removed can leave an empty object behind, above a conflict.
		open := &c.Conflicts[i]
		if _, ok := slices.BinarySearchFunc(settled, open.Path, Path.Compare); !ok && open.Path.CoveredBy(paths) {
			return Draft{}, &ConflictError{open.Path, open.ID}
		}
	}
	return c.encode(kind, new, text, paths, settled, len(paths) == 0)
}

// encode makes the draft of a document that was changed at paths and in which
// conflicts are settled.
func (c Context) encode(kind Kind, d *Document, text []byte, paths, settled []Path, same bool) (Draft, error) {
	for _, p := range settled {
		paths = append(paths, Settle(p, d)...)
	}
	slices.SortFunc(paths, Path.Compare)
	payload, err := DocumentPayload{Text: text, Lists: d.Lists(), Paths: slices.Compact(paths)}.Encode()
	return c.draft(Draft{Kind: kind, Payload: payload}, settled, same), err
}

// paths returns the paths of the open conflicts.
func (c Context) paths() []Path {
	var paths []Path
	for i := range c.Conflicts {
		paths = append(paths, c.Conflicts[i].Path)
	}
	return paths
}

// draft completes d, which settles some of the conflicts.
func (c Context) draft(d Draft, settled []Path, same bool) Draft {
	d.Settled = settled
	d.Open = len(settled) < len(c.Conflicts)
	d.Empty = same && len(settled) == 0
	return d
}
