package crdt_test

import (
	"fmt"
	"strings"
	"testing"

	"crush/crdt"
)

// config is a JSON of about 10 KB, with 250 leaves.
func config(replicas int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "{\n  \"replicas\": %d", replicas)
	for i := range 62 {
		fmt.Fprintf(&b, ",\n  \"service-%d\": {\n    \"image\": \"registry.example.com/team/service:%d.4.1\",\n    \"port\": %d,\n", i, i, 8000+i)
		b.WriteString("    \"labels\": {\"tier\": \"backend\"},\n    \"args\": [\"--verbose\", \"--port=80\"]\n  }")
	}
	b.WriteString("\n}\n")
	return []byte(b.String())
}

func parse(b *testing.B, kind crdt.Kind, text []byte, lists ...crdt.ListRule) *crdt.Document {
	b.Helper()
	d, err := crdt.ParseDocument(kind, text, lists)
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// BenchmarkPut is what a put of one changed field costs here: the new text is
// read and compared, and the payload made.
func BenchmarkPut(b *testing.B) {
	text, next := config(3), config(4)
	old := parse(b, crdt.JSON, text)
	b.SetBytes(int64(len(next)))
	b.ReportAllocs()
	for b.Loop() {
		d := parse(b, crdt.JSON, next)
		paths := crdt.Diff(old, d)
		p := crdt.DocumentPayload{Text: next, Lists: d.Lists(), Paths: paths}
		if _, err := p.Encode(); err != nil || len(paths) != 1 {
			b.Fatal(paths, err)
		}
	}
}

// BenchmarkPutYAML does the same with YAML.
func BenchmarkPutYAML(b *testing.B) {
	text, err := parse(b, crdt.JSON, config(3)).Render(crdt.YAML, nil)
	if err != nil {
		b.Fatal(err)
	}
	old := parse(b, crdt.JSON, config(4))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if paths := crdt.Diff(old, parse(b, crdt.YAML, text)); len(paths) != 1 {
			b.Fatal(paths)
		}
	}
}

// BenchmarkRender writes one changed field into the text of the rest.
func BenchmarkRender(b *testing.B) {
	d := parse(b, crdt.JSON, config(4))
	for _, kind := range []crdt.Kind{crdt.JSON, crdt.YAML} {
		b.Run(kind.String(), func(b *testing.B) {
			like, err := parse(b, crdt.JSON, config(3)).Render(kind, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(like)))
			for b.Loop() {
				if _, err := d.Render(kind, like); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkList does a put of one changed element in lists of many: the time
// for each element must not grow with their number.
func BenchmarkList(b *testing.B) {
	for _, schema := range []crdt.ListSchema{crdt.AtomicList, crdt.SetList, crdt.MapList("id")} {
		for _, n := range []int{1_000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", schema, n), func(b *testing.B) {
				lists := crdt.ListRule{Path: "/list", Schema: schema}
				text, next := list(n, "a"), list(n, "b")
				old := parse(b, crdt.JSON, text, lists)
				for b.Loop() {
					d := parse(b, crdt.JSON, next, lists)
					p := crdt.DocumentPayload{Text: next, Lists: d.Lists(), Paths: crdt.Diff(old, d)}
					if _, err := p.Encode(); err != nil {
						b.Fatal(err)
					}
					if _, err := d.Render(crdt.JSON, text); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/element")
			})
		}
	}
}

// list has n elements, of which one has the value.
func list(n int, value string) []byte {
	var b strings.Builder
	b.WriteString(`{"list":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		v := "x"
		if i == n/2 {
			v = value
		}
		fmt.Fprintf(&b, `{"id":%d,"v":%q}`, i, v)
	}
	b.WriteString("]}")
	return []byte(b.String())
}
