package rpc

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"crush/crdt"
	"crush/dag"
)

var (
	testTime = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	testRev  = dag.RevisionID{1, 2, 3}
	testSide = Side{
		Letter: "a", Value: []byte("<v>\n"), Served: true, Kind: crdt.Text, Revision: testRev, Node: "n", Author: "ann",
		Time: testTime, Fork: "f",
	}
	testConflict = Conflict{
		Key: "k", Fork: "f", ID: crdt.ConflictID{1}, State: crdt.ConflictState{2}, Path: "/", Kind: "value",
		Sides: []Side{testSide, {Letter: "b", Deleted: true, Time: testTime}},
		Base: &Base{
			Value: []byte{0xff}, Kind: crdt.Bytes, Revision: testRev, Node: "n", Author: "ann", Time: testTime, Fork: "f",
		},
	}
	testEntry = Entry{
		Key: "k", Fork: "f", Kind: crdt.Text, Value: []byte("<v> \" \\ \x01 \u2028 é"), Heads: []dag.RevisionID{testRev, {2}},
		Token: "tok", RevisionCount: 11, Conflict: true, Conflicts: []Conflict{testConflict}, Revision: testRev,
		Block: dag.BlockID{3}, Node: "n", Author: "ann", Time: testTime, Message: "why\nnot", Warning: "w",
	}
)

