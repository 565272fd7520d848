package daemon

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"crush/dag"
	"crush/rpc"
)

// logged is the log that is asked for, an entry a line: what an operation did,
// or the fork, key and mark of a revision, with a * at heads.
func (l *lab) logged(q rpc.LogRequest) (out []string) {
	l.t.Helper()
	for e, err := range l.Log(l.t.Context(), q) {
		if err != nil {
			l.t.Fatal(err)
		}
		out = append(out, entryLine(&e))
	}
	return out
}

func entryLine(e *rpc.LogEntry) string {
	if e.Operation == nil {
		line := e.Fork + ":" + e.Key
		if e.Deleted {
			line += " deleted"
		}
		if e.Mark != "" {
			line += " " + e.Mark
		}
		if e.Head {
			line += " *"
		}
		return line
	}
	o := e.Operation
	words := []string{o.Kind}
	for _, w := range []string{o.Fork, o.Source, o.Name, o.Role} {
		if w != "" {
			words = append(words, w)
		}
	}
	if o.Gone {
		words = append(words, "gone")
	}
	if f := o.Filter; f != nil {
		words = append(words, fmt.Sprint(slices.Concat(f.Keys, f.Scopes), slices.Concat(f.SkipKeys, f.Skips)))
	}
	if n := o.Keys; n != nil {
		words = append(words, fmt.Sprint(*n))
	}
	if len(o.Cut) > 0 {
		words = append(words, "cut")
	}
	return strings.Join(words, " ")
}

