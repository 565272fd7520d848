package dag

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// source is a part of what is visible on a fork: what was written on a fork
// (the same or another) within a set.
type source struct {
	fork uint32
	set  before
}

// hasBlock reports whether a block, with its operations, is in the set.
func (b before) hasBlock(at loc) bool { return b.next(at.line) > at.seq }

// sources lists what is visible of a key on a fork within a closed set: its
// own writes there, and those of the forks that contributed, at their cuts, by
// contributions in the set whose filter the key passes. A fork's own part comes
// first, and stands for every older cut of itself that comes back.
func (t *forkTable) sources(fork uint32, set before, key string) []source {
	out := []source{{fork, set}}
	if len(t.byNum[fork].contribs) == 0 {
		return out
	}
	found := map[uint32]clock{}
	t.reach(fork, set, key, found)
	delete(found, fork)
	for _, num := range slices.Sorted(maps.Keys(found)) {
		c := found[num]
		out = append(out, source{num, before{next: func(line uint32) uint64 { return c[line] }}})
	}
	return out
}

// reach joins the cuts at which other forks are visible. A cut that adds
// nothing to what was found of its fork is not followed: what is visible at a
// union of cuts is the union of what is visible at each.
func (t *forkTable) reach(fork uint32, set before, key string, found map[uint32]clock) {
	for _, c := range slices.Backward(t.byNum[fork].within(set)) {
		if !set.hasBlock(c.at) || !c.filter.Pass(key) {
			continue
		}
		old, seen := found[c.from]
		if seen && c.cut.within(old) {
			continue
		}
		joined := maps.Clone(c.cut)
		joined.join(old)
		found[c.from] = joined
		t.reach(c.from, before{next: func(line uint32) uint64 { return joined[line] }}, key, found)
	}
}

// everything is the set of all blocks.
var everything = before{next: func(uint32) uint64 { return ^uint64(0) }, all: true}

// lineage reads keys on forks through their contributions.
type lineage struct {
	histories
	forks  *forkTable
	stored func(k entryKey) (*Entry, error) // own record of a key on a fork; no heads if there is none
	wrote  func(key string) ([]uint32, error)
	change func(at loc) (Change, error)
}

// wroteKey is the key of the list of forks, other than the default one, that
// wrote a key.
func wroteKey(key string) []byte { return append(tagged(tagWrote, len(key)), key...) }

func readWrote(r Reader, key string) ([]uint32, error) {
	b, err := r.Get(wroteKey(key))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeWrote(b)
}

