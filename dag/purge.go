package dag

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// PurgeOp takes payloads away, on every node: of the revisions that it names,
// and of all revisions of the keys that it names, on every fork; of both those
// that are in the causal past of its block. Ids, parents and history stay.
type PurgeOp struct {
	Keys []string `cbor:"keys,omitempty"`
	Revs []link   `cbor:"revs,omitempty"`
	Why  string   `cbor:"why"`
}

// MaxWhy is the longest reason of a purge, in bytes.
const MaxWhy = 4 << 10

// NewPurge is the operation that purges keys and revisions.
func NewPurge(keys []string, revs []RevisionID, why string) Op {
	return NewOp(PurgeOp{Keys: keys, Revs: links(revs), Why: why})
}

// Revisions returns the revisions that are named.
func (o *PurgeOp) Revisions() []RevisionID {
	out := make([]RevisionID, len(o.Revs))
	for i, id := range o.Revs {
		out[i] = RevisionID(id)
	}
	return out
}

// fault is why the operation is void whoever wrote it; "" if it is not.
func (o *PurgeOp) fault() string {
	switch {
	case len(o.Keys)+len(o.Revs) == 0:
		return "a purge of nothing"
	case o.Why == "" || len(o.Why) > MaxWhy:
		return fmt.Sprintf("the reason of a purge has 1 to %d bytes, this one %d", MaxWhy, len(o.Why))
	}
	return ""
}

// Purge says who purged a payload.
type Purge struct {
	Block  BlockID
	Node   NodeID
	Author string // as the note of the block claims; "" if it does not
	Time   int64  // unix milliseconds, the author's claim
	Why    string
}

// PurgedError is the answer to who reads a payload that was purged.
type PurgedError struct {
	Revision RevisionID
	Purge    Purge
}

// Error says who purged the payload, when and why.
func (e *PurgedError) Error() string {
	by := "node " + e.Purge.Node.Short()
	if e.Purge.Author != "" {
		by = e.Purge.Author + " on " + by
	}
	at := time.UnixMilli(e.Purge.Time).UTC().Format(time.RFC3339)
	return fmt.Sprintf("the value of revision %s was purged by %s at %s: %s", e.Revision, by, at, e.Purge.Why)
}

// errAbsent says that a payload is not here, by a record that says so. It is
// damage, unless a purge explains it.
var errAbsent = fmt.Errorf("%w: it came without its bytes, and no purge that is known here took them", ErrCorrupt)

// errBaseAbsent says that a payload stands on one that is not here. Records
// that are read one after another, while a purge encodes them anew, can say so.
var errBaseAbsent = corrupt("what it stands on is not here")

// absentRecord is the record of a payload that is not here.
var absentRecord = []byte{keptAbsent}

// purgeEvent is a purge that is not void.
type purgeEvent struct {
	op    PurgeOp
	what  Purge
	past  past // of its block
	at    loc
	order order
	lsn   uint64
}

// covers reports whether a revision of its keys, or one that it names, is
// purged: it acts before the revisions of its own block.
func (e *purgeEvent) covers(at loc) bool {
	return e.past.covers(at.line, at.seq) && (at.line != e.at.line || at.seq != e.at.seq)
}

// purges is every purge, by what it names. It is replaced, never changed.
type purges struct {
	count int
	byKey map[string][]*purgeEvent // in an order that is the same on every node
	byRev map[RevisionID][]*purgeEvent
}

// with returns the purges with some more.
func (p *purges) with(events ...*purgeEvent) *purges {
	next := &purges{p.count + len(events), maps.Clone(p.byKey), maps.Clone(p.byRev)}
	if next.byKey == nil {
		next.byKey, next.byRev = map[string][]*purgeEvent{}, map[RevisionID][]*purgeEvent{}
	}
	for _, e := range events {
		for _, key := range e.op.Keys {
			next.byKey[key] = addPurge(next.byKey[key], e)
		}
		for _, id := range e.op.Revisions() {
			next.byRev[id] = addPurge(next.byRev[id], e)
		}
	}
	return next
}

func comparePurges(a, b *purgeEvent) int {
	return cmp.Or(a.order.compare(b.order), bytes.Compare(a.order.block[:], b.order.block[:]))
}

func addPurge(list []*purgeEvent, e *purgeEvent) []*purgeEvent {
	i, _ := slices.BinarySearchFunc(list, e, comparePurges)
	return slices.Insert(slices.Clone(list), i, e)
}

// of returns the first purge of a revision; nil if there is none.
func (p *purges) of(key string, id RevisionID, at loc) (first *purgeEvent) {
	if p.count == 0 {
		return nil
	}
	for _, list := range [][]*purgeEvent{p.byKey[key], p.byRev[id]} {
		i := slices.IndexFunc(list, func(e *purgeEvent) bool { return e.covers(at) })
		if i >= 0 && (first == nil || comparePurges(list[i], first) < 0) {
			first = list[i]
		}
	}
	return first
}

