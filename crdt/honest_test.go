package crdt_test

import (
	"errors"
	"maps"
	"math/big"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"crush/crdt"
	"crush/crdt/oracle"
)

func (n *node) contextOf(in crdt.Visible) crdt.Context {
	v := in.View()
	c := crdt.Context{View: v}
	if v.Exists() {
		c.Payload = in.History.Revision(v.Served).Payload
	}
	return c
}

// draft writes what a context had n write, and checks that what is complete is
// what it says.
func (n *node) draft(f crdt.ForkID, d crdt.Draft, time int64, parents []crdt.RevisionID) crdt.RevisionID {
	n.t.Helper()
	id := n.write(oracle.Revision{
		Fork: f, Kind: d.Kind, Deleted: d.Deleted, Value: d.Payload, Open: d.Open, Time: time, Parents: parents,
	})
	alone := oracle.New()
	past := n.oracle.Ancestors(id)
	past[id] = true
	var own oracle.Revision
	for _, r := range n.oracle.At(n.knows).Visible(f, key) {
		if past[r.ID] {
			r.Fork = root
			alone.Add(r)
		}
		if r.ID == id {
			own = r
		}
	}
	got := alone.Uncut().Read(root, key)
	if own.Open != (len(got.View.Conflicts) > 0) {
		n.t.Fatalf("open %v, conflicts %+v", own.Open, got.View.Conflicts)
	}
	if own.Open {
		return id
	}
	if own.Deleted != got.View.Deleted || (own.Change != nil && !maps.Equal(own.Change.Whole, got.Leaves)) {
		n.t.Fatalf("wrote %+v, which with what it has seen is %+v", own.Change, got)
	}
	return id
}

// drawHonest lets n write on f what one of the operations of a context wants,
// having read all heads that it knows of, or some.
func drawHonest(t *rapid.T, n *node, f crdt.ForkID, kinds []crdt.Kind) {
	in := n.oracle.At(n.knows).Input(f, key)
	if rapid.IntRange(0, 3).Draw(t, "partial context") == 0 {
		in = drawPartial(t, n, f)
	}
	in.Memory = n.memory
	var parents []crdt.RevisionID
	for _, h := range in.Heads {
		parents = append(parents, h.ID)
	}
	c := n.contextOf(in)
	d, err := drawOperation(t, n, c, in.History, kinds)
	var conflict *crdt.ConflictError
	var kind *crdt.KindError
	switch {
	case errors.As(err, &conflict), errors.As(err, &kind):
		return
	case err != nil:
		t.Fatalf("%v", err)
	case d.Empty:
		return
	}
	n.draft(f, d, someTimes.Draw(t, "time"), parents)
}

// drawPartial draws what somebody read who had not seen everything.
func drawPartial(t *rapid.T, n *node, f crdt.ForkID) crdt.Visible {
	known := n.oracle.At(n.knows)
	var read []crdt.RevisionID
	past := make(map[crdt.RevisionID]bool)
	for _, id := range ids(known.Visible(f, key)) {
		if rapid.IntRange(0, 2).Draw(t, "read") == 0 {
			read = append(read, id)
			maps.Copy(past, known.Ancestors(id))
		}
	}
	in := known.Input(f, key)
	in.Heads = nil
	for _, id := range read {
		if !past[id] {
			w := in.History.Revision(id).Write
			w.Origin = in.History.Origin(id)
			in.Heads = append(in.Heads, w)
		}
	}
	return in
}

