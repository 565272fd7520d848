package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"crush/rpc"
)

// tmpfs mounts a file system of some megabytes for the length of the test.
func tmpfs(t *testing.T, megabytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=700", megabytes)); err != nil {
		t.Skipf("a small tmpfs cannot be mounted here, which needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// noise is a value that does not compress.
func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	for i, chance := 0, rand.New(rand.NewPCG(seed, 0)); i < n; i++ {
		b[i] = byte(chance.Uint32())
	}
	return b
}

// TestFullDisk fills a real disk: writes fail with one line and nothing that
// was acknowledged is lost, reads go on, status says so, and after a restart
// with room everything works again.
func TestFullDisk(t *testing.T) {
	skipSequence(t)
	t.Parallel()
	disk := tmpfs(t, 5)
	n := newNode(t, filepath.Join(disk, "data"), "--http", "127.0.0.1:0")
	n.start()
	acked := 0
	var refusal error
	for acked < 1000 && refusal == nil {
		_, refusal = n.client.Put(t.Context(), rpc.PutRequest{
			KeyRef: rpc.KeyRef{Key: fmt.Sprint("k", acked)}, Value: noise(100_000, uint64(acked)),
		})
		if refusal == nil {
			acked++
		}
	}
	if rpc.CodeOf(refusal) != rpc.CodeReadOnly || acked == 0 {
		t.Fatalf("after %d writes: %v, want the code %s", acked, refusal, rpc.CodeReadOnly)
	}
	const why = "no space left on device"
	for _, verb := range [][]string{{"put", "small", "v"}, {"del", "k0"}, {"apply", "-f", "kill_test.go"}} {
		if line := n.refused(1, verb...); !strings.Contains(line, why) {
			t.Errorf("%s says %q", verb[0], line)
		}
	}
	if status, body := request(t, n, "PUT", "/small", "v"); status != 507 || !strings.Contains(body, `"read_only"`) {
		t.Errorf("PUT on a full disk: %d %s", status, body)
	}
	if out := n.must("status"); !strings.Contains(out, "READ-ONLY: ") || !strings.Contains(out, why) {
		t.Errorf("status of a full disk:\n%s", out)
	}
	checkNoise(t, n, acked)
	n.stop()

	n.launch()
	if code, log := n.exited(); code != 1 || !strings.Contains(lastLine(log), "the disk of ") {
		t.Errorf("a start on a full disk: exit code %d\n%s", code, log)
	}
	if err := syscall.Mount("none", disk, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	n.start()
	checkNoise(t, n, acked)
	n.must("put", "small", "v")
	n.verify()
	if out := n.must("ls", "--count"); out != fmt.Sprintln(acked+1) {
		t.Errorf("there are %s keys, want %d", strings.TrimSpace(out), acked+1)
	}
	n.stop()
}

// checkNoise reads the first count keys back.
func checkNoise(t *testing.T, n *node, count int) {
	t.Helper()
	for i := range count {
		e, err := n.client.Get(t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Key: fmt.Sprint("k", i)}})
		if err != nil || !bytes.Equal(e.Value, noise(100_000, uint64(i))) {
			t.Fatalf("k%d, which was acknowledged: %d bytes, %v", i, len(e.Value), err)
		}
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// TestReadOnlyDirectory: the daemon, verify and rebuild refuse a directory
// that they cannot write, each with one line that says so.
func TestReadOnlyDirectory(t *testing.T) {
	t.Parallel()
	disk := tmpfs(t, 16)
	n := newNode(t, filepath.Join(disk, "data"))
	n.start()
	n.must("put", "k", "v")
	n.stop()
	if err := syscall.Mount("none", disk, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	n.launch()
	if code, log := n.exited(); code != 1 || !strings.Contains(lastLine(log), "data is read-only: ") {
		t.Errorf("a start on a read-only disk: exit code %d\n%s", code, log)
	}
	for _, verb := range [][]string{{"verify"}, {"verify", "--rebuild"}, {"id"}} {
		if line := n.refused(1, verb...); !strings.Contains(line, "read-only") {
			t.Errorf("%s says %q", verb, line)
		}
	}
	if err := syscall.Mount("none", disk, "tmpfs", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	n.start()
	if out := n.must("get", "k"); out != "v" {
		t.Errorf("after all: %q", out)
	}
	n.stop()
	n.verify()
}

// storeFile returns the largest file of the store that matches.
func storeFile(t *testing.T, n *node, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(n.dir, "store", pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s in the store: %v", pattern, err)
	}
	largest, most := "", int64(-1)
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.Size() > most {
			largest, most = name, info.Size()
		}
	}
	return largest
}

// flip changes one byte of a file, in its middle.
func flip(t *testing.T, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0x40
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDamage damages a stopped store in several ways. The daemon refuses each
// with one line that says what to do, verify says what it is, and a rebuild
// keeps whatever can be read: values that are damaged are never served.
func TestDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("one thing after another, and slow: not in short runs")
	}
	t.Parallel()
	const keys = 300
	whole := newNode(t, filepath.Join(t.TempDir(), "data"))
	whole.start()
	for i := range keys {
		if _, err := whole.client.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: fmt.Sprint("k", i)}, Value: noise(2000, uint64(i))}); err != nil {
			t.Fatal(err)
		}
	}
	whole.stop()
	whole.start() // what is in the journal goes into a table
	whole.must("put", "last", "stands in the journal alone")
	whole.stop()
	for name, damage := range map[string]struct {
		do   func(t *testing.T, n *node)
		keep int // keys at the least
	}{
		"flipped table":    {func(t *testing.T, n *node) { flip(t, storeFile(t, n, "*.ldb")) }, 0},
		"cut table":        {func(t *testing.T, n *node) { truncate(t, storeFile(t, n, "*.ldb")) }, 0},
		"missing table":    {func(t *testing.T, n *node) { remove(t, storeFile(t, n, "*.ldb")) }, 0},
		"flipped journal":  {func(t *testing.T, n *node) { flip(t, storeFile(t, n, "*.log")) }, keys - 1},
		"missing journal":  {func(t *testing.T, n *node) { remove(t, storeFile(t, n, "*.log")) }, keys - 1},
		"missing store":    {func(t *testing.T, n *node) { removeAll(t, filepath.Join(n.dir, "store")) }, 0},
		"flipped CURRENT":  {func(t *testing.T, n *node) { flip(t, storeFile(t, n, "CURRENT")) }, keys},
		"missing manifest": {func(t *testing.T, n *node) { remove(t, storeFile(t, n, "MANIFEST-*")) }, keys},
		"flipped manifest": {func(t *testing.T, n *node) { flip(t, storeFile(t, n, "MANIFEST-*")) }, keys},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, filepath.Join(t.TempDir(), "data"))
			if err := os.CopyFS(n.dir, os.DirFS(whole.dir)); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(n.dir, "node.key"), 0o600); err != nil {
				t.Fatal(err)
			}
			damage.do(t, n)
			n.launch()
			code, log := n.exited()
			if last := lastLine(log); code != 1 || !strings.Contains(last, "damaged") || !strings.Contains(last, "crush verify --rebuild") {
				t.Fatalf("the daemon's exit code is %d:\n%s", code, log)
			}
			if _, errs, code := n.crush("verify"); code != 1 || !strings.Contains(errs, "damaged") {
				t.Errorf("verify: exit code %d: %s", code, errs)
			}
			n.must("verify", "--rebuild")
			n.verify()
			n.start()
			n.checkKept(keys, damage.keep)
			n.must("put", "new", "works")
			n.verify()
			n.stop()
		})
	}
}

// checkKept reads what a rebuild kept: each key as it was, or not there.
func (n *node) checkKept(keys, least int) {
	n.t.Helper()
	kept := 0
	for i := range keys {
		e, err := n.client.Get(n.t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Key: fmt.Sprint("k", i)}})
		switch {
		case err != nil:
			n.t.Fatalf("get k%d: %v", i, err)
		case e.Deleted:
		case !bytes.Equal(e.Value, noise(2000, uint64(i))):
			n.t.Errorf("k%d is served damaged", i)
		default:
			kept++
		}
	}
	n.t.Logf("kept %d of %d keys", kept, keys)
	if kept < least {
		n.t.Errorf("kept %d keys, could keep %d", kept, least)
	}
}

func truncate(t *testing.T, name string) {
	t.Helper()
	info, err := os.Stat(name)
	if err == nil {
		err = os.Truncate(name, info.Size()/2)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func removeAll(t *testing.T, name string) {
	t.Helper()
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}
