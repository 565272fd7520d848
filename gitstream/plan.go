package gitstream

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Options say what a history is to become.
type Options struct {
	// Into is the name of the line that the main ref's first parents go to.
	Into string
	// Fork is the id of that fork; "" if it is to be made.
	Fork string
	// Main is the main ref; "" for refs/heads/main, refs/heads/master, or the
	// only ref.
	Main string
	// Known are the steps that were done before, in their order.
	Known []Known
	// Taken are the names that forks have.
	Taken map[string]bool
}

// Known is a step that was done before.
type Known struct {
	Source string
	Fork   string // id of the fork that it worked on; "" if it left nothing there
	Live   bool   // that fork is not removed
}

// SourcePrefix starts the sources of all steps of a history that goes into a
// line of this name.
func SourcePrefix(into string) string {
	sum := sha256.Sum256([]byte(into))
	return "git:" + base64.RawURLEncoding.EncodeToString(sum[:3]) + ":"
}

// Line is a sequence of commits that becomes one fork.
type Line struct {
	Name string
	Fork string // its id; "" until it is made

	tip   *Commit // newest commit that it holds
	side  bool    // no ref names it
	keep  bool    // a tag needs it
	gone  bool    // it was removed
	stray bool    // what it holds is not in the stream
}

// Kind is what a step does.
type Kind int

// The kinds of steps.
const (
	StepFork   Kind = iota + 1 // makes Line, of From (nothing, if that is empty)
	StepCommit                 // merges From into Line, and writes
	StepMove                   // merges From into Line: a ref that went forward without a commit of its own
	StepTag                    // names From
)

// Step is one atomic change.
type Step struct {
	Kind   Kind
	Source string // names it for ever
	Line   *Line
	Commit *Commit
	From   []*Commit // at whose places others are forked, merged or tagged
	Remove []*Line   // that nothing needs any more
	Writes []Write   // of StepCommit
	Tag    Tag       // of StepTag, with the name that it gets
}

// Plan is the steps that are left to do.
type Plan struct {
	Steps []Step
	// Main is the ref that goes to the line Into.
	Main string
	// Commits, Known and Empty count the commits of the plan, those that were
	// done before, and those that change nothing and have no step.
	Commits, Known, Empty int
	// Notices say in a line each what is not as in the stream.
	Notices []string

	lines    map[*Commit]*Line
	previous map[*Commit]*Commit
}

// Source is the source of the step of a commit that goes into a line.
func Source(into string, c *Commit) string { return SourcePrefix(into) + "c" + c.ID.String() }

// LineOf returns the line that a commit is on; nil if it is not needed.
func (p *Plan) LineOf(c *Commit) *Line { return p.lines[c] }

// Previous returns the commit whose tree stands on a line before a commit is
// written: nil for none.
func (p *Plan) Previous(c *Commit) *Commit { return p.previous[c] }

// planner makes a plan.
type planner struct {
	h      *History
	o      Options
	prefix string
	out    *Plan
	byID   map[CommitID]*Commit
	forks  map[string]*Line // by id
	made   map[string]*Line // by the name of its creation
	tagged map[string]string
	names  map[string]bool
	joins  map[*Commit]Step // in front of the first commit of a line
	late   []Step           // behind the last commit
	needed []bool
	done   map[*Commit]bool // before: a commit that is known, and all before one
	own    map[*Commit]bool // of those, which have a source; the others changed nothing
}

