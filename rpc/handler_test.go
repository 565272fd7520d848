package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestPathTricks(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service()})
	for _, test := range []struct {
		method, target string
		status         int
		part           string
	}{
		{"GET", "/", 400, "empty segment"},
		{"GET", "//etc", 400, "empty segment"},
		{"GET", "/key//info", 400, "empty segment"},
		{"GET", "/key/", 400, "empty segment"},
		{"GET", "/../key", 400, "%2E"},
		{"GET", "/./key", 400, "%2E"},
		{"GET", "/key/..", 400, "%2E"},
		{"GET", "/api/v1/forks/default/kv/a/../b", 400, "%2E"},
		{"GET", "/api/v1/forks/default/kv/a//b", 400, "empty segment"},
		{"GET", "/api/v1/forks//kv/a", 400, "empty segment"},
		{"PUT", "/%2E%2E", 200, "ok"},
		{"GET", "/%2e%2E", 200, `["",[]]`},
		{"PUT", "/api/v1/forks/default/kv/a%2F%2Fb%2F..%2F%2E/c", 200, "revision"},
		{"GET", "/api/v1/forks/default/keys", 200, `{"keys":["..","a//b/.././c"]}`},
		{"GET", "/%00", 400, "NUL"},
		{"GET", "/%ff", 400, "UTF-8"},
		{"GET", "/" + strings.Repeat("k", 1025), 400, "too long"},
		{"GET", "/" + strings.Repeat("k", 1024), 200, "[]"},
		{"GET", "/api/v1/forks/default/kv/%ff", 400, "UTF-8"},
		{"PUT", "/api/v1/forks/default/kv/%00", 400, "NUL"},
		{"DELETE", "/api/v1/forks/default/kv/%00", 400, "NUL"},
		{"GET", "/api/v1/forks/default/info/%00", 400, "NUL"},
		{"GET", "/api", 404, "no such route"},
		{"GET", "/api/v2/status", 404, "no such route"},
		{"GET", "/-/nothing", 404, "no such route"},
		{"GET", "/api/v1/forks/default/nothing", 404, "no such route"},
		{"POST", "/api/v1/status", 405, "it takes GET, HEAD"},
		{"PATCH", "/api/v1/forks/default/kv/a", 405, "it takes DELETE, GET, HEAD, PUT"},
		{"GET", "/api/v1/forks/default/info/a?path=/b", 400, "not known here"},
		{"GET", "/api/v1/forks/default/keys?limit=1&limit=2", 400, "stands twice"},
		{"GET", "/api/v1/forks/default/keys?limit=0", 400, "1 to 10000"},
		{"GET", "/api/v1/forks/default/keys?limit=10001", 400, "1 to 10000"},
		{"GET", "/api/v1/forks/default/kv/a?rev=abcdef&at=abcdef", 400, "at most one"},
		{"GET", "/api/v1/forks/default/entry/a?meta=perhaps", 400, "true or false"},
		{"GET", "/api/v1/forks/default/log?since=yesterday", 400, "RFC 3339"},
		{"GET", "/api/v1/forks/default/log?graph=0", 400, "up to 10000"},
		{"GET", "/api/v1/forks/default/log?graph=all", 400, "up to 10000"},
		{"GET", "/api/v1/log?prefix=a/", 400, "prefix"},
		{"GET", "/api/v1/forks/default/watch?idle=1ns", 400, "at least"},
		{"GET", "/api/v1/forks/default/watch?wait=long", 400, "duration"},
		{"GET", "/api/v1/forks/default/watch?wait=1s&state=true", 400, "do not go together"},
		{"GET", "/api/v1/forks/default/keys?%zz", 400, "query"},
		{"GET", "/api/v1/revisions/nosuchthing", 404, "no such id"},
		{"GET", "/api/v1/forks/nosuch/kv/a", 404, "not there"},
	} {
		w := call(h, test.method, test.target, nil)
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.part) {
			t.Errorf("%s %.80s: got %d %s, want %d with %s", test.method, test.target, w.Code, w.Body, test.status, test.part)
		}
		if w.Header().Get("Location") != "" {
			t.Errorf("%s: redirected to %s", test.target, w.Header().Get("Location"))
		}
	}
}

