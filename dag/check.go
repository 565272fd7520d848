package dag

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Fault is one finding of Check.
type Fault struct {
	Kind   string // block, payload, signature, record, state
	Where  string
	Detail string
}

// String is the fault in one line.
func (f Fault) String() string { return f.Kind + " " + f.Where + ": " + f.Detail }

// Progress is told how many of the blocks are done; nil for nobody.
type Progress func(done, total uint64)

// Check reads every block and payload, checks hashes, order and signatures,
// computes every derived record again in scratch, which must be empty, and
// reports each difference. The error is of reading, or of ctx; a store without
// faults gives none.
func (g *Graph) Check(ctx context.Context, scratch Store, progress Progress, report func(Fault)) error {
	s, err := g.store.Snapshot()
	if err != nil {
		return err
	}
	defer s.Release()
	r := newReplay(s, &shadow{blocks: s, derived: scratch}, report)
	if err := r.run(ctx, progress); err != nil {
		return err
	}
	if r.dropped > 0 {
		report(Fault{"state", "indexes", fmt.Sprintf("not compared: %d blocks cannot be applied", r.dropped)})
		return nil
	}
	if r.g.dropped > 0 {
		report(Fault{"payload", "purges", fmt.Sprintf("%d values that were purged are still here", r.g.dropped)})
	}
	if err := r.compareDerived(ctx, s, scratch); err != nil {
		return err
	}
	if err := r.compareRest(s); err != nil {
		return err
	}
	return r.checkFind(s)
}

// Rebuilt says what a Rebuild kept.
type Rebuilt struct {
	Blocks    uint64
	Revisions uint64
	Dropped   uint64 // blocks that are damaged, or that stand on such
}

// Rebuild computes everything in from's blocks again and writes it into an
// empty store. Blocks that are damaged, and those that stand on them, are left
// out and reported: peers have them.
func Rebuild(ctx context.Context, from Store, into Store, progress Progress, report func(Fault)) (Rebuilt, error) {
	s, err := from.Snapshot()
	if err != nil {
		return Rebuilt{}, err
	}
	defer s.Release()
	r := newReplay(s, into, report)
	if err := r.run(ctx, progress); err != nil {
		return Rebuilt{}, err
	}
	// A synced write makes the unsynced ones before it durable.
	state := r.g.moment.Load().state
	if state.lsn == 0 {
		return Rebuilt{Dropped: r.dropped}, nil
	}
	var b Batch
	b.Put(keyState, state.encode())
	return Rebuilt{state.lsn, state.revisions, r.dropped}, into.Write(&b, true)
}

// shadow keeps derived records in a store of their own and reads blocks from
// the one that is checked.
type shadow struct {
	blocks  Reader
	derived Store
}

func (s *shadow) Get(key []byte) ([]byte, error) {
	if key[0] == tagBlock {
		return s.blocks.Get(key)
	}
	return s.derived.Get(key)
}

func (s *shadow) Iterate(r Range, yield func(k, v []byte) bool) error {
	if len(r.Start) > 0 && r.Start[0] == tagBlock {
		return s.blocks.Iterate(r, yield)
	}
	return s.derived.Iterate(r, yield)
}

func (s *shadow) Write(b *Batch, sync bool) error {
	var kept Batch
	err := b.Each(
		func(k, v []byte) {
			if k[0] != tagBlock {
				kept.Put(k, v)
			}
		},
		func(k []byte) { kept.Delete(k) },
	)
	if err != nil {
		return err
	}
	return s.derived.Write(&kept, sync)
}

func (s *shadow) Snapshot() (Snapshot, error) {
	return nil, errors.New("dag: no snapshot of a shadow")
}
func (s *shadow) Close() error { return nil }

// replaying applies the blocks of a store again, in their order of arrival.
type replaying struct {
	src     Reader
	blocks  blockCache // of src
	same    bool       // src is in this format: payloads are kept as they are there
	g       *Graph
	report  func(Fault)
	dropped uint64
	signed  map[uint32]uint64 // by line of src: seq after the newest signed block
	absent  []RevisionID      // whose payloads are not in src
}

// The bounds of what is applied at once, of which one block may be beyond.
const (
	replayBatch = 128     // blocks
	replayBytes = 1 << 20 // of their records
)

func newReplay(src Reader, dst Store, report func(Fault)) *replaying {
	g := &Graph{
		store: dst, clock: func() time.Time { return time.Time{} }, changed: make(chan struct{}), gathered: &gathered{},
		unsynced: true, key: NewNodeKey([32]byte{}),
	}
	g.moment.Store(emptyMoment())
	return &replaying{src: src, g: g, report: report, signed: map[uint32]uint64{}}
}

