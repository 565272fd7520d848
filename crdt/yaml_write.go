package crdt

import (
	"strings"
	"unicode/utf8"
)

// yamlWriter writes new YAML.
type yamlWriter struct{ b []byte }

// root writes a whole document, with the end of its line.
func (w *yamlWriter) root(l *layout) {
	if l.block() {
		w.lines(l, 0, false)
		return
	}
	w.inline(l)
	w.b = append(w.b, '\n')
}

// block reports whether l is written on lines of its own.
func (l *layout) block() bool { return l.container() && len(l.parts) > 0 }

// lines writes a container in block style. With begun the first line is begun
// already, and has the right indentation.
func (w *yamlWriter) lines(l *layout, indent int, begun bool) {
	for i, part := range l.parts {
		if i > 0 || !begun {
			w.indent(indent)
		}
		w.entry(part, l.form == objectForm, indent)
	}
}

func (w *yamlWriter) indent(n int) {
	w.b = append(w.b, strings.Repeat(" ", n)...)
}

// entry writes a member or an item, whose line is indented already, with the
// end of its line.
func (w *yamlWriter) entry(l *layout, named bool, indent int) {
	if named {
		w.b = append(w.b, yamlKey(l.name)...)
		w.b = append(w.b, ':')
		w.value(l, indent, false)
		return
	}
	w.b = append(w.b, '-')
	w.value(l, indent, true)
}

// value writes what stands behind a colon or a dash, with the end of its line.
func (w *yamlWriter) value(l *layout, indent int, dash bool) {
	switch {
	case l.block() && dash:
		w.b = append(w.b, ' ')
		w.lines(l, indent+2, true)
	case l.block():
		w.b = append(w.b, '\n')
		w.lines(l, indent+2, false)
	case !l.container() && l.scalar[0] == '"' && literal(unquote(l.scalar)):
		w.literal(unquote(l.scalar), indent+2)
	default:
		w.b = append(w.b, ' ')
		w.inline(l)
		w.b = append(w.b, '\n')
	}
}

// literal reports whether s is best read as a block of lines.
func literal(s string) bool {
	if !strings.Contains(strings.TrimSuffix(s, "\n"), "\n") || strings.HasSuffix(s, "\n\n") {
		return false
	}
	for line := range strings.Lines(s) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		if strings.TrimRight(line, " \t") != line || !printable(line) {
			return false
		}
	}
	first := s[0]
	return first != ' ' && first != '\t' && first != '\n'
}

func (w *yamlWriter) literal(s string, indent int) {
	w.b = append(w.b, " |"...)
	if !strings.HasSuffix(s, "\n") {
		w.b = append(w.b, '-')
	}
	w.b = append(w.b, '\n')
	for line := range strings.Lines(s) {
		if line != "\n" {
			w.indent(indent)
		}
		w.b = append(w.b, strings.TrimSuffix(line, "\n")...)
		w.b = append(w.b, '\n')
	}
}

// inline writes l in one line, in flow style.
func (w *yamlWriter) inline(l *layout) {
	switch {
	case !l.container():
		w.b = append(w.b, yamlScalar(l.scalar)...)
	case l.form == objectForm:
		w.b = append(w.b, '{')
		for i, part := range l.parts {
			w.comma(i)
			w.b = append(w.b, yamlKey(part.name)...)
			w.b = append(w.b, ": "...)
			w.inline(part)
		}
		w.b = append(w.b, '}')
	default:
		w.b = append(w.b, '[')
		for i, part := range l.parts {
			w.comma(i)
			w.inline(part)
		}
		w.b = append(w.b, ']')
	}
}

func (w *yamlWriter) comma(i int) {
	if i > 0 {
		w.b = append(w.b, ", "...)
	}
}

func yamlKey(name string) string {
	if simple(name) && name != "<<" {
		return name
	}
	return quoteYAML(name)
}

// yamlScalar spells JSON's scalar.
func yamlScalar(scalar string) string {
	if scalar[0] != '"' {
		return scalar
	}
	s := unquote(scalar)
	if resolved, problem := resolvePlain(s); problem == "" && resolved[0] == '"' && simple(s) {
		return s
	}
	return quoteYAML(s)
}

// simple reports whether s can stand plain anywhere. It is strict: what older
// versions of YAML read as something else than a string is not simple.
func simple(s string) bool {
	switch strings.ToLower(s) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false
	}
	if !printable(s) || strings.TrimSpace(s) != s || strings.ContainsAny(s, "\n\t#,[]{}\"'") {
		return false
	}
	if strings.Contains(s, ": ") || strings.HasSuffix(s, ":") || strings.HasPrefix(s, "---") || strings.HasPrefix(s, "...") {
		return false
	}
	first, _ := utf8.DecodeRuneInString(s)
	return !strings.ContainsRune("-?:&*!|>%@`=~<.+0123456789", first) || plainDigits(s)
}

// plainDigits reports whether s begins with a digit and cannot be taken for a
// number or a time in any version of YAML.
func plainDigits(s string) bool {
	return isDigit(s[0]) && strings.Trim(s, "0123456789._:+-abcdefoxABCDEFOXTtZ ") != ""
}

// printable reports whether YAML takes every character of s as it is.
func printable(s string) bool {
	for _, r := range s {
		switch {
		case r < 0x20 && r != '\n' && r != '\t', 0x7f <= r && r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff, r == 0xfffe, r == 0xffff:
			return false
		}
	}
	return true
}

// quoteYAML quotes s with double quotes.
func quoteYAML(s string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for _, r := range string(appendString(nil, s)) {
		if r >= 0x20 && printable(string(r)) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(`\u`)
		for shift := 12; shift >= 0; shift -= 4 {
			b.WriteByte(digits[r>>shift&15])
		}
	}
	return b.String()
}
