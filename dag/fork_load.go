package dag

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// forkOpRecord is the value of an operation in the list of those on forks: with
// it, opening the graph need not read the blocks, nor look for those that cuts
// name.
type forkOpRecord struct {
	line  uint32
	seq   uint64
	lam   uint64
	id    orderID
	salt  Salt
	op    Op
	lacks []clock // of the cuts that it names, beside the operation's past
}

func newForkOpRecord(at *opPlace, op Op, cuts []bound) *forkOpRecord {
	r := &forkOpRecord{line: at.past.line, seq: at.past.seq, lam: at.lam, id: orderID(at.id[:]), salt: at.block.Salt, op: op}
	for _, cut := range cuts {
		r.lacks = append(r.lacks, at.past.lacking(cut))
	}
	return r
}

func (r *forkOpRecord) encode() []byte {
	b := binary.AppendUvarint(nil, recordVersion)
	b = binary.AppendUvarint(b, uint64(r.line))
	b = binary.AppendUvarint(b, r.seq)
	b = binary.AppendUvarint(b, r.lam)
	b = append(append(b, r.id[:]...), r.salt[:]...)
	b = binary.AppendUvarint(b, uint64(r.op.Kind))
	b = binary.AppendUvarint(b, uint64(len(r.op.Body)))
	b = append(b, r.op.Body...)
	b = binary.AppendUvarint(b, uint64(len(r.lacks)))
	for _, lacks := range r.lacks {
		b = binary.AppendUvarint(b, uint64(len(lacks)))
		for _, line := range slices.Sorted(maps.Keys(lacks)) {
			b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(line)), lacks[line])
		}
	}
	return b
}

func decodeForkOp(b []byte) (rec forkOpRecord, err error) {
	r := recordReader{b: b}
	r.open()
	rec.line, rec.seq, rec.lam = r.num32(), r.num(), r.num()
	copy(rec.id[:], r.bytes(uint64(len(rec.id))))
	copy(rec.salt[:], r.bytes(uint64(len(rec.salt))))
	rec.op.Kind = OpKind(r.num())
	rec.op.Body = slices.Clone(r.bytes(r.num()))
	for cuts := r.num(); cuts > 0 && !r.bad; cuts-- {
		lacks, last := clock{}, int64(-1)
		for n := r.num(); n > 0 && !r.bad; n-- {
			line := r.num32()
			r.bad = r.bad || int64(line) <= last
			lacks[line], last = r.num(), int64(line)
		}
		rec.lacks = append(rec.lacks, lacks)
	}
	return rec, r.close("fork operation")
}

// forkLoader applies the operations on forks again. The bases of clocks are
// shared, as they were when the operations came.
type forkLoader struct {
	g     *Graph
	front *frontier
	ops   *forkOps
	bases map[uint32]loadedBase // by line
}

// loadedBase is the base of a line's clock at some seq.
type loadedBase struct {
	seq  uint64
	base clock
}

// loadForks applies the operations on forks again.
func (g *Graph) loadForks(m *moment) (*forkTable, error) {
	l := &forkLoader{g: g, front: m.front, bases: map[uint32]loadedBase{}, ops: &forkOps{
		t: newForkTable(), known: true,
		activity: func(num uint32) (map[uint32]uint64, error) { return readActivity(g.store, num) },
	}}
	count := uint64(len(m.roster.events) + m.purges.count)
	from, end := []byte{tagFork}, []byte{tagFork + 1}
	for from != nil {
		// In pages: an iterator pins files of the store.
		var page []keyValue
		next := from
		from = nil
		err := g.store.Iterate(Range{Start: next, End: end}, func(k, v []byte) bool {
			if len(page) == historyPage {
				from = slices.Clone(k)
				return false
			}
			page = append(page, keyValue{string(k), slices.Clone(v)})
			return true
		})
		for i := 0; i < len(page) && err == nil; i++ {
			count++
			err = l.apply(page[i].key, page[i].value)
		}
		if err != nil {
			return nil, err
		}
	}
	if count != m.state.ops {
		return nil, corrupt("the store has %d operations on members and forks and purges, but its last write left %d", count, m.state.ops)
	}
	return l.ops.t, nil
}

func (l *forkLoader) apply(key string, value []byte) error {
	rec, err := decodeForkOp(value)
	if err != nil || len(key) != 13 {
		return errors.Join(err, corrupt("operation on forks at %x", key))
	}
	line, err := l.front.line(rec.line)
	if err != nil {
		return err
	}
	base, err := l.base(rec.line, rec.seq)
	if err != nil {
		return err
	}
	at := &opPlace{
		past: past{base, rec.line, rec.seq}, block: &Block{Chain: line.chain, Seq: rec.seq, Salt: rec.salt},
		lam: rec.lam, index: binary.BigEndian.Uint32([]byte(key[9:])),
	}
	copy(at.id[:], rec.id[:]) // the rest is not looked at
	l.ops.cuts = nil
	for _, lacks := range rec.lacks {
		l.ops.cuts = append(l.ops.cuts, at.past.less(lacks))
	}
	_, void, err := l.ops.apply(at, rec.op)
	if err == nil && void != "" {
		err = corrupt("operation %x on forks does not apply again: %s", key, void)
	}
	return err
}

// base returns what loadClock does; the operations of a line come in order.
func (l *forkLoader) base(line uint32, seq uint64) (clock, error) {
	last, ok := l.bases[line]
	if ok && last.seq == seq {
		return last.base, nil
	}
	if !ok {
		cp, err := loadClock(l.g.store, line, seq)
		l.bases[line] = loadedBase{seq, cp.base}
		return cp.base, err
	}
	newer, whole := clock{}, false
	var bad error
	r := Range{Start: clockKey(line, last.seq+1), End: clockKey(line, seq+1), Reverse: true}
	err := l.g.store.Iterate(r, func(_, v []byte) bool {
		var rec clockRecord
		if rec, bad = decodeClock(v); bad == nil {
			newer.join(rec.clock)
			whole = rec.delta == 0
		}
		return bad == nil && !whole
	})
	if len(newer) > 0 && !whole {
		newer.join(last.base)
	}
	if len(newer) > 0 || whole {
		last.base = newer
	}
	last.seq = seq
	l.bases[line] = last
	return last.base, errors.Join(err, bad)
}
