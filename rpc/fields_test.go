package rpc

import (
	"encoding/json"
	"strings"
	"testing"

	"crush/crdt"
)

func TestCompareFields(t *testing.T) {
	for _, test := range []struct{ a, b, want string }{
		{`{"a":1,"b":2}`, "{\n  \"b\": 2.0,\n  \"a\": 1\n}\n", ``},
		{`{"a":1}`, `{"a":2}`, `/a 1 2`},
		{`{"a":1,"z":1}`, `{"b":"<1>"}`, `/a 1 -,/b - "<1>",/z 1 -`},
		{`{"a":{"b":1}}`, `{"a":[1]}`, `/a - [1],/a/b 1 -`},
		{`{"a":{}}`, `{}`, `/ - {},/a {} -`},
		{`[1,2]`, `[2,1]`, `/ [1,2] [2,1]`},
		{`{"a.b":1,"a":{"c":1}}`, `{"a.b":2,"a":{"c":2}}`, `/a/c 1 2,/a.b 1 2`},
		{`{"a.b":1,"a":{"c":1}}`, `{"a":{"d":1}}`, `/a/c 1 -,/a/d - 1,/a.b 1 -`},
		{`null`, `"null"`, `/ null "null"`},
	} {
		changes, ok := CompareFields(crdt.JSON, []byte(test.a), crdt.JSON, []byte(test.b), nil)
		var got []string
		for _, c := range changes {
			got = append(got, c.Path.String()+" "+orDash(c.A)+" "+orDash(c.B))
		}
		if !ok || strings.Join(got, ",") != test.want {
			t.Errorf("%s to %s: got %q, %v; want %q", test.a, test.b, got, ok, test.want)
		}
	}
	keyed := crdt.Lists{{Path: "/l", Schema: crdt.MapList("n")}}
	was, now := []byte(`{"l":[{"n":"x","v":1},{"n":"y"}]}`), []byte(`{"l":[{"n":"y"},{"n":"x","v":2}]}`)
	if changes, ok := CompareFields(crdt.JSON, was, crdt.JSON, now, keyed); !ok || len(changes) != 1 || changes[0].Path != "/l/[x]/v" {
		t.Errorf("a keyed list: got %+v, %v", changes, ok)
	}
	one := []byte("1")
	for name, compare := range map[string]func() ([]FieldChange, bool){
		"bytes":        func() ([]FieldChange, bool) { return CompareFields(crdt.Bytes, one, crdt.JSON, one, nil) },
		"not there":    func() ([]FieldChange, bool) { return CompareFields(crdt.JSON, one, crdt.JSON, nil, nil) },
		"unparsable":   func() ([]FieldChange, bool) { return CompareFields(crdt.JSON, []byte("x"), crdt.JSON, one, nil) },
		"other kind":   func() ([]FieldChange, bool) { return CompareFields(crdt.JSON, one, crdt.Counter, one, nil) },
		"both deleted": func() ([]FieldChange, bool) { return CompareFields(0, nil, 0, nil, nil) },
	} {
		if changes, ok := compare(); ok || changes != nil {
			t.Errorf("%s: got %v", name, changes)
		}
	}
}

func orDash(v json.RawMessage) string {
	if v == nil {
		return "-"
	}
	return string(v)
}
