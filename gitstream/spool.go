package gitstream

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// Spool keeps contents in a temporary file that has no name, each once. Of those
// over its limit it keeps the size only: a stream of a few bytes that unpacks to
// more than the disk holds does no harm by one content. It is for one goroutine
// while it is filled; then Load may be called by several.
type Spool struct {
	file  *os.File
	out   *bufio.Writer
	limit int64
	size  int64
	at    []extent
	known map[[sha256.Size]byte]Blob
	buf   []byte
}

// extent is where a content stands.
type extent struct {
	from, size int64
	sum        [sha256.Size]byte
}

// NewSpool makes a spool in a directory, "" is the one for temporary files, of
// contents of up to limit bytes, which it has in memory one at a time.
func NewSpool(dir string, limit int64) (*Spool, error) {
	f, err := os.CreateTemp(dir, "crush-import-*")
	if err != nil {
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Spool{
		file: f, out: bufio.NewWriterSize(f, 256<<10), limit: limit, known: map[[sha256.Size]byte]Blob{}, buf: make([]byte, 64<<10),
	}, nil
}

// Close gives the file up.
func (s *Spool) Close() error { return s.file.Close() }

// Keep implements Blobs.
func (s *Spool) Keep(r io.Reader) (Blob, error) {
	if len(s.at) == math.MaxInt32 {
		return 0, errors.New("too many contents")
	}
	h := sha256.New()
	e := extent{from: s.size}
	have := 0 // of the content, in s.buf
	for {
		if have == len(s.buf) {
			s.buf = append(s.buf, make([]byte, len(s.buf))...)
		}
		n, err := r.Read(s.buf[have:])
		h.Write(s.buf[have : have+n])
		e.size += int64(n)
		if have += n; e.size > s.limit {
			have = 0
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	h.Sum(e.sum[:0])
	if b, ok := s.known[e.sum]; ok {
		return b, nil
	}
	if _, err := s.out.Write(s.buf[:have]); err != nil {
		return 0, fmt.Errorf("write a temporary file: %w", err)
	}
	s.size += int64(have)
	b := Blob(len(s.at))
	s.at, s.known[e.sum] = append(s.at, e), b
	return b, nil
}

// Sum implements Blobs.
func (s *Spool) Sum(b Blob) [sha256.Size]byte { return s.at[b].sum }

// Size is the number of bytes of a content.
func (s *Spool) Size(b Blob) int64 { return s.at[b].size }

// Flush must be called between the last Keep and the first Load.
func (s *Spool) Flush() error {
	s.known = nil
	if err := s.out.Flush(); err != nil {
		return fmt.Errorf("write a temporary file: %w", err)
	}
	return nil
}

// Load appends a content to b. One over the limit is an error.
func (s *Spool) Load(b []byte, blob Blob) ([]byte, error) {
	e := s.at[blob]
	if e.size > s.limit {
		return nil, fmt.Errorf("a content of %d bytes was not kept, the limit is %d", e.size, s.limit)
	}
	from := len(b)
	b = append(b, make([]byte, e.size)...)
	if _, err := s.file.ReadAt(b[from:], e.from); err != nil {
		return nil, fmt.Errorf("read a temporary file: %w", err)
	}
	return b, nil
}
