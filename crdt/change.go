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

	document DocumentPayload
	counter  CounterPayload
	set      SetPayload

	// The text of a document, read when it is first wanted.
	read    bool
	tree    *Document
	garbled bool
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
		c.document, err = DecodeDocument(r.Payload)
		c.paths = c.document.Paths
	case counterClass:
		if c.counter, err = DecodeCounter(r.Payload); c.counter.Set {
			c.paths = whole.paths
		} else {
			c.add = big.NewInt(c.counter.N)
		}
	case setClass:
		if c.set, err = DecodeSet(r.Payload); err == nil {
			c.setPaths()
		}
	default:
		return whole
	}
	if err != nil {
		return whole
	}
	return c
}

func (c *change) setPaths() {
	c.removed = make(map[Path]bool)
	if c.set.Set {
		c.paths = append(c.paths, Root)
		c.removed[Root] = true
	}
	for _, e := range c.set.Added {
		c.paths = append(c.paths, Root.Element(e))
	}
	for _, e := range c.set.Removed {
		p := Root.Element(e)
		c.paths = append(c.paths, p)
		c.removed[p] = true
	}
}

// text returns the document that e's text is; false if it is none.
func (e *event) text() (*Document, bool) {
	if !e.read {
		e.read = true
		tree, err := e.document.Document(e.Kind)
		e.tree, e.garbled = tree, err != nil
	}
	return e.tree, !e.garbled
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
