package dag

import (
	"errors"
	"maps"
	"slices"
)

// applyRevision adds the i-th revision of a block to its key's heads and
// history, or keeps it as void. The error is of the store.
func (w *workspace) applyRevision(a *applying, i int) error {
	r, id := a.p.revs[i], a.p.block.Revisions[i]
	at := loc{a.past.line, a.past.seq, uint32(i)}
	f := w.forks.in(r.Fork, a.past.covers)
	switch {
	case f == nil:
		w.void(a, at.index, "unknown fork "+r.Fork.String())
		return nil
	case !a.p.block.places(r, i):
		w.void(a, at.index, "claims the place "+r.Place().String())
		return nil
	}
	k := entryKey{f.num, r.Key}
	e, err := w.entry(k)
	if err != nil {
		return err
	}
	seen, why, err := w.checkParents(at, before{next: a.past.next, within: at}, k, e, r.Parents)
	if err != nil {
		return err
	}
	if why != "" {
		w.void(a, at.index, why)
		return nil
	}
	if e.bare && slices.Contains(seen, false) { // the head stays: all of it is needed
		if e, err = w.whole(k); err != nil {
			return err
		}
	}
	if err := w.choose(a, i, e); err != nil {
		return err
	}
	head := newHead(r, id, a.p.payloads[i], at, a.rec.lam)
	head.fork = f.num
	rec, err := w.record(a, k, e, &head, seen)
	if err != nil {
		return err
	}
	next, err := w.advance(k, e, head, seen)
	if err != nil {
		return err
	}
	w.entries[k] = next
	w.pending[k] = append(w.pending[k], pendingRevision{at, rec})
	w.batch.Put(historyKey(k.fork, k.key, at), rec.encode())
	w.state.revisions++
	a.touch(f.num, true)
	return nil
}

// entry returns the entry of a key as the batch leaves it so far. The entry is
// never changed in place.
func (w *workspace) entry(k entryKey) (*Entry, error) { return w.lineage().entry(k) }

// stored returns the own record of a key on a fork as the batch leaves it so
// far.
func (w *workspace) stored(k entryKey) (*Entry, error) {
	if e, ok := w.entries[k]; ok {
		return e, nil
	}
	if e, ok := w.read[k]; ok {
		return e, nil
	}
	f := w.forks.num(k.fork)
	if e := w.tallies.entry(k, f.id); e != nil {
		w.read[k] = e
		return e, nil
	}
	e, err := readEntry(w.store, f, k.key, w.front.chainOf)
	if err == nil {
		w.read[k] = &e
	}
	return &e, err
}

// whole is entry without what is bare of it; the rest is the same.
func (w *workspace) whole(k entryKey) (*Entry, error) {
	kept := w.tallies
	defer func() { w.tallies = kept }()
	w.tallies = nil
	maps.DeleteFunc(w.read, func(_ entryKey, e *Entry) bool { return e.bare })
	return w.entry(k)
}

// readEntry reads the own record of a key on a fork; one without heads if it
// was never written there.
func readEntry(r Reader, f *forkState, key string, chainOf func(uint32) ChainID) (Entry, error) {
	b, err := r.Get(headKey(f.num, key))
	if errors.Is(err, ErrNotFound) {
		return Entry{Fork: f.id, Key: key}, nil
	}
	if err != nil {
		return Entry{}, err
	}
	return decodeEntry(f.id, key, b, chainOf)
}

// lineage reads through the batch.
func (w *workspace) lineage() *lineage {
	w.reader.forks = w.forks
	return &w.reader
}

// wroteOn returns the forks that wrote a key, as the batch leaves it so far.
func (w *workspace) wroteOn(key string) ([]uint32, error) {
	if forks, ok := w.wrote[key]; ok {
		return forks, nil
	}
	if w.forks.size() == 1 {
		return nil, nil
	}
	return readWrote(w.store, key)
}

// noteWrote adds a fork to those that wrote a key.
func (w *workspace) noteWrote(k entryKey) error {
	forks, err := w.wroteOn(k.key)
	if err != nil || k.fork == 1 || slices.Contains(forks, k.fork) {
		return err
	}
	forks = append(slices.Clone(forks), k.fork)
	slices.Sort(forks)
	w.wrote[k.key] = forks
	w.batch.Put(wroteKey(k.key), encodeWrote(forks))
	return nil
}

// headAt reads the revision at a place, of the batch or of the store.
func (w *workspace) headAt(at loc) (Head, error) {
	if a, ok := w.blocks[loc{line: at.line, seq: at.seq}]; ok {
		i := at.index
		return newHead(a.p.revs[i], a.p.block.Revisions[i], a.p.payloads[i], at, a.rec.lam), nil
	}
	return w.decoded.revision(w.store, at)
}

// checkParents returns which heads the revision has seen, by index, or why it
// is void: each parent must be a revision of the same key that was visible on
// the same fork before it.
func (w *workspace) checkParents(at loc, set before, k entryKey, e *Entry, parents []RevisionID) (seen []bool, void string, err error) {
	seen = make([]bool, len(e.Heads))
	known := map[RevisionID]bool{}
	l := w.lineage()
	for _, id := range parents {
		if known[id] {
			return nil, "parent " + id.Short() + " twice", nil
		}
		if len(parents) > 1 {
			known[id] = true
		}
		i, ok := slices.BinarySearchFunc(e.Heads, id, byID)
		if ok && l.visibleAt(k.fork, set, k.key, e.Heads[i].fork, e.Heads[i].loc) {
			seen[i] = true
			continue
		}
		ok, err := w.visible(l, k, id, set)
		if err != nil {
			return nil, "", err
		}
		if !ok {
			return nil, "parent " + id.Short() + " is not visible at its place", nil
		}
	}
	return seen, "", nil
}

