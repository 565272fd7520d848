package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"crush/rpc"
)

// repository is a Git repository that a test makes.
type repository struct {
	t     *testing.T
	dir   string
	clock int // seconds; each command has one of its own
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not here")
	}
	r := &repository{t: t, dir: t.TempDir(), clock: 1_700_000_000}
	r.git("init", "-q", "-b", "main")
	return r
}

// git runs a command and returns what it prints.
func (r *repository) git(args ...string) string {
	r.t.Helper()
	return r.gitReading("", args...)
}

func (r *repository) gitReading(stdin string, args ...string) string {
	r.t.Helper()
	r.clock++
	date := fmt.Sprintf("%d +0130", r.clock)
	cmd := exec.CommandContext(r.t.Context(), "git", append([]string{"-C", r.dir}, args...)...)
	cmd.Env = append(
		os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.org",
		"GIT_COMMITTER_NAME=Bob", "GIT_COMMITTER_EMAIL=bob@example.org", "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date, "LC_ALL=C",
	)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("git %q: %v\n%s", args, err, errs.Bytes())
	}
	return out.String()
}

// write writes files: a path and a content each.
func (r *repository) write(files ...string) {
	r.t.Helper()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(r.dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
}

// commit makes a commit of the work tree, with files written before.
func (r *repository) commit(message string, files ...string) {
	r.t.Helper()
	r.write(files...)
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", message)
}

func (r *repository) link(target, name string) {
	r.t.Helper()
	os.Remove(filepath.Join(r.dir, name))
	if err := os.Symlink(target, filepath.Join(r.dir, name)); err != nil {
		r.t.Fatal(err)
	}
}

// lines splits what a command prints at a byte.
func lines(out, end string) []string {
	if out = strings.TrimSuffix(out, end); out == "" {
		return nil
	}
	return strings.Split(out, end)
}

// tree returns the files of a commit: submodules have none.
func (r *repository) tree(ref string) map[string]string {
	r.t.Helper()
	var paths, ids []string
	for _, line := range lines(r.git("ls-tree", "-r", "-z", "--full-tree", ref), "\x00") {
		about, path, _ := strings.Cut(line, "\t")
		fields := strings.Fields(about)
		if fields[1] == "blob" {
			paths, ids = append(paths, path), append(ids, fields[2])
		}
	}
	all := r.gitReading(strings.Join(ids, "\n")+"\n", "cat-file", "--batch")
	out := map[string]string{}
	for i, path := range paths {
		head, rest, _ := strings.Cut(all, "\n")
		var size int
		if _, err := fmt.Sscanf(head, ids[i]+" blob %d", &size); err != nil {
			r.t.Fatalf("%s: %q", path, head)
		}
		out[path], all = rest[:size], rest[size+1:]
	}
	return out
}

// touching returns the commits that rev-list gives for a path, by their
// subjects, which tests make unique.
func (r *repository) touching(ref, path string, options ...string) []string {
	r.t.Helper()
	args := append([]string{"--literal-pathspecs", "log", "--format=%s"}, options...)
	return lines(r.git(append(args, ref, "--", path)...), "\n")
}

// paths returns every path that a ref ever had and that was never a directory:
// to Git, a path also means what is below it.
func (r *repository) paths(ref string) (out []string) {
	r.t.Helper()
	all := map[string]bool{}
	for _, path := range lines(r.git("log", "--format=", "--name-only", "--no-renames", "-m", "-z", ref), "\x00") {
		all[strings.TrimPrefix(path, "\n")] = true
	}
	for path := range all {
		below := func(other string) bool { return strings.HasPrefix(other, path+"/") }
		if path != "" && !slices.ContainsFunc(slices.Collect(maps.Keys(all)), below) {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

// export returns the stream of everything.
func (r *repository) export(options ...string) string {
	r.t.Helper()
	return r.git(append([]string{"fast-export", "--all", "--tag-of-filtered-object=drop", "--signed-tags=strip"}, options...)...)
}

// served returns all that a fork serves.
func (n *node) served(fork string) map[string]string {
	n.t.Helper()
	out := map[string]string{}
	for e, err := range n.client.List(n.t.Context(), rpc.ListRequest{Fork: fork, Values: true}) {
		if err != nil {
			n.t.Fatalf("fork %s: %v", fork, err)
		}
		if e.Conflict {
			n.t.Errorf("fork %s: %s is in conflict", fork, e.Key)
		}
		out[e.Key] = string(e.Value)
	}
	return out
}

// history returns the subjects of the revisions of a key.
func (n *node) history(fork, key string) (out []string) {
	n.t.Helper()
	for e, err := range n.client.Log(n.t.Context(), rpc.LogRequest{KeyRef: rpc.KeyRef{Fork: fork, Key: key}}) {
		if err != nil {
			n.t.Fatalf("log of %s on %s: %v", key, fork, err)
		}
		subject, _, _ := strings.Cut(e.Message, "\n")
		out = append(out, subject)
	}
	return out
}

// importing runs the import of a stream, and returns its summary.
func (n *node) importing(stream string, args ...string) string {
	n.t.Helper()
	out, errs, code := n.crushReading(strings.NewReader(stream), append([]string{"import", "--git-stream", "-"}, args...)...)
	if code != 0 {
		n.t.Fatalf("import: exit code %d: %s", code, errs)
	}
	return out + errs
}
