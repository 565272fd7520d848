package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"crush/dag"
)

// Client asks a daemon. The zero value with a Socket works; set the fields
// before the first call. Its methods may be called by several goroutines at
// once. Errors of the daemon come back as *[Error] with their code, so that
// errors.Is(err, ErrStale) works; if nobody answers, the code is CodeNoDaemon;
// a cancelled context comes back as its own error.
//
// A write whose connection breaks before its answer has come may or may not be
// stored; it is never sent twice.
type Client struct {
	// Socket is the path of the daemon's Unix socket.
	Socket string
	// URL, as http://127.0.0.1:7654, is asked instead of Socket if it is set.
	URL string
	// Token is the bearer token of a remote node; "" for none.
	Token string
	// Fork is used by requests that name none; "" is the default fork.
	Fork string

	once sync.Once
	// Set by once.
	transport *http.Transport
	base      url.URL
	bad       error // why URL cannot be one
}

var (
	_ Values    = (*Client)(nil)
	_ Histories = (*Client)(nil)
	_ Changes   = (*Client)(nil)
	_ Node      = (*Client)(nil)
	_ Forks     = (*Client)(nil)
	_ Merges    = (*Client)(nil)
	_ Pointers  = (*Client)(nil)
	_ Resets    = (*Client)(nil)
	_ Series    = (*Client)(nil)
)

// Close closes idle connections. The client can be used again.
func (c *Client) Close() {
	c.once.Do(c.open)
	c.transport.CloseIdleConnections()
}

// Ready returns nil when the daemon takes requests.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.ask(ctx, request{method: http.MethodGet, path: "/-/readyz"})
	return err
}

func (c *Client) open() {
	const (
		idle = time.Minute // less than the server's, so that it never closes first
		dial = 10 * time.Second
	)
	c.transport = &http.Transport{
		DisableCompression: true, MaxIdleConnsPerHost: 256, IdleConnTimeout: idle,
		DialContext: (&net.Dialer{Timeout: dial}).DialContext,
	}
	if c.URL == "" {
		c.base = url.URL{Scheme: "http", Host: "localhost"}
		c.transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dial}).DialContext(ctx, "unix", c.Socket)
		}
		return
	}
	text := c.URL
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		c.bad = invalid("the address " + quote(c.URL) + " is not a URL as http://127.0.0.1:7654")
		return
	}
	c.base = *u
	c.base.Path = strings.TrimSuffix(u.Path, "/")
	c.base.RawPath = strings.TrimSuffix(u.RawPath, "/")
}

// request is one call of the API.
type request struct {
	method string
	path   string // escaped
	query  url.Values
	header http.Header
	body   []byte
	// stream is a body of unknown length, instead of body.
	stream func() io.Reader
	// endless requests have no time to be answered in.
	endless bool
}

// forkPath is the path of a fork, of a noun of it, and of a key there.
func (c *Client) forkPath(fork, noun, key string) string {
	if fork == "" {
		fork = c.Fork
	}
	if fork == "" {
		fork = dag.DefaultForkName
	}
	path := forksPath + "/" + escape(fork)
	if noun != "" {
		path += "/" + noun
	}
	if key != "" {
		path += "/" + escape(key)
	}
	return path
}

// setClaim puts a claim into the headers, and what to wait for into the query.
func (r *request) setClaim(c Claim) {
	if c.Author != "" {
		r.header[headerAuthor] = []string{encodeHeader(string(c.Author))}
	}
	if c.Message != "" {
		r.header[headerMessage] = []string{encodeHeader(c.Message)}
	}
	if !c.Wait.IsZero() {
		r.setQuery("wait", c.Wait.String())
	}
}

// setQuery sets a parameter unless it is empty.
func (r *request) setQuery(name, value string) {
	if value == "" {
		return
	}
	if r.query == nil {
		r.query = make(url.Values)
	}
	r.query.Set(name, value)
}

// setFlag sets a parameter if it is true.
func (r *request) setFlag(name string, value bool) {
	if value {
		r.setQuery(name, "true")
	}
}

// limitKey is the key of WithLimit's duration in a context.
type limitKey struct{}

// WithLimit returns a context whose calls let the node wait that long for what
// is not there yet. Without it, that is until shortly before the context's
// deadline: a caller for whom the node's own answer matters sets a later
// deadline, or none.
func WithLimit(ctx context.Context, limit time.Duration) context.Context {
	return context.WithValue(ctx, limitKey{}, limit)
}

// setTimeout tells the node how long the caller waits. The node's own answer
// says more than a broken connection: it gives up a little earlier.
func (r *request) setTimeout(ctx context.Context) {
	if limit, ok := ctx.Value(limitKey{}).(time.Duration); ok {
		r.header[headerTimeout] = []string{limit.String()}
		return
	}
	end, ok := ctx.Deadline()
	if !ok {
		return
	}
	left := time.Until(end)
	if left -= left / 10; left > 0 {
		r.header[headerTimeout] = []string{left.String()}
	}
}

// ask returns the body of an answer.
func (c *Client) ask(ctx context.Context, r request) ([]byte, error) {
	resp, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return c.readAnswer(ctx, resp)
}

func (c *Client) readAnswer(ctx context.Context, resp *http.Response) (data []byte, err error) {
	if resp.ContentLength >= 0 {
		data = make([]byte, resp.ContentLength)
		_, err = io.ReadFull(resp.Body, data)
	} else {
		data, err = io.ReadAll(resp.Body)
	}
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	return data, nil
}

