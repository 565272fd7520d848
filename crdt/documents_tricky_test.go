package crdt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"crush/crdt"
)

// context returns what n knows of the key on a fork.
func (n *node) context(f crdt.ForkID) crdt.Context {
	return n.contextOf(n.oracle.At(n.knows).Input(f, key))
}

// do writes a draft on all heads that n knows of.
func (n *node) do(f crdt.ForkID, d crdt.Draft, err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatalf("%v", err)
	}
	if !d.Empty {
		n.draft(f, d, 0, n.heads(f))
	}
}

func (n *node) json(f crdt.ForkID, text string, lists ...crdt.ListRule) {
	n.t.Helper()
	d, err := n.context(f).Put(crdt.JSON, []byte(text), lists)
	n.do(f, d, err)
}

func parsed(text string) *crdt.Document {
	d, err := crdt.ParseDocument(crdt.JSON, []byte(text), nil)
	if err != nil {
		panic(err)
	}
	return d
}

func (n *node) edit(f crdt.ForkID, at crdt.Path, text string) {
	n.t.Helper()
	d, err := n.context(f).Edit(crdt.JSON, at, parsed(text))
	n.do(f, d, err)
}

func (n *node) unset(f crdt.ForkID, at crdt.Path) {
	n.t.Helper()
	d, err := n.context(f).Edit(crdt.JSON, at, nil)
	n.do(f, d, err)
}

func (n *node) incr(f crdt.ForkID, by int64) {
	n.t.Helper()
	d, err := n.context(f).Add(by)
	n.do(f, d, err)
}

func (n *node) count(f crdt.ForkID, to int64) {
	n.t.Helper()
	d, err := n.context(f).SetCounter(big.NewInt(to))
	n.do(f, d, err)
}

func (n *node) add(f crdt.ForkID, elements ...string) {
	n.t.Helper()
	d, err := n.context(f).Change(elements, nil)
	n.do(f, d, err)
}

func (n *node) remove(f crdt.ForkID, elements ...string) {
	n.t.Helper()
	d, err := n.context(f).Change(nil, elements)
	n.do(f, d, err)
}

// settle takes the side of the conflict at a path that reads so.
func (n *node) settle(f crdt.ForkID, at crdt.Path, side string) {
	n.t.Helper()
	c := n.context(f)
	h := n.oracle.At(n.knows).Input(f, key).History
	for _, conflict := range c.Conflicts {
		for _, s := range conflict.Sides {
			if payload := h.Revision(s.Revision).Payload; conflict.Path == at && compact(s.Bytes(payload)) == side {
				d, err := c.Resolve(&conflict, &s, payload)
				n.do(f, d, err)
				return
			}
		}
	}
	n.t.Fatalf("no side %s at %s in %s", side, at, n.show(f))
}

// compact writes JSON without space, anything else as it is, and nil as DEL.
func compact(value []byte) string {
	var b bytes.Buffer
	switch {
	case value == nil:
		return "DEL"
	case json.Compact(&b, value) == nil:
		return b.String()
	}
	return string(value)
}

// show describes what n serves, and after it the conflicts with their sides in
// order of rank.
func (n *node) show(f crdt.ForkID) string {
	n.t.Helper()
	v := n.view(f)
	h := n.oracle.At(n.knows).Input(f, key).History
	if !v.Exists() {
		return "nothing"
	}
	out := []string{compact(v.Bytes(h.Revision(v.Served).Payload))}
	for _, c := range v.Conflicts {
		sides := make([]string, len(c.Sides))
		for _, s := range c.Sides {
			sides[s.Rank] = compact(s.Bytes(h.Revision(s.Revision).Payload))
		}
		out = append(out, fmt.Sprintf("%s at %s: %s", c.Kind, c.Path, strings.Join(sides, " > ")))
	}
	return strings.Join(out, "; ")
}

// shows fails unless each of the nodes shows the fork so.
func shows(t *testing.T, f crdt.ForkID, want string, nodes ...*node) {
	t.Helper()
	for i, n := range nodes {
		if got := n.show(f); got != want {
			t.Errorf("node %d shows\n got %s\nwant %s", i, got, want)
		}
	}
}

var keyed = crdt.ListRule{Path: "/l", Schema: crdt.MapList("n")}

