package crdt_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"crush/crdt"
)

// someLists are the schemas that random documents are read by.
var someLists = crdt.Lists{
	{Path: "/**/s", Schema: crdt.SetList},
	{Path: "/**/m", Schema: crdt.MapList("a")},
}

// someJSON draws documents in which little differs, so that two of them share
// much. The members s and m are often keyed lists.
func someJSON() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string { return drawJSON(t, 3) })
}

func drawJSON(t *rapid.T, depth int) string {
	if depth == 0 {
		return rapid.SampledFrom([]string{"null", "true", "1", "1.0", "2e3", `"x"`, `"\u0078"`, "{}", "[]", `["y"]`}).Draw(t, "scalar")
	}
	var b strings.Builder
	b.WriteByte('{')
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "s", "m", "", "[", "*", "x/y"}), 0, 4, rapid.ID[string]).Draw(t, "names")
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q: ", name)
		switch {
		case name == "s":
			items := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"1", `"1"`, "{}", `"~/"`, "[1]", "1.0", "2.50"}), 0, 3, rapid.ID[string]).Draw(t, "set")
			b.WriteString("[" + strings.Join(items, ",") + "]")
		case name == "m":
			b.WriteByte('[')
			for i, id := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"1", `"2"`, `"x/]"`, `""`}), 0, 3, rapid.ID[string]).Draw(t, "ids") {
				if i > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, `{"a": %s, "v": %s}`, id, drawJSON(t, depth-1))
			}
			b.WriteByte(']')
		default:
			b.WriteString(drawJSON(t, rapid.IntRange(0, depth-1).Draw(t, "depth")))
		}
	}
	b.WriteByte('}')
	return b.String()
}

func drawDocument(t *rapid.T) *crdt.Document {
	text := someJSON().Draw(t, "text")
	d, err := crdt.ParseDocument(crdt.JSON, []byte(text), someLists)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

func leaves(d *crdt.Document) map[crdt.Path]crdt.Sum {
	all := make(map[crdt.Path]crdt.Sum)
	for p, l := range d.Leaves() {
		all[p] = l.Sum
	}
	return all
}

// TestDiffApplies: the write set, applied to the leaves as rule 1 of the model
// says, makes the new of the old; it is ascending, and writes nothing that was
// so already.
func TestDiffApplies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var old *crdt.Document
		if rapid.Bool().Draw(t, "old") {
			old = drawDocument(t)
		}
		d := drawDocument(t)
		paths := crdt.Diff(old, d)
		if !slices.IsSortedFunc(paths, crdt.Path.Compare) || len(slices.Compact(slices.Clone(paths))) != len(paths) {
			t.Fatalf("not ascending: %q", paths)
		}
		got := leaves(old)
		for _, p := range paths {
			before := maps.Clone(got)
			maps.DeleteFunc(got, func(at crdt.Path, _ crdt.Sum) bool { return at.Within(p) })
			if l, ok := d.Leaf(p); ok {
				got[p] = l.Sum
			}
			if maps.Equal(before, got) {
				t.Errorf("the write at %q of %q writes nothing", p, paths)
			}
		}
		if want := leaves(d); !maps.Equal(got, want) {
			t.Fatalf("%q make %v, want %v", paths, got, want)
		}
		if (old.Sum() == d.Sum()) != (len(paths) == 0) {
			t.Fatalf("%d paths of equal documents", len(paths))
		}
	})
}

