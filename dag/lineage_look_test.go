package dag_test

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"crush/crdt"
	"crush/crdt/oracle"
	"crush/dag"
)

// look holds what a node answers against the oracle.
func (w *forkWorld) look(a *party) {
	w.t.Helper()
	if s := a.Stats(); int(s.Blocks) != len(a.has) || s.Void != 0 || s.Failed != nil {
		w.t.Fatalf("%s: %+v, want %d blocks and no void", a.name, s, len(a.has))
	}
	forks := a.known(w)
	if n := len(a.Forks()); n > len(forks) {
		w.t.Fatalf("%s lists %d forks, and knows %d", a.name, n, len(forks))
	}
	for _, f := range forks {
		for _, key := range forkKeys {
			e, err := a.Entry(f, key)
			w.must("entry", err)
			w.sameEntry(a, a.has, &e)
			w.lookHistory(a, &e)
			w.lookVisible(a, &e)
		}
		w.lookEntries(a, f)
	}
	w.lookCut(a, forks)
	w.lookNames(a, forks)
}

// ask asks the oracle about a key on a fork at a cut.
func (w *forkWorld) ask(cut oracle.Cut, fork dag.ForkID, key string) *told {
	var sum [32]byte
	for b := range cut {
		for i := range sum {
			sum[i] ^= b[i]
		}
	}
	name := fmt.Sprintf("%x %s %s", sum, fork, key)
	if t := w.told[name]; t != nil {
		return t
	}
	t := &told{visible: map[dag.RevisionID]bool{}}
	o := w.oracle.At(cut)
	t.heads = o.Heads(crdt.ForkID(fork), key)
	for i, r := range o.Visible(crdt.ForkID(fork), key) {
		t.visible[dag.RevisionID(r.ID)] = true
		if t.first = min(t.first, r.Time); i == 0 {
			t.first = r.Time
		}
	}
	for _, c := range w.revs[key] {
		if t.visible[c.ID] {
			t.history = append(t.history, c)
		}
	}
	slices.SortFunc(t.history, w.newestFirst)
	t.since = slices.IndexFunc(t.history, func(c dag.Change) bool { return c.Revision.Deleted })
	if t.since < 0 {
		t.since = len(t.history)
	}
	w.told[name] = t
	return t
}

// newestFirst is the order of histories: by Lamport time, chain, place, and at
// last the block, if clones wrote at one place.
func (w *forkWorld) newestFirst(a, b dag.Change) int {
	x, y := w.blocks[a.Block], w.blocks[b.Block]
	r, s := a.Revision, b.Revision
	return -cmp.Or(cmp.Compare(x.lam, y.lam), bytes.Compare(r.Chain[:], s.Chain[:]), cmp.Compare(r.Seq, s.Seq),
		cmp.Compare(r.Index, s.Index), bytes.Compare(a.Block[:], b.Block[:]))
}

// sameEntry compares heads, their values and the count.
func (w *forkWorld) sameEntry(a *party, cut oracle.Cut, e *dag.Entry) {
	w.t.Helper()
	want := w.ask(cut, e.Fork, e.Key)
	if e.SinceDelete != uint64(want.since) || e.First != want.first {
		w.t.Fatalf("%s: %q on %s has %d revisions since its delete and the first at %d, want %d and %d",
			a.name, e.Key, e.Fork.Short(), e.SinceDelete, e.First, want.since, want.first)
	}
	if len(e.Heads) != len(want.heads) || e.Count != uint64(len(want.visible)) {
		w.t.Fatalf("%s: %q on %s has %d heads and %d revisions, want %d and %d",
			a.name, e.Key, e.Fork.Short(), len(e.Heads), e.Count, len(want.heads), len(want.visible))
	}
	for i := range e.Heads {
		h, r := &e.Heads[i], want.heads[i]
		v, err := a.Payload(h)
		w.must("payload", err)
		if h.ID != dag.RevisionID(r.ID) || !bytes.Equal(v, r.Value) || h.Deleted != r.Deleted || h.Time != r.Time {
			w.t.Fatalf("%s: head %d of %q is %s %q, want %s %q", a.name, i, e.Key, h.ID.Short(), v, r.ID, r.Value)
		}
	}
}

