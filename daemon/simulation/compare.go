package simulation

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"crush/crdt"
	"crush/crdt/oracle"
	"crush/dag"
	"crush/rpc"
)

// Compare holds everything that a node answers against the oracle: for every
// fork and key what is served, heads, count, conflict and history; listings,
// open conflicts, differences of forks, names, and reads at old blocks.
func (w *World) Compare(ctx context.Context, n *Node) error {
	forks := w.mirror.forks(n.has, true)
	for _, fork := range forks {
		for _, key := range w.keys() {
			at := place{fork, key}
			if err := w.compareGet(ctx, n, at, w.mirror.see(n.has, at)); err != nil {
				return err
			}
			if err := w.compareLog(ctx, n, at); err != nil {
				return err
			}
			if err := w.compareInfo(ctx, n, at); err != nil {
				return err
			}
		}
		if err := w.compareList(ctx, n, fork, nil); err != nil {
			return err
		}
	}
	if err := w.compareForks(ctx, n); err != nil {
		return err
	}
	if err := w.compareConflicts(ctx, n); err != nil {
		return err
	}
	if err := w.comparePast(ctx, n); err != nil {
		return err
	}
	if !w.documents {
		if err := w.compareDiff(ctx, n); err != nil {
			return err
		}
	}
	return w.compareSet(n)
}

// compareSet compares the set of blocks: how many, how many void parts, and
// the tips.
func (w *World) compareSet(n *Node) error {
	s, voids := n.Graph().Stats(), 0
	for b := range n.has {
		voids += w.mirror.voids[dag.BlockID(b)]
	}
	if int(s.Blocks) != len(n.has) || int(s.Void) != voids {
		return fmt.Errorf("%s has %d blocks with %d void parts, want %d with %d", n.name, s.Blocks, s.Void, len(n.has), voids)
	}
	if got, want := n.Graph().Now().Tips(), w.mirror.tips(n.has); !slices.Equal(got, want) {
		return fmt.Errorf("%s has the tips %v, want %v", n.name, got, want)
	}
	return nil
}

