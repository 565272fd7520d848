package crdt_test

import (
	"crypto/sha256"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"crush/crdt"
)

// line is a history of one fork that is kept as a caller would: by id.
type line struct {
	t         testing.TB
	revisions map[crdt.RevisionID]crdt.Revision
	lookups   int // of revisions
}

func newLine(t testing.TB) *line {
	return &line{t: t, revisions: make(map[crdt.RevisionID]crdt.Revision)}
}

func (l *line) Revision(id crdt.RevisionID) crdt.Revision {
	l.lookups++
	return l.revisions[id]
}

func (l *line) Origin(crdt.RevisionID) crdt.Origin { return crdt.Written }

func (l *line) Source() crdt.View { return crdt.View{} }

// write adds a revision that has seen others.
func (l *line) write(kind crdt.Kind, payload []byte, err error, parents ...crdt.Revision) crdt.Revision {
	if err != nil {
		l.t.Fatal(err)
	}
	r := crdt.Revision{Payload: payload}
	n := len(l.revisions)
	r.ID, r.Kind, r.Time, r.Value = sha256.Sum256(fmt.Append(nil, n)), kind, int64(n), sha256.Sum256(payload)
	for _, p := range parents {
		r.Parents = append(r.Parents, p.ID)
		r.Order.Lamport = max(r.Order.Lamport, p.Order.Lamport+1)
	}
	l.revisions[r.ID] = r
	return r
}

func (l *line) document(text string, lists crdt.Lists, paths []crdt.Path, parents ...crdt.Revision) crdt.Revision {
	b, err := crdt.DocumentPayload{Text: []byte(text), Lists: lists, Paths: paths}.Encode()
	return l.write(crdt.JSON, b, err, parents...)
}

func (l *line) heads(heads ...crdt.Revision) crdt.Visible {
	v := crdt.Visible{Key: key, History: l}
	for _, h := range heads {
		v.Heads = append(v.Heads, h.Write)
	}
	return v
}

// wide is a document of n members that all have a value.
func wide(n int, value string) (text string, paths []crdt.Path) {
	var members []string
	for i := range n {
		name := fmt.Sprintf("m%05d", i)
		members = append(members, fmt.Sprintf("%q:%s", name, value))
		paths = append(paths, crdt.Root.Member(name))
	}
	return "{" + strings.Join(members, ",") + "}", paths
}

// conflicts is a document that two writers changed in n places at once.
func conflicts(t testing.TB, n int) crdt.Visible {
	l := newLine(t)
	one, paths := wide(n, "1")
	two, _ := wide(n, "2")
	three, _ := wide(n, "3")
	base := l.document(one, nil, paths)
	return l.heads(l.document(two, nil, paths, base), l.document(three, nil, paths, base))
}

// groups is conflicts, each with structure on both sides: deleted, or edited.
func groups(t testing.TB, n int) crdt.Visible {
	l := newLine(t)
	one, paths := wide(n, `{"a":1,"b":1}`)
	two, _ := wide(n, `{"a":2,"b":1}`)
	base := l.document(one, nil, paths)
	edited := make([]crdt.Path, len(paths))
	for i, p := range paths {
		edited[i] = p.Member("a")
	}
	return l.heads(l.document("{}", nil, paths, base), l.document(two, nil, edited, base))
}

// many is a document of 100 members in which each of n heads changed one.
func many(t testing.TB, n int) crdt.Visible {
	l := newLine(t)
	text, paths := wide(100, "0")
	base := l.document(text, nil, paths)
	var heads []crdt.Revision
	for i := range n {
		text, _ := wide(100, fmt.Sprint(i+1))
		heads = append(heads, l.document(text, nil, paths[i%100:i%100+1], base))
	}
	return l.heads(heads...)
}

// long is a keyed list of n elements of which each of two writers changed one.
func long(t testing.TB, n int) crdt.Visible {
	l := newLine(t)
	lists := crdt.Lists{{Path: "/l", Schema: crdt.MapList("n")}}
	list := func(changed int) string {
		var items []string
		for i := range n {
			v := 1
			if i == changed {
				v = 2
			}
			items = append(items, fmt.Sprintf(`{"n":"e%05d","v":%d}`, i, v))
		}
		return `{"l":[` + strings.Join(items, ",") + `]}`
	}
	base := l.document(list(-1), lists, []crdt.Path{"/l"})
	return l.heads(
		l.document(list(5), lists, []crdt.Path{"/l/[e00005]/v"}, base),
		l.document(list(7), lists, []crdt.Path{"/l/[e00007]/v"}, base),
	)
}

// branches are n edits on each of two branches, of one member each.
func branches(t testing.TB, n int) crdt.Visible {
	l := newLine(t)
	text, paths := wide(10, "0")
	base := l.document(text, nil, paths)
	ends := [2]crdt.Revision{base, base}
	for i := range n {
		for b := range ends {
			text, _ := wide(10, fmt.Sprint(i))
			ends[b] = l.document(text, nil, paths[5*b:5*b+1], ends[b])
		}
	}
	return l.heads(ends[:]...)
}

// increments are n additions to a counter on each of two branches.
func increments(t testing.TB, n int) crdt.Visible {
	l := newLine(t)
	add := func(parents ...crdt.Revision) crdt.Revision {
		b, err := crdt.CounterPayload{Total: new(big.Int), N: 1}.Encode()
		return l.write(crdt.Counter, b, err, parents...)
	}
	base := add()
	ends := [2]crdt.Revision{base, base}
	for range n {
		for b := range ends {
			ends[b] = add(ends[b])
		}
	}
	return l.heads(ends[:]...)
}

// BenchmarkOpen reads a document beside whose conflict n fields were written one
// after the other, as who has just written does: of all but the last the state is
// remembered, or nothing is.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{10, 100, 1_000, 10_000} {
		l := newLine(b)
		text, _ := wide(200, "0")
		base := l.draft(l.heads(), put(text))
		with := make(memory)
		last := l.heads(l.draft(l.heads(base), edit("/m00001", "1")), l.draft(l.heads(base), edit("/m00001", "2")))
		var before crdt.Revision
		for i := range n {
			last.Memory = with
			before = l.draft(last, edit("/m00002", fmt.Sprint(i+1)))
			last = l.heads(before)
		}
		state := with[before.Parents[0]]
		for name, m := range map[string]memory{"remembered": {before.Parents[0]: state}, "walked": nil} {
			b.Run(fmt.Sprintf("%s=%d", name, n), func(b *testing.B) {
				for b.Loop() {
					if last.Memory = nil; m != nil {
						delete(m, before.ID)
						last.Memory = m
					}
					last.View()
				}
			})
		}
	}
}

func BenchmarkMerged(b *testing.B) {
	for _, bench := range []struct {
		name string
		make func(testing.TB, int) crdt.Visible
		n    []int
	}{
		{"conflicts", conflicts, []int{100, 1_000, 10_000}},
		{"groups", groups, []int{100, 1_000, 10_000}},
		{"heads", many, []int{20, 200, 2_000}},
		{"list", long, []int{100, 1_000, 10_000}},
		{"branches", branches, []int{10, 100, 1_000}},
		{"increments", increments, []int{100, 1_000, 10_000}},
	} {
		for _, n := range bench.n {
			b.Run(fmt.Sprintf("%s=%d", bench.name, n), func(b *testing.B) {
				in := bench.make(b, n)
				b.ReportAllocs()
				for b.Loop() {
					in.View()
				}
			})
		}
	}
}
