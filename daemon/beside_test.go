package daemon

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"crush/crdt"
	"crush/rpc"
)

// TestUndoBeside: what is undone brings back what it changed, and leaves alone a
// conflict that had nothing to do with it.
func TestUndoBeside(t *testing.T) {
	l := newLab(t, "a")
	l.says("ann", "", "k", crdt.JSON, `{"a":1,"b":1}`)
	l.fork("s", "")
	l.says("ann", "", "k", 0, `{"a":2,"b":1}`)
	l.says("bob", "s", "k", 0, `{"a":3,"b":1}`)
	l.merge("s", "default", rpc.OnConflictKeep)
	before := l.open("default", "k")
	q := rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "k"}, Value: []byte("5"), Path: "/b"}
	if _, err := l.Put(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	l.serves("", "k", `{"a":2,"b":5}!`)
	if _, err := l.Undo(t.Context(), rpc.UndoRequest{}); err != nil {
		t.Fatal(err)
	}
	l.serves("", "k", `{"a":2,"b":1}!`)
	if now := l.open("default", "k"); now.State != before.State {
		t.Errorf("the conflict at /a was %v, and is %v", before.State, now.State)
	}
	l.clean()
}

// TestWatchOfMergedDocument: who writes what he is sent to a file ends with what
// a read returns.
func TestWatchOfMergedDocument(t *testing.T) {
	a, b := pair(t)
	a.says("ann", "", "k", crdt.JSON, `{"a":1,"b":1}`)
	meet(a, b)
	a.says("ann", "", "k", 0, `{"a":2,"b":1}`)
	b.says("bob", "", "k", 0, `{"a":1,"b":2}`)
	meet(a, b)
	for _, l := range []*lab{a, b} {
		last, n := rpc.Event{}, 0
		q := rpc.WatchRequest{Since: "start", Prefix: "k"}
		for ev, err := range l.Watch(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			last = ev
			if n++; n == 3 {
				break
			}
		}
		if string(last.Value) != `{"a":2,"b":2}` || last.Type != "put" {
			t.Errorf("the last event is %s of %s", last.Type, last.Value)
		}
	}
}

// TestReplaceLargeDocument: a document up to the limit takes the place of
// another one that shares nothing with it.
func TestReplaceLargeDocument(t *testing.T) {
	if testing.Short() {
		t.Skip("two documents of 4 MB")
	}
	l := newLab(t, "a")
	r := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var b bytes.Buffer
		for b.Len() < crdt.MaxDocument-40 {
			fmt.Fprintf(&b, `,"%016x":1`, r.Uint64())
		}
		return "{" + b.String()[1:] + "}"
	}
	l.says("ann", "", "k", crdt.JSON, text())
	second := text()
	l.says("ann", "", "k", 0, second)
	l.serves("", "k", second)
}
