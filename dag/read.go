package dag

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// Entry returns a key on a fork as it stands now; it has no heads if it was
// never written. An unknown fork is ErrNotFound.
func (g *Graph) Entry(fork ForkID, key string) (Entry, error) {
	m := g.moment.Load()
	f := m.forks.byID[fork]
	if f == nil {
		return Entry{}, fmt.Errorf("fork %s: %w", fork, ErrNotFound)
	}
	// A head may stand on a line that a batch has made since m was loaded, so
	// chains are looked up in the newest moment.
	return readEntry(g.store, f, key, g.chainOf)
}

// chainOf names the chain of a line. A record can be read just before the
// moment with its new line is published: then the write under way is awaited.
func (g *Graph) chainOf(line uint32) ChainID {
	id := g.moment.Load().front.chainOf(line)
	if !id.IsZero() {
		return id
	}
	g.writeMu.Lock()
	defer g.writeMu.Unlock()
	return g.moment.Load().front.chainOf(line)
}

// Payload returns the payload of a head; nil if it is a delete. Its hash is
// checked: damage is ErrCorrupt.
func (g *Graph) Payload(h *Head) ([]byte, error) { return headPayload(g.store, h) }

func headPayload(r Reader, h *Head) ([]byte, error) {
	switch {
	case h.Deleted:
		return nil, nil
	case h.inline != nil:
		return checkPayload(h.inline, h.Value, h.ID)
	}
	return loadPayload(r, h.loc, h.Value, h.Size, h.ID)
}

func checkPayload(payload []byte, want Sum, id RevisionID) ([]byte, error) {
	if SumOf(payload) != want {
		return nil, corrupt("the value of revision %s does not have its hash", id)
	}
	return payload, nil
}

// loadPayload reads a payload from its own record or from its block.
func loadPayload(r Reader, at loc, want Sum, size int64, id RevisionID) ([]byte, error) {
	if size > inlineMax {
		b, err := r.Get(payloadKey(at))
		if errors.Is(err, ErrNotFound) {
			return nil, corrupt("the value of revision %s is missing", id)
		}
		if err != nil {
			return nil, err
		}
		return checkPayload(b, want, id)
	}
	rec, err := loadBlockRecord(r, at)
	if err != nil {
		return nil, err
	}
	w, head, err := splitBundle(rec.bundle)
	if err != nil || int(at.index) >= len(w.Revs) {
		return nil, corrupt("the block of revision %s: %v", id, err)
	}
	_, payload, err := decodeRev(w.Revs[at.index], head, int(at.index))
	if err != nil {
		return nil, corrupt("the block of revision %s: %v", id, err)
	}
	return checkPayload(payload, want, id)
}

// Change is a revision with the block that it stands in.
type Change struct {
	ID       RevisionID
	Revision *Revision
	Block    BlockID
	Node     NodeID // author of the block
	Arrival  int64  // when it came here, unix milliseconds
	Note     Note   // the revision's, or the block's
	loc      loc
	lam      uint64
	payload  []byte // nil if a delete or kept apart
}

// ChangePayload returns the payload of a change; nil if it is a delete.
func (g *Graph) ChangePayload(c *Change) ([]byte, error) {
	if c.Revision.Deleted {
		return nil, nil
	}
	if c.payload != nil {
		return checkPayload(c.payload, c.Revision.Value, c.ID)
	}
	return loadPayload(g.store, c.loc, c.Revision.Value, c.Revision.Size, c.ID)
}

// change reads the revision at a place.
func (g *Graph) change(r Reader, at loc) (Change, error) {
	rec, p, err := loadBlock(r, at.line, at.seq)
	if err != nil {
		return Change{}, err
	}
	if int(at.index) >= len(p.revs) {
		return Change{}, corrupt("revision %d of block %s is missing", at.index, p.id)
	}
	return g.changeOf(at, &rec, p), nil
}

