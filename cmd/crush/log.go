package main

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"crush/rpc"
)

type logFlags struct {
	n                   int
	since, author, node string
	all, graph, ascii   bool
}

func (p *program) logCommand() *cobra.Command {
	var f logFlags
	cmd := &cobra.Command{
		Use:   "log [KEY | PREFIX/]",
		Short: "List revisions, or what happened on a fork, newest first",
		Long: `List the revisions of a key, newest first: causally, then by time. With PREFIX/
those of all keys below it, by the changes that wrote them, newest first as they
came to this node.

Without a key, list what happened on the fork, one change a line: what was
written on it, merges into it and of it, its creation, renaming and removal. What
was written elsewhere and merged stands in the line of the merge. Tags, aliases
and members, which belong to no fork, are listed too. --all lists every fork.

A change of one key is shown by its revision, any other one by its block; crush
show tells more of each, and crush undo takes back either. The name in brackets
is the author that was claimed; the one before it is the node that signed, with
its zone behind an @. A * marks the heads of a key. Of a json or yaml it tells
the fields that were written, and says layout only where only comments, order or
spelling are new; of a counter and a set what was added and removed.

--graph draws beside the list what stands on what: of a key, which revisions the
writer of each had read; of a fork, how it came to show what it shows, with the
forks that it was made of and that were merged into it; the name of a fork stands
in brackets at its newest change. --since, --author and --node then leave
changes out, and the lines lead on. To a terminal it is drawn with lines, else,
or with --ascii, with ASCII.`,
		Example: `  crush log app/port
  crush log app/port -n 5
  crush log app/ --since 3d --author alice
  crush log -F staging
  crush log --all -n 20
  crush log --graph
  crush log app/port --graph
  crush log -o jsonl`,
		Args: wantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key := ""
			if len(args) == 1 {
				key = args[0]
			}
			return p.log(cmd, key, &f)
		},
	}
	fl := cmd.Flags()
	addNumber(cmd, &f.n)
	fl.StringVar(&f.since, "since", "", "nothing before `TIME`")
	fl.StringVar(&f.author, "author", "", "only what claims the author `NAME`")
	fl.StringVar(&f.node, "node", "", "only what the node `NAME` wrote")
	fl.BoolVar(&f.all, "all", false, "what happened on every fork")
	fl.BoolVar(&f.graph, "graph", false, "draw what stands on what")
	fl.BoolVar(&f.ascii, "ascii", false, "draw the graph with ASCII only")
	return cmd
}

func (p *program) log(cmd *cobra.Command, key string, f *logFlags) error {
	r, err := p.logRequest(cmd, key, f)
	if err != nil {
		return err
	}
	door, err := p.door()
	if err != nil {
		return err
	}
	if err := p.page(); err != nil {
		return err
	}
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	many := key == "" || strings.HasSuffix(key, "/")
	if f.graph && p.format == formatText {
		return p.printGraph(door.Log(ctx, unfiltered(r)), r, f)
	}
	entries := door.Log(ctx, r)
	switch {
	case p.format != formatText:
		return printList(p, first(entries, f.n), func(rpc.LogEntry) {})
	case key == "":
		return p.printLog(rowsOf(first(changes(entries), f.n)), many)
	}
	return p.printLog(rowsOf(first(singly(entries), f.n)), many)
}

// logRequest reads the flags of log.
func (p *program) logRequest(cmd *cobra.Command, key string, f *logFlags) (rpc.LogRequest, error) {
	r := rpc.LogRequest{KeyRef: p.keyRef(key), Author: rpc.Author(f.author), Node: f.node, All: f.all}
	switch {
	case f.all && key != "":
		return r, usagef("--all is what happened on every fork: leave the key %s out", key)
	case f.all && p.origins["fork"] == "flag --fork":
		return r, usagef("--all and -F %s contradict each other", r.Fork)
	case f.all:
		r.Fork = ""
	}
	if f.since != "" {
		t, ok := parseTime(f.since, time.Now())
		if !ok {
			return r, usagef("--since %s: want RFC 3339, 2006-01-02[ 15:04[:05]], yesterday, 2h or 3d", f.since)
		}
		r.Since = t
	}
	switch {
	case f.n < 0 && cmd.Flags().Changed("number"):
		return r, usagef("-n %d: want a number of lines", f.n)
	case f.ascii && !f.graph:
		return r, usagef("--ascii is of --graph")
	case f.graph && key == "":
		r.Graph = mostGraph
		if f.n > 0 && r.Author == "" && r.Node == "" && r.Since.IsZero() {
			r.Graph = min(r.Graph, 2*f.n+100) // with what the lines lead to
		}
	}
	return r, nil
}

// addNumber adds -n, which is -1 where it is not given.
func addNumber(cmd *cobra.Command, n *int) {
	cmd.Flags().IntVarP(n, "number", "n", -1, "stop after `N` lines; all without it")
	cmd.Flags().Lookup("number").DefValue = "0" // so that help does not show it
}

// first returns the first n elements of a sequence, all if n is negative.
func first[T any](list iter.Seq2[T, error], n int) iter.Seq2[T, error] {
	if n < 0 {
		return list
	}
	return func(yield func(T, error) bool) {
		if n == 0 {
			return
		}
		i := 0
		for v, err := range list {
			if i++; !yield(v, err) || i == n {
				return
			}
		}
	}
}

