package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// trickyRows are the rows of the table of tricky cases of the model, by title.
var trickyRows = []string{
	"key deleted here, field edited there",
	"bytes key deleted here, rewritten there",
	"deleted and re-created here, edited there",
	"one side changed one field, the other another field",
	"both sides made the same change",
	"fork of fork merged to root, then the middle one",
	"merge back twice, source moved in between",
	"merge, revert in the destination, merge again",
	"side A set 2 and rolled back to 1, side B set 3",
	"merge with `--skip K`, then merge something else, then merge without",
	"fork renamed while others write to it; renamed twice at once",
	"fork deleted while another node writes to it",
	"same fork name created on two nodes",
	"A into B on one node, B into A on another",
	"key deleted in the fork, untouched in the root, merged",
	"`\"\"` against delete; `\"\"` against null; null",
	"object replaced by string against edit inside / elsewhere",
	"`{b:1}` becomes `{}`",
	"keyed list: edit one element, remove another / the same",
	"list schema declared, then one element edited, then a concurrent edit elsewhere",
	"atomic list changed on both sides",
	"counter +2 in the fork, +3 in the root, merged criss-cross",
	"incr 5, delete, incr 1",
	"two concurrent `set` of a counter, adds unseen by one of them",
	"set: add and remove of one element at once",
	"resolved differently on two nodes at once",
	"resolved equally on two nodes at once",
	"a late offline write on the losing side",
	"a machine cloned, both clones `incr` the same key",
	"CI re-applies its file (`apply --as ci`) after someone changed another field",
	"key deleted and re-created by one writer",
	"object, then string, then object on one side, an old field edited on the other",
	"X writes, Y deletes having seen it, Z writes at once, unseen",
	"counter 100; delete and `incr 1` at once",
	"a fork deleted while another node merges into it",
	"three forks merged in any order with `keep`",
	"plan applied after a key in it moved / after unrelated writes",
	"`merge --on-conflict keep` of staging into default, where default's value was written there",
	"merge into an ancestor, of an empty fork / into itself",
	"200 heads of one key, then one put",
}

// notTyped are the rows that no command of one machine can show, with the test
// that does.
var notTyped = map[string]string{
	"a machine cloned, both clones `incr` the same key": "daemon.TestTrickyClone",
}

// TestTrickyRows: every row of the table is tried at the library and at the
// command line, under its title.
func TestTrickyRows(t *testing.T) {
	library := linesOf(t, "../../daemon/tricky*_test.go")
	scripts := linesOf(t, "testdata/script/tricky_*.txtar", "testdata/script/story_*.txtar")
	for _, title := range trickyRows {
		// A row of two cases can be two tests.
		named, _, _ := strings.Cut(title, " / ")
		tried := slices.ContainsFunc(library, func(line string) bool {
			return strings.Contains(line, strconv.Quote(title)) || strings.Contains(line, strconv.Quote(named)) ||
				strings.Contains(line, "the row \""+title+"\"")
		})
		typed := slices.ContainsFunc(scripts, func(line string) bool {
			rest, ok := strings.CutPrefix(line, "# "+title)
			return ok && (rest == "" || rest[0] == ':')
		})
		if !tried {
			t.Errorf("%q has no test in package daemon", title)
		}
		if typed == (notTyped[title] != "") {
			t.Errorf("%q has a script: %v, and is marked as shown by %q", title, typed, notTyped[title])
		}
	}
}

// linesOf reads the lines of files.
func linesOf(t *testing.T, patterns ...string) (lines []string) {
	t.Helper()
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v %v", pattern, files, err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, strings.Split(string(text), "\n")...)
		}
	}
	return lines
}