// stored is a block in its place in the source.
type stored struct {
	loc   loc
	lsn   uint64
	apart int // payloads that have records of their own
	size  int // of all its records
}

// nextGroup returns how many blocks are applied at once.
func nextGroup(blocks []stored) int {
	n, size := 0, 0
	for n < min(len(blocks), replayBatch) && (n == 0 || size+blocks[n].size <= replayBytes) {
		size += blocks[n].size
		n++
	}
	return n
}

func (r *replaying) run(ctx context.Context, progress Progress) error {
	mark, err := r.src.Get(keyFormat)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
		return err
	}
	r.same = knownFormat(mark)
	blocks, err := r.list()
	if err != nil {
		return err
	}
	var group []stored
	for i := 0; i < len(blocks); i += len(group) {
		if err := ctx.Err(); err != nil {
			return err
		}
		group = blocks[i : i+nextGroup(blocks[i:])]
		if err := r.apply(group); err != nil {
			for _, b := range group {
				if err := r.apply([]stored{b}); err != nil {
					if err := r.drop(b, err); err != nil {
						return err
					}
				}
			}
		}
		if progress != nil {
			progress(uint64(i+len(group)), uint64(len(blocks)))
		}
	}
	if err := r.checkAbsent(); err != nil {
		return err
	}
	return r.checkSignatures()
}

// checkAbsent checks that payloads that are not here were purged.
func (r *replaying) checkAbsent() error {
	slices.SortFunc(r.absent, func(a, b RevisionID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range slices.Compact(r.absent) {
		c, err := r.g.Revision(id)
		if errors.Is(err, ErrNotFound) || r.dropped > 0 && errors.Is(err, ErrCorrupt) {
			continue // its block was left out, or one before it, and numbers have moved
		}
		if err != nil {
			return err
		}
		if _, ok := r.g.Purged(&c); !ok {
			r.report(Fault{"payload", "revision " + id.String(), "its value is not here, and no purge took it"})
		}
	}
	return nil
}

// drop reports a block that cannot be applied. Errors that are not the
// block's are returned.
func (r *replaying) drop(b stored, err error) error {
	_, missing := errors.AsType[*MissingError](err)
	if !missing && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrCorrupt) {
		return err
	}
	r.dropped++
	r.report(Fault{"block", fmt.Sprintf("arrival %d", b.lsn), err.Error()})
	return nil
}

// list returns every block in order of arrival, and reports records that are
// no block or payload of one.
func (r *replaying) list() ([]stored, error) {
	var out []stored
	var line loc
	err := r.src.Iterate(prefixRange([]byte{tagBlock}), func(k, v []byte) bool {
		at, main, ok := parseBlockKey(k)
		switch {
		case !ok:
			r.report(Fault{"record", fmt.Sprintf("%x", k), "not the key of a block"})
		case main:
			rec, err := decodeBlockRecord(v)
			if err != nil {
				r.dropped++
				r.report(Fault{"block", fmt.Sprintf("line %d seq %d", at.line, at.seq), err.Error()})
				return true
			}
			line = at
			out = append(out, stored{loc: at, lsn: rec.lsn, size: len(v)})
		case len(out) == 0 || at.line != line.line || at.seq != line.seq:
			r.report(Fault{"payload", fmt.Sprintf("line %d seq %d index %d", at.line, at.seq, at.index), "its block is missing"})
		default:
			out[len(out)-1].apart++
			out[len(out)-1].size += len(v)
		}
		return true
	})
	slices.SortFunc(out, func(a, b stored) int { return cmp.Compare(a.lsn, b.lsn) })
	return out, err
}

// apply replays some blocks as one batch.
func (r *replaying) apply(blocks []stored) error {
	w := r.g.newWorkspace(0, 0)
	for _, b := range blocks {
		rec, p, err := loadBlock(r.src, b.loc.line, b.loc.seq)
		if err != nil {
			return err
		}
		apart, err := r.loadPayloads(b.loc, p)
		if err != nil {
			return err
		}
		if apart != b.apart && len(blocks) == 1 {
			r.report(Fault{"payload", "block " + p.id.String(), fmt.Sprintf("has %d records of payloads, should have %d", b.apart, apart)})
		} else if apart != b.apart {
			return corrupt("payloads") // one by one, to report it once
		}
		w.arrival = rec.arrival
		if err := w.apply(p); err != nil {
			return err
		}
		if a := w.applied[len(w.applied)-1]; len(blocks) == 1 && (a.rec.lam != rec.lam || a.rec.at != rec.at) {
			r.report(Fault{"record", "block " + p.id.String(), "its times do not follow from what comes before"})
		} else if a.rec.lam != rec.lam || a.rec.at != rec.at {
			return corrupt("times") // one by one, to report it once
		}
		if p.sig != nil {
			r.signed[b.loc.line] = max(r.signed[b.loc.line], b.loc.seq+1)
		}
	}
	return r.g.write(w)
}

// loadPayloads reads the payloads that are kept apart, and returns how many
// there are.
func (r *replaying) loadPayloads(at loc, p *parcel) (apart int, err error) {
	stored := make([]kept, len(p.revs))
	for i, rev := range p.revs {
		if rev.Deleted || p.payloads[i] != nil {
			continue
		}
		apart++
		at.index = uint32(i)
		record, err := r.src.Get(payloadKey(at))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return apart, err
		}
		if !r.same && SumOf(record) == rev.Value { // before format 3, it was the payload
			p.payloads[i] = record
			continue
		}
		if bytes.Equal(record, absentRecord) {
			stored[i].record = record
			r.absent = append(r.absent, p.block.Revisions[i])
			continue
		}
		l, err := r.blocks.loadPayload(r.src, at, record, rev.Value, rev.Size, p.block.Revisions[i])
		if err != nil {
			return apart, err
		}
		p.payloads[i], stored[i] = l.value, kept{record, l.depth}
	}
	// What a payload stands on is named by numbers, which are the same if nothing
	// was left out before.
	if r.same && r.dropped == 0 {
		p.kept = stored
	}
	return apart, nil
}

