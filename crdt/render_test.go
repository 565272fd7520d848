package crdt_test

import (
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"crush/crdt"
)

// TestRenderReadsBack: whatever a document is rendered like, the text reads
// back as it.
func TestRenderReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, other := drawDocument(t), drawDocument(t)
		like := []byte(someJSON().Draw(t, "like"))
		kind := rapid.SampledFrom([]crdt.Kind{crdt.JSON, crdt.YAML}).Draw(t, "kind")
		if kind == crdt.YAML {
			var err error
			if like, err = other.Render(crdt.YAML, nil); err != nil {
				t.Fatal(err)
			}
		}
		text, err := d.Render(kind, like)
		if err != nil {
			t.Fatal(err)
		}
		back, err := crdt.ParseDocument(kind, text, someLists)
		if err != nil || back.Sum() != d.Sum() {
			t.Fatalf("like %s it is %s, %v", like, text, err)
		}
		again, err := d.Render(kind, text)
		if err != nil || string(again) != string(text) {
			t.Fatalf("like %s it is %s, %v", text, again, err)
		}
	})
}

func render(t *testing.T, kind crdt.Kind, text, like string) string {
	t.Helper()
	d := parseJSON(t, text, someLists...)
	got, err := d.Render(kind, []byte(like))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return string(got)
}

func TestRenderJSON(t *testing.T) {
	for _, test := range []struct{ text, like, want string }{
		{`{"b":1,"a":{"c":[1,{"x":2}],"d":{}}}`, ``, "{\n  \"b\": 1,\n  \"a\": {\n    \"c\": [\n      1,\n      {\n        \"x\": 2\n      }\n    ],\n    \"d\": {}\n  }\n}\n"},
		{`3.10`, ``, "3.10\n"},
		{`{"b":1,"a":2,"d":4,"c":3}`, `{"d":4,"b":9}`, `{"d":4,"b":1,"a":2,"c":3}`},
		{`{"b":1}`, "{\n\t\"a\": 1,\n\t\"b\": 1\n}\n", "{\n\t\"b\": 1\n}\n"},
		{`{"a":2,"b":{"x":[1]}}`, "{\n\t\"a\": 1\n}", "{\n\t\"a\": 2,\n\t\"b\": {\n\t\t\"x\": [\n\t\t\t1\n\t\t]\n\t}\n}"},
		{`{"a":2,"b":{"x" : [ 1 ] }}`, "{ \"b\": {\"x\" :[ 1.0 ] }, \"a\": 1 }", "{\"b\": {\"x\" :[ 1.0 ] }, \"a\": 2}"},
		{`{"a":1.50}`, `{"a":1.5}`, `{"a":1.5}`},
		{`{"a":[1,2,9,4]}`, "{\n  \"a\": [1, 2, 3, 4]\n}\n", "{\n  \"a\": [1, 2, 9, 4]\n}\n"},
		{`{"a":{"y":1,"z":2}}`, "{\n  \"a\": {\"z\": 2, \"y\": 0}\n}\n", "{\n  \"a\": {\"z\": 2, \"y\": 1}\n}\n"},
		{`{"s":["c","b","a"]}`, `{"s":["b","x","a"]}`, `{"s":["b","a","c"]}`},
		{`{"m":[{"a":"p","v":1},{"a":"q","v":2},{"a":"r"}]}`, `{"m":[{"v":2,"a":"q"},{"a":"p","v":0}]}`, `{"m":[{"v":2,"a":"q"},{"a":"p","v":1},{"a":"r"}]}`},
		{`{"a":1,"b":2}`, `{"a":1}`, `{"a":1,"b":2}`},
		{`{"a":[[1,2],[4]]}`, `{"a":[[1 ,2],[3]]}`, `{"a":[[1 ,2],[4]]}`},
		{`{"a":1}`, `not JSON`, "{\n  \"a\": 1\n}\n"},
		{`{"a":{}}`, `{"a":{"b":1}}`, `{"a":{}}`},
		{`[1]`, "\n {}\n\n", "\n [1]\n\n"},
	} {
		if got := render(t, crdt.JSON, test.text, test.like); got != test.want {
			t.Errorf("%s like %s:\n%s\nwant\n%s", test.text, test.like, got, test.want)
		}
	}
}

const likeYAML = `# the whole file
name: web   # what it is
replicas: 3

# where it listens
ports:
  - 80   # plain
  - 443  # with TLS

image:
  # pinned by digest
  name: "nginx"
  tag: '1.25'
  env: {A: 1, B: two}
script: |
  set -e
  run
# nothing below
`

