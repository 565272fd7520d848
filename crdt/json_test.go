package crdt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"crush/crdt"
)

func parseJSON(t testing.TB, text string, lists ...crdt.ListRule) *crdt.Document {
	t.Helper()
	d, err := crdt.ParseDocument(crdt.JSON, []byte(text), lists)
	if err != nil {
		t.Fatalf("%.200q: %v", text, err)
	}
	return d
}

func TestParseJSONRefuses(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "line 1, column 1: the end where a value should begin"},
		{"{\n  \"a\": 1,\n  \"b\": tru\n}", "line 3, column 8: 't' where a value should begin"},
		{"{\"é\": \"ü\", x}", "line 1, column 12: 'x' where a name should begin"},
		{`{"a":1,"b":2,"a":3}`, `column 14: the name "a" is there twice`},
		{`{"a":1,"\u0061":3}`, `column 8: the name "a" is there twice`},
		{`[1,]`, "column 4: ']' where a value should begin"},
		{`{"a":1,}`, "column 8: '}' where a name should begin"},
		{`[1 2]`, "column 4: '2' where a comma or ] should be"},
		{`{"a" 1}`, "column 6: '1' where a colon should be"},
		{`{"a":1`, "column 7: the end where a comma or } should be"},
		{`01`, "column 2: '1' after the end of the value"},
		{`1.`, "column 3: the end where a digit should be"},
		{`-`, "column 2: the end where a digit should be"},
		{`1e+`, "column 4: the end where a digit should be"},
		{`+1`, "column 1: '+' where a value should begin"},
		{`NaN`, "column 1: 'N' where a value should begin"},
		{`1e1000000`, "column 1: an exponent beyond 999999"},
		{`1e999999999`, "column 1: an exponent beyond 999999"},
		{`1e99999999999999999999`, "column 1: an exponent beyond 999999"},
		{"\"\x1f\"", "column 2: the control character U+001F in a string"},
		{`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"a":1}`, `column 56: the name "a" is there twice`},
		{"\"a\nb\"", "line 1, column 3: the control character U+000A in a string"},
		{`"abc`, "column 1: this string has no end"},
		{`"\x"`, `column 2: no escape begins with \x`},
		{`"\u12"`, `column 2: no escape begins with \u`},
		{`"\ud800"`, `column 2: the surrogate \ud800 without its other half`},
		{`"\ud800\u0041"`, `column 2: the surrogate \ud800 without its other half`},
		{`"\udc00\ud800"`, `column 2: the surrogate \udc00 without its other half`},
		{"\"a\xff\"", "column 3: 0xff is not valid UTF-8 here"},
		{"\"\xed\xa0\x80\"", "column 2: 0xed is not valid UTF-8 here"},
		{"[\xff]", "column 2: the byte 0xff where a value should begin"},
		{"\ufeff{}", "column 1: a byte order mark is not JSON"},
		{`{} {}`, "column 4: '{' after the end of the value"},
		{"// no\n1", "column 1: '/' where a value should begin"},
		{strings.Repeat("[", 10_000), "column 501: nested deeper than 500"},
		{strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000), "column 2501: nested deeper than 500"},
		{`"` + strings.Repeat("a", crdt.MaxDocument) + `"`, "longer than 4194304 bytes"},
	} {
		d, err := crdt.ParseDocument(crdt.JSON, []byte(test.text), nil)
		syntax, ok := errors.AsType[*crdt.SyntaxError](err)
		if d != nil || !ok || syntax.Kind != crdt.JSON || !strings.HasSuffix(err.Error(), test.want) {
			t.Errorf("%.40q: %v, want %s", test.text, err, test.want)
		}
		if ok && syntax.Line == 1 && utf8.ValidString(test.text) && utf8.RuneCountInString(test.text[:syntax.Offset]) != syntax.Column-1 {
			t.Errorf("%.40q: byte %d is not column %d", test.text, syntax.Offset, syntax.Column)
		}
	}
}

// TestPathsAreBounded: a short text has long paths.
func TestPathsAreBounded(t *testing.T) {
	var members []string
	for i := range 100 {
		members = append(members, fmt.Sprintf(`"%d":1`, i))
	}
	text := `{"` + strings.Repeat("a", 1<<20) + `":{` + strings.Join(members, ",") + `}}`
	if _, err := crdt.ParseDocument(crdt.JSON, []byte(text), nil); err == nil || !strings.Contains(err.Error(), "paths are longer") {
		t.Errorf("100 paths of a megabyte: %v", err)
	}
}

