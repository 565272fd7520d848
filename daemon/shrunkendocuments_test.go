package daemon

import (
	"slices"
	"strings"
	"testing"

	"crush/crdt"
	"crush/dag/dagtest"
	"crush/rpc"
)

// The tests here are histories of documents that a random one, of package
// simulation, was shrunk to when it found a fault.

// TestSameDocumentKeyedElsewhere: of a document whose lists are keyed on one
// fork and not on another, a diff and a plan say that it is the same, whatever
// the policies say by now.
func TestSameDocumentKeyedElsewhere(t *testing.T) {
	l := newLab(t, "a")
	const text = `{"l":[{"n":"x","v":1},{"n":"y","v":2}]}`
	l.fork("plain", "")
	hand{l, "plain"}.json(text)
	keyed := rpc.Policy{Pattern: "k", Lists: map[crdt.PathPattern]crdt.ListSchema{"/l": crdt.MapList("n")}}
	if _, err := l.ChangePolicy(t.Context(), rpc.PolicyRequest{Policy: keyed}); err != nil {
		t.Fatal(err)
	}
	hand{l, ""}.json(text)
	if _, err := l.ChangePolicy(t.Context(), rpc.PolicyRequest{Policy: keyed, Remove: true}); err != nil {
		t.Fatal(err)
	}
	l.fork("other", "plain")
	hand{l, "other"}.json(`{"l":[{"n":"y","v":2},{"n":"x","v":1}]}`)
	for fork, want := range map[string]int{"plain": 0, "other": 1} { // as lists, default's and other's are not the same
		differ := 0
		for d, err := range l.Diff(t.Context(), rpc.DiffRequest{A: "default", B: fork, Key: "k"}) {
			if differ++; err != nil || d.Change != "changed" {
				t.Errorf("default and %s: %+v %v", fork, d, err)
			}
		}
		if differ != want {
			t.Errorf("%d keys differ between default and %s, want %d", differ, fork, want)
		}
	}
	plan, err := l.Merge(t.Context(), rpc.MergeRequest{Source: "other", Into: "default", Plan: true, OnConflict: rpc.OnConflictOurs})
	if err != nil || len(plan.Settled) != 1 || plan.Settled[0].Change != "same" || len(plan.Overrides) > 0 {
		t.Errorf("plan: %+v %v", plan, err)
	}
}

// TestPlanOfPolicies: the plan of an undo that brings policies back says what the
// undo does: keys behind them are read by what they say then.
func TestPlanOfPolicies(t *testing.T) {
	l := newLab(t, "a")
	hand{l, ""}.json(`{"t":["q"]}`)
	l.fork("f", "")
	q := rpc.PolicyRequest{Policy: rpc.Policy{Pattern: "k", Lists: map[crdt.PathPattern]crdt.ListSchema{"/t": crdt.SetList}}, Fork: "f"}
	if _, err := l.ChangePolicy(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	hand{l, "f"}.json(`{"t":["q"]}`)
	l.merge("f", "default", rpc.OnConflictFail)
	plan, err := l.Undo(t.Context(), rpc.UndoRequest{Plan: true})
	if err != nil {
		t.Fatal(err)
	}
	done, err := l.Undo(t.Context(), rpc.UndoRequest{})
	if err != nil || !slices.Equal(plan.Changed, done.Changed) {
		t.Errorf("it changed %v, its plan was %v; %v", done.Changed, plan.Changed, err)
	}
}

// TestPurgeOfPolicies: policies that were purged are none, on the node that
// purged them and on others; merges stop until somebody puts them again.
func TestPurgeOfPolicies(t *testing.T) {
	a, b := pair(t)
	q := rpc.PolicyRequest{Policy: rpc.Policy{Pattern: "k", Kind: "yaml"}}
	if _, err := a.ChangePolicy(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	a.put("", "other", "1")
	a.fork("f", "")
	a.put("f", "other", "2")
	if _, err := a.Purge(t.Context(), rpc.PurgeRequest{Key: rpc.PolicyKey, Claim: rpc.Claim{Message: "leaked"}}); err != nil {
		t.Fatal(err)
	}
	b.pull(a)
	for _, l := range []*lab{a, b} {
		if _, err := l.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "k"}, Value: []byte("a: [")}); err != nil {
			t.Errorf("put of bytes: %v", err)
		}
		if _, err := l.Policies(t.Context(), ""); rpc.CodeOf(err) != rpc.CodeConflict {
			t.Errorf("policies: %v", err)
		}
		plan, err := l.Merge(t.Context(), rpc.MergeRequest{Source: "f", Into: "default", Plan: true})
		if rpc.CodeOf(err) != rpc.CodeConflict {
			t.Errorf("merge: %+v %v", plan, err)
		}
	}
	if _, err := b.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: rpc.PolicyKey}, Value: []byte(`{"**":{"kind":"yaml"}}`)}); err != nil {
		t.Fatal(err)
	}
	b.merge("f", "default", rpc.OnConflictFail)
	b.serves("", "other", "2")
}

