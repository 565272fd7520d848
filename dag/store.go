package dag

import (
	"errors"
	"fmt"

	"github.com/syndtr/goleveldb/leveldb"
)

// Store is the ordered key-value store below the graph. It is safe for
// concurrent use. [crush/dag/dagtest] holds the conformance suite of
// implementations.
type Store interface {
	Reader
	// Write applies the batch atomically. With sync it returns after the batch
	// is on stable storage. After an error the batch may or may not be there
	// after the next open; the store must not be written again before.
	Write(b *Batch, sync bool) error
	// Snapshot returns a consistent view of this moment.
	Snapshot() (Snapshot, error)
	// Close releases the store. Reads and writes after it are errors.
	Close() error
}

// Reader reads an ordered key-value store.
type Reader interface {
	// Get returns a copy of the value, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	// Iterate calls yield for each pair of the range in order, until it returns
	// false. The slices are valid only during the call. An error says that the
	// range was not seen whole: damage never ends an iteration silently.
	Iterate(r Range, yield func(key, value []byte) bool) error
}

// Snapshot is a view of one moment; Release must be called once.
type Snapshot interface {
	Reader
	Release()
}

// Range is the keys k with Start <= k < End; a nil End is no bound.
type Range struct {
	Start, End []byte
	Reverse    bool // from the highest down
}

// prefixRange is the range of all keys that start with p.
func prefixRange(p []byte) Range { return Range{Start: p, End: prefixEnd(p)} }

// prefixEnd is the smallest key above all that start with p; nil for none.
func prefixEnd(p []byte) []byte {
	end := append([]byte(nil), p...)
	for len(end) > 0 {
		if end[len(end)-1]++; end[len(end)-1] != 0 {
			return end
		}
		end = end[:len(end)-1]
	}
	return nil
}

// ErrNotFound marks what is not in the store or graph.
var ErrNotFound = errors.New("not found")

// ErrCorrupt is the one mark of damage to our own stored bytes.
var ErrCorrupt = errors.New("stored data is damaged")

// ErrReadOnly marks a store that takes no writes until it is opened again.
var ErrReadOnly = errors.New("the store takes no writes until it is opened again")

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// Batch is a list of changes that are written atomically. Keys and values are
// copied. The zero value is empty.
type Batch struct {
	b leveldb.Batch
}

// Put sets a key.
func (b *Batch) Put(key, value []byte) { b.b.Put(key, value) }

// Delete removes a key.
func (b *Batch) Delete(key []byte) { b.b.Delete(key) }

// Len is the number of changes.
func (b *Batch) Len() int { return b.b.Len() }

// Size is the number of bytes that the batch takes, about.
func (b *Batch) Size() int { return len(b.b.Dump()) }

// Reset empties the batch, keeping its memory.
func (b *Batch) Reset() { b.b.Reset() }

// Each calls put and del for each change in order.
func (b *Batch) Each(put func(key, value []byte), del func(key []byte)) error {
	return b.b.Replay(replay{put, del})
}

type replay struct {
	put func(key, value []byte)
	del func(key []byte)
}

func (r replay) Put(k, v []byte) { r.put(k, v) }
func (r replay) Delete(k []byte) { r.del(k) }
