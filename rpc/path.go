package rpc

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// MaxKey is the length of the longest key in bytes.
const MaxKey = 1024

// requestPath returns the path of a request as it was sent, still escaped,
// without its first slash. A segment that is empty, "." or ".." is refused
// unless it is escaped: paths are never cleaned.
func requestPath(u *url.URL) (string, error) {
	path := u.RawPath // as sent, if that is not the usual spelling of Path
	if path == "" {
		path = u.EscapedPath()
	}
	path, ok := strings.CutPrefix(path, "/")
	if !ok {
		return "", invalid("the path must begin with /")
	}
	for rest, more := path, true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		switch segment {
		case "":
			return "", invalid("the path has an empty segment: send a slash of a key as %2F")
		case ".", "..":
			return "", invalid("the path has a segment " + segment + ": send its dots as %2E")
		}
	}
	return path, nil
}

// cutSegment cuts the first segment off a path.
func cutSegment(path string) (segment, rest string) {
	segment, rest, _ = strings.Cut(path, "/")
	return segment, rest
}

// unescape decodes a segment, or several: then / and %2F are the same.
func unescape(segment string) (string, error) {
	if strings.IndexByte(segment, '%') < 0 {
		return segment, nil
	}
	s, err := url.PathUnescape(segment)
	if err != nil {
		return "", invalid("the path does not decode: " + err.Error())
	}
	return s, nil
}

// escape encodes any string as one segment that [requestPath] takes.
func escape(s string) string {
	switch s {
	case ".":
		return "%2E"
	case "..":
		return "%2E%2E"
	}
	return url.PathEscape(s)
}

// checkKey says why a key cannot be one.
func checkKey(key string) error {
	switch {
	case key == "":
		return invalid("the key is empty: a key has 1 to 1,024 bytes")
	case len(key) > MaxKey:
		return invalid("the key is too long: a key has 1 to 1,024 bytes")
	case !utf8.ValidString(key):
		return invalid("the key is not valid UTF-8")
	case strings.IndexByte(key, 0) >= 0:
		return invalid("the key has a NUL byte")
	}
	return nil
}