// TestPurgeBehindHeads: where what two wrote at once stands on a value that was
// purged, and that value is what a fork serves, a read says so, and the key can
// be put again.
func TestPurgeBehindHeads(t *testing.T) {
	l := newLab(t, "a")
	hand{l, ""}.elements([]string{"a", "b"}, nil)
	rev := l.newest("k")
	for _, fork := range []string{"red", "green"} {
		l.fork(fork, "")
	}
	hand{l, ""}.add("c")
	hand{l, "red"}.add("d")
	l.merge("red", "green", rpc.OnConflictFail)
	l.merge("default", "green", rpc.OnConflictFail)
	if _, err := l.Purge(t.Context(), rpc.PurgeRequest{Revision: rpc.Ref(rev), Claim: rpc.Claim{Message: "leaked"}}); err != nil {
		t.Fatal(err)
	}
	key := rpc.KeyRef{Fork: "green", Key: "k"}
	if e, err := l.Get(t.Context(), rpc.GetRequest{KeyRef: key}); rpc.CodeOf(err) != rpc.CodePurged {
		t.Errorf("get: %+v %v", e, err)
	}
	w, err := l.Put(t.Context(), rpc.PutRequest{KeyRef: key, Value: []byte(`["z"]`), Kind: crdt.Set})
	if err != nil || w.Conflict || len(w.Heads) != 1 {
		t.Errorf("put: %+v %v", w, err)
	}
	l.serves("green", "k", `["z"]`)
}

// TestPurgeBelowDeletions: two at once removed fields of a document that was
// purged then: no conflict says so, and the key can be put again.
func TestPurgeBelowDeletions(t *testing.T) {
	a, b := pair(t)
	hand{a, ""}.json(`{"a":1,"b":1,"c":1}`)
	rev := a.newest("k")
	b.pull(a)
	hand{a, ""}.unset("/a")
	hand{b, ""}.unset("/b")
	meet(a, b)
	if _, err := a.Purge(t.Context(), rpc.PurgeRequest{Revision: rpc.Ref(rev), Claim: rpc.Claim{Message: "leaked"}}); err != nil {
		t.Fatal(err)
	}
	hand{a, ""}.json(`{"z":1}`)
	a.serves("", "k", `{"z":1}`)
}

// TestPurgeOfNames: what is left of an element whose name was purged can be read
// all the same, and if it is a side of a conflict, listed and taken.
func TestPurgeOfNames(t *testing.T) {
	l := newLab(t, "a")
	keyed := rpc.Policy{Pattern: "k", Lists: map[crdt.PathPattern]crdt.ListSchema{"/l": crdt.MapList("n")}}
	if _, err := l.ChangePolicy(t.Context(), rpc.PolicyRequest{Policy: keyed}); err != nil {
		t.Fatal(err)
	}
	hand{l, ""}.write(rpc.PutRequest{Value: []byte("l:\n- n: x\n  v: 1\n"), Kind: crdt.YAML})
	rev := l.newest("k")
	l.fork("f", "")
	hand{l, ""}.edit("/l/[x]/v", "2")
	hand{l, "f"}.edit("/l/[x]/w", "3")
	l.merge("f", "default", rpc.OnConflictFail)
	if _, err := l.Purge(t.Context(), rpc.PurgeRequest{Revision: rpc.Ref(rev), Claim: rpc.Claim{Message: "leaked"}}); err != nil {
		t.Fatal(err)
	}
	letter := ""
	for c, err := range l.Conflicts(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range c.Sides {
			if s.Purged == nil {
				letter = s.Letter
			}
		}
	}
	if letter != "" {
		if _, err := l.Resolve(t.Context(), rpc.ResolveRequest{KeyRef: rpc.KeyRef{Key: "k"}, Take: letter}); err != nil {
			t.Error(err)
		}
	}
	part := rpc.GetRequest{KeyRef: rpc.KeyRef{Key: "k"}, Path: "/l"}
	if e, err := l.Get(t.Context(), part); err != nil || !strings.Contains(string(e.Value), "2") {
		t.Errorf("what is left of the list: %+v %v", e, err)
	}
	if e, err := l.Get(t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Key: "k"}}); err != nil || e.Conflict {
		t.Errorf("%+v %v", e, err)
	}
}

// TestLongResetLeavesOpen: a reset that is written in several parts leaves a
// conflict open that stood then as it stands now, as a short one does.
func TestLongResetLeavesOpen(t *testing.T) {
	l := openLab(t, ReplicaConfig{Store: dagtest.NewMem(), Key: keyNamed("a"), Name: "a", Now: newClock(), PartSize: 1})
	h := hand{l, ""}
	h.json(`{"a":0,"b":1}`)
	l.fork("f", "")
	hand{l, "f"}.edit("/a", "1")
	h.edit("/a", "2")
	l.merge("f", "default", rpc.OnConflictKeep)
	then, err := l.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "other"}, Value: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	h.edit("/b", "3")
	l.put("", "other", "y")
	if _, err := l.Reset(t.Context(), rpc.ResetRequest{To: then.Block.String()}); err != nil {
		t.Fatal(err)
	}
	if e, err := l.Get(t.Context(), rpc.GetRequest{KeyRef: h.key()}); err != nil || len(e.Conflicts) != 1 || e.Conflicts[0].Path != "/a" || !strings.Contains(string(e.Value), `"b":1`) {
		t.Errorf("reads %s with conflicts %+v, %v", e.Value, e.Conflicts, err)
	}
}
