package daemon

import (
	"strings"
	"testing"

	"crush/crdt"
	"crush/rpc"
)

// TestPurgeOfWhatBothStandOn: who purges the document that two others were made of
// changes nothing of what is read, and no conflict, but that it is not said what
// was there before. A purged change of one of the branches is an unknown value of the
// whole, until somebody settles that.
func TestPurgeOfWhatBothStandOn(t *testing.T) {
	for name, test := range map[string]struct {
		far    crdt.Path
		middle bool
		want   string
		at     crdt.Path
	}{
		"one field":               {"/a", false, `{"a":1,"b":0,"c":0,"d":{"x":1}}`, "/a"},
		"two fields":              {"/b", false, `{"a":1,"b":2,"c":0,"d":{"x":1}}`, ""},
		"between, of the one":     {"/b", true, `{"a":1}`, "/"},
		"between, and a conflict": {"/a", true, `{"a":1}`, "/"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "a")
			here, there := hand{l, ""}, hand{l, "f"}
			here.json(`{"a":0,"b":0,"c":0,"d":{"x":1}}`)
			gone := l.newest("k")
			l.fork("f", "")
			here.edit("/a", "3")
			if test.middle {
				gone = l.newest("k")
			}
			here.edit("/a", "1")
			there.edit(test.far, "2")
			l.merge("f", "default", rpc.OnConflictKeep)
			q := rpc.PurgeRequest{Revision: rpc.Ref(gone), Claim: rpc.Claim{Message: "leaked"}}
			if _, err := l.Purge(t.Context(), q); err != nil {
				t.Fatal(err)
			}
			e, err := l.Get(t.Context(), rpc.GetRequest{KeyRef: here.key()})
			if err != nil {
				t.Fatal(err)
			}
			var at strings.Builder
			for _, c := range e.Conflicts {
				at.WriteString(c.Path)
				if c.Path != "/" && (c.Base == nil || c.Base.Purged == nil) {
					t.Errorf("before it there was %+v", c.Base)
				}
			}
			if string(e.Value) != test.want || at.String() != string(test.at) {
				t.Errorf("reads %s with conflicts at %q, want %s and %q", e.Value, at.String(), test.want, test.at)
			}
			here.json(`{"c":9}`)
			l.serves("", "k", `{"c":9}`)
			if e, err := l.Get(t.Context(), rpc.GetRequest{KeyRef: here.key()}); err != nil || e.Conflict {
				t.Errorf("a put does not settle it: %+v, %v", e, err)
			}
		})
	}
}
