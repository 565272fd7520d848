package main

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestUnified(t *testing.T) {
	tests := map[string]struct{ old, new, want string }{
		"equal": {"a\n", "a\n", ""},
		"from nothing": {"", "a\nb\n", `--- old
+++ new
@@ -0,0 +1,2 @@
+a
+b
`},
		"to nothing": {"a\n", "", `--- old
+++ new
@@ -1 +0,0 @@
-a
`},
		"newline at the end": {"a", "a\n", `--- old
+++ new
@@ -1 +1 @@
-a
\ No newline at end of file
+a
`},
		"one line of many": {"1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n", `--- old
+++ new
@@ -2,7 +2,7 @@
 2
 3
 4
-5
+five
 6
 7
 8
`},
		"two hunks": {"a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n", `--- old
+++ new
@@ -1,4 +1,4 @@
-a
+A
 1
 2
 3
@@ -6,4 +6,4 @@
 5
 6
 7
-b
+B
`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := unified("old", "new", test.old, test.new); got != test.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, test.want)
			}
		})
	}
}

// TestLineEditsRebuild applies the edits of random pairs, and wants the new
// text and the shortest distance that a quadratic table finds.
func TestLineEditsRebuild(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	text := func() []string {
		lines := make([]string, r.IntN(30))
		for i := range lines {
			lines[i] = string(rune('a'+r.IntN(4))) + "\n"
		}
		return lines
	}
	for range 2_000 {
		a, b := text(), text()
		var out []string
		at, distance := 0, 0
		for _, e := range lineEdits(a, b) {
			out = append(out, a[at:e.A1]...)
			if e.B1 != len(out) {
				t.Fatalf("edit %+v of %q to %q: it is at line %d", e, a, b, len(out))
			}
			out = append(out, b[e.B1:e.B2]...)
			at = e.A2
			distance += e.A2 - e.A1 + e.B2 - e.B1
		}
		out = append(out, a[at:]...)
		if strings.Join(out, "") != strings.Join(b, "") {
			t.Fatalf("edits of %q to %q make %q", a, b, out)
		}
		if want := distanceOf(a, b); distance != want && !(len(a) == 0 && len(b) == 0) {
			t.Fatalf("distance of %q and %q: got %d, want %d", a, b, distance, want)
		}
	}
}

// distanceOf is the number of inserted and deleted lines, by dynamic programming.
func distanceOf(a, b []string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			best := min(row[j], row[j+1]) + 1
			if a[i] == b[j] {
				best = diagonal
			}
			diagonal, row[j+1] = row[j+1], best
		}
	}
	return row[len(b)]
}

func TestUnifiedGivesUp(t *testing.T) {
	a, b := strings.Repeat("a\n", 2*diffEffort), strings.Repeat("b\n", 2*diffEffort)
	got := unified("old", "new", "same\n"+a, "same\n"+b)
	if n := strings.Count(got, "\n-a"); n != 2*diffEffort {
		t.Errorf("%d deleted lines, want %d", n, 2*diffEffort)
	}
	if n := strings.Count(got, "\n+b"); n != 2*diffEffort {
		t.Errorf("%d inserted lines, want %d", n, 2*diffEffort)
	}
}
