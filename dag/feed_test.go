package dag_test

import (
	"maps"
	"testing"

	"crush/crdt/oracle"
	"crush/dag"
	"crush/dag/dagtest"
)

// consumer follows the feed, of one node or of several in turn.
type consumer struct {
	cursor dag.FeedCursor
	node   *actor                  // where the cursor was made; nil at the start
	seen   map[dag.RevisionID]bool // everything that it was given
	blocks map[dag.BlockID]bool    // whole
	exact  map[dag.BlockID]bool    // what the node of the cursor has given since
}

// consume reads some of a node's feed, or all of it.
func (w *world) consume(c *consumer, a *actor, all bool) {
	w.t.Helper()
	text, err := c.cursor.MarshalText()
	w.must("write a cursor", err)
	var from dag.FeedCursor
	w.must("read a cursor", from.UnmarshalText(text))
	if c.node != a {
		c.node, c.exact = a, map[dag.BlockID]bool{}
	}
	for item, err := range a.Feed(w.t.Context(), from) {
		w.must("feed", err)
		if c.exact[item.ID] {
			w.t.Fatalf("%s: the feed repeats block %s to who read it here", a.name, item.ID.Short())
		}
		w.causalItem(c, a, item)
		n := len(item.Changes)
		if !all && w.r.IntN(8) == 0 && n > item.Skip {
			n = item.Skip + w.r.IntN(n-item.Skip)
			c.take(item, n)
			c.cursor = item.Within(n)
			return
		}
		c.take(item, n)
		c.cursor = item.After
		c.blocks[item.ID], c.exact[item.ID] = true, true
		if !all && w.r.IntN(6) == 0 {
			return
		}
	}
	w.complete(c, a)
}

// causalItem: what comes before a block was given before it, and what is left
// out of it was given before.
func (w *world) causalItem(c *consumer, a *actor, item dag.FeedItem) {
	w.t.Helper()
	for b := range w.blocks[item.ID].past {
		if id := dag.BlockID(b); id != item.ID && !c.blocks[id] {
			w.t.Fatalf("%s: the feed gives block %s before %s, which it depends on", a.name, item.ID.Short(), id.Short())
		}
	}
	if item.Skip > len(item.Changes) {
		w.t.Fatalf("%s: the feed skips %d of %d", a.name, item.Skip, len(item.Changes))
	}
	for _, ch := range item.Changes[:item.Skip] {
		if !c.seen[ch.ID] {
			w.t.Fatalf("%s: the feed leaves out revision %s", a.name, ch.ID.Short())
		}
	}
}

func (c *consumer) take(item dag.FeedItem, n int) {
	for _, ch := range item.Changes[:n] {
		c.seen[ch.ID] = true
	}
}

// complete: the end of a feed means that all was given.
func (w *world) complete(c *consumer, a *actor) {
	w.t.Helper()
	for b := range maps.Keys(map[oracle.Block]bool(a.has)) {
		if !c.blocks[dag.BlockID(b)] {
			w.t.Fatalf("%s: the feed ended and never gave block %s", a.name, dag.BlockID(b).Short())
		}
		for _, id := range w.blocks[dag.BlockID(b)].revs {
			if !c.seen[id] {
				w.t.Fatalf("%s: the feed ended and never gave revision %s", a.name, id.Short())
			}
		}
	}
}

// TestFeedOfManyTips: more maximal blocks than a cursor names. The node that
// made the cursor goes on exactly, others repeat and leave nothing out.
func TestFeedOfManyTips(t *testing.T) {
	a := foundNode(t, "a")
	var bs []dag.Bundle
	start := tips(a)
	for i := range dag.CursorMaxTips + 50 {
		f := newForger(keyOf("a"), byte(i))
		b := f.block(start...)
		b.Salt[2] = byte(i >> 8)
		if i >= 256 {
			t.Fatal("too many")
		}
		_, bundle := f.write(b, revision(b, 0, "k", "forged"))
		bs = append(bs, bundle)
	}
	apply(t, a, bs...)
	b := openNode(t, "b", dagtest.NewMem())
	apply(t, b, bundles(b.lacks(t, a))...)
	ends := map[string]dag.FeedCursor{"end": a.End(), "feed": lastOf(t, a)}
	for _, name := range []string{"end", "feed"} {
		end := ends[name]
		text, err := end.MarshalText()
		if err != nil || len(text) > 4<<10 {
			t.Fatalf("%d bytes, %v", len(text), err)
		}
		f := newForger(keyOf("a"), 255)
		blk := f.block(start...)
		blk.Salt[3] = name[0]
		id, bundle := f.write(blk)
		apply(t, a, bundle)
		apply(t, b, bundle)
		var got []dag.BlockID
		for item, err := range a.Feed(t.Context(), end) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, item.ID)
		}
		if name == "end" && (len(got) != 1 || got[0] != id) {
			t.Errorf("%s: %d blocks", name, len(got))
		}
		found := false
		for item, err := range b.Feed(t.Context(), end) {
			if err != nil {
				t.Fatal(err)
			}
			found = found || item.ID == id
		}
		if !found {
			t.Errorf("%s: another node leaves out a block", name)
		}
	}
}

func lastOf(t *testing.T, n *node) (c dag.FeedCursor) {
	t.Helper()
	for item, err := range n.Feed(t.Context(), c) {
		if err != nil {
			t.Fatal(err)
		}
		c = item.After
	}
	return c
}
