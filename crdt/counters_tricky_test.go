package crdt_test

import (
	"errors"
	"maps"
	"math"
	"strings"
	"testing"

	"crush/crdt"
)

// TestTrickyCounters are the rows of the model's table that are about counters,
// under its words, and some that the words leave open.
func TestTrickyCounters(t *testing.T) {
	for _, row := range []struct {
		name string
		run  func(t *testing.T, here, there *node)
	}{
		{"counter +2 in the fork, +3 in the root, merged criss-cross", testCrissCross},
		{"incr 5, delete, incr 1", func(t *testing.T, here, _ *node) {
			here.incr(root, 5)
			here.del(root)
			shows(t, root, "DEL", here)
			here.incr(root, 1)
			shows(t, root, "1", here)
		}},
		{"two concurrent `set` of a counter, adds unseen by one of them", func(t *testing.T, here, there *node) {
			here.count(root, 1)
			there.learn(here)
			here.incr(root, 3)
			here.count(root, 10)
			there.incr(root, 5)
			there.count(root, 20)
			meet(here, there)
			shows(t, root, "23; value at /: 23 > 15", here, there)
			here.incr(root, 1)
			meet(here, there)
			shows(t, root, "24; value at /: 24 > 16", here, there)
			here.settle(root, "/", "16")
			shows(t, root, "16", here)
		}},
		{"two equal `set` of a counter, an add unseen by one of them", func(t *testing.T, here, there *node) {
			here.count(root, 1)
			there.learn(here)
			here.incr(root, 3)
			here.count(root, 5)
			there.count(root, 5)
			meet(here, there)
			shows(t, root, "8; value at /: 8 > 5", here, there)
		}},
		{"a machine cloned, both clones `incr` the same key", func(t *testing.T, here, there *node) {
			here.incr(root, 1)
			there.learn(here)
			there.chain, there.order = here.chain, here.order // a clone
			here.incr(root, 1)
			there.incr(root, 1)
			meet(here, there)
			shows(t, root, "3", here, there)
		}},
		{"counter 100; delete and `incr 1` at once", func(t *testing.T, here, there *node) {
			here.count(root, 100)
			there.learn(here)
			here.del(root)
			there.incr(root, 1)
			meet(here, there)
			shows(t, root, "1", here, there)
		}},
		{"delete, and set at once, and an add unseen by both", func(t *testing.T, here, there *node) {
			here.count(root, 100)
			there.learn(here)
			third := here.node("third")
			third.learn(here)
			here.del(root)
			there.count(root, 7)
			third.incr(root, 2)
			meet(here, there)
			shows(t, root, "9; delete/edit at /: 9 > 2", here, there)
		}},
		{"an add that one of two deletions has seen", func(t *testing.T, here, there *node) {
			here.count(root, 100)
			there.learn(here)
			here.incr(root, 2)
			here.del(root)
			there.del(root)
			meet(here, there)
			shows(t, root, "DEL", here, there)
		}},
		{"an add beside bytes", func(t *testing.T, here, there *node) {
			here.count(root, 7)
			there.learn(here)
			here.put(root, "raw")
			there.incr(root, 1)
			meet(here, there)
			shows(t, root, "8; type at /: 8 > raw", here, there)
		}},
		{"sums beyond 64 bits", func(t *testing.T, here, there *node) {
			here.count(root, math.MaxInt64)
			here.incr(root, math.MaxInt64)
			shows(t, root, "18446744073709551614", here)
			there.learn(here)
			here.incr(root, 1)
			there.incr(root, math.MinInt64)
			meet(here, there)
			shows(t, root, "9223372036854775807", here, there)
		}},
		{"set beyond 64 bits", func(t *testing.T, here, there *node) {
			here.count(root, 1)
			there.learn(here)
			for _, to := range []string{"18446744073709551614", "-9223372036854775809", strings.Repeat("9", 64)} {
				d, err := here.context(root).Put(crdt.Counter, []byte(to), nil)
				if err != nil {
					t.Fatal(err)
				}
				here.draft(root, d, 0, here.heads(root))
				shows(t, root, to, here)
			}
			var syntax *crdt.SyntaxError
			if d, err := here.context(root).Add(1); !errors.As(err, &syntax) {
				t.Errorf("an addition past 64 digits: %+v, %v", d, err)
			}
			if d, err := here.context(root).Put(crdt.Counter, []byte(strings.Repeat("9", 65)), nil); !errors.As(err, &syntax) {
				t.Errorf("65 digits: %+v, %v", d, err)
			}
			there.incr(root, 1)
			meet(here, there)
			shows(t, root, "1"+strings.Repeat("0", 64), here, there) // the sum has as many as it takes
		}},
		{"an add to what is no counter", func(t *testing.T, here, _ *node) {
			here.put(root, "5")
			var kind *crdt.KindError
			if d, err := here.context(root).Add(1); !errors.As(err, &kind) || kind.Have != crdt.Bytes {
				t.Errorf("%+v, %v", d, err)
			}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			row.run(t, w.node("here"), w.node("there"))
		})
	}
}

