package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
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
else, or with --text, as a unified diff of lines, and so is a document that
differs in comments, order or spelling alone. Values that are not text are only
said to differ. The exit code is 0 also when they differ; with --exit-code it is
then 8.

The elements of keyed lists are told apart as the policies say: those of each
fork as it was, or, for KEY REV REV, those that the fork has now.

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
	// Fields are where two documents differ. Layout: nowhere, and yet their texts
	// differ.
	Fields []rpc.FieldChange `json:"fields,omitempty"`
	Layout bool              `json:"layout,omitempty"`
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
		if d.Fields, d.Layout, err = p.compareFields(ctx, door, from, to); err != nil {
			return false, err
		}
		d.Layout = d.Layout && d.Differs && d.Fields == nil
	}
	if err := p.page(); err != nil {
		return false, err
	}
	return d.Differs, p.print(d, func() {
		if len(d.Fields) > 0 && !f.text {
			p.printDiff(fieldDiff(a, b, d.Fields))
			return
		}
		if d.Layout && !f.text {
			p.printf("%s: the same document, its text differs\n", escape(d.Key))
		}
		if d.Differs && !text {
			p.printf("values that are not text differ: %s and %s\n", size(int64(len(from.Value))), size(int64(len(to.Value))))
			return
		}
		p.printDiff(d.Unified)
	})
}

// compareFields compares two values of a key; ok is false if they are no
// documents.
func (p *program) compareFields(ctx context.Context, door *rpc.Client, from, to rpc.Entry) (fields []rpc.FieldChange, ok bool, err error) {
	if !isDocument(from.Kind.String()) || !isDocument(to.Kind.String()) {
		return nil, false, nil
	}
	policies, err := door.Policies(ctx, p.flags.fork)
	if err != nil && !errors.Is(err, rpc.ErrConflict) { // which counts as none
		return nil, false, err
	}
	slices.SortFunc(policies, rpc.ComparePolicies)
	policy := rpc.PolicyOf(policies, from.Key)
	fields, ok = rpc.CompareFields(from.Kind, from.Value, to.Kind, to.Value, policy.ListRules())
	return fields, ok, nil
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
