package dag

// A flow is what one node sends another in one direction: chunks of blocks, in
// an order of causality. The package comment has the bytes. What passed before
// is known to both ends, so most ids need not be sent: both keep the same
// record of it, which ends take and give by the same rules.

// The bounds of what both ends remember of a flow.
const (
	flowRevisions = 1 << 17 // the newest revisions; a node that joins meets most parents among them
	flowKeys      = 8 << 20 // bytes of their keys
	flowPayloads  = 8 << 20 // bytes of the newest payloads, of those that can have a delta
	flowBlocks    = 1 << 16 // the newest blocks
	flowNames     = 1 << 16 // chains, and forks
)

// MaxChunk bounds the sizes of the blocks of a chunk together, as MaxBlock
// bounds that of one, and so the bytes of the chunk.
const MaxChunk = 2 * MaxBlock

// flow is what both ends remember.
type flow struct {
	chains []flowChain
	forks  []ForkID // behind the default one, which is number 0
	blocks window[BlockID]
	revs   window[flowRevision]
	keys   int    // bytes of the keys of revs
	loads  int    // bytes of the payloads of revs
	bare   int    // so many of revs, the oldest, have none
	key    string // of the newest revision
	time   int64  // of the newest block
}

// flowChain is a chain that passed, and where it goes on.
type flowChain struct {
	id   ChainID
	next uint64
	prev BlockID
}

type flowRevision struct {
	id   RevisionID
	key  string
	fork uint32 // its number
	kind uint64
	// payload is what the next revision may come as a delta of; nil if it is short,
	// or remembered no longer.
	payload []byte
	at      loc // in the sender's store
}

// forkUnnamed is the number of forks for which there was no room.
const forkUnnamed = ^uint32(0)

// chain notes a block of the chain with this number, a new one if nothing has
// that number yet.
func (f *flow) chain(number uint64, b *Block, id BlockID) {
	c := flowChain{b.Chain, b.Seq + 1, id}
	switch {
	case number < uint64(len(f.chains)):
		f.chains[number] = c
	case len(f.chains) < flowNames:
		f.chains = append(f.chains, c)
	}
}

// fork notes a fork that was named, and returns its number.
func (f *flow) fork(id ForkID) uint32 {
	if len(f.forks) == flowNames {
		return forkUnnamed
	}
	f.forks = append(f.forks, id)
	return uint32(len(f.forks))
}

// block notes a block and returns the one that is remembered no longer.
func (f *flow) block(id BlockID) (gone BlockID, ok bool) {
	if f.blocks.n == flowBlocks {
		gone, ok = f.blocks.pop(), true
	}
	f.blocks.push(id)
	return gone, ok
}

// revision notes a revision and calls forget for those that are remembered no
// longer.
func (f *flow) revision(r flowRevision, forget func(RevisionID)) {
	for f.revs.n == flowRevisions || f.revs.n > 0 && f.keys+len(r.key) > flowKeys {
		old := f.revs.pop()
		f.keys -= len(old.key)
		f.loads -= len(old.payload)
		f.bare = max(0, f.bare-1)
		forget(old.id)
	}
	f.revs.push(r)
	f.key = r.key
	f.keys += len(r.key)
	for f.loads += len(r.payload); f.loads > flowPayloads; f.bare++ {
		old := f.revs.at(f.bare)
		f.loads -= len(old.payload)
		old.payload = nil
	}
}

// window is a queue that is also read from its end.
type window[T any] struct {
	ring  []T // of a power of two
	first int // place of the oldest
	n     int
}

func (w *window[T]) at(i int) *T { return &w.ring[(w.first+i)&(len(w.ring)-1)] }

// back returns the n-th last item, 1 the last; nil if it is not there.
func (w *window[T]) back(n uint64) *T {
	if n == 0 || n > uint64(w.n) {
		return nil
	}
	return w.at(w.n - int(n))
}

func (w *window[T]) push(v T) {
	if w.n == len(w.ring) {
		ring := make([]T, max(64, 2*len(w.ring)))
		for i := range w.n {
			ring[i] = *w.at(i)
		}
		w.ring, w.first = ring, 0
	}
	w.n++
	*w.at(w.n - 1) = v
}

func (w *window[T]) pop() (v T) {
	v, *w.at(0) = *w.at(0), v
	w.first, w.n = (w.first+1)&(len(w.ring)-1), w.n-1
	return v
}
