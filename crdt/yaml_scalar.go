package crdt

import (
	"math/big"
	"strings"
)

// resolvePlain returns the JSON of a plain scalar by the core schema of YAML
// 1.2, or what is wrong with it.
func resolvePlain(s string) (scalar, problem string) {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return "null", ""
	case "true", "True", "TRUE":
		return "true", ""
	case "false", "False", "FALSE":
		return "false", ""
	}
	switch strings.ToLower(strings.TrimLeft(s, "+-")) {
	case ".inf", ".nan":
		if isSpecialFloat(s) {
			return "", "the number " + s + " has no exact value"
		}
	}
	if n, ok := basedInteger(s); ok {
		return n, ""
	}
	n, ok := plainNumber(s)
	if !ok {
		return string(appendString(nil, s)), ""
	}
	if _, ok := parseDecimal(n); !ok {
		return "", "an exponent beyond 999999"
	}
	return n, ""
}

func isSpecialFloat(s string) bool {
	switch s {
	case ".nan", ".NaN", ".NAN":
		return true
	}
	if s[0] == '+' || s[0] == '-' {
		s = s[1:]
	}
	return s == ".inf" || s == ".Inf" || s == ".INF"
}

// basedInteger reads 0o17 and 0x1f.
func basedInteger(s string) (string, bool) {
	base, digits := 0, ""
	switch {
	case strings.HasPrefix(s, "0o"):
		base, digits = 8, "01234567"
	case strings.HasPrefix(s, "0x"):
		base, digits = 16, "0123456789abcdefABCDEF"
	default:
		return "", false
	}
	if len(s) == 2 || len(s) > maxBased || strings.Trim(s[2:], digits) != "" {
		return "", false
	}
	n, ok := new(big.Int).SetString(s[2:], base)
	return n.String(), ok
}

// maxBased bounds integers of another base than ten, which take more than
// linear time; what is longer is a string.
const maxBased = 1000

// plainNumber returns a decimal integer or float of the core schema as JSON
// spells it.
func plainNumber(s string) (string, bool) {
	rest, negative := strings.CutPrefix(s, "-")
	if !negative {
		rest = strings.TrimPrefix(s, "+")
	}
	whole, rest := cutDigits(rest)
	fraction := ""
	if point, ok := strings.CutPrefix(rest, "."); ok {
		fraction, rest = cutDigits(point)
	}
	if whole == "" && fraction == "" {
		return "", false
	}
	exponent := ""
	if rest != "" {
		if rest[0] != 'e' && rest[0] != 'E' {
			return "", false
		}
		sign := len(rest[1:]) - len(strings.TrimPrefix(strings.TrimPrefix(rest[1:], "+"), "-"))
		digits, end := cutDigits(rest[1+min(sign, 1):])
		if digits == "" || end != "" {
			return "", false
		}
		exponent = rest
	}
	var b strings.Builder
	if negative {
		b.WriteByte('-')
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	b.WriteString(whole)
	if fraction != "" {
		b.WriteString("." + fraction)
	}
	b.WriteString(exponent)
	return b.String(), true
}

func cutDigits(s string) (digits, rest string) {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return s[:n], s[n:]
}
