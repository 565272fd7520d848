package main

import (
	"slices"
	"strings"
)

// graphNode is one change in a graph. Nodes come newest first: none comes
// before one that stands on it.
type graphNode struct {
	id      string
	parents []string // what it stands on; those that never come leave their line open
	head    bool
	hidden  bool // it is not shown: what stands on it stands on its parents
}

// graphStyle is what graphs are drawn with.
type graphStyle struct {
	head, node string
	lines      [16]string // by the directions in which a line leaves: up 1, down 2, left 4, right 8
	more       string     // stands for columns that are not shown
}

const (
	goesUp = 1 << iota
	goesDown
	goesLeft
	goesRight
)

var (
	unicodeGraph = graphStyle{
		head: "●", node: "○", more: "…",
		lines: [16]string{" ", "│", "│", "│", "─", "╯", "╮", "┤", "─", "╰", "╭", "├", "─", "┴", "┬", "┼"},
	}
	asciiGraph = graphStyle{
		head: "*", node: "o", more: "...",
		lines: [16]string{" ", "|", "|", "|", "-", "'", ".", "+", "-", "'", ".", "+", "-", "'", ".", "+"},
	}
)

// graphColumns is how many lines of a graph are shown beside each other.
const graphColumns = 20

// graph draws a directed acyclic graph beside a list, as git log --graph does:
// a node a row, and a row of corners below it where lines begin or end. It
// keeps one column for each node that something above stands on. The same nodes
// in the same order give the same drawing.
type graph struct {
	style   graphStyle
	columns []string // the node that each line leads down to; "" for none
}

// add draws a node: what stands left of its text, and the rows of corners that
// follow it. A hidden node has no text, and no row of its own.
func (g *graph) add(n graphNode) (left string, corners []string) {
	at := slices.Index(g.columns, n.id)
	if at < 0 {
		if n.hidden {
			return "", nil // nothing stands on it
		}
		at = g.open(n.id, -1)
	}
	mark := g.style.node
	if n.head {
		mark = g.style.head
	}
	left = g.row(func(i int) string {
		switch {
		case i == at:
			return mark
		case g.columns[i] != "":
			return g.style.lines[goesUp|goesDown]
		}
		return " "
	}, nil, at)
	corners = g.follow(at, n.parents)
	for len(g.columns) > 0 && g.columns[len(g.columns)-1] == "" {
		g.columns = g.columns[:len(g.columns)-1]
	}
	if n.hidden {
		left = ""
	}
	return left, corners
}

// open gives a node the leftmost free column but one.
func (g *graph) open(id string, but int) int {
	for i, c := range g.columns {
		if c == "" && i != but {
			g.columns[i] = id
			return i
		}
	}
	g.columns = append(g.columns, id)
	return len(g.columns) - 1
}

// follow leads the lines of a node on to what it stands on: its own column to
// the first that has none yet, and others beside it.
func (g *graph) follow(at int, parents []string) []string {
	was := slices.Clone(g.columns)
	g.columns[at] = ""
	taken := false // its own column leads on
	var to []int   // columns that are joined with its own
	for i, p := range parents {
		if slices.Contains(parents[:i], p) {
			continue
		}
		switch j := slices.Index(g.columns, p); {
		case j >= 0 && (taken || j < at):
			to = append(to, j)
		case j >= 0: // the line further right ends here, in this one
			g.columns[j], g.columns[at], taken = "", p, true
			to = append(to, j)
		case !taken:
			g.columns[at], taken = p, true
		default:
			to = append(to, g.open(p, at))
		}
	}
	if len(to) == 0 {
		return nil
	}
	return []string{g.corners(at, to, was)}
}

// corners is the row in which lines of a node go to other columns.
func (g *graph) corners(at int, to []int, was []string) string {
	from, end := min(at, slices.Min(to)), max(at, slices.Max(to))
	directions := func(i int) (d int) {
		if i < len(was) && was[i] != "" {
			d |= goesUp
		}
		if g.columns[i] != "" {
			d |= goesDown
		}
		if i != at && !slices.Contains(to, i) {
			return d
		}
		if i > from {
			d |= goesLeft
		}
		if i < end {
			d |= goesRight
		}
		return d
	}
	between := func(i int) bool { return from <= i && i < end } // columns i and i+1
	return g.row(func(i int) string {
		d := directions(i)
		if d == 0 && from < i && i < end {
			d = goesLeft | goesRight
		}
		return g.style.lines[d]
	}, between, -1)
}

// row draws one row of columns, without what is too far right but for a mark
// that something is there, and for the node's own mark.
func (g *graph) row(cell func(i int) string, joined func(i int) bool, node int) string {
	var b strings.Builder
	for i := range g.columns {
		if i == graphColumns {
			b.WriteString(g.style.more)
			if node >= i {
				b.WriteString(" " + cell(node))
			}
			break
		}
		b.WriteString(cell(i))
		if joined != nil && joined(i) {
			b.WriteString(g.style.lines[goesLeft|goesRight])
		} else {
			b.WriteString(" ")
		}
	}
	return strings.TrimRight(b.String(), " ")
}
