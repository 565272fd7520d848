package simulation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"crush/crdt/oracle"
	"crush/dag"
	"crush/rpc"
)

// keys are all that people write in a world.
var keys = []string{"k", "app/a", "app/b", "env/z"}

// keys are all that a world has.
func (w *World) keys() []string {
	if w.documents {
		return append(slices.Clip(keys), rpc.PolicyKey)
	}
	return keys
}

// turn is a step under way.
type turn struct {
	*World
	n      *Node
	s      *Step
	made   *made
	code   rpc.Code // with which the node refused
	before map[place]*sight
	blocks []*block // that the step wrote
}

// deed is a kind of step.
type deed struct {
	weight int    // how often it is proposed
	needs  string // arguments without which it is nothing
	do     func(ctx context.Context, t *turn) error
	// propose fills in a step; false if there is nothing of the kind to do.
	propose func(c *chooser, s *Step) bool
}

// sights are all places of the node as they stand.
func (t *turn) sights() map[place]*sight {
	out := map[place]*sight{}
	for _, f := range t.mirror.forks(t.n.has, true) {
		for _, key := range t.keys() {
			at := place{f, key}
			out[at] = t.see(at)
		}
	}
	return out
}

// see is a place as it stands on the node.
func (t *turn) see(at place) *sight { return t.mirror.see(t.n.has, at) }

// run calls the node, and notes what it wrote. A refusal is a code, any other
// error is an error.
func (t *turn) run(call func() error) (rpc.Code, error) {
	had := maps.Clone(t.n.has)
	err := call()
	for b := range t.n.has {
		if !had[b] {
			t.blocks = append(t.blocks, t.mirror.blocks[dag.BlockID(b)])
		}
	}
	slices.SortFunc(t.blocks, func(a, b *block) int { return t.n.arrived[a.id] - t.n.arrived[b.id] })
	for _, b := range t.blocks {
		t.made.block = b.id
		if t.mirror.voids[b.id] > 0 {
			return "", fmt.Errorf("block %s has void parts", b.id)
		}
		t.made.revisions = append(t.made.revisions, b.Revisions...)
	}
	if err == nil {
		return "", t.atOnce()
	}
	code := rpc.CodeOf(err)
	t.code = code
	switch {
	case code == rpc.CodeInternal || code == rpc.CodeDamaged:
		return "", err
	case len(t.blocks) > 0:
		return "", fmt.Errorf("refused, and yet written: %w", err)
	}
	return code, nil
}

// expect runs a call that must be answered with a code, "" for none. It
// returns whether it was done.
func (t *turn) expect(want rpc.Code, call func() error) (bool, error) {
	var cause error
	got, err := t.run(func() error { cause = call(); return cause })
	if err == nil && got != want {
		err = fmt.Errorf("refused as %q (%v), want %q", got, cause, want)
	}
	return err == nil && got == "", err
}

// how says how a step that was done came out, for statistics.
func (t *turn) how() string {
	switch {
	case t.code != "":
		return ", refused as " + string(t.code)
	case t.made.plan != nil && len(t.made.plan.keys) == 0, t.made.block.IsZero() && slices.Contains([]string{"del", "apply", "undo", "reset", "rollback", "pick"}, t.s.Do):
		return ", changed nothing"
	case t.made.plan != nil && slices.ContainsFunc(t.made.plan.keys, func(k foreseen) bool { return k.conflict }):
		return ", with conflicts"
	}
	return ""
}

// others checks that no place but some has other heads or another count than
// before. New forks are not looked at.
func (t *turn) others(touched ...place) error {
	for at, was := range t.before {
		now := t.see(at)
		if slices.Contains(touched, at) || was == now {
			continue
		}
		if !was.same(now) || was.visible != now.visible {
			return fmt.Errorf("%s was not to change: %s became %s", t.name(at), t.tell(was), t.tell(now))
		}
	}
	return nil
}

// name is a place for people.
func (w *World) name(at place) string {
	if label := w.mirror.labels[at.fork]; label != "" {
		return fmt.Sprintf("%s on %s (%s)", at.key, label, at.fork.Short())
	}
	return fmt.Sprintf("%s on %s", at.key, at.fork.Short())
}

