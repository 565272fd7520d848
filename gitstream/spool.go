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

// Spool keeps contents in a temporary file that has no name, each once. It is
// for one goroutine while it is filled; then Load may be called by several.
type Spool struct {
	file  *os.File
	out   *bufio.Writer
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

// NewSpool makes a spool in a directory; "" is the one for temporary files.
func NewSpool(dir string) (*Spool, error) {
	f, err := os.CreateTemp(dir, "crush-import-*")
	if err != nil {
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Spool{
		file: f, out: bufio.NewWriterSize(f, 256<<10), known: map[[sha256.Size]byte]Blob{}, buf: make([]byte, 64<<10),
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
	for {
		n, err := r.Read(s.buf)
		h.Write(s.buf[:n])
		if _, err := s.out.Write(s.buf[:n]); err != nil {
			return 0, fmt.Errorf("write a temporary file: %w", err)
		}
		e.size += int64(n)
		s.size += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	h.Sum(e.sum[:0])
	if b, ok := s.known[e.sum]; ok {
		return b, nil // what was written for it is never read
	}
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

// Load appends a content to b.
func (s *Spool) Load(b []byte, blob Blob) ([]byte, error) {
	e := s.at[blob]
	from := len(b)
	b = append(b, make([]byte, e.size)...)
	if _, err := s.file.ReadAt(b[from:], e.from); err != nil {
		return nil, fmt.Errorf("read a temporary file: %w", err)
	}
	return b, nil
}
