package dag

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
)

// Compacting is a store that keeps what was overwritten for some time, and can be
// told to let go of it.
type Compacting interface {
	// Compact lets go of what was overwritten in a range, unless a snapshot holds
	// it.
	Compact(r Range) error
}

// worn is what a store is to let go of: ranges in which purges wrote over
// payloads. A Compacting store has them in a record, from the batch on that ends
// a purge until Compact has been through them, so that a crash in between does
// not leave the bytes. It is safe for concurrent use; the zero value is empty.
type worn struct {
	compacting sync.Mutex // before Graph.writeMu, that before mu
	mu         sync.Mutex
	ranges     []Range
}

// wornMost is how many ranges are compacted one by one: more are joined to one
// for each line.
const wornMost = 64

func (w *worn) add(targets []target, heads [][]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := len(w.ranges) // the others may be compacted just now
	for _, t := range targets {
		from, to := blockKey(t.at.line, t.at.seq), blockKey(t.at.line, t.at.seq+1)
		if n := len(w.ranges); len(targets) > wornMost && n > first && bytes.Equal(w.ranges[n-1].Start[:5], from[:5]) {
			w.ranges[n-1].End = to
			continue
		}
		w.ranges = append(w.ranges, Range{Start: from, End: to})
	}
	for _, k := range heads {
		w.ranges = append(w.ranges, Range{Start: k, End: append(bytes.Clone(k), 0)})
	}
}

func (w *worn) list() []Range {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ranges
}

// done takes out the first n ranges, and puts what is left into a batch.
func (w *worn) done(n int, b *Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ranges = w.ranges[n:]; len(w.ranges) == 0 {
		b.Delete(keyWorn)
		return
	}
	b.Put(keyWorn, encodeRanges(w.ranges))
}

// load takes over what a node left that did not come to compact it.
func (w *worn) load(r Reader) error {
	b, err := r.Get(keyWorn)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	ranges, ok := decodeRanges(b)
	if !ok { // then it may have been anywhere
		ranges = []Range{prefixRange([]byte{tagBlock}), prefixRange([]byte{tagHead})}
	}
	w.ranges = ranges
	return nil
}

func encodeRanges(ranges []Range) (b []byte) {
	for _, r := range ranges {
		for _, k := range [][]byte{r.Start, r.End} {
			b = append(binary.AppendUvarint(b, uint64(len(k))), k...)
		}
	}
	return b
}

func decodeRanges(b []byte) (ranges []Range, ok bool) {
	r := recordReader{b: b}
	for len(r.b) > 0 {
		ranges = append(ranges, Range{Start: bytes.Clone(r.bytes(r.num())), End: bytes.Clone(r.bytes(r.num()))})
	}
	return ranges, !r.bad
}

// Worn receives when a purge has taken payloads of which the store may still
// have the bytes, in places that nothing reads: Compact lets go of them.
func (g *Graph) Worn() <-chan struct{} { return g.wearing }

// Compact makes the store let go of the bytes that purges took so far, if it is
// Compacting. It rewrites the files that hold them, and holds no lock that
// others need while it does. What it could not do, or had not done when the node
// stopped, is left to the next call: after a start Worn receives at once.
func (g *Graph) Compact() error {
	store, ok := g.store.(Compacting)
	if !ok {
		return nil
	}
	g.worn.compacting.Lock()
	defer g.worn.compacting.Unlock()
	ranges := g.worn.list()
	for _, r := range ranges {
		if err := store.Compact(r); err != nil {
			return err
		}
	}
	if len(ranges) == 0 {
		return nil
	}
	g.writeMu.Lock()
	defer g.writeMu.Unlock()
	if g.failed != nil {
		return g.failed
	}
	var b Batch
	g.worn.done(len(ranges), &b)
	if err := g.store.Write(&b, !g.unsynced); err != nil {
		return g.fail(err)
	}
	return nil
}

// wear tells who compacts that there is something to do.
func (g *Graph) wear() {
	select {
	case g.wearing <- struct{}{}:
	default:
	}
}

// loadWorn takes over what was not compacted before the node stopped.
func (g *Graph) loadWorn() error {
	if _, ok := g.store.(Compacting); !ok {
		return nil
	}
	err := g.worn.load(g.store)
	if err == nil && len(g.worn.ranges) > 0 {
		g.wear()
	}
	return err
}

// target is a revision whose payload is to go.
type target struct {
	at  loc
	key string
}

// Unpurged counts the revisions of a key, on every fork, that have a payload
// which no purge took; written is false if there are no revisions at all.
func (g *Graph) Unpurged(key string) (written bool, n int, err error) {
	m := g.moment.Load()
	err = g.eachOf(key, func(at loc, rec *historyRecord) error {
		written = true
		if rec.deleted || slices.ContainsFunc(m.purges.byKey[key], func(e *purgeEvent) bool { return e.covers(at) }) {
			return nil
		}
		if len(m.purges.byRev) > 0 {
			h, err := g.blocks.revision(g.store, at)
			if err != nil || m.purges.of(key, h.ID, at) != nil {
				return err
			}
		}
		n++
		return nil
	})
	return written, n, err
}

