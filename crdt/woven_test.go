package crdt_test

import (
	"testing"

	"crush/crdt"
)

// TestServedTextIsWoven: where no head has the whole document, its text has the
// comments and the spelling of all of them; where their lines cannot be merged,
// or say something else, it is like that of one.
func TestServedTextIsWoven(t *testing.T) {
	for _, test := range []struct {
		name, base, a, b, want string
	}{
		{
			"comments and spelling of both",
			"# who\nname: x\nimage: v1 # old\nenv: x\nport: 80\n",
			"# who\nname: x\nimage: 8.3.0 # new\nenv: x\nport: 80\n",
			"# who asked\nname: x\nimage: v1 # old\nenv: x\nport: 81\n",
			"# who asked\nname: x\nimage: 8.3.0 # new\nenv: x\nport: 81\n",
		},
		{
			"neighbouring lines", "a: 1\nb: 1\n", "a: 2\nb: 1\n", "a: 1\nb: 2\n", "a: 2\nb: 2\n",
		},
		{
			"lines that say something else", "a: 1\nb: 1\nc: 1\n", "new: 1\na: 2\nb: 1\nc: 1\n", "a: 1\nb: 1\nc: 2\nnew: 1\n", "a: 2\nb: 1\nc: 2\nnew: 1\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLine(t)
			put := func(c crdt.Context, text string, parents ...crdt.Revision) crdt.Revision {
				d, err := c.Put(crdt.YAML, []byte(text), nil)
				return l.write(d.Kind, d.Payload, err, parents...)
			}
			base := put(crdt.Context{}, test.base)
			seen := crdt.Context{View: l.heads(base).View(), Payload: base.Payload}
			a, b := put(seen, test.a, base), put(seen, test.b, base)
			for _, v := range []crdt.View{l.heads(a, b).View(), l.heads(b, a).View()} {
				if got := string(v.Bytes(l.revisions[v.Served].Payload)); got != test.want || len(v.Conflicts) > 0 {
					t.Errorf("got\n%swant\n%s", got, test.want)
				}
			}
		})
	}
}
