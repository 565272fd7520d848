package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// The environment that changes TestImportRandom: the seed of the first history,
// which a failed run has printed, and how many there are.
const (
	importSeedEnv  = "CRUSH_IMPORT_SEED"
	importCountEnv = "CRUSH_IMPORT_COUNT"
)

// randomHistory grows a repository with commits, branches and merges that no
// person would make.
type randomHistory struct {
	*repository

	chance   *rand.Rand
	stream   strings.Builder
	commits  []map[string]string // the trees, by mark-1
	branches map[string]int      // marks
	names    int                 // of branches, so far
}

func newRandomHistory(t *testing.T, seed uint64) *randomHistory {
	return &randomHistory{repository: newRepository(t), chance: rand.New(rand.NewPCG(seed, 0)), branches: map[string]int{}}
}

func (h *randomHistory) oneIn(n int) bool { return h.chance.IntN(n) == 0 }

// pick returns one of some, which it sorts.
func (h *randomHistory) pick(from []string) string {
	slices.Sort(from)
	return from[h.chance.IntN(len(from))]
}

// grow adds some commits, and gives them to Git.
func (h *randomHistory) grow(commits int) {
	h.t.Helper()
	for range commits {
		switch {
		case len(h.commits) == 0:
			h.commit("main", map[string]string{})
		case h.oneIn(5):
			h.branch()
		case h.oneIn(3) && len(h.branches) > 1:
			h.merge()
		default:
			name := h.pick(slices.Collect(maps.Keys(h.branches)))
			h.commit(name, h.commits[h.branches[name]-1], h.branches[name])
		}
	}
	h.gitReading(h.stream.String(), "fast-import", "--quiet", "--force", "--import-marks-if-exists="+h.dir+"/marks", "--export-marks="+h.dir+"/marks")
	h.stream.Reset()
	for _, name := range slices.Sorted(maps.Keys(h.branches)) {
		if name != "main" && h.oneIn(4) {
			h.git("update-ref", "-d", "refs/heads/"+name)
			delete(h.branches, name)
		}
	}
}

// branch begins a branch at some commit, or with none before it, or moves one
// forward to another.
func (h *randomHistory) branch() {
	h.names++
	name := fmt.Sprintf("b%d", h.names)
	if h.oneIn(6) {
		h.commit(name, map[string]string{})
		return
	}
	from := h.chance.IntN(len(h.commits)) + 1
	if h.oneIn(3) {
		h.branches[name] = from
		fmt.Fprintf(&h.stream, "reset refs/heads/%s\nfrom :%d\n\n", name, from)
		return
	}
	h.commit(name, h.commits[from-1], from)
}

// merge merges other commits into a branch. What becomes of each path is
// anyone's, or nobody's.
func (h *randomHistory) merge() {
	into := h.pick(slices.Collect(maps.Keys(h.branches)))
	parents := []int{h.branches[into]}
	for range 1 + h.chance.IntN(5)/4 {
		other := h.branches[h.pick(slices.Collect(maps.Keys(h.branches)))]
		if h.oneIn(4) {
			other = h.chance.IntN(len(h.commits)) + 1
		}
		if !slices.Contains(parents, other) {
			parents = append(parents, other)
		}
	}
	tree := maps.Clone(h.commits[parents[0]-1])
	for _, p := range parents[1:] {
		for _, path := range paths {
			if value, ok := h.commits[p-1][path]; h.oneIn(2) && ok {
				put(tree, path, value)
			} else if h.oneIn(4) && !ok {
				delete(tree, path)
			}
		}
	}
	if h.oneIn(3) {
		h.commit(into, tree, parents...)
		return
	}
	h.write(into, tree, parents)
}

// paths are those of every tree: some are directories of others.
var paths = []string{"a", "b", "c", "d", "d/e", "d/e/f", "g/h", "g/i"}

// put sets a path in a tree, where no file is above or below another.
func put(tree map[string]string, path, value string) {
	maps.DeleteFunc(tree, func(other, _ string) bool {
		return strings.HasPrefix(other, path+"/") || strings.HasPrefix(path, other+"/")
	})
	tree[path] = value
}

// commit changes a tree here and there, or, seldom, not.
func (h *randomHistory) commit(branch string, tree map[string]string, parents ...int) {
	next := maps.Clone(tree)
	for range h.chance.IntN(4) {
		path := paths[h.chance.IntN(len(paths))]
		if h.oneIn(4) {
			delete(next, path)
		} else {
			put(next, path, fmt.Sprintln("value", h.chance.IntN(5)))
		}
	}
	h.write(branch, next, parents)
}

