package crdt_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"crush/crdt"
)

func TestMergeLines(t *testing.T) {
	for _, test := range []struct {
		name, base, ours, theirs, want string // want "" for a conflict
	}{
		{"other lines", "a b c", "A b c", "a b C", "A b C"},
		{"an addition each", "a b c", "x a b c", "a b c y", "x a b c y"},
		{"the same on both sides", "a b c", "a X c", "a X c", "a X c"},
		{"the same, and another", "a b c d e", "a X c d E", "a X c d e", "a X c d E"},
		{"removed, and another changed", "a b c", "b c", "a b C", "b C"},
		{"one line", "a b c", "a X c", "a Y c", ""},
		{"adjacent lines", "a b c d", "a X c d", "a b Y d", ""},
		{"added in front of a changed line", "a b c", "a x b c", "a B c", ""},
		{"both add at one place", "a b", "a x b", "a y b", ""},
		{"both add all", "", "x", "y", ""},
		{"removed and changed", "a b c", "a c", "a B c", ""},
		{"which of equal lines was removed", "k a a a l", "k a a l", "k a x a a l", ""},
		{"a line far from equal ones that lost one", "k a a a l m", "k a a l m", "k a a a l M", "k a a l M"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, conflict := crdt.MergeLines(lines(test.base), lines(test.ours), lines(test.theirs))
			if want := lines(test.want); !bytes.Equal(got, want) || (conflict == nil) != (test.want != "") {
				t.Errorf("got %q, %v; want %q", got, conflict, want)
			}
		})
	}
}

// lines makes a text of words.
func lines(words string) []byte {
	if words == "" {
		return nil
	}
	return []byte(strings.ReplaceAll(words, " ", "\n") + "\n")
}

// TestMergeLinesLastNewline: with a newline the last line is another one, and a
// line without one stays the last.
func TestMergeLinesLastNewline(t *testing.T) {
	for _, test := range []struct{ base, ours, theirs, want string }{
		{"a\nb\nc", "a\nb\nc\n", "A\nb\nc", "A\nb\nc\n"},
		{"a\nb\nc\n", "A\nb\nc\n", "a\nb\nc", "A\nb\nc"},
		{"a\nb\nc", "A\nb\nc", "a\nb\nc\nd", "A\nb\nc\nd"},
		{"a\nb\nc", "A\nb\nc", "a\nb\nc", "A\nb\nc"},
		{"a\nb", "a\nb\n", "a\nB", ""},
		{"a\r\nb\nc", "a\nb\nc", "a\r\nb\nC", "a\nb\nC"},
	} {
		got, conflict := crdt.MergeLines([]byte(test.base), []byte(test.ours), []byte(test.theirs))
		if string(got) != test.want || (conflict == nil) != (test.want != "") {
			t.Errorf("%q, %q, %q: got %q, %v; want %q", test.base, test.ours, test.theirs, got, conflict, test.want)
		}
	}
}

func TestMergeLinesRender(t *testing.T) {
	_, c := crdt.MergeLines(lines("a b c d e"), lines("a X c d E"), []byte("a\nY\nc\nd\nF"))
	const want = `a
<<<<<<< default
X
||||||| before
b
=======
Y
>>>>>>> staging
c
d
<<<<<<< default
E
||||||| before
e
=======
F
>>>>>>> staging
`
	if c == nil || string(c.Render("before", "default", "staging")) != want {
		t.Fatalf("got %v, want\n%s", c, want)
	}
	if len(c.Hunks) != 4 || c.TooDifferent {
		t.Errorf("got %d hunks, too different: %v", len(c.Hunks), c.TooDifferent)
	}
}

// TestMergeLinesTooDifferent: the bound holds for each side alone, and a side
// that is as before needs no comparison.
func TestMergeLinesTooDifferent(t *testing.T) {
	text := func(n int, format string) (out []byte) {
		for i := range n {
			out = fmt.Appendf(out, format, i)
		}
		return out
	}
	rest := lines("k end")
	base := slices.Concat(text(500, "old %d\n"), rest)
	last := slices.Concat(text(500, "old %d\n"), lines("k END"))
	ours := slices.Concat(text(500, "new %d\n"), rest)
	over := slices.Concat(text(501, "new %d\n"), rest)
	if got, c := crdt.MergeLines(base, ours, last); c != nil || !bytes.HasSuffix(got, []byte("new 499\nk\nEND\n")) {
		t.Errorf("1,000 differences: %.40q, %v", got, c)
	}
	if _, c := crdt.MergeLines(base, over, last); c == nil || !c.TooDifferent || len(c.Hunks) != 1 || !bytes.Equal(c.Hunks[0].Ours, over) {
		t.Errorf("1,001 differences: %v", c)
	}
	if got, c := crdt.MergeLines(base, base, over); c != nil || !bytes.Equal(got, over) {
		t.Errorf("1,001 differences of one side: %v", c)
	}
}

