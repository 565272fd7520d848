package crdt_test

import (
	"testing"

	"crush/crdt"
)

// TestServedTextIsWoven: a text has the comments and the spelling of all heads;
// where their lines cannot be merged, or say something else, it is that of the
// newest head that has the whole document, and else like that of one.
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
		{
			"a comment, and a field elsewhere", "# old\na: 1\n\nb: 1\n", "# new\na: 1\n\nb: 1\n", "# old\na: 1\n\nb: 2\n", "# new\na: 1\n\nb: 2\n",
		},
		{
			"a field, and a comment elsewhere", "a: 1\n\nb: 1 # old\n", "a: 2\n\nb: 1 # old\n", "a: 1\n\nb: 1 # new\n", "a: 2\n\nb: 1 # new\n",
		},
		{
			"a comment, and the field beside it", "a: 1 # old\n", "a: 1 # new\n", "a: 2 # old\n", "a: 2 # old\n",
		},
		{
			"two comments", "# old\na: 1\n# old\n", "# new\na: 1\n# old\n", "# old\na: 1\n# newer\n", "# new\na: 1\n# newer\n",
		},
		{
			"two comments on one line", "a: 1 # old\n", "a: 1 # new\n", "a: 1 # newer\n", "a: 1 # newer\n",
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

// TestTextGivesWay: other comments are in conflict with nothing, and keep nothing
// from being deleted. What a document is edited from is the text that is served.
func TestTextGivesWay(t *testing.T) {
	l := newLine(t)
	write := func(c crdt.Context, text string, parents ...crdt.Revision) (crdt.Draft, crdt.Revision) {
		d, err := c.Put(crdt.YAML, []byte(text), nil)
		return d, l.write(d.Kind, d.Payload, err, parents...)
	}
	context := func(heads ...crdt.Revision) crdt.Context {
		v := l.heads(heads...).View()
		return crdt.Context{View: v, Payload: l.revisions[v.Served].Payload}
	}
	_, base := write(crdt.Context{}, "a: 1 # old\nb: 1\n\nc: 1\n")
	comment, a := write(context(base), "a: 1 # new\nb: 1\n\nc: 1\n", base)
	if p, err := crdt.DecodeDocument(comment.Payload); err != nil || comment.Empty || len(p.Paths) > 0 {
		t.Errorf("a comment alone: empty %v, writes %v, %v", comment.Empty, p.Paths, err)
	}
	if again, err := context(a).Put(crdt.YAML, []byte("a: 1 # new\nb: 1\n\nc: 1\n"), nil); err != nil || !again.Empty {
		t.Errorf("the same bytes: %+v, %v", again, err)
	}

	gone := l.write(crdt.YAML, nil, nil, base)
	gone.Deleted = true
	l.revisions[gone.ID] = gone
	if v := l.heads(a, gone).View(); !v.Absent() || len(v.Conflicts) > 0 {
		t.Errorf("a deletion beside a comment: %+v", v)
	}

	_, field := write(context(base), "a: 1 # old\nb: 1\n\nc: 2\n", base)
	d, err := context(a, field).Edit(crdt.YAML, "/b", parsed("2"))
	if got := string(crdt.TextOf(crdt.YAML, d.Payload)); err != nil || got != "a: 1 # new\nb: 2\n\nc: 2\n" {
		t.Errorf("an edit of what is woven: %q, %v", got, err)
	}
}

// TestNewElementsKeepTheirOrder: what is new in a text has inside it the order of
// who wrote it.
func TestNewElementsKeepTheirOrder(t *testing.T) {
	lists := crdt.Lists{{Path: "/l", Schema: crdt.MapList("name")}}
	l := newLine(t)
	put := func(c crdt.Context, text string, parents ...crdt.Revision) crdt.Revision {
		d, err := c.Put(crdt.YAML, []byte(text), lists)
		return l.write(d.Kind, d.Payload, err, parents...)
	}
	base := put(crdt.Context{}, "l:\n- name: web\n  image: a\n")
	seen := crdt.Context{View: l.heads(base).View(), Payload: base.Payload}
	a := put(seen, "l:\n- name: web\n  image: a\n- name: log\n  image: z\n  args: {two: 2, one: 1}\n", base)
	b := put(seen, "l:\n- name: web\n  image: b\n", base)
	v := l.heads(a, b).View()
	want := "l:\n- name: web\n  image: b\n- name: log\n  image: z\n  args:\n    two: 2\n    one: 1\n"
	if got := string(v.Bytes(l.revisions[v.Served].Payload)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	part, err := crdt.ParseFragment(crdt.YAML, []byte("{z: 1, a: 2}"), "/o", nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := seen.Edit(crdt.YAML, "/o", part)
	if got, want := string(crdt.TextOf(crdt.YAML, d.Payload)), "l:\n- name: web\n  image: a\no:\n  z: 1\n  a: 2\n"; err != nil || got != want {
		t.Errorf("an edit: %v, got\n%swant\n%s", err, got, want)
	}
}
