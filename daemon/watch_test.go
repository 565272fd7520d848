package daemon

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"crush/dag"
	"crush/rpc"
)

// pullSome applies the next chunk of what another lab has, of at least n
// blocks if there are so many.
func (l *lab) pullSome(from *lab, n int) {
	l.t.Helper()
	var bs []dag.Bundle
	for o, err := range from.Graph().Missing(l.t.Context(), l.Graph().Frontier()) {
		if err != nil {
			l.t.Fatal(err)
		}
		if bs = append(bs, o.Bundle); len(bs) >= n && o.Whole {
			break
		}
	}
	if _, err := l.Graph().Apply(l.t.Context(), bs); err != nil {
		l.t.Fatal(err)
	}
}

// watchConsumer is a watch of one prefix that goes from node to node, and
// notes what it was given.
type watchConsumer struct {
	t      *testing.T
	prefix string
	cursor rpc.Cursor
	on     *lab                    // that gave the cursor
	here   map[dag.RevisionID]bool // given by that, since the watch came to it
	cut    map[dag.BlockID]bool    // in whose middle the watch has gone elsewhere
	seen   map[dag.RevisionID]bool
	order  []rpc.Event // as they first came
}

// take watches on a lab until its end, or until it was given n events, and
// keeps the cursor. On the node that gave the cursor nothing comes twice; once
// every node has everything, nowhere, but what was cut in the middle.
func (c *watchConsumer) take(l *lab, n int, everywhere bool) (given int) {
	c.t.Helper()
	if c.on != l {
		c.on, c.here = l, map[dag.RevisionID]bool{}
	}
	since := string(c.cursor)
	if since == "" {
		since = "start"
	}
	for e, err := range l.Watch(c.t.Context(), rpc.WatchRequest{Prefix: c.prefix, Since: since, Idle: time.Hour}) {
		if err != nil {
			c.t.Fatal(err)
		}
		if c.cursor = e.Cursor; e.Type == eventIdle {
			break
		}
		if c.here[e.Revision] || everywhere && c.seen[e.Revision] && !c.cut[e.Block] {
			c.t.Errorf("the watch of %q was given %s again", c.prefix, e.Revision.Short())
		}
		if !c.seen[e.Revision] {
			c.order = append(c.order, e)
		}
		c.here[e.Revision], c.seen[e.Revision] = true, true
		if given++; given == n {
			c.cut[e.Block] = !e.Last
			break
		}
	}
	return given
}

// TestWatchElsewhere lets watches stop anywhere, in the middle of an atomic
// change too, and go on on other nodes, while those write and get what the
// others wrote in chunks. Events may come twice; none may be missing, and none
// may come before what it has seen.
func TestWatchElsewhere(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { watchElsewhere(t, rand.New(rand.NewPCG(seed, 7))) })
	}
}

func watchElsewhere(t *testing.T, rnd *rand.Rand) {
	labs := make([]*lab, 3)
	labs[0], labs[1] = pair(t)
	labs[2] = newLabOf(t, "c", true)
	labs[0].member("c", dag.RoleWriter, "")
	for _, l := range labs {
		l.pull(labs[0])
	}
	var all []*watchConsumer
	for _, prefix := range []string{"", "a/", "b/1"} {
		all = append(all, &watchConsumer{t: t, prefix: prefix, seen: map[dag.RevisionID]bool{}, cut: map[dag.BlockID]bool{}})
	}
	any := func() *lab { return labs[rnd.IntN(len(labs))] }
	key := func() string { return fmt.Sprintf("%c/%d", 'a'+rnd.IntN(2), rnd.IntN(4)) }
	for step := range 60 {
		switch l := any(); rnd.IntN(6) {
		case 0, 1:
			l.put("", key(), fmt.Sprint(step))
		case 2:
			l.applySome(rnd, key, step)
		case 3:
			l.del("", key())
		default:
			if from := any(); from != l {
				l.pullSome(from, 1+rnd.IntN(4))
			}
		}
		all[rnd.IntN(len(all))].take(any(), 1+rnd.IntN(5), false)
	}
	for range 2 {
		for _, l := range labs {
			for _, from := range labs {
				l.pull(from)
			}
		}
	}
	for _, c := range all {
		// A watch that goes round and round is not given everything.
		for at := 0; at < 1000 && c.take(labs[at%len(labs)], 1+rnd.IntN(3), true) > 0; at++ {
		}
		c.whole(labs[0])
	}
}

// applySome writes a few keys as one atomic change.
func (l *lab) applySome(rnd *rand.Rand, key func() string, step int) {
	l.t.Helper()
	files := map[string]bool{}
	var q rpc.ApplyRequest
	for range 1 + rnd.IntN(4) {
		if k := key(); !files[k] {
			files[k] = true
			q.Files = append(q.Files, rpc.File{Key: k, Value: fmt.Append(nil, "many ", step)})
		}
	}
	if _, err := l.Apply(l.t.Context(), q); err != nil {
		l.t.Fatal(err)
	}
}

// whole checks that the consumer was given every revision that a lab has of
// its keys, and each after its parents.
func (c *watchConsumer) whole(l *lab) {
	c.t.Helper()
	place := map[dag.RevisionID]int{}
	for i, e := range c.order {
		place[e.Revision] = i + 1
	}
	n := 0
	for e, err := range l.Log(c.t.Context(), rpc.LogRequest{}) {
		if err != nil {
			c.t.Fatal(err)
		}
		if e.Revision.IsZero() || !strings.HasPrefix(e.Key, c.prefix) {
			continue
		}
		n++
		at := place[e.Revision]
		if at == 0 {
			c.t.Errorf("the watch of %q was not given revision %s of %s", c.prefix, e.Revision.Short(), e.Key)
		}
		for _, parent := range e.Parents {
			if place[parent] > at {
				c.t.Errorf("the watch of %q was given a revision of %s before its parent", c.prefix, e.Key)
			}
		}
	}
	if n == 0 || n != len(c.order) {
		c.t.Errorf("the watch of %q was given %d revisions, there are %d", c.prefix, len(c.order), n)
	}
}