// drawTexts draws a text of few different lines and two that were made of it.
func drawTexts(t *rapid.T) (base, ours, theirs []byte) {
	line := rapid.SampledFrom([]string{"a\n", "b\n", "c\n", "d\n", "\n"})
	text := rapid.SliceOfN(line, 0, 12).Draw(t, "base")
	made := func(name string) []byte {
		out := slices.Clone(text)
		for range rapid.IntRange(0, 4).Draw(t, name) {
			i := rapid.IntRange(0, len(out)).Draw(t, "at")
			if i < len(out) && rapid.Bool().Draw(t, "remove") {
				out = slices.Delete(out, i, i+1)
			} else {
				out = slices.Insert(out, i, line.Draw(t, "add"))
			}
		}
		joined := strings.Join(out, "")
		if rapid.IntRange(0, 5).Draw(t, "cut") == 0 {
			joined = strings.TrimSuffix(joined, "\n")
		}
		return []byte(joined)
	}
	return []byte(strings.Join(text, "")), made("ours"), made("theirs")
}

func TestMergeLinesProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, ours, theirs := drawTexts(t)
		checkMerge(t, base, ours, theirs)
		want, conflict := mergeByEveryScript(t, base, ours, theirs)
		got, c := crdt.MergeLines(base, ours, theirs)
		if (c != nil) != conflict || !conflict && string(got) != want {
			t.Fatalf("base %q, ours %q, theirs %q: got %q, %v; by the definition %q, conflict %v", base, ours, theirs, got, c, want, conflict)
		}
	})
}

// checkMerge checks what holds for any three texts.
func checkMerge(t fataler, base, ours, theirs []byte) {
	got, c := crdt.MergeLines(base, ours, theirs)
	fail := func(format string, args ...any) {
		t.Fatalf("base %q, ours %q, theirs %q: %s", base, ours, theirs, fmt.Sprintf(format, args...))
	}
	if unchanged, c := crdt.MergeLines(base, base, theirs); c != nil || !bytes.Equal(unchanged, theirs) {
		fail("with ours as before: %q, %v", unchanged, c)
	}
	if same, c := crdt.MergeLines(base, ours, ours); c != nil || !bytes.Equal(same, ours) {
		fail("with twice ours: %q, %v", same, c)
	}
	swapped, s := crdt.MergeLines(base, theirs, ours)
	if !bytes.Equal(got, swapped) || (c == nil) != (s == nil) {
		fail("%q, %v, and with the sides swapped %q, %v", got, c, swapped, s)
	}
	if c == nil {
		return
	}
	var parts [3][]byte
	for i, h := range c.Hunks {
		if h.Conflict() == (len(h.Base)+len(h.Ours)+len(h.Theirs) == 0) {
			fail("the hunk %d is %+v", i, h)
		}
		if o := s.Hunks[i]; !bytes.Equal(o.Ours, h.Theirs) || !bytes.Equal(o.Theirs, h.Ours) || !bytes.Equal(o.Merged, h.Merged) {
			fail("the hunk %d is %+v, and with the sides swapped %+v", i, h, o)
		}
		for i, part := range [][]byte{h.Base, h.Ours, h.Theirs} {
			parts[i] = append(parts[i], part...)
		}
	}
	if c.TooDifferent && (!bytes.Equal(parts[0], base) || !bytes.Equal(parts[1], ours) || !bytes.Equal(parts[2], theirs)) {
		fail("the hunks have not all of the texts: %+v", c)
	}
	if !bytes.Contains(c.Render("b", "o", "t"), []byte(">>>>>>> t\n")) {
		fail("no conflict is shown: %+v", c)
	}
}

// mergeByEveryScript is the definition: the lines that all shortest scripts keep,
// found by trying all, and diff3 on these.
func mergeByEveryScript(t *rapid.T, base, ours, theirs []byte) (merged string, conflict bool) {
	split := func(b []byte) []string { return slices.Collect(strings.Lines(string(b))) }
	b, sides := split(base), [2][]string{split(ours), split(theirs)}
	var kept [2]map[int]int
	for i, side := range sides {
		kept[i] = keptByAll(b, side)
	}
	from, at := 0, [2]int{}
	hunk := func(to int, ends [2]int) {
		was := strings.Join(b[from:to], "")
		x, y := strings.Join(sides[0][at[0]:ends[0]], ""), strings.Join(sides[1][at[1]:ends[1]], "")
		switch {
		case x == was:
			merged += y
		case y == was, x == y:
			merged += x
		default:
			conflict = true
		}
		from, at = to, ends
	}
	for i := range b {
		x, inOurs := kept[0][i]
		y, inTheirs := kept[1][i]
		if inOurs && inTheirs {
			hunk(i, [2]int{x, y})
			hunk(i+1, [2]int{x + 1, y + 1})
		}
	}
	hunk(len(b), [2]int{len(sides[0]), len(sides[1])})
	return merged, conflict
}

