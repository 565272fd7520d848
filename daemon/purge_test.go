package daemon

import (
	"errors"
	"strings"
	"testing"

	"crush/crdt"
	"crush/rpc"
)

// valuesOf are two values of a kind that writers can have written at once, one
// more, and what is in none of them.
var valuesOf = map[crdt.Kind][3]string{
	crdt.Bytes:   {"secret one", "two", "after"},
	crdt.Text:    {"secret one\n", "two\n", "after\n"},
	crdt.JSON:    {`{"a":"secret","c":0}`, `{"b":2,"c":0}`, `{"z":26}`},
	crdt.YAML:    {"a: secret\nc: 0\n", "b: 2\nc: 0\n", "z: 26\n"},
	crdt.Counter: {"100", "200", "7"},
	crdt.Set:     {`["secret"]`, `["two"]`, `["after"]`},
}

// purgedReads checks what all readers of a key say that was purged as a whole.
func (l *lab) purgedReads(key string) {
	l.t.Helper()
	ctx := l.t.Context()
	if e, err := l.Get(ctx, rpc.GetRequest{KeyRef: rpc.KeyRef{Key: key}}); !errors.Is(err, rpc.ErrPurged) {
		l.t.Errorf("get: %+v, %v", e, err)
	}
	e, err := l.Get(ctx, rpc.GetRequest{KeyRef: rpc.KeyRef{Key: key}, Meta: true})
	if err != nil || e.Purged == nil || e.Purged.Why != "leaked" || len(e.Heads) == 0 {
		l.t.Errorf("get without the value: %+v, %v", e, err)
	}
	for e, err := range l.List(ctx, rpc.ListRequest{Values: true}) {
		if err != nil || e.Key == key && (e.Purged == nil || e.Value != nil) {
			l.t.Errorf("list: %+v, %v", e, err)
		}
	}
	for e, err := range l.Log(ctx, rpc.LogRequest{KeyRef: rpc.KeyRef{Key: key}, Values: true}) {
		if err != nil || e.Purged == nil || e.Value != nil {
			l.t.Errorf("log: %+v, %v", e, err)
		}
	}
	for c, err := range l.Conflicts(ctx, "", "") {
		if err != nil {
			l.t.Errorf("conflicts: %v", err)
			continue
		}
		for _, s := range c.Sides {
			if s.Value != nil || s.Purged == nil && !s.Deleted {
				l.t.Errorf("conflicts: side %+v", s)
			}
		}
	}
}

// TestPurgeKinds: a key of any kind, in conflict or not, that was purged says so
// to everybody who reads it, and can be written and deleted again.
func TestPurgeKinds(t *testing.T) {
	for kind, values := range valuesOf {
		for _, contested := range []bool{false, true} {
			name := kind.String()
			if contested {
				name += ", written twice at once"
			}
			t.Run(name, func(t *testing.T) {
				a, b := pair(t)
				write := func(l *lab, key, value string) {
					t.Helper()
					_, err := l.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: key}, Value: []byte(value), Kind: kind})
					if err != nil {
						t.Fatalf("put %q: %v", value, err)
					}
				}
				for _, key := range []string{"k", "deleted"} {
					write(a, key, values[1])
					b.pull(a)
					write(a, key, values[0])
					if contested {
						write(b, key, values[2])
					}
				}
				meet(a, b)
				for _, key := range []string{"k", "deleted"} {
					done, err := a.Purge(t.Context(), rpc.PurgeRequest{Key: key, Claim: rpc.Claim{Message: "leaked"}})
					if want := map[bool]int{false: 2, true: 3}[contested]; err != nil || done.Values != want {
						t.Fatalf("purge: %+v, %v", done, err)
					}
				}
				b.pull(a)
				a.purgedReads("k")
				b.purgedReads("k")
				write(b, "k", values[2])
				if _, err := b.Delete(t.Context(), rpc.DeleteRequest{KeyRef: rpc.KeyRef{Key: "deleted"}}); err != nil {
					t.Errorf("delete: %v", err)
				}
				a.pull(b)
				for _, l := range []*lab{a, b} {
					if got := l.value("", "k"); strings.TrimSpace(got) != strings.TrimSpace(values[2]) {
						t.Errorf("after it, %s reads %q, want %q", l.Graph().Node().Short(), got, values[2])
					}
					if e, err := l.Get(t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Key: "deleted"}}); err != nil || !e.Deleted {
						t.Errorf("deleted: %+v, %v", e, err)
					}
					l.clean()
				}
			})
		}
	}
}

