package dag

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Fork is a named line of a key space.
type Fork struct {
	ID ForkID
	// Name is what the fork is called: its label, or label~id if another fork
	// has the label. Empty for the fork of a batch.
	Name string
	// Labels are the names that were given to it at once; one, as a rule.
	Labels  []string
	Deleted bool
	// Clash says that another live fork has the same label: writes by the
	// label alone would have to guess.
	Clash bool
	// Frozen says that a newer version of crush has done something to the fork
	// that this one does not understand: it cannot be written here.
	Frozen bool
	num    uint32
}

// Short is the start of the fork's id, as in label~id.
func (id ForkID) Short() string { return id.String()[:shortLen] }

// forkState is everything that operations have said of a fork. It is replaced,
// never changed.
type forkState struct {
	num      uint32
	id       ForkID
	made     []loc // blocks that create it and have not seen one another; none of the default fork
	labels   []forkLabel
	count    int              // of its contributions
	creation []contribution   // those that stand in creations and show something, in order of arrival
	from     numMap[supplies] // all, by the forks that they are of
	deletes  []past           // of the blocks that delete it
	activity map[uint32]uint64
	frozen   bool // see forkOps.freeze
}

// forkLabel is a name that no later renaming has seen.
type forkLabel struct {
	name  string
	order order
	at    loc
}

// forkTable is the forks, tags and aliases that are known; it is replaced,
// never changed, and a new one shares with the old what is the same.
type forkTable struct {
	byNum   numMap[*forkState] // from 1
	byID    textMap[uint32]
	byLabel textMap[labelForks]
	names   textMap[*pointers]
	views   *viewCache // of all that is known
}

// labelForks is the forks of a label.
type labelForks struct {
	ever []uint32 // that had it at some time
	live []uint32 // that have it and are not deleted
}

// pointers is what a tag or alias names: the settings that no later one of the
// name has seen.
type pointers struct{ now []pointer }

type pointer struct {
	kind  OpKind // OpTag or OpAlias
	fork  ForkID
	cut   []BlockID
	gone  bool
	at    loc
	order order
}

func newForkTable() *forkTable {
	t := &forkTable{views: &viewCache{}}
	return t.set(&forkState{num: 1, id: defaultFork, labels: []forkLabel{{name: DefaultForkName}}})
}

// size is how many forks there are; their numbers go from 1 to it.
func (t *forkTable) size() int { return t.byNum.len }

// num returns the fork of a number; nil if there is none.
func (t *forkTable) num(n uint32) *forkState {
	f, _ := t.byNum.get(n)
	return f
}

// id returns the fork of an id; nil if there is none.
func (t *forkTable) id(id ForkID) *forkState {
	n, ok := t.byID.get(string(id[:]))
	if !ok {
		return nil
	}
	return t.num(n)
}

// each yields the forks in the order of their numbers.
func (t *forkTable) each(yield func(*forkState) bool) {
	for n := range uint32(t.size()) {
		if !yield(t.num(n + 1)) {
			return
		}
	}
}

// set returns the table with a new or changed fork.
func (t *forkTable) set(f *forkState) *forkTable {
	next := *t
	old := t.num(f.num)
	next.byNum = t.byNum.with(f.num, f)
	if old == nil {
		next.byID = t.byID.with(string(f.id[:]), f.num)
	} else if old.count != f.count {
		next.views = &viewCache{} // a new fork is in no other's view
	}
	next.relabel(old, f)
	return &next
}

// relabel brings the labels of a fork up to date.
func (t *forkTable) relabel(old, f *forkState) {
	var had, was []string
	if old != nil {
		had = old.labelNames()
		was = old.liveNames()
	}
	has, now := f.labelNames(), f.liveNames()
	for _, name := range was {
		if l, _ := t.byLabel.get(name); !slices.Contains(now, name) {
			l.live = slices.DeleteFunc(slices.Clone(l.live), func(n uint32) bool { return n == f.num })
			t.byLabel = t.byLabel.with(name, l)
		}
	}
	for _, name := range has {
		l, _ := t.byLabel.get(name)
		fresh, alive := !slices.Contains(had, name), slices.Contains(now, name) && !slices.Contains(was, name)
		if fresh && !slices.Contains(l.ever, f.num) {
			l.ever = append(slices.Clip(l.ever), f.num)
		}
		if alive {
			l.live = append(slices.Clip(l.live), f.num)
		}
		if fresh || alive {
			t.byLabel = t.byLabel.with(name, l)
		}
	}
}

