package rpc

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// HandlerConfig says what a handler serves, and to whom.
type HandlerConfig struct {
	// Service stands behind the door; its nouns up to Node are needed.
	Service Service
	// Logger gets one line for each failure of our own; nil discards.
	Logger *slog.Logger
	// TCP guards what a browser or another user of the machine can reach:
	// the Host allow-list and the cross-origin check.
	TCP bool
	// Hosts are allowed in the Host header besides localhost, 127.0.0.1 and
	// [::1]; a name without a port is allowed with any.
	Hosts []string
	// OwnerOnly refuses a request whose sender may not use this door; nil lets
	// everybody in. Its error is denied unless it has a code.
	OwnerOnly func(r *http.Request) error
	// Author names the sender of a request that claims no author; nil for
	// nobody.
	Author func(r *http.Request) Author
	// Ready says why the node takes no requests yet; nil asks Node.Status.
	Ready func(ctx context.Context) error
	// Stop ends streams without an end, as watch, when it is closed; nil for
	// never.
	Stop <-chan struct{}
	// Limits bound what one request can take; zero fields have defaults.
	Limits Limits
	// Aside is the directory where values of a long batch wait, on the disk and
	// without a name, until the batch is written; "" for that of temporary files.
	Aside string
}

// Limits bound what one client can take. Zero means the default.
type Limits struct {
	Value    int64         // bytes of a value; 4 MiB
	Batch    int64         // bytes of the body of a batch; 128 MiB
	Page     int           // elements of a list that names no limit; 1,000
	MaxPage  int           // the highest limit of a list; 10,000
	Header   int           // bytes of a request's header; 64 KiB
	HeaderIn time.Duration // to send a request's header; 10 s
	// ChunkIn is the time to send each 32 KiB of a body, or to take each
	// 32 KiB of an answer; 30 s. A client that is slower is cut off.
	ChunkIn time.Duration
	Idle    time.Duration // between requests of a connection; 2 min
	Drain   time.Duration // for requests under way when the server stops; 10 s
}

// chunk is the number of bytes that must pass in Limits.ChunkIn.
const chunk = 32 << 10

func (l Limits) withDefaults() Limits {
	orDefault(&l.Value, 4<<20)
	orDefault(&l.Batch, 128<<20)
	orDefault(&l.Page, 1_000)
	orDefault(&l.MaxPage, 10_000)
	orDefault(&l.Header, 64<<10)
	orDefault(&l.HeaderIn, 10*time.Second)
	orDefault(&l.ChunkIn, 30*time.Second)
	orDefault(&l.Idle, 2*time.Minute)
	orDefault(&l.Drain, 10*time.Second)
	return l
}

func orDefault[T int | int64 | time.Duration](v *T, to T) {
	if *v == 0 {
		*v = to
	}
}

// NewHandler returns the handler of the native and of the ancestor's API. It
// dispatches on the escaped path and never cleans or redirects.
func NewHandler(c HandlerConfig) http.Handler {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	h := &handler{
		HandlerConfig: c,
		limits:        c.Limits.withDefaults(),
		hosts:         make(map[string]bool),
		native:        newTree(routes()),
	}
	for _, host := range append([]string{"localhost", "127.0.0.1", "[::1]"}, c.Hosts...) {
		h.hosts[strings.ToLower(host)] = true
	}
	h.buffers.New = func() any { return new([]byte) }
	h.writers.New = func() any { return bufio.NewWriterSize(nil, chunk) }
	return h
}

type handler struct {
	HandlerConfig

	limits  Limits
	hosts   map[string]bool
	native  *node
	origin  http.CrossOriginProtection
	buffers sync.Pool // of *[]byte, for short answers
	writers sync.Pool // of *bufio.Writer, for streams
}

// exchange is one request and its answer; its goroutine owns it.
type exchange struct {
	*handler

	w http.ResponseWriter
	r *http.Request
	// What the path names.
	fork, key, id string
	// query is parsed for native routes.
	query url.Values
	// wait is what a write waits for before it is answered, and for how long.
	wait    Wait
	waitFor time.Duration
	// wrote is true when the status is out.
	wrote bool
	// unread is true while there may be more of the body.
	unread bool
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{handler: h, w: w, r: r}
	defer x.recover()
	if r.ContentLength != 0 {
		// Also for a body that nobody reads: net/http reads on to the next
		// request.
		x.unread = true
		x.readUntil(time.Now().Add(h.limits.ChunkIn))
	}
	err := h.guard(r)
	if err == nil {
		err = x.dispatch()
	}
	if err != nil {
		x.fail(err)
	}
}

// dispatch picks the API by the first segment, as it was sent.
func (x *exchange) dispatch() error {
	path, err := requestPath(x.r.URL)
	if err != nil {
		return err
	}
	switch first, _ := cutSegment(path); first {
	case "api", "-":
		return x.serveNative(path)
	case "keys":
		if path == "keys" && isRead(x.r.Method) {
			return x.ancestorKeys()
		}
	}
	return x.serveAncestor(path)
}

func isRead(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// recover turns a panic of a handler into a 500 and one line in the log.
func (x *exchange) recover() {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	x.Logger.Error("handler panicked", "method", x.r.Method, "path", x.r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	if x.wrote {
		panic(http.ErrAbortHandler)
	}
	x.writeError(CodeInternal, "the daemon has a bug: its log has the details")
}

// fail answers with the error, or cuts the connection if the answer has begun:
// the client must not take a part for the whole.
func (x *exchange) fail(err error) {
	code := CodeOf(err)
	if errors.Is(err, errHungUp) || x.r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		panic(http.ErrAbortHandler) // nobody is there to read an answer
	}
	if status := code.Status(); status == http.StatusInternalServerError || status == http.StatusInsufficientStorage {
		x.logFailure(err)
	}
	if x.wrote {
		panic(http.ErrAbortHandler)
	}
	// If even this cannot be written, nobody is there to read it.
	_ = x.writeJSON(code.Status(), func(b []byte) []byte { return appendFailure(b, code, err) })
}

func (x *exchange) logFailure(err error) {
	attrs := []any{"method", x.r.Method, "path", x.r.URL.Path, "error", err}
	if e, ok := errors.AsType[*Error](err); ok && e.Cause != nil {
		attrs = append(attrs, "cause", e.Cause)
	}
	x.Logger.Error("request failed", attrs...)
}

// invalid is the error of a malformed request.
func invalid(message string) error { return &Error{Code: CodeInvalid, Message: message} }
