package dag

import (
	"slices"
	"testing"
)

// TestReplayGroups: what Check holds at once is bounded in blocks and in bytes;
// a block that is larger stands alone.
func TestReplayGroups(t *testing.T) {
	for name, c := range map[string]struct {
		sizes []int
		want  []int
	}{
		"small": {slices.Repeat([]int{100}, 300), []int{128, 128, 44}},
		"large": {[]int{10, replayBytes + 1, replayBytes, 1, replayBytes - 1, 5}, []int{1, 1, 1, 2, 1}},
		"none":  {nil, nil},
	} {
		blocks := make([]stored, len(c.sizes))
		for i, size := range c.sizes {
			blocks[i].size = size
		}
		var got []int
		for len(blocks) > 0 {
			n := nextGroup(blocks)
			got, blocks = append(got, n), blocks[n:]
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: groups of %v blocks, want %v", name, got, c.want)
		}
	}
}
