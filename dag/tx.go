package dag

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Draft is a revision to be written.
type Draft struct {
	Fork    ForkID
	Key     string
	Parents []RevisionID // what the writer had read, the served one first
	Kind    uint64
	Deleted bool
	Payload []byte // not copied; must not change until Commit returns
	Mark    Mark
	Label   string
	Note    *Note // claimed of this revision alone; nil for the commit's; must not change either
}

// Tx is one commit under way: it reads the state that its writes will follow.
// It is valid only during the call that it was passed to.
type Tx struct {
	b       *building
	note    *Note // of its revisions; nil for the block's
	entries map[entryKey]*Entry
	ops     []Op
	revs    []*Revision
	ids     []RevisionID
	loads   [][]byte
	forks   *forkTable
	reader  lineage // see lineage()
	size    int
	// last is what Entry has read last: who writes a key reads it first.
	last struct {
		k     entryKey
		forks *forkTable
		e     *Entry
	}
}

// building is the block under construction.
type building struct {
	node    NodeID
	w       *workspace
	p       *parcel
	line    uint32 // 0 for a new chain
	start   int    // operations that the block has by itself
	size    int
	entries map[entryKey]*Entry // as the block leaves them so far
	forks   *forkTable
	waiters []*waiter // whose revisions are in the block, with where they start
	starts  []int
}

// blockRoom is kept free for the envelope of a block.
const blockRoom = 4 << 10

// newBuilding starts the next block of a line, or the first of a new chain.
func (g *Graph) newBuilding(w *workspace, line uint32, now int64) (*building, error) {
	salt, err := g.newSalt()
	if err != nil {
		return nil, err
	}
	blk := &Block{Version: blockVersion, Time: min(max(now, 0), maxTime), Salt: salt}
	b := &building{node: g.key.ID(), w: w, p: &parcel{block: blk}, line: line, entries: make(map[entryKey]*Entry, len(w.read)), forks: w.forks}
	if line != 0 {
		l := w.front.lines[line]
		blk.Chain, blk.Seq, blk.Prev = l.chain, l.next, l.tip
	} else {
		nonce, err := g.newSalt()
		if err != nil {
			return nil, err
		}
		blk.Chain = NewChainID(g.key.ID(), nonce)
		blk.Ops = []Op{NewOp(ChainOp{Key: g.key.ID(), Nonce: nonce})}
	}
	b.start = len(blk.Ops)
	for id := range w.front.tips {
		if id != blk.Prev {
			blk.Deps = append(blk.Deps, id)
		}
	}
	slices.SortFunc(blk.Deps, func(a, b BlockID) int { return bytes.Compare(a[:], b[:]) })
	b.size = blockRoom + 48*len(blk.Deps)
	return b, nil
}

// fill evaluates waiters until one does not fit, and returns how many it took.
func (b *building) fill(group []*waiter) int {
	for i, wt := range group {
		used := len(b.p.revs)+len(b.p.block.Ops) > b.start
		if used && wt.alone {
			return i
		}
		if wt.after != nil && wt.after.err != nil {
			wt.err = errNotReached
			continue
		}
		tx := b.begin(wt.note)
		if wt.err = wt.run(tx); wt.err != nil {
			continue
		}
		// Operations act before the revisions of their block and have no note of
		// their own: a commit with any has its block for itself.
		fits := b.size+tx.size <= MaxBlock && len(b.p.block.Ops)+len(tx.ops) <= MaxOps
		if !fits || used && (len(tx.ops) > 0 || len(b.p.block.Ops) > b.start) {
			if used {
				return i
			}
			wt.err = fmt.Errorf("%w: an atomic change of %d bytes, limit %d", ErrTooLarge, tx.size, MaxBlock)
			continue
		}
		b.accept(wt, tx)
		if wt.alone && len(b.waiters) > 0 {
			return i + 1
		}
	}
	return len(group)
}

// run calls fn; a panic of it is the caller's bug and must not take the other
// waiters along, so it becomes the error of this one.
func (w *waiter) run(tx *Tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("dag: commit function panics: %v", r)
		}
	}()
	return w.fn(tx)
}

func (b *building) begin(note Note) *Tx {
	tx := &Tx{b: b, entries: map[entryKey]*Entry{}, forks: b.forks}
	var blockNote Note
	if b.p.block.Note != nil {
		blockNote = *b.p.block.Note
	}
	empty := len(b.p.revs)+len(b.p.block.Ops) == b.start
	if empty && !note.IsZero() {
		b.p.block.Note = &note // the first in the block names it; given back in accept
		tx.size = noteSize(&note)
	} else if empty {
		b.p.block.Note = nil
	} else if note != blockNote {
		tx.note = &note
	}
	return tx
}

