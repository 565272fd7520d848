package dag

// Hint is a key's record that was read ahead of a commit, on the caller's own
// goroutine: the one that leads a batch reads for everybody, one after the
// other, and half of what it does would be that. A hint that is out of date is
// not used.
type Hint struct {
	k     entryKey
	entry *Entry
	lsn   uint64 // everything up to here is in the entry
}

// Hint reads a key for a commit that will write it. An error is left to the
// commit to find.
func (g *Graph) Hint(fork ForkID, key string) Hint {
	m := g.moment.Load()
	f := m.forks.id(fork)
	if f == nil {
		return Hint{}
	}
	e, err := readEntry(g.store, f, key, g.chainOf)
	if err != nil {
		return Hint{}
	}
	g.warm(&e)
	return Hint{entryKey{f.num, key}, &e, m.state.lsn}
}

// hintBatches is how many batches back it is known which keys they changed.
const hintBatches = 16

// changedKeys is the keys that a batch changed; it ends with the block lsn.
type changedKeys struct {
	lsn  uint64
	keys map[entryKey]*Entry
}

// remember notes the keys of a batch that is on disk. g.writeMu is held.
func (g *Graph) remember(w *workspace) {
	if len(g.recent) == hintBatches {
		g.recent = append(g.recent[:0], g.recent[1:]...)
	}
	g.recent = append(g.recent, changedKeys{w.state.lsn, w.entries})
}

// fresh reports whether nothing has changed a key since it was read ahead.
// g.writeMu is held.
func (g *Graph) fresh(h *Hint) bool {
	now := g.moment.Load().state.lsn
	if h.entry == nil || h.lsn > now {
		return false
	}
	for i := len(g.recent) - 1; now > h.lsn; i-- {
		if i < 0 {
			return false
		}
		if _, changed := g.recent[i].keys[h.k]; changed {
			return false
		}
		if i == 0 {
			return false // what came before is not known
		}
		now = g.recent[i-1].lsn
	}
	return true
}

// takeHints puts what was read ahead, and still holds, into the workspace.
func (g *Graph) takeHints(w *workspace, group []*waiter) {
	for _, wt := range group {
		for i := range wt.hints {
			h := &wt.hints[i]
			if _, have := w.read[h.k]; !have && g.fresh(h) {
				w.read[h.k] = h.entry
			}
		}
	}
}
