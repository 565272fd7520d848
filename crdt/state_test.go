package crdt_test

import (
	"fmt"
	"math/big"
	"testing"

	"crush/crdt"
)

// looked returns how many revisions were looked up since it was asked last.
func (l *line) looked() int { n := l.lookups; l.lookups = 0; return n }

// draft writes what a context wants that has read heads.
func (l *line) draft(in crdt.Visible, write func(crdt.Context) (crdt.Draft, error)) crdt.Revision {
	v := in.View()
	d, err := write(crdt.Context{View: v, Payload: l.revisions[v.Served].Payload})
	var parents []crdt.Revision
	for _, h := range in.Heads {
		parents = append(parents, l.revisions[h.ID])
	}
	r := l.write(d.Kind, d.Payload, err, parents...)
	r.Open, r.Deleted = d.Open, d.Deleted
	l.revisions[r.ID] = r
	return r
}

func put(text string) func(crdt.Context) (crdt.Draft, error) {
	return func(c crdt.Context) (crdt.Draft, error) { return c.Put(crdt.JSON, []byte(text), nil) }
}

func edit(at crdt.Path, text string) func(crdt.Context) (crdt.Draft, error) {
	return func(c crdt.Context) (crdt.Draft, error) {
		var d *crdt.Document
		if text != "" {
			var err error
			if d, err = crdt.ParseDocument(crdt.JSON, []byte(text), nil); err != nil {
				return crdt.Draft{}, err
			}
		}
		return c.Edit(crdt.JSON, at, d)
	}
}

func set(n int64) func(crdt.Context) (crdt.Draft, error) {
	return func(c crdt.Context) (crdt.Draft, error) { return c.SetCounter(big.NewInt(n)) }
}

func add(c crdt.Context) (crdt.Draft, error) { return c.Add(1) }

// openHistories are conflicts that nobody settles, and what is written beside
// them.
var openHistories = map[string]struct {
	base, one, two func(crdt.Context) (crdt.Draft, error)
	beside         func(i int) func(crdt.Context) (crdt.Draft, error)
}{
	"value": {
		put(`{"a":0,"b":0}`), edit("/a", "1"), edit("/a", "2"),
		func(i int) func(crdt.Context) (crdt.Draft, error) { return edit("/b", fmt.Sprint(i+1)) },
	},
	"delete against an edit": {
		put(`{"a":{"x":1,"y":1},"b":0}`), edit("/a", ""), edit("/a/x", "2"),
		func(i int) func(crdt.Context) (crdt.Draft, error) { return edit("/b", fmt.Sprint(i+1)) },
	},
	"two settings of a counter": {
		set(1), set(5), set(9),
		func(int) func(crdt.Context) (crdt.Draft, error) { return add },
	},
}

// TestOpenConflictCost: what a read looks up, and what is remembered, does not
// grow with the writes beside a conflict that nobody settles.
func TestOpenConflictCost(t *testing.T) {
	for name, h := range openHistories {
		t.Run(name, func(t *testing.T) {
			l := newLine(t)
			with := make(memory)
			at := func(heads ...crdt.Revision) crdt.Visible {
				v := l.heads(heads...)
				v.Memory = with
				return v
			}
			base := l.draft(l.heads(), h.base)
			head := l.draft(at(l.draft(at(base), h.one), l.draft(at(base), h.two)), h.beside(0))
			var lookups, size [2]int
			for i := 1; i < 300; i++ {
				l.looked()
				if v := at(head).View(); len(v.Conflicts) != 1 {
					t.Fatalf("%d writes: %+v", i, v)
				}
				lookups[i/150] = max(lookups[i/150], l.looked())
				size[i/150] = max(size[i/150], with[head.ID].Size())
				head = l.draft(at(head), h.beside(i))
			}
			if lookups[1] > min(lookups[0], 8) || size[1] > size[0]+8 {
				t.Errorf("a read looks up %d, then %d revisions; %d, then %d bytes are remembered", lookups[0], lookups[1], size[0], size[1])
			}
			alone := len(l.revisions)
			l.looked()
			l.heads(head).View()
			if n := l.looked(); n < alone-1 {
				t.Errorf("without a memory %d of %d revisions were looked up", n, alone)
			}
		})
	}
}

// TestStates: what a state must hold beside live writes. Views are compared with
// and without what is remembered.
func TestStates(t *testing.T) {
	w := newWorld(t)
	here, there, third := w.node("here"), w.node("there"), w.node("third")
	do := func(n *node, write func(crdt.Context) (crdt.Draft, error)) {
		in := n.oracle.At(n.knows).Input(root, key)
		d, err := write(n.contextOf(in))
		if err != nil {
			t.Fatal(err)
		}
		n.draft(root, d, 0, n.heads(root))
	}
	// That the addition is gone tells only the deletion, which is written over.
	do(here, add)
	do(here, func(c crdt.Context) (crdt.Draft, error) { return c.Delete(), nil })
	do(here, set(5))
	do(there, set(7))
	third.del(root)
	meet(here, there, third)
	for range 3 {
		do(here, add)
		here.view(root)
	}
}
