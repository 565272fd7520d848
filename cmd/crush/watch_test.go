package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"crush/dag"
	"crush/rpc"
)

// TestWatchGoesBetweenNodes lets writers write on two daemons at once, and a
// watch go from one to the other with its cursor, while they sync: it is given
// every write, whatever it was given twice.
func TestWatchGoesBetweenNodes(t *testing.T) {
	const writers, each = 3, 25
	a := newNode(t, filepath.Join(t.TempDir(), "a"), "--listen", "/ip4/127.0.0.1/tcp/0", "--name", "a")
	b := newNode(t, filepath.Join(t.TempDir(), "b"), "--listen", "/ip4/127.0.0.1/tcp/0", "--name", "b")
	a.start()
	b.start()
	s, err := b.client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.must("member", "add", s.Node.String(), "--name", "b")
	b.must("join", a.peer)

	var mu sync.Mutex
	wrote := map[dag.RevisionID]string{}
	var writing sync.WaitGroup
	for _, n := range []*node{a, b} {
		for w := range writers {
			writing.Go(func() {
				for i := range each {
					key := fmt.Sprintf("w/%s/%d/%d", filepath.Base(n.dir), w, i)
					got, err := n.client.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: key}, Value: []byte(key)})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					wrote[got.Revision] = key
					mu.Unlock()
				}
			})
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	given := map[dag.RevisionID]bool{}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for since, at := "start", 0; len(given) < 2*writers*each; at++ {
		n := []*node{a, b}[at%2]
		left := 1 + rnd.IntN(10)
		for e, err := range n.client.Watch(ctx, rpc.WatchRequest{Prefix: "w/", Since: since, Idle: patience}) {
			if err != nil {
				t.Fatalf("after %d of %d: %v", len(given), 2*writers*each, err)
			}
			if since = string(e.Cursor); e.Type == typeIdle {
				break // all that is here was given: go on elsewhere
			}
			given[e.Revision] = true
			if left--; left == 0 {
				break
			}
		}
	}
	writing.Wait()
	for id, key := range wrote {
		if !given[id] {
			t.Errorf("the watch was not given %s", key)
		}
	}
}