// visible reports whether a revision of the key is visible on the fork within
// the set.
func (w *workspace) visible(l *lineage, k entryKey, id RevisionID, set before) (bool, error) {
	forks, err := w.wroteOn(k.key)
	if err != nil {
		return false, err
	}
	forks = append([]uint32{1}, forks...)
	for _, fork := range forks {
		for _, p := range w.pending[entryKey{fork, k.key}] {
			if a := w.blocks[loc{line: p.loc.line, seq: p.loc.seq}]; a.p.block.Revisions[p.loc.index] == id {
				return l.visibleAt(k.fork, set, k.key, fork, p.loc), nil
			}
		}
	}
	at, ok, err := findRevision(w.store, w.earlier, id)
	if !ok || err != nil {
		return false, err
	}
	for _, fork := range forks {
		_, err := w.store.Get(historyKey(fork, k.key, at))
		if err == nil {
			return l.visibleAt(k.fork, set, k.key, fork, at), nil
		}
		if !errors.Is(err, ErrNotFound) {
			return false, err
		}
	}
	return false, nil
}

// record makes the history record of a new revision and sets what head has of
// it.
func (w *workspace) record(a *applying, k entryKey, e *Entry, head *Head, seen []bool) (historyRecord, error) {
	rec := historyRecord{lam: head.lam, first: head.Time, deleted: head.Deleted}
	h := w.lineage()
	var last pendingRevision // the line's one before, on the same fork
	switch {
	case e.Count == 0:
	case len(e.Heads) == 1 && e.Heads[0].loc.line == head.loc.line && e.Heads[0].fork == k.fork:
		// The only head of all is the newest of its line.
		rec.ordinal, rec.first = e.Heads[0].ordinal+1, min(rec.first, e.Heads[0].first)
	default:
		var ok bool
		var err error
		last.loc, last.rec, ok, err = h.latest(k, head.loc.line, before{next: func(uint32) uint64 { return head.loc.seq + 1 }})
		if err != nil {
			return rec, err
		}
		if ok {
			rec.ordinal, rec.first = last.rec.ordinal+1, min(rec.first, last.rec.first)
		}
	}
	head.ordinal, head.first = rec.ordinal, rec.first
	if !slices.Contains(seen, false) {
		return rec, nil
	}
	return rec, w.setSiblings(a, k, e, &rec, head.loc, last, seen)
}

// advance returns the entry after a new revision that has seen some heads.
func (w *workspace) advance(k entryKey, e *Entry, head Head, seen []bool) (*Entry, error) {
	next := *e
	next.bare = false
	next.contribs = w.forks.num(k.fork).count
	next.Heads = make([]Head, 0, len(e.Heads)+1)
	for i, h := range e.Heads {
		if !seen[i] {
			next.Heads = append(next.Heads, h)
		}
	}
	at, _ := slices.BinarySearchFunc(next.Heads, head.ID, byID)
	next.Heads = slices.Insert(next.Heads, at, head)
	if len(next.Heads) > inlineHeads {
		for i := range next.Heads {
			next.Heads[i].inline = nil
		}
	}
	if e.Count == 0 {
		next.First = head.Time
	}
	own, err := w.stored(k)
	if err != nil {
		return nil, err
	}
	if len(own.Heads) == 0 {
		w.state.keys++
		if err := w.noteWrote(k); err != nil {
			return nil, err
		}
	}
	next.First = min(next.First, head.Time)
	next.Count++
	return &next, w.countSinceDelete(k, &next, head)
}

// countSinceDelete keeps SinceDelete: the revisions after the newest delete.
func (w *workspace) countSinceDelete(k entryKey, e *Entry, head Head) error {
	l := w.lineage()
	o := head.order()
	c, err := l.compare(o, e.lastDelete)
	switch {
	case c <= 0 || err != nil:
		return err
	case !head.Deleted:
		e.SinceDelete++
		return nil
	}
	e.lastDelete, e.SinceDelete = o, 0
	sources, err := l.relevant(w.forks.sources(k.fork, everything, k.key), k.key)
	for i := 0; i < len(sources) && err == nil; i++ {
		last := o
		err = l.afterDelete(entryKey{sources[i].fork, k.key}, sources[i].set, &last, true, &e.SinceDelete)
	}
	return err
}

func compareLoc(a, b loc) int {
	if a.line != b.line {
		return int(a.line) - int(b.line)
	}
	if after(a, b) {
		return 1
	}
	if a == b {
		return 0
	}
	return -1
}

// seal writes what is written once a batch: changed entries and the state.
func (w *workspace) seal() error {
	for k, e := range w.entries {
		if err := w.fillHeads(e); err != nil {
			return err
		}
		w.batch.Put(headKey(k.fork, k.key), e.encode())
	}
	w.state.digest = w.front.digest
	w.batch.Put(keyState, w.state.encode())
	return nil
}
