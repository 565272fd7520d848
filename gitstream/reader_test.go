package gitstream

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// memory keeps contents in memory.
type memory struct {
	at    []string
	known map[string]Blob
}

func newMemory() *memory { return &memory{known: map[string]Blob{}} }

func (m *memory) Keep(r io.Reader) (Blob, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return 0, err
	}
	if b, ok := m.known[string(text)]; ok {
		return b, nil
	}
	m.at = append(m.at, string(text))
	m.known[string(text)] = Blob(len(m.at) - 1)
	return m.known[string(text)], nil
}

func (m *memory) Sum(b Blob) [32]byte { return sha256.Sum256([]byte(m.at[b])) }

const head = "commit refs/heads/main\nmark :9\ncommitter B <b> 1 +0\ndata 0\n"

// everything is a stream with all that is read.
const everything = `# a comment
feature done
feature date-format=raw
option git quiet
progress 1 %
blob
mark :1
original-oid 0123
data 6
a
b
c
reset refs/heads/main
commit refs/heads/main
mark :2
original-oid 4567
author Ann B. <ann@example.org> 1700000000 -0130
committer <> -5 +0000
gpgsig sha1 openpgp
data 4
sig
encoding ISO-8859-1
data <<EOT
the message
EOTx
EOT
from refs/heads/other^0
merge :7
merge :8
M 100644 :1 a path
M 755 inline "q\"\t\303\274"
data 3
xyz
M 160000 0123456789012345678901234567890123456789 sub
D gone
R "from here" to here
C from to
N inline :2
data 1
n
deleteall
D ""

tag v1
mark :3
from :2
original-oid 89
tagger T <t> 5 +0
data 2
vv
checkpoint
reset refs/heads/other
from :2
done
what follows is not read`

func TestReader(t *testing.T) {
	m := newMemory()
	for _, in := range []io.Reader{strings.NewReader(everything), iotest.OneByteReader(strings.NewReader(everything))} {
		r := NewReader(in, m)
		var got []any
		for {
			c, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, c)
		}
		want := []any{
			&ResetCommand{Line: 13, Ref: "refs/heads/main"},
			&CommitCommand{
				Line: 14, Ref: "refs/heads/main", Mark: 2, Encoding: "ISO-8859-1", Message: []byte("the message\nEOTx\n"),
				Author:    Person{"Ann B. <ann@example.org>", 1700000000, "-0130"},
				Committer: Person{"<>", -5, "+0000"},
				From:      "refs/heads/other^0", Merge: []string{":7", ":8"},
				Changes: []Change{
					{Op: OpModify, Path: "a path", Blob: 0, Line: 30},
					{Op: OpModify, Path: "q\"\tü", Blob: 1, Line: 31},
					{Op: OpModify, Path: "sub", Submodule: true, Line: 34},
					{Op: OpDelete, Path: "gone", Line: 35},
					{Op: OpRename, Path: "from here", To: "to here", Line: 36},
					{Op: OpCopy, Path: "from", To: "to", Line: 37},
					{Op: OpDeleteAll, Line: 41},
					{Op: OpDeleteAll, Line: 42},
				},
			},
			&TagCommand{Line: 44, Name: "v1", Mark: 3, From: ":2", Tagger: Person{"T <t>", 5, "+0"}, Message: []byte("vv")},
			&ResetCommand{Line: 52, Ref: "refs/heads/other", From: ":2"},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("read\n%+v, want\n%+v", show(got), show(want))
		}
	}
	if m.at[0] != "a\nb\nc\n" || m.at[1] != "xyz" {
		t.Errorf("contents %q", m.at)
	}
}

func show(all []any) string {
	var out strings.Builder
	for _, v := range all {
		fmt.Fprintf(&out, "%+v\n", reflect.Indirect(reflect.ValueOf(v)))
	}
	return out.String()
}

