package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// gitCase is a repository with something that is hard.
type gitCase struct {
	name  string
	build func(r *repository)
	// options of git fast-export; each is tried on a node of its own.
	options [][]string
	// forks are what the refs but main become.
	forks map[string]string
	// untold are the paths whose history is not that of git rev-list: a merge
	// that keeps one side hides the other to Git, while here it is a revision
	// over both.
	untold []string
	// silent are the commits that change nothing that is kept.
	silent []string
	says   []string
}

var plainExport = [][]string{nil}

func gitCases() []gitCase {
	return slices.Concat(pathCases(), refCases(), mergeCases())
}

func pathCases() []gitCase {
	return []gitCase{
		{name: "quoted paths", options: plainExport, build: func(r *repository) {
			odd := []string{"a b", " lead", "tab\tbed", "new\nline", `quo"te`, `back\slash`, "ünïcode/中文", "\x01control", "trailing ", "*", "[x]", "-dash", "a  b"}
			for i, path := range odd {
				r.commit(fmt.Sprint("one ", i), path, path)
			}
			for i, path := range odd {
				if i%3 == 0 {
					r.git("--literal-pathspecs", "rm", "-q", "--", path)
					r.commit(fmt.Sprint("gone ", i))
				} else {
					r.commit(fmt.Sprint("two ", i), path, "2")
				}
			}
		}},
		{name: "renames and copies", options: [][]string{nil, {"-M"}, {"-M", "-C", "-C"}, {"--full-tree"}}, build: func(r *repository) {
			long := strings.Repeat("a line that stays\n", 40)
			r.commit("start", "a", long, "dir/one", long+"1", "dir/sub/two", long+"2", "x", long+"x", "y", strings.Repeat("other\n", 50))
			r.git("mv", "a", "b")
			r.commit("rename a file")
			r.git("mv", "dir", "moved dir")
			r.commit("rename a directory")
			r.commit("copy", "copied", long, "moved dir/three", long+"2")
			r.git("mv", "b", "c")
			r.commit("rename and change", "c", long+"changed")
			r.git("mv", "x", "z")
			r.git("mv", "y", "x")
			r.git("mv", "z", "y")
			r.commit("swap")
			r.git("mv", "moved dir/sub/two", "two")
			r.git("mv", "c", "moved dir/sub")
			r.commit("a file where the directory was")
		}},
		{name: "links", options: plainExport, build: func(r *repository) {
			r.commit("start", "file", "value")
			r.link("file", "link")
			r.commit("link")
			r.link("elsewhere/deep", "link")
			r.commit("another target")
			r.link("was a file", "file")
			r.commit("a file becomes a link")
			os.Remove(filepath.Join(r.dir, "link"))
			r.commit("a link becomes a file", "link", "file now")
		}},
		{name: "submodules", options: plainExport, says: []string{"of submodules, left out: 3 changes"}, silent: []string{"add it", "move it"}, build: func(r *repository) {
			r.commit("start", "file", "value", "was", "value")
			module := func(message, path string) {
				id := strings.TrimSpace(r.git("rev-parse", "HEAD"))
				r.git("update-index", "--add", "--cacheinfo", "160000,"+id+","+path)
				r.git("commit", "-q", "-m", message)
			}
			module("add it", "sub")
			module("move it", "sub")
			r.git("rm", "-q", "--cached", "was")
			os.Remove(filepath.Join(r.dir, "was"))
			module("a file becomes one", "was")
			r.git("rm", "-q", "--cached", "was")
			r.write("was", "a file again")
			r.git("add", "was")
			r.git("commit", "-q", "-m", "and back")
		}},
		{name: "files and directories", options: [][]string{nil, {"--full-tree"}, {"-M"}}, build: func(r *repository) {
			r.commit("file", "a", "1", "keep/x", "1")
			os.Remove(filepath.Join(r.dir, "a"))
			r.commit("directory", "a/b", "2", "a/c/d", "2")
			os.RemoveAll(filepath.Join(r.dir, "a/c"))
			r.commit("directory in it becomes a file", "a/c", "3")
			os.RemoveAll(filepath.Join(r.dir, "a"))
			r.commit("file again", "a", "4")
			os.RemoveAll(filepath.Join(r.dir, "keep"))
			r.commit("nothing below", "a", "5")
			os.Remove(filepath.Join(r.dir, "a"))
			r.commit("nothing at all")
			r.commit("from nothing", "a/deep/er", "6", "old", strings.Repeat("moves away\n", 20))
			r.git("mv", "old", "new")
			r.commit("a file moves, and a directory takes its name", "old/below", "7")
		}},
		{name: "modes and values", options: plainExport, silent: []string{"chmod", "nothing"}, build: func(r *repository) {
			r.commit("start", "run", "x", "empty", "", "bytes", "\x00\xff\xfe", "crlf", "a\r\nb\r\n", "no end", "x\ny")
			if err := os.Chmod(filepath.Join(r.dir, "run"), 0o700); err != nil {
				r.t.Fatal(err)
			}
			r.commit("chmod")
			r.commit("nothing")
			r.commit("emptied", "run", "")
			r.commit("data as a command", "run", "blob\nmark :1\ndata 3\nabc\ndone\n")
		}},
	}
}

