package crdt_test

import (
	"testing"

	"crush/crdt"
)

// TestTrickyDocumentForks are the rows of the model's table that need forks,
// for documents. What they say of operations is for others to test; here it is
// the view of what the operations made visible.
func TestTrickyDocumentForks(t *testing.T) {
	for _, row := range []struct {
		name string
		run  func(t *testing.T, n *node)
	}{
		{"fork of fork merged to root, then the middle one", testForkOfFork},
		{"merge back twice, source moved in between", testMergeBackTwice},
		{"merge, revert in the destination, merge again", testRevert},
		{"A into B on one node, B into A on another", testDocumentBothWays},
		{"key deleted in the fork, untouched in the root, merged", func(t *testing.T, n *node) {
			n.json(root, `{"a":1}`)
			n.create(staging, root)
			n.del(staging)
			n.merge(staging, root)
			shows(t, root, "DEL", n)
		}},
		{"CI re-applies its file after someone changed another field", testApplyAs},
		{"merge --on-conflict keep of staging into default, where default's value was written there", testKeepDocument},
		{"everything removed, of which something is in conflict", func(t *testing.T, n *node) {
			n.json(root, `{"a":1,"b":1}`)
			n.create(staging, root)
			n.unset(root, "/a")
			n.json(staging, `{"a":2}`)
			n.merge(staging, root)
			shows(t, root, "DEL; delete/edit at /a: DEL > 2", n)
		}},
		{"three forks merged in any order with keep", testThreeDocumentForks},
		{"a fork goes on serving what its source served, inside of a side too", testForkServesInside},
	} {
		t.Run(row.name, func(t *testing.T) { row.run(t, newWorld(t).node("n")) })
	}
}

func testForkOfFork(t *testing.T, n *node) {
	middle, leaf := fork("middle"), fork("leaf")
	n.json(root, `{"a":1,"b":1,"c":1}`)
	n.create(middle, root)
	n.edit(middle, "/a", "2")
	n.create(leaf, middle)
	n.edit(leaf, "/b", "2")
	n.edit(root, "/c", "2")
	n.merge(leaf, root)
	shows(t, root, `{"a":2,"b":2,"c":2}`, n)
	n.merge(middle, root)
	shows(t, root, `{"a":2,"b":2,"c":2}`, n)
}

func testMergeBackTwice(t *testing.T, n *node) {
	n.json(root, `{"a":1,"b":1,"c":1}`)
	n.create(staging, root)
	n.edit(staging, "/a", "2")
	n.merge(staging, root)
	n.edit(root, "/c", "3")
	n.edit(staging, "/b", "2")
	n.merge(staging, root)
	shows(t, root, `{"a":2,"b":2,"c":3}`, n)
	n.merge(staging, root)
	shows(t, root, `{"a":2,"b":2,"c":3}`, n)
}

func testRevert(t *testing.T, n *node) {
	n.json(root, `{"a":1,"b":1}`)
	n.create(staging, root)
	n.edit(staging, "/a", "2")
	n.merge(staging, root)
	n.edit(root, "/a", "1")
	n.edit(staging, "/b", "2")
	n.merge(staging, root)
	shows(t, root, `{"a":1,"b":2}`, n)
}

func testDocumentBothWays(t *testing.T, one *node) {
	two := one.node("two")
	one.json(root, `{"a":1,"b":1}`)
	one.create(staging, root)
	one.edit(root, "/a", "2")
	one.edit(staging, "/a", "3")
	two.learn(one)
	one.merge(root, staging)
	two.merge(staging, root)
	meet(one, two)
	shows(t, root, `{"a":2,"b":1}; value at /a: 2 > 3`, one, two)
	shows(t, staging, `{"a":3,"b":1}; value at /a: 3 > 2`, one, two)
	a, b := one.view(root).Conflicts[0], one.view(staging).Conflicts[0]
	if a.State != b.State || a.ID == b.ID {
		t.Errorf("states %v and %v, ids %v and %v", a.State, b.State, a.ID, b.ID)
	}
}

// testApplyAs: the job's context is what it wrote last.
func testApplyAs(t *testing.T, n *node) {
	n.json(root, `{"image":"v1","replicas":1}`)
	last := n.heads(root)
	for _, image := range []string{"v2", "v3"} {
		n.edit(root, "/replicas", "5")
		in := n.oracle.At(n.knows).Input(root, key)
		in.Heads = nil
		for _, id := range last {
			in.Heads = append(in.Heads, in.History.Revision(id).Write)
		}
		d, err := n.contextOf(in).Put(crdt.JSON, []byte(`{"image":"`+image+`","replicas":1}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		last = []crdt.RevisionID{n.draft(root, d, 0, last)}
		shows(t, root, `{"image":"`+image+`","replicas":5}`, n)
		if heads := len(n.heads(root)); heads != 2 {
			t.Errorf("%d heads", heads)
		}
	}
}

func testKeepDocument(t *testing.T, n *node) {
	n.json(root, `{"a":1,"b":1,"c":1}`)
	n.create(staging, root)
	n.json(root, `{"a":2,"b":1}`)
	n.json(staging, `{"a":3,"b":4,"c":5}`)
	n.merge(staging, root)
	shows(t, root, `{"a":2,"b":4}; value at /a: 2 > 3; delete/edit at /c: DEL > 5`, n)
	n.settle(root, "/c", "5")
	shows(t, root, `{"a":2,"b":4,"c":5}; value at /a: 2 > 3`, n)
}

func testThreeDocumentForks(t *testing.T, n *node) {
	names := []string{"x", "y", "z"}
	n.json(root, `{"a":1,"b":1,"c":1}`)
	for _, name := range names {
		n.create(fork(name), root)
	}
	n.json(fork("x"), `{"a":2,"b":1,"c":1}`)
	n.json(fork("y"), `{"a":3,"b":2,"c":1}`)
	n.json(fork("z"), `{"a":4,"c":3}`)
	for order := range permutations(3) {
		into := fork("into" + string([]byte{'0' + byte(order[0]), '0' + byte(order[1])}))
		n.create(into, root)
		for _, i := range order {
			n.merge(fork(names[i]), into)
		}
		shows(t, into, `{"a":4,"c":3,"b":2}; value at /a: 4 > 3 > 2; delete/edit at /b: 2 > DEL`, n)
	}
}

// testForkServesInside: inside the side that is served at / there is a conflict
// in which the source serves its own value, though another is later.
func testForkServesInside(t *testing.T, n *node) {
	made, third := fork("made"), fork("third")
	n.json(root, `{"a":1,"b":1}`)
	n.create(staging, root)
	n.create(third, root)
	n.edit(root, "/a", "2")
	n.edit(staging, "/a", "3")
	n.del(third)
	n.merge(staging, root)
	n.merge(third, root)
	want := `{"a":2,"b":1}; delete/edit at /: {"a":2,"b":1} > DEL`
	shows(t, root, want, n)
	n.create(made, root)
	shows(t, made, want, n)
	again := fork("again")
	n.create(again, made)
	shows(t, again, want, n)
}
