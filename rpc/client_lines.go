package rpc

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"iter"
	"maps"
	"net/http"
)

// maxLine is the longest line of a stream that a client reads: a value at the
// default limit, every byte of it escaped, with room to spare.
const maxLine = 64 << 20

// lines yields the elements of an answer that has one a line. It stops reading
// when the consumer breaks. An error is the last thing it yields.
func lines[T any](ctx context.Context, c *Client, r request) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		r.header = maps.Clone(r.header)
		if r.header == nil {
			r.header = make(http.Header, 1)
		}
		r.header["Accept"] = []string{contentLines}
		r.endless = true
		resp, err := c.send(ctx, r)
		if err != nil {
			yield(zero, err)
			return
		}
		defer resp.Body.Close()
		in := &lineReader{from: bufio.NewReaderSize(resp.Body, chunk)}
		for {
			line, err := in.next()
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(zero, c.failure(ctx, err))
				return
			}
			var v T
			if err := readLine(line, &v); err != nil {
				yield(zero, err)
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// errorLine starts the line that ends a stream which failed.
var errorLine = []byte(`{"error":`)

func readLine(line []byte, v any) error {
	if bytes.HasPrefix(line, errorLine) {
		if e := parseError(line); e != nil {
			return e
		}
	}
	return decodeAnswer(line, v)
}

// lineReader reads lines of any length up to maxLine.
type lineReader struct {
	from *bufio.Reader
	long []byte
}

// next returns a line without its end, valid until the next call.
func (r *lineReader) next() ([]byte, error) {
	r.long = r.long[:0]
	for {
		part, err := r.from.ReadSlice('\n')
		switch {
		case err == nil && len(r.long) == 0:
			return part[:len(part)-1], nil
		case err == nil:
			r.long = append(r.long, part[:len(part)-1]...)
			return r.long, nil
		case err == bufio.ErrBufferFull && len(r.long) < maxLine:
			r.long = append(r.long, part...)
		case err == bufio.ErrBufferFull:
			return nil, &Error{Code: CodeTooLarge, Message: "a line of the daemon's answer is too long"}
		case err == io.EOF && len(r.long)+len(part) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}
