package main

import (
	"bytes"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// versions is a file in the commit before two branches, in both, and in their
// merge; "-" is that it is not there.
type versions struct{ base, ours, theirs, committed string }

// stream is a fast-export stream of one merge of these files.
func stream(files map[string]versions) string {
	var b strings.Builder
	commit := func(mark int, parents string, version func(versions) string) {
		fmt.Fprintf(&b, "commit refs/heads/main\nmark :%d\ncommitter A <a@example.org> %d +0000\ndata 1\nx\n%sdeleteall\n", mark, 1_600_000_000+mark, parents)
		for _, path := range slices.Sorted(maps.Keys(files)) {
			if text := version(files[path]); text != "-" {
				fmt.Fprintf(&b, "M 100644 inline %s\ndata %d\n%s\n", path, len(text), text)
			}
		}
		b.WriteString("\n")
	}
	commit(1, "", func(v versions) string { return v.base })
	commit(2, "from :1\n", func(v versions) string { return v.ours })
	commit(3, "from :1\n", func(v versions) string { return v.theirs })
	commit(4, "from :2\nmerge :3\n", func(v versions) string { return v.committed })
	return b.String()
}

// TestPairs: of three changes of one file the second does not build on the first,
// and the third does on the second.
func TestPairs(t *testing.T) {
	var b strings.Builder
	for i, text := range []string{"a: 1\nb: 1\nc: 1\n", "a: 2\nb: 1\nc: 1\n", "a: 2\nb: 1\nc: 2\n", "a: 2\nb: 1\nc: 3\n"} {
		fmt.Fprintf(&b, "commit refs/heads/main\ncommitter A <a@example.org> 1 +0000\ndata 1\n%d\nM 100644 inline a.yaml\ndata %d\n%s\n\n", i, len(text), text)
	}
	out := replayed(t, b.String(), "-pairs", "10")
	for _, want := range []string{
		"2 of 2 pairs of changes; left out: 1 where the later builds on the earlier\n",
		"\nyaml: 1 ",
		"\nclean, as committed                          1                   1                   1\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it lacks %q:\n%s", want, out)
		}
	}
}

// TestMergesLeftOut: what has no versions to compare is counted.
func TestMergesLeftOut(t *testing.T) {
	commit := func(mark int, parents string) string {
		return fmt.Sprintf("commit refs/heads/main\nmark :%d\ncommitter A <a@example.org> 1 +0000\ndata 1\nx\n%sM 100644 inline a.txt\ndata 2\n%d\n\n\n", mark, parents, mark)
	}
	out := replayed(t, commit(1, "")+commit(2, "from :1\n")+commit(3, "from :1\n")+commit(4, "from :2\nmerge :3\n")+commit(5, "from :3\nmerge :2\n")+
		commit(6, "from :4\nmerge :5\n")+commit(7, "from :2\nmerge :3\nmerge :1\n"))
	const want = "2 merges of two parents; left out: 1 of more, 1 with several best common ancestors, 0 with none\n"
	if !strings.HasPrefix(out, want) {
		t.Errorf("got %s, want %s", out, want)
	}
}

// replayed runs the program, and returns what it prints.
func replayed(t *testing.T, stream string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	var out bytes.Buffer
	if err := run(t.Context(), args, strings.NewReader(stream), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestMerges(t *testing.T) {
	for _, test := range []struct {
		name, path string
		versions
		crush, lines, git string
	}{
		{
			"neighbouring fields", "a.yaml",
			versions{"image: 1\nreplicas: 1\n", "image: 2\nreplicas: 1\n", "image: 1\nreplicas: 3\n", "image: 2\nreplicas: 3\n"},
			"clean, as committed", "conflict", "conflict",
		},
		{
			"fields far apart", "a.json",
			versions{"{\n  \"a\": 1,\n  \"b\": 1,\n  \"c\": 1\n}\n", "{\n  \"a\": 2,\n  \"b\": 1,\n  \"c\": 1\n}\n", "{\n  \"a\": 1,\n  \"b\": 1,\n  \"c\": 2\n}\n", "{\n  \"a\": 2,\n  \"b\": 1,\n  \"c\": 2\n}\n"},
			"clean, as committed", "clean, as committed", "clean, as committed",
		},
		{
			"the same field", "a.yaml",
			versions{"image: 1\nb: 1\n", "image: 2\nb: 1\n", "image: 3\nb: 1\n", "image: 3\nb: 1\n"},
			"conflict /image", "conflict", "conflict",
		},
		{
			"other order, and a field", "a.yaml",
			versions{"a: 1\nb: 1\n", "b: 1\na: 1\n", "a: 1\nb: 2\n", "b: 2\na: 1\n"},
			"clean, the same document", "conflict", "conflict",
		},
		{
			"one list", "a.yaml",
			versions{"l:\n- 1\n- 2\n- 3\n", "l:\n- 0\n- 2\n- 3\n", "l:\n- 1\n- 2\n- 4\n", "l:\n- 0\n- 2\n- 4\n"},
			"conflict /l", "clean, as committed", "clean, as committed",
		},
		{
			"one name twice", "a.yaml",
			versions{"a: 1\nb: 1\nc: 1\n", "new: 1\na: 1\nb: 1\nc: 1\n", "a: 1\nb: 1\nc: 1\nnew: 1\n", "new: 1\na: 1\nb: 1\nc: 1\n"},
			"clean, as committed", "clean and different", "clean and different",
		},
		{
			// By field the new name is all new, and that x was removed says nothing of it.
			"renamed, and something removed inside", "a.yaml",
			versions{"a:\n  v: 1\n  w: 1\n  x: 1\n", "a:\n  v: 1\n  w: 1\n", "b:\n  v: 1\n  w: 1\n  x: 1\n", "b:\n  v: 1\n  w: 1\n"},
			"clean and different", "clean, as committed", "clean, as committed",
		},
		{
			"removed, and changed", "a.yaml",
			versions{"a: 1\n", "-", "a: 2\n", "-"},
			"conflict /", "conflict", "conflict",
		},
		{
			"no YAML", "a.yaml",
			versions{"{{ a }}\nb\nc\n", "{{ A }}\nb\nc\n", "{{ a }}\nb\nC\n", "{{ A }}\nb\nC\n"},
			"conflict /", "clean, as committed", "clean, as committed",
		},
		{
			"no text", "a.txt",
			versions{"\xff\n", "\xff\x00\n", "\xfe\n", "\xfe\n"},
			"conflict /", "conflict", "conflict",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := replayed(t, stream(map[string]versions{test.path: test.versions}), "-list")
			for _, want := range []string{
				"crush:               " + test.crush + "\n",
				"crush's line merge:  " + test.lines + "\n",
				"git merge-file:      " + test.git + "\n",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("it lacks %q:\n%s", want, out)
				}
			}
		})
	}
}
