package daemon

import (
	"context"
	"errors"
	"testing"
	"time"

	"crush/dag"
	"crush/dag/dagtest"
	"crush/rpc"
)

// lab is a replica without network on a store in memory, with a clock that
// moves by itself.
type lab struct {
	*Replica
	t testing.TB
}

func newLab(t testing.TB, name string) *lab { return newLabOf(t, name, false) }

func newLabOf(t testing.TB, name string, unfounded bool) *lab {
	t.Helper()
	return openLab(t, ReplicaConfig{Store: dagtest.NewMem(), Unfounded: unfounded, Key: keyNamed(name), Name: name, Now: newClock()})
}

func keyNamed(name string) dag.NodeKey { return dag.NewNodeKey(dag.SumOf([]byte(name))) }

// newClock is a clock that moves by a millisecond whenever it is read.
func newClock() func() time.Time {
	var tick int64
	return func() time.Time { tick++; return time.UnixMilli(1_700_000_000_000 + tick) }
}

func openLab(t testing.TB, c ReplicaConfig) *lab {
	t.Helper()
	r, err := OpenReplica(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{r, t}
	t.Cleanup(func() { l.clean(); r.Close() })
	return l
}

// clean reports every fault of the store.
func (l *lab) clean() {
	l.t.Helper()
	if err := l.Graph().Check(context.Background(), dagtest.NewMem(), nil, func(f dag.Fault) { l.t.Errorf("verify: %s", f) }); err != nil {
		l.t.Error(err)
	}
}

func (l *lab) put(fork, key, value string) {
	l.t.Helper()
	if _, err := l.Put(l.t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Fork: fork, Key: key}, Value: []byte(value)}); err != nil {
		l.t.Fatalf("put %s on %s: %v", key, fork, err)
	}
}

func (l *lab) del(fork, key string) {
	l.t.Helper()
	if _, err := l.Delete(l.t.Context(), rpc.DeleteRequest{KeyRef: rpc.KeyRef{Fork: fork, Key: key}}); err != nil {
		l.t.Fatalf("del %s on %s: %v", key, fork, err)
	}
}

func (l *lab) fork(name, from string) {
	l.t.Helper()
	if _, err := l.CreateFork(l.t.Context(), rpc.ForkRequest{Name: name, From: from}); err != nil {
		l.t.Fatalf("fork %s: %v", name, err)
	}
}

// merge merges and returns what it did; a merge that stops for conflicts is
// returned with its plan.
func (l *lab) merge(src, dst string, how rpc.Strategy) rpc.Merged {
	l.t.Helper()
	m, err := l.Merge(l.t.Context(), rpc.MergeRequest{Source: src, Into: dst, OnConflict: how})
	if err != nil && !errors.Is(err, rpc.ErrConflict) {
		l.t.Fatalf("merge %s into %s: %v", src, dst, err)
	}
	return m
}

// serves checks what a read of a key returns; "-" is not there, and a "!" at
// the end says that there is a conflict.
func (l *lab) serves(fork, key, want string) {
	l.t.Helper()
	e, err := l.Get(l.t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Fork: fork, Key: key}})
	if err != nil {
		l.t.Fatalf("get %s on %s: %v", key, fork, err)
	}
	got := string(e.Value)
	if e.Deleted {
		got = "-"
	}
	if e.Conflict {
		got += "!"
	}
	if got != want {
		l.t.Errorf("%s on %s serves %q, want %q", key, fork, got, want)
	}
}

func TestForkIsolatesAndMergeJoins(t *testing.T) {
	l := newLab(t, "a")
	l.put("", "k", "1")
	l.put("", "both", "base")
	l.put("", "gone", "x")
	l.fork("staging", "")
	l.put("staging", "k", "2")
	l.put("staging", "new", "n")
	l.del("staging", "gone")
	l.serves("", "k", "1")
	l.serves("", "new", "-")
	l.serves("staging", "both", "base")
	l.put("", "both", "changed")
	l.serves("staging", "both", "base")
	m := l.merge("staging", "default", "")
	if len(m.Clean) != 3 || !m.Applied {
		t.Fatalf("merged %+v", m)
	}
	l.serves("", "k", "2")
	l.serves("", "new", "n")
	l.serves("", "gone", "-")
	l.serves("", "both", "changed")
	if m := l.merge("staging", "default", ""); !m.Unchanged {
		t.Fatalf("merging again: %+v", m)
	}
	m = l.merge("default", "staging", "")
	l.serves("staging", "both", "changed")
}

