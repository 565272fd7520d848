package gitstream

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
)

// world does the steps of plans as a store would, without the values.
type world struct {
	forks map[string]bool // by id: that of the first, else the line's name and a number
	gone  map[string]bool
	known []Known
}

func newWorld() *world {
	return &world{forks: map[string]bool{"1": true}, gone: map[string]bool{}}
}

// checkPlan plans a history and does the steps: each stands on what those before
// it have made, and names a source that no other has. Planned again, nothing is
// left to do.
func checkPlan(t testing.TB, h *History, o Options) *world {
	t.Helper()
	w := newWorld()
	w.do(t, h, o)
	o.Known, o.Taken = w.known, w.taken()
	again, err := h.Plan(o)
	if err == nil && len(again.Steps) > 0 {
		for i := range again.Steps {
			if s := &again.Steps[i]; len(s.Writes) > 0 || s.Kind != StepCommit {
				t.Fatalf("planned again, there is left: %+v", s)
			}
		}
	}
	return w
}

func (w *world) taken() map[string]bool {
	out := map[string]bool{}
	for name := range w.forks {
		out[name] = !w.gone[name]
	}
	return out
}

// do does the steps of a plan; it returns nil if there is none.
func (w *world) do(t testing.TB, h *History, o Options) *Plan {
	t.Helper()
	p, err := h.Plan(o)
	if err != nil {
		return nil
	}
	sources := map[string]bool{}
	for _, k := range o.Known {
		sources[k.Source] = true
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		if sources[s.Source] || !strings.HasPrefix(s.Source, SourcePrefix(o.Into)) {
			t.Fatalf("step %d has the source %s, of another one", i, s.Source)
		}
		sources[s.Source] = true
		w.step(t, p, s)
	}
	return p
}

func (w *world) step(t testing.TB, p *Plan, s *Step) {
	t.Helper()
	for _, c := range s.From {
		if l := p.LineOf(c); l == nil || l.Fork == "" {
			t.Fatalf("step %s takes from a line that is not made", s.Source)
		}
	}
	if s.Kind == StepTag {
		w.known = append(w.known, Known{Source: s.Source})
		return
	}
	if s.Kind == StepFork {
		if s.Line.Fork != "" {
			t.Fatalf("the line %s is made twice", s.Line.Name)
		}
		s.Line.Fork = fmt.Sprintf("%s#%d", s.Line.Name, len(w.forks))
		w.forks[s.Line.Fork] = true
	}
	if !w.forks[s.Line.Fork] || w.gone[s.Line.Fork] {
		t.Fatalf("step %s works on the line %s, which is not there", s.Source, s.Line.Name)
	}
	for _, l := range s.Remove {
		if l.Fork == "" || w.gone[l.Fork] || l == s.Line {
			t.Fatalf("step %s removes the line %s", s.Source, l.Name)
		}
		w.gone[l.Fork] = true
	}
	w.known = append(w.known, Known{Source: s.Source, Fork: s.Line.Fork, Live: true})
	for i := range w.known {
		w.known[i].Live = !w.gone[w.known[i].Fork]
	}
}

// lay reads a stream and says where each commit went: "c1 c2>default".
func lay(t *testing.T, w *world, stream string, o Options) (*Plan, map[string]string) {
	t.Helper()
	h, _ := Read(strings.NewReader(stream), newMemory())
	o.Known, o.Taken = w.known, w.taken()
	p := w.do(t, h, o)
	if p == nil {
		_, err := h.Plan(o)
		t.Fatal(err)
	}
	at := map[string]string{}
	for _, c := range h.Commits {
		if l := p.LineOf(c); l != nil {
			at[string(c.Message)] = l.Name
		}
	}
	return p, at
}

// commitOf writes a commit: its mark, ref and parents. Its message is its mark.
func commitOf(mark int, ref string, parents ...int) string {
	var text strings.Builder
	fmt.Fprintf(&text, "commit %s\nmark :%d\ncommitter B <b> %d +0\ndata <<.\n%d\n.\n", ref, mark, mark, mark)
	for i, p := range parents {
		fmt.Fprintf(&text, "%s :%d\n", []string{"from", "merge"}[min(i, 1)], p)
	}
	fmt.Fprintf(&text, "M 644 inline f%d\ndata 1\nx\n\n", mark)
	return text.String()
}

const mainRef = "refs/heads/main"

