package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"crush/crdt"
	"crush/dag"
)

func TestClientForks(t *testing.T) {
	r := serve(t, nil)
	ctx, c := t.Context(), r.client
	filter := &Filter{Keys: []string{"svc/api"}, Scopes: []string{"app/**"}, Skips: []string{"env/*"}}
	made, err := c.CreateFork(ctx, ForkRequest{Name: "team/a.b", At: "v1", Filter: filter, Claim: Claim{Author: "ann", Message: "why\né"}})
	if err != nil || made.Name != "team/a.b" || made.ID != dag.NamedFork("team/a.b") || !reflect.DeepEqual(made.From[0].Filter, filter) {
		t.Fatalf("got %+v, %v", made, err)
	}
	if got := r.fake.last.(ForkRequest); got.Claim != (Claim{Author: "ann", Message: "why\né"}) || got.At != "v1" || got.From != "" {
		t.Errorf("got %+v", got)
	}
	if _, err := c.CreateFork(ctx, ForkRequest{Name: "b", From: "nosuch"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	renamed, err := c.RenameFork(ctx, ForkChange{Fork: "team/a.b", Name: "blue"})
	if err != nil || renamed.Name != "blue" {
		t.Errorf("got %+v, %v", renamed, err)
	}
	r.fake.unmerged["blue"] = true
	if _, err := c.RemoveFork(ctx, ForkChange{Fork: "blue"}); !errors.Is(err, ErrConflict) || ExitCode(err) != 3 {
		t.Errorf("got %v", err)
	}
	gone, err := c.RemoveFork(ctx, ForkChange{Fork: "blue", Force: true, Claim: Claim{Author: "bob"}})
	if err != nil || !gone.Deleted {
		t.Errorf("got %+v, %v", gone, err)
	}
	if got := r.fake.last.(ForkChange); !got.Force || got.Author != "bob" || got.Fork != "blue" {
		t.Errorf("got %+v", got)
	}
	if f, err := c.ShowFork(ctx, "blue"); err != nil || !f.Deleted {
		t.Errorf("got %+v, %v", f, err)
	}
	if f, err := c.RestoreFork(ctx, ForkChange{Fork: "blue"}); err != nil || f.Deleted {
		t.Errorf("got %+v, %v", f, err)
	}
	all, err := c.Forks(ctx)
	if err != nil || len(all) != 2 || all[0].Name != "blue" || all[1].ID != dag.DefaultFork() {
		t.Errorf("got %+v, %v", all, err)
	}
	for name, want := range map[string]string{"": "default", "blue": "blue", dag.NamedFork("blue").String(): "blue", "live": "blue"} {
		r.fake.pointers["live"] = PointerInfo{Name: "live", Fork: "blue"}
		if f, err := c.ShowFork(ctx, name); err != nil || f.Name != want {
			t.Errorf("%s: got %+v, %v", name, f, err)
		}
	}
	if _, err := c.ShowFork(ctx, "nosuch"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	c.Fork = "blue" // must not stand for what was not named
	for _, change := range []func() (ForkInfo, error){
		func() (ForkInfo, error) { return c.RemoveFork(ctx, ForkChange{Force: true}) },
		func() (ForkInfo, error) { return c.RestoreFork(ctx, ForkChange{}) },
		func() (ForkInfo, error) { return c.RenameFork(ctx, ForkChange{Name: "n"}) },
	} {
		if _, err := change(); !errors.Is(err, ErrInvalid) {
			t.Errorf("got %v", err)
		}
	}
}

func TestFindFork(t *testing.T) {
	forks := []ForkInfo{
		{ID: dag.ForkID{1}, Name: "a", Deleted: true},
		{ID: dag.ForkID{2}, Name: "a", Labels: []string{"a", "b"}, Clash: true},
		{ID: dag.ForkID{3}, Name: "a~03", Labels: []string{"a"}, Clash: true},
		{ID: dag.ForkID{4}, Name: "gone", Deleted: true},
	}
	for name, want := range map[string]byte{"a": 2, "b": 2, "a~03": 3, "gone": 4, dag.ForkID{1}.String(): 1, "c": 0} {
		got := findFork(forks, name)
		if want == 0 && got != nil || want != 0 && (got == nil || got.ID[0] != want) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// putAll writes keys on forks, which it makes.
func putAll(t *testing.T, f *fake, forks map[string][]string) {
	t.Helper()
	for fork, pairs := range forks {
		for _, pair := range pairs {
			key, value, _ := strings.Cut(pair, "=")
			if _, err := f.Put(t.Context(), PutRequest{KeyRef: KeyRef{fork, key}, Value: []byte(value), CreateFork: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestClientLogs(t *testing.T) {
	r := serve(t, nil)
	ctx, c := t.Context(), r.client
	c.Fork = "staging" // of which all forks are not
	for _, err := range c.Log(ctx, LogRequest{All: true, Author: "ann"}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := r.fake.last.(LogRequest); !got.All || got.Fork != "" || got.Author != "ann" {
		t.Errorf("got %+v", got)
	}
	for range c.Log(ctx, LogRequest{Graph: 7}) {
	}
	if got := r.fake.last.(LogRequest); got.Graph != 7 || got.Fork != "staging" || got.All {
		t.Errorf("got %+v", got)
	}
	for _, n := range []int{-1, mostGraph + 1} {
		for _, err := range c.Log(ctx, LogRequest{Graph: n}) {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("a graph of %d: %v", n, err)
			}
		}
	}
	for _, q := range []LogRequest{{All: true, KeyRef: KeyRef{Key: "k"}}, {All: true, KeyRef: KeyRef{Fork: "f"}}} {
		for _, err := range c.Log(ctx, q) {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%+v: %v", q, err)
			}
		}
	}
	r.fake.pointers["live/a"] = PointerInfo{Name: "live/a", Fork: "blue"}
	for _, test := range []struct {
		name, after string
		want        int
	}{{"live/a", "", 1}, {"live/a", "1", 0}} {
		n := 0
		for e, err := range c.AliasLog(ctx, test.name, test.after) {
			if n++; err != nil || e.Operation.Fork != "blue" || e.Operation.Name != test.name {
				t.Errorf("got %+v, %v", e, err)
			}
		}
		if n != test.want {
			t.Errorf("%+v: %d entries", test, n)
		}
	}
	for name, want := range map[string]error{"none": ErrNotFound, "": ErrInvalid} {
		for _, err := range c.AliasLog(ctx, name, "") {
			if !errors.Is(err, want) {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
}

func TestClientMerge(t *testing.T) {
	r := serve(t, nil)
	ctx, c := t.Context(), r.client
	putAll(t, r.fake, map[string][]string{"default": {"k=1", "z=<0>"}, "staging": {"k=2", "new=3", "z=<0>"}})
	plan, err := c.Merge(ctx, MergeRequest{Source: "staging", Into: "default", Plan: true})
	if err != nil || plan.Applied || plan.Plan == "" || len(plan.Clean) != 1 || string(plan.Conflicts[0].Sides[1].Value) != "2" {
		t.Fatalf("got %+v, %v", plan, err)
	}
	stopped, err := c.Merge(ctx, MergeRequest{Source: "staging", Into: "default", Claim: Claim{Author: "ann", Message: "m"}})
	if !errors.Is(err, ErrConflict) || ExitCode(err) != 3 || err.Error() != "merge: the merge stops for conflicts" || !reflect.DeepEqual(stopped, plan) {
		t.Errorf("got %+v, %v", stopped, err)
	}
	stale, err := c.Merge(ctx, MergeRequest{Source: "staging", Into: "default", Apply: "other"})
	if !errors.Is(err, ErrStale) || ExitCode(err) != 4 || !reflect.DeepEqual(stale, plan) {
		t.Errorf("got %+v, %v", stale, err)
	}
	// A plan longer than other errors may be.
	putAll(t, r.fake, map[string][]string{"default": {"long=v"}, "staging": {"long=" + strings.Repeat("<\xff>", maxErrorBody)}})
	long, err := c.Merge(ctx, MergeRequest{Source: "staging", Into: "default"})
	if !errors.Is(err, ErrConflict) || len(long.Conflicts) != 2 || len(long.Conflicts[1].Sides[1].Value) != 3*maxErrorBody {
		t.Errorf("got %d conflicts, %v", len(long.Conflicts), err)
	}
	if m, err := c.Merge(ctx, MergeRequest{Source: "nosuch", Into: "default"}); !errors.Is(err, ErrNotFound) || m.Plan != "" {
		t.Errorf("got %+v, %v", m, err)
	}
	done, err := c.Merge(ctx, MergeRequest{
		Source: "staging", Into: "default", OnConflict: OnConflictTheirs, Apply: long.Plan, Skip: []string{"env/**"}, Reject: []string{"r"},
		Resolve: []Resolution{{Key: "a", Side: "b"}, {Key: "b", Value: &[]byte{0xff}}, {Key: "c", Value: &[]byte{}}}, Claim: Claim{Author: "ann", Message: "m"},
	})
	if err != nil || !done.Applied || done.Block == nil || len(done.Settled) != 2 {
		t.Errorf("got %+v, %v", done, err)
	}
	got := r.fake.last.(MergeRequest)
	if got.Claim != (Claim{Author: "ann", Message: "m"}) || string(*got.Resolve[1].Value) != "\xff" || *got.Resolve[2].Value == nil || got.Resolve[0].Value != nil {
		t.Errorf("got %+v", got)
	}
}

func TestMergeStops(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service()})
	putAll(t, f, map[string][]string{"default": {"k=1"}, "staging": {"k=2"}})
	const plan = `"plan":{"plan":"plan2","source":"staging","into":"default","clean":[],"skipped":[],"conflicts":[{"key":"k",`
	want(t, call(h, "POST", "/api/v1/merge", strings.NewReader(`{"source":"staging","into":"default"}`)), 409,
		`{"error":{"code":"conflict","message":"merge: the merge stops for conflicts"},`+plan)
	want(t, call(h, "POST", "/api/v1/forks/default/merge", strings.NewReader(`{"source":"staging"}`)), 409, plan)
	want(t, call(h, "POST", "/api/v1/merge", strings.NewReader(`{"source":"staging","into":"default","apply":"x"}`)), 412, plan)
	w := call(h, "POST", "/api/v1/merge", strings.NewReader(`{"source":"nosuch","into":"default"}`))
	if want(t, w, 404, `"code":"not_found"`); strings.Contains(w.Body.String(), "plan") {
		t.Errorf("got %s", w.Body)
	}
}

func TestClientConflicts(t *testing.T) {
	r := serve(t, nil)
	ctx, c := t.Context(), r.client
	for i, key := range []string{"a/1", "a/2", "b"} {
		r.fake.open = append(r.fake.open, Conflict{
			Key: key, Fork: "default", ID: crdt.ConflictID{byte(i + 1)}, State: crdt.ConflictState{9}, Path: "/", Kind: "value", Sides: []Side{testSide, testSide},
		})
	}
	all := slices.Clone(r.fake.open)
	read := func(fork, prefix string) (out []Conflict, err error) {
		for v, e := range c.Conflicts(ctx, fork, prefix) {
			if err = e; err == nil {
				out = append(out, v)
			}
		}
		return out, err
	}
	if got, err := read("", ""); err != nil || !reflect.DeepEqual(got, all) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := read("default", "a/"); err != nil || len(got) != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := read("nosuch", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Resolve(ctx, ResolveRequest{KeyRef: KeyRef{Key: "b"}, State: "old", Take: "a"}); !errors.Is(err, ErrStale) {
		t.Errorf("got %v", err)
	}
	w, err := c.Resolve(ctx, ResolveRequest{ID: all[0].ID.String(), State: all[0].State.String(), Value: new([]byte), Claim: Claim{Author: "ann"}})
	if err != nil || w.Settled != 2 || w.Token == "" {
		t.Errorf("got %+v, %v", w, err)
	}
	if got := r.fake.last.(ResolveRequest); got.Value == nil || len(*got.Value) != 0 || got.Author != "ann" || got.Key != "" {
		t.Errorf("got %+v", got)
	}
	if _, err := c.Resolve(ctx, ResolveRequest{KeyRef: KeyRef{Key: "b"}, Delete: true}); err != nil {
		t.Errorf("got %v", err)
	}
	c.Fork = "elsewhere"
	if _, err := c.Resolve(ctx, ResolveRequest{KeyRef: KeyRef{Key: "a/2"}, Take: "a"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Resolve(ctx, ResolveRequest{ID: all[1].ID.String(), Take: "a"}); err != nil || len(r.fake.open) != 0 {
		t.Errorf("got %v", err)
	}
}

func TestClientDiffAndPick(t *testing.T) {
	r := serve(t, nil)
	ctx, c := t.Context(), r.client
	putAll(t, r.fake, map[string][]string{"default": {"both=1", "gone=x", "same=s"}, "b": {"both=\xff", "new=", "same=s"}})
	var got []Difference
	for d, err := range c.Diff(ctx, DiffRequest{A: "default", B: "b"}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, d)
	}
	if want := []Difference{{Key: "both", Change: "changed", A: []byte("1"), B: []byte{0xff}, KindA: crdt.Bytes, KindB: crdt.Bytes}, {Key: "gone", Change: "deleted", A: []byte("x"), KindA: crdt.Bytes}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	for _, err := range c.Diff(ctx, DiffRequest{A: "default@2026-01-01T00:00:00Z", B: "nosuch", Key: "a/"}) {
		if !errors.Is(err, ErrNotFound) || r.fake.last.(DiffRequest) != (DiffRequest{"default@2026-01-01T00:00:00Z", "nosuch", "a/"}) {
			t.Errorf("got %v, %+v", err, r.fake.last)
		}
	}
	e, _ := c.Get(ctx, GetRequest{KeyRef: KeyRef{"b", "both"}})
	w, err := c.Pick(ctx, PickRequest{Revision: Ref(e.Revision.String()), Into: "default", Claim: Claim{Author: "ann"}})
	if err != nil || w.Revision.IsZero() || r.fake.last.(PickRequest).Author != "ann" {
		t.Errorf("got %+v, %v", w, err)
	}
	if e, err = c.Get(ctx, GetRequest{KeyRef: KeyRef{Key: "both"}}); err != nil || string(e.Value) != "\xff" {
		t.Errorf("got %+v, %v", e, err)
	}
}

func TestClientPointers(t *testing.T) {
	r := serve(t, nil)
	ctx, c := t.Context(), r.client
	tag, err := c.Tag(ctx, PointRequest{Name: "v1/a.b", At: "abcdef", Claim: Claim{Author: "ann", Message: "m"}})
	if err != nil || tag.Name != "v1/a.b" || len(tag.Cut) != 1 {
		t.Errorf("got %+v, %v", tag, err)
	}
	if got := r.fake.last.(PointRequest); got != (PointRequest{Name: "v1/a.b", At: "abcdef", Claim: Claim{Author: "ann", Message: "m"}}) {
		t.Errorf("got %+v", got)
	}
	if a, err := c.Alias(ctx, PointRequest{Name: "live", Fork: "blue"}); err != nil || a.Fork != "blue" {
		t.Errorf("got %+v, %v", a, err)
	}
	if _, err := c.Alias(ctx, PointRequest{Name: "live", Fork: "green", Expect: "red"}); !errors.Is(err, ErrStale) {
		t.Errorf("got %v", err)
	}
	if a, err := c.Alias(ctx, PointRequest{Name: "live", Fork: "green", Expect: "blue"}); err != nil || a.Fork != "green" {
		t.Errorf("got %+v, %v", a, err)
	}
	tags, err := c.Tags(ctx)
	aliases, err2 := c.Aliases(ctx)
	if err != nil || err2 != nil || len(tags) != 1 || len(aliases) != 1 || aliases[0].Name != "live" {
		t.Errorf("got %+v, %v, %+v, %v", tags, err, aliases, err2)
	}
	if _, err := c.Alias(ctx, PointRequest{Name: "live", Expect: "blue", Remove: true}); !errors.Is(err, ErrStale) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Alias(ctx, PointRequest{Name: "live", Expect: "green", Remove: true}); err != nil {
		t.Errorf("got %v", err)
	}
	if _, err := c.Tag(ctx, PointRequest{Name: "v1/a.b", Remove: true, Claim: Claim{Author: "bob"}}); err != nil || r.fake.last.(PointRequest).Author != "bob" {
		t.Errorf("got %v", err)
	}
	if _, err := c.Tag(ctx, PointRequest{Name: "v1/a.b", Remove: true}); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	for _, bad := range []PointRequest{{}, {Remove: true}, {Name: "a b"}, {Name: "n", Fork: "f", At: "x"}} {
		_, err := c.Tag(ctx, bad)
		_, err2 := c.Alias(ctx, bad)
		if !errors.Is(err, ErrInvalid) || !errors.Is(err2, ErrInvalid) {
			t.Errorf("%+v: %v, %v", bad, err, err2)
		}
	}
}

func TestClientResets(t *testing.T) {
	r := serve(t, nil)
	ctx, c := t.Context(), r.client
	c.Fork = "mine"
	got, err := c.Reset(ctx, ResetRequest{Prefix: "app/", To: "v1", Plan: true, Claim: Claim{Author: "ann"}})
	if err != nil || !got.Plan || got.Keys != 1 || got.Changed[0] != (MergedKey{"app/k", "changed"}) || got.Block != (dag.BlockID{4}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if sent := r.fake.last.(ResetRequest); sent != (ResetRequest{Fork: "mine", Prefix: "app/", To: "v1", Plan: true, Claim: Claim{Author: "ann"}}) {
		t.Errorf("got %+v", sent)
	}
	if _, err := c.Reset(ctx, ResetRequest{Fork: "f", To: "v1"}); err != nil || r.fake.last.(ResetRequest).Fork != "f" {
		t.Errorf("got %v", err)
	}
	if got, err := c.Undo(ctx, UndoRequest{Fork: "f", Block: "abcdef", Claim: Claim{Message: "m"}}); err != nil || !got.Unchanged || got.Changed == nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if sent := r.fake.last.(UndoRequest); sent != (UndoRequest{Fork: "f", Block: "abcdef", Claim: Claim{Author: sent.Author, Message: "m"}}) {
		t.Errorf("got %+v", sent)
	}
}

func TestListsOfForks(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service(), Limits: Limits{Page: 2, MaxPage: 3}})
	putAll(t, f, map[string][]string{"b": {"k1=v", "k2=v", "k3=v"}})
	for _, at := range [][2]string{{"b", "k1"}, {"b", "k10"}, {"default", "a"}} {
		f.open = append(f.open, Conflict{Fork: at[0], Key: at[1], Path: "/"})
	}
	var keys []string
	after := ""
	for range 2 {
		var page struct {
			Conflicts []Conflict
			Next      string
		}
		w := call(h, "GET", "/api/v1/conflicts?limit=2&after="+after, nil)
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
		for _, c := range page.Conflicts {
			keys = append(keys, c.Key)
		}
		after = page.Next
	}
	if got := fmt.Sprint(keys, after); got != "[k1 k10 a]" {
		t.Errorf("got %s", got)
	}
	want(t, call(h, "GET", "/api/v1/forks/default/conflicts", nil), 200, `{"conflicts":[{"key":"a",`)
	want(t, call(h, "GET", "/api/v1/conflicts?prefix=none", nil), 200, `{"conflicts":[]}`)
	lines := func(w *httptest.ResponseRecorder) int { return strings.Count(w.Body.String(), "\n") }
	if w := call(h, "GET", "/api/v1/conflicts?fork=b", nil, "Accept", contentLines); lines(w) != 2 {
		t.Errorf("got %s", w.Body)
	}
	want(t, call(h, "GET", "/api/v1/diff?a=default&b=b", nil), 200,
		`{"differences":[{"key":"k1","change":"created","b":"v","a_kind":"","b_kind":"bytes"},{"key":"k2","change":"created","b":"v","a_kind":"","b_kind":"bytes"}],"next":"k2"}`)
	want(t, call(h, "GET", "/api/v1/diff?a=default&b=b&after=k2", nil), 200, `{"differences":[{"key":"k3","change":"created","b":"v","a_kind":"","b_kind":"bytes"}]}`)
	want(t, call(h, "GET", "/api/v1/diff?a=b&b=b", nil), 200, `{"differences":[]}`)
	if w := call(h, "GET", "/api/v1/diff?a=default&b=b", nil, "Accept", contentLines); lines(w) != 3 {
		t.Errorf("got %s", w.Body)
	}
	want(t, call(h, "GET", "/api/v1/tags", nil), 200, `{"tags":[]}`)
	want(t, call(h, "GET", "/api/v1/aliases", nil), 200, `{"aliases":[]}`)
	want(t, call(h, "GET", "/api/v1/forks", nil), 200, `{"forks":[{"id":"`+dag.NamedFork("b").String()+`","name":"b","labels":["b"],"deleted":false,"clash":false,"from":[]}`)
}

func TestBadForkRequests(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service(), Limits: Limits{Value: 4}})
	const merge = `{"source":"a","into":"b",`
	for _, test := range []struct{ method, target, body, part string }{
		{"POST", "/forks", `{"name":""}`, "name is missing"},
		{"POST", "/forks", `{"name":"a b"}`, `cannot be called \"a b\"`},
		{"POST", "/forks", `{"name":"a","at":""}`, `\"at\" is empty`},
		{"POST", "/forks", `{"name":"a","From":""}`, `is empty`},
		{"POST", "/forks", `{"name":"a","filter":{"keys":[""]}}`, "filter: the key is empty"},
		{"POST", "/forks", `{"name":"a","filter":{"skips":[""]}}`, "a pattern is empty"},
		{"POST", "/forks", `{"name":"a","Author":"ann"}`, "unknown field"},
		{"POST", "/forks", `null`, "name is missing"},
		{"POST", "/forks", `[]`, "does not parse"},
		{"POST", "/forks/default/rename", `{"name":"~"}`, "cannot be called"},
		{"DELETE", "/forks/default?force=perhaps", ``, "true or false"},
		{"POST", "/merge", `{"into":"b"}`, "source is missing"},
		{"POST", "/merge", `{"source":"b"}`, "into is missing"},
		{"POST", "/merge", merge + `"on_conflict":"mine"}`, `on_conflict must be fail, keep, ours, theirs or lww, not \"mine\"`},
		{"POST", "/merge", merge + `"on_conflict":""}`, `\"on_conflict\" is empty`},
		{"POST", "/merge", merge + `"apply":""}`, `\"apply\" is empty`},
		{"POST", "/merge", merge + `"apply":"a plan\n"}`, `apply must be the id of a plan, not \"a plan\\n\"`},
		{"POST", "/merge", merge + `"apply":"` + strings.Repeat("a", 129) + `"}`, `apply must be the id`},
		{"POST", "/merge", merge + `"apply":"p","plan":true}`, "at most one of plan and apply"},
		{"POST", "/merge", merge + `"resolve":[{"key":"k"}]}`, `the resolution of \"k\" chooses nothing`},
		{"POST", "/merge", merge + `"resolve":[{"key":"k","side":"a","value":""}]}`, "both a side and a value"},
		{"POST", "/merge", merge + `"resolve":[{"key":"k","value":"a","value_base64":""}]}`, "both a value and a value_base64"},
		{"POST", "/merge", merge + `"resolve":[{"key":"k","size":"a"}]}`, "unknown field"},
		{"POST", "/merge", merge + `"resolve":[{"side":"a"}]}`, "resolve: the key is empty"},
		{"POST", "/merge", merge + `"resolve":[{"key":"k","side":"a"}],"reject":["k"]}`, "settled twice"},
		{"POST", "/merge", merge + `"resolve":[{"key":"k","side":"a"},{"key":"k","side":"b"}]}`, "settled twice"},
		{"POST", "/merge", merge + `"reject":[""]}`, "reject: the key is empty"},
		{"POST", "/merge", merge + `"skip":[""]}`, "skip: a key or pattern is empty"},
		{"POST", "/forks/c/merge", `{"source":"a","into":"b"}`, `into is \"b\", but the path says \"c\"`},
		{"POST", "/resolve", `{"take":"a"}`, "key is missing"},
		{"POST", "/resolve", `{"key":"k"}`, "nothing is chosen"},
		{"POST", "/resolve", `{"key":"k","take":"a","value":""}`, "only one of take, value and delete"},
		{"POST", "/resolve", `{"key":"k","take":"a","delete":true}`, "only one of take, value and delete"},
		{"POST", "/resolve", `{"key":"k","id":"i","take":"a"}`, "at most one of key and id"},
		{"POST", "/resolve", `{"id":"i","path":"/a","take":"a"}`, "at most one of path and id"},
		{"POST", "/resolve", `{"key":"k","path":"a","take":"a"}`, "want a leading /"},
		{"POST", "/resolve", `{"key":"k","path":"","take":"a"}`, "want a leading /"},
		{"POST", "/merge", merge + `"resolve":[{"key":"k","path":"/a~","side":"a"}]}`, "want ~0 for ~"},
		{"POST", "/merge", merge + `"resolve":[{"key":"k","path":"/a","side":"a"},{"key":"k","path":"/a/b","side":"b"}]}`, "settled twice"},
		{"POST", "/merge", merge + `"resolve":[{"key":"k","path":"/a/b","side":"a"},{"key":"k","path":"/a","side":"b"}]}`, "settled twice"},
		{"POST", "/merge", merge + `"resolve":[{"key":"k","path":"/a","side":"a"},{"key":"k","side":"b"}]}`, "settled twice"},
		{"POST", "/merge", merge + `"resolve":[{"key":"k","side":"a"},{"key":"k","path":"/a","side":"b"}]}`, "settled twice"},
		{"POST", "/merge", merge + `"resolve":[{"key":"k","path":"/a","side":"a"}],"reject":["k"]}`, "settled twice"},
		{"POST", "/resolve", `{"key":"k","state":"","take":"a"}`, `\"state\" is empty`},
		{"POST", "/resolve", `{"key":"k","state":"a b","take":"a"}`, "state must be"},
		{"POST", "/resolve", `{"id":"é","take":"a"}`, "id must be"},
		{"GET", "/conflicts?fork=", ``, `\"fork\" is empty`},
		{"GET", "/conflicts?after=!", ``, "the member next"},
		{"GET", "/diff?a=x", ``, "b is missing"},
		{"GET", "/diff?b=x", ``, "a is missing"},
		{"POST", "/pick", `{"into":"b"}`, "revision is missing"},
		{"POST", "/pick", `{"revision":"b"}`, "into is missing"},
		{"POST", "/tags", `{"name":"n","at":""}`, `\"at\" is empty`},
		{"POST", "/tags", `{"name":"-n"}`, "a tag cannot be called"},
		{"POST", "/aliases", `{"name":"n"}`, "fork is missing"},
		{"POST", "/aliases", `{"name":"n","fork":"f","expect":""}`, `\"expect\" is empty`},
		{"DELETE", "/aliases/n?expect=", ``, `\"expect\" is empty`},
		{"POST", "/forks/default/reset", `{"to":"x"}`, "prefix is missing"},
		{"POST", "/forks/default/reset", `{"prefix":""}`, "to is missing"},
		{"POST", "/forks/default/undo", `{"block":""}`, `\"block\" is empty`},
	} {
		w := call(h, test.method, "/api/v1"+test.target, strings.NewReader(test.body))
		if w.Code != 400 || !strings.Contains(w.Body.String(), test.part) || strings.Contains(w.Body.String(), "\n") {
			t.Errorf("%s %s %s: got %d %s", test.method, test.target, test.body, w.Code, w.Body)
		}
	}
	want(t, call(h, "POST", "/api/v1/resolve", strings.NewReader(`{"key":"k","value":"12345"}`)), 413, `the value of \"k\" is too large`)
	want(t, call(h, "POST", "/api/v1/merge", strings.NewReader(merge+`"resolve":[{"key":"k","value":"12345"}]}`)), 413, "too large")
	if f.last != nil {
		t.Errorf("a bad request came through: %+v", f.last)
	}
}

// TestOldService has none of the newer nouns.
func TestOldService(t *testing.T) {
	service := newFake().service()
	service.Forks, service.Merges, service.Pointers, service.Resets, service.AncestorForks, service.Series = nil, nil, nil, nil, nil, nil
	service.Elements, service.Blames, service.Policies, service.Purges = nil, nil, nil, nil
	h := NewHandler(HandlerConfig{Service: service})
	tried := 0
	for _, r := range routes() {
		if r.noun == nil {
			continue
		}
		tried++
		target := strings.NewReplacer("{fork}", "default", "{name}", "n", "{key...}", "k").Replace(r.pattern)
		want(t, call(h, r.method, target, strings.NewReader("{}")), 404, "this daemon serves no "+r.noun.name)
	}
	if tried < 20 {
		t.Errorf("only %d routes have a noun", tried)
	}
	for _, change := range []string{"fork", "merge"} {
		want(t, call(h, "POST", "/k/default/"+change+"/other", nil), 404,
			`{"error":"not_found","message":"this daemon serves no forks and merges","status":"error"}`)
	}
	// Forks can be shown without aliases.
	service.Forks = newFake()
	h = NewHandler(HandlerConfig{Service: service})
	want(t, call(h, "GET", "/api/v1/forks/"+url.PathEscape("a/b"), nil), 404, `there is no fork \"a/b\"`)
}
