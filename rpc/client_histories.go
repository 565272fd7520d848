package rpc

import (
	"context"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Info implements [Histories].
func (c *Client) Info(ctx context.Context, k KeyRef) (Info, error) {
	if err := checkKey(k.Key); err != nil {
		return Info{}, err
	}
	return answer[Info](ctx, c, request{method: http.MethodGet, path: c.forkPath(k.Fork, "info", k.Key)})
}

// Log implements [Histories].
func (c *Client) Log(ctx context.Context, r LogRequest) iter.Seq2[LogEntry, error] {
	req := request{method: http.MethodGet}
	switch {
	case r.All && (r.Fork != "" || r.Key != ""):
		return func(yield func(LogEntry, error) bool) {
			yield(LogEntry{}, invalid("the log of every fork is of all their keys: name neither a fork nor a key"))
		}
	case r.All:
		req.path = "/api/v1/log"
	case r.Key == "" || strings.HasSuffix(r.Key, "/"):
		req.path = c.forkPath(r.Fork, "log", "")
		req.setQuery("prefix", r.Key)
	default:
		req.path = c.forkPath(r.Fork, "log", r.Key)
	}
	req.setQuery("after", r.After)
	req.setQuery("author", string(r.Author))
	req.setQuery("node", r.Node)
	req.setFlag("values", r.Values)
	if r.Graph != 0 {
		req.setQuery("graph", strconv.Itoa(r.Graph))
	}
	if !r.Since.IsZero() {
		req.setQuery("since", r.Since.UTC().Format(time.RFC3339Nano))
	}
	return lines[LogEntry](ctx, c, req)
}

// Show implements [Histories].
func (c *Client) Show(ctx context.Context, id string) (Shown, error) {
	if id == "" {
		return Shown{}, invalid("the id is empty")
	}
	return answer[Shown](ctx, c, request{method: http.MethodGet, path: "/api/v1/show/" + escape(id)})
}

// Watch implements [Histories]. The feed stands when the first call of the
// loop's body, or, with Idle, an idle event has come. It ends only with an
// error, which is ErrNoDaemon when the daemon stops, or when the loop breaks.
func (c *Client) Watch(ctx context.Context, r WatchRequest) iter.Seq2[Event, error] {
	req := request{method: http.MethodGet, path: c.forkPath(r.Fork, "watch", "")}
	req.setQuery("prefix", r.Prefix)
	req.setQuery("since", r.Since)
	req.setFlag("state", r.State)
	if r.Idle > 0 {
		req.setQuery("idle", max(r.Idle, leastIdle).String())
	}
	return func(yield func(Event, error) bool) {
		for e, err := range lines[Event](ctx, c, req) {
			if !yield(e, err) || err != nil {
				return
			}
		}
		yield(Event{}, &Error{Code: CodeNoDaemon, Message: "the daemon ended the feed"})
	}
}

// Rollback implements [Changes].
func (c *Client) Rollback(ctx context.Context, r RollbackRequest) (RolledBack, error) {
	req := request{method: http.MethodPost, path: c.forkPath(r.Fork, "rollback", ""), header: make(http.Header, 4)}
	req.setClaim(r.Claim)
	body := struct {
		Key  string `json:"key"`
		To   string `json:"to"`
		Plan bool   `json:"plan"`
	}{r.Key, r.To, r.Plan}
	if err := req.setJSON(body); err != nil {
		return RolledBack{}, err
	}
	return answer[RolledBack](ctx, c, req)
}

// Apply implements [Changes]. The files are not kept.
func (c *Client) Apply(ctx context.Context, r ApplyRequest) (Applied, error) {
	req := request{
		method: http.MethodPost, path: c.forkPath(r.Fork, "batch", ""), header: make(http.Header, 4),
		stream: func() io.Reader { return &fileReader{files: r.Files} },
	}
	req.header["Content-Type"] = []string{contentLines}
	req.setClaim(r.Claim)
	req.setQuery("prefix", r.Prefix)
	req.setQuery("as", r.Label)
	req.setFlag("prune", r.Prune)
	req.setFlag("plan", r.Plan)
	return answer[Applied](ctx, c, req)
}

// fileReader reads files as lines of JSON, one in memory at a time.
type fileReader struct {
	files []File
	line  []byte // buffer
	rest  []byte // of line
}

// Read implements io.Reader.
func (r *fileReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if len(r.files) == 0 {
			return 0, io.EOF
		}
		r.line = append(r.files[0].appendJSON(r.line[:0]), '\n')
		r.rest, r.files = r.line, r.files[1:]
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