func TestConditions(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service()})
	const target = "/api/v1/forks/default/kv/k"
	absent := call(h, "GET", target, nil)
	want(t, absent, 404, `"code":"not_found"`)
	if got := etag(absent); got != `"absent"` {
		t.Errorf("ETag of an absent key: %q", got)
	}
	want(t, call(h, "PUT", target, strings.NewReader("1"), "If-Match", `"absent"`), 200, "token")
	want(t, call(h, "PUT", target, strings.NewReader("1"), "If-None-Match", "*"), 412, "stale")
	read := call(h, "GET", target, nil)
	tag := etag(read)
	want(t, call(h, "PUT", target, strings.NewReader("2"), "If-Match", `"wrong"`), 412, "stale")
	w := call(h, "GET", target, nil, "If-None-Match", `W/"x", `+tag)
	if w.Code != 304 || w.Body.Len() != 0 || etag(w) != tag {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
	want(t, call(h, "GET", target, nil, "If-None-Match", `"x"`), 200, "1")
	want(t, call(h, "PUT", target, strings.NewReader("2"), "If-Match", tag), 200, "token")
	want(t, call(h, "DELETE", target, nil, "If-Match", tag), 412, "stale")
	want(t, call(h, "DELETE", target, nil, "If-None-Match", "*"), 400, "makes no sense")
	for _, bad := range []string{`"a", "b"`, "*", `""`, strings.Repeat("t", maxToken+1)} {
		want(t, call(h, "PUT", target, nil, "If-Match", bad), 400, "If-Match")
	}
	want(t, call(h, "PUT", target, nil, "If-None-Match", "x"), 400, "must be *")
	want(t, call(h, "PUT", target, nil, "If-Match", "a", "Crush-Base", "b"), 400, "at most one")
	call(h, "PUT", target, strings.NewReader("3"), "Crush-Base", "b")
	if got := f.last.(PutRequest); got.Base != "b" || string(got.Value) != "3" {
		t.Errorf("got %+v", got)
	}
}

func TestKinds(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service()})
	const target = "/api/v1/forks/default/kv/k"
	for _, test := range []struct{ header, value, want, content string }{
		{"Content-Type", "application/octet-stream", "bytes", "application/octet-stream"},
		{"Content-Type", "application/x-www-form-urlencoded", "bytes", "application/octet-stream"},
		{"Content-Type", "Text/Plain; charset=utf-8", "text", "text/plain; charset=utf-8"},
		{"Content-Type", "application/json", "json", "application/json"},
		{"Content-Type", "application/yaml", "yaml", "application/yaml"},
		{"Crush-Kind", "set", "set", "application/octet-stream"},
	} {
		want(t, call(h, "PUT", target, strings.NewReader("1"), test.header, test.value), 200, "revision")
		w := call(h, "GET", target, nil)
		if w.Header().Get("Crush-Kind") != test.want || w.Header().Get("Content-Type") != test.content {
			t.Errorf("%s: got %v", test.value, w.Header())
		}
	}
	want(t, call(h, "PUT", target, nil, "Crush-Kind", "thing"), 400, "Crush-Kind")
	want(t, call(h, "PUT", target, nil, "Crush-Kind", "kind-77"), 400, "Crush-Kind")
}

func TestClaims(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service(), Author: func(*http.Request) Author { return "peer" }})
	const target = "/api/v1/forks/default/kv/k"
	for _, test := range []struct {
		headers []string
		want    Claim
	}{
		{nil, Claim{Author: "peer"}},
		{[]string{"Crush-Author", "ann", "Crush-Message", "100% done"}, Claim{Author: "ann", Message: "100% done"}},
		{[]string{"Crush-Message", "UTF-8''two%0Alines%20%C3%A9"}, Claim{Author: "peer", Message: "two\nlines é"}},
	} {
		want(t, call(h, "PUT", target, nil, test.headers...), 200, "revision")
		if got := f.last.(PutRequest).Claim; got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
	want(t, call(h, "PUT", target, nil, "Crush-Message", "UTF-8''%zz"), 400, "does not decode")
	want(t, call(h, "PUT", target, nil, "Crush-Author", "UTF-8''%ff"), 400, "not valid UTF-8")
	call(h, "PUT", "/ancestor", nil)
	if got := f.last.(PutRequest).Author; got != "peer" {
		t.Errorf("the ancestor's author: %q", got)
	}
}

