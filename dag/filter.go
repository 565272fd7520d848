package dag

import (
	"slices"
	"strings"
)

// Pass reports whether a key is of the contribution; a nil filter passes all.
func (f *Filter) Pass(key string) bool {
	if f == nil {
		return true
	}
	match := func(pattern string) bool { return MatchKey(pattern, key) }
	in := len(f.Keys)+len(f.Scopes) == 0 || slices.Contains(f.Keys, key) || slices.ContainsFunc(f.Scopes, match)
	return in && !slices.Contains(f.SkipKeys, key) && !slices.ContainsFunc(f.Skips, match)
}

// IsZero reports whether the filter passes every key.
func (f *Filter) IsZero() bool {
	return f == nil || len(f.Keys)+len(f.Scopes)+len(f.SkipKeys)+len(f.Skips) == 0
}

// MatchKey reports whether a key matches a pattern: * stands for any bytes but
// a slash, ** for any bytes, everything else for itself. The rule is part of
// the formats: it decides what a recorded filter shows on every node. Its cost
// is bounded by the product of the lengths.
func MatchKey(pattern, key string) bool {
	// reach[i] says that the pattern so far can end before key[i:].
	reach := make([]bool, len(key)+1)
	reach[0] = true
	for len(pattern) > 0 {
		switch {
		case strings.HasPrefix(pattern, "**"):
			spread(reach, key, false)
			pattern = pattern[2:]
		case pattern[0] == '*':
			spread(reach, key, true)
			pattern = pattern[1:]
		default:
			for i := len(key); i > 0; i-- {
				reach[i] = reach[i-1] && key[i-1] == pattern[0]
			}
			reach[0] = false
			pattern = pattern[1:]
		}
	}
	return reach[len(key)]
}

// spread lets what is reached go on over any bytes, but over no slash if stop.
func spread(reach []bool, key string, stop bool) {
	for i := range len(key) {
		if reach[i] && !(stop && key[i] == '/') {
			reach[i+1] = true
		}
	}
}
