package dag

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
)

// Arrival is a block with what it changes, as it came to this node.
type Arrival struct {
	LSN     uint64 // arrival number: 1, 2, … without gaps; local
	ID      BlockID
	Block   *Block
	Node    NodeID
	Signed  bool  // a signature of the block itself is kept
	Time    int64 // when it came, unix milliseconds
	Changes []Change
}

// arrival reads the block with an arrival number.
func (g *Graph) arrival(lsn uint64) (Arrival, error) {
	at, rec, p, err := loadArrival(g.store, lsn)
	if err != nil {
		return Arrival{}, err
	}
	a := Arrival{LSN: lsn, ID: p.id, Block: p.block, Signed: p.sig != nil, Time: rec.arrival, Changes: make([]Change, len(p.revs))}
	if l, err := g.moment.Load().front.line(at.line); err == nil {
		a.Node = l.node
	}
	for i := range p.revs {
		at.index = uint32(i)
		if a.Changes[i], err = g.changeOf(at, &rec, p); err != nil {
			return a, err
		}
	}
	return a, nil
}

// Block returns an applied block.
func (g *Graph) Block(id BlockID) (Arrival, error) {
	g.findMu.RLock()
	at, ok, err := findBlock(g.store, g.gathered, id)
	g.findMu.RUnlock()
	if err != nil {
		return Arrival{}, err
	}
	if !ok {
		return Arrival{}, fmt.Errorf("block %s: %w", id, ErrNotFound)
	}
	rec, err := loadBlockRecord(g.store, at)
	if err != nil {
		return Arrival{}, err
	}
	return g.arrival(rec.lsn)
}

// Have reports whether a block is applied.
func (g *Graph) Have(id BlockID) bool {
	if _, ok := g.moment.Load().front.last[id]; ok {
		return true
	}
	g.findMu.RLock()
	defer g.findMu.RUnlock()
	_, ok, err := findBlock(g.store, g.gathered, id)
	return ok && err == nil
}

// ForkLog yields the blocks that wrote on a fork, newest arrival first,
// starting below an arrival number; 0 starts at the newest.
func (g *Graph) ForkLog(ctx context.Context, fork ForkID, below uint64) iter.Seq2[Arrival, error] {
	return func(yield func(Arrival, error) bool) {
		f := g.moment.Load().forks.id(fork)
		if f == nil {
			yield(Arrival{}, fmt.Errorf("fork %s: %w", fork, ErrNotFound))
			return
		}
		end := prefixEnd(numKey(tagForkLog, f.num))
		if below > 0 {
			end = forkLogKey(f.num, below)
		}
		for {
			var page []uint64
			err := g.store.Iterate(Range{Start: numKey(tagForkLog, f.num), End: end, Reverse: true}, func(k, _ []byte) bool {
				page = append(page, binary.BigEndian.Uint64(k[5:]))
				return len(page) < historyPage
			})
			for i := 0; i < len(page) && err == nil; i++ {
				var a Arrival
				if a, err = g.arrival(page[i]); err == nil {
					err = ctx.Err()
				}
				if err == nil && !yield(a, nil) {
					return
				}
			}
			if err != nil {
				yield(Arrival{}, err)
				return
			}
			if len(page) < historyPage {
				return
			}
			end = forkLogKey(f.num, page[len(page)-1])
		}
	}
}

// FeedCursor is a place in the feed of changes: after some blocks, and within
// the next one after some of its revisions. It is valid on every node: on the
// node that made it, it continues exactly; elsewhere blocks may be repeated,
// never left out. The zero value is the start.
type FeedCursor struct {
	lsn   uint64  // arrival number of the newest block that is behind, where it was made
	trail trail   // of the arrivals up to lsn
	index uint32  // revisions that are behind of a block that is not
	part  [8]byte // start of the id of that block, where it was made the next; zero if index is
	// tips are the starts of the ids of the maximal blocks that are behind, also
	// of those that a reader was given elsewhere and that come later here, or
	// are not here yet.
	tips [][]byte
	read bool // it came as text: tips may be ahead of lsn
}

