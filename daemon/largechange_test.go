package daemon

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"crush/dag"
	"crush/dag/dagtest"
	"crush/rpc"
)

// newSmallLab is a lab whose blocks take only a few keys of a large change.
func newSmallLab(t *testing.T) *lab {
	t.Helper()
	var tick int64
	r, err := OpenReplica(t.Context(), ReplicaConfig{
		Store: dagtest.NewMem(), Key: dag.NewNodeKey(dag.SumOf([]byte("a"))), Name: "a", PartSize: 4 << 10,
		Now: func() time.Time { tick++; return time.UnixMilli(1_700_000_000_000 + tick) },
	})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{r, t}
	t.Cleanup(func() { l.clean(); r.Close() })
	return l
}

const largeKeys = 40

func (l *lab) applyLarge(fork, value string) {
	l.t.Helper()
	var files []rpc.File
	for i := range largeKeys {
		files = append(files, rpc.File{Key: fmt.Sprintf("p/%02d", i), Value: []byte(value)})
	}
	if _, err := l.Apply(l.t.Context(), rpc.ApplyRequest{Fork: fork, Files: files}); err != nil {
		l.t.Fatal(err)
	}
}

// allServe checks what every key of a large change reads as.
func (l *lab) allServe(fork, want string) {
	l.t.Helper()
	for i := range largeKeys {
		l.serves(fork, fmt.Sprintf("p/%02d", i), want)
	}
}

// inParts checks that a write made several blocks, and that watching or reading
// found either nothing or all of it.
func (l *lab) inParts(what string, write func() error) {
	l.t.Helper()
	before := l.Graph().Stats().Blocks
	if err := write(); err != nil {
		l.t.Fatalf("%s: %v", what, err)
	}
	if n := l.Graph().Stats().Blocks - before; n < 4 {
		l.t.Errorf("%s is %d blocks", what, n)
	}
	if names := l.names(); strings.Join(names, " ") != "default" && strings.Join(names, " ") != "default s" {
		l.t.Errorf("%s leaves the forks %v", what, names)
	}
}

// TestLargeChanges: what does not fit a block is one change all the same.
func TestLargeChanges(t *testing.T) {
	l := newSmallLab(t)
	ctx := t.Context()
	l.inParts("an apply", func() error { l.applyLarge("", "1"); return nil })
	if _, err := l.Tag(ctx, rpc.PointRequest{Name: "v1"}); err != nil {
		t.Fatal(err)
	}
	l.applyLarge("", "2")
	l.inParts("an undo", func() error {
		out, err := l.Undo(ctx, rpc.UndoRequest{Claim: rpc.Claim{Message: "back"}})
		if len(out.Changed) != largeKeys || out.Keys != largeKeys || out.Block.IsZero() {
			t.Errorf("%+v", out)
		}
		return err
	})
	l.allServe("", "1")
	if fs, err := l.Forks(ctx); err != nil || len(fs) != 1 || len(fs[0].From) != 0 {
		t.Errorf("the forks that people are told of: %+v %v", fs, err)
	}
	l.inParts("the undo of an undo", func() error { _, err := l.Undo(ctx, rpc.UndoRequest{}); return err })
	l.allServe("", "2")
	l.put("", "p/other", "x")
	l.inParts("a rollback", func() error {
		plan, err := l.Reset(ctx, rpc.ResetRequest{To: "v1", Plan: true})
		if err != nil || len(plan.Changed) != largeKeys+1 {
			t.Errorf("its plan: %+v %v", plan, err)
		}
		out, err := l.Reset(ctx, rpc.ResetRequest{To: "v1"})
		if len(out.Changed) != largeKeys+1 {
			t.Errorf("%+v", out)
		}
		return err
	})
	l.allServe("", "1")
	l.serves("", "p/other", "-")
	l.inParts("a deletion", func() error {
		w, err := l.Delete(ctx, rpc.DeleteRequest{KeyRef: rpc.KeyRef{Key: "p/"}, Recursive: true})
		if w.Keys != largeKeys || w.Unchanged {
			t.Errorf("%+v", w)
		}
		return err
	})
	l.allServe("", "-")
	if w, err := l.Delete(ctx, rpc.DeleteRequest{KeyRef: rpc.KeyRef{Key: "p/"}, Recursive: true}); !w.Unchanged || err != nil {
		t.Errorf("nothing is left to delete: %+v %v", w, err)
	}
	l.applyLarge("", "3")
	l.inParts("a prune", func() error {
		out, err := l.Apply(ctx, rpc.ApplyRequest{Files: []rpc.File{{Key: "p/new"}}, Prefix: "p/", Prune: true})
		if len(out.Deleted) != largeKeys || len(out.Created) != 1 {
			t.Errorf("%+v", out)
		}
		return err
	})
	l.allServe("", "-")
	l.serves("", "p/new", "")
}

// TestLargeMerge: a merge whose settlements do not fit a block arrives as one
// change, settled, and merging again finds nothing.
func TestLargeMerge(t *testing.T) {
	for how, want := range map[rpc.Strategy]string{rpc.OnConflictOurs: "ours", rpc.OnConflictTheirs: "theirs"} {
		l := newSmallLab(t)
		l.applyLarge("", "0")
		l.fork("s", "")
		l.applyLarge("", "ours")
		l.applyLarge("s", "theirs")
		l.put("s", "clean", "c")
		l.put("s", "left/out", "o")
		q := rpc.MergeRequest{Source: "s", Into: "default", OnConflict: how, Skip: []string{"left/*"}}
		l.inParts("the merge", func() error {
			m, err := l.Merge(t.Context(), q)
			if len(m.Settled) != largeKeys || len(m.Clean) != 1 || !m.Applied || m.Block == nil {
				t.Errorf("%+v", m)
			}
			return err
		})
		l.allServe("", want)
		l.serves("", "clean", "c")
		l.serves("", "left/out", "-")
		if m, err := l.Merge(t.Context(), q); err != nil || !m.Unchanged {
			t.Errorf("merging again: %+v %v", m, err)
		}
		if m := l.merge("default", "s", ""); len(m.Conflicts) != 0 {
			t.Errorf("merging back: %+v", m)
		}
		l.allServe("s", want)
		merges := slices.DeleteFunc(l.logged(rpc.LogRequest{}), func(line string) bool { return !strings.HasPrefix(line, "merge default") })
		count := map[rpc.Strategy]string{rpc.OnConflictOurs: "{1 0 0 40 0 0}", rpc.OnConflictTheirs: "{1 40 0 0 0 0}"}[how]
		// The newest is the merge; the next is what ours were written by.
		if len(merges) != 3 || merges[0] != "merge default s [] [left/*] "+count || merges[1] != "merge default {0 40 0 0 0 0}" {
			t.Errorf("its log: %q", merges)
		}
		if _, err := l.Undo(t.Context(), rpc.UndoRequest{}); err != nil {
			t.Error(err)
		}
		l.allServe("", "ours")
		l.serves("", "clean", "-")
	}
}

func TestWrittenMeanwhile(t *testing.T) {
	if err := writtenMeanwhile(errMoved); !errors.Is(err, rpc.ErrStale) {
		t.Errorf("%v", err)
	}
	if err := writtenMeanwhile(rpc.ErrNotFound); err != rpc.ErrNotFound {
		t.Errorf("%v", err)
	}
}
