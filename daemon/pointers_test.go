package daemon

import (
	"errors"
	"slices"
	"testing"

	"crush/rpc"
)

func TestPointersSayWhoAndWhen(t *testing.T) {
	l := newLab(t, "a")
	ann := rpc.Claim{Author: "ann", Message: "why"}
	set, err := l.Tag(t.Context(), rpc.PointRequest{Name: "v1", Claim: ann})
	if err != nil || set.Time.IsZero() || set.Node != "a" || set.Author != "ann" || set.Message != "why" {
		t.Errorf("%+v %v", set, err)
	}
	l.put("", "k", "1")
	tags, err := l.Tags(t.Context())
	if err != nil || len(tags) != 1 || !tags[0].Time.Equal(set.Time) || tags[0].Author != "ann" || tags[0].Message != "why" || tags[0].Node != "a" {
		t.Errorf("%+v %v", tags, err)
	}
	if _, err := l.Alias(t.Context(), rpc.PointRequest{Name: "live", Fork: "default", Claim: rpc.Claim{Author: "bob"}}); err != nil {
		t.Fatal(err)
	}
	aliases, err := l.Aliases(t.Context())
	if err != nil || len(aliases) != 1 || !aliases[0].Time.After(set.Time) || aliases[0].Author != "bob" || aliases[0].Fork != "default" {
		t.Errorf("%+v %v", aliases, err)
	}
}

func TestAliasLog(t *testing.T) {
	l := newLab(t, "a")
	l.fork("blue", "")
	l.fork("green", "")
	for _, q := range []rpc.PointRequest{
		{Name: "live", Fork: "blue"}, {Name: "other", Fork: "blue"}, {Name: "live", Fork: "green"}, {Name: "live", Remove: true},
	} {
		if _, err := l.Alias(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name, after string) (out, cursors []string) {
		for e, err := range l.AliasLog(t.Context(), name, after) {
			if err != nil {
				t.Fatal(err)
			}
			out, cursors = append(out, entryLine(&e)), append(cursors, e.Cursor)
		}
		return out, cursors
	}
	want := []string{"alias live gone", "alias green live", "alias blue live"}
	got, cursors := read("live", "")
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for i, after := range cursors {
		if got, _ := read("live", after); !slices.Equal(got, want[i+1:]) {
			t.Errorf("behind %s: %q", after, got)
		}
	}
	for _, err := range l.AliasLog(t.Context(), "never", "") {
		if !errors.Is(err, rpc.ErrNotFound) {
			t.Error(err)
		}
	}
}