// lookHistory compares the history, whole and from a place in it, and what the
// entry says of it.
func (w *forkWorld) lookHistory(a *party, e *dag.Entry) {
	w.t.Helper()
	var changes []dag.Change
	var ids []dag.RevisionID
	for c, err := range a.History(w.t.Context(), e.Fork, e.Key, dag.HistoryCursor{}) {
		w.must("history", err)
		ids, changes = append(ids, c.ID), append(changes, c)
	}
	same := func(a, b dag.Change) bool { return a.ID == b.ID }
	if want := w.ask(a.has, e.Fork, e.Key); !slices.EqualFunc(changes, want.history, same) {
		w.t.Fatalf("%s: the history of %q has %d entries, want %d, or another order", a.name, e.Key, len(ids), len(want.history))
	}
	if len(ids) == 0 {
		return
	}
	if w.r.IntN(8) == 0 { // slow
		w.must("history", w.oracle.At(a.has).CheckHistory(crdt.ForkID(e.Fork), e.Key, crdtIDs(ids)))
	}
	i := w.r.IntN(len(ids))
	var rest []dag.RevisionID
	for c, err := range a.History(w.t.Context(), e.Fork, e.Key, changes[i].Cursor()) {
		w.must("history", err)
		rest = append(rest, c.ID)
	}
	if !slices.Equal(rest, ids[i+1:]) {
		w.t.Fatalf("%s: history of %q after entry %d of %d has %d entries", a.name, e.Key, i, len(ids), len(rest))
	}
}

// lookVisible asks for every revision of the key, wherever it was written.
func (w *forkWorld) lookVisible(a *party, e *dag.Entry) {
	w.t.Helper()
	want := w.ask(a.has, e.Fork, e.Key)
	for _, known := range w.revs[e.Key] {
		if !a.has[oracle.Block(known.Block)] {
			continue
		}
		c, err := a.Revision(known.ID)
		w.must("revision", err)
		if got, err := a.Visible(e.Fork, &c); err != nil || got != want.visible[c.ID] {
			w.t.Fatalf("%s: %s of %q is visible on %s: %v %v, want %v", a.name, c.ID.Short(), e.Key, e.Fork.Short(), got, err, want.visible[c.ID])
		}
	}
}

// lookEntries compares a scan with the keys one by one.
func (w *forkWorld) lookEntries(a *party, fork dag.ForkID) {
	w.t.Helper()
	prefix := one(w.r, []string{"", "", "a", "a/", "a/b", "k", "z"})
	after := one(w.r, []string{"", "", "a", "a/b", "a0", "b", "zz"})
	var want []string
	for _, key := range forkKeys { // in byte order
		if strings.HasPrefix(key, prefix) && key > after && len(w.ask(a.has, fork, key).visible) > 0 {
			want = append(want, key)
		}
	}
	var got []string
	for e, err := range a.Entries(w.t.Context(), fork, prefix, after) {
		w.must("entries", err)
		w.sameEntry(a, a.has, &e)
		got = append(got, e.Key)
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("%s: scan of %q after %q on %s gives %q, want %q", a.name, prefix, after, fork.Short(), got, want)
	}
}

// lookContested compares which keys have more than one head at a cut.
func (w *forkWorld) lookContested(a *party, fork dag.ForkID, cut oracle.Cut, c dag.Cut) {
	w.t.Helper()
	var want []string
	for _, key := range forkKeys { // in byte order
		if len(w.ask(cut, fork, key).heads) > 1 {
			want = append(want, key)
		}
	}
	got, err := a.Contested(w.t.Context(), fork, c)
	w.must("contested keys", err)
	if !slices.Equal(got, want) {
		w.t.Fatalf("%s: contested on %s: %q, want %q", a.name, fork.Short(), got, want)
	}
}

// lookCut compares keys at the cut of a block.
func (w *forkWorld) lookCut(a *party, forks []dag.ForkID) {
	w.t.Helper()
	id := one(w.r, a.sorted())
	c, err := a.CutOf(id)
	w.must("cut of a block", err)
	past := w.blocks[id].past
	for _, f := range forks {
		made := f == dag.DefaultFork()
		for b := range past {
			made = made || slices.ContainsFunc(w.blocks[dag.BlockID(b)].ops, func(d forkDeed) bool { return d.kind == dag.OpFork && d.fork == f })
		}
		if a.ForkIn(f, c) != made {
			w.t.Fatalf("%s: fork %s is in a cut: %v", a.name, f.Short(), !made)
		}
		w.lookContested(a, f, past, c)
		for _, key := range forkKeys {
			e, err := a.EntryAt(f, key, c)
			w.must("entry at a cut", err)
			w.sameEntry(a, past, &e)
		}
	}
}