func TestTooLarge(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service(), Limits: Limits{Value: 10, Batch: 100}})
	for _, target := range []string{"/key", "/api/v1/forks/default/kv/k"} {
		want(t, call(h, "PUT", target, strings.NewReader("0123456789")), 200, "")
		want(t, call(h, "PUT", target, strings.NewReader("0123456789a")), 413, `{"error":{"code":"too_large","message":"the value is too large: at most 10 bytes"}}`)
		// A body of unknown length.
		want(t, call(h, "PUT", target, struct{ *strings.Reader }{strings.NewReader("0123456789")}), 200, "")
		want(t, call(h, "PUT", target, struct{ *strings.Reader }{strings.NewReader("0123456789a")}), 413, "too_large")
	}
	const batch = "/api/v1/forks/default/batch"
	want(t, call(h, "POST", batch, strings.NewReader(`{"files":[{"key":"k","value":"0123456789a"}]}`)), 413, `the value of \"k\"`)
	long := `{"files":[{"key":"k","value":"` + strings.Repeat("a", 100) + `"}]}`
	want(t, call(h, "POST", batch, strings.NewReader(long)), 413, "the batch is too large: at most 100 bytes")
	want(t, call(h, "POST", batch, struct{ *strings.Reader }{strings.NewReader(long)}), 413, "the batch is too large: at most 100 bytes")
	want(t, call(h, "POST", "/api/v1/join", strings.NewReader(strings.Repeat(" ", maxJSON+1))), 413, "at most 1048576 bytes")
}

func TestErrorsHaveTheirStatus(t *testing.T) {
	f, l := newFake(), new(logged)
	h := NewHandler(HandlerConfig{Service: f.service(), Logger: slog.New(slog.NewTextHandler(l, nil))})
	for code, m := range codes {
		f.hook = func(context.Context) error { return fmt.Errorf("layer: %w", &Error{Code: code, Message: "m <&>"}) }
		for _, target := range []string{"/api/v1/forks/default/kv/k", "/api/v1/forks/default/entry/k", "/k"} {
			w := call(h, "GET", target, nil)
			if code == CodeNotFound && target == "/k" {
				want(t, w, 200, "[]") // to the ancestor, a fork that is not there
				continue
			}
			want(t, w, m.status, `{"error":{"code":"`+string(code)+`","message":"layer: m <&>"}}`)
		}
	}
	f.hook = func(context.Context) error { return errors.New("plain") }
	want(t, call(h, "GET", "/api/v1/forks/default/kv/k", nil), 500, `{"error":{"code":"internal","message":"plain"}}`)
	if !strings.Contains(l.String(), "request failed") {
		t.Errorf("nothing in the log: %s", l)
	}
	f.hook = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	want(t, call(h, "GET", "/api/v1/forks/default/kv/k", nil, "Crush-Timeout", "1ms"), 504, `"code":"timeout"`)
	want(t, call(h, "GET", "/api/v1/forks/default/kv/k", nil, "Crush-Timeout", "soon"), 400, "duration")
}

func TestPanicIsLogged(t *testing.T) {
	f, l := newFake(), new(logged)
	h := NewHandler(HandlerConfig{Service: f.service(), Logger: slog.New(slog.NewTextHandler(l, nil))})
	f.hook = func(context.Context) error { panic("a bug") }
	want(t, call(h, "GET", "/k", nil), 500, "has a bug")
	if got := l.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "a bug") {
		t.Errorf("log: %s", got)
	}
}

