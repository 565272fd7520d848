package dag_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"crush/crdt"
	"crush/crdt/oracle"
	"crush/dag"
	"crush/dag/dagtest"
)

// world is some nodes that write at random, and all that they wrote.
type world struct {
	t      testing.TB
	r      *rand.Rand
	oracle *oracle.Oracle
	blocks map[dag.BlockID]*known
	nodes  []*actor
	feeds  []*consumer
	purges []purged
	did    map[string]int
}

// known is a block that somebody wrote.
type known struct {
	id    dag.BlockID
	node  dag.NodeID
	prev  dag.BlockID
	deps  []dag.BlockID
	time  int64
	line  crdt.ChainID // unlike its chain, it has one block at each seq
	order uint64
	past  oracle.Cut // itself included
	revs  []dag.RevisionID
}

// actor is a node of a world, with the blocks that it has applied.
type actor struct {
	node
	has      oracle.Cut
	arrivals map[dag.BlockID]int64
}

var (
	worldKeys  = []string{"a", "a/b", "k\xc3\xa9y"}
	worldForks = []string{dag.DefaultForkName, "blue", "green"}
)

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), oracle: oracle.New(), blocks: map[dag.BlockID]*known{}, did: map[string]int{},
	}
	a := w.join("n0", dagtest.NewMem())
	r, err := a.Found(t.Context(), dag.Member{Name: a.name})
	w.must("found", err)
	w.wrote(a, r.Block)
	for range 1 + w.r.IntN(4) {
		w.feeds = append(w.feeds, &consumer{seen: map[dag.RevisionID]bool{}, blocks: map[dag.BlockID]bool{}, exact: map[dag.BlockID]bool{}})
	}
	return w
}

