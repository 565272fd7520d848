package rpc

import (
	"encoding/json"
	"fmt"

	"crush/crdt"
	"crush/dag"
)

// MarshalJSON returns the form of `get -o json`.
func (e Entry) MarshalJSON() ([]byte, error) { return e.appendJSON(nil), nil }

func (e *Entry) appendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendStringMember(b, "key", e.Key)
	b = appendStringMember(b, "fork", e.Fork)
	b = appendIDMember(b, "kind", e.Kind)
	b = appendValueMember(b, e.Value)
	b = appendDocumentMember(b, e.Document)
	b = appendBoolMember(b, "deleted", e.Deleted)
	b = appendIDsMember(b, "heads", e.Heads)
	b = appendStringMember(b, "token", string(e.Token))
	b = appendUintMember(b, "revision_count", e.RevisionCount)
	b = appendBoolMember(b, "conflict", e.Conflict)
	b = append(appendName(b, "conflicts"), '[')
	for i := range e.Conflicts {
		if i > 0 {
			b = append(b, ',')
		}
		b = e.Conflicts[i].appendJSON(b)
	}
	b = append(b, ']')
	b = appendIDMember(b, "revision", e.Revision)
	b = appendIDMember(b, "block", e.Block)
	b = appendStringMember(b, "node", e.Node)
	b = appendStringMember(b, "author", string(e.Author))
	b = appendTimeMember(b, "time", e.Time)
	b = appendStringMember(b, "message", e.Message)
	if e.Withheld {
		b = appendBoolMember(b, "withheld", true)
	}
	if e.Warning != "" {
		b = appendStringMember(b, "warning", e.Warning)
	}
	return append(appendPurgedMember(b, "purged", e.Purged), '}')
}

// UnmarshalJSON reads the form of MarshalJSON.
func (e *Entry) UnmarshalJSON(data []byte) error {
	var w struct {
		valueWire
		Key           string           `json:"key"`
		Fork          string           `json:"fork"`
		Kind          kindText         `json:"kind"`
		Document      json.RawMessage  `json:"document"`
		Deleted       bool             `json:"deleted"`
		Heads         []dag.RevisionID `json:"heads"`
		Token         Token            `json:"token"`
		RevisionCount uint64           `json:"revision_count"`
		Conflict      bool             `json:"conflict"`
		Conflicts     []Conflict       `json:"conflicts"`
		Revision      revisionText     `json:"revision"`
		Block         blockText        `json:"block"`
		Node          string           `json:"node"`
		Author        Author           `json:"author"`
		Time          stamp            `json:"time"`
		Message       string           `json:"message"`
		Warning       string           `json:"warning"`
		Purged        *PurgeInfo       `json:"purged"`
		Withheld      bool             `json:"withheld"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read entry: %w", err)
	}
	*e = Entry{
		Key: w.Key, Fork: w.Fork, Kind: w.Kind.is, Value: w.bytes(), Document: w.Document, Deleted: w.Deleted, Heads: w.Heads, Token: w.Token,
		RevisionCount: w.RevisionCount, Conflict: w.Conflict, Conflicts: w.Conflicts, Revision: w.Revision.is,
		Block: w.Block.is, Node: w.Node, Author: w.Author, Time: w.Time.Time, Message: w.Message, Warning: w.Warning, Purged: w.Purged,
		Withheld: w.Withheld,
	}
	return nil
}

// MarshalJSON returns the form of a line of `conflicts`.
func (c Conflict) MarshalJSON() ([]byte, error) { return c.appendJSON(nil), nil }

func (c *Conflict) appendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendStringMember(b, "key", c.Key)
	b = appendStringMember(b, "fork", c.Fork)
	b = appendIDMember(b, "id", c.ID)
	b = appendIDMember(b, "state", c.State)
	b = appendStringMember(b, "path", c.Path)
	b = appendStringMember(b, "kind", c.Kind)
	b = append(appendName(b, "sides"), '[')
	for i := range c.Sides {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.Sides[i].appendJSON(b)
	}
	b = append(b, ']')
	if c.Base != nil {
		b = c.Base.appendJSON(appendName(b, "base"))
	}
	if c.Proposal != "" {
		b = appendStringMember(b, "proposal", c.Proposal)
	}
	return append(b, '}')
}

// UnmarshalJSON reads the form of MarshalJSON.
func (c *Conflict) UnmarshalJSON(data []byte) error {
	var w struct {
		Key   string                                          `json:"key"`
		Fork  string                                          `json:"fork"`
		ID    textOr[crdt.ConflictID, *crdt.ConflictID]       `json:"id"`
		State textOr[crdt.ConflictState, *crdt.ConflictState] `json:"state"`
		Path  string                                          `json:"path"`
		Kind  string                                          `json:"kind"`
		Sides []Side                                          `json:"sides"`
		Base  *Base                                           `json:"base"`
		Text  string                                          `json:"proposal"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read conflict: %w", err)
	}
	*c = Conflict{
		Key: w.Key, Fork: w.Fork, ID: w.ID.is, State: w.State.is, Path: w.Path, Kind: w.Kind, Sides: w.Sides, Base: w.Base,
		Proposal: w.Text,
	}
	return nil
}

// MarshalJSON returns the form of a side in a conflict's list.
func (s Side) MarshalJSON() ([]byte, error) { return s.appendJSON(nil), nil }

func (s *Side) appendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendStringMember(b, "letter", s.Letter)
	b = appendValueMember(b, s.Value)
	b = appendBoolMember(b, "deleted", s.Deleted)
	b = appendBoolMember(b, "served", s.Served)
	b = appendIDMember(b, "kind", s.Kind)
	b = appendIDMember(b, "revision", s.Revision)
	b = appendStringMember(b, "node", s.Node)
	b = appendStringMember(b, "author", string(s.Author))
	b = appendTimeMember(b, "time", s.Time)
	b = appendStringMember(b, "fork", s.Fork)
	return append(appendPurgedMember(b, "purged", s.Purged), '}')
}