// trail is a fingerprint of the blocks that arrived, in order. It tells whether
// a place in the order of arrival is the same here as where a cursor was made:
// a clone of a node has its key and its numbers, and other blocks under them.
type trail [8]byte

func (t trail) next(id BlockID) trail {
	sum := sha256.Sum256(append(t[:], id[:]...))
	return trail(sum[:8])
}

const (
	cursorVersion = 1
	cursorTip     = 16
	cursorMaxTips = 150 // so that a cursor stays under 4 KiB of text
)

// MarshalText implements encoding.TextMarshaler.
func (c FeedCursor) MarshalText() ([]byte, error) {
	b := append([]byte{cursorVersion}, c.trail[:]...)
	b = binary.AppendUvarint(b, c.lsn)
	b = binary.AppendUvarint(b, uint64(c.index))
	if c.index > 0 {
		b = append(b, c.part[:]...)
	}
	for _, t := range c.tips {
		b = append(b, t...)
	}
	return base64.RawURLEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *FeedCursor) UnmarshalText(text []byte) error {
	b, err := base64.RawURLEncoding.AppendDecode(nil, text)
	if err != nil || len(b) < 1 || b[0] != cursorVersion {
		return fmt.Errorf("parse cursor: %w", ErrBadID)
	}
	r := recordReader{b: b[1:]}
	var next FeedCursor
	copy(next.trail[:], r.bytes(8))
	next.lsn, next.index = r.num(), r.num32()
	if next.index > 0 {
		copy(next.part[:], r.bytes(8))
	}
	next.read = true
	for len(r.b) > 0 && !r.bad {
		next.tips = append(next.tips, r.bytes(cursorTip))
	}
	if r.bad || len(next.tips) > cursorMaxTips {
		return fmt.Errorf("parse cursor: %w", ErrBadID)
	}
	if again, err := next.MarshalText(); err != nil || !bytes.Equal(again, text) { // trailing bits, line ends
		return fmt.Errorf("parse cursor: %w", ErrBadID)
	}
	*c = next
	return nil
}

// step moves the cursor behind a block, which its tips name already if known.
func (c FeedCursor) step(a *Arrival, known bool) FeedCursor {
	next := FeedCursor{lsn: a.LSN, trail: c.trail.next(a.ID)}
	if c.index > 0 && c.part != [8]byte(a.ID[:8]) {
		next.index, next.part = c.index, c.part // made elsewhere: it comes later here
	}
	if known {
		next.tips = c.tips
		return next
	}
	for _, t := range c.tips {
		gone := bytes.Equal(t, a.Block.Prev[:cursorTip]) || bytes.Equal(t, a.ID[:cursorTip])
		for _, d := range a.Block.Deps {
			gone = gone || bytes.Equal(t, d[:cursorTip])
		}
		if !gone {
			next.tips = append(next.tips, t)
		}
	}
	next.tips = append(next.tips, a.ID[:cursorTip])
	if len(next.tips) > cursorMaxTips {
		next.tips = next.tips[len(next.tips)-cursorMaxTips:]
	}
	return next
}

// FeedItem is one block of the feed.
type FeedItem struct {
	Arrival
	Skip   int        // revisions of the block that the cursor was behind of; all, if it was behind the block
	before FeedCursor // of this node, in front of the block
	After  FeedCursor // behind the whole block
}

// Within is the cursor behind the first n revisions of the block.
func (i *FeedItem) Within(n int) FeedCursor {
	c := i.before
	if n > 0 {
		c.index, c.part = uint32(n), [8]byte(i.ID[:8])
	}
	return c
}

// End is the cursor behind everything applied.
func (g *Graph) End() FeedCursor {
	m := g.moment.Load()
	c := FeedCursor{lsn: m.state.lsn, trail: m.state.trail}
	for id := range m.front.tips {
		c.tips = append(c.tips, bytes.Clone(id[:cursorTip]))
	}
	slices.SortFunc(c.tips, bytes.Compare)
	if len(c.tips) > cursorMaxTips {
		c.tips = c.tips[:cursorMaxTips]
	}
	return c
}