// labelNames lists the names that the fork has, each once; none of one without
// a name.
func (f *forkState) labelNames() (names []string) {
	for _, l := range f.labels {
		if l.name != "" && !slices.Contains(names, l.name) {
			names = append(names, l.name)
		}
	}
	return names
}

// liveNames is labelNames, or nothing if the fork is deleted.
func (f *forkState) liveNames() []string {
	if f.deleted() {
		return nil
	}
	return f.labelNames()
}

// in returns the fork if it was created in a past; nil if not.
func (t *forkTable) in(id ForkID, covers func(line uint32, seq uint64) bool) *forkState {
	f := t.id(id)
	if f == nil || f.id != defaultFork && !slices.ContainsFunc(f.made, func(at loc) bool { return covers(at.line, at.seq) }) {
		return nil
	}
	return f
}

// deleted reports whether a deletion exists and every activity is in the past
// of some deletion.
func (f *forkState) deleted() bool {
	if len(f.deletes) == 0 {
		return false
	}
	for line, last := range f.activity {
		if !slices.ContainsFunc(f.deletes, func(p past) bool { return last < activityBound(p, line) }) {
			return false
		}
	}
	return true
}

// Activity on a fork is counted by line as twice the seq, plus one for
// revisions, which stand behind the operations of their block.
func activityOf(seq uint64, revisions bool) uint64 {
	if revisions {
		return 2*seq + 1
	}
	return 2 * seq
}

// activityBound is the first activity of a line that a deletion has not seen.
func activityBound(p past, line uint32) uint64 {
	if line == p.line {
		return 2*p.seq + 1
	}
	return 2 * p.next(line)
}

// touch returns the fork with activity at a place.
func (f *forkState) touch(line uint32, what uint64) *forkState {
	if f.activity[line] >= what && f.activity != nil {
		if _, ok := f.activity[line]; ok {
			return f
		}
	}
	next := *f
	next.activity = maps.Clone(f.activity)
	if next.activity == nil {
		next.activity = map[uint32]uint64{}
	}
	next.activity[line] = what
	return &next
}

// label is the name that the fork got first, of those it has.
func (f *forkState) label() forkLabel {
	if len(f.labels) == 0 {
		return forkLabel{}
	}
	return slices.MinFunc(f.labels, func(a, b forkLabel) int { return cmp.Or(a.order.compare(b.order), cmp.Compare(a.name, b.name)) })
}

// refusal is why a frozen fork cannot be written.
func (f *forkState) refusal() error {
	return fmt.Errorf("fork %q is frozen on this node, because something newer was done to it: %w", f.label().name, ErrLater)
}

// labelled returns the live forks that have a label, the one that reads serve
// first: not revived ones before revived ones, then who got it first.
func (t *forkTable) labelled(name string) []*forkState {
	forks, _ := t.byLabel.get(name)
	if len(forks.live) == 1 { // nearly always, and every read and write asks
		return []*forkState{t.num(forks.live[0])}
	}
	var out []*forkState
	when := map[uint32]uint64{}
	for _, num := range forks.live {
		f := t.num(num)
		for _, l := range f.labels { // two nodes can give the same at once
			if first, ok := when[num]; l.name == name && (!ok || l.order.lam < first) {
				when[num] = l.order.lam
			}
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *forkState) int {
		return cmp.Or(cmp.Compare(len(a.deletes), 0)-cmp.Compare(len(b.deletes), 0), cmp.Compare(when[a.num], when[b.num]), bytes.Compare(a.id[:], b.id[:]))
	})
	return out
}

// describe says what people are told of a fork.
func (t *forkTable) describe(f *forkState) Fork {
	out := Fork{ID: f.id, Name: f.label().name, Deleted: f.deleted(), Frozen: f.frozen, num: f.num}
	for _, l := range f.labels {
		if !slices.Contains(out.Labels, l.name) {
			out.Labels = append(out.Labels, l.name)
		}
	}
	slices.Sort(out.Labels)
	if out.Name == "" || out.Deleted {
		return out
	}
	same := t.labelled(out.Name)
	out.Clash = len(same) > 1
	if same[0] != f {
		out.Name += "~" + f.id.Short()
	}
	return out
}

