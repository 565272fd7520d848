package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// hand writes the key "k" on a fork of a lab.
type hand struct {
	*lab
	on string
}

func (h hand) key() rpc.KeyRef { return rpc.KeyRef{Fork: h.on, Key: "k"} }

func (h hand) write(q rpc.PutRequest) {
	h.t.Helper()
	q.KeyRef = h.key()
	if _, err := h.Put(h.t.Context(), q); err != nil {
		h.t.Fatalf("put %q at %q on %q: %v", q.Value, q.Path, h.on, err)
	}
}

func (h hand) json(text string) {
	h.t.Helper()
	h.write(rpc.PutRequest{Value: []byte(text), Kind: crdt.JSON})
}

func (h hand) count(n string) {
	h.t.Helper()
	h.write(rpc.PutRequest{Value: []byte(n), Kind: crdt.Counter})
}

func (h hand) edit(at crdt.Path, to string) {
	h.t.Helper()
	h.write(rpc.PutRequest{Value: []byte(to), Path: at})
}
func (h hand) delete() { h.t.Helper(); h.unset("") }

func (h hand) unset(at crdt.Path) {
	h.t.Helper()
	if _, err := h.Delete(h.t.Context(), rpc.DeleteRequest{KeyRef: h.key(), Path: at}); err != nil {
		h.t.Fatalf("del at %q on %q: %v", at, h.on, err)
	}
}

func (h hand) incr(by int64) {
	h.t.Helper()
	if _, err := h.Increment(h.t.Context(), rpc.IncrementRequest{KeyRef: h.key(), By: by}); err != nil {
		h.t.Fatal(err)
	}
}

func (h hand) elements(add, remove []string) {
	h.t.Helper()
	if _, err := h.ChangeSet(h.t.Context(), rpc.ElementsRequest{KeyRef: h.key(), Add: add, Remove: remove}); err != nil {
		h.t.Fatal(err)
	}
}

func (h hand) add(elements ...string)    { h.t.Helper(); h.elements(elements, nil) }
func (h hand) remove(elements ...string) { h.t.Helper(); h.elements(nil, elements) }

func (h hand) settle(q rpc.ResolveRequest) {
	h.t.Helper()
	q.KeyRef = h.key()
	if _, err := h.Resolve(h.t.Context(), q); err != nil {
		h.t.Fatalf("resolve %+v on %q: %v", q, h.on, err)
	}
}

func (h hand) settleAt(at crdt.Path, value string) {
	h.t.Helper()
	v := []byte(value)
	h.settle(rpc.ResolveRequest{Path: at, Value: &v})
}

// keyed declares how the elements of a list are told apart.
func (l *lab) keyed(fork, at, schema string) {
	l.t.Helper()
	var p rpc.Policy
	if err := p.AddList(at + "=" + schema); err != nil {
		l.t.Fatal(err)
	}
	p.Pattern = "k"
	l.setPolicy(fork, p)
}

func (l *lab) setPolicy(fork string, p rpc.Policy) {
	l.t.Helper()
	if _, err := l.ChangePolicy(l.t.Context(), rpc.PolicyRequest{Fork: fork, Policy: p}); err != nil {
		l.t.Fatal(err)
	}
}

// compact is a value without the space in it, and DEL for none.
func compact(value []byte, deleted bool) string {
	var b bytes.Buffer
	switch {
	case deleted:
		return "DEL"
	case json.Compact(&b, value) == nil:
		return b.String()
	}
	return string(value)
}

// reads says what the key reads as, and after it the conflicts, the side that
// is served in front of the others.
func (h hand) reads() string {
	h.t.Helper()
	e, err := h.Get(h.t.Context(), rpc.GetRequest{KeyRef: h.key()})
	if err != nil {
		h.t.Fatal(err)
	}
	out := []string{compact(e.Value, e.Deleted)}
	for _, c := range e.Conflicts {
		var served, others []string
		for _, s := range c.Sides {
			if s.Served {
				served = append(served, compact(s.Value, s.Deleted))
			} else {
				others = append(others, compact(s.Value, s.Deleted))
			}
		}
		slices.Sort(others)
		out = append(out, fmt.Sprintf("%s at %s: %s", c.Kind, c.Path, strings.Join(append(served, others...), " > ")))
	}
	return strings.Join(out, "; ")
}

func (h hand) shows(want string) {
	h.t.Helper()
	if got := h.reads(); got != want {
		h.t.Errorf("%q shows\n got %s\nwant %s", h.on, got, want)
	}
}