// tricky is a row of the model's table, or beside it. Here and there are two
// nodes on one fork; there has read what here put first.
type tricky struct {
	name  string
	first string // JSON
	run   func(here, there *node)
	want  string
}

// TestTrickyDocuments are the rows of the model's table that are about
// documents, under its words, and some that the words leave open.
func TestTrickyDocuments(t *testing.T) {
	for _, row := range []tricky{
		{
			"key deleted here, field edited there", `{"a":1,"b":2}`,
			func(here, there *node) { here.del(root); there.edit(root, "/a", "3") },
			`{"a":3,"b":2}; delete/edit at /: {"a":3,"b":2} > DEL`,
		},
		{
			"one side changed one field, the other another field", `{"a":1,"b":2}`,
			func(here, there *node) { here.edit(root, "/a", "3"); there.json(root, `{"b":4,"a":1}`) },
			`{"b":4,"a":3}`,
		},
		{
			"both sides made the same change", `{"a":1}`,
			func(here, there *node) { here.edit(root, "/a", "2"); there.edit(root, "/a", "2.0") },
			`{"a":2.0}`,
		},
		{
			"deleted and re-created here, edited there", `{"a":1,"b":2}`,
			func(here, there *node) {
				here.del(root)
				here.json(root, `{"c":1}`)
				there.edit(root, "/a", "3")
			},
			`{"a":3,"b":2}; delete/edit at /: {"a":3,"b":2} > {"c":1}`,
		},
		{
			"field deleted and re-created here, edited inside there", `{"o":{"a":1,"b":2},"c":1}`,
			func(here, there *node) {
				here.unset(root, "/o")
				here.edit(root, "/o", `{"a":5}`)
				there.edit(root, "/o/b", "3")
			},
			`{"o":{"a":1,"b":3},"c":1}; delete/edit at /o: {"a":1,"b":3} > {"a":5}`,
		},
		{
			`"" against null`, `{"a":1}`,
			func(here, there *node) { here.edit(root, "/a", `""`); there.edit(root, "/a", "null") },
			`{"a":null}; value at /a: null > ""`,
		},
		{
			"null is a value", `{"a":1,"b":1}`,
			func(here, there *node) { here.edit(root, "/a", `null`); there.unset(root, "/a") },
			`{"a":null,"b":1}; delete/edit at /a: null > DEL`,
		},
		{
			"the last member removed against an edit of it: {} is a leaf", `{"o":{"b":1},"c":1}`,
			func(here, there *node) { here.unset(root, "/o/b"); there.edit(root, "/o/b", "2") },
			`{"o":{"b":2},"c":1}; type at /o: {"b":2} > {}`,
		},
		{
			"a document made {} against an edit", `{"b":1}`,
			func(here, there *node) { here.json(root, `{}`); there.edit(root, "/b", "2") },
			`{"b":2}; type at /: {"b":2} > {}`,
		},
		{
			"a member removed that is not the last against an edit of it", `{"o":{"a":1,"b":1}}`,
			func(here, there *node) { here.unset(root, "/o/b"); there.edit(root, "/o/b", "2") },
			`{"o":{"a":1,"b":2}}; delete/edit at /o/b: 2 > DEL`,
		},
		{
			"object replaced by string against edit inside", `{"o":{"a":1,"b":2}}`,
			func(here, there *node) { here.edit(root, "/o", `"s"`); there.edit(root, "/o/a", "3") },
			`{"o":{"a":3,"b":2}}; type at /o: {"a":3,"b":2} > "s"`,
		},
		{
			"object replaced by string against edit elsewhere", `{"o":{"a":1},"b":2}`,
			func(here, there *node) { here.edit(root, "/o", `"s"`); there.edit(root, "/b", "3") },
			`{"o":"s","b":3}`,
		},
		{
			"object replaced by string against removal inside", `{"o":{"a":1,"b":2}}`,
			func(here, there *node) { here.edit(root, "/o", `"s"`); there.unset(root, "/o/a") },
			`{"o":"s"}`,
		},
		{
			"object replaced by two strings against removal inside", `{"o":{"a":1,"b":2}}`,
			func(here, there *node) {
				third := here.node("third")
				third.learn(here)
				here.edit(root, "/o", `"s"`)
				third.edit(root, "/o", `"t"`)
				there.unset(root, "/o/a")
			},
			`{"o":"t"}; value at /o: "t" > "s" > {"b":2}`,
		},
		{
			"{b:1} becomes {}", `{"o":{"b":1}}`,
			func(here, _ *node) { here.unset(root, "/o/b") },
			`{"o":{}}`,
		},
		{
			"{b:1} becomes {} here, gets a member there", `{"o":{"b":1}}`,
			func(here, there *node) { here.unset(root, "/o/b"); there.edit(root, "/o/c", "2") },
			`{"o":{"b":1,"c":2}}; type at /o: {"b":1,"c":2} > {}`,
		},
		{
			"all members removed, one here and one there", `{"o":{"a":1,"b":1},"c":1}`,
			func(here, there *node) { here.unset(root, "/o/a"); there.unset(root, "/o/b") },
			`{"c":1}`,
		},
		{
			"atomic list changed on both sides", `{"m":[1,2]}`,
			func(here, there *node) { here.edit(root, "/m", "[1,2,3]"); there.edit(root, "/m", "[0,1,2]") },
			`{"m":[0,1,2]}; value at /m: [0,1,2] > [1,2,3]`,
		},
		{
			"keyed list: edit one element, remove another", `{"l":[{"n":"x","v":1},{"n":"y","v":2}]}`,
			func(here, there *node) { here.edit(root, "/l/[x]/v", "3"); there.unset(root, "/l/[y]") },
			`{"l":[{"n":"x","v":3}]}`,
		},
		{
			"keyed list: edit one element, remove the same", `{"l":[{"n":"x","v":1},{"n":"y","v":2}]}`,
			func(here, there *node) { here.edit(root, "/l/[x]/v", "3"); there.unset(root, "/l/[x]") },
			`{"l":[{"n":"x","v":3},{"n":"y","v":2}]}; delete/edit at /l/[x]: {"n":"x","v":3} > DEL`,
		},
		{
			"keyed list: both add", `{"l":[{"n":"x"}]}`,
			func(here, there *node) {
				here.json(root, `{"l":[{"n":"x"},{"n":"z","v":1}]}`, keyed)
				there.json(root, `{"l":[{"n":"y"},{"n":"x"}]}`, keyed)
			},
			`{"l":[{"n":"y"},{"n":"x"},{"n":"z","v":1}]}`,
		},
		{
			"keyed list becomes an object here, gets an element there", `{"l":[{"n":"x"}],"a":1}`,
			func(here, there *node) {
				here.edit(root, "/l", `{"x":1}`)
				there.json(root, `{"l":[{"n":"x"},{"n":"y"}],"a":1}`, keyed)
			},
			`{"l":[{"n":"x"},{"n":"y"}],"a":1}; type at /l: [{"n":"x"},{"n":"y"}] > {"x":1}`,
		},
		{
			"an object here, a keyed list there", `{"a":1}`,
			func(here, there *node) {
				here.edit(root, "/l", `{"x":1}`)
				there.json(root, `{"a":1,"l":[{"n":"x"}]}`, keyed)
			},
			`{"a":1,"l":[{"n":"x"}]}; type at /l: [{"n":"x"}] > {"x":1}`,
		},
		{
			"object, then string, then object on one side, an old field edited on the other", `{"o":{"a":1,"b":2}}`,
			func(here, there *node) {
				here.edit(root, "/o", `"s"`)
				here.edit(root, "/o", `{"a":1,"b":2}`)
				there.edit(root, "/o/a", "3")
			},
			`{"o":{"a":3,"b":2}}; delete/edit at /o: {"a":3,"b":2} > {"a":1,"b":2}`,
		},
		{
			"a side whose writer had removed more above it", `{"o":{"c":{"k":1}},"q":1}`,
			func(here, there *node) {
				third := here.node("third")
				third.learn(here)
				here.edit(root, "/o/c/z", "1")
				here.unset(root, "/o")
				here.edit(root, "/o", `{"c":{"k":2},"d":1}`)
				there.learn(here)
				here.unset(root, "/o/c")
				there.edit(root, "/o/c/k", "5")
				third.edit(root, "/q", "2")
			},
			`{"o":{"c":{"k":5},"d":1},"q":2}; delete/edit at /o/c: {"k":5} > DEL`,
		},
		{
			"json here, bytes there", `{"a":1}`,
			func(here, there *node) { here.edit(root, "/a", "2"); there.put(root, "raw") },
			`raw; type at /: raw > {"a":2}`,
		},
		{
			"json here, a counter there", `{"a":1}`,
			func(here, there *node) { there.count(root, 7); here.edit(root, "/a", "2") },
			`{"a":2}; type at /: {"a":2} > 7`,
		},
	} {
		t.Run(row.name, func(t *testing.T) { row.test(t) })
	}
}

