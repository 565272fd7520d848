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

// Entry returns a key on a fork as it stands now; it has no heads if nothing of
// it is visible there. An unknown fork is ErrNotFound.
func (g *Graph) Entry(fork ForkID, key string) (Entry, error) {
	m := g.moment.Load()
	f := m.forks.id(fork)
	if f == nil {
		return Entry{}, fmt.Errorf("fork %s: %w", fork, ErrNotFound)
	}
	if f.count == 0 {
		return readEntry(g.store, f, key, g.chainOf)
	}
	e, err := g.lineage(m, g.store).entry(entryKey{f.num, key})
	if err != nil {
		return Entry{}, err
	}
	return *e, nil
}

// lineage reads keys from the store, or a snapshot of it.
func (g *Graph) lineage(m *moment, r Reader) *lineage {
	return &lineage{
		histories: histories{r: r, pastOf: g.pastOf, chainOf: g.chainOf},
		forks:     m.forks,
		stored: func(k entryKey) (*Entry, error) {
			e, err := readEntry(r, m.forks.num(k.fork), k.key, g.chainOf)
			return &e, err
		},
		wrote: func(key string) ([]uint32, error) {
			if m.forks.size() == 1 {
				return nil, nil
			}
			return readWrote(r, key)
		},
		headAt: func(at loc) (Head, error) { return g.blocks.revision(r, at) },
	}
}

// pastOf returns the causal past of an applied block; see chainOf.
func (g *Graph) pastOf(at loc) (past, error) {
	g.chainOf(at.line)
	return g.moment.Load().front.pastOf(g.store, at)
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

// Payload returns the payload of a head; nil if it is a delete. It must not be
// changed. Its hash is checked: damage is ErrCorrupt.
// One that was purged is a *PurgedError.
func (g *Graph) Payload(h *Head) ([]byte, error) {
	value, err := g.blocks.head(g.store, h)
	return value, g.explain(h.loc, err)
}

func checkPayload(payload []byte, want Sum, id RevisionID) ([]byte, error) {
	if SumOf(payload) != want {
		return nil, corrupt("the value of revision %s does not have its hash", id)
	}
	return payload, nil
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

// ChangePayload returns the payload of a change; nil if it is a delete. It must
// not be changed. One that was purged is a *PurgedError.
func (g *Graph) ChangePayload(c *Change) ([]byte, error) {
	if c.Revision.Deleted {
		return nil, nil
	}
	if c.payload != nil {
		return checkPayload(c.payload, c.Revision.Value, c.ID)
	}
	value, err := g.blocks.payload(g.store, c.loc, c.Revision.Value, c.Revision.Size, c.ID)
	return value, g.explain(c.loc, err)
}

// change reads the revision at a place.
func (g *Graph) change(r Reader, at loc) (Change, error) {
	rec, p, err := g.blocks.load(r, at.line, at.seq)
	if err != nil {
		return Change{}, err
	}
	return g.changeOf(at, &rec, p)
}

// changeOf is makeChange with the block's author.
func (g *Graph) changeOf(at loc, rec *blockRecord, p *parcel) (Change, error) {
	c, err := makeChange(at, rec, p)
	if l, lineErr := g.moment.Load().front.line(at.line); lineErr == nil {
		c.Node = l.node
	}
	return c, err
}

// makeChange describes the revision at a place of a block.
func makeChange(at loc, rec *blockRecord, p *parcel) (Change, error) {
	if int(at.index) >= len(p.revs) {
		return Change{}, corrupt("revision %d of block %s is missing", at.index, p.id)
	}
	rev := p.revs[at.index]
	c := Change{
		ID: p.block.Revisions[at.index], Revision: rev, Block: p.id, Arrival: rec.arrival,
		loc: at, lam: rec.lam, payload: p.payloads[at.index],
	}
	switch {
	case rev.Note != nil:
		c.Note = *rev.Note
	case p.block.Note != nil:
		c.Note = *p.block.Note
	}
	return c, nil
}

// HeadChanges returns the revisions of all heads of an entry, in their order. A
// large block that has several of them is read once.
func (g *Graph) HeadChanges(e *Entry) ([]Change, error) {
	byPlace := make([]int, len(e.Heads))
	for i := range byPlace {
		byPlace[i] = i
	}
	slices.SortFunc(byPlace, func(a, b int) int { return compareLoc(e.Heads[a].loc, e.Heads[b].loc) })
	out := make([]Change, len(e.Heads))
	for _, i := range byPlace {
		var err error
		if out[i], err = g.HeadChange(&e.Heads[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
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

// Visible reports whether a revision is visible on a fork: it is not void, and
// was written there or came by a contribution.
func (g *Graph) Visible(fork ForkID, c *Change) (bool, error) {
	m := g.moment.Load()
	f, on := m.forks.id(fork), m.forks.id(c.Revision.Fork)
	if f == nil || on == nil {
		return false, nil
	}
	_, err := g.store.Get(historyKey(on.num, c.Revision.Key, c.loc))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && g.lineage(m, g.store).visibleAt(f.num, everything, c.Revision.Key, on.num, c.loc), err
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
		m := g.moment.Load()
		f := m.forks.id(fork)
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
		keys := g.newScan(m, s, f, prefix, after)
		for {
			e, err := keys.next()
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if e == nil {
				return
			}
			if len(e.Heads) > 0 && !yield(*e, nil) {
				return
			}
		}
	}
}

// Cut is a set of blocks closed under "comes before". The zero value is empty.
type Cut struct {
	clock clock
	tips  []BlockID
	views *viewCache // of forks at the cut; nil if they are not kept
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
	c := Cut{clock: clock{}, tips: []BlockID{id}, views: &viewCache{}}
	p.joinInto(c.clock)
	return c, nil
}

// CutAt returns what was here and claimed to be written by a time: the blocks
// of which everything in the causal past had arrived, or claims to be written,
// by then. The cut of a time is a local notion; its tips are not.
func (g *Graph) CutAt(t time.Time) (Cut, error) {
	f := g.moment.Load().front
	c := Cut{clock: clock{}, views: &viewCache{}}
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
// the number of chains that wrote the key, not with its history, but for what
// stands after a delete.
func (g *Graph) EntryAt(fork ForkID, key string, c Cut) (Entry, error) {
	m := g.moment.Load()
	f := m.forks.id(fork)
	if f == nil {
		return Entry{}, fmt.Errorf("fork %s: %w", fork, ErrNotFound)
	}
	if !g.ForkIn(fork, c) {
		return Entry{Fork: fork, Key: key}, nil
	}
	l := g.lineage(m, g.store)
	parts, err := l.relevant(m.forks.sources(f.num, c.set(), key), key)
	if err != nil {
		return Entry{}, err
	}
	r := &keyed{lineage: l, key: key}
	e, err := r.join(f, parts)
	if err != nil {
		return Entry{}, err
	}
	return *e, nil
}

// ForkIn reports whether a fork was made within a cut; the default one always
// was.
func (g *Graph) ForkIn(fork ForkID, c Cut) bool {
	return g.moment.Load().forks.in(fork, c.clock.covers) != nil
}

// set is the cut as a set of revisions.
func (c Cut) set() before {
	return before{next: func(line uint32) uint64 { return c.clock[line] }, views: c.views}
}
