package rpc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"crush/crdt"
)

// Headers of the native API.
const (
	headerAuthor   = "Crush-Author"
	headerBase     = "Crush-Base"
	headerBlock    = "Crush-Block"
	headerConflict = "Crush-Conflict"
	headerKind     = "Crush-Kind"
	headerMessage  = "Crush-Message"
	headerRevision = "Crush-Revision"
	headerTimeout  = "Crush-Timeout"
	headerToken    = "Crush-Token"
	headerWarning  = "Crush-Warning"
)

// encodedText starts a header's value that is percent-encoded (RFC 8187):
// messages hold line ends, which headers cannot.
const encodedText = "UTF-8''"

// maxToken is the length of the longest token.
const maxToken = 4 << 10

// serveNative serves /api/v1/… and /-/….
func (x *exchange) serveNative(path string) error {
	route, err := x.native.find(x, path)
	if err == nil {
		err = route.noun.check(&x.Service)
	}
	if err != nil {
		return err
	}
	if x.r.URL.RawQuery != "" {
		if err := x.parseQuery(route); err != nil {
			return err
		}
	}
	if route.writes() {
		if err := x.readWait(); err != nil {
			return err
		}
	}
	end, err := x.bound(route)
	if err != nil {
		return err
	}
	defer end()
	return route.serve(x)
}

// bound gives the request the time that it says it may wait for what is not
// there yet. One that waits for other nodes also ends when the server stops; the
// wait of a write begins when it is stored, and that of a list ends when it
// begins.
func (x *exchange) bound(route *route) (end func(), err error) {
	waits := !x.wait.IsZero() || x.query.Has("after_block") || route.takes("rev") && x.query.Has("after")
	limit := defaultWait
	if v := x.header(headerTimeout); v != "" {
		if limit, err = time.ParseDuration(v); err != nil || limit <= 0 {
			return nil, invalid(headerTimeout + " must be a duration, as 1.5s")
		}
	} else if !waits {
		return func() {}, nil
	}
	ctx, cancel := x.r.Context(), func() {}
	if x.waitFor = limit; x.header(headerBase) != "" || x.wait.IsZero() && !x.query.Has("after_block") {
		ctx, cancel = context.WithTimeout(ctx, limit)
	}
	if !waits {
		x.r = x.r.WithContext(ctx)
		return cancel, nil
	}
	ctx, stop := context.WithCancelCause(ctx)
	released := x.cancelAtStop(ctx, stop)
	x.r = x.r.WithContext(ctx)
	return func() {
		stop(nil)
		released()
		cancel()
	}, nil
}

// parseQuery refuses what the route does not know: a misspelt condition must
// not be ignored.
func (x *exchange) parseQuery(route *route) (err error) {
	if x.query, err = url.ParseQuery(x.r.URL.RawQuery); err != nil {
		return invalid("the query does not parse: " + err.Error())
	}
	for name, values := range x.query {
		if !route.takes(name) {
			return invalid("the query parameter " + quote(name) + " is not known here")
		}
		if len(values) > 1 {
			return invalid("the query parameter " + quote(name) + " stands twice")
		}
		if values[0] == "" && slices.Contains(neverEmpty, name) {
			return invalid("the query parameter " + quote(name) + " is empty: leave it out, or give it a value")
		}
	}
	return nil
}

// header returns the first value of a header by its canonical name.
func (x *exchange) header(name string) string {
	if v := x.r.Header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// given is header for those whose empty value must not pass for none.
func (x *exchange) given(name string) (value string, given bool) {
	_, given = x.r.Header[name]
	return x.header(name), given
}

// neverEmpty are the query parameters whose empty value would mean that they
// are not there: the newest value is not what ?rev= asks for.
var neverEmpty = []string{"after_block", "at", "by", "expect", "fork", "path", "rev", "since"}

// flag reads a query parameter that is true or false.
func (x *exchange) flag(name string) (bool, error) {
	switch v := x.query.Get(name); v {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	default:
		return false, invalid(name + " must be true or false, not " + quote(v))
	}
}

// span reads a query parameter that is a duration; 0 for none.
func (x *exchange) span(name string) (time.Duration, error) {
	v := x.query.Get(name)
	if v == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return 0, invalid(name + " must be a duration, as 30s, not " + quote(v))
	}
	return d, nil
}