func (row tricky) test(t *testing.T) {
	w := newWorld(t)
	here, there := w.node("here"), w.node("there")
	here.json(root, row.first, keyed)
	there.learn(here)
	row.run(here, there)
	meet(here, there)
	shows(t, root, row.want, here, there)
}

// TestTrickyOpenings are rows where a key is not there at first.
func TestTrickyOpenings(t *testing.T) {
	for _, row := range []struct {
		name string
		run  func(t *testing.T, here, there *node)
	}{
		{"list schema declared, then one element edited, then a concurrent edit elsewhere", testSchemaDeclared},
		{"X writes, Y deletes having seen it, Z writes at once, unseen", testNeverWhatWasDeleted},
		{"resolved differently on two nodes at once", testResolvedDifferently},
		{"resolved equally on two nodes at once", testResolvedEqually},
		{"a late offline write on the losing side", testLateWrite},
		{"the same document created on two nodes", testCreatedTwice},
		{"an edit beside an open conflict", testBesideAConflict},
		{"an edit below a conflict of structures", testBelowAConflict},
		{"an edit that would empty an object around an open conflict", testAroundAConflict},
		{"a put over conflicts", testPutOverConflicts},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			row.run(t, w.node("here"), w.node("there"))
		})
	}
}

func testSchemaDeclared(t *testing.T, here, there *node) {
	here.json(root, `{"l":[{"n":"x","v":1},{"n":"y","v":2}],"a":1}`)
	there.learn(here)
	here.json(root, `{"l":[{"n":"x","v":1},{"n":"y","v":2}],"a":1}`, keyed)
	here.edit(root, "/l/[x]/v", "3")
	there.edit(root, "/a", "2")
	meet(here, there)
	shows(t, root, `{"l":[{"n":"x","v":3},{"n":"y","v":2}],"a":2}`, here, there)
}

