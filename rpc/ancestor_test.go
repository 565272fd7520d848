package rpc

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
)

// TestAncestor is a script of requests with the bodies that the ancestor's
// clients know.
func TestAncestor(t *testing.T) {
	h := NewHandler(HandlerConfig{Service: newFake().service()})
	one, two := base64.StdEncoding.EncodeToString([]byte("test one")), base64.StdEncoding.EncodeToString([]byte("test two"))
	patch := func(toOlder string) string {
		p, _ := json.Marshal(map[string]Patch{
			"one": Diff([]byte("test two"), []byte("test one")), "two": Diff([]byte("test one"), []byte("test two")),
		}[toOlder])
		return string(p)
	}
	for i, step := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/key", "", 200, `[]`},
		{"GET", "/key/fork", "", 200, `[]`},
		{"GET", "/key/info", "", 200, `{"key":"key","revision_count":0}`},
		{"DELETE", "/key", "", 200, `{"status":"ok"}`},
		{"DELETE", "/key/fork", "", 200, `{"status":"ok"}`},
		{"GET", "/keys", "", 200, `[]`},
		{"GET", "/keys?prefix=a&fork=nosuch", "", 200, `[]`},
		{"PUT", "/key", "test one", 200, `{"status":"ok"}`},
		{"PUT", "/key", "test two", 200, `{"status":"ok"}`},
		{"PUT", "/key", "test one", 200, `{"status":"ok"}`},
		{"GET", "/key", "", 200, `["` + one + `",[]]`},
		{"GET", "/key?revisions=garbage", "", 200, `["` + one + `",[]]`},
		{"GET", "/key?revisions=-1", "", 200, `["` + one + `",[]]`},
		{"GET", "/key?patch=true", "", 200, `["` + one + `",[]]`},
		{"GET", "/key?revisions=1", "", 200, `["` + one + `",[[["eq","dGVzdCA="],["ins","dHc="],["eq","bw=="],["del","bmU="]]]]`},
		{"GET", "/key?revisions=all", "", 200, `["` + one + `",[` + patch("two") + `,` + patch("one") + `]]`},
		{"GET", "/key?revisions=99&patch=true", "", 200, `["` + one + `",["` + two + `","` + one + `"]]`},
		{"GET", "/key?revisions=1&patch=true", "", 200, `["` + one + `",["` + two + `"]]`},
		{"GET", "/key/info", "", 200, `{"key":"key","revision_count":2}`},
		{"GET", "/key/default/info", "", 200, `{"key":"key","revision_count":2}`},
		{"GET", "/key/default", "", 200, `["` + one + `",[]]`},
		{"PUT", "/key/fork", "\x00\xff", 200, `{"status":"ok"}`},
		{"GET", "/key/fork", "", 200, `["AP8=",[]]`},
		{"PUT", "/a%2Fb:c%20%22%3Cé", "", 200, `{"status":"ok"}`},
		{"GET", "/a%2Fb:c%20%22%3Cé?revisions=all", "", 200, `["",[]]`},
		{"GET", "/keys", "", 200, `["default:a/b:c \"<é","default:key","fork:key"]`},
		{"GET", "/keys?prefix=", "", 200, `["default:a/b:c \"<é","default:key"]`},
		{"GET", "/keys?prefix=k", "", 200, `["default:key"]`},
		{"GET", "/keys?prefix=k&fork=fork", "", 200, `["fork:key"]`},
		{"GET", "/a%2Fb:c%20%22%3Cé/info", "", 200, `{"key":"a/b:c \"<é","revision_count":0}`},
		{"PUT", "/keys", "a key of that name", 200, `{"status":"ok"}`},
		{"GET", "/%6Beys/default/info", "", 200, `{"key":"keys","revision_count":0}`},
		{"PUT", "/%61pi", "v", 200, `{"status":"ok"}`},
		{"GET", "/%61pi", "", 200, `["dg==",[]]`},
		{"DELETE", "/key", "", 200, `{"status":"ok"}`},
		{"GET", "/key?revisions=all", "", 200, `[]`},
		{"GET", "/key/info", "", 200, `{"key":"key","revision_count":0}`},
		{"PUT", "/key", "test two", 200, `{"status":"ok"}`},
		{"GET", "/key?revisions=all", "", 200, `["` + two + `",[]]`},
		{"POST", "/key/default/fork/other", "", 200, `{"status":"ok"}`},
		{"GET", "/key/other", "", 200, `["` + two + `",[]]`},
		{"PUT", "/key/other", "test one", 200, `{"status":"ok"}`},
		{"POST", "/key/other/merge/default", "", 200, `{"status":"ok"}`},
		{"GET", "/key?revisions=1&patch=true", "", 200, `["` + one + `",["` + two + `"]]`},
		{"POST", "/a%2Fb:c%20%22%3Cé/default/fork/other", "", 200, `{"status":"ok"}`},
		{"POST", "/nosuch/default/fork/other", "", 404, `{"error":"not_found","status":"error"}`},
		{"POST", "/key/nosuch/fork/other", "", 404, `{"error":"not_found","status":"error"}`},
		{"POST", "/key/nosuch/merge/default", "", 404, `{"error":"source_not_found","status":"error"}`},
		{"POST", "/key/default/merge/nosuch", "", 404, `{"error":"target_not_found","status":"error"}`},
		{"GET", "/key/default/fork/other", "", 405, `{"error":{"code":"method","message":"GET is not for this path: it takes POST"}}`},
		{"POST", "/key", "", 405, `{"error":{"code":"method","message":"POST is not for this path: it takes GET, HEAD, PUT, DELETE"}}`},
		{"PUT", "/key/info", "", 405, `{"error":{"code":"method","message":"PUT is not for this path: it takes GET, HEAD"}}`},
		{"GET", "/a/b/c", "", 404, `{"error":{"code":"not_found","message":"there is no such route: a slash of a key is sent as %2F"}}`},
	} {
		w := call(h, step.method, step.target, strings.NewReader(step.body))
		if got := w.Body.String(); w.Code != step.status || got != step.want {
			t.Errorf("step %d, %s %s: got %d %s, want %d %s", i, step.method, step.target, w.Code, got, step.status, step.want)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
			t.Errorf("step %d: content type %q", i, got)
		}
	}
}

