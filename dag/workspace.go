package dag

import (
	"fmt"
	"slices"
)

// workspace is one batch being made: the state as it will be once the batch is
// on disk. It is used by the holder of Graph.writeMu only, and thrown away
// when the batch fails.
type workspace struct {
	store   Store
	front   *frontier
	forks   *forkTable
	roster  *roster
	purges  *purges
	purged  []*purgeEvent // of this batch
	state   stateRecord
	cluster ClusterID
	batch   Batch
	entries map[entryKey]*Entry // as the batch leaves them so far
	read    map[entryKey]*Entry // as the store has them
	wrote   map[string][]uint32 // forks that wrote a key, where the batch adds one
	reader  lineage             // see lineage()
	pending map[entryKey][]pendingRevision
	blocks  map[loc]*applying // of this batch, by line and seq
	placed  map[BlockID]loc   // the same, by id
	applied []*applying       // the same, in order
	arrival int64
	tallies *tallies    // nil: entries are read whole
	earlier *gathered   // ids of earlier batches that are in no segment
	decoded *blockCache // of the store
}

// entryKey names a key on a fork.
type entryKey struct {
	fork uint32
	key  string
}

// pendingRevision is a history record that the batch will write.
type pendingRevision struct {
	loc loc
	rec historyRecord
}

// newWorkspace starts a batch that will change about so many keys; arrival is the
// local clock in unix milliseconds. g.writeMu is held.
func (g *Graph) newWorkspace(arrival int64, keys int) *workspace {
	m := g.moment.Load()
	w := &workspace{
		store: g.store, front: m.front.clone(), forks: m.forks, roster: m.roster, purges: m.purges, state: m.state, cluster: m.cluster,
		entries: make(map[entryKey]*Entry, keys), read: make(map[entryKey]*Entry, keys),
		pending: make(map[entryKey][]pendingRevision, keys),
		blocks:  map[loc]*applying{}, placed: map[BlockID]loc{}, wrote: map[string][]uint32{},
		arrival: max(arrival, 0), earlier: g.gathered, batch: g.spare, decoded: &g.blocks,
	}
	g.spare = Batch{}
	w.reader = lineage{
		histories: histories{w.store, w.pending, w.pastOf, w.blocks, w.front.chainOf},
		stored:    w.stored, wrote: w.wroteOn, headAt: w.headAt,
	}
	return w
}

// MissingError lists blocks that a block depends on and that are not here.
type MissingError struct{ Blocks []BlockID }

func (e *MissingError) Error() string {
	return fmt.Sprintf("%d blocks that come before are not here, the first is %s", len(e.Blocks), e.Blocks[0])
}

// applying is one block on its way into the workspace.
type applying struct {
	p    *parcel
	past past
	rec  blockRecord
	kept []kept // how its payloads are stored
	// touched is the activity of the block on forks, by number; see activityOf.
	touched map[uint32]uint64
}

// apply adds a block to the workspace. Its revisions' ids are computed, its
// prev and deps must be here. A MissingError or ErrRefused leaves the
// workspace unusable.
func (w *workspace) apply(p *parcel) error {
	l, err := w.place(p)
	if err != nil {
		return err
	}
	a, err := w.causalPast(p, l)
	if err != nil {
		return err
	}
	if err := w.checkAuthor(a, l); err != nil {
		return err
	}
	w.state.lsn++
	w.state.trail = w.state.trail.next(p.id)
	a.rec.lsn, a.rec.arrival = w.state.lsn, w.arrival
	a.rec.at = max(a.rec.at, min(p.block.Time, w.arrival))
	a.rec.lam = max(a.rec.lam, uint64(p.block.Time))
	l = w.front.advance(l, p.id, p.block.Deps, p.block.Prev)
	l.lam, l.at = a.rec.lam, a.rec.at
	w.writeClock(l, a)
	at := loc{line: l.num, seq: a.past.seq}
	w.blocks[at], w.placed[p.id] = a, at
	w.applied = append(w.applied, a)
	for i, op := range p.block.Ops {
		if err := w.applyOp(a, uint32(i), op); err != nil {
			return err
		}
	}
	if a.kept = p.kept; a.kept == nil {
		a.kept = make([]kept, len(p.revs))
	}
	for i := range p.revs {
		if err := w.applyRevision(a, i); err != nil {
			return err
		}
	}
	w.revive(a)
	w.writeBlock(a)
	return nil
}

