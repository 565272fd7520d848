package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// format is how answers are printed.
type format string

const (
	formatText  format = "text"
	formatJSON  format = "json"
	formatJSONL format = "jsonl"
	formatRaw   format = "raw" // only get: the bytes, also on a terminal
)

// earlyFormat guesses the format before the flags are parsed, for the errors
// of parsing them.
func earlyFormat(args []string, lookup func(string) (string, bool)) format {
	f, _ := lookup("CRUSH_OUTPUT")
	for i, a := range args {
		if a == "--" {
			break
		}
		value, joined := strings.CutPrefix(a, "--output=")
		switch {
		case joined:
			f = value
		case (a == "-o" || a == "--output") && i+1 < len(args):
			f = args[i+1]
		case a == "-ojson" || a == "--json":
			f = "json"
		case a == "-ojsonl":
			f = "jsonl"
		}
	}
	if f == "json" || f == "jsonl" {
		return format(f)
	}
	return formatText
}

// settleFormat reads -o and --json.
func (p *program) settleFormat(cmd *cobra.Command) error {
	if p.flags.json {
		if cmd.Flags().Changed("output") && p.flags.output != "json" && p.origins["output"] == "flag --output" {
			return usagef("--json and -o %s contradict each other", p.flags.output)
		}
		p.flags.output = "json"
	}
	switch f := format(p.flags.output); {
	case f == formatText, f == formatJSON, f == formatJSONL:
		p.format = f
	case f == formatRaw && cmd.Name() == "get":
		p.format = formatText
	default:
		return usagef("-o %s: want text, json or jsonl", p.flags.output)
	}
	return nil
}

// printf prints to the output. Text that people stored goes through escape
// first. Errors show at the final flush.
func (p *program) printf(format string, args ...any) { fmt.Fprintf(p.out, format, args...) }

// printJSON prints a value as one line.
func (p *program) printJSON(v any) error {
	enc := json.NewEncoder(p.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// print prints an answer: as JSON, or as text does it.
func (p *program) print(v any, text func()) error {
	if p.format != formatText {
		return p.printJSON(v)
	}
	text()
	return nil
}

// printList prints the elements of a sequence as they come: a JSON array with
// one element a line, or JSON lines, or what text prints of each. An array
// whose sequence ended in an error stays open, so that nobody takes it for
// whole.
func printList[T any](p *program, list iter.Seq2[T, error], text func(T)) error {
	n := 0
	for v, err := range list {
		if err != nil {
			return err
		}
		switch p.format {
		case formatText:
			text(v)
		case formatJSONL:
			err = p.printJSON(v)
		default:
			err = p.printElement(v, n)
		}
		if err != nil {
			return err
		}
		n++
	}
	if p.format == formatJSON {
		p.printf("%s", closing(n))
	}
	return nil
}

// printElement prints the element i of a JSON array.
func (p *program) printElement(v any, i int) error {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	before := "[\n"
	if i > 0 {
		before = ",\n"
	}
	p.printf("%s%s", before, bytes.TrimSuffix(line.Bytes(), []byte("\n")))
	return nil
}

func closing(n int) string {
	if n == 0 {
		return "[]\n"
	}
	return "\n]\n"
}

// warn tells a person something on stderr. With -o json the answer itself
// says it.
func (p *program) warn(format string, args ...any) {
	if p.format == formatText {
		fmt.Fprintf(p.stderr, "crush: warning: %s\n", escape(fmt.Sprintf(format, args...)))
	}
}

// note is a warning of something that is all right.
func (p *program) note(format string, args ...any) {
	if p.format == formatText {
		fmt.Fprintf(p.stderr, "crush: %s\n", escape(fmt.Sprintf(format, args...)))
	}
}

// coloured reports whether the output may have colours.
func (p *program) coloured() bool {
	_, no := p.environment("NO_COLOR")
	term, _ := p.lookup("TERM")
	return !no && term != "dumb" && isTerminal(p.stdout)
}

// when prints a time for people.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// size prints a number of bytes for people.
func size(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, suffix := float64(n), ""
	for _, s := range []string{"kB", "MB", "GB", "TB"} {
		f, suffix = f/unit, s
		if f < unit {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", f, suffix)
}

// count prints a number with its noun.
func count[N int | int64 | uint64](n N, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
