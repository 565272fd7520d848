package dag

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// Drawn is a block of a graph of forks.
type Drawn struct {
	Logged
	// On are the forks of the graph that it wrote on, or has an operation on.
	On []ForkID
	// Before are the blocks of the graph that it stands on: of each fork in On
	// the newest in its causal past, of each fork that it forks or merges the
	// newest of that cut, in this order, none twice. Blocks that are not among
	// those of the graph because they are too far back are left out.
	Before []BlockID
	// Newest are those forks in On whose newest arrival it is.
	Newest []ForkID
}

// LogGraph returns the newest blocks by which a fork came to show what it
// shows: those of the fork itself, and of the forks that it was made of or that
// were merged into it, up to the cuts. With all it is every fork. They stand in
// order of arrival, the newest first; it is at most limit.
func (g *Graph) LogGraph(ctx context.Context, fork ForkID, all bool, limit int) ([]Drawn, error) {
	m := g.moment.Load()
	f := m.forks.id(fork)
	if f == nil {
		return nil, fmt.Errorf("fork %s: %w", fork, ErrNotFound)
	}
	d := &drawing{g: g, m: m, shown: m.forks.spanOf(f.num, everything, true), tips: map[uint32][]int{}}
	if all {
		for f := range m.forks.each {
			d.shown[f.num] = everything
		}
	}
	if err := d.collect(ctx, limit); err != nil {
		return nil, err
	}
	for i := len(d.blocks) - 1; i >= 0; i-- {
		if err := d.join(i); err != nil {
			return nil, err
		}
	}
	out := make([]Drawn, len(d.blocks))
	for i, b := range d.blocks {
		out[i] = b.Drawn
	}
	return out, nil
}

// drawing is a graph under construction.
type drawing struct {
	g      *Graph
	m      *moment
	shown  span
	blocks []*drawnBlock    // the newest first
	tips   map[uint32][]int // of each fork, the blocks that no later one stands on
}

type drawnBlock struct {
	Drawn
	past past
	nums []uint32         // of On
	up   map[uint32][]int // of Before, by fork in On
}

// collect gathers the blocks.
func (d *drawing) collect(ctx context.Context, limit int) error {
	var forks []ForkID
	for _, num := range slices.Sorted(maps.Keys(d.shown)) {
		forks = append(forks, d.m.forks.num(num).id)
	}
	for l, err := range d.g.Log(ctx, forks, false, 0) {
		if err != nil {
			return err
		}
		if len(d.blocks) == limit {
			return nil
		}
		b := &drawnBlock{Drawn: Drawn{Logged: l}, up: map[uint32][]int{}}
		place, _, err := loadArrivalPlace(d.g.store, l.LSN)
		if err != nil {
			return err
		}
		if b.past, err = d.g.pastOf(place); err != nil {
			return err
		}
		if err := d.touch(b); err != nil {
			return err
		}
		if len(b.On) > 0 {
			d.blocks = append(d.blocks, b)
		}
	}
	return nil
}

// touch finds the forks that a block is a block of.
func (d *drawing) touch(b *drawnBlock) error {
	on := func(id ForkID) {
		f := d.m.forks.id(id)
		if f == nil || slices.Contains(b.nums, f.num) {
			return
		}
		if set, ok := d.shown[f.num]; ok && set.hasBlock(loc{line: b.past.line, seq: b.past.seq}) {
			b.On, b.nums = append(b.On, id), append(b.nums, f.num)
		}
	}
	for _, i := range b.Ops {
		body, err := ReadOp(b.Block.Ops[i])
		if err != nil {
			return err
		}
		switch o := body.(type) {
		case ForkOp:
			on(o.id(b.Block, i))
		case MergeOp:
			on(o.Into)
		case RenameOp:
			on(o.Fork)
		case RestoreOp:
			on(o.Fork)
		}
	}
	for i := range b.Changes {
		on(b.Changes[i].Revision.Fork)
	}
	return d.newestOf(b)
}

// newestOf finds the forks whose newest arrival a block is.
func (d *drawing) newestOf(b *drawnBlock) error {
	for i, num := range b.nums {
		newest := uint64(0)
		err := d.g.store.Iterate(Range{Start: forkLogKey(num, 0), End: prefixEnd(numKey(tagForkLog, num)), Reverse: true}, func(k, _ []byte) bool {
			newest = binary.BigEndian.Uint64(k[5:])
			return false
		})
		if err != nil {
			return err
		}
		if newest == b.LSN {
			b.Newest = append(b.Newest, b.On[i])
		}
	}
	return nil
}

// id is the fork that an operation of a block creates.
func (o *ForkOp) id(b *Block, index int) ForkID {
	if o.Named {
		return NamedFork(o.Name)
	}
	return NewForkID(b.Chain, b.Seq, uint32(index), b.Salt)
}

// join finds what the block i stands on; it is called for the oldest first.
func (d *drawing) join(i int) error {
	b := d.blocks[i]
	own := func(at loc) bool { return b.past.covers(at.line, at.seq) }
	for _, num := range b.nums {
		b.up[num] = d.newest(num, own)
		d.before(b, b.up[num])
		d.tips[num] = append(slices.DeleteFunc(slices.Clone(d.tips[num]), func(t int) bool { return slices.Contains(b.up[num], t) }), i)
	}
	for _, index := range b.Ops {
		body, err := ReadOp(b.Block.Ops[index])
		if err != nil {
			return err
		}
		var from []Contribution
		switch o := body.(type) {
		case ForkOp:
			from = o.From
		case MergeOp:
			from = []Contribution{o.From}
		}
		for k := range from {
			if err := d.contributed(b, i, &from[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// contributed adds what a contribution brings to a block.
func (d *drawing) contributed(b *drawnBlock, self int, c *Contribution) error {
	f := d.m.forks.id(c.Fork)
	if _, ok := d.shown[f.num]; !ok {
		return nil
	}
	in := func(at loc) bool { return b.past.covers(at.line, at.seq) }
	if tips := c.Tips(); len(tips) > 0 {
		cut, err := d.g.CutOfAll(tips)
		if err != nil {
			return err
		}
		in = cut.set().hasBlock
	}
	d.before(b, slices.DeleteFunc(d.newest(f.num, in), func(t int) bool { return t == self }))
	return nil
}

// before adds blocks to those that one stands on.
func (d *drawing) before(b *drawnBlock, on []int) {
	for _, t := range on {
		if id := d.blocks[t].ID; !slices.Contains(b.Before, id) {
			b.Before = append(b.Before, id)
		}
	}
}

// newest returns the maximal blocks of a fork in a closed set, of those that
// were joined, the newest arrival first.
func (d *drawing) newest(num uint32, in func(loc) bool) []int {
	var out []int
	seen := map[int]bool{}
	look := slices.Clone(d.tips[num])
	for len(look) > 0 {
		t := look[len(look)-1]
		look = look[:len(look)-1]
		if seen[t] {
			continue
		}
		seen[t] = true
		if in(d.place(t)) {
			out = append(out, t)
		} else {
			look = append(look, d.blocks[t].up[num]...)
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Clone(out), func(t int) bool {
		at := d.place(t)
		return slices.ContainsFunc(out, func(o int) bool { return o != t && d.blocks[o].past.covers(at.line, at.seq) })
	})
}

func (d *drawing) place(t int) loc {
	return loc{line: d.blocks[t].past.line, seq: d.blocks[t].past.seq}
}
