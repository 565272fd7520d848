package dag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// forkOps applies operations on forks, tags and aliases to a table, as they
// arrive and again when the graph is opened.
type forkOps struct {
	t      *forkTable
	locate func(BlockID) (loc, bool, error)
	pastOf func(loc) (past, error)
	// activity reads what was written on a fork; it is asked when a fork is
	// deleted for the first time.
	activity func(num uint32) (map[uint32]uint64, error)
	// cuts are those that the contributions of an operation name, in order:
	// found as it is applied, and known beforehand if known is set.
	cuts  []bound
	known bool
	// frozen is set to a frozen fork that the operation names.
	frozen *forkState
}

// opPlace is where an operation stands.
type opPlace struct {
	past  past // of its block, itself included
	block *Block
	id    BlockID
	lam   uint64
	index uint32
}

func (p *opPlace) loc() loc { return loc{line: p.past.line, seq: p.past.seq, index: p.index} }

func (p *opPlace) order() order {
	return order{lam: p.lam, chain: p.block.Chain, seq: p.past.seq, index: p.index, block: orderID(p.id[:])}
}

// isForkOp reports whether operations of a kind are applied here: those on forks
// and names, and those that this version does not know.
func isForkOp(k OpKind) bool {
	return k != OpGenesis && k != OpChain && k != OpMember && k != OpPurge
}

// apply applies an operation. It returns the fork that it is activity on, 0 if
// none, and why it is void, "" if it is not. The error is of the store.
func (o *forkOps) apply(at *opPlace, op Op) (fork uint32, void string, err error) {
	switch op.Kind {
	case OpFork:
		return decodeApply(o, at, op, o.create)
	case OpMerge:
		return decodeApply(o, at, op, o.merge)
	case OpDelete:
		return decodeApply(o, at, op, o.remove)
	case OpRename:
		return decodeApply(o, at, op, o.rename)
	case OpRestore:
		return decodeApply(o, at, op, o.restore)
	case OpTag:
		return decodeApply(o, at, op, o.tag)
	case OpAlias:
		return decodeApply(o, at, op, o.alias)
	default:
		return o.freeze(at, op)
	}
}

func decodeApply[T opBody](o *forkOps, at *opPlace, op Op, f func(*opPlace, T) (uint32, string, error)) (uint32, string, error) {
	body, err := decodeOp[T](op)
	switch {
	case errors.Is(err, errNewer) && (op.Kind == OpMerge || op.Kind == OpDelete || op.Kind == OpRename || op.Kind == OpRestore):
		return o.freeze(at, op)
	case err != nil:
		return 0, err.Error(), nil
	}
	return f(at, body)
}

// freeze keeps note of an operation that only a newer version of crush can act
// on: nothing is written here any more on the fork that it names, because what
// this version shows of it may not be what it is.
func (o *forkOps) freeze(at *opPlace, op Op) (uint32, string, error) {
	id, ok := op.named()
	if !ok {
		return 0, unknownOp(op.Kind), nil
	}
	f := o.seen(at, id)
	if f == nil {
		return 0, "unknown fork " + id.String(), nil
	}
	next := *f
	next.frozen = true
	o.t = o.t.set(o.touched(&next, at))
	return f.num, "", nil
}

// seen finds a fork that was created in the operation's past, or earlier in
// its block.
func (o *forkOps) seen(at *opPlace, id ForkID) *forkState {
	f := o.t.in(id, at.past.covers)
	if f != nil && f.frozen {
		o.frozen = f
	}
	return f
}

func (o *forkOps) create(at *opPlace, op ForkOp) (uint32, string, error) {
	if err := ValidName(op.Name); err != nil && op.Name != "" {
		return 0, err.Error(), nil
	}
	id := NewForkID(at.block.Chain, at.block.Seq, at.index, at.block.Salt)
	if op.Named {
		if len(op.From) > 0 || op.Name == "" {
			return 0, "a fork that is named into being has a name and no contributions", nil
		}
		id = NamedFork(op.Name)
	}
	var f *forkState
	if old := o.t.id(id); old != nil {
		if o.seen(at, id) != nil { // naming it again changes nothing, unless it was deleted
			if old.id == defaultFork {
				return 0, "", nil
			}
			if next := o.touched(old, at); next != old {
				o.t = o.t.set(next)
			}
			return old.num, "", nil
		}
		c := *old
		f = &c
		f.made, f.labels = slices.Clone(old.made), slices.Clone(old.labels)
	} else {
		f = &forkState{num: uint32(o.t.size()) + 1, id: id}
	}
	for _, c := range op.From {
		applied, void, err := o.contribution(at, c)
		if void != "" || err != nil {
			return 0, void, err
		}
		applied.creation = true
		if !f.shows(&applied) {
			f.creation = append(f.creation, applied)
		}
		f.contribute(applied)
	}
	f.made = append(f.made, loc{line: at.past.line, seq: at.past.seq})
	f.labels = append(f.labels, forkLabel{op.Name, at.order(), at.loc()})
	o.t = o.t.set(o.touched(f, at))
	return f.num, "", nil
}