// trickyApart is a row of the model's table in which two write who do not know
// of each other; there comes after here by the clock.
type trickyApart struct {
	name        string
	first       string // JSON that both have read; "" for nothing
	keyed       string // the schema of the list at /l
	here, there func(h hand)
	// want is what two nodes show of their one fork. Of two forks, each merged
	// into the other, own is what here's shows, and other what there's does: ""
	// for the same.
	want, own, other string
}

// trickyDocuments are the rows that documents, counters and sets have.
var trickyDocuments = []trickyApart{
	{
		name: "key deleted here, field edited there", first: `{"a":1,"b":2}`,
		here: hand.delete, there: func(h hand) { h.edit("/a", "3") },
		want: `{"a":3,"b":2}; delete/edit at /: {"a":3,"b":2} > DEL`, own: `DEL; delete/edit at /: DEL > {"a":3,"b":2}`,
	},
	{
		name: "deleted and re-created here, edited there", first: `{"a":1,"b":2}`,
		here: func(h hand) { h.delete(); h.json(`{"c":1}`) }, there: func(h hand) { h.edit("/a", "3") },
		want: `{"a":3,"b":2}; delete/edit at /: {"a":3,"b":2} > {"c":1}`, own: `{"c":1}; delete/edit at /: {"c":1} > {"a":3,"b":2}`,
	},
	{
		name: "one side changed one field, the other another field", first: `{"a":1,"b":2}`,
		here: func(h hand) { h.edit("/a", "3") }, there: func(h hand) { h.json(`{"a":1,"b":4}`) },
		want: `{"a":3,"b":4}`,
	},
	{
		name: "both sides made the same change", first: `{"a":1}`,
		here: func(h hand) { h.edit("/a", "2") }, there: func(h hand) { h.edit("/a", "2") },
		want: `{"a":2}`,
	},
	{
		name: "side A set 2 and rolled back to 1, side B set 3", first: `{"a":1,"b":1}`,
		here: func(h hand) {
			h.edit("/a", "2")
			if _, err := h.Rollback(h.t.Context(), rpc.RollbackRequest{KeyRef: h.key(), To: "head~1"}); err != nil {
				h.t.Fatal(err)
			}
		},
		there: func(h hand) { h.edit("/a", "3") },
		want:  `{"a":3,"b":1}; value at /a: 3 > 1`, own: `{"a":1,"b":1}; value at /a: 1 > 3`,
	},
	{
		name: "`\"\"` against delete", first: `{"a":1,"b":1}`,
		here: func(h hand) { h.unset("/a") }, there: func(h hand) { h.edit("/a", `""`) },
		want: `{"a":"","b":1}; delete/edit at /a: "" > DEL`, own: `{"b":1}; delete/edit at /a: DEL > ""`,
	},
	{
		name: "`\"\"` against null", first: `{"a":1}`,
		here: func(h hand) { h.edit("/a", `""`) }, there: func(h hand) { h.edit("/a", "null") },
		want: `{"a":null}; value at /a: null > ""`, own: `{"a":""}; value at /a: "" > null`,
	},
	{
		name: "null is a value", first: `{"a":1,"b":1}`,
		here: func(h hand) { h.edit("/a", "null") }, there: func(h hand) { h.edit("/b", "2") },
		want: `{"a":null,"b":2}`,
	},
	{
		name: "object replaced by string against edit inside", first: `{"o":{"a":1,"b":2}}`,
		here: func(h hand) { h.edit("/o", `"s"`) }, there: func(h hand) { h.edit("/o/a", "3") },
		want: `{"o":{"a":3,"b":2}}; type at /o: {"a":3,"b":2} > "s"`, own: `{"o":"s"}; type at /o: "s" > {"a":3,"b":2}`,
	},
	{
		name: "object replaced by string against edit elsewhere", first: `{"o":{"a":1},"b":2}`,
		here: func(h hand) { h.edit("/o", `"s"`) }, there: func(h hand) { h.edit("/b", "3") },
		want: `{"b":3,"o":"s"}`,
	},
	{
		name: "`{b:1}` becomes `{}`", first: `{"o":{"b":1},"c":1}`,
		here: func(h hand) { h.unset("/o/b") }, there: func(h hand) { h.edit("/c", "2") },
		want: `{"c":2,"o":{}}`,
	},
	{
		name: "keyed list: edit one element, remove another", keyed: "map(n)", first: `{"l":[{"n":"x","v":1},{"n":"y","v":2}]}`,
		here: func(h hand) { h.edit("/l/[x]/v", "3") }, there: func(h hand) { h.json(`{"l":[{"n":"x","v":1}]}`) },
		want: `{"l":[{"n":"x","v":3}]}`,
	},
	{
		name: "keyed list: edit one element, remove the same", keyed: "map(n)", first: `{"l":[{"n":"x","v":1},{"n":"y","v":2}]}`,
		here: func(h hand) { h.edit("/l/[x]/v", "3") }, there: func(h hand) { h.json(`{"l":[{"n":"y","v":2}]}`) },
		want:  `{"l":[{"n":"x","v":3},{"n":"y","v":2}]}; delete/edit at /l/[x]: {"n":"x","v":3} > DEL`,
		other: `{"l":[{"n":"y","v":2}]}; delete/edit at /l/[x]: DEL > {"n":"x","v":3}`,
	},
	{
		name: "set list: both add, one removes", keyed: "set", first: `{"l":["a","b"]}`,
		here: func(h hand) { h.json(`{"l":["a","b","c"]}`) }, there: func(h hand) { h.json(`{"l":["d","b"]}`) },
		want: `{"l":["d","b","c"]}`, own: `{"l":["b","c","d"]}`,
	},
	{
		name: "list schema declared, then one element edited, then a concurrent edit elsewhere", first: `{"l":[{"n":"x","v":1},{"n":"y","v":2}],"b":1}`,
		here:  func(h hand) { h.keyed(h.on, "/l", "map(n)"); h.json(`{"l":[{"n":"x","v":3},{"n":"y","v":2}],"b":1}`) },
		there: func(h hand) { h.edit("/b", "2") },
		want:  `{"b":2,"l":[{"n":"x","v":3},{"n":"y","v":2}]}`,
	},
	{
		name: "atomic list changed on both sides", first: `{"m":[1,2]}`,
		here: func(h hand) { h.edit("/m", "[1,2,3]") }, there: func(h hand) { h.edit("/m", "[0,1,2]") },
		want: `{"m":[0,1,2]}; value at /m: [0,1,2] > [1,2,3]`, own: `{"m":[1,2,3]}; value at /m: [1,2,3] > [0,1,2]`,
	},
	{
		name: "object, then string, then object on one side, an old field edited on the other", first: `{"o":{"a":1,"b":2}}`,
		here: func(h hand) { h.edit("/o", `"s"`); h.edit("/o", `{"a":1,"b":2}`) }, there: func(h hand) { h.edit("/o/a", "3") },
		want: `{"o":{"a":3,"b":2}}; delete/edit at /o: {"a":3,"b":2} > {"a":1,"b":2}`,
		own:  `{"o":{"a":1,"b":2}}; delete/edit at /o: {"a":1,"b":2} > {"a":3,"b":2}`,
	},
	{
		name: "counter +2 in the fork, +3 in the root",
		here: func(h hand) { h.incr(3) }, there: func(h hand) { h.incr(2) },
		want: `5`,
	},
	{
		name: "two concurrent `set` of a counter, adds unseen by one of them",
		here: func(h hand) { h.incr(3); h.count("10") }, there: func(h hand) { h.incr(5); h.count("20") },
		want: `23; value at /: 23 > 15`, own: `15; value at /: 15 > 23`,
	},
	{
		name: "set: add and remove of one element at once",
		here: func(h hand) { h.add("a", "b"); h.remove("a"); h.add("a") }, there: func(h hand) { h.add("a"); h.remove("a") },
		want: `["a","b"]`,
	},
}

