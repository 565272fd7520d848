package daemon

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// mergePlan is what a merge would do, from one cut of this node.
type mergePlan struct {
	src, dst dag.Fork
	cut      dag.Cut
	policies *policies // of the destination
	filter   *dag.Filter
	keys     []plannedKey
	skipped  []string
	idle     []string       // what was to be skipped and is in no key of the merge
	open     []rpc.Conflict // conflicts that nothing settles
	stops    bool           // for one of them nothing may be written
	id       string
}

// plannedKey is one key that the merge changes.
type plannedKey struct {
	key           string
	before, after *sight // on the destination
	change        string
	conflict      bool // new with this merge
	settle        *dag.Draft
	overrides     bool // the settlement replaces a value of the destination
}

// plan computes a merge without writing anything.
func (r *Replica) plan(ctx context.Context, src, dst dag.Fork, q *rpc.MergeRequest) (*mergePlan, error) {
	p := &mergePlan{src: src, dst: dst, cut: r.graph.Now()}
	changed, err := r.graph.ChangedKeys(ctx, src.ID, p.cut, dst.ID, p.cut)
	if err != nil {
		return nil, outward(err)
	}
	if p.policies, err = r.policiesBy(graphReader{r.graph}, dst.ID); err != nil {
		return nil, outward(err)
	}
	p.filter = skipFilter(append(p.policies.skips(changed), q.Skip...))
	merged, err := r.graph.Preview(dst.ID, src.ID, p.cut, nil)
	if err != nil {
		return nil, outward(err)
	}
	for _, key := range changed {
		if err := r.planKey(p, merged, key, q); err != nil {
			return nil, err
		}
	}
	if err := checkNamed(p, q); err != nil {
		return nil, err
	}
	for _, s := range q.Skip {
		if f := skipFilter([]string{s}); !slices.ContainsFunc(p.skipped, func(key string) bool { return !f.Pass(key) }) {
			p.idle = append(p.idle, s)
		}
	}
	p.id = p.hash(q)
	return p, nil
}

// skipFilter makes the filter that a merge records; nil for none.
func skipFilter(skip []string) *dag.Filter {
	f := &dag.Filter{}
	for _, s := range skip {
		if strings.Contains(s, "*") {
			f.Skips = append(f.Skips, s)
		} else {
			f.SkipKeys = append(f.SkipKeys, s)
		}
	}
	if f.IsZero() {
		return nil
	}
	return f
}

// planKey adds a key to the plan, if the merge changes it.
func (r *Replica) planKey(p *mergePlan, merged *dag.Preview, key string, q *rpc.MergeRequest) error {
	before, err := r.graph.Entry(p.dst.ID, key)
	if err != nil {
		return outward(err)
	}
	after, err := merged.Entry(key)
	if err != nil {
		return outward(err)
	}
	if slices.Equal(headIDs(&before), headIDs(&after)) {
		return nil
	}
	if !p.filter.Pass(key) {
		p.skipped = append(p.skipped, key)
		return nil
	}
	if pattern := p.policies.tornOf(key); pattern != "" && key != rpc.PolicyKey {
		return failure(rpc.CodeConflict, "the policy of %q on %q is in conflict, and %q matches it: settle %s first; nothing was written",
			pattern, p.dst.Name, key, rpc.PolicyKey)
	}
	k := plannedKey{key: key}
	if k.before, k.after, err = r.lookTwice(&before, &after); err != nil {
		return outward(err)
	}
	if k.change, err = k.before.changeTo(k.after); err != nil {
		return outward(err)
	}
	k.conflict = k.after.moreTorn(k.before)
	if err := r.settle(p, &k, q); err != nil {
		return outward(err)
	}
	if k.conflict && k.settle == nil {
		cs, err := r.withProposals(p.dst, k.after, r.onBoth(p.src))
		if err != nil {
			return err
		}
		p.open = append(p.open, cs...)
		p.stops = p.stops || p.strategy(key, q) == rpc.OnConflictFail
	}
	p.keys = append(p.keys, k)
	return nil
}

// moreTorn reports whether there is a conflict that was not there before, or
// stood otherwise.
func (s *sight) moreTorn(before *sight) bool {
	return slices.ContainsFunc(s.Conflicts, func(c crdt.Conflict) bool {
		return !slices.ContainsFunc(before.Conflicts, func(b crdt.Conflict) bool { return b.ID == c.ID && b.State == c.State })
	})
}

// settle decides what is written beside the merge for a key: for a rejection,
// a resolution, or a conflict under a strategy that settles.
func (r *Replica) settle(p *mergePlan, k *plannedKey, q *rpc.MergeRequest) error {
	var err error
	named := slices.DeleteFunc(slices.Clone(q.Resolve), func(x rpc.Resolution) bool { return x.Key != k.key })
	switch {
	case slices.Contains(q.Reject, k.key):
		var was content
		if was, err = k.before.content(); err == nil {
			k.settle, err = k.after.draft(&was, dag.MarkResolved)
		}
	case len(named) > 0:
		k.settle, err = r.resolved(p, k, named)
	case k.conflict:
		k.settle, err = r.settledBy(p, k, p.strategy(k.key, q))
	}
	if err != nil || k.settle == nil {
		return err
	}
	return k.foresee()
}