func TestPlan(t *testing.T) {
	o := Options{Into: "default", Fork: "1"}
	// 1 - 2 - 4 - 6   main, 3 and 5 of a side line, 7 of a branch
	stream := commitOf(1, mainRef) + commitOf(2, mainRef, 1) + commitOf(3, mainRef, 1) + commitOf(4, mainRef, 2, 3) +
		commitOf(5, mainRef, 3) + commitOf(6, mainRef, 4, 5) + commitOf(7, "refs/heads/b", 5)
	p, at := lay(t, newWorld(), stream, o)
	want := map[string]string{"1\n": "default", "2\n": "default", "4\n": "default", "6\n": "default", "3\n": "b", "5\n": "b", "7\n": "b"}
	if !maps.Equal(at, want) || p.Main != mainRef || p.Commits != 7 {
		t.Errorf("the commits are at %v, want %v", at, want)
	}
	p, at = lay(t, newWorld(), strings.TrimSuffix(stream, commitOf(7, "refs/heads/b", 5)), o)
	if at["3\n"] != "git/5" || at["5\n"] != "git/5" {
		t.Errorf("the side line is at %v", at)
	}
	last := p.Steps[len(p.Steps)-1]
	if len(last.Remove) != 1 || last.Remove[0].Name != "git/5" || last.Commit.Mark != 6 {
		t.Errorf("the last step is %+v", last)
	}
}

// TestPlanMain chooses the main ref.
func TestPlanMain(t *testing.T) {
	for stream, want := range map[string]string{
		commitOf(1, "refs/heads/x"):                                                                 "refs/heads/x",
		commitOf(1, "refs/heads/a") + commitOf(2, "refs/heads/master", 1):                           "refs/heads/master",
		commitOf(1, "refs/heads/a") + commitOf(2, "refs/heads/master", 1) + commitOf(3, mainRef, 1): mainRef,
		commitOf(1, "refs/heads/a") + commitOf(2, "refs/heads/b", 1):                                "which ref is the main one? name it with --ref: the stream has refs/heads/a, refs/heads/b",
		"": "the stream has no commits",
	} {
		h, err := Read(strings.NewReader(stream), newMemory())
		if err != nil {
			t.Fatal(err)
		}
		p, err := h.Plan(Options{Into: "default", Fork: "1"})
		if err != nil && err.Error() != want || err == nil && p.Main != want {
			t.Errorf("%+v, %v, want %s", p, err, want)
		}
	}
	h, _ := Read(strings.NewReader(commitOf(1, "refs/heads/a")+commitOf(2, "refs/heads/b", 1)), newMemory())
	if p, err := h.Plan(Options{Into: "x", Main: "b"}); err != nil || p.Main != "refs/heads/b" || p.Steps[0].Kind != StepFork || p.Steps[0].Line.Name != "x" {
		t.Errorf("named: %+v, %v", p, err)
	}
}

// TestPlanGoesOn imports a history in pieces: one that breaks off in a side line
// that looks like the main one, and refs that go forward.
func TestPlanGoesOn(t *testing.T) {
	o := Options{Into: "default", Fork: "1"}
	w := newWorld()
	// 2 and 3 are of a line that 4 merges into main: in front of it nobody knows.
	stream := commitOf(1, mainRef) + commitOf(2, mainRef, 1) + commitOf(3, mainRef, 2) + commitOf(4, mainRef, 1, 3)
	_, at := lay(t, w, stream[:strings.Index(stream, "mark :3")], o)
	if at["2\n"] != "default" {
		t.Fatalf("up to the break: %v", at)
	}
	p, at := lay(t, w, stream, o)
	if want := map[string]string{"1\n": "default", "2\n": "default", "3\n": "default", "4\n": "default"}; !maps.Equal(at, want) || p.Known != 2 {
		t.Errorf("behind it: %v, %d known", at, p.Known)
	}
	// A branch from main that main is then set to, without a commit.
	stream += commitOf(5, "refs/heads/b", 4)
	lay(t, w, stream, o)
	p, at = lay(t, w, stream+"reset "+mainRef+"\nfrom :5\n\n"+commitOf(6, mainRef, 5), o)
	kinds := []Kind{}
	for _, s := range p.Steps {
		kinds = append(kinds, s.Kind)
	}
	if at["5\n"] != "b" || at["6\n"] != "default" || !slices.Equal(kinds, []Kind{StepMove, StepCommit}) {
		t.Errorf("moved: %v, steps %v", at, kinds)
	}
	// Main without what was imported.
	h, _ := Read(strings.NewReader(commitOf(1, mainRef)+commitOf(7, mainRef, 1)), newMemory())
	o.Known, o.Taken = w.known, w.taken()
	if _, err := h.Plan(o); err == nil || !strings.Contains(err.Error(), "rewritten") {
		t.Errorf("rewritten: %v", err)
	}
	// An older export has nothing new.
	h, _ = Read(strings.NewReader(commitOf(1, mainRef)), newMemory())
	if p, err := h.Plan(o); err != nil || len(p.Steps) > 0 {
		t.Errorf("an older export: %+v, %v", p, err)
	}
}

