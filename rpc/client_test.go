package rpc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"crush/crdt"
	"crush/dag"
)

func TestClientValues(t *testing.T) {
	r := serve(t, nil)
	ctx, c := t.Context(), r.client
	key := KeyRef{Key: "app/config"}
	absent, err := c.Get(ctx, GetRequest{KeyRef: key})
	if err != nil || !absent.Deleted || absent.Token == "" || absent.Value != nil {
		t.Fatalf("got %+v, %v", absent, err)
	}
	w, err := c.Put(ctx, PutRequest{KeyRef: key, Claim: Claim{Author: "ann", Message: "first\nline é"}, Value: []byte("\x00\xff"), Kind: crdt.Text, IfAbsent: true})
	if err != nil || w.Revision.IsZero() || w.Token == "" {
		t.Fatalf("got %+v, %v", w, err)
	}
	e, err := c.Get(ctx, GetRequest{KeyRef: key})
	if err != nil || string(e.Value) != "\x00\xff" || e.Revision != w.Revision || e.Author != "ann" || e.Message != "first\nline é" || e.Kind != crdt.Text {
		t.Fatalf("got %+v, %v", e, err)
	}
	if _, err = c.Put(ctx, PutRequest{KeyRef: key, IfMatch: "old"}); !errors.Is(err, ErrStale) || ExitCode(err) != 4 {
		t.Errorf("got %v", err)
	}
	if _, err = c.Put(ctx, PutRequest{KeyRef: key, IfAbsent: true}); !errors.Is(err, ErrStale) {
		t.Errorf("got %v", err)
	}
	if _, err = c.Put(ctx, PutRequest{KeyRef: key, IfAbsent: true, Base: "x"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if _, err = c.Put(ctx, PutRequest{KeyRef: key, IfMatch: w.Token, Value: nil}); err != nil {
		t.Errorf("got %v", err)
	}
	if e, err = c.Get(ctx, GetRequest{KeyRef: key}); err != nil || e.Value == nil || len(e.Value) != 0 {
		t.Errorf("an empty value: got %+v, %v", e, err)
	}
	if e, err = c.Get(ctx, GetRequest{KeyRef: key, Rev: Ref(w.Revision.String())}); err != nil || string(e.Value) != "\x00\xff" {
		t.Errorf("by revision: got %+v, %v", e, err)
	}
	if e, err = c.Get(ctx, GetRequest{KeyRef: key, Meta: true}); err != nil || e.Value != nil || e.Deleted {
		t.Errorf("meta: got %+v, %v", e, err)
	}
	if _, err = c.Get(ctx, GetRequest{KeyRef: KeyRef{Fork: "nosuch", Key: "k"}}); !errors.Is(err, ErrNotFound) || err.Error() != "the fork nosuch is not there" {
		t.Errorf("got %v", err)
	}
	if _, err = c.Put(ctx, PutRequest{KeyRef: KeyRef{"made", "k"}, CreateFork: true}); err != nil {
		t.Errorf("got %v", err)
	}
	c2 := &Client{URL: r.HTTPAddr(), Fork: "made"}
	defer c2.Close()
	if e, err = c2.Get(ctx, GetRequest{KeyRef: KeyRef{Key: "k"}}); err != nil || e.Fork != "made" || e.Deleted {
		t.Errorf("over TCP: got %+v, %v", e, err)
	}
	if w, err = c.Delete(ctx, DeleteRequest{KeyRef: key, Claim: Claim{Author: "bob"}}); err != nil || w.Keys != 1 {
		t.Errorf("got %+v, %v", w, err)
	}
	if w, err = c.Delete(ctx, DeleteRequest{KeyRef: key}); err != nil || !w.Unchanged || !w.Revision.IsZero() {
		t.Errorf("got %+v, %v", w, err)
	}
	if _, err = c.Delete(ctx, DeleteRequest{KeyRef: key, IfMatch: "old"}); !errors.Is(err, ErrStale) {
		t.Errorf("got %v", err)
	}
}

func TestClientKeepsKeys(t *testing.T) {
	r := serve(t, nil)
	ctx := t.Context()
	keys := []string{
		".", "..", "/", "//", "a/b", "a//b", "a/../b", "a/", "/a", "%2F", "%", "?q=1#f", "a b", "+", "a\nb", "\x01", "\x7f", "é/👩‍🚀", `"<&>\`, ";:@&=$,!*'()[]",
		strings.Repeat("k", MaxKey), strings.Repeat("é", MaxKey/2),
	}
	for _, key := range keys {
		k := KeyRef{Key: key}
		if _, err := r.client.Put(ctx, PutRequest{KeyRef: k, Value: []byte("v" + key)}); err != nil {
			t.Fatalf("put %q: %v", key, err)
		}
		if e, err := r.client.Get(ctx, GetRequest{KeyRef: k}); err != nil || string(e.Value) != "v"+key || e.Key != key {
			t.Errorf("get %q: %+v, %v", key, e, err)
		}
		if i, err := r.client.Info(ctx, k); err != nil || i.Key != key {
			t.Errorf("info %q: %+v, %v", key, i, err)
		}
	}
	var got []string
	for e, err := range r.client.List(ctx, ListRequest{Values: true}) {
		if err != nil || string(e.Value) != "v"+e.Key {
			t.Fatalf("%+v, %v", e, err)
		}
		got = append(got, e.Key)
	}
	slices.Sort(keys)
	if !slices.Equal(got, keys) {
		t.Errorf("got %q, want %q", got, keys)
	}
	if w, err := r.client.Delete(ctx, DeleteRequest{KeyRef: KeyRef{Key: "a/"}, Recursive: true}); err != nil || w.Keys != 4 {
		t.Errorf("got %+v, %v", w, err)
	}
	for _, bad := range []string{"", "\x00", "\xff", strings.Repeat("k", MaxKey+1)} {
		if _, err := r.client.Put(ctx, PutRequest{KeyRef: KeyRef{Key: bad}}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestClientHistories(t *testing.T) {
	r := serve(t, nil)
	ctx, c := t.Context(), r.client
	var revs []dag.RevisionID
	for i := range 3 {
		w, err := c.Put(ctx, PutRequest{KeyRef: KeyRef{Key: "dir/k"}, Value: fmt.Append(nil, i)})
		if err != nil {
			t.Fatal(err)
		}
		revs = append(revs, w.Revision)
	}
	c.Put(ctx, PutRequest{KeyRef: KeyRef{Key: "other"}})
	for _, test := range []struct {
		r    LogRequest
		want string
	}{
		{LogRequest{KeyRef: KeyRef{Key: "dir/k"}, Values: true}, "2 1 0"},
		{LogRequest{KeyRef: KeyRef{Key: "dir/"}, Values: true}, "2 1 0"},
		{LogRequest{Values: true}, " 2 1 0"},
		{LogRequest{Values: true, After: "3"}, "1 0"},
		{LogRequest{Values: true, Since: time.UnixMilli(2500)}, " 2"},
	} {
		var got []string
		for e, err := range c.Log(ctx, test.r) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(e.Value))
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%+v: got %q", test.r, got)
		}
	}
	for range c.Log(ctx, LogRequest{}) {
		break
	}
	i, err := c.Info(ctx, KeyRef{Key: "dir/k"})
	if err != nil || i.RevisionCount != 2 || !i.First.Equal(time.UnixMilli(1000)) || i.Heads[0] != revs[2] {
		t.Errorf("got %+v, %v", i, err)
	}
	if s, err := c.Show(ctx, revs[1].Short()); err != nil || s.Revision == nil || s.Revision.Revision != revs[1] {
		t.Errorf("got %+v, %v", s, err)
	}
	if _, err := c.Show(ctx, "../status"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	back, err := c.Rollback(ctx, RollbackRequest{KeyRef: KeyRef{Key: "dir/k"}, Claim: Claim{Message: "back"}, To: revs[0].String()})
	if err != nil || back.To != revs[0] || back.From != revs[2] || back.Revision.IsZero() {
		t.Errorf("got %+v, %v", back, err)
	}
	if got := r.fake.last.(RollbackRequest); got.Message != "back" {
		t.Errorf("got %+v", got)
	}
}

func TestClientApply(t *testing.T) {
	r := serve(t, nil)
	var files []File
	for i := range 500 {
		files = append(files, File{Key: fmt.Sprintf("k%03d", i), Value: bytes.Repeat([]byte{byte(i)}, i)})
	}
	a, err := r.client.Apply(t.Context(), ApplyRequest{Claim: Claim{Author: "ci"}, Files: files, Prefix: "k", Prune: true})
	if err != nil || len(a.Created) != 500 || a.Block.IsZero() {
		t.Fatalf("got %+v, %v", a, err)
	}
	got := r.fake.last.(ApplyRequest)
	for i, f := range got.Files {
		if f.Key != files[i].Key || !bytes.Equal(f.Value, files[i].Value) {
			t.Fatalf("file %d: got %+v", i, f)
		}
	}
	if got.Author != "ci" || got.Prefix != "k" || !got.Prune || got.Plan {
		t.Errorf("got %+v", got)
	}
	if a, err = r.client.Apply(t.Context(), ApplyRequest{Plan: true}); err != nil || !a.Plan || !a.Block.IsZero() {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestClientNode(t *testing.T) {
	r := serve(t, nil)
	ctx, c := t.Context(), r.client
	if err := c.Ready(ctx); err != nil {
		t.Errorf("ready: %v", err)
	}
	s, err := c.Status(ctx)
	if err != nil || s.Node != (dag.NodeID{1}) || s.Peers[0].ClockSkew != time.Second {
		t.Errorf("got %+v, %v", s, err)
	}
	if l := s.Peers[0].Lag; l == nil || *l != (Lag{3, 1, time.UnixMilli(500).UTC()}) || len(s.Zones) != 1 || *s.Zones[0].Lag != *l {
		t.Errorf("lag: got %+v", s)
	}
	n5 := Member{Node: dag.NodeID{5}, Name: "team/n5", Role: "writer"}
	if m, err := c.AddMember(ctx, n5, Claim{Author: "ann"}); err != nil || m != (MemberChange{n5, dag.BlockID{9}}) {
		t.Errorf("got %v, %v", m, err)
	}
	if m, err := c.Members(ctx); err != nil || len(m) != 2 || m[1] != n5 {
		t.Errorf("got %+v, %v", m, err)
	}
	if m, err := c.RemoveMember(ctx, "team/n5", Claim{}); err != nil || m != (MemberChange{n5, dag.BlockID{10}}) {
		t.Errorf("got %v, %v", m, err)
	}
	if _, err := c.RemoveMember(ctx, "team/n5", Claim{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if _, err := c.RemoveMember(ctx, "", Claim{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("nobody removed: %v", err)
	}
	if _, err := c.Join(ctx, JoinRequest{Address: "a", Discard: true, ImportAs: "old"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("discarded and imported: %v", err)
	}
	if _, err := c.Join(ctx, JoinRequest{Address: "a", ImportAs: "no name"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("imported as a bad name: %v", err)
	}
	if j, err := c.Join(ctx, JoinRequest{Address: "a", ImportAs: "old"}); err != nil || j.Import.Forks[0] != (ImportedFork{"default", "old", 2, 1}) {
		t.Errorf("got %+v, %v", j, err)
	}
	if j, err := c.Join(ctx, JoinRequest{Address: "/ip4/127.0.0.1", Discard: true}); err != nil || j.Blocks != 3 || !r.fake.last.(JoinRequest).Discard {
		t.Errorf("got %+v, %v", j, err)
	}
	r.fake.hook = func(context.Context) error { return errors.New("starting") }
	if err := c.Ready(ctx); !errors.Is(err, ErrNotHere) {
		t.Errorf("got %v", err)
	}
}

func TestClientFaults(t *testing.T) {
	r := serve(t, nil)
	ctx, c := t.Context(), r.client
	for range c.Verify(ctx, nil) {
		t.Error("a fault in a clean store")
	}
	r.fake.faults = []Fault{{Kind: "block", Where: "a", Detail: "b"}, {Kind: "key", Where: "c", Detail: "d"}}
	told := 0
	count := func(done, total uint64) {
		if told++; total != 1000 || done != uint64(told)*10 {
			t.Errorf("told for the %d. time of %d of %d", told, done, total)
		}
	}
	for _, find := range []func(context.Context, Progress) iter.Seq2[Fault, error]{c.Verify, c.Repair} {
		for _, progress := range []Progress{nil, count} {
			var got []Fault
			for f, err := range find(ctx, progress) {
				if err != nil {
					t.Fatal(err)
				}
				f.Repaired = false
				got = append(got, f)
			}
			if !slices.Equal(got, r.fake.faults) {
				t.Errorf("got %v", got)
			}
		}
		if told != 100 {
			t.Errorf("progress was told %d times", told)
		}
		told = 0
	}
	for f := range c.Repair(ctx, nil) {
		if !f.Repaired {
			t.Errorf("got %v", f)
		}
	}
}

func TestClientWatch(t *testing.T) {
	r := serve(t, nil)
	ctx, c := t.Context(), r.client
	put := func(key string) {
		if _, err := c.Put(ctx, PutRequest{KeyRef: KeyRef{Key: key}, Value: []byte(key)}); err != nil {
			t.Fatal(err)
		}
	}
	put("a")
	put("b")
	var cursor Cursor
	for e, err := range c.Watch(ctx, WatchRequest{Since: "start"}) {
		if err != nil || e.Key != "a" || string(e.Value) != "a" || e.Type != "put" {
			t.Fatalf("got %+v, %v", e, err)
		}
		cursor = e.Cursor
		break
	}
	var got []string
	for e, err := range c.Watch(ctx, WatchRequest{Since: string(cursor), Idle: time.Minute}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Type+" "+e.Key)
		if e.Type == eventIdle {
			put("c")
		}
		if e.Key == "c" {
			break
		}
	}
	if want := []string{"put b", "idle ", "put c"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, err := range c.Watch(ctx, WatchRequest{Since: "elsewhere"}) {
		if !errors.Is(err, ErrGone) {
			t.Errorf("got %v", err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, err := range c.Watch(ctx, WatchRequest{Idle: time.Minute}) {
		if cancel(); err != nil && ExitCode(err) != 130 {
			t.Errorf("got %v", err)
		}
	}
	for e, err := range c.Watch(t.Context(), WatchRequest{Idle: time.Minute}) {
		if err == nil && e.Type == eventIdle {
			r.end()
			continue
		}
		if !errors.Is(err, ErrNoDaemon) || !strings.Contains(err.Error(), "shutting down") {
			t.Errorf("got %+v, %v", e, err)
		}
	}
}

// TestWatchBurst sends more than fits into any buffer at once.
func TestWatchBurst(t *testing.T) {
	r := serve(t, nil)
	const n = 2000
	value := bytes.Repeat([]byte("0123456789"), 100)
	for i := range n {
		r.fake.Put(t.Context(), PutRequest{KeyRef: KeyRef{Key: fmt.Sprint(i)}, Value: value})
	}
	next := 0
	for e, err := range r.client.Watch(t.Context(), WatchRequest{Since: "start"}) {
		if err != nil || e.Key != fmt.Sprint(next) || !bytes.Equal(e.Value, value) {
			t.Fatalf("event %d: %+v, %v", next, e, err)
		}
		if next++; next == n {
			break
		}
	}
}

func TestServerSentEvents(t *testing.T) {
	r := serve(t, nil)
	r.fake.Put(t.Context(), PutRequest{KeyRef: KeyRef{Key: "a"}})
	r.fake.Put(t.Context(), PutRequest{KeyRef: KeyRef{Key: "b"}})
	const data = `data: {"cursor":"2","type":"put","fork":"default","key":"b"`
	for _, test := range []struct {
		query, lastID string
		want          []string
	}{
		// The event; then an id without data at the end of the feed.
		{"", "1", []string{"id: 2", data, "", "id: 2", ""}},
		// The state has no ids before it is whole, and then is not sent again.
		{"?state=true&since=1", "", []string{data, "", "id: 2", ""}},
		{"?state=true", "1", []string{"id: 2", data, "", "id: 2", ""}},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+r.HTTPAddr()+"/api/v1/forks/default/watch"+test.query, nil)
		req.Header.Set("Accept", "text/event-stream")
		if test.lastID != "" {
			req.Header.Set("Last-Event-ID", test.lastID)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("content type %q", got)
		}
		var got []string
		for lines := bufio.NewScanner(resp.Body); len(got) < len(test.want) && lines.Scan(); {
			line, _, _ := strings.Cut(lines.Text(), `,"kind"`)
			got = append(got, line)
		}
		resp.Body.Close()
		if !slices.Equal(got, test.want) {
			t.Errorf("%+v: got %q", test, got)
		}
	}
}

func TestLongPoll(t *testing.T) {
	r := serve(t, nil)
	ctx := t.Context()
	poll := func(query string) string {
		data, err := r.client.ask(ctx, request{method: "GET", path: "/api/v1/forks/default/watch", query: map[string][]string{"wait": {"0s"}, "since": {query}}})
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if got := poll("now"); got != `{"events":[],"cursor":"0"}` {
		t.Errorf("got %s", got)
	}
	r.fake.Put(ctx, PutRequest{KeyRef: KeyRef{Key: "a"}})
	r.fake.Put(ctx, PutRequest{KeyRef: KeyRef{Key: "b"}})
	if got := poll("0"); strings.Count(got, `"type":"put"`) != 2 || !strings.HasSuffix(got, `"cursor":"2"}`) {
		t.Errorf("got %s", got)
	}
	done := make(chan string)
	go func() {
		data, err := r.client.ask(ctx, request{method: "GET", path: "/api/v1/forks/default/watch", query: map[string][]string{"wait": {"1m"}, "since": {"2"}}})
		done <- fmt.Sprint(string(data), err)
	}()
	r.fake.Put(ctx, PutRequest{KeyRef: KeyRef{Key: "c"}})
	if got := <-done; !strings.Contains(got, `"key":"c"`) || !strings.HasSuffix(got, `"cursor":"3"}<nil>`) {
		t.Errorf("got %s", got)
	}
}

// TestBrokenStreams lets a list fail after its first part is out.
func TestBrokenStreams(t *testing.T) {
	r := serve(t, nil)
	ctx := t.Context()
	r.fake.Put(ctx, PutRequest{KeyRef: KeyRef{Key: "broken"}})
	for _, err := range r.client.List(ctx, ListRequest{}) {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("got %v", err)
		}
	}
	r.fake.Put(ctx, PutRequest{KeyRef: KeyRef{Key: "a"}, Value: make([]byte, 200_000)})
	var keys []string
	var last error
	for e, err := range r.client.List(ctx, ListRequest{Values: true}) {
		keys, last = append(keys, e.Key), err
	}
	if !slices.Equal(keys, []string{"a", "broken", ""}) || !errors.Is(last, ErrDamaged) {
		t.Errorf("got %q, %v", keys, last)
	}
	_, err := r.client.ask(ctx, request{method: "GET", path: "/api/v1/forks/default/kv"})
	if err == nil || !strings.Contains(err.Error(), "broke") {
		t.Errorf("half a list was taken for a whole: %v", err)
	}
}

func TestClientWithoutDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crush.sock")
	for _, c := range []*Client{{Socket: path}, {URL: "http://127.0.0.1:1"}} {
		_, err := c.Status(t.Context())
		if !errors.Is(err, ErrNoDaemon) || ExitCode(err) != 9 || !strings.Contains(err.Error(), c.Socket+c.URL) {
			t.Errorf("got %v", err)
		}
	}
	for _, bad := range []string{"ftp://x", "http://", "http://a?b", "http://a b"} {
		if _, err := (&Client{URL: bad}).Status(t.Context()); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&Client{Socket: path}).Status(ctx); ExitCode(err) != 130 {
		t.Errorf("got %v", err)
	}
}

func TestClientDeadline(t *testing.T) {
	r := serve(t, nil)
	get := func(in time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), in)
		defer cancel()
		_, err := r.client.Get(ctx, GetRequest{KeyRef: KeyRef{Key: "k"}})
		return err
	}
	// The node says what it lacks, a little before the client gives up.
	r.fake.hook = func(ctx context.Context) error {
		<-ctx.Done()
		return &Error{Code: CodeNotHere, Message: "a head is not here yet"}
	}
	if err := get(time.Second); !errors.Is(err, ErrNotHere) {
		t.Errorf("got %v", err)
	}
	r.fake.hook = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	if err := get(50 * time.Millisecond); !errors.Is(err, ErrTimeout) || ExitCode(err) != 10 {
		t.Errorf("got %v", err)
	}
}

func TestAuthorIsTheSocketsPeer(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Skip(err)
	}
	r := serve(t, nil)
	c := &Client{URL: "http://" + r.HTTPAddr()}
	defer c.Close()
	for name, c := range map[string]*Client{"socket": r.client, "TCP": c} {
		if _, err := c.Put(t.Context(), PutRequest{KeyRef: KeyRef{Key: "k"}}); err != nil {
			t.Fatal(err)
		}
		if got := r.fake.last.(PutRequest).Author; string(got) != me.Username {
			t.Errorf("%s: got %q, want %q", name, got, me.Username)
		}
	}
}

func FuzzHeaderText(f *testing.F) {
	f.Add("plain")
	f.Add("two\nlines é")
	f.Add("UTF-8''x")
	f.Add(" spaces ")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := decodeHeader("h", encodeHeader(text))
		if want := strings.ToValidUTF8(text, ""); want == text && (err != nil || got != text) {
			t.Fatalf("got %q, %v, want %q", got, err, text)
		}
	})
}

func BenchmarkSocket(b *testing.B) {
	r := serve(b, nil).client
	ctx := b.Context()
	value := make([]byte, 256)
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range value {
		value[i] = byte('a' + rnd.IntN(26))
	}
	b.Run("put", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Put(ctx, PutRequest{KeyRef: KeyRef{Key: "app/config"}, Value: value}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Get(ctx, GetRequest{KeyRef: KeyRef{Key: "app/config"}}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("kv", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.ask(ctx, request{method: "GET", path: "/api/v1/forks/default/kv/app/config"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ancestor", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.ask(ctx, request{method: "GET", path: "/app%2Fconfig", query: url.Values{"patch": {"true"}}}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("livez", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.ask(ctx, request{method: "GET", path: "/-/livez"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
