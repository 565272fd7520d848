// Command crush is the one program of a crush node: `crush daemon` runs the
// node, every other verb is a client of a running daemon.
//
// One file holds one verb. What they share: root.go (global flags), settings.go
// (environment and configuration file), door.go (finding the daemon),
// printer.go (everything that is printed) and exit.go (errors and exit codes).
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
)

// gcPercent keeps a node small: most of what it holds are the store's buffers,
// which are no work for the collector, and the default would let as much again
// lie about as garbage. The environment's GOGC comes first.
const gcPercent = 40

func main() { os.Exit(Main()) }

// Main runs the command line of this process and returns its exit code. The
// first interrupt cancels what runs, a second one kills.
func Main() int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)
	p := newProgram(os.Stdin, os.Stdout, os.Stderr, os.LookupEnv)
	return p.run(ctx, os.Args[1:])
}
