package rpc

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"crush/crdt"
)

func TestClientPaths(t *testing.T) {
	r := serve(t, nil)
	ctx, c := t.Context(), r.client
	key := KeyRef{Key: "app/config"}
	if _, err := c.Put(ctx, PutRequest{KeyRef: key, Kind: crdt.JSON, Value: []byte(`{"a~b":{"/":"text"},"n":3.10}`)}); err != nil {
		t.Fatal(err)
	}
	odd := crdt.Root.Member("a~b").Member("/")
	e, err := c.Get(ctx, GetRequest{KeyRef: key, Path: odd})
	if err != nil || string(e.Value) != "text" || string(e.Document) != `"text"` {
		t.Errorf("got %q, %q, %v", e.Value, e.Document, err)
	}
	if e, err = c.Get(ctx, GetRequest{KeyRef: key, Path: "/n"}); err != nil || string(e.Document) != "3.10" {
		t.Errorf("got %q, %v", e.Document, err)
	}
	if _, err = c.Get(ctx, GetRequest{KeyRef: key, Path: "/x"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if _, err = c.Put(ctx, PutRequest{KeyRef: key, Path: odd, Value: []byte("lit"), Kind: crdt.Text, Base: "t"}); err != nil {
		t.Errorf("got %v", err)
	}
	if got := r.fake.last.(PutRequest); got.Path != odd || string(got.Value) != "lit" || got.Kind != crdt.Text || got.Base != "t" {
		t.Errorf("got %+v", got)
	}
	if _, err = c.Delete(ctx, DeleteRequest{KeyRef: key, Path: odd}); err != nil || r.fake.last.(DeleteRequest).Path != odd {
		t.Errorf("got %v, %+v", err, r.fake.last)
	}
	if _, err = c.Delete(ctx, DeleteRequest{KeyRef: KeyRef{Key: "app/"}, Recursive: true, Path: "/a"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
	const problem = "read json: line 2, column 6: "
	if _, err = c.Put(ctx, PutRequest{KeyRef: key, Path: "/n", Value: []byte("[1,\n2,   x]")}); !errors.Is(err, ErrUnparsed) || ExitCode(err) != 1 || !strings.HasPrefix(err.Error(), problem) {
		t.Errorf("got %v", err)
	}
}

func TestOtherwise(t *testing.T) {
	r := serve(t, nil)
	if _, err := r.client.Put(t.Context(), PutRequest{KeyRef: KeyRef{Key: "k"}, Value: []byte("1"), Otherwise: crdt.YAML}); err != nil {
		t.Fatal(err)
	}
	if got := r.fake.last.(PutRequest); got.Otherwise != crdt.YAML || got.Kind != 0 {
		t.Errorf("got %+v", got)
	}
	h := NewHandler(HandlerConfig{Service: r.fake.service()})
	for _, bad := range []string{"", "thing", "kind-77"} {
		want(t, call(h, "PUT", "/api/v1/forks/default/kv/k?otherwise="+bad, nil), 400, "otherwise is")
	}
}

func TestPaths(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service()})
	const target = "/api/v1/forks/default/kv/k"
	want(t, call(h, "PUT", target, strings.NewReader(`{"s":"text","n":3.10,"o":{}}`), "Content-Type", "application/json"), 200, "revision")
	for _, test := range []struct{ path, body, content string }{
		{"/s", "text", "text/plain; charset=utf-8"},
		{"%2Fn", "3.10", "application/json"},
		{"/o", "{}", "application/json"},
	} {
		w := call(h, "GET", target+"?path="+test.path, nil)
		if w.Code != 200 || w.Body.String() != test.body || w.Header().Get("Content-Type") != test.content {
			t.Errorf("%s: got %d %s %v", test.path, w.Code, w.Body, w.Header())
		}
		if f.asked.Bare {
			t.Error("a part was read bare: whether it is a string cannot be told")
		}
	}
	if want(t, call(h, "GET", target, nil), 200, `"n":3.10`); !f.asked.Bare {
		t.Error("a whole value was not read bare")
	}
	want(t, call(h, "GET", strings.Replace(target, "/kv/", "/entry/", 1)+"?path=/n", nil), 200, `"value":"3.10","document":3.10,`)
	want(t, call(h, "GET", target+"?path=/x", nil), 404, "nothing stands at /x")
	want(t, call(h, "PUT", target+"?path=/s", strings.NewReader("word")), 422, `{"error":{"code":"unparsable","message":"read json: line 1, column 1: `)
	f.last = nil
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		for path, part := range map[string]string{
			"": `\"path\" is empty`, "a": "want a leading /", "/a/": "the empty name is spelled ~3", "/a~b": "want ~0 for ~ and ~1 for /",
			"/[a": "want a closing ]", "/%ff": "not valid UTF-8", "/a&path=/b": "stands twice", strings.Repeat("/a", 501): "deeper than",
		} {
			want(t, call(h, method, target+"?path="+path, nil), 400, part)
		}
	}
	want(t, call(h, "DELETE", "/api/v1/forks/default/kv?prefix=a/&path=/b", nil), 400, `\"path\" is not known here`)
	if f.last != nil {
		t.Errorf("a bad request came through: %+v", f.last)
	}
}

func TestClientElements(t *testing.T) {
	r := serve(t, nil)
	ctx, c := t.Context(), r.client
	key := KeyRef{Key: "hits"}
	for _, by := range []int64{5, -5, 0, math.MinInt64, math.MaxInt64} {
		n, err := c.Increment(ctx, IncrementRequest{KeyRef: key, Claim: Claim{Author: "ann", Message: "m"}, By: by})
		if err != nil || n.Total != "5" || n.Token == "" || n.Revision.IsZero() {
			t.Fatalf("got %+v, %v", n, err)
		}
		if got := r.fake.last.(IncrementRequest); got.By != by || got.Key != "hits" || got.Author != "ann" || got.Message != "m" {
			t.Errorf("got %+v", got)
		}
	}
	key.Key = "team/on call"
	if all, err := c.Elements(ctx, key); err != nil || len(all) != 0 {
		t.Errorf("got %q, %v", all, err)
	}
	odd := []string{"", "<\n>", "{\"error\":1}", "é"}
	if _, err := c.ChangeSet(ctx, ElementsRequest{KeyRef: key, Claim: Claim{Author: "ann"}, Add: append(odd, "b")}); err != nil {
		t.Fatal(err)
	}
	w, err := c.ChangeSet(ctx, ElementsRequest{KeyRef: key, Add: []string{"a"}, Remove: []string{"b"}})
	if got := r.fake.last.(ElementsRequest); err != nil || w.Token == "" || got.Remove[0] != "b" || got.Add[0] != "a" || got.Key != key.Key {
		t.Errorf("got %+v, %v, %+v", w, err, got)
	}
	all, err := c.Elements(ctx, key)
	if want := slices.Sorted(slices.Values(append(odd, "a"))); err != nil || !slices.Equal(all, want) {
		t.Errorf("got %q, %v; want %q", all, err, want)
	}
	if _, err := c.ChangeSet(ctx, ElementsRequest{KeyRef: key, Add: []string{"a"}, IfMatch: "t"}); err != nil || r.fake.last.(ElementsRequest).IfMatch != "t" {
		t.Errorf("got %+v, %v", r.fake.last, err)
	}
	if _, err := c.Increment(ctx, IncrementRequest{KeyRef: KeyRef{Key: "hits"}, Base: "t"}); err != nil || r.fake.last.(IncrementRequest).Base != "t" {
		t.Errorf("got %+v, %v", r.fake.last, err)
	}
	r.fake.last = nil
	for _, bad := range []ElementsRequest{{}, {Add: []string{"\xff"}}, {Remove: []string{"\xff"}}, {Add: []string{"a"}, Remove: []string{"a"}}} {
		if bad.Key = "k"; r.fake.last != nil {
			t.Errorf("%+v came through", bad)
		}
		if _, err := c.ChangeSet(ctx, bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := c.Elements(ctx, KeyRef{"nosuch", "k"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestElements(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service()})
	const set, incr = "/api/v1/forks/default/set/k", "/api/v1/forks/default/incr/a/b"
	for body, part := range map[string]string{
		`{}`: "nothing to add", ``: "does not parse", `[]`: "does not parse", `{"add":"a"}`: "does not parse", `{"put":["a"]}`: "unknown field",
		`{"add":["a"],"remove":["b","a"]}`: `the element \"a\" is to be added and removed`, `{"add":["a"],"add":["b"]}`: `the name \"add\" is there twice`,
		"{\"add\":[\"\xff\"]}": "UTF-8", `{"add":["\ud800"]}`: "line 1, column 10", `{"add":["a"]} {}`: "does not parse",
	} {
		want(t, call(h, "POST", set, strings.NewReader(body)), 400, part)
	}
	for by, part := range map[string]string{"x": "a whole number", "": "is empty", "1.5": "a whole number", "9223372036854775808": "a whole number"} {
		want(t, call(h, "POST", incr+"?by="+by, nil), 400, part)
	}
	want(t, call(h, "POST", incr, nil, "If-None-Match", "*"), 400, "makes no sense")
	want(t, call(h, "POST", set, strings.NewReader(`{"add":["a"]}`), "If-Match", "t", "Crush-Base", "t"), 400, "at most one")
	if f.last != nil {
		t.Errorf("a bad request came through: %+v", f.last)
	}
	want(t, call(h, "POST", incr, nil), 200, `"total":"5"`)
	if got := f.last.(IncrementRequest); got.By != 1 || got.Key != "a/b" {
		t.Errorf("got %+v", got)
	}
	w := call(h, "POST", incr+"?by=-7", nil)
	if got := f.last.(IncrementRequest); got.By != -7 || etag(w) == "" || w.Header().Get("Crush-Revision") == "" {
		t.Errorf("got %+v, %v", got, w.Header())
	}
	want(t, call(h, "POST", set, strings.NewReader(`{"add":["c","a","b"]}`)), 200, "token")
	want(t, call(h, "GET", set, nil), 200, `{"elements":["a","b","c"]}`)
	want(t, call(h, "GET", set+"?limit=2", nil), 200, `{"elements":["a","b"],"next":"b"}`)
	want(t, call(h, "GET", set+"?limit=2&after=b", nil), 200, `{"elements":["c"]}`)
	want(t, call(h, "GET", set+"?after=aa", nil), 200, `{"elements":["b","c"]}`)
	want(t, call(h, "GET", set, nil, "Accept", contentLines), 200, "\"a\"\n\"b\"\n\"c\"\n")
	for _, bad := range []string{"GET", "POST"} {
		want(t, call(h, bad, "/api/v1/forks/default/set/%00", strings.NewReader(`{"add":["a"]}`)), 400, "NUL")
	}
	want(t, call(h, "POST", "/api/v1/forks/default/incr/%00", nil), 400, "NUL")
	want(t, call(h, "GET", "/api/v1/forks/default/blame/%00", nil), 400, "NUL")
}

func TestBlame(t *testing.T) {
	r := serve(t, nil)
	ctx, c := t.Context(), r.client
	key := KeyRef{Key: "a/motd"}
	if _, err := c.Put(ctx, PutRequest{KeyRef: key, Claim: Claim{Author: "ann", Message: "m"}, Kind: crdt.Text, Value: []byte("one\ntwo\nthree\n")}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for l, err := range c.Blame(ctx, key) {
		if err != nil || l.Line != len(got)+1 || l.Author != "ann" || l.Message != "m" || l.Revision.IsZero() || l.Time.IsZero() {
			t.Fatalf("got %+v, %v", l, err)
		}
		got = append(got, string(l.Value))
	}
	if !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Errorf("got %q", got)
	}
	for _, k := range []string{"nosuch", "", "\x00"} {
		n := 0
		for _, err := range c.Blame(ctx, KeyRef{Key: k}) {
			if n++; !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrInvalid) {
				t.Errorf("%q: %v", k, err)
			}
		}
		if n != 1 {
			t.Errorf("%q: %d lines", k, n)
		}
	}
	h := NewHandler(HandlerConfig{Service: r.fake.service()})
	const target = "/api/v1/forks/default/blame/a/motd"
	page := call(h, "GET", target+"?limit=2", nil)
	want(t, page, 200, `{"blame":[{"line":1,"value":"one",`)
	want(t, page, 200, `],"next":"2"}`)
	want(t, call(h, "GET", target+"?limit=2&after=2", nil), 200, `{"blame":[{"line":3,`)
	want(t, call(h, "GET", target+"?limit=1&after=1", nil), 200, `],"next":"2"}`)
	want(t, call(h, "GET", target+"?after=-1", nil), 400, "the member next")
}
