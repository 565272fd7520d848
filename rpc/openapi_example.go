package rpc

import (
	"time"

	"crush/crdt"
	"crush/dag"
)

// schemaExamples are values for the schemas of the OpenAPI document: no member
// is left out of all examples of a shape.
func schemaExamples() map[string][]any {
	text, raw := []byte("text"), []byte{0xff}
	when := time.Unix(1, 0)
	rev := []dag.RevisionID{{1}}
	side := Side{Value: text, Time: when}
	entry := Entry{Value: text, Heads: rev, Time: when, Warning: "w", Conflicts: []Conflict{{Sides: []Side{side}}}}
	line := LogEntry{Value: text, Parents: rev, Time: when}
	written := Written{Heads: rev, Unchanged: true, Settled: 1, Sibling: true, Keys: 1}
	peer := PeerStatus{Addresses: []string{""}, LastSeen: when}
	return map[string][]any{
		"Entry":       {entry, Entry{Value: raw}},
		"Conflict":    {entry.Conflicts[0]},
		"LogEntry":    {line, LogEntry{Value: raw}},
		"Event":       {Event{Value: text, Time: when}, Event{Value: raw}},
		"File":        {File{Value: text}, File{Value: raw}},
		"Written":     {written},
		"RolledBack":  {RolledBack{Written: written, Plan: true}},
		"Info":        {Info{Kind: crdt.Bytes, Heads: rev, First: when, Last: when}},
		"Block":       {BlockInfo{Prev: "p", Deps: []dag.BlockID{{}}, Time: when, Author: "a", Message: "m", Ops: []string{""}, Revisions: []LogEntry{line}}},
		"Applied":     {Applied{Created: []string{""}, Changed: []string{""}, Deleted: []string{""}, Plan: true}},
		"Status":      {Status{ReadOnly: "r", Started: when, Time: when, Addresses: []string{""}, Peers: []PeerStatus{peer}, Warnings: []string{""}}},
		"Peer":        {peer},
		"Member":      {Member{Self: true}},
		"MemberAdded": {memberAdded{}},
		"Join":        {JoinRequest{}},
		"Joined":      {Joined{}},
		"Fault":       {Fault{}},
	}
}