func TestLeaves(t *testing.T) {
	d := parseJSON(t, ` { "b" : { "x/y" : 3.10 , "" : {} } , "a" : [ 1 , { "z" : 1 , "y" : "\u0041" } ] , "c" : null } `)
	want := []string{`/a=[1,{"z":1,"y":"\u0041"}]`, `/b/x~1y=3.10`, `/b/~3={}`, `/c=null`}
	var got []string
	for p, l := range d.Leaves() {
		got = append(got, string(p)+"="+l.JSON)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %s, want %s", got, want)
	}
	if d.Has("/nothing") || d.Has("/c/d") || !d.Has("/b") || !d.Has("/b/~3") || !d.Has(crdt.Root) {
		t.Error("Has")
	}
	if _, ok := d.Leaf("/b"); ok {
		t.Error("structure is no leaf")
	}
	if l, ok := d.Leaf("/b/x~1y"); !ok || l.JSON != "3.10" {
		t.Errorf("the leaf is %v, %v", l, ok)
	}
}

func TestEquality(t *testing.T) {
	equal := [][]string{
		{"1", "1.0", "1e0", "10e-1", "0.1E+1", "1.000e00000000000000000"},
		{"0", "-0", "0.0", "0e999999", "-0e-5"},
		{"100", "1e2"},
		{"1e999999", "10e999998", "1E+0999999"},
		{"-1.5e-7", "-15e-8"},
		{`"A"`, `"\u0041"`},
		{`"\ud83d\ude00"`, `"😀"`},
		{`"/"`, `"\/"`},
		{`{"a":1,"b":[1.0]}`, `{ "b" : [1], "a":1e0}`},
		{`[{"a":1,"b":2}]`, `[{"b":2,"a":1}]`},
		{`[1,2]`},
		{`[2,1]`},
		{`[]`},
		{`{}`},
		{`null`},
		{`true`},
		{`""`},
		{`"1"`},
		{`"null"`},
		{`[null]`},
		{`[[]]`},
		{`[{}]`},
		{"12345678901234567890123456789.1"},
		{"12345678901234567890123456789.2"},
	}
	sums := map[crdt.Sum]string{}
	for _, class := range equal {
		first := parseJSON(t, class[0]).Sum()
		if other, ok := sums[first]; ok {
			t.Errorf("%s equals %s", class[0], other)
		}
		sums[first] = class[0]
		for _, text := range class[1:] {
			if parseJSON(t, text).Sum() != first {
				t.Errorf("%s differs from %s", text, class[0])
			}
		}
	}
}

// TestDecimals holds the equality of numbers against math/big.
func TestDecimals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spelling := rapid.StringMatching(`-?(0|[1-9]0{0,3}[0-9]{0,2})(\.[0-9]{1,2}0{0,3})?([eE][+-]?0{0,2}[0-9]{1,2})?`)
		a, b := spelling.Draw(t, "a"), spelling.Draw(t, "b")
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		da, errA := crdt.ParseDocument(crdt.JSON, []byte(a), nil)
		db, errB := crdt.ParseDocument(crdt.JSON, []byte(b), nil)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if (da.Sum() == db.Sum()) != (x.Cmp(y) == 0) {
			t.Fatalf("%s and %s", a, b)
		}
		// As an element of a set it shows its canonical spelling.
		set, err := crdt.ParseDocument(crdt.JSON, []byte("["+a+"]"), crdt.Lists{{Path: "/", Schema: crdt.SetList}})
		if err != nil {
			t.Fatal(err)
		}
		for p := range set.Leaves() {
			canonical, _ := p.Last()
			if z, ok := new(big.Rat).SetString(canonical); !ok || z.Cmp(x) != 0 || !json.Valid([]byte(canonical)) {
				t.Fatalf("%s is %s", a, canonical)
			}
		}
	})
}

func TestCanonicalNumbers(t *testing.T) {
	for spelling, want := range map[string]string{
		"1e-6": "0.000001", "12.50e-6": "0.0000125", "1e-7": "1e-7", "12.50e-7": "0.00000125", "-1.25e-7": "-1.25e-7",
		"1e20": "100000000000000000000", "1e21": "1e21", "123e19": "1.23e21", "1234e17": "123400000000000000000",
		"100.0": "100", "-0.0": "0", "1.50": "1.5",
	} {
		d := parseJSON(t, "["+spelling+"]", crdt.ListRule{Path: "/", Schema: crdt.SetList})
		for p := range d.Leaves() {
			if got, _ := p.Last(); got != want {
				t.Errorf("%s is %s, want %s", spelling, got, want)
			}
		}
	}
}

