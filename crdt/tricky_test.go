package crdt_test

import (
	"fmt"
	"reflect"
	"testing"

	"crush/crdt/oracle"
)

// TestTrickyCases are the rows of the model's table that registers can show,
// under the words of the table. "Here" and "there" are two nodes on one fork
// unless the row speaks of forks.
func TestTrickyCases(t *testing.T) {
	for _, row := range []struct {
		name string
		run  func(t *testing.T, here, there *node)
	}{
		{"bytes key deleted here, rewritten there", func(t *testing.T, here, there *node) {
			here.put(root, "v1")
			there.learn(here)
			there.put(root, "v2")
			here.del(root)
			meet(here, there)
			want(t, root, "v2; delete/edit: v2 > DEL", here, there)
		}},
		{"deleted and re-created here, edited there", func(t *testing.T, here, there *node) {
			here.put(root, "v1")
			there.learn(here)
			here.del(root)
			here.put(root, "new")
			there.put(root, "edited")
			meet(here, there)
			want(t, root, "edited; value: edited > new", here, there)
		}},
		{"both sides made the same change", func(t *testing.T, here, there *node) {
			here.put(root, "v1")
			there.learn(here)
			here.put(root, "v2")
			there.put(root, "v2")
			third := here.node("third")
			third.learn(here)
			third.learn(there)
			third.put(root, "v2") // a merge of the two
			meet(here, there)
			want(t, root, "v2", here, there)
			there.put(root, "v3")
			meet(here, there, third)
			want(t, root, "v3", here, there, third)
		}},
		{"side A set 2 and rolled back to 1, side B set 3", func(t *testing.T, a, b *node) {
			a.put(root, "1")
			b.learn(a)
			b.put(root, "3")
			a.put(root, "2")
			a.put(root, "1")
			meet(a, b)
			want(t, root, "1; value: 1 > 3", a, b)
		}},
		{`"" against delete`, func(t *testing.T, here, there *node) {
			here.put(root, "v1")
			there.learn(here)
			here.put(root, "")
			there.del(root)
			meet(here, there)
			want(t, root, "; delete/edit:  > DEL", here, there)
			if v := here.view(root); v.Absent() {
				t.Error(`"" is served as if it were absent`)
			}
		}},
		{"resolved differently on two nodes at once", func(t *testing.T, here, there *node) {
			quarrel(here, there)
			before := here.view(root).Conflicts[0]
			here.put(root, "left")
			there.put(root, "right")
			meet(here, there)
			want(t, root, "right; value: right > left", here, there)
			after := here.view(root).Conflicts[0]
			if before.ID != after.ID || before.State == after.State {
				t.Errorf("id %v then %v, state %v then %v", before.ID, after.ID, before.State, after.State)
			}
		}},
		{"resolved equally on two nodes at once", func(t *testing.T, here, there *node) {
			quarrel(here, there)
			here.put(root, "one")
			there.put(root, "one")
			meet(here, there)
			want(t, root, "one", here, there)
		}},
		{"a late offline write on the losing side", func(t *testing.T, here, there *node) {
			quarrel(here, there)
			late := here.node("late")
			late.write(oracle.Revision{Fork: root, Value: []byte("late"), Time: 1, Parents: here.heads(root)[:1]})
			here.put(root, "settled")
			meet(here, there)
			want(t, root, "settled; value: settled > late", here, there)
		}},
		{"key deleted and re-created by one writer", func(t *testing.T, here, there *node) {
			here.put(root, "v1")
			here.del(root)
			there.learn(here)
			want(t, root, "DEL", here, there)
			here.put(root, "v2")
			meet(here, there)
			want(t, root, "v2", here, there)
		}},
		{"X writes, Y deletes having seen it, Z writes at once, unseen", func(t *testing.T, x, y *node) {
			z := x.node("z")
			x.put(root, "X")
			y.learn(x)
			y.del(root)
			z.put(root, "Z")
			meet(x, y, z)
			want(t, root, "Z; delete/edit: Z > DEL", x, y, z)
		}},
		{"200 heads of one key, then one put", func(t *testing.T, here, _ *node) {
			for i := range 200 {
				here.node("site").write(oracle.Revision{Fork: root, Value: fmt.Append(nil, i)})
			}
			meet(here)
			if n := len(here.view(root).Conflicts[0].Sides); n != 200 {
				t.Errorf("%d sides, want 200", n)
			}
			here.put(root, "one")
			want(t, root, "one", here)
			if n := len(here.heads(root)); n != 1 {
				t.Errorf("%d heads, want 1", n)
			}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			row.run(t, w.node("here"), w.node("there"))
		})
	}
}

