package oracle_test

import (
	"slices"
	"testing"

	"crush/crdt"
	"crush/crdt/oracle"
)

var root, copied = crdt.ForkID{'r'}, crdt.ForkID{'c'}

func rev(c byte) crdt.RevisionID { return crdt.RevisionID{c} }

// letters names revisions by their first bytes.
func letters(revisions []oracle.Revision) string {
	var s []byte
	for _, r := range revisions {
		s = append(s, r.ID[0])
	}
	return string(s)
}

// story is A, then B and C at once, then D that has seen both, all on root and
// each in a block named after it; E is on the fork, which was made when D was
// not there, and later got everything but other keys by a merge.
//
//	A ── B ── D
//	 ╲── C ──╱
//	      ╲── E
func story() *oracle.Oracle {
	o := oracle.New()
	add := func(id byte, fork crdt.ForkID, time int64, parents ...crdt.RevisionID) {
		o.Add(oracle.Revision{
			ID: rev(id), Fork: fork, Key: "k", Parents: parents, Kind: crdt.Bytes, Value: []byte{id},
			Time: time, Block: oracle.Block{id}, Chain: crdt.ChainID{id}, Order: 1,
		})
	}
	add('D', root, 4, rev('B'), rev('C'))
	add('A', root, 1)
	add('C', root, 3, rev('A'))
	add('B', root, 2, rev('A'))
	add('E', copied, 5, rev('C'))
	before := oracle.Cut{{'A'}: true, {'B'}: true, {'C'}: true}
	after := oracle.Cut{{'A'}: true, {'B'}: true, {'C'}: true, {'D'}: true, {'1'}: true}
	o.AddContribution(oracle.Contribution{
		Block: oracle.Block{'2'}, Way: oracle.Merge, To: copied, From: root, Cut: after,
		Keys: func(key string) bool { return key == "k" },
	})
	o.AddContribution(oracle.Contribution{Block: oracle.Block{'1'}, Way: oracle.Creation, To: copied, From: root, Cut: before})
	return o
}

func TestVisibility(t *testing.T) {
	o := story()
	made := o.At(oracle.Cut{{'A'}: true, {'B'}: true, {'C'}: true, {'1'}: true})
	for _, test := range []struct {
		name           string
		o              *oracle.Oracle
		fork           crdt.ForkID
		visible, heads string
		count          int
	}{
		{"root", o, root, "ABCD", "D", 3},
		{"fork", o, copied, "ABCDE", "DE", 4},
		{"fork when it was made", made, copied, "ABC", "BC", 2},
		{"nothing", oracle.New(), root, "", "", 0},
		{"fork before it was made", o.At(oracle.Cut{{'A'}: true}), copied, "", "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := letters(test.o.Visible(test.fork, "k")); got != test.visible {
				t.Errorf("visible %s, want %s", got, test.visible)
			}
			if got := letters(test.o.Heads(test.fork, "k")); got != test.heads {
				t.Errorf("heads %s, want %s", got, test.heads)
			}
			if got := test.o.Count(test.fork, "k"); got != test.count {
				t.Errorf("count %d, want %d", got, test.count)
			}
		})
	}
	for id, want := range map[byte]crdt.Origin{'A': crdt.Inherited, 'D': crdt.Merged, 'E': crdt.Written} {
		for _, r := range o.Visible(copied, "k") {
			if r.ID == rev(id) && o.Origin(copied, r) != want {
				t.Errorf("%c is %v, want %v", id, o.Origin(copied, r), want)
			}
		}
	}
}

func TestBatchIsTheForksOwn(t *testing.T) {
	o, batch := oracle.New(), crdt.ForkID{'b'}
	r := oracle.Revision{ID: rev('A'), Fork: batch, Key: "k", Block: oracle.Block{'A'}}
	o.Add(r)
	o.AddContribution(oracle.Contribution{Block: oracle.Block{'1'}, Way: oracle.Batch, To: root, From: batch, Cut: oracle.Cut{{'A'}: true}})
	if got := o.Origin(root, r); got != crdt.Written {
		t.Errorf("written in a batch: %v", got)
	}
}

// TestView is worked out by hand; the tests of crdt hold the two against each
// other at length.
func TestView(t *testing.T) {
	v := story().View(copied, "k")
	if v.Served != rev('E') || len(v.Conflicts) != 1 {
		t.Fatalf("got %+v", v)
	}
	c := v.Conflicts[0]
	for i, want := range []crdt.Side{{Letter: "a", Rank: 1, Revision: rev('D')}, {Letter: "b", Rank: 0, Revision: rev('E')}} {
		if got := c.Sides[i]; got.Letter != want.Letter || got.Rank != want.Rank || got.Revision != want.Revision {
			t.Errorf("side %d: %+v, want %+v", i, got, want)
		}
	}
	if c.Kind != crdt.ValueConflict || c.Path != "/" {
		t.Errorf("%q at %q", c.Kind, c.Path)
	}
}

func TestHistory(t *testing.T) {
	o := story()
	if got := letters(o.History(copied, "k")); got != "EDCBA" {
		t.Errorf("history %s", got)
	}
	for ids, good := range map[string]bool{
		"EDCBA": true, "DBECA": true, "DEBCA": true, "ECDBA": false,
		"EDCB": false, "EDCBAA": false, "CEDBA": false, "EDCBX": false, "EDCAB": false, "": false,
	} {
		var list []crdt.RevisionID
		for _, c := range []byte(ids) {
			list = append(list, rev(c))
		}
		if err := o.CheckHistory(copied, "k", list); (err == nil) != good {
			t.Errorf("%s: %v", ids, err)
		}
	}
}

// TestHistoryKeepsAChainsOrder: two revisions of one chain that have not seen
// each other, the second by a clock that was set back.
func TestHistoryKeepsAChainsOrder(t *testing.T) {
	o := oracle.New()
	for i, id := range []byte("AB") {
		o.Add(oracle.Revision{ID: rev(id), Fork: root, Key: "k", Time: int64(9 - i), Order: uint64(i)})
	}
	if got := letters(o.History(root, "k")); got != "BA" {
		t.Errorf("history %s, want BA", got)
	}
	list := []crdt.RevisionID{rev('B'), rev('A')}
	if err := o.CheckHistory(root, "k", list); err != nil {
		t.Error(err)
	}
	slices.Reverse(list)
	if err := o.CheckHistory(root, "k", list); err == nil {
		t.Error("the other way round: no error")
	}
}
