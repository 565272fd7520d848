package dag_test

import (
	"errors"
	"testing"

	"crush/dag"
)

func headerOf(t *testing.T, b dag.Bundle) dag.Header {
	t.Helper()
	h, err := dag.ReadHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestJudge judges signatures of blocks that are not here yet.
func TestJudge(t *testing.T) {
	a := foundNode(t, "a")
	b := a.enlist(t, "b", dag.RoleWriter)
	b.pull(t, a)
	first, second := b.put(t, "k", "1"), b.put(t, "k", "2")
	forged := dag.Resigned(second.Bundle, keyOf("mallory"))
	for name, test := range map[string]struct {
		bundles []dag.Bundle
		want    dag.Verdict
	}{
		"nothing":                      {nil, dag.Good},
		"announces its chain":          {[]dag.Bundle{first.Bundle}, dag.Good},
		"chain not known":              {[]dag.Bundle{second.Bundle}, dag.Unsure},
		"announced before":             {[]dag.Bundle{first.Bundle, second.Bundle}, dag.Good},
		"not signed":                   {[]dag.Bundle{dag.Unsigned(first.Bundle), second.Bundle}, dag.Unsure},
		"signed by somebody":           {[]dag.Bundle{dag.Resigned(first.Bundle, keyOf("a"))}, dag.Bad},
		"one of two by somebody":       {[]dag.Bundle{first.Bundle, forged}, dag.Bad},
		"not signed, then by somebody": {[]dag.Bundle{dag.Unsigned(first.Bundle), forged}, dag.Bad},
	} {
		var headers []dag.Header
		for _, bundle := range test.bundles {
			headers = append(headers, headerOf(t, bundle))
		}
		for range 2 { // the second time from memory
			if got := a.Judge(headers); got != test.want {
				t.Errorf("%s: %d, want %d", name, got, test.want)
			}
		}
	}

	// What was judged is applied, and a forged copy of it is not.
	if _, err := a.Apply(t.Context(), []dag.Bundle{first.Bundle, forged}); !errors.Is(err, dag.ErrRefused) {
		t.Errorf("a forged signature was taken: %v", err)
	}
	if _, err := a.Apply(t.Context(), []dag.Bundle{first.Bundle, second.Bundle}); err != nil {
		t.Error(err)
	}
	third := b.put(t, "k", "3")
	if got := a.Judge([]dag.Header{headerOf(t, third.Bundle)}); got != dag.Good {
		t.Errorf("a chain that is known: %d", got)
	}
	a.check(t)
}
