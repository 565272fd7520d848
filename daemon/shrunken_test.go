package daemon

import (
	"testing"

	"crush/crdt"
	"crush/rpc"
)

// The tests here are histories that a random one, of package simulation, was
// shrunk to when it found a fault.

// TestPlanServesOwnSide: on a fork that nothing was merged into yet, a plan
// shows the side served that is served afterwards: the fork's own.
func TestPlanServesOwnSide(t *testing.T) {
	l := newLab(t, "a")
	l.fork("s", "")
	l.put("", "k", "ours")
	l.put("s", "k", "theirs, later")
	plan, err := l.Merge(t.Context(), rpc.MergeRequest{Source: "s", Into: "default", Plan: true})
	if err != nil || len(plan.Conflicts) != 1 {
		t.Fatalf("%+v %v", plan, err)
	}
	for _, side := range plan.Conflicts[0].Sides {
		if side.Served != (string(side.Value) == "ours") {
			t.Errorf("side %s: %q is served: %v", side.Letter, side.Value, side.Served)
		}
	}
	l.merge("s", "default", rpc.OnConflictKeep)
	l.serves("", "k", "ours!")
}

// TestUndoLeavesOtherKeys: a block that changed nothing on a fork of some keys
// has nothing to undo there, though a key of the fork was written since.
func TestUndoLeavesOtherKeys(t *testing.T) {
	l := newLab(t, "a")
	l.put("", "k", "0")
	if _, err := l.CreateFork(t.Context(), rpc.ForkRequest{Name: "some", Filter: &rpc.Filter{Keys: []string{"k"}}}); err != nil {
		t.Fatal(err)
	}
	w, err := l.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "elsewhere"}, Value: []byte("1")})
	if err != nil {
		t.Fatal(err)
	}
	l.put("some", "k", "2")
	out, err := l.Undo(t.Context(), rpc.UndoRequest{Fork: "some", Block: w.Block.String()})
	if err != nil || !out.Unchanged {
		t.Errorf("undo: %+v %v", out, err)
	}
	l.serves("some", "k", "2")
}

// TestResetLeavesOpenConflict: a rollback of all keys settles no conflict that
// was open at the cut in the same way.
func TestResetLeavesOpenConflict(t *testing.T) {
	l := newLab(t, "a")
	l.put("", "k", "0")
	if _, err := l.CreateFork(t.Context(), rpc.ForkRequest{Name: "some", Filter: &rpc.Filter{Keys: []string{"k"}}}); err != nil {
		t.Fatal(err)
	}
	l.put("", "k", "1")
	l.put("some", "k", "2")
	q := rpc.MergeRequest{Source: "default", Into: "some", Skip: []string{"other"}, OnConflict: rpc.OnConflictKeep}
	if _, err := l.Merge(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	l.serves("some", "k", "2!")
	if _, err := l.Tag(t.Context(), rpc.PointRequest{Name: "then"}); err != nil {
		t.Fatal(err)
	}
	out, err := l.Reset(t.Context(), rpc.ResetRequest{Fork: "some", To: "then"})
	if err != nil || !out.Unchanged {
		t.Errorf("reset: %+v %v", out, err)
	}
	l.serves("some", "k", "2!")
}

// TestBaseNotVisibleYet: a token names a revision that has arrived, but not the
// merge that shows it on the fork: not all of it is here yet.
func TestBaseNotVisibleYet(t *testing.T) {
	a, b := pair(t)
	a.fork("s", "")
	a.put("s", "k", "1")
	meet(a, b)
	a.merge("s", "default", "")
	e, err := a.Get(t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Key: "k"}})
	if err != nil {
		t.Fatal(err)
	}
	q := rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "k"}, Value: []byte("2"), Base: e.Token}
	if _, err := b.Put(t.Context(), q); rpc.CodeOf(err) != rpc.CodeNotHere {
		t.Errorf("before the merge is here: %v", err)
	}
	meet(a, b)
	if _, err := b.Put(t.Context(), q); err != nil {
		t.Error(err)
	}
	b.serves("", "k", "2")
}

// TestMergeKeySettlesKinds: equal bytes of two kinds are a conflict, which the
// ancestor's merge settles for the source.
func TestMergeKeySettlesKinds(t *testing.T) {
	a, b := pair(t)
	put := func(l *lab, fork string, kind crdt.Kind) {
		t.Helper()
		if _, err := l.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Fork: fork, Key: "k"}, Kind: kind, Value: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	a.fork("s", "")
	put(a, "s", crdt.Text)
	put(b, "", crdt.Bytes)
	meet(a, b)
	if err := b.MergeKey(t.Context(), "k", "s", "default"); err != nil {
		t.Fatal(err)
	}
	e, err := b.Get(t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Key: "k"}})
	if err != nil || e.Kind != crdt.Text || e.Conflict {
		t.Errorf("%+v %v", e, err)
	}
}

// TestTakeNodeWithTwoHeads: two heads of one node on one side of a conflict are
// one answer to the question which side is the node's.
func TestTakeNodeWithTwoHeads(t *testing.T) {
	a, b := pair(t)
	a.fork("s", "")
	a.put("", "k", "from a")
	a.put("s", "k", "from a")
	b.put("", "k", "from b")
	meet(a, b)
	a.merge("s", "default", rpc.OnConflictKeep)
	if n := a.heads("k"); n != 3 {
		t.Fatalf("%d heads, want 3", n)
	}
	if _, err := a.Resolve(t.Context(), rpc.ResolveRequest{KeyRef: rpc.KeyRef{Key: "k"}, Take: a.Graph().Node().String()}); err != nil {
		t.Error(err)
	}
	a.serves("", "k", "from a")
}