// touched notes activity of an operation on a fork that has a deletion.
func (o *forkOps) touched(f *forkState, at *opPlace) *forkState {
	if len(f.deletes) == 0 {
		return f
	}
	return f.touch(at.past.line, activityOf(at.past.seq, false))
}

// contribution resolves a contribution: its fork must be known and its cut in
// the past.
func (o *forkOps) contribution(at *opPlace, c Contribution) (out contribution, void string, err error) {
	f := o.seen(at, c.Fork)
	if f == nil {
		return out, "unknown fork " + c.Fork.String(), nil
	}
	out = contribution{from: f.num, cut: at.past.below(), filter: c.Filter, at: loc{line: at.past.line, seq: at.past.seq}}
	if c.Filter.IsZero() {
		out.filter = nil
	}
	switch {
	case len(c.Cut) == 0:
	case o.known && len(o.cuts) == 0:
		err = corrupt("an operation on forks lacks a cut")
	case o.known:
		out.cut, o.cuts = o.cuts[0], o.cuts[1:]
	default:
		out.cut, void, err = o.cut(at, c.Cut)
		o.cuts = append(o.cuts, out.cut)
	}
	return out, void, err
}

// cut is the union of the pasts of blocks, which must be in the operation's.
func (o *forkOps) cut(at *opPlace, ids []link) (all bound, void string, err error) {
	for _, id := range ids {
		place, ok, err := o.locate(BlockID(id))
		if err != nil {
			return all, "", err
		}
		if !ok || !at.past.covers(place.line, place.seq) || place.line == at.past.line && place.seq == at.past.seq {
			return all, fmt.Sprintf("cut at block %s, which is not in its past", BlockID(id)), nil
		}
		p, err := o.pastOf(place)
		if err != nil {
			return all, "", err
		}
		all = all.join(p.upTo())
	}
	return at.past.less(at.past.lacking(all)), "", nil
}

func (o *forkOps) merge(at *opPlace, op MergeOp) (uint32, string, error) {
	into := o.seen(at, op.Into)
	if into == nil {
		return 0, "unknown fork " + op.Into.String(), nil
	}
	c, void, err := o.contribution(at, op.From)
	switch {
	case void != "" || err != nil:
		return 0, void, err
	case c.from == into.num:
		return 0, "merges a fork into itself", nil
	}
	next := *into
	next.contribute(c)
	o.t = o.t.set(o.touched(&next, at))
	return next.num, "", nil
}

func (o *forkOps) remove(at *opPlace, op DeleteOp) (uint32, string, error) {
	f := o.seen(at, op.Fork)
	switch {
	case f == nil:
		return 0, "unknown fork " + op.Fork.String(), nil
	case f.id == defaultFork:
		return 0, "the default fork cannot be removed", nil
	}
	next := *f
	if len(f.deletes) == 0 {
		var err error
		if next.activity, err = o.activity(f.num); err != nil {
			return 0, "", err
		}
	}
	next.deletes = append(slices.Clip(f.deletes), at.past)
	o.t = o.t.set(&next)
	return 0, "", nil
}

func (o *forkOps) rename(at *opPlace, op RenameOp) (uint32, string, error) {
	f := o.seen(at, op.Fork)
	if f == nil {
		return 0, "unknown fork " + op.Fork.String(), nil
	}
	if err := ValidName(op.Name); err != nil {
		return 0, err.Error(), nil
	}
	if f.id == defaultFork {
		return 0, "the default fork cannot be renamed", nil
	}
	next := *f
	next.labels = []forkLabel{{op.Name, at.order(), at.loc()}}
	for _, l := range f.labels {
		if !at.past.covers(l.at.line, l.at.seq) {
			next.labels = append(next.labels, l)
		}
	}
	o.t = o.t.set(o.touched(&next, at))
	return f.num, "", nil
}

