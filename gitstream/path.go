package gitstream

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxPath is the longest path: what a key can have.
const maxPath = 1 << 10

// lastPath reads the path that ends a line, quoted or as it is.
func lastPath(text string) (string, error) {
	path := text
	if strings.HasPrefix(text, `"`) {
		var rest string
		var err error
		if path, rest, err = unquote(text); err != nil {
			return "", err
		}
		if rest != "" {
			return "", fmt.Errorf("%s stands behind a path", quoteLine([]byte(rest)))
		}
		if path == "" {
			return "", nil // the whole tree
		}
	}
	return path, checkPath(path)
}

// twoPaths reads the two paths of R and C: the first ends at a space if it is
// not quoted.
func twoPaths(text string) (from, to string, err error) {
	var rest string
	if strings.HasPrefix(text, `"`) {
		if from, rest, err = unquote(text); err != nil {
			return "", "", err
		}
		var ok bool
		if rest, ok = strings.CutPrefix(rest, " "); !ok {
			return "", "", errors.New("the second path is missing")
		}
	} else {
		var ok bool
		if from, rest, ok = strings.Cut(text, " "); !ok {
			return "", "", errors.New("the second path is missing")
		}
	}
	if err := checkPath(from); err != nil {
		return "", "", err
	}
	if to, err = lastPath(rest); err == nil && to == "" {
		err = errors.New("a path is empty")
	}
	return from, to, err
}

// checkPath refuses what is no path of a file, or could be no key.
func checkPath(path string) error {
	switch {
	case len(path) > maxPath:
		return fmt.Errorf("the path %s is longer than %d bytes", quoteLine([]byte(path)), maxPath)
	case !utf8.ValidString(path):
		return fmt.Errorf("the path %s is not valid UTF-8", quoteLine([]byte(path)))
	case strings.IndexByte(path, 0) >= 0:
		return fmt.Errorf("the path %s has a NUL byte", quoteLine([]byte(path)))
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("%s is no path of a file", quoteLine([]byte(path)))
		}
	}
	return nil
}

// escapes are the bytes that a letter behind a backslash stands for.
var escapes = map[byte]byte{
	'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v', '\\': '\\', '"': '"',
}

// unquote reads a string in C's quotes at the start of text.
func unquote(text string) (value, rest string, err error) {
	var out strings.Builder
	for i := 1; i < len(text); i++ {
		c := text[i]
		if c == '"' {
			return out.String(), text[i+1:], nil
		}
		if c != '\\' {
			out.WriteByte(c)
			continue
		}
		i++
		if i < len(text) && escapes[text[i]] != 0 {
			out.WriteByte(escapes[text[i]])
			continue
		}
		n, ok := octal(text[i:])
		if !ok {
			break
		}
		out.WriteByte(n)
		i += 2
	}
	return "", "", fmt.Errorf("the quoted path %s does not end, or has an escape that is none", quoteLine([]byte(text)))
}

// octal reads three digits.
func octal(text string) (byte, bool) {
	if len(text) < 3 || text[0] < '0' || text[0] > '3' {
		return 0, false
	}
	n := 0
	for _, c := range []byte(text[:3]) {
		if c < '0' || c > '7' {
			return 0, false
		}
		n = n*8 + int(c-'0')
	}
	return byte(n), true
}