// UnmarshalJSON reads the form of MarshalJSON.
func (s *Side) UnmarshalJSON(data []byte) error {
	var w struct {
		valueWire
		Letter   string       `json:"letter"`
		Deleted  bool         `json:"deleted"`
		Served   bool         `json:"served"`
		Kind     kindText     `json:"kind"`
		Revision revisionText `json:"revision"`
		Node     string       `json:"node"`
		Author   Author       `json:"author"`
		Time     stamp        `json:"time"`
		Fork     string       `json:"fork"`
		Purged   *PurgeInfo   `json:"purged"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read side: %w", err)
	}
	*s = Side{
		Letter: w.Letter, Value: w.bytes(), Deleted: w.Deleted, Served: w.Served, Kind: w.Kind.is,
		Revision: w.Revision.is, Node: w.Node, Author: w.Author, Time: w.Time.Time, Fork: w.Fork,
		Purged: w.Purged,
	}
	return nil
}

// MarshalJSON returns the form of the base in a conflict.
func (c Base) MarshalJSON() ([]byte, error) { return c.appendJSON(nil), nil }

func (c *Base) appendJSON(b []byte) []byte {
	b = appendValueMember(append(b, '{'), c.Value)
	b = appendBoolMember(b, "deleted", c.Deleted)
	b = appendIDMember(b, "kind", c.Kind)
	b = appendIDMember(b, "revision", c.Revision)
	b = appendStringMember(b, "node", c.Node)
	b = appendStringMember(b, "author", string(c.Author))
	b = appendTimeMember(b, "time", c.Time)
	b = appendStringMember(b, "fork", c.Fork)
	return append(appendPurgedMember(b, "purged", c.Purged), '}')
}

// UnmarshalJSON reads the form of MarshalJSON: a side without what only a side
// has.
func (c *Base) UnmarshalJSON(data []byte) error {
	var s Side
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("read base: %w", err)
	}
	*c = Base{
		Value: s.Value, Deleted: s.Deleted, Kind: s.Kind, Revision: s.Revision, Node: s.Node, Author: s.Author,
		Time: s.Time, Fork: s.Fork, Purged: s.Purged,
	}
	return nil
}

// MarshalJSON returns the form of the answer to a write.
func (w Written) MarshalJSON() ([]byte, error) {
	return append(w.appendMembers([]byte{'{'}), '}'), nil
}

func (w *Written) appendJSON(b []byte) []byte {
	return append(w.appendMembers(append(b, '{')), '}')
}

func (w *Written) appendMembers(b []byte) []byte {
	b = appendIDMember(b, "revision", w.Revision)
	b = appendIDMember(b, "block", w.Block)
	b = appendIDsMember(b, "heads", w.Heads)
	b = appendStringMember(b, "token", string(w.Token))
	b = appendBoolMember(b, "conflict", w.Conflict)
	if w.Unchanged {
		b = appendBoolMember(b, "unchanged", true)
	}
	if w.Settled != 0 {
		b = appendUintMember(b, "settled", uint64(w.Settled))
	}
	if w.Sibling {
		b = appendBoolMember(b, "sibling", true)
	}
	if w.Keys != 0 {
		b = appendUintMember(b, "keys", uint64(w.Keys))
	}
	if len(w.Warnings) > 0 {
		b = append(appendName(b, "warnings"), mustJSON(w.Warnings)...)
	}
	return b
}

// writtenWire is how a Written is read.
type writtenWire struct {
	Revision  revisionText     `json:"revision"`
	Block     blockText        `json:"block"`
	Heads     []dag.RevisionID `json:"heads"`
	Token     Token            `json:"token"`
	Conflict  bool             `json:"conflict"`
	Unchanged bool             `json:"unchanged"`
	Settled   int              `json:"settled"`
	Sibling   bool             `json:"sibling"`
	Keys      int              `json:"keys"`
	Warnings  []string         `json:"warnings"`
}

func (w *writtenWire) written() Written {
	return Written{
		Revision: w.Revision.is, Block: w.Block.is, Heads: w.Heads, Token: w.Token, Conflict: w.Conflict,
		Unchanged: w.Unchanged, Settled: w.Settled, Sibling: w.Sibling, Keys: w.Keys, Warnings: w.Warnings,
	}
}

// UnmarshalJSON reads the form of MarshalJSON.
func (w *Written) UnmarshalJSON(data []byte) error {
	var wire writtenWire
	if err := json.Unmarshal(data, &wire); err != nil {
		return fmt.Errorf("read answer to a write: %w", err)
	}
	*w = wire.written()
	return nil
}

// MarshalJSON returns the form of the answer to a rollback.
func (r RolledBack) MarshalJSON() ([]byte, error) {
	b := r.appendMembers([]byte{'{'})
	b = appendIDMember(b, "from", r.From)
	b = appendIDMember(b, "to", r.To)
	if r.Plan {
		b = appendBoolMember(b, "plan", true)
	}
	return append(b, '}'), nil
}

// UnmarshalJSON reads the form of MarshalJSON.
func (r *RolledBack) UnmarshalJSON(data []byte) error {
	var w struct {
		writtenWire
		From revisionText `json:"from"`
		To   revisionText `json:"to"`
		Plan bool         `json:"plan"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read answer to a rollback: %w", err)
	}
	*r = RolledBack{Written: w.written(), From: w.From.is, To: w.To.is, Plan: w.Plan}
	return nil
}
