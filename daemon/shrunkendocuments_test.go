package daemon

import (
	"testing"

	"crush/crdt"
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
