package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// revision returns the value of revision i of some key: 200 bytes of which few differ from one to the next.
func revision(i int64) []byte {
	return fmt.Appendf(nil, "replicas: %-20d %s", i, bytes.Repeat([]byte("x"), 169))
}

// fill writes n revisions, of which revision i goes to the URL url(i), by 64 clients.
func fill(ctx context.Context, client *http.Client, n int64, url func(i int64) string) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range fillers {
		group.Go(func() error {
			for i := next.Add(1); i <= n; i = next.Add(1) {
				if err := call(ctx, client, http.MethodPut, url(i), revision(i)); err != nil {
					return err
				}
				if i%100_000 == 0 {
					fmt.Fprintf(os.Stderr, "wrote %d of %d revisions\n", i, n)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// fillers is the number of clients that fill a store before it is measured.
const fillers = 64

// A history is one key with many revisions in a running daemon.
type history struct {
	client *http.Client
	length int64
}

func (h history) name() string { return strconv.FormatInt(h.length, 10) }

// native and ancestral are the key's URLs in the two APIs.
func (h history) native() string    { return "http://crush/api/v1/forks/default/kv/history-" + h.name() }
func (h history) ancestral() string { return "http://crush/history-" + h.name() }

// operations are what is timed on a history.
var operations = []struct {
	name string
	do   func(ctx context.Context, h history) error
}{
	{"get", func(ctx context.Context, h history) error {
		return call(ctx, h.client, http.MethodGet, h.native(), nil)
	}},
	{"get, ancestor's", func(ctx context.Context, h history) error {
		return call(ctx, h.client, http.MethodGet, h.ancestral(), nil)
	}},
	{"info", func(ctx context.Context, h history) error {
		return call(ctx, h.client, http.MethodGet, h.ancestral()+"/info", nil)
	}},
	{"put", func(ctx context.Context, h history) error {
		return call(ctx, h.client, http.MethodPut, h.native(), revision(h.length))
	}},
}

// heads measures the daemon alone: the median time of an operation on a key by the length of its history.
func heads(ctx context.Context, args []string) error {
	var longest int64
	var times int
	r, err := begin("heads", args, func(flags *flag.FlagSet) {
		flags.Int64Var(&longest, "longest", 1_000_000, "revisions of the longest history")
		flags.IntVar(&times, "times", 500, "operations in a round")
	})
	if err != nil {
		return err
	}
	defer r.end()
	program, err := r.program(ctx)
	if err != nil {
		return err
	}
	server, err := startCrush(ctx, program, r.tmp+"/data", "off")
	if err != nil {
		return err
	}
	client := unixClient(socketIn(r.tmp+"/data"), fillers)
	err = headsOf(ctx, r, client, longest, times)
	if err == nil {
		err = stream(ctx, server, history{client, longest})
	}
	client.CloseIdleConnections()
	return errors.Join(err, server.stop())
}

// headsOf fills keys up to the longest history, and prints a table for each operation.
func headsOf(ctx context.Context, r *run, client *http.Client, longest int64, times int) error {
	var histories []history
	for n := int64(10); n < longest; n *= 100 {
		histories = append(histories, history{client, n})
	}
	histories = append(histories, history{client, longest})
	for _, h := range histories {
		if err := fill(ctx, client, h.length, func(int64) string { return h.native() }); err != nil {
			return err
		}
	}
	for _, op := range operations {
		var contestants []contestant
		for _, h := range histories {
			contestants = append(contestants, contestant{h.name(), func(ctx context.Context, _ string) (float64, error) {
				return microseconds(times, func() error { return op.do(ctx, h) })
			}})
		}
		t, err := r.race(ctx, contestants)
		if err != nil {
			return err
		}
		fmt.Printf("%s, by revisions of the key\n", op.name)
		t.print("µs", "10")
	}
	return nil
}

// microseconds returns the median time of do, which it calls n times.
func microseconds(n int, do func() error) (float64, error) {
	var times []float64
	for range n {
		from := time.Now()
		if err := do(); err != nil {
			return 0, err
		}
		times = append(times, float64(time.Since(from).Nanoseconds())/1000)
	}
	return median(times), nil
}

// stream reads all revisions of h through the ancestor's API and prints what that took. A daemon that gathers the
// answer before it sends it shows in the time of the first byte and in its memory.
func stream(ctx context.Context, server *process, h history) error {
	before, err := server.peak(true)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.ancestral()+"?revisions=all", nil)
	if err != nil {
		return err
	}
	from := time.Now()
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
		return fmt.Errorf("read the first byte: %w", err)
	}
	first := time.Since(from)
	rest, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return fmt.Errorf("read after %d bytes: %w", rest+1, err)
	}
	whole := time.Since(from)
	after, err := server.peak(false)
	fmt.Printf("revisions=all of %d revisions: first byte after %v, %d MB after %v, the daemon's memory rose from %.0f to at most %.0f MB\n",
		h.length, first.Round(time.Microsecond), rest/1e6, whole.Round(time.Millisecond), before/1e6, after/1e6)
	return err
}