func (g *Graph) changeOf(at loc, rec *blockRecord, p *parcel) Change {
	rev := p.revs[at.index]
	c := Change{ID: p.block.Revisions[at.index], Revision: rev, Block: p.id, Arrival: rec.arrival, loc: at, lam: rec.lam, payload: p.payloads[at.index]}
	if l, err := g.moment.Load().front.line(at.line); err == nil {
		c.Node = l.node
	}
	switch {
	case rev.Note != nil:
		c.Note = *rev.Note
	case p.block.Note != nil:
		c.Note = *p.block.Note
	}
	return c
}

// HeadChange returns the revision of a head.
func (g *Graph) HeadChange(h *Head) (Change, error) { return g.change(g.store, h.loc) }

// Revision returns a revision by its id. Void ones are found too.
func (g *Graph) Revision(id RevisionID) (Change, error) {
	g.findMu.RLock()
	at, ok, err := findRevision(g.store, g.gathered, id)
	g.findMu.RUnlock()
	if err != nil {
		return Change{}, err
	}
	if !ok {
		return Change{}, fmt.Errorf("revision %s: %w", id, ErrNotFound)
	}
	return g.change(g.store, at)
}

// Visible reports whether a revision is visible on a fork: it was written
// there and is not void.
func (g *Graph) Visible(fork ForkID, c *Change) (bool, error) {
	f := g.moment.Load().forks.byID[fork]
	if f == nil || c.Revision.Fork != fork {
		return false, nil
	}
	_, err := g.store.Get(historyKey(f.num, c.Revision.Key, c.loc))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Matches is what a distinctive part of an id names.
type Matches struct {
	Revisions []RevisionID
	Blocks    []BlockID
}

// Find returns the revisions and blocks whose ids start with a distinctive
// part of at least 6 characters.
func (g *Graph) Find(distinctive string) (m Matches, err error) {
	lo, hi, ok := prefixBounds(distinctive)
	if !ok {
		return m, nil
	}
	g.findMu.RLock()
	refs, err := findIn(g.store, g.gathered, lo, hi)
	g.findMu.RUnlock()
	if err != nil {
		return m, err
	}
	// Between the write of a segment and its taking over, its ids are gathered
	// too.
	slices.SortFunc(refs, func(a, b findRef) int { return cmp.Or(cmp.Compare(a.lsn, b.lsn), cmp.Compare(a.index, b.index)) })
	for _, ref := range slices.Compact(refs) {
		_, _, p, err := loadArrival(g.store, ref.lsn)
		if err != nil {
			return m, err
		}
		switch {
		case ref.index == 0 && strings.HasPrefix(p.id.String()[len(sharedPrefix):], distinctive):
			m.Blocks = append(m.Blocks, p.id)
		case ref.index > 0 && int(ref.index) <= len(p.revs):
			if id := p.block.Revisions[ref.index-1]; strings.HasPrefix(id.String()[len(sharedPrefix):], distinctive) {
				m.Revisions = append(m.Revisions, id)
			}
		}
	}
	return m, nil
}

// Entries yields the keys of a fork that start with prefix and come after
// after, in byte order, of one moment. Deleted keys are yielded too.
func (g *Graph) Entries(ctx context.Context, fork ForkID, prefix, after string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		f := g.moment.Load().forks.byID[fork]
		if f == nil {
			yield(Entry{}, fmt.Errorf("fork %s: %w", fork, ErrNotFound))
			return
		}
		s, err := g.store.Snapshot()
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer s.Release()
		r := prefixRange(headKey(f.num, prefix))
		if after >= prefix && after != "" {
			r.Start = append(headKey(f.num, after), 0)
		}
		done, bad := false, error(nil)
		err = s.Iterate(r, func(k, v []byte) bool {
			var e Entry
			if e, bad = decodeEntry(f.ID, string(k[5:]), slices.Clone(v), g.chainOf); bad == nil {
				bad = ctx.Err()
			}
			done = bad == nil && !yield(e, nil)
			return bad == nil && !done
		})
		if err = errors.Join(err, bad); err != nil && !done {
			yield(Entry{}, err)
		}
	}
}

