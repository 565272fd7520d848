package dagtest

import (
	"sync/atomic"

	"crush/dag"
)

// Meter counts what is done to a store.
type Meter struct {
	dag.Store
	gets, ranges, records, bytes atomic.Int64
}

// NewMeter counts on top of a store, which it then owns.
func NewMeter(s dag.Store) *Meter { return &Meter{Store: s} }

// Cost is what something did to a store.
type Cost struct {
	Reads   int // gets, and ranges begun
	Records int // that ranges came to
	Bytes   int // written
}

// Of tells what a function costs.
func (m *Meter) Of(do func()) Cost {
	before := m.cost()
	do()
	after := m.cost()
	return Cost{after.Reads - before.Reads, after.Records - before.Records, after.Bytes - before.Bytes}
}

func (m *Meter) cost() Cost {
	return Cost{int(m.gets.Load() + m.ranges.Load()), int(m.records.Load()), int(m.bytes.Load())}
}

// Get implements dag.Reader.
func (m *Meter) Get(key []byte) ([]byte, error) { return m.get(m.Store, key) }

// Iterate implements dag.Reader.
func (m *Meter) Iterate(r dag.Range, yield func(k, v []byte) bool) error {
	return m.iterate(m.Store, r, yield)
}

// Write implements dag.Store.
func (m *Meter) Write(b *dag.Batch, sync bool) error {
	m.bytes.Add(int64(b.Size()))
	return m.Store.Write(b, sync)
}

// Snapshot implements dag.Store: reads of it count too.
func (m *Meter) Snapshot() (dag.Snapshot, error) {
	s, err := m.Store.Snapshot()
	return &meteredSnapshot{s, m}, err
}

func (m *Meter) get(r dag.Reader, key []byte) ([]byte, error) {
	m.gets.Add(1)
	return r.Get(key)
}

func (m *Meter) iterate(r dag.Reader, rg dag.Range, yield func(k, v []byte) bool) error {
	m.ranges.Add(1)
	return r.Iterate(rg, func(k, v []byte) bool {
		m.records.Add(1)
		return yield(k, v)
	})
}

type meteredSnapshot struct {
	dag.Snapshot
	m *Meter
}

func (s *meteredSnapshot) Get(key []byte) ([]byte, error) { return s.m.get(s.Snapshot, key) }

func (s *meteredSnapshot) Iterate(r dag.Range, yield func(k, v []byte) bool) error {
	return s.m.iterate(s.Snapshot, r, yield)
}
