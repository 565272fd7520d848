package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"crush/crdt"
)

// class is how what a merge made of a file compares with what people committed.
type class int

const (
	equal     class = iota // byte for byte
	rewritten              // the same document in another layout, or with other comments
	different
	conflict
	classes
)

func (c class) String() string {
	return [...]string{"clean, as committed", "clean, the same document", "clean and different", "conflict"}[c]
}

// compare classifies an outcome.
func (f *file) compare(o *outcome) class {
	switch {
	case o.conflict:
		return conflict
	case (o.value == nil) == (f.committed == nil) && bytes.Equal(o.value, f.committed):
		return equal
	case o.value != nil && f.committed != nil && sameDocument(f.kind(), o.value, f.committed):
		return rewritten
	}
	return different
}

func sameDocument(kind crdt.Kind, a, b []byte) bool {
	if kind != crdt.YAML && kind != crdt.JSON {
		return false
	}
	x, err := crdt.ParseDocument(kind, a, nil)
	if err != nil {
		return false
	}
	y, err := crdt.ParseDocument(kind, b, nil)
	return err == nil && x.Sum() == y.Sum()
}

// The ways to merge, in the order of the table.
const (
	byCrush = iota
	byLines
	byGit
	ways
)

var wayNames = [ways]string{"crush", "crush's line merge", "git merge-file"}

// table counts files by what became of them.
type table struct {
	*replay

	files   map[crdt.Kind]int
	counts  [ways]map[crdt.Kind]*[classes]int
	against [classes][classes]int // crush, Git
	err     error                 // of writing
}

func newTable(r *replay) *table {
	t := &table{replay: r, files: map[crdt.Kind]int{}}
	for i := range t.counts {
		t.counts[i] = map[crdt.Kind]*[classes]int{}
	}
	return t
}

func (t *table) total() (n int) {
	for _, files := range t.files {
		n += files
	}
	return n
}

// add merges files, and counts them.
func (t *table) add(ctx context.Context, files []file) error {
	outcomes, err := t.node.merge(ctx, files)
	for i := 0; i < len(files) && err == nil; i++ {
		err = t.count(ctx, &files[i], outcomes[i])
	}
	return err
}

// count counts a file.
func (t *table) count(ctx context.Context, f *file, crushed outcome) error {
	git, err := gitMerge(ctx, t.dir, f)
	if err != nil {
		return err
	}
	outcomes := [ways]outcome{byCrush: crushed, byLines: mergeLines(f), byGit: git}
	kind := f.kind()
	t.files[kind]++
	var got [ways]class
	for i := range outcomes {
		got[i] = f.compare(&outcomes[i])
		if t.counts[i][kind] == nil {
			t.counts[i][kind] = &[classes]int{}
		}
		t.counts[i][kind][got[i]]++
	}
	t.against[got[byCrush]][got[byGit]]++
	if !t.list {
		return nil
	}
	t.printf("%s of %s  %s  %s\n", f.commit.Mark, f.commit.Author.When().Format("2006-01-02"), kind, f.path)
	for i, c := range got {
		t.printf("    %-20s %s\n", wayNames[i]+":", strings.Join(append([]string{c.String()}, outcomes[i].where...), " "))
		if c == different || c == rewritten {
			diff, err := t.difference(ctx, f, &outcomes[i])
			if err != nil {
				return err
			}
			t.printf("%s", diff)
		}
	}
	return t.err
}

// difference shows what a merge made of a file beside what people committed.
func (t *table) difference(ctx context.Context, f *file, o *outcome) (string, error) {
	for name, text := range map[string][]byte{"committed": f.committed, "merged": o.value} {
		if err := os.WriteFile(filepath.Join(t.dir, name), text, 0o600); err != nil {
			return "", err
		}
	}
	cmd := exec.CommandContext(ctx, "git", "diff", "--no-index", "--no-color", "--no-ext-diff", "committed", "merged")
	cmd.Dir = t.dir
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		err = nil // they differ
	}
	_, hunks, _ := strings.Cut(string(out), "+++ b/merged\n")
	return hunks, err
}

func (t *table) printf(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.out, format, args...)
	}
}

// print writes a table for each kind, and one of crush against Git.
func (t *table) print() error {
	for _, kind := range []crdt.Kind{crdt.YAML, crdt.JSON, crdt.Text, crdt.Bytes} {
		if t.files[kind] == 0 {
			continue
		}
		t.printf("\n%-26s", fmt.Sprintf("%s: %d", kind, t.files[kind]))
		for _, name := range wayNames {
			t.printf("%20s", name)
		}
		for c := range classes {
			t.printf("\n%-26s", c)
			for i := range ways {
				t.printf("%20d", t.counts[i][kind][c])
			}
		}
		t.printf("\n")
	}
	t.printf("\n%-26s", "crush, down; Git, across")
	for c := range classes {
		t.printf("%26s", c)
	}
	for c := range classes {
		t.printf("\n%-26s", c)
		for d := range classes {
			t.printf("%26d", t.against[c][d])
		}
	}
	t.printf("\n\n")
	return t.err
}
