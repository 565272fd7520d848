package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lockedBuffer is written by the display and read by the test.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestProgress wants silence for two seconds, then a line that is kept up to
// date, and nothing left at the end.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		g := &progress{what: "files", stop: make(chan struct{})}
		g.done.Go(func() { g.show(&out) })
		g.add(3)
		time.Sleep(progressAfter - time.Millisecond)
		synctest.Wait()
		if got := out.String(); got != "" {
			t.Errorf("too early: %q", got)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if got := out.String(); got != "\rfiles: 3, 2s\x1b[K" {
			t.Errorf("after two seconds: %q", got)
		}
		g.add(4)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := out.String(); !strings.HasSuffix(got, "\rfiles: 7, 3s\x1b[K") {
			t.Errorf("after three seconds: %q", got)
		}
		g.end()
		if got := out.String(); !strings.HasSuffix(got, "\r\x1b[K") {
			t.Errorf("at the end: %q", got)
		}
	})
	synctest.Test(t, func(*testing.T) {
		var out lockedBuffer
		g := &progress{what: "files", stop: make(chan struct{})}
		g.done.Go(func() { g.show(&out) })
		g.end()
		if got := out.String(); got != "" {
			t.Errorf("a short verb printed %q", got)
		}
	})
}