func testNeverWhatWasDeleted(t *testing.T, x, y *node) {
	z := x.node("z")
	x.json(root, `{"x":1}`)
	y.learn(x)
	y.del(root)
	z.json(root, `{"z":1}`)
	meet(x, y, z)
	shows(t, root, `{"z":1}; delete/edit at /: {"z":1} > DEL`, x, y, z)
}

// dispute leaves conflicts at /a and /b.
func dispute(here, there *node) {
	here.json(root, `{"a":1,"b":1,"c":1}`)
	there.learn(here)
	here.json(root, `{"a":2,"b":2,"c":1}`)
	there.json(root, `{"a":3,"b":3,"c":1}`)
	meet(here, there)
}

func testResolvedDifferently(t *testing.T, here, there *node) {
	dispute(here, there)
	before := here.view(root).Conflicts
	here.settle(root, "/a", "2")
	there.settle(root, "/a", "3")
	meet(here, there)
	shows(t, root, `{"a":3,"b":3,"c":1}; value at /a: 3 > 2; value at /b: 3 > 2`, here, there)
	after := here.view(root).Conflicts
	if after[0].ID != before[0].ID || after[0].State == before[0].State || after[1].State != before[1].State {
		t.Errorf("conflicts %+v, and after that %+v", before, after)
	}
}

func testResolvedEqually(t *testing.T, here, there *node) {
	dispute(here, there)
	here.settle(root, "/a", "2")
	there.settle(root, "/a", "2")
	meet(here, there)
	shows(t, root, `{"a":2,"b":3,"c":1}; value at /b: 3 > 2`, here, there)
	here.settle(root, "/b", "2")
	meet(here, there)
	shows(t, root, `{"a":2,"b":2,"c":1}`, here, there)
}