// event is an operation on a fork, with its block.
type event struct {
	forkDeed
	in *deed
}

// eventsOf lists the operations on a fork that a node has.
func (w *forkWorld) eventsOf(a *party, fork dag.ForkID) (out []event) {
	for _, id := range a.sorted() {
		for _, d := range w.blocks[id].ops {
			if d.fork == fork {
				out = append(out, event{d, w.blocks[id]})
			}
		}
	}
	return out
}

// before: a is in the past of b, or in its block and earlier.
func (e event) before(b *deed) bool { return b.past[oracle.Block(e.in.id)] }

// naming is what the model says of a fork's name.
type naming struct {
	id      dag.ForkID
	deleted bool
	revived bool
	labels  map[string]uint64 // when it got them
}

// name computes labels and deletion from all operations.
func (w *forkWorld) nameOf(a *party, fork dag.ForkID) *naming {
	n := &naming{id: fork, labels: map[string]uint64{}}
	events := w.eventsOf(a, fork)
	var deletes []event
	for _, e := range events {
		if e.kind == dag.OpDelete {
			deletes = append(deletes, e)
		}
	}
	n.revived = len(deletes) > 0
	n.deleted = n.revived
	for _, e := range events {
		if e.kind != dag.OpDelete && !slices.ContainsFunc(deletes, func(d event) bool { return e.before(d.in) }) {
			n.deleted = false
		}
		later := func(r event) bool { return r.kind == dag.OpRename && r.in != e.in && e.before(r.in) }
		named := e.kind == dag.OpRename || e.kind == dag.OpFork && !slices.ContainsFunc(events, func(f event) bool {
			return f.kind == dag.OpFork && f.in != e.in && f.before(e.in) // naming again gives no name
		})
		if named && !slices.ContainsFunc(events, later) {
			if at, ok := n.labels[e.name]; !ok || e.in.lam < at {
				n.labels[e.name] = e.in.lam
			}
		}
	}
	for b := range a.has {
		d := w.blocks[dag.BlockID(b)]
		if d.wrote[fork] && !slices.ContainsFunc(deletes, func(e event) bool { return e.in != d && e.in.past[b] }) {
			n.deleted = false
		}
	}
	return n
}

// lookNames compares names and deletions.
func (w *forkWorld) lookNames(a *party, forks []dag.ForkID) {
	w.t.Helper()
	all := map[dag.ForkID]*naming{}
	for _, id := range forks {
		if id == dag.DefaultFork() {
			continue
		}
		n := w.nameOf(a, id)
		all[id] = n
		f, _ := a.ForkOf(id)
		if f.Deleted != n.deleted {
			w.t.Fatalf("%s: fork %s is deleted: %v, want %v", a.name, f.Name, f.Deleted, n.deleted)
		}
		for _, l := range f.Labels {
			if _, ok := n.labels[l]; !ok {
				w.t.Fatalf("%s: fork %s has label %q, which it never got, or lost", a.name, f.Name, l)
			}
		}
		if len(f.Labels) != len(n.labels) {
			w.t.Fatalf("%s: fork %s has labels %q, want %v", a.name, f.Name, f.Labels, n.labels)
		}
	}
	for _, name := range forkNames {
		var want []dag.ForkID
		for _, id := range forks {
			if n := all[id]; n != nil && !n.deleted {
				if _, ok := n.labels[name]; ok {
					want = append(want, id)
				}
			}
		}
		slices.SortFunc(want, func(x, y dag.ForkID) int {
			p, q := all[x], all[y]
			if p.revived != q.revived {
				return map[bool]int{true: 1, false: -1}[p.revived]
			}
			return cmp.Or(cmp.Compare(p.labels[name], q.labels[name]), bytes.Compare(x[:], y[:]))
		})
		var got []dag.ForkID
		for _, f := range a.ForksLabelled(name) {
			got = append(got, f.ID)
			if f.Clash != (len(want) > 1) && f.Name == name {
				w.t.Fatalf("%s: fork %s of %d clashes: %v", a.name, f.Name, len(want), f.Clash)
			}
			if again, ok := a.ForkNamed(f.Name); !ok || again.ID != f.ID {
				w.t.Fatalf("%s: %q names %s, not %s, which is called so", a.name, f.Name, again.ID.Short(), f.ID.Short())
			}
		}
		if !slices.Equal(got, want) {
			w.t.Fatalf("%s: forks %q are %v, want %v", a.name, name, got, want)
		}
	}
}
