package main

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"crush/rpc"
)

type logFlags struct {
	n                   int
	since, author, node string
	all                 bool
}

func (p *program) logCommand() *cobra.Command {
	var f logFlags
	cmd := &cobra.Command{
		Use:   "log [KEY | PREFIX/]",
		Short: "List revisions, newest first",
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
its zone behind an @. A * marks the heads of a key.`,
		Example: `  crush log app/port
  crush log app/port -n 5
  crush log app/ --since 3d --author alice
  crush log -F staging
  crush log --all -n 20
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
	fl.IntVarP(&f.n, "number", "n", -1, "stop after `N` lines; all without it")
	fl.StringVar(&f.since, "since", "", "nothing before `TIME`")
	fl.StringVar(&f.author, "author", "", "only what claims the author `NAME`")
	fl.StringVar(&f.node, "node", "", "only what the node `NAME` wrote")
	fl.BoolVar(&f.all, "all", false, "what happened on every fork")
	return cmd
}

func (p *program) log(cmd *cobra.Command, key string, f *logFlags) error {
	r := rpc.LogRequest{KeyRef: p.keyRef(key), Author: rpc.Author(f.author), Node: f.node, All: f.all}
	switch {
	case f.all && key != "":
		return usagef("--all is what happened on every fork: leave the key %s out", key)
	case f.all && p.origins["fork"] == "flag --fork":
		return usagef("--all and -F %s contradict each other", r.Fork)
	case f.all:
		r.Fork = ""
	}
	if f.since != "" {
		t, ok := parseTime(f.since, time.Now())
		if !ok {
			return usagef("--since %s: want RFC 3339, 2006-01-02[ 15:04[:05]], yesterday, 2h or 3d", f.since)
		}
		r.Since = t
	}
	if f.n < 0 && cmd.Flags().Changed("number") {
		return usagef("-n %d: want a number of lines", f.n)
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
	entries := door.Log(ctx, r)
	switch {
	case p.format != formatText:
		return printList(p, first(entries, f.n), func(rpc.LogEntry) {})
	case key == "":
		return p.printLog(first(changes(entries), f.n), true)
	}
	return p.printLog(first(singly(entries), f.n), strings.HasSuffix(key, "/"))
}

// first returns the first n elements of a sequence, all if n is 0.
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

// printLog prints one line a change.
func (p *program) printLog(list iter.Seq2[[]rpc.LogEntry, error], many bool) error {
	var held [][]rpc.LogEntry
	short := &shortener{}
	n := 0
	flush := func() {
		for _, change := range held {
			p.printChange(change, short, many)
		}
		held = nil
	}
	for change, err := range list {
		if err != nil {
			flush()
			return err
		}
		if n++; n > pageLines {
			short = &shortener{n: safeLen}
			flush()
			p.printChange(change, short, many)
			continue
		}
		short.add(change[0].Revision, change[0].Block)
		held = append(held, change)
	}
	flush()
	return nil
}

// printChange prints a change: that of a key by its revision, any other by its
// block.
func (p *program) printChange(change []rpc.LogEntry, short *shortener, fork bool) {
	e := change[0]
	var b strings.Builder
	if len(change) > 1 || e.Operation != nil {
		fmt.Fprintf(&b, "%s    %s  %s  %s", short.short(e.Block), when(e.Time), escape(signer(e)), escape(summary(change)))
	} else {
		head := " "
		if e.Head {
			head = "*"
		}
		fmt.Fprintf(&b, "%s %s  %s  %s", short.short(e.Revision), head, when(e.Time), escape(signer(e)))
		if fork {
			b.WriteString("  " + escape(e.Key))
		}
		if e.Deleted {
			b.WriteString("  deleted")
		} else {
			b.WriteString("  " + size(e.Size))
		}
		if e.Mark != "" {
			b.WriteString("  " + escape(e.Mark))
		}
	}
	if e.Message != "" {
		b.WriteString("  " + escape(e.Message))
	}
	p.printf("%s\n", b.String())
}

// signer is who wrote, and where.
func signer(e rpc.LogEntry) string {
	if e.Zone == "" {
		return writer(e.Node, e.Author)
	}
	zoned := writer(e.Node, "") + "@" + e.Zone
	if e.Author == "" {
		return zoned
	}
	return fmt.Sprintf("%s (%s)", zoned, e.Author)
}
