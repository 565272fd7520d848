package daemon

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"crush/crdt"
	"crush/rpc"
)

// says puts a value under a name.
func (l *lab) says(author, fork, key string, kind crdt.Kind, value string) {
	l.t.Helper()
	q := rpc.PutRequest{KeyRef: rpc.KeyRef{Fork: fork, Key: key}, Value: []byte(value), Kind: kind, Claim: rpc.Claim{Author: rpc.Author(author)}}
	if _, err := l.Put(l.t.Context(), q); err != nil {
		l.t.Fatal(err)
	}
}

// wantBlame checks who is said to have written what.
func (l *lab) wantBlame(key string, want ...string) {
	l.t.Helper()
	var got []string
	for b, err := range l.Blame(l.t.Context(), rpc.KeyRef{Key: key}) {
		if err != nil {
			l.t.Fatal(err)
		}
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", b.Author, b.Path, b.Value)))
	}
	if !slices.Equal(got, want) {
		l.t.Errorf("blame of %s:\n%s\nwant\n%s", key, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestBlame(t *testing.T) {
	l := newLab(t, "a")
	l.says("ann", "", "cfg", crdt.JSON, `{"image":"a","n":1,"env":{"x":1}}`)
	l.fork("s", "")
	l.says("bob", "", "cfg", 0, `{"image":"b","n":1,"env":{"x":1}}`)
	l.says("cat", "s", "cfg", 0, `{"image":"a","n":1,"env":{"x":1,"y":2}}`)
	l.merge("s", "default", rpc.OnConflictFail)
	l.wantBlame("cfg", "ann /env/x 1", "cat /env/y 2", `bob /image "b"`, "ann /n 1")
	// A value that comes back is of who brought it back.
	l.says("dan", "", "cfg", 0, `{"image":"a","n":1,"env":{"x":1,"y":2}}`)
	l.wantBlame("cfg", "ann /env/x 1", "cat /env/y 2", `dan /image "a"`, "ann /n 1")

	l.says("ann", "", "motd", crdt.Text, "one\ntwo\nthree\n")
	l.says("bob", "", "motd", 0, "one\n2\nthree\nfour")
	l.says("cat", "", "motd", 0, "zero\none\n2\nthree\nfour")
	l.wantBlame("motd", "cat  zero", "ann  one", "bob  2", "ann  three", "bob  four")

	l.says("ann", "", "raw", 0, "x")
	l.says("bob", "", "raw", 0, "y")
	l.wantBlame("raw", "bob  y")
	for _, err := range l.Blame(t.Context(), rpc.KeyRef{Key: "none"}) {
		if rpc.CodeOf(err) != rpc.CodeNotFound {
			t.Errorf("a key that is not there: %v", err)
		}
	}
}