// singly makes a change of every entry.
func singly(entries iter.Seq2[rpc.LogEntry, error]) iter.Seq2[[]rpc.LogEntry, error] {
	return func(yield func([]rpc.LogEntry, error) bool) {
		for e, err := range entries {
			if !yield([]rpc.LogEntry{e}, err) {
				return
			}
		}
	}
}

// changes gathers neighbouring entries of one block.
func changes(entries iter.Seq2[rpc.LogEntry, error]) iter.Seq2[[]rpc.LogEntry, error] {
	return func(yield func([]rpc.LogEntry, error) bool) {
		var change []rpc.LogEntry
		for e, err := range entries {
			if len(change) > 0 && (err != nil || e.Block != change[0].Block) {
				if !yield(change, nil) {
					return
				}
				change = nil
			}
			if err != nil {
				yield(nil, err)
				return
			}
			change = append(change, e)
		}
		if len(change) > 0 {
			yield(change, nil)
		}
	}
}

// pageLines is how many lines are held back to find out how short their ids
// can be.
const pageLines = 10_000

// logRow is a change in a list, and what is drawn beside it.
type logRow struct {
	change  []rpc.LogEntry // none of one that is not shown
	drawn   bool
	left    string
	corners []string
	labels  []string // forks whose newest change it is
}

func rowsOf(list iter.Seq2[[]rpc.LogEntry, error]) iter.Seq2[logRow, error] {
	return func(yield func(logRow, error) bool) {
		for change, err := range list {
			if !yield(logRow{change: change}, err) {
				return
			}
		}
	}
}

// printLog prints one line a change.
func (p *program) printLog(list iter.Seq2[logRow, error], many bool) error {
	var held []logRow
	short := &shortener{}
	n := 0
	flush := func() {
		for i := range held {
			p.printRow(&held[i], short, many)
		}
		held = nil
	}
	for row, err := range list {
		if err != nil {
			flush()
			return err
		}
		if n++; n > pageLines {
			short = &shortener{n: safeLen}
			flush()
			p.printRow(&row, short, many)
			continue
		}
		if len(row.change) > 0 {
			short.add(row.change[0].Revision, row.change[0].Block)
		}
		held = append(held, row)
	}
	flush()
	return nil
}

// printRow prints a change: that of a key by its revision, any other by its
// block.
func (p *program) printRow(row *logRow, short *shortener, many bool) {
	if len(row.change) > 0 {
		p.printf("%s\n", changeLine(row, short, many))
	}
	for _, c := range row.corners {
		p.printf("%s\n", c)
	}
}

func changeLine(row *logRow, short *shortener, many bool) string {
	e := row.change[0]
	block := len(row.change) > 1 || e.Operation != nil
	// What an operation claims is the change's: revisions of an import have
	// claims of their own.
	if i := slices.IndexFunc(row.change, func(e rpc.LogEntry) bool { return e.Operation != nil }); i > 0 {
		e = row.change[i]
	}
	var b strings.Builder
	if row.drawn {
		b.WriteString(row.left + "  ")
	}
	if block {
		b.WriteString(short.short(e.Block))
	} else {
		b.WriteString(short.short(e.Revision))
	}
	switch { // a graph shows heads by itself
	case row.drawn && len(row.labels) > 0:
		b.WriteString("  (" + escape(strings.Join(row.labels, ", ")) + ")")
	case row.drawn:
	case e.Head && !block:
		b.WriteString(" *")
	default:
		b.WriteString("  ")
	}
	fmt.Fprintf(&b, "  %s  %s", when(e.Time), escape(signer(e)))
	switch {
	case block:
		b.WriteString("  " + escape(summary(row.change)))
	case many:
		b.WriteString("  " + escape(e.Key) + "  " + written(e))
	default:
		b.WriteString("  " + written(e))
	}
	if e.Message != "" {
		b.WriteString("  " + escape(e.Message))
	}
	return b.String()
}

// written says what a revision wrote, without its value.
func written(e rpc.LogEntry) string {
	what := size(e.Size)
	switch parts := changedParts(&e); {
	case e.Deleted:
		what = "deleted"
	case parts != "" && !ofFields(&e):
		what = parts
	case parts != "":
		what += "  " + parts
	}
	if e.Layout {
		what += "  layout only"
	}
	if e.Mark != "" {
		what += "  " + escape(e.Mark)
	}
	if e.Purged != nil {
		what += "  " + escape(e.Purged.String())
	}
	return what
}

// signer is who wrote, and where.
func signer(e rpc.LogEntry) string {
	said := claimant(e.Author, e.Claimed)
	if e.Zone == "" {
		return writer(e.Node, said)
	}
	zoned := writer(e.Node, "") + "@" + e.Zone
	if said == "" {
		return zoned
	}
	return fmt.Sprintf("%s (%s)", zoned, said)
}

// claimant is the author that is claimed, with the time that is.
func claimant(a rpc.Author, t time.Time) rpc.Author {
	if t.IsZero() {
		return a
	}
	return rpc.Author(strings.TrimPrefix(string(a)+", "+when(t), ", "))
}