// compareGet compares what is served at a place.
func (w *World) compareGet(ctx context.Context, n *Node, at place, want *sight) error {
	q := rpc.GetRequest{KeyRef: rpc.KeyRef{Fork: at.fork.String(), Key: at.key}}
	got, err := n.Get(ctx, q)
	if w.withheld(n.has, at) {
		if err == nil {
			return fmt.Errorf("%s: %s is served, and its policy says that it must not be", n.name, w.name(at))
		}
		if q.Winner = true; rpc.CodeOf(err) == rpc.CodeConflict {
			got, err = n.Get(ctx, q)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: get %s: %w", n.name, w.name(at), err)
	}
	if err := w.sameEntry(&got, want, false); err != nil {
		return fmt.Errorf("%s: %s: %w; want %s", n.name, w.name(at), err, w.tell(want))
	}
	return nil
}

// withheld: a key is in conflict within a cut, and its policy wants it not to
// be served then.
func (w *World) withheld(cut oracle.Cut, at place) bool {
	return w.documents && w.mirror.see(cut, at).conflicted() && w.mirror.policy(cut, at.fork, at.key).fails
}

// sameEntry compares an answer with what must be there; the value of what is
// withheld is not.
func (w *World) sameEntry(got *rpc.Entry, want *sight, withheld bool) error {
	switch {
	case got.Withheld != withheld || withheld && got.Value != nil:
		return fmt.Errorf("is withheld: %v, with the value %.40q", got.Withheld, got.Value)
	case !withheld && !want.holds(got.Kind, got.Value):
		return fmt.Errorf("serves %.40q of revision %s", got.Value, got.Revision.Short())
	}
	return w.sameHeads(got, want)
}

// sameHeads compares all but the value.
func (w *World) sameHeads(got *rpc.Entry, want *sight) error {
	v := &want.view
	switch {
	case !slices.Equal(revisionIDs(got.Heads), want.headIDs()):
		return fmt.Errorf("heads %v", got.Heads)
	case got.Revision != dag.RevisionID(v.Served):
		return fmt.Errorf("serves revision %s, want %s", got.Revision.Short(), dag.RevisionID(v.Served).Short())
	case got.Deleted != v.Absent():
		return fmt.Errorf("deleted is %v", got.Deleted)
	case got.Kind != v.Kind:
		return fmt.Errorf("kind is %v, want %v", got.Kind, v.Kind)
	case got.RevisionCount != uint64(max(want.visible, 1)-1):
		return fmt.Errorf("counts %d", got.RevisionCount)
	case got.Conflict != want.conflicted() || len(got.Conflicts) != len(v.Conflicts):
		return fmt.Errorf("conflict is %v, %d listed", got.Conflict, len(got.Conflicts))
	}
	for i := range v.Conflicts {
		if err := w.sameConflict(&got.Conflicts[i], want.conflict(i), w.seenByAll(&v.Conflicts[i])); err != nil {
			return err
		}
	}
	return nil
}

// sameConflict compares ids, kind and sides: letters, values, which is served;
// and the base, which must be the newest of what the sides have in common.
func (w *World) sameConflict(got *rpc.Conflict, want open, common map[crdt.RevisionID]bool) error {
	if got.ID != want.ID || got.State != want.State || got.Path != want.Path.String() || got.Kind != string(want.Kind) || len(got.Sides) != len(want.Sides) {
		return fmt.Errorf("conflict %v in state %v of kind %s with %d sides, want %v, %v, %s, %d",
			got.ID, got.State, got.Kind, len(got.Sides), want.ID, want.State, want.Kind, len(want.Sides))
	}
	for i, s := range want.Sides {
		g := &got.Sides[i]
		id := dag.RevisionID(s.Revision)
		if g.Letter != s.Letter || g.Revision != id || g.Deleted != s.Deleted || g.Served != (s.Rank == 0) || !want.isOf(i, g) ||
			g.Purged == nil && !want.holds(i, g) && len(w.mirror.purged) == 0 || g.Purged != nil && !w.mirror.purged[id] || g.Node != w.writer(id) {
			return fmt.Errorf("side %s: %+v, want %s of %s by %s, deleted %v, rank %d, %v",
				s.Letter, *g, id.Short(), s.Kind, w.writer(id), s.Deleted, s.Rank, want.sides[i])
		}
	}
	common = w.wroteAt(common, want.Path)
	if (got.Base != nil) != (len(common) > 0) || got.Base != nil && !w.newestOf(common, crdt.RevisionID(got.Base.Revision)) {
		return fmt.Errorf("conflict %v at %s has the base %+v, want the newest of %d", got.ID, got.Path, got.Base, len(common))
	}
	return nil
}

// wroteAt are those of a set that changed what stands at a path of a document.
func (w *World) wroteAt(set map[crdt.RevisionID]bool, path crdt.Path) map[crdt.RevisionID]bool {
	out := map[crdt.RevisionID]bool{}
	for id := range set {
		r := w.mirror.oracle.Revision(id)
		out[id] = path == crdt.Root || r.Change == nil || !isDocument(r.Kind)
		if r.Change != nil {
			for p := range r.Change.Writes {
				out[id] = out[id] || oracle.Within(p, path) || oracle.Within(path, p)
			}
		}
	}
	maps.DeleteFunc(out, func(_ crdt.RevisionID, wrote bool) bool { return !wrote })
	return out
}

// seenByAll are the revisions that every side of a conflict is made of or has
// seen.
func (w *World) seenByAll(c *crdt.Conflict) map[crdt.RevisionID]bool {
	sides := map[crdt.RevisionID]int{}
	for _, s := range c.Sides {
		seen := map[crdt.RevisionID]bool{}
		for _, id := range s.Revisions {
			seen[id] = true // another side can have seen what this one is made of
			maps.Copy(seen, w.mirror.oracle.Ancestors(id))
		}
		for id := range seen {
			sides[id]++
		}
	}
	all := map[crdt.RevisionID]bool{}
	for id, n := range sides {
		if n == len(c.Sides) {
			all[id] = true
		}
	}
	return all
}

// newestOf reports whether a revision is in a set that has none that saw it.
func (w *World) newestOf(set map[crdt.RevisionID]bool, id crdt.RevisionID) bool {
	for other := range set {
		if w.mirror.oracle.Ancestors(other)[id] {
			return false
		}
	}
	return set[id]
}

func revisionIDs(ids []dag.RevisionID) []crdt.RevisionID {
	out := make([]crdt.RevisionID, len(ids))
	for i, id := range ids {
		out[i] = crdt.RevisionID(id)
	}
	return out
}

// compareLog compares the history of a key: each visible revision once, none
// after one that came before it; and which of them are heads.
func (w *World) compareLog(ctx context.Context, n *Node, at place) error {
	want := w.mirror.see(n.has, at)
	var ids []crdt.RevisionID
	for e, err := range n.Log(ctx, rpc.LogRequest{KeyRef: rpc.KeyRef{Fork: at.fork.String(), Key: at.key}, Values: true}) {
		if err != nil {
			if !want.exists() && rpc.CodeOf(err) == rpc.CodeNotFound {
				return nil
			}
			return fmt.Errorf("%s: log %s: %w", n.name, w.name(at), err)
		}
		id := crdt.RevisionID(e.Revision)
		ids = append(ids, id)
		if head := slices.Contains(want.headIDs(), id); e.Head != head {
			return fmt.Errorf("%s: log %s: %s is a head: %v, want %v", n.name, w.name(at), e.Revision.Short(), e.Head, head)
		}
		home := w.mirror.home[e.Revision]
		if home == nil || e.Block != home.id || !bytes.Equal(e.Value, home.text(slices.Index(home.Revisions, e.Revision))) {
			return fmt.Errorf("%s: log %s: %s is another revision than that of this id", n.name, w.name(at), e.Revision.Short())
		}
	}
	if err := w.mirror.oracle.At(n.has).CheckHistory(crdt.ForkID(at.fork), at.key, ids); err != nil {
		return fmt.Errorf("%s: log %s: %w", n.name, w.name(at), err)
	}
	return nil
}

// compareInfo compares counts and times, and the number of the values that the
// ancestor's API would give with those that it gives.
func (w *World) compareInfo(ctx context.Context, n *Node, at place) error {
	want := w.mirror.see(n.has, at)
	ref := rpc.KeyRef{Fork: at.fork.String(), Key: at.key}
	got, err := n.Info(ctx, ref)
	if !want.exists() && rpc.CodeOf(err) == rpc.CodeNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: info of %s: %w", n.name, w.name(at), err)
	}
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, r := range w.mirror.oracle.At(n.has).Visible(crdt.ForkID(at.fork), at.key) {
		first = min(first, r.Time)
	}
	for _, h := range want.heads {
		last = max(last, h.Time)
	}
	if got.First.UnixMilli() != first || got.Last.UnixMilli() != last || int(got.RevisionCount) != want.visible-1 || want.known() && got.Size != int64(len(want.text())) {
		return fmt.Errorf("%s: info of %s is %+v, want %s from %d to %d", n.name, w.name(at), got, w.tell(want), first, last)
	}
	values := 0
	for _, err := range n.Previous(ctx, ref) {
		if err != nil {
			return fmt.Errorf("%s: previous values of %s: %w", n.name, w.name(at), err)
		}
		values++
	}
	count, err := n.PreviousCount(ctx, ref)
	if err == nil && int(count) != values {
		err = fmt.Errorf("%s: %s has %d previous values, said are %d", n.name, w.name(at), values, count)
	}
	return err
}

