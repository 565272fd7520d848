package p2p

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Book keeps the addresses of peers between runs: multiaddrs that end in
// /p2p/ID. Both methods are called by one goroutine at a time.
type Book interface {
	Load() ([]string, error)
	// Save replaces what is kept.
	Save(addrs []string) error
}

// FileBook is a Book in a text file, one address a line. A missing file is an
// empty book.
type FileBook struct{ Path string }

// Load implements Book.
func (b FileBook) Load() ([]string, error) {
	raw, err := os.ReadFile(b.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read addresses of peers: %w", err)
	}
	var addrs []string
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		if line := bytes.TrimSpace(lines.Bytes()); len(line) > 0 {
			addrs = append(addrs, string(line))
		}
	}
	return addrs, nil
}

// Save implements Book. The file is replaced whole; it is not synced, because
// losing it costs nothing but a few dials.
func (b FileBook) Save(addrs []string) error {
	if err := b.save(addrs); err != nil {
		return fmt.Errorf("write addresses of peers: %w", err)
	}
	return nil
}

func (b FileBook) save(addrs []string) error {
	f, err := os.CreateTemp(filepath.Dir(b.Path), filepath.Base(b.Path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	for _, a := range slices.Sorted(slices.Values(addrs)) {
		if _, err := fmt.Fprintln(f, a); err != nil {
			f.Close()
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), b.Path)
}