// TestPurgeRefused: what names nothing, or too much, is refused.
func TestPurgeRefused(t *testing.T) {
	l := newLab(t, "a")
	l.put("", "k", "value")
	rev := l.newest("k")
	l.put("", rev[7:15], "a key that reads like a revision")
	why := rpc.Claim{Message: "leaked"}
	for name, c := range map[string]struct {
		q    rpc.PurgeRequest
		want error
	}{
		"no reason":      {rpc.PurgeRequest{Key: "k"}, rpc.ErrInvalid},
		"a long reason":  {rpc.PurgeRequest{Key: "k", Claim: rpc.Claim{Message: strings.Repeat("x", 5000)}}, rpc.ErrInvalid},
		"no key":         {rpc.PurgeRequest{Key: "nothing", Claim: why}, rpc.ErrNotFound},
		"no revision":    {rpc.PurgeRequest{Revision: "aaaaaaaaaa", Claim: why}, rpc.ErrNotFound},
		"a short one":    {rpc.PurgeRequest{Revision: "aaa", Claim: why}, rpc.ErrInvalid},
		"neither":        {rpc.PurgeRequest{Name: "nothing", Claim: why}, rpc.ErrNotFound},
		"key and a part": {rpc.PurgeRequest{Name: rev[7:15], Claim: why}, rpc.ErrAmbiguous},
	} {
		if done, err := l.Purge(t.Context(), c.q); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v", name, done, err)
		}
	}
	if l.value("", "k") != "value" {
		t.Error("something was purged")
	}
	done, err := l.Purge(t.Context(), rpc.PurgeRequest{Name: rev, Claim: why})
	if err != nil || done.Revision.String() != rev || done.Values != 1 {
		t.Errorf("by its whole id: %+v, %v", done, err)
	}
}

// newest is the id of the newest revision of a key.
func (l *lab) newest(key string) string {
	l.t.Helper()
	for e, err := range l.Log(l.t.Context(), rpc.LogRequest{KeyRef: rpc.KeyRef{Key: key}}) {
		if err != nil {
			l.t.Fatal(err)
		}
		return e.Revision.String()
	}
	l.t.Fatal("nothing was written")
	return ""
}

// TestPurgeBehind: who looks behind a head finds there what was purged, and goes
// on without it.
func TestPurgeBehind(t *testing.T) {
	for kind, values := range map[crdt.Kind][3]string{
		crdt.JSON: {`{"a":1,"b":1}`, `{"a":2,"b":1}`, `{"a":3,"b":1}`},
		crdt.YAML: {"a: 1\nb: 1\n", "a: 2\nb: 1\n", "a: 3\nb: 1\n"},
		crdt.Text: {"a1\nb\n", "a2\nb\n", "a3\nb\n"},
	} {
		l := newLab(t, "a")
		l.says("ann", "", "k", kind, values[0])
		first, err := l.Get(t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Key: "k"}})
		if err != nil {
			t.Fatal(err)
		}
		l.fork("s", "")
		l.says("bob", "", "k", kind, values[1])
		l.says("bob", "s", "k", kind, values[2])
		if _, err := l.Replica.Purge(t.Context(), rpc.PurgeRequest{Revision: rpc.Ref(first.Revision.String()), Claim: rpc.Claim{Message: "leaked"}}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			n := 0
			for line, err := range l.Blame(t.Context(), rpc.KeyRef{Key: "k"}) {
				if n++; err != nil || line.Author != "bob" && line.Author != "ann" {
					t.Errorf("blame of a %s: %+v, %v", kind, line, err)
				}
			}
			for c, err := range l.Conflicts(t.Context(), "", "") {
				if err != nil || len(c.Sides) != 2 {
					t.Errorf("conflicts of a %s: %+v, %v", kind, c, err)
				}
			}
			if n == 0 {
				t.Errorf("blame of a %s has no lines", kind)
			}
			l.merge("s", "default", rpc.OnConflictKeep)
		}
	}
}

// TestPurgedBase: the base of a conflict can have been purged, behind what both
// sides have read.
func TestPurgedBase(t *testing.T) {
	l := newLab(t, "a")
	d := hand{l, ""}
	d.json(`{"a":1,"b":1}`)
	first, err := l.Get(t.Context(), rpc.GetRequest{KeyRef: d.key()})
	if err != nil {
		t.Fatal(err)
	}
	d.edit("/b", "2")
	l.fork("s", "")
	d.edit("/a", "2")
	hand{l, "s"}.edit("/a", "3")
	if _, err := l.Replica.Purge(t.Context(), rpc.PurgeRequest{Revision: rpc.Ref(first.Revision.String()), Claim: rpc.Claim{Message: "leaked"}}); err != nil {
		t.Fatal(err)
	}
	l.merge("s", "default", rpc.OnConflictKeep)
	d.shows(`{"a":2,"b":2}; value at /a: 2 > 3`)
	for c, err := range l.Conflicts(t.Context(), "", "") {
		if err != nil || c.Base != nil && c.Base.Purged == nil {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

// TestPurgedPart: a part of a document that was purged cannot be changed, and
// the answer says why; all of it can be written.
func TestPurgedPart(t *testing.T) {
	l := newLab(t, "a")
	d := hand{l, ""}
	d.json(`{"a":1}`)
	if _, err := l.Replica.Purge(t.Context(), rpc.PurgeRequest{Name: "k", Claim: rpc.Claim{Message: "leaked"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Put(t.Context(), rpc.PutRequest{KeyRef: d.key(), Path: "/a", Value: []byte("2")}); !errors.Is(err, rpc.ErrPurged) {
		t.Errorf("put: %v", err)
	}
	if _, err := l.Delete(t.Context(), rpc.DeleteRequest{KeyRef: d.key(), Path: "/a"}); !errors.Is(err, rpc.ErrPurged) {
		t.Errorf("del: %v", err)
	}
	d.json(`{"a":2}`)
	d.edit("/a", "3")
	d.shows(`{"a":3}`)
}
