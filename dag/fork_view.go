package dag

import (
	"slices"
	"sync"
)

// view is what a fork shows of other forks within a set, as far as keys are
// concerned that pass the same of the filters that were asked: for each fork,
// at which cut. What is visible of a key on a fork is what was written of it
// there, and on the forks of the view at their cuts. It is never changed.
type view struct {
	fork  *forkState
	set   before
	shown []shown // those that contribute directly first
	at    map[uint32]int
	asked map[*Filter]bool
}

// shown is a fork of which another shows what stands within a cut.
type shown struct {
	fork uint32
	cut  bound
}

// cut returns the cut at which a fork is shown.
func (v *view) cut(fork uint32) (cut bound, ok bool) {
	i, ok := v.at[fork]
	if !ok {
		return cut, false
	}
	return v.shown[i].cut, true
}

// among returns what is shown of some forks, which are in order, and of the
// default one.
func (v *view) among(forks []uint32) (out []shown) {
	if len(v.shown) <= len(forks)+1 {
		for _, s := range v.shown {
			if _, ok := slices.BinarySearch(forks, s.fork); ok || s.fork == 1 {
				out = append(out, s)
			}
		}
		return out
	}
	var at []int
	for _, num := range append([]uint32{1}, forks...) {
		if i, ok := v.at[num]; ok {
			at = append(at, i)
		}
	}
	slices.Sort(at)
	for _, i := range at {
		out = append(out, v.shown[i])
	}
	return out
}

// holds reports whether the view is that of a key.
func (v *view) holds(key string) bool {
	for f, passed := range v.asked {
		if f.Pass(key) != passed {
			return false
		}
	}
	return true
}

// search follows contributions from fork to fork. A cut that adds nothing to
// what was found of its fork is not followed, and forks are followed in the
// order in which they were found: each is looked at once for every number of
// forks on a way to it at most, however the ways cross.
type search struct {
	forks  *forkTable
	starts map[uint32]bool // their own part is everything that they ever show of themselves
	pass   func(*Filter) bool
	shown  []shown
	at     map[uint32]int // places of forks in shown
	queue  []int          // places in shown to be followed
	queued map[int]bool

	target uint32 // 0 for none; the search ends when enough is found of it
	enough func(cut bound) bool
	done   bool
}

func (t *forkTable) newSearch(pass func(*Filter) bool, starts ...uint32) *search {
	s := &search{forks: t, starts: map[uint32]bool{}, pass: pass, at: map[uint32]int{}, queued: map[int]bool{}}
	for _, num := range starts {
		s.starts[num] = true
	}
	return s
}

// run follows the chosen contributions of a fork to the end.
func (s *search) run(f *forkState, c choice) {
	s.follow(f, c)
	for len(s.queue) > 0 && !s.done {
		i := s.queue[0]
		s.queue = s.queue[1:]
		delete(s.queued, i)
		s.follow(s.forks.num(s.shown[i].fork), allIn(s.shown[i].cut.set()))
	}
}

// follow takes the chosen contributions of a fork, those of the target first.
func (s *search) follow(f *forkState, c choice) {
	if fs, ok := f.from.get(s.target); ok {
		s.take(s.target, fs, c)
	}
	f.from.each(func(num uint32, fs supplies) bool {
		if !s.done {
			s.take(num, fs, c)
		}
		return !s.done
	})
}

func (s *search) take(num uint32, fs supplies, c choice) {
	if s.starts[num] {
		return
	}
	fs.each(func(f *supply) bool {
		cut, ok := f.chosen(c)
		i, seen := s.at[num]
		if !ok || seen && cut.within(s.shown[i].cut) || f.filter != nil && !s.pass(f.filter) {
			return true
		}
		if !seen {
			i, s.shown = len(s.shown), append(s.shown, shown{fork: num})
			s.at[num] = i
		}
		cut = cut.join(s.shown[i].cut)
		s.shown[i].cut = cut
		if !s.queued[i] {
			s.queue, s.queued[i] = append(s.queue, i), true
		}
		s.done = num == s.target && s.enough(cut)
		return !s.done
	})
}

// viewOf computes what is visible of a key on a fork within a set.
func (t *forkTable) viewOf(f *forkState, set before, key string) *view {
	v := &view{fork: f, set: set, asked: map[*Filter]bool{}}
	s := t.newSearch(v.ask(key), f.num)
	s.run(f, allIn(set))
	v.shown, v.at = s.shown, s.at
	return v
}

// ask tells whether a filter passes a key, and remembers it.
func (v *view) ask(key string) func(*Filter) bool {
	return func(f *Filter) bool {
		passed, known := v.asked[f]
		if !known {
			passed = f.Pass(key)
			v.asked[f] = passed
		}
		return passed
	}
}

// shows reports whether the chosen contributions of a fork show enough of
// another, as far as a key is concerned.
func (t *forkTable) shows(f *forkState, c choice, key string, of uint32, enough func(bound) bool) bool {
	pass := func(f *Filter) bool { return f == nil || f.Pass(key) }
	direct := false
	if fs, ok := f.from.get(of); ok {
		fs.each(func(f *supply) bool {
			cut, ok := f.chosen(c)
			direct = ok && pass(f.filter) && enough(cut)
			return !direct
		})
	}
	if direct || f.count == 0 {
		return direct
	}
	s := t.newSearch(pass, f.num)
	s.target, s.enough = of, enough
	s.run(f, c)
	return s.done
}

// viewCache keeps views, as long as no contribution is added to the forks that
// they were made of. It is safe for concurrent use.
type viewCache struct {
	mu   sync.Mutex
	by   map[*forkState][]*view
	size int
}

const (
	viewsMax    = 1 << 16 // forks in all views of a cache
	viewsOfFork = 4
	viewFilters = 16 // a view that asked more filters is not kept: few keys would have it
)

func (c *viewCache) find(f *forkState, key string) *view {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range c.by[f] {
		if v.holds(key) {
			return v
		}
	}
	return nil
}

func (c *viewCache) keep(v *view) {
	if len(v.asked) > viewFilters {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size += len(v.shown) + 1; c.size > viewsMax || c.by == nil {
		c.by, c.size = map[*forkState][]*view{}, len(v.shown)+1
	}
	old := c.by[v.fork]
	if len(old) == viewsOfFork {
		old = old[1:]
	}
	c.by[v.fork] = append(old[:len(old):len(old)], v)
}

// sources is viewOf, computed once for a table and for a cut.
func (t *forkTable) sources(fork uint32, set before, key string) *view {
	f := t.num(fork)
	cache := set.views
	if set.all {
		cache = t.views
	}
	if cache == nil || f.count == 0 {
		return t.viewOf(f, set, key)
	}
	v := cache.find(f, key)
	if v == nil {
		v = t.viewOf(f, set, key)
		cache.keep(v)
	}
	return v
}
