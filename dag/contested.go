package dag

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
)

// contested remembers which keys of the default fork had more than one head,
// or an open one, at a cut. Those of any fork at any cut are among these and
// among the keys that the two show differently, so that they are found in time
// that grows with what has changed. It is a cache: what it says of its cut
// stays true for ever, and it is computed again if it is lost.
type contested struct {
	mu    sync.Mutex
	known bool
	saved bool // the record says the same
	cut   Cut
	keys  []string // in byte order
}

// forget is called when the graph is emptied.
func (c *contested) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.cut, c.keys = false, Cut{}, nil
}

// save adds the record to a batch, if there is something new to keep.
func (c *contested) save(b *Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known || c.saved {
		return
	}
	out := binary.AppendUvarint(nil, recordVersion)
	out = binary.AppendUvarint(out, uint64(len(c.cut.tips)))
	for _, id := range c.cut.tips {
		out = append(out, id[:]...)
	}
	for _, key := range c.keys {
		out = append(binary.AppendUvarint(out, uint64(len(key))), key...)
	}
	b.Put(keyContested, out)
	c.saved = true
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
// an open one, on a fork at a cut: every key in conflict is among them. Its
// cost grows with what has changed since it was last asked, and with how much
// the fork at the cut and the default fork differ.
func (g *Graph) Contested(ctx context.Context, fork ForkID, at Cut) ([]string, error) {
	cut, keys, err := g.contestedNow(ctx)
	if err != nil {
		return nil, err
	}
	here, err := g.ChangedKeys(ctx, fork, at, defaultFork, cut)
	if err != nil {
		return nil, err
	}
	there, err := g.ChangedKeys(ctx, defaultFork, cut, fork, at)
	if err != nil {
		return nil, err
	}
	return g.whereContested(ctx, joinKeys(keys, here, there), func(key string) (Entry, error) { return g.EntryAt(fork, key, at) })
}

// joinKeys returns the union, in byte order.
func joinKeys(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}

// whereContested returns those of some keys that are contested.
func (g *Graph) whereContested(ctx context.Context, keys []string, read func(key string) (Entry, error)) (out []string, err error) {
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e, err := read(key)
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

// contestedNow brings what is remembered up to date and returns it.
func (g *Graph) contestedNow(ctx context.Context) (Cut, []string, error) {
	c := &g.contested
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		if err := g.loadContested(ctx); err != nil {
			return Cut{}, nil, err
		}
	}
	now := g.Now()
	if slices.Equal(now.tips, c.cut.tips) {
		return c.cut, c.keys, nil
	}
	changed, err := g.ChangedKeys(ctx, defaultFork, now, defaultFork, c.cut)
	if err != nil {
		return Cut{}, nil, err
	}
	keys, err := g.whereContested(ctx, joinKeys(c.keys, changed), func(key string) (Entry, error) { return g.EntryAt(defaultFork, key, now) })
	if err != nil {
		return Cut{}, nil, err
	}
	c.cut, c.keys, c.saved = now, keys, false
	return c.cut, c.keys, nil
}

// loadContested reads the record of the last clean stop; without one it looks
// at every key. c.mu is held.
func (g *Graph) loadContested(ctx context.Context) error {
	c := &g.contested
	b, err := g.store.Get(keyContested)
	if err == nil {
		tips, keys, err := decodeContested(b)
		if err != nil {
			return err
		}
		cut, err := g.CutOfAll(tips)
		if err == nil {
			c.known, c.saved, c.cut, c.keys = true, true, cut, keys
		}
		return err
	}
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	// A key that is written meanwhile is looked at again, as changed since the cut.
	cut, keys := g.Now(), []string(nil)
	for e, err := range g.Entries(ctx, defaultFork, "", "") {
		if err != nil {
			return err
		}
		if e.Contested() {
			keys = append(keys, e.Key)
		}
	}
	c.known, c.saved, c.cut, c.keys = true, false, cut, keys
	return nil
}
