package daemon

import (
	"errors"
	"testing"

	"crush/crdt"
	"crush/rpc"
)

// TestWithheld: where a policy serves nothing of a key in conflict, no read
// tells which side ranks first, also where that is a deletion; what writes does,
// and Meta and Winner read on.
func TestWithheld(t *testing.T) {
	l := newLab(t, "a")
	ctx := t.Context()
	here, there := hand{l, ""}, hand{l, "s"}
	here.count("1")
	l.put("", "gone", "x")
	l.put("", "fine", "x")
	l.fork("s", "")
	here.count("10")
	there.count("20")
	l.del("", "gone")
	l.put("s", "gone", "y")
	l.merge("s", "default", rpc.OnConflictKeep)
	l.setPolicy("", rpc.Policy{Pattern: "*", Served: rpc.ServedFail})

	l.withheldInLists()
	if _, err := l.Get(ctx, rpc.GetRequest{KeyRef: here.key(), Bare: true}); !errors.Is(err, rpc.ErrConflict) {
		t.Errorf("get: %v", err)
	}
	if e, err := l.Get(ctx, rpc.GetRequest{KeyRef: here.key(), Meta: true}); err != nil || len(e.Heads) != 2 {
		t.Errorf("get of what is known: %+v, %v", e, err)
	}
	if e, err := l.Get(ctx, rpc.GetRequest{KeyRef: here.key(), Winner: true}); err != nil || string(e.Value) != "10" {
		t.Errorf("get of the winner: %+v, %v", e, err)
	}
	if n, err := l.Increment(ctx, rpc.IncrementRequest{KeyRef: here.key(), By: 1}); err != nil || n.Total != "" || n.Unchanged {
		t.Errorf("incr: %+v, %v", n, err)
	}
	if _, err := l.Elements(ctx, here.key()); !errors.Is(err, rpc.ErrConflict) {
		t.Errorf("elements: %v", err)
	}
	if err := l.MergeKey(ctx, "k", "default", "s"); !errors.Is(err, rpc.ErrConflict) {
		t.Errorf("the ancestor's merge: %v", err)
	}
	for _, err := range l.Blame(ctx, here.key()) {
		if !errors.Is(err, rpc.ErrConflict) {
			t.Errorf("blame: %v", err)
		}
	}
	for d, err := range l.Diff(ctx, rpc.DiffRequest{A: "s", B: "default", Key: "k"}) {
		if err != nil || !d.WithheldB || d.WithheldA || d.A != nil || d.B != nil || d.KindB != crdt.Counter {
			t.Errorf("diff: %+v, %v", d, err)
		}
	}
	here.settle(rpc.ResolveRequest{Take: "a"})
	if n, err := l.Increment(ctx, rpc.IncrementRequest{KeyRef: here.key(), By: 1}); err != nil || n.Total == "" {
		t.Errorf("incr when it is settled: %+v, %v", n, err)
	}
}

func (l *lab) withheldInLists() {
	t, ctx := l.t, l.t.Context()
	withheld := map[string]bool{}
	for e, err := range l.List(ctx, rpc.ListRequest{Values: true}) {
		if err != nil || e.Withheld != (e.Key != "fine" && e.Key != rpc.PolicyKey) || e.Withheld && e.Value != nil || e.Withheld != e.Conflict {
			t.Errorf("list: %+v, %v", e, err)
		}
		withheld[e.Key] = e.Withheld
	}
	if len(withheld) != 4 || !withheld["gone"] || !withheld["k"] {
		t.Errorf("listed %v", withheld)
	}
	for e, err := range l.List(ctx, rpc.ListRequest{Values: true, Winner: true}) {
		if err != nil || e.Withheld || e.Value == nil || e.Key == "gone" {
			t.Errorf("list of winners: %+v, %v", e, err)
		}
	}
}
