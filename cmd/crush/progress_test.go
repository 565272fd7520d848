package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestProgress wants silence for two seconds, then a line that is kept up to
// date, and nothing left at the end.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer // read only while show waits
		g := &progress{what: "files", stop: make(chan struct{})}
		g.done.Go(func() { g.show(&out) })
		g.add(3)
		time.Sleep(progressAfter - time.Millisecond)
		synctest.Wait()
		if out.Len() > 0 {
			t.Errorf("too early: %q", out.String())
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
		var out bytes.Buffer
		g := &progress{what: "files", stop: make(chan struct{})}
		g.done.Go(func() { g.show(&out) })
		g.end()
		if out.Len() > 0 {
			t.Errorf("a short verb printed %q", out.String())
		}
	})
}