func TestJSONRoundTrips(t *testing.T) {
	entry := testEntry
	line := LogEntry{
		Revision: testRev, Block: dag.BlockID{3}, Parents: []dag.RevisionID{{2}}, Key: "k", Fork: "f", Kind: crdt.Bytes, Node: "n",
		Author: "ann", Time: testTime, Message: "m", Size: 3, Deleted: true, Head: true, Value: []byte{0xff}, Cursor: "c",
		Zone: "z", Layout: true, Mark: MarkReverted, Before: []dag.BlockID{{1}, {2}}, Newest: []string{"default"},
	}
	merge := Operation{Kind: OperationMerge, Fork: "f", Source: "s", Filter: &Filter{Skips: []string{"<*>"}}, Keys: &KeyCount{1, 2, 3, 4, 5, 6}}
	member := Operation{Kind: OperationMember, Name: "n", Gone: true, Cut: []dag.BlockID{{1}}, Node: dag.NodeID{1}, Role: "removed", Zone: "z"}
	written := Written{Revision: testRev, Block: dag.BlockID{3}, Heads: []dag.RevisionID{testRev}, Token: "t", Conflict: true, Unchanged: true, Settled: 2, Sibling: true, Keys: 3, Warnings: []string{"<w>"}}
	peer := PeerStatus{Node: dag.NodeID{1}, Name: "p", Addresses: []string{"/ip4/127.0.0.1"}, ClockSkew: time.Second, LastSeen: testTime}
	gone := &PurgeInfo{Block: dag.BlockID{1}, Node: "n", Author: "sam", Time: testTime, Why: "leaked"}
	for name, v := range map[string]any{
		"purged entry":   Entry{Purged: gone, Heads: []dag.RevisionID{}, Conflicts: []Conflict{{Sides: []Side{{Purged: gone}}, Base: &Base{Purged: gone}}}},
		"purged line":    LogEntry{Parents: []dag.RevisionID{}, Purged: gone},
		"purged event":   Event{Purged: gone},
		"withheld entry": Entry{Withheld: true, Conflict: true, Heads: []dag.RevisionID{}, Conflicts: []Conflict{}},
		"withheld event": Event{Withheld: true},
		"withheld side":  Difference{Key: "k", Change: "changed", WithheldA: true, B: []byte("x")},
		"withheld":       Difference{Key: "k", Change: "changed", A: []byte("x"), WithheldB: true},
		"purged side":    Difference{Key: "k", Change: "changed", PurgedA: gone, B: []byte("x")},
		"purge":          Purged{Key: "k", Revision: testRev, Values: 2, Block: dag.BlockID{3}},
		"entry":          entry,
		"empty value":    Entry{Value: []byte{}, Heads: []dag.RevisionID{}, Conflicts: []Conflict{}},
		"binary":         Entry{Value: []byte{0xff}, Heads: []dag.RevisionID{}, Conflicts: []Conflict{}},
		"absent":         Entry{Deleted: true, Heads: []dag.RevisionID{}, Conflicts: []Conflict{}},
		"conflict":       testConflict,
		"document":       Entry{Value: []byte("[1.0, \"é\"]"), Document: []byte(`[1.0,"é"]`), Heads: []dag.RevisionID{}, Conflicts: []Conflict{}},
		"null":           Entry{Value: []byte("null"), Document: []byte("null"), Heads: []dag.RevisionID{}, Conflicts: []Conflict{}},
		"counted":        Counted{Written: written, Total: "-12345678901234567890"},
		"blame of field": BlameLine{Path: "/a/b", Value: []byte("1"), Revision: testRev, Block: dag.BlockID{3}, Node: "n", Author: "a", Time: testTime, Message: "m"},
		"blame of line":  BlameLine{Line: 2, Value: []byte{0xff}},
		"no base":        Conflict{Sides: []Side{testSide}},
		"deleted base":   Conflict{Sides: []Side{testSide}, Base: &Base{Deleted: true}},
		"side":           testSide,
		"log entry":      line,
		"imported":       LogEntry{Parents: []dag.RevisionID{}, Time: testTime, Claimed: testTime.Add(-time.Hour)},
		"fields":         LogEntry{Parents: []dag.RevisionID{}, Kind: crdt.JSON, Time: testTime, Wrote: []string{"/a", "/b"}, WroteCount: 17},
		"claimed field":  BlameLine{Path: "/a", Value: []byte("1"), Time: testTime, Claimed: testTime.Add(-time.Hour)},
		"of no other":    LogEntry{Parents: []dag.RevisionID{}, Time: testTime, Before: []dag.BlockID{}},
		"operation":      LogEntry{Block: dag.BlockID{3}, Parents: []dag.RevisionID{}, Fork: "f", Time: testTime, Operation: &merge},
		"event":          Event{Cursor: "c", Type: "put", Fork: "f", Key: "k", Kind: crdt.Bytes, Value: []byte("v"), Token: "t", Revision: testRev, Block: dag.BlockID{3}, Last: true, Node: "n", Author: "a", Time: testTime},
		"idle event":     Event{Cursor: "c", Type: "idle"},
		"written":        written,
		"nothing":        Written{Heads: []dag.RevisionID{}},
		"rolled back":    RolledBack{Written: written, From: testRev, To: dag.RevisionID{9}, Plan: true},
		"info":           Info{Key: "k", RevisionCount: 1, Heads: []dag.RevisionID{testRev}, Fork: "f", Kind: crdt.Bytes, Conflict: true, Size: 5, First: testTime, Last: testTime, Token: "t"},
		"no info":        Info{Heads: []dag.RevisionID{}},
		"shown revision": Shown{Revision: &line},
		"shown block":    Shown{Block: &BlockInfo{Block: dag.BlockID{3}, Deps: []dag.BlockID{{1}}, Time: testTime, Ops: []string{"op"}, Operations: []Operation{member, {Kind: OperationTag}}, Revisions: []LogEntry{line}}},
		"applied":        Applied{Block: dag.BlockID{3}, Created: []string{"a"}, Changed: []string{}, Deleted: []string{}, Unchanged: 4, Plan: true},
		"status":         Status{Node: dag.NodeID{1}, Cluster: dag.ClusterID{2}, Started: testTime, Time: testTime, Addresses: []string{}, Peers: []PeerStatus{peer}, Zones: []ZoneStatus{{Zone: "z", Self: true, Nodes: 3, Connected: 2, InSync: 1, Lag: &Lag{}}}, Warnings: []string{"w"}},
		"new status":     Status{Node: dag.NodeID{1}, Addresses: []string{}, Peers: []PeerStatus{}, Zones: []ZoneStatus{}, Warnings: []string{}},
		"lag":            PeerStatus{Addresses: []string{}, Lag: &Lag{Blocks: 2, Seconds: 5, Since: testTime}},
		"no lag":         Lag{},
		"member":         MemberChange{Member: Member{Node: dag.NodeID{1}, Name: "n", Zone: "z", Role: "reader", Self: true}, Block: dag.BlockID{3}},
		"same member":    MemberChange{Member: Member{Node: dag.NodeID{1}}},
		"joined":         Joined{Cluster: dag.ClusterID{2}, Via: dag.NodeID{1}, Blocks: 2},
		"file":           File{Key: "k", Value: []byte("v")},
		"binary file":    File{Key: "k", Value: []byte{0xff}},
		"fork":           ForkInfo{ID: dag.ForkID{1}, Name: "n~1", Labels: []string{"n"}, Deleted: true, Clash: true, From: []ForkSource{{Fork: dag.ForkID{2}, Name: "f", Filter: &Filter{Keys: []string{"k"}, Scopes: []string{"a/**"}, SkipKeys: []string{"s"}, Skips: []string{"*"}}, Creation: true}}},
		"new fork":       ForkInfo{Labels: []string{}, From: []ForkSource{}},
		"fork request":   ForkRequest{Name: "n", From: "f", At: "t", Filter: &Filter{Keys: []string{"k"}}},
		"merge request":  MergeRequest{Source: "a", Into: "b", OnConflict: OnConflictLWW, Resolve: []Resolution{{Key: "k", Path: "/a", Side: "a"}, {Key: "l", Value: new([]byte("<v>"))}, {Key: "m", Value: &[]byte{0xff}}, {Key: "n", Value: &[]byte{}}}, Skip: []string{"s"}, Reject: []string{"r"}, Plan: true, Apply: "p"},
		"merged":         Merged{Plan: "p", Source: "a", Into: "b", Clean: []MergedKey{{"k", "created"}}, Skipped: []string{"s"}, Unmatched: []string{"u"}, Conflicts: []Conflict{testConflict}, Settled: []MergedKey{{"l", "same"}}, Overrides: []string{"o"}, Applied: true, Unchanged: true, Block: &dag.BlockID{3}},
		"resolve":        ResolveRequest{KeyRef: KeyRef{"f", "k"}, ID: "i", Path: "/a", State: "s", Take: "a", Value: new([]byte("v")), Delete: true},
		"resolve binary": ResolveRequest{ID: "i", Value: &[]byte{0xff}},
		"resolve empty":  ResolveRequest{ID: "i", Value: &[]byte{}},
		"pick":           PickRequest{Revision: "r", Into: "f"},
		"difference":     Difference{Key: "k", Change: "changed", A: []byte{}, B: []byte{0xff}, KindA: crdt.Bytes, KindB: crdt.JSON, Fields: []FieldChange{{Path: "/a", A: []byte("1")}, {Path: "/b", B: []byte("[1,2]")}}},
		"layout":         Difference{Key: "k", Change: "changed", A: []byte("1"), B: []byte("1.0"), KindA: crdt.JSON, KindB: crdt.JSON, Layout: true},
		"created":        Difference{Key: "k", Change: "created", B: []byte("b")},
		"reset":          Reset{Written: written, Changed: []MergedKey{{"k", "changed"}}, Plan: true},
		"tag":            PointerInfo{Name: "n", Cut: []dag.BlockID{{1}}, Time: testTime, Node: "n", Author: "a", Message: "m", Clash: true},
		"alias":          PointerInfo{Name: "n", Fork: "f"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			back := reflect.New(reflect.TypeOf(v))
			if err := json.Unmarshal(text, back.Interface()); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if got := back.Elem().Interface(); !reflect.DeepEqual(got, v) {
				t.Errorf("got  %+v\nwant %+v\nfrom %s", got, v, text)
			}
		})
	}
}

