package crdt

import (
	"fmt"
	"unicode/utf8"
)

// SyntaxError says that a value is not what its declared kind wants. Nothing
// may be written then.
type SyntaxError struct {
	Kind    Kind
	Offset  int // of the first wrong byte, counted from 0
	Problem string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("read %s: byte %d: %s", e.Kind, e.Offset, e.Problem)
}

// ValidText returns a *SyntaxError if value is not valid UTF-8, which is all
// that the kind text asks for: the empty value, NUL and any other control
// character are text.
func ValidText(value []byte) error {
	if utf8.Valid(value) {
		return nil
	}
	for i := 0; i < len(value); {
		r, n := utf8.DecodeRune(value[i:])
		if r == utf8.RuneError && n == 1 {
			return &SyntaxError{Text, i, fmt.Sprintf("0x%02x is not valid UTF-8 here", value[i])}
		}
		i += n
	}
	panic("crdt: text is neither valid nor invalid")
}