// TestPlanLeavesOut leaves out a branch that was rewritten, and one whose fork
// was removed, and imports what a merge needs of them all the same.
func TestPlanLeavesOut(t *testing.T) {
	o := Options{Into: "default", Fork: "1"}
	w := newWorld()
	lay(t, w, commitOf(1, mainRef)+commitOf(2, "refs/heads/b", 1)+commitOf(3, "refs/heads/c", 1), o)
	for fork := range w.forks {
		w.gone[fork] = w.gone[fork] || strings.HasPrefix(fork, "c#")
	}
	for i := range w.known {
		w.known[i].Live = !w.gone[w.known[i].Fork]
	}
	later := commitOf(1, mainRef) + commitOf(3, "refs/heads/c", 1) + commitOf(4, "refs/heads/b", 1) + commitOf(5, "refs/heads/c", 3) + commitOf(6, mainRef, 1, 5)
	p, at := lay(t, w, later, o)
	want := []string{
		"refs/heads/b is left out: it was rewritten since it was imported, and its fork b stays as it is",
		"refs/heads/c is left out: its fork c was removed here",
	}
	if !slices.Equal(p.Notices, want) {
		t.Errorf("it says %q", p.Notices)
	}
	if at["4\n"] != "" || at["5\n"] != "git/5" || at["6\n"] != "default" {
		t.Errorf("the commits are at %v", at)
	}
}

// TestPlanNames gives refs names that forks can have, and no two the same.
func TestPlanNames(t *testing.T) {
	var stream strings.Builder
	stream.WriteString(commitOf(1, mainRef))
	for _, ref := range []string{"refs/heads/a b", "refs/heads/a-b", "refs/remotes/a-b", "refs/heads/default", "refs/heads/-", "refs/heads/" + strings.Repeat("x", 200)} {
		stream.WriteString("reset " + ref + "\nfrom :1\n\n")
	}
	p, _ := lay(t, newWorld(), stream.String(), Options{Into: "default", Fork: "1"})
	var names []string
	for _, s := range p.Steps[1:] {
		names = append(names, s.Line.Name)
	}
	want := []string{"ref", "a-b", "a-b-2", "default-2", strings.Repeat("x", 124), "a-b-3"}
	if !slices.Equal(names, want) {
		t.Errorf("named %q, want %q", names, want)
	}
	h, _ := Read(strings.NewReader(stream.String()), newMemory())
	if _, err := h.Plan(Options{Into: "default", Fork: "1", Taken: map[string]bool{"a-b": true}}); err == nil || !strings.Contains(err.Error(), `"a-b"`) {
		t.Errorf("a name that is taken: %v", err)
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		encoding, in, want string
		exact              bool
	}{
		{"", "grün", "grün", true},
		{"", "gr\xfcn", "gr\ufffdn", false},
		{"ISO-8859-1", "gr\xfcn\x80", "grün€", true},
		{"windows-1252", "\x81", "\ufffd", true},
		{"latin1", "already ü", "already ü", true},
		{"koi8-r", "\xc1", "\ufffd", false},
		{"", "a\x00b", "a\ufffdb", false},
	} {
		if got, exact := Text(c.encoding, []byte(c.in)); got != c.want || exact != c.exact {
			t.Errorf("%s %q: %q, %v", c.encoding, c.in, got, exact)
		}
	}
}

func TestSpool(t *testing.T) {
	s, err := NewSpool(t.TempDir(), 400_000)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var blobs []Blob
	texts := []string{"one", "", "two", "one", strings.Repeat("long", 100_000), "after it"}
	for _, text := range texts {
		b, err := s.Keep(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, b)
	}
	over, err := s.Keep(io.LimitReader(zeros{}, 400_001))
	if err != nil || s.Size(over) != 400_001 {
		t.Errorf("over the limit: %v", err)
	}
	if last, err := s.Keep(strings.NewReader("last")); err != nil || s.size != int64(len("onetwo")+400_000+len("after itlast")) {
		t.Errorf("the file has %d bytes, %v", s.size, err)
	} else {
		texts, blobs = append(texts, "last"), append(blobs, last)
	}
	if blobs[0] != blobs[3] || blobs[0] == blobs[2] {
		t.Errorf("equal contents have the numbers %v", blobs)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	for i, b := range blobs {
		got, err := s.Load([]byte("before "), b)
		if err != nil || string(got) != "before "+texts[i] || s.Size(b) != int64(len(texts[i])) {
			t.Errorf("%d: %.20q, %v", i, got, err)
		}
	}
	if _, err := s.Load(nil, over); err == nil {
		t.Error("what is over the limit is there")
	}
}
