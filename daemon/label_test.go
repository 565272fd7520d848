package daemon

import (
	"fmt"
	"slices"
	"testing"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// TestSkipsOfStickyKeys: a pattern stands for its keys only where no longer one
// says otherwise of some of them.
func TestSkipsOfStickyKeys(t *testing.T) {
	yes, no := true, false
	p := &policies{rules: []rpc.Policy{{Pattern: "env/**/shared", Sticky: &no}, {Pattern: "env/**", Sticky: &yes}}}
	if got := p.skips([]string{"app", "env/a", "env/b/c"}); !slices.Equal(got, []string{"env/**"}) {
		t.Errorf("skips %q, want the pattern", got)
	}
	if got := p.skips([]string{"app", "env/a", "env/b/shared"}); !slices.Equal(got, []string{"env/a"}) {
		t.Errorf("skips %q, want the one sticky key", got)
	}
}

// TestLabelReadsItsNewest: a job has read what it wrote last, and not beside
// that what it wrote before, though an older write of somebody else is unseen.
func TestLabelReadsItsNewest(t *testing.T) {
	a, b := pair(t)
	b.put("", "k", "other")
	var wrote []dag.RevisionID
	apply := func(value string) {
		t.Helper()
		q := rpc.ApplyRequest{Label: "ci", Files: []rpc.File{{Key: "k", Value: []byte(value)}}}
		if _, err := a.Apply(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		for c, err := range a.Graph().History(t.Context(), dag.DefaultFork(), "k", dag.HistoryCursor{}) {
			if err != nil {
				t.Fatal(err)
			}
			if c.Revision.Label == "ci" {
				wrote = append(wrote, c.ID)
				break
			}
		}
	}
	apply("1")
	apply("2")
	meet(a, b)
	apply("3")
	c, err := a.Graph().Revision(wrote[2])
	if err != nil || !slices.Equal(c.Revision.Parents, wrote[1:2]) {
		t.Errorf("the third has read %v, want %v; %v", c.Revision.Parents, wrote[1:2], err)
	}
}

// TestLabelOfAnotherKind: a job whose file is what it was says nothing, though
// somebody has made a json of its bytes; one whose file is new writes a json, all
// of which it has not seen.
func TestLabelOfAnotherKind(t *testing.T) {
	l := newLab(t, "a")
	d := hand{l, ""}
	d.jobApplies(`{"a":1}`)
	d.json(`{"a":1,"b":2}`)
	if out := d.jobApplies(`{"a":1}`); out.Unchanged != 1 {
		t.Errorf("the same file: %+v", out)
	}
	d.shows(`{"a":1,"b":2}`)
	d.jobApplies(`{"a":1,"b":3}`)
	d.shows(`{"a":1,"b":3}; delete/edit at /: {"a":1,"b":3} > {"a":1,"b":2}`)
	if e, err := l.Get(t.Context(), rpc.GetRequest{KeyRef: d.key()}); err != nil || e.Kind != crdt.JSON {
		t.Errorf("got %+v, %v", e, err)
	}
}

// countingReader counts the revisions that are read.
type countingReader struct {
	reader
	n int
}

func (c *countingReader) change(key string, id dag.RevisionID) (dag.Change, error) {
	c.n++
	return c.reader.change(key, id)
}

// TestLabelThatIsNew: a job whose label is new to a key reads its history once,
// and before it holds up who else writes; then, what was written since.
func TestLabelThatIsNew(t *testing.T) {
	l := newLab(t, "a")
	d := hand{l, ""}
	const before = 50
	for i := range before {
		d.json(fmt.Sprintf(`{"a":%d}`, i))
	}
	reads := func() int {
		t.Helper()
		s, err := l.lookAt(dag.DefaultFork(), "k")
		if err != nil {
			t.Fatal(err)
		}
		c := &countingReader{reader: s.from}
		s.from = c
		if found, err := s.newestUnder("ci"); len(found) > 0 || err != nil {
			t.Errorf("found %v, %v", found, err)
		}
		return c.n
	}
	f, err := l.Replica.fork("")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.foreseeLabel(t.Context(), f, []rpc.File{{Key: "k"}}, "ci"); err != nil {
		t.Fatal(err)
	}
	if n := reads(); n != 0 {
		t.Errorf("what was foreseen is read again: %d revisions", n)
	}
	d.edit("/b", "1")
	if n := reads(); n != 1 {
		t.Errorf("one more revision: %d are read", n)
	}
	l.labels = labelMemo{}
	if n := reads(); n != before+1 {
		t.Errorf("all: %d are read", n)
	}
	if out := d.jobApplies(`{"a":49,"b":1}`); out.Unchanged != 1 {
		t.Errorf("the job: %+v", out)
	}
	if out := d.jobApplies(`{"a":49,"b":2}`); len(out.Changed) != 1 {
		t.Errorf("the job: %+v", out)
	}
	d.shows(`{"a":49,"b":2}`)
}
