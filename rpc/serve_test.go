package rpc

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// logged is a log that can be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// running is a server on a Unix socket and a TCP port.
type running struct {
	*Server

	client *Client
	log    *logged
	fake   *fake
	end    func() error // stops it and returns what Run did
}

func serve(t testing.TB, change func(c *ServerConfig)) *running {
	t.Helper()
	f, l := newFake(), new(logged)
	c := ServerConfig{
		Handler: HandlerConfig{Service: f.service(), Logger: slog.New(slog.NewTextHandler(l, nil))},
		Socket:  filepath.Join(t.TempDir(), "crush.sock"),
		HTTP:    "127.0.0.1:0",
	}
	if change != nil {
		change(&c)
	}
	s, err := NewServer(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var failed error
	wg.Go(func() { failed = s.Run(ctx) })
	end := sync.OnceValue(func() error {
		cancel()
		wg.Wait()
		return failed
	})
	client := &Client{Socket: c.Socket}
	t.Cleanup(func() {
		client.Close()
		if err := end(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return &running{Server: s, client: client, log: l, fake: f, end: end}
}

// call sends one request to a handler without a network.
func call(h http.Handler, method, target string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost", body)
	u, err := url.ParseRequestURI(target) // as net/http does
	if err != nil {
		panic(err)
	}
	r.URL = u
	r.RequestURI = target
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func want(t *testing.T, w *httptest.ResponseRecorder, status int, part string) {
	t.Helper()
	if w.Code != status || !strings.Contains(w.Body.String(), part) {
		t.Errorf("got %d %s, want %d with %s", w.Code, w.Body, status, part)
	}
}

// etag reads the header as it was set: a recorder does not canonicalise.
func etag(w *httptest.ResponseRecorder) string {
	for name, values := range w.Header() {
		if strings.EqualFold(name, "ETag") {
			return values[0]
		}
	}
	return ""
}
