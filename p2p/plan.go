package p2p

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// plan says with whom to sync next. It has no clock and no goroutine; its
// methods may be called from any goroutine. Wake receives after every change.
type plan struct {
	wake chan struct{}

	mu      sync.Mutex
	due     map[peer.ID]time.Time // wanted
	running map[peer.ID]bool
	rest    map[peer.ID]rest // after the last run
}

// rest keeps runs with one peer apart: a moment after one that did what it was
// for, later and later after those that did not.
type rest struct {
	until  time.Time
	misses int
}

const (
	maxRuns  = 2                    // sessions opened by this node at a time
	restHit  = 5 * time.Millisecond // a block that gossip only names needs a session of its own
	restMin  = 250 * time.Millisecond
	restMax  = 10 * time.Second
	restLong = 5 * time.Minute // after one that showed that a newer version is needed
	busyWait = 200 * time.Millisecond
)

func newPlan() *plan {
	return &plan{
		wake: make(chan struct{}, 1),
		due:  make(map[peer.ID]time.Time), running: make(map[peer.ID]bool), rest: make(map[peer.ID]rest),
	}
}

func (p *plan) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// want asks for a sync with the peer at a time, or earlier if one was asked.
func (p *plan) want(id peer.ID, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if was, ok := p.due[id]; !ok || at.Before(was) {
		p.due[id] = at
		p.signal()
	}
}

// forget drops what is planned with a peer, and its rest: a new connection
// starts afresh.
func (p *plan) forget(id peer.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.due, id)
	delete(p.rest, id)
}

// start returns a peer whose sync is due and marks it running; else how long
// to wait before asking again, at most limit.
func (p *plan) start(now time.Time, limit time.Duration) (id peer.ID, wait time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.running) >= maxRuns {
		return "", limit, false
	}
	wait = limit
	for candidate, at := range p.due {
		if p.running[candidate] {
			continue
		}
		if r := p.rest[candidate].until; r.After(at) {
			at = r
		}
		if d := at.Sub(now); d < wait {
			id, wait = candidate, d
		}
	}
	if id == "" || wait > 0 {
		return "", wait, false
	}
	delete(p.due, id)
	p.running[id] = true
	return id, 0, true
}

// done ends a run. A hit brought something, or found the peer equal.
func (p *plan) done(id peer.ID, now time.Time, hit bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, id)
	if hit {
		p.rest[id] = rest{until: now.Add(restHit)}
	} else {
		misses := p.rest[id].misses
		p.rest[id] = rest{now.Add(backoff(restMin, restMax, misses, rand.Float64())), misses + 1}
	}
	p.signal()
}

// hold keeps a peer at rest until a time.
func (p *plan) hold(id peer.ID, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rest[id]
	r.until = until
	p.rest[id] = r
}

// backoff is the wait before try number n (0 the first): least doubled n
// times, at most most, times 0.5 to 1.5 by luck in [0, 1).
func backoff(least, most time.Duration, n int, luck float64) time.Duration {
	d := most
	if n < 32 && least<<n < most {
		d = least << n
	}
	return time.Duration(float64(d) * (0.5 + luck))
}

// slots bounds what transfers run: one session for each peer and part, two
// that move blocks. Its methods may be called from any goroutine.
type slots struct {
	mu        sync.Mutex
	freed     chan struct{} // closed when something becomes free
	opening   map[peer.ID]bool
	answering map[peer.ID]bool
	bulk      int
}

const maxBulk = 2

func newSlots() *slots {
	return &slots{freed: make(chan struct{}), opening: make(map[peer.ID]bool), answering: make(map[peer.ID]bool)}
}

func (s *slots) freeLocked() {
	close(s.freed)
	s.freed = make(chan struct{})
}

// open claims the one opened session with a peer, and with bulk also the right
// to move blocks. If it cannot, changed closes when trying again may help.
func (s *slots) open(id peer.ID, bulk bool) (ok bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opening[id] || s.answering[id] || bulk && s.bulk >= maxBulk {
		return false, s.freed
	}
	s.opening[id] = true
	if bulk {
		s.bulk++
	}
	return true, nil
}

// answer claims the one answered session with a peer. When both sides open at
// once, the session of the smaller peer ID stands.
func (s *slots) answer(self, id peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answering[id] || s.opening[id] && self < id {
		return false
	}
	s.answering[id] = true
	return true
}

// claimBulk claims the right to move blocks for a session that has begun.
func (s *slots) claimBulk() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bulk >= maxBulk {
		return false
	}
	s.bulk++
	return true
}

// release gives back what a session has claimed.
func (s *slots) release(id peer.ID, part Part, bulk bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if part == Answer {
		delete(s.answering, id)
	} else {
		delete(s.opening, id)
	}
	if bulk {
		s.bulk--
	}
	s.freeLocked()
}
