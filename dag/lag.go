package dag

import (
	"bytes"
	"slices"
	"time"
)

// Lag is what a node that has only a part of this one's history lacks.
type Lag struct {
	Blocks uint64
	Since  time.Time // arrival here of the first that it lacks; zero if it lacks none
}

// Lag tells what a node lacks that has some pinned blocks and all before them.
// Pins of what is not applied here say nothing. It costs a few reads for each
// pin and for each line of which something is missing, however much that is.
func (g *Graph) Lag(their []Pin) (Lag, error) {
	f := g.moment.Load().front
	have, err := g.pastOfPins(f, their)
	if err != nil {
		return Lag{}, err
	}
	var lag Lag
	var first blockRecord
	for _, l := range f.lines[1:] {
		from := max(have[l.num], l.first)
		if from >= l.next {
			continue
		}
		lag.Blocks += l.next - from
		rec, err := loadBlockRecord(g.store, loc{line: l.num, seq: from})
		if err != nil {
			return Lag{}, err
		}
		if first.lsn == 0 || rec.lsn < first.lsn {
			first = rec
		}
	}
	if lag.Blocks > 0 {
		lag.Since = time.UnixMilli(first.arrival)
	}
	return lag, nil
}

// Newest returns the applied blocks that no other applied block depends on,
// sorted: whoever has them has everything.
func (g *Graph) Newest() []Tip {
	f := g.moment.Load().front
	out := make([]Tip, 0, len(f.tips))
	for id, at := range f.tips {
		out = append(out, Tip{f.chainOf(at.line), at.seq, id})
	}
	slices.SortFunc(out, func(a, b Tip) int { return bytes.Compare(a.Block[:], b.Block[:]) })
	return out
}

// TipOf tells the chain and the seq of a block; false if it is not applied.
func (g *Graph) TipOf(id BlockID) (Tip, bool, error) {
	f := g.moment.Load().front
	at, ok := f.last[id]
	if !ok {
		g.findMu.RLock()
		defer g.findMu.RUnlock()
		var err error
		if at, ok, err = findBlock(g.store, g.gathered, id); err != nil || !ok {
			return Tip{}, false, err
		}
		// What was just found can be newer than the frontier read above.
		f = g.moment.Load().front
	}
	if int(at.line) >= len(f.lines) || at.seq >= f.lines[at.line].next {
		return Tip{}, false, nil // applied, not yet told
	}
	return Tip{f.chainOf(at.line), at.seq, id}, true, nil
}

// BlocksAt counts the applied blocks that stand at a seq of a chain: 0 or 1,
// more if its author wrote several. It reads nothing.
func (g *Graph) BlocksAt(chain ChainID, seq uint64) (n int) {
	for _, l := range g.moment.Load().front.chains[chain] {
		if l.first <= seq && seq < l.next {
			n++
		}
	}
	return n
}

// HaveTip reports whether the block of a tip is applied. It reads nothing if
// no block stands at that place.
func (g *Graph) HaveTip(t Tip) bool {
	_, ok, err := g.findInChain(g.moment.Load().front, t)
	return ok && err == nil
}
