package dag

import (
	"maps"
	"slices"
)

// siblingsMost is how many siblings a history record lists as they are. Longer
// lists are kept as what changed since the line's revision before it, if that
// is little: a client that writes ten thousand siblings of one another would
// otherwise leave as many lists of ten thousand.
const siblingsMost = 8

// siblingsChain bounds how many records one list is made of.
const siblingsChain = 32

// siblingsOf returns the siblings of a revision. It reads one range if the
// record does not list them all.
func (h *histories) siblingsOf(k entryKey, at loc, rec *historyRecord) ([]loc, error) {
	if rec.chain == 0 {
		return rec.siblings, nil
	}
	var chain []pendingRevision
	err := h.each(k, at, func(at loc, rec historyRecord) bool {
		chain = append(chain, pendingRevision{at, rec})
		return rec.chain > 0 && len(chain) < siblingsChain
	})
	if err != nil {
		return nil, err
	}
	if n := len(chain); n < 2 || chain[0].loc != at || chain[n-1].rec.chain > 0 {
		return nil, corrupt("the history of %q lacks what the siblings of line %d at %d are made of", k.key, at.line, at.seq)
	}
	all := map[loc]bool{}
	for i, p := range slices.Backward(chain) {
		for _, s := range p.rec.siblings {
			all[s] = true
		}
		for _, s := range p.rec.gone {
			delete(all, s)
		}
		if i > 0 {
			all[p.loc] = true
		}
	}
	return slices.SortedFunc(maps.Keys(all), compareLoc), nil
}

// setSiblings notes the siblings of a new revision: the heads in its causal
// past that it has not seen. seen says which of the heads that there are now it
// has; last is the line's revision of the key on the fork before it, if any.
func (w *workspace) setSiblings(a *applying, k entryKey, e *Entry, rec *historyRecord, at loc, last pendingRevision, seen []bool) error {
	l, set := w.lineage(), a.past.before(at)
	var unseen []*Head
	for i := range e.Heads {
		h := &e.Heads[i]
		if !l.visibleAt(k.fork, set, k.key, h.fork, h.loc) {
			siblings, err := w.headsIn(a, k, at, set)
			if err == nil {
				err = l.listSiblings(k, rec, siblings, last)
			}
			return err
		}
		if !seen[i] {
			unseen = append(unseen, h)
		}
	}
	// The heads of now are those of the revision's past.
	if added, err := w.addedSince(k, unseen, last); added || err != nil {
		if err == nil {
			rec.chain, rec.total = last.rec.chain+1, uint64(len(unseen))
		}
		return err
	}
	siblings := make([]loc, len(unseen))
	for i, h := range unseen {
		siblings[i] = h.loc
	}
	slices.SortFunc(siblings, compareLoc)
	return l.listSiblings(k, rec, siblings, last)
}

// addedSince reports whether the siblings of a revision are those of the one
// before it, and that one; then none of the lists need be made.
func (w *workspace) addedSince(k entryKey, unseen []*Head, last pendingRevision) (bool, error) {
	if len(unseen) <= siblingsMost || last.rec.chain+1 >= siblingsChain || last.rec.siblingCount()+1 != len(unseen) {
		return false, nil
	}
	past, err := w.pastOf(last.loc)
	if err != nil {
		return false, err
	}
	l, set := w.lineage(), past.before(last.loc)
	return !slices.ContainsFunc(unseen, func(h *Head) bool {
		return h.loc != last.loc && !l.visibleAt(k.fork, set, k.key, h.fork, h.loc)
	}), nil
}

// headsIn computes the heads within the past of a new revision that it has not
// seen, in order.
func (w *workspace) headsIn(a *applying, k entryKey, at loc, set before) (out []loc, err error) {
	l := w.lineage()
	parts, err := l.relevant(w.forks.sources(k.fork, set, k.key), k.key)
	if err != nil {
		return nil, err
	}
	heads, err := (&keyed{lineage: l, key: k.key}).headsOf(parts, &Entry{})
	if err != nil {
		return nil, err
	}
	parents := map[RevisionID]bool{}
	for _, id := range a.p.revs[at.index].Parents {
		parents[id] = true
	}
	for _, p := range heads {
		h, err := w.headAt(p.loc)
		if err != nil {
			return nil, err
		}
		if !parents[h.ID] {
			out = append(out, p.loc)
		}
	}
	slices.SortFunc(out, compareLoc)
	return out, nil
}

// listSiblings writes siblings, which are in order, into a record: all of them,
// or what changed since the revision before it.
func (h *histories) listSiblings(k entryKey, rec *historyRecord, siblings []loc, last pendingRevision) error {
	rec.siblings = siblings
	if len(siblings) <= siblingsMost || last.rec.chain+1 >= siblingsChain {
		return nil
	}
	before, err := h.siblingsOf(k, last.loc, &last.rec)
	if err != nil {
		return err
	}
	gone := map[loc]bool{last.loc: true}
	for _, s := range before {
		gone[s] = true
	}
	var fresh []loc
	for _, s := range siblings {
		if !gone[s] {
			fresh = append(fresh, s)
		}
		delete(gone, s)
	}
	if len(fresh)+len(gone) > len(siblings)/4 {
		return nil
	}
	rec.chain, rec.total = last.rec.chain+1, uint64(len(siblings))
	rec.siblings, rec.gone = fresh, slices.SortedFunc(maps.Keys(gone), compareLoc)
	return nil
}
