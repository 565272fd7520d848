package dag

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// The forms of a payload that is kept apart; see the package comment.
const (
	keptWhole = iota
	keptPacked
	keptSpliced
	keptPatched
	keptAbsent
)

const (
	// deltaMin is the shortest payload that is kept apart as a splice: of a
	// shorter one the digest and the record's key would be most.
	deltaMin = 320
	// deltaCost is what a payload that is kept apart takes besides its record's
	// value, about.
	deltaCost = 96
	// deltaDepth is the most deltas that a payload stands on; then comes one that
	// stands by itself.
	deltaDepth = 31
	// spliceEnough is the length up to which nothing shorter than a splice is
	// looked for.
	spliceEnough = 128
)

// kept is how a payload is stored.
type kept struct {
	record []byte // value of its own record; nil if it stands in its block
	depth  int    // at least how many others it stands on
}

// loaded is a payload as it was, with its depth.
type loaded struct {
	value []byte
	depth int
}

// keptRecord is the value of payloadKey.
type keptRecord struct {
	form  byte
	depth int // above that of the base; 0 of what stands by itself
	base  loc
	size  int // of the payload; -1 if only the body tells
	body  []byte
}

func decodeKept(b []byte) (k keptRecord, err error) {
	if len(b) == 0 {
		return k, errDelta
	}
	k.form, k.size = b[0], -1
	r := recordReader{b: b[1:]}
	if k.form == keptSpliced || k.form == keptPatched {
		n := r.num()
		if r.bad = r.bad || n == 0 || n > deltaDepth; !r.bad {
			k.depth = int(n)
		}
		k.base = r.loc()
	}
	switch k.form {
	case keptPacked, keptPatched:
		n := r.num()
		if r.bad = r.bad || n > MaxPayload; !r.bad {
			k.size = int(n)
		}
	case keptWhole, keptSpliced:
	case keptAbsent:
		r.bad = r.bad || len(r.b) > 0
	default:
		r.bad = true
	}
	if k.body = r.b; r.bad {
		return k, errDelta
	}
	return k, nil
}

// payload decodes the record; base is nil if its depth is 0.
func (k *keptRecord) payload(c *codec, base []byte) ([]byte, error) {
	switch k.form {
	case keptPacked:
		return c.unpack(k.body, nil, k.size)
	case keptSpliced:
		return unsplice(base, k.body)
	case keptPatched:
		return c.unpack(k.body, base, k.size)
	}
	return k.body, nil
}

// keep chooses how a payload is stored that stands by itself.
func (c *codec) keep(value []byte) kept {
	if len(value) <= inlineMax {
		return kept{}
	}
	if frame := c.pack(value); frame != nil {
		head := binary.AppendUvarint([]byte{keptPacked}, uint64(len(value)))
		return kept{record: append(head, frame...)}
	}
	return kept{record: append([]byte{keptWhole}, value...)}
}

// keepAlone is the record of a payload that stands by itself, also of a short
// one.
func (c *codec) keepAlone(value []byte) []byte {
	if k := c.keep(value); k.record != nil {
		return k.record
	}
	return append([]byte{keptWhole}, value...)
}

// keepOn chooses how a payload is stored that follows on a base. The depth of
// the base is asked for only if it matters.
func (c *codec) keepOn(value, base []byte, at loc, depthOf func() (int, error)) (kept, error) {
	if len(value) < deltaMin {
		return kept{}, nil
	}
	splice := appendSplice(nil, base, value)
	if len(value) <= inlineMax && len(splice)+deltaCost > len(value)/2 {
		return kept{}, nil
	}
	depth, err := depthOf()
	if err != nil || depth >= deltaDepth {
		return c.keep(value), err
	}
	head := func(form byte) []byte {
		return appendLoc(binary.AppendUvarint([]byte{form}, uint64(depth+1)), at)
	}
	best := kept{append(head(keptSpliced), splice...), depth + 1}
	if len(splice) <= spliceEnough || len(value) <= inlineMax {
		return best, nil
	}
	if frame := c.patch(base, value); frame != nil && len(frame) < len(splice) {
		best.record = append(binary.AppendUvarint(head(keptPatched), uint64(len(value))), frame...)
	}
	if len(best.record) <= len(value)/4 {
		return best, nil
	}
	if alone := c.keep(value); len(alone.record) <= len(best.record) {
		return alone, nil
	}
	return best, nil
}