func TestMergeConflict(t *testing.T) {
	l := newLab(t, "a")
	l.put("", "k", "base")
	l.fork("staging", "")
	l.put("staging", "k", "theirs")
	l.put("", "k", "ours")
	if m := l.merge("staging", "default", ""); m.Applied || len(m.Conflicts) != 1 {
		t.Fatalf("merged %+v", m)
	}
	l.serves("", "k", "ours")
	l.merge("staging", "default", rpc.OnConflictKeep)
	l.serves("", "k", "ours!")
	if _, err := l.Resolve(t.Context(), rpc.ResolveRequest{KeyRef: rpc.KeyRef{Key: "k"}, Take: "staging"}); err != nil {
		t.Fatal(err)
	}
	l.serves("", "k", "theirs")
	l.serves("staging", "k", "theirs")
	if _, err := l.Resolve(t.Context(), rpc.ResolveRequest{KeyRef: rpc.KeyRef{Key: "k"}, Take: "a"}); !errors.Is(err, rpc.ErrStale) {
		t.Fatalf("resolving again: %v", err)
	}
}

func TestMergeStrategies(t *testing.T) {
	for how, want := range map[rpc.Strategy]string{rpc.OnConflictOurs: "ours", rpc.OnConflictTheirs: "theirs", rpc.OnConflictLWW: "ours"} {
		l := newLab(t, "a")
		l.put("", "k", "base")
		l.fork("staging", "")
		l.put("staging", "k", "theirs")
		l.put("", "k", "ours")
		m := l.merge("staging", "default", how)
		l.serves("", "k", want)
		if len(m.Settled) != 1 || (len(m.Overrides) == 1) != (want == "theirs") {
			t.Errorf("%s: %+v", how, m)
		}
	}
}

func TestPlanHoldsOrIsStale(t *testing.T) {
	l := newLab(t, "a")
	l.put("", "k", "1")
	l.fork("s", "")
	l.put("s", "k", "2")
	plan, err := l.Merge(t.Context(), rpc.MergeRequest{Source: "s", Into: "default", Plan: true})
	if err != nil || plan.Applied {
		t.Fatalf("%+v %v", plan, err)
	}
	l.put("", "unrelated", "x")
	l.put("s", "k", "3")
	if _, err := l.Merge(t.Context(), rpc.MergeRequest{Source: "s", Into: "default", Apply: plan.Plan}); !errors.Is(err, rpc.ErrStale) {
		t.Fatalf("a stale plan: %v", err)
	}
	l.serves("", "k", "1")
	plan, _ = l.Merge(t.Context(), rpc.MergeRequest{Source: "s", Into: "default", Plan: true})
	l.put("", "unrelated", "y")
	if m, err := l.Merge(t.Context(), rpc.MergeRequest{Source: "s", Into: "default", Apply: plan.Plan}); err != nil || !m.Applied {
		t.Fatalf("a plan that holds: %+v %v", m, err)
	}
	l.serves("", "k", "3")
}

func TestUndoAndReset(t *testing.T) {
	l := newLab(t, "a")
	l.put("", "a/x", "1")
	if _, err := l.Tag(t.Context(), rpc.PointRequest{Name: "v1"}); err != nil {
		t.Fatal(err)
	}
	l.put("", "a/x", "2")
	l.put("", "a/y", "new")
	l.put("", "b", "b")
	out, err := l.Reset(t.Context(), rpc.ResetRequest{Prefix: "a/", To: "v1"})
	if err != nil || len(out.Changed) != 2 {
		t.Fatalf("%+v %v", out, err)
	}
	l.serves("", "a/x", "1")
	l.serves("", "a/y", "-")
	l.serves("", "b", "b")
	if _, err := l.Undo(t.Context(), rpc.UndoRequest{}); err != nil {
		t.Fatal(err)
	}
	l.serves("", "a/x", "2")
	l.serves("", "a/y", "new")
	l.fork("s", "")
	l.put("s", "m", "m")
	l.merge("s", "default", "")
	l.serves("", "m", "m")
	if _, err := l.Undo(t.Context(), rpc.UndoRequest{}); err != nil {
		t.Fatal(err)
	}
	l.serves("", "m", "-")
	if m := l.merge("s", "default", ""); !m.Unchanged {
		t.Fatalf("merging what was reverted: %+v", m)
	}
	l.serves("", "m", "-")
}

