package crdt_test

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"crush/crdt"
	"crush/crdt/oracle"
)

// Times and values are drawn from few, so that many collapse and tie; kinds
// hold one that no version knows.
var (
	someValues = rapid.SampledFrom([]string{"", "a", "b", "c"})
	someKinds  = rapid.SampledFrom([]crdt.Kind{crdt.Bytes, crdt.Bytes, crdt.Bytes, crdt.Text, crdt.JSON, 77})
	someTimes  = rapid.Int64Range(1, 3)
)

// drawWrite lets n write on f, having seen all its heads or any set of
// revisions that are visible to it.
func drawWrite(t *rapid.T, n *node, f crdt.ForkID) {
	r := oracle.Revision{
		Fork:    f,
		Parents: n.heads(f),
		Kind:    someKinds.Draw(t, "kind"),
		Value:   []byte(someValues.Draw(t, "value")),
		Time:    someTimes.Draw(t, "time"),
		Deleted: rapid.IntRange(0, 3).Draw(t, "delete") == 0,
	}
	if rapid.Bool().Draw(t, "partial context") {
		r.Parents = nil
		for _, id := range ids(n.oracle.At(n.knows).Visible(f, key)) {
			if rapid.IntRange(0, 2).Draw(t, "read") == 0 {
				r.Parents = append(r.Parents, id)
			}
		}
	}
	n.write(r)
}

// TestRandomForks lets nodes write, fork and merge at random, and reads every
// fork as each of them sees it, and as one that has everything.
func TestRandomForks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		nodes := []*node{w.node("1"), w.node("2"), w.node("3")}
		forks := []crdt.ForkID{root}
		for i := range rapid.IntRange(1, 25).Draw(t, "steps") {
			n := rapid.SampledFrom(nodes).Draw(t, "node")
			f := rapid.SampledFrom(forks).Draw(t, "fork")
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			default:
				drawWrite(t, n, f)
			case 0:
				made := fork(fmt.Sprint(i))
				n.create(made, f)
				forks = append(forks, made)
			case 1, 2:
				n.merge(rapid.SampledFrom(forks).Draw(t, "source"), f)
			case 3:
				n.learn(rapid.SampledFrom(nodes).Draw(t, "from"))
			}
		}
		all := w.node("all")
		meet(all)
		for _, n := range append(nodes, all) {
			for _, f := range forks {
				n.view(f)
				checkInvariants(t, n, f)
			}
		}
	})
}

// checkInvariants are what must hold of every view, whatever the oracle says.
func checkInvariants(t *rapid.T, n *node, f crdt.ForkID) {
	in := n.oracle.At(n.knows).Input(f, key)
	v := in.View()
	for range 3 {
		shuffle := rapid.Permutation(in.Heads).Draw(t, "order")
		before := slices.Clone(shuffle)
		if got := (crdt.Visible{Fork: f, Key: key, Heads: shuffle, Source: in.Source, History: in.History}).View(); !reflect.DeepEqual(got, v) {
			t.Fatalf("another order of heads\n got %+v\nwant %+v", got, v)
		}
		if !slices.Equal(shuffle, before) {
			t.Fatalf("View sorted the heads of its caller")
		}
	}
	twice := in
	twice.Heads = append(slices.Clone(in.Heads), in.Heads...)
	if got := twice.View(); !reflect.DeepEqual(got, v) {
		t.Fatalf("each head twice\n got %+v\nwant %+v", got, v)
	}
	if v.Exists() != (len(in.Heads) > 0) {
		t.Fatalf("exists %v with %d heads", v.Exists(), len(in.Heads))
	}
	for _, c := range v.Conflicts {
		var carried []crdt.RevisionID
		ranks := make(map[int]bool)
		for _, s := range c.Sides {
			carried = append(carried, s.Revisions...)
			ranks[s.Rank] = s.Rank >= 0 && s.Rank < len(c.Sides)
			if (s.Rank == 0) != (s.Revision == v.Served) {
				t.Fatalf("side %s has rank %d, served is %v", s.Letter, s.Rank, v.Served)
			}
		}
		if len(carried) != len(in.Heads) || len(ranks) != len(c.Sides) || len(c.Sides) < 2 {
			t.Fatalf("%d heads, conflict %+v", len(in.Heads), c)
		}
	}
}

// TestEveryDeliveryOrder delivers the union of what replicas wrote on one fork
// in every order in which a node can apply it, keeps heads as a node would,
// and reads after each delivery.
func TestEveryDeliveryOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		nodes := []*node{w.node("1"), w.node("2"), w.node("3")}
		for range rapid.IntRange(1, 6).Draw(t, "writes") {
			drawWrite(t, rapid.SampledFrom(nodes).Draw(t, "node"), root)
			if rapid.Bool().Draw(t, "sync") {
				rapid.SampledFrom(nodes).Draw(t, "to").learn(rapid.SampledFrom(nodes).Draw(t, "from"))
			}
		}
		all := w.oracle.Visible(root, key)
		orders, views := 0, make(map[string]crdt.View)
		for order := range permutations(len(all)) {
			if !closed(all, order) {
				continue
			}
			orders++
			deliver(t, w, all, order, views)
		}
		if orders == 0 {
			t.Fatalf("no order fits")
		}
	})
}

// closed reports whether every revision comes after its parents.
func closed(all []oracle.Revision, order []int) bool {
	applied := make(map[crdt.RevisionID]bool)
	for _, i := range order {
		for _, p := range all[i].Parents {
			if !applied[p] {
				return false
			}
		}
		applied[all[i].ID] = true
	}
	return true
}

// deliver applies all in the order and compares each view on the way with the
// oracle's, which views keeps by what is applied.
func deliver(t *rapid.T, w *world, all []oracle.Revision, order []int, views map[string]crdt.View) {
	cut := make(oracle.Cut)
	applied := make([]byte, len(all))
	var heads []crdt.Write
	for _, i := range order {
		r := all[i]
		cut[r.Block], applied[i] = true, 1
		heads = slices.DeleteFunc(heads, func(h crdt.Write) bool { return slices.Contains(r.Parents, h.ID) })
		heads = append(heads, crdt.Write{
			ID: r.ID, Chain: r.Chain, Time: r.Time, Kind: r.Kind, Deleted: r.Deleted,
			Value: sha256.Sum256(r.Value),
		})
		want, ok := views[string(applied)]
		if !ok {
			want = w.oracle.At(cut).View(root, key)
			views[string(applied)] = want
		}
		got := crdt.Visible{Fork: root, Key: key, Heads: heads}.View()
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("order %v\n got %+v\nwant %+v", order, got, want)
		}
	}
}
