// Bench measures crush against the stores that people would otherwise pick, and against the parts that it stands
// on. Every command runs its contestants in turn, several rounds of each, and prints medians and ratios of the same
// run: numbers of one machine mean little on another, ratios hold.
//
//	go run . puts      durable puts by 64 clients: etcd, a server that does nothing, the crush daemon
//	go run . library   durable puts without a network: goleveldb with a group commit, crush's replica
//	go run . heads     get, put and info of keys with short and with very long histories
//	go run . loop      the requests of a control loop over 200 deployments
//	go run . idle      memory when idle, memory and time to ready after a restart with a long history
//	go run . forks     what must not grow with keys, depth, forks, heads or merges
//	go run . merge     plan, diff and merge of few changes among many keys: Git, crush's replica, the crush command
//	go run . hop       a write on one node until another one shows it: go-ds-crdt, two daemons
//	go run . pair      writes on one of two nodes until both have them: go-ds-crdt, two daemons, without the socket
//	go run . join      a new node gets a long history: speed, memory, what an interruption costs
//	go run . catchup   a node that was away gets what it missed, over a line with a delay: go-ds-crdt, two daemons
//	go run . clone     a new node, and a clone, gets a Git history: Git, two daemons
//	go run . all       all of these in turn, each with the flags given, which all of them must have: -rounds, -dir,
//	                   -report, -crush; with -quick before them, at sizes that show that all of it runs
//	go run . disk      bytes on disk a revision of configs with one changed line, by kind of record: etcd, crush's replica
//	go run . documents what a document costs beside bytes, and with many conflicts, elements and heads: crush alone
//
// README.md holds the numbers and the machine they were measured on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// measuring are the commands that measure, in the order of all.
var measuring = []string{"puts", "gets", "library", "heads", "loop", "idle", "forks", "merge", "hop", "pair", "join", "catchup", "clone", "disk", "documents"}

var commands = map[string]func(ctx context.Context, args []string) error{
	"puts":      puts,
	"gets":      gets,
	"library":   library,
	"heads":     heads,
	"loop":      loop,
	"idle":      idle,
	"forks":     forks,
	"merge":     merge,
	"hop":       hopping,
	"pair":      pairing,
	"join":      joining,
	"catchup":   catchup,
	"clone":     cloning,
	"disk":      disk,
	"documents": documents,
	"plot":      plot,

	// Contestants that bench starts as processes of their own.
	serveEmpty: runEmpty,
	serveLevel: runLevel,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) < 2 || commands[os.Args[1]] == nil && os.Args[1] != "all" {
		fmt.Fprintf(os.Stderr, "usage: go run . all|%s|plot [-h]\n", strings.Join(measuring, "|"))
		os.Exit(2)
	}
	run := commands[os.Args[1]]
	if run == nil {
		run = all
	}
	err := run(ctx, os.Args[2:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// quick are the sizes at which all -quick runs the commands: too small to measure, large enough that everything in
// them is run.
var quick = map[string][]string{
	"puts":      {"-length", "500ms", "-clients", "1,16"},
	"gets":      {"-length", "500ms", "-keys", "2000", "-cold", "200"},
	"library":   {"-length", "500ms"},
	"heads":     {"-longest", "2000", "-times", "50"},
	"loop":      {"-n", "20", "-turns", "3"},
	"idle":      {"-revisions", "5000", "-keys", "500", "-settle", "1s"},
	"forks":     {"-keys", "2000", "-deep", "16", "-forks", "50", "-heads", "2000", "-merges", "20", "-times", "20"},
	"merge":     {"-keys", "2000", "-changed", "100"},
	"hop":       {"-writes", "50"},
	"pair":      {"-revisions", "2000", "-relative", "50"},
	"join":      {"-revisions", "5000", "-keys", "500"},
	"catchup":   {"-revisions", "50", "-long", "500"},
	"clone":     {"-commits", "300", "-keys", "50"},
	"disk":      {"-keys", "8", "-revisions", "40"},
	"documents": {"-times", "20", "-conflicts", "100", "-elements", "1000", "-heads", "20"},
}

// all runs every command that measures, one after another, and says how long each took. One that fails does not keep
// the others from running.
func all(ctx context.Context, args []string) error {
	small := len(args) > 0 && strings.TrimLeft(args[0], "-") == "quick"
	if small {
		args = args[1:]
	}
	var failed []error
	for _, name := range measuring {
		fmt.Printf("== %s\n", name)
		began, with := time.Now(), args
		if small {
			with = slices.Concat(quick[name], args)
		}
		err := commands[name](ctx, with)
		if errors.Is(err, flag.ErrHelp) || ctx.Err() != nil {
			return err
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", name, err)
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
		}
		fmt.Printf("== %s took %.0f s\n\n", name, time.Since(began).Seconds())
	}
	return errors.Join(failed...)
}
