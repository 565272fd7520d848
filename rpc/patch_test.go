package rpc

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDiff(t *testing.T) {
	e := func(op Op, s string) Edit { return Edit{op, []byte(s)} }
	tests := map[string]struct {
		newer, older string
		want         Patch
	}{
		"both empty":      {"", "", Patch{}},
		"older empty":     {"a", "", Patch{e(OpDelete, "a")}},
		"newer empty":     {"", "a", Patch{e(OpInsert, "a")}},
		"equal":           {"same", "same", Patch{e(OpEqual, "same")}},
		"seed":            {"test one", "test two", Patch{e(OpEqual, "test "), e(OpInsert, "tw"), e(OpEqual, "o"), e(OpDelete, "ne")}},
		"ancestor's test": {"value 2", "value", Patch{e(OpEqual, "value"), e(OpDelete, " 2")}},
		"replacement":     {"a", "b", Patch{e(OpDelete, "a"), e(OpInsert, "b")}},
		"code points":     {"é", "è", Patch{e(OpDelete, "é"), e(OpInsert, "è")}},
		"bytes":           {"\xc3\xff", "\xc3\xfe", Patch{e(OpEqual, "\xc3"), e(OpDelete, "\xff"), e(OpInsert, "\xfe")}},
		"one is UTF-8":    {"é", "\xc3", Patch{e(OpEqual, "\xc3"), e(OpDelete, "\xa9")}},
		// The insertion moves left only when an edit stands before it.
		"shift":    {"zab", "aab", Patch{e(OpDelete, "z"), e(OpInsert, "a"), e(OpEqual, "ab")}},
		"no shift": {"ab", "aab", Patch{e(OpEqual, "a"), e(OpInsert, "a"), e(OpEqual, "b")}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := Diff([]byte(test.newer), []byte(test.older))
			if !equalPatch(got, test.want) {
				t.Errorf("got %s, want %s", describe(got), describe(test.want))
			}
		})
	}
}

func TestDiffFallsBack(t *testing.T) {
	for name, test := range map[string]struct{ newer, older string }{
		"by size":     {"prefix " + strings.Repeat("a", 1001), "prefix "},
		"by distance": {"prefix " + strings.Repeat("a", 501), "prefix " + strings.Repeat("b", 501)},
		"code points": {"é" + strings.Repeat("é", 501), "é" + strings.Repeat("è", 501)},
	} {
		t.Run(name, func(t *testing.T) {
			p := Diff([]byte(test.newer), []byte(test.older))
			var ops []Op
			for _, e := range p {
				ops = append(ops, e.Op)
			}
			if want := []Op{OpEqual, OpDelete, OpInsert}[:len(p)]; !slices.Equal(ops, want) {
				t.Errorf("got %v, want %v", ops, want)
			}
			if got, err := p.Apply([]byte(test.newer)); err != nil || string(got) != test.older {
				t.Errorf("apply: %q, %v", got, err)
			}
			if !utf8.Valid(p[0].Text) {
				t.Errorf("the prefix %q cuts a code point", p[0].Text)
			}
		})
	}
	newer, older := strings.Repeat("a", 500), strings.Repeat("b", 500)
	if p := Diff([]byte(newer), []byte(older)); len(p) != 2 || string(p[0].Text) != newer {
		t.Errorf("at a distance of 1,000: %s", describe(p))
	}
}