// compareList compares the keys that a fork has: all, below a prefix, behind a
// key; at the cut of a block, if there is one.
func (w *World) compareList(ctx context.Context, n *Node, fork dag.ForkID, b *block) error {
	cut, at := n.has, ""
	if b != nil {
		cut, at = b.past, b.id.String()
	}
	for _, q := range []rpc.ListRequest{{}, {Prefix: "app/"}, {After: "app/a"}, {Prefix: "app/", After: "app/a"}} {
		q.Fork, q.Values, q.At = fork.String(), true, at
		var want []string
		for _, key := range slices.Sorted(slices.Values(w.keys())) {
			if s := w.mirror.see(cut, place{fork, key}); strings.HasPrefix(key, q.Prefix) && key > q.After && (!s.view.Absent() || w.withheld(cut, place{fork, key})) {
				want = append(want, key)
			}
		}
		var got []string
		for e, err := range n.List(ctx, q) {
			if err != nil {
				return fmt.Errorf("%s: list: %w", n.name, err)
			}
			if e.Key == rpc.PolicyKey && !w.documents {
				continue
			}
			got = append(got, e.Key)
			at := place{fork, e.Key}
			if err := w.sameEntry(&e, w.mirror.see(cut, at), w.withheld(cut, at)); err != nil {
				return fmt.Errorf("%s: list %s at %q: %w", n.name, w.name(at), q.At, err)
			}
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("%s: list of %q after %q on %s at %q gives %q, want %q", n.name, q.Prefix, q.After, fork.Short(), at, got, want)
		}
	}
	return nil
}

