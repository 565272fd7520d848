package scripts_test

import (
	"strings"
	"testing"
	"testing/fstest"
)

// TestRulesBite breaks every rule once, in a tree of one file, and wants exactly that fault.
func TestRulesBite(t *testing.T) {
	const fine = "// Package p is.\npackage p\n"
	tests := map[string]struct {
		file, text string
		want       string // part of the only fault; "" for none
	}{
		"fine":                     {"dag/a.go", fine + "import \"fmt\"\nvar _ = fmt.Sprint\n", ""},
		"arrow":                    {"dag/a.go", fine + "import _ \"example.org/m/crdt\"\n", "dag imports crdt"},
		"arrow of a sub-package":   {"crdt/json/a.go", fine + "import _ \"example.org/m/dag\"\n", "crdt imports dag"},
		"arrow into the same":      {"crdt/json/a.go", fine + "import _ \"example.org/m/crdt\"\n", ""},
		"arrow into a sub-package": {"p2p/a.go", fine + "import _ \"example.org/m/dag/cbor\"\n", ""},
		"arrow in a test":          {"dag/a_test.go", fine + "import _ \"example.org/m/crdt\"\n", ""},
		"arrow with a build tag":   {"dag/a.go", "//go:build plan9\n\npackage p\nimport _ \"example.org/m/crdt\"\n", "dag imports crdt"},
		"outside":                  {"dag/a.go", fine + "import _ \"github.com/spf13/cobra\"\n", "dag imports github.com/spf13/cobra"},
		"outside, allowed":         {"dag/a.go", fine + "import _ \"github.com/syndtr/goleveldb/leveldb/opt\"\n", ""},
		"outside, like an allowed": {"dag/a.go", fine + "import _ \"github.com/syndtr/goleveldb2\"\n", "goleveldb2"},
		"no group":                 {"store/a.go", fine, "belongs to no group"},
		"test code in production":  {"p2p/a.go", fine + "import _ \"example.org/m/dag/dagtest\"\n", "exists only for tests"},
		"oracle in production":     {"daemon/a.go", fine + "import _ \"example.org/m/crdt/oracle\"\n", "exists only for tests"},
		"simulation in production": {"cmd/crush/a.go", fine + "import _ \"example.org/m/daemon/simulation\"\n", "exists only for tests"},
		"test code in test code":   {"p2p/p2ptest/a.go", fine + "import _ \"example.org/m/dag/dagtest\"\n", ""},

		"goroutine":             {"crdt/a.go", fine + "func f() { go f() }\n", "a go statement in crdt"},
		"goroutine by a group":  {"dag/a.go", fine + "import \"sync\"\nfunc f(g *sync.WaitGroup) { g.Go(nil) }\n", "a call of Go in dag"},
		"goroutine elsewhere":   {"p2p/a.go", fine + "func f() { go f() }\n", ""},
		"clock":                 {"dag/a.go", fine + "import \"time\"\nvar x = time.Now()\n", "time.Now in dag"},
		"clock, renamed import": {"dag/a.go", fine + "import t \"time\"\nvar x = t.Since(t.Time{})\n", "time.Since in dag"},
		"clock in a test":       {"dag/a_test.go", fine + "import \"time\"\nvar x = time.Now()\n", ""},
		"duration":              {"dag/a.go", fine + "import \"time\"\nconst x = time.Second\n", ""},
		"logger":                {"dag/a.go", fine + "import \"log/slog\"\nvar x *slog.Logger\n", "dag must not import log/slog"},
		"logger elsewhere":      {"p2p/a.go", fine + "import \"log/slog\"\nvar x *slog.Logger\n", ""},
		"context in crdt":       {"crdt/a.go", fine + "import \"context\"\nvar x context.Context\n", "crdt must not import context"},
		"context in dag":        {"dag/a.go", fine + "import \"context\"\nvar x context.Context\n", ""},
		"variable":              {"dag/a.go", fine + "var n int\nfunc f() { n++ }\n", "the package variable n changes"},
		"variable, by index":    {"dag/a.go", fine + "var n = map[int]int{}\nfunc f() { n[1] = 2 }\n", "the package variable n changes"},
		"variable, shadowed":    {"dag/a.go", fine + "var n int\nfunc f(n int) { n++ }\n", ""},

		"package name":  {"p2p/helpers/a.go", "// Package x is.\npackage x\n", "\"helpers\" says nothing"},
		"file name":     {"p2p/util.go", fine, "\"util\" says nothing"},
		"test's name":   {"p2p/common_test.go", fine, "\"common\" says nothing"},
		"long file":     {"p2p/a.go", fine + strings.Repeat("\n", 800), "the file has 802 lines"},
		"long test":     {"p2p/a_test.go", fine + strings.Repeat("\n", 800), ""},
		"long function": {"p2p/a.go", fine + "func f() {" + strings.Repeat("\n", 60) + "}\n", "f has 61 lines"},
		"limit":         {"p2p/a.go", fine + "func f() {" + strings.Repeat("\n", 59) + "}\n", ""},
		"long table":    {"p2p/a_test.go", fine + "func f() {\n_ = []int{" + strings.Repeat("\n", 60) + "}\n}\n", ""},
		"listed":        {"p2p/listed.go", fine + "func (l *list[T]) f() {" + strings.Repeat("\n", 60) + "}\n", ""},
		"listed, short": {"p2p/listed.go", fine + "func (l *list[T]) f() {}\n", "short again"},
		"sleep":         {"p2p/a_test.go", fine + "import \"time\"\nfunc f() { time.Sleep(1) }\n", "time.Sleep in a test"},
		"sleep, bubble": {"p2p/a_test.go", fine + "import (\n\"testing/synctest\"\n\"time\"\n)\nfunc f() { time.Sleep(1); synctest.Wait() }\n", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tr := read(t, fstest.MapFS{
				"go.mod":  {Data: []byte("module example.org/m\n")},
				test.file: {Data: []byte(test.text)},
			})
			faults := append(importFaults(tr), styleFaults(tr, map[string]string{"p2p/listed.go: list.f": "one flat switch"})...)
			switch {
			case test.want == "" && len(faults) > 0:
				t.Errorf("faults of a good tree: %q", faults)
			case test.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], test.want)):
				t.Errorf("got %q, want one fault with %q", faults, test.want)
			}
		})
	}
}
