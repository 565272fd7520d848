package dag

import (
	"encoding/binary"
	"errors"
	"slices"
)

// source is a part of what is visible of a key on a fork: what was written of
// it on a fork, the same or another, within a set.
type source struct {
	fork uint32
	set  before
	cut  bound // the set; not of the fork's own part
}

// lineage reads keys on forks through their contributions.
type lineage struct {
	histories
	forks  *forkTable
	stored func(k entryKey) (*Entry, error) // own record of a key on a fork; no heads if there is none
	wrote  func(key string) ([]uint32, error)
	headAt func(at loc) (Head, error) // without its fork, ordinal and first
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

// relevant lists the parts of what is visible of a key on a fork, but those of
// forks that never wrote it; the fork's own part comes first, then those of
// forks that contribute directly. It stands for every older cut of the fork
// that comes back.
func (l *lineage) relevant(v *view, key string) ([]source, error) {
	wrote, err := l.wrote(key)
	if err != nil {
		return nil, err
	}
	var out []source
	if _, ok := slices.BinarySearch(wrote, v.fork.num); ok || v.fork.num == 1 {
		out = append(out, source{fork: v.fork.num, set: v.set})
	}
	for _, s := range v.among(wrote) {
		out = append(out, source{s.fork, s.cut.set(), s.cut})
	}
	return out, nil
}

// keyed reads one key, of parts that stay the same: each record of it once.
type keyed struct {
	*lineage
	key     string
	recs    []ownRecord
	newests []partNewest
}

// partNewest is the newest revisions of the lines in the part of a fork.
type partNewest struct {
	fork uint32
	list []pendingRevision
}

type ownRecord struct {
	fork  uint32
	entry *Entry
}

// record returns the own record of the key on a fork.
func (r *keyed) record(fork uint32) (*Entry, error) {
	for _, o := range r.recs {
		if o.fork == fork {
			return o.entry, nil
		}
	}
	e, err := r.stored(entryKey{fork, r.key})
	if err == nil {
		r.recs = append(r.recs, ownRecord{fork, e})
	}
	return e, err
}

// entry returns a key on a fork as it stands. It costs one get on a fork
// without contributions; three where one fork's record says all, however many
// forks that is away; else it grows with the forks that wrote the key and are
// visible, and only where these competed with the chains that wrote it.
func (l *lineage) entry(k entryKey) (*Entry, error) {
	f := l.forks.num(k.fork)
	r := &keyed{lineage: l, key: k.key}
	if f.count == 0 {
		return r.record(f.num)
	}
	v := l.forks.sources(f.num, everything, k.key)
	if f.num == 1 || len(v.shown) == 1 {
		// No list says whether the default fork wrote a key; and with one
		// other fork it is as well to read its record at once.
		if e, err := r.record(f.num); err != nil || e.contribs >= f.count {
			return e, err
		}
	}
	parts := []source{{fork: f.num, set: everything}}
	if len(v.shown) == 1 {
		s := v.shown[0]
		parts = append(parts, source{s.fork, s.cut.set(), s.cut})
	} else {
		var err error
		if parts, err = l.relevant(v, k.key); err != nil {
			return nil, err
		}
	}
	return r.join(f, parts)
}

// join returns the key on a fork, of its parts. The record of a fork says what
// was visible there when the key was last written there: if all of that is
// visible here, and all that is visible here was visible there, then the record
// is the answer, whatever the number of forks in between.
func (r *keyed) join(f *forkState, parts []source) (*Entry, error) {
	e, err := r.nearest(f, parts)
	if e == nil && err == nil {
		e, err = r.dominant(parts)
	}
	switch {
	case err != nil:
		return nil, err
	case e == nil:
		return r.compute(f, parts)
	case e.Fork == f.id:
		return e, nil
	}
	out := *e
	out.Fork, out.contribs = f.id, -1
	return &out, nil
}

// nearest returns the record of the fork, or of the first that contributes to
// it, if it is the answer and that can be told without reading others; nil if
// not.
func (r *keyed) nearest(f *forkState, parts []source) (*Entry, error) {
	for i := range min(len(parts), 2) {
		s := &parts[i]
		e, err := r.record(s.fork)
		if err != nil {
			return nil, err
		}
		if len(e.Heads) == 0 || !usable(e, parts) || e.contribs < r.forks.num(s.fork).count {
			continue
		}
		beyond := slices.ContainsFunc(parts, func(o source) bool {
			switch {
			case o.fork == s.fork || r.lacks(o.fork):
				return false
			case o.fork == f.num: // it comes first: its record has been read
				return !usable(r.recs[0].entry, parts) || !r.speaksOf(e, s.fork, r.recs[0].entry)
			}
			return !r.within(s.fork, &o, len(parts))
		})
		if !beyond {
			return e, nil
		}
	}
	return nil, nil
}

// few is how many parts are looked for one by one.
const few = 4

// within reports whether a fork shows all of a part, which is one of some.
func (r *keyed) within(fork uint32, o *source, some int) bool {
	if some > few {
		cut, ok := r.forks.sources(fork, everything, r.key).cut(o.fork)
		return ok && o.cut.within(cut)
	}
	return r.forks.shows(r.forks.num(fork), allIn(everything), r.key, o.fork, o.cut.within)
}

// lacks reports whether it is known that a fork never wrote the key.
func (r *keyed) lacks(fork uint32) bool {
	return slices.ContainsFunc(r.recs, func(o ownRecord) bool { return o.fork == fork && len(o.entry.Heads) == 0 })
}

// usable reports whether everything that a record speaks of is visible: its
// heads are, and so is what they have seen.
func usable(e *Entry, parts []source) bool {
	for i := range e.Heads {
		h := &e.Heads[i]
		if !slices.ContainsFunc(parts, func(s source) bool { return s.fork == h.fork && s.set.has(h.loc) }) {
			return false
		}
	}
	return true
}

// dominant returns the record that is the answer, if one is; nil if none is.
// It would have the head with the highest Lamport time of all.
func (r *keyed) dominant(parts []source) (*Entry, error) {
	var top uint64
	tops := make([]uint64, len(parts))
	for i := range parts {
		e, err := r.record(parts[i].fork)
		if err != nil {
			return nil, err
		}
		if len(e.Heads) == 0 || !usable(e, parts) {
			continue
		}
		for j := range e.Heads {
			tops[i] = max(tops[i], e.Heads[j].lam)
		}
		top = max(top, tops[i])
	}
	for i := range parts {
		if tops[i] != top || top == 0 {
			continue
		}
		e, err := r.record(parts[i].fork)
		if err != nil {
			return nil, err
		}
		if all, err := r.covers(e, parts[i].fork, parts); all || err != nil {
			return e, err
		}
	}
	return nil, nil
}

// speaks reports whether a fork's record speaks of a revision of the key: of
// what was written on its fork it does, and of what the contributions show that
// there were when the record was written.
func (r *keyed) speaks(e *Entry, fork, of uint32, at loc) bool {
	first := choice{everything, e.contribs}
	return of == fork || r.forks.shows(r.forks.num(fork), first, r.key, of, func(cut bound) bool { return cut.has(at) })
}

// speaksOf reports whether a fork's record speaks of all that another does.
func (r *keyed) speaksOf(e *Entry, fork uint32, o *Entry) bool {
	return !slices.ContainsFunc(o.Heads, func(h Head) bool { return !r.speaks(e, fork, h.fork, h.loc) })
}

// covers reports whether a fork's record speaks of everything that is visible.
func (r *keyed) covers(e *Entry, fork uint32, parts []source) (bool, error) {
	for i := range parts {
		s := &parts[i]
		if s.fork == fork {
			continue
		}
		own, err := r.record(s.fork)
		switch {
		case err != nil:
			return false, err
		case usable(own, parts):
			if !r.speaksOf(e, fork, own) {
				return false, nil
			}
			continue
		}
		// The fork went on behind the cut.
		newest, err := r.newestIn(s)
		if err != nil {
			return false, err
		}
		for _, p := range newest {
			if !r.speaks(e, fork, s.fork, p.loc) {
				return false, nil
			}
		}
	}
	return true, nil
}

// compute joins the parts revision by revision.
func (r *keyed) compute(f *forkState, parts []source) (*Entry, error) {
	e := &Entry{Fork: f.id, Key: r.key, contribs: -1}
	heads, err := r.headsOf(parts, e)
	if err != nil {
		return nil, err
	}
	e.SinceDelete = e.Count
	for _, h := range heads {
		head, err := r.head(h)
		if err != nil {
			return nil, err
		}
		e.Heads = append(e.Heads, head)
	}
	slices.SortFunc(e.Heads, func(a, b Head) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return e, r.countSinceDelete(e, parts)
}

// head returns a head as a record has it, or reads its revision.
func (r *keyed) head(p placed) (Head, error) {
	for _, o := range r.recs {
		for i := range o.entry.Heads {
			if !o.entry.bare && o.entry.Heads[i].loc == p.loc {
				return o.entry.Heads[i], nil
			}
		}
	}
	h, err := r.headAt(p.loc)
	h.fork, h.ordinal, h.first = p.fork, p.ordinal, p.first
	return h, err
}

// countSinceDelete computes SinceDelete where a part may have a delete.
func (r *keyed) countSinceDelete(e *Entry, parts []source) error {
	deleted := false
	for _, s := range parts {
		own, err := r.record(s.fork)
		if err != nil {
			return err
		}
		deleted = deleted || own.lastDelete.lam > 0
	}
	if !deleted {
		return nil
	}
	return r.countFromDelete(e, parts)
}

// visibleAt reports whether a revision of a key on a fork is visible on another
// within a set.
func (l *lineage) visibleAt(fork uint32, set before, key string, of uint32, at loc) bool {
	if of == fork {
		return set.has(at)
	}
	if set.all {
		cut, ok := l.forks.sources(fork, set, key).cut(of)
		return ok && cut.has(at)
	}
	return l.forks.shows(l.forks.num(fork), allIn(set), key, of, func(cut bound) bool { return cut.has(at) })
}
