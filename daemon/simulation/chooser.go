package simulation

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"crush/crdt/oracle"
	"crush/dag"
	"crush/rpc"
)

// forkNames are all that a world's forks are called, besides default.
var forkNames = []string{"red", "green", "blue"}

// maxForks bounds the forks of a world, those of batches left out.
const maxForks = 5

// deeds are all kinds of step, by name.
var deeds = map[string]deed{
	"put":      {24, "key value", put, (*chooser).put},
	"del":      {7, "key", del, (*chooser).del},
	"read":     {4, "key", read, (*chooser).spot},
	"apply":    {4, "value", apply, (*chooser).apply},
	"fork":     {14, "name", newFork, (*chooser).fork},
	"merge":    {34, "", merge, (*chooser).merge},
	"plan":     {5, "", merge, (*chooser).merge},
	"resolve":  {14, "key", resolve, (*chooser).resolve},
	"rollback": {5, "key", rollback, (*chooser).rollback},
	"reset":    {5, "at", reset, (*chooser).reset},
	"undo":     {7, "", undo, (*chooser).undo},
	"pick":     {2, "rev", pick, (*chooser).pick},
	"tag":      {2, "", tag, (*chooser).tag},
	"rename":   {6, "fork name", rename, (*chooser).rename},
	"rm":       {5, "fork", rm, (*chooser).rm},
	"restore":  {4, "fork", restore, (*chooser).restore},
	"forkkey":  {2, "key fork", forkKey, (*chooser).ancestor},
	"mergekey": {2, "key fork", mergeKey, (*chooser).ancestor},
	"pull":     {18, "from", pull, (*chooser).pull},
	"wire":     {8, "from", wire, (*chooser).wire},
	"wait":     {14, "parts", wait, (*chooser).wait},
	"restart":  {2, "", restart, (*chooser).restart},
	"clock":    {2, "", skew, (*chooser).clock},
	"compare":  {2, "", compare, func(*chooser, *Step) bool { return true }},
	"forge":    {3, "key value", forged, (*chooser).forge},
	"whole":    {0, "key value", whole, (*chooser).whole},
	"edit":     {0, "key path", edit, (*chooser).edit},
	"incr":     {0, "key value", incr, (*chooser).incr},
	"element":  {0, "key value", changeSet, (*chooser).element},
	"settle":   {0, "key path", settle, (*chooser).settle},
	"policy":   {0, "key", setPolicy, (*chooser).setPolicy},
	"job":      {0, "key value", job, (*chooser).job},
}

// documentWeights are how often deeds are proposed in a history of documents.
var documentWeights = map[string]int{
	"whole": 20, "edit": 60, "incr": 6, "element": 6, "settle": 20, "merge": 40, "plan": 5, "policy": 5, "job": 6, "rollback": 7, "reset": 5, "undo": 8, "pick": 3, "tag": 2, "del": 6, "read": 5, "fork": 12, "pull": 22,
	"rename": 2, "rm": 2, "restore": 2, "restart": 2, "clock": 3, "compare": 2,
}

// DeedNames lists the kinds of step that a random history has.
func DeedNames(documents bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(deeds)), func(name string) bool { return weight(name, documents) == 0 })
}

// weight is how often a deed is proposed.
func weight(name string, documents bool) int {
	if documents {
		return documentWeights[name]
	}
	return deeds[name].weight
}

// chooser proposes steps that have something to do.
type chooser struct {
	*rand.Rand
	w *World
	n *Node
}

// propose makes the next step of a random history.
func (c *chooser) propose(id int) Step {
	total := 0
	names := DeedNames(c.w.documents)
	for _, name := range names {
		total += weight(name, c.w.documents)
	}
	for {
		left := c.IntN(total)
		for _, name := range names {
			if left -= weight(name, c.w.documents); left >= 0 {
				continue
			}
			s := Step{ID: id, Node: c.IntN(len(c.w.nodes)), Do: name}
			c.n = c.w.nodes[s.Node]
			if deeds[name].propose(c, &s) {
				return s
			}
			break
		}
	}
}

func pickOne[T any](c *chooser, from []T) T { return from[c.IntN(len(from))] }

// rarely is true once in n times.
func (c *chooser) rarely(n int) bool { return c.IntN(n) == 0 }

// forkArg names a fork that the node knows, by its name or by its step.
func (c *chooser) forkArg() string {
	id := pickOne(c, c.w.mirror.forks(c.n.has, false))
	if id == dag.DefaultFork() {
		return dag.DefaultForkName
	}
	if name, n, _ := c.w.mirror.title(c.n.has, id); !n.deleted && !strings.Contains(name, "~") && !c.rarely(4) {
		return name
	}
	return c.argOf(id)
}

