package main

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// updateDocsEnv makes the tests of documents write what comes out into the
// document, instead of comparing.
const updateDocsEnv = "CRUSH_UPDATE_DOCS"

// example is a command of a document and what it prints there.
type example struct {
	line    int // of the command
	command string
	exit    int
	output  []string
}

// exitComment is how a document says that a command fails.
var exitComment = regexp.MustCompile(`\s+# exit (\d+)$`)

// examples returns the commands in the blocks of a document that are marked as
// console.
func examples(document []string) (list []example) {
	inside := false
	for i, line := range document {
		switch command, typed := strings.CutPrefix(line, "$ "); {
		case line == "```console":
			inside = true
		case line == "```":
			inside = false
		case inside && typed:
			e := example{line: i, command: command}
			if m := exitComment.FindStringSubmatch(command); m != nil {
				e.exit, _ = strconv.Atoi(m[1])
			}
			list = append(list, e)
		case inside:
			list[len(list)-1].output = append(list[len(list)-1].output, line)
		}
	}
	return list
}

func TestMergingDocument(t *testing.T) { typeDocument(t, "../../docs/merging.md") }

func TestDocumentsDocument(t *testing.T) { typeDocument(t, "../../docs/documents.md") }

// typeDocument types the examples of a document in their order, and compares
// what they print. Ids, plans, times and the letters of sides differ from run to
// run; an id that the document shows stands for the same one in everything after
// it.
func typeDocument(t *testing.T, file string) {
	t.Helper()
	skipSequence(t)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	document := strings.Split(string(data), "\n")
	n := newNode(t, t.TempDir(), "--name", "n1")
	n.start()
	home, known := t.TempDir(), ids{}
	var written []string
	copied := 0
	for _, e := range examples(document) {
		got := typed(t, n, home, known, e)
		same := known.same(e.output, got)
		switch {
		case same:
		case os.Getenv(updateDocsEnv) != "":
			written = append(written, document[copied:e.line+1]...)
			written, copied = append(written, known.document(got)...), e.line+1+len(e.output)
		default:
			t.Fatalf("line %d: %s\nthe document has\n%s\nit prints\n%s", e.line+1, e.command,
				strings.Join(e.output, "\n"), strings.Join(got, "\n"))
		}
	}
	n.verify()
	if written != nil {
		written = append(written, document[copied:]...)
		if err := os.WriteFile(file, []byte(strings.Join(written, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// typed runs an example as a person does, and returns the lines that it prints
// to the terminal.
func typed(t *testing.T, n *node, home string, known ids, e example) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", known.replace(e.command))
	cmd.Dir = home
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), raceOptions, "HOME=" + home, "CRUSH_DATA=" + n.dir, "CRUSH_AUTHOR=ann"}
	out, err := cmd.CombinedOutput()
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if code != e.exit {
		t.Fatalf("line %d: %s\nexit code %d, want %d:\n%s", e.line+1, e.command, code, e.exit, out)
	}
	if len(out) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// ids are those of the document, and what each is in this run; and the other
// way round, behind "is ".
type ids map[string]string

var (
	idShape  = regexp.MustCompile(`\b(?:[a-z2-7]{8}|[0-9a-f]{20})\b`)
	ageShape = regexp.MustCompile(`\d+ (?:s|min|h) ago|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)
	side     = regexp.MustCompile(`^( +)[a-z]  `)
	inline   = regexp.MustCompile(`\(a: (.*); b: (.*)\)`)
)

// same reports whether two outputs differ only in what differs from run to
// run, and learns the ids.
func (k ids) same(document, got []string) bool {
	document, got = steady(document), steady(got)
	if len(document) != len(got) {
		return false
	}
	for i, want := range document {
		if idShape.ReplaceAllString(want, "ID") != idShape.ReplaceAllString(got[i], "ID") {
			return false
		}
		is := idShape.FindAllString(got[i], -1)
		for j, id := range idShape.FindAllString(want, -1) {
			if old, ok := k[id]; ok && old != is[j] || k["is "+is[j]] != "" && k["is "+is[j]] != id {
				return false
			}
			k[id], k["is "+is[j]] = is[j], id
		}
	}
	return true
}

// steady takes ages and letters out of an output, and gives the sides of a
// conflict an order.
func steady(lines []string) []string {
	out := slices.Clone(lines)
	for i := range out {
		if m := inline.FindStringSubmatch(out[i]); m != nil {
			slices.Sort(m[1:])
			out[i] = strings.Replace(out[i], m[0], "("+m[1]+"; "+m[2]+")", 1)
		}
		out[i] = ageShape.ReplaceAllString(side.ReplaceAllString(out[i], "$1?  "), "AGE")
	}
	isSide := func(i int) bool { return i < len(out) && strings.HasPrefix(strings.TrimLeft(out[i], " "), "?  ") }
	for i := 0; i < len(out); i++ {
		from := i
		for isSide(i) {
			i++
		}
		slices.SortFunc(out[from:i], func(a, b string) int {
			return strings.Compare(idShape.ReplaceAllString(a, "ID"), idShape.ReplaceAllString(b, "ID"))
		})
	}
	return out
}

// document puts the ids that the document has into an output.
func (k ids) document(got []string) []string {
	out := slices.Clone(got)
	for i := range out {
		out[i] = idShape.ReplaceAllStringFunc(out[i], func(is string) string { return cmp.Or(k["is "+is], is) })
	}
	return out
}

// replace puts the ids of this run into a command of the document.
func (k ids) replace(command string) string {
	return idShape.ReplaceAllStringFunc(command, func(id string) string {
		if is, ok := k[id]; ok {
			return is
		}
		return id
	})
}
