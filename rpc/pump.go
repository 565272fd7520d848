package rpc

import (
	"context"
	"errors"
	"net/http"
	"sync"
)

// maxPending bounds what waits for a slow client of a stream.
const maxPending = 256 << 10

// errClosing ends the streams of a server that stops.
var errClosing = &Error{Code: CodeNoDaemon, Message: "the daemon is shutting down"}

// pump writes a stream in a second goroutine: while the connection takes one
// batch the next one gathers, so that a busy feed is flushed seldom and a quiet
// one at once.
type pump struct {
	x    *exchange
	gone <-chan struct{} // closed when the stream was cancelled
	wake chan struct{}   // 1 when there is something to write
	room chan struct{}   // 1 when pending was taken
	end  chan struct{}   // closed when nothing more will be written

	spare []byte // owned by the goroutine that flushes

	mu      sync.Mutex
	pending []byte
}

// pump answers 200 with what fill writes. An error before anything is out is
// answered with its status, one after that stands at the end of the stream.
func (x *exchange) pump(contentType string, fill func(ctx context.Context, p *pump) error) error {
	ctx, cancel := context.WithCancelCause(x.r.Context())
	defer cancel(nil)
	p := &pump{
		x: x, gone: ctx.Done(),
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1), end: make(chan struct{}),
	}
	x.w.Header()["Content-Type"] = []string{contentType}
	var wg sync.WaitGroup
	wg.Go(func() { p.run(cancel) })
	defer wg.Wait() // also when fill panics
	err := p.fill(ctx, fill)
	wg.Wait()
	switch {
	case err == nil:
		return p.flush()
	case errors.Is(err, errHungUp) || x.r.Context().Err() != nil:
		return err
	case !x.wrote && len(p.pending) == 0:
		return err
	}
	p.pending = appendLastError(p.pending, contentType, err)
	return p.flush()
}

func (p *pump) fill(ctx context.Context, fill func(ctx context.Context, p *pump) error) error {
	defer close(p.end)
	err := fill(ctx, p)
	// An iterator may just end when it is cancelled, or say so: the cause
	// knows why.
	if cause := context.Cause(ctx); cause != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return cause
	}
	return err
}

// appendLastError ends a stream with what went wrong. A page's event source
// just connects again.
func appendLastError(b []byte, contentType string, err error) []byte {
	if contentType == contentEvents {
		b = append(b, "event: error\ndata: "...)
		return append(appendError(b, CodeOf(err), err.Error()), '\n', '\n')
	}
	return append(appendError(b, CodeOf(err), err.Error()), '\n')
}

// write adds to the stream; it blocks while too much is pending. After an
// empty write the client at least sees that the stream stands.
func (p *pump) write(b []byte) error {
	p.mu.Lock()
	for len(p.pending) > maxPending {
		p.mu.Unlock()
		select {
		case <-p.room:
		case <-p.gone:
			return context.Canceled
		}
		p.mu.Lock()
	}
	p.pending = append(p.pending, b...)
	p.mu.Unlock()
	signal(p.wake)
	return nil
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run flushes until the end. What is pending then is left to the caller.
func (p *pump) run(cancel context.CancelCauseFunc) {
	stop := p.x.Stop
	for {
		select {
		case <-p.wake:
			if err := p.flush(); err != nil {
				cancel(err)
				return
			}
		case <-stop:
			cancel(errClosing)
			stop = nil
		case <-p.end:
			return
		}
	}
}

func (p *pump) flush() error {
	p.mu.Lock()
	b := p.pending
	p.pending = p.spare[:0]
	p.mu.Unlock()
	signal(p.room)
	p.spare = b
	if cap(b) > 4*maxPending {
		p.spare = nil // after one huge event
	}
	if _, err := (timedWriter{p.x}).Write(b); err != nil {
		return err
	}
	// A recorder of tests cannot flush.
	_ = http.NewResponseController(p.x.w).Flush()
	return nil
}
