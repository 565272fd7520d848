package main

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"crush/rpc"
)

type conflictsFlags struct{ strict, all bool }

func (p *program) conflictsCommand() *cobra.Command {
	var f conflictsFlags
	cmd := &cobra.Command{
		Use:   "conflicts [KEY | PREFIX/]",
		Short: "List what is in conflict",
		Long: `List the keys with two or more values of which nobody has seen the other: what was
there before, both sides of each, which of them is served, and the command that
settles it. A json or yaml can be in conflict at several places: each stands for
itself, with its path. A conflict is data like any other: it is the same on every node,
nothing waits for it, and it stays until somebody settles it.`,
		Example: `  crush conflicts
  crush conflicts app/ -F staging
  crush conflicts --all -o json
  crush conflicts --strict >/dev/null || echo "something is in conflict"`,
		Args: wantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			prefix := ""
			if len(args) == 1 {
				prefix = args[0]
			}
			return p.conflicts(cmd, prefix, &f)
		},
	}
	cmd.Flags().BoolVar(&f.strict, "strict", false, "exit 3 if there is any")
	cmd.Flags().BoolVar(&f.all, "all", false, "those of every fork")
	return cmd
}

func (p *program) conflicts(cmd *cobra.Command, prefix string, f *conflictsFlags) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	fork := p.flags.fork
	if f.all {
		if p.origins["fork"] == "flag --fork" {
			return usagef("--all and -F %s contradict each other", fork)
		}
		fork = ""
	}
	if err := p.page(); err != nil {
		return err
	}
	n, last := 0, rpc.KeyRef{}
	list := countedIf(below(door.Conflicts(ctx, fork, prefix), prefix), func(c rpc.Conflict) bool {
		before := last
		last = rpc.KeyRef{Fork: c.Fork, Key: c.Key}
		return last != before
	}, &n)
	if p.format != formatText {
		err = printList(p, list, func(rpc.Conflict) {})
	} else {
		err = p.listConflicts(list)
	}
	switch {
	case err != nil:
		return err
	case n == 0:
		p.note("no conflicts")
	case f.strict:
		return conflictError(n)
	}
	return nil
}

// below leaves the conflicts of one key, if a prefix does not end in a slash.
func below(list iter.Seq2[rpc.Conflict, error], prefix string) iter.Seq2[rpc.Conflict, error] {
	if prefix == "" || strings.HasSuffix(prefix, "/") {
		return list
	}
	return func(yield func(rpc.Conflict, error) bool) {
		for c, err := range list {
			if (err != nil || c.Key == prefix) && !yield(c, err) {
				return
			}
		}
	}
}

// counted counts the elements of a sequence as they pass.
func counted[T any](list iter.Seq2[T, error], n *int) iter.Seq2[T, error] {
	return countedIf(list, func(T) bool { return true }, n)
}

// countedIf counts those that are meant.
func countedIf[T any](list iter.Seq2[T, error], meant func(T) bool, n *int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range list {
			if err == nil && meant(v) {
				*n++
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// conflictPage is how many conflicts are held back to find out how short their
// ids can be.
const conflictPage = 1000

func (p *program) listConflicts(list iter.Seq2[rpc.Conflict, error]) error {
	var held []rpc.Conflict
	some := false
	flush := func() {
		if len(held) == 0 {
			return
		}
		if some {
			p.printf("\n")
		}
		p.printConflicts(held, "", resolveCommand)
		held, some = nil, true
	}
	for c, err := range list {
		if err != nil {
			flush()
			return err
		}
		if held = append(held, c); len(held) == conflictPage {
			flush()
		}
	}
	flush()
	return nil
}

// printConflicts prints each conflict with what was there before and its sides,
// one a line; settle, if it is not nil, returns the command that settles one.
func (p *program) printConflicts(list []rpc.Conflict, indent string, settle func(c rpc.Conflict, state string) string) {
	var revisions, ids, states shortener
	for _, c := range list {
		ids.add(c.ID)
		states.add(c.State)
		if c.Base != nil {
			revisions.add(c.Base.Revision)
		}
		for _, s := range c.Sides {
			revisions.add(s.Revision)
		}
	}
	for i, c := range list {
		if i > 0 && settle != nil {
			p.printf("\n")
		}
		id := ""
		if settle != nil { // a plan's conflicts are not there yet
			id = fmt.Sprintf(", id %s, state %s", ids.short(c.ID), states.short(c.State))
		}
		p.printf("%s%s  %s%s\n", indent, place(c.Key, c.Path), escape(c.Kind), id)
		p.printf("%s  %s\n", indent, baseLine(c.Base, &revisions))
		for _, s := range c.Sides {
			p.printf("%s  %s\n", indent, sideLine(s, &revisions))
		}
		if c.Proposal != "" {
			p.printf("%s  or %s: the lines of both, joined\n", indent, rpc.TakeProposal)
		}
		if settle != nil {
			p.printf("%s  to settle it: %s\n", indent, settle(c, states.short(c.State)))
		}
	}
}

// baseLine is what was there before the sides of a conflict parted.
func baseLine(b *rpc.Base, revisions *shortener) string {
	if b == nil {
		return "was  nothing that every side has seen"
	}
	return fmt.Sprintf("was  %s  %s  by %s, %s", revisions.short(b.Revision), valueText(b.Kind, b.Value, b.Deleted, b.Purged),
		escape(writer(b.Node, b.Author)), age(time.Since(b.Time)))
}

// valueText shows a value on one line, or says why there is none: one of a document that has no line
// ends as it stands, so that a string is told from a number.
func valueText(kind fmt.Stringer, value []byte, deleted bool, purged *rpc.PurgeInfo) string {
	switch {
	case deleted:
		return "deleted"
	case purged != nil:
		return escape(purged.String())
	case isDocument(kind.String()) && isText(value) && !bytes.ContainsRune(value, '\n'):
		return shorten(string(value), "")
	}
	return preview(value)
}

// sideLine is one side of a conflict: its letter and value, where, when and by
// whom it was written.
func sideLine(s rpc.Side, revisions *shortener) string {
	line := fmt.Sprintf("%-2s %s  %s", escape(s.Letter), revisions.short(s.Revision), valueText(s.Kind, s.Value, s.Deleted, s.Purged))
	if s.Fork != "" {
		line += "  on " + escape(s.Fork)
	}
	line += fmt.Sprintf("  by %s, %s", escape(writer(s.Node, s.Author)), age(time.Since(s.Time)))
	if s.Served {
		line += "  (served)"
	}
	return line
}

// resolveCommand is what settles a conflict by one of its sides. Its state
// makes sure that the letters mean what the person has seen.
func resolveCommand(c rpc.Conflict, state string) string {
	words := append(onFork(c.Fork), "resolve")
	key := c.Key
	if _, ok := shellWord(key); !ok || strings.HasPrefix(key, "-") {
		key = c.ID.String()
	}
	words = append(words, key)
	if key == c.Key && c.Path != "" && c.Path != "/" {
		if _, ok := shellWord(c.Path); ok {
			words = append(words, "--path", c.Path)
		} else {
			words[len(words)-1] = c.ID.String()
		}
	}
	return command(append(words, "--state", state, "--take", c.Sides[0].Letter)...) + others(c)
}

// age says how long ago something was written, roughly.
func age(d time.Duration) string {
	switch {
	case d < -time.Minute:
		return "in the future"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", max(0, int(d/time.Second)))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d/time.Hour))
	}
	return fmt.Sprintf("%d days ago", int(d/(24*time.Hour)))
}