// Forks returns every fork but those of batches, deleted ones too, in order of
// name; the default fork is always there.
func (g *Graph) Forks() []Fork {
	t := g.moment.Load().forks
	out := make([]Fork, 0, t.size())
	for f := range t.each {
		if f.label().name != "" {
			out = append(out, t.describe(f))
		}
	}
	slices.SortFunc(out, func(a, b Fork) int { return cmp.Or(cmp.Compare(a.Name, b.Name), bytes.Compare(a.ID[:], b.ID[:])) })
	return out
}

// ForkNamed returns the fork that a name reads from: a label, label~id, an id,
// or an alias. ok is false if there is none.
func (g *Graph) ForkNamed(name string) (f Fork, ok bool) { return g.moment.Load().forks.named(name) }

func (t *forkTable) named(name string) (Fork, bool) {
	if fs := t.labelled(name); len(fs) > 0 {
		return t.describe(fs[0]), true
	}
	if id, err := ParseForkID(name); err == nil {
		f := t.id(id)
		if f == nil {
			return Fork{}, false
		}
		return t.describe(f), true
	}
	if i := len(name) - shortLen - 1; i > 0 && name[i] == '~' {
		forks, _ := t.byLabel.get(name[:i])
		for _, num := range forks.ever {
			if f := t.num(num); f.id.Short() == name[i+1:] {
				return t.describe(f), true
			}
		}
	}
	if p, ok := t.pointer(name); ok && p.kind == OpAlias {
		if f := t.id(p.fork); f != nil {
			return t.describe(f), true
		}
	}
	return Fork{}, false
}

// ForksLabelled returns the live forks that have a label, the one that reads
// serve first.
func (g *Graph) ForksLabelled(name string) []Fork { return g.moment.Load().forks.listed(name) }

func (t *forkTable) listed(name string) []Fork {
	var out []Fork
	for _, f := range t.labelled(name) {
		out = append(out, t.describe(f))
	}
	return out
}

// ForkOf returns the fork of an id.
func (g *Graph) ForkOf(id ForkID) (f Fork, ok bool) {
	t := g.moment.Load().forks
	s := t.id(id)
	if s == nil {
		return Fork{}, false
	}
	return t.describe(s), true
}

// pointer returns the newest setting of a tag or alias.
func (t *forkTable) pointer(name string) (pointer, bool) {
	ps, ok := t.names.get(name)
	if !ok {
		return pointer{}, false
	}
	p := slices.MaxFunc(ps.now, func(a, b pointer) int {
		return cmp.Or(a.order.compare(b.order), bytes.Compare(a.order.block[:], b.order.block[:]))
	})
	return p, !p.gone
}

// point returns the table with one more setting of a tag or alias.
func (t *forkTable) point(name string, p pointer, covers func(line uint32, seq uint64) bool) *forkTable {
	next := *t
	now := &pointers{}
	if old, ok := t.names.get(name); ok {
		for _, o := range old.now {
			if !covers(o.at.line, o.at.seq) {
				now.now = append(now.now, o)
			}
		}
	}
	now.now = append(now.now, p)
	next.names = t.names.with(name, now)
	return &next
}

// Pointer is a tag or an alias.
type Pointer struct {
	Name string
	Fork ForkID    // of an alias
	Cut  []BlockID // of a tag
	// Clash says that it was set to something else at the same time, elsewhere.
	Clash bool
}

// Tags returns the tags in order of name.
func (g *Graph) Tags() []Pointer { return g.pointersOf(OpTag) }

// Aliases returns the aliases in order of name.
func (g *Graph) Aliases() []Pointer { return g.pointersOf(OpAlias) }

func (g *Graph) pointersOf(kind OpKind) []Pointer {
	t := g.moment.Load().forks
	var out []Pointer
	t.names.each(func(name string, ps *pointers) bool {
		if p, ok := t.pointer(name); ok && p.kind == kind {
			out = append(out, Pointer{Name: name, Fork: p.fork, Cut: p.cut, Clash: len(ps.now) > 1})
		}
		return true
	})
	slices.SortFunc(out, func(a, b Pointer) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Tag returns the cut that a tag names.
func (g *Graph) Tag(name string) (Pointer, bool) {
	p, ok := g.moment.Load().forks.pointer(name)
	if !ok || p.kind != OpTag {
		return Pointer{}, false
	}
	return Pointer{Name: name, Cut: p.cut}, true
}
