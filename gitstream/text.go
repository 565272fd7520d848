package gitstream

import (
	"strings"
	"unicode/utf8"
)

// windows1252 are the characters of the bytes 0x80 to 0x9f; 0 for none.
var windows1252 = [32]rune{
	'€', 0, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0, 'Ž', 0,
	0, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0, 'ž', 'Ÿ',
}

// Text returns the text in an encoding as UTF-8. Of encodings it knows UTF-8,
// ISO-8859-1 and Windows-1252; of others, and where the bytes are not what the
// encoding says, what is not UTF-8 becomes U+FFFD, and exact is false. NUL
// bytes become U+FFFD too.
func Text(encoding string, b []byte) (text string, exact bool) {
	text = string(b)
	if !utf8.Valid(b) {
		switch strings.ToLower(encoding) {
		case "iso-8859-1", "iso8859-1", "latin1", "latin-1", "windows-1252", "cp1252":
			text = western(b)
		}
	}
	clean := strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
	return clean, clean == text && (utf8.Valid(b) || text != string(b))
}

// western reads Windows-1252, of which ISO-8859-1 is the printable part.
func western(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		switch {
		case c < 0x80 || c >= 0xa0:
			out.WriteRune(rune(c))
		case windows1252[c-0x80] != 0:
			out.WriteRune(windows1252[c-0x80])
		default:
			out.WriteRune(utf8.RuneError)
		}
	}
	return out.String()
}
