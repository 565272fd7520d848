package oracle

import (
	"crypto/sha256"
	"math/big"

	"crush/crdt"
)

// Change is a delta, and the whole value that its author saw after it.
type Change struct {
	// Writes are the paths written, and what: the canonical content of a leaf,
	// or DEL. An element of a set is the path "/[element]", added with any
	// content or removed by DEL. Setting a counter to n writes n at "/".
	Writes map[crdt.Path]string
	// Add is what was added to a counter; nil for every other change.
	Add *big.Int
	// Whole is the value after the change, as the leaves that it has; of a
	// counter it is the number, at "/".
	Whole map[crdt.Path]string
	// Garbled: the text does not parse, so that nobody can tell what was written
	// to a document, only where. Whole then means nothing.
	Garbled bool
}

// DEL is the content of a path where nothing is now. No leaf has it.
const DEL = "DEL"

// The classes of values that live beside each other. A register's class is
// the name of its kind; json and yaml are one class.
const (
	document = "document"
	counter  = "counter"
	set      = "set"
)

// entry is a revision as a scene sees it.
type entry struct {
	Revision
	class  string
	writes map[crdt.Path]string
	add    *big.Int
}

// asWritten is what a revision changed.
func asWritten(r Revision) entry {
	e := entry{Revision: r, class: register(r)}
	switch {
	case r.Deleted:
		e.writes = map[crdt.Path]string{"/": DEL}
	case r.Change == nil:
		e.writes = map[crdt.Path]string{"/": valueSum(r)}
	default:
		e.class, e.writes, e.add = classOf(r), r.Change.Writes, r.Change.Add
	}
	return e
}

// asWhole is what a revision says that the whole value is: all leaves of it,
// each written at its path.
func asWhole(r Revision) entry {
	e := asWritten(r)
	switch {
	case r.Change == nil:
	case r.Change.Garbled:
		e.class, e.writes = register(r), map[crdt.Path]string{"/": valueSum(r)}
	default:
		e.writes, e.add = r.Change.Whole, nil
	}
	return e
}

func classOf(r Revision) string {
	switch r.Kind {
	case crdt.JSON, crdt.YAML:
		return document
	case crdt.Counter:
		return counter
	case crdt.Set:
		return set
	}
	return register(r)
}

// register is the class of a value that is compared as a whole.
func register(r Revision) string { return "register " + r.Kind.String() }

func valueSum(r Revision) string {
	sum := sha256.Sum256(r.Value)
	return string(sum[:])
}

// opaque: a value of a kind that has no rules, or that cannot be read.
func opaque(class string) bool {
	switch class {
	case document, counter, set, "register bytes", "register text":
		return false
	}
	return true
}