// quarrel leaves two values in conflict on the root fork, known to both.
func quarrel(here, there *node) {
	here.put(root, "a")
	there.put(root, "b")
	meet(here, there)
}

// TestTrickyForkCases are rows that need forks. What they say of operations is
// for others to test; here it is the view of what the operations made visible.
func TestTrickyForkCases(t *testing.T) {
	for _, row := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"key deleted in the fork, untouched in the root, merged", testDeletedInFork},
		{"A into B on one node, B into A on another", testMergeBothWays},
		{"merge --on-conflict keep of staging into default, where default's value was written there", testKeepOwn},
		{"the same, deleted", testKeepOwnDeletion},
		{"three forks merged in any order with keep", testThreeForks},
		{"a fork goes on serving what its source served", testForkServesAsSource},
	} {
		t.Run(row.name, row.run)
	}
}

var root, staging = fork("default"), fork("staging")

func testDeletedInFork(t *testing.T) {
	n := newWorld(t).node("n")
	n.put(root, "v1")
	n.create(staging, root)
	n.del(staging)
	n.merge(staging, root)
	want(t, root, "DEL", n)
	if v := n.view(root); !v.Absent() || !v.Exists() {
		t.Errorf("absent %v, exists %v", v.Absent(), v.Exists())
	}
}

func testMergeBothWays(t *testing.T) {
	w := newWorld(t)
	one, two := w.node("one"), w.node("two")
	one.put(root, "v1")
	one.create(staging, root)
	one.put(root, "in A")
	one.put(staging, "in B")
	two.learn(one)
	one.merge(root, staging)
	two.merge(staging, root)
	meet(one, two)
	want(t, root, "in A; value: in A > in B", one, two)
	want(t, staging, "in B; value: in B > in A", one, two)
	a, b := one.view(root).Conflicts[0], one.view(staging).Conflicts[0]
	if a.State != b.State || a.ID == b.ID {
		t.Errorf("states %v and %v, ids %v and %v", a.State, b.State, a.ID, b.ID)
	}
	for i := range a.Sides {
		a.Sides[i].Rank, b.Sides[i].Rank = 0, 0
	}
	if !reflect.DeepEqual(a.Sides, b.Sides) {
		t.Errorf("sides differ:\n%+v\n%+v", a.Sides, b.Sides)
	}
}

func testKeepOwn(t *testing.T) {
	n := newWorld(t).node("n")
	n.put(root, "v1")
	n.create(staging, root)
	n.put(root, "v2")
	n.put(staging, "later")
	n.merge(staging, root)
	want(t, root, "v2; value: v2 > later", n)
	n.put(root, "settled")
	want(t, root, "settled", n)
}

func testKeepOwnDeletion(t *testing.T) {
	n := newWorld(t).node("n")
	n.put(root, "v1")
	n.create(staging, root)
	n.del(root)
	n.put(staging, "later")
	n.merge(staging, root)
	want(t, root, "DEL; delete/edit: DEL > later", n)
	n.merge(root, staging)
	want(t, staging, "later; delete/edit: later > DEL", n)
}

func testForkServesAsSource(t *testing.T) {
	n := newWorld(t).node("n")
	n.put(root, "v1")
	n.create(staging, root)
	n.del(root)
	n.put(staging, "later")
	n.merge(staging, root)
	made, again := fork("made"), fork("again")
	n.create(made, root)
	want(t, made, "DEL; delete/edit: DEL > later", n)
	n.create(again, made)
	want(t, again, "DEL; delete/edit: DEL > later", n)
}

func testThreeForks(t *testing.T) {
	names := []string{"x", "y", "z"}
	seen := make(map[string]bool)
	for order := range permutations(3) {
		n := newWorld(t).node("n")
		n.put(root, "v1")
		for _, name := range names {
			n.create(fork(name), root)
		}
		for _, name := range names {
			n.put(fork(name), name)
		}
		for _, i := range order {
			n.merge(fork(names[i]), root)
		}
		seen[fmt.Sprintf("%+v", n.view(root))] = true
		want(t, root, "z; value: z > y > x", n)
	}
	if len(seen) != 1 {
		t.Errorf("%d different views", len(seen))
	}
}

// permutations yields all orders of 0 to n-1. The slice is only valid until
// the next one.
func permutations(n int) func(yield func([]int) bool) {
	return func(yield func([]int) bool) {
		p := make([]int, n)
		var place func(k int) bool
		place = func(k int) bool {
			if k == n {
				return yield(p)
			}
			for i := range k + 1 {
				copy(p[i+1:k+1], p[i:k])
				p[i] = k
				if !place(k + 1) {
					return false
				}
				copy(p[i:k], p[i+1:k+1])
			}
			return true
		}
		place(0)
	}
}