func testLateWrite(t *testing.T, here, there *node) {
	late := here.node("late")
	here.json(root, `{"a":1,"b":1,"c":1}`)
	there.learn(here)
	late.learn(here)
	here.edit(root, "/a", "2")
	there.edit(root, "/a", "3")
	late.learn(here) // the losing side
	meet(here, there)
	here.settle(root, "/a", "3")
	late.edit(root, "/c", "9")
	meet(here, there)
	shows(t, root, `{"a":3,"b":1,"c":9}`, here, there)
	late.edit(root, "/a", "4")
	meet(here, there)
	shows(t, root, `{"a":4,"b":1,"c":9}; value at /a: 4 > 3`, here, there)
}

func testCreatedTwice(t *testing.T, here, there *node) {
	here.json(root, `{"a":1,"b":1}`)
	there.json(root, `{"c":1,"b":2}`)
	meet(here, there)
	shows(t, root, `{"c":1,"b":2,"a":1}; value at /b: 2 > 1`, here, there)
}

func testBesideAConflict(t *testing.T, here, there *node) {
	dispute(here, there)
	here.edit(root, "/c", "5")
	meet(here, there)
	shows(t, root, `{"a":3,"b":3,"c":5}; value at /a: 3 > 2; value at /b: 3 > 2`, here, there)
	_, err := here.context(root).Edit(crdt.JSON, "/a/x", parsed("1"))
	var conflict *crdt.ConflictError
	if !errors.As(err, &conflict) || conflict.Path != "/a" || conflict.ID != here.view(root).Conflicts[0].ID {
		t.Errorf("an edit below a conflict: %v", err)
	}
	d, err := here.context(root).Edit(crdt.JSON, "/a", parsed("7"))
	if err != nil || !d.Open || !slices.Equal(d.Settled, []crdt.Path{"/a"}) {
		t.Errorf("an edit at a conflict: %+v, %v", d, err)
	}
	here.do(root, d, err)
	shows(t, root, `{"a":7,"b":3,"c":5}; value at /b: 3 > 2`, here)
}

func testBelowAConflict(t *testing.T, here, there *node) {
	here.json(root, `{"o":{"a":1,"b":1},"c":1}`)
	there.learn(here)
	here.unset(root, "/o")
	there.edit(root, "/o/a", "2")
	meet(here, there)
	for _, d := range []*crdt.Document{parsed("9"), nil} {
		var conflict *crdt.ConflictError
		if d, err := here.context(root).Edit(crdt.JSON, "/o/b", d); !errors.As(err, &conflict) || conflict.Path != "/o" {
			t.Errorf("%+v, %v", d, err)
		}
	}
}

func testAroundAConflict(t *testing.T, here, there *node) {
	here.json(root, `{"o":{"a":1,"b":1},"c":1}`)
	here.create(staging, root)
	there.learn(here)
	here.unset(root, "/o/a")
	there.edit(staging, "/o/a", "2")
	meet(here, there)
	here.merge(staging, root)
	want := `{"o":{"b":1},"c":1}; delete/edit at /o/a: DEL > 2`
	shows(t, root, want, here)
	var conflict *crdt.ConflictError
	if _, err := here.context(root).Edit(crdt.JSON, "/o/b", nil); !errors.As(err, &conflict) || conflict.Path != "/o/a" {
		t.Errorf("{} would be written over the conflict: %v", err)
	}
	here.unset(root, "/o")
	shows(t, root, `{"c":1}`, here)
}

func testPutOverConflicts(t *testing.T, here, there *node) {
	dispute(here, there)
	d, err := here.context(root).Put(crdt.JSON, []byte(`{"a":3,"b":3,"c":1}`), nil)
	if err != nil || d.Empty || d.Open || !slices.Equal(d.Settled, []crdt.Path{"/a", "/b"}) {
		t.Errorf("%+v, %v", d, err)
	}
	here.do(root, d, err)
	meet(here, there)
	shows(t, root, `{"a":3,"b":3,"c":1}`, here, there)
	if d, err := here.context(root).Put(crdt.JSON, []byte(`{"a":3,"b":3,"c":1}`), nil); err != nil || !d.Empty {
		t.Errorf("the same again: %+v, %v", d, err)
	}
	d, err = here.context(root).Put(crdt.JSON, []byte(` {"c":1,"b":3,"a":3.0}`), nil)
	if p, bad := crdt.DecodeDocument(d.Payload); err != nil || bad != nil || d.Empty || len(p.Paths) > 0 {
		t.Errorf("the same in other words: %+v, %v", d, err)
	}
}
