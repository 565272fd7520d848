package crdt_test

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"crush/crdt"
	"crush/crdt/oracle"
)

const key = "app/config"

// world is a few nodes that write one key, and the oracle that knows all.
type world struct {
	t      fataler
	oracle *oracle.Oracle
	blocks int
	clock  int64
	all    oracle.Cut
	values map[crdt.RevisionID]string
	forks  []crdt.ForkID // of a random history
	memory memory        // of all nodes
}

// memory is a crdt.Memory that forgets nothing.
type memory map[crdt.RevisionID]*crdt.State

func (m memory) State(id crdt.RevisionID) *crdt.State { return m[id] }

func (m memory) Keep(id crdt.RevisionID, s *crdt.State) { m[id] = s }

// fataler is what *testing.T and *rapid.T share.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func newWorld(t fataler) *world {
	return &world{
		t: t, oracle: oracle.New(), all: make(oracle.Cut),
		values: make(map[crdt.RevisionID]string), memory: make(memory),
	}
}

// node writes one chain and knows what it wrote and learned.
type node struct {
	*world
	chain crdt.ChainID
	knows oracle.Cut
	order uint64
}

func (w *world) node(name string) *node {
	return &node{world: w, chain: sha256.Sum256([]byte(name)), knows: make(oracle.Cut)}
}

func fork(name string) crdt.ForkID { return sha256.Sum256([]byte("fork " + name)) }

// block opens the next block of n.
func (n *node) block() oracle.Block {
	n.blocks++
	b := oracle.Block(sha256.Sum256(fmt.Append(nil, "block ", n.blocks)))
	n.knows[b], n.all[b] = true, true
	return b
}

// write adds r in a block of its own and fills in its place, and where they
// are not given its time and kind.
func (n *node) write(r oracle.Revision) crdt.RevisionID {
	n.order++
	n.clock++
	r.Key, r.Block, r.Chain, r.Order = key, n.block(), n.chain, n.order
	if r.Time == 0 {
		r.Time = n.clock
	}
	if r.Kind == 0 {
		r.Kind = crdt.Bytes
	}
	r.ID = sha256.Sum256(r.Block[:])
	if !r.Deleted && r.Change == nil {
		r.Change = changeOf(r.Kind, r.Value)
	}
	n.oracle.Add(r)
	n.values[r.ID] = string(r.Value)
	if r.Deleted {
		n.values[r.ID] = "DEL"
	}
	return r.ID
}

// put and del have seen all heads that n knows of on the fork.
func (n *node) put(f crdt.ForkID, value string) crdt.RevisionID {
	return n.write(oracle.Revision{Fork: f, Value: []byte(value), Parents: n.heads(f)})
}

func (n *node) del(f crdt.ForkID) crdt.RevisionID {
	return n.write(oracle.Revision{Fork: f, Deleted: true, Parents: n.heads(f)})
}

func (n *node) heads(f crdt.ForkID) []crdt.RevisionID {
	return ids(n.oracle.At(n.knows).Heads(f, key))
}

func ids(revisions []oracle.Revision) []crdt.RevisionID {
	var ids []crdt.RevisionID
	for _, r := range revisions {
		ids = append(ids, r.ID)
	}
	return ids
}

func (n *node) create(to, from crdt.ForkID) { n.contribute(oracle.Creation, to, from) }

func (n *node) merge(from, into crdt.ForkID) { n.contribute(oracle.Merge, into, from) }

func (n *node) contribute(way oracle.Way, to, from crdt.ForkID) {
	cut := make(oracle.Cut)
	for b := range n.knows {
		cut[b] = true
	}
	n.oracle.AddContribution(oracle.Contribution{Block: n.block(), Way: way, To: to, From: from, Cut: cut})
}

func (n *node) learn(from *node) {
	for b := range from.knows {
		n.knows[b] = true
	}
}

// meet lets all nodes know everything.
func meet(nodes ...*node) {
	for _, n := range nodes {
		for b := range n.all {
			n.knows[b] = true
		}
	}
}

// view reads the fork as n sees it and holds it against the oracle.
func (n *node) view(f crdt.ForkID) crdt.View {
	n.t.Helper()
	known := n.oracle.At(n.knows)
	in := known.Input(f, key)
	got := in.View()
	if problem := difference(got, known.Read(f, key)); problem != "" {
		n.t.Fatalf("fork %v: %s", f, problem)
	}
	in.History = otherwise{in.History}
	slices.Reverse(in.Heads)
	if other := in.View(); !reflect.DeepEqual(got, other) {
		n.t.Fatalf("fork %v, heads in another order and numbers of another node\n got %+v\nwant %+v", f, other, got)
	}
	for range 2 {
		in.Memory = n.memory
		if other := in.View(); !reflect.DeepEqual(got, other) {
			n.t.Fatalf("fork %v, by what is remembered\n got %+v\nwant %+v", f, other, got)
		}
	}
	if got.Exists() && !slices.ContainsFunc(in.Heads, func(h crdt.Write) bool { return h.ID == got.Served }) {
		n.t.Fatalf("%v is served, and no head", got.Served)
	}
	n.readable(got, in.History)
	return got
}

// otherwise numbers revisions as another node could: by their depth.
type otherwise struct{ crdt.History }

func (h otherwise) Revision(id crdt.RevisionID) crdt.Revision {
	r := h.History.Revision(id)
	r.Order = crdt.Order{}
	for _, p := range r.Parents {
		r.Order.Lamport = max(r.Order.Lamport, h.Revision(p).Order.Lamport+1)
	}
	return r
}

// readable fails unless everything in v has a text.
func (n *node) readable(v crdt.View, h crdt.History) {
	n.t.Helper()
	if !v.Exists() {
		return
	}
	if v.Bytes(h.Revision(v.Served).Payload) == nil && !v.Absent() && len(h.Revision(v.Served).Payload) > 0 {
		n.t.Fatalf("%+v has no bytes", v)
	}
	for _, c := range v.Conflicts {
		for _, s := range c.Sides {
			payload := h.Revision(s.Revision).Payload
			if s.Bytes(payload) == nil && !s.Deleted && len(payload) > 0 {
				n.t.Fatalf("%+v has no bytes", s)
			}
		}
	}
}

// read describes what n serves, and after it the sides in order of rank.
func (n *node) read(f crdt.ForkID) string {
	n.t.Helper()
	v := n.view(f)
	if !v.Exists() {
		return "nothing"
	}
	if len(v.Conflicts) == 0 {
		return n.values[v.Served]
	}
	c := v.Conflicts[0]
	return fmt.Sprintf("%s; %s:%s", n.values[v.Served], c.Kind, strings.Join(n.ranked(c), " >"))
}

func (n *node) ranked(c crdt.Conflict) []string {
	sides := make([]string, len(c.Sides))
	for _, s := range c.Sides {
		sides[s.Rank] = " " + n.values[s.Revision]
	}
	return sides
}

// want fails unless each of the nodes reads the fork so.
func want(t *testing.T, f crdt.ForkID, want string, nodes ...*node) {
	t.Helper()
	for i, n := range nodes {
		if got := n.read(f); got != want {
			t.Errorf("node %d reads %q, want %q", i, got, want)
		}
	}
}