func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{&Error{Code: CodeInvalid}, 2},
		{&Error{Code: CodeConflict}, 3},
		{fmt.Errorf("layer: %w", &Error{Code: CodeStale}), 4},
		{&Error{Code: CodeNotFound}, 5},
		{&Error{Code: CodeAmbiguous}, 6},
		{&Error{Code: CodeNotHere}, 7},
		{&Error{Code: CodeNoDaemon}, 9},
		{&Error{Code: CodeTimeout}, 10},
		{context.DeadlineExceeded, 10},
		{&Error{Code: CodeDenied}, 11},
		{&Error{Code: "of a newer daemon"}, 1},
		{fmt.Errorf("layer: %w", context.Canceled), 130},
	} {
		if got := ExitCode(test.err); got != test.want {
			t.Errorf("%v: got %d, want %d", test.err, got, test.want)
		}
	}
}

func TestLists(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service(), Limits: Limits{Page: 2, MaxPage: 3}})
	for _, key := range []string{"a/1", "a/2", "a/3", "b"} {
		f.Put(t.Context(), PutRequest{KeyRef: KeyRef{Key: key}, Value: []byte("v " + key)})
	}
	const fork = "/api/v1/forks/default"
	want(t, call(h, "GET", fork+"/keys", nil), 200, `{"keys":["a/1","a/2"],"next":"a/2"}`)
	want(t, call(h, "GET", fork+"/keys?after=a/2", nil), 200, `{"keys":["a/3","b"]}`)
	want(t, call(h, "GET", fork+"/keys?prefix=a/&limit=3", nil), 200, `{"keys":["a/1","a/2","a/3"]}`)
	want(t, call(h, "GET", fork+"/keys?prefix=none", nil), 200, `{"keys":[]}`)
	want(t, call(h, "GET", fork+"/keys", nil, "Accept", contentLines), 200, "\"a/1\"\n\"a/2\"\n\"a/3\"\n\"b\"\n")
	want(t, call(h, "GET", fork+"/keys?limit=1", nil, "Accept", contentLines), 200, "\"a/1\"\n")
	want(t, call(h, "GET", fork+"/kv?prefix=b", nil), 200, `{"entries":[{"key":"b","fork":"default","kind":"bytes","value":"v b",`)
	if w := call(h, "GET", fork+"/kv?meta=true", nil); strings.Contains(w.Body.String(), `"value"`) {
		t.Errorf("values without being asked for: %s", w.Body)
	}
	var log struct {
		Log  []LogEntry
		Next string
	}
	w := call(h, "GET", fork+"/log", nil)
	if err := json.Unmarshal(w.Body.Bytes(), &log); err != nil || len(log.Log) != 2 || log.Log[0].Key != "b" || log.Next == "" {
		t.Fatalf("got %s, %v", w.Body, err)
	}
	want(t, call(h, "GET", fork+"/log?after="+url.QueryEscape(log.Next), nil), 200, `"key":"a/2"`)
	want(t, call(h, "GET", fork+"/log/a/1?values=true", nil), 200, `"value":"v a/1"`)
	want(t, call(h, "GET", fork+"/log/a%2F1", nil), 200, `"key":"a/1"`)
	want(t, call(h, "GET", fork+"/log?prefix=a/&author=x&node=y", nil), 200, `"key":"a/3"`)
	if got := f.last.(LogRequest); got.Author != "x" || got.Node != "y" || got.Key != "a/" {
		t.Errorf("got %+v", got)
	}
}

func TestBatchBodies(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service()})
	const batch = "/api/v1/forks/default/batch"
	want(t, call(h, "POST", batch, strings.NewReader(`{"files":[{"key":"a","value":"1"},{"key":"b","value_base64":"/w=="}],"prune":true,"prefix":"p/"}`)), 200, `"created":["a","b"]`)
	if got := f.last.(ApplyRequest); !got.Prune || got.Prefix != "p/" || string(got.Files[1].Value) != "\xff" {
		t.Errorf("got %+v", got)
	}
	lines := "{\"key\":\"a\",\"value\":\"2\"}\n{\"key\":\"c\",\"value\":\"\"}\n"
	want(t, call(h, "POST", batch+"?plan=true&prefix=q/", strings.NewReader(lines), "Content-Type", contentLines), 200, `"plan":true`)
	if got := f.last.(ApplyRequest); !got.Plan || got.Prefix != "q/" || len(got.Files) != 2 || got.Files[1].Value == nil {
		t.Errorf("got %+v", got)
	}
	for _, test := range []struct{ body, content, part string }{
		{`{`, contentJSON, "does not parse"},
		{`{} {}`, contentJSON, "more follows"},
		{`{"file":[]}`, contentJSON, "unknown field"},
		{`{"files":[{"key":"a"}]}`, contentJSON, "has no value"},
		{`{"files":[{"key":"a","value":"","mode":1}]}`, contentJSON, "unknown field"},
		{`{"files":[{"key":"","value":""}]}`, contentJSON, "the key is empty"},
		{"{\"key\":\"a\",\"value\":\"\"}\nx\n", contentLines, "file 2 of the batch"},
	} {
		want(t, call(h, "POST", batch, strings.NewReader(test.body), "Content-Type", test.content), 400, test.part)
	}
}