func TestRenderYAML(t *testing.T) {
	type edit struct {
		at   crdt.Path
		json string // "" removes
	}
	for name, test := range map[string]struct {
		edits     []edit
		old, next []string // the lines that should differ
	}{
		"scalar":         {[]edit{{"/replicas", "5"}}, []string{"replicas: 3"}, []string{"replicas: 5"}},
		"with comment":   {[]edit{{"/name", `"db"`}}, []string{"name: web   # what it is"}, []string{"name: db   # what it is"}},
		"quoted":         {[]edit{{"/image/name", `"caddy"`}}, []string{`  name: "nginx"`}, []string{`  name: "caddy"`}},
		"quoted numbers": {[]edit{{"/image/tag", `"1.26"`}}, []string{`  tag: '1.25'`}, []string{`  tag: "1.26"`}},
		"to a number":    {[]edit{{"/image/tag", `1.26`}}, []string{`  tag: '1.25'`}, []string{`  tag: 1.26`}},
		"removed":        {[]edit{{"/image/name", ""}}, []string{`  # pinned by digest`, `  name: "nginx"`}, nil},
		"removed block":  {[]edit{{"/script", ""}}, []string{"script: |", "  set -e", "  run"}, nil},
		"added":          {[]edit{{"/image/arch", `"amd64"`}}, nil, []string{"  arch: amd64"}},
		"added at top":   {[]edit{{"/zone", `{"a":[1,{"b":2}]}`}}, nil, []string{"zone:", "  a:", "    - 1", "    - b: 2"}},
		"flow":           {[]edit{{"/image/env/B", `"three"`}}, []string{"  env: {A: 1, B: two}"}, []string{"  env: {A: 1, B: three}"}},
		"list":           {[]edit{{"/ports", "[80,8443]"}}, []string{"  - 443  # with TLS"}, []string{"  - 8443  # with TLS"}},
		"list grows":     {[]edit{{"/ports", "[80,81,443]"}}, nil, []string{"  - 81"}},
		"list shrinks":   {[]edit{{"/ports", "[443]"}}, []string{"  - 80   # plain"}, nil},
		"to a scalar":    {[]edit{{"/ports", "80"}}, []string{"ports:", "  - 80   # plain", "  - 443  # with TLS"}, []string{"ports: 80"}},
		"to structure":   {[]edit{{"/name", `{"x":1}`}}, []string{"name: web   # what it is"}, []string{"name: # what it is", "  x: 1"}},
		"emptied":        {[]edit{{"/image", `{}`}}, []string{"image:", "  # pinned by digest", `  name: "nginx"`, `  tag: '1.25'`, "  env: {A: 1, B: two}"}, []string{"image: {}"}},
		"literal":        {[]edit{{"/script", `"a\nb\n"`}}, []string{"  set -e", "  run"}, []string{"  a", "  b"}},
		"list to lines":  {[]edit{{"/ports", `"a\nb"`}}, []string{"ports:", "  - 80   # plain", "  - 443  # with TLS"}, []string{"ports: |-", "  a", "  b"}},
		"to lines":       {[]edit{{"/name", `"a\nb"`}}, []string{"name: web   # what it is"}, []string{"name: |-", "  a", "  b"}},
		"many":           {[]edit{{"/replicas", "1"}, {"/image/name", `"x y"`}, {"/new", "true"}}, []string{"replicas: 3", `  name: "nginx"`}, []string{"replicas: 1", `  name: "x y"`, "new: true"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := crdt.ParseDocument(crdt.YAML, []byte(likeYAML), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range test.edits {
				var sub *crdt.Document
				if e.json != "" {
					sub = parseJSON(t, e.json)
				}
				d = d.With(e.at, sub)
			}
			got, err := d.Render(crdt.YAML, []byte(likeYAML))
			if err != nil {
				t.Fatal(err)
			}
			removed, added := lineDiff(likeYAML, string(got))
			if strings.Join(removed, "\n") != strings.Join(test.old, "\n") || strings.Join(added, "\n") != strings.Join(test.next, "\n") {
				t.Errorf("%s\nremoves %q, want %q\nadds %q, want %q", got, removed, test.old, added, test.next)
			}
		})
	}
}

// TestRenderKeepsComments: one scalar changes, and only its line.
func TestRenderKeepsComments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDocument(t)
		plain, err := d.Render(crdt.YAML, nil)
		if err != nil {
			t.Fatal(err)
		}
		var like strings.Builder
		for line := range strings.Lines(string(plain)) {
			indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
			if rapid.Bool().Draw(t, "before") {
				like.WriteString(indent + "# before é\n")
			}
			if rapid.Bool().Draw(t, "empty") {
				like.WriteString("\n")
			}
			like.WriteString(strings.TrimSuffix(line, "\n"))
			if rapid.Bool().Draw(t, "behind") {
				like.WriteString(" # behind")
			}
			like.WriteString("\n")
		}
		d, err = crdt.ParseDocument(crdt.YAML, []byte(like.String()), someLists)
		if err != nil {
			t.Fatalf("%s: %v", like.String(), err)
		}
		var scalars []crdt.Path
		for p, l := range d.Leaves() {
			if name, _ := p.Last(); name != "a" && !p.IsElement() && !strings.ContainsAny(l.JSON[:1], "[{") {
				scalars = append(scalars, p)
			}
		}
		if len(scalars) == 0 {
			return
		}
		sub, err := crdt.ParseDocument(crdt.JSON, []byte(rapid.SampledFrom([]string{"7", `"new: #x"`, "null"}).Draw(t, "value")), nil)
		if err != nil {
			t.Fatal(err)
		}
		changed := d.With(rapid.SampledFrom(scalars).Draw(t, "at"), sub)
		got, err := changed.Render(crdt.YAML, []byte(like.String()))
		if err != nil {
			t.Fatal(err)
		}
		if removed, added := lineDiff(like.String(), string(got)); len(removed) > 1 || len(added) > 1 {
			t.Fatalf("%s\nbecomes\n%s", like.String(), got)
		}
	})
}

