package main

import (
	"maps"
	"slices"
	"testing"
)

// TestQuick: all -quick knows sizes of every command that all runs.
func TestQuick(t *testing.T) {
	want := slices.Sorted(slices.Values(measuring))
	if got := slices.Sorted(maps.Keys(quick)); !slices.Equal(got, want) {
		t.Errorf("there are sizes of %v, and the commands %v", got, want)
	}
	for _, name := range measuring {
		if commands[name] == nil {
			t.Errorf("all runs %q, which is no command", name)
		}
	}
}
