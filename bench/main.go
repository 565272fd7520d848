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
	"syscall"
)

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
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: go run . puts|gets|library|heads|loop|idle|forks|merge|hop|pair|join|catchup|disk|documents|plot [-h]")
		os.Exit(2)
	}
	err := commands[os.Args[1]](ctx, os.Args[2:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