// foresee says what the settlement of a key will change on the destination.
func (k *plannedKey) foresee() error {
	c := contentOfDraft(k.settle)
	what, err := k.before.changeToContent(&c)
	k.change = what
	k.overrides = !k.before.Absent() && what != "same"
	return err
}

// contentOfDraft is what a read returns once a complete revision is written.
func contentOfDraft(d *dag.Draft) content {
	out := content{kind: crdt.Kind(d.Kind), deleted: d.Deleted}
	if !d.Deleted {
		out.value = crdt.TextOf(out.kind, d.Payload)
	}
	return out
}

// settledBy settles all conflicts of a key by a strategy; nil if that leaves
// them open.
func (r *Replica) settledBy(p *mergePlan, k *plannedKey, how rpc.Strategy) (*dag.Draft, error) {
	var choose func(*crdt.Conflict) (choice, error)
	switch how {
	case rpc.OnConflictOurs:
		choose = func(c *crdt.Conflict) (choice, error) { return k.after.ofFork(c, k.before) }
	case rpc.OnConflictTheirs:
		theirs, err := r.theirs(p, k.key)
		if err != nil {
			return nil, err
		}
		choose = func(c *crdt.Conflict) (choice, error) { return k.after.ofFork(c, theirs) }
	case rpc.OnConflictLWW:
		choose = k.after.newestSide
	default:
		return nil, nil
	}
	return k.after.settling(k.after.all(), choose, dag.MarkResolved)
}

// strategy is what is done with a conflict of a key.
func (p *mergePlan) strategy(key string, q *rpc.MergeRequest) rpc.Strategy {
	return cmp.Or(q.OnConflict, p.policies.of(key).Merge, rpc.OnConflictFail)
}

// theirs is what the source of a merge shows.
func (r *Replica) theirs(p *mergePlan, key string) (*sight, error) {
	e, err := r.graph.EntryAt(p.src.ID, key, p.cut)
	if err != nil {
		return nil, err
	}
	return r.look(&e)
}

// resolved is the settlement of a key by resolutions that name it: one of the
// whole key, or some of its paths.
func (r *Replica) resolved(p *mergePlan, k *plannedKey, named []rpc.Resolution) (*dag.Draft, error) {
	first := &named[0]
	if whole := first.Path == "" || first.Path == crdt.Root; whole && first.Value != nil {
		c := content{kind: k.after.kind(), value: *first.Value}
		if c.kind.Opaque() {
			c.kind = crdt.Bytes
		}
		if err := checkValue(k.key, c.kind, c.value); err != nil {
			return nil, err
		}
		return k.after.draft(&c, dag.MarkResolved)
	}
	theirs, err := r.theirs(p, k.key)
	if err != nil {
		return nil, err
	}
	forks := []forkSide{{p.dst, k.before}, {p.src, theirs}}
	if k.after.settled() { // a side can be taken also where nothing is in dispute
		return r.taken(k, first, forks)
	}
	var which []*crdt.Conflict
	by := map[*crdt.Conflict]func(*crdt.Conflict) (choice, error){}
	for i := range named {
		x := &named[i]
		meant := k.after.conflictsAt(x.Path)
		if len(meant) == 0 {
			return nil, failure(rpc.CodeStale, "the merge makes no conflict of %q%s: there is nothing to settle", k.key, at(x.Path))
		}
		choose, err := r.chosen(p, k.after, meant, x, forks)
		if err != nil {
			return nil, err
		}
		for _, c := range meant {
			if by[c] != nil {
				return nil, failure(rpc.CodeInvalid, "the conflict of %q%s is settled twice", k.key, at(c.Path))
			}
			by[c], which = choose, append(which, c)
		}
	}
	if len(which) < len(k.after.Conflicts) {
		return nil, failure(rpc.CodeConflict, "%q has conflicts at %s: settle all of them, or none", k.key, pathsOf(k.after.all()))
	}
	return k.after.settling(which, func(c *crdt.Conflict) (choice, error) { return by[c](c) }, dag.MarkResolved)
}

// chosen is what one resolution takes.
func (r *Replica) chosen(p *mergePlan, s *sight, which []*crdt.Conflict, x *rpc.Resolution, forks []forkSide) (func(*crdt.Conflict) (choice, error), error) {
	if x.Value == nil {
		return r.taking(p.dst, s, which, x.Side, r.onBoth(p.src), forks...)
	}
	return func(c *crdt.Conflict) (choice, error) {
		d, err := s.fragment(*x.Value, c.Path, 0)
		return choice{document: d}, err
	}, nil
}

// taken is the settlement of a key that is in no conflict by the side of a fork.
func (r *Replica) taken(k *plannedKey, x *rpc.Resolution, forks []forkSide) (*dag.Draft, error) {
	if f, ok := r.graph.ForkNamed(x.Side); ok {
		for _, side := range forks {
			if side.fork.ID == f.ID {
				c, err := side.shows.content()
				if err != nil {
					return nil, err
				}
				return k.after.draft(&c, dag.MarkResolved)
			}
		}
	}
	h, err := r.headCalled(k.after, x.Side)
	if err != nil {
		return nil, err
	}
	return k.after.draft(h, dag.MarkResolved)
}

