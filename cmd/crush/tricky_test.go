package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Why a row of the table is not one that registers can show.
const (
	ofDocuments = "of documents"
	ofCounters  = "of counters"
	ofSets      = "of sets"
)

// trickyRows are the rows of the table of tricky cases of the model, by title;
// empty if registers (bytes, text) show them.
var trickyRows = map[string]string{
	"key deleted here, field edited there":                                                        ofDocuments,
	"bytes key deleted here, rewritten there":                                                     "",
	"deleted and re-created here, edited there":                                                   "",
	"one side changed one field, the other another field":                                         ofDocuments,
	"both sides made the same change":                                                             "",
	"fork of fork merged to root, then the middle one":                                            "",
	"merge back twice, source moved in between":                                                   "",
	"merge, revert in the destination, merge again":                                               "",
	"side A set 2 and rolled back to 1, side B set 3":                                             "",
	"merge with `--skip K`, then merge something else, then merge without":                        "",
	"fork renamed while others write to it; renamed twice at once":                                "",
	"fork deleted while another node writes to it":                                                "",
	"same fork name created on two nodes":                                                         "",
	"A into B on one node, B into A on another":                                                   "",
	"key deleted in the fork, untouched in the root, merged":                                      "",
	"`\"\"` against delete; `\"\"` against null; null":                                            "", // the first; null is of documents
	"object replaced by string against edit inside / elsewhere":                                   ofDocuments,
	"`{b:1}` becomes `{}`":                                                                        ofDocuments,
	"keyed list: edit one element, remove another / the same":                                     ofDocuments,
	"list schema declared, then one element edited, then a concurrent edit elsewhere":             ofDocuments,
	"atomic list changed on both sides":                                                           ofDocuments,
	"counter +2 in the fork, +3 in the root, merged criss-cross":                                  ofCounters,
	"incr 5, delete, incr 1":                                                                      ofCounters,
	"two concurrent `set` of a counter, adds unseen by one of them":                               ofCounters,
	"set: add and remove of one element at once":                                                  ofSets,
	"resolved differently on two nodes at once":                                                   "",
	"resolved equally on two nodes at once":                                                       "",
	"a late offline write on the losing side":                                                     "", // by key instead of field
	"a machine cloned, both clones `incr` the same key":                                           ofCounters,
	"CI re-applies its file (`apply --as ci`) after someone changed another field":                ofDocuments,
	"key deleted and re-created by one writer":                                                    "",
	"object, then string, then object on one side, an old field edited on the other":              ofDocuments,
	"X writes, Y deletes having seen it, Z writes at once, unseen":                                "",
	"counter 100; delete and `incr 1` at once":                                                    ofCounters,
	"a fork deleted while another node merges into it":                                            "",
	"three forks merged in any order with `keep`":                                                 "",
	"plan applied after a key in it moved / after unrelated writes":                               "",
	"`merge --on-conflict keep` of staging into default, where default's value was written there": "",
	"merge into an ancestor, of an empty fork / into itself":                                      "",
	"200 heads of one key, then one put":                                                          "",
}

// TestTrickyRows: every row of the table that registers can show is tried at
// the library and at the command line, under its title.
func TestTrickyRows(t *testing.T) {
	library, err := os.ReadFile("../../daemon/tricky_test.go")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("testdata/script/tricky_*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("the scripts: %v %v", scripts, err)
	}
	var lines []string
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Split(string(text), "\n")...)
	}
	for title, why := range trickyRows {
		test := strings.Contains(string(library), "\t"+strconv.Quote(title)+": func(")
		script := slices.ContainsFunc(lines, func(line string) bool {
			rest, ok := strings.CutPrefix(line, "# "+title)
			return ok && (rest == "" || rest[0] == ':')
		})
		switch {
		case why != "" && (test || script):
			t.Errorf("%q is tried, but marked as one %s", title, why)
		case why == "" && !test:
			t.Errorf("%q has no test in package daemon", title)
		case why == "" && !script:
			t.Errorf("%q has no script", title)
		}
	}
}