// steps lists the steps so far, so that a seed picks the same.
func (c *chooser) steps() []int { return slices.Sorted(maps.Keys(c.w.made)) }

// madeBy names something that an earlier step made, by its mark.
func (c *chooser) madeBy(mark string, has func(m *made) bool) (string, bool) {
	steps := slices.DeleteFunc(c.steps(), func(i int) bool { return !has(c.w.made[i]) })
	if len(steps) == 0 {
		return "", false
	}
	return fmt.Sprint(mark, pickOne(c, steps)), true
}

func (c *chooser) block() (string, bool) {
	return c.madeBy("b", func(m *made) bool { return !m.block.IsZero() })
}

func (c *chooser) revision() (string, bool) {
	return c.madeBy("r", func(m *made) bool { return len(m.revisions) > 0 })
}

func (c *chooser) token() (string, bool) {
	return c.madeBy("t", func(m *made) bool { return m.token != "" })
}

// past names an earlier cut.
func (c *chooser) past() (at string, ok bool) {
	switch steps := c.steps(); {
	case len(c.w.tags) > 0 && c.rarely(4):
		return pickOne(c, slices.Sorted(maps.Keys(c.w.tags))), true
	case len(steps) > 0 && c.rarely(4):
		return fmt.Sprint("@", pickOne(c, steps)), true
	}
	return c.block()
}

func (c *chooser) value() string {
	switch c.IntN(12) {
	case 0:
		return "_"
	case 1:
		return "*" + fmt.Sprint(c.IntN(2))
	}
	return fmt.Sprint(c.IntN(4))
}

// patterns are what filters are made of.
var patterns = []string{"app/**", "env/*", "**", "k", "app/a", "*/*", "app/*"}

