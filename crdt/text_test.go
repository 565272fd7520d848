package crdt_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"crush/crdt"
)

func TestValidText(t *testing.T) {
	for _, good := range []string{"", "a\x00b", "é\n", "\ufeffBOM", "\ufffd", "\U0010ffff"} {
		if err := crdt.ValidText([]byte(good)); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, test := range []struct {
		bad    string
		offset int
	}{
		{"\xff", 0},
		{"ok \xc3", 3},
		{"é\ufffd\xa9", 5},
		{"\xed\xa0\x80", 0}, // a surrogate
		{"ab\xc0\x80", 2},   // an overlong NUL
		{strings.Repeat("é", 1000) + "\xf4\x90\x80\x80", 2000}, // past U+10FFFF
	} {
		err := crdt.ValidText([]byte(test.bad))
		syntax, ok := errors.AsType[*crdt.SyntaxError](err)
		if !ok || syntax.Offset != test.offset || syntax.Kind != crdt.Text {
			t.Errorf("%.20q: %v, want one at byte %d", test.bad, err, test.offset)
		}
	}
	err := crdt.ValidText([]byte("ok \xc3"))
	if want := "read text: byte 3: 0xc3 is not valid UTF-8 here"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// FuzzValidText: what stands before the offset is text, and with one more byte
// of it nothing can make it text.
func FuzzValidText(f *testing.F) {
	f.Add([]byte("ok \xc3"))
	f.Add([]byte("é\xf0\x90\x80"))
	f.Fuzz(func(t *testing.T, value []byte) {
		err := crdt.ValidText(value)
		syntax, bad := errors.AsType[*crdt.SyntaxError](err)
		if bad == utf8.Valid(value) {
			t.Fatalf("%q: %v", value, err)
		}
		if bad && !utf8.Valid(value[:syntax.Offset]) {
			t.Errorf("%q is wrong before byte %d", value, syntax.Offset)
		}
		if bad && utf8.FullRune(value[syntax.Offset:]) {
			if r, n := utf8.DecodeRune(value[syntax.Offset:]); r != utf8.RuneError || n != 1 {
				t.Errorf("%q is right at byte %d", value, syntax.Offset)
			}
		}
	})
}