// accept makes the tx part of the block, if it has put anything.
func (b *building) accept(wt *waiter, tx *Tx) {
	if len(tx.ids)+len(tx.ops) == 0 {
		return
	}
	b.waiters, b.starts = append(b.waiters, wt), append(b.starts, len(b.p.revs))
	b.p.block.Ops = append(b.p.block.Ops, tx.ops...)
	b.p.block.Revisions = append(b.p.block.Revisions, tx.ids...)
	b.p.revs = append(b.p.revs, tx.revs...)
	b.p.payloads = append(b.p.payloads, tx.loads...)
	b.size += tx.size
	b.forks = tx.forks
	maps.Copy(b.entries, tx.entries)
	wt.receipt.Revisions = tx.ids
}

// finish signs the block, unless one that follows in the same batch vouches for
// it, and applies it to the workspace. It returns the line that the block is on.
func (b *building) finish(g *Graph, signs bool) (line uint32, err error) {
	if b.p.id = b.p.block.ID(); signs {
		b.p.sig = g.key.signBlock(b.p.id)
	}
	voids := b.w.state.void
	if err := b.w.apply(b.p); err != nil {
		return 0, fmt.Errorf("apply own block: %w", err)
	}
	if b.w.state.void != voids {
		panic("dag: a block of our own has void parts")
	}
	for _, wt := range b.waiters {
		wt.receipt.Block = b.p.id
	}
	if signs {
		b.announce()
	}
	return b.w.placed[b.p.id].line, nil
}

// announce gives one of the commits the block.
func (b *building) announce() {
	if len(b.waiters) > 0 {
		b.waiters[0].receipt.Bundle = b.bundle()
	}
}

// applied is the block as it was applied; nothing was since.
func (b *building) applied() *applying { return b.w.applied[len(b.w.applied)-1] }

// continues reports whether the next commit follows on one of the block in a
// CommitEach: then its block vouches for this one, in the same batch.
func (b *building) continues(next []*waiter) bool {
	return len(next) > 0 && next[0].after != nil && slices.Contains(b.waiters, next[0].after)
}

// signAgain signs the block that was finished last, without a signature, and
// writes it so.
func (b *building) signAgain(g *Graph) {
	b.p.sig = g.key.signBlock(b.p.id)
	a := b.applied()
	a.rec.bundle = b.p.encode(a.kept)
	b.w.batch.Put(blockKey(a.past.line, a.past.seq), a.rec.encode())
	b.announce()
}

// bundle returns the block as it goes to peers.
func (b *building) bundle() Bundle {
	last := b.applied()
	if slices.ContainsFunc(last.kept, func(k kept) bool { return k.record != nil }) {
		return b.p.encode(nil)
	}
	return last.rec.bundle
}

// Entry returns a key as it stands before the next Put. It must not be
// changed.
func (tx *Tx) Entry(fork ForkID, key string) (*Entry, error) {
	f := tx.forks.id(fork)
	if f == nil {
		return nil, fmt.Errorf("fork %s: %w", fork, ErrNotFound)
	}
	k := entryKey{f.num, key}
	if e, ok := tx.entries[k]; ok {
		return e, nil
	}
	if e, ok := tx.b.entries[k]; ok {
		return e, nil
	}
	if last := &tx.last; last.e != nil && last.k == k && last.forks == tx.forks {
		return last.e, nil
	}
	e, err := tx.lineage().entry(k)
	if err == nil {
		tx.last.k, tx.last.forks, tx.last.e = k, tx.forks, e
	}
	return e, err
}

// lineage reads the state in front of the block, with the operations of the
// commit.
func (tx *Tx) lineage() *lineage {
	if tx.reader.forks != tx.forks {
		tx.reader = tx.b.w.reader
		tx.reader.forks, tx.reader.stored = tx.forks, tx.stored
	}
	return &tx.reader
}

// stored is that of the workspace; a fork of this commit has no records yet.
func (tx *Tx) stored(k entryKey) (*Entry, error) {
	if int(k.fork) > tx.b.w.forks.size() {
		return &Entry{Fork: tx.forks.num(k.fork).id, Key: k.key}, nil
	}
	return tx.b.w.stored(k)
}

// Payload returns the payload of a head that Entry gave. Its hash is checked. One
// that was purged is a *PurgedError.
func (tx *Tx) Payload(h *Head) ([]byte, error) {
	if h.loc == (loc{}) {
		if i := slices.Index(tx.b.p.block.Revisions, h.ID); i >= 0 {
			return tx.b.p.payloads[i], nil
		}
		if i := slices.Index(tx.ids, h.ID); i >= 0 {
			return tx.loads[i], nil
		}
	}
	value, err := tx.b.w.payload(h)
	if errors.Is(err, ErrAbsent) {
		err = tx.b.w.explain(h, err)
	}
	return value, err
}

