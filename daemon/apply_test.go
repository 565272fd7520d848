package daemon

import (
	"bytes"
	"fmt"
	"testing"

	"crush/rpc"
)

// TestApplyBeyondABlock: a change of three blocks is one for every reader.
func TestApplyBeyondABlock(t *testing.T) {
	l := newLab(t, "a")
	l.put("", "old", "x")
	q := rpc.ApplyRequest{Prune: true}
	for i := range 6 {
		q.Files = append(q.Files, rpc.File{Key: fmt.Sprint("big/", i), Value: bytes.Repeat([]byte{byte(i)}, 3<<20)})
	}
	out, err := l.Apply(t.Context(), q)
	if err != nil || len(out.Created) != 6 || len(out.Deleted) != 1 {
		t.Fatalf("%d created, %d deleted, %v", len(out.Created), len(out.Deleted), err)
	}
	for i := range 6 {
		if v := l.value("", fmt.Sprint("big/", i)); v != string(q.Files[i].Value) {
			t.Errorf("big/%d: %d bytes", i, len(v))
		}
	}
	l.serves("", "old", "-")
	if names := l.names(); len(names) != 1 {
		t.Errorf("forks %v", names)
	}
	blocks := l.Graph().Stats().Blocks
	if out, err = l.Apply(t.Context(), q); err != nil || out.Unchanged != 6 || l.Graph().Stats().Blocks != blocks {
		t.Errorf("again: %d unchanged, %v, %d blocks more", out.Unchanged, err, l.Graph().Stats().Blocks-blocks)
	}
}