// Plan lays the history out on lines. Of a broken history it takes the line of
// the main ref that can be told so far.
func (h *History) Plan(o Options) (*Plan, error) {
	p := &planner{
		h: h, o: o, prefix: SourcePrefix(o.Into),
		out:  &Plan{lines: map[*Commit]*Line{}, previous: map[*Commit]*Commit{}},
		byID: map[CommitID]*Commit{}, forks: map[string]*Line{}, made: map[string]*Line{}, tagged: map[string]string{},
		names: map[string]bool{o.Into: true}, joins: map[*Commit]Step{}, needed: make([]bool, len(h.Commits)),
		done: map[*Commit]bool{}, own: map[*Commit]bool{},
	}
	for _, c := range h.Commits {
		p.byID[c.ID] = c
	}
	p.recall()
	main := p.intoLine()
	p.recallEmpty(main)
	ref, err := p.mainRef()
	if err != nil {
		return nil, err
	}
	if p.out.Main = ref; ref == "" {
		return p.out, nil
	}
	head := h.Refs[ref]
	if h.Broken {
		head = p.likelyMain(ref, main)
	}
	if err := p.extend(main, head); err != nil {
		return nil, err
	}
	p.need(head)
	if !h.Broken {
		if err := p.otherRefs(); err != nil {
			return nil, err
		}
	}
	p.sideLines()
	p.emit()
	p.removeLines()
	return p.out, nil
}

// recall reads what was done before.
func (p *planner) recall() {
	for _, k := range p.o.Known {
		text, ok := strings.CutPrefix(k.Source, p.prefix)
		if !ok || text == "" {
			continue
		}
		id, name, _ := strings.Cut(text[1:], ":")
		if text[0] == 't' {
			p.tagged[name] = id
			continue
		}
		parsed, _ := ParseCommitID(id)
		c := p.byID[parsed]
		if k.Fork == "" {
			p.done[c] = c != nil
			continue
		}
		l := p.forks[k.Fork]
		if l == nil {
			l = &Line{Fork: k.Fork, gone: !k.Live}
			p.forks[k.Fork] = l
		}
		if text[0] == 'f' {
			l.Name, l.side = name, strings.HasPrefix(name, sidePrefix)
			p.made[name] = l
			if id == "" {
				continue
			}
		}
		l.tip, l.stray = c, c == nil
		if text[0] == 'c' && c != nil {
			p.out.lines[c], p.done[c], p.own[c] = l, true, true
		}
	}
}

// recallEmpty finds the commits that were done before without a trace, because
// they changed nothing: a commit is done after all before it.
func (p *planner) recallEmpty(main *Line) {
	for _, c := range slices.Backward(p.h.Commits) {
		if p.done[c] {
			for _, parent := range c.Parents {
				p.done[parent] = true
			}
		}
	}
	for _, c := range p.h.Commits {
		if !p.done[c] || p.own[c] {
			continue
		}
		p.out.lines[c] = main
		if len(c.Parents) > 0 {
			first := c.Parents[0]
			p.out.lines[c], p.out.previous[c] = p.out.lines[first], first
		}
	}
}

// traced returns the commit whose step left the tree of c: itself, unless it
// changed nothing.
func (p *planner) traced(c *Commit) *Commit {
	for c != nil && p.done[c] && !p.own[c] {
		c = p.out.previous[c]
	}
	return c
}

// intoLine returns the line of the main ref.
func (p *planner) intoLine() *Line {
	if l := p.forks[p.o.Fork]; l != nil && p.o.Fork != "" {
		l.Name, l.side = p.o.Into, false
		return l
	}
	l := &Line{Name: p.o.Into, Fork: p.o.Fork}
	if l.Fork == "" {
		p.out.Steps = append(p.out.Steps, Step{Kind: StepFork, Source: p.prefix + "f:" + l.Name, Line: l})
	}
	return l
}

const (
	branchRefs = "refs/heads/"
	remoteRefs = "refs/remotes/"
	// sidePrefix starts the names of the forks of lines that have no ref.
	sidePrefix = "git/"
)

