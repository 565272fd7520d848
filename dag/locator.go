package dag

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
)

// ChainStart is the start of a chain's id. Two chains can share one; then what
// is said of it is said of both.
type ChainStart [8]byte

// BlockStart is the start of a block's id.
type BlockStart [16]byte

// Pin is a block in as few bytes as tell it from others: its chain and seq say
// where to look, the start of its id says whether it is there. A block's id
// stands for all that comes before it, so a pin of an applied block stands for
// its causal past.
type Pin struct {
	Chain ChainStart
	Seq   uint64
	Block BlockStart
}

// Pin returns the pin of the tip's block.
func (t Tip) Pin() Pin { return Pin{ChainStart(t.Chain[:]), t.Seq, BlockStart(t.Block[:])} }

// String describes a pin for people.
func (p Pin) String() string {
	return fmt.Sprintf("%x/%d %x", p.Chain[:4], p.Seq, p.Block[:4])
}

// Compare orders pins by chain, seq and block.
func (p Pin) Compare(q Pin) int {
	return cmp.Or(bytes.Compare(p.Chain[:], q.Chain[:]), cmp.Compare(p.Seq, q.Seq), bytes.Compare(p.Block[:], q.Block[:]))
}

// PinsOf returns the pins of tips, in order, none twice.
func PinsOf(tips []Tip) []Pin {
	out := make([]Pin, len(tips))
	for i, t := range tips {
		out[i] = t.Pin()
	}
	slices.SortFunc(out, Pin.Compare)
	return slices.Compact(out)
}

// Known reports for each pin whether its block is applied here.
func (g *Graph) Known(pins []Pin) ([]bool, error) {
	starts := g.moment.Load().front.starts()
	known := make([]bool, len(pins))
	for i, p := range pins {
		at, err := g.locate(starts, p)
		if err != nil {
			return nil, err
		}
		known[i] = len(at) > 0
	}
	return known, nil
}

// starts finds the lines of a chain by the start of its id.
func (f *frontier) starts() map[ChainStart][]*line {
	out := make(map[ChainStart][]*line, len(f.chains))
	for _, l := range f.lines[1:] {
		start := ChainStart(l.chain[:])
		out[start] = append(out[start], l)
	}
	return out
}

// locate returns the places of the blocks that have the pin: one, but for
// chains that share a start.
func (g *Graph) locate(starts map[ChainStart][]*line, p Pin) (at []loc, err error) {
	for _, l := range starts[p.Chain] {
		if p.Seq < l.first || p.Seq >= l.next {
			continue
		}
		id, err := g.blockAt(l, p.Seq)
		if err != nil {
			return nil, err
		}
		if BlockStart(id[:]) == p.Block {
			at = append(at, loc{line: l.num, seq: p.Seq})
		}
	}
	return at, nil
}

// blockAt returns the id of a block of a line: the tip's is in memory, and that
// of any other is the prev of the next one, which costs no hashing.
func (g *Graph) blockAt(l *line, seq uint64) (BlockID, error) {
	if seq == l.next-1 {
		return l.tip, nil
	}
	rec, err := loadBlockRecord(g.store, loc{line: l.num, seq: seq + 1})
	if err != nil {
		return BlockID{}, err
	}
	_, head, err := splitBundle(rec.bundle)
	if err != nil {
		return BlockID{}, corrupt("block %d of line %d: %s", seq+1, l.num, err)
	}
	return head.Prev, nil
}

// locatorMax bounds the pins of a locator.
const locatorMax = 4096

// Locator returns pins along a chain, by which a node that has another
// continuation of it finds what is common: of each line the tip, and the blocks
// 1, 2, 4, 8 and so on before it, and the one that it goes on from. What is
// common is found to within as many blocks as lie behind it. They are in order,
// none twice; of a chain with very many lines, those of the newest.
func (g *Graph) Locator(chain ChainStart) ([]Pin, error) {
	f := g.moment.Load().front
	var out []Pin
	for _, l := range slices.Backward(f.starts()[chain]) {
		for _, seq := range spaced(l.first, l.next-1) {
			id, err := g.blockAt(l, seq)
			if err != nil {
				return nil, err
			}
			out = append(out, Tip{l.chain, seq, id}.Pin())
		}
		if l.parent > 0 {
			id, err := g.blockAt(f.lines[l.parent], l.first-1)
			if err != nil {
				return nil, err
			}
			out = append(out, Tip{l.chain, l.first - 1, id}.Pin())
		}
		if len(out) > locatorMax {
			out = out[:locatorMax]
			break
		}
	}
	slices.SortFunc(out, Pin.Compare)
	return slices.Compact(out), nil
}

// spaced returns numbers from last down to first, at growing distances.
func spaced(first, last uint64) []uint64 {
	out := []uint64{last}
	for d := uint64(1); last-first >= d; d *= 2 {
		out = append(out, last-d)
	}
	if out[len(out)-1] != first {
		out = append(out, first)
	}
	return out
}
