package scripts_test

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// arrows is the import graph of the house. For each group of packages: what its non-test files may import, and
// why. The standard library is open to all. A key of the inner map is a group, or an outside import path that
// stands for itself and for everything below it.
//
// A group is a directory of the module with everything below it: dag/dagtest belongs to dag.
// To draw a new arrow, add a line here, with the reason that will still convince in a year.
var arrows = map[string]map[string]string{
	"crdt": {
		"github.com/goccy/go-yaml": "YAML documents are values; this library keeps comments and layout",
	},
	"dag": {
		"github.com/ipfs/go-ds-leveldb":        "the store that production opens",
		"github.com/syndtr/goleveldb":          "go-ds-leveldb's exported DB: iterators, snapshots and batches over binary keys",
		"github.com/ipfs/go-cid":               "revisions and blocks are named by CIDs",
		"github.com/multiformats/go-multihash": "the hash inside a CID",
		"github.com/fxamacker/cbor/v2":         "blocks and revisions are canonical CBOR",
		"github.com/klauspost/compress/zstd":   "payloads are kept compressed against their parent",
	},
	"p2p": {
		"dag":                                  "what is synchronised: blocks, chains, frontiers",
		"github.com/libp2p/go-libp2p":          "the network",
		"github.com/libp2p/go-libp2p-pubsub":   "gossip of heads",
		"github.com/multiformats/go-multiaddr": "libp2p's addresses, which its own API hands out",
		"github.com/ipfs/go-datastore":         "what libp2p keeps between runs",
		"github.com/klauspost/compress/zstd":   "each direction of a sync stream is one zstd stream",
		"golang.org/x/sync/errgroup":           "Run returns after its last goroutine",
	},
	"rpc": {
		"crdt":                       "value types in requests and answers",
		"dag":                        "ids in requests and answers",
		"golang.org/x/sync/errgroup": "Run returns after its last goroutine",
	},
	"daemon": {
		"crdt": "the replica reads values by their merge rules",
		"dag":  "the replica keeps history",
		"p2p":  "the daemon runs the network",
		"rpc":  "the daemon runs the door for local programs",
		"github.com/prometheus/client_golang/prometheus": "what operators graph; libp2p brings it anyway",
		"github.com/prometheus/common/expfmt":            "Prometheus' text format, written as its own library writes it",
		"github.com/klauspost/compress/zstd":             "snapshots are compressed",
		"golang.org/x/sync/errgroup":                     "Run returns after its last goroutine",
	},
	"daemon/simulation": {
		"p2p":                          "nodes that sync over a network that fails",
		"crdt":                         "what a read returns, and the oracle that every answer is held against",
		"dag":                          "stores in memory under the replicas, and blocks in their wire form, delivered in any order",
		"daemon":                       "the replicas under test",
		"rpc":                          "requests as the command line makes them",
		"github.com/fxamacker/cbor/v2": "the mirror decodes bundles by itself, and a forger makes bad ones",
	},
	"gitstream": {},
	"cmd/crush": {
		"rpc":                                "every command is a client of the daemon",
		"daemon":                             "crush daemon",
		"gitstream":                          "crush import --git-stream",
		"github.com/klauspost/compress/zstd": "streams of Git are kept compressed",
		"github.com/spf13/cobra":             "the command line",
		"golang.org/x/sync/errgroup":         "the clients of crush bench",
	},
	"scripts/replay": {
		"crdt":      "the kinds of files, and the line merge",
		"dag":       "the longest value",
		"daemon":    "the replica that merges",
		"gitstream": "the history whose merges are done again",
		"rpc":       "requests as the command line makes them",
	},
}

func TestImports(t *testing.T) {
	for _, fault := range importFaults(product(t)) {
		t.Error(fault)
	}
}

// importFaults returns every import of a non-test file that arrows does not allow.
func importFaults(tr *tree) []string {
	var faults []string
	for _, f := range tr.files {
		if f.isTest() {
			continue
		}
		from := groupOf(f.dir())
		if from == "" {
			faults = append(faults, fmt.Sprintf(
				"%s: the package %s belongs to no group of the house: give it a row of arrows in scripts/imports_test.go",
				f.name, f.dir()))
			continue
		}
		for _, imported := range f.imports() {
			if fault := judge(tr.module, from, f, imported); fault != "" {
				faults = append(faults, fault)
			}
		}
	}
	slices.Sort(faults)
	return slices.Compact(faults)
}

// judge returns what is wrong with f, of the group from, importing the package imported, or "".
func judge(module, from string, f file, imported string) string {
	dir, own := strings.CutPrefix(imported, module+"/")
	if !own && imported != module {
		if isStandard(imported) || allowedOutside(from, imported) {
			return ""
		}
		return fmt.Sprintf(
			"%s: %s imports %s: no arrow in scripts/imports_test.go allows it; draw it at arrows[%q] with its reason",
			f.name, from, imported, from)
	}
	if isSupport(dir) && !isSupport(f.dir()) {
		return fmt.Sprintf("%s: %s imports %s, which exists only for tests", f.name, from, dir)
	}
	to := groupOf(dir)
	if to == from || arrows[from][to] != "" {
		return ""
	}
	return fmt.Sprintf(
		"%s: %s imports %s: no arrow in scripts/imports_test.go allows it; draw it at arrows[%q][%q] with its reason",
		f.name, from, dir, from, to)
}

// groupOf returns the group that the directory dir belongs to, or "".
func groupOf(dir string) string {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, ok := arrows[dir]; ok {
			return dir
		}
	}
	return ""
}

func allowedOutside(from, imported string) bool {
	for prefix, reason := range arrows[from] {
		if reason != "" && (imported == prefix || strings.HasPrefix(imported, prefix+"/")) {
			return true
		}
	}
	return false
}

// isStandard reports whether an import path from outside the module names a package of the standard library:
// the first element of any other has a dot.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}
