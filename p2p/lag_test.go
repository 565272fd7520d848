package p2p

import (
	"errors"
	"testing"

	"crush/dag"
)

// A node that comes with nothing, and takes nothing, lacks everything.
func TestLagOfNewcomer(t *testing.T) {
	logs := cluster(2)
	for range 50 {
		logs[0].extend(dag.ChainID{1}, nil)
	}
	empty := newFakeLog()
	empty.members, empty.fail = logs[0].members, errors.New("its disk is full")
	a, b := start(t, 1, logs[0]), start(t, 2, empty)
	if _, err := b.SyncWith(t.Context(), a.Addresses()[0]); err == nil {
		t.Fatal("synced to a full disk")
	}
	want := Lag{Known: true, Blocks: 51, Since: arrivalOf(0)}
	if p := a.Peers(); len(p) != 1 || p[0].Lag != want {
		t.Errorf("peers: %+v, want %+v", p, want)
	}
}

// What a peer held before it told a frontier is not counted after it: its disk
// may have been wiped. What it tells after that is.
func TestLagOfWiped(t *testing.T) {
	l := cluster(2)[0]
	h, err := New(Config{Key: keyOf(1), State: l, Blocks: l, Chains: l, Gate: l, header: fakeHeader})
	if err != nil {
		t.Fatal(err)
	}
	p := peerOf(keyOf(2).ID())
	blocks := func() int {
		states := h.Peers()
		if len(states) != 1 || !states[0].Lag.Known {
			t.Fatalf("peers: %+v", states)
		}
		return states[0].Lag.Blocks
	}
	first := l.Newest()[0]
	l.extend(dag.ChainID{1}, nil)
	second := l.Newest()[0]
	l.extend(dag.ChainID{1}, nil)
	for _, step := range []struct {
		what string
		do   func()
		want int
	}{
		{"says that it holds the first", func() { h.roster.holds(p, first) }, 2},
		{"says that it holds the second", func() { h.roster.holds(p, second) }, 1},
		{"comes back empty", func() { h.noteFrontier(p, nil) }, 3},
		{"says that it holds the first again", func() { h.roster.holds(p, first) }, 2},
		{"tells another digest", func() { h.noteEqual(p, dag.Digest{1}) }, 2},
		{"tells our digest", func() { h.noteEqual(p, l.Digest()) }, 0},
		{"tells a frontier with blocks that are not here", func() { h.noteFrontier(p, []dag.Pin{first.Pin(), {Seq: 9}}) }, 2},
	} {
		step.do()
		if got := blocks(); got != step.want {
			t.Errorf("%s: %d blocks behind, want %d", step.what, got, step.want)
		}
	}
	for i := range 3 * heldTips {
		h.roster.holds(p, dag.Tip{Chain: dag.ChainID{byte(i), byte(i >> 8), 7}})
	}
	if e, _ := h.roster.get(p); len(e.held) > heldTips {
		t.Errorf("%d answers kept", len(e.held))
	}
}
