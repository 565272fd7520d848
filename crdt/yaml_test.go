package crdt_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"crush/crdt"
)

// TestParseYAML: the JSON beside each text is what the specification of YAML
// 1.2.2, from which most of them are, says that it is.
func TestParseYAML(t *testing.T) {
	for _, test := range []struct{ yaml, json string }{
		{"", "null"},
		{"# only a comment\n", "null"},
		{"\ufeffa: 1", `{"a":1}`},
		{"a: 1\r\nb:\r\n  - x\r\n", `{"a":1,"b":["x"]}`},
		{"%YAML 1.2\n---\na: 1\n...\n", `{"a":1}`},
		{"american:\n- Boston Red Sox\n- Detroit Tigers\nnational:\n- New York Mets\n", `{"american":["Boston Red Sox","Detroit Tigers"],"national":["New York Mets"]}`},
		{"-\n  name: Mark McGwire\n  hr:   65\n  avg:  0.278\n", `[{"name":"Mark McGwire","hr":65,"avg":0.278}]`},
		{"Mark McGwire: {hr: 65, avg: 0.278}\n", `{"Mark McGwire":{"hr":65,"avg":0.278}}`},
		{"--- >\n  Mark McGwire's\n  year was crippled\n  by a knee injury.\n", `"Mark McGwire's year was crippled by a knee injury.\n"`},
		{"plain:\n  This unquoted scalar\n  spans many lines.\n\nquoted: \"So does this\n  quoted scalar.\\n\"\n", `{"plain":"This unquoted scalar spans many lines.","quoted":"So does this quoted scalar.\n"}`},
		{"unicode: \"Sosa did fine.\\u263A\"\ncontrol: \"\\b1998\\t1999\\t2000\\n\"\nsingle: '\"Howdy!\" he cried.'\nquoted: ' # Not a ''comment''.'\n", `{"unicode":"Sosa did fine.☺","control":"\b1998\t1999\t2000\n","single":"\"Howdy!\" he cried.","quoted":" # Not a 'comment'."}`},
		{"a: |\n one\n\n  two\nb: |-\n x\nc: |+\n x\n\n", `{"a":"one\n\n two\n","b":"x","c":"x\n\n"}`},
		{"a: [b, {c: d}, 'e']\nf: {}\ng: []\n", `{"a":["b",{"c":"d"},"e"],"f":{},"g":[]}`},
		{"[a, b: c]", `["a",{"b":"c"}]`},
		{"? a\n: b\n", `{"a":"b"}`},
		{"{\"a\":1,\"b\":[true,null]}", `{"a":1,"b":[true,null]}`},
		{"a: &x 1\nb: *x\nc: &y {d: e}\nf: [*y, *y]\n", `{"a":1,"b":1,"c":{"d":"e"},"f":[{"d":"e"},{"d":"e"}]}`},
		// The core schema.
		{"[null, Null, NULL, ~]", `[null,null,null,null]`},
		{"a:\nb:", `{"a":null,"b":null}`},
		{"[true, True, TRUE, false, False, FALSE]", `[true,true,true,false,false,false]`},
		{"[yes, no, on, off, y, n, tRue, nUll]", `["yes","no","on","off","y","n","tRue","nUll"]`},
		{"[0, -19, +7, 007, 0o14, 0x3A, 0xfF]", `[0,-19,7,7,12,58,255]`},
		{"[1_000, 0b11, 0o8, 0x, -0x1, 1:30, 2026-11-22, 1.2.3]", `["1_000","0b11","0o8","0x","-0x1","1:30","2026-11-22","1.2.3"]`},
		{"[0., -0.0, .5, +12e03, -2E+05, 6.8523015e+5, 1e999999]", `[0,0,0.5,12e3,-2e5,685230.15,1e999999]`},
		{"[., e5, 1e, 1e+, '1', \"true\", '']", `[".","e5","1e","1e+","1","true",""]`},
		{"[!!str 5, !!str, !!int 5, !!float 5, !!null ~, !!bool true, ! 7]", `["5","",5,5,null,true,"7"]`},
		{"a: !!map {b: c}\nd: !!seq [e]\n", `{"a":{"b":"c"},"d":["e"]}`},
		{"0x" + strings.Repeat("f", 999), `"0x` + strings.Repeat("f", 999) + `"`},
		// Names are strings.
		{"1: a\ntrue: b\n~: c\n'': d\n0x10: e\n", `{"1":"a","true":"b","~":"c","":"d","0x10":"e"}`},
		{"on: push\n", `{"on":"push"}`},
		// Merge keys.
		{"x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3, c: 4}\n", `{"x":{"a":1,"b":2},"y":{"a":1,"b":3,"c":4}}`},
		{"y: {b: 3, <<: {a: 1, b: 2}}\n", `{"y":{"a":1,"b":3}}`},
		{"y: {<<: [{a: 1}, {a: 2, b: 2}]}\n", `{"y":{"a":1,"b":2}}`},
		{"y: {'<<': 1}\nz: <<\n", `{"y":{"<<":1},"z":"<<"}`},
	} {
		d, err := crdt.ParseDocument(crdt.YAML, []byte(test.yaml), nil)
		if err != nil {
			t.Errorf("%q: %v", test.yaml, err)
			continue
		}
		if want := parseJSON(t, test.json); d.Sum() != want.Sum() {
			t.Errorf("%q is %v, want %v", test.yaml, maps.Collect(d.Leaves()), maps.Collect(want.Leaves()))
		}
	}
}