// payload returns the payload of a revision; want, size and id are what is
// known of it. Its hash is checked: damage is ErrCorrupt.
func (c *blockCache) payload(r Reader, at loc, want Sum, size int64, id RevisionID) ([]byte, error) {
	l, err := c.loadPayload(r, at, nil, want, size, id)
	return l.value, err
}

// loadPayload is payload with its depth. Record is the value of its own record,
// if that was read already.
func (c *blockCache) loadPayload(r Reader, at loc, record []byte, want Sum, size int64, id RevisionID) (loaded, error) {
	l, ok := c.loads.get(at)
	drops := c.drops.Load()
	if !ok {
		var err error
		if l, err = c.unfold(r, at, record, size); errors.Is(err, errBaseAbsent) {
			l, err = c.unfold(r, at, nil, size) // it was encoded anew meanwhile
		}
		if errors.Is(err, ErrCorrupt) {
			return l, fmt.Errorf("the value of revision %s: %w", id, err)
		} else if err != nil {
			return l, err
		}
	}
	if _, err := checkPayload(l.value, want, id); err != nil {
		return loaded{}, err
	}
	if !ok && drops == c.drops.Load() {
		c.loads.put(at, l)
	}
	return l, nil
}

// unfold reads a payload of a size, with what it stands on. Each step has one
// delta less below it, so there are few.
func (c *blockCache) unfold(r Reader, at loc, record []byte, size int64) (loaded, error) {
	var chain []keptRecord
	for {
		l, k, err := c.step(r, at, record)
		if len(chain) > 0 && errors.Is(err, ErrAbsent) {
			err = errBaseAbsent
		}
		if err != nil {
			return loaded{}, err
		}
		if n := len(chain); n > 0 && max(l.depth, k.depth) >= chain[n-1].depth {
			return loaded{}, corrupt("it stands on %d others, and so does what it stands on", chain[n-1].depth)
		}
		if l.value != nil {
			return c.refold(l, chain)
		}
		if len(chain) == 0 && k.size >= 0 && int64(k.size) != size {
			return loaded{}, corrupt("its record is of %d bytes, not %d", k.size, size)
		}
		chain = append(chain, k)
		if k.depth == 0 {
			return c.refold(loaded{}, chain)
		}
		at, record = k.base, nil
	}
}

// step reads one payload as far as it stands by itself, or else its record.
func (c *blockCache) step(r Reader, at loc, record []byte) (l loaded, k keptRecord, err error) {
	if l, ok := c.loads.get(at); ok {
		return l, k, nil
	}
	if record == nil {
		record, err = r.Get(payloadKey(at))
	}
	if errors.Is(err, ErrNotFound) {
		h, err := c.revision(r, at)
		if err == nil && h.inline == nil {
			err = corrupt("its record is missing")
		}
		return loaded{value: h.inline}, k, err
	}
	if err != nil {
		return l, k, err
	}
	if k, err = decodeKept(record); err != nil {
		return l, k, corrupt("%v", err)
	}
	if k.form == keptAbsent {
		err = ErrAbsent
	}
	return l, k, err
}

// refold decodes a chain of records from its end, where base stands.
func (c *blockCache) refold(base loaded, chain []keptRecord) (loaded, error) {
	for i := len(chain) - 1; i >= 0; i-- {
		value, err := chain[i].payload(&c.codec, base.value)
		if err != nil {
			return loaded{}, corrupt("%v", err)
		}
		base = loaded{value, chain[i].depth}
	}
	return base, nil
}

