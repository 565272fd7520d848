package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"crush/dag"
)

// keyOf makes the key of a seed.
func keyOf(seed [32]byte) dag.NodeKey { return dag.NewNodeKey(seed) }

func put(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *directory {
	t.Helper()
	d, err := openDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.close() })
	return d
}

func TestDirectoryIsMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	first := open(t, dir)
	if !first.fresh {
		t.Error("a new directory has an old key")
	}
	for name, want := range map[string]os.FileMode{
		"": os.ModeDir | 0o700, keyName: 0o600, markerName: 0o600, lockName: 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%q: mode %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, dir)
	if second.fresh || second.key.ID() != first.key.ID() {
		t.Error("the key changed")
	}
}

func TestLockIsHeld(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	_, err := openDirectory(dir)
	locked, ok := errors.AsType[*LockedError](err)
	if !ok || locked.PID != os.Getpid() {
		t.Fatalf("got %v, want this process named", err)
	}
	if want := fmt.Sprintf("another daemon (pid %d) uses %s", os.Getpid(), dir); locked.Error() != want {
		t.Errorf("got %q, want %q", locked, want)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestDirectoryIsRefused(t *testing.T) {
	whole := func(dir string) {
		d, err := openDirectory(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		spoil func(dir string)
		want  string
	}{
		"other files":              {func(d string) { put(t, d+"/notes.txt", "", 0o600) }, "is not a data directory of crush: it has other files (notes.txt)"},
		"a store without a marker": {func(d string) { put(t, d+"/store/CURRENT", "", 0o600) }, "no crush-format"},
		"another format":           {func(d string) { put(t, d+"/"+markerName, "crush data 2\n", 0o600) }, "another version of crush"},
		"an empty marker":          {func(d string) { put(t, d+"/"+markerName, "", 0o600) }, "another version of crush"},
		"a key for all":            {func(d string) { whole(d); os.Chmod(d+"/"+keyName, 0o644) }, "can be read by others (mode 0644)"},
		"a damaged key":            {func(d string) { whole(d); put(t, d+"/"+keyName, "junk", 0o600) }, "node.key is damaged"},
		"a key with a wrong digit": {func(d string) {
			whole(d)
			text, err := os.ReadFile(d + "/" + keyName)
			if err != nil {
				t.Fatal(err)
			}
			i := len(keyTitle) + 3
			text[i] = "0123456789abcdef0"[strings.IndexByte("0123456789abcdef", text[i])+1]
			put(t, d+"/"+keyName, string(text), 0o600)
		}, "node.key is damaged"},
		"no key beside data": {func(d string) { whole(d); os.Remove(d + "/" + keyName); os.Mkdir(d+"/"+storeName, 0o700) }, "node.key is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			test.spoil(dir)
			d, err := openDirectory(dir)
			if err == nil {
				d.close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, test.want)
			}
		})
	}
	t.Run("a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		put(t, file, "", 0o600)
		if _, err := openDirectory(file); err == nil {
			t.Error("a file was opened as a directory")
		}
	})
	t.Run("nothing there", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "none")
		if _, err := openExisting(dir); err == nil || !strings.Contains(err.Error(), "no crush data in") {
			t.Errorf("got %v", err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Error("it was made")
		}
	})
}

// TestDirectoryTakesWhatMayBeThere starts in what a mount point or an operator
// leaves, and in what a crash at the first start leaves.
func TestDirectoryTakesWhatMayBeThere(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{ConfigName, "lost+found/x", temporaryPrefix + "123", lockName} {
		put(t, filepath.Join(dir, name), "", 0o600)
	}
	open(t, dir)
}

func TestKeyText(t *testing.T) {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(i)
	}
	text := formatKey(dag.NewNodeKey(seed))
	want := "crush node key 1\n000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n" +
		"12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB\n"
	if text != want {
		t.Errorf("got %q, want %q", text, want)
	}
	key, ok := parseKey(text)
	if !ok || key.Seed() != seed {
		t.Error("the key file does not read back")
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(formatKey(dag.NewNodeKey([32]byte{1})))
	f.Add(keyTitle + "\n00\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		if key, ok := parseKey(text); ok && formatKey(key) != text {
			t.Errorf("%q reads as the key of %q", text, formatKey(key))
		}
	})
}

func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	a, err := fingerprint(dir)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := fingerprint(dir); err != nil || a != b {
		t.Errorf("it changed: %q, %q, %v", a, b, err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if b, err := fingerprint(link); err != nil || a != b {
		t.Errorf("a link to it has another one: %q, %q, %v", a, b, err)
	}
	moved := dir + "-moved"
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if b, err := fingerprint(moved); err != nil || a == b {
		t.Errorf("moved, it is the same: %q, %v", b, err)
	}
}

func TestNotify(t *testing.T) {
	if err := notify("", "READY=1"); err != nil {
		t.Error(err)
	}
	name := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := notify(name, "READY=1", "STATUS=fine"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	if err != nil || string(buf[:n]) != "READY=1\nSTATUS=fine" {
		t.Errorf("got %q, %v", buf[:n], err)
	}
	if err := notify(name+"-none", "READY=1"); err == nil {
		t.Error("a socket that is not there took a message")
	}
}
