package crdt_test

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"crush/crdt"
)

// TestSharedLines: the lines are equal, both numbers ascend, and no more lines
// could be shared.
func TestSharedLines(t *testing.T) {
	texts := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a\n", "b\n", "c\n", "\n"}), 0, 8).Draw(t, "lines"), "")
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := texts.Draw(t, "a"), texts.Draw(t, "b")
		x, y := bytes.SplitAfter([]byte(a), []byte("\n")), bytes.SplitAfter([]byte(b), []byte("\n"))
		last := [2]int{-1, -1}
		shared := crdt.SharedLines([]byte(a), []byte(b))
		for _, p := range shared {
			if p[0] <= last[0] || p[1] <= last[1] || !bytes.Equal(x[p[0]], y[p[1]]) {
				t.Fatalf("%q and %q: %v", a, b, shared)
			}
			last = p
		}
		if want := longest(x[:len(x)-1], y[:len(y)-1]); len(shared) != want {
			t.Fatalf("%q and %q share %d lines, want %d", a, b, len(shared), want)
		}
	})
}

// longest is the length of the longest common subsequence, by definition.
func longest(x, y [][]byte) int {
	if len(x) == 0 || len(y) == 0 {
		return 0
	}
	if bytes.Equal(x[0], y[0]) {
		return 1 + longest(x[1:], y[1:])
	}
	return max(longest(x[1:], y), longest(x, y[1:]))
}