// eachOf calls f for each revision of a key in the history of a fork, newest
// first of each line.
func (g *Graph) eachOf(key string, f func(at loc, rec *historyRecord) error) error {
	others, err := readWrote(g.store, key)
	if err != nil {
		return err
	}
	for _, fork := range append([]uint32{1}, others...) {
		r := prefixRange(historyPrefix(fork, key, 0))
		for more := true; more; {
			var page []pendingRevision
			if page, more, err = readHistoryPage(g.store, &r); err != nil {
				return err
			}
			for i := range page {
				if err := f(page[i].loc, &page[i].rec); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// readHistoryPage reads the next history records of a range, which it moves
// behind them. In pages: an iterator pins files of the store.
func readHistoryPage(s Reader, r *Range) (page []pendingRevision, more bool, err error) {
	var bad error
	err = s.Iterate(*r, func(k, v []byte) bool {
		if more = len(page) == historyPage; more {
			r.Start = bytes.Clone(k)
			return false
		}
		at, ok := parseHistoryKey(k)
		rec, err := decodeHistory(v)
		if !ok && err == nil {
			err = corrupt("key of a history record does not decode")
		}
		bad = err
		page = append(page, pendingRevision{at, rec})
		return bad == nil
	})
	return page, more, errors.Join(err, bad)
}

// purging drops what one purge covers, in batches of bounded size. Who reads
// meanwhile may still see it.
type purging struct {
	g     *Graph
	e     *purgeEvent
	batch Batch
	heads [][]byte // keys of entries that were written again
	left  bool     // something is damaged and could not be looked at
}

// purgeBatch is the size of a batch that is written while payloads go.
const purgeBatch = 4 << 20

// dropPurged drops the payloads that a purge covers, and encodes anew what
// stands on them. What it could not finish is finished when the store is opened
// again. The error is of the store. g.writeMu is held.
func (g *Graph) dropPurged(e *purgeEvent) error {
	d := &purging{g: g, e: e}
	targets, err := d.targets()
	if err != nil {
		return err
	}
	keys := slices.Clone(e.op.Keys)
	for _, t := range targets {
		keys = append(keys, t.key)
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	for _, key := range keys {
		if err := d.detach(key, targets); err != nil {
			return err
		}
	}
	if err := d.drop(targets); err != nil {
		return err
	}
	if err := d.write(false); err != nil {
		return err
	}
	g.blocks.forget()
	for _, key := range keys {
		heads, err := g.headsAgain(&d.batch, key)
		if d.heads = append(d.heads, heads...); err != nil && d.damage(err) != nil {
			return err
		}
	}
	if !d.left {
		d.batch.Put(lsnIndexKey(tagPurge, e.lsn, e.at.index), purgeDone)
	}
	g.worn.add(targets, d.heads)
	if _, ok := g.store.(Compacting); ok {
		d.batch.Put(keyWorn, encodeRanges(g.worn.list()))
	}
	if err := d.write(true); err != nil {
		return err
	}
	g.wear()
	return nil
}

// damage keeps note of damage, which others than this purge report and repair.
func (d *purging) damage(err error) error {
	if errors.Is(err, ErrCorrupt) {
		d.left = true
		return nil
	}
	return err
}

func (d *purging) write(sync bool) error {
	if d.batch.Len() == 0 {
		return nil
	}
	if err := d.g.store.Write(&d.batch, sync && !d.g.unsynced); err != nil {
		return d.g.fail(err)
	}
	d.batch.Reset()
	return nil
}

// room writes the batch if it is large.
func (d *purging) room() error {
	if d.batch.Size() < purgeBatch {
		return nil
	}
	return d.write(false)
}

// targets returns what the purge covers, in the order of places.
func (d *purging) targets() (out []target, err error) {
	for _, key := range d.e.op.Keys {
		err := d.g.eachOf(key, func(at loc, rec *historyRecord) error {
			if d.e.covers(at) && !rec.deleted {
				out = append(out, target{at, key})
			}
			return nil
		})
		if err != nil && d.damage(err) != nil {
			return nil, err
		}
	}
	if err := d.voids(&out); err != nil {
		return nil, err
	}
	for _, id := range d.e.op.Revisions() {
		at, ok, err := findRevision(d.g.store, d.g.gathered, id)
		if err == nil && ok && d.e.covers(at) {
			var c Change
			if c, err = d.g.change(d.g.store, at); err == nil && !c.Revision.Deleted {
				out = append(out, target{at, c.Revision.Key})
			}
		}
		if err != nil && d.damage(err) != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b target) int { return compareLoc(a.at, b.at) })
	return slices.Compact(out), nil
}

// voids adds the revisions of the keys that have no effect, which stand in no
// history.
func (d *purging) voids(out *[]target) error {
	var blocks []uint64
	err := d.g.store.Iterate(prefixRange([]byte{tagVoid}), func(k, _ []byte) bool {
		lsn, index := binary.BigEndian.Uint64(k[1:]), binary.BigEndian.Uint32(k[9:])
		if n := len(blocks); index < voidOps && (n == 0 || blocks[n-1] != lsn) {
			blocks = append(blocks, lsn)
		}
		return true
	})
	for i := 0; i < len(blocks) && err == nil; i++ {
		at, _, p, readErr := loadArrival(d.g.store, blocks[i])
		if err = readErr; err != nil {
			err = d.damage(err)
			continue
		}
		for j, r := range p.revs {
			if at.index = uint32(j); d.e.covers(at) && !r.Deleted && slices.Contains(d.e.op.Keys, r.Key) {
				*out = append(*out, target{at, r.Key})
			}
		}
	}
	return err
}

// detach encodes anew, so that they stand on nothing, the payloads of a key
// that stay and stand on one that goes.
func (d *purging) detach(key string, targets []target) error {
	goes := func(at loc) bool {
		_, ok := slices.BinarySearchFunc(targets, at, func(t target, at loc) int { return compareLoc(t.at, at) })
		return ok
	}
	err := d.g.eachOf(key, func(at loc, _ *historyRecord) error {
		if goes(at) {
			return nil
		}
		record, err := d.g.store.Get(payloadKey(at))
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		k, err := decodeKept(record)
		if err != nil || k.depth == 0 || !goes(k.base) {
			d.left = d.left || err != nil
			return nil
		}
		value, err := d.payloadAt(at)
		if err != nil {
			return d.damage(err)
		}
		d.batch.Put(payloadKey(at), d.g.blocks.codec.keepAlone(value))
		return d.room()
	})
	return d.damage(err)
}

func (d *purging) payloadAt(at loc) ([]byte, error) {
	h, err := d.g.blocks.revision(d.g.store, at)
	if err != nil {
		return nil, err
	}
	return d.g.blocks.payload(d.g.store, at, h.Value, h.Size, h.ID)
}

// drop drops the payloads. One that stands in its block has that written again.
func (d *purging) drop(targets []target) error {
	for len(targets) > 0 {
		first := targets[0].at
		n := slices.IndexFunc(targets, func(t target) bool { return t.at.line != first.line || t.at.seq != first.seq })
		if n < 0 {
			n = len(targets)
		}
		if err := d.damage(d.dropOf(first, targets[:n])); err != nil {
			return err
		}
		targets = targets[n:]
		if err := d.room(); err != nil {
			return err
		}
	}
	return nil
}

// dropOf drops payloads of one block.
func (d *purging) dropOf(block loc, targets []target) error {
	var inline []uint32
	for _, t := range targets {
		record, err := d.g.store.Get(payloadKey(t.at))
		switch {
		case errors.Is(err, ErrNotFound):
			inline = append(inline, t.at.index)
		case err != nil:
			return err
		case !bytes.Equal(record, absentRecord):
			d.g.dropped++
			d.batch.Put(payloadKey(t.at), absentRecord)
		}
	}
	if len(inline) == 0 {
		return nil
	}
	rec, p, err := loadBlock(d.g.store, block.line, block.seq)
	if err != nil {
		return err
	}
	stored := make([]kept, len(p.revs))
	for i, r := range p.revs {
		if !r.Deleted && (p.payloads[i] == nil || slices.Contains(inline, uint32(i))) {
			stored[i].record = absentRecord // any record will do: the block is to say that there is one
		}
	}
	rec.bundle = p.encode(stored)
	d.batch.Put(blockKey(block.line, block.seq), rec.encode())
	for _, i := range inline {
		d.g.dropped++
		d.batch.Put(payloadKey(loc{block.line, block.seq, i}), absentRecord)
	}
	return nil
}

// headsAgain writes the entries of a key again, whose heads have other payloads
// at hand than before, and returns their places. g.writeMu is held.
func (g *Graph) headsAgain(b *Batch, key string) (written [][]byte, err error) {
	w := g.newWorkspace(0, 0)
	others, err := readWrote(g.store, key)
	if err != nil {
		return nil, err
	}
	for _, fork := range append([]uint32{1}, others...) {
		e, err := readEntry(g.store, w.forks.num(fork), key, w.front.chainOf)
		if err != nil {
			return written, err
		}
		if len(e.Heads) == 0 {
			continue
		}
		if err := w.fillHeads(&e); err != nil {
			return written, err
		}
		at := headKey(fork, key)
		b.Put(at, e.encode())
		written = append(written, at)
	}
	return written, nil
}