// Purged returns who purged the payload of a change; ok is false if nobody did.
func (g *Graph) Purged(c *Change) (p Purge, ok bool) {
	if c.Revision.Deleted {
		return p, false
	}
	e := g.moment.Load().purges.of(c.Revision.Key, c.ID, c.loc)
	if e == nil {
		return p, false
	}
	return e.what, true
}

// explain turns the absence of a payload into a *PurgedError, if it was purged.
func (g *Graph) explain(at loc, err error) error {
	if !errors.Is(err, errAbsent) {
		return err
	}
	if c, readErr := g.change(g.store, at); readErr == nil {
		if p, ok := g.Purged(&c); ok {
			return &PurgedError{c.ID, p}
		}
	}
	return err
}

// applyPurge takes a purge over. Payloads go when the batch is on disk.
func (w *workspace) applyPurge(a *applying, index uint32, op Op) (void string) {
	body, err := decodeOp[PurgeOp](op)
	if err != nil {
		return err.Error()
	}
	if why := body.fault(); why != "" {
		return why
	}
	e := newPurgeEvent(body, a.p, a.past, &a.rec, index, w.front.lines[a.past.line].node)
	w.purged, w.purges = append(w.purged, e), w.purges.with(e)
	w.state.ops++
	w.batch.Put(keyFormat, []byte(formatPurged))
	w.batch.Put(lsnIndexKey(tagPurge, e.lsn, index), purgePending)
	return ""
}

// The values of a record of tagPurge: whether payloads that it covers may still
// be here.
var purgePending, purgeDone = []byte{0}, []byte{1}

func newPurgeEvent(op PurgeOp, p *parcel, ps past, rec *blockRecord, index uint32, author NodeID) *purgeEvent {
	what := Purge{Block: p.id, Node: author, Time: p.block.Time, Why: op.Why}
	if p.block.Note != nil {
		what.Author = p.block.Note.Author
	}
	at := loc{ps.line, ps.seq, index}
	return &purgeEvent{op, what, ps, at, order{lam: rec.lam, chain: p.block.Chain, seq: at.seq, index: index, block: orderID(p.id[:])}, rec.lsn}
}

// loadPurges reads the purges from their blocks, and which of them were not
// finished.
func (g *Graph) loadPurges() (all *purges, pending []*purgeEvent, err error) {
	type found struct {
		lsn   uint64
		index uint32
		done  bool
	}
	var list []found
	err = g.store.Iterate(prefixRange([]byte{tagPurge}), func(k, v []byte) bool {
		list = append(list, found{binary.BigEndian.Uint64(k[1:]), binary.BigEndian.Uint32(k[9:]), bytes.Equal(v, purgeDone)})
		return true
	})
	var events []*purgeEvent
	for _, f := range list {
		if err != nil {
			break
		}
		var e *purgeEvent
		if e, err = g.loadPurge(f.lsn, f.index); err == nil {
			if events = append(events, e); !f.done {
				pending = append(pending, e)
			}
		}
	}
	return new(purges).with(events...), pending, err
}

func (g *Graph) loadPurge(lsn uint64, index uint32) (*purgeEvent, error) {
	at, rec, p, err := loadArrival(g.store, lsn)
	if err != nil {
		return nil, err
	}
	if int(index) >= len(p.block.Ops) {
		return nil, corrupt("operation %d of block %s is missing", index, p.id)
	}
	op, err := decodeOp[PurgeOp](p.block.Ops[index])
	if err != nil {
		return nil, corrupt("purge %d of block %s: %s", index, p.id, err)
	}
	ps, err := g.pastOf(at)
	if err != nil {
		return nil, err
	}
	return newPurgeEvent(op, p, ps, &rec, index, g.moment.Load().front.lines[at.line].node), nil
}

// target is a revision whose payload is to go.
type target struct {
	at  loc
	key string
}

// Unpurged counts the revisions of a key, on every fork, that have a payload
// which no purge took. A key that was never written has none.
func (g *Graph) Unpurged(key string) (n int, err error) {
	m := g.moment.Load()
	err = g.eachOf(key, func(at loc, rec *historyRecord) error {
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
	return n, err
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
	left  bool // something is damaged and could not be looked at
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
		if err := g.headsAgain(&d.batch, key); err != nil && d.damage(err) != nil {
			return err
		}
	}
	if !d.left {
		d.batch.Put(lsnIndexKey(tagPurge, e.lsn, e.at.index), purgeDone)
	}
	return d.write(true)
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
// at hand than before. g.writeMu is held.
func (g *Graph) headsAgain(b *Batch, key string) error {
	w := g.newWorkspace(0)
	others, err := readWrote(g.store, key)
	if err != nil {
		return err
	}
	for _, fork := range append([]uint32{1}, others...) {
		e, err := readEntry(g.store, w.forks.num(fork), key, w.front.chainOf)
		if err != nil {
			return err
		}
		if len(e.Heads) == 0 {
			continue
		}
		if err := w.fillHeads(&e); err != nil {
			return err
		}
		b.Put(headKey(fork, key), e.encode())
	}
	return nil
}
