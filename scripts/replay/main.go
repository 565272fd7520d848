// Command replay does the merges of a Git history again, and compares three ways
// to do them with what people committed: crush, Git's own merge of the same three
// versions of each file, and the line merge that crush proposes for texts.
//
// It reads a stream of git fast-export from its standard input. For each commit of
// two parents that have one best common ancestor, it looks at the files that both
// parents have changed since then. The versions of the ancestor are put on a fork
// of a scratch node, those of each parent on a fork of that, and one is merged into
// the other. A file is a yaml or json if its name says so and all its versions
// parse, else a text if they are one, else bytes.
//
// Files that only one parent has changed, and those that both have changed alike,
// come out the same everywhere; they are counted. Git's detection of renames has
// no part in this: every path is merged by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"crush/daemon"
	"crush/dag"
	"crush/gitstream"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "replay:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	list := flags.Bool("list", false, "also list each file, and of what is clean and not as committed the difference")
	pairs := flags.Int("pairs", 0, "also merge this many `pairs` of changes of a file as if they had been made at once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	spool, err := gitstream.NewSpool("", dag.MaxValue)
	if err != nil {
		return err
	}
	defer spool.Close()
	history, err := gitstream.Read(in, spool)
	if err == nil {
		err = spool.Flush()
	}
	if err != nil {
		return fmt.Errorf("read the stream: %w", err)
	}
	dir, err := os.MkdirTemp("", "crush-replay-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	scratch, err := daemon.OpenScratch(ctx, dir)
	if err != nil {
		return err
	}
	r := &replay{out: out, history: history, spool: spool, dir: dir, node: &node{Scratch: scratch}, list: *list}
	err = r.merges(ctx)
	if err == nil && *pairs > 0 {
		err = r.pairs(ctx, *pairs)
	}
	return errors.Join(err, scratch.Close())
}

// replay is what merges are done again with.
type replay struct {
	out     io.Writer
	history *gitstream.History
	spool   *gitstream.Spool
	dir     string // for temporary files
	node    *node
	list    bool
}

// merges does the merges of the history.
func (r *replay) merges(ctx context.Context) error {
	all := collectMerges(r.history)
	var n touched
	t := newTable(r)
	for i := range all.plain {
		files, err := all.plain[i].contested(r.spool, &n)
		if err == nil {
			err = t.add(ctx, files)
		}
		if err != nil {
			return fmt.Errorf("merge %s: %w", all.plain[i].commit.Name(), err)
		}
	}
	t.printf("%d merges of two parents; left out: %d of more, %d with several best common ancestors, %d with none\n",
		len(all.plain), all.octopus, all.crossing, all.unrelated)
	t.printf("files changed by one side: %d; by both, to the same: %d; by both, to different contents: %d\n", n.one, n.alike, t.total())
	return t.print()
}

// pairs merges n pairs of changes, in batches of different files.
func (r *replay) pairs(ctx context.Context, n int) error {
	all := collectPairs(r.history)
	chosen := spread(all, n)
	t := newTable(r)
	var batch []file
	in := map[string]bool{}
	for i := range chosen {
		f, ok, err := chosen[i].atOnce(ctx, r.spool, r.dir)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if len(batch) == maxBatch || in[f.path] {
			if err := t.add(ctx, batch); err != nil {
				return err
			}
			batch = nil
			clear(in)
		}
		batch, in[f.path] = append(batch, f), true
	}
	if err := t.add(ctx, batch); err != nil {
		return err
	}
	t.printf("%d of %d pairs of changes; left out: %d where the later builds on the earlier\n", len(chosen), len(all), len(chosen)-t.total())
	return t.print()
}

// maxBatch is how many files are merged at once.
const maxBatch = 100