// mainRef chooses the main ref; "" of a broken history that does not say.
func (p *planner) mainRef() (string, error) {
	refs := slices.Sorted(maps.Keys(p.h.Refs))
	switch {
	case p.o.Main != "":
		for _, ref := range []string{p.o.Main, branchRefs + p.o.Main} {
			if p.h.Refs[ref] != nil {
				return ref, nil
			}
		}
		if p.h.Broken {
			return "", nil
		}
		return "", fmt.Errorf("the stream has no ref %s: it has %s", p.o.Main, listed(refs))
	case len(refs) == 0 && len(p.h.Commits) == 0 && !p.h.Broken:
		return "", errors.New("the stream has no commits")
	}
	for _, ref := range []string{branchRefs + "main", branchRefs + "master"} {
		if p.h.Refs[ref] != nil {
			return ref, nil
		}
	}
	switch {
	case len(refs) == 1:
		return refs[0], nil
	case p.h.Broken:
		return "", nil
	}
	return "", fmt.Errorf("which ref is the main one? name it with --ref: the stream has %s", listed(refs))
}

// listed names some of many.
func listed(names []string) string {
	const most = 5
	if len(names) == 0 {
		return "none"
	}
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// likelyMain guesses how far the main ref's line goes in a history that breaks
// off, among the commits that the ref surely has: git fast-export has a line's
// own commits in front of those of a branch that is merged into it. Where it has
// not, the next run goes on from there all the same.
func (p *planner) likelyMain(ref string, main *Line) *Commit {
	has := make([]bool, len(p.h.Commits))
	for _, c := range slices.Backward(p.h.Commits) {
		if c.Ref == ref || has[c.Index] {
			has[c.Index] = true
			for _, parent := range c.Parents {
				has[parent.Index] = true
			}
		}
	}
	at := main.tip
	if main.stray {
		return nil
	}
	for _, c := range p.h.Commits {
		switch {
		case !has[c.Index]:
		case at == nil:
			at = c
		case len(c.Parents) > 0 && c.Parents[0] == at, at == main.tip && slices.Contains(c.Parents, at):
			at = c
		}
	}
	return at
}

// errRewritten says that a line holds what the stream does not have.
var errRewritten = errors.New("rewritten")

// extend puts the commits up to head on a line, from where it ends.
func (p *planner) extend(l *Line, head *Commit) error {
	if head == nil || p.out.lines[head] == l {
		return nil
	}
	goal := l.tip
	var behind []bool
	if goal != nil {
		behind = p.descendants(goal)
	}
	if l.stray || goal != nil && goal != head && !behind[head.Index] {
		if l.Name == p.o.Into {
			return fmt.Errorf("the fork %q holds imported commits that %s does not lead to: it was rewritten, or this is another history; import it --into another fork", l.Name, p.out.Main)
		}
		return errRewritten
	}
	chain, base := p.chain(head, goal, behind)
	join := Step{Kind: StepMove, Source: p.prefix + "m", Line: l, Commit: base}
	if l.Fork == "" && l.Name != p.o.Into {
		join.Kind, join.Source = StepFork, p.prefix+"f"
	}
	if base != nil {
		join.Source += base.ID.String()
		join.From = []*Commit{base}
	}
	join.Source += ":" + l.Name
	switch {
	case p.traced(base) == p.traced(goal) && join.Kind == StepMove: // it just goes on
	case len(chain) == 0:
		p.late = append(p.late, join)
	default:
		p.joins[chain[0]] = join
	}
	for _, c := range chain {
		p.out.lines[c], p.out.previous[c] = l, base
		base = c
	}
	l.tip = head
	return nil
}

// chain follows parents back from head to a commit that is on a line: the first
// ones, or those that lead to goal.
func (p *planner) chain(head, goal *Commit, behind []bool) (chain []*Commit, base *Commit) {
	c := head
	for c != nil && p.out.lines[c] == nil && c != goal {
		chain = append(chain, c)
		var next *Commit
		for _, parent := range c.Parents {
			if next == nil || behind != nil && leads(parent, goal, behind) && !leads(next, goal, behind) {
				next = parent
			}
		}
		c = next
	}
	slices.Reverse(chain)
	return chain, c
}

func leads(c, goal *Commit, behind []bool) bool { return c == goal || behind[c.Index] }

// descendants says of each commit whether another one is before it.
func (p *planner) descendants(of *Commit) []bool {
	out := make([]bool, len(p.h.Commits))
	for _, c := range p.h.Commits[of.Index+1:] {
		out[c.Index] = slices.ContainsFunc(c.Parents, func(parent *Commit) bool { return leads(parent, of, out) })
	}
	return out
}

// isAncestor reports whether a commit is another one, or before it.
func isAncestor(a, of *Commit) bool {
	seen := map[*Commit]bool{}
	todo := []*Commit{of}
	for len(todo) > 0 {
		c := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if c == a {
			return true
		}
		if c.Index < a.Index || seen[c] {
			continue
		}
		seen[c] = true
		todo = append(todo, c.Parents...)
	}
	return false
}

// need marks a commit and all before it.
func (p *planner) need(head *Commit) {
	if head == nil {
		return
	}
	todo := []*Commit{head}
	for len(todo) > 0 {
		c := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !p.needed[c.Index] {
			p.needed[c.Index] = true
			todo = append(todo, c.Parents...)
		}
	}
}

// otherRefs puts the commits of the other refs on lines of their names.
func (p *planner) otherRefs() error {
	for _, ref := range slices.Sorted(maps.Keys(p.h.Refs)) {
		if ref == p.out.Main {
			continue
		}
		name := p.freeName(forkName(ref))
		if wanted := shortRef(ref); name != wanted {
			p.notice("%s becomes the fork %s", ref, name)
		}
		l := p.made[name]
		switch {
		case l == nil && p.o.Taken[name]:
			return fmt.Errorf("%s would become the fork %q, and there is another fork of that name: rename or remove that one first", ref, name)
		case l == nil:
			l = &Line{Name: name}
		case l.gone:
			p.notice("%s is left out: its fork %s was removed here", ref, name)
			continue
		}
		err := p.extend(l, p.h.Refs[ref])
		if errors.Is(err, errRewritten) {
			p.notice("%s is left out: it was rewritten since it was imported, and its fork %s stays as it is", ref, name)
			continue
		}
		if err != nil {
			return err
		}
		p.need(p.h.Refs[ref])
	}
	for i := range p.h.Tags {
		p.need(p.h.Tags[i].Commit)
	}
	return nil
}

func (p *planner) notice(format string, args ...any) {
	p.out.Notices = append(p.out.Notices, fmt.Sprintf(format, args...))
}

func shortRef(ref string) string {
	for _, prefix := range []string{branchRefs, remoteRefs, "refs/"} {
		if name, ok := strings.CutPrefix(ref, prefix); ok {
			return name
		}
	}
	return ref
}

// maxName is the longest name of a fork or tag.
const maxName = 128

// forkName is the name of a ref as a fork or tag can have it.
func forkName(ref string) string {
	name := []byte(shortRef(ref))
	for i, c := range name {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && !strings.ContainsRune("._/-", rune(c)) {
			name[i] = '-'
		}
	}
	text := strings.TrimLeft(string(name), "._/-")
	if text == "" {
		text = "ref"
	}
	const room = 4 // for what freeName adds
	return text[:min(len(text), maxName-room)]
}

// freeName returns a name that no other ref of the stream has got.
func (p *planner) freeName(name string) string {
	free := name
	for i := 2; p.names[free]; i++ {
		free = fmt.Sprintf("%s-%d", name, i)
	}
	p.names[free] = true
	return free
}

// sideLines puts what is left on lines of their own.
func (p *planner) sideLines() {
	for _, c := range slices.Backward(p.h.Commits) {
		if !p.needed[c.Index] || p.out.lines[c] != nil {
			continue
		}
		chain, base := p.chain(c, nil, nil)
		if l := p.out.lines[base]; base != nil && l.side && !l.gone && l.tip == p.traced(base) {
			for _, c := range chain {
				p.out.lines[c], p.out.previous[c] = l, base
				base = c
			}
			l.tip = c
			continue
		}
		l := p.sideLine(c, base)
		// A new line goes nowhere but where its commits lead: this cannot fail.
		_ = p.extend(l, c)
	}
}

// sideLine returns the line of a side commit: that which an earlier run has made
// for it and not used, or a new one.
func (p *planner) sideLine(c, base *Commit) *Line {
	number := uint64(c.Mark)
	if number == 0 {
		number = uint64(c.Index + 1)
	}
	name := fmt.Sprintf("%s%d", sidePrefix, number)
	if l := p.made[name]; l != nil && !l.gone && l.tip == base && !p.names[name] {
		p.names[name] = true
		return l
	}
	free := name
	for i := 2; p.names[free] || p.o.Taken[free]; i++ {
		free = fmt.Sprintf("%s-%d", name, i)
	}
	p.names[free] = true
	return &Line{Name: free, side: true}
}

// emit makes the steps, in the order of the commits.
func (p *planner) emit() {
	for _, c := range p.h.Commits {
		switch {
		case !p.needed[c.Index]:
			continue
		case p.done[c]:
			p.out.Known++
			continue
		}
		p.out.Commits++
		if join, ok := p.joins[c]; ok {
			p.out.Steps = append(p.out.Steps, join)
		}
		s := Step{Kind: StepCommit, Source: p.prefix + "c" + c.ID.String(), Line: p.out.lines[c], Commit: c, Writes: c.Writes}
		previous := p.out.previous[c]
		for _, parent := range c.Parents {
			if parent != previous && !isAncestor(parent, previous) {
				s.From = append(s.From, parent)
			}
		}
		if len(c.Parents) > 1 {
			s.Writes = c.Wanted
		}
		if len(s.Writes)+len(s.From) == 0 {
			p.out.Empty++
			continue
		}
		p.out.Steps = append(p.out.Steps, s)
	}
	p.out.Steps = append(p.out.Steps, p.late...)
	if p.h.Broken {
		return
	}
	used := map[string]bool{}
	for _, t := range p.h.Tags {
		p.tag(t, used)
	}
}

// tag sets a tag, unless it is set.
func (p *planner) tag(t Tag, used map[string]bool) {
	ref := t.Name
	t.Name = forkName(ref)
	for i := 2; used[t.Name]; i++ {
		t.Name = fmt.Sprintf("%s-%d", forkName(ref), i)
	}
	used[t.Name] = true
	if t.Name != ref {
		p.notice("the tag %s becomes %s", ref, t.Name)
	}
	p.out.lines[t.Commit].keep = true
	id := t.Commit.ID.String()
	if p.tagged[t.Name] != id {
		p.out.Steps = append(p.out.Steps, Step{
			Kind: StepTag, Source: p.prefix + "t" + id + ":" + t.Name, Commit: t.Commit, From: []*Commit{t.Commit}, Tag: t,
		})
	}
}

// removeLines removes each line without a ref where it is needed last, which is
// its last merge.
func (p *planner) removeLines() {
	last := map[*Line]int{}
	for i := range p.out.Steps {
		s := &p.out.Steps[i]
		for _, c := range s.From {
			last[p.out.lines[c]] = i
		}
		if s.Line != nil {
			last[s.Line] = i
		}
	}
	for l, i := range last {
		s := &p.out.Steps[i]
		if l.side && !l.keep && !l.gone && s.Line != l && s.Kind != StepTag {
			s.Remove = append(s.Remove, l)
		}
	}
	for i := range p.out.Steps {
		slices.SortFunc(p.out.Steps[i].Remove, func(a, b *Line) int { return strings.Compare(a.Name, b.Name) })
	}
}

// Address is how the line's fork is called: by its id, or, until that is known,
// by its name.
func (l *Line) Address() string {
	if l.Fork != "" {
		return l.Fork
	}
	return l.Name
}