func TestJSONForms(t *testing.T) {
	for name, test := range map[string]struct {
		v    any
		want string
	}{
		"absent entry": {
			Entry{Key: "k", Fork: "default", Deleted: true, Token: "t"},
			`{"key":"k","fork":"default","kind":"","deleted":true,"heads":[],"token":"t","revision_count":0,"conflict":false,` +
				`"conflicts":[],"revision":"","block":"","node":"","author":"","time":null,"message":""}`,
		},
		"event": {
			Event{Cursor: "c", Type: "put", Fork: "f", Key: "k", Kind: crdt.Bytes, Value: []byte{0xff}, Token: "t", Last: true, Node: "n", Author: "a", Time: testTime},
			`{"cursor":"c","type":"put","fork":"f","key":"k","kind":"bytes","value_base64":"/w==","token":"t","revision":"","block":"",` +
				`"last":true,"node":"n","author":"a","time":"2026-01-02T03:04:05.678Z"}`,
		},
		"document": {
			Entry{Key: "k", Kind: crdt.JSON, Value: []byte("{\"a\": 1}\n"), Document: []byte("{\"a\": 1}\n"), Heads: []dag.RevisionID{}},
			`{"key":"k","fork":"","kind":"json","value":"{\"a\": 1}\n","document":{"a":1},"deleted":false,"heads":[],"token":"","revision_count":0,` +
				`"conflict":false,"conflicts":[],"revision":"","block":"","node":"","author":"","time":null,"message":""}`,
		},
		"counted": {Counted{Total: "3"}, `{"revision":"","block":"","heads":[],"token":"","conflict":false,"total":"3"}`},
		"blame": {
			BlameLine{Path: "/a", Value: []byte("1"), Time: testTime},
			`{"path":"/a","value":"1","revision":"","block":"","node":"","author":"","time":"2026-01-02T03:04:05.678Z","message":""}`,
		},
		"nothing written": {Written{}, `{"revision":"","block":"","heads":[],"token":"","conflict":false}`},
		"log entry": {
			LogEntry{Key: "k", Time: testTime.In(time.FixedZone("", 3600)).Add(999 * time.Microsecond)},
			`{"revision":"","block":"","parents":[],"key":"k","fork":"","kind":"","node":"","author":"","time":"2026-01-02T03:04:05.678Z",` +
				`"message":"","size":0,"deleted":false,"head":false,"cursor":"","zone":""}`,
		},
		"operation": {
			Operation{Kind: OperationMerge, Fork: "default", Source: "staging", Keys: &KeyCount{Created: 1}},
			`{"kind":"merge","fork":"default","source":"staging","keys":{"created":1,"changed":0,"deleted":0,"same":0,"conflict":0}}`,
		},
		"fork": {
			ForkInfo{Name: "n", From: []ForkSource{{Name: "f"}}},
			`{"id":"","name":"n","labels":[],"deleted":false,"clash":false,"from":[{"fork":"","name":"f","creation":false}]}`,
		},
		"merged": {
			Merged{Plan: "p", Source: "a", Into: "b"},
			`{"plan":"p","source":"a","into":"b","clean":[],"skipped":[],"conflicts":[],"settled":[],"overrides":[],"applied":false}`,
		},
		"difference": {Difference{Key: "k", Change: "changed", A: []byte("a"), B: []byte{0xff}}, `{"key":"k","change":"changed","a":"a","b_base64":"/w==","a_kind":"","b_kind":""}`},
		"reset":      {Reset{}, `{"revision":"","block":"","heads":[],"token":"","conflict":false,"changed":[]}`},
		"tag":        {PointerInfo{Name: "n", Time: testTime.Add(time.Microsecond)}, `{"name":"n","time":"2026-01-02T03:04:05.678Z"}`},
		"claims go in headers": {
			MergeRequest{Source: "a", Into: "b", Claim: Claim{Author: "ann", Message: "m"}}, `{"source":"a","into":"b"}`,
		},
		"resolution": {Resolution{Key: "k", Value: new([]byte("v"))}, `{"key":"k","value":"v"}`},
		"applied":    {Applied{}, `{"created":[],"changed":[],"deleted":[],"unchanged":0,"block":""}`},
		"info": {
			Info{Key: "k", First: testTime, Last: testTime},
			`{"key":"k","revision_count":0,"heads":[],"fork":"","deleted":false,"conflict":false,"size":0,"token":"","kind":"",` +
				`"first_time":"2026-01-02T03:04:05.678Z","last_time":"2026-01-02T03:04:05.678Z"}`,
		},
	} {
		got, err := json.Marshal(test.v)
		if err != nil || string(got) != test.want {
			t.Errorf("%s: got  %s, %v\nwant %s", name, got, err, test.want)
		}
	}
}

