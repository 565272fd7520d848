package daemon

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// Log implements rpc.Histories.
func (r *Replica) Log(ctx context.Context, q rpc.LogRequest) iter.Seq2[rpc.LogEntry, error] {
	return func(yield func(rpc.LogEntry, error) bool) {
		changes, err := r.logOf(ctx, &q)
		if err != nil {
			yield(rpc.LogEntry{}, err)
			return
		}
		for e, err := range changes {
			if err != nil {
				yield(rpc.LogEntry{}, outward(err))
				return
			}
			if !q.Since.IsZero() && e.Time.Before(q.Since) || q.Author != "" && e.Author != q.Author || q.Node != "" && e.Node != q.Node {
				continue
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// logOf chooses the log that is asked for.
func (r *Replica) logOf(ctx context.Context, q *rpc.LogRequest) (iter.Seq2[rpc.LogEntry, error], error) {
	if q.Graph < 0 || q.Graph > 0 && q.After != "" {
		return nil, failure(rpc.CodeInvalid, "a graph is of a number of changes, the newest first, and has no pages")
	}
	if q.All {
		if q.Fork != "" || q.Key != "" {
			return nil, failure(rpc.CodeInvalid, "the log of every fork is of all their keys: name neither a fork nor a key")
		}
		if q.Graph > 0 {
			return r.graphLog(ctx, &forkLog{r: r, all: true}, q), nil
		}
		return r.blockLog(ctx, &forkLog{r: r, all: true}, q), nil
	}
	f, err := r.fork(q.Fork)
	switch {
	case err != nil:
		return nil, err
	case q.Key == "" && q.Graph > 0:
		return r.graphLog(ctx, &forkLog{r: r, fork: f}, q), nil
	case q.Key == "":
		return r.blockLog(ctx, &forkLog{r: r, fork: f}, q), nil
	case strings.HasSuffix(q.Key, "/"):
		return r.blockLog(ctx, &forkLog{r: r, fork: f, below: q.Key}, q), nil
	}
	return r.keyLog(ctx, f, q), nil
}

// keyLog yields the history of one key.
func (r *Replica) keyLog(ctx context.Context, f dag.Fork, q *rpc.LogRequest) iter.Seq2[rpc.LogEntry, error] {
	return func(yield func(rpc.LogEntry, error) bool) {
		var from dag.HistoryCursor
		if q.After != "" {
			if err := from.UnmarshalText([]byte(q.After)); err != nil {
				yield(rpc.LogEntry{}, noCursor(q.After))
				return
			}
		}
		e, err := r.graph.Entry(f.ID, q.Key)
		if err == nil && len(e.Heads) == 0 {
			err = failure(rpc.CodeNotFound, "the key %q is not there", q.Key)
		}
		if err != nil {
			yield(rpc.LogEntry{}, err)
			return
		}
		heads := headIDs(&e)
		for c, err := range r.graph.History(ctx, f.ID, q.Key, from) {
			var out rpc.LogEntry
			if err == nil {
				out, err = r.logEntry(&c, q.Values)
				out.Fork = f.Name
				out.Head = slices.Contains(heads, c.ID)
				text, _ := c.Cursor().MarshalText()
				out.Cursor = string(text)
			}
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}

func noCursor(text string) error {
	return failure(rpc.CodeInvalid, "not a cursor of this log: %q", text)
}

// forkLog says what belongs to the log of a fork.
type forkLog struct {
	r     *Replica
	fork  dag.Fork
	below string // only the revisions below this prefix that the fork shows
	all   bool   // every fork
	alias string // only the operations on this alias
	own   map[dag.ForkID]bool
	first uint64 // arrival number of the block at which the log ends
	graph bool   // every part of what it came from, also those of a change of many blocks
}

// forks are those whose blocks are looked at.
func (l *forkLog) forks() (out []dag.ForkID) {
	switch {
	case l.alias != "":
		return nil
	case l.all:
		return l.r.graph.ForkIDs()
	case l.below != "":
		return l.r.graph.Sources(l.fork.ID)
	default:
		out = []dag.ForkID{l.fork.ID}
		for _, c := range l.r.graph.Contributions(l.fork.ID) {
			if c.From.Name == "" { // a change that was too big for one block
				out = append(out, c.From.ID)
			}
		}
	}
	return out
}

// begin is the arrival number of the block that made the fork, if operations
// that name no fork shall not be listed beyond it.
func (l *forkLog) begin() (uint64, error) {
	if l.all || l.below != "" || l.alias != "" || l.fork.ID == dag.DefaultFork() {
		return 0, nil
	}
	return l.r.graph.FirstArrival(l.fork.ID)
}

// wants reports whether a change belongs to the log.
func (l *forkLog) wants(c *dag.Change) (bool, error) {
	if !l.own[c.Revision.Fork] || !strings.HasPrefix(c.Revision.Key, l.below) {
		return false, nil
	}
	on := l.fork.ID
	if l.all || l.graph {
		on = c.Revision.Fork
	}
	return l.r.graph.Visible(on, c)
}

// A place in such a log is the arrival number of a block, and how many of its
// operations and revisions, which stand behind them, are still to come.
func placeInLog(cursor string) (lsn uint64, left int, err error) {
	if cursor == "" {
		return 0, 0, nil
	}
	a, b, ok := strings.Cut(cursor, ".")
	lsn, err1 := strconv.ParseUint(a, 10, 63)
	n, err2 := strconv.ParseUint(b, 10, 31)
	if !ok || err1 != nil || err2 != nil {
		return 0, 0, noCursor(cursor)
	}
	return lsn, int(n), nil
}

// blockLog yields what belongs to a log by block, newest arrival first.
func (r *Replica) blockLog(ctx context.Context, l *forkLog, q *rpc.LogRequest) iter.Seq2[rpc.LogEntry, error] {
	return func(yield func(rpc.LogEntry, error) bool) {
		lsn, left, err := placeInLog(q.After)
		if err != nil {
			yield(rpc.LogEntry{}, err)
			return
		}
		below, forks := uint64(0), l.forks()
		if q.After != "" {
			below = lsn + 1
		}
		if l.first, err = l.begin(); err != nil {
			yield(rpc.LogEntry{}, err)
			return
		}
		l.own = map[dag.ForkID]bool{}
		for _, id := range forks {
			l.own[id] = true
		}
		for b, err := range r.graph.Log(ctx, forks, l.below == "", below) {
			if err != nil {
				yield(rpc.LogEntry{}, err)
				return
			}
			end := len(b.Block.Ops) + len(b.Changes)
			if q.After != "" && b.LSN == lsn {
				end = min(end, left)
			}
			if more := l.block(ctx, &b, end, q.Values, yield); !more {
				return
			}
		}
	}
}

// block yields what belongs to the log of a block, up to a place, the last
// first. It reports whether more is wanted.
func (l *forkLog) block(ctx context.Context, b *dag.Logged, end int, values bool, yield func(rpc.LogEntry, error) bool) bool {
	ops := len(b.Block.Ops)
	for i := end - 1; i >= ops; i-- {
		c := &b.Changes[i-ops]
		ok, err := l.wants(c)
		if err == nil && !ok {
			continue
		}
		var e rpc.LogEntry
		if err == nil {
			e, err = l.change(c, values)
		}
		e.Cursor = logCursor(b.LSN, i)
		if !yield(e, err) || err != nil {
			return false
		}
	}
	for i := min(end, ops) - 1; i >= 0 && l.below == ""; i-- {
		if !slices.Contains(b.Ops, i) {
			continue
		}
		op, err := l.r.operation(ctx, b, i)
		if err == nil && !l.has(&op) {
			continue
		}
		e := l.r.opEntry(b, &op.said)
		e.Cursor = logCursor(b.LSN, i)
		if !yield(e, err) || err != nil {
			return false
		}
	}
	return b.LSN > l.first
}

// has reports whether an operation belongs to the log.
func (l *forkLog) has(op *operation) bool {
	switch {
	case op.internal && !l.graph:
		return false
	case l.alias != "":
		return op.said.Kind == rpc.OperationAlias && op.said.Name == l.alias
	case l.all || op.touches == nil:
		return true
	}
	return slices.ContainsFunc(op.touches, func(id dag.ForkID) bool { return l.own[id] })
}

// graphLog yields the blocks by which a fork came to show what it shows, the
// newest first, with what each stands on.
func (r *Replica) graphLog(ctx context.Context, l *forkLog, q *rpc.LogRequest) iter.Seq2[rpc.LogEntry, error] {
	return func(yield func(rpc.LogEntry, error) bool) {
		of := l.fork.ID
		if l.all {
			of = dag.DefaultFork()
		}
		blocks, err := r.graph.LogGraph(ctx, of, l.all, q.Graph)
		if err != nil {
			yield(rpc.LogEntry{}, err)
			return
		}
		l.graph = true
		for i := range blocks {
			b := &blocks[i]
			l.own = map[dag.ForkID]bool{}
			for _, id := range b.On {
				l.own[id] = true
			}
			newest := r.liveNames(b.Newest)
			joined := func(e rpc.LogEntry, err error) bool {
				e.Before, e.Newest, e.Cursor = append([]dag.BlockID{}, b.Before...), newest, ""
				return yield(e, err)
			}
			if !l.block(ctx, &b.Logged, len(b.Block.Ops)+len(b.Changes), q.Values, joined) {
				return
			}
		}
	}
}

// liveNames are the names of those forks that people find in a list.
func (r *Replica) liveNames(ids []dag.ForkID) (out []string) {
	for _, id := range ids {
		if f, ok := r.graph.ForkOf(id); ok && f.Name != "" && !f.Deleted {
			out = append(out, f.Name)
		}
	}
	return out
}

func logCursor(lsn uint64, place int) string {
	return strconv.FormatUint(lsn, 10) + "." + strconv.Itoa(place)
}

// change describes a revision in the log of a fork, whose name it carries; in
// the log of every fork, that of its own.
func (l *forkLog) change(c *dag.Change, values bool) (rpc.LogEntry, error) {
	e, err := l.r.logEntry(c, values)
	on := l.fork
	if l.all || l.graph {
		on.ID, on.Name = c.Revision.Fork, e.Fork
	}
	e.Fork = on.Name
	if err == nil {
		e.Head, err = l.r.isHead(on, c)
	}
	return e, err
}

// isHead reports whether a change is a head of its key on a fork.
func (r *Replica) isHead(f dag.Fork, c *dag.Change) (bool, error) {
	e, err := r.graph.Entry(f.ID, c.Revision.Key)
	return slices.Contains(headIDs(&e), c.ID), outward(err)
}

// logEntry describes a change.
func (r *Replica) logEntry(c *dag.Change, value bool) (rpc.LogEntry, error) {
	rev := c.Revision
	out := rpc.LogEntry{
		Revision: c.ID, Block: c.Block, Parents: rev.Parents, Key: rev.Key, Fork: r.forkLabel(rev.Fork), Kind: crdt.Kind(rev.Kind),
		Node: r.nodeName(c.Node), Zone: r.zoneOf(c.Node), Author: rpc.Author(c.Note.Author), Time: timeOf(rev.Time),
		Message: c.Note.Message, Size: rev.Size, Deleted: rev.Deleted, Mark: markNames[rev.Mark.Reason()],
	}
	out.Claimed, out.Purged = claimed(&c.Note), r.purgedBy(c)
	if !value && !tellsMore(rev) {
		return out, nil
	}
	payload, err := r.graph.ChangePayload(c)
	if err == nil && tellsMore(rev) {
		tellChange(&out, payload)
	}
	if value {
		out.Value, out.Purged, err = r.shown(contentOfRevision(rev, payload), err)
		return out, err
	}
	return out, nil // a line of a value that cannot be read is a line
}

// claimed is the time in a note; zero if there is none.
func claimed(n *dag.Note) time.Time {
	if n.Time == 0 {
		return time.Time{}
	}
	return timeOf(n.Time)
}

var markNames = map[dag.Mark]string{dag.MarkResolved: rpc.MarkResolved, dag.MarkReverted: rpc.MarkReverted}

// zoneOf is the zone of a node in the member list; "" if it has none.
func (r *Replica) zoneOf(id dag.NodeID) string {
	m, _ := r.graph.Member(id)
	return m.Zone
}
