package daemon

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// Blame implements rpc.Blames.
func (r *Replica) Blame(ctx context.Context, k rpc.KeyRef) iter.Seq2[rpc.BlameLine, error] {
	return func(yield func(rpc.BlameLine, error) bool) {
		lines, err := r.blame(ctx, k)
		if err != nil {
			yield(rpc.BlameLine{}, outward(err))
			return
		}
		for _, l := range lines {
			if !yield(l, nil) {
				return
			}
		}
	}
}

func (r *Replica) blame(ctx context.Context, k rpc.KeyRef) ([]rpc.BlameLine, error) {
	if err := checkKey(k.Key); err != nil {
		return nil, err
	}
	f, err := r.fork(k.Fork)
	if err != nil {
		return nil, err
	}
	s, err := r.lookAt(f.ID, k.Key)
	if err == nil {
		err = s.mayServe(f, "")
	}
	switch {
	case err != nil:
		return nil, err
	case s.Absent():
		return nil, failure(rpc.CodeNotFound, "the key %q is not there", k.Key)
	case isDocument(s.Kind):
		return r.blameFields(ctx, s)
	case s.Kind == crdt.Text:
		return r.blameLines(ctx, s)
	case s.Kind == crdt.Set:
		return r.blameElements(ctx, s)
	}
	value, err := s.content()
	if err != nil {
		return nil, err
	}
	c, err := r.graph.HeadChange(s.served())
	if err != nil {
		return nil, err
	}
	return []rpc.BlameLine{r.blamed(&c, rpc.BlameLine{Value: value.value})}, nil
}

// blamed completes a line with who wrote it.
func (r *Replica) blamed(c *dag.Change, l rpc.BlameLine) rpc.BlameLine {
	l.Revision, l.Block, l.Node = c.ID, c.Block, r.nodeName(c.Node)
	l.Author, l.Time, l.Message = rpc.Author(c.Note.Author), timeOf(c.Revision.Time), c.Note.Message
	l.Claimed = claimed(&c.Note)
	return l
}

// blameFields finds for each field that is served the newest revision that
// wrote its value there.
func (r *Replica) blameFields(ctx context.Context, s *sight) ([]rpc.BlameLine, error) {
	d, err := s.document()
	if err != nil {
		return nil, err
	}
	var lines []rpc.BlameLine
	left := map[crdt.Path]int{}
	sums := map[crdt.Path]crdt.Sum{}
	for p, leaf := range d.Leaves() {
		left[p], sums[p] = len(lines), leaf.Sum
		lines = append(lines, rpc.BlameLine{Path: p, Value: []byte(leaf.JSON)})
	}
	var last dag.Change
	for c, err := range s.back(headIDs(s.Entry)) {
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return nil, err
		}
		last = c
		written, tree, err := r.wroteFields(&c)
		if err != nil {
			return nil, err
		}
		for _, p := range written {
			i, ok := left[p]
			if leaf, has := tree.Leaf(p); ok && has && leaf.Sum == sums[p] {
				lines[i] = r.blamed(&c, lines[i])
				delete(left, p)
			}
		}
		if len(left) == 0 {
			return lines, nil
		}
	}
	for _, i := range left { // what nobody says that he wrote was there first
		lines[i] = r.blamed(&last, lines[i])
	}
	return lines, nil
}

// blameElements finds for each element of a set the newest revision that added
// it.
func (r *Replica) blameElements(ctx context.Context, s *sight) ([]rpc.BlameLine, error) {
	value, err := s.content()
	if err != nil {
		return nil, err
	}
	var elements []string
	if err := json.Unmarshal(value.value, &elements); err != nil {
		return nil, fmt.Errorf("blame %q: %w", s.Key, err)
	}
	var lines []rpc.BlameLine
	left := map[string]int{}
	for i, e := range elements {
		left[e] = i
		lines = append(lines, rpc.BlameLine{Value: []byte(e)})
	}
	for c, err := range s.back(headIDs(s.Entry)) {
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return nil, err
		}
		payload, err := r.graph.ChangePayload(&c)
		if err != nil && !isGone(err) {
			return nil, err
		}
		wrote, err := crdt.DecodeSet(payload)
		if err != nil {
			continue // of another kind, or gone
		}
		for _, e := range wrote.Added {
			if i, ok := left[e]; ok {
				lines[i] = r.blamed(&c, lines[i])
				delete(left, e)
			}
		}
		if len(left) == 0 {
			break
		}
	}
	return lines, nil
}