// compareConflicts compares the open conflicts of all forks that are not
// removed.
func (w *World) compareConflicts(ctx context.Context, n *Node) error {
	want := map[crdt.ConflictID]open{}
	for _, fork := range w.mirror.forks(n.has, false) {
		if _, naming, _ := w.mirror.title(n.has, fork); naming.deleted {
			continue
		}
		for _, key := range w.keys() {
			s := w.mirror.see(n.has, place{fork, key})
			for i := range s.view.Conflicts {
				want[s.view.Conflicts[i].ID] = s.conflict(i)
			}
		}
	}
	for c, err := range n.Conflicts(ctx, "", "") {
		if err != nil {
			return fmt.Errorf("%s: conflicts: %w", n.name, err)
		}
		if want[c.ID].Conflict == nil {
			return fmt.Errorf("%s: a conflict of %s on %s is listed that is none, is settled or is listed twice", n.name, c.Key, c.Fork)
		}
		if err := w.sameConflict(&c, want[c.ID], w.seenByAll(want[c.ID].Conflict)); err != nil {
			return fmt.Errorf("%s: conflicts: %s on %s: %w", n.name, c.Key, c.Fork, err)
		}
		delete(want, c.ID)
	}
	if len(want) > 0 {
		return fmt.Errorf("%s: %d conflicts are not listed", n.name, len(want))
	}
	return nil
}

// comparePast compares a read at the cut of an old block.
func (w *World) comparePast(ctx context.Context, n *Node) error {
	b := w.oldBlock(n, w.dice(1))
	for _, fork := range w.mirror.forks(n.has, true) {
		made := w.mirror.known(b.past, fork)
		if made {
			if err := w.compareList(ctx, n, fork, b); err != nil {
				return err
			}
		}
		for _, key := range w.keys() {
			at := place{fork, key}
			got, err := n.Get(ctx, rpc.GetRequest{KeyRef: rpc.KeyRef{Fork: fork.String(), Key: key}, At: b.id.String()})
			switch {
			case !made && rpc.CodeOf(err) == rpc.CodeNotFound:
				continue
			case made && w.withheld(b.past, at) && rpc.CodeOf(err) == rpc.CodeConflict:
				continue
			case err != nil || !made:
				return fmt.Errorf("%s: get %s at block %s, fork made %v: %w", n.name, w.name(at), b.id.Short(), made, err)
			}
			if err := w.sameEntry(&got, w.mirror.see(b.past, at), false); err != nil {
				return fmt.Errorf("%s: %s at block %s: %w; want %s", n.name, w.name(at), b.id.Short(), err, w.tell(w.mirror.see(b.past, at)))
			}
		}
	}
	return nil
}