// answer reads an answer in JSON. That of a write which is stored comes back
// beside the error that the wait for other nodes ended with.
func answer[T any](ctx context.Context, c *Client, r request) (v T, err error) {
	data, err := c.ask(ctx, r)
	if err != nil {
		return v, writtenDespite(err, &v)
	}
	return v, decodeAnswer(data, &v)
}

func decodeAnswer(data []byte, v any) error {
	decode := json.Unmarshal
	if u, ok := v.(json.Unmarshaler); ok {
		// It reads all of data itself; json.Unmarshal would do so twice.
		decode = func(data []byte, _ any) error { return u.UnmarshalJSON(data) }
	}
	if err := decode(data, v); err != nil {
		return &Error{Code: CodeInternal, Message: "the daemon's answer does not parse: " + err.Error(), Cause: err}
	}
	return nil
}

// setJSON makes v the body.
func (r *request) setJSON(v any) (err error) {
	if r.body, err = json.Marshal(v); err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	r.header["Content-Type"] = []string{contentOfJSON}
	return nil
}

// send returns an answer whose status is 200, with its body open.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	resp, err := c.roundTrip(ctx, r)
	if err != nil || resp.StatusCode == http.StatusOK {
		return resp, err
	}
	defer resp.Body.Close()
	return nil, readError(resp)
}

// roundTrip returns an answer of any status, with its body open.
func (c *Client) roundTrip(ctx context.Context, r request) (*http.Response, error) {
	c.once.Do(c.open)
	if c.bad != nil {
		return nil, c.bad
	}
	req, err := c.build(ctx, r)
	if err != nil {
		return nil, err
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	return resp, nil
}

func (c *Client) build(ctx context.Context, r request) (*http.Request, error) {
	u := c.base
	path, err := url.PathUnescape(r.path)
	if err != nil {
		return nil, invalid("the path does not decode: " + err.Error())
	}
	u.RawPath = u.EscapedPath() + r.path
	u.Path += path
	u.RawQuery = r.query.Encode()
	if r.header == nil {
		r.header = make(http.Header)
	}
	if c.Token != "" {
		r.header["Authorization"] = []string{"Bearer " + c.Token}
	}
	if !r.endless {
		r.setTimeout(ctx)
	}
	req := &http.Request{
		Method: r.method, URL: &u, Host: u.Host, Header: r.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	switch {
	case r.stream != nil:
		req.ContentLength = -1
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(r.stream()), nil }
	case len(r.body) > 0:
		req.ContentLength = int64(len(r.body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.body)), nil }
	}
	if req.GetBody != nil {
		req.Body, _ = req.GetBody()
	}
	return req.WithContext(ctx), nil
}

// failure says what a failed call means to the caller.
func (c *Client) failure(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	if ctx.Err() != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return &Error{Code: CodeTimeout, Message: "the daemon did not answer in time", Cause: context.DeadlineExceeded}
		}
		return fmt.Errorf("ask the daemon: %w", context.Cause(ctx))
	}
	dial, ok := errors.AsType[*net.OpError](err)
	if !ok || dial.Op != "dial" {
		return &Error{
			Code: CodeInternal, Cause: err,
			Message: "the connection to the daemon broke (" + err.Error() + "): a write may or may not be stored",
		}
	}
	target, cause := "socket "+c.Socket, dial.Err
	if c.URL != "" {
		target = "address " + c.URL
	}
	if call, ok := errors.AsType[syscall.Errno](err); ok {
		cause = call
	}
	if errors.Is(err, fs.ErrPermission) {
		return &Error{Code: CodeDenied, Message: "not allowed to use the " + target + ": " + cause.Error(), Cause: err}
	}
	return &Error{
		Code: CodeNoDaemon, Cause: err,
		Message: "no daemon answers; tried " + target + " (" + cause.Error() + "); start one with crush daemon, or name another with --socket or --addr",
	}
}

// maxErrorBody is the longest error object that is read.
const maxErrorBody = 64 << 10

// readError reads the error object of an answer.
func readError(resp *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		data = nil
	}
	return errorOf(resp, data)
}

// errorOf returns the error that an answer's body is. net/http answers some
// requests itself, in plain text.
func errorOf(resp *http.Response, data []byte) error {
	if e := parseError(data); e != nil {
		return e
	}
	if resp.StatusCode == http.StatusRequestHeaderFieldsTooLarge {
		return &Error{Code: CodeTooLarge, Message: "the headers of the request are too large: shorten the message, the author or the token"}
	}
	text, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	return &Error{Code: codeOfStatus(resp.StatusCode), Message: fmt.Sprintf("the daemon answered %s: %s", resp.Status, quote(text))}
}

// parseError returns nil if data is not an error object.
func parseError(data []byte) *Error {
	var w struct {
		Error struct {
			Code    Code   `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
		Written json.RawMessage `json:"written"`
	}
	if err := json.Unmarshal(data, &w); err != nil || w.Error.Code == "" {
		return nil
	}
	return &Error{Code: w.Error.Code, Message: w.Error.Message, Written: w.Written}
}

// codeOfStatus guesses the code of an answer that is not ours.
func codeOfStatus(status int) Code {
	switch status {
	case http.StatusRequestHeaderFieldsTooLarge:
		return CodeTooLarge
	case http.StatusUnauthorized:
		return CodeDenied
	}
	for _, code := range []Code{
		CodeInvalid, CodeTooLarge, CodeNotFound, CodeDenied, CodeBadHost, CodeMethod, CodeBusy, CodeNotHere, CodeTimeout,
	} {
		if code.Status() == status {
			return code
		}
	}
	return CodeInternal
}