// depth is how many deltas the payload at a place stands on.
func (c *blockCache) depth(r Reader, at loc) (int, error) {
	if l, ok := c.loads.get(at); ok {
		return l.depth, nil
	}
	record, err := r.Get(payloadKey(at))
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	k, err := decodeKept(record)
	if err != nil || k.form == keptAbsent {
		return deltaDepth, nil // damaged, or not here: nothing may stand on it
	}
	return k.depth, nil
}

// cachedPayloads bounds the payloads that are kept in memory, in bytes: those
// that the next revisions of their keys follow on.
const cachedPayloads = 8 << 20

// payloadCache keeps the payloads that were used last, in two generations: when
// the young ones are half of the bound, the old ones go. It is safe for
// concurrent use. The payloads must not be changed.
type payloadCache struct {
	mu         sync.Mutex
	young, old map[loc]loaded
	size       int // of the young
}

func (c *payloadCache) get(at loc) (loaded, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.young[at]
	if !ok {
		if l, ok = c.old[at]; ok {
			c.add(at, l)
		}
	}
	return l, ok
}

// put keeps a payload whose hash was checked.
func (c *payloadCache) put(at loc, l loaded) {
	if len(l.value) < deltaMin || len(l.value) > cachedPayloads/8 {
		return
	}
	l.value = slices.Clip(l.value) // readers share it: what one appends must not reach another
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(at, l)
}

// add makes a payload a young one. c.mu is held.
func (c *payloadCache) add(at loc, l loaded) {
	if _, ok := c.young[at]; ok {
		return
	}
	if c.size += len(l.value) + 128; c.size > cachedPayloads/2 || c.young == nil {
		c.old, c.young, c.size = c.young, map[loc]loaded{}, len(l.value)+128
	}
	c.young[at] = l
}

// choose decides how the i-th payload of a block is stored, whose key has the
// entry e before it.
func (w *workspace) choose(a *applying, i int, e *Entry) error {
	r, value := a.p.revs[i], a.p.payloads[i]
	if a.p.kept != nil || r.Deleted || len(value) < deltaMin {
		return nil // see writeBlock for what is not here
	}
	if k, ok := a.p.sent[i]; ok && k.isGood(len(value)) {
		kept, err := w.keepSent(e, r, k)
		if kept.record != nil || err != nil {
			a.kept[i] = kept
			return err
		}
	}
	at, base, depthOf, err := w.base(e, r)
	switch {
	case err != nil:
		return err
	case base == nil:
		a.kept[i] = w.decoded.codec.keep(value)
	default:
		a.kept[i], err = w.decoded.codec.keepOn(value, base, at, depthOf)
	}
	return err
}

// isGood reports whether a delta of a payload of that size is not longer than
// what keepOn would take without looking for better.
func (k *keptRecord) isGood(size int) bool {
	if size <= inlineMax {
		return k.form == keptSpliced && len(k.body)+deltaCost <= size/2
	}
	return len(k.body) <= spliceEnough || len(k.body)+deltaCost <= size/4
}

// keepSent stores a payload as it came: as a delta of that of its first parent,
// which gave it. There is no record if the parent cannot be its base here.
func (w *workspace) keepSent(e *Entry, r *Revision, k keptRecord) (kept, error) {
	i, ok := slices.BinarySearchFunc(e.Heads, r.Parents[0], byID)
	if !ok || e.Heads[i].Deleted {
		return kept{}, nil
	}
	var depth int
	var err error
	at := e.Heads[i].loc
	if b, ok := w.blocks[loc{line: at.line, seq: at.seq}]; !ok {
		depth, err = w.decoded.depth(w.store, at)
	} else if depth = b.kept[at.index].depth; b.p.isAbsent(int(at.index)) {
		depth = deltaDepth
	}
	if err != nil || depth >= deltaDepth {
		return kept{}, err
	}
	head := appendLoc(binary.AppendUvarint([]byte{k.form}, uint64(depth+1)), at)
	if k.form == keptPatched {
		head = binary.AppendUvarint(head, uint64(k.size))
	}
	return kept{append(head, k.body...), depth + 1}, nil
}