// checkSignatures checks the newest signature of every line, which vouches for
// what stands before it, and that nothing stands behind it.
func (r *replaying) checkSignatures() error {
	for _, l := range r.g.moment.Load().front.lines[1:] {
		next := r.signed[l.num]
		if r.dropped == 0 && next != l.next {
			r.report(Fault{"signature", "chain " + l.chain.String(), fmt.Sprintf("no signature vouches for the blocks from %d on", next)})
		}
		if next == 0 || r.dropped > 0 {
			continue
		}
		_, p, err := loadBlock(r.src, l.num, next-1)
		if err != nil {
			return err
		}
		if !l.node.verifyBlock(p.id, p.sig) {
			r.report(Fault{"signature", "block " + p.id.String(), "it is not of " + l.node.String()})
		}
	}
	return nil
}

// derivedTags are the records that are compared byte for byte. Segments of the
// index of ids depend on how writes were gathered, and are checked apart.
var derivedTags = []byte{tagFork, tagMember, tagHead, tagLine, tagArrival, tagForkLog, tagHistory, tagClock, tagWrote, tagVoid, tagPurge}

func (r *replaying) compareDerived(ctx context.Context, have, want Reader) error {
	for _, tag := range derivedTags {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.compareTag(have, want, tag); err != nil {
			return err
		}
	}
	for _, key := range [][]byte{keyFormat, keyState} {
		a, err1 := have.Get(key)
		b, err2 := want.Get(key)
		if err := errors.Join(err1, err2); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if string(a) == formatPurged && string(b) == formatMark {
			continue // it lacked a value once
		}
		if !bytes.Equal(a, b) {
			r.report(Fault{"state", string(key), fmt.Sprintf("is %x, should be %x", a, b)})
		}
	}
	return nil
}

// compareRest reports records of no known kind.
func (r *replaying) compareRest(have Reader) error {
	known := append([]byte{tagBlock, tagFind, tagMeta}, derivedTags...)
	slices.Sort(known)
	stray := func(k, _ []byte) bool {
		r.report(Fault{"record", fmt.Sprintf("%q", k), "should not be there"})
		return true
	}
	var from []byte
	for _, tag := range known {
		if err := have.Iterate(Range{Start: from, End: []byte{tag}}, stray); err != nil {
			return err
		}
		from = []byte{tag + 1}
	}
	if err := have.Iterate(Range{Start: from}, stray); err != nil {
		return err
	}
	return have.Iterate(prefixRange([]byte{tagMeta}), func(k, v []byte) bool {
		for _, meta := range [][]byte{keyFormat, keyState, keyClean, keyJoin, keyContested, keyWorn} {
			if bytes.Equal(k, meta) {
				return true
			}
		}
		return stray(k, v)
	})
}

