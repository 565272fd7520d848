package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// maxJSON is the largest body of a request that is a JSON object, batches
// aside.
const maxJSON = 1 << 20

// readValue reads a request's body, a value. One byte more than the limit is
// read at most.
func (x *exchange) readValue() ([]byte, error) {
	return x.readBody(x.limits.Value, "the value is too large: at most %d bytes")
}

func (x *exchange) readBody(limit int64, refusal string) ([]byte, error) {
	length := x.r.ContentLength
	if length > limit {
		return nil, &Error{Code: CodeTooLarge, Message: fmt.Sprintf(refusal, limit)}
	}
	if length == 0 {
		return []byte{}, nil
	}
	body := newBodyReader(x)
	if length > 0 {
		value := make([]byte, length)
		if _, err := io.ReadFull(body, value); err != nil {
			return nil, err
		}
		body.done()
		return value, nil
	}
	value, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(value)) > limit {
		return nil, &Error{Code: CodeTooLarge, Message: fmt.Sprintf(refusal, limit)}
	}
	body.done()
	return value, nil
}

// readJSON reads a request's body, one JSON object without unknown members.
func (x *exchange) readJSON(v any) error {
	data, err := x.readBody(maxJSON, "the request's body is too large: at most %d bytes")
	if err != nil {
		return err
	}
	return decodeStrictly(bytes.NewReader(data), v)
}

// readFull is readJSON of a body of up to limit bytes some of whose members
// must not be "": a script's variable that is not set must not turn a condition
// into none.
func (x *exchange) readFull(v any, limit int64, members ...string) error {
	data, err := x.readBody(limit, "the request's body is too large: at most %d bytes")
	if err != nil {
		return err
	}
	if err := decodeStrictly(bytes.NewReader(data), v); err != nil {
		return err
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(data, &given); err != nil {
		return invalid("the request's body must be a JSON object")
	}
	for name, value := range given {
		if string(value) == `""` && slices.Contains(members, strings.ToLower(name)) {
			return invalid(quote(name) + " is empty: leave it out, or give it a value")
		}
	}
	return nil
}

func decodeStrictly(r io.Reader, v any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return nil
		}
		err = errors.New("more follows the first value")
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return invalid("the request's body does not parse: " + err.Error())
}

// bodyReader is a request's body with a deadline that moves with each chunk.
// ServeHTTP has set the first one.
type bodyReader struct {
	x    *exchange
	read int64
	next int64 // where the deadline moves
}

func newBodyReader(x *exchange) *bodyReader { return &bodyReader{x: x, next: chunk} }

// Read returns an *Error when the body breaks off or comes too slowly.
func (b *bodyReader) Read(p []byte) (int, error) {
	if b.read >= b.next {
		b.next = b.read + chunk
		b.x.readUntil(time.Now().Add(b.x.limits.ChunkIn))
	}
	if most := b.next - b.read; int64(len(p)) > most {
		p = p[:most]
	}
	n, err := b.x.r.Body.Read(p)
	b.read += int64(n)
	switch {
	case err == nil || err == io.EOF:
		return n, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = &Error{Code: CodeTimeout, Message: "the request's body comes too slowly", Cause: err}
	default:
		err = &Error{Code: CodeInvalid, Message: "the request's body breaks off", Cause: err}
	}
	return n, err
}

// done lifts the deadline after the last byte: it would else end the request
// itself. It stays on a body that was given up.
func (b *bodyReader) done() {
	b.x.unread = false
	b.x.readUntil(time.Time{})
}

// readUntil and writeUntil set deadlines. Their error means a connection that
// has none, as a recorder of tests.
func (x *exchange) readUntil(t time.Time) { _ = http.NewResponseController(x.w).SetReadDeadline(t) }

func (x *exchange) writeUntil(t time.Time) { _ = http.NewResponseController(x.w).SetWriteDeadline(t) }