func (c *chooser) patterns(n int) string {
	var out []string
	for range n {
		if p := pickOne(c, patterns); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return strings.Join(out, ",")
}

// spot picks a key of a fork; most often one of the first, so that forks and
// nodes meet there.
func (c *chooser) spot(s *Step) bool {
	keys := c.w.keys()
	s.Fork, s.Key = c.forkArg(), keys[min(c.IntN(len(keys)), c.IntN(len(keys)), c.IntN(len(keys)))]
	return true
}

// turn is the step as the node would take it.
func (c *chooser) turn(s *Step) *turn { return &turn{World: c.w, n: c.n, s: s} }

// argOf names a fork by the step that made it.
func (c *chooser) argOf(id dag.ForkID) string {
	if id == dag.DefaultFork() {
		return dag.DefaultForkName
	}
	for _, step := range c.steps() {
		if c.w.made[step].fork == id {
			return fmt.Sprint("#", step)
		}
	}
	return dag.DefaultForkName
}

// conflicts lists the places of the node that are in conflict.
func (c *chooser) conflicts() (out []place) {
	for _, f := range c.w.mirror.forks(c.n.has, false) {
		for _, key := range c.w.keys() {
			if at := (place{f, key}); c.w.mirror.see(c.n.has, at).conflicted() {
				out = append(out, at)
			}
		}
	}
	return out
}

// context gives a write a token now and then, of the place that it was of.
func (c *chooser) context(s *Step) {
	if !c.rarely(4) {
		return
	}
	arg, ok := c.token()
	if !ok {
		return
	}
	n, _ := number(arg, "t")
	of := c.w.made[n].of
	s.Fork, s.Key = c.argOf(of.fork), of.key
	if c.rarely(3) {
		s.Match = arg
	} else {
		s.Base = arg
	}
}

func (c *chooser) put(s *Step) bool {
	c.spot(s)
	s.Value = c.value()
	if c.rarely(12) {
		s.Kind = pickOne(c, []string{"text", "bytes"})
	}
	c.context(s)
	if s.Base+s.Match == "" && c.rarely(10) {
		s.How = "absent"
	}
	if c.rarely(25) && len(c.w.mirror.order) < maxForks {
		s.How, s.Fork, s.Base, s.Match = "create", pickOne(c, forkNames), "", ""
	}
	return true
}

func (c *chooser) del(s *Step) bool {
	c.spot(s)
	if c.rarely(8) {
		s.Key = "app/"
		return true
	}
	fork, _, _, err := c.turn(s).fork(s.Fork, false)
	if err != nil || c.w.mirror.see(c.n.has, place{fork, s.Key}).view.Absent() && !c.rarely(6) {
		return false
	}
	c.context(s)
	return true
}

func (c *chooser) apply(s *Step) bool {
	s.Fork = c.forkArg()
	var files []string
	for _, i := range c.Perm(len(keys))[:1+c.IntN(len(keys))] {
		files = append(files, keys[i]+":"+c.value())
	}
	s.Value = strings.Join(files, ",")
	if c.rarely(3) {
		s.How = "prune"
	}
	return true
}

// name is a name for a fork; most often one that is free on the node.
func (c *chooser) name() string {
	free := slices.DeleteFunc(slices.Clone(forkNames), func(name string) bool { return len(c.w.mirror.called(c.n.has, name)) > 0 })
	if len(free) == 0 || c.rarely(6) {
		return pickOne(c, forkNames)
	}
	return pickOne(c, free)
}

func (c *chooser) fork(s *Step) bool {
	if len(c.w.mirror.forks(c.w.everything(), false)) >= maxForks {
		return false
	}
	s.From, s.Name = c.forkArg(), c.name()
	if c.rarely(4) {
		s.At, _ = c.past()
	}
	if c.rarely(4) {
		s.Only = c.patterns(1 + c.IntN(2))
	}
	if c.rarely(6) {
		s.Skip = c.patterns(1)
	}
	if c.w.documents && s.Only != "" && !c.rarely(4) { // most often with the policies
		s.Only += "," + rpc.PolicyKey
	}
	return true
}

func (c *chooser) merge(s *Step) bool {
	if s.Do == "merge" && c.rarely(5) {
		if arg, ok := c.madeBy("p", func(m *made) bool { return m.plan != nil && c.w.mirror.known(c.n.has, m.plan.src) }); ok {
			s.Plan = arg
			return true
		}
	}
	src, dst, ok := c.unmerged()
	if !ok {
		return c.rarely(8) && (!c.w.documents || c.rarely(8)) && c.emptyMerge(s)
	}
	s.From, s.Fork = c.argOf(src), c.argOf(dst)
	s.How = pickOne(c, []string{"", "keep", "keep", "keep", "ours", "theirs", "lww"})
	if c.w.documents && s.How != "" && c.rarely(3) {
		s.How = "keep"
	}
	if c.rarely(4) {
		s.Skip = c.patterns(1 + c.IntN(2))
	}
	q := s.request("", "")
	for _, k := range c.turn(s).foresee(src, dst, &q).keys {
		switch {
		case c.w.documents && k.conflict && c.rarely(4):
			s.Take = c.takes(&k, s.Take)
		case c.w.documents:
		case c.rarely(12):
			s.Drop = k.at.key
		case k.conflict && c.rarely(4):
			s.Take = k.at.key + ":" + pickOne(c, []string{c.side(), c.side(), "=" + c.value()})
		}
	}
	return true
}

// emptyMerge merges what need not have anything to merge.
func (c *chooser) emptyMerge(s *Step) bool {
	s.From, s.Fork, s.How = c.forkArg(), c.forkArg(), "keep"
	if c.rarely(4) {
		s.Drop = pickOne(c, c.w.keys())
	}
	return s.From != s.Fork || c.rarely(4)
}

// unmerged picks two forks of which one has something for the other.
func (c *chooser) unmerged() (src, dst dag.ForkID, ok bool) {
	forks := c.w.mirror.forks(c.n.has, false)
	for range 6 {
		src, dst = pickOne(c, forks), pickOne(c, forks)
		for _, key := range c.w.keys() {
			at := place{dst, key}
			if src != dst && !c.w.mirror.foresee(c.n.has, at, src).same(c.w.mirror.see(c.n.has, at)) {
				return src, dst, true
			}
		}
	}
	return src, dst, false
}

// side names a side of a conflict, perhaps.
func (c *chooser) side() string {
	return pickOne(c, append([]string{"a", "b", "a", "b", "a", "b", "c", "n0", "n1", "default"}, forkNames...))
}

func (c *chooser) resolve(s *Step) bool {
	c.spot(s)
	open := c.conflicts()
	if len(open) == 0 && !c.rarely(30) {
		return false
	}
	if len(open) > 0 {
		at := pickOne(c, open)
		s.Fork, s.Key = c.argOf(at.fork), at.key
		if c.rarely(3) {
			s.Base, _ = c.madeBy("t", func(m *made) bool { return m.of == at && m.heads.conflicted() })
		}
	}
	switch c.IntN(6) {
	case 0:
		s.How, s.Value = "value", c.value()
	case 1:
		s.How = "delete"
	default:
		s.Take = c.side()
	}
	return true
}

func (c *chooser) rollback(s *Step) (ok bool) {
	c.spot(s)
	fork, _, _, err := c.turn(s).fork(s.Fork, false)
	if err != nil || !c.w.mirror.see(c.n.has, place{fork, s.Key}).exists() && !c.rarely(8) {
		return false
	}
	switch c.IntN(3) {
	case 0:
		s.Rev, ok = fmt.Sprint("head~", c.IntN(4)), true
	case 1:
		s.Rev, ok = c.madeBy("r", func(m *made) bool {
			if len(m.revisions) == 0 {
				return false
			}
			r := c.w.mirror.revisions[m.revisions[0]]
			return c.rarely(8) || r != nil && r.Key == s.Key
		})
	default:
		s.At, ok = c.past()
	}
	return ok
}

func (c *chooser) reset(s *Step) (ok bool) {
	s.Fork = c.forkArg()
	if c.rarely(3) {
		s.Key = pickOne(c, []string{"app/", "env/"})
	}
	if s.At, ok = c.past(); !ok {
		return false
	}
	t := c.turn(s)
	fork, _, _, err := t.fork(s.Fork, false)
	if err != nil {
		return false
	}
	_, _, refusal, err := t.at(fork, s.At)
	return err == nil && (refusal == "" || c.rarely(8))
}

func (c *chooser) undo(s *Step) bool {
	s.Fork = c.forkArg()
	t := c.turn(s)
	fork, _, _, err := t.fork(s.Fork, false)
	if err != nil {
		return false
	}
	b := t.newestOn(fork)
	if c.rarely(3) {
		if s.At, _ = c.block(); s.At != "" {
			n, _ := number(s.At, "b")
			b = c.w.mirror.blocks[c.w.made[n].block]
		}
	}
	if b == nil || !c.n.has[oracle.Block(b.id)] {
		return c.rarely(8)
	}
	_, refusal := t.undoing(fork, b)
	return refusal != rpc.CodeNotFound || c.rarely(8)
}

func (c *chooser) pick(s *Step) (ok bool) {
	s.Fork = c.forkArg()
	s.Rev, ok = c.madeBy("r", func(m *made) bool {
		return len(m.revisions) > 0 && (c.rarely(12) || c.n.has[oracle.Block(m.block)])
	})
	return ok
}

func (c *chooser) tag(s *Step) bool {
	if c.rarely(3) {
		s.At, _ = c.block()
	}
	return true
}

func (c *chooser) rename(s *Step) bool {
	s.Fork, s.Name = c.forkArg(), c.name()
	return s.Fork != dag.DefaultForkName || c.rarely(20)
}

func (c *chooser) rm(s *Step) bool {
	s.Fork = c.forkArg()
	if !c.rarely(4) {
		s.How = "force"
	}
	return s.Fork != dag.DefaultForkName || c.rarely(20)
}

func (c *chooser) restore(s *Step) bool {
	for _, id := range c.w.mirror.forks(c.n.has, false) {
		if id == dag.DefaultFork() || !c.w.mirror.naming(c.n.has, id).deleted {
			continue
		}
		s.Fork = c.argOf(id)
	}
	return s.Fork != ""
}

func (c *chooser) ancestor(s *Step) bool {
	c.spot(s)
	s.From = c.forkArg()
	if s.Do == "forkkey" && c.rarely(3) && len(c.w.mirror.order) < maxForks {
		s.Fork = pickOne(c, forkNames)
	}
	return s.From != s.Fork
}

func (c *chooser) pull(s *Step) bool {
	from := c.IntN(len(c.w.nodes))
	if c.w.net != nil || from == s.Node || maps.Equal(c.n.has, c.w.nodes[from].has) {
		return false
	}
	s.From, s.Salt = fmt.Sprint("n", from), c.IntN(100)
	if c.rarely(3) {
		s.Parts = 1 + c.IntN(3)
	}
	return true
}

func (c *chooser) wire(s *Step) bool {
	from := c.IntN(len(c.w.nodes))
	s.From, s.How = fmt.Sprint("n", from), pickOne(c, []string{"", "", "cut", "cut", "deaf", "lossy", "slow"})
	return c.w.net != nil && from != s.Node
}

func (c *chooser) wait(s *Step) bool {
	s.Parts = pickOne(c, []int{1, 1, 3, 20, 90})
	return c.w.net != nil
}

func (c *chooser) restart(s *Step) bool {
	if c.rarely(2) {
		s.How = "crash"
	}
	return true
}

func (c *chooser) clock(s *Step) bool {
	s.How = pickOne(c, []string{"", "back", "ahead", "1970"})
	return true
}

func (c *chooser) forge(s *Step) bool {
	c.spot(s)
	s.Value = c.value()
	s.How = pickOne(c, []string{"", "", "", "twice", "misplaced", "nowhere", "merge"})
	if !c.rarely(3) {
		s.Rev, _ = c.revision()
	}
	if c.rarely(2) {
		s.At, _ = c.block()
	}
	return true
}
