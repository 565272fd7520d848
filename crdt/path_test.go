package crdt_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"crush/crdt"
)

func TestParsePath(t *testing.T) {
	for _, good := range []string{
		"/", "/a", "/a/b", "/~3", "/~3/~3", "/~2", "/~2a]", "/~4", "/~4~0", "/a*", "/a[b]", "/~0~1", "/[]", "/[a]b]", "/[[]",
		"/[~0~1]", "/a b\x00", "/é", "/.", "/..", "/]", "/[*]",
	} {
		if p, err := crdt.ParsePath(good); err != nil || p.String() != good {
			t.Errorf("%q: %q, %v", good, p, err)
		}
	}
	for _, bad := range []string{
		"", "a", "//", "/a/", "//a", "/~", "/a~", "/~2~2", "/~5", "/a~2", "/a~3", "/~3a", "/[", "/[a", "/[a]b", "/[~2]", "/[~]",
		"/*", "/**", "/*a", "/\xff", strings.Repeat("/a", 501),
	} {
		if p, err := crdt.ParsePath(bad); err == nil {
			t.Errorf("%q is taken as %q", bad, p)
		}
	}
}

func TestPathNames(t *testing.T) {
	names := []string{"", "a", "/", "~", "~3", "[", "[a]", "*", "**", "~2", "a/b~c", "é\x00", "]", "a]", "[~/]", "1"}
	seen := map[crdt.Path]bool{}
	for _, name := range names {
		for _, element := range []bool{false, true} {
			p := crdt.Path("/top").Member(name)
			if element {
				p = crdt.Path("/top").Element(name)
			}
			if seen[p] {
				t.Errorf("%q names two places", p)
			}
			seen[p] = true
			if parsed, err := crdt.ParsePath(p.String()); err != nil || parsed != p {
				t.Errorf("%q of %q: %v", p, name, err)
			}
			if got, is := p.Last(); got != name || is != element || p.IsElement() != element {
				t.Errorf("the last step of %q is %q, %v", p, got, is)
			}
			if p.Parent() != "/top" || !p.Below("/top") {
				t.Errorf("%q is below %q", p, p.Parent())
			}
		}
	}
	if name, element := crdt.Root.Last(); name != "" || element || crdt.Root.Parent() != crdt.Root || crdt.Root.IsElement() {
		t.Errorf("the root's last step is %q", name)
	}
	if p := crdt.Root.Member("a"); p != "/a" || p.Parent() != crdt.Root {
		t.Errorf("%q below the root", p)
	}
}

func TestPathOrder(t *testing.T) {
	order := []crdt.Path{"/", "/\x00", "/a", "/a/z", "/a/~3", "/a\x00", "/a!", "/a.b", "/a0", "/ab/c", "/b"}
	for i, p := range order {
		for j, q := range order {
			if got := p.Compare(q); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%q compared with %q is %d", p, q, got)
			}
		}
	}
	within := []struct {
		p, top crdt.Path
		want   bool
	}{
		{"/", "/", true},
		{"/a", "/", true},
		{"/", "/a", false},
		{"/a", "/a", true},
		{"/a/b", "/a", true},
		{"/ab", "/a", false},
		{"/a", "/a/b", false},
		{"/b", "/a", false},
	}
	for _, test := range within {
		if got := test.p.Within(test.top); got != test.want {
			t.Errorf("%q within %q: %v", test.p, test.top, got)
		}
		if got := test.p.Below(test.top); got != (test.want && test.p != test.top) {
			t.Errorf("%q below %q: %v", test.p, test.top, got)
		}
	}
}

// somePath draws names that need escapes, and are equal often.
func somePath() *rapid.Generator[crdt.Path] {
	return rapid.Custom(func(t *rapid.T) crdt.Path {
		p := crdt.Root
		for range rapid.IntRange(0, 4).Draw(t, "depth") {
			name := rapid.StringOfN(rapid.RuneFrom([]rune("ab~/[]*!\x00é")), 0, 2, -1).Draw(t, "name")
			if rapid.Bool().Draw(t, "element") {
				p = p.Element(name)
			} else {
				p = p.Member(name)
			}
		}
		return p
	})
}

// TestPathProperties: what is made parses back; subtrees are contiguous.
func TestPathProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		paths := rapid.SliceOfN(somePath(), 1, 20).Draw(t, "paths")
		slices.SortFunc(paths, crdt.Path.Compare)
		for i, p := range paths {
			if parsed, err := crdt.ParsePath(string(p)); err != nil || parsed != p {
				t.Fatalf("%q: %q, %v", p, parsed, err)
			}
			inside := true
			for _, q := range paths[i:] {
				if q.Within(p) && !inside {
					t.Fatalf("what is within %q is not together in %q", p, paths)
				}
				inside = q.Within(p)
			}
		}
	})
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"/", "/a/~2b/[x~1y]", "/~3", "/~4", "/a//b", "/[a", "/~5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := crdt.ParsePath(s)
		if err != nil {
			return
		}
		if p.String() != s {
			t.Fatalf("%q is read as %q", s, p)
		}
		if p == crdt.Root {
			return
		}
		name, element := p.Last()
		back := p.Parent().Member(name)
		if element {
			back = p.Parent().Element(name)
		}
		if back != p {
			t.Fatalf("%q is made again as %q", p, back)
		}
	})
}

func TestPathPattern(t *testing.T) {
	tests := []struct {
		pattern string
		yes, no []crdt.Path
	}{
		{"/", []crdt.Path{"/"}, []crdt.Path{"/a"}},
		{"/**", []crdt.Path{"/", "/a", "/a/b"}, nil},
		{"/*", []crdt.Path{"/a", "/[x]", "/~3", "/~4"}, []crdt.Path{"/", "/a/b"}},
		{"/a/*/c", []crdt.Path{"/a/b/c", "/a/[x]/c"}, []crdt.Path{"/a/c", "/a/b/b/c", "/a/b"}},
		{"/**/c", []crdt.Path{"/c", "/a/c", "/c/c", "/a/b/c"}, []crdt.Path{"/", "/c/a"}},
		{"/a/**", []crdt.Path{"/a", "/a/b", "/a/b/c"}, []crdt.Path{"/", "/b", "/ab"}},
		{"/**/b/**/d/*", []crdt.Path{"/b/d/x", "/a/b/c/d/x", "/b/b/d/d/x"}, []crdt.Path{"/b/d", "/d/b/x", "/b/d/x/y"}},
		{"/~4", []crdt.Path{"/~4"}, []crdt.Path{"/a"}},
		{"/[*]", []crdt.Path{"/[*]"}, []crdt.Path{"/[a]"}},
	}
	for _, test := range tests {
		w, err := crdt.ParsePathPattern(test.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range test.yes {
			if !w.Matches(p) {
				t.Errorf("%q does not match %q", w, p)
			}
		}
		for _, p := range test.no {
			if w.Matches(p) {
				t.Errorf("%q matches %q", w, p)
			}
		}
	}
	for _, bad := range []string{"", "a", "*", "/*a", "/***", "/a/", "/[", "//"} {
		if w, err := crdt.ParsePathPattern(bad); err == nil {
			t.Errorf("%q is taken as %q", bad, w)
		}
	}
	// One ** more must not make it exponential.
	w := crdt.PathPattern(strings.Repeat("/**/a", 200) + "/b")
	if p := crdt.Path(strings.Repeat("/a", 500)); w.Matches(p) {
		t.Errorf("%q matches", w)
	}
}