// comparePage is how many records are held of one side while the other is read.
const comparePage = 1024

// compareTag merges the records of one tag of both sides.
func (r *replaying) compareTag(have, want Reader, tag byte) error {
	from := []byte{tag}
	for from != nil {
		a, next, err := readPairs(have, from, tag)
		if err != nil {
			return err
		}
		end := next
		if end == nil {
			end = []byte{tag + 1}
		}
		b := map[string][]byte{}
		err = want.Iterate(Range{Start: from, End: end}, func(k, v []byte) bool {
			b[string(k)] = bytes.Clone(v)
			return true
		})
		if err != nil {
			return err
		}
		for _, p := range a {
			should, ok := b[string(p[0])]
			switch {
			case !ok:
				r.report(Fault{"record", nameRecord(p[0]), "should not be there"})
			case !bytes.Equal(should, p[1]):
				r.report(Fault{"record", nameRecord(p[0]), fmt.Sprintf("is %x, should be %x", p[1], should)})
			}
			delete(b, string(p[0]))
		}
		for k := range b {
			r.report(Fault{"record", nameRecord([]byte(k)), "is missing"})
		}
		from = next
	}
	return nil
}

// readPairs reads a page of records of a tag, and where the next one starts.
func readPairs(r Reader, from []byte, tag byte) (page [][2][]byte, next []byte, err error) {
	err = r.Iterate(Range{Start: from, End: []byte{tag + 1}}, func(k, v []byte) bool {
		if len(page) == comparePage {
			next = bytes.Clone(k)
			return false
		}
		page = append(page, [2][]byte{bytes.Clone(k), bytes.Clone(v)})
		return true
	})
	return page, next, err
}

// nameRecord says in words what a key of the store is.
func nameRecord(k []byte) string {
	switch {
	case k[0] == tagHead && len(k) > 5:
		return fmt.Sprintf("heads of %q on fork %d", k[5:], binary.BigEndian.Uint32(k[1:]))
	case k[0] == tagHistory && len(k) > 22:
		at, _ := parseHistoryKey(k)
		return fmt.Sprintf("history of %q on fork %d at line %d seq %d index %d", k[5:len(k)-17], binary.BigEndian.Uint32(k[1:]), at.line, at.seq, at.index)
	}
	return fmt.Sprintf("%c/%x", k[0], k[1:])
}

// checkFind tests that each id is in the index of ids once, or gathered. The
// segments are read in order beside the blocks that they cover.
func (r *replaying) checkFind(s Reader) error {
	m := r.g.moment.Load()
	want := map[[findLen]byte]bool{}
	lsn := uint64(1)
	var bad error
	err := s.Iterate(prefixRange([]byte{tagFind}), func(k, v []byte) bool {
		first := binary.BigEndian.Uint64(k[1:])
		if first != lsn {
			r.report(Fault{"record", nameRecord(k), fmt.Sprintf("starts at arrival %d, should at %d", first, lsn)})
		}
		last := first
		have := map[[findLen]byte]bool{}
		for i := 0; i+findLen <= len(v); i += findLen {
			e := [findLen]byte(v[i:])
			have[e] = true
			last = max(last, readFindRef(first, e[:]).lsn)
		}
		if len(v) != len(have)*findLen {
			r.report(Fault{"record", nameRecord(k), "is torn, or has an id twice"})
		}
		clear(want)
		for lsn = first; lsn <= min(last, m.state.lsn) && bad == nil; lsn++ {
			bad = r.idsOf(s, lsn, first, want)
		}
		for e := range want {
			if !have[e] {
				r.report(Fault{"record", nameRecord(k), fmt.Sprintf("misses the id that starts with %x", e[:6])})
			}
			delete(have, e)
		}
		for e := range have {
			r.report(Fault{"record", nameRecord(k), fmt.Sprintf("has the id that starts with %x, which is none", e[:6])})
		}
		return bad == nil
	})
	return errors.Join(err, bad)
}

// idsOf adds the entries that a block has in a segment.
func (r *replaying) idsOf(s Reader, lsn, first uint64, into map[[findLen]byte]bool) error {
	_, _, p, err := loadArrival(s, lsn)
	if err != nil {
		return err
	}
	g := gathered{}
	g.first = first
	g.addBlock(lsn, p)
	seg := g.segment()
	for i := 0; i < len(seg); i += findLen {
		into[[findLen]byte(seg[i:])] = true
	}
	return nil
}