func TestOpenAPIHoldsTheRoutes(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service()})
	f.Put(t.Context(), PutRequest{KeyRef: KeyRef{Key: "k"}, Value: []byte("v")})
	w := call(h, "GET", "/api/v1/openapi.json", nil)
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Parameters  []struct{ Name, In, Description string }
			Responses   map[string]any
		}
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	seen, ids := 0, make(map[string]bool)
	for path, item := range doc.Paths {
		for method, op := range item {
			seen++
			if ids[op.OperationID] || op.OperationID == "" {
				t.Errorf("%s %s: operation id %q", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
			target := strings.NewReplacer("{fork}", "default", "{key}", "k", "{id}", "zzzzzz", "{name}", "n").Replace(path)
			if op.OperationID == "watch" {
				target += "?wait=0s" // else it has no end
			}
			for _, p := range op.Parameters {
				if p.In == "path" != strings.Contains(path, "{"+p.Name+"}") || p.In != "path" && p.Description == "" {
					t.Errorf("%s %s: parameter %+v", method, path, p)
				}
			}
			got := call(h, strings.ToUpper(method), target, strings.NewReader("{}"))
			if got.Code == 405 || strings.Contains(got.Body.String(), "no such route") {
				t.Errorf("%s %s: %d %s", method, target, got.Code, got.Body)
			}
			if op.Responses["200"] == nil || op.Responses["default"] == nil {
				t.Errorf("%s %s: responses %v", method, path, op.Responses)
			}
		}
	}
	if want := len(routes()); seen != want || len(ids) != want {
		t.Errorf("the document has %d operations, the table %d", seen, want)
	}
	for _, ref := range strings.Split(w.Body.String(), `"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(ref, `"`)
		if doc.Components.Schemas[name] == nil {
			t.Errorf("the schema %s is missing", name)
		}
	}
	for _, r := range routes() {
		for _, name := range append(r.query, r.headers...) {
			if parameters[name] == "" {
				t.Errorf("%s: the parameter %s has no description", r.id, name)
			}
		}
	}
}

func TestProbes(t *testing.T) {
	f := newFake()
	starting := errors.New("replaying")
	h := NewHandler(HandlerConfig{Service: f.service(), Ready: func(context.Context) error { return starting }})
	want(t, call(h, "GET", "/-/livez", nil), 200, "ok\n")
	want(t, call(h, "GET", "/-/readyz", nil), 503, "not ready: replaying")
	starting = nil
	want(t, call(h, "GET", "/-/readyz", nil), 200, "ok\n")
	want(t, call(h, "GET", "/-/metrics", nil), 200, "crush_keys 1")
	service := f.service()
	service.Metrics = nil
	h = NewHandler(HandlerConfig{Service: service})
	want(t, call(h, "GET", "/-/readyz", nil), 200, "ok\n") // asks Node.Status
	want(t, call(h, "GET", "/-/metrics", nil), 404, "no metrics")
	f.hook = func(context.Context) error { return errors.New("closed") }
	want(t, call(h, "GET", "/-/readyz", nil), 503, "closed")
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "/a%2Fb/info", "/api/v1/forks/default/kv/a/%2E%2E/b", "/%", "/-/livez", "/keys", "//", "/a/../b", "/é\"<%2F"} {
		f.Add(seed, "key")
	}
	h := NewHandler(HandlerConfig{Service: newFake().service()}).(*handler)
	c := &Client{Socket: "/nowhere"}
	c.once.Do(c.open)
	f.Fuzz(func(t *testing.T, target, key string) {
		if u, err := url.ParseRequestURI(target); err == nil {
			if path, err := requestPath(u); err == nil {
				x := &exchange{handler: h, r: &http.Request{Method: "GET", URL: u}, w: nopWriter{}}
				if first, _ := cutSegment(path); first == "api" || first == "-" {
					_, _ = h.native.find(x, path)
				}
			}
		}
		// Whatever the key is, it survives the client's escaping.
		req, err := c.build(t.Context(), request{method: "GET", path: c.forkPath("default", "kv", key)})
		if err != nil || key == "" {
			return
		}
		u, err := url.ParseRequestURI(req.URL.RequestURI())
		if err != nil {
			t.Fatalf("%q: %v", req.URL.RequestURI(), err)
		}
		path, err := requestPath(u)
		if err != nil {
			t.Fatalf("%q: %v", req.URL.RequestURI(), err)
		}
		x := &exchange{handler: h, r: &http.Request{Method: "GET", URL: u}, w: nopWriter{}}
		if _, err := h.native.find(x, path); err != nil || x.key != key {
			t.Fatalf("key %q came as %q, %v", key, x.key, err)
		}
	})
}