func TestDiff(t *testing.T) {
	for _, test := range []struct{ old, new, want string }{
		{``, `{"b":1,"a":{"c":[]}}`, "/a/c /b"},
		{``, `null`, "/"},
		{`{"a":1}`, ``, "/"},
		{`{"a":1}`, `{"a":1.0}`, ""},
		{`{"a":3.1}`, `{"a":3.10}`, ""},
		{`{"a":"1"}`, `{"a":1}`, "/a"},
		{`{"a":{"b":1,"c":2},"d":3}`, `{"d":3}`, "/a"},
		{`{"a":1}`, `{"a":{"b":1,"c":2}}`, "/a /a/b /a/c"},
		{`{"a":{"b":1,"c":2}}`, `{"a":1}`, "/a"},
		{`{"a":{"b":1}}`, `{"a":{}}`, "/a"},
		{`{"a":{}}`, `{"a":{"b":1}}`, "/a /a/b"},
		{`{"a":[1]}`, `{"a":[1,2]}`, "/a"},
		{`{"b":1}`, `{"a":1,"c":1}`, "/a /b /c"},
		{`{"s":["x","y"]}`, `{"s":["y","z"]}`, `/s/["x"] /s/["z"]`},
		{`{"s":["x"]}`, `{"s":{"x":1}}`, `/s /s/x`},
		{`{"s":{"x":1}}`, `{"s":["x"]}`, `/s /s/["x"]`},
		{`{"s":["x","x"]}`, `{"s":["x"]}`, `/s /s/["x"]`},
		{`{"m":[{"a":"p","v":1},{"a":"q","v":1}]}`, `{"m":[{"a":"q","v":2}]}`, `/m/[p] /m/[q]/v`},
		{`1`, `{"a":1}`, "/ /a"},
		{`{"a":1}`, `1`, "/"},
	} {
		var old, changed *crdt.Document
		if test.old != "" {
			old = parseJSON(t, test.old, someLists...)
		}
		if test.new != "" {
			changed = parseJSON(t, test.new, someLists...)
		}
		if got := spellPaths(crdt.Diff(old, changed)); got != test.want {
			t.Errorf("from %s to %s: %s, want %s", test.old, test.new, got, test.want)
		}
	}
	// What authors made who did not know of each other.
	leaf, _ := parseJSON(t, "1").Leaf(crdt.Root)
	mixed := crdt.NewDocument(maps.All(map[crdt.Path]crdt.Leaf{"/s/A": leaf, "/s/[1]": leaf, "/s/b": leaf}))
	for text, want := range map[string]string{`{"s":{"b":1}}`: "/s /s/b", `{"s":[1]}`: "/s /s/[1]"} {
		if got := spellPaths(crdt.Diff(mixed, parseJSON(t, text, someLists...))); got != want {
			t.Errorf("from an object that is a list too to %s: %s, want %s", text, got, want)
		}
	}
	if got := crdt.Diff(nil, nil); got != nil {
		t.Errorf("from nothing to nothing: %q", got)
	}
}

func spellPaths(paths []crdt.Path) string {
	var s []string
	for _, p := range paths {
		s = append(s, p.String())
	}
	return strings.Join(s, " ")
}

func TestSettle(t *testing.T) {
	d := parseJSON(t, `{"a":{"b":1,"c":{"d":2}},"e":3}`)
	for _, test := range []struct {
		at   crdt.Path
		want string
	}{
		{"/", "/ /a/b /a/c/d /e"}, {"/a", "/a /a/b /a/c/d"}, {"/e", "/e"}, {"/x/y", "/x/y"},
	} {
		if got := spellPaths(crdt.Settle(test.at, d)); got != test.want {
			t.Errorf("at %s: %s, want %s", test.at, got, test.want)
		}
	}
	if got := spellPaths(crdt.Settle("/a", nil)); got != "/a" {
		t.Errorf("by nothing: %s", got)
	}
}

// TestLeavesMakeTheDocument: a document is its leaves, whichever way they
// come, and its lists are found in them.
func TestLeavesMakeTheDocument(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDocument(t)
		all := maps.Collect(d.Leaves())
		made := crdt.NewDocument(maps.All(all))
		if made.Sum() != d.Sum() || !slices.Equal(made.Lists(), d.Lists()) {
			t.Fatalf("%v makes another", all)
		}
		var before crdt.Path
		for p := range made.Leaves() {
			if before != "" && before.Compare(p) >= 0 {
				t.Fatalf("%q comes before %q", before, p)
			}
			before = p
		}
	})
	if d := crdt.NewDocument(maps.All(map[crdt.Path]crdt.Leaf{})); d != nil {
		t.Error("no leaves make a document")
	}
	defer func() {
		if recover() == nil {
			t.Error("a leaf stands above another")
		}
	}()
	crdt.NewDocument(maps.All(map[crdt.Path]crdt.Leaf{"/a": {}, "/a/b": {}}))
}

