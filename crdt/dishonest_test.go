package crdt_test

import (
	"testing"

	"crush/crdt"
	"crush/crdt/oracle"
)

// claim writes a document that says of itself what no context would: that these
// paths were written.
func (n *node) claim(open bool, text string, paths ...crdt.Path) {
	n.t.Helper()
	payload, err := crdt.DocumentPayload{Text: []byte(text), Paths: paths}.Encode()
	if err != nil {
		n.t.Fatalf("%v", err)
	}
	n.write(oracle.Revision{Fork: root, Kind: crdt.JSON, Value: payload, Open: open, Parents: n.heads(root)})
}

// TestDishonestWriters: whatever is claimed, nothing that somebody wrote is
// lost without a word, and there is something to read.
func TestDishonestWriters(t *testing.T) {
	for _, row := range []tricky{
		{
			"below a leaf, without a DEL", `{"a":1,"b":1}`,
			func(here, there *node) { here.claim(false, `{"a":{"x":2},"b":1}`, "/a/x"); there.edit(root, "/b", "2") },
			`{"a":{"x":2},"b":2}; type at /a: {"x":2} > 1`,
		},
		{
			"below a leaf that it has seen, and nothing else is there", `{"a":1,"b":1}`,
			func(here, there *node) {
				here.claim(true, `{"a":"s","b":1}`, "/a")
				here.claim(true, `{"a":{"x":2},"b":1}`, "/a/x")
				there.learn(here)
			},
			`{"a":{"x":2},"b":1}; type at /a: {"x":2} > "s"`,
		},
		{
			"members beside elements, without a DEL", `{"l":[{"n":"x"}],"b":1}`,
			func(here, there *node) { here.claim(false, `{"l":{"m":2},"b":1}`, "/l/m"); there.edit(root, "/b", "2") },
			`{"l":{"m":2},"b":2}; type at /l: {"m":2} > [{"n":"x"}]`,
		},
		{
			"a text that is not what the change made", `{"a":1,"b":1}`,
			func(here, there *node) {
				here.claim(false, `{"z":1}`)
				there.learn(here)
				here.claim(false, `{"z":1,"x":1}`, "/x")
				there.claim(false, `{"z":1,"y":1}`, "/y")
			},
			`{"z":1,"y":1,"x":1}`,
		},
		{
			"beside bytes, and not over them", `{"a":1,"b":1}`,
			func(here, there *node) {
				here.put(root, "raw")
				here.claim(true, `{"z":1}`)
				there.learn(here)
			},
			`raw`,
		},
		{
			"nothing written, and open", `{"a":1,"b":1}`,
			func(here, there *node) { here.claim(true, `{"z":1}`); there.learn(here) },
			`{"a":1,"b":1}`,
		},
		{
			"a text that does not parse", `{"a":1,"b":1}`,
			func(here, there *node) { here.claim(false, `{`, "/a"); there.edit(root, "/b", "2") },
			`{"a":1,"b":2}; type at /: {"a":1,"b":2} > ` + "{\x01\x00\x01\x00\x02/a\x00\x00\x00\x01",
		},
		{
			"a text that does not parse, written over", `{"a":1,"b":1}`,
			func(here, there *node) {
				here.claim(false, `{`, "/a")
				here.json(root, `{"a":5}`)
				there.edit(root, "/b", "2")
			},
			`{"a":1,"b":2}; delete/edit at /: {"a":1,"b":2} > {"a":5}`,
		},
	} {
		t.Run(row.name, func(t *testing.T) { row.test(t) })
	}
}
