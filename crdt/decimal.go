package crdt

import (
	"strconv"
	"strings"
)

// maxExponent bounds the exponent of a number as it is spelled. Nothing here
// expands it; but what reads the document next may, and no config means more.
const maxExponent = 999_999

// decimal is a number exactly: 0.digits × 10^point. It has no leading and no
// trailing zeros; zero has no digits, no sign and point 0.
type decimal struct {
	negative bool
	digits   string
	point    int64
}

// parseDecimal reads a JSON number; ok is false if its exponent is too big. It
// is linear in the length of s, whatever the exponent is.
func parseDecimal(s string) (d decimal, ok bool) {
	s, d.negative = strings.CutPrefix(s, "-")
	mantissa, exponent := s, int64(0)
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa = s[:i]
		if exponent, ok = parseExponent(s[i+1:]); !ok {
			return decimal{}, false
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	d.digits = strings.TrimLeft(whole+fraction, "0")
	if d.digits == "" {
		return decimal{}, true
	}
	leading := len(whole) + len(fraction) - len(d.digits)
	d.point = exponent + int64(len(whole)-leading)
	d.digits = strings.TrimRight(d.digits, "0")
	return d, true
}

func parseExponent(s string) (int64, bool) {
	digits, negative := strings.CutPrefix(strings.TrimPrefix(s, "+"), "-")
	digits = strings.TrimLeft(digits, "0")
	if digits == "" {
		return 0, true
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > maxExponent {
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, true
}

// The numbers that are spelled without an exponent have their point at most so
// many digits after the first one, or zeros before it.
const (
	maxWhole = 21
	maxZeros = 6
)

// append appends the canonical spelling, which is a JSON number: equal numbers
// have the same. 1e2 is 100 and 0.10 is 0.1; 1e30 and 1.5e-9 stay so.
func (d decimal) append(b []byte) []byte {
	if d.negative {
		b = append(b, '-')
	}
	n := int64(len(d.digits))
	switch {
	case n == 0:
		return append(b, '0')
	case d.point > maxWhole || d.point <= -maxZeros:
		b = append(b, d.digits[0])
		if n > 1 {
			b = append(append(b, '.'), d.digits[1:]...)
		}
		return strconv.AppendInt(append(b, 'e'), d.point-1, 10)
	case d.point <= 0:
		b = append(append(b, "0."...), strings.Repeat("0", int(-d.point))...)
		return append(b, d.digits...)
	case d.point >= n:
		return append(append(b, d.digits...), strings.Repeat("0", int(d.point-n))...)
	}
	b = append(append(b, d.digits[:d.point]...), '.')
	return append(b, d.digits[d.point:]...)
}