func (l *lab) wantLog(q rpc.LogRequest, want ...string) {
	l.t.Helper()
	if got := l.logged(q); !slices.Equal(got, want) {
		l.t.Errorf("the log of %q:\n%s\nwant\n%s", q.KeyRef, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// busy is a lab on which everything was done that a log tells of.
func busy(t *testing.T) *lab {
	l := newLab(t, "a")
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	l.put("", "app/k", "1")
	l.put("", "old", "1")
	must(l.Tag(ctx, rpc.PointRequest{Name: "v1"}))
	l.put("", "app/k", "2")
	l.fork("s", "")
	must(l.CreateFork(ctx, rpc.ForkRequest{Name: "some", At: "v1", Filter: &rpc.Filter{Scopes: []string{"app/*"}}}))
	l.put("s", "app/k", "3")
	l.put("s", "app/new", "n")
	l.put("s", "env/zone", "z")
	l.del("s", "old")
	must(l.Merge(ctx, rpc.MergeRequest{Source: "s", Into: "default", Skip: []string{"env/*"}, Claim: rpc.Claim{Author: "ann", Message: "release"}}))
	must(l.Undo(ctx, rpc.UndoRequest{}))
	l.put("", "c", "ours")
	l.put("s", "c", "theirs")
	l.merge("s", "default", rpc.OnConflictTheirs)
	must(l.RenameFork(ctx, rpc.ForkChange{Fork: "s", Name: "stage"}))
	must(l.Alias(ctx, rpc.PointRequest{Name: "live", Fork: "stage"}))
	must(l.Alias(ctx, rpc.PointRequest{Name: "live", Remove: true}))
	must(l.RemoveFork(ctx, rpc.ForkChange{Fork: "stage"}))
	must(l.RestoreFork(ctx, rpc.ForkChange{Fork: "stage"}))
	must(l.Tag(ctx, rpc.PointRequest{Name: "v1", Remove: true}))
	return l
}

func TestLogOfFork(t *testing.T) {
	l := busy(t)
	rest := []string{"tag v1 gone", "restore stage", "delete stage", "alias live gone", "alias stage live", "rename stage stage"}
	l.wantLog(rpc.LogRequest{}, "tag v1 gone", "alias live gone", "alias stage live",
		"default:c resolved *", "merge default stage {1 1 0 0 0 0}", "default:c",
		"default:old reverted *", "default:app/new deleted reverted *", "default:app/k reverted *",
		"merge default stage [] [env/*] {1 1 1 0 0 0}", "fork some default some [app/*] [] cut", "fork stage default s",
		"default:app/k", "tag v1 cut", "default:old", "default:app/k", "member a admin")
	l.wantLog(rpc.LogRequest{KeyRef: rpc.KeyRef{Fork: "stage"}}, slices.Concat(rest, []string{
		"merge default stage {1 1 0 0 0 0}", "stage:c *", "merge default stage [] [env/*] {1 1 1 0 0 0}",
		"stage:old deleted *", "stage:env/zone *", "stage:app/new *", "stage:app/k *", "fork stage default s",
	})...)
	l.wantLog(rpc.LogRequest{KeyRef: rpc.KeyRef{Fork: "some"}}, "tag v1 gone", "alias live gone", "alias stage live", "fork some default some [app/*] [] cut")
	// Below a prefix stands what the fork shows, wherever it was written.
	l.wantLog(rpc.LogRequest{KeyRef: rpc.KeyRef{Fork: "stage", Key: "app/"}}, "stage:app/new *", "stage:app/k *", "stage:app/k", "stage:app/k")
	l.wantLog(rpc.LogRequest{KeyRef: rpc.KeyRef{Fork: "some", Key: "app/"}}, "some:app/k *")
	all := l.logged(rpc.LogRequest{All: true})
	if len(all) != 25 || !slices.Contains(all, "stage:env/zone *") || !slices.Contains(all, "default:c resolved *") {
		t.Errorf("the log of all forks:\n%s", strings.Join(all, "\n"))
	}
	l.wantLog(rpc.LogRequest{Author: "ann"}, "merge default stage [] [env/*] {1 1 1 0 0 0}")
	for range l.Log(t.Context(), rpc.LogRequest{Author: "ann"}) {
		break // wants no more
	}
}

// TestLogPages: every entry of a log has a cursor that continues behind it.
func TestLogPages(t *testing.T) {
	l := busy(t)
	for _, q := range []rpc.LogRequest{{}, {All: true}, {KeyRef: rpc.KeyRef{Fork: "stage"}}, {KeyRef: rpc.KeyRef{Key: "app/"}}, {KeyRef: rpc.KeyRef{Key: "app/k"}}} {
		whole := l.logged(q)
		i := 0
		for e, err := range l.Log(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			i++
			next := q
			next.After = e.Cursor
			if got := l.logged(next); !slices.Equal(got, whole[i:]) {
				t.Errorf("%+v behind %s: %q, want %q", q, e.Cursor, got, whole[i:])
			}
		}
	}
	for _, bad := range []string{"x", "1", "1.x", "-1.2"} {
		for _, q := range []rpc.LogRequest{{After: bad}, {KeyRef: rpc.KeyRef{Key: "app/k"}, After: bad}} {
			for _, err := range l.Log(t.Context(), q) {
				if !errors.Is(err, rpc.ErrInvalid) {
					t.Errorf("cursor %q: %v", bad, err)
				}
			}
		}
	}
	for _, err := range l.Log(t.Context(), rpc.LogRequest{All: true, KeyRef: rpc.KeyRef{Key: "k"}}) {
		if !errors.Is(err, rpc.ErrInvalid) {
			t.Errorf("all forks and a key: %v", err)
		}
	}
}

// TestLogGraph: a fork's graph has what it came from, and what each change
// stands on.
func TestLogGraph(t *testing.T) {
	l := busy(t)
	newest := map[string]int{}
	graph := func(q rpc.LogRequest) (out []string) {
		t.Helper()
		clear(newest)
		q.Graph = 100
		place, last := map[dag.BlockID]int{}, dag.BlockID{}
		for e, err := range l.Log(t.Context(), q) {
			if err != nil || e.Cursor != "" || e.Before == nil {
				t.Fatalf("%+v %v", e, err)
			}
			if e.Block != last {
				place[e.Block], last = len(place), e.Block
			}
			out = append(out, fmt.Sprintf("%d %s", place[e.Block], entryLine(&e)))
			newest[fmt.Sprint(e.Newest)] = place[e.Block]
		}
		i := 0
		for e := range l.Log(t.Context(), q) { // every block is known by now
			for _, id := range e.Before {
				out[i] += fmt.Sprint(" -", place[id])
			}
			i++
		}
		return out
	}
	want := []string{
		"0 default:c resolved * -2 -1", "0 merge default stage {1 1 0 0 0 0} -2 -1", "1 stage:c * -5", "2 default:c -3",
		"3 default:old reverted * -4", "3 default:app/new deleted reverted * -4", "3 default:app/k reverted * -4",
		"4 merge default stage [] [env/*] {1 1 1 0 0 0} -10 -5", "5 stage:old deleted * -6", "6 stage:env/zone * -7", "7 stage:app/new * -8",
		"8 stage:app/k * -9", "9 fork stage default s -10", "10 default:app/k -11", "11 default:old -12", "12 default:app/k",
	}
	if got := graph(rpc.LogRequest{}); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(newest) != 2 || newest["[default]"] != 0 { // that of stage is elsewhere
		t.Errorf("the newest: %v", newest)
	}
	all := graph(rpc.LogRequest{All: true})
	if newest["[stage]"] != 0 || newest["[default]"] != 2 || newest["[some]"] != 11 {
		t.Errorf("the newest: %v", newest)
	}
	if len(all) != 19 || all[0] != "0 restore stage -1" || !slices.Contains(all, "11 fork some default some [app/*] [] cut -14") {
		t.Errorf("all:\n%s", strings.Join(all, "\n"))
	}
	for _, q := range []rpc.LogRequest{{Graph: -1}, {Graph: 1, After: "1.1"}} {
		for _, err := range l.Log(t.Context(), q) {
			if !errors.Is(err, rpc.ErrInvalid) {
				t.Errorf("%+v: %v", q, err)
			}
		}
	}
}

// TestLogOfManyBlocks: a change that was too big for one block stands in the
// log of its fork, and with the keys below a prefix.
func TestLogOfManyBlocks(t *testing.T) {
	l := newLab(t, "a")
	value := []byte(strings.Repeat("x", 3<<20))
	files := []rpc.File{{Key: "p/a", Value: value}, {Key: "p/b", Value: value}, {Key: "p/c", Value: value}}
	if _, err := l.Apply(t.Context(), rpc.ApplyRequest{Files: files}); err != nil {
		t.Fatal(err)
	}
	l.wantLog(rpc.LogRequest{}, "merge default {3 0 0 0 0 0}", "default:p/c *", "default:p/b *", "default:p/a *", "member a admin")
	parts := l.logged(rpc.LogRequest{Graph: 10})
	if len(parts) != 5 || parts[0] != "merge default {3 0 0 0 0 0}" || parts[4] != "fork default" {
		t.Errorf("its graph: %q", parts)
	}
	l.wantLog(rpc.LogRequest{KeyRef: rpc.KeyRef{Key: "p/"}}, "default:p/c *", "default:p/b *", "default:p/a *")
}

// TestCountsOfManyKeys: a merge of very many keys is not counted key by key.
func TestCountsOfManyKeys(t *testing.T) {
	l := newLab(t, "a")
	l.fork("s", "")
	var files []rpc.File
	for i := range countLimit + 1 {
		files = append(files, rpc.File{Key: fmt.Sprint("k", i)})
	}
	if _, err := l.Apply(t.Context(), rpc.ApplyRequest{Fork: "s", Files: files}); err != nil {
		t.Fatal(err)
	}
	l.merge("s", "default", "")
	l.wantLog(rpc.LogRequest{}, fmt.Sprintf("merge default s {0 0 0 0 0 %d}", countLimit+1), "fork s default s", "member a admin")
}
