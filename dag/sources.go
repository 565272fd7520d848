package dag

import (
	"context"
	"iter"
)

// Sourced is a block whose note names a source.
type Sourced struct {
	Source string
	Block  BlockID
	// Fork is the one that the block is about: that which it merges into, makes,
	// or writes on. Zero if it is about none, as a tag.
	Fork ForkID
}

// Sourced yields the blocks whose notes name a source, in the order in which
// they arrived. It reads every block.
func (g *Graph) Sourced(ctx context.Context) iter.Seq2[Sourced, error] {
	return func(yield func(Sourced, error) bool) {
		for lsn := uint64(1); lsn <= g.moment.Load().state.lsn; lsn++ {
			_, _, p, err := loadArrival(g.store, lsn)
			if err == nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				yield(Sourced{}, err)
				return
			}
			if p.block.Note == nil || p.block.Note.Source == "" {
				continue
			}
			if !yield(Sourced{p.block.Note.Source, p.id, about(p)}, nil) {
				return
			}
		}
	}
}

// about returns the fork of a Sourced.
func about(p *parcel) (fork ForkID) {
	for i, op := range p.block.Ops {
		switch op.Kind {
		case OpMerge:
			if o, err := decodeOp[MergeOp](op); err == nil {
				return o.Into
			}
		case OpFork:
			o, err := decodeOp[ForkOp](op)
			switch {
			case err != nil:
			case o.Named:
				return NamedFork(o.Name)
			default:
				return NewForkID(p.block.Chain, p.block.Seq, uint32(i), p.block.Salt)
			}
		}
	}
	if len(p.revs) > 0 {
		return p.revs[0].Fork
	}
	return fork
}
