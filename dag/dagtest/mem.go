// Package dagtest holds what tests of stores and graphs share: a deterministic
// in-memory store that can crash and fail, and the conformance suite of
// [dag.Store]. It is for tests and simulations only.
package dagtest

import (
	"bytes"
	"errors"
	"slices"
	"sync"

	"crush/dag"
)

// ErrInjected is the error of a write that was told to fail.
var ErrInjected = errors.New("injected failure")

// Fault says what the n-th next write does.
type Fault int

// The faults.
const (
	FaultNone      Fault = iota
	FaultFailed          // an error, and nothing is written
	FaultPersisted       // an error, and yet it is written and synced
	FaultFull            // an error as of a full disk, and nothing is written
)

// Mem is an ordered in-memory store with the crash semantics of a journal:
// each batch is written whole or not at all, and what was not synced is lost
// in a crash, from some batch on. It is safe for concurrent use.
type Mem struct {
	mu       sync.RWMutex
	now      []pair   // sorted by key; replaced, never changed
	synced   []pair   // what a crash leaves at least
	unsynced [][]pair // the states after each unsynced batch
	writes   int
	fault    Fault
	faultAt  int // the write that the fault hits, counted from 1; 0 for none
	closed   bool
}

type pair struct{ key, value []byte }

var _ dag.Store = (*Mem)(nil)

// NewMem returns an empty store.
func NewMem() *Mem { return &Mem{} }

// FailWrite makes the n-th write from now on (1 is the next) suffer a fault.
func (m *Mem) FailWrite(n int, f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault, m.faultAt = f, m.writes+n
}

// Writes is the number of writes so far, failed ones included.
func (m *Mem) Writes() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.writes
}

// Crash returns the store as it is after a power loss that kept the first keep
// of the unsynced batches. The old store is unusable.
func (m *Mem) Crash(keep int) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	state := m.synced
	if keep = min(keep, len(m.unsynced)); keep > 0 {
		state = m.unsynced[keep-1]
	}
	return &Mem{now: state, synced: state}
}

// Set changes one record behind the back of whoever uses the store; a nil
// value removes it.
func (m *Mem) Set(key, value []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = put(slices.Clone(m.now), key, value)
	m.synced = put(slices.Clone(m.synced), key, value)
}

func put(state []pair, key, value []byte) []pair {
	i, found := search(state, key)
	switch {
	case value == nil && found:
		return slices.Delete(state, i, i+1)
	case value == nil:
		return state
	case found:
		state[i].value = bytes.Clone(value)
		return state
	}
	return slices.Insert(state, i, pair{bytes.Clone(key), bytes.Clone(value)})
}

func search(state []pair, key []byte) (int, bool) {
	return slices.BinarySearchFunc(state, key, func(p pair, k []byte) int { return bytes.Compare(p.key, k) })
}

var errClosed = errors.New("store is closed")

// Get implements dag.Reader.
func (m *Mem) Get(key []byte) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, errClosed
	}
	return view{m.now}.Get(key)
}

// Iterate implements dag.Reader.
func (m *Mem) Iterate(r dag.Range, yield func(k, v []byte) bool) error {
	m.mu.RLock()
	state, closed := m.now, m.closed
	m.mu.RUnlock()
	if closed {
		return errClosed
	}
	return view{state}.Iterate(r, yield)
}

// Write implements dag.Store.
func (m *Mem) Write(b *dag.Batch, sync bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return errClosed
	}
	m.writes++
	fault := FaultNone
	if m.writes == m.faultAt {
		fault = m.fault
	}
	if fault == FaultFailed || fault == FaultFull {
		return ErrInjected
	}
	next, err := apply(m.now, b)
	if err != nil {
		return err
	}
	m.now = next
	if sync {
		m.synced, m.unsynced = next, nil
	} else {
		m.unsynced = append(m.unsynced, next)
	}
	if fault == FaultPersisted {
		return ErrInjected
	}
	return nil
}

// apply merges the batch into a new sorted state.
func apply(state []pair, b *dag.Batch) ([]pair, error) {
	last := map[string][]byte{}
	err := b.Each(
		func(k, v []byte) { last[string(k)] = append([]byte{}, v...) },
		func(k []byte) { last[string(k)] = nil },
	)
	if err != nil {
		return nil, err
	}
	fresh := make([]pair, 0, len(last))
	for k, v := range last {
		fresh = append(fresh, pair{[]byte(k), v})
	}
	slices.SortFunc(fresh, func(a, b pair) int { return bytes.Compare(a.key, b.key) })
	out := make([]pair, 0, len(state)+len(fresh))
	i := 0
	for _, f := range fresh {
		for i < len(state) && bytes.Compare(state[i].key, f.key) < 0 {
			out = append(out, state[i])
			i++
		}
		if i < len(state) && bytes.Equal(state[i].key, f.key) {
			i++
		}
		if f.value != nil {
			out = append(out, f)
		}
	}
	return append(out, state[i:]...), nil
}

// Snapshot implements dag.Store.
func (m *Mem) Snapshot() (dag.Snapshot, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, errClosed
	}
	return view{m.now}, nil
}

// Close implements dag.Store.
func (m *Mem) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// Reopen returns the store as it is after a clean close.
func (m *Mem) Reopen() *Mem { return m.Crash(len(m.unsynced)) }

// view is one state.
type view struct{ state []pair }

func (v view) Get(key []byte) ([]byte, error) {
	i, found := search(v.state, key)
	if !found {
		return nil, dag.ErrNotFound
	}
	return bytes.Clone(v.state[i].value), nil
}

func (v view) Iterate(r dag.Range, yield func(k, v []byte) bool) error {
	lo, _ := search(v.state, r.Start)
	hi := len(v.state)
	if r.End != nil {
		hi, _ = search(v.state, r.End)
	}
	for n := 0; n < hi-lo; n++ {
		i := lo + n
		if r.Reverse {
			i = hi - 1 - n
		}
		if !yield(v.state[i].key, v.state[i].value) {
			break
		}
	}
	return nil
}

func (v view) Release() {}
