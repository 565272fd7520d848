package dag_test

import (
	"errors"
	"slices"
	"testing"

	"crush/dag"
)

// TestFreeze: an operation on a fork that only a newer version understands
// stops writes on that fork, and nothing else, for ever and on every node.
func TestFreeze(t *testing.T) {
	blue := dag.NamedFork("blue")
	body := append([]byte{0xa1, 0x64, 'f', 'o', 'r', 'k', 0x58, 32}, blue[:]...)
	twice := append([]byte{0xa2, 0x64, 'f', 'o', 'r', 'k', 0x58, 32}, blue[:]...)
	twice = append(twice, 0x64, 'z', 'z', 'z', 'z', 0x00)
	for name, op := range map[string]dag.Op{
		"unknown kind":  {Kind: 999, Body: body},
		"unknown field": {Kind: dag.OpDelete, Body: twice},
	} {
		t.Run(name, func(t *testing.T) {
			a := foundNode(t, "a")
			a.nameForks(t, "blue", "green")
			f := newForger(keyOf("writer"), 1)
			a.setRole(t, f.key.ID(), "writer", dag.RoleWriter)
			b := f.block(tips(a)...)
			b.Ops = append(b.Ops, op)
			_, bundle := f.write(b)
			apply(t, a, bundle)
			a.frozen(t)
			a.restart(t)
			a.frozen(t)
			other := a.enlist(t, "other", dag.RoleWriter)
			other.pull(t, a)
			other.frozen(t)
			other.check(t)
			a.check(t)
		})
	}
}

func (n *node) nameForks(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := n.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error { _, err := tx.NameFork(name); return err })
		if err != nil {
			t.Fatal(err)
		}
	}
}

// frozen checks that blue is, and that nothing else is.
func (n *node) frozen(t *testing.T) {
	t.Helper()
	for _, f := range n.Forks() {
		if f.Frozen != (f.Name == "blue") {
			t.Errorf("%s: %s is frozen: %v", n.name, f.Name, f.Frozen)
		}
	}
	blue, green := dag.NamedFork("blue"), dag.NamedFork("green")
	put := func(fork dag.ForkID) func(tx *dag.Tx) error {
		return func(tx *dag.Tx) error {
			e, err := tx.Entry(fork, "k")
			if err != nil {
				return err
			}
			parents := []dag.RevisionID{}
			for _, h := range e.Heads {
				parents = append(parents, h.ID)
			}
			return tx.Put(dag.Draft{Fork: fork, Key: "k", Parents: slices.Clip(parents), Kind: 1, Payload: []byte("x")})
		}
	}
	merge := func(into, from dag.ForkID) func(tx *dag.Tx) error {
		return func(tx *dag.Tx) error {
			return tx.Op(dag.NewOp(dag.MergeOp{Into: into, From: dag.NewContribution(from, nil, nil)}))
		}
	}
	for _, test := range []struct {
		what    string
		fn      func(tx *dag.Tx) error
		refused bool
	}{
		{"put on blue", put(blue), true},
		{"merge into blue", merge(blue, green), true},
		{"merge of blue", merge(green, blue), true},
		{"removal of blue", func(tx *dag.Tx) error { return tx.Op(dag.NewOp(dag.DeleteOp{Fork: blue})) }, true},
		{"put on green", put(green), false},
		{"put on default", put(dag.DefaultFork()), false},
	} {
		_, err := n.Commit(t.Context(), dag.Note{}, test.fn)
		if test.refused != errors.Is(err, dag.ErrLater) || !test.refused && err != nil {
			t.Errorf("%s: %s: %v", n.name, test.what, err)
		}
	}
}
