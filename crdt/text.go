package crdt

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// SyntaxError says that a value is not what its declared kind wants. Nothing
// may be written then.
type SyntaxError struct {
	Kind   Kind
	Offset int // of the first wrong byte, counted from 0
	// Line and Column of the same place count from 1, columns in characters.
	// They are 0 for the kind text, which need not have lines.
	Line, Column int
	Problem      string
}

func (e *SyntaxError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("read %s: line %d, column %d: %s", e.Kind, e.Line, e.Column, e.Problem)
	}
	return fmt.Sprintf("read %s: byte %d: %s", e.Kind, e.Offset, e.Problem)
}

// syntaxError places problem at a byte of text.
func syntaxError(kind Kind, text string, offset int, problem string) *SyntaxError {
	before := text[:min(offset, len(text))]
	return &SyntaxError{
		Kind: kind, Offset: len(before),
		Line:    1 + strings.Count(before, "\n"),
		Column:  1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]),
		Problem: problem,
	}
}

// ValidText returns a *SyntaxError if value is not valid UTF-8, which is all
// that the kind text asks for: the empty value, NUL and any other control
// character are text.
func ValidText(value []byte) error {
	if utf8.Valid(value) {
		return nil
	}
	at := invalidUTF8(string(value))
	problem := fmt.Sprintf("0x%02x is not valid UTF-8 here", value[at])
	return &SyntaxError{Kind: Text, Offset: at, Problem: problem}
}

// invalidUTF8 returns the index of the first byte that is not UTF-8, or -1.
func invalidUTF8(s string) int {
	if utf8.ValidString(s) {
		return -1
	}
	for i, r := range s {
		if r != utf8.RuneError {
			continue
		}
		if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
			return i
		}
	}
	panic("crdt: text is neither valid nor invalid")
}