// TestDocumentStandsOnALine holds entries to one line, however their documents
// are laid out: lists have a line each.
func TestDocumentStandsOnALine(t *testing.T) {
	e := Entry{Document: []byte("{\n \"a\": [1,\n2]\n}\n")}
	if got := string(e.appendJSON(nil)); strings.Contains(got, "\n") || !strings.Contains(got, `"document":{"a":[1,2]},`) {
		t.Errorf("got %s", got)
	}
	e = Entry{Value: []byte("{x"), Document: []byte("{x")}
	if got := e.appendJSON(nil); !json.Valid(got) || strings.Contains(string(got), "document") {
		t.Errorf("got %s", got)
	}
}

// FuzzString checks appendString against encoding/json.
func FuzzString(f *testing.F) {
	f.Add("plain")
	f.Add("<&> \u2028 \x00\x1f\x7f \" \\ é 👩‍🚀 \xff\xc3")
	f.Fuzz(func(t *testing.T, s string) {
		text := appendString(nil, s)
		var back string
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); back != want && back != toValid(s) {
			t.Fatalf("got %q, want %q", back, want)
		}
		if other := appendString(nil, []byte(s)); string(other) != string(text) {
			t.Fatalf("bytes: got %q, want %q", other, text)
		}
	})
}

// toValid replaces each bad byte, as encoding/json does; strings.ToValidUTF8
// replaces each run of them.
func toValid(s string) string { return string([]rune(s)) }

func FuzzUnmarshal(f *testing.F) {
	entry, _ := json.Marshal(testEntry)
	f.Add(entry)
	f.Add([]byte(`{"key":"k","value":"v"}`))
	f.Add([]byte(`{"cursor":"c","type":"idle","time":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, v := range []any{
			new(Entry), new(LogEntry), new(Event), new(Written), new(RolledBack), new(Info), new(Shown), new(Applied), new(Status), new(Joined), new(File),
			new(ForkInfo), new(ForkRequest), new(MergeRequest), new(Merged), new(ResolveRequest), new(Difference), new(Reset), new(PointerInfo), new(Counted), new(BlameLine),
		} {
			if json.Unmarshal(data, v) != nil {
				continue
			}
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatalf("%T of %q: %v", v, data, err)
			}
			again := reflect.New(reflect.TypeOf(v).Elem()).Interface()
			if err := json.Unmarshal(text, again); err != nil {
				t.Fatalf("%T of %q: %v", v, text, err)
			}
		}
	})
}
