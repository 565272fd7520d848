package dag

import (
	"bytes"
	"errors"
	"slices"
)

// applyRevision adds the i-th revision of a block to its key's heads and
// history, or keeps it as void. It returns the number of the fork, 0 if that is
// unknown. The error is of the store.
func (w *workspace) applyRevision(a *applying, i int) (fork uint32, err error) {
	r, id := a.p.revs[i], a.p.block.Revisions[i]
	at := loc{a.past.line, a.past.seq, uint32(i)}
	f := w.forks.in(r.Fork, a.past)
	switch {
	case f == nil:
		w.void(a, at.index, "unknown fork "+r.Fork.String())
		return 0, nil
	case !a.p.block.places(r, i):
		w.void(a, at.index, "claims the place "+r.Place().String())
		return f.num, nil
	}
	k := entryKey{f.num, r.Key}
	e, err := w.entry(k)
	if err != nil {
		return 0, err
	}
	seen, why, err := w.checkParents(a, at, k, e, r.Parents)
	if err != nil {
		return 0, err
	}
	if why != "" {
		w.void(a, at.index, why)
		return f.num, nil
	}
	head := Head{
		ID: id, Place: r.Place(), Time: r.Time, Kind: r.Kind, Deleted: r.Deleted, Value: r.Value, Size: r.Size,
		loc: at, lam: a.rec.lam,
	}
	if !r.Deleted && r.Size <= inlineMax {
		head.inline = bytes.Clone(a.p.payloads[i])
	}
	rec, err := w.record(a, k, e, &head, seen)
	if err != nil {
		return 0, err
	}
	next, err := w.advance(k, e, head, seen)
	if err != nil {
		return 0, err
	}
	w.entries[k] = next
	w.pending[k] = append(w.pending[k], pendingRevision{at, rec})
	w.batch.Put(historyKey(k.fork, k.key, at), rec.encode())
	w.state.revisions++
	return f.num, nil
}

// entry returns the entry of a key as the batch leaves it so far. The entry is
// never changed in place.
func (w *workspace) entry(k entryKey) (*Entry, error) {
	if e, ok := w.entries[k]; ok {
		return e, nil
	}
	if e, ok := w.read[k]; ok {
		return e, nil
	}
	e, err := readEntry(w.store, w.forks.byNum[k.fork], k.key, w.front.chainOf)
	if err == nil {
		w.read[k] = &e
	}
	return &e, err
}

// readEntry reads the entry of a key; one without heads if it was never
// written.
func readEntry(r Reader, f *Fork, key string, chainOf func(uint32) ChainID) (Entry, error) {
	b, err := r.Get(headKey(f.num, key))
	if errors.Is(err, ErrNotFound) {
		return Entry{Fork: f.ID, Key: key}, nil
	}
	if err != nil {
		return Entry{}, err
	}
	return decodeEntry(f.ID, key, b, chainOf)
}

// histories reads through the batch.
func (w *workspace) histories() *histories { return &histories{w.store, w.pending, w.pastOf, w.blocks} }

// checkParents returns which heads the revision has seen, by index, or why it
// is void: each parent must be a visible revision of the same key on the same
// fork that stands before it.
func (w *workspace) checkParents(a *applying, at loc, k entryKey, e *Entry, parents []RevisionID) (seen []bool, void string, err error) {
	seen = make([]bool, len(e.Heads))
	set := before{a.past.next, at}
	known := map[RevisionID]bool{}
	for _, id := range parents {
		if known[id] {
			return nil, "parent " + id.Short() + " twice", nil
		}
		if len(parents) > 1 {
			known[id] = true
		}
		i := slices.IndexFunc(e.Heads, func(h Head) bool { return h.ID == id })
		if i >= 0 && set.has(e.Heads[i].loc) {
			seen[i] = true
			continue
		}
		ok, err := w.visible(k, id, set)
		if err != nil {
			return nil, "", err
		}
		if !ok {
			return nil, "parent " + id.Short() + " is not visible at its place", nil
		}
	}
	return seen, "", nil
}