func TestParseYAMLRefuses(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"a: 1\nb: [1, 2\n", "line 2, column 4: "},
		{"a: 1\n  b: 2\n", "line 1, column 4: "},
		{"é: 1\nü: \"x\n", "line 2, column 4: "},
		{"a: 1\nb: 2\na: 3\n", `line 3, column 1: the key "a" is there twice`},
		{"1: a\n'1': b\n", `line 2, column 1: the key "1" is there twice`},
		{"a: \xff\n", "line 1, column 4: 0xff is not valid UTF-8 here"},
		{"a: .inf\n", "line 1, column 4: the number .inf has no exact value"},
		{"a: [-.INF]\n", "line 1, column 5: the number -.INF has no exact value"},
		{"a: .NaN\n", "the number .NaN has no exact value"},
		{"a: 1e999999999\n", "line 1, column 4: an exponent beyond 999999"},
		{"a: !Ref b\n", "line 1, column 4: the tag !Ref is none of the core schema"},
		{"a: !!int x\n", "line 1, column 4: the tag !!int at something else"},
		{"a: !!null b\n", "line 1, column 4: the tag !!null at something else"},
		{"%TAG ! tag:example.com,2000:\n---\na: 1\n", "line 1, column 1: a directive %TAG"},
		{"a: *b\n", "line 1, column 4: the alias *b has no anchor before it"},
		{"a: &a [*a]\n", "line 1, column 8: the alias *a has no anchor before it"},
		{"a: {<<: 1}\n", "the key << wants a mapping, or a list of them"},
		{"a: {<<: [1]}\n", "the key << wants mappings"},
		{"? [a]\n: b\n", "line 2, column 1: "},
		{"---\na: 1\n---\nb: [\n", "line 4, column 4: "},
		{"--- {a: 1\n", "line 1, column 5: "},
		{"a: 1\n... b\n", "line 2, column 4: only a comment may stand behind the end of a document"},
		{strings.Repeat("[", 10_000), "column 501: nested deeper than 500"},
		{strings.Repeat("- ", 10_000) + "a", "column 1001: nested deeper than 500"},
		{strings.Repeat("{a: ", 10_000), "nested deeper than 500"},
		{nested(10_000), "line 501, column 502: nested deeper than 500"},
		{strings.Repeat("- a\n", 20_001), "line 20001, column 1: a document with more than 20000 entries"},
		{strings.Repeat("---\n- a\n", 60_001), "more than 60000 entries"},
		{"- " + strings.Repeat("a", 1<<20), "line 1, column 1: a document longer than 1048576 bytes"},
		{bomb(30, 2), "with its aliases written out it is longer than 16777216 bytes"},
		{bomb(9, 9), "with its aliases written out it is longer than 16777216 bytes"},
		{bomb(600, 1), "nested deeper than 500"},
	} {
		d, err := crdt.ParseDocument(crdt.YAML, []byte(test.text), nil)
		syntax, ok := errors.AsType[*crdt.SyntaxError](err)
		if d != nil || !ok || syntax.Kind != crdt.YAML || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.60q: %.200v, want %s", test.text, err, test.want)
		}
	}
}

// nested is a mapping in a mapping, n times, of one more space each.
func nested(n int) string {
	var b strings.Builder
	for i := range n / 10 {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// bomb is a list of lists that doubles, or more, with each of its lines.
func bomb(lines, times int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 lol\n")
	for i := 1; i <= lines; i++ {
		alias := fmt.Sprintf("*a%d", i-1)
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(alias+",", times), ","))
	}
	return b.String()
}

