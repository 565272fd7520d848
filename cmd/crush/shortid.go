package main

import (
	"fmt"
	"strings"
)

const (
	// shortLen is how much of an id's distinctive part people are shown.
	shortLen = 8
	// safeLen is shown when the output is too long to compare all ids of it:
	// 80 bits do not meet by chance.
	safeLen = 16
	// sharedStart is what all CIDs here begin with.
	sharedStart = "bafyrei"
)

// distinct returns the part of a CID that tells it from others.
func distinct(id fmt.Stringer) string { return strings.TrimPrefix(id.String(), sharedStart) }

// shortener shortens the ids of one output, so that no two look alike.
type shortener struct {
	seen map[string]bool // full distinctive parts
	n    int             // characters that tell all of them apart; 0: not yet known
}

// add notes an id of the output. All must be added before the first is
// shortened.
func (s *shortener) add(ids ...fmt.Stringer) {
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	for _, id := range ids {
		s.seen[distinct(id)] = true
	}
	s.n = 0
}

// short returns the shortened id, "-" for none.
func (s *shortener) short(id interface {
	fmt.Stringer
	IsZero() bool
},
) string {
	if id.IsZero() {
		return "-"
	}
	if s.n == 0 {
		s.n = s.width()
	}
	d := distinct(id)
	return d[:min(s.n, len(d))]
}

// width is the smallest length from shortLen on at which all ids differ.
func (s *shortener) width() int {
	for n := shortLen; ; n++ {
		cut := make(map[string]bool, len(s.seen))
		longest := 0
		for id := range s.seen {
			cut[id[:min(n, len(id))]] = true
			longest = max(longest, len(id))
		}
		if len(cut) == len(s.seen) || n >= longest {
			return n
		}
	}
}
