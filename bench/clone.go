package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// clones says which history a new node, and a clone, gets.
type clones struct {
	stream, git   string
	commits, keys int
	crush         string
}

// cloning measures how long a new node takes to get a Git history that another one has imported, and git to clone the
// repository that it came from.
func cloning(ctx context.Context, args []string) error {
	var c clones
	r, err := begin("clone", args, func(flags *flag.FlagSet) {
		flags.StringVar(&c.stream, "stream", "", "the history: a git fast-export stream, plain, .gz or .zst (default: one is made)")
		flags.IntVar(&c.commits, "commits", 20_000, "commits of the history that is made, each of 3 files")
		flags.IntVar(&c.keys, "keys", 1000, "files of the history that is made")
		flags.StringVar(&c.git, "git", "git", "the git program")
	})
	if err != nil {
		return err
	}
	defer r.end()
	if c.crush, err = r.program(ctx); err != nil {
		return err
	}
	if c.stream == "" {
		c.stream = filepath.Join(r.tmp, "stream")
		if err := c.make(c.stream); err != nil {
			return err
		}
	}
	repo, old := filepath.Join(r.tmp, "repo.git"), filepath.Join(r.tmp, "old")
	if err := c.repository(ctx, repo); err != nil {
		return err
	}
	revisions, err := c.imported(ctx, old)
	if err != nil {
		return err
	}
	clone := func(name string, more ...string) contestant {
		return contestant{name, func(ctx context.Context, dir string) (float64, error) {
			from := time.Now()
			err := runProgram(ctx, c.git, nil, append(more, "clone", "-q", "--bare", "--no-local", repo, filepath.Join(dir, "clone.git"))...)
			return time.Since(from).Seconds(), err
		}}
	}
	t, err := r.race(ctx, []contestant{
		clone("git clone"), clone("git clone, all synced", "-c", "core.fsync=all"),
		{"crush join", func(ctx context.Context, dir string) (float64, error) {
			return c.join(ctx, old, filepath.Join(dir, "new"+filepath.Base(dir)), revisions) // a name that no round had before
		}},
	})
	if err != nil {
		return err
	}
	return r.show("s to get a Git history", fmt.Sprintf("%s, %d revisions", filepath.Base(c.stream), revisions), t, "s", "git clone, all synced")
}

// make writes a stream of commits that each change a line in three files.
func (c *clones) make(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	for i := range c.commits {
		writeCommit(w, "main", "", []int{i % c.keys, i * 7 % c.keys, i * 31 % c.keys}, i)
	}
	return errors.Join(w.Flush(), f.Close())
}

// repository makes a bare Git repository of the stream, packed.
func (c *clones) repository(ctx context.Context, dir string) error {
	from := time.Now()
	if err := runProgram(ctx, c.git, nil, "init", "-q", "--bare", "-b", "main", dir); err != nil {
		return err
	}
	f, err := os.Open(c.stream)
	if err != nil {
		return err
	}
	defer f.Close()
	var plain io.Reader = f
	switch {
	case strings.HasSuffix(c.stream, ".zst"):
		d, err := zstd.NewReader(f)
		if err != nil {
			return err
		}
		defer d.Close()
		plain = d
	case strings.HasSuffix(c.stream, ".gz"):
		if plain, err = gzip.NewReader(f); err != nil {
			return err
		}
	}
	if err := runProgram(ctx, c.git, plain, "-C", dir, "fast-import", "--quiet"); err != nil {
		return err
	}
	if err := runProgram(ctx, c.git, nil, "-C", dir, "gc", "-q"); err != nil {
		return err
	}
	progress(from, "made a Git repository of %s", filepath.Base(c.stream))
	return nil
}

// imported makes the first member of a cluster in old, which imports the stream, and returns how many revisions it
// has then.
func (c *clones) imported(ctx context.Context, old string) (int64, error) {
	a, err := startMember(ctx, c.crush, old)
	if err != nil {
		return 0, err
	}
	from := time.Now()
	out, err := exec.CommandContext(ctx, c.crush, "--socket", a.client.Socket, "import", "--git-stream", c.stream).CombinedOutput()
	if err != nil {
		return 0, errors.Join(fmt.Errorf("crush import: %w: %s", err, out), a.end())
	}
	progress(from, "imported %s", filepath.Base(c.stream))
	n, err := a.revisions(ctx)
	return n, errors.Join(err, a.end())
}

// join starts the old node and a new one, and returns how long the new one takes to have all of the old one's
// revisions on disk.
func (c *clones) join(ctx context.Context, old, fresh string, revisions int64) (seconds float64, err error) {
	a, err := startMember(ctx, c.crush, old)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, a.end()) }()
	b, err := startMember(ctx, c.crush, fresh)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.end()) }()
	if err := a.admit(ctx, b); err != nil {
		return 0, err
	}
	from := time.Now()
	if _, err := b.join(ctx, a); err != nil {
		return 0, err
	}
	took := time.Since(from)
	if n, err := b.revisions(ctx); err != nil || n < revisions {
		return 0, errors.Join(err, fmt.Errorf("the new node has %d of %d revisions", n, revisions))
	}
	return took.Seconds(), nil
}