// limit reads the length of a list. Lines have none unless they ask for it.
func (x *exchange) limit() (int, error) {
	v := x.query.Get("limit")
	if v == "" {
		if x.wantsLines() {
			return 0, nil
		}
		return x.limits.Page, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > x.limits.MaxPage {
		return 0, invalid("limit must be a number from 1 to " + strconv.Itoa(x.limits.MaxPage))
	}
	return n, nil
}

func (x *exchange) wantsLines() bool { return strings.Contains(x.header("Accept"), contentLines) }

// claim is what the writer says of the write.
func (x *exchange) claim() (Claim, error) {
	author, err := decodeHeader(headerAuthor, x.header(headerAuthor))
	if err != nil {
		return Claim{}, err
	}
	message, err := decodeHeader(headerMessage, x.header(headerMessage))
	if err != nil {
		return Claim{}, err
	}
	if author == "" {
		author = string(x.claimed().Author)
	}
	return Claim{Author: Author(author), Message: message}, nil
}

func decodeHeader(name, value string) (string, error) {
	if rest, ok := strings.CutPrefix(value, encodedText); ok {
		var err error
		if value, err = url.PathUnescape(rest); err != nil {
			return "", invalid(name + " does not decode: " + err.Error())
		}
	}
	if !utf8.ValidString(value) {
		return "", invalid(name + " is not valid UTF-8")
	}
	return value, nil
}

// encodeHeader is the inverse of decodeHeader.
func encodeHeader(value string) string {
	plain := !strings.HasPrefix(value, encodedText) && value == strings.TrimSpace(value)
	for i := 0; i < len(value) && plain; i++ {
		plain = value[i] >= ' ' && value[i] != 0x7f
	}
	if plain {
		return value
	}
	return encodedText + url.PathEscape(value)
}

// conditions are those of a write; at most one is set.
type conditions struct {
	base, match Token
	absent      bool
}

func (x *exchange) conditions() (c conditions, err error) {
	n := 0
	if v, given := x.given(headerBase); given {
		if c.base, err = readToken(headerBase, v); err != nil {
			return c, err
		}
		n++
	}
	if v, given := x.given("If-Match"); given {
		if c.match, err = readToken("If-Match", v); err != nil {
			return c, err
		}
		n++
	}
	if v, given := x.given("If-None-Match"); given {
		if v != "*" {
			return c, invalid("If-None-Match of a write must be *")
		}
		c.absent = true
		n++
	}
	if n > 1 {
		return c, invalid("at most one of If-Match, If-None-Match and " + headerBase + " can be asked for")
	}
	return c, nil
}

// readToken reads "TOKEN" as of an ETag, or TOKEN.
func readToken(name, value string) (Token, error) {
	token := strings.Trim(strings.TrimSpace(value), `"`)
	if token == "" || token == "*" || strings.ContainsAny(token, `", `) {
		return "", invalid(name + " must be one token, as a read returned it")
	}
	if len(token) > maxToken {
		return "", invalid(name + " is longer than a token can be")
	}
	return Token(token), nil
}

// matchesToken decides on If-None-Match of a read.
func matchesToken(header string, token Token) bool {
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || strings.Trim(tag, `"`) == string(token) {
			return true
		}
	}
	return false
}

// contentKinds are the content types that declare a kind. No other does:
// clients send application/octet-stream for "do not know".
var contentKinds = map[string]crdt.Kind{
	"application/json":   crdt.JSON,
	"application/yaml":   crdt.YAML,
	"application/x-yaml": crdt.YAML,
	"text/yaml":          crdt.YAML,
	"text/plain":         crdt.Text,
}

// kind is the declared kind of a written value; zero for none.
func (x *exchange) kind() (crdt.Kind, error) {
	if v := x.header(headerKind); v != "" {
		return parseKind(headerKind, v)
	}
	media, _, _ := strings.Cut(x.header("Content-Type"), ";")
	return contentKinds[strings.ToLower(strings.TrimSpace(media))], nil
}

func parseKind(name, text string) (crdt.Kind, error) {
	k, err := crdt.ParseKind(text)
	if err != nil || !k.Known() {
		return 0, invalid(name + " is " + quote(text) + ", want bytes, text, json, yaml, counter or set")
	}
	return k, nil
}

// otherwise is the kind that a key gets which has none; zero for none.
func (x *exchange) otherwise() (crdt.Kind, error) {
	if !x.query.Has("otherwise") {
		return 0, nil
	}
	return parseKind("otherwise", x.query.Get("otherwise"))
}

// contentOf is the content type of a value.
func contentOf(k crdt.Kind) string {
	switch k {
	case crdt.Text:
		return contentText
	case crdt.JSON:
		return "application/json"
	case crdt.YAML:
		return "application/yaml"
	}
	return contentBytes
}

func (x *exchange) livez() error {
	return x.writeBody(http.StatusOK, contentText, []byte("ok\n"))
}

func (x *exchange) readyz() error {
	if err := x.ready(); err != nil {
		if _, ok := errors.AsType[*Error](err); ok {
			return err
		}
		return &Error{Code: CodeNotHere, Message: "not ready: " + err.Error(), Cause: err}
	}
	return x.writeBody(http.StatusOK, contentText, []byte("ok\n"))
}

func (x *exchange) ready() error {
	if x.Ready != nil {
		return x.Ready(x.r.Context())
	}
	status, err := x.Service.Node.Status(x.r.Context())
	if err == nil && !status.Ready {
		err = errors.New("the daemon is starting")
	}
	return err
}