func TestPatchApplyRefuses(t *testing.T) {
	for name, p := range map[string]Patch{
		"does not fit": {{OpEqual, []byte("x")}},
		"too short":    {{OpEqual, []byte("val")}},
		"too long":     {{OpDelete, []byte("values")}},
		"unknown":      {{"move", nil}},
	} {
		if got, err := p.Apply([]byte("value")); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestPatchJSON(t *testing.T) {
	p := Diff([]byte("test one"), []byte("test two"))
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if want := `[["eq","dGVzdCA="],["ins","dHc="],["eq","bw=="],["del","bmU="]]`; string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
	var back Patch
	if err := json.Unmarshal(text, &back); err != nil || !equalPatch(back, p) {
		t.Errorf("got %s, %v", describe(back), err)
	}
	for _, bad := range []string{`{}`, `[["eq"]]`, `[["mv","YQ=="]]`, `[["eq","?"]]`, `[["eq","YQ==","YQ=="]]`, `[[1,2]]`} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

// TestDiffAgainstNaive compares with a second writing-down of the rules that
// shares no code: whole paths, one element a step, no prefix cut.
func TestDiffAgainstNaive(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	alphabet := []string{"a", "b", "c", "\r\n", "é", "e\u0301", "👩‍🚀", "\xff"}
	value := func() string {
		var b strings.Builder
		kinds := 1 + rnd.IntN(len(alphabet))
		for range rnd.IntN(14) {
			b.WriteString(alphabet[rnd.IntN(kinds)])
		}
		return b.String()
	}
	pairs := 20_000
	if testing.Short() {
		pairs = 2000
	}
	for range pairs {
		newer, older := value(), value()
		got, want := Diff([]byte(newer), []byte(older)), naiveDiff(newer, older)
		if !equalPatch(got, want) {
			t.Fatalf("seed %d: %q to %q: got %s, want %s", seed, newer, older, describe(got), describe(want))
		}
	}
}

// naiveStep is an element of a path; a path's newest step comes first.
type naiveStep struct {
	op      Op
	element string
}

type naivePath struct {
	x, y  int
	steps []naiveStep
}

func naiveDiff(newer, older string) Patch {
	split := func(s string) []string { return strings.Split(s, "") }
	if !utf8.ValidString(newer) || !utf8.ValidString(older) {
		split = func(s string) (out []string) {
			for i := range len(s) {
				out = append(out, s[i:i+1])
			}
			return out
		}
	}
	a, b := split(newer), split(older)
	paths := map[int]naivePath{1: {x: 0, y: -1}}
	for d := 0; ; d++ {
		for k := -d; k <= d; k += 2 {
			var p naivePath
			if k == -d || k != d && paths[k-1].x < paths[k+1].x {
				p = paths[k+1]
				if p.y++; p.y > 0 && p.y <= len(b) {
					p.steps = append([]naiveStep{{OpInsert, b[p.y-1]}}, p.steps...)
				}
			} else {
				p = paths[k-1]
				if p.x++; p.x <= len(a) {
					p.steps = append([]naiveStep{{OpDelete, a[p.x-1]}}, p.steps...)
				}
			}
			for p.x < len(a) && p.y < len(b) && a[p.x] == b[p.y] {
				p.steps = append([]naiveStep{{OpEqual, a[p.x]}}, p.steps...)
				p.x, p.y = p.x+1, p.y+1
			}
			if paths[k] = p; p.x >= len(a) && p.y >= len(b) {
				return naiveCompact(p.steps, nil)
			}
		}
	}
}

func naiveCompact(rest []naiveStep, done Patch) Patch {
	switch {
	case len(rest) == 0:
		return done
	case len(done) > 0 && done[0].Op == rest[0].op:
		done[0].Text = []byte(rest[0].element + string(done[0].Text))
		return naiveCompact(rest[1:], done)
	case len(done) > 2 && done[0].Op == OpEqual && done[1].Op == OpInsert && done[2].Op == OpEqual && bytes.Equal(done[0].Text, done[1].Text):
		moved := Patch{done[1], {OpEqual, []byte(string(done[0].Text) + string(done[2].Text))}}
		return naiveCompact(rest, append(moved, done[3:]...))
	}
	return naiveCompact(rest[1:], append(Patch{{rest[0].op, []byte(rest[0].element)}}, done...))
}

func FuzzPatch(f *testing.F) {
	f.Add([]byte("test one"), []byte("test two"))
	f.Add([]byte("é\xff"), []byte("è\xff"))
	f.Add([]byte(""), []byte("\x00"))
	f.Add(bytes.Repeat([]byte("a"), 1100), []byte("b"))
	f.Fuzz(func(t *testing.T, newer, older []byte) {
		p := Diff(newer, older)
		got, err := p.Apply(newer)
		if err != nil || !bytes.Equal(got, older) {
			t.Fatalf("got %q, %v, want %q", got, err, older)
		}
		for i, e := range p {
			if len(e.Text) == 0 || i > 0 && p[i-1].Op == e.Op {
				t.Fatalf("step %d of %s is not in normal form", i, describe(p))
			}
		}
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back Patch
		if err := json.Unmarshal(text, &back); err != nil || !equalPatch(p, back) {
			t.Fatalf("got %s, %v, want %s", describe(back), err, describe(p))
		}
	})
}

func FuzzPatchJSON(f *testing.F) {
	f.Add([]byte(`[["eq","dGVzdCA="],["ins","dHc="]]`), []byte("test "))
	f.Fuzz(func(t *testing.T, text, value []byte) {
		var p Patch
		if json.Unmarshal(text, &p) == nil {
			p.Apply(value)
		}
	})
}

func BenchmarkDiff(b *testing.B) {
	older := []byte(strings.Repeat("key: value # a line of a config\n", 320))
	newer := bytes.Replace(older, []byte("value"), []byte("changed"), 1)
	other := bytes.ReplaceAll(older, []byte("e"), []byte("é"))
	for name, pair := range map[string][2][]byte{"line": {newer, older}, "far": {other, older}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Diff(pair[0], pair[1])
			}
		})
	}
}

func equalPatch(a, b Patch) bool {
	return slices.EqualFunc(a, b, func(a, b Edit) bool { return a.Op == b.Op && bytes.Equal(a.Text, b.Text) })
}

func describe(p Patch) string {
	var b strings.Builder
	for _, e := range p {
		b.WriteString(" " + string(e.Op) + " " + strings.ReplaceAll(string(e.Text), " ", "_"))
	}
	return "[" + b.String() + " ]"
}
