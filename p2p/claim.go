package p2p

import (
	"slices"
	"sync"

	"crush/dag"
)

// fetches keeps the sessions of a node from fetching the same blocks at once:
// what one fetches the others tell their peers not to send. Its methods, and
// those of its claims, may be called from any goroutine.
type fetches struct {
	mu     sync.Mutex
	claims map[*claim]bool
}

func newFetches() *fetches { return &fetches{claims: make(map[*claim]bool)} }

// claim is what one session fetches: everything up to some pins. The methods
// of a nil claim are those of a session that is alone.
type claim struct {
	of   *fetches
	pins []dag.Pin // sorted; under of.mu
	told []dag.Pin // sorted; what the peer was told not to send
}

func (f *fetches) open() *claim {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := &claim{of: f}
	f.claims[c] = true
	return c
}

func (c *claim) close() {
	if c == nil {
		return
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	delete(c.of.claims, c)
}

// otherLocked returns the furthest pin of a chain that another session fetches.
func (c *claim) otherLocked(chain dag.ChainStart) (furthest dag.Pin, ok bool) {
	for other := range c.of.claims {
		if other == c {
			continue
		}
		for _, p := range chainPins(other.pins, chain) {
			if !ok || p.Seq > furthest.Seq {
				furthest, ok = p, true
			}
		}
	}
	return furthest, ok
}

// coming returns what the peer is to be told not to send. A peer that has told
// what it has, of which lacking is not here, is told in its own pins: those
// that another session is taken to fetch are no further than what it fetches.
func (c *claim) coming(lacking []dag.Pin) []dag.Pin {
	if c == nil {
		return nil
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.told = nil
	for _, p := range lacking {
		if other, ok := c.otherLocked(p.Chain); ok && other.Seq >= p.Seq {
			c.told = append(c.told, p)
		} else if ok {
			c.told = append(c.told, other)
		}
	}
	if len(lacking) == 0 {
		for other := range c.of.claims {
			if other != c {
				c.told = append(c.told, other.pins...)
			}
		}
	}
	slices.SortFunc(c.told, dag.Pin.Compare)
	c.told = slices.Compact(c.told)
	return c.told
}

// take claims what the peer has and this node lacks, but for what others fetch.
// It fails if the peer will send that all the same, because the others have
// claimed it since the peer was told.
func (c *claim) take(lacking []dag.Pin, told bool) bool {
	if c == nil {
		return true
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	var pins []dag.Pin
	for _, p := range lacking {
		other, ok := c.otherLocked(p.Chain)
		excluded := p
		if ok && other.Seq < p.Seq {
			excluded = other
		}
		if ok && told && !slices.Contains(c.told, excluded) {
			return false
		}
		if !ok || other.Seq < p.Seq {
			pins = append(pins, p)
		}
	}
	c.pins = pins
	return true
}

// waits reports whether the peer was told not to send something, so that what
// it sends may not connect yet.
func (c *claim) waits() bool { return c != nil && len(c.told) > 0 }

// alone reports whether no session fetches anything, or may begin to.
func (f *fetches) alone() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.claims) == 0
}