// Feed yields the blocks behind a cursor that are here now, in order of
// arrival, which is an order of causality. To wait for more, take Changed
// before calling it. A cursor that was used on other nodes may be behind blocks
// that come later here: those have all their revisions skipped, so that whoever
// goes on from After is given none of them again.
func (g *Graph) Feed(ctx context.Context, from FeedCursor) iter.Seq2[FeedItem, error] {
	return func(yield func(FeedItem, error) bool) {
		c, known, err := g.resume(from)
		for lsn := c.lsn + 1; err == nil && lsn <= g.moment.Load().state.lsn; lsn++ {
			if err = ctx.Err(); err != nil {
				break
			}
			var at loc
			if known != nil {
				if at, _, err = loadArrivalPlace(g.store, lsn); err != nil {
					break
				}
			}
			var a Arrival
			if a, err = g.arrival(lsn); err != nil {
				break
			}
			behind := known.covers(at.line, at.seq)
			item := FeedItem{Arrival: a, before: c, After: c.step(&a, behind)}
			switch {
			case behind:
				item.Skip = len(a.Changes)
			case c.index > 0 && c.part == [8]byte(a.ID[:8]):
				item.Skip = min(int(c.index), len(a.Changes))
			}
			item.before.index, item.before.part = 0, [8]byte{}
			c = item.After
			if !yield(item, nil) {
				return
			}
		}
		if err != nil {
			yield(FeedItem{}, err)
		}
	}
}

// resume turns a cursor into one of this node. If not only the blocks up to its
// place here are behind it, known is all of this node that is, and the cursor
// returned is at or before the first block that is not.
func (g *Graph) resume(from FeedCursor) (c FeedCursor, known clock, err error) {
	var here trail
	if from.lsn > 0 && from.lsn <= g.moment.Load().state.lsn {
		if _, here, err = loadArrivalPlace(g.store, from.lsn); err != nil {
			return c, nil, err
		}
	}
	same := from.lsn <= g.moment.Load().state.lsn && from.trail == here
	if same && !from.read {
		return from, nil, nil
	}
	known, last, err := g.behindTips(from.tips)
	if err != nil {
		return c, nil, err
	}
	if !same {
		return FeedCursor{tips: from.tips, index: from.index, part: from.part}, known, nil
	}
	if from.read = false; last <= from.lsn {
		return from, nil, nil
	}
	return from, known, nil
}

// behindTips returns what is behind those of a cursor's tips that are here,
// and the arrival number of the last of them.
func (g *Graph) behindTips(tips [][]byte) (known clock, last uint64, err error) {
	known = clock{}
	for _, t := range tips {
		at, ok, err := g.findTip(t)
		if err != nil {
			return nil, 0, err
		}
		if !ok {
			continue
		}
		rec, err := loadBlockRecord(g.store, at)
		if err != nil {
			return nil, 0, err
		}
		p, err := g.moment.Load().front.pastOf(g.store, at)
		if err != nil {
			return nil, 0, err
		}
		p.joinInto(known)
		last = max(last, rec.lsn)
	}
	return known, last, nil
}

// findTip finds a block by the start of its id.
func (g *Graph) findTip(start []byte) (at loc, ok bool, err error) {
	g.findMu.RLock()
	defer g.findMu.RUnlock()
	var digest [32]byte
	copy(digest[:], start)
	err = findDigest(g.store, g.gathered, digest, func(place loc, p *parcel) bool {
		if bytes.Equal(p.id[:cursorTip], start) {
			at, ok = loc{line: place.line, seq: place.seq}, true
		}
		return ok
	})
	return at, ok, err
}

// FeedAt is the cursor in front of the first block that came after a time.
func (g *Graph) FeedAt(ctx context.Context, unixMilli int64) (FeedCursor, error) {
	var c FeedCursor
	for item, err := range g.Feed(ctx, FeedCursor{}) {
		if err != nil {
			return c, err
		}
		if item.Time >= unixMilli {
			break
		}
		c = item.After
	}
	return c, nil
}
