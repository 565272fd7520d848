package dag

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
)

// contested remembers which keys of some forks had more than one head, or an
// open one, each at a cut. Those at another cut are among these and among the
// keys that the fork shows differently there, so that they are found in time
// that grows with what has changed. It is a cache: what it says of a cut stays
// true for ever, and it is computed again if it is lost. A clean stop keeps what
// it says of the default fork.
type contested struct {
	mu    sync.Mutex
	by    map[ForkID]*contestedAt
	saved *contestedAt // what the record says; nil if there is none, or it has not been read
}

// contestedAt is the contested keys of a fork at a cut; it is never changed.
type contestedAt struct {
	cut  Cut
	keys []string // in byte order
}

// contestedForks is how many forks are remembered.
const contestedForks = 1 << 14

// forget is called when the graph is emptied.
func (c *contested) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by, c.saved = nil, nil
}

func (c *contested) get(fork ForkID) *contestedAt {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by[fork]
}

func (c *contested) put(fork ForkID, now *contestedAt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil || len(c.by) >= contestedForks {
		c.by = map[ForkID]*contestedAt{}
	}
	c.by[fork] = now
}

// save adds the record to a batch, if there is something new to keep.
func (c *contested) save(b *Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.by[defaultFork]
	if now == nil || now == c.saved {
		return
	}
	out := binary.AppendUvarint(nil, recordVersion)
	out = binary.AppendUvarint(out, uint64(len(now.cut.tips)))
	for _, id := range now.cut.tips {
		out = append(out, id[:]...)
	}
	for _, key := range now.keys {
		out = append(binary.AppendUvarint(out, uint64(len(key))), key...)
	}
	b.Put(keyContested, out)
	c.saved = now
}

func decodeContested(b []byte) (tips []BlockID, keys []string, err error) {
	r := recordReader{b: b}
	r.open()
	for n := r.num(); n > 0 && !r.bad; n-- {
		tips = append(tips, r.digest())
	}
	for len(r.b) > 0 && !r.bad {
		keys = append(keys, string(r.bytes(r.num())))
	}
	return tips, keys, r.close("contested keys")
}

// Contested returns, in byte order, the keys that have more than one head, or
// an open one, on a fork at a cut: every key in conflict is among them. The
// first question about a fork looks at every key, and those after it at what has
// changed since.
func (g *Graph) Contested(ctx context.Context, fork ForkID, at Cut) ([]string, error) {
	now, err := g.contestedNow(ctx, fork)
	if err != nil || slices.Equal(at.tips, now.cut.tips) {
		return now.keys, err
	}
	gone, err := g.ChangedKeys(ctx, fork, now.cut, fork, at)
	if err != nil {
		return nil, err
	}
	come, err := g.ChangedKeys(ctx, fork, at, fork, now.cut)
	if err != nil {
		return nil, err
	}
	return g.whereContested(ctx, fork, at, joinKeys(now.keys, gone, come))
}

// joinKeys returns the union, in byte order.
func joinKeys(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}

// whereContested returns those of some keys that are contested on a fork at a
// cut.
func (g *Graph) whereContested(ctx context.Context, fork ForkID, at Cut, keys []string) (out []string, err error) {
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e, err := g.EntryAt(fork, key, at)
		if err != nil {
			return nil, err
		}
		if e.Contested() {
			out = append(out, key)
		}
	}
	return out, nil
}

// Contested reports whether the key can be in conflict: it has more than one
// head, or an open one.
func (e *Entry) Contested() bool { return len(e.Heads) > 1 || len(e.Heads) == 1 && e.Heads[0].Open }

// contestedNow brings what is remembered of a fork up to date and returns it.
// Two at once do the same work.
func (g *Graph) contestedNow(ctx context.Context, fork ForkID) (*contestedAt, error) {
	last := g.contested.get(fork)
	if last == nil {
		var err error
		if last, err = g.loadContested(ctx, fork); err != nil {
			return &contestedAt{}, err
		}
	}
	now := &contestedAt{cut: g.Now()}
	if slices.Equal(now.cut.tips, last.cut.tips) {
		now = last
	} else {
		changed, err := g.ChangedKeys(ctx, fork, now.cut, fork, last.cut)
		if err != nil {
			return &contestedAt{}, err
		}
		if now.keys, err = g.whereContested(ctx, fork, now.cut, joinKeys(last.keys, changed)); err != nil {
			return &contestedAt{}, err
		}
	}
	g.contested.put(fork, now)
	return now, nil
}

// loadContested reads the record of the last clean stop; without one it looks
// at every key.
func (g *Graph) loadContested(ctx context.Context, fork ForkID) (*contestedAt, error) {
	if fork == defaultFork {
		b, err := g.store.Get(keyContested)
		if err == nil {
			return g.readContested(b)
		}
		if !errors.Is(err, ErrNotFound) {
			return nil, err
		}
	}
	// A key that is written meanwhile is looked at again, as changed since the cut.
	at := &contestedAt{cut: g.Now()}
	for e, err := range g.Entries(ctx, fork, "", "") {
		if err != nil {
			return nil, err
		}
		if e.Contested() {
			at.keys = append(at.keys, e.Key)
		}
	}
	return at, nil
}

func (g *Graph) readContested(b []byte) (*contestedAt, error) {
	tips, keys, err := decodeContested(b)
	if err != nil {
		return nil, err
	}
	at := &contestedAt{keys: keys}
	if at.cut, err = g.CutOfAll(tips); err != nil {
		return nil, err
	}
	g.contested.mu.Lock()
	g.contested.saved = at
	g.contested.mu.Unlock()
	return at, nil
}