// faults are streams that must be refused, with where and why.
var faults = []struct{ stream, want string }{
	{"hello\n", `line 1, before the first commit: "hello" is no command`},
	{"\x1f\x8b\x08\n", `line 1, before the first commit: "\x1f\x8b\b" is no command`},
	{"feature cat-blob\n", `the feature "cat-blob" is not supported`},
	{"feature date-format=now\n", `the feature "date-format" is not supported`},
	{"feature done\n", "line 1, before the first commit: the stream breaks off"},
	{"blob", "the stream breaks off"},
	{"blob\n", "the stream breaks off"},
	{"blob\nmark 1\ndata 0\n", `"1" is no mark`},
	{"blob\nmark :0\ndata 0\n", `":0" is no mark`},
	{"blob\nmark :1\ndata 5\nabc\n", "line 4, before the first commit: the stream breaks off"},
	{"blob\nmark :1\ndata -5\n", `data has the length "-5"`},
	{"blob\nmark :1\ndata 99999999999999999999\n", "data has the length"},
	{"blob\ndata <<\n", "data names no delimiter"},
	{"blob\ndata <<E\nabc\nEE\n", "the stream breaks off"},
	{"blob\nmark :1\nD a\n", `data is missing: the line is "D a"`},
	{"reset \n", "reset names no ref"},
	{"tag v\nfrom :1\ndata 0\n", "line 1, before the first commit: the tag \"v\" names :1, which is no commit of the stream"},
	{"tag v\ndata 0\n", "the tag names nothing"},
	{"commit refs/heads/main\ndata 0\n", "line 2, in commit on refs/heads/main: the commit has no committer"},
	{"commit refs/heads/main\nmark :4\ncommitter B 1 +0\n", `line 3, in commit :4 of refs/heads/main: "B 1 +0" names nobody`},
	{"commit refs/heads/main\ncommitter B <b> yesterday +0\n", "is no time in Git's raw format"},
	{"commit refs/heads/main\ncommitter B <b> 1\n", "is no time in Git's raw format"},
	{"commit refs/heads/main\ncommitter B <b> 1 UTC\n", "is no time in Git's raw format"},
	{"commit refs/heads/main\ncommitter B <b> 99999999999999 +0\n", "out of range"},
	{"commit refs/heads/main\nparent x\n", `"parent x" does not belong in front of a commit's message`},
	{head + "from :1\n\n", `line 1, in commit :9 of refs/heads/main: there is no commit ":1" before it in the stream`},
	{head + "from 0123456789012345678901234567890123456789\n\n", "export the whole history"},
	{head + "merge refs/heads/x\n\n", `there is no commit "refs/heads/x"`},
	{head + "M 100644 :1 a\n", "line 5, in commit :9 of refs/heads/main: no blob has the mark :1"},
	{head + "M 100644 0123456789012345678901234567890123456789 a\n", "it must be exported with its data"},
	{head + "M 040000 0123456789012345678901234567890123456789 a\n", `the mode "040000" is not supported`},
	{head + "M 100644 :1\n", "wants a mode, a content and a path"},
	{head + "M 100644 inline \"\"\ndata 0\n", "of the whole tree is not supported"},
	{head + "D /a\n", `"/a" is no path of a file`},
	{head + "D a//b\n", "is no path of a file"},
	{head + "D a/../b\n", "is no path of a file"},
	{head + "D \"a\n", "does not end"},
	{head + "D \"a\\q\"\n", "an escape that is none"},
	{head + "D \"a\\400\"\n", "an escape that is none"},
	{head + "D \"a\" b\n", `" b" stands behind a path`},
	{head + "D \"\\377\"\n", "is not valid UTF-8"},
	{head + "D \"\\000\"\n", "has a NUL byte"},
	{head + "D " + strings.Repeat("x", maxPath+1) + "\n", "is longer than 1024 bytes"},
	{head + "D " + strings.Repeat("x", maxLine) + "\n", "the line is longer than 65536 bytes"},
	{head + "R a\n", "the second path is missing"},
	{head + "R \"a\"b\n", "the second path is missing"},
	{head + "R a b\n\n", `line 5, in commit :9 of refs/heads/main: there is no "a" to rename or copy`},
	{head + "M 100644 inline a/b\ndata 0\nC a a/c\n\n", "line 7, in commit :9 of refs/heads/main: a directory is moved into itself"},
	{head + "ls a\n", `line 5, behind commit :9 of refs/heads/main: "ls a" is no command`},
	{head + "D b\n\n" + head + "D a\n", "line 11, in commit :9 of refs/heads/main: the stream breaks off"},
	{head + "\nblob\ndata 1\nx\n", "line 8, behind commit :9 of refs/heads/main: the stream breaks off"},
	{head + "D a", "line 5, in commit :9 of refs/heads/main: the stream breaks off"},
	{"commit refs/notes/x\nmark :1\ncommitter B <b> 1 +0\ndata 0\n\n" + head + "from :1\n\n", `":1" is a commit of notes`},
}