// Cut is a set of blocks closed under "comes before". The zero value is empty.
type Cut struct {
	clock clock
	tips  []BlockID
}

// Tips returns the maximal blocks of the cut, which name it on every node.
func (c Cut) Tips() []BlockID { return c.tips }

// CutOf returns the causal past of a block, itself included.
func (g *Graph) CutOf(id BlockID) (Cut, error) {
	g.findMu.RLock()
	at, ok, err := findBlock(g.store, g.gathered, id)
	g.findMu.RUnlock()
	if err != nil {
		return Cut{}, err
	}
	if !ok {
		return Cut{}, fmt.Errorf("block %s: %w", id, ErrNotFound)
	}
	p, err := g.moment.Load().front.pastOf(g.store, at)
	if err != nil {
		return Cut{}, err
	}
	c := Cut{clock: clock{}, tips: []BlockID{id}}
	p.joinInto(c.clock)
	return c, nil
}

// CutAt returns what was here and claimed to be written by a time: the blocks
// of which everything in the causal past had arrived, or claims to be written,
// by then. The cut of a time is a local notion; its tips are not.
func (g *Graph) CutAt(t time.Time) (Cut, error) {
	f := g.moment.Load().front
	c := Cut{clock: clock{}}
	until := t.UnixMilli()
	for _, l := range f.lines[1:] {
		lo, hi := l.first, l.next
		if l.at <= until {
			lo = hi
		}
		for lo < hi {
			mid := lo + (hi-lo)/2
			rec, err := loadBlockRecord(g.store, loc{line: l.num, seq: mid})
			if err != nil {
				return Cut{}, err
			}
			if rec.at <= until {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		if lo > l.first {
			c.clock[l.num] = lo
		}
	}
	return c, g.nameCut(f, &c)
}

// nameCut finds the maximal blocks of a cut.
func (g *Graph) nameCut(f *frontier, c *Cut) error {
	lines := slices.Sorted(maps.Keys(c.clock))
	pasts := make([]past, len(lines))
	for i, num := range lines {
		var err error
		if pasts[i], err = f.pastOf(g.store, loc{line: num, seq: c.clock[num] - 1}); err != nil {
			return err
		}
	}
	for i, num := range lines {
		seq := c.clock[num] - 1
		if slices.ContainsFunc(pasts, func(p past) bool { return p.line != num && p.covers(num, seq) }) {
			continue
		}
		_, p, err := loadBlock(g.store, lines[i], seq)
		if err != nil {
			return err
		}
		c.tips = append(c.tips, p.id)
	}
	return nil
}

// EntryAt returns a key on a fork as it stood at a cut. Its cost grows with
// the number of chains that wrote the key, not with its history. SinceDelete
// and First are those of now.
func (g *Graph) EntryAt(fork ForkID, key string, c Cut) (Entry, error) {
	m := g.moment.Load()
	f := m.forks.byID[fork]
	if f == nil {
		return Entry{}, fmt.Errorf("fork %s: %w", fork, ErrNotFound)
	}
	e := Entry{Fork: fork, Key: key}
	h := histories{r: g.store, pastOf: func(at loc) (past, error) { return m.front.pastOf(g.store, at) }}
	heads, count, err := h.headsAt(entryKey{f.num, key}, before{next: func(line uint32) uint64 { return c.clock[line] }})
	if err != nil {
		return e, err
	}
	e.Count = count
	for _, at := range heads {
		ch, err := g.change(g.store, at)
		if err != nil {
			return e, err
		}
		e.Heads = append(e.Heads, ch.head())
	}
	slices.SortFunc(e.Heads, func(a, b Head) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return e, nil
}

func (c *Change) head() Head {
	r := c.Revision
	return Head{
		ID: c.ID, Place: r.Place(), Time: r.Time, Kind: r.Kind, Deleted: r.Deleted, Value: r.Value, Size: r.Size,
		loc: c.loc, lam: c.lam,
	}
}
