package dag

import (
	"maps"
	"slices"
)

// reachable lists the fork and every other that contributes to it, whatever
// the filters.
func (t *forkTable) reachable(fork uint32) []uint32 {
	seen := map[uint32]bool{fork: true}
	todo := []uint32{fork}
	for len(todo) > 0 {
		f := t.byNum[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		for _, c := range f.contribs {
			if !seen[c.from] {
				seen[c.from] = true
				todo = append(todo, c.from)
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// keyMerge walks the keys that any of some forks wrote, in byte order, each
// once. It reads pages, so that no iterator stays open.
type keyMerge struct {
	r     Reader
	forks []*keyPages
}

// keyPages walks the keys that one fork wrote.
type keyPages struct {
	next, end []byte
	page      []keyValue
}

type keyValue struct {
	key   string
	value []byte
}

// keyPage is how many keys are read at once.
const keyPage = 256

func newKeyMerge(r Reader, forks []uint32, prefix, after string) *keyMerge {
	m := &keyMerge{r: r}
	for _, num := range forks {
		rg := prefixRange(headKey(num, prefix))
		if after >= prefix && after != "" {
			rg.Start = append(headKey(num, after), 0)
		}
		m.forks = append(m.forks, &keyPages{next: rg.Start, end: rg.End})
	}
	return m
}

// next returns the next key, and the record of one of the forks that wrote it;
// ok is false at the end.
func (m *keyMerge) next() (key string, value []byte, ok bool, err error) {
	for _, f := range m.forks {
		if err := f.fill(m.r); err != nil {
			return "", nil, false, err
		}
		if len(f.page) > 0 && (!ok || f.page[0].key < key) {
			key, value, ok = f.page[0].key, f.page[0].value, true
		}
	}
	for _, f := range m.forks {
		if ok && len(f.page) > 0 && f.page[0].key == key {
			f.page = f.page[1:]
		}
	}
	return key, value, ok, nil
}

// fill reads the next page if the last is used up.
func (f *keyPages) fill(r Reader) error {
	if len(f.page) > 0 || f.next == nil {
		return nil
	}
	start := f.next
	f.next, f.page = nil, make([]keyValue, 0, keyPage)
	return r.Iterate(Range{Start: start, End: f.end}, func(k, v []byte) bool {
		if len(f.page) == keyPage {
			f.next = slices.Clone(k)
			return false
		}
		f.page = append(f.page, keyValue{string(k[5:]), slices.Clone(v)})
		return true
	})
}
