package dag

import (
	"bytes"
	"cmp"
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
	num   uint32
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
	contribs []contribution // in order of arrival
	active   []contribution // those that no later one of the same fork covers; enough for reads of now
	deletes  []past         // of the blocks that delete it
	activity map[uint32]uint64
}

// forkLabel is a name that no later renaming has seen.
type forkLabel struct {
	name  string
	order order
	at    loc
}

// contribution makes what was visible on a fork at a cut visible on another.
type contribution struct {
	from     uint32
	cut      clock
	filter   *Filter
	at       loc  // block of its operation
	creation bool // it stands in the fork's creation
}

// contribute adds a contribution to a copy of a fork.
func (f *forkState) contribute(c contribution) {
	f.contribs = append(slices.Clip(f.contribs), c)
	active := slices.Clone(f.active)
	if c.filter == nil {
		active = slices.DeleteFunc(active, func(o contribution) bool {
			return o.from == c.from && o.filter == nil && o.cut.within(c.cut)
		})
	}
	f.active = append(active, c)
}

// within returns the contributions that a read within a set has to look at.
func (f *forkState) within(set before) []contribution {
	if set.all {
		return f.active
	}
	return f.contribs
}

// forkTable is the forks, tags and aliases that are known; it is replaced,
// never changed.
type forkTable struct {
	byNum   []*forkState // from 1
	byID    map[ForkID]*forkState
	byLabel map[string][]uint32 // every fork that ever had the label
	names   map[string]*pointers
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
	t := &forkTable{byNum: []*forkState{nil}, byID: map[ForkID]*forkState{}, byLabel: map[string][]uint32{}, names: map[string]*pointers{}}
	return t.set(&forkState{num: 1, id: defaultFork, labels: []forkLabel{{name: DefaultForkName}}})
}

// set returns the table with a new or changed fork.
func (t *forkTable) set(f *forkState) *forkTable {
	next := &forkTable{byNum: slices.Clone(t.byNum), byID: maps.Clone(t.byID), byLabel: t.byLabel, names: t.names}
	if int(f.num) == len(next.byNum) {
		next.byNum = append(next.byNum, nil)
	}
	next.byNum[f.num] = f
	next.byID[f.id] = f
	for _, l := range f.labels {
		if l.name != "" && !slices.Contains(next.byLabel[l.name], f.num) {
			next.byLabel = maps.Clone(next.byLabel)
			next.byLabel[l.name] = append(slices.Clone(next.byLabel[l.name]), f.num)
		}
	}
	return next
}

// in returns the fork if it was created in a past; nil if not.
func (t *forkTable) in(id ForkID, covers func(line uint32, seq uint64) bool) *forkState {
	f := t.byID[id]
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

// labelled returns the live forks that have a label, the one that reads serve
// first: not revived ones before revived ones, then who got it first.
func (t *forkTable) labelled(name string) []*forkState {
	var out []*forkState
	when := map[uint32]uint64{}
	for _, num := range t.byLabel[name] {
		f := t.byNum[num]
		if f.deleted() {
			continue
		}
		for _, l := range f.labels { // two nodes can give the same at once
			if first, ok := when[num]; l.name == name && (!ok || l.order.lam < first) {
				when[num] = l.order.lam
			}
		}
		if _, ok := when[num]; ok {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b *forkState) int {
		return cmp.Or(cmp.Compare(len(a.deletes), 0)-cmp.Compare(len(b.deletes), 0), cmp.Compare(when[a.num], when[b.num]), bytes.Compare(a.id[:], b.id[:]))
	})
	return out
}

// describe says what people are told of a fork.
func (t *forkTable) describe(f *forkState) Fork {
	out := Fork{ID: f.id, Name: f.label().name, Deleted: f.deleted(), num: f.num}
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
	out := make([]Fork, 0, len(t.byNum)-1)
	for _, f := range t.byNum[1:] {
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
		f := t.byID[id]
		if f == nil {
			return Fork{}, false
		}
		return t.describe(f), true
	}
	if i := len(name) - shortLen - 1; i > 0 && name[i] == '~' {
		for _, num := range t.byLabel[name[:i]] {
			if f := t.byNum[num]; f.id.Short() == name[i+1:] {
				return t.describe(f), true
			}
		}
	}
	if p, ok := t.pointer(name); ok && p.kind == OpAlias {
		if f := t.byID[p.fork]; f != nil {
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
	s, ok := t.byID[id]
	if !ok {
		return Fork{}, false
	}
	return t.describe(s), true
}

// pointer returns the newest setting of a tag or alias.
func (t *forkTable) pointer(name string) (pointer, bool) {
	ps := t.names[name]
	if ps == nil {
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
	next.names = maps.Clone(t.names)
	now := &pointers{}
	if old := t.names[name]; old != nil {
		for _, o := range old.now {
			if !covers(o.at.line, o.at.seq) {
				now.now = append(now.now, o)
			}
		}
	}
	now.now = append(now.now, p)
	next.names[name] = now
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
	for _, name := range slices.Sorted(maps.Keys(t.names)) {
		if p, ok := t.pointer(name); ok && p.kind == kind {
			out = append(out, Pointer{Name: name, Fork: p.fork, Cut: p.cut, Clash: len(t.names[name].now) > 1})
		}
	}
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