func testCrissCross(t *testing.T, here, there *node) {
	here.count(root, 10)
	here.create(staging, root)
	here.incr(staging, 2)
	here.incr(root, 3)
	there.learn(here)
	here.merge(staging, root)
	there.merge(root, staging)
	shows(t, root, "15", here)
	shows(t, staging, "15", there)
	meet(here, there)
	here.merge(staging, root)
	there.merge(root, staging)
	meet(here, there)
	shows(t, root, "15", here, there)
	shows(t, staging, "15", here, there)
}

// TestTrickySets are the rows that are about sets, and some that the model's
// words leave open.
func TestTrickySets(t *testing.T) {
	for _, row := range []struct {
		name string
		run  func(here, there *node)
		want string
	}{
		{"set: add and remove of one element at once", func(here, there *node) {
			here.remove(root, "a")
			here.add(root, "a")
			there.remove(root, "a")
		}, `["a","b"]`},
		{"remove covers the adds that it has seen", func(here, there *node) {
			there.learn(here)
			there.remove(root, "a")
		}, `["b"]`},
		{"both remove, and nothing is left", func(here, there *node) {
			here.remove(root, "a")
			there.remove(root, "b")
		}, `[]`},
		{"key deleted here, an element added there", func(here, there *node) {
			here.del(root)
			there.add(root, "c")
		}, `["a","b","c"]; delete/edit at /: ["a","b","c"] > DEL`},
		{"key deleted here, an element removed there", func(here, there *node) {
			here.del(root)
			there.remove(root, "a")
		}, `DEL`},
		{"a set here, a document there", func(here, there *node) {
			there.json(root, `["a"]`)
			here.add(root, "c")
		}, `["a","b","c"]; type at /: ["a","b","c"] > ["a"]`},
		{"deleted and made again here, an element added there", func(here, there *node) {
			here.del(root)
			here.add(root, "x")
			there.add(root, "c")
		}, `["a","b","c"]; delete/edit at /: ["a","b","c"] > ["x"]`},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			here, there := w.node("here"), w.node("there")
			here.add(root, "b", "a")
			there.learn(here)
			row.run(here, there)
			meet(here, there)
			shows(t, root, row.want, here, there)
		})
	}
}

// TestPutOverAnotherKind: what was there does not stay live beside it.
func TestPutOverAnotherKind(t *testing.T) {
	values := map[crdt.Kind]string{
		crdt.Bytes: "raw", crdt.Text: "raw", crdt.JSON: `{"a":1}`, crdt.YAML: "a: 2\n", crdt.Counter: "7", crdt.Set: `["b", "a", "b"]`,
	}
	reads := maps.Clone(values)
	reads[crdt.Set] = `["a","b"]`
	for from := range values {
		for to := range values {
			n := newWorld(t).node("n")
			for _, kind := range []crdt.Kind{from, to} {
				d, err := n.context(root).Put(kind, []byte(values[kind]), nil)
				n.do(root, d, err)
				shows(t, root, reads[kind], n)
			}
			if v := n.view(root); v.Kind != to {
				t.Errorf("%s over %s: %s", to, from, v.Kind)
			}
		}
	}
	if _, err := newWorld(t).node("n").context(root).Put(crdt.Set, []byte(`[1]`), nil); err == nil {
		t.Error("a set of numbers")
	}
}
