package dag

import "slices"

// scanForks is how many forks are walked side by side. Where more contribute,
// the lists of forks that wrote a key are walked instead, and the records of
// keys that others wrote are read one by one.
const scanForks = 32

// scan walks the keys that may be visible on a fork.
type scan struct {
	lineage
	f      *forkState
	keys   keyMerge
	forks  []uint32 // whose records are walked: the first parts of keys, in their order
	lists  bool     // the last part is the lists of forks that wrote a key
	values [][]byte // of the key
	writer []uint32 // forks other than the default one that wrote the key, in order
}

// newScan walks the keys of a fork that start with prefix and come after after.
func (g *Graph) newScan(m *moment, r Reader, f *forkState, prefix, after string) *scan {
	s := &scan{lineage: *g.lineage(m, r), f: f}
	s.keys.r = r
	s.lineage.stored, s.lineage.wrote = s.storedIn(s.lineage.stored), func(string) ([]uint32, error) { return s.writer, nil }
	reach := m.forks.reachable(f.num)
	if s.lists = len(reach) > scanForks; s.lists {
		reach = slices.DeleteFunc(reach, func(num uint32) bool { return num != f.num && num != 1 })
	}
	s.forks = reach
	for _, num := range reach {
		s.keys.add(headKey(num, ""), prefix, after)
	}
	if s.lists {
		s.keys.add([]byte{tagWrote}, prefix, after)
	}
	s.values = make([][]byte, len(s.keys.parts))
	return s
}

// storedIn is stored, from the records of the key that the walk stands at.
func (s *scan) storedIn(read func(entryKey) (*Entry, error)) func(entryKey) (*Entry, error) {
	return func(k entryKey) (*Entry, error) {
		i, ok := slices.BinarySearch(s.forks, k.fork)
		if !ok {
			return read(k)
		}
		f := s.lineage.forks.num(k.fork)
		if s.values[i] == nil {
			return &Entry{Fork: f.id, Key: k.key}, nil
		}
		e, err := decodeEntry(f.id, k.key, s.values[i], s.chainOf)
		return &e, err
	}
}

// next returns the next key as it stands on the fork; nil at the end.
func (s *scan) next() (*Entry, error) {
	key, ok, err := s.keys.next(s.values)
	if err != nil || !ok {
		return nil, err
	}
	s.writer = s.writer[:0]
	if s.lists {
		if list := s.values[len(s.forks)]; list != nil {
			s.writer, err = decodeWrote(list)
		}
	} else {
		for i, num := range s.forks {
			if num != 1 && s.values[i] != nil {
				s.writer = append(s.writer, num)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	return s.entry(entryKey{s.f.num, key})
}
