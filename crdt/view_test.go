package crdt_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"crush/crdt"
)

// rev and chain make ids that compare as their letters do.
func rev(c byte) crdt.RevisionID { return crdt.RevisionID{c} }

func chain(c byte) crdt.ChainID { return crdt.ChainID{c} }

// value is a write of a value that is named by a letter.
func value(id, val byte, time int64) crdt.Write {
	return crdt.Write{ID: rev(id), Time: time, Kind: crdt.Bytes, Value: crdt.Sum{val}}
}

func deletion(id byte, time int64) crdt.Write {
	return crdt.Write{ID: rev(id), Time: time, Kind: crdt.Bytes, Deleted: true}
}

func with(w crdt.Write, o crdt.Origin) crdt.Write {
	w.Origin = o
	return w
}

func kind(w crdt.Write, k crdt.Kind) crdt.Write {
	w.Kind = k
	return w
}

func read(heads ...crdt.Write) crdt.View {
	return crdt.Visible{Key: key, Heads: heads}.View()
}

// order names the heads that stand for the sides, by rank.
func order(v crdt.View) string {
	if len(v.Conflicts) == 0 {
		return string(v.Served[:1])
	}
	names := make([]byte, len(v.Conflicts[0].Sides))
	for _, s := range v.Conflicts[0].Sides {
		names[s.Rank] = s.Revision[0]
	}
	return string(names)
}

func TestRank(t *testing.T) {
	const w, m = crdt.Written, crdt.Merged
	onChain := func(c byte, w crdt.Write) crdt.Write {
		w.Chain = chain(c)
		return w
	}
	for _, test := range []struct {
		name  string
		heads []crdt.Write
		want  string
	}{
		{"later time", []crdt.Write{value('A', 'x', 2), value('B', 'y', 1)}, "AB"},
		{"time before the year 1970", []crdt.Write{value('A', 'x', -1), value('B', 'y', -2)}, "AB"},
		{"equal time: higher chain", []crdt.Write{onChain('2', value('A', 'x', 1)), onChain('1', value('B', 'y', 1))}, "AB"},
		{"equal time and chain: higher id", []crdt.Write{value('A', 'x', 1), value('B', 'y', 1)}, "BA"},
		{"chain does not outweigh time", []crdt.Write{onChain('1', value('A', 'x', 2)), onChain('2', value('B', 'y', 1))}, "AB"},
		{"a value before a later deletion", []crdt.Write{deletion('A', 9), value('B', 'y', 1)}, "BA"},
		{"written here before a later merged one", []crdt.Write{with(value('A', 'x', 1), w), with(value('B', 'y', 9), m)}, "AB"},
		{"deleted here before a merged value", []crdt.Write{with(deletion('A', 1), w), with(value('B', 'y', 9), m)}, "AB"},
		{"merged ones by time", []crdt.Write{with(value('A', 'x', 1), m), with(value('B', 'y', 9), m), with(deletion('C', 10), m)}, "BAC"},
		{
			"one own write lifts a side, its merged twin gives the time",
			[]crdt.Write{with(value('A', 'x', 1), w), with(value('B', 'x', 9), m), with(value('C', 'y', 5), w), with(value('D', 'z', 10), m)},
			"BCD",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for p := range permutations(len(test.heads)) {
				var heads []crdt.Write
				for _, i := range p {
					heads = append(heads, test.heads[i])
				}
				v := read(heads...)
				if got := order(v); got != test.want {
					t.Errorf("rank %s, want %s", got, test.want)
				}
				if v.Served != rev(test.want[0]) {
					t.Errorf("serves %v, want %c", v.Served, test.want[0])
				}
			}
		})
	}
}

