package dag

import (
	"cmp"
	"maps"
	"slices"
)

// Fork is a named line of a key space.
type Fork struct {
	ID   ForkID
	Name string
	num  uint32
}

// forkTable is the forks that are known; it is replaced, never changed.
type forkTable struct {
	byNum  []*Fork // from 1
	byID   map[ForkID]*Fork
	byName map[string]*Fork
	made   map[uint32][]loc // by number, as in forkRecord
}

func newForkTable() *forkTable {
	t := &forkTable{byNum: []*Fork{nil}, byID: map[ForkID]*Fork{}, byName: map[string]*Fork{}, made: map[uint32][]loc{}}
	return t.with(forkRecord{id: defaultFork, name: DefaultForkName})
}

// with returns the table with one more fork.
func (t *forkTable) with(rec forkRecord) *forkTable {
	f := &Fork{ID: rec.id, Name: rec.name, num: uint32(len(t.byNum))}
	next := &forkTable{byNum: append(slices.Clone(t.byNum), f), byID: maps.Clone(t.byID), byName: maps.Clone(t.byName), made: maps.Clone(t.made)}
	next.byID[f.ID] = f
	next.byName[f.Name] = f
	next.made[f.num] = rec.made
	return next
}

// record is what is stored of a fork.
func (t *forkTable) record(f *Fork) forkRecord { return forkRecord{f.ID, f.Name, t.made[f.num]} }

// madeAgain returns the table with one more creation of a fork.
func (t *forkTable) madeAgain(f *Fork, at loc) *forkTable {
	next := *t
	next.made = maps.Clone(t.made)
	next.made[f.num] = append(slices.Clone(t.made[f.num]), at)
	return &next
}

// in returns the fork if it was created in a past; nil if not.
func (t *forkTable) in(id ForkID, p past) *Fork {
	f := t.byID[id]
	if f == nil || f.ID != defaultFork && !slices.ContainsFunc(t.made[f.num], func(at loc) bool { return p.covers(at.line, at.seq) }) {
		return nil
	}
	return f
}

// Forks returns the forks in order of name; the default fork is always there.
func (g *Graph) Forks() []Fork {
	t := g.moment.Load().forks
	out := make([]Fork, 0, len(t.byNum)-1)
	for _, f := range t.byNum[1:] {
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b Fork) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// ForkNamed returns the fork that a name reads from; ok is false if there is
// none.
func (g *Graph) ForkNamed(name string) (f Fork, ok bool) { return g.moment.Load().forks.named(name) }

func (t *forkTable) named(name string) (Fork, bool) {
	f, ok := t.byName[name]
	if !ok {
		return Fork{}, false
	}
	return *f, true
}

// ForkOf returns the fork of an id.
func (g *Graph) ForkOf(id ForkID) (f Fork, ok bool) {
	p, ok := g.moment.Load().forks.byID[id]
	if !ok {
		return Fork{}, false
	}
	return *p, true
}
