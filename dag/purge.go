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

// ErrAbsent marks a payload that came here without its bytes: it is damage, until
// the purge comes that took them.
var ErrAbsent = fmt.Errorf("%w: it came without its bytes, and no purge that is known here took them", ErrCorrupt)

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

// Purges counts the purges that are applied. What was computed from payloads
// when there were fewer can hold what is gone.
func (g *Graph) Purges() int { return g.moment.Load().purges.count }

// PurgedHead reports whether the payload of a head of a key was purged.
func (g *Graph) PurgedHead(key string, h *Head) bool {
	return !h.Deleted && g.moment.Load().purges.of(key, h.ID, h.loc) != nil
}

// explain turns the absence of a payload into a *PurgedError, if it was purged.
func (g *Graph) explain(at loc, err error) error {
	if !errors.Is(err, ErrAbsent) {
		return err
	}
	if c, readErr := g.change(g.store, at); readErr == nil {
		if p, ok := g.Purged(&c); ok {
			return &PurgedError{c.ID, p}
		}
	}
	return err
}

// explain does that for a head of the batch or of the store.
func (w *workspace) explain(h *Head, absent error) error {
	p := (*parcel)(nil)
	if a, ok := w.blocks[loc{line: h.loc.line, seq: h.loc.seq}]; ok {
		p = a.p
	} else if _, stored, err := w.decoded.load(w.store, h.loc.line, h.loc.seq); err == nil {
		p = stored
	}
	if p == nil || int(h.loc.index) >= len(p.revs) {
		return absent
	}
	if e := w.purges.of(p.revs[h.loc.index].Key, h.ID, h.loc); e != nil {
		return &PurgedError{h.ID, e.what}
	}
	return absent
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