// tell is a sight for people.
func (w *World) tell(s *sight) string {
	text := fmt.Sprintf("%.8q", s.value())
	if s.view.Deleted {
		text = "deleted"
	}
	if !s.exists() {
		text = "nothing"
	}
	text += fmt.Sprintf(" of %d revisions, heads", s.visible)
	for _, h := range s.heads {
		id := dag.RevisionID(h.ID)
		value := string(h.Value)
		if h.Deleted {
			value = "-"
		}
		text += fmt.Sprintf(" %s=%.8q by %s", id.Short(), value, w.writer(id))
	}
	return text
}

// writer is the name of the node that wrote a revision.
func (w *World) writer(id dag.RevisionID) string {
	node := w.mirror.home[id].node
	for _, n := range w.nodes {
		if n.key.ID() == node {
			return n.name
		}
	}
	return "forger"
}

// fork finds the fork of an argument, as the request names it. A refusal is
// what a node must answer to it.
func (t *turn) fork(arg string, write bool) (id dag.ForkID, text string, refusal rpc.Code, err error) {
	switch n, ok := number(arg, "#"); {
	case arg == "" || arg == dag.DefaultForkName:
		return dag.DefaultFork(), arg, "", nil
	case ok:
		if t.World.made[n] == nil || t.World.made[n].fork.IsZero() {
			return id, "", "", errNothing
		}
		id = t.World.made[n].fork
		if !t.mirror.known(t.n.has, id) {
			refusal = rpc.CodeNotFound
		}
		return id, id.String(), refusal, nil
	}
	called := t.mirror.called(t.n.has, arg)
	switch {
	case len(called) == 0:
		return id, arg, rpc.CodeNotFound, nil
	case len(called) > 1 && write:
		refusal = rpc.CodeAmbiguous
	}
	return called[0], arg, refusal, nil
}

// at finds the cut of an argument, as the request names it.
func (t *turn) at(fork dag.ForkID, arg string) (cut oracle.Cut, text string, refusal rpc.Code, err error) {
	if n, ok := number(arg, "b@"); ok {
		switch {
		case arg[0] == '@':
			text = time.UnixMilli(stepTime(n)).UTC().Format(time.RFC3339Nano)
			cut = t.cutAt(t.n, stepTime(n))
		case t.World.made[n] == nil || t.World.made[n].block.IsZero():
			return nil, "", "", errNothing
		default:
			b := t.mirror.blocks[t.World.made[n].block]
			cut, text = b.past, b.id.String()
			if !t.n.has[oracle.Block(b.id)] {
				return nil, text, rpc.CodeNotFound, nil
			}
		}
	} else if tagged, ok := t.tags[arg]; ok {
		cut, text = tagged.cut, arg
		if !t.n.has[tagged.by] {
			return nil, text, rpc.CodeNotFound, nil
		}
	} else {
		return nil, "", "", errNothing
	}
	if !t.mirror.known(cut, fork) {
		refusal = rpc.CodeNotFound
	}
	return cut, text, refusal, nil
}

// revision finds the revision of an argument.
func (t *turn) revision(arg string) (id dag.RevisionID, err error) {
	n, ok := number(arg, "r")
	if !ok || t.World.made[n] == nil || len(t.World.made[n].revisions) == 0 {
		return id, errNothing
	}
	return t.World.made[n].revisions[0], nil
}

// first returns the first refusal that applies, or error that there is.
func first[T comparable](all ...T) (none T) {
	for _, x := range all {
		if x != none {
			return x
		}
	}
	return none
}

// glance compares what the node serves where the step changed something.
func (t *turn) glance(ctx context.Context) error {
	for at, now := range t.sights() {
		if was := t.before[at]; was != now {
			if err := t.compareGet(ctx, t.n, at, now); err != nil {
				return err
			}
		}
	}
	if got := t.n.Graph().Stats(); int(got.Blocks) != len(t.n.has) || got.Failed != nil {
		return fmt.Errorf("%s has %d blocks and failure %v, want %d", t.n.name, got.Blocks, got.Failed, len(t.n.has))
	}
	return nil
}
