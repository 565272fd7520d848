package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// A history is one key with many revisions in a running daemon.
type history struct {
	client *http.Client
	length int64
}

func (h history) name() string { return strconv.FormatInt(h.length, 10) }
func (h history) key() string  { return "history-" + h.name() }

// native and ancestral are the key's URLs in the two APIs.
func (h history) native() string    { return "http://crush/api/v1/forks/default/kv/" + h.key() }
func (h history) ancestral() string { return "http://crush/" + h.key() }

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
	data := r.tmp + "/data"
	client := unixClient(socketIn(data), 1)
	histories := historiesUpTo(longest, client)
	var fillings []filling
	for _, h := range histories {
		fillings = append(fillings, filling{n: h.length, key: func(int64) string { return h.key() }})
	}
	if err := fill(ctx, program, data, fillings...); err != nil {
		return err
	}
	server, err := startCrush(ctx, program, data, "off")
	if err != nil {
		return err
	}
	err = headsOf(ctx, r, histories, times)
	if err == nil {
		err = stream(ctx, server, histories[len(histories)-1])
	}
	client.CloseIdleConnections()
	return errors.Join(err, server.stop())
}

// historiesUpTo returns histories of 10 revisions, 1,000 and so on, and of the longest.
func historiesUpTo(longest int64, client *http.Client) []history {
	var histories []history
	for n := int64(10); n < longest; n *= 100 {
		histories = append(histories, history{client, n})
	}
	return append(histories, history{client, longest})
}

// headsOf prints a table for each operation.
func headsOf(ctx context.Context, r *run, histories []history, times int) error {
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