// compareDiff compares the differences between two forks, one of them now or at
// the cut of an old block.
func (w *World) compareDiff(ctx context.Context, n *Node) error {
	forks := w.mirror.forks(n.has, true)
	r := w.dice(2)
	a, b := forks[r.IntN(len(forks))], forks[r.IntN(len(forks))]
	q := rpc.DiffRequest{A: a.String(), B: b.String()}
	cut := n.has
	if old := w.oldBlock(n, r); r.IntN(2) == 0 && w.mirror.known(old.past, b) {
		q.B += "@" + old.id.String()
		cut = old.past
	}
	want := map[string]string{}
	for _, key := range w.keys() {
		was, is := w.mirror.see(n.has, place{a, key}), w.mirror.see(cut, place{b, key})
		if c := change(was, is); c != "same" {
			want[key] = c
		}
	}
	got := map[string]string{}
	for d, err := range n.Diff(ctx, q) {
		if err != nil {
			return fmt.Errorf("%s: diff: %w", n.name, err)
		}
		was, is := w.mirror.see(n.has, place{a, d.Key}), w.mirror.see(cut, place{b, d.Key})
		if !w.shows(d.A, was) || !w.shows(d.B, is) {
			return fmt.Errorf("%s: diff of %s: %.8q and %.8q, want %s and %s", n.name, d.Key, d.A, d.B, w.tell(was), w.tell(is))
		}
		got[d.Key] = d.Change
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("%s: diff of %s and %s: %v, want %v", n.name, q.A, q.B, got, want)
	}
	return nil
}

// oldBlock picks a block that a node has.
func (w *World) oldBlock(n *Node, r *rand.Rand) *block {
	blocks := slices.SortedFunc(maps.Keys(n.arrived), func(a, b dag.BlockID) int { return n.arrived[a] - n.arrived[b] })
	return w.mirror.blocks[blocks[r.IntN(len(blocks))]]
}

func (w *World) shows(got []byte, want *sight) bool {
	if want.view.Absent() {
		return got == nil
	}
	return got != nil && bytes.Equal(got, want.served().Value)
}

// change says what a key becomes from one sight to the next.
func change(was, is *sight) string {
	switch {
	case was.view.Absent() && is.view.Absent():
		return "same"
	case was.view.Absent():
		return "created"
	case is.view.Absent():
		return "deleted"
	case sameValue(was, is):
		return "same"
	}
	return "changed"
}

// compareForks compares names, deletions and what reads by name find.
func (w *World) compareForks(ctx context.Context, n *Node) error {
	infos, err := n.Forks(ctx)
	if err != nil {
		return fmt.Errorf("%s: list forks: %w", n.name, err)
	}
	listed := map[dag.ForkID]rpc.ForkInfo{}
	for _, f := range infos {
		listed[f.ID] = f
	}
	forks := w.mirror.forks(n.has, false)
	if len(listed) != len(forks) || len(infos) != len(forks) {
		return fmt.Errorf("%s: %d forks are listed, want %d", n.name, len(infos), len(forks))
	}
	for _, id := range forks {
		name, naming, clash := w.mirror.title(n.has, id)
		if f := listed[id]; f.Name != name || f.Deleted != naming.deleted || f.Clash != clash {
			return fmt.Errorf("%s: fork %s is called %q, deleted %v, clash %v; want %q, %v, %v",
				n.name, id.Short(), f.Name, f.Deleted, f.Clash, name, naming.deleted, clash)
		}
	}
	for _, name := range forkNames {
		var got []dag.ForkID
		for _, f := range n.Graph().ForksLabelled(name) {
			got = append(got, f.ID)
		}
		if want := w.mirror.called(n.has, name); !slices.Equal(got, want) {
			return fmt.Errorf("%s: the forks %q are %v, want %v", n.name, name, got, want)
		}
	}
	return nil
}

// sameCut reports whether blocks name a cut by its maximal ones.
func (m *Mirror) sameCut(tips []dag.BlockID, cut oracle.Cut) bool {
	got := oracle.Cut{}
	for _, id := range tips {
		maps.Copy(got, m.blocks[id].past)
	}
	return maps.Equal(got, cut)
}
