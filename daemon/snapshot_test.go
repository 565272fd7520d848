package daemon

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
	"crush/rpc"
)

// snapshotGraph is a graph with a little history.
func snapshotGraph(t testing.TB) *Replica {
	t.Helper()
	r, err := OpenReplica(t.Context(), ReplicaConfig{Store: dagtest.NewMem(), Key: dag.NewNodeKey([32]byte{1}), Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	for _, v := range []string{"one", "two"} {
		if _, err := r.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "k"}, Value: []byte(v)}); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// snapshotOf is a snapshot whose history a function may change.
func snapshotOf(t testing.TB, change func([]byte) []byte) []byte {
	t.Helper()
	r := snapshotGraph(t)
	var out bytes.Buffer
	_, err := WriteSnapshot(&out, "", func(w io.Writer) (rpc.Exported, error) {
		var car bytes.Buffer
		e, err := exportCAR(t.Context(), r.Graph(), &car)
		if err == nil {
			_, err = w.Write(change(car.Bytes()))
		}
		return e, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func asItIs(b []byte) []byte { return b }

func restoreTo(t testing.TB, dir string, file []byte) (Restored, error) {
	t.Helper()
	return RestoreSnapshot(t.Context(), dir, bytes.NewReader(file), "")
}

// TestSnapshotDamage: no byte can be another, and the file can end nowhere else.
func TestSnapshotDamage(t *testing.T) {
	file := snapshotOf(t, asItIs)
	dir := filepath.Join(t.TempDir(), "data")
	refused := func(what string, i int, bad []byte) {
		t.Helper()
		_, err := SnapshotStatus(t.Context(), bytes.NewReader(bad))
		_, restored := restoreTo(t, dir, bad)
		for _, err := range []error{err, restored} {
			if rpc.CodeOf(err) != rpc.CodeUnparsed || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s %d: %v", what, i, err)
			}
		}
	}
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 1 << (i % 8)
		refused("changed at byte", i, bad)
		refused("cut off at byte", i, file[:i])
	}
	refused("with more at byte", len(file), append(bytes.Clone(file), 0))
	nothingIn(t, filepath.Dir(dir))
	if s, err := SnapshotStatus(t.Context(), bytes.NewReader(file)); err != nil || s.Blocks != 3 || s.Revisions != 2 || s.Size != int64(len(file)) || s.Key {
		t.Errorf("%+v, %v", s, err)
	}
}

func nothingIn(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
}

// TestSnapshotHostile: a checksum that is right says nothing of the history.
func TestSnapshotHostile(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"empty":   func([]byte) []byte { return nil },
		"cut":     func(b []byte) []byte { return b[:len(b)-1] },
		"changed": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"bomb":    func([]byte) []byte { return binary.AppendUvarint(nil, 1<<40) },
		"zeros":   func(b []byte) []byte { return append(b, make([]byte, 1<<24)...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			_, err := restoreTo(t, dir, snapshotOf(t, change))
			if rpc.CodeOf(err) != rpc.CodeUnparsed || !strings.Contains(err.Error(), "at byte") {
				t.Errorf("%v", err)
			}
			nothingIn(t, filepath.Dir(dir))
		})
	}
}

// TestSnapshotOtherKey: the key must be that of the node whose history it is.
func TestSnapshotOtherKey(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := Identity(dir); err != nil {
		t.Fatal(err)
	}
	r := snapshotGraph(t)
	_, err := WriteSnapshot(io.Discard, dir, func(w io.Writer) (rpc.Exported, error) { return exportCAR(t.Context(), r.Graph(), w) })
	if err == nil || !strings.Contains(err.Error(), "is not that of the node") {
		t.Errorf("%v", err)
	}
}

// TestRestoreAgain: what a crash left of a restore is no hindrance, one that is
// under way is.
func TestRestoreAgain(t *testing.T) {
	file := snapshotOf(t, asItIs)
	dir := filepath.Join(t.TempDir(), "data")
	part := dir + restorePart
	if err := makePart(part, dag.NodeKey{}); err != nil {
		t.Fatal(err)
	}
	l, err := takeLock(part)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restoreTo(t, dir, file); err == nil || !strings.Contains(err.Error(), "another restore") {
		t.Errorf("beside another one: %v", err)
	}
	if err := l.release(); err != nil {
		t.Fatal(err)
	}
	got, err := restoreTo(t, dir, file)
	if err != nil || got.Blocks != 3 || !got.NewIdentity || got.Member {
		t.Errorf("%+v, %v", got, err)
	}
	for f, err := range VerifyData(t.Context(), dir, nil) {
		t.Errorf("%+v, %v", f, err)
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	if _, err := restoreTo(t, dir, file); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("over data: %v", err)
	}
}

func FuzzSnapshot(f *testing.F) {
	good := snapshotOf(f, asItIs)
	f.Add(good)
	f.Add(good[:len(good)-snapshotEnd])
	f.Add([]byte(snapshotMark))
	f.Fuzz(func(t *testing.T, file []byte) {
		_, err := SnapshotStatus(t.Context(), bytes.NewReader(file))
		if err != nil && rpc.CodeOf(err) != rpc.CodeUnparsed {
			t.Errorf("%v", err)
		}
	})
}

// TestImportLeavesNothing: of a file that is damaged at its end nothing is
// added, however long it is.
func TestImportLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and 12 MB")
	}
	r := snapshotGraph(t)
	const more = 12 // MiB: it is applied in several batches
	for i := range more {
		value := bytes.Repeat([]byte{byte(i), 1, 2, 3}, 1<<18)
		if _, err := r.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "long"}, Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	var car bytes.Buffer
	if _, err := exportCAR(t.Context(), r.Graph(), &car); err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(car.Bytes())
	bad[len(bad)-1] ^= 1
	dir := t.TempDir()
	_, err := ImportData(t.Context(), dir, io.MultiReader(bytes.NewReader(bad)))
	if rpc.CodeOf(err) != rpc.CodeUnparsed || !strings.HasSuffix(err.Error(), "nothing was imported") {
		t.Errorf("%v", err)
	}
	if _, err := ExportData(t.Context(), dir, io.Discard); !errors.Is(err, rpc.ErrNotFound) {
		t.Errorf("exported after that: %v", err)
	}
	in, err := ImportData(t.Context(), dir, io.MultiReader(&car))
	if err != nil || in.Blocks != 3+more || in.Member {
		t.Errorf("%+v, %v", in, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "verify-*")); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}
