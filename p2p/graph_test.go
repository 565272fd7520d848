package p2p

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"crush/dag"
	"crush/dag/dagtest"
)

// Histories of package dag behind the interfaces declared here.
var (
	_ State  = (*dag.Graph)(nil)
	_ Blocks = (*dag.Graph)(nil)
	_ Chains = (*dag.Graph)(nil)
	_ Gate   = (*dag.Graph)(nil)
	_ Judge  = (*dag.Graph)(nil)
)

func openGraph(t *testing.T, key dag.NodeKey, s dag.Store) *dag.Graph {
	t.Helper()
	g, err := dag.Open(t.Context(), dag.Config{Store: s, Key: key, Now: time.Now, Fingerprint: "here"})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func commit(t *testing.T, g *dag.Graph, fn func(*dag.Tx) error) dag.Bundle {
	t.Helper()
	r, err := g.Commit(t.Context(), dag.Note{}, fn)
	if err != nil {
		t.Fatal(err)
	}
	return r.Bundle
}

func put(t *testing.T, g *dag.Graph, key string, value []byte) dag.Bundle {
	t.Helper()
	return commit(t, g, func(tx *dag.Tx) error {
		e, err := tx.Entry(dag.DefaultFork(), key)
		if err != nil {
			return err
		}
		d := dag.Draft{Fork: dag.DefaultFork(), Key: key, Kind: 1, Payload: value}
		for _, h := range e.Heads {
			d.Parents = append(d.Parents, h.ID)
		}
		return tx.Put(d)
	})
}

func addMember(t *testing.T, g *dag.Graph, id dag.NodeID, role dag.Role) dag.Bundle {
	t.Helper()
	return commit(t, g, func(tx *dag.Tx) error {
		return tx.Op(dag.NewOp(dag.MemberOp{Node: id, Role: role, Name: "n" + id.Short()}))
	})
}

// found returns the graph of a new cluster with nodes 1 to n as members, and
// empty graphs of the others.
func found(t *testing.T, n byte) []*dag.Graph {
	t.Helper()
	var stores []dag.Store
	for range n {
		stores = append(stores, dagtest.NewMem())
	}
	return foundOn(t, stores...)
}

// foundOn is found on given stores.
func foundOn(t *testing.T, stores ...dag.Store) (graphs []*dag.Graph) {
	t.Helper()
	for i, s := range stores {
		graphs = append(graphs, openGraph(t, keyOf(byte(i+1)), s))
	}
	if _, err := graphs[0].Found(t.Context(), dag.Member{Name: "first"}); err != nil {
		t.Fatal(err)
	}
	for i := range graphs[1:] {
		addMember(t, graphs[0], keyOf(byte(i+2)).ID(), dag.RoleAdmin)
	}
	return graphs
}

func wantSame(t *testing.T, graphs ...*dag.Graph) {
	t.Helper()
	for _, g := range graphs {
		if g.Digest() != graphs[0].Digest() || g.Cluster() != graphs[0].Cluster() {
			t.Errorf("frontiers differ: %v and %v", g.Frontier(), graphs[0].Frontier())
		}
	}
}

func TestGraphsConverge(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 5))
		graphs := found(t, 3)
		for step := range 30 {
			i, j := r.IntN(3), r.IntN(3)
			if r.IntN(3) > 0 && !graphs[i].Cluster().IsZero() {
				put(t, graphs[i], fmt.Sprint("k", r.IntN(5)), bytes.Repeat([]byte{byte(step)}, r.IntN(3000)))
			} else if i != j {
				run(t, graphs[i], graphs[j], Open, r.IntN(8)-1) // some are cut
			}
		}
		for range 2 {
			for i := range graphs {
				run(t, graphs[i], graphs[(i+1)%3], Open, -1).wantDone(t)
			}
		}
		wantSame(t, graphs...)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestGraphLargeBlocks(t *testing.T) {
	if testing.Short() {
		t.Skip("one thing after another, and slow: not in short runs")
	}
	graphs := found(t, 2)
	for i := range 5 {
		value := make([]byte, dag.MaxValue)
		for j := range value {
			value[j] = byte(rand.Uint32())
		}
		commit(t, graphs[0], func(tx *dag.Tx) error {
			for k := range 3 {
				if err := tx.Put(dag.Draft{Fork: dag.DefaultFork(), Key: fmt.Sprint(i, k), Kind: 1, Payload: value}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	x := run(t, graphs[1], graphs[0], Open, -1)
	x.wantDone(t)
	wantSame(t, graphs...)
	t.Logf("%d messages, %d bytes", x.messages, x.bytes)
}

// One data directory copied and started twice: both go on with one chain.
func TestGraphCloned(t *testing.T) {
	for _, turned := range []bool{false, true} {
		graphs := found(t, 2)
		store := dagtest.NewMem()
		original := openGraph(t, keyOf(2), store)
		run(t, original, graphs[0], Open, -1).wantDone(t)
		put(t, original, "k", []byte("before"))
		if err := original.Close(); err != nil {
			t.Fatal(err)
		}
		a, b := openGraph(t, keyOf(2), store.Reopen()), openGraph(t, keyOf(2), store.Reopen())
		for i := range 5 {
			put(t, a, "k", []byte{'a', byte(i)})
			put(t, b, "k", []byte{'b', byte(i)})
			put(t, b, "k", []byte{'b', byte(i), 2})
		}
		if turned {
			a, b = b, a
		}
		run(t, a, b, Open, -1).wantDone(t)
		wantSame(t, a, b)
		e, err := a.Entry(dag.DefaultFork(), "k")
		if err != nil || e.Count != 16 {
			t.Errorf("turned %v: %d revisions, %v", turned, e.Count, err)
		}
	}
}

// startGraph runs a host on a graph until the test ends.
func startGraph(t *testing.T, n byte, g *dag.Graph, change ...func(*Config)) *member {
	return start(t, n, nil, append([]func(*Config){func(c *Config) {
		c.State, c.Blocks, c.Chains, c.Gate, c.Judge, c.header = g, g, g, g, g, nil
	}}, change...)...)
}

func waitSame(t *testing.T, graphs ...*dag.Graph) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for _, g := range graphs[1:] {
		for {
			changed, other := g.Changed(), graphs[0].Changed()
			if g.Digest() == graphs[0].Digest() {
				break
			}
			select {
			case <-changed:
			case <-other:
			case <-timeout:
				wantSame(t, graphs...)
				t.FailNow()
			}
		}
	}
}

// Three nodes: two join over the first by the path that the daemon takes,
// write at once, and a third that only knows the second gets it all.
func TestGraphHosts(t *testing.T) {
	graphs := found(t, 3)
	a := startGraph(t, 1, graphs[0])
	b := startGraph(t, 2, graphs[1])
	cluster, via, err := b.Join(t.Context(), a.Addresses()[0])
	if err != nil || cluster != graphs[0].Cluster() || via != a.ID() {
		t.Fatalf("join: %v, %v, %v", cluster, via, err)
	}
	if _, err := b.SyncWith(t.Context(), a.Addresses()[0]); err != nil {
		t.Fatal(err)
	}
	c := startGraph(t, 3, graphs[2], peers(b.Addresses()...))
	waitSame(t, graphs...)
	hosts := []*member{a, b, c}
	for i := range 60 {
		n := i % 3
		hosts[n].Announce(put(t, graphs[n], "shared", bytes.Repeat([]byte{byte(i)}, 1+i*600)))
	}
	waitSame(t, graphs...)
	// A member that is removed is cut off by those who learn of it.
	hosts[0].Announce(addMember(t, graphs[0], c.ID(), dag.RoleRemoved))
	b.lines.wait(t, "connection closed: not in the member list peer="+c.ID().String())
}

// A node with a cluster of its own gives that up for another, on a running
// host, and takes part in the new one's gossip at once.
func TestGraphJoin(t *testing.T) {
	first := found(t, 2)[0]
	put(t, first, "k", []byte("theirs"))
	own := openGraph(t, keyOf(2), dagtest.NewMem())
	if _, err := own.Found(t.Context(), dag.Member{Name: "alone"}); err != nil {
		t.Fatal(err)
	}
	a, b := startGraph(t, 1, first), startGraph(t, 2, own)
	cluster, _, err := b.Join(t.Context(), a.Addresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Adopt(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	if _, err := b.SyncWith(t.Context(), a.Addresses()[0]); err != nil {
		t.Fatal(err)
	}
	wantSame(t, first, own)
	for i := range 10 {
		b.Announce(put(t, own, "k", []byte{byte(i)}))
		a.Announce(put(t, first, "k", []byte{byte(i), 1}))
	}
	waitSame(t, first, own)
	for line, ok := "", true; ok; {
		select {
		case line = <-a.lines:
			if strings.HasPrefix(line, "sync refused") {
				t.Errorf("noise in the log: %s", line)
			}
		default:
			ok = false
		}
	}
}

// A cold node catches up with a long history.
func TestGraphCatchUp(t *testing.T) {
	n := 4_000
	if testing.Short() {
		n = 1_000
	}
	graphs := found(t, 2)
	for i := range n {
		put(t, graphs[0], fmt.Sprint("k", i%100), fmt.Appendf(nil, "%0200d", i))
	}
	a := startGraph(t, 1, graphs[0], func(c *Config) { c.Logger = slog.New(slog.DiscardHandler) })
	b := startGraph(t, 2, graphs[1])
	begun := time.Now()
	if _, err := b.SyncWith(t.Context(), a.Addresses()[0]); err != nil {
		t.Fatal(err)
	}
	wantSame(t, graphs...)
	t.Logf("%d blocks in %v", n, time.Since(begun))
}
