package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) diffCommand() *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff A B [KEY|PREFIX/] | diff KEY REV REV",
		Short: "Compare two forks, or two revisions of a key",
		Long: `Compare what two forks serve, or two revisions of a key. A json or yaml is
compared by field, one a line: its path, and what stands there, as JSON; anything
else, or with --text, as a unified diff of lines. Values that are not text are
only said to differ. The exit code is 0 also when they differ; with --exit-code
it is then 8.

A and B are forks, or FORK@AT: a fork as it was at a time, a tag or after a
block. KEY or PREFIX/ limits the comparison. -F and CRUSH_FORK count only for
KEY REV REV. REV is an id of log, a part of one of 6 characters or more, or
head~N.

Three arguments compare two forks if the first two name forks, else two
revisions.`,
		Example: `  crush diff default staging
  crush diff default default@v1.4 app/
  crush diff default@yesterday default app/port
  crush diff app/config head~1 head
  crush diff app/config head~1 head --text
  crush diff app/config 3k2hq7wm 7wmq3k2h --exit-code`,
		Args: wantArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error { return p.diff(cmd, args, &f) },
	}
	cmd.Flags().BoolVar(&f.exitCode, "exit-code", false, "exit 8 if the values differ")
	cmd.Flags().BoolVar(&f.text, "text", false, "compare a json or yaml by lines too: comments, order and spelling")
	return cmd
}

type diffFlags struct{ exitCode, text bool }

func (p *program) diff(cmd *cobra.Command, args []string, f *diffFlags) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	forks := len(args) == 2
	if !forks {
		if forks, err = nameForks(ctx, door, args[:2]); err != nil {
			return err
		}
	}
	differs := false
	if forks {
		differs, err = p.diffForks(ctx, door, args, f)
	} else {
		differs, err = p.diffRevisions(ctx, door, args, f)
	}
	if err == nil && differs && f.exitCode {
		return errDiffers
	}
	return err
}

// difference is the answer of diff.
type difference struct {
	Key     string `json:"key"`
	Fork    string `json:"fork"`
	From    string `json:"from"`
	To      string `json:"to"`
	Differs bool   `json:"differs"`
	// Unified is the diff of text, "" for values that are not.
	Unified string `json:"unified"`
	// Fields are where two documents differ.
	Fields []rpc.FieldChange `json:"fields,omitempty"`
}

func (p *program) diffRevisions(ctx context.Context, door *rpc.Client, args []string, f *diffFlags) (differs bool, err error) {
	from, err := p.revision(ctx, door, args[0], args[1])
	if err != nil {
		return false, err
	}
	to, err := p.revision(ctx, door, args[0], args[2])
	if err != nil {
		return false, err
	}
	d := difference{
		Key: args[0], Fork: p.flags.fork, From: from.Revision.String(), To: to.Revision.String(),
		Differs: from.Deleted != to.Deleted || !bytes.Equal(from.Value, to.Value),
	}
	text := isText(from.Value) && isText(to.Value)
	var short shortener
	short.add(from.Revision, to.Revision)
	a, b := sideName(from, &short), sideName(to, &short)
	if text && d.Differs {
		d.Unified = unified(a, b, string(from.Value), string(to.Value))
	}
	if !from.Deleted && !to.Deleted {
		d.Fields, _ = rpc.CompareFields(from.Kind, from.Value, to.Kind, to.Value)
	}
	if err := p.page(); err != nil {
		return false, err
	}
	return d.Differs, p.print(d, func() {
		if len(d.Fields) > 0 && !f.text {
			p.printDiff(fieldDiff(a, b, d.Fields))
			return
		}
		if d.Differs && !text {
			p.printf("values that are not text differ: %s and %s\n", size(int64(len(from.Value))), size(int64(len(to.Value))))
			return
		}
		p.printDiff(d.Unified)
	})
}

func (p *program) revision(ctx context.Context, door *rpc.Client, key, rev string) (rpc.Entry, error) {
	e, err := door.Get(ctx, rpc.GetRequest{KeyRef: p.keyRef(key), Rev: rpc.Ref(rev)})
	if err != nil {
		return e, fmt.Errorf("revision %s: %w", rev, err)
	}
	return e, nil
}

func sideName(e rpc.Entry, short *shortener) string {
	if e.Deleted {
		return "/dev/null"
	}
	return escape(e.Key) + " " + short.short(e.Revision) + " " + when(e.Time)
}

// fieldDiff shows the fields of two documents that differ as a unified diff
// shows lines.
func fieldDiff(a, b string, fields []rpc.FieldChange) string {
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", a, b)
	for _, f := range fields {
		if f.A != nil {
			fmt.Fprintf(&out, "- %s: %s\n", escape(string(f.Path)), escape(string(f.A)))
		}
		if f.B != nil {
			fmt.Fprintf(&out, "+ %s: %s\n", escape(string(f.Path)), escape(string(f.B)))
		}
	}
	return out.String()
}

// printDiff prints a unified diff, with colours where people read it.
func (p *program) printDiff(diff string) {
	coloured := p.coloured()
	for line := range strings.Lines(diff) {
		line = escapeDiffLine(line)
		if code := colourOf(line); coloured && code != "" {
			line = code + strings.TrimSuffix(line, "\n") + "\x1b[0m\n"
		}
		p.printf("%s", line)
	}
}

func escapeDiffLine(line string) string {
	body, end := strings.CutSuffix(line, "\n")
	parts := strings.Split(body, "\t")
	for i := range parts {
		parts[i] = escape(parts[i])
	}
	body = strings.Join(parts, "\t")
	if end {
		body += "\n"
	}
	return body
}

func colourOf(line string) string {
	switch {
	case strings.HasPrefix(line, "+++ "), strings.HasPrefix(line, "--- "):
		return "\x1b[1m"
	case strings.HasPrefix(line, "+"):
		return "\x1b[32m"
	case strings.HasPrefix(line, "-"):
		return "\x1b[31m"
	case strings.HasPrefix(line, "@@"):
		return "\x1b[36m"
	}
	return ""
}
