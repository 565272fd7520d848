package daemon

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// The types of events.
const (
	eventPut      = "put"
	eventDelete   = "del"
	eventConflict = "conflict"
	eventResolved = "resolved"
	eventIdle     = "idle"
)

// Watch implements rpc.Histories. It ends with ctx, without an error.
func (r *Replica) Watch(ctx context.Context, q rpc.WatchRequest) iter.Seq2[rpc.Event, error] {
	return func(yield func(rpc.Event, error) bool) {
		f, err := r.fork(q.Fork)
		if err != nil {
			yield(rpc.Event{}, err)
			return
		}
		from, err := r.watchFrom(ctx, q.Since)
		if err != nil {
			yield(rpc.Event{}, err)
			return
		}
		w := &watcher{r: r, f: f, q: q, at: from, yield: yield}
		if q.State && !w.state(ctx) {
			return
		}
		w.follow(ctx)
	}
}

// watchFrom resolves where a watch starts.
func (r *Replica) watchFrom(ctx context.Context, since string) (dag.FeedCursor, error) {
	switch since {
	case "", "now":
		return r.graph.End(), nil
	case "start":
		return dag.FeedCursor{}, nil
	}
	if t, err := time.Parse(time.RFC3339, since); err == nil {
		c, err := r.graph.FeedAt(ctx, t.UnixMilli())
		return c, outward(err)
	}
	var c dag.FeedCursor
	if err := c.UnmarshalText([]byte(since)); err != nil {
		return c, failure(rpc.CodeInvalid, "%.60q is no place to watch from: give now, start, a time (RFC 3339) or the cursor of an event", since)
	}
	return c, nil
}

// watcher is one watch under way; it belongs to one goroutine.
type watcher struct {
	r     *Replica
	f     dag.Fork
	q     rpc.WatchRequest
	at    dag.FeedCursor
	yield func(rpc.Event, error) bool
}

// state sends the present keys. It reports whether the consumer wants more.
func (w *watcher) state(ctx context.Context) bool {
	w.at = w.r.graph.End()
	cursor := cursorOf(w.at)
	for e, err := range w.r.List(ctx, rpc.ListRequest{Fork: w.f.Name, Prefix: w.q.Prefix, Values: true}) {
		if err != nil {
			return w.fail(ctx, err)
		}
		ev := rpc.Event{
			Cursor: cursor, Type: eventPut, Fork: e.Fork, Key: e.Key, Kind: e.Kind, Value: e.Value, Token: e.Token,
			Revision: e.Revision, Block: e.Block, Last: true, Node: e.Node, Author: e.Author, Time: e.Time, Purged: e.Purged,
			Withheld: e.Withheld,
		}
		if e.Conflict {
			ev.Type = eventConflict
		}
		if !w.yield(ev, nil) {
			return false
		}
	}
	return true
}

func cursorOf(c dag.FeedCursor) rpc.Cursor {
	text, _ := c.MarshalText()
	return rpc.Cursor(text)
}

// fail ends the watch: silently if it was told to.
func (w *watcher) fail(ctx context.Context, err error) bool {
	if ctx.Err() == nil {
		w.yield(rpc.Event{}, outward(err))
	}
	return false
}

// follow sends changes as they come, until ctx ends or the consumer stops.
func (w *watcher) follow(ctx context.Context) {
	var idle <-chan time.Time
	if w.q.Idle > 0 {
		t := time.NewTicker(w.q.Idle)
		defer t.Stop()
		idle = t.C
	}
	for first := true; ; first = false {
		changed := w.r.graph.Changed()
		for item, err := range w.r.graph.Feed(ctx, w.at) {
			if err != nil {
				w.fail(ctx, err)
				return
			}
			if !w.block(ctx, &item) {
				return
			}
			w.at = item.After
		}
		if first && idle != nil && !w.idle() {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-idle:
			if !w.idle() {
				return
			}
		}
	}
}

func (w *watcher) idle() bool {
	return w.yield(rpc.Event{Cursor: cursorOf(w.at), Type: eventIdle, Fork: w.f.Name, Time: w.r.now().UTC()}, nil)
}

// block sends the changes of one block that the watch is for.
func (w *watcher) block(ctx context.Context, item *dag.FeedItem) bool {
	wanted := func(c *dag.Change) bool {
		return c.Revision.Fork == w.f.ID && strings.HasPrefix(c.Revision.Key, w.q.Prefix)
	}
	last := -1
	for i := range item.Changes {
		if wanted(&item.Changes[i]) {
			last = i
		}
	}
	for i := item.Skip; i <= last; i++ {
		c := &item.Changes[i]
		if !wanted(c) {
			continue
		}
		ev, ok, err := w.event(c)
		if err != nil {
			return w.fail(ctx, err)
		}
		if ev.Cursor = cursorOf(item.Within(i + 1)); i == last {
			ev.Cursor, ev.Last = cursorOf(item.After), true
		}
		if ok && !w.yield(ev, nil) {
			return false
		}
	}
	return true
}

// event describes a change, and whether its key is in conflict now that it is
// read; ok is false if the change is void.
func (w *watcher) event(c *dag.Change) (ev rpc.Event, ok bool, err error) {
	if ok, err = w.r.graph.Visible(w.f.ID, c); !ok || err != nil {
		return ev, false, err
	}
	rev := c.Revision
	e, err := w.r.graph.Entry(w.f.ID, rev.Key)
	if err != nil {
		return ev, false, err
	}
	ev = rpc.Event{
		Type: eventPut, Fork: w.f.Name, Key: rev.Key, Kind: crdt.Kind(rev.Kind), Revision: c.ID, Block: c.Block,
		Node: w.r.nodeName(c.Node), Author: rpc.Author(c.Note.Author), Time: timeOf(rev.Time),
		Token: makeToken(w.f.ID, rev.Key, []dag.RevisionID{c.ID}),
	}
	heads := headIDs(&e)
	s, err := w.r.look(&e)
	if err != nil {
		return ev, false, err
	}
	isHead := slices.Contains(heads, c.ID)
	if isHead {
		ev.Token = tokenOf(&e)
	}
	switch {
	case isHead && !s.settled():
		ev.Type = eventConflict
	case rev.Deleted:
		ev.Type = eventDelete
	case rev.Mark.Reason() == dag.MarkResolved, len(rev.Parents) > 1 && !isDelta(crdt.Kind(rev.Kind)):
		ev.Type = eventResolved
	}
	if isHead {
		ev.Withheld, err = s.withheld(func() (dag.Entry, error) { return w.r.entryAt(w.f, rpc.PolicyKey, "") })
		if ev.Withheld || err != nil {
			return ev, true, err
		}
	}
	now, err := w.r.contentOf(c)
	if isHead && !rev.Deleted && isDelta(s.Kind) && !s.Absent() {
		// What several changed at once is in no revision.
		now, err = s.content()
	}
	ev.Value, ev.Purged, err = w.r.shown(now, err)
	return ev, true, err
}
