package crdt

import (
	"math/big"
	"slices"
)

// total returns what a live setting of a counter reads as: the number, and all
// that was added by those that it has not seen.
func (g *stage) total(setting live) *big.Int {
	e := &g.events[setting.event]
	return g.sum(e.counter.Total, g.unseenBy(setting.event))
}

func (g *stage) sum(start *big.Int, adds []int32) *big.Int {
	total := new(big.Int).Set(start)
	for _, i := range adds {
		total.Add(total, g.events[i].add)
	}
	return total
}

// present returns the additions of the stage.
func (g *stage) present() []int32 {
	return slices.DeleteFunc(slices.Clone(g.adds), func(i int32) bool { return !g.in.has(&g.events[i]) })
}

func (g *stage) unseenBy(event int32) []int32 {
	e := &g.events[event]
	return slices.DeleteFunc(g.present(), func(i int32) bool { return e.sees(&g.events[i]) })
}

// liveAdds returns the additions that nobody who has seen them wrote over.
func (g *stage) liveAdds() []int32 {
	return g.notSeenBy(func(*event) bool { return true })
}

// afterDelete returns the additions that make a value of a deletion: those
// that no deletion has seen, and nobody who wrote anything but a counter. What
// one of two concurrent deletions has seen is gone, as with every kind.
func (g *stage) afterDelete() []int32 {
	adds := g.notSeenBy(func(e *event) bool { return e.class != counterClass })
	return slices.DeleteFunc(adds, func(i int32) bool { return g.events[i].buried })
}

// notSeenBy returns the additions that none of those events has seen that write
// the whole value.
func (g *stage) notSeenBy(which func(*event) bool) []int32 {
	adds := g.present()
	if g.own != nil || len(adds) == 0 {
		return adds
	}
	newest := g.whole(which)
	return slices.DeleteFunc(adds, func(i int32) bool { return g.seenBy(i, newest) })
}

// whole returns the newest of the marks of those events that write the whole
// value.
func (g *stage) whole(which func(*event) bool) []mark {
	i, ok := g.at[Root]
	if !ok {
		return nil
	}
	return g.newest(slices.DeleteFunc(slices.Clone(g.runs[i].marks), func(m mark) bool { return !which(&g.events[m.event]) }))
}