// visible reports whether a revision of the key stands in the set.
func (w *workspace) visible(k entryKey, id RevisionID, set before) (bool, error) {
	for _, p := range w.pending[k] {
		if a := w.blocks[loc{line: p.loc.line, seq: p.loc.seq}]; a.p.block.Revisions[p.loc.index] == id {
			return set.has(p.loc), nil
		}
	}
	at, ok, err := findRevision(w.store, w.earlier, id)
	if !ok || err != nil {
		return false, err
	}
	if _, err = w.store.Get(historyKey(k.fork, k.key, at)); errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && set.has(at), err
}

// record makes the history record of a new revision and sets head.ordinal.
func (w *workspace) record(a *applying, k entryKey, e *Entry, head *Head, seen []bool) (historyRecord, error) {
	rec := historyRecord{lam: head.lam, deleted: head.Deleted}
	h := w.histories()
	switch {
	case e.Count == 0:
	case len(e.Heads) == 1 && e.Heads[0].loc.line == head.loc.line:
		// The only head of all is the newest of its line.
		rec.ordinal = e.Heads[0].ordinal + 1
	default:
		_, last, ok, err := h.latest(k, head.loc.line, before{next: func(uint32) uint64 { return head.loc.seq + 1 }})
		if err != nil {
			return rec, err
		}
		if ok {
			rec.ordinal = last.ordinal + 1
		}
	}
	head.ordinal = rec.ordinal
	if !slices.Contains(seen, false) {
		return rec, nil
	}
	heads, _, err := h.headsAt(k, before{a.past.next, head.loc})
	if err != nil {
		return rec, err
	}
	for _, at := range heads {
		i := slices.IndexFunc(e.Heads, func(h Head) bool { return h.loc == at })
		if i >= 0 && seen[i] {
			continue
		}
		isParent, err := w.isParent(a.p.revs[head.loc.index], at)
		if err != nil {
			return rec, err
		}
		if !isParent {
			rec.siblings = append(rec.siblings, at)
		}
	}
	slices.SortFunc(rec.siblings, compareLoc)
	return rec, nil
}

// isParent reports whether the revision at a place is a parent of r.
func (w *workspace) isParent(r *Revision, at loc) (bool, error) {
	if a, ok := w.blocks[loc{line: at.line, seq: at.seq}]; ok {
		return slices.Contains(r.Parents, a.p.block.Revisions[at.index]), nil
	}
	_, p, err := loadBlock(w.store, at.line, at.seq)
	if err != nil {
		return false, err
	}
	if int(at.index) >= len(p.block.Revisions) {
		return false, corrupt("revision %d of block %s is missing", at.index, p.id)
	}
	return slices.Contains(r.Parents, p.block.Revisions[at.index]), nil
}

// advance returns the entry after a new revision that has seen some heads.
func (w *workspace) advance(k entryKey, e *Entry, head Head, seen []bool) (*Entry, error) {
	next := *e
	next.Heads = make([]Head, 0, len(e.Heads)+1)
	for i, h := range e.Heads {
		if !seen[i] {
			next.Heads = append(next.Heads, h)
		}
	}
	at, _ := slices.BinarySearchFunc(next.Heads, head.ID, func(h Head, id RevisionID) int { return bytes.Compare(h.ID[:], id[:]) })
	next.Heads = slices.Insert(next.Heads, at, head)
	if e.Count == 0 {
		w.state.keys++
		next.First = head.Time
	}
	next.First = min(next.First, head.Time)
	next.Count++
	return &next, w.countSinceDelete(k, &next, head)
}

// countSinceDelete keeps SinceDelete: the revisions after the newest delete.
func (w *workspace) countSinceDelete(k entryKey, e *Entry, head Head) error {
	o := head.order()
	c, err := w.histories().compare(o, e.lastDelete)
	switch {
	case c <= 0 || err != nil:
		return err
	case !head.Deleted:
		e.SinceDelete++
		return nil
	}
	e.lastDelete = o
	n, err := w.histories().newer(k, o, w.front.chainOf)
	e.SinceDelete = n
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
		w.batch.Put(headKey(k.fork, k.key), e.encode())
	}
	w.state.digest = w.front.digest
	w.batch.Put(keyState, w.state.encode())
	return nil
}