// keptByAll returns, for each line of a that all longest common subsequences with
// b have at one place, that place.
func keptByAll(a, b []string) map[int]int {
	// A pair is in all of them if without it they get shorter.
	longest := longestWithout(a, b, -1, -1)
	all := map[int]int{}
	for i := range a {
		for j := range b {
			if a[i] == b[j] && longestWithout(a, b, i, j) < longest {
				all[i] = j
			}
		}
	}
	return all
}

// longestWithout is how long a common subsequence can be that has not the pair
// (p, q).
func longestWithout(a, b []string, p, q int) int {
	row := make([]int, len(b)+1)
	for i := len(a) - 1; i >= 0; i-- {
		next := slices.Clone(row)
		for j := len(b) - 1; j >= 0; j-- {
			row[j] = max(next[j], row[j+1])
			if a[i] == b[j] && (i != p || j != q) {
				row[j] = max(row[j], 1+next[j+1])
			}
		}
	}
	return row[0]
}

func FuzzMergeLines(f *testing.F) {
	f.Add([]byte("a\nb\nc"), []byte("a\nb\n"), []byte("\n\nb"))
	f.Add([]byte("a\na\na\n"), []byte("a\na\n"), []byte("a\nx\na\na\n"))
	f.Add([]byte(""), []byte("\n"), []byte("\x00\xff"))
	f.Fuzz(func(t *testing.T, base, ours, theirs []byte) { checkMerge(t, base, ours, theirs) })
}

// TestMergeLinesLikeGit holds the merge against git merge-file on random edits of
// texts. What is clean here is clean there, with the same text. The inverse does
// not hold: Git too takes changes with no kept line between them for a conflict,
// but it chooses one of several shortest scripts, and so decides which of some
// equal lines was removed.
func TestMergeLinesLikeGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	const seed, texts = 6, 300
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	var clean, onlyGit, neither int
	for i := range texts {
		base, ours, theirs := randomTexts(r)
		theirText, gitClean := gitMergeFile(t, dir, base, ours, theirs)
		text, c := crdt.MergeLines(base, ours, theirs)
		switch {
		case c == nil && !gitClean:
			t.Errorf("text %d of seed %d: clean, and in Git a conflict: base %q, ours %q, theirs %q", i, seed, base, ours, theirs)
		case c == nil && !bytes.Equal(text, theirText):
			t.Errorf("text %d of seed %d: got %q, Git has %q: base %q, ours %q, theirs %q", i, seed, text, theirText, base, ours, theirs)
		case c == nil:
			clean++
		case gitClean:
			onlyGit++
		default:
			neither++
		}
	}
	t.Logf("of %d: clean in both %d, only in Git %d, in neither %d", texts, clean, onlyGit, neither)
	if clean < texts/5 || neither < texts/5 || onlyGit > texts/4 {
		t.Error("these texts compare little")
	}
}

// randomTexts makes a text and two edits of it. A third of its lines are not the
// only ones of their kind.
func randomTexts(r *rand.Rand) (base, ours, theirs []byte) {
	line := func() string {
		if r.IntN(3) == 0 {
			return []string{"\n", "}\n", "  - name: x\n"}[r.IntN(3)]
		}
		return fmt.Sprintf("line %d\n", r.IntN(1000))
	}
	text := make([]string, 20+r.IntN(30))
	for i := range text {
		text[i] = line()
	}
	edited := func() []byte {
		out := slices.Clone(text)
		for range 1 + r.IntN(4) {
			i := r.IntN(len(out))
			switch r.IntN(3) {
			case 0:
				out[i] = line()
			case 1:
				out = slices.Delete(out, i, min(len(out), i+1+r.IntN(3)))
			default:
				out = slices.Insert(out, i, line(), line())
			}
		}
		joined := strings.Join(out, "")
		if r.IntN(8) == 0 {
			joined = strings.TrimSuffix(joined, "\n")
		}
		return []byte(joined)
	}
	return []byte(strings.Join(text, "")), edited(), edited()
}

// gitMergeFile is what git merge-file makes of three texts.
func gitMergeFile(t *testing.T, dir string, base, ours, theirs []byte) (text []byte, clean bool) {
	t.Helper()
	args := []string{"merge-file", "-p"}
	for _, f := range []struct {
		name string
		text []byte
	}{{"ours", ours}, {"base", base}, {"theirs", theirs}} {
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path, f.text, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	text, err := exec.CommandContext(t.Context(), "git", args...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 && exit.ExitCode() < 128 {
		return nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return text, true
}
