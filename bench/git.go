package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// A repository is a Git repository with a work tree: the settings are its files, main is its main line.
type repository struct {
	program, dir string
	keys         int
}

// newRepository makes a repository of n settings: packed, with a fresh index, and with nothing that runs behind a
// command's back.
func newRepository(ctx context.Context, program, dir string, n int) (*repository, error) {
	from := time.Now()
	g := &repository{program, dir, n}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	for _, step := range []func() error{
		func() error { return g.run(ctx, nil, "init", "-q", "-b", "main") },
		func() error { return g.run(ctx, nil, "config", "gc.auto", "0") },
		func() error { return g.run(ctx, nil, "config", "maintenance.auto", "false") },
		func() error {
			return g.importCommits(ctx, func(w io.Writer) { writeCommit(w, "main", "", all, 0) })
		},
		func() error { return g.run(ctx, nil, "reset", "-q", "--hard", "main") },
		func() error { return g.run(ctx, nil, "gc", "-q") },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	progress(from, "made a Git repository of %d files", n)
	return g, nil
}

// run runs git in the repository.
func (g *repository) run(ctx context.Context, stdin io.Reader, args ...string) error {
	return runProgram(ctx, g.program, stdin, append([]string{"-C", g.dir}, args...)...)
}

// runProgram runs a program to its end, with nobody's configuration for Git and nobody reading what it prints. Its
// error holds what it wrote to stderr.
func runProgram(ctx context.Context, program string, stdin io.Reader, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = stdin, &stderr
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=bench", "GIT_AUTHOR_EMAIL=bench@localhost", "GIT_COMMITTER_NAME=bench", "GIT_COMMITTER_EMAIL=bench@localhost")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %q: %w\n%s", filepath.Base(program), args, err, stderr.Bytes())
	}
	return nil
}

// importCommits lets git fast-import read what write writes.
func (g *repository) importCommits(ctx context.Context, write func(w io.Writer)) error {
	var stream bytes.Buffer
	w := bufio.NewWriter(&stream)
	write(w)
	if err := w.Flush(); err != nil {
		return err
	}
	return g.run(ctx, &stream, "fast-import", "--quiet")
}

// writeCommit writes a commit of one version of some settings on a branch, behind the commit from if that is not "".
func writeCommit(w io.Writer, branch, from string, settings []int, version int) {
	const message = "change settings"
	fmt.Fprintf(w, "commit refs/heads/%s\ncommitter bench <bench@localhost> %d +0000\ndata %d\n%s\n",
		branch, 1_700_000_000+version, len(message), message)
	if from != "" {
		fmt.Fprintf(w, "from %s\n", from)
	}
	for _, i := range settings {
		value := setting(i, version)
		fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", settingKey(i), len(value), value)
	}
}

// branch implements brancher. Afterwards main is checked out and the index is fresh.
func (g *repository) branch(ctx context.Context, name string, n, version int) error {
	const tip = "refs/heads/main^0"
	err := g.importCommits(ctx, func(w io.Writer) {
		writeCommit(w, name, tip, changedSettings(g.keys, n, version, 0), version)
		writeCommit(w, "main", tip, changedSettings(g.keys, n, version, 1), version)
	})
	if err != nil {
		return err
	}
	return g.run(ctx, nil, "reset", "-q", "--hard", "main")
}

// doings are what git does, from its start to its end. merge-tree makes the tree of the merge, without a commit and
// without the files of the work tree; --name-only reads no file.
func (g *repository) doings() [3][]doing {
	do := func(name string, args ...string) doing {
		return doing{name, g, func(ctx context.Context, branch string) error { return g.run(ctx, nil, insert(args, branch)...) }}
	}
	tree := do("git merge-tree", "merge-tree", "--write-tree", "main", "")
	return [3][]doing{
		{tree},
		{
			do("git diff", "diff", "main", ""),
			do("git diff --stat", "diff", "--stat", "main", ""),
			do("git diff --name-only", "diff", "--name-only", "main", ""),
		},
		{
			do("git merge", "merge", "--no-ff", "-m", "merge", ""),
			do("git merge, all synced", "-c", "core.fsync=all", "merge", "--no-ff", "-m", "merge", ""),
			tree,
		},
	}
}