// headCalled is what the one head holds that a fork, a node or a part of an id
// names.
func (r *Replica) headCalled(s *sight, name string) (*content, error) {
	var found []content
	for _, id := range headIDs(s.Entry) {
		c, err := s.from.change(s.Key, id)
		if err != nil {
			return nil, err
		}
		if r.isCalled(s, &c, name) {
			value, err := r.contentOf(&c)
			if err != nil {
				return nil, err
			}
			found = append(found, value)
		}
	}
	switch len(found) {
	case 0:
		return nil, failure(rpc.CodeNotFound, "%q names no side of %q: give a letter, a fork, a node or a revision of the list", name, s.Key)
	case 1:
		return &found[0], nil
	}
	return nil, failure(rpc.CodeAmbiguous, "%q names %d sides of %q: give the letter or the revision", name, len(found), s.Key)
}

func headOf(e *dag.Entry, id dag.RevisionID) *dag.Head {
	for i := range e.Heads {
		if e.Heads[i].ID == id {
			return &e.Heads[i]
		}
	}
	return nil
}

// checkNamed refuses resolutions and rejections of keys that the merge does
// not change.
func checkNamed(p *mergePlan, q *rpc.MergeRequest) error {
	named := slices.Clone(q.Reject)
	for _, x := range q.Resolve {
		if (x.Side == "") == (x.Value == nil) {
			return failure(rpc.CodeInvalid, "the resolution of %q wants a side or a value", x.Key)
		}
		named = append(named, x.Key)
	}
	for _, key := range named {
		if !slices.ContainsFunc(p.keys, func(k plannedKey) bool { return k.key == key }) {
			return failure(rpc.CodeStale, "the merge does not change %q: there is nothing to settle", key)
		}
	}
	return nil
}

// hash makes the plan's id: of the options and of both sides' heads of every
// key in it.
func (p *mergePlan) hash(q *rpc.MergeRequest) string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	write := func(v any) {
		if err := enc.Encode(v); err != nil {
			panic("daemon: hash a plan: " + err.Error())
		}
	}
	write([]any{"crush merge plan 1", p.src.ID, p.dst.ID, q.OnConflict, q.Resolve, q.Skip, q.Reject, p.skipped, p.policies.by})
	for i := range p.keys {
		write([]any{p.keys[i].key, headIDs(p.keys[i].before.Entry), headIDs(p.keys[i].after.Entry)})
	}
	return hex.EncodeToString(h.Sum(nil)[:10])
}

// answer describes the plan.
func (p *mergePlan) answer() rpc.Merged {
	out := rpc.Merged{
		Plan: p.id, Source: p.src.Name, Into: p.dst.Name, Clean: []rpc.MergedKey{}, Skipped: []string{}, Conflicts: []rpc.Conflict{},
		Settled: []rpc.MergedKey{}, Overrides: []string{}, Unchanged: len(p.keys) == 0, Stops: p.stops,
	}
	out.Skipped = append(out.Skipped, p.skipped...)
	out.Unmatched = p.idle
	out.Conflicts = append(out.Conflicts, p.open...)
	for _, k := range p.keys {
		m := rpc.MergedKey{Key: k.key, Change: k.change}
		switch {
		case k.settle != nil:
			out.Settled = append(out.Settled, m)
		case !k.conflict:
			out.Clean = append(out.Clean, m)
		}
		if k.overrides {
			out.Overrides = append(out.Overrides, k.key)
		}
	}
	return out
}

// errMoved says that a key of the plan has changed since.
var errMoved = errors.New("a key of the plan has changed")

// apply writes the merge as one atomic change: the operation, and behind it
// what settles conflicts.
func (r *Replica) apply(ctx context.Context, p *mergePlan, c rpc.Claim) (dag.Receipt, error) {
	settled := map[string]*dag.Draft{}
	change := &largeChange{fork: p.dst, note: noteOf(c), check: p.holds}
	for i := range p.keys {
		if k := &p.keys[i]; k.settle != nil {
			settled[k.key], change.keys = k.settle, append(change.keys, k.key)
		}
	}
	change.draft = func(_ *dag.Tx, _ dag.ForkID, key string) (*dag.Draft, string, error) {
		d := *settled[key]
		return &d, "", nil
	}
	change.operations = func(tx *dag.Tx, on dag.ForkID) error {
		return tx.Op(dag.NewOp(dag.MergeOp{Into: on, From: dag.NewContribution(p.src.ID, p.cut.Tips(), p.filter)}))
	}
	rec, _, err := change.write(ctx, r)
	return rec, err
}

// holds returns errMoved if a key of the plan has changed since.
func (p *mergePlan) holds(tx *dag.Tx) error {
	for i := range p.keys {
		e, err := tx.Entry(p.dst.ID, p.keys[i].key)
		if err != nil {
			return err
		}
		if !slices.Equal(headIDs(e), headIDs(p.keys[i].before.Entry)) {
			return errMoved
		}
	}
	return nil
}