func TestStreams(t *testing.T) {
	web := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: prod}\n"
	for _, test := range []struct{ name, text, leaves string }{
		{"one", "---\n" + web, "/apiVersion /kind /metadata/name /metadata/namespace"},
		{"one and an empty one", web + "---\n", "/[apps~1v1,Deployment,prod,web]/apiVersion /[apps~1v1,Deployment,prod,web]/kind /[apps~1v1,Deployment,prod,web]/metadata/name /[apps~1v1,Deployment,prod,web]/metadata/namespace"},
		{"two", web + "---\n{apiVersion: v1, kind: 'a,\\b', metadata: {name: x}}", `/[apps~1v1,Deployment,prod,web]/apiVersion /[apps~1v1,Deployment,prod,web]/kind /[apps~1v1,Deployment,prod,web]/metadata/name /[apps~1v1,Deployment,prod,web]/metadata/namespace /[v1,a\,\\b,,x]/apiVersion /[v1,a\,\\b,,x]/kind /[v1,a\,\\b,,x]/metadata/name`},
		{"the same twice", web + "---\n" + web, "/"},
		{"no names", "a: 1\n---\nb: 2\n", "/"},
		{"scalars", "--- a\n--- b\n", "/"},
		{"one without a name, and an empty one", "a: 1\n---\n# nothing\n", "/a"},
		{"only empty ones", "---\n---\n", "/"},
		{"ended", "a: 1\n...\n", "/a"},
	} {
		d, err := crdt.ParseDocument(crdt.YAML, []byte(test.text), nil)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		var paths []crdt.Path
		for p := range d.Leaves() {
			paths = append(paths, p)
		}
		if got := spellPaths(paths); got != test.leaves {
			t.Errorf("%s: %s, want %s", test.name, got, test.leaves)
		}
	}
	read := func(text string) crdt.Sum {
		d, err := crdt.ParseDocument(crdt.YAML, []byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		return d.Sum()
	}
	if read("a\n---\nb") == read("[a, b]") {
		t.Error("a stream is a list")
	}
	atomic := crdt.Lists{{Path: "/", Schema: crdt.AtomicList}}
	d, err := crdt.ParseDocument(crdt.YAML, []byte(web+"---\n"+strings.ReplaceAll(web, "web", "x")), atomic)
	if _, ok := d.Leaf(crdt.Root); err != nil || !ok {
		t.Errorf("a stream that is atomic by its schema: %v", err)
	}
	text, err := d.Render(crdt.YAML, nil)
	if err != nil || strings.Count(string(text), "---\n") != 2 {
		t.Errorf("it is rendered as %s, %v", text, err)
	}
	if text, err := d.Render(crdt.JSON, nil); err == nil {
		t.Errorf("a stream is rendered as JSON: %s", text)
	}
}

// FuzzParseYAML: what is read can be written again, whatever it is like.
func FuzzParseYAML(f *testing.F) {
	for _, s := range []string{
		likeYAML, likeStream, "a: &x [1, *x]", "a: &x 1\nb: *x\n<<: {c: 2}", "? a\n: |\n  b\n", "--- >\n a\n...\n", "{a: [b, c: d]}", "\xff", "a: 'x''y'\n\"b\\n\": ~",
		"- - a\n  - b\n- # c\n  d: e\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := crdt.ParseDocument(crdt.YAML, text, someLists)
		if err != nil {
			return
		}
		next := d.With(crdt.Root.Member("new"), d.At(crdt.Root))
		for p := range d.Leaves() {
			if p != crdt.Root && !p.IsElement() {
				next = next.With(p, nil)
				break
			}
		}
		for _, like := range [][]byte{text, nil} {
			for _, want := range []*crdt.Document{d, next} {
				made, err := want.Render(crdt.YAML, like)
				if err != nil && want == next {
					continue // it can be too deep, or mixed
				}
				back, bad := crdt.ParseDocument(crdt.YAML, made, append(want.Lists(), crdt.ListRule{Path: "/**", Schema: crdt.AtomicList}))
				if err != nil || bad != nil || back.Sum() != want.Sum() {
					t.Fatalf("%q is rendered as %q, %v, %v", text, made, err, bad)
				}
			}
		}
		if d.Lists() == nil {
			asJSON, err := d.Render(crdt.JSON, nil)
			if back, bad := crdt.ParseDocument(crdt.JSON, asJSON, nil); err == nil && (bad != nil || back.Sum() != d.Sum()) {
				t.Fatalf("%q is rendered as %q, %v", text, asJSON, bad)
			}
		}
	})
}