// place finds or makes the line that a block continues.
func (w *workspace) place(p *parcel) (*line, error) {
	b := p.block
	if b.Seq == 0 {
		return w.placeFirst(p)
	}
	at, ok, err := w.locate(b.Prev)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, &MissingError{[]BlockID{b.Prev}}
	}
	prev, err := w.front.line(at.line)
	if err != nil {
		return nil, err
	}
	if prev.chain != b.Chain || at.seq+1 != b.Seq {
		return nil, fmt.Errorf("block %s: %w: seq %d of chain %s after seq %d of chain %s", p.id, ErrRefused, b.Seq, b.Chain.Short(), at.seq, prev.chain.Short())
	}
	if at.seq+1 == prev.next {
		return prev, nil
	}
	// A second block at this seq: the suffix is a line of its own.
	return w.newLine(lineRecord{chain: b.Chain, node: prev.node, first: b.Seq, parent: prev.num}), nil
}

func (w *workspace) placeFirst(p *parcel) (*line, error) {
	op, ok := p.block.announces()
	if !ok {
		return nil, fmt.Errorf("block %s: %w: the first block of chain %s does not announce it", p.id, ErrRefused, p.block.Chain.Short())
	}
	genesis := len(p.block.Deps) == 0
	switch {
	case genesis && !w.cluster.IsZero() && w.cluster != ClusterID(p.id) || genesis && w.state.lsn > 0:
		return nil, fmt.Errorf("block %s: %w: it founds another cluster", p.id, ErrRefused)
	case !genesis && w.state.lsn == 0:
		return nil, &MissingError{slices.Clone(p.block.Deps)}
	}
	if genesis {
		w.cluster = ClusterID(p.id)
		w.batch.Put(keyFormat, []byte(formatMark))
		w.batch.Delete(keyJoin)
	}
	return w.newLine(lineRecord{chain: p.block.Chain, node: op.Key}), nil
}

func (w *workspace) newLine(rec lineRecord) *line {
	l := w.front.add(rec)
	w.batch.Put(numKey(tagLine, l.num), rec.encode())
	return l
}

// causalPast joins what comes before the block.
func (w *workspace) causalPast(p *parcel, l *line) (*applying, error) {
	a := &applying{p: p}
	var deps []loc
	var missing []BlockID
	for _, id := range p.block.Deps {
		at, ok, err := w.locate(id)
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, id)
		}
		deps = append(deps, at)
	}
	if missing != nil {
		return nil, &MissingError{missing}
	}
	prev, prevPast := loc{line: l.num}, past{base: clock{}}
	if p.block.Seq > 0 {
		prev.seq = p.block.Seq - 1
		if p.block.Seq == l.first {
			prev.line = l.parent
		}
		var err error
		if prevPast, err = w.pastOf(prev); err != nil {
			return nil, err
		}
		deps = append(deps, prev)
	}
	for _, d := range deps {
		rec, err := w.timesOf(d)
		if err != nil {
			return nil, err
		}
		a.rec.lam, a.rec.at = max(a.rec.lam, rec.lam+1), max(a.rec.at, rec.at)
	}
	base, err := w.baseOf(p, l, prev, prevPast, deps)
	a.past = past{base, l.num, p.block.Seq}
	return a, err
}

// baseOf returns the clock below a block: prev's own if nothing new is joined.
func (w *workspace) baseOf(p *parcel, l *line, prev loc, prevPast past, deps []loc) (clock, error) {
	if len(p.block.Deps) == 0 && prev.line == l.num {
		return prevPast.base, nil
	}
	base := clock{}
	for _, d := range deps {
		dp, err := w.pastOf(d)
		if err != nil {
			return nil, err
		}
		dp.joinInto(base)
	}
	return base, nil
}

// locate finds an applied block by its id.
func (w *workspace) locate(id BlockID) (loc, bool, error) {
	if at, ok := w.placed[id]; ok {
		return at, true, nil
	}
	if at, ok := w.front.last[id]; ok {
		return at, true, nil
	}
	return findBlock(w.store, w.earlier, id)
}

// timesOf returns the lam and at of an applied block.
func (w *workspace) timesOf(at loc) (blockRecord, error) {
	if a, ok := w.blocks[at]; ok {
		return a.rec, nil
	}
	l, err := w.front.line(at.line)
	if err != nil {
		return blockRecord{}, err
	}
	if at.seq == l.next-1 {
		return blockRecord{lam: l.lam, at: l.at}, nil
	}
	return loadBlockRecord(w.store, at)
}

// pastOf returns the causal past of an applied block.
func (w *workspace) pastOf(at loc) (past, error) {
	if a, ok := w.blocks[loc{line: at.line, seq: at.seq}]; ok {
		return a.past, nil
	}
	return w.front.pastOf(w.store, at)
}

