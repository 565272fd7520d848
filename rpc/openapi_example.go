package rpc

import (
	"encoding/json"
	"maps"
	"time"

	"crush/crdt"
	"crush/dag"
)

// schemaExamples are values for the schemas of the OpenAPI document: no member
// is left out of all examples of a shape.
func schemaExamples() map[string][]any {
	text, raw := []byte("text"), []byte{0xff}
	when := time.Unix(1, 0)
	gone := &PurgeInfo{Time: when}
	rev := []dag.RevisionID{{1}}
	side := Side{Value: text, Time: when, Purged: gone}
	entry := Entry{Value: text, Heads: rev, Time: when, Warning: "w", Purged: gone, Withheld: true, Conflicts: []Conflict{{Sides: []Side{side}, Base: &Base{Value: text, Purged: gone}, Proposal: "t"}}}
	op := Operation{
		Fork: "f", Source: "s", Name: "n", Gone: true, Filter: exampleFilter(), Cut: []dag.BlockID{{}},
		Keys: &KeyCount{AtMost: 1}, Node: dag.NodeID{1}, Role: "r", Zone: "z", PurgedKeys: []string{""},
		PurgedRevisions: rev,
	}
	line := LogEntry{Layout: true, Purged: gone, Value: text, Parents: rev, Time: when, Mark: MarkResolved, Operation: &op, Before: []dag.BlockID{{}}, Newest: []string{""}}
	written := Written{Heads: rev, Unchanged: true, Settled: 1, Sibling: true, Keys: 1, Warnings: []string{""}}
	lag := &Lag{Since: when}
	peer, zone := PeerStatus{Addresses: []string{""}, LastSeen: when, Lag: lag}, ZoneStatus{Lag: lag}
	policy := Policy{
		Kind: "json", Lists: map[crdt.PathPattern]crdt.ListSchema{"/*": crdt.SetList}, Merge: OnConflictOurs, Sticky: new(bool),
		Served: ServedFail, Conflict: true,
	}
	all := map[string][]any{
		"Entry":      {entry, Entry{Value: raw, Document: []byte("null")}},
		"Conflict":   {entry.Conflicts[0]},
		"LogEntry":   {line, LogEntry{Value: raw}},
		"Event":      {Event{Value: text, Time: when, Purged: gone, Withheld: true}, Event{Value: raw}},
		"File":       {File{Value: text}, File{Value: raw}},
		"Written":    {written},
		"Counted":    {Counted{Written: written}},
		"BlameLine":  {BlameLine{Path: "/", Line: 1, Value: text, Time: when}, BlameLine{Value: raw}},
		"RolledBack": {RolledBack{Written: written, Plan: true}},
		"Info":       {Info{Kind: crdt.Bytes, Heads: rev, First: when, Last: when}},
		"Block":      {BlockInfo{Prev: "p", Deps: []dag.BlockID{{}}, Time: when, Author: "a", Message: "m", Ops: []string{""}, Operations: []Operation{op}, Revisions: []LogEntry{line}}},
		"Applied":    {Applied{Created: []string{""}, Changed: []string{""}, Deleted: []string{""}, Plan: true}},
		"Status":     {Status{ReadOnly: "r", Started: when, Time: when, Addresses: []string{""}, Peers: []PeerStatus{peer}, Zones: []ZoneStatus{zone}, Warnings: []string{""}}},
		"Peer":       {peer},
		"Zone":       {zone},
		"Member":     {Member{Self: true}},
		"Join":       {JoinRequest{ImportAs: "f"}},
		"Joined":     {Joined{Import: &Import{Forks: []ImportedFork{{}}}}},
		"Fault":      {Fault{Repaired: true}},
		"Imported":   {Imported{}},
		"Purge":      {PurgeRequest{Revision: "r", Key: "k", Name: "n"}},
		"Purged":     {Purged{Revision: rev[0]}},

		"SeriesEntry":    {SeriesEntry{Series: "s", Source: "s", Live: true}},
		"SeriesChange":   {exampleChange(SeriesWrite{Value: text}), exampleChange(SeriesWrite{Value: raw}), exampleChange(SeriesWrite{Deleted: true})},
		"SeriesReceipts": {seriesReceipts{[]SeriesReceipt{{Unparsed: 1}}}},

		"Policy":       {policy},
		"PolicyChange": {PolicyRequest{Policy: policy, Remove: true}},

		"MemberChange": {MemberChange{Member: Member{Self: true}}},
	}
	maps.Copy(all, forkExamples(entry.Conflicts[0], written))
	return all
}

func exampleChange(w SeriesWrite) json.RawMessage {
	w.Kind = crdt.Bytes
	c := SeriesChange{
		Source: "s", Author: "a", Message: "m", Time: time.Unix(1, 0), Fork: "f", Create: true, From: []SeriesPlace{{}}, Remove: []string{""},
		Tag: "t", Writes: []SeriesWrite{w},
	}
	return c.appendJSON(nil)
}

func exampleFilter() *Filter {
	return &Filter{Keys: []string{""}, Scopes: []string{""}, SkipKeys: []string{""}, Skips: []string{""}}
}

func forkExamples(conflict Conflict, written Written) map[string][]any {
	text, raw := []byte("text"), []byte{0xff}
	filter := exampleFilter()
	keys := []MergedKey{{}}
	return map[string][]any{
		"Fork":         {ForkInfo{Labels: []string{""}, From: []ForkSource{{Filter: filter}}}},
		"CreateFork":   {ForkRequest{From: "f", At: "a", Filter: filter}},
		"Rename":       {renameBody{}},
		"Difference":   {Difference{A: text, B: text, Fields: []FieldChange{{Path: "/"}}, Layout: true, WithheldA: true, WithheldB: true, PurgedA: &PurgeInfo{}, PurgedB: &PurgeInfo{}}, Difference{A: raw, B: raw}},
		"Pick":         {PickRequest{}},
		"Pointer":      {PointerInfo{Fork: "f", Cut: []dag.BlockID{{}}, Time: time.Unix(1, 0), Node: "n", Author: "a", Message: "m", Clash: true}},
		"TagRequest":   {tagBody{At: "a"}},
		"AliasRequest": {aliasBody{Expect: "e"}},
		"Reset":        {resetBody{Prefix: new(string), Plan: true}},
		"Undo":         {undoBody{Block: "b", Plan: true}},
		"ResetAnswer":  {Reset{Written: written, Changed: keys, Plan: true}},
		"Merge": {MergeRequest{
			OnConflict: OnConflictFail, Skip: []string{""}, Reject: []string{""}, Plan: true, Apply: "p",
			Resolve: []Resolution{{Path: "/", Side: "a", Value: &text}},
		}},
		"Merged": {Merged{
			Clean: keys, Skipped: []string{""}, Unmatched: []string{""}, Conflicts: []Conflict{conflict}, Settled: keys, Overrides: []string{""},
			Unchanged: true, Block: new(dag.BlockID),
		}},
		"Resolve": {
			ResolveRequest{KeyRef: KeyRef{"f", "k"}, ID: "i", Path: "/", State: "s", Take: "a", Value: &text, Delete: true},
			ResolveRequest{Value: &raw},
		},
	}
}
