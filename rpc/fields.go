package rpc

import (
	"encoding/json"

	"crush/crdt"
)

// FieldChange is a place at which two documents differ.
type FieldChange struct {
	Path crdt.Path `json:"path"`
	// A and B are what stands there before and after, as JSON; nil for nothing,
	// or for structure, whose fields stand for themselves.
	A json.RawMessage `json:"a,omitempty"`
	B json.RawMessage `json:"b,omitempty"`
}

func (c *FieldChange) appendJSON(b []byte) []byte {
	b = appendStringMember(append(b, '{'), "path", string(c.Path))
	if c.A != nil {
		b = append(appendName(b, "a"), c.A...)
	}
	if c.B != nil {
		b = append(appendName(b, "b"), c.B...)
	}
	return append(b, '}')
}

// CompareFields is CompareDocuments of two values, of which the lists say how
// they are read; ok is false if one of them is no json or yaml, or does not
// parse.
func CompareFields(kindA crdt.Kind, a []byte, kindB crdt.Kind, b []byte, lists crdt.Lists) (changes []FieldChange, ok bool) {
	was, okA := documentOf(kindA, a, lists)
	now, okB := documentOf(kindB, b, lists)
	if !okA || !okB {
		return nil, false
	}
	return CompareDocuments(was, now), true
}

// CompareDocuments returns where two documents differ, in order of the paths.
// What differs only in its spelling, its order or its comments is the same.
func CompareDocuments(was, now *crdt.Document) (changes []FieldChange) {
	// Both sequences ascend: the earlier path of the two comes first.
	type field struct {
		path crdt.Path
		leaf crdt.Leaf
	}
	var old []field
	for p, l := range was.Leaves() {
		old = append(old, field{p, l})
	}
	gone := func(f field) { changes = append(changes, FieldChange{Path: f.path, A: json.RawMessage(f.leaf.JSON)}) }
	for p, l := range now.Leaves() {
		for len(old) > 0 && old[0].path.Compare(p) < 0 {
			gone(old[0])
			old = old[1:]
		}
		change := FieldChange{Path: p, B: json.RawMessage(l.JSON)}
		if len(old) > 0 && old[0].path == p {
			change.A = json.RawMessage(old[0].leaf.JSON)
			same := old[0].leaf.Sum == l.Sum
			if old = old[1:]; same {
				continue
			}
		}
		changes = append(changes, change)
	}
	for _, f := range old {
		gone(f)
	}
	return changes
}

func documentOf(kind crdt.Kind, text []byte, lists crdt.Lists) (*crdt.Document, bool) {
	if kind != crdt.JSON && kind != crdt.YAML || text == nil {
		return nil, false
	}
	d, err := crdt.ParseDocument(kind, text, lists)
	return d, err == nil
}