// TestRankOfInherited covers the order that sides had on the source.
func TestRankOfInherited(t *testing.T) {
	const w, i, m = crdt.Written, crdt.Inherited, crdt.Merged
	// On the source A was written and B merged: A is served, though earlier.
	source := read(with(value('A', 'x', 1), w), with(value('B', 'y', 5), m))
	if got := order(source); got != "AB" {
		t.Fatalf("source ranks %s", got)
	}
	a, b := with(value('A', 'x', 1), i), with(value('B', 'y', 5), i)
	for _, test := range []struct {
		name  string
		heads []crdt.Write
		want  string
	}{
		{"as on the source", []crdt.Write{a, b}, "AB"},
		{"a later write here", []crdt.Write{a, b, value('C', 'z', 9)}, "CAB"},
		{"the earliest write here", []crdt.Write{a, b, value('C', 'z', 0)}, "ABC"},
		// By time alone C stands between A and B, which B after A forbids.
		{"a circle", []crdt.Write{a, b, value('C', 'z', 3)}, "CAB"},
		{"a circle, and a merged one", []crdt.Write{a, b, value('C', 'z', 3), with(value('D', 'd', 99), m)}, "CABD"},
		{"a side keeps its rank when it is written again", []crdt.Write{a, b, value('C', 'y', 9)}, "AC"},
		{"only the lower one is left", []crdt.Write{b, value('C', 'z', 9)}, "CB"},
		{"deleted here", []crdt.Write{a, b, deletion('C', 9)}, "ABC"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := crdt.Visible{Key: key, Heads: test.heads, Source: source}.View()
			if got := order(v); got != test.want {
				t.Errorf("rank %s, want %s", got, test.want)
			}
		})
	}
	if got := order(read(a, b)); got != "BA" {
		t.Errorf("inherited without a source rank %s, want BA, as if written", got)
	}
}

func TestClean(t *testing.T) {
	for _, test := range []struct {
		name  string
		heads []crdt.Write
		want  crdt.View
	}{
		{"nothing", nil, crdt.View{}},
		{"one value", []crdt.Write{value('A', 'x', 1)}, crdt.View{Served: rev('A'), Kind: crdt.Bytes}},
		{"one deletion", []crdt.Write{deletion('A', 1)}, crdt.View{Served: rev('A'), Kind: crdt.Bytes, Deleted: true}},
		{
			"equal values, the latest stands for them",
			[]crdt.Write{value('A', 'x', 2), value('B', 'x', 1), with(value('C', 'x', 1), crdt.Merged)},
			crdt.View{Served: rev('A'), Kind: crdt.Bytes},
		},
		{
			"deletions only, of whatever kind and payload",
			[]crdt.Write{deletion('A', 1), kind(deletion('B', 2), 77), {ID: rev('C'), Kind: crdt.Bytes, Deleted: true, Value: crdt.Sum{9}}},
			crdt.View{Served: rev('B'), Kind: 77, Deleted: true},
		},
		{
			"a kind without rules is a register, and flagged",
			[]crdt.Write{kind(value('A', 'x', 1), crdt.Counter), kind(value('B', 'x', 2), crdt.Counter)},
			crdt.View{Served: rev('B'), Kind: crdt.Counter, Opaque: true},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := read(test.heads...)
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v\nwant %+v", got, test.want)
			}
			if exists := len(test.heads) > 0; got.Exists() != exists || got.Absent() != (!exists || test.want.Deleted) {
				t.Errorf("exists %v, absent %v", got.Exists(), got.Absent())
			}
		})
	}
}

func TestConflictKind(t *testing.T) {
	x, y := value('A', 'x', 1), value('B', 'y', 2)
	text := kind(value('C', 'x', 3), crdt.Text)
	unknown := kind(value('D', 'x', 4), 77)
	del := deletion('E', 5)
	for _, test := range []struct {
		name   string
		heads  []crdt.Write
		want   crdt.ConflictKind
		opaque bool
	}{
		{"two values", []crdt.Write{x, y}, crdt.ValueConflict, false},
		{"a value and a deletion", []crdt.Write{x, del}, crdt.DeleteEditConflict, false},
		{"two values and a deletion", []crdt.Write{x, y, del}, crdt.DeleteEditConflict, false},
		{"the same bytes as bytes and as text", []crdt.Write{x, text}, crdt.TypeConflict, false},
		{"that and a deletion", []crdt.Write{x, text, del}, crdt.TypeConflict, false},
		{"an unknown kind", []crdt.Write{unknown, x}, crdt.TypeConflict, true},
		{"one kind, and a deletion of another", []crdt.Write{x, kind(del, 77)}, crdt.DeleteEditConflict, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := read(test.heads...)
			if len(v.Conflicts) != 1 {
				t.Fatalf("%d conflicts", len(v.Conflicts))
			}
			c := v.Conflicts[0]
			if c.Kind != test.want || len(c.Sides) != len(test.heads) || c.Path != crdt.Root {
				t.Errorf("%q with %d sides at %q, want %q with %d", c.Kind, len(c.Sides), c.Path, test.want, len(test.heads))
			}
			if v.Opaque != test.opaque {
				t.Errorf("opaque %v", v.Opaque)
			}
		})
	}
}