// inOrder writes a document with its members in the order of their names: that
// of what is rendered is the served side's.
func inOrder(reads string) string {
	value, rest, _ := strings.Cut(reads, "; ")
	var v any
	if json.Unmarshal([]byte(value), &v) == nil {
		text, err := json.Marshal(v)
		if err == nil {
			value = string(text)
		}
	}
	if rest != "" {
		value += "; " + rest
	}
	return value
}

func (row *trickyApart) begin(h hand) {
	if row.keyed != "" {
		h.keyed(h.on, "/l", row.keyed)
	}
	if row.first != "" {
		h.json(row.first)
	}
}

// TestTrickyDocumentsOnTwoNodes: both nodes show the same.
func TestTrickyDocumentsOnTwoNodes(t *testing.T) {
	for _, row := range trickyDocuments {
		t.Run(row.name, func(t *testing.T) {
			a, b := pair(t)
			row.begin(hand{a, ""})
			meet(a, b)
			row.here(hand{a, ""})
			row.there(hand{b, ""})
			meet(a, b)
			for _, l := range []*lab{a, b} {
				if got := inOrder((hand{l, ""}).reads()); got != row.want {
					t.Errorf("\n got %s\nwant %s", got, row.want)
				}
			}
			if x, y := (hand{a, ""}).reads(), (hand{b, ""}).reads(); x != y {
				t.Errorf("one node has %s, the other %s", x, y)
			}
		})
	}
}

