package dag

import "slices"

// keyMerge walks the keys of some ranges of records, in byte order, each once,
// with the records that the ranges have of it. It reads pages, so that no
// iterator stays open; and of a range little more than up to where others are
// read, so that what is read is in proportion to what is walked, and not to the
// ranges.
type keyMerge struct {
	r     Reader
	parts []*keyPages
	bound []byte // others need not be read behind this key for now; nil if nothing says how far to read
}

// keyPages walks the keys of one range of records.
type keyPages struct {
	prefix []byte // what stands before the key in a record's
	next   []byte // where the next page starts
	end    []byte // of the range
	page   []keyValue
	done   bool // there is no next page
}

type keyValue struct {
	key   string
	value []byte
}

// keyPage is how many keys are read at once.
const keyPage = 128

// add adds the records that have a prefix before their keys, of the keys that
// start with start and come after after. Ranges that are added first are read
// first: the fullest should be.
func (m *keyMerge) add(prefix []byte, start, after string) {
	rg := prefixRange(append(slices.Clip(prefix), start...))
	if after >= start && after != "" {
		rg.Start = append(append(slices.Clip(prefix), after...), 0)
	}
	m.parts = append(m.parts, &keyPages{prefix: prefix, next: rg.Start, end: rg.End})
}

// next returns the next key, with its record in each part, nil where there is
// none; ok is false at the end. The values are good until the next call.
func (m *keyMerge) next(values [][]byte) (key string, ok bool, err error) {
	for {
		key, ok = m.first()
		p := m.behind(key, ok)
		if p == nil {
			break
		}
		if err := m.fill(p); err != nil {
			return "", false, err
		}
	}
	for i, p := range m.parts {
		values[i] = nil
		if ok && len(p.page) > 0 && p.page[0].key == key {
			values[i], p.page = p.page[0].value, p.page[1:]
		}
	}
	return key, ok, nil
}

// first is the lowest key of all pages.
func (m *keyMerge) first() (key string, ok bool) {
	for _, p := range m.parts {
		if len(p.page) > 0 && (!ok || p.page[0].key < key) {
			key, ok = p.page[0].key, true
		}
	}
	return key, ok
}

// behind returns a part that may have a key which is not in its page, and is
// not above key; nil if there is none.
func (m *keyMerge) behind(key string, bounded bool) *keyPages {
	for _, p := range m.parts {
		if len(p.page) == 0 && !p.done && (!bounded || string(p.next[len(p.prefix):]) <= key) {
			return p
		}
	}
	return nil
}

// fill reads the next page of a part. One that is read behind the bound sets a
// new one.
func (m *keyMerge) fill(p *keyPages) error {
	if m.bound != nil && string(p.next[len(p.prefix):]) <= string(m.bound) {
		return p.fill(m.r, m.bound)
	}
	m.bound = nil
	err := p.fill(m.r, nil)
	if n := len(p.page); n > 0 && !p.done {
		m.bound = []byte(p.page[n-1].key)
	}
	return err
}

// fill reads the next page, no further than to the first key behind another;
// nil is no bound.
func (p *keyPages) fill(r Reader, bound []byte) error {
	from := p.next
	p.page, p.done = make([]keyValue, 0, keyPage), true
	return r.Iterate(Range{Start: from, End: p.end}, func(k, v []byte) bool {
		key := k[len(p.prefix):]
		if n := len(p.page); n == keyPage || n > 0 && bound != nil && p.page[n-1].key > string(bound) {
			p.next, p.done = slices.Clone(k), false
			return false
		}
		p.page = append(p.page, keyValue{string(key), slices.Clone(v)})
		return true
	})
}
