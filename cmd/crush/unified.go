package main

import (
	"fmt"
	"strings"
)

const (
	// diffContext is how many equal lines a hunk shows around a change.
	diffContext = 3
	// diffEffort bounds the edit distance that is searched for; past it the
	// rest counts as replaced. The search keeps diffEffort² small integers.
	diffEffort = 1500
)

// edit is a run of lines: a[A1:A2] became b[B1:B2].
type edit struct{ A1, A2, B1, B2 int }

// unified returns the unified diff from old to new, "" if they are equal.
func unified(oldName, newName, old, new string) string {
	if old == new {
		return ""
	}
	a, b := splitLines(old), splitLines(new)
	edits := lineEdits(a, b)
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", oldName, newName)
	for len(edits) > 0 {
		n := 1
		for n < len(edits) && edits[n].A1-edits[n-1].A2 <= 2*diffContext {
			n++
		}
		writeHunk(&out, a, b, edits[:n])
		edits = edits[n:]
	}
	return out.String()
}

// splitLines cuts after every newline. A last line without one is kept as such.
func splitLines(s string) []string {
	var lines []string
	for line := range strings.Lines(s) {
		lines = append(lines, line)
	}
	return lines
}

func writeHunk(out *strings.Builder, a, b []string, edits []edit) {
	head, tail := edits[0], edits[len(edits)-1]
	before := min(diffContext, head.A1)
	after := min(diffContext, len(a)-tail.A2)
	fmt.Fprintf(out, "@@ -%s +%s @@\n",
		span(head.A1-before, tail.A2+after), span(head.B1-before, tail.B2+after))
	at := head.A1 - before
	for _, e := range edits {
		writeLines(out, ' ', a[at:e.A1])
		writeLines(out, '-', a[e.A1:e.A2])
		writeLines(out, '+', b[e.B1:e.B2])
		at = e.A2
	}
	writeLines(out, ' ', a[at:at+after])
}

// span writes the lines [from:to) as unified diffs do: from 1, an empty span
// by the line before it.
func span(from, to int) string {
	switch to - from {
	case 0:
		return fmt.Sprintf("%d,0", from)
	case 1:
		return fmt.Sprint(from + 1)
	}
	return fmt.Sprintf("%d,%d", from+1, to-from)
}

func writeLines(out *strings.Builder, mark byte, lines []string) {
	for _, line := range lines {
		out.WriteByte(mark)
		out.WriteString(line)
		if !strings.HasSuffix(line, "\n") {
			out.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// lineEdits finds what changed between a and b, by Myers' greedy algorithm
// (1986) between their common start and end.
func lineEdits(a, b []string) []edit {
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		start++
	}
	endA, endB := len(a), len(b)
	for endA > start && endB > start && a[endA-1] == b[endB-1] {
		endA, endB = endA-1, endB-1
	}
	rounds, found := myers(a[start:endA], b[start:endB])
	if !found {
		return []edit{{start, endA, start, endB}}
	}
	return joinSteps(rounds, start, endA-start, endB-start)
}

// myers returns, for every distance d, the furthest x on each diagonal
// -d … d before the round d, and whether the end was reached in time.
func myers(a, b []string) (rounds [][]int32, found bool) {
	v := map[int]int32{1: 0}
	for d := 0; d <= min(diffEffort, len(a)+len(b)); d++ {
		round := make([]int32, 2*d+3)
		for k := -d - 1; k <= d+1; k++ {
			round[k+d+1] = v[k]
		}
		rounds = append(rounds, round)
		for k := -d; k <= d; k += 2 {
			x := v[k-1] + 1
			if down(round, d, k) {
				x = v[k+1]
			}
			y := int(x) - k
			for int(x) < len(a) && y < len(b) && a[x] == b[y] {
				x, y = x+1, y+1
			}
			v[k] = x
			if int(x) >= len(a) && y >= len(b) {
				return rounds, true
			}
		}
	}
	return nil, false
}

// down reports whether the step onto diagonal k in round d inserts a line.
func down(round []int32, d, k int) bool {
	return k == -d || (k != d && round[k-1+d+1] < round[k+1+d+1])
}

// joinSteps walks the rounds back and returns the edits in order, shifted by
// start.
func joinSteps(rounds [][]int32, start, x, y int) []edit {
	var back []edit // in reverse order
	for d := len(rounds) - 1; d > 0; d-- {
		round, k := rounds[d], x-y
		e := edit{}
		if down(round, d, k) {
			px := int(round[k+1+d+1])
			py := px - (k + 1)
			e = edit{px, px, py, py + 1}
			x, y = px, py
		} else {
			px := int(round[k-1+d+1])
			py := px - (k - 1)
			e = edit{px, px + 1, py, py}
			x, y = px, py
		}
		if n := len(back); n > 0 && back[n-1].A1 == e.A2 && back[n-1].B1 == e.B2 {
			back[n-1].A1, back[n-1].B1 = e.A1, e.B1
			continue
		}
		back = append(back, e)
	}
	edits := make([]edit, 0, len(back))
	for i := len(back) - 1; i >= 0; i-- {
		e := back[i]
		edits = append(edits, edit{e.A1 + start, e.A2 + start, e.B1 + start, e.B2 + start})
	}
	return edits
}