// wroteFields is the paths that a revision wrote, and its document.
func (r *Replica) wroteFields(c *dag.Change) ([]crdt.Path, *crdt.Document, error) {
	if c.Revision.Deleted || !isDocument(crdt.Kind(c.Revision.Kind)) {
		return nil, nil, nil
	}
	payload, err := r.graph.ChangePayload(c)
	if err != nil {
		return nil, nil, notGone(err) // of what was purged nobody knows any more
	}
	p, err := crdt.DecodeDocument(payload)
	if err != nil {
		return nil, nil, nil
	}
	tree, err := p.Document(crdt.Kind(c.Revision.Kind))
	if err != nil {
		return nil, nil, nil
	}
	return p.Paths, tree, nil
}

// back yields revisions of the key and all that they have seen, newest first,
// each once.
func (s *sight) back(from []dag.RevisionID) iter.Seq2[dag.Change, error] {
	return func(yield func(dag.Change, error) bool) {
		var left newestFirst
		known := map[dag.RevisionID]bool{}
		for {
			for _, id := range from {
				if known[id] {
					continue
				}
				known[id] = true
				c, err := s.from.change(s.Key, id)
				if err != nil {
					yield(c, err)
					return
				}
				heap.Push(&left, c)
			}
			if len(left) == 0 {
				return
			}
			c := heap.Pop(&left).(dag.Change)
			if !yield(c, nil) {
				return
			}
			from = c.Revision.Parents
		}
	}
}

// newestFirst is a heap of changes.
type newestFirst []dag.Change

func (h newestFirst) Len() int           { return len(h) }
func (h newestFirst) Less(i, j int) bool { return h[i].Order().Compare(h[j].Order()) > 0 }
func (h newestFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *newestFirst) Push(x any) { *h = append(*h, x.(dag.Change)) }

// Pop implements heap.Interface.
func (h *newestFirst) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	*h = (*h)[:last]
	return c
}

// carried is a line of the served text that a revision has too.
type carried struct{ here, served int }

// blameLines follows each line of the served text back, to the revision whose
// parents do not have it.
func (r *Replica) blameLines(ctx context.Context, s *sight) ([]rpc.BlameLine, error) {
	value, err := s.content()
	if err != nil {
		return nil, err
	}
	var lines []rpc.BlameLine
	served := dag.RevisionID(s.Served)
	held := map[dag.RevisionID][]carried{}
	for text := range bytes.Lines(value.value) {
		held[served] = append(held[served], carried{len(lines), len(lines)})
		lines = append(lines, rpc.BlameLine{Line: len(lines) + 1, Value: bytes.TrimSuffix(text, []byte("\n"))})
	}
	for c, err := range s.back([]dag.RevisionID{served}) {
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return nil, err
		}
		mine := held[c.ID]
		delete(held, c.ID)
		if len(mine) == 0 {
			if len(held) == 0 {
				break
			}
			continue
		}
		here, err := r.contentOf(&c)
		if err != nil {
			return nil, err
		}
		for _, id := range c.Revision.Parents {
			if mine, err = r.passOn(s, here.value, mine, id, held); err != nil {
				return nil, err
			}
		}
		for _, l := range mine {
			lines[l.served] = r.blamed(&c, lines[l.served])
		}
	}
	return lines, nil
}

// passOn gives the lines of a text that a parent has to the parent, and returns
// the rest.
func (r *Replica) passOn(s *sight, here []byte, mine []carried, parent dag.RevisionID, held map[dag.RevisionID][]carried) (rest []carried, err error) {
	c, err := s.from.change(s.Key, parent)
	if err != nil {
		return nil, err
	}
	before, err := r.contentOf(&c)
	if isGone(err) {
		return mine, nil
	}
	if err != nil {
		return nil, err
	}
	at := map[int]int{}
	for _, pair := range crdt.SharedLines(before.value, here) {
		at[pair[1]] = pair[0]
	}
	for _, l := range mine {
		if i, ok := at[l.here]; ok {
			held[parent] = append(held[parent], carried{i, l.served})
		} else {
			rest = append(rest, l)
		}
	}
	return slices.Clip(rest), nil
}
