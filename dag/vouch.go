package dag

import "fmt"

// vouching decides which blocks of one Apply a signature stands behind.
type vouching struct {
	judged  *judged // before the call
	authors map[ChainID]NodeID
	good    map[BlockID]bool // signatures that were checked
}

// vouch drops what is here already and what no signature vouches for, with
// what follows on it, and checks the signatures that the rest depends on: the
// last of each run of a chain. Only a block that is taken vouches, and only for
// blocks of its own chain: the key of one chain must not sign for another, and
// the signature that stands behind a block must be kept with it. Signatures
// that were not needed are dropped, because nobody has checked them.
func (g *Graph) vouch(w *workspace, parcels []*parcel) (fresh []*parcel, unvouched int, err error) {
	v := &vouching{judged: &g.judged, authors: map[ChainID]NodeID{}, good: map[BlockID]bool{}}
	for _, p := range parcels {
		if op, ok := p.block.announces(); ok {
			v.authors[p.block.Chain] = op.Key
		} else if ls := w.front.chains[p.block.Chain]; len(ls) > 0 {
			v.authors[p.block.Chain] = ls[0].node
		}
	}
	if fresh, err = g.unapplied(w, v, parcels); err != nil {
		return nil, 0, err
	}
	all := len(fresh)
	for {
		vouched, err := v.run(fresh)
		if err != nil {
			return nil, 0, err
		}
		kept := keepVouched(fresh, vouched)
		if len(kept) == len(fresh) {
			v.dropUnchecked(fresh)
			return fresh, all - len(kept), nil
		}
		fresh = kept
	}
}

// unapplied returns each block that is not here once, with its signature if
// any copy of it in the call has one.
func (g *Graph) unapplied(w *workspace, v *vouching, parcels []*parcel) ([]*parcel, error) {
	var out []*parcel
	seen := map[BlockID]*parcel{}
	for _, p := range parcels {
		if first := seen[p.id]; first != nil {
			if first.sig == nil {
				first.sig = p.sig
			}
			continue
		}
		seen[p.id] = p
		if _, have, err := g.findInChain(w.front, Tip{p.block.Chain, p.block.Seq, p.id}); err != nil {
			return nil, err
		} else if have {
			continue
		}
		switch _, known := v.authors[p.block.Chain]; {
		case known:
		case p.block.Seq > 0:
			return nil, &MissingError{[]BlockID{p.block.Prev}}
		default:
			return nil, fmt.Errorf("block %s: %w: the first block of chain %s does not announce it", p.id, ErrRefused, p.block.Chain.Short())
		}
		out = append(out, p)
	}
	return out, nil
}

// run returns the blocks that a signature vouches for: their own, or that of a
// later block of their chain.
func (v *vouching) run(parcels []*parcel) (map[BlockID]bool, error) {
	type edge struct {
		block BlockID
		chain ChainID
	}
	later := map[edge]bool{}
	vouched := map[BlockID]bool{}
	for i := len(parcels) - 1; i >= 0; i-- {
		p := parcels[i]
		chain := p.block.Chain
		switch author, known := v.authors[chain]; {
		case later[edge{p.id, chain}]:
			vouched[p.id] = true
		case p.sig == nil || !known:
		case v.good[p.id] || v.judged.good(author, p.id, p.sig) || author.verifyBlock(p.id, p.sig):
			v.good[p.id], vouched[p.id] = true, true
		default:
			return nil, fmt.Errorf("block %s: %w: bad signature", p.id, ErrRefused)
		}
		if vouched[p.id] {
			later[edge{p.block.Prev, chain}] = true
		}
	}
	return vouched, nil
}

// keepVouched leaves out the blocks that are not vouched for and those that
// follow on them.
func keepVouched(parcels []*parcel, vouched map[BlockID]bool) []*parcel {
	var kept []*parcel
	left := map[BlockID]bool{}
	for _, p := range parcels {
		drop := !vouched[p.id] || left[p.block.Prev]
		for _, d := range p.block.Deps {
			drop = drop || left[d]
		}
		if drop {
			left[p.id] = true
			continue
		}
		kept = append(kept, p)
	}
	return kept
}

func (v *vouching) dropUnchecked(parcels []*parcel) {
	for _, p := range parcels {
		if !v.good[p.id] {
			p.sig = nil
		}
	}
}
