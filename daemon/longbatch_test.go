package daemon

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"crush/rpc"
)

// TestLongBatch: values that wait on the disk until a batch is written are
// written as all others.
func TestLongBatch(t *testing.T) {
	if testing.Short() {
		t.Skip("one request after the other, of 40 MB")
	}
	n := startNode(t, Config{Data: filepath.Join(shortDir(t), "d")})
	var files []rpc.File
	value := func(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%02d", i), 1<<19) }
	for i := range 20 {
		files = append(files, rpc.File{Key: fmt.Sprintf("k%02d", i), Value: value(i)})
	}
	for _, again := range []bool{false, true} {
		a, err := n.client.Apply(t.Context(), rpc.ApplyRequest{Files: files})
		if err != nil || !again && len(a.Created) != 20 || again && a.Unchanged != 20 {
			t.Fatalf("again %v: %d created, %d unchanged, %v", again, len(a.Created), a.Unchanged, err)
		}
	}
	seen := 0
	for e, err := range n.client.List(t.Context(), rpc.ListRequest{Values: true}) {
		if err != nil || e.Key != files[seen].Key || !bytes.Equal(e.Value, value(seen)) {
			t.Fatalf("%s, %v", e.Key, err)
		}
		seen++
	}
	left, err := os.ReadDir(n.at.Data)
	for _, f := range left {
		if strings.HasPrefix(f.Name(), temporaryPrefix) {
			t.Errorf("%s is left", f.Name())
		}
	}
	if seen != 20 || err != nil {
		t.Errorf("%d keys, %v", seen, err)
	}
}
