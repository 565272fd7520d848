package rpc

import (
	"fmt"
	"io"
	"os"
)

// The bounds of what of a batch is in memory at a time.
const (
	heldValues = 8 << 20   // bytes of values; those that follow are put aside
	maxFiles   = 1_000_000 // keys
)

// aside is where a value of a batch is that is not in memory.
type aside struct {
	file io.ReaderAt // nil if it is in memory
	from int64
	size int
}

// Size is the length of the value.
func (f *File) Size() int {
	if f.aside.file != nil {
		return f.aside.size
	}
	return len(f.Value)
}

// Load returns the value. It works until the request has ended that the file
// came with.
func (f *File) Load() ([]byte, error) {
	if f.aside.file == nil {
		return f.Value, nil
	}
	value := make([]byte, f.aside.size)
	if _, err := f.aside.file.ReadAt(value, f.aside.from); err != nil {
		return nil, fmt.Errorf("read the value of %s of a batch: %w", quote(f.Key), err)
	}
	return value, nil
}

// asides puts values of one batch aside, into a file without a name in dir, so
// that it goes whatever happens.
type asides struct {
	dir  string
	held int // bytes in memory
	file *os.File
	size int64
}

// add puts the value of a file aside, unless there is room for it in memory.
func (a *asides) add(f *File) error {
	if a.held+len(f.Value) <= heldValues {
		a.held += len(f.Value)
		return nil
	}
	if a.file == nil {
		file, err := os.CreateTemp(a.dir, ".crush-new-")
		if err != nil {
			return fmt.Errorf("put values of a batch aside: %w", err)
		}
		a.file = file
		if err := os.Remove(file.Name()); err != nil {
			return fmt.Errorf("put values of a batch aside: %w", err)
		}
	}
	if _, err := a.file.WriteAt(f.Value, a.size); err != nil {
		return fmt.Errorf("put values of a batch aside: %w", err)
	}
	f.aside = aside{a.file, a.size, len(f.Value)}
	a.size += int64(len(f.Value))
	f.Value = nil
	return nil
}

// close gives the room back.
func (a *asides) close() error {
	if a.file == nil {
		return nil
	}
	return a.file.Close()
}
