package crdt

import (
	"bytes"
	"sort"
)

// maxLineEdits bounds how many lines are removed and added between two texts
// that are compared line by line; past it they are not compared. It bounds what
// a comparison keeps of its search to 2 MB, and its steps to as many as lines
// times this.
const maxLineEdits = 1000

// lineNumbers gives equal lines equal numbers, across texts. A line is the
// bytes up to and with its newline, so that the last line of a text that has no
// newline at its end is another line than the same with one.
type lineNumbers map[string]int32

func (n lineNumbers) of(text []byte) []int32 {
	out := make([]int32, 0, bytes.Count(text, []byte("\n"))+1)
	for line := range bytes.Lines(text) {
		number, ok := n[string(line)]
		if !ok {
			number = int32(len(n))
			n[string(line)] = number
		}
		out = append(out, number)
	}
	return out
}

// linePair says that line A of one text is line B of another.
type linePair struct{ A, B int }

// keptLines returns the pairs of equal lines that every shortest edit script
// from a to b keeps, in ascending order. A line that one of these scripts keeps
// and another removes is in no pair, and neither is one that two of them keep as
// different lines of b: so the answer depends on no choice among scripts, and
// read backwards the texts give the same pairs. ok is false past maxLineEdits.
func keptLines(a, b []int32) (kept []linePair, ok bool) {
	r, ok := measureLines(a, b)
	if !ok {
		return nil, false
	}
	// The shortest scripts are paths in a grid. Where two of them cross, their
	// parts between the crossings can be exchanged: so one of them lies on no
	// side below any other, and one above, and what both keep all keep.
	early, late := r.path(true), r.path(false)
	for len(early) > 0 && len(late) > 0 {
		switch e, l := early[0], late[0]; {
		case e == l:
			kept = append(kept, e)
			early, late = early[1:], late[1:]
		case e.A < l.A:
			early = early[1:]
		case e.A > l.A:
			late = late[1:]
		default: // the same line of a as two lines of b
			early, late = early[1:], late[1:]
		}
	}
	return kept, true
}

// remains knows how many edits are left from every point of the grid that a
// shortest script passes.
type remains struct {
	a, b []int32
	// reach is, by number of edits d and diagonal k, at (k+d)/2, the furthest x
	// from the end: of the d-paths in Myers' greedy algorithm, over both texts
	// read backwards.
	reach [][]int32
}

// measureLines runs the greedy algorithm of Myers (An O(ND) Difference
// Algorithm and Its Variations, 1986) from the ends of both texts to their
// starts, and keeps its rounds.
func measureLines(a, b []int32) (r remains, ok bool) {
	r = remains{a: a, b: b}
	n, m := len(a), len(b)
	for d := 0; d <= maxLineEdits; d++ {
		round := make([]int32, d+1)
		r.reach = append(r.reach, round)
		for i := range round {
			k := 2*i - d
			x := 0
			switch {
			case d == 0:
			case i == 0, i != d && r.reach[d-1][i-1] < r.reach[d-1][i]:
				x = int(r.reach[d-1][i])
			default:
				x = int(r.reach[d-1][i-1]) + 1
			}
			for y := x - k; x < n && y < m && a[n-1-x] == b[m-1-y]; y++ {
				x++
			}
			round[i] = int32(x)
			ok = ok || k == n-m && x >= n
		}
		if ok {
			return r, true
		}
	}
	return r, false
}

// edits is how many there are in a shortest script.
func (r *remains) edits() int { return len(r.reach) - 1 }

// from returns how many edits a shortest script needs from before the line x of
// a and y of b to the ends; more than edits() if it is more than that. Along a
// diagonal this never falls towards the start (Ukkonen, Algorithms for
// Approximate String Matching, 1985), and so the furthest reach decides.
func (r *remains) from(x, y int) int {
	back := len(r.a) - x
	k := back - (len(r.b) - y)
	least := max(k, -k)
	if least > r.edits() {
		return least
	}
	steps := sort.Search((r.edits()-least)/2+1, func(i int) bool {
		d := least + 2*i
		return int(r.reach[d][(k+d)/2]) >= back
	})
	return least + 2*steps
}

// path returns what is kept by the script that removes as early as any shortest
// one does, or by that which adds as early as any.
func (r *remains) path(removing bool) (kept []linePair) {
	x, y, left := 0, 0, r.edits()
	for x < len(r.a) || y < len(r.b) {
		canRemove := x < len(r.a) && r.from(x+1, y) == left-1
		canAdd := y < len(r.b) && r.from(x, y+1) == left-1
		switch {
		case canRemove && removing, canAdd && !removing:
			if removing {
				x++
			} else {
				y++
			}
			left--
		case x < len(r.a) && y < len(r.b) && r.a[x] == r.b[y] && r.from(x+1, y+1) == left:
			kept = append(kept, linePair{x, y})
			x, y = x+1, y+1
		case canRemove:
			x, left = x+1, left-1
		default:
			y, left = y+1, left-1
		}
	}
	return kept
}

// SharedLines returns the pairs of lines that a shortest edit script from a to
// b keeps, by their numbers in a and in b from 0, in ascending order; none if
// more than 1,000 lines would be removed and added.
func SharedLines(a, b []byte) (shared [][2]int) {
	n := lineNumbers{}
	r, ok := measureLines(n.of(a), n.of(b))
	if !ok {
		return nil
	}
	for _, p := range r.path(true) {
		shared = append(shared, [2]int{p.A, p.B})
	}
	return shared
}
