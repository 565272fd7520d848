package main

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestCarry sends parts at once and one after a while: each must come out exactly one delay after it went in.
func TestCarry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 25 * time.Millisecond
		in, src := net.Pipe()
		dst, out := net.Pipe()
		carried := make(chan int64)
		go func() {
			carried <- carry(dst, src, delay)
			dst.Close()
		}()
		from := time.Now()
		go func() {
			for _, part := range []string{"one", "two"} {
				if _, err := io.WriteString(in, part); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(delay / 5)
			if _, err := io.WriteString(in, "three"); err != nil {
				t.Error(err)
			}
			in.Close()
		}()
		for _, want := range []struct {
			part string
			at   time.Duration
		}{{"one", delay}, {"two", delay}, {"three", delay + delay/5}} {
			got := make([]byte, len(want.part))
			if _, err := io.ReadFull(out, got); err != nil || string(got) != want.part || time.Since(from) != want.at {
				t.Errorf("got %q (%v) after %v, want %q after %v", got, err, time.Since(from), want.part, want.at)
			}
		}
		if n := <-carried; n != 11 {
			t.Errorf("carry counted %d bytes, want 11", n)
		}
	})
}
