package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

func TestReadTree(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{
		"a": "1", "sub/b": "2", ".git/config": "no", "sub/.git": "no", ".hidden": "3", "real/c": "4",
	})
	link(t, "sub/b", filepath.Join(dir, "inside"))
	link(t, "real", filepath.Join(dir, "dirlink"))
	files, err := readTree(t.Context(), dir, "p/", new(progress))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range files {
		got[f.Key] = string(f.Value)
	}
	want := map[string]string{
		"p/a": "1", "p/sub/b": "2", "p/.hidden": "3", "p/inside": "2", "p/real/c": "4", "p/dirlink/c": "4",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	files, err = readTree(t.Context(), filepath.Join(dir, "sub", "b"), "p/", new(progress))
	if err != nil || len(files) != 1 || files[0].Key != "p/b" {
		t.Errorf("one file: %v, %v", files, err)
	}
}

func TestReadTreeRefuses(t *testing.T) {
	outside := t.TempDir()
	writeFiles(t, outside, map[string]string{"secret": "x"})
	for name, test := range map[string]struct {
		make func(dir string)
		want string
	}{
		"link out":          {func(d string) { link(t, filepath.Join(outside, "secret"), filepath.Join(d, "x")) }, "x is a link that leaves"},
		"link up":           {func(d string) { link(t, "../"+filepath.Base(outside), filepath.Join(d, "x")) }, "x is a link"},
		"directory out":     {func(d string) { link(t, outside, filepath.Join(d, "x")) }, "x is a link that leaves"},
		"link to nothing":   {func(d string) { link(t, "none", filepath.Join(d, "x")) }, "x is a link to nothing"},
		"link round":        {func(d string) { link(t, ".", filepath.Join(d, "x")) }, "x is a link to a directory above it"},
		"link to itself":    {func(d string) { link(t, "x", filepath.Join(d, "x")) }, "x is a link"},
		"name is not UTF-8": {func(d string) { writeFiles(t, d, map[string]string{"\xff": ""}) }, "not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			test.make(dir)
			files, err := readTree(t.Context(), dir, "", new(progress))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, %v; want an error with %q", files, err, test.want)
			}
		})
	}
}

func TestTreeWriter(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	writeFiles(t, dir, map[string]string{"old": "same", "wasfile": "x", "wasdir/x": "x"})
	writeFiles(t, outside, map[string]string{"target": "untouched"})
	link(t, outside, filepath.Join(dir, "escape"))
	link(t, filepath.Join(outside, "target"), filepath.Join(dir, "linked"))
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	w := treeWriter{root: root}
	for _, test := range []struct {
		key     string
		changed bool
		refused string
	}{
		{"a", true, ""},
		{"a", false, ""},
		{"a/b", false, "the key a is a file there"},
		{"a/b/c", false, "the key a is a file there"},
		{"deep/er/x", true, ""},
		{"escape/x", false, "is a link that leaves"},
		{"linked", true, ""},
		{"wasdir", false, "there is a directory"},
		{"wasfile/x", false, "there is a file wasfile"},
		{"", false, "empty path segment"},
		{"/abs", false, "empty path segment"},
		{"x//y", false, "empty path segment"},
		{"x/", false, "empty path segment"},
		{"../x", false, "path segment .."},
		{"x/./y", false, "path segment ."},
		{".git/hooks/post-checkout", false, "write into .git"},
		{"x/.GIT/y", false, "write into .git"},
		{strings.Repeat("n", 256), false, "longer than 255"},
	} {
		changed, err := w.write(test.key, []byte("value"))
		refused, _ := errors.AsType[*refusedError](err)
		switch {
		case err != nil && refused == nil:
			t.Errorf("%q: %v", test.key, err)
		case refused != nil && (test.refused == "" || !strings.Contains(refused.why, test.refused)):
			t.Errorf("%q: refused: %s; want %q", test.key, refused.why, test.refused)
		case refused == nil && (test.refused != "" || changed != test.changed):
			t.Errorf("%q: changed %v; want %v, refused %q", test.key, changed, test.changed, test.refused)
		}
	}
	if text, err := os.ReadFile(filepath.Join(outside, "target")); err != nil || string(text) != "untouched" {
		t.Errorf("a link was followed out of the directory: %q, %v", text, err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".crush-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

func TestCursorFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cursor")
	if got, err := readCursor(file); got != "" || err != nil {
		t.Errorf("no file: %q, %v", got, err)
	}
	for _, c := range []string{"one", "two"} {
		if err := writeCursor(file, "x"+"-cursor-"+"y"); err != nil {
			t.Fatal(c, err)
		}
	}
	if got, err := readCursor(file); got != "x-cursor-y" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := writeCursor(filepath.Join(file, "below"), "x"); err == nil {
		t.Error("a cursor was written below a file")
	}
}

// TestTreeWriterForgets: what is remembered of the files of an export does not
// grow with their number, and is enough.
func TestTreeWriterForgets(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var keys []string
	for i := range 300 {
		keys = append(keys, fmt.Sprintf("d/%d", i), fmt.Sprintf("d/%d-", i), fmt.Sprintf("e%d/%d", i, i))
	}
	keys = append(keys, "a", "a!", "a!/1", "a-b", "a.b", "a.b!", "a/b", "a0", "d", "d!", "d/1/x", "d/1-/x", "d/299/x")
	slices.Sort(keys)
	w := treeWriter{root: root}
	var refused []string
	for _, key := range keys {
		_, err := w.write(key, []byte("v"))
		if _, ok := errors.AsType[*refusedError](err); ok {
			refused = append(refused, key)
		} else if err != nil {
			t.Fatal(err)
		}
		if len(w.files) > 4 {
			t.Fatalf("at %s: %d files are remembered: %q", key, len(w.files), w.files)
		}
	}
	var want []string
	for _, key := range keys {
		if slices.ContainsFunc(keys, func(k string) bool {
			return strings.HasPrefix(key, k+"/") && !slices.Contains(want, k)
		}) {
			want = append(want, key)
		}
	}
	if !slices.Equal(refused, want) || len(want) < 10 {
		t.Errorf("refused %q, want %q", refused, want)
	}
}
