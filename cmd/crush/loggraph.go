package main

import (
	"iter"
	"strings"

	"crush/rpc"
)

// mostGraph is how many changes of a fork are drawn at most.
const mostGraph = 10_000

// unfiltered asks for all that a graph leads through.
func unfiltered(r rpc.LogRequest) rpc.LogRequest {
	return rpc.LogRequest{KeyRef: r.KeyRef, All: r.All, Graph: r.Graph}
}

// printGraph prints a log with its graph beside it.
func (p *program) printGraph(entries iter.Seq2[rpc.LogEntry, error], r rpc.LogRequest, f *logFlags) error {
	d := &logGraph{
		graph:  graph{style: graphStyleFor(isTerminal(p.stdout) && !f.ascii, p.lookup)},
		blocks: r.Key == "",
		shown: func(e rpc.LogEntry) bool {
			return !e.Time.Before(r.Since) && (r.Author == "" || e.Author == r.Author) && (r.Node == "" || e.Node == r.Node)
		},
	}
	list := singly(entries)
	if d.blocks {
		list = changes(entries)
	}
	n := 0
	err := p.printLog(d.rows(counted(list, &n), f.n), d.blocks || strings.HasSuffix(r.Key, "/"))
	if err == nil && n == mostGraph && d.blocks {
		p.note("only the newest %d changes are drawn", mostGraph)
	}
	return err
}

// graphStyleFor chooses Unicode for terminals of people who use UTF-8.
func graphStyleFor(terminal bool, lookup func(string) (string, bool)) graphStyle {
	if !terminal {
		return asciiGraph
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} { // the first that is set holds
		if v, _ := lookup(name); v != "" {
			if v = strings.ToLower(v); strings.Contains(v, "utf-8") || strings.Contains(v, "utf8") {
				return unicodeGraph
			}
			break
		}
	}
	return asciiGraph
}

// logGraph draws the changes of a log.
type logGraph struct {
	graph
	blocks bool // the nodes are blocks, not revisions
	shown  func(rpc.LogEntry) bool
}

// rows draws the changes of a list until n of them are shown, all if n is
// negative.
func (d *logGraph) rows(list iter.Seq2[[]rpc.LogEntry, error], n int) iter.Seq2[logRow, error] {
	return func(yield func(logRow, error) bool) {
		if n == 0 {
			return
		}
		i := 0
		for change, err := range list {
			if err != nil {
				yield(logRow{}, err)
				return
			}
			row := d.row(change)
			if len(row.change) > 0 {
				i++
			}
			if i == n {
				row.corners = nil
			}
			if len(row.change)+len(row.corners) > 0 && !yield(row, nil) || i == n {
				return
			}
		}
	}
}

func (d *logGraph) row(change []rpc.LogEntry) logRow {
	e := change[0]
	row := logRow{drawn: true, labels: e.Newest}
	node := graphNode{id: e.Revision.String(), head: e.Head, hidden: true}
	for _, id := range e.Parents {
		node.parents = append(node.parents, id.String())
	}
	if d.blocks {
		node.id, node.head, node.parents = e.Block.String(), len(row.labels) > 0, nil
		for _, id := range e.Before {
			node.parents = append(node.parents, id.String())
		}
	}
	for _, e := range change {
		if d.shown(e) {
			node.hidden, row.change = false, change
		}
	}
	row.left, row.corners = d.add(node)
	return row
}