// TestTrickyDocumentsOnTwoForks: each fork goes on serving its own, and merging
// again changes nothing.
func TestTrickyDocumentsOnTwoForks(t *testing.T) {
	for _, row := range trickyDocuments {
		t.Run(row.name, func(t *testing.T) {
			l := newLab(t, "a")
			row.begin(hand{l, ""})
			l.fork("s", "")
			row.here(hand{l, ""})
			row.there(hand{l, "s"})
			l.merge("s", "default", rpc.OnConflictKeep)
			l.merge("default", "s", rpc.OnConflictKeep)
			for fork, want := range map[string]string{"default": row.own, "s": row.other} {
				if want == "" {
					want = row.want
				}
				if got := inOrder((hand{l, fork}).reads()); got != want {
					t.Errorf("%s\n got %s\nwant %s", fork, got, want)
				}
			}
			for _, m := range []rpc.Merged{l.merge("s", "default", rpc.OnConflictKeep), l.merge("default", "s", rpc.OnConflictKeep)} {
				if !m.Unchanged {
					t.Errorf("a merge once more: %+v", m)
				}
			}
		})
	}
}

// TestConflictOnForksOfForks: a conflict is ranked on a fork as on its source, at
// any depth. A read that asks each source for its own twice would not end.
func TestConflictOnForksOfForks(t *testing.T) {
	l := newLab(t, "a")
	d := hand{l, ""}
	d.json(`{"a":1,"b":1}`)
	l.fork("s", "")
	d.edit("/a", "2")
	hand{l, "s"}.edit("/a", "3")
	l.merge("s", "default", rpc.OnConflictKeep)
	from := ""
	for i := range 40 {
		name := fmt.Sprintf("f%d", i)
		l.fork(name, from)
		from = name
	}
	hand{l, from}.shows(`{"a":2,"b":1}; value at /a: 2 > 3`)
}

// TestSettledBesideAnOpenOne: a put says that it settles a conflict, also of the
// one head that has left it open.
func TestSettledBesideAnOpenOne(t *testing.T) {
	l := newLab(t, "a")
	d := hand{l, ""}
	d.json(`{"a":1,"b":1}`)
	l.fork("s", "")
	d.edit("/a", "2")
	hand{l, "s"}.edit("/a", "3")
	l.merge("s", "default", rpc.OnConflictKeep)
	d.edit("/b", "5")
	d.shows(`{"a":2,"b":5}; value at /a: 2 > 3`)
	w, err := d.Put(t.Context(), rpc.PutRequest{KeyRef: d.key(), Value: []byte(`{"a":9,"b":9}`)})
	if err != nil || w.Settled != 2 || w.Conflict {
		t.Errorf("%+v, %v", w, err)
	}
}

