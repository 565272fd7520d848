package daemon

import (
	"bytes"
	"encoding/json"
	"testing"

	"crush/crdt"
	"crush/rpc"
)

// TestGetStream: a YAML stream of several documents is read as it was written,
// and its JSON is a list, whether its documents have identities or not.
func TestGetStream(t *testing.T) {
	for _, test := range []struct{ name, text, json, first string }{
		{
			"identities", "apiVersion: v1\nkind: A\nmetadata: {name: x}\n---\napiVersion: v1\nkind: B\nmetadata: {name: y}\n",
			`[{"apiVersion":"v1","kind":"A","metadata":{"name":"x"}},{"apiVersion":"v1","kind":"B","metadata":{"name":"y"}}]`,
			"/[v1,A,,x]/metadata/name",
		},
		{"none", "x\n---\ny\n", `["x","y"]`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, "a")
			key := rpc.KeyRef{Key: "k"}
			if _, err := l.Put(t.Context(), rpc.PutRequest{KeyRef: key, Kind: crdt.YAML, Value: []byte(test.text)}); err != nil {
				t.Fatal(err)
			}
			e, err := l.Get(t.Context(), rpc.GetRequest{KeyRef: key})
			var compact bytes.Buffer
			if err != nil || string(e.Value) != test.text {
				t.Fatalf("got %q, %v", e.Value, err)
			}
			if err := json.Compact(&compact, e.Document); err != nil || compact.String() != test.json {
				t.Errorf("got %s, %v, want %s", e.Document, err, test.json)
			}
			if test.first == "" {
				return
			}
			e, err = l.Get(t.Context(), rpc.GetRequest{KeyRef: key, Path: crdt.Path(test.first)})
			if err != nil || string(e.Value) != "x" {
				t.Errorf("at %s: got %q, %v", test.first, e.Value, err)
			}
		})
	}
}