func refCases() []gitCase {
	return []gitCase{
		{name: "tags", options: plainExport, says: []string{"the tag rel+1 becomes rel-1"}, build: func(r *repository) {
			r.commit("one", "a", "1")
			r.git("tag", "light")
			r.git("tag", "-a", "v1", "-m", "the first")
			r.commit("two", "a", "2", "b", "2")
			r.git("tag", "rel+1")
			r.git("tag", "-a", "nested", "v1", "-m", "a tag of a tag")
			r.git("checkout", "-q", "-b", "gone")
			r.commit("off", "a", "off")
			r.git("tag", "off")
			r.git("checkout", "-q", "main")
			r.git("branch", "-q", "-D", "gone")
			r.commit("three", "a", "3")
		}},
		{
			name: "several refs", options: plainExport, says: []string{"refs/heads/feature/#1 becomes the fork feature/-1", "refs/heads/default becomes the fork default-2"},
			forks: map[string]string{
				"behind": "behind", "same": "same", "ahead": "ahead", "feature/#1": "feature/-1", "default": "default-2", "alone": "alone",
				"refs/remotes/origin/theirs": "origin/theirs",
			},
			build: func(r *repository) {
				r.commit("one", "a", "1", "b", "1")
				r.git("branch", "behind")
				r.git("branch", "default")
				r.commit("two", "a", "2")
				r.git("checkout", "-q", "-b", "ahead")
				r.commit("ahead one", "a", "3")
				r.git("checkout", "-q", "-b", "feature/#1")
				r.commit("feature", "b", "2")
				r.git("update-ref", "refs/remotes/origin/theirs", "HEAD~1")
				r.git("checkout", "-q", "ahead")
				r.commit("ahead two", "a", "4")
				r.git("checkout", "-q", "main")
				r.commit("three", "c", "1")
				r.git("branch", "same")
				r.git("checkout", "-q", "--orphan", "alone")
				r.git("rm", "-q", "-r", "-f", ".")
				r.commit("alone", "z", "1")
				r.git("checkout", "-q", "main")
			},
		},
		{name: "notes", options: plainExport, build: func(r *repository) {
			r.commit("one", "a", "1")
			r.git("notes", "add", "-m", "a note")
			r.commit("two", "a", "2")
			r.git("notes", "add", "-m", "another")
		}},
		{name: "encodings", options: [][]string{{"--reencode=no"}, {"--reencode=yes"}}, silent: []string{"Gr\xfc\xdfe"}, build: func(r *repository) {
			r.commit("one", "a", "1")
			r.write("a", "2")
			r.git("add", "-A")
			r.git("-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-q", "-m", "Gr\xfc\xdfe")
			r.commit("long\n\nwith a body\nof lines", "a", "3")
		}},
		{name: "done at the end", options: [][]string{{"--use-done-feature"}, {"--show-original-ids", "--progress=1"}}, build: func(r *repository) {
			r.commit("one", "a", "1")
			r.commit("two", "a", "2")
		}},
	}
}

// TestImportGit imports repositories with each thing that is hard, and compares
// every ref with what Git has, byte for byte, and every history with what git
// rev-list lists. Importing again writes nothing.
func TestImportGit(t *testing.T) {
	t.Parallel()
	for _, c := range gitCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			c.build(r)
			for _, options := range c.options {
				n := newNode(t, t.TempDir())
				n.start()
				stream := r.export(options...)
				said := n.importing(stream)
				for _, want := range c.says {
					if !strings.Contains(said, want) {
						t.Errorf("%q is not in what import %q says:\n%s", want, options, said)
					}
				}
				c.compare(t, n, r)
				blocks := n.blocks()
				if n.importing(stream); n.blocks() != blocks {
					t.Errorf("importing again wrote %d blocks", n.blocks()-blocks)
				}
				n.verify()
				n.stop()
			}
		})
	}
}

func (n *node) blocks() uint64 {
	n.t.Helper()
	s, err := n.client.Status(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	return s.Blocks
}

func (c *gitCase) compare(t *testing.T, n *node, r *repository) {
	t.Helper()
	refs := map[string]string{"main": "default"}
	maps.Copy(refs, c.forks)
	for ref, fork := range refs {
		if got, want := n.served(fork), r.tree(ref); !maps.Equal(got, want) {
			t.Errorf("%s: the fork serves %.500q, Git has %.500q", ref, got, want)
		}
		for _, path := range r.paths(ref) {
			if !slices.Contains(c.untold, path) {
				c.compareHistory(t, n, r, ref, fork, path)
			}
		}
	}
	var live []string
	forks, err := n.client.Forks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range forks {
		if !f.Deleted && !slices.Contains(slices.Collect(maps.Values(refs)), f.Name) && c.name != "tags" {
			live = append(live, f.Name)
		}
	}
	if len(live) > 0 {
		t.Errorf("forks that nobody needs: %q", live)
	}
}

// compareHistory compares the commits that touched a path, whatever their
// order.
func (c *gitCase) compareHistory(t *testing.T, n *node, r *repository, ref, fork, path string) {
	t.Helper()
	want := slices.DeleteFunc(r.touching(ref, path), func(s string) bool { return slices.Contains(c.silent, s) })
	if len(want) == 0 {
		return
	}
	got := n.history(fork, path)
	if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("%s: the log of %q has %q, git rev-list %q", ref, path, got, want)
	}
}