// base finds the payload that a revision follows on: that of its first parent.
// It is nil if there is none, or if it is not worth reading, or damaged.
func (w *workspace) base(e *Entry, r *Revision) (at loc, value []byte, depthOf func() (int, error), err error) {
	if len(r.Parents) == 0 {
		return at, nil, nil, nil
	}
	i, ok := slices.BinarySearchFunc(e.Heads, r.Parents[0], byID)
	if !ok || e.Heads[i].Deleted {
		return at, nil, nil, nil
	}
	h := e.Heads[i]
	if b, ok := w.blocks[loc{line: h.loc.line, seq: h.loc.seq}]; ok {
		n := h.loc.index
		return h.loc, b.p.payloads[n], func() (int, error) { return b.kept[n].depth, nil }, nil
	}
	if l, ok := w.decoded.loads.get(h.loc); ok {
		return h.loc, l.value, func() (int, error) { return l.depth, nil }, nil
	}
	if e.bare {
		if r.Size <= inlineMax {
			return at, nil, nil, nil
		}
		if h, err = w.headAt(h.loc); err != nil {
			return at, nil, nil, notDamage(err)
		}
	}
	if h.inline != nil {
		if _, err := checkPayload(h.inline, h.Value, h.ID); err != nil {
			return at, nil, nil, notDamage(err)
		}
		return h.loc, h.inline, func() (int, error) { return w.decoded.depth(w.store, h.loc) }, nil
	}
	l, err := w.decoded.loadPayload(w.store, h.loc, nil, h.Value, h.Size, h.ID)
	return h.loc, l.value, func() (int, error) { return l.depth, nil }, notDamage(err)
}

// notDamage leaves out damage: it costs a base, and is met again by who reads
// it.
func notDamage(err error) error {
	if errors.Is(err, ErrCorrupt) {
		return nil
	}
	return err
}

// fillHeads puts the short payloads of an entry's heads that are not there into
// it, so that reading a head takes one get.
func (w *workspace) fillHeads(e *Entry) error {
	if len(e.Heads) > inlineHeads {
		return nil
	}
	for i := range e.Heads {
		h := &e.Heads[i]
		if w.purges.of(e.Key, h.ID, h.loc) != nil {
			h.inline = nil
			continue
		}
		if h.Deleted || h.inline != nil || h.Size > inlineMax {
			continue
		}
		value, err := w.payload(h)
		if errors.Is(err, ErrAbsent) {
			continue
		}
		if err != nil {
			return err
		}
		h.inline = value
	}
	return nil
}

// payload returns the payload of a head, of the batch or of the store.
func (w *workspace) payload(h *Head) ([]byte, error) {
	a, ok := w.blocks[loc{line: h.loc.line, seq: h.loc.seq}]
	if !ok {
		return w.decoded.head(w.store, h)
	}
	value := a.p.payloads[h.loc.index]
	if value == nil && !h.Deleted {
		return nil, ErrAbsent
	}
	return value, nil
}

// head returns the payload of a head.
func (c *blockCache) head(r Reader, h *Head) ([]byte, error) {
	switch {
	case h.Deleted:
		return nil, nil
	case h.inline != nil:
		return checkPayload(h.inline, h.Value, h.ID)
	}
	return c.payload(r, h.loc, h.Value, h.Size, h.ID)
}

// keepPayloads remembers the payloads of a batch that is on disk: what comes
// next follows on them.
func (c *blockCache) keepPayloads(w *workspace) {
	for _, a := range w.applied {
		for i, value := range a.p.payloads {
			if a.p.kept == nil && len(value) >= deltaMin {
				if !a.p.own {
					value = bytes.Clone(value)
				}
				c.loads.put(loc{a.past.line, a.past.seq, uint32(i)}, loaded{value, a.kept[i].depth})
			}
		}
	}
}

// warm reads ahead what a commit will encode a long payload against. An error is
// left to the commit to find.
func (g *Graph) warm(e *Entry) {
	if len(e.Heads) == 1 && e.Heads[0].Size > inlineMax {
		_, _ = g.Payload(&e.Heads[0])
	}
}