// write adds a commit to the stream.
func (h *randomHistory) write(branch string, tree map[string]string, parents []int) {
	h.commits = append(h.commits, tree)
	mark := len(h.commits)
	message := fmt.Sprintf("c%d", mark)
	if len(parents) == 0 {
		fmt.Fprintf(&h.stream, "reset refs/heads/%s\n", branch)
	}
	fmt.Fprintf(&h.stream, "commit refs/heads/%s\nmark :%d\ncommitter Bob <bob@example.org> %d +0000\ndata %d\n%s\n",
		branch, mark, 1_700_000_000+mark, len(message), message)
	for i, p := range parents {
		fmt.Fprintf(&h.stream, "%s :%d\n", []string{"from", "merge"}[min(i, 1)], p)
	}
	h.stream.WriteString("deleteall\n")
	for _, path := range slices.Sorted(maps.Keys(tree)) {
		fmt.Fprintf(&h.stream, "M 100644 inline %s\ndata %d\n%s\n", path, len(tree[path]), tree[path])
	}
	h.stream.WriteByte('\n')
	h.branches[branch] = mark
}

// TestImportRandom imports random histories while they grow, each time at first
// up to where the stream breaks off, and compares every branch with Git: its
// files byte for byte, and which commits touched each.
func TestImportRandom(t *testing.T) {
	t.Parallel()
	seed, count := rand.Uint64N(1<<32), 12
	if testing.Short() {
		count = 3
	}
	if v := os.Getenv(importSeedEnv); v != "" {
		seed = parseUint(t, v)
	}
	if v := os.Getenv(importCountEnv); v != "" {
		count = int(parseUint(t, v))
	}
	for i := range uint64(count) {
		t.Run(fmt.Sprintf("%s=%d", importSeedEnv, seed+i), func(t *testing.T) {
			t.Parallel()
			importRandom(t, newRandomHistory(t, seed+i))
		})
	}
}

func importRandom(t *testing.T, h *randomHistory) {
	n := newNode(t, t.TempDir())
	n.start()
	for range 1 + h.chance.IntN(3) {
		h.grow(5 + h.chance.IntN(20))
		stream := h.export([][]string{nil, {"-M"}, {"--full-tree"}, {"-C"}}[h.chance.IntN(4)]...)
		for range h.chance.IntN(3) {
			cut := stream[:h.chance.IntN(len(stream))]
			_, errs, code := n.crushReading(strings.NewReader(cut), "import", "--git-stream", "-", "--ref", "main")
			if code > 1 || code == 1 && !strings.Contains(errs, "line ") && !strings.Contains(errs, "no ref") && !strings.Contains(errs, "no commits") {
				t.Fatalf("a part of the stream: exit code %d, %s", code, errs)
			}
		}
		if h.oneIn(2) {
			n.killImporting(stream)
		}
		n.importing(stream)
		h.compare(n)
		blocks := n.blocks()
		if said := n.importing(stream); n.blocks() != blocks {
			t.Errorf("importing again wrote %d blocks: %s", n.blocks()-blocks, said)
		}
	}
	n.verify()
}

// killImporting kills the daemon with SIGKILL when an import has begun to write,
// and starts it again.
func (n *node) killImporting(stream string) {
	n.t.Helper()
	before := n.blocks()
	over := make(chan string, 1)
	go func() {
		_, errs, _ := n.crushReading(strings.NewReader(stream), "import", "--git-stream", "-")
		over <- errs
	}()
	for ended := false; !ended && n.blocks() == before; {
		select {
		case <-over:
			ended = true
			over <- ""
		default:
		}
	}
	n.kill()
	<-over
	n.start()
}

// compare compares every branch. A revision stands for each commit without a
// merge that touched the path, and for merges between those that git rev-list
// lists and those that it lists with its full history.
func (h *randomHistory) compare(n *node) {
	h.t.Helper()
	for name := range h.branches {
		fork := name
		if name == "main" {
			fork = "default"
		}
		if got, want := n.served(fork), h.tree("refs/heads/"+name); !maps.Equal(got, want) {
			h.t.Errorf("%s: the fork serves %q, Git has %q", name, got, want)
		}
		for _, path := range h.repository.paths(name) {
			got := n.history(fork, path)
			least := append(h.touching(name, path), h.touching(name, path, "--full-history", "--no-merges")...)
			most := h.touching(name, path, "--full-history")
			for _, subject := range least {
				if !slices.Contains(got, subject) {
					h.t.Errorf("%s: the log of %s misses %s, it has %q", name, path, subject, got)
				}
			}
			for i, subject := range got {
				if !slices.Contains(most, subject) || slices.Contains(got[:i], subject) {
					h.t.Errorf("%s: the log of %s has %s, Git only %q", name, path, subject, most)
				}
			}
		}
	}
}