// TestKindOfTheBase: who gives a token and no kind keeps that of what he read.
func TestKindOfTheBase(t *testing.T) {
	l := newLab(t, "a")
	d := hand{l, ""}
	d.write(rpc.PutRequest{Value: []byte("a: 1\n"), Kind: crdt.YAML})
	e, err := l.Get(t.Context(), rpc.GetRequest{KeyRef: d.key()})
	if err != nil {
		t.Fatal(err)
	}
	d.write(rpc.PutRequest{Value: []byte("x"), Kind: crdt.Bytes})
	for _, q := range []rpc.PutRequest{{Value: []byte("a: 2\n")}, {Value: []byte("b: 3"), Path: "/a"}} {
		q.KeyRef, q.Base = d.key(), e.Token
		w, err := l.Put(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := l.Graph().Revision(w.Revision); err != nil || crdt.Kind(c.Revision.Kind) != crdt.YAML {
			t.Errorf("put %q at %q: kind %s, %v", q.Value, q.Path, crdt.Kind(c.Revision.Kind), err)
		}
	}
}

// TestDamagedDocument: what somebody's program wrote as a json and is none is a
// value like another: it can be compared, merged and undone.
func TestDamagedDocument(t *testing.T) {
	l := newLab(t, "a")
	d := hand{l, ""}
	d.json(`{"a":1}`)
	l.fork("s", "")
	s, err := l.lookAt(forkOf(t, l, "s"), "k")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Graph().Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error {
		return tx.Put(dag.Draft{Fork: s.Fork, Key: "k", Kind: uint64(crdt.JSON), Payload: []byte("none"), Parents: s.parents()})
	}); err != nil {
		t.Fatal(err)
	}
	for x, err := range l.Diff(t.Context(), rpc.DiffRequest{A: "default", B: "s"}) {
		if err != nil || x.Change != "changed" {
			t.Errorf("diff: %+v, %v", x, err)
		}
	}
	if m := l.merge("s", "default", ""); !m.Applied || len(m.Clean) != 1 {
		t.Errorf("merged: %+v", m)
	}
	d.shows("none")
	if _, err := l.Undo(t.Context(), rpc.UndoRequest{}); err != nil {
		t.Error(err)
	}
	d.shows(`{"a":1}`)
}

func forkOf(t *testing.T, l *lab, name string) dag.ForkID {
	t.Helper()
	f, ok := l.Graph().ForkNamed(name)
	if !ok {
		t.Fatalf("no fork %q", name)
	}
	return f.ID
}

// TestServedFailAt: whether a key in conflict is served is said by the policy of
// the same cut.
func TestServedFailAt(t *testing.T) {
	l := newLab(t, "a")
	d := hand{l, ""}
	d.json(`{"a":1}`)
	l.fork("s", "")
	d.edit("/a", "2")
	hand{l, "s"}.edit("/a", "3")
	l.merge("s", "default", rpc.OnConflictKeep)
	tag := func(name string) {
		if _, err := l.Tag(t.Context(), rpc.PointRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	tag("served")
	l.setPolicy("", rpc.Policy{Pattern: "k", Served: rpc.ServedFail})
	tag("refused")
	l.setPolicy("", rpc.Policy{Pattern: "k", Served: rpc.ServedWinner})
	for at, refused := range map[string]bool{"": false, "refused": true, "served": false} {
		if _, err := l.Get(t.Context(), rpc.GetRequest{KeyRef: d.key(), At: at}); errors.Is(err, rpc.ErrConflict) != refused || !refused && err != nil {
			t.Errorf("at %q: %v", at, err)
		}
	}
}

// TestSettlingSome: settling some conflicts of a key at once leaves the others
// open, and a choice that makes no document is refused in one line.
func TestSettlingSome(t *testing.T) {
	l := newLab(t, "a")
	l.keyed("", "/l", "map(n)")
	d, s := hand{l, ""}, hand{l, "s"}
	d.json(`{"l":[{"n":"x","v":1},{"n":"y"}],"o":{"a":1,"b":1},"z":1}`)
	l.fork("s", "")
	for _, h := range []hand{d, s} {
		to := map[string]string{"": "2", "s": "3"}[h.on]
		h.edit("/o/a", to)
		h.edit("/o/b", to)
		h.edit("/z", to)
	}
	d.unset("/l/[x]")
	s.edit("/l/[x]/v", "2")
	resolve := func(l crdt.Path, value string) rpc.Resolution {
		text := []byte(value)
		return rpc.Resolution{Key: "k", Path: l, Value: &text}
	}
	_, err := l.Merge(t.Context(), rpc.MergeRequest{Source: "s", Into: "default", Resolve: []rpc.Resolution{
		resolve("/o/a", "1"), resolve("/o/b", "1"), resolve("/z", "1"), resolve("/l/[x]", `{"n":"y"}`),
	}})
	if rpc.CodeOf(err) != rpc.CodeInvalid || !strings.Contains(err.Error(), `"k" would be no document`) {
		t.Errorf("an element of another identity: %v", err)
	}
	l.merge("s", "default", rpc.OnConflictKeep)
	d.settle(rpc.ResolveRequest{Path: "/o", Take: "s"})
	d.shows(`{"l":[{"n":"y"}],"o":{"a":3,"b":3},"z":2}; delete/edit at /l/[x]: DEL > {"n":"x","v":2}; value at /z: 2 > 3`)
}
