package dag

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Logged is a block of a log.
type Logged struct {
	Arrival
	// Ops are the indexes of its operations on members, forks, tags and aliases,
	// and of its purges, that have effect, in order.
	Ops []int
}

// opTags are the records of operations that a log has.
var opTags = []byte{tagFork, tagMember, tagPurge}

// ReadOp returns the body of an operation: a GenesisOp, ChainOp, MemberOp,
// ForkOp, MergeOp, DeleteOp, RenameOp, RestoreOp, TagOp, AliasOp or PurgeOp. One of a
// kind or with fields that this version does not know is an error.
func ReadOp(op Op) (any, error) {
	switch op.Kind {
	case OpGenesis:
		return decodeOp[GenesisOp](op)
	case OpChain:
		return decodeOp[ChainOp](op)
	case OpMember:
		return decodeOp[MemberOp](op)
	case OpFork:
		return decodeOp[ForkOp](op)
	case OpMerge:
		return decodeOp[MergeOp](op)
	case OpDelete:
		return decodeOp[DeleteOp](op)
	case OpRename:
		return decodeOp[RenameOp](op)
	case OpRestore:
		return decodeOp[RestoreOp](op)
	case OpTag:
		return decodeOp[TagOp](op)
	case OpAlias:
		return decodeOp[AliasOp](op)
	case OpPurge:
		return decodeOp[PurgeOp](op)
	}
	return nil, fmt.Errorf("operation of kind %s: %w", op.Kind, errNewer)
}

// Tips returns the maximal blocks of the contribution's cut; none stands for
// the causal past of the block that carries it.
func (c *Contribution) Tips() []BlockID { return blocksOf(c.Cut) }

// Tips returns the maximal blocks of what the tag names.
func (o *TagOp) Tips() []BlockID { return blocksOf(o.Cut) }

func blocksOf(links []link) []BlockID {
	out := make([]BlockID, len(links))
	for i, id := range links {
		out[i] = BlockID(id)
	}
	return out
}

// Sources returns the forks of which something may be visible on a fork: the
// fork itself first, then in order of their numbers here.
func (g *Graph) Sources(fork ForkID) []ForkID {
	t := g.moment.Load().forks
	f := t.id(fork)
	if f == nil {
		return nil
	}
	out := []ForkID{fork}
	for _, num := range slices.Sorted(maps.Keys(t.spanOf(f.num, everything, true))) {
		if num != f.num {
			out = append(out, t.num(num).id)
		}
	}
	return out
}

// ForkIDs returns every fork, also deleted ones and those of batches, in the
// order in which they came here.
func (g *Graph) ForkIDs() (out []ForkID) {
	for f := range g.moment.Load().forks.each {
		out = append(out, f.id)
	}
	return out
}

// Within reports whether everything in the cut is in another one too.
func (c Cut) Within(d Cut) bool { return c.clock.within(d.clock) }

// Log yields the blocks that wrote on one of some forks, or have an operation
// on one as its creation, a merge into it, its renaming or restoring; with
// operations, also every other block with an operation that has effect. The
// newest arrival comes first, starting below an arrival number; 0 starts at the
// newest.
func (g *Graph) Log(ctx context.Context, forks []ForkID, operations bool, below uint64) iter.Seq2[Logged, error] {
	return func(yield func(Logged, error) bool) {
		m, err := g.newLogMerge(forks, operations, below)
		for err == nil {
			var lsn uint64
			if lsn, err = m.next(); err != nil || lsn == 0 {
				break
			}
			if err = ctx.Err(); err != nil {
				break
			}
			var l Logged
			if l, err = g.logged(lsn); err == nil && !yield(l, nil) {
				return
			}
		}
		if err != nil {
			yield(Logged{}, err)
		}
	}
}

// Logged returns an applied block with which of its operations have effect.
func (g *Graph) Logged(id BlockID) (Logged, error) {
	a, err := g.Block(id)
	if err != nil {
		return Logged{}, err
	}
	return g.logged(a.LSN)
}