type nopWriter struct{ http.ResponseWriter }

func (nopWriter) Header() http.Header { return http.Header{} }

func FuzzBodies(f *testing.F) {
	f.Add([]byte(`{"files":[{"key":"a","value":"1"}]}`), true)
	f.Add([]byte("{\"key\":\"a\",\"value\":\"\"}\n"), false)
	f.Add([]byte(`{"key":"k","to":"x"}`), true)
	f.Add([]byte(`{"name":"n","from":"default","filter":{"keys":["k"]},"fork":"default"}`), true)
	f.Add([]byte(`{"source":"a","into":"b","resolve":[{"key":"k","value":"v"}],"plan":true}`), true)
	f.Add([]byte(`{"key":"k","take":"a","value_base64":"/w==","revision":"r","prefix":"","to":"t"}`), true)
	f.Add([]byte(`{"add":["a","\u00e9"],"remove":["b"]}`), true)
	h := NewHandler(HandlerConfig{Service: newFake().service()})
	f.Fuzz(func(t *testing.T, body []byte, object bool) {
		content := contentLines
		if object {
			content = contentJSON
		}
		for _, target := range []string{
			"/api/v1/forks/default/batch?plan=true", "/api/v1/forks/default/rollback", "/api/v1/members", "/api/v1/join",
			"/api/v1/forks", "/api/v1/merge", "/api/v1/resolve", "/api/v1/pick", "/api/v1/tags", "/api/v1/aliases",
			"/api/v1/forks/default/rename", "/api/v1/forks/default/reset", "/api/v1/forks/default/undo", "/api/v1/forks/default/set/k",
		} {
			w := call(h, "POST", target, strings.NewReader(string(body)), "Content-Type", content)
			if w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
				t.Fatalf("%s %q: %d %s", target, body, w.Code, w.Body)
			}
		}
	})
}

// TestServedWinner: whoever wants to read what a policy withholds says so.
func TestServedWinner(t *testing.T) {
	run := serve(t, nil)
	f, c := run.fake, run.client
	for _, winner := range []bool{false, true} {
		if _, err := c.Get(t.Context(), GetRequest{KeyRef: KeyRef{Key: "k"}, Winner: winner}); err != nil || f.asked.Winner != winner {
			t.Errorf("get: asked for %+v, %v", f.asked, err)
		}
		for _, err := range c.List(t.Context(), ListRequest{Winner: winner}) {
			if err != nil {
				t.Error(err)
			}
		}
		if f.listed.Winner != winner {
			t.Errorf("list: asked for %+v", f.listed)
		}
	}
	h := NewHandler(HandlerConfig{Service: f.service()})
	for _, path := range []string{"/kv/k", "/entry/k", "/kv"} {
		if w := call(h, "GET", "/api/v1/forks/default"+path+"?served=fail", nil); w.Code != 400 || !strings.Contains(w.Body.String(), "served must be winner") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
