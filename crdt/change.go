package crdt

import (
	"crypto/sha256"
	"math/big"
)

// class is a kind of value, of which json and yaml are one. Values of
// different classes, or registers of different kinds, cannot be at one place.
type class uint8

const (
	noClass class = iota
	registerClass
	documentClass
	counterClass
	setClass
)

func (k Kind) class() class {
	switch k {
	case JSON, YAML:
		return documentClass
	case Counter:
		return counterClass
	case Set:
		return setClass
	}
	return registerClass
}

// change is what a revision writes, as far as that can be told without reading
// the text of a document.
type change struct {
	class class
	// paths are written, ascending. Root alone is what a register writes, a
	// deletion, and the setting of a counter.
	paths []Path
	// removed holds, for a set, those of paths where nothing is now.
	removed map[Path]bool
	add     *big.Int // to a counter; nil if that is not the change
	counter CounterPayload

	// The whole value of a document or a set, read when it is first wanted:
	// of most revisions it never is.
	read     bool
	garbled  bool
	tree     *Document
	elements []string
}

// decode reads what r carries. A payload that cannot be decoded is the value of
// a register.
func decode(r *Revision) change {
	whole := change{class: registerClass, paths: []Path{Root}}
	if r.Deleted {
		return whole
	}
	var err error
	c := change{class: r.Kind.class()}
	switch c.class {
	case documentClass:
		var p DocumentPayload
		p, err = DecodeDocument(r.Payload)
		c.paths = p.Paths
	case counterClass:
		if c.counter, err = DecodeCounter(r.Payload); c.counter.Set {
			c.paths = whole.paths
		} else {
			c.add = big.NewInt(c.counter.N)
		}
	case setClass:
		p, _, ok := decodeSetChange(r.Payload)
		if !ok {
			return whole
		}
		c.setPaths(&p)
	default:
		return whole
	}
	if err != nil {
		return whole
	}
	return c
}

func (c *change) setPaths(p *SetPayload) {
	c.removed = make(map[Path]bool)
	if p.Set {
		c.paths = append(c.paths, Root)
		c.removed[Root] = true
	}
	for _, e := range p.Added {
		c.paths = append(c.paths, Root.Element(e))
	}
	for _, e := range p.Removed {
		at := Root.Element(e)
		c.paths = append(c.paths, at)
		c.removed[at] = true
	}
}

// text returns the document that e's text is; false if it is none.
func (e *event) text(h History) (*Document, bool) {
	if !e.read {
		e.read, e.garbled = true, true
		if p, err := DecodeDocument(h.Revision(e.ID).Payload); err == nil {
			tree, err := p.Document(e.Kind)
			e.tree, e.garbled = tree, err != nil
		}
	}
	return e.tree, !e.garbled
}

// members returns the elements of the set that e's text is; false if it is none.
func (e *event) members(h History) ([]string, bool) {
	if !e.read {
		p, err := DecodeSet(h.Revision(e.ID).Payload)
		e.read, e.garbled, e.elements = true, err != nil, p.Elements
	}
	return e.elements, !e.garbled
}

// content is equal for equal leaves.
type content struct {
	class class
	kind  Kind // of a register
	sum   Sum
}

// register is the content of e as the value of a register.
func (e *event) register() content {
	return content{class: registerClass, kind: e.Kind, sum: e.Value}
}

func numberContent(n *big.Int) content {
	return content{class: counterClass, sum: sha256.Sum256(n.Append(nil, 10))}
}