func TestFaults(t *testing.T) {
	for _, f := range faults {
		h, err := Read(strings.NewReader(f.stream), newMemory())
		if err == nil || !strings.Contains(err.Error(), f.want) || !h.Broken {
			t.Errorf("%.100q: %v, want %s", f.stream, err, f.want)
		}
		if strings.ContainsAny(fmt.Sprint(err), "\n\r") {
			t.Errorf("%.100q: the error is not one line", f.stream)
		}
	}
	bad := errors.New("disk on fire")
	if _, err := Read(io.MultiReader(strings.NewReader(head), iotest.ErrReader(bad)), newMemory()); !errors.Is(err, bad) {
		t.Errorf("an error of the reader: %v", err)
	}
	many := head + strings.Repeat("merge refs/heads/main\n", maxParents)
	if _, err := Read(strings.NewReader(many), newMemory()); err == nil || !strings.Contains(err.Error(), "merges more than") {
		t.Errorf("too many parents: %v", err)
	}
	long := fmt.Sprintf("commit refs/heads/main\ncommitter B <b> 1 +0\ndata %d\n", maxMessage+1)
	if _, err := Read(io.MultiReader(strings.NewReader(long), io.LimitReader(zeros{}, maxMessage+1)), newMemory()); err == nil || !strings.Contains(err.Error(), "a message is longer") {
		t.Errorf("a long message: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestBroken cuts a stream at every byte: what is read is a start of the
// history, and the end is noticed wherever it is not that of a command.
func TestBroken(t *testing.T) {
	stream := golden(t)
	whole, err := Read(strings.NewReader(stream), newMemory())
	if err != nil {
		t.Fatal(err)
	}
	unnoticed := 0
	for i := range stream {
		h, err := Read(strings.NewReader(stream[:i]), newMemory())
		if err == nil {
			unnoticed++
		} else if _, ok := errors.AsType[*Error](err); !ok {
			t.Fatalf("cut at %d: %v", i, err)
		}
		for j, c := range h.Commits {
			if c.ID != whole.Commits[j].ID {
				t.Fatalf("cut at %d: commit %s is not what it is in the whole stream", i, c.Name())
			}
		}
	}
	// Only between two commands, and in front of the first.
	if commands := strings.Count(stream, "\n\n"); unnoticed > 2*commands {
		t.Errorf("%d of %d cuts are not noticed", unnoticed, len(stream))
	}
}

// golden is a stream that git fast-export has written.
func golden(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "export.fe"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(golden(f)))
	for _, fault := range faults {
		f.Add([]byte(fault.stream))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		h, err := Read(strings.NewReader(string(stream)), newMemory())
		if h.Broken != (err != nil) {
			t.Fatalf("broken %v, %v", h.Broken, err)
		}
		seen := map[*Commit]bool{}
		for i, c := range h.Commits {
			if c.Index != i || c.ID.IsZero() {
				t.Fatalf("commit %d is %+v", i, c)
			}
			for _, p := range c.Parents {
				if !seen[p] {
					t.Fatalf("commit %d stands before its parent", i)
				}
			}
			seen[c] = true
		}
		checkPlan(t, h, Options{Into: "default", Fork: "1"})
	})
}
