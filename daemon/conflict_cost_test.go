package daemon

import (
	"fmt"
	"testing"

	"crush/crdt"
	"crush/rpc"
)

// TestManyConflictsOfOneDocument: what it costs to describe the conflicts of a
// document is in proportion to them.
func TestManyConflictsOfOneDocument(t *testing.T) {
	allocations := func(fields int) float64 {
		l := newLab(t, "a")
		key := rpc.KeyRef{Key: "k"}
		put := func(fork string, version int) {
			text := []byte(`{"other": 0`)
			for i := range fields {
				text = fmt.Appendf(text, ",\n\"field-%d\": %d", i, version)
			}
			q := rpc.PutRequest{KeyRef: rpc.KeyRef{Fork: fork, Key: "k"}, Kind: crdt.JSON, Value: append(text, '}')}
			if _, err := l.Put(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		put("", 0)
		l.fork("f", "")
		put("", 1)
		put("f", 2)
		if m := l.merge("f", "default", rpc.OnConflictKeep); len(m.Conflicts) != fields {
			t.Fatalf("%d conflicts, want %d", len(m.Conflicts), fields)
		}
		return testing.AllocsPerRun(1, func() {
			e, err := l.Get(t.Context(), rpc.GetRequest{KeyRef: key})
			if err != nil || len(e.Conflicts) != fields || e.Conflicts[0].Base == nil {
				t.Fatal(err)
			}
		})
	}
	few, many := allocations(20), allocations(200)
	t.Logf("%.0f allocations for 20 conflicts, %.0f for 200", few, many)
	if many > 20*few {
		t.Errorf("%.0f allocations for 20 conflicts, %.0f for 200", few, many)
	}
}
