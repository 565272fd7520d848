package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// progressAfter is how long a verb works in silence.
const progressAfter = 2 * time.Second

// progress tells a person at a terminal how far a long verb has come.
type progress struct {
	what  string
	count atomic.Int64
	total atomic.Int64 // 0: not known

	stop chan struct{}
	done sync.WaitGroup
}

// startProgress begins to count; end must be called. It prints
// nothing if stderr is no terminal.
func (p *program) startProgress(what string) *progress {
	g := &progress{what: what, stop: make(chan struct{})}
	if p.format == formatText && isTerminal(p.stderr) {
		g.done.Go(func() { g.show(p.stderr) })
	}
	return g
}

func (g *progress) show(w io.Writer) {
	select {
	case <-g.stop:
		return
	case <-time.After(progressAfter):
	}
	begun := time.Now()
	tick := time.NewTicker(time.Second / 4)
	defer tick.Stop()
	for {
		state := (progressAfter + time.Since(begun)).Round(time.Second).String()
		if n, total := g.count.Load(), g.total.Load(); total > 0 {
			state = fmt.Sprintf("%d of %d, %s", n, total, state)
		} else if n > 0 {
			state = fmt.Sprintf("%d, %s", n, state)
		}
		fmt.Fprintf(w, "\r%s: %s\x1b[K", g.what, state)
		select {
		case <-g.stop:
			fmt.Fprint(w, "\r\x1b[K")
			return
		case <-tick.C:
		}
	}
}

// add counts n more.
func (g *progress) add(n int) { g.count.Add(int64(n)) }

// set says how much of all is done.
func (g *progress) set(done, total uint64) {
	g.total.Store(int64(total))
	g.count.Store(int64(done))
}

// end stops the display and clears its line; it may be called once.
func (g *progress) end() {
	close(g.stop)
	g.done.Wait()
}
