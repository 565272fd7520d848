package rpc

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	contentJSON   = "application/json; charset=utf-8"
	contentLines  = "application/x-ndjson"
	contentEvents = "text/event-stream"
	contentText   = "text/plain; charset=utf-8"
	contentBytes  = "application/octet-stream"
)

// errHungUp marks a failed write of an answer: the client's connection, so
// there is nobody to tell and nothing of ours to log.
var errHungUp = errors.New("the client hung up")

// writeJSON answers with what fill appends.
func (x *exchange) writeJSON(status int, fill func(b []byte) []byte) error {
	buf := x.buffers.Get().(*[]byte)
	*buf = fill((*buf)[:0])
	err := x.writeBody(status, contentJSON, *buf)
	if cap(*buf) <= 2*chunk {
		x.buffers.Put(buf)
	}
	return err
}

// writeBody answers with a body that is all there.
func (x *exchange) writeBody(status int, contentType string, body []byte) error {
	header := x.w.Header()
	values := [...]string{contentType, strconv.Itoa(len(body))}
	header["Content-Type"] = values[0:1:1]
	header["Content-Length"] = values[1:2:2]
	x.writeHeader(status)
	_, err := timedWriter{x}.Write(body)
	return err
}

func (x *exchange) writeHeader(status int) {
	x.wrote = true
	x.w.WriteHeader(status)
}

// writeError answers with the JSON error object.
func (x *exchange) writeError(code Code, message string) {
	// If even this cannot be written, nobody is there to read it.
	_ = x.writeJSON(code.Status(), func(b []byte) []byte { return appendError(b, code, message) })
}

// appendError appends the JSON error object.
func appendError(b []byte, code Code, message string) []byte {
	b = append(b, `{"error":{"code":`...)
	b = appendString(b, string(code))
	b = append(b, `,"message":`...)
	b = appendString(b, message)
	return append(b, '}', '}')
}

// timedWriter writes an answer and gives the client a deadline for each chunk.
type timedWriter struct{ x *exchange }

func (t timedWriter) Write(p []byte) (written int, err error) {
	if !t.x.wrote {
		t.x.writeHeader(http.StatusOK)
	}
	in := t.x.limits.ChunkIn
	if t.x.unread {
		in *= 2 // net/http first waits for the rest of the body
	}
	for len(p) > 0 {
		t.x.writeUntil(time.Now().Add(in))
		n, err := t.x.w.Write(p[:min(len(p), chunk)])
		written += n
		if err != nil {
			return written, fmt.Errorf("%w: %w", errHungUp, err)
		}
		p = p[n:]
	}
	return written, nil
}

// stream answers 200 with what fill writes, of any length. Until a buffer is
// full, fill can still return an error and have it answered properly.
func (x *exchange) stream(contentType string, fill func(w *bufio.Writer) error) error {
	w := x.writers.Get().(*bufio.Writer)
	w.Reset(timedWriter{x})
	defer func() {
		w.Reset(nil)
		x.writers.Put(w)
	}()
	x.w.Header()["Content-Type"] = []string{contentType}
	if err := fill(w); err != nil {
		return err
	}
	return w.Flush()
}
