package dag

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
)

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
	siblings map[loc]bool // heads that it competed with at its place
	past     *past        // nil until it is read
	record   *Entry       // of its fork, if this is its only head; nil if that is not known
	asked    bool         // what it saw
	view     *view        // of its fork at its place, once it was asked twice
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
func (r *keyed) headsOf(parts []source, e *Entry) (heads []placed, err error) {
	var newest []*candidate
	for i := range parts {
		found, err := r.newestOf(&parts[i])
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
	maybe, err := r.competing(newest)
	if err != nil {
		return nil, err
	}
	for _, p := range maybe {
		hidden := false
		for _, c := range newest {
			if hidden, err = r.hides(c, p); hidden || err != nil {
				break
			}
		}
		if err != nil {
			return nil, err
		}
		if !hidden {
			heads = append(heads, p)
		}
	}
	return heads, nil
}

// newestOf returns the newest revision of each line in a part.
func (r *keyed) newestOf(s *source) (out []*candidate, err error) {
	if e := r.plain(s); e != nil {
		h := &e.Heads[0]
		return []*candidate{{placed: placed{s.fork, h.loc, h.ordinal, h.first}, record: e}}, nil
	}
	newest, err := r.newestIn(s)
	if err != nil {
		return nil, err
	}
	k := entryKey{s.fork, r.key}
	for _, p := range newest {
		c := &candidate{placed: placed{k.fork, p.loc, p.rec.ordinal, p.rec.first}}
		siblings, err := r.siblingsOf(k, p.loc, &p.rec)
		if err != nil {
			return nil, err
		}
		if len(siblings) > 0 {
			c.siblings = make(map[loc]bool, len(siblings))
		}
		for _, at := range siblings {
			c.siblings[at] = true
		}
		out = append(out, c)
	}
	return out, nil
}

// plain returns the record of a part's fork, if it has been read, all of it is
// in the part, and all that it speaks of was written there by one line; nil if
// not. Then its head is the newest of that line, and has seen the rest.
func (r *keyed) plain(s *source) *Entry {
	for _, o := range r.recs {
		if o.fork != s.fork || len(o.entry.Heads) != 1 {
			continue
		}
		if h := &o.entry.Heads[0]; h.fork == s.fork && h.ordinal+1 == o.entry.Count && s.set.has(h.loc) {
			return o.entry
		}
	}
	return nil
}

// newestIn reads the newest revision of each line in a part, once.
func (r *keyed) newestIn(s *source) ([]pendingRevision, error) {
	for _, o := range r.newests {
		if o.fork == s.fork {
			return o.list, nil
		}
	}
	list, err := r.newest(entryKey{s.fork, r.key}, s.set)
	if err == nil {
		r.newests = append(r.newests, partNewest{s.fork, list})
	}
	return list, err
}

// competing returns the candidates and their siblings, each once.
func (r *keyed) competing(newest []*candidate) ([]placed, error) {
	known := map[loc]bool{}
	var out []placed
	for _, c := range newest {
		out, known[c.loc] = append(out, c.placed), true
	}
	for _, c := range newest {
		var places []loc
		for at := range c.siblings {
			if !known[at] {
				places, known[at] = append(places, at), true
			}
		}
		found, err := r.placesOf(r.key, places, c.fork)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// placesOf returns revisions with their forks, most likely the one of their
// witness.
func (l *lineage) placesOf(key string, places []loc, guess uint32) (out []placed, err error) {
	if len(places) == 0 {
		return nil, nil
	}
	slices.SortFunc(places, historyOrder)
	if out, places, err = l.take(entryKey{guess, key}, places, out); err != nil || len(places) == 0 {
		return out, err
	}
	wrote, err := l.wrote(key)
	if err != nil {
		return nil, err
	}
	for _, fork := range append([]uint32{1}, wrote...) {
		if out, places, err = l.take(entryKey{fork, key}, places, out); err != nil || len(places) == 0 {
			return out, err
		}
	}
	at := places[0]
	return nil, corrupt("the history of %q lacks a revision of line %d at %d", key, at.line, at.seq)
}

// take appends those of some places that a fork has; places are in the order
// of the history, and so is the rest.
func (l *lineage) take(k entryKey, places []loc, to []placed) (out []placed, rest []loc, err error) {
	found, err := l.at(k, places)
	for _, at := range places {
		if rec, ok := found[at]; ok {
			to = append(to, placed{k.fork, at, rec.ordinal, rec.first})
		} else {
			rest = append(rest, at)
		}
	}
	return to, rest, err
}

// hides reports whether a candidate proves that a revision is no head.
func (r *keyed) hides(c *candidate, p placed) (bool, error) {
	if p.loc == c.loc || c.siblings[p.loc] {
		return false, nil
	}
	if c.record != nil {
		return r.speaks(c.record, c.fork, p.fork, p.loc), nil
	}
	if c.past == nil {
		past, err := r.pastOf(c.loc)
		if err != nil {
			return false, err
		}
		c.past = &past
	}
	set := c.past.before(c.loc)
	// One answer walks the contributions of the fork; so does a view, which then
	// has all answers.
	if !c.asked || p.fork == c.fork {
		c.asked = true
		return r.visibleAt(c.fork, set, r.key, p.fork, p.loc), nil
	}
	if c.view == nil {
		c.view = r.forks.viewOf(r.forks.num(c.fork), set, r.key)
	}
	cut, ok := c.view.cut(p.fork)
	return ok && cut.has(p.loc), nil
}

// scanMost is how many records are passed over before it is cheaper to begin
// another range behind them.
const scanMost = 16

// newest returns the newest revision of a key by each line within a set, in the
// order of lines. It reads one range where histories are short, else at most
// two for each line.
func (h *histories) newest(k entryKey, set before) (out []pendingRevision, err error) {
	start := historyPrefix(k.fork, k.key, 0)
	end := prefixEnd(start)
	var bad error
	for start != nil && bad == nil && bytes.Compare(start, end) < 0 {
		from, passed := start, 0
		var line uint32 // that is read
		var last loc    // its highest place in the set
		wanted := false // nothing of the line is found yet
		start = nil
		err := h.r.Iterate(Range{Start: from, End: end}, func(key, v []byte) bool {
			at, ok := parseHistoryKey(key)
			if !ok {
				bad = corrupt("history record of %q does not decode", k.key)
				return false
			}
			if at.line != line {
				line = at.line
				last, wanted = set.last(line)
			}
			switch passed++; {
			case wanted && !after(at, last):
				var rec historyRecord
				rec, bad = decodeHistory(v)
				out, wanted, passed = append(out, pendingRevision{at, rec}), false, 0
			case passed < scanMost:
			case wanted:
				start = historyKey(k.fork, k.key, last)
			default:
				start = set.after(k, line)
			}
			return bad == nil && start == nil
		})
		if err = errors.Join(err, bad); err != nil {
			return nil, err
		}
	}
	for _, p := range h.pending[k] {
		if !set.has(p.loc) {
			continue
		}
		i := slices.IndexFunc(out, func(o pendingRevision) bool { return o.loc.line == p.loc.line })
		if i < 0 {
			out = append(out, p)
		} else {
			out[i] = p
		}
	}
	slices.SortFunc(out, func(a, b pendingRevision) int { return historyOrder(a.loc, b.loc) })
	return out, nil
}

// after is where the history of a key goes on behind a line, as far as it can
// be in the set; nil if it cannot.
func (b before) after(k entryKey, line uint32) []byte {
	if b.lines == nil {
		return prefixEnd(historyPrefix(k.fork, k.key, line))
	}
	lines := b.lines()
	i, _ := slices.BinarySearch(lines, line+1)
	if i == len(lines) {
		return nil
	}
	return historyPrefix(k.fork, k.key, lines[i])
}

// at returns those of some revisions of a key that a fork has; places are in
// the order of the history.
func (h *histories) at(k entryKey, places []loc) (map[loc]historyRecord, error) {
	out := map[loc]historyRecord{}
	for _, p := range h.pending[k] {
		if _, ok := slices.BinarySearchFunc(places, p.loc, historyOrder); ok {
			out[p.loc] = p.rec
		}
	}
	end := prefixEnd(historyPrefix(k.fork, k.key, 0))
	var bad error
	for more := true; more && len(places) > 0; {
		passed := 0
		more = false
		err := h.r.Iterate(Range{Start: historyKey(k.fork, k.key, places[0]), End: end}, func(key, v []byte) bool {
			at, ok := parseHistoryKey(key)
			if !ok {
				bad = corrupt("history record of %q does not decode", k.key)
				return false
			}
			for len(places) > 0 && historyOrder(places[0], at) < 0 {
				places = places[1:] // the fork does not have it
			}
			if passed++; len(places) > 0 && places[0] == at {
				out[at], bad = decodeHistory(v)
				places, passed = places[1:], 0
			}
			more = passed == scanMost
			return bad == nil && len(places) > 0 && !more
		})
		if err = errors.Join(err, bad); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// historyOrder is the order of history records: by line, the newest first.
func historyOrder(a, b loc) int {
	return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(b.seq, a.seq), cmp.Compare(b.index, a.index))
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
