package p2p

import "crush/dag"

// Limits of the blocks that wait for their dependencies.
const (
	maxOrphans     = 1024
	maxOrphanBytes = 8 << 20
)

// orphans keeps blocks that came before what they depend on, the oldest given
// up first. It is used by one goroutine.
type orphans struct {
	blocks []block // oldest first
	held   map[dag.BlockID]bool
	bytes  int
}

// block is a bundle whose header has been read.
type block struct {
	dag.Header
	bundle dag.Bundle
}

func newOrphans() *orphans { return &orphans{held: make(map[dag.BlockID]bool)} }

// add keeps a block unless it is held already.
func (o *orphans) add(b block) {
	if o.held[b.ID] || len(b.bundle) > maxOrphanBytes {
		return
	}
	o.blocks, o.held[b.ID] = append(o.blocks, b), true
	o.bytes += len(b.bundle)
	for len(o.blocks) > maxOrphans || o.bytes > maxOrphanBytes {
		o.drop(o.blocks[0])
		o.blocks = o.blocks[1:]
	}
}

func (o *orphans) drop(b block) {
	delete(o.held, b.ID)
	o.bytes -= len(b.bundle)
}

// take removes and returns, in causal order, the blocks whose dependencies are
// all here or among those returned, and forgets those that are here.
func (o *orphans) take(have func(dag.BlockID) bool) []block {
	ready, rest := connect(o.blocks, have)
	kept := o.blocks[:0:0]
	for _, b := range rest {
		if !have(b.ID) {
			kept = append(kept, b)
		}
	}
	o.blocks, o.bytes = kept, 0
	clear(o.held)
	for _, b := range kept {
		o.held[b.ID] = true
		o.bytes += len(b.bundle)
	}
	return ready
}

// connect splits blocks into those that can be applied, in causal order, and
// those that cannot yet. What is here already is in neither.
func connect(blocks []block, have func(dag.BlockID) bool) (ready, rest []block) {
	known := make(map[dag.BlockID]bool) // answers of have, and what is ready
	here := func(id dag.BlockID) bool {
		yes, asked := known[id]
		if !asked {
			yes = have(id)
			known[id] = yes
		}
		return yes
	}
	for progress := true; progress; blocks, rest = rest, nil {
		progress = false
		for _, b := range blocks {
			switch {
			case here(b.ID):
			case connects(b, here):
				ready = append(ready, b)
				known[b.ID], progress = true, true
			default:
				rest = append(rest, b)
			}
		}
		if !progress {
			return ready, rest
		}
	}
	return ready, rest
}

func connects(b block, here func(dag.BlockID) bool) bool {
	for _, d := range b.Deps {
		if !here(d) {
			return false
		}
	}
	return b.Prev.IsZero() || here(b.Prev)
}