// writeClock writes the clock of a block that joins something new.
func (w *workspace) writeClock(l *line, a *applying) {
	before, ok := w.front.lines[l.num], a.past.seq > l.first
	if ok && len(a.p.block.Deps) == 0 {
		return
	}
	rec := clockRecord{clock: a.past.base}
	if ok && before.delta+1 < clockFullEvery {
		rec = clockRecord{clock: a.past.base.since(before.base), delta: before.delta + 1}
	}
	l.base, l.delta = a.past.base, rec.delta
	w.batch.Put(clockKey(l.num, a.past.seq), rec.encode())
}

// writeBlock writes the block itself, the payloads that are kept apart, and its
// arrival.
func (w *workspace) writeBlock(a *applying) {
	at := loc{line: a.past.line, seq: a.past.seq}
	for i := range a.kept {
		switch {
		case a.p.isAbsent(i):
			a.kept[i].record = absentRecord
			w.batch.Put(keyFormat, []byte(formatPurged))
		case a.p.kept == nil && a.kept[i].record == nil && len(a.p.payloads[i]) > inlineMax: // void
			a.kept[i] = w.decoded.codec.keep(a.p.payloads[i])
		}
	}
	putBlock(&w.batch, at, &a.rec, a.p, a.kept)
	w.batch.Put(lsnKey(tagArrival, a.rec.lsn), encodeArrival(at, w.state.trail))
	for fork, what := range a.touched {
		w.batch.Put(forkLogKey(fork, a.rec.lsn), encodeForkLog(at.line, what))
	}
}

// putBlock writes a block and what is known of it, and the payloads that are
// kept apart.
func putBlock(b *Batch, at loc, rec *blockRecord, p *parcel, stored []kept) {
	rec.bundle = p.encode(stored)
	b.Put(blockKey(at.line, at.seq), rec.encode())
	for i, k := range stored {
		if k.record != nil {
			at.index = uint32(i)
			b.Put(payloadKey(at), k.record)
		}
	}
}

// void keeps note of an operation (index from voidOps on) or revision that
// breaks a rule of meaning: it stays in its block and has no effect.
func (w *workspace) void(a *applying, index uint32, why string) {
	w.state.void++
	w.batch.Put(lsnIndexKey(tagVoid, a.rec.lsn, index), []byte(why))
}

// voidOps is added to the index of an operation where revisions have theirs.
const voidOps = 1 << 31

// checkAuthor refuses a block whose author was no writer in its causal past.
func (w *workspace) checkAuthor(a *applying, l *line) error {
	if ClusterID(a.p.id) == w.cluster {
		return nil
	}
	role := w.roster.role(l.node, func(at loc) bool { return a.past.covers(at.line, at.seq) })
	if !role.writes() {
		return fmt.Errorf("block %s: %w: its author %s was no writer of the cluster", a.p.id, ErrRefused, l.node)
	}
	return nil
}

// applyOp applies one operation, or keeps it as void.
func (w *workspace) applyOp(a *applying, index uint32, op Op) error {
	why := ""
	var err error
	switch {
	case isForkOp(op.Kind):
		why, err = w.applyForkOp(a, index, op)
	case op.Kind == OpChain:
		if _, ok := a.p.block.announces(); !ok || index != 0 {
			why = "announces a chain in the wrong place"
		}
	case op.Kind == OpGenesis:
		if ClusterID(a.p.id) != w.cluster {
			why = "genesis after the first block"
		}
	case op.Kind == OpPurge:
		why = w.applyPurge(a, index, op)
	default:
		why = w.applyMember(a, index, op)
	}
	if why != "" {
		w.void(a, voidOps+index, why)
	}
	return err
}

func (w *workspace) applyMember(a *applying, index uint32, op Op) (void string) {
	m, err := decodeOp[MemberOp](op)
	if err != nil {
		return err.Error()
	}
	node := w.front.lines[a.past.line].node
	covered := func(at loc) bool { return a.past.covers(at.line, at.seq) }
	if why := m.fault(); why != "" {
		return why
	}
	if ClusterID(a.p.id) != w.cluster && w.roster.role(node, covered) != RoleAdmin {
		return "its author was no admin"
	}
	at := loc{line: a.past.line, seq: a.past.seq, index: index}
	w.roster = w.roster.with(memberEvent{m, node, a.past, at, order{lam: a.rec.lam, chain: a.p.block.Chain, seq: at.seq, index: index, block: orderID(a.p.id[:])}})
	w.state.ops++
	w.batch.Put(lsnIndexKey(tagMember, a.rec.lsn, index), nil)
	return ""
}
