package rpc

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strings"

	"crush/crdt"
)

// cut leaves of a json what stands at a path, if that is a leaf.
func (e *Entry) cut(p crdt.Path) error {
	if e.Kind != crdt.JSON {
		return invalid("the key is no json")
	}
	d, err := crdt.ParseDocument(e.Kind, e.Value, nil)
	if err != nil {
		return err
	}
	leaf, ok := d.Leaf(p)
	if !ok {
		return &Error{Code: CodeNotFound, Message: "nothing stands at " + p.String()}
	}
	e.Document = []byte(leaf.JSON)
	e.Value = e.Document
	var text string
	if json.Unmarshal(e.Document, &text) == nil {
		e.Value = []byte(text)
	}
	return nil
}

// putLocked is the value that a put makes. One at a path is only checked, and
// changes nothing.
func (f *fake) putLocked(r PutRequest) ([]byte, error) {
	e, err := entryOf(GetRequest{KeyRef: r.KeyRef}, f.forks[forkName(r.Fork)][r.Key])
	if err != nil || r.Path == "" && r.Kind != crdt.JSON || r.Path != "" && r.Kind == crdt.Text {
		return r.Value, err
	}
	if _, err := crdt.ParseDocument(crdt.JSON, r.Value, nil); err != nil {
		return nil, err
	}
	if r.Path != "" {
		return e.Value, nil
	}
	return r.Value, nil
}

func (f *fake) Increment(_ context.Context, r IncrementRequest) (Counted, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	return Counted{Written: f.writeLocked(r.KeyRef, r.Claim, []byte("5"), crdt.Counter, false), Total: "5"}, nil
}

func (f *fake) ChangeSet(_ context.Context, r ElementsRequest) (Written, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	all := map[string]bool{}
	for _, e := range f.elementsLocked(r.KeyRef) {
		all[e] = true
	}
	for _, e := range r.Add {
		all[e] = true
	}
	for _, e := range r.Remove {
		delete(all, e)
	}
	var list []string
	for e := range all {
		list = append(list, e)
	}
	slices.Sort(list)
	text, _ := json.Marshal(list)
	return f.writeLocked(r.KeyRef, r.Claim, text, crdt.Set, false), nil
}

func (f *fake) elementsLocked(k KeyRef) (list []string) {
	if text := f.topLocked(forkName(k.Fork), k.Key); text != nil {
		if json.Unmarshal(text, &list) != nil {
			return nil // no set
		}
	}
	return list
}

func (f *fake) Elements(_ context.Context, k KeyRef) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.history(k); err != nil {
		return nil, err
	}
	return f.elementsLocked(k), nil
}

// Blame knows texts only, and the writer of the newest revision.
func (f *fake) Blame(_ context.Context, k KeyRef) iter.Seq2[BlameLine, error] {
	return func(yield func(BlameLine, error) bool) {
		f.mu.Lock()
		h, err := f.history(k)
		f.mu.Unlock()
		if err == nil && len(h) == 0 {
			err = &Error{Code: CodeNotFound, Message: k.Key + " is not there"}
		}
		if err != nil {
			yield(BlameLine{}, err)
			return
		}
		top := h[len(h)-1]
		n := 0
		for line := range strings.Lines(string(top.Value)) {
			n++
			l := BlameLine{
				Line: n, Value: []byte(strings.TrimSuffix(line, "\n")), Revision: top.Revision, Block: top.Block, Node: top.Node,
				Author: top.Author, Time: top.Time, Message: top.Message,
			}
			if !yield(l, nil) {
				return
			}
		}
	}
}
