package crdt_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"

	"crush/crdt"
	"crush/crdt/oracle"
)

// changeOf is what a payload says, as the oracle wants it; nil if it cannot be
// decoded.
func changeOf(kind crdt.Kind, payload []byte) *oracle.Change {
	switch kind {
	case crdt.JSON, crdt.YAML:
		if p, err := crdt.DecodeDocument(payload); err == nil {
			return documentChange(kind, p)
		}
	case crdt.Counter:
		if p, err := crdt.DecodeCounter(payload); err == nil {
			return counterChange(p)
		}
	case crdt.Set:
		if p, err := crdt.DecodeSet(payload); err == nil {
			return setChange(p)
		}
	}
	return nil
}

func documentChange(kind crdt.Kind, p crdt.DocumentPayload) *oracle.Change {
	d, err := p.Document(kind)
	c := &oracle.Change{Writes: make(map[crdt.Path]string), Whole: leavesAt(d, crdt.Root), Garbled: err != nil}
	for _, path := range p.Paths {
		c.Writes[path] = oracle.DEL
		if leaf, ok := d.Leaf(path); ok {
			c.Writes[path] = hex.EncodeToString(leaf.Sum[:])
		}
	}
	return c
}

func counterChange(p crdt.CounterPayload) *oracle.Change {
	c := &oracle.Change{Whole: map[crdt.Path]string{"/": p.Total.String()}}
	if p.Set {
		c.Writes = map[crdt.Path]string{"/": p.Total.String()}
	} else {
		c.Add = big.NewInt(p.N)
	}
	return c
}

func setChange(p crdt.SetPayload) *oracle.Change {
	c := &oracle.Change{Writes: make(map[crdt.Path]string), Whole: setLeaves(p.Elements)}
	if p.Set {
		c.Writes["/"] = oracle.DEL
	}
	for _, e := range p.Removed {
		c.Writes[crdt.Root.Element(e)] = oracle.DEL
	}
	maps.Copy(c.Writes, setLeaves(p.Added))
	return c
}

func setLeaves(elements []string) map[crdt.Path]string {
	leaves := make(map[crdt.Path]string)
	for _, e := range elements {
		leaves[crdt.Root.Element(e)] = "in"
	}
	return leaves
}

// leavesAt returns the leaves of a document that stands at a path.
func leavesAt(d *crdt.Document, at crdt.Path) map[crdt.Path]string {
	leaves := make(map[crdt.Path]string)
	for p, leaf := range d.Leaves() {
		switch {
		case at == crdt.Root:
		case p == crdt.Root:
			p = at
		default:
			p = at + p
		}
		leaves[p] = hex.EncodeToString(leaf.Sum[:])
	}
	return leaves
}

// textLeaves returns what the text of a counter or a set says.
func textLeaves(text []byte) map[crdt.Path]string {
	if text[0] != '[' {
		return map[crdt.Path]string{"/": string(text)}
	}
	var elements []string
	if err := json.Unmarshal(text, &elements); err != nil || !slices.IsSorted(elements) {
		panic(err)
	}
	return setLeaves(elements)
}

// valueSum is the leaf of a register.
func valueSum(value []byte) string {
	sum := sha256.Sum256(value)
	return string(sum[:])
}

// sideLeaves returns what a side serves.
func sideLeaves(s crdt.Side, at crdt.Path) map[crdt.Path]string {
	switch {
	case s.Document != nil:
		return leavesAt(s.Document, at)
	case s.Text != nil:
		return textLeaves(s.Text)
	case !s.Value.IsZero():
		return map[crdt.Path]string{at: string(s.Value[:])}
	}
	return nil
}

// plain returns v without what the oracle has no types for.
func plain(v crdt.View) crdt.View {
	p := crdt.View{Served: v.Served, Kind: v.Kind, Deleted: v.Deleted, Opaque: v.Opaque}
	for _, c := range v.Conflicts {
		c.Sides = slices.Clone(c.Sides)
		for i := range c.Sides {
			c.Sides[i].Document, c.Sides[i].Text = nil, nil
		}
		p.Conflicts = append(p.Conflicts, c)
	}
	return p
}

// difference returns how a view is not what the oracle reads; "" if it is.
func difference(got crdt.View, want oracle.Reading) string {
	if p := plain(got); !reflect.DeepEqual(p, want.View) {
		return fmt.Sprintf("view\n got %+v\nwant %+v", p, want.View)
	}
	own := got.Document == nil && got.Text == nil
	if woven := got.Document != nil && len(got.Conflicts) == 0; got.Exists() && !got.Deleted && own != want.Exact && !(woven && want.Exact) {
		return fmt.Sprintf("serves Served's own text: %v, want %v\n got %+v\nwant %+v", own, want.Exact, got, want)
	}
	leaves := want.Leaves
	switch {
	case got.Document != nil:
		leaves = leavesAt(got.Document, crdt.Root)
	case got.Text != nil && want.Leaves["/"] == valueSum(got.Text):
	case got.Text != nil:
		leaves = textLeaves(got.Text)
	}
	if !maps.Equal(leaves, want.Leaves) {
		return fmt.Sprintf("served\n got %v\nwant %v", leaves, want.Leaves)
	}
	for i, c := range got.Conflicts {
		for j, s := range c.Sides {
			if leaves := sideLeaves(s, c.Path); !maps.Equal(leaves, want.Sides[i][j]) {
				return fmt.Sprintf("side %s at %s\n got %v\nwant %v", s.Letter, c.Path, leaves, want.Sides[i][j])
			}
		}
	}
	return ""
}