// Put adds a revision. Its parents must be visible on its fork.
func (tx *Tx) Put(d Draft) error {
	blk := tx.b.p.block
	f := tx.forks.id(d.Fork)
	if f == nil {
		return fmt.Errorf("put %q: fork %s: %w", d.Key, d.Fork, ErrNotFound)
	}
	if f.frozen {
		return fmt.Errorf("put %q: %w", d.Key, f.refusal())
	}
	r := &Revision{
		Key: d.Key, Fork: d.Fork, Parents: slices.Clone(d.Parents), Kind: d.Kind, Deleted: d.Deleted, Mark: d.Mark, Label: d.Label,
		Chain: blk.Chain, Seq: blk.Seq, Index: uint64(len(blk.Revisions) + len(tx.ids)), Salt: blk.Salt, Time: blk.Time, Note: tx.note,
	}
	if d.Note != nil {
		r.Note = d.Note
	}
	payload := d.Payload
	if d.Deleted {
		payload = nil
	} else {
		if payload == nil {
			payload = []byte{}
		}
		r.Value, r.Size = SumOf(payload), int64(len(payload))
	}
	if err := r.check(); err != nil {
		return fmt.Errorf("put %q: %w", d.Key, err)
	}
	e, err := tx.Entry(d.Fork, d.Key)
	if err != nil {
		return fmt.Errorf("put %q: %w", d.Key, err)
	}
	k := entryKey{f.num, d.Key}
	seen, err := tx.seen(k, e, d.Parents)
	if err != nil {
		return fmt.Errorf("put %q: %w", d.Key, err)
	}
	id, size := r.hash()
	next := *e
	next.Heads = make([]Head, 0, len(e.Heads)+1)
	for i, h := range e.Heads {
		if !seen[i] {
			next.Heads = append(next.Heads, h)
		}
	}
	at, _ := slices.BinarySearchFunc(next.Heads, id, byID)
	next.Heads = slices.Insert(next.Heads, at, Head{
		ID: id, Place: r.Place(), Time: r.Time, Kind: r.Kind, Deleted: r.Deleted, Open: r.Mark&MarkOpen != 0,
		Value: r.Value, Size: r.Size,
	})
	next.Count++
	tx.entries[k] = &next
	tx.ids, tx.revs, tx.loads = append(tx.ids, id), append(tx.revs, r), append(tx.loads, payload)
	tx.size += size + len(payload) + linkSize
	return nil
}

func noteSize(n *Note) int {
	if n == nil {
		return 0
	}
	return len(n.Author) + len(n.Message) + len(n.Source) + 32
}

// seen says which heads the parents are; other parents must be older visible
// revisions of the key.
func (tx *Tx) seen(k entryKey, e *Entry, parents []RevisionID) ([]bool, error) {
	seen := make([]bool, len(e.Heads))
	known := map[RevisionID]bool{}
	for _, id := range parents {
		if known[id] {
			return nil, fmt.Errorf("parent %s twice", id.Short())
		}
		if len(parents) > 1 {
			known[id] = true
		}
		if i, ok := slices.BinarySearchFunc(e.Heads, id, byID); ok {
			seen[i] = true
			continue
		}
		ok, err := tx.b.w.visible(tx.lineage(), k, id, everything)
		if err != nil {
			return nil, err
		}
		if !ok && !tx.wrote(k, id) {
			return nil, fmt.Errorf("parent %s: %w on this fork", id.Short(), ErrNotFound)
		}
	}
	return seen, nil
}

// wrote reports whether this block has the revision, on this key.
func (tx *Tx) wrote(k entryKey, id RevisionID) bool {
	is := func(r *Revision) bool { return r.Key == k.key && tx.forks.id(r.Fork).num == k.fork }
	if i := slices.Index(tx.b.p.block.Revisions, id); i >= 0 {
		return is(tx.b.p.revs[i])
	}
	i := slices.Index(tx.ids, id)
	return i >= 0 && is(tx.revs[i])
}

// ErrVoid marks an operation that would be void.
var ErrVoid = errors.New("it would have no effect")

