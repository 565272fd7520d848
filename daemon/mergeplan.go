package daemon

import (
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
	filter   *dag.Filter
	keys     []plannedKey
	skipped  []string
	idle     []string       // what was to be skipped and is in no key of the merge
	open     []rpc.Conflict // conflicts that nothing settles
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
	p := &mergePlan{src: src, dst: dst, cut: r.graph.Now(), filter: skipFilter(q.Skip)}
	changed, err := r.graph.ChangedKeys(ctx, src.ID, p.cut, dst.ID, p.cut)
	if err != nil {
		return nil, outward(err)
	}
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
	k := plannedKey{key: key}
	if k.before, k.after, err = r.lookTwice(&before, &after); err != nil {
		return outward(err)
	}
	k.change = k.before.changeTo(k.after)
	k.conflict = !k.after.settled() && (k.before.settled() || k.before.Conflicts[0].State != k.after.Conflicts[0].State)
	if err := r.settle(p, &k, q); err != nil {
		return outward(err)
	}
	if k.conflict && k.settle == nil {
		cs, err := r.conflicts(p.dst, k.after, r.onBoth(p.src))
		if err != nil {
			return err
		}
		p.open = append(p.open, cs...)
	}
	p.keys = append(p.keys, k)
	return nil
}

// settle decides what is written beside the merge for a key: for a rejection,
// a resolution, or a conflict under a strategy that settles.
func (r *Replica) settle(p *mergePlan, k *plannedKey, q *rpc.MergeRequest) error {
	i := slices.IndexFunc(q.Resolve, func(x rpc.Resolution) bool { return x.Key == k.key })
	var c content
	var err error
	switch {
	case slices.Contains(q.Reject, k.key), i < 0 && k.conflict && q.OnConflict == rpc.OnConflictOurs:
		c, err = k.before.content()
	case i >= 0 && q.Resolve[i].Value != nil:
		c = content{kind: k.after.kind(), value: *q.Resolve[i].Value}
		if c.kind != crdt.Bytes && c.kind != crdt.Text {
			c.kind = crdt.Bytes
		}
		err = checkValue(k.key, c.kind, c.value)
	case i >= 0:
		c, err = r.resolvedBy(p, k, q.Resolve[i].Side)
	case k.conflict && q.OnConflict == rpc.OnConflictTheirs:
		c, err = r.theirs(p, k.key)
	case k.conflict && q.OnConflict == rpc.OnConflictLWW:
		c, err = k.after.contentOfHead(newestHead(k.after.Entry))
	default:
		return nil
	}
	if err != nil {
		return err
	}
	k.overrides = !k.before.Absent() && !k.before.holds(&c)
	k.change = k.before.changeToContent(&c)
	k.settle, err = k.after.draft(&c, dag.MarkResolved)
	return err
}

// theirs is what the source of a merge serves.
func (r *Replica) theirs(p *mergePlan, key string) (content, error) {
	e, err := r.graph.EntryAt(p.src.ID, key, p.cut)
	if err != nil {
		return content{}, err
	}
	s, err := r.look(&e)
	if err != nil {
		return content{}, err
	}
	return s.content()
}

// resolvedBy is what a side of a merge holds.
func (r *Replica) resolvedBy(p *mergePlan, k *plannedKey, side string) (content, error) {
	e, err := r.graph.EntryAt(p.src.ID, k.key, p.cut)
	if err != nil {
		return content{}, err
	}
	s, err := r.look(&e)
	if err != nil {
		return content{}, err
	}
	return r.sideOf(k.after, side, forkSide{p.dst, k.before}, forkSide{p.src, s})
}

// newestHead is the head with the highest (time, chain, id).
func newestHead(e *dag.Entry) *dag.Head {
	best := &e.Heads[0]
	for i := range e.Heads {
		if h := &e.Heads[i]; compareHeads(h, best) > 0 {
			best = h
		}
	}
	return best
}

func compareHeads(a, b *dag.Head) int {
	switch {
	case a.Time != b.Time:
		return int(a.Time - b.Time)
	case a.Place.Chain != b.Place.Chain:
		return slices.Compare(a.Place.Chain[:], b.Place.Chain[:])
	}
	return compareIDs(a.ID, b.ID)
}

// forkSide is a fork that a person may mean by its name, and what it shows.
type forkSide struct {
	fork  dag.Fork
	shows *sight
}

// sideOf resolves what a person named as the side to take: a letter of the
// list, a fork, a node or a revision.
func (r *Replica) sideOf(s *sight, side string, forks ...forkSide) (content, error) {
	for _, c := range s.Conflicts {
		for _, x := range c.Sides {
			if x.Letter == side {
				return s.contentOfHead(headOf(s.Entry, dag.RevisionID(x.Revision)))
			}
		}
	}
	if f, ok := r.graph.ForkNamed(side); ok {
		for _, x := range forks {
			if x.fork.ID == f.ID {
				return x.shows.content()
			}
		}
	}
	h, err := r.headCalled(s.Entry, side)
	if err != nil {
		return content{}, err
	}
	return s.contentOfHead(h)
}

func headOf(e *dag.Entry, id dag.RevisionID) *dag.Head {
	for i := range e.Heads {
		if e.Heads[i].ID == id {
			return &e.Heads[i]
		}
	}
	return nil
}

// sameSide reports whether two heads of a conflict stand on one side of it.
func sameSide(a, b *dag.Head) bool {
	if a.Deleted || b.Deleted {
		return a.Deleted && b.Deleted
	}
	return a.Kind == b.Kind && a.Value == b.Value
}

// headCalled finds a head of the one side that a fork, a node or a part of an
// id names.
func (r *Replica) headCalled(e *dag.Entry, name string) (*dag.Head, error) {
	changes, err := r.graph.HeadChanges(e)
	if err != nil {
		return nil, outward(err)
	}
	var found []*dag.Head
	for i := range e.Heads {
		h, c := &e.Heads[i], &changes[i]
		on, _ := r.graph.ForkOfHead(h)
		long, short := h.ID.String(), len(name) >= 6
		if on.Name == name || r.nodeName(c.Node) == name || c.Node.String() == name || long == name || short && strings.HasPrefix(long[len(long)-52:], name) {
			known := slices.ContainsFunc(found, func(f *dag.Head) bool { return sameSide(f, h) })
			if !known {
				found = append(found, h)
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, failure(rpc.CodeNotFound, "%q names no side of %q: give a letter, a fork, a node or a revision of the list", name, e.Key)
	case 1:
		return found[0], nil
	}
	return nil, failure(rpc.CodeAmbiguous, "%q names %d sides of %q: give the letter or the revision", name, len(found), e.Key)
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
	write([]any{"crush merge plan 1", p.src.ID, p.dst.ID, q.OnConflict, q.Resolve, q.Skip, q.Reject, p.skipped})
	for i := range p.keys {
		write([]any{p.keys[i].key, headIDs(p.keys[i].before.Entry), headIDs(p.keys[i].after.Entry)})
	}
	return hex.EncodeToString(h.Sum(nil)[:10])
}

// answer describes the plan.
func (p *mergePlan) answer() rpc.Merged {
	out := rpc.Merged{
		Plan: p.id, Source: p.src.Name, Into: p.dst.Name, Clean: []rpc.MergedKey{}, Skipped: []string{}, Conflicts: []rpc.Conflict{},
		Settled: []rpc.MergedKey{}, Overrides: []string{}, Unchanged: len(p.keys) == 0,
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
