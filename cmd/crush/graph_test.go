package main

import (
	"fmt"
	"strings"
	"testing"
)

// drawn draws nodes, given as "id parent parent", with a * before a head and a
// - before one that is hidden.
func drawn(style graphStyle, nodes ...string) string {
	g := &graph{style: style}
	var b strings.Builder
	for _, text := range nodes {
		words := strings.Fields(strings.TrimLeft(text, "*-"))
		n := graphNode{id: words[0], parents: words[1:], head: text[0] == '*', hidden: text[0] == '-'}
		left, corners := g.add(n)
		if !n.hidden {
			fmt.Fprintf(&b, "%s  %s\n", left, n.id)
		}
		for _, c := range corners {
			b.WriteString(c + "\n")
		}
	}
	return b.String()
}

func TestGraph(t *testing.T) {
	for name, test := range map[string]struct {
		nodes          []string
		ascii, unicode string
	}{
		"nothing": {nil, "", ""},
		"one line": {
			[]string{"*c b", "b a", "a"},
			"*  c\no  b\no  a\n",
			"●  c\n○  b\n○  a\n",
		},
		"a fork": {
			[]string{"*s a", "*d a", "a"},
			"*  s\n| *  d\n+-'\no  a\n",
			"●  s\n│ ●  d\n├─╯\n○  a\n",
		},
		"a fork and its merge": {
			[]string{"*m d s", "s a", "d a", "a"},
			"*  m\n+-.\n| o  s\no |  d\n+-'\no  a\n",
			"●  m\n├─╮\n│ ○  s\n○ │  d\n├─╯\n○  a\n",
		},
		"an octopus": {
			[]string{"*m a b c", "c r", "b r", "a r", "r"},
			"*  m\n+-.-.\n| | o  c\n| o |  b\n| +-'\no |  a\n+-'\no  r\n",
			"●  m\n├─┬─╮\n│ │ ○  c\n│ ○ │  b\n│ ├─╯\n○ │  a\n├─╯\n○  r\n",
		},
		"criss-cross": {
			[]string{"*m2 b a", "*m1 a b", "b r", "a r", "r"},
			"*  m2\n+-.\n| | *  m1\n+-+-'\no |  b\n| o  a\n+-'\no  r\n",
			"●  m2\n├─╮\n│ │ ●  m1\n├─┼─╯\n○ │  b\n│ ○  a\n├─╯\n○  r\n",
		},
		"two roots": {
			[]string{"*b", "*a"},
			"*  b\n*  a\n",
			"●  b\n●  a\n",
		},
		"a line that crosses others": {
			[]string{"*x r", "*y q", "*m p x2", "x2 r", "p r", "q r", "r"},
			"*  x\n| *  y\n| | *  m\n| | +-.\n| | | o  x2\n+-|-|-'\n| | o  p\n+-|-'\n| o  q\n+-'\no  r\n",
			"●  x\n│ ●  y\n│ │ ●  m\n│ │ ├─╮\n│ │ │ ○  x2\n├─│─│─╯\n│ │ ○  p\n├─│─╯\n│ ○  q\n├─╯\n○  r\n",
		},
		"what never comes": {
			[]string{"*m a b", "b z"},
			"*  m\n+-.\n| o  b\n",
			"●  m\n├─╮\n│ ○  b\n",
		},
		"hidden ones": {
			[]string{"-top c", "*c b", "-b a x", "x a", "-a z", "z"},
			"*  c\n+-.\n| o  x\n+-'\no  z\n",
			"●  c\n├─╮\n│ ○  x\n├─╯\n○  z\n",
		},
		"named twice": {
			[]string{"*b a a", "a"},
			"*  b\no  a\n",
			"●  b\n○  a\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := drawn(asciiGraph, test.nodes...); got != test.ascii {
				t.Errorf("got\n%swant\n%s", got, test.ascii)
			}
			if got := drawn(unicodeGraph, test.nodes...); got != test.unicode {
				t.Errorf("got\n%swant\n%s", got, test.unicode)
			}
		})
	}
}

// TestGraphOfMany: two hundred lines do not make a row of four hundred
// characters, and every node has its mark.
func TestGraphOfMany(t *testing.T) {
	all := graphNode{id: "all", head: true}
	for i := range 200 {
		all.parents = append(all.parents, fmt.Sprint("h", i))
	}
	g := &graph{style: asciiGraph}
	left, corners := g.add(all)
	if want := "+" + strings.Repeat("-.", graphColumns-1) + "-..."; left != "*" || len(corners) != 1 || corners[0] != want {
		t.Errorf("got %q %q, want %q", left, corners, want)
	}
	for i, id := range all.parents {
		left, corners := g.add(graphNode{id: id})
		want := strings.Repeat("  ", graphColumns) + "... o"
		if i < graphColumns {
			want = strings.Repeat("  ", i) + "o " + strings.Repeat("| ", graphColumns-1-i) + "..."
		}
		if left != want || corners != nil {
			t.Fatalf("%s: got %q %q, want %q", id, left, corners, want)
		}
	}
	if left, _ := g.add(graphNode{id: "root"}); left != "o" {
		t.Errorf("the columns are not free: %q", left)
	}
}

func TestGraphStyle(t *testing.T) {
	for _, test := range []struct {
		terminal bool
		locale   map[string]string
		unicode  bool
	}{
		{true, map[string]string{"LANG": "de_DE.UTF-8"}, true},
		{true, map[string]string{"LANG": "C.utf8"}, true},
		{true, map[string]string{"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, false},
		{true, map[string]string{"LANG": "C", "LC_CTYPE": "en_US.UTF-8"}, true},
		{true, nil, false},
		{false, map[string]string{"LANG": "de_DE.UTF-8"}, false},
	} {
		style := graphStyleFor(test.terminal, func(name string) (string, bool) { v, ok := test.locale[name]; return v, ok })
		if (style.node == unicodeGraph.node) != test.unicode {
			t.Errorf("%+v: drawn with %s", test, style.node)
		}
	}
}
