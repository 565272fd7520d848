package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"crush/dag"
)

func TestParseWait(t *testing.T) {
	for text, want := range map[string]Wait{"0": {}, "1": {Peers: 1}, "12": {Peers: 12}, "zones": {Zones: true}} {
		if got, err := ParseWait(text); err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "+1", "1.5", "zone", "all", "Zones", "99999999999999999999"} {
		if _, err := ParseWait(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestEveryWriteWaits asks each route that writes: none may forget to, and a
// plan has nothing to wait for.
func TestEveryWriteWaits(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service()})
	f.Put(t.Context(), PutRequest{KeyRef: KeyRef{Key: "k"}, Value: []byte("v")})
	f.CreateFork(t.Context(), ForkRequest{Name: "g"})
	first := f.newest(t, "k").Revision.String()
	bodies := map[string]string{
		"batch": `{"files":[{"key":"b","value":"1"}]}`, "rollback": `{"key":"k","to":"` + first + `"}`,
		"createFork": `{"name":"f"}`, "renameFork": `{"name":"f2"}`, "merge": `{"source":"default","into":"f2","on_conflict":"theirs"}`,
		"mergeInto": `{"source":"default","on_conflict":"theirs"}`, "resolve": `{"key":"k","take":"a"}`, "pick": `{"revision":"` + first + `","into":"default"}`,
		"tag": `{"name":"t"}`, "alias": `{"name":"a","fork":"f2"}`, "reset": `{"prefix":"","to":"` + first + `"}`, "undo": `{}`, "purge": `{"key":"k"}`,
		"writeSeries": `{"source":"s","fork":"default","writes":[{"key":"k","value":"v"}]}`, "addMember": `{"node":"` + (dag.NodeID{5}).String() + `","name":"n5"}`,
		"changeSet":    `{"add":["e"]}`,
		"changePolicy": `{"policy":{"pattern":"a/**","sticky":true}}`,
	}
	paths := map[string]string{"{fork}": "default", "{key...}": "k", "{id}": "n5", "{name}": "t"}
	named := map[string]map[string]string{
		"renameFork": {"{fork}": "f"}, "removeFork": {"{fork}": "g"}, "restoreFork": {"{fork}": "g"}, "mergeInto": {"{fork}": "f2"}, "removeAlias": {"{name}": "a"},
	}
	seen := 0
	for _, r := range routes() {
		if !r.writes() {
			if r.method != "GET" && !slices.Contains([]string{"join", "import", "openSeries", "repair"}, r.id) {
				t.Errorf("%s does not wait", r.id)
			}
			continue
		}
		target := r.pattern
		for name, value := range paths {
			if other := named[r.id][name]; other != "" {
				value = other
			}
			target = strings.ReplaceAll(target, name, value)
		}
		query := "?wait=1"
		switch r.id {
		case "deletePrefix":
			query += "&prefix=b"
		case "writeSeries":
			query += "&sent=0"
		}
		f.open = []Conflict{{Key: "k", Fork: "default", Sides: []Side{{Letter: "a"}}}}
		before := len(f.awaited)
		w := call(h, r.method, target+query, strings.NewReader(bodies[r.id]))
		if w.Code != 200 || len(f.awaited) != before+1 {
			t.Errorf("%s: %d %s; waited %d times", r.id, w.Code, w.Body, len(f.awaited)-before)
		}
		seen++
	}
	if seen < 20 {
		t.Errorf("only %d routes write", seen)
	}
	before := len(f.awaited)
	for id, target := range map[string]string{"batch": "/api/v1/forks/default/batch?plan=true&wait=1", "merge": "/api/v1/merge?wait=1"} {
		body := bodies[id]
		if id == "merge" {
			body = `{"source":"default","into":"default","plan":true}`
		}
		want(t, call(h, "POST", target, strings.NewReader(body)), 200, "plan")
	}
	if len(f.awaited) != before {
		t.Error("a plan waited")
	}
}

// newest is the newest revision of a key of the default fork.
func (f *fake) newest(t *testing.T, key string) LogEntry {
	t.Helper()
	h := f.forks[dag.DefaultForkName][key]
	if len(h) == 0 {
		t.Fatalf("%s is not there", key)
	}
	return h[len(h)-1]
}

func TestWait(t *testing.T) {
	r := serve(t, nil)
	c := r.client
	k := KeyRef{Key: "k"}
	put := func(ctx context.Context, wait string) (Written, error) {
		w, err := ParseWait(wait)
		if err != nil {
			t.Fatal(err)
		}
		return c.Put(ctx, PutRequest{KeyRef: k, Value: []byte("v"), Claim: Claim{Wait: w}})
	}
	if _, err := put(t.Context(), "3"); !errors.Is(err, ErrInvalid) || r.fake.last != nil {
		t.Errorf("more than there are: %v, after %v", err, r.fake.last)
	}
	for _, wait := range []string{"1", "zones"} {
		w, err := put(t.Context(), wait)
		if err != nil || !slices.Equal(r.fake.awaited, []dag.BlockID{w.Block}) {
			t.Errorf("%s: %+v, %v; awaited %v", wait, w, err, r.fake.awaited)
		}
		r.fake.awaited = nil
	}

	// The wait ends first: the answer comes all the same.
	w, err := put(WithLimit(t.Context(), time.Millisecond), "2")
	if !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "only on n2") {
		t.Errorf("the wait's end: %v", err)
	}
	if w.Block.IsZero() || w.Token == "" || w.Block != r.fake.newest(t, "k").Block {
		t.Errorf("the write's answer: %+v", w)
	}
	if _, err := c.Apply(t.Context(), ApplyRequest{Claim: Claim{Wait: Wait{Peers: 3}}, Files: []File{{Key: "other", Value: []byte("1")}}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("apply: %v", err)
	}
	if e, _ := c.Get(t.Context(), GetRequest{KeyRef: KeyRef{Key: "other"}}); !e.Deleted {
		t.Error("a write was made before its wait was refused")
	}
}

func TestWaitOverHTTP(t *testing.T) {
	f := newFake()
	stop := make(chan struct{})
	h := NewHandler(HandlerConfig{Service: f.service(), Stop: stop})
	const target = "/api/v1/forks/default/kv/k"
	for _, wait := range []string{"", "many", "-1"} {
		want(t, call(h, "PUT", target+"?wait="+wait, nil), 400, "invalid")
	}
	want(t, call(h, "PUT", target+"?wait=3", nil), 400, "only 2 other nodes")
	if f.last != nil {
		t.Error("a refused wait wrote")
	}
	want(t, call(h, "PUT", target+"?wait=0", nil), 200, "revision")
	want(t, call(h, "GET", target+"?wait=1", nil), 400, "not known here")

	w := call(h, "PUT", target+"?wait=2", nil, "Crush-Timeout", "1ms")
	want(t, w, 504, `{"error":{"code":"timeout","message":"only on n2"},"written":{"revision":"b`)
	var body struct{ Written Written }
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Written.Token == "" || w.Header().Get("Crush-Token") != string(body.Written.Token) {
		t.Errorf("%s, %v; headers %v", w.Body, err, w.Header())
	}

	close(stop)
	want(t, call(h, "PUT", target+"?wait=2", nil), 503, `shutting down"},"written":{`)

	service := f.service()
	service.Waits = nil
	want(t, call(NewHandler(HandlerConfig{Service: service}), "PUT", target+"?wait=1", nil), 400, "knows of no other nodes")
}

// TestAfter: a read that waits has an end, whatever the client says.
func TestAfter(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service()})
	var bounded bool
	f.hook = func(ctx context.Context) error {
		_, bounded = ctx.Deadline()
		return nil
	}
	for target, waits := range map[string]bool{
		"/api/v1/forks/default/entry/k": false, "/api/v1/forks/default/entry/k?after=abcdef": true, "/api/v1/forks/default/kv/k?after=abcdef": true,
	} {
		if call(h, http.MethodGet, target, nil); bounded != waits || (f.asked.After != "") != waits {
			t.Errorf("%s: bounded %v, after %q", target, bounded, f.asked.After)
		}
	}
	want(t, call(h, "GET", "/api/v1/forks/default/kv/k?after=", nil), 400, "after is empty")
	want(t, call(h, "GET", "/api/v1/forks/default/kv?after_block=", nil), 400, "after_block")
	want(t, call(h, "GET", "/api/v1/forks/default/kv?after=&after_block=abcdef", nil), 200, "entries")
	if f.listed.AfterBlock != "abcdef" || f.listed.Within != defaultWait {
		t.Errorf("listed %+v", f.listed)
	}
	r := serve(t, nil)
	if _, err := r.client.Get(t.Context(), GetRequest{KeyRef: KeyRef{Key: "k"}, After: "abcdef"}); err != nil || r.fake.asked.After != "abcdef" {
		t.Errorf("asked %+v, %v", r.fake.asked, err)
	}
	for range r.client.List(t.Context(), ListRequest{AfterBlock: "abcdef", Within: 5 * time.Second}) {
	}
	if r.fake.listed.AfterBlock != "abcdef" || r.fake.listed.Within != 5*time.Second {
		t.Errorf("listed %+v", r.fake.listed)
	}
}
