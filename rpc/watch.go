package rpc

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// quietIdle is how often a feed says that it is alive when the client did
	// not ask to hear of it.
	quietIdle = 15 * time.Second
	// leastIdle bounds what a client can ask for.
	leastIdle = 10 * time.Millisecond
	// maxPoll is where a long poll's answer ends.
	maxPoll = 8 << 20
)

// watch serves the change feed as lines, as server-sent events, or as one
// answer to a long poll.
func (x *exchange) watch() error {
	r := WatchRequest{Fork: x.fork, Prefix: x.query.Get("prefix"), Since: x.query.Get("since")}
	var err error
	if r.State, err = x.flag("state"); err != nil {
		return err
	}
	if r.Idle, err = x.span("idle"); err != nil {
		return err
	}
	if r.Idle != 0 && r.Idle < leastIdle {
		return invalid("idle must be at least " + leastIdle.String())
	}
	if x.query.Has("wait") {
		if r.State {
			// An answer that ends within the state could not be continued.
			return invalid("state and wait do not go together: list the keys, then poll")
		}
		return x.longPoll(r)
	}
	quiet := r.Idle == 0
	if quiet {
		// The first idle event tells the client that the feed stands.
		r.Idle = quietIdle
	}
	if strings.Contains(x.header("Accept"), contentEvents) {
		if id := x.header("Last-Event-Id"); id != "" {
			r.Since, r.State = id, false
		}
		x.w.Header()["Cache-Control"] = []string{"no-store"}
		// The cursor within the state is that of its end: a page that
		// connects again before it had all must get all again.
		whole := !r.State
		return x.feed(contentEvents, r, func(b []byte, e *Event) []byte {
			whole = whole || e.Type == eventIdle
			return appendServerEvent(b, e, whole, quiet)
		})
	}
	return x.feed(contentLines, r, func(b []byte, e *Event) []byte {
		if quiet && e.Type == eventIdle {
			return b
		}
		return append(e.appendJSON(b), '\n')
	})
}

// eventIdle is the type of the event at the end of the feed.
const eventIdle = "idle"

// appendServerEvent appends an event, with its cursor as id if that is asked
// for. An event without data moves the id and is not seen by the page's script.
func appendServerEvent(b []byte, e *Event, id, quiet bool) []byte {
	if id {
		b = append(b, "id: "...)
		b = append(b, e.Cursor...)
		b = append(b, '\n')
	}
	if !quiet || e.Type != eventIdle {
		b = append(b, "data: "...)
		b = e.appendJSON(b)
		b = append(b, '\n')
	}
	return append(b, '\n')
}

// feed pumps events until the client goes or the server stops.
func (x *exchange) feed(contentType string, r WatchRequest, add func(b []byte, e *Event) []byte) error {
	return x.pump(contentType, func(ctx context.Context, p *pump) error {
		var b []byte
		for e, err := range x.Service.Histories.Watch(ctx, r) {
			if err != nil {
				return err
			}
			b = add(b[:0], &e)
			if err := p.write(b); err != nil {
				return err
			}
		}
		return nil
	})
}

// longPoll answers with the events that are there, or, if there are none,
// with the next atomic block, or with none after the wait.
func (x *exchange) longPoll(r WatchRequest) error {
	wait, err := x.span("wait")
	if err != nil {
		return err
	}
	limit, err := x.limit()
	if err != nil {
		return err
	}
	if limit == 0 {
		limit = x.limits.Page
	}
	ctx, cancel := context.WithCancelCause(x.r.Context())
	defer cancel(nil)
	defer x.cancelAtStop(ctx, cancel)()
	r.Idle = max(wait, leastIdle)
	b, cursor, n, atEnd := []byte(`{"events":[`), Cursor(""), 0, false
	for e, err := range x.Service.Histories.Watch(ctx, r) {
		if err != nil {
			return streamError(ctx, err)
		}
		if cursor = e.Cursor; e.Type == eventIdle {
			if n > 0 || atEnd || wait == 0 {
				break
			}
			atEnd = true
			continue
		}
		if n > 0 {
			b = append(b, ',')
		}
		b = e.appendJSON(b)
		if n++; n == limit || len(b) > maxPoll || atEnd && e.Last {
			break
		}
	}
	if err := context.Cause(ctx); err != nil && n == 0 {
		return err // an iterator may just end when it is cancelled
	}
	b = appendStringMember(append(b, ']'), "cursor", string(cursor))
	return x.writeBody(http.StatusOK, contentJSON, append(b, '}'))
}

// cancelAtStop cancels with errClosing when the server stops; call the result
// to end that.
func (x *exchange) cancelAtStop(ctx context.Context, cancel context.CancelCauseFunc) (end func()) {
	if x.Stop == nil {
		return func() {}
	}
	var wg sync.WaitGroup
	ctx, done := context.WithCancel(ctx)
	wg.Go(func() {
		select {
		case <-x.Stop:
			cancel(errClosing)
		case <-ctx.Done():
		}
	})
	return func() {
		done()
		wg.Wait()
	}
}

// streamError prefers the reason why a stream's context was cancelled.
func streamError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}