func TestRenderAnchors(t *testing.T) {
	const like = "base: &b # shared\n  x: 1\n  w: 2\none:\n  <<: *b # all of it\n  w: 3\ntwo: *b\n"
	for _, test := range []struct {
		at         crdt.Path
		json, want string
	}{
		{"/one/w", "4", strings.Replace(like, "w: 3", "w: 4", 1)},
		{"/one/z", "4", strings.Replace(like, "w: 3\n", "w: 3\n  z: 4\n", 1)},
		{"/one/x", "4", strings.Replace(like, "w: 3\n", "w: 3\n  x: 4\n", 1)},
		{"/two", "4", strings.Replace(like, "two: *b", "two: 4", 1)},
		{"/two/x", "4", strings.Replace(like, "two: *b", "two:\n  x: 4\n  w: 2", 1)},
		{"/base/x", "4", "base: &b # shared\n  x: 4\n  w: 2\none:\n  w: 3\n  x: 1\ntwo:\n  x: 1\n  w: 2\n"},
		{"/one/x", "", "base: &b # shared\n  x: 1\n  w: 2\none:\n  w: 3\ntwo:\n  x: 1\n  w: 2\n"},
	} {
		d, err := crdt.ParseDocument(crdt.YAML, []byte(like), nil)
		if err != nil {
			t.Fatal(err)
		}
		var sub *crdt.Document
		if test.json != "" {
			sub = parseJSON(t, test.json)
		}
		got, err := d.With(test.at, sub).Render(crdt.YAML, []byte(like))
		if err != nil || string(got) != test.want {
			t.Errorf("%s becomes %s: %v\n%s\nwant\n%s", test.at, test.json, err, got, test.want)
		}
	}
}