// FuzzParseJSON holds what is taken, and the values, against encoding/json.
func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2.50,-3e2,{"b":null}],"c":"\ud83d\ude00\n","d":{}}`, `{"a":1,"a":2}`, `"\ud800"`, "\"\xff\"", "[[[[", "1e9999999999",
		"\ufeff1", " 1 ", "-0", `{"[":{"*":{"":1}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := crdt.ParseDocument(crdt.JSON, text, nil)
		want, ok := decodeJSON(text)
		if (err == nil) != ok {
			t.Fatalf("%q: %v, the oracle takes it: %v", text, err, ok)
		}
		if !ok {
			return
		}
		leaves := map[string]string{}
		flatten(leaves, "", want)
		n := 0
		for p, l := range d.Leaves() {
			n++
			var v any
			decoder := json.NewDecoder(strings.NewReader(l.JSON))
			decoder.UseNumber()
			if err := decoder.Decode(&v); err != nil {
				t.Fatalf("the leaf %q at %q: %v", l.JSON, p, err)
			}
			if got := canonicalJSON(v); got != leaves[string(p)] {
				t.Fatalf("at %q: %s, want %s", p, got, leaves[string(p)])
			}
		}
		if n != len(leaves) {
			t.Fatalf("%d leaves, want %d", n, len(leaves))
		}
	})
}

// decodeJSON is the oracle: encoding/json, and by the token what it lets pass.
func decodeJSON(text []byte) (any, bool) {
	if !json.Valid(text) || !utf8.Valid(text) {
		return nil, false
	}
	if depth(text) > 500 || loneSurrogate(text) {
		return nil, false
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	v, ok := decodeValue(decoder)
	return v, ok
}

func decodeValue(decoder *json.Decoder) (any, bool) {
	token, err := decoder.Token()
	if err != nil {
		return nil, false
	}
	switch token {
	case json.Delim('{'):
		object := map[string]any{}
		for decoder.More() {
			name, _ := decoder.Token()
			if _, twice := object[name.(string)]; twice {
				return nil, false
			}
			v, ok := decodeValue(decoder)
			if !ok {
				return nil, false
			}
			object[name.(string)] = v
		}
		decoder.Token()
		return object, true
	case json.Delim('['):
		list := []any{}
		for decoder.More() {
			v, ok := decodeValue(decoder)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		decoder.Token()
		return list, true
	}
	if n, ok := token.(json.Number); ok {
		_, exponent, _ := strings.Cut(strings.ToLower(string(n)), "e")
		e, _ := new(big.Int).SetString("0"+strings.TrimLeft(exponent, "+-"), 10)
		return n, e.Cmp(big.NewInt(999_999_999)) <= 0
	}
	return token, true
}

// depth counts brackets outside strings of valid JSON.
func depth(text []byte) int {
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return deepest
}

// loneSurrogate looks for the replacement character that encoding/json puts
// where a surrogate is alone, and the author did not spell it.
func loneSurrogate(text []byte) bool {
	var units []uint64
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			units = append(units, 0)
			continue
		}
		if i++; text[i] != 'u' {
			units = append(units, 0)
			continue
		}
		unit, _ := strconv.ParseUint(string(text[i+1:i+5]), 16, 16)
		units = append(units, unit)
		i += 4
	}
	for i := 0; i < len(units); i++ {
		high, low := units[i]>>10 == 0xd800>>10, units[i]>>10 == 0xdc00>>10
		if high && i+1 < len(units) && units[i+1]>>10 == 0xdc00>>10 {
			i++
		} else if high || low {
			return true
		}
	}
	return false
}

func flatten(leaves map[string]string, at string, v any) {
	object, ok := v.(map[string]any)
	if !ok || len(object) == 0 {
		if at == "" {
			at = "/"
		}
		leaves[at] = canonicalJSON(v)
		return
	}
	for name, v := range object {
		flatten(leaves, at+"/"+spell(name), v)
	}
}

// spell is how the package comment spells names.
func spell(name string) string {
	s := strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	switch {
	case s == "":
		return "~3"
	case s[0] == '[':
		return "~2" + s[1:]
	case s[0] == '*':
		return "~4" + s[1:]
	}
	return s
}

func canonicalJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