func TestUndoOnFreshFork(t *testing.T) {
	l := newLab(t, "a")
	l.put("", "k", "1")
	l.fork("fresh", "")
	if _, err := l.Undo(t.Context(), rpc.UndoRequest{Fork: "fresh"}); !errors.Is(err, rpc.ErrNotFound) {
		t.Errorf("undo of a fork's creation: %v", err)
	}
	l.serves("fresh", "k", "1")
	l.put("fresh", "k", "2")
	rename(l, "fresh", "later")
	if out, err := l.Undo(t.Context(), rpc.UndoRequest{Fork: "later"}); err != nil || len(out.Changed) != 1 {
		t.Errorf("undo behind a renaming: %+v %v", out, err)
	}
	l.serves("later", "k", "1")
}

func TestRollbackToShortTag(t *testing.T) {
	l := newLab(t, "a")
	l.put("", "k", "1")
	if _, err := l.Tag(t.Context(), rpc.PointRequest{Name: "v1"}); err != nil {
		t.Fatal(err)
	}
	l.put("", "k", "2")
	if _, err := l.Rollback(t.Context(), rpc.RollbackRequest{KeyRef: rpc.KeyRef{Key: "k"}, To: "v1"}); err != nil {
		t.Fatal(err)
	}
	l.serves("", "k", "1")
}

func TestForkBehindAliasStays(t *testing.T) {
	l := newLab(t, "a")
	l.fork("blue", "")
	if _, err := l.Alias(t.Context(), rpc.PointRequest{Name: "live", Fork: "blue"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"live", "blue"} {
		if _, err := l.RemoveFork(t.Context(), rpc.ForkChange{Fork: name, Force: true}); !errors.Is(err, rpc.ErrConflict) {
			t.Errorf("removing %s: %v", name, err)
		}
	}
}

// TestKeyMovesWhileMerging: a key that is written between the plan and the
// merge, or under a change of many blocks, stops it with nothing written.
func TestKeyMovesWhileMerging(t *testing.T) {
	l := newLab(t, "a")
	l.put("", "k", "1")
	l.fork("s", "")
	l.put("s", "k", "2")
	src, _ := l.Replica.fork("s")
	dst, _ := l.Replica.fork("")
	p, err := l.plan(t.Context(), src, dst, &rpc.MergeRequest{OnConflict: rpc.OnConflictFail})
	if err != nil {
		t.Fatal(err)
	}
	cut := l.Graph().Now()
	l.put("", "k", "meanwhile")
	if _, err := l.apply(t.Context(), p, rpc.Claim{}); !errors.Is(err, errMoved) {
		t.Errorf("a merge: %v", err)
	}
	batch := &largeChange{fork: dst}
	if _, err := batch.show(t.Context(), l.Replica, src, cut, []rpc.MergedKey{{Key: "k"}}); !errors.Is(err, errMoved) {
		t.Errorf("a batch: %v", err)
	}
	l.serves("", "k", "meanwhile")
}

// TestPickOfCounter: a revision of a counter or a set is no value to write.
func TestPickOfCounter(t *testing.T) {
	l := newLab(t, "a")
	w, err := l.Increment(t.Context(), rpc.IncrementRequest{KeyRef: rpc.KeyRef{Key: "n"}, By: 3})
	if err != nil || w.Total != "3" {
		t.Fatal(w, err)
	}
	l.fork("s", "")
	if _, err := l.Pick(t.Context(), rpc.PickRequest{Revision: rpc.Ref(w.Revision.String()), Into: "s"}); rpc.CodeOf(err) != rpc.CodeInvalid {
		t.Errorf("picked: %v", err)
	}
}
