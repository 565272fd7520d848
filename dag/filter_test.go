package dag_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"crush/dag"
)

// slowMatch is the rule of patterns, word for word.
func slowMatch(pattern, key string) bool {
	if rest, ok := strings.CutPrefix(pattern, "**"); ok {
		return slowMatch(rest, key) || key != "" && slowMatch(pattern, key[1:])
	}
	if rest, ok := strings.CutPrefix(pattern, "*"); ok {
		return slowMatch(rest, key) || key != "" && key[0] != '/' && slowMatch(pattern, key[1:])
	}
	if pattern == "" || key == "" {
		return pattern == key
	}
	return pattern[0] == key[0] && slowMatch(pattern[1:], key[1:])
}

// slowPass is the rule of filters, word for word.
func slowPass(f *dag.Filter, key string) bool {
	matches := func(patterns []string) bool {
		for _, p := range patterns {
			if slowMatch(p, key) {
				return true
			}
		}
		return false
	}
	if slices.Contains(f.SkipKeys, key) || matches(f.Skips) {
		return false
	}
	return len(f.Keys) == 0 && len(f.Scopes) == 0 || slices.Contains(f.Keys, key) || matches(f.Scopes)
}

func TestMatchKey(t *testing.T) {
	for _, test := range []struct {
		pattern, key string
		want         bool
	}{
		{"", "", true},
		{"", "a", false},
		{"a", "", false},
		{"a", "a", true},
		{"a", "A", false},
		{"a", "ab", false},
		{"b", "ab", false},
		{"*", "", true},
		{"*", "abc", true},
		{"*", "a/b", false},
		{"*", "/", false},
		{"**", "", true},
		{"**", "a/b//c", true},
		{"app/*", "app/", true},
		{"app/*", "app", false},
		{"app/*", "app/web", true},
		{"app/*", "app/web/port", false},
		{"app/**", "app/web/port", true},
		{"app/**", "app", false},
		{"app/**", "apple", false},
		{"*/port", "web/port", true},
		{"*/port", "app/web/port", false},
		{"**/port", "app/web/port", true},
		{"**/port", "port", false},
		{"a**b", "ab", true},
		{"a**b", "a/x/b", true},
		{"a*b*c", "aXbYc", true},
		{"a*b*c", "aXb/c", false},
		{"***", "a/b", true},
		{"*a*", "bab", true},
		{"a?c", "abc", false},
		{"a?c", "a?c", true},
		{"[a]", "a", false},
		{`\*`, `\x`, true},
		{"k*y", "k\xc3\xa9y", true},
		{"k\xc3*", "k\xc3\xa9", true},
		{"*", "\x00\xff", true},
	} {
		if got := dag.MatchKey(test.pattern, test.key); got != test.want {
			t.Errorf("%q, %q: %v", test.pattern, test.key, got)
		}
		if slowMatch(test.pattern, test.key) != test.want {
			t.Errorf("the table is wrong for %q, %q", test.pattern, test.key)
		}
	}
}

// TestMatchKeyRandom compares with the rule. DAG_SEED=n takes another start.
func TestMatchKeyRandom(t *testing.T) {
	seed := setting("DAG_SEED", 1)
	r := rand.New(rand.NewPCG(uint64(seed), 3))
	word := func(alphabet string, n int) string {
		var b strings.Builder
		for range r.IntN(n) {
			b.WriteByte(alphabet[r.IntN(len(alphabet))])
		}
		return b.String()
	}
	matched := 0
	for range 20_000 {
		pattern, key := word("ab/**", 8), word("ab/", 8)
		got := dag.MatchKey(pattern, key)
		if got != slowMatch(pattern, key) {
			t.Fatalf("DAG_SEED=%d: %q, %q: %v", seed, pattern, key, got)
		}
		if got {
			matched++
		}
	}
	if matched < 1000 {
		t.Errorf("only %d pairs matched", matched)
	}
}

// TestMatchKeyCost: patterns that make a backtracking matcher explode are
// answered at once. A matcher that is exponential in any of them does not come
// back before the test's end, so the bound need not be sharp.
func TestMatchKeyCost(t *testing.T) {
	key := strings.Repeat("a", 1024)
	start := time.Now()
	for _, pattern := range []string{
		strings.Repeat("**a", 300) + "b",
		strings.Repeat("*a", 500) + "b",
		strings.Repeat("*", 1023) + "b",
		strings.Repeat("**a*", 250) + "b",
	} {
		if dag.MatchKey(pattern, key) {
			t.Errorf("%.12s… matches", pattern)
		}
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestFilterIsZero(t *testing.T) {
	var none *dag.Filter
	for want, fs := range map[bool][]*dag.Filter{
		true:  {none, {}, {Keys: []string{}}},
		false: {{Keys: []string{"a"}}, {Scopes: []string{"a"}}, {SkipKeys: []string{"a"}}, {Skips: []string{"a"}}},
	} {
		for _, f := range fs {
			if f.IsZero() != want {
				t.Errorf("%+v: zero %v", f, !want)
			}
		}
	}
}
