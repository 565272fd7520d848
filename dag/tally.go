package dag

import (
	"hash/maphash"
	"weak"
)

// The bounds of tallies: sets of places for keys that share a part of their
// hash.
const (
	tallyWays    = 4
	tallySets    = 1 << 8  // at the start
	tallySetsMax = 1 << 15 // 14 MB
)

// tallies remembers keys that were written lately by blocks from elsewhere. To
// apply a revision that has seen the only head of its key, nothing else is
// needed of what the store has of the key; reading that would be more than half
// of the work of a node that catches up. They are used under Graph.writeMu.
type tallies struct {
	seed maphash.Seed
	sets [][tallyWays]tally // a power of two of them
	used int                // places that are not empty
	tick uint32
}

// tally is an entry that has one head and no delete, without what only a head
// that stays needs.
type tally struct {
	hash      uint64 // of fork and key; two that share one are told apart by the head
	id        RevisionID
	loc       loc
	fork      uint32 // that the head was written on
	tick      uint32 // of the last use; 0 if the place is empty
	contribs  int32
	lam       uint64
	ordinal   uint64
	headFirst int64
	count     uint64
	first     int64
}

func newTallies() *tallies {
	return &tallies{seed: maphash.MakeSeed(), sets: make([][tallyWays]tally, tallySets)}
}

// talliesOf returns those of the flows under way, or new ones. They are gone
// when no flow holds them any more. g.writeMu is held.
func (g *Graph) talliesOf(in *Inflow) *tallies {
	if in.tallies == nil {
		if in.tallies = g.tallies.Value(); in.tallies == nil {
			in.tallies = newTallies()
			g.tallies = weak.Make(in.tallies)
		}
	}
	return in.tallies
}

// entry returns what is remembered of a key on a fork: an entry that is bare;
// nil if nothing is. The methods of nil tallies are those of empty ones.
func (t *tallies) entry(k entryKey, fork ForkID) *Entry {
	if t == nil {
		return nil
	}
	y := t.find(maphash.Comparable(t.seed, k))
	if y == nil {
		return nil
	}
	t.touch(y)
	return &Entry{
		Fork: fork, Key: k.key, Count: y.count, SinceDelete: y.count, First: y.first, contribs: int(y.contribs), bare: true,
		Heads: []Head{{ID: y.id, loc: y.loc, fork: y.fork, lam: y.lam, ordinal: y.ordinal, first: y.headFirst}},
	}
}

func (t *tallies) find(hash uint64) *tally {
	set := &t.sets[hash&uint64(len(t.sets)-1)]
	for i := range set {
		if set[i].hash == hash && set[i].tick > 0 {
			return &set[i]
		}
	}
	return nil
}

func (t *tallies) touch(y *tally) {
	t.tick++
	y.tick = max(t.tick, 1)
}

// put remembers a key, in the place of what was used longest ago.
func (t *tallies) put(y tally) {
	if t.used > len(t.sets)*tallyWays/2 && len(t.sets) < tallySetsMax {
		t.grow()
	}
	place := t.find(y.hash)
	if place == nil {
		set := &t.sets[y.hash&uint64(len(t.sets)-1)]
		place = &set[0]
		for i := range set {
			if set[i].tick < place.tick {
				place = &set[i]
			}
		}
		if place.tick == 0 {
			t.used++
		}
	}
	*place = y
	t.touch(place)
}

func (t *tallies) grow() {
	old := t.sets
	t.sets, t.used = make([][tallyWays]tally, 2*len(old)), 0
	for i := range old {
		for _, y := range old[i] {
			if y.tick == 0 {
				continue
			}
			set := &t.sets[y.hash&uint64(len(t.sets)-1)]
			for j := range set {
				if set[j].tick == 0 {
					set[j] = y
					t.used++
					break
				}
			}
		}
	}
}

// keep takes over what a batch that is on disk has changed. Blocks from
// elsewhere come in runs, so what they wrote is remembered; of this node's own,
// only what is remembered already.
func (t *tallies) keep(entries map[entryKey]*Entry, own bool) {
	if t == nil {
		return
	}
	for k, e := range entries {
		hash := maphash.Comparable(t.seed, k)
		fits := len(e.Heads) == 1 && e.lastDelete.lam == 0 && e.SinceDelete == e.Count
		if known := t.find(hash); known != nil && !fits {
			*known = tally{}
			t.used--
		} else if known == nil && own {
			fits = false
		}
		if fits {
			h := &e.Heads[0]
			t.put(tally{hash: hash, id: h.ID, loc: h.loc, fork: h.fork, contribs: int32(e.contribs), lam: h.lam, ordinal: h.ordinal, headFirst: h.first, count: e.Count, first: e.First})
		}
	}
}

// forget empties them.
func (t *tallies) forget() {
	if t != nil {
		t.sets, t.used = make([][tallyWays]tally, tallySets), 0
	}
}