func TestSides(t *testing.T) {
	heads := []crdt.Write{
		value('F', 'x', 1), value('B', 'y', 1), value('D', 'x', 2),
		{ID: rev('C'), Kind: crdt.Text, Deleted: true, Value: crdt.Sum{9}, Time: 7},
		kind(deletion('E', 3), crdt.Text),
	}
	want := []crdt.Side{
		{Letter: "a", Rank: 1, Kind: crdt.Bytes, Value: crdt.Sum{'y'}, Revision: rev('B'), Revisions: []crdt.RevisionID{rev('B')}},
		{Letter: "b", Rank: 2, Kind: crdt.Text, Deleted: true, Revision: rev('C'), Revisions: []crdt.RevisionID{rev('C'), rev('E')}},
		{Letter: "c", Rank: 0, Kind: crdt.Bytes, Value: crdt.Sum{'x'}, Revision: rev('D'), Revisions: []crdt.RevisionID{rev('D'), rev('F')}},
	}
	v := read(heads...)
	if got := v.Conflicts[0].Sides; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if v.Served != rev('D') {
		t.Errorf("serves %v", v.Served)
	}
}

// TestLetters goes through the first of each length.
func TestLetters(t *testing.T) {
	var heads []crdt.Write
	for i := range 26*27 + 2 {
		heads = append(heads, crdt.Write{
			ID: crdt.RevisionID{byte(i >> 8), byte(i)}, Kind: crdt.Bytes, Value: crdt.Sum{byte(i >> 8), byte(i)},
			Time: int64(i * 7919 % 701), // the rank has another order
		})
	}
	slices.Reverse(heads)
	sides := read(heads...).Conflicts[0].Sides
	for i, want := range map[int]string{
		0: "a", 1: "b", 25: "z", 26: "aa", 27: "ab", 51: "az", 52: "ba", 26*27 - 1: "zz", 26 * 27: "aaa", 26*27 + 1: "aab",
	} {
		if got := sides[i]; got.Letter != want || got.Revision != (crdt.RevisionID{byte(i >> 8), byte(i)}) {
			t.Errorf("side %d has letter %q and revision %v, want %q", i, got.Letter, got.Revision, want)
		}
	}
}

// TestConflictIDs: the id depends on the place alone, the state on the
// revisions alone.
func TestConflictIDs(t *testing.T) {
	a, b, c := value('A', 'x', 1), value('B', 'y', 2), value('C', 'z', 3)
	at := func(f crdt.ForkID, key string, heads ...crdt.Write) crdt.Conflict {
		return crdt.Visible{Fork: f, Key: key, Heads: heads}.View().Conflicts[0]
	}
	base := at(crdt.ForkID{1}, "k", a, b)
	for _, test := range []struct {
		name      string
		other     crdt.Conflict
		id, state bool // whether they are equal
	}{
		{name: "another side", other: at(crdt.ForkID{1}, "k", a, b, c), id: true},
		{name: "another revision of a side", other: at(crdt.ForkID{1}, "k", a, b, value('C', 'y', 1)), id: true},
		{name: "another order", other: at(crdt.ForkID{1}, "k", b, a), id: true, state: true},
		{name: "another fork", other: at(crdt.ForkID{2}, "k", a, b), state: true},
		{name: "another key", other: at(crdt.ForkID{1}, "l", a, b), state: true},
		{name: "a longer key", other: at(crdt.ForkID{1}, "k/", a, b), state: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.other.ID == base.ID; got != test.id {
				t.Errorf("id equal: %v", got)
			}
			if got := test.other.State == base.State; got != test.state {
				t.Errorf("state equal: %v", got)
			}
		})
	}
}

// TestSingleHeadDoesNotAllocate guards the read of a key without a conflict.
func TestSingleHeadDoesNotAllocate(t *testing.T) {
	in := crdt.Visible{Key: strings.Repeat("k", 100), Heads: []crdt.Write{value('A', 'x', 1)}}
	if n := testing.AllocsPerRun(100, func() { in.View() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkView(b *testing.B) {
	for _, bench := range []struct {
		name  string
		heads int
	}{{"1 head", 1}, {"2 heads", 2}, {"200 heads", 200}} {
		b.Run(bench.name, func(b *testing.B) {
			var heads []crdt.Write
			for i := range bench.heads {
				heads = append(heads, value(byte(i), byte(i), int64(i)))
			}
			in := crdt.Visible{Key: key, Heads: heads}
			for b.Loop() {
				in.View()
			}
		})
	}
}