func TestRenderKeepsLayout(t *testing.T) {
	for _, test := range []struct {
		like string
		at   crdt.Path
		json string // "" removes
		want string
	}{
		{"a: # why\n  - 1\nb: 2\n", "/a", "3", "a: 3 # why\nb: 2\n"},
		{"a: 1 # why\n", "/a", "[2]", "a: # why\n  - 2\n"},
		{"a: 1\r\nb: 2\r\n", "/b", "3", "a: 1\r\nb: 3\r\n"},
		{"a: 1\r\nb: 2\r\n", "/b", "", "a: 1\r\n"},
		{"a: 1", "/b", "2", "a: 1\nb: 2\n"},
		{"# top\na: 1\n\n# end\n", "/b", "2", "# top\na: 1\nb: 2\n\n# end\n"},
		{"a:\n- x: 1\n  y: 2\n- z\n", "/a", `[{"x":1,"y":3},"z"]`, "a:\n- x: 1\n  y: 3\n- z\n"},
		{"a:\n- x: 1 # one\n- z\n", "/a", `[{"x":1},"new",{"x":[2]},"z"]`, "a:\n- x: 1 # one\n- new\n- x:\n    - 2\n- z\n"},
		{"a:\nb:\n", "/a", "1", "a: 1\nb:\n"},
		{"{a: 1, b: [2]} # flow\n", "/b", "[2,3]", "{a: 1, b: [2, 3]} # flow\n"},
		{"--- # one\na: 1\n...\n", "/a", "2", "--- # one\na: 2\n...\n"},
		{"é: {ü: \"ö\"}\nb: 1 # é\n", "/é/ü", `"x: é"`, "é: {ü: \"x: é\"}\nb: 1 # é\n"},
		{"? a\n: 1\n? b\n: 2\n", "/b", "3", "? a\n: 1\n? b\n: 3\n"},
		{"a: {}\n", "/a/b", "1", "a:\n  b: 1\n"},
		{"a:\n  # of b\n  b: 1\n  # of c\n  c: 2\n", "/a/b", "", "a:\n  # of c\n  c: 2\n"},
		{"a:\n  b: 1\n  # in a\n# of c\nc: 2\n", "/c", "", "a:\n  b: 1\n  # in a\n"},
		{"a: 'x'\n", "/a", `"it's"`, "a: \"it's\"\n"},
		{"a: x\n", "/a", `"yes"`, "a: \"yes\"\n"},
		{"a: x\n", "/a", `"\u0007\u0085\ufeff"`, `a: "\u0007\u0085\ufeff"` + "\n"},
	} {
		d, err := crdt.ParseDocument(crdt.YAML, []byte(test.like), nil)
		if err != nil {
			t.Fatalf("%q: %v", test.like, err)
		}
		var sub *crdt.Document
		if test.json != "" {
			sub = parseJSON(t, test.json)
		}
		got, err := d.With(test.at, sub).Render(crdt.YAML, []byte(test.like))
		if err != nil || string(got) != test.want {
			t.Errorf("%q with %s at %s is %q, %v, want %q", test.like, test.json, test.at, got, err, test.want)
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	leaf, _ := parseJSON(t, "1").Leaf(crdt.Root)
	for name, leaves := range map[string]map[crdt.Path]crdt.Leaf{
		"nothing":         nil,
		"mixed":           {"/a/b": leaf, "/a/[1]": leaf},
		"other identity":  {"/a/[2]": leaf},
		"no identity":     {"/a/[x]/b": leaf},
		"leaf and object": {"/a/[1]": leaf, "/a/[x]/b": leaf},
	} {
		d := crdt.NewDocument(maps.All(leaves))
		for _, kind := range []crdt.Kind{crdt.JSON, crdt.YAML} {
			if text, err := d.Render(kind, nil); err == nil {
				t.Errorf("%s: %s", name, text)
			}
		}
	}
}

const likeStream = `# all of it
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: prod}
# of the first
---
# nothing here
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web # its name
spec: {replicas: 1}
`

func TestRenderStream(t *testing.T) {
	d, err := crdt.ParseDocument(crdt.YAML, []byte(likeStream), nil)
	if err != nil {
		t.Fatal(err)
	}
	const deployment = crdt.Path("/[apps~1v1,Deployment,,web]")
	for name, test := range map[string]struct {
		at         crdt.Path
		json, want string
	}{
		"edited":   {deployment + "/spec/replicas", "2", strings.Replace(likeStream, "replicas: 1", "replicas: 2", 1)},
		"removed":  {deployment, "", likeStream[:strings.LastIndex(likeStream, "---")]},
		"first":    {"/[v1,Service,prod,web]", "", likeStream[:12] + likeStream[strings.LastIndex(likeStream, "---"):] + "---\n"},
		"added":    {"/[v1,X,,y]", `{"apiVersion":"v1","kind":"X","metadata":{"name":"y"}}`, likeStream + "---\napiVersion: v1\nkind: X\nmetadata:\n  name: \"y\"\n"},
		"replaced": {"/", `{"a":1}`, "a: 1\n"},
	} {
		var sub *crdt.Document
		if test.json != "" {
			sub = parseJSON(t, test.json)
		}
		got, err := d.With(test.at, sub).Render(crdt.YAML, []byte(likeStream))
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, test.want)
		}
	}
}

// lineDiff returns the lines that only one text has, which keep their order.
func lineDiff(old, next string) (removed, added []string) {
	count := map[string]int{}
	for line := range strings.Lines(next) {
		count[line]++
	}
	for line := range strings.Lines(old) {
		if count[line]--; count[line] < 0 {
			removed = append(removed, strings.TrimSuffix(line, "\n"))
		}
	}
	count = map[string]int{}
	for line := range strings.Lines(old) {
		count[line]++
	}
	for line := range strings.Lines(next) {
		if count[line]--; count[line] < 0 {
			added = append(added, strings.TrimSuffix(line, "\n"))
		}
	}
	return removed, added
}