// TestListsAreFound: the field that gives the identities is found, though
// another looks like it.
func TestListsAreFound(t *testing.T) {
	for _, test := range []struct{ text, field string }{
		{`[{"a":[1],"b":"[1]"}]`, "b"},
		{`[{"a":{},"b":"{}"}]`, "b"},
		{`[{"a":"1","b":1},{"a":"3","b":2}]`, "b"},
		{`[{"a":1,"b":1},{"b":2}]`, "b"},
		{`[{"b":"x"},{"b":"y","a":"y"}]`, "b"},
	} {
		d := parseJSON(t, test.text, crdt.ListRule{Path: "/", Schema: crdt.MapList(test.field)})
		want := crdt.Lists{{Path: "/", Schema: crdt.MapList(test.field)}}
		if got := d.Lists(); !slices.Equal(got, want) {
			t.Errorf("%s has the lists %v, want %v", test.text, got, want)
		}
	}
}

// TestWith holds With against the leaves that it should leave.
func TestWith(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, other := drawDocument(t), drawDocument(t)
		var places []crdt.Path
		for p := range d.Leaves() {
			places = append(places, p, p.Parent(), p.Parent().Parent(), p.Parent().Member("new"))
		}
		at := rapid.SampledFrom(places).Draw(t, "at")
		sub := other.At("/a")
		before := d.Sum()
		got := d.With(at, sub)
		if d.Sum() != before {
			t.Fatal("With changes its receiver")
		}
		if got.At(at).Sum() != sub.Sum() {
			t.Fatalf("at %q stands %v", at, leaves(got.At(at)))
		}
		outside := func(p crdt.Path, _ crdt.Sum) bool { return p.Within(at) || at.Below(p) }
		want, have := leaves(d), leaves(got)
		maps.DeleteFunc(want, outside)
		maps.DeleteFunc(have, outside)
		if !maps.Equal(have, want) {
			t.Fatalf("beside %q: %v, want %v", at, have, want)
		}
		// What is above is structure, or a container that has become empty.
		for p := at; p != crdt.Root && got != nil; {
			p = p.Parent()
			if l, ok := got.Leaf(p); ok && (sub != nil || l.JSON != "{}" && l.JSON != "[]") {
				t.Fatalf("%s at %q, above %q", l.JSON, p, at)
			}
		}
	})
}

func TestWithEmpties(t *testing.T) {
	for _, test := range []struct {
		text   string
		at     crdt.Path
		sub    string
		result string
	}{
		{`{"a":{"b":1}}`, "/a/b", "", `{"a":{}}`},
		{`{"s":["x"]}`, `/s/["x"]`, "", `{"s":[]}`},
		{`{"a":1}`, "/a", "", `{}`},
		{`{"a":1}`, "/b/c", "", `{"a":1}`},
		{`{"a":1}`, "/b/c", "2", `{"a":1,"b":{"c":2}}`},
		{`{"a":1}`, "/a/b", "2", `{"a":{"b":2}}`},
		{`{"a":1}`, "/", "2", `2`},
		{`{"a":{}}`, "/a/b", "{}", `{"a":{"b":{}}}`},
		{`{"s":["x"]}`, `/s/["y"]`, `"y"`, `{"s":["y","x"]}`},
		{``, "/a", "2", `{"a":2}`},
	} {
		var d, sub *crdt.Document
		if test.text != "" {
			d = parseJSON(t, test.text, someLists...)
		}
		if test.sub != "" {
			sub = parseJSON(t, test.sub)
		}
		if got, want := d.With(test.at, sub), parseJSON(t, test.result, someLists...); got.Sum() != want.Sum() {
			t.Errorf("%s with %s at %s: %v", test.text, test.sub, test.at, maps.Collect(got.Leaves()))
		}
	}
	if d := parseJSON(t, "1").With(crdt.Root, nil); d != nil || d.Has(crdt.Root) || d.Sum() != (crdt.Sum{}) || d.Lists() != nil {
		t.Error("nothing is left, and it is something")
	}
}