func drawOperation(t *rapid.T, n *node, c crdt.Context, h crdt.History, kinds []crdt.Kind) (crdt.Draft, error) {
	if len(c.Conflicts) > 0 && rapid.IntRange(0, 3).Draw(t, "resolve") == 0 {
		conflict := rapid.SampledFrom(c.Conflicts).Draw(t, "conflict")
		side := rapid.SampledFrom(conflict.Sides).Draw(t, "side")
		return c.Resolve(&conflict, &side, h.Revision(side.Revision).Payload)
	}
	kind := rapid.SampledFrom(kinds).Draw(t, "kind")
	if c.Exists() && !c.Absent() && c.Kind.Known() && rapid.IntRange(0, 9).Draw(t, "other kind") > 0 {
		kind = c.Kind
	}
	op := rapid.IntRange(0, 9).Draw(t, "operation")
	switch {
	case op == 0:
		return c.Delete(), nil
	case kind == crdt.Counter && op > 2:
		return c.Add(rapid.Int64Range(-2, 3).Draw(t, "n"))
	case kind == crdt.Counter:
		return c.SetCounter(big.NewInt(rapid.Int64Range(-2, 3).Draw(t, "n")))
	case kind == crdt.Set && op > 2:
		some := rapid.SliceOfDistinct(fewElements, rapid.ID[string])
		return c.Change(some.Draw(t, "added"), some.Draw(t, "removed"))
	case kind == crdt.Set:
		return c.SetElements(rapid.SliceOf(fewElements).Draw(t, "elements"))
	case kind != crdt.Bytes && op == 4 && kind == c.Kind && !c.Absent():
		return c.Put(kind, append([]byte{'\n'}, c.Bytes(c.Payload)...), fewLists.Draw(t, "lists"))
	case kind != crdt.Bytes && op > 3:
		return drawEdit(t, c, kind)
	case kind != crdt.Bytes:
		return c.Put(kind, []byte(drawSmallText(t, 3)), fewLists.Draw(t, "lists"))
	}
	return c.Put(kind, []byte(someValues.Draw(t, "value")), nil)
}

func drawEdit(t *rapid.T, c crdt.Context, kind crdt.Kind) (crdt.Draft, error) {
	at := rapid.SampledFrom([]crdt.Path{"/", "/a", "/a/a", "/a/b", "/a/a/a", "/b", "/b/a", "/l"}).Draw(t, "path")
	var d *crdt.Document
	if rapid.IntRange(0, 2).Draw(t, "remove") > 0 {
		var err error
		if d, err = crdt.ParseDocument(crdt.JSON, []byte(drawSmallText(t, 1)), nil); err != nil {
			return crdt.Draft{}, err
		}
	}
	return c.Edit(kind, at, d)
}

// TestHonestHistories lets writers write what contexts want. The views are the
// oracle's, and the walk that ends at a complete revision shows what reading
// everything shows.
func TestHonestHistories(t *testing.T) {
	for name, kinds := range map[string][]crdt.Kind{
		"documents": {crdt.JSON, crdt.YAML},
		"counters":  {crdt.Counter},
		"sets":      {crdt.Set},
		"mixed":     {crdt.JSON, crdt.JSON, crdt.Counter, crdt.Set, crdt.Bytes},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				w := randomForks(t, rapid.IntRange(1, 20).Draw(t, "steps"), func(n *node, f crdt.ForkID) { drawHonest(t, n, f, kinds) })
				for _, f := range w.forks {
					cut, uncut := w.oracle.Read(f, key), w.oracle.Uncut().Read(f, key)
					if !reflect.DeepEqual(cut, uncut) {
						t.Fatalf("fork %v\nby the walk %+v\nby everything %+v", f, cut, uncut)
					}
				}
			})
		})
	}
}

// TestPurgedHistories takes payloads away from what writers wrote, always that of
// what all of them had read. What is read then is what the oracle says, with and
// without what is remembered.
func TestPurgedHistories(t *testing.T) {
	kinds := []crdt.Kind{crdt.JSON, crdt.JSON, crdt.JSON, crdt.YAML, crdt.Counter}
	for name, write := range map[string]func(*rapid.T, *node, crdt.ForkID, []crdt.Kind){"honest": drawHonest, "dishonest": drawAnything} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				w := newWorld(t)
				nodes := []*node{w.node("1"), w.node("2"), w.node("3")}
				nodes[0].json(root, `{"a":{"a":1,"b":{"a":1}},"b":2,"c":3,"d":{"e":4},"l":[{"k":1,"v":1}]}`, crdt.ListRule{Path: "/l", Schema: crdt.MapList("k")})
				base := nodes[0].heads(root)[0]
				meet(nodes...)
				for range rapid.IntRange(2, 10).Draw(t, "steps") {
					n := rapid.SampledFrom(nodes).Draw(t, "node")
					if write(t, n, root, kinds); rapid.IntRange(0, 2).Draw(t, "learn") == 0 {
						n.learn(rapid.SampledFrom(nodes).Draw(t, "from"))
					}
				}
				for _, r := range w.oracle.Visible(root, key) {
					if !r.Deleted && (r.ID == base || rapid.IntRange(0, 9).Draw(t, "purge") == 0) {
						r.Gone, r.Value, r.Change = true, nil, nil
						w.oracle.Add(r)
					}
				}
				w.memory = make(memory)
				for _, n := range nodes {
					n.view(root)
				}
				meet(nodes[0])
				nodes[0].view(root)
			})
		})
	}
}
