package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"crush/bench/load"
)

// reporting prints every two seconds what say returns, unless that is empty, until the result is called.
func reporting(ctx context.Context, say func(ctx context.Context) string) (done func()) {
	ctx, cancel := context.WithCancel(ctx)
	var telling sync.WaitGroup
	telling.Go(func() {
		for {
			load.Pause(ctx, 2*time.Second)
			if ctx.Err() != nil {
				return
			}
			if line := say(ctx); line != "" {
				fmt.Fprintln(os.Stderr, line)
			}
		}
	})
	return func() {
		cancel()
		telling.Wait()
	}
}