func (w *world) must(what string, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

func (w *world) pick() *actor { return w.nodes[w.r.IntN(len(w.nodes))] }

func pickFrom[T any](w *world, from []T) T { return from[w.r.IntN(len(from))] }

// join adds a node on a store.
func (w *world) join(name string, s *dagtest.Mem) *actor {
	a := &actor{has: oracle.Cut{}, arrivals: map[dag.BlockID]int64{}}
	a.name, a.store, a.key = name, s, keyOf(name)
	a.clock.Store(epoch + w.r.Int64N(100))
	w.must("open", a.open(w.t.Context()))
	w.nodes = append(w.nodes, a)
	return a
}

// wrote tells the oracle of a block.
func (w *world) wrote(a *actor, id dag.BlockID) {
	w.t.Helper()
	got, err := a.Block(id)
	w.must("read the block just written", err)
	b := &known{id: id, node: a.key.ID(), prev: got.Block.Prev, deps: got.Block.Deps, time: got.Block.Time, past: oracle.Cut{oracle.Block(id): true}}
	if p := w.blocks[b.prev]; p != nil {
		maps.Copy(b.past, p.past)
		b.line, b.order = p.line, p.order+1
	} else {
		b.line = crdt.ChainID(got.Block.Chain)
	}
	for _, other := range w.blocks {
		if other.prev == b.prev && !b.prev.IsZero() {
			b.line = crdt.ChainID(id) // an equivocation: a line of its own
		}
	}
	for _, d := range b.deps {
		maps.Copy(b.past, w.blocks[d].past)
	}
	for _, d := range b.deps {
		for _, over := range append(b.deps, b.prev) {
			if k := w.blocks[over]; k != nil && over != d && k.past[oracle.Block(d)] {
				w.t.Fatalf("block %s depends on %s, which another dependency reaches", id.Short(), d.Short())
			}
		}
	}
	if len(b.past) != len(a.has)+1 {
		w.t.Fatalf("block %s has %d blocks in its past, its author had applied %d", id.Short(), len(b.past)-1, len(a.has))
	}
	for _, c := range got.Changes {
		b.revs = append(b.revs, c.ID)
		v, err := a.ChangePayload(&c)
		w.must("read a payload just written", err)
		r := oracle.Revision{
			ID: crdt.RevisionID(c.ID), Fork: crdt.ForkID(c.Revision.Fork), Key: c.Revision.Key, Kind: crdt.Kind(c.Revision.Kind),
			Deleted: c.Revision.Deleted, Value: v, Time: c.Revision.Time, Block: oracle.Block(id), Chain: b.line, Order: b.order<<20 + c.Revision.Index,
		}
		for _, p := range c.Revision.Parents {
			r.Parents = append(r.Parents, crdt.RevisionID(p))
		}
		w.oracle.Add(r)
	}
	w.blocks[id] = b
	w.got(a, id)
}

// got notes that a node has applied a block.
func (w *world) got(a *actor, id dag.BlockID) {
	arr, err := a.Block(id)
	w.must("read an applied block", err)
	a.has[oracle.Block(id)], a.arrivals[id] = true, arr.Time
}

// step does one random thing.
func (w *world) step() {
	type deed struct {
		name   string
		weight int
		do     func()
	}
	deeds := []deed{
		{"write", 40, w.write},
		{"sync", 25, w.sync},
		{"clock", 5, w.turnClock},
		{"restart", 3, func() { w.pick().restart(w.t) }},
		{"crash", 3, func() { w.pick().crash(w.t) }},
		{"clone", 2, w.clone},
		{"enlist", 4, w.enlist},
		{"role", 4, w.changeRole},
		{"purge", 3, w.purge},
		{"feed", 8, func() { w.consume(pickFrom(w, w.feeds), w.pick(), false) }},
		{"look", 4, func() { w.look(w.pick()) }},
	}
	total := 0
	for _, d := range deeds {
		total += d.weight
	}
	n := w.r.IntN(total)
	for _, d := range deeds {
		if n -= d.weight; n < 0 {
			w.did[d.name]++
			d.do()
			return
		}
	}
}

func (w *world) turnClock() {
	a := w.pick()
	switch w.r.IntN(4) {
	case 0:
		a.clock.Add(365 * 24 * 3600 * 1000)
	case 1:
		a.clock.Add(-w.r.Int64N(1000))
	case 2:
		a.clock.Store(w.r.Int64N(5)) // 1970
	default:
		a.clock.Store(epoch + w.r.Int64N(1000))
	}
}

// write commits a few revisions; a node that is no writer is told so.
func (w *world) write() {
	a := w.pick()
	if len(a.has) == 0 {
		return
	}
	r, err := a.Commit(w.t.Context(), w.note(), func(tx *dag.Tx) error {
		for range 1 + w.r.IntN(4) {
			if err := w.putRandom(a, tx); err != nil {
				return err
			}
		}
		return nil
	})
	if m, _ := a.Member(a.key.ID()); m.Role != dag.RoleWriter && m.Role != dag.RoleAdmin {
		if !errors.Is(err, dag.ErrNotWriter) {
			w.t.Fatalf("%s is %q and wrote: %v", a.name, m.Role, err)
		}
		return
	}
	w.must("commit", err)
	w.wrote(a, r.Block)
}

func (w *world) note() dag.Note {
	if w.r.IntN(2) == 0 {
		return dag.Note{}
	}
	return dag.Note{Author: "who", Message: strconv.Itoa(w.r.IntN(3))}
}

func (w *world) putRandom(a *actor, tx *dag.Tx) error {
	f, err := tx.NameFork(pickFrom(w, worldForks))
	if err != nil {
		return err
	}
	key := pickFrom(w, worldKeys)
	e, err := tx.Entry(f.ID, key)
	if err != nil {
		return err
	}
	d := dag.Draft{Fork: f.ID, Key: key, Kind: 1, Deleted: w.r.IntN(5) == 0}
	d.Parents = w.context(a, e)
	if !d.Deleted {
		d.Payload = fmt.Append(nil, w.r.IntN(3))
		if w.r.IntN(2) == 0 {
			var old []byte
			if len(e.Heads) > 0 {
				old, err = tx.Payload(&e.Heads[w.r.IntN(len(e.Heads))])
				if err != nil && !isPurged(err) && !(errors.Is(err, dag.ErrAbsent) && len(w.purges) > 0) {
					return err
				}
			}
			d.Payload = shaped(w.r, old)
		}
	}
	return tx.Put(d)
}

// context picks what the writer says that it has read.
func (w *world) context(a *actor, e *dag.Entry) (parents []dag.RevisionID) {
	how := w.r.IntN(10)
	for _, h := range e.Heads {
		if how < 6 || how < 8 && w.r.IntN(2) == 0 {
			parents = append(parents, h.ID)
		}
	}
	if how < 8 {
		return parents
	}
	older := w.oracle.At(a.has).Visible(crdt.ForkID(e.Fork), e.Key)
	for i := 0; i < w.r.IntN(3) && i < len(older); i++ {
		parents = append(parents, dag.RevisionID(pickFrom(w, older).ID))
	}
	slices.SortFunc(parents, func(a, b dag.RevisionID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(parents)
}

// sync gives one node some of what another has, in chunks of any size.
func (w *world) sync() {
	to, from := w.pick(), w.pick()
	if to == from {
		return
	}
	if w.r.IntN(4) == 0 {
		w.pullChunks(to, from)
		return
	}
	out := to.lacks(w.t, &from.node)
	if w.r.IntN(3) == 0 {
		out = out[:w.r.IntN(len(out)+1)]
	}
	for len(out) > 0 {
		n := 1 + w.r.IntN(len(out))
		for n < len(out) && !out[n-1].Whole {
			n++
		}
		w.apply(to, bundles(out[:n]), out[n-1].Whole)
		out = out[n:]
	}
}

// apply applies blocks; all must be vouched for if whole.
func (w *world) apply(to *actor, bs []dag.Bundle, whole bool) {
	w.t.Helper()
	if w.r.IntN(5) == 0 {
		bs = append(bs, bs[w.r.IntN(len(bs))]) // a duplicate changes nothing
	}
	done, err := to.Apply(w.t.Context(), bs)
	w.must("apply", err)
	for _, id := range done.Blocks {
		if to.has[oracle.Block(id)] {
			w.t.Fatalf("%s applied block %s twice", to.name, id.Short())
		}
		w.got(to, id)
	}
	if whole && done.Unvouched > 0 {
		w.t.Fatalf("%d blocks of a whole chunk have nothing that vouches for them", done.Unvouched)
	}
}

// clone copies a node that has stopped, cleanly or not; both go on.
func (w *world) clone() {
	if len(w.nodes) >= 6 {
		return
	}
	a := w.pick()
	if w.r.IntN(3) > 0 {
		w.must("close", a.Close())
	}
	s := a.mem().Reopen()
	a.store = a.mem().Reopen()
	w.must("open", a.open(w.t.Context()))
	b := &actor{has: maps.Clone(a.has), arrivals: maps.Clone(a.arrivals)}
	b.name, b.store, b.key = a.name, s, a.key
	b.clock.Store(a.clock.Load())
	w.must("open the clone", b.open(w.t.Context()))
	w.nodes = append(w.nodes, b)
}

// enlist adds a node. It has nothing yet.
func (w *world) enlist() {
	if len(w.nodes) >= 5 {
		return
	}
	w.join("n"+strconv.Itoa(len(w.nodes)), dagtest.NewMem())
	w.changeRole()
}

// changeRole lets an admin give any other node any role.
func (w *world) changeRole() {
	a, b := w.pick(), w.pick()
	if m, _ := a.Member(a.key.ID()); m.Role != dag.RoleAdmin || b.key.ID() == a.key.ID() {
		return
	}
	role := pickFrom(w, []dag.Role{dag.RoleWriter, dag.RoleWriter, dag.RoleAdmin, dag.RoleReader, dag.RoleRemoved})
	r, err := a.Commit(w.t.Context(), dag.Note{}, func(tx *dag.Tx) error {
		return tx.Op(dag.NewOp(dag.MemberOp{Node: b.key.ID(), Role: role, Name: b.name}))
	})
	w.must("change a role", err)
	w.wrote(a, r.Block)
}

// look holds everything that a node answers against the oracle.
func (w *world) look(a *actor) {
	w.t.Helper()
	if len(a.has) == 0 {
		return
	}
	w.lookFrontier(a)
	o := w.oracle.At(a.has)
	for _, f := range a.Forks() {
		for _, key := range worldKeys {
			e, err := a.Entry(f.ID, key)
			w.must("entry", err)
			w.sameEntry(a, o, &e)
			w.lookHistory(a, o, &e)
		}
	}
	w.lookCuts(a)
}

func (w *world) lookFrontier(a *actor) {
	w.t.Helper()
	tips := a.Frontier()
	if s := a.Stats(); int(s.Blocks) != len(a.has) || s.Void != 0 || s.Failed != nil {
		w.t.Fatalf("%s: %+v, want %d blocks and no void", a.name, s, len(a.has))
	}
	if dag.DigestOf(tips) != a.Digest() {
		w.t.Fatalf("%s: its digest is not that of its frontier", a.name)
	}
	past := oracle.Cut{}
	for _, tip := range tips {
		maps.Copy(past, w.blocks[tip.Block].past)
	}
	if !maps.Equal(past, a.has) {
		w.t.Fatalf("%s: frontier covers %d blocks, it has %d", a.name, len(past), len(a.has))
	}
	for _, b := range w.nodes {
		if (a.Digest() == b.Digest()) != maps.Equal(a.has, b.has) {
			w.t.Fatalf("%s and %s: equal digests %v, equal sets %v", a.name, b.name, a.Digest() == b.Digest(), maps.Equal(a.has, b.has))
		}
	}
}

func headIDs(e *dag.Entry) (ids []dag.RevisionID) {
	for _, h := range e.Heads {
		ids = append(ids, h.ID)
	}
	return ids
}

// sameEntry compares heads, their values and the count.
func (w *world) sameEntry(a *actor, o *oracle.Oracle, e *dag.Entry) {
	w.t.Helper()
	want := o.Heads(crdt.ForkID(e.Fork), e.Key)
	all := o.Visible(crdt.ForkID(e.Fork), e.Key)
	if len(e.Heads) != len(want) || e.Count != uint64(len(all)) {
		w.t.Fatalf("%s: %q has %d heads and %d revisions, want %d and %d", a.name, e.Key, len(e.Heads), e.Count, len(want), len(all))
	}
	for i := range e.Heads {
		h := &e.Heads[i]
		v, err := a.Payload(h)
		r := want[i]
		w.sameValue(a, &r, v, err)
		if h.ID != dag.RevisionID(r.ID) || h.Deleted != r.Deleted || h.Time != r.Time || h.Kind != uint64(r.Kind) {
			w.t.Fatalf("%s: head %d of %q is %s %q, want %s %q", a.name, i, e.Key, h.ID.Short(), v, r.ID, r.Value)
		}
	}
}

// lookHistory compares the history, whole and from a place in it, and what the
// entry says of it.
func (w *world) lookHistory(a *actor, o *oracle.Oracle, e *dag.Entry) {
	w.t.Helper()
	var ids []dag.RevisionID
	var cursors []dag.HistoryCursor
	since, first := -1, int64(0)
	all := map[crdt.RevisionID]oracle.Revision{}
	for _, r := range o.Visible(crdt.ForkID(e.Fork), e.Key) {
		all[r.ID] = r
	}
	for c, err := range a.History(w.t.Context(), e.Fork, e.Key, dag.HistoryCursor{}) {
		w.must("history", err)
		r := all[crdt.RevisionID(c.ID)]
		v, err := a.ChangePayload(&c)
		w.sameValue(a, &r, v, err)
		if c.Revision.Deleted && since < 0 {
			since = len(ids)
		}
		if first = min(first, c.Revision.Time); len(ids) == 0 {
			first = c.Revision.Time
		}
		ids, cursors = append(ids, c.ID), append(cursors, c.Cursor())
	}
	if since < 0 {
		since = len(ids)
	}
	if e.SinceDelete != uint64(since) || e.First != first {
		w.t.Fatalf("%s: %q has %d revisions since its delete and the first at %d, want %d and %d", a.name, e.Key, e.SinceDelete, e.First, since, first)
	}
	w.must("history", o.CheckHistory(crdt.ForkID(e.Fork), e.Key, crdtIDs(ids)))
	w.causal(a, ids)
	if len(ids) == 0 {
		return
	}
	i := w.r.IntN(len(ids))
	text, err := cursors[i].MarshalText()
	w.must("write a cursor", err)
	var cursor dag.HistoryCursor
	w.must("read a cursor", cursor.UnmarshalText(text))
	var rest []dag.RevisionID
	for c, err := range a.History(w.t.Context(), e.Fork, e.Key, cursor) {
		w.must("history", err)
		rest = append(rest, c.ID)
	}
	if !slices.Equal(rest, ids[i+1:]) {
		w.t.Fatalf("%s: history of %q after entry %d of %d has %d entries", a.name, e.Key, i, len(ids), len(rest))
	}
}

func crdtIDs(ids []dag.RevisionID) []crdt.RevisionID {
	var out []crdt.RevisionID
	for _, id := range ids {
		out = append(out, crdt.RevisionID(id))
	}
	return out
}

// causal: nothing in a history stands behind what has its block in its past.
func (w *world) causal(a *actor, newestFirst []dag.RevisionID) {
	w.t.Helper()
	var at []*known
	for _, id := range newestFirst {
		c, err := a.Revision(id)
		w.must("revision", err)
		at = append(at, w.blocks[c.Block])
	}
	for i := range at {
		for _, newer := range at[:i] {
			if newer != at[i] && at[i].past[oracle.Block(newer.id)] {
				w.t.Fatalf("%s: entry %d of a history comes after one before it", a.name, i)
			}
		}
	}
}

// lookCuts compares a key at the cut of a block and of a time.
func (w *world) lookCuts(a *actor) {
	w.t.Helper()
	var ids []dag.BlockID
	for id := range a.has {
		ids = append(ids, dag.BlockID(id))
	}
	slices.SortFunc(ids, func(a, b dag.BlockID) int { return bytes.Compare(a[:], b[:]) })
	id := pickFrom(w, ids)
	c, err := a.CutOf(id)
	w.must("cut of a block", err)
	w.lookAt(a, c, w.blocks[id].past)

	at := w.timesOf(a)
	until := at[pickFrom(w, ids)] + w.r.Int64N(3) - 1
	want := oracle.Cut{}
	for id, t := range at {
		if t <= until {
			want[oracle.Block(id)] = true
		}
	}
	c, err = a.CutAt(time.UnixMilli(until))
	w.must("cut of a time", err)
	w.lookAt(a, c, want)
}

// timesOf computes at(block) as the design defines it.
func (w *world) timesOf(a *actor) map[dag.BlockID]int64 {
	out := map[dag.BlockID]int64{}
	for id := range a.has {
		var at int64
		for b := range w.blocks[dag.BlockID(id)].past {
			at = max(at, min(w.blocks[dag.BlockID(b)].time, a.arrivals[dag.BlockID(b)]))
		}
		out[dag.BlockID(id)] = at
	}
	return out
}

func (w *world) lookAt(a *actor, c dag.Cut, want oracle.Cut) {
	w.t.Helper()
	got := oracle.Cut{}
	for _, tip := range c.Tips() {
		maps.Copy(got, w.blocks[tip].past)
		for _, other := range c.Tips() {
			if other != tip && w.blocks[other].past[oracle.Block(tip)] {
				w.t.Fatalf("%s: a tip of a cut is in another's past", a.name)
			}
		}
	}
	if !maps.Equal(got, want) {
		w.t.Fatalf("%s: a cut has %d blocks, want %d", a.name, len(got), len(want))
	}
	o := w.oracle.At(want)
	for _, f := range a.Forks() {
		for _, key := range worldKeys {
			e, err := a.EntryAt(f.ID, key, c)
			w.must("entry at a cut", err)
			w.sameEntry(a, o, &e)
		}
	}
}

// meet exchanges everything.
func (w *world) meet() {
	w.t.Helper()
	for changed := true; changed; {
		changed = false
		for _, to := range w.nodes {
			for _, from := range w.nodes {
				if out := to.lacks(w.t, &from.node); len(out) > 0 {
					w.apply(to, bundles(out), true)
					changed = true
				}
			}
		}
	}
	for _, a := range w.nodes {
		if a.Digest() != w.nodes[0].Digest() || len(a.has) != len(w.blocks) {
			w.t.Fatalf("after the exchange %s has %d blocks of %d", a.name, len(a.has), len(w.blocks))
		}
	}
}

// answers is everything that must be equal on nodes that have the same blocks.
func answers(ctx context.Context, t testing.TB, g *dag.Graph) string {
	t.Helper()
	var out bytes.Buffer
	fmt.Fprintln(&out, g.Cluster(), g.Frontier(), g.Digest(), g.Members())
	s := g.Stats()
	fmt.Fprintln(&out, s.Blocks, s.Revisions, s.Keys, s.Void, s.Chains)
	for _, f := range g.Forks() {
		fmt.Fprintln(&out, f.ID, f.Name)
		for e, err := range g.Entries(ctx, f.ID, "", "") {
			if err != nil {
				t.Fatalf("entries: %v", err)
			}
			fmt.Fprintln(&out, e.Key, headIDs(&e), e.Count, e.SinceDelete, e.First)
			for c, err := range g.History(ctx, f.ID, e.Key, dag.HistoryCursor{}) {
				if err != nil {
					t.Fatalf("history: %v", err)
				}
				v, err := g.ChangePayload(&c)
				if _, purged := errors.AsType[*dag.PurgedError](err); err != nil && !purged {
					t.Fatalf("payload: %v", err)
				}
				fmt.Fprintln(&out, " ", c.ID, c.Block, c.Node, c.Note, dag.SumOf(v), err)
			}
		}
	}
	void := g.Voids()
	for _, at := range slices.SortedFunc(maps.Keys(void), func(a, b dag.VoidPlace) int {
		return cmp.Or(bytes.Compare(a.Block[:], b.Block[:]), a.Index-b.Index)
	}) {
		fmt.Fprintln(&out, at, void[at])
	}
	return out.String()
}

// records is every record of a store that can be computed from the blocks,
// with the blocks.
func records(t testing.TB, s dag.Reader) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := s.Iterate(dag.Range{}, func(k, v []byte) bool {
		if k[0] != 'c' && string(k) != "mclean" && string(k) != "mcontested" {
			out[string(k)] = string(v)
		}
		return true
	})
	if err != nil {
		t.Fatalf("iterate: %v", err)
	}
	return out
}

// rebuilt checks that the indexes of a node are those that its blocks give.
func rebuilt(t testing.TB, n *node) {
	t.Helper()
	into := dagtest.NewMem()
	_, err := dag.Rebuild(t.Context(), n.store, into, nil, func(f dag.Fault) { t.Errorf("rebuild: %v", f) })
	if err != nil {
		t.Fatalf("rebuild %s: %v", n.name, err)
	}
	got, want := records(t, into), records(t, n.store)
	for k, v := range want {
		if got[k] != v {
			t.Errorf("rebuilt record %q is %x, was %x", k, got[k], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("rebuilt: %d records, were %d", len(got), len(want))
	}
	m := openNode(t, n.name, into)
	if a, b := answers(t.Context(), t, m.Graph), answers(t.Context(), t, n.Graph); a != b {
		t.Errorf("rebuilt answers\n%s\nwere\n%s", a, b)
	}
}

// setting reads a number from the environment.
func setting(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// TestRandomHistories runs worlds of random nodes. DAG_SEED=n runs one of
// them, DAG_SEEDS=n that many.
func TestRandomHistories(t *testing.T) {
	n := setting("DAG_SEEDS", 120)
	if testing.Short() {
		n = setting("DAG_SEEDS", 8)
	}
	did := map[string]int{}
	run := func(seed int) {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			w := newWorld(t, uint64(seed))
			for range 20 + w.r.IntN(30) {
				w.step()
			}
			w.finish()
			for k, v := range w.did {
				did[k] += v
			}
		})
	}
	if seed := setting("DAG_SEED", -1); seed >= 0 {
		run(seed)
		return
	}
	for seed := range n {
		if run(seed); t.Failed() {
			t.Fatalf("DAG_SEED=%d fails", seed)
		}
	}
	t.Logf("did %v", did)
	if testing.Short() {
		return // too few for what seldom happens
	}
	for _, what := range []string{"write", "sync", "clock", "restart", "crash", "clone", "enlist", "role", "purge", "read purged", "read absent", "feed", "look"} {
		if did[what] == 0 {
			t.Errorf("no run did %q", what)
		}
	}
}

// finish exchanges everything and compares all nodes with each other.
func (w *world) finish() {
	w.t.Helper()
	for _, a := range w.nodes {
		w.look(a)
	}
	w.meet()
	want := answers(w.t.Context(), w.t, w.nodes[0].Graph)
	for _, a := range w.nodes {
		w.look(a)
		if got := answers(w.t.Context(), w.t, a.Graph); got != want {
			w.t.Errorf("%s answers\n%s\nand %s\n%s", a.name, got, w.nodes[0].name, want)
		}
		a.check(w.t)
	}
	for _, c := range w.feeds {
		w.consume(c, w.pick(), true)
	}
	rebuilt(w.t, &w.pick().node)
}

// TestEveryOrder delivers small histories in every order that causality
// allows, one by one and at once; every other order is refused as too early
// and changes nothing.
func TestEveryOrder(t *testing.T) {
	for seed := range uint64(setting("DAG_ORDERS", 6)) {
		w := newWorld(t, seed)
		w.enlist()
		for len(w.blocks) < 7 {
			w.write()
			w.changeRole()
			w.sync()
			if w.r.IntN(4) == 0 {
				w.clone()
			}
		}
		w.meet()
		a := w.nodes[0]
		want := answers(t.Context(), t, a.Graph)
		var all []*known
		var first dag.Bundle
		for item, err := range a.Feed(t.Context(), dag.FeedCursor{}) {
			w.must("feed", err)
			if item.LSN == 1 {
				first, _ = a.Bundle(item.ID)
				continue
			}
			all = append(all, w.blocks[item.ID])
		}
		orders := 0
		w.permute(all[:min(len(all), 6)], nil, func(order []*known, good bool) {
			orders++
			// What is left out of the permutation comes last, in order.
			rest := append(slices.Clone(order), all[len(order):]...)
			w.deliver(a, first, rest, good, want)
		})
		if orders < 2 {
			t.Errorf("seed %d: %d orders", seed, orders)
		}
	}
}

// permute calls got with each causal order, and with each order that is causal
// but for its last block.
func (w *world) permute(left, done []*known, got func(order []*known, good bool)) {
	if len(left) == 0 {
		got(done, true)
		return
	}
	for i, b := range left {
		rest := slices.Concat(left[:i], left[i+1:])
		early := slices.ContainsFunc(rest, func(o *known) bool { return b.past[oracle.Block(o.id)] })
		if order := append(slices.Clone(done), b); early {
			got(order, false)
		} else {
			w.permute(rest, order, got)
		}
	}
}

// deliver gives a new node blocks in an order; a bad one has its last block,
// of the permuted ones, too early.
func (w *world) deliver(from *actor, first dag.Bundle, order []*known, good bool, want string) {
	w.t.Helper()
	bs := []dag.Bundle{first}
	for _, b := range order {
		bundle, err := from.Bundle(b.id)
		w.must("bundle", err)
		bs = append(bs, bundle)
	}
	single, whole := openNode(w.t, "single", dagtest.NewMem()), openNode(w.t, "whole", dagtest.NewMem())
	for i, b := range bs {
		before := single.Digest()
		done, err := single.Apply(w.t.Context(), []dag.Bundle{b})
		if missing, ok := errors.AsType[*dag.MissingError](err); ok && !good {
			for _, id := range missing.Blocks {
				if single.Have(id) {
					w.t.Fatalf("block %s is said to be missing and is here", id.Short())
				}
			}
			if single.Digest() != before {
				w.t.Fatal("a block that came too early changed something")
			}
			if _, err := whole.Apply(w.t.Context(), bs[:i+1]); err == nil || whole.Stats().Blocks > 0 {
				w.t.Fatalf("all at once: %v, %+v", err, whole.Stats())
			}
			return
		}
		w.must("apply", err)
		if len(done.Blocks) != 1 {
			// Not signed: a later block vouches for it. Then all at once only.
			if done.Unvouched != 1 {
				w.t.Fatalf("%+v", done)
			}
			single = nil
			break
		}
	}
	if !good {
		return
	}
	_, err := whole.Apply(w.t.Context(), bs)
	w.must("apply all at once", err)
	for _, n := range []*node{single, whole} {
		if n == nil {
			continue
		}
		if got := answers(w.t.Context(), w.t, n.Graph); got != want {
			w.t.Fatalf("%s answers\n%s\nwant\n%s", n.name, got, want)
		}
	}
}