func TestAncestorDeletesNothingQuietly(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service()})
	for range 3 {
		want(t, call(h, "DELETE", "/nothing", nil), 200, "ok")
	}
	if len(f.events) != 0 {
		t.Errorf("deleting nothing wrote %v", f.events)
	}
}

// restless writes the key when its history is read.
type restless struct {
	*fake

	writes int
}

func (f *restless) Previous(ctx context.Context, k KeyRef) iter.Seq2[[]byte, error] {
	if f.writes > 0 {
		f.writes--
		f.Put(ctx, PutRequest{KeyRef: k, Value: fmt.Appendf(nil, "write %d", f.writes)})
	}
	return f.fake.Previous(ctx, k)
}

func TestAncestorHistoryFitsItsValue(t *testing.T) {
	for _, writes := range []int{1, 3, steadyReads + 5} {
		f := &restless{fake: newFake(), writes: writes}
		service := f.service()
		service.Ancestry = f
		h := NewHandler(HandlerConfig{Service: service})
		call(h, "PUT", "/key", strings.NewReader("first"))
		call(h, "PUT", "/key", strings.NewReader("second"))
		w := call(h, "GET", "/key?revisions=all&patch=true", nil)
		var got struct{ v []any }
		if err := json.Unmarshal(w.Body.Bytes(), &got.v); err != nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
		if writes > steadyReads {
			continue // answered all the same
		}
		if history := got.v[1].([]any); len(history) != writes+1 || history[0] == got.v[0] {
			t.Errorf("%d writes: got %v", writes, got.v)
		}
	}
}

func TestAncestorStreams(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service()})
	for i := range 100 {
		f.Put(t.Context(), PutRequest{KeyRef: KeyRef{Key: "k"}, Value: []byte(strings.Repeat(fmt.Sprint(i%10), 5000))})
	}
	w := call(h, "GET", "/k?revisions=all&patch=true", nil)
	var got []any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got[1].([]any)) != 99 {
		t.Errorf("got %d bytes: %v", w.Body.Len(), err)
	}
}

// deep is a history of many large values that are made while they are read.
type deep struct {
	*fake

	values, size int
	most         uint64 // bytes of heap seen while it was read
}

func (f *deep) Previous(context.Context, KeyRef) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for i := range f.values {
			if i%20 == 0 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				f.most = max(f.most, m.HeapAlloc)
			}
			if !yield(bytes.Repeat([]byte{byte(i)}, f.size), nil) {
				return
			}
		}
	}
}

// counter is a response that is thrown away.
type counter struct {
	nopWriter

	n int
}

func (c *counter) WriteHeader(int) {}

func (c *counter) Write(p []byte) (int, error) {
	c.n += len(p)
	return len(p), nil
}

func TestAncestorHistoryNeedsLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("one request, of 100 MB")
	}
	f := &deep{fake: newFake(), values: 100, size: 1 << 20}
	service := f.service()
	service.Ancestry = f
	f.Put(t.Context(), PutRequest{KeyRef: KeyRef{Key: "k"}, Value: []byte("v")})
	w := new(counter)
	r := httptest.NewRequest("GET", "/k?revisions=all&patch=true", nil)
	NewHandler(HandlerConfig{Service: service}).ServeHTTP(w, r)
	if w.n < f.values*f.size {
		t.Errorf("got %d bytes", w.n)
	}
	if f.most > 32<<20 {
		t.Errorf("%d bytes of heap for a history of %d", f.most, f.values*f.size)
	}
}