func TestKeyedLists(t *testing.T) {
	lists := crdt.Lists{
		{Path: "/x/atomic", Schema: crdt.AtomicList},
		{Path: "/**/set", Schema: crdt.SetList},
		{Path: "/x/*", Schema: crdt.MapList("id")},
		{Path: "/x/y", Schema: crdt.SetList}, // comes too late
	}
	for _, test := range []struct{ text, leaves, warning string }{
		{`{"x":{"atomic":[{"id":1}]}}`, `/x/atomic`, ""},
		{`{"x":{"y":[{"id":1.0,"v":2},{"id":"b/c"}]}}`, `/x/y/[1]/id /x/y/[1]/v /x/y/[b~1c]/id`, ""},
		{`{"x":{"y":[{"id":true,"set":[1,"1",{"b":1,"a":2.0}]}]}}`, `/x/y/[true]/id /x/y/[true]/set/["1"] /x/y/[true]/set/[1] /x/y/[true]/set/[{"a":2,"b":1}]`, ""},
		{`{"x":{"y":[{"id":1},{"id":"1"}]}}`, `/x/y`, `/x/y: the list is read as atomic, not map(id): the identity "1" is there twice`},
		{`{"x":{"y":[{"id":1},{}]}}`, `/x/y`, `/x/y: the list is read as atomic, not map(id): element 2 has no identity`},
		{`{"x":{"y":[{"id":null}]}}`, `/x/y`, `/x/y: the list is read as atomic, not map(id): element 1 has no identity`},
		{`{"x":{"y":[{"id":{}}]}}`, `/x/y`, `/x/y: the list is read as atomic, not map(id): element 1 has no identity`},
		{`{"x":{"y":[3]}}`, `/x/y`, `/x/y: the list is read as atomic, not map(id): element 1 has no identity`},
		{`{"set":[1,1.0]}`, `/set`, `/set: the list is read as atomic, not set: the identity "1" is there twice`},
		{`{"x":{"y":[]}}`, `/x/y`, ""},
		{`[[{"set":[1]}]]`, `/`, ""},
	} {
		d := parseJSON(t, test.text, lists...)
		var paths []crdt.Path
		for p := range d.Leaves() {
			paths = append(paths, p)
		}
		if got := spellPaths(paths); got != test.leaves {
			t.Errorf("%s: %s, want %s", test.text, got, test.leaves)
		}
		var warnings []string
		for _, w := range d.Warnings() {
			warnings = append(warnings, w.Path.String()+": "+w.Problem)
		}
		if got := strings.Join(warnings, "\n"); got != test.warning {
			t.Errorf("%s: warns %q, want %q", test.text, got, test.warning)
		}
		again := parseJSON(t, test.text, d.Lists()...)
		if again.Sum() != d.Sum() || again.Warnings() != nil {
			t.Errorf("%s is another by its own lists %v", test.text, d.Lists())
		}
	}
}

// TestWithAll: what is put at several paths at once is what is put there one
// after the other.
func TestWithAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, err := crdt.ParseDocument(crdt.JSON, []byte(drawSmallText(t, 3)), fewLists.Draw(t, "lists"))
		if err != nil {
			t.Fatal(err)
		}
		var parts []crdt.Part
		want := d
		paths := rapid.SliceOfDistinct(fewPaths, rapid.ID[crdt.Path]).Draw(t, "paths")
		slices.SortFunc(paths, crdt.Path.Compare)
		for _, p := range paths {
			if len(parts) > 0 && p.Within(parts[len(parts)-1].Path) {
				continue
			}
			var sub *crdt.Document
			if rapid.Bool().Draw(t, "there") {
				if sub, err = crdt.ParseDocument(crdt.JSON, []byte(drawSmallText(t, 1)), nil); err != nil {
					t.Fatal(err)
				}
			}
			parts = append(parts, crdt.Part{Path: p, Document: sub})
			want = want.With(p, sub)
		}
		if got := d.WithAll(parts); got.Sum() != want.Sum() {
			t.Fatalf("%s with %v is %s, want %s", d.JSON(), parts, got.JSON(), want.JSON())
		}
	})
}