func (o *forkOps) restore(at *opPlace, op RestoreOp) (uint32, string, error) {
	f := o.seen(at, op.Fork)
	if f == nil {
		return 0, "unknown fork " + op.Fork.String(), nil
	}
	o.t = o.t.set(o.touched(f, at))
	return f.num, "", nil
}

func (o *forkOps) tag(at *opPlace, op TagOp) (uint32, string, error) {
	if err := ValidName(op.Name); err != nil {
		return 0, err.Error(), nil
	}
	p := pointer{kind: OpTag, gone: op.Gone, at: at.loc(), order: at.order()}
	for _, id := range op.Cut {
		p.cut = append(p.cut, BlockID(id))
		if o.known {
			continue
		}
		place, ok, err := o.locate(BlockID(id))
		if err != nil {
			return 0, "", err
		}
		if !ok || !at.past.covers(place.line, place.seq) {
			return 0, fmt.Sprintf("tags block %s, which is not in its past", BlockID(id)), nil
		}
	}
	o.t = o.t.point(op.Name, p, at.past.covers)
	return 0, "", nil
}

func (o *forkOps) alias(at *opPlace, op AliasOp) (uint32, string, error) {
	if err := ValidName(op.Name); err != nil {
		return 0, err.Error(), nil
	}
	if !op.Gone && o.seen(at, op.Fork) == nil {
		return 0, "unknown fork " + op.Fork.String(), nil
	}
	p := pointer{kind: OpAlias, fork: op.Fork, gone: op.Gone, at: at.loc(), order: at.order()}
	o.t = o.t.point(op.Name, p, at.past.covers)
	return 0, "", nil
}

// applyForkOp applies an operation to the workspace and keeps note of it.
func (w *workspace) applyForkOp(a *applying, index uint32, op Op) (void string, err error) {
	o := &forkOps{t: w.forks, locate: w.locate, pastOf: w.pastOf, activity: w.activityOn}
	at := &opPlace{past: a.past, block: a.p.block, id: a.p.id, lam: a.rec.lam, index: index}
	fork, void, err := o.apply(at, op)
	if void != "" || err != nil {
		return void, err
	}
	w.forks = o.t
	w.state.ops++
	w.batch.Put(lsnIndexKey(tagFork, a.rec.lsn, index), newForkOpRecord(at, op, o.cuts).encode())
	if fork != 0 {
		a.touch(fork, false)
	}
	return "", nil
}

// touch notes that the block has operations or revisions on a fork.
func (a *applying) touch(fork uint32, revisions bool) {
	if a.touched == nil {
		a.touched = map[uint32]uint64{}
	}
	a.touched[fork] = max(a.touched[fork], activityOf(a.past.seq, revisions))
}

// activityOn reads the activity on a fork: that of the store, and that of the
// batch.
func (w *workspace) activityOn(num uint32) (map[uint32]uint64, error) {
	out, err := readActivity(w.store, num)
	for _, a := range w.applied {
		if what, ok := a.touched[num]; ok {
			out[a.past.line] = max(out[a.past.line], what)
		}
	}
	return out, err
}

func readActivity(r Reader, num uint32) (map[uint32]uint64, error) {
	out := map[uint32]uint64{}
	var bad error
	err := r.Iterate(prefixRange(numKey(tagForkLog, num)), func(_, v []byte) bool {
		rr := recordReader{b: v}
		rr.open()
		line, what := rr.num32(), rr.num()
		bad = rr.close("fork log")
		out[line] = max(out[line], what)
		return bad == nil
	})
	return out, errors.Join(err, bad)
}

// encodeForkLog is the value of a block in the log of a fork.
func encodeForkLog(line uint32, what uint64) []byte {
	b := binary.AppendUvarint(nil, recordVersion)
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(line)), what)
}

// revive notes the activity of the block's revisions on forks that have a
// deletion.
func (w *workspace) revive(a *applying) {
	for num, what := range a.touched {
		if f := w.forks.num(num); len(f.deletes) > 0 {
			if next := f.touch(a.past.line, what); next != f {
				w.forks = w.forks.set(next)
			}
		}
	}
}