func encodeWrote(forks []uint32) []byte {
	b := binary.AppendUvarint(nil, recordVersion)
	for _, n := range forks {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

func decodeWrote(b []byte) (out []uint32, err error) {
	r := recordReader{b: b}
	r.open()
	last := uint32(0)
	for len(r.b) > 0 && !r.bad {
		n := r.num32()
		r.bad = r.bad || n <= last
		out, last = append(out, n), n
	}
	return out, r.close("list of forks of a key")
}

// relevant drops the sources on which the key was never written.
func (l *lineage) relevant(sources []source, key string) ([]source, error) {
	wrote, err := l.wrote(key)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(sources, func(s source) bool { return s.fork != 1 && !slices.Contains(wrote, s.fork) }), nil
}

// entry returns a key on a fork as it stands. It costs one get where the fork
// has no contributions, or none since its own last write of the key; a few
// where one other fork has written the key; else it grows with the chains that
// wrote the key on the forks that are visible.
func (l *lineage) entry(k entryKey) (*Entry, error) {
	f := l.forks.byNum[k.fork]
	e, err := l.stored(k)
	if err != nil || e.contribs == len(f.contribs) {
		return e, err
	}
	sources, err := l.relevant(l.forks.sources(k.fork, everything, k.key), k.key)
	if err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(slices.Clone(sources), func(s source) bool { return s.fork == k.fork })
	if len(others) == 0 {
		return e, nil
	}
	if len(e.Heads) == 0 && len(others) == 1 {
		if only, err := l.onlyFrom(k, others[0]); only != nil || err != nil {
			return only, err
		}
	}
	return l.compute(k, sources)
}

// onlyFrom returns the entry of a key that only one other fork ever wrote, if
// that fork's record is all within the cut; nil if it is not.
func (l *lineage) onlyFrom(k entryKey, s source) (*Entry, error) {
	wrote, err := l.wrote(k.key)
	if err != nil || len(wrote) > 1 || len(wrote) == 1 && wrote[0] != s.fork {
		return nil, err
	}
	e, err := l.stored(entryKey{s.fork, k.key})
	if err != nil {
		return nil, err
	}
	for i := range e.Heads {
		if e.Heads[i].fork != s.fork || !s.set.has(e.Heads[i].loc) {
			return nil, nil
		}
	}
	out := *e
	out.Fork, out.contribs = l.forks.byNum[k.fork].id, -1
	return &out, nil
}

// compute joins what is visible of a key.
func (l *lineage) compute(k entryKey, sources []source) (*Entry, error) {
	e := &Entry{Fork: l.forks.byNum[k.fork].id, Key: k.key, contribs: -1}
	heads, err := l.headsOf(k.key, sources, e)
	if err != nil {
		return nil, err
	}
	e.SinceDelete = e.Count
	for _, h := range heads {
		c, err := l.change(h.loc)
		if err != nil {
			return nil, err
		}
		head := c.head()
		head.fork, head.ordinal, head.first = h.fork, h.ordinal, h.first
		e.Heads = append(e.Heads, head)
	}
	slices.SortFunc(e.Heads, func(a, b Head) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return e, l.countSinceDelete(e, sources)
}

// countSinceDelete computes SinceDelete where a source has a delete.
func (l *lineage) countSinceDelete(e *Entry, sources []source) error {
	deleted := false
	for _, s := range sources {
		own, err := l.stored(entryKey{s.fork, e.Key})
		if err != nil {
			return err
		}
		deleted = deleted || own.lastDelete.lam > 0
	}
	if !deleted {
		return nil
	}
	return l.countFromDelete(e, sources)
}

// visibleAt reports whether a revision of a key on a fork is visible on another
// within a set.
func (l *lineage) visibleAt(fork uint32, set before, key string, of uint32, at loc) bool {
	if of == fork {
		return set.has(at)
	}
	for _, s := range l.forks.sources(fork, set, key) {
		if s.fork == of {
			return s.set.has(at)
		}
	}
	return false
}

// placed is a revision on a fork.
type placed struct {
	fork    uint32
	loc     loc
	ordinal uint64
	first   int64
}

// candidate is a revision that may be a head.
type candidate struct {
	placed
	rec  historyRecord
	past past
}

// headsOf returns the heads of a key among what is visible, and sets Count and
// First of e. Every head is the newest of its line on its fork there,
// or a sibling of one that is: a revision x of a line whose newest on the same
// fork is b stands in b's past, so if nothing visible has seen x then b has
// not, and wrote it down as a sibling. A candidate is no head if another one
// saw it at its own place, on its own fork, and does not have it among its
// siblings: then it, or a head that it competed with there (which is visible
// here too), has seen it. The cost grows with the lines that wrote the key,
// not with its history.
func (l *lineage) headsOf(key string, sources []source, e *Entry) (heads []placed, err error) {
	var newest []candidate
	for _, s := range sources {
		found, err := l.newestOf(entryKey{s.fork, key}, s.set)
		if err != nil {
			return nil, err
		}
		newest = append(newest, found...)
	}
	for i, c := range newest {
		e.Count += c.ordinal + 1
		if e.First = min(e.First, c.first); i == 0 {
			e.First = c.first
		}
	}
	maybe := make([]placed, 0, len(newest))
	for _, c := range newest {
		maybe = append(maybe, c.placed)
		for _, at := range c.rec.siblings {
			p, err := l.placeOf(key, at, c.fork)
			if err != nil {
				return nil, err
			}
			maybe = append(maybe, p)
		}
	}
	for _, p := range maybe {
		known := slices.ContainsFunc(heads, func(h placed) bool { return h.loc == p.loc })
		if !known && !slices.ContainsFunc(newest, func(c candidate) bool { return l.hides(&c, key, p) }) {
			heads = append(heads, p)
		}
	}
	return heads, nil
}

// newestOf returns the newest revision of each line within a set.
func (l *lineage) newestOf(k entryKey, set before) (out []candidate, err error) {
	lines, err := l.linesOf(k)
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		at, rec, ok, err := l.latest(k, line, set)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		c := candidate{placed: placed{k.fork, at, rec.ordinal, rec.first}, rec: rec}
		if c.past, err = l.pastOf(at); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// placeOf returns a sibling with its fork, most likely the one of its witness.
func (l *lineage) placeOf(key string, at loc, guess uint32) (placed, error) {
	try := func(fork uint32) (p placed, ok bool, err error) {
		err = l.each(entryKey{fork, key}, at, func(found loc, rec historyRecord) bool {
			p, ok = placed{fork, at, rec.ordinal, rec.first}, found == at
			return false
		})
		return p, ok, err
	}
	if p, ok, err := try(guess); ok || err != nil {
		return p, err
	}
	wrote, err := l.wrote(key)
	if err != nil {
		return placed{}, err
	}
	for _, fork := range append([]uint32{1}, wrote...) {
		if p, ok, err := try(fork); ok || err != nil {
			return p, err
		}
	}
	return placed{}, corrupt("the history of %q lacks a revision of line %d at %d", key, at.line, at.seq)
}

// hides reports whether the candidate proves that a revision is no head.
func (l *lineage) hides(c *candidate, key string, p placed) bool {
	if p.loc == c.loc || slices.Contains(c.rec.siblings, p.loc) {
		return false
	}
	return l.visibleAt(c.fork, before{next: c.past.next, within: c.loc}, key, p.fork, p.loc)
}

// countFromDelete counts the visible revisions that stand after the newest
// delete.
func (l *lineage) countFromDelete(e *Entry, sources []source) error {
	var last order
	for pass := range 2 {
		var n uint64
		for _, s := range sources {
			if err := l.afterDelete(entryKey{s.fork, e.Key}, s.set, &last, pass == 1, &n); err != nil {
				return err
			}
		}
		if pass == 1 && last.lam > 0 {
			e.SinceDelete, e.lastDelete = n, last
		}
	}
	return nil
}

// afterDelete raises last to the newest delete of a source, or counts what
// stands after it.
func (l *lineage) afterDelete(k entryKey, set before, last *order, count bool, n *uint64) error {
	lines, err := l.linesOf(k)
	if err != nil {
		return err
	}
	for _, line := range lines {
		from, ok := set.last(line)
		if !ok {
			continue
		}
		var bad error
		err := l.each(k, from, func(at loc, rec historyRecord) bool {
			o := order{lam: rec.lam, chain: l.chainOf(line), seq: at.seq, index: at.index, line: line}
			var c int
			if c, bad = l.compare(o, *last); bad != nil || c <= 0 {
				return false
			}
			if count {
				*n++
			} else if rec.deleted {
				*last = o
				return false
			}
			return true
		})
		if err = errors.Join(err, bad); err != nil {
			return err
		}
	}
	return nil
}
