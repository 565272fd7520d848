package main

import (
	"errors"
	"strings"
	"testing"

	"crush/rpc"
)

func TestFieldDiff(t *testing.T) {
	got := fieldDiff("a k", "b k", []rpc.FieldChange{
		{Path: "/a", A: []byte("1"), B: []byte(`"\n"`)},
		{Path: "/li\nne", B: []byte("\"\u2028\"")},
		{Path: "/z", A: []byte("null")},
	})
	want := "--- a k\n+++ b k\n- /a: 1\n+ /a: \"\\n\"\n+ /li\\nne: \"\\u2028\"\n- /z: null\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for line, code := range map[string]string{"- /a: 1\n": "\x1b[31m", "+ /a: 2\n": "\x1b[32m", "--- a k\n": "\x1b[1m", "+++ b k\n": "\x1b[1m"} {
		if colourOf(line) != code {
			t.Errorf("%q has the colour %q", line, colourOf(line))
		}
	}
}

func TestHintQuotes(t *testing.T) {
	unparsed := &rpc.Error{Code: rpc.CodeUnparsed, Message: "read json: line 1, column 1"}
	for value, want := range map[string]string{
		"shop:12":     `; if it is a string, write '"shop:12"', or add --type text`,
		"it's":        `; if it is a string, write '"it'\''s"', or add --type text`,
		`say "a"`:     ``,
		`{"a": x}`:    ``,
		"[1,]":        ``,
		"two\nlines":  ``,
		long(61):      ``,
		"":            ``,
		"esc \x1b[0m": `; if it is a string`,
		"no\xff":      ``, // no string of JSON holds it
	} {
		switch got := hintQuotes(unparsed, []byte(value), true); {
		case !errors.Is(got, rpc.ErrUnparsed):
			t.Errorf("%q: %v lost its code", value, got)
		case want == "" && got != error(unparsed), !strings.Contains(got.Error(), want):
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
	if got := hintQuotes(unparsed, []byte("word"), false); strings.Contains(got.Error(), "--type") {
		t.Errorf("got %q", got)
	}
	stale := &rpc.Error{Code: rpc.CodeStale, Message: "moved"}
	if got := hintQuotes(stale, []byte("word"), true); got != error(stale) {
		t.Errorf("got %q", got)
	}
}

func TestResolutionAtPath(t *testing.T) {
	p, _, _ := testProgram(t, nil)
	for in, want := range map[string]string{
		"k=a":                  "k  a",
		"k=b=a":                "k=b  a",
		"a:b=staging":          "a:b  staging",
		"http://x/y=a":         "http://x/y  a",
		"k:/a/b=staging":       "k /a/b staging",
		"k:/a=4":               "k /a =4",
		`k:/a="x=y"`:           `k /a ="x=y"`,
		`k:/a={"b":["c:/d="]}`: `k /a ={"b":["c:/d="]}`,
		"k:/a=true":            "k /a =true",
		"k:/a=truely":          "k /a truely",
		"a:b:/c~1d=a":          "a:b /c~1d a",
		"http://x:/a=a":        "http://x /a a",
		"k:/=a":                "k / a",
		"k:/[web]/image=a":     "k /[web]/image a",
	} {
		r, err := p.resolution(in)
		got := r.Key + " " + string(r.Path) + " " + r.Side
		if r.Value != nil {
			got += "=" + string(*r.Value)
		}
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", in, got, err, want)
		}
		if r.Value == nil && r.Path != "/" && resolvedAt(r.Key, string(r.Path))+"="+choiceOf(r) != in {
			t.Errorf("%s: written as %s=%s", in, resolvedAt(r.Key, string(r.Path)), choiceOf(r))
		}
	}
	for in, want := range map[string]string{
		"k:/a~=b": "want ~0 for ~", "k:/a//b=c": "the empty name", "k:/a=": "want KEY:PATH=SIDE", "k:/a=@no-such-file": "no such file",
		":/a=b": "", "k": "want KEY=SIDE", "k=": "want KEY=SIDE",
	} {
		if r, err := p.resolution(in); want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %+v, %v", in, r, err)
		}
	}
}

func TestFileName(t *testing.T) {
	for _, test := range []struct{ key, kind, want string }{
		{"app/config.yaml", "yaml", "config.yaml"},
		{"app/config.yml", "yaml", "config.yml"},
		{"app/config.yaml", "json", "config.yaml.json"},
		{"app/config", "json", "config.json"},
		{"app/motd", "text", "motd"},
		{"app/-rf", "", "rf"},
		{"a/..", "", "value"},
		{"a/", "", "a"},
		{"a/$(x) 日\n", "bytes", "__x____"},
		{long(100), "json", long(64) + ".json"},
	} {
		if got := fileName(test.key, test.kind); got != test.want {
			t.Errorf("%s as %s: got %q, want %q", test.key, test.kind, got, test.want)
		}
	}
}