func (g *Graph) logged(lsn uint64) (l Logged, err error) {
	if l.Arrival, err = g.arrival(lsn); err != nil || len(l.Block.Ops) == 0 {
		return l, err
	}
	for _, tag := range opTags {
		err := g.store.Iterate(prefixRange(lsnKey(tag, lsn)), func(k, _ []byte) bool {
			l.Ops = append(l.Ops, int(binary.BigEndian.Uint32(k[9:])))
			return true
		})
		if err != nil {
			return l, err
		}
	}
	slices.Sort(l.Ops)
	return l, nil
}

// logMerge joins lists of arrival numbers, the highest first.
type logMerge struct {
	r     Reader
	lists []*arrivals
}

// arrivals is a list of arrival numbers in keys: a prefix, and then the number.
type arrivals struct {
	prefix []byte
	below  uint64 // where the next page ends; 0 for the end of the list
	page   []uint64
	more   bool
}

func (g *Graph) newLogMerge(forks []ForkID, operations bool, below uint64) (*logMerge, error) {
	m := &logMerge{r: g.store}
	t := g.moment.Load().forks
	for _, id := range forks {
		f := t.id(id)
		if f == nil {
			return nil, fmt.Errorf("fork %s: %w", id, ErrNotFound)
		}
		m.lists = append(m.lists, &arrivals{prefix: numKey(tagForkLog, f.num), below: below, more: true})
	}
	if operations {
		for _, tag := range opTags {
			m.lists = append(m.lists, &arrivals{prefix: []byte{tag}, below: below, more: true})
		}
	}
	return m, nil
}

// next returns the highest number that is left, 0 if there is none.
func (m *logMerge) next() (lsn uint64, err error) {
	for _, a := range m.lists {
		if len(a.page) == 0 && a.more {
			if err := a.read(m.r); err != nil {
				return 0, err
			}
		}
		if len(a.page) > 0 {
			lsn = max(lsn, a.page[0])
		}
	}
	for _, a := range m.lists {
		if len(a.page) > 0 && a.page[0] == lsn {
			a.page = a.page[1:]
		}
	}
	return lsn, nil
}

// read reads the next page.
func (a *arrivals) read(r Reader) error {
	end := prefixEnd(a.prefix)
	if a.below > 0 {
		end = binary.BigEndian.AppendUint64(slices.Clone(a.prefix), a.below)
	}
	a.page, a.more = nil, false
	var bad error
	err := r.Iterate(Range{Start: a.prefix, End: end, Reverse: true}, func(k, _ []byte) bool {
		if len(k) < len(a.prefix)+8 {
			bad = corrupt("a record of a log does not decode")
			return false
		}
		lsn := binary.BigEndian.Uint64(k[len(a.prefix):])
		switch n := len(a.page); {
		case n > 0 && a.page[n-1] == lsn: // another operation of the block
		case n == historyPage:
			a.more = true
			return false
		default:
			a.page, a.below = append(a.page, lsn), lsn
		}
		return true
	})
	return errors.Join(err, bad)
}

// FirstArrival is the arrival number of the first block in the log of a fork, 0
// if nothing was written on it.
func (g *Graph) FirstArrival(fork ForkID) (first uint64, err error) {
	f := g.moment.Load().forks.id(fork)
	if f == nil {
		return 0, fmt.Errorf("fork %s: %w", fork, ErrNotFound)
	}
	err = g.store.Iterate(prefixRange(numKey(tagForkLog, f.num)), func(k, _ []byte) bool {
		first = binary.BigEndian.Uint64(k[5:])
		return false
	})
	return first, err
}

// SetBy returns the block that set a tag or alias to what it is now; ok is
// false if there is none of that name.
func (g *Graph) SetBy(name string) (a Arrival, ok bool, err error) {
	p, ok := g.moment.Load().forks.pointer(name)
	if !ok {
		return a, false, nil
	}
	rec, err := loadBlockRecord(g.store, p.at)
	if err != nil {
		return a, false, err
	}
	a, err = g.arrival(rec.lsn)
	return a, err == nil, err
}
