package gitstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// data reads the head of a piece of data, and returns its bytes; they must be
// read to the end before the next line.
func (r *Reader) data() (io.Reader, error) {
	line, err := r.inside()
	if err != nil {
		return nil, err
	}
	text, ok := bytes.CutPrefix(line, []byte("data "))
	if !ok {
		return nil, fmt.Errorf("data is missing: the line is %s", quoteLine(line))
	}
	if end, ok := bytes.CutPrefix(text, []byte("<<")); ok {
		if len(end) == 0 {
			return nil, errors.New("data names no delimiter")
		}
		return &delimited{r: r, end: string(end), atStart: true}, nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("data has the length %s", quoteLine(text))
	}
	return &counted{r: r, left: n}, nil
}

// keep reads data into the blobs.
func (r *Reader) keep() (Blob, error) {
	data, err := r.data()
	if err != nil {
		return 0, err
	}
	blob, err := r.blobs.Keep(data)
	if err != nil {
		return 0, err
	}
	return blob, r.afterData()
}

// message reads data into memory.
func (r *Reader) message() ([]byte, error) {
	data, err := r.data()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(data, maxMessage+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxMessage {
		return nil, fmt.Errorf("a message is longer than %d bytes", maxMessage)
	}
	return text, r.afterData()
}

// afterData reads the line end that may stand behind data.
func (r *Reader) afterData() error {
	next, err := r.in.Peek(1)
	if err != nil {
		return ignoreEOF(err)
	}
	if next[0] == '\n' {
		r.line++
		r.loose = false
		_, err = r.in.Discard(1)
	}
	return err
}

func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return readFault(err)
}

// counted is data of a known length.
type counted struct {
	r    *Reader
	left int64
}

// Read implements io.Reader. Data that breaks off is ErrTruncated.
func (d *counted) Read(p []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	n, err := d.r.in.Read(p[:min(int64(len(p)), d.left)])
	d.left -= int64(n)
	d.r.line += int64(bytes.Count(p[:n], []byte("\n")))
	if err != nil {
		err = readFault(err)
	}
	return n, err
}

// delimited is data that a line ends.
type delimited struct {
	r       *Reader
	end     string
	rest    []byte // of the line that is being given out
	atStart bool   // of a line
	over    bool
}

// Read implements io.Reader. Data that breaks off is ErrTruncated.
func (d *delimited) Read(p []byte) (int, error) {
	if len(d.rest) == 0 {
		if d.over {
			return 0, io.EOF
		}
		part, err := d.r.in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return 0, readFault(err)
		}
		if err == nil {
			d.r.line++
		}
		if d.atStart && err == nil && string(part[:len(part)-1]) == d.end {
			d.over = true
			return 0, io.EOF
		}
		d.rest, d.atStart = part, err == nil
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}
