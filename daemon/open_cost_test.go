package daemon

import (
	"fmt"
	"testing"

	"crush/rpc"
)

// TestOpenConflictCost: a write beside a conflict that nobody settles, and a read
// of it, look up as much after many such writes as after a few.
func TestOpenConflictCost(t *testing.T) {
	for name, beside := range map[string]func(h hand, i int){
		"document": func(h hand, i int) { h.edit("/b", fmt.Sprint(i)) },
		"counter":  func(h hand, i int) { h.incr(1) },
	} {
		t.Run(name, func(t *testing.T) {
			l, meter := newMeteredLab(t, 0)
			here := hand{l, ""}
			if name == "document" {
				here.json(`{"a":0,"b":0,"c":{"x":1,"y":1}}`)
			} else {
				here.count("1")
			}
			l.fork("f", "")
			there := hand{l, "f"}
			if name == "document" {
				here.edit("/a", "1")
				there.edit("/a", "2")
				here.unset("/c")
				there.edit("/c/x", "2")
			} else {
				here.count("5")
				there.count("9")
			}
			l.merge("f", "default", rpc.OnConflictKeep)
			var writes, reads [2]int
			for i := range 200 {
				half := i / 100
				writes[half] = max(writes[half], meter.Of(func() { beside(here, i+1) }).Reads)
				reads[half] = max(reads[half], meter.Of(func() {
					if _, err := l.Get(t.Context(), rpc.GetRequest{KeyRef: here.key()}); err != nil {
						t.Fatal(err)
					}
				}).Reads)
			}
			if writes[1] > writes[0]+5 || reads[1] > reads[0]+5 {
				t.Errorf("a write reads the store %d times, then %d; a read %d, then %d", writes[0], writes[1], reads[0], reads[1])
			}
		})
	}
}

// TestPurgeOfOpenConflict: once a value is purged, who has read its key before
// sees what those see who never did.
func TestPurgeOfOpenConflict(t *testing.T) {
	l, other := pair(t)
	here, there := hand{l, ""}, hand{l, "f"}
	here.json(`{"a":0,"b":0}`)
	l.fork("f", "")
	here.edit("/a", "1")
	there.edit("/a", `"secret"`)
	l.merge("f", "default", rpc.OnConflictKeep)
	here.edit("/b", "1")
	c := l.open("", "k")
	for _, s := range c.Sides {
		if string(s.Value) == `"secret"` {
			q := rpc.PurgeRequest{Revision: rpc.Ref(s.Revision.String()), Claim: rpc.Claim{Message: "leaked"}}
			if _, err := l.Purge(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
	}
	other.pull(l)
	got, want := l.open("", "k"), other.open("", "k")
	if got.State != want.State || got.Path != want.Path || got.State == c.State {
		t.Errorf("after the purge %+v\nto others %+v\nbefore %+v", got, want, c)
	}
}
