package daemon

import (
	"fmt"
	"runtime"
	"testing"

	"crush/crdt"
	"crush/rpc"
)

// contested is a lab with a document, two changes of which are in conflict in
// every one of some fields.
func contested(t testing.TB, fields int) *lab {
	l := newLab(t, "a")
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
	return l
}

// getConflicts reads the document and what is in conflict.
func (l *lab) getConflicts(fields int) {
	l.t.Helper()
	e, err := l.Get(l.t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Key: "k"}})
	if err != nil || len(e.Conflicts) != fields || fields > 0 && e.Conflicts[0].Base == nil {
		l.t.Fatalf("%d conflicts, %v", len(e.Conflicts), err)
	}
}

// TestManyConflictsOfOneDocument: what it costs to describe and to settle the
// conflicts of a document is in proportion to them.
func TestManyConflictsOfOneDocument(t *testing.T) {
	cost := func(fields int) (allocations float64, settling uint64) {
		l := contested(t, fields)
		allocations = testing.AllocsPerRun(1, func() { l.getConflicts(fields) })
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		hand{l, ""}.settle(rpc.ResolveRequest{Take: "f"})
		runtime.ReadMemStats(&after)
		l.getConflicts(0)
		return allocations, after.TotalAlloc - before.TotalAlloc
	}
	few, small := cost(50)
	many, large := cost(1000)
	t.Logf("%.0f allocations for 50 conflicts, %.0f for 1000; %d and %d bytes to settle them", few, many, small, large)
	if many > 25*few || large > 25*small {
		t.Errorf("%.0f allocations for 50 conflicts, %.0f for 1000; %d and %d bytes to settle them", few, many, small, large)
	}
}

func BenchmarkManyConflicts(b *testing.B) {
	for _, fields := range []int{150, 1_500, 15_000} {
		l := contested(b, fields)
		b.Run(fmt.Sprintf("get=%d", fields), func(b *testing.B) {
			for b.Loop() {
				l.getConflicts(fields)
			}
		})
	}
}