// Op adds an operation. Operations act before the revisions of a commit, so a
// merge or deletion must be added before them. One that would be void is
// ErrVoid.
func (tx *Tx) Op(op Op) error {
	if len(tx.ids) > 0 && (op.Kind == OpMerge || op.Kind == OpDelete) {
		return fmt.Errorf("dag: operation of kind %s after a revision in one commit", op.Kind)
	}
	if err := op.check(); err != nil {
		return err
	}
	// Text that is not UTF-8, above all: every peer would refuse the block.
	if err := checkCanonical(op.Body, maxNesting-opNesting); err != nil {
		return fmt.Errorf("operation of kind %s: %w", op.Kind, err)
	}
	if op.Kind > OpPurge {
		return fmt.Errorf("operation of kind %s: %w: %s", op.Kind, ErrVoid, unknownOp(op.Kind))
	}
	if isForkOp(op.Kind) {
		if err := tx.forkOp(op); err != nil {
			return err
		}
	} else if why := tx.void(op); why != "" {
		return fmt.Errorf("operation of kind %s: %w: %s", op.Kind, ErrVoid, why)
	}
	tx.ops = append(tx.ops, op)
	tx.size += len(op.Body) + 10
	return nil
}

// void says why an operation would be void behind those before it.
func (tx *Tx) void(op Op) string {
	if op.Kind == OpMember {
		m, err := decodeOp[MemberOp](op)
		if err != nil {
			return err.Error()
		}
		if tx.role() != RoleAdmin {
			return "this node is no admin"
		}
		return m.fault()
	}
	if op.Kind == OpPurge {
		p, err := decodeOp[PurgeOp](op)
		if err != nil {
			return err.Error()
		}
		return p.fault()
	}
	return unknownOp(op.Kind)
}

// role is this node's after the operations so far.
func (tx *Tx) role() Role {
	role := tx.b.w.roster.now[tx.b.node].Role
	for _, ops := range [][]Op{tx.b.p.block.Ops, tx.ops} {
		for _, op := range ops {
			if op.Kind != OpMember {
				continue
			}
			if m, err := decodeOp[MemberOp](op); err == nil && m.Node == tx.b.node {
				role = m.Role
			}
		}
	}
	return role
}

// forkOp applies an operation to the forks as the commit sees them.
func (tx *Tx) forkOp(op Op) error {
	w, blk := tx.b.w, tx.b.p.block
	at := &opPlace{
		past: past{w.front.all(), tx.b.line, blk.Seq}, block: blk, lam: uint64(blk.Time),
		index: uint32(len(blk.Ops) + len(tx.ops)),
	}
	for _, l := range w.front.lines[1:] {
		at.lam = max(at.lam, l.lam+1)
	}
	if at.past.line == 0 {
		at.past.line = uint32(len(w.front.lines))
	}
	o := &forkOps{t: tx.forks, locate: w.locate, pastOf: w.pastOf, activity: w.activityOn}
	_, void, err := o.apply(at, op)
	if err != nil {
		return err
	}
	if o.frozen != nil {
		return fmt.Errorf("operation of kind %s: %w", op.Kind, o.frozen.refusal())
	}
	if void != "" {
		return fmt.Errorf("operation of kind %s: %w: %s", op.Kind, ErrVoid, void)
	}
	tx.forks = o.t
	return nil
}

// Fork returns the fork of a name; see Graph.ForkNamed.
func (tx *Tx) Fork(name string) (Fork, bool) { return tx.forks.named(name) }

// ForksLabelled returns the live forks that have a label.
func (tx *Tx) ForksLabelled(name string) []Fork { return tx.forks.listed(name) }

// NameFork returns the fork of a name, and names it into being, without a
// parent, if there is none.
func (tx *Tx) NameFork(name string) (Fork, error) {
	if f, ok := tx.Fork(name); ok {
		return f, nil
	}
	if err := ValidName(name); err != nil {
		return Fork{}, err
	}
	if err := tx.Op(NewOp(ForkOp{Name: name, Named: true, From: []Contribution{}})); err != nil {
		return Fork{}, err
	}
	return tx.forks.describe(tx.forks.id(NamedFork(name))), nil
}

// CreateFork makes a fork of contributions. An empty name is for the fork of a
// batch.
func (tx *Tx) CreateFork(name string, from ...Contribution) (Fork, error) {
	blk := tx.b.p.block
	id := NewForkID(blk.Chain, blk.Seq, uint32(len(blk.Ops)+len(tx.ops)), blk.Salt)
	if err := tx.Op(NewOp(ForkOp{Name: name, From: from})); err != nil {
		return Fork{}, err
	}
	return tx.forks.describe(tx.forks.id(id)), nil
}

// NewContribution is what was visible on a fork at a cut, which is named by its
// maximal blocks; none for all that the writer has.
func NewContribution(fork ForkID, cut []BlockID, filter *Filter) Contribution {
	if filter.IsZero() {
		filter = nil
	}
	return Contribution{Fork: fork, Cut: links(cut), Filter: filter}
}

// NewTag is the operation that names a cut.
func NewTag(name string, cut []BlockID) Op { return NewOp(TagOp{Name: name, Cut: links(cut)}) }
