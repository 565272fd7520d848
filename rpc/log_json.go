package rpc

import (
	"encoding/json"
	"fmt"
	"strconv"

	"crush/dag"
)

// MarshalJSON returns the form of an element of `log -o json`.
func (e LogEntry) MarshalJSON() ([]byte, error) { return e.appendJSON(nil), nil }

func (e *LogEntry) appendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendIDMember(b, "revision", e.Revision)
	b = appendIDMember(b, "block", e.Block)
	b = appendIDsMember(b, "parents", e.Parents)
	b = appendStringMember(b, "key", e.Key)
	b = appendStringMember(b, "fork", e.Fork)
	b = appendIDMember(b, "kind", e.Kind)
	b = appendStringMember(b, "node", e.Node)
	b = appendStringMember(b, "author", string(e.Author))
	b = appendTimeMember(b, "time", e.Time)
	b = appendStringMember(b, "message", e.Message)
	b = strconv.AppendInt(appendName(b, "size"), e.Size, 10)
	b = appendBoolMember(b, "deleted", e.Deleted)
	b = appendBoolMember(b, "head", e.Head)
	b = appendValueMember(b, e.Value)
	b = appendStringMember(b, "cursor", e.Cursor)
	b = appendStringMember(b, "zone", e.Zone)
	if !e.Claimed.IsZero() {
		b = appendTimeMember(b, "claimed", e.Claimed)
	}
	if e.WroteCount > 0 {
		b = append(appendName(b, "wrote"), mustJSON(e.Wrote)...)
		b = strconv.AppendInt(appendName(b, "wrote_count"), int64(e.WroteCount), 10)
	}
	if e.Before != nil {
		b = appendIDsMember(b, "before", e.Before)
	}
	if len(e.Newest) > 0 {
		b = append(appendName(b, "newest"), mustJSON(e.Newest)...)
	}
	if e.Layout {
		b = appendBoolMember(b, "layout", true)
	}
	if e.Mark != "" {
		b = appendStringMember(b, "mark", e.Mark)
	}
	if e.Operation != nil {
		b = append(appendName(b, "operation"), mustJSON(e.Operation)...)
	}
	return append(appendPurgedMember(b, "purged", e.Purged), '}')
}

// mustJSON encodes what has no value that JSON lacks.
func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("rpc: encode: " + err.Error())
	}
	return data
}

// UnmarshalJSON reads the form of MarshalJSON.
func (e *LogEntry) UnmarshalJSON(data []byte) error {
	var w struct {
		valueWire
		Revision revisionText     `json:"revision"`
		Block    blockText        `json:"block"`
		Parents  []dag.RevisionID `json:"parents"`
		Key      string           `json:"key"`
		Fork     string           `json:"fork"`
		Kind     kindText         `json:"kind"`
		Node     string           `json:"node"`
		Author   Author           `json:"author"`
		Time     stamp            `json:"time"`
		Message  string           `json:"message"`
		Size     int64            `json:"size"`
		Deleted  bool             `json:"deleted"`
		Head     bool             `json:"head"`
		Cursor   string           `json:"cursor"`
		Zone     string           `json:"zone"`
		Before   []dag.BlockID    `json:"before"`
		Newest   []string         `json:"newest"`
		Layout   bool             `json:"layout"`
		Mark     string           `json:"mark"`
		Op       *Operation       `json:"operation"`
		Claimed  stamp            `json:"claimed"`
		Purged   *PurgeInfo       `json:"purged"`
		Wrote    []string         `json:"wrote"`
		Count    int              `json:"wrote_count"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read log entry: %w", err)
	}
	*e = LogEntry{
		Revision: w.Revision.is, Block: w.Block.is, Parents: w.Parents, Key: w.Key, Fork: w.Fork, Kind: w.Kind.is,
		Node: w.Node, Author: w.Author, Time: w.Time.Time, Message: w.Message, Size: w.Size, Deleted: w.Deleted,
		Head: w.Head, Value: w.bytes(), Cursor: w.Cursor, Zone: w.Zone, Before: w.Before, Newest: w.Newest, Layout: w.Layout, Mark: w.Mark,
		Operation: w.Op, Claimed: w.Claimed.Time, Purged: w.Purged, Wrote: w.Wrote, WroteCount: w.Count,
	}
	return nil
}

// MarshalJSON returns one line of `watch`.
func (e Event) MarshalJSON() ([]byte, error) { return e.appendJSON(nil), nil }

func (e *Event) appendJSON(b []byte) []byte {
	b = append(b, '{')
	b = appendStringMember(b, "cursor", string(e.Cursor))
	b = appendStringMember(b, "type", e.Type)
	b = appendStringMember(b, "fork", e.Fork)
	b = appendStringMember(b, "key", e.Key)
	b = appendIDMember(b, "kind", e.Kind)
	b = appendValueMember(b, e.Value)
	b = appendStringMember(b, "token", string(e.Token))
	b = appendIDMember(b, "revision", e.Revision)
	b = appendIDMember(b, "block", e.Block)
	b = appendBoolMember(b, "last", e.Last)
	b = appendStringMember(b, "node", e.Node)
	b = appendStringMember(b, "author", string(e.Author))
	b = appendTimeMember(b, "time", e.Time)
	if e.Withheld {
		b = appendBoolMember(b, "withheld", true)
	}
	return append(appendPurgedMember(b, "purged", e.Purged), '}')
}

// UnmarshalJSON reads the form of MarshalJSON.
func (e *Event) UnmarshalJSON(data []byte) error {
	var w struct {
		valueWire
		Cursor   Cursor       `json:"cursor"`
		Type     string       `json:"type"`
		Fork     string       `json:"fork"`
		Key      string       `json:"key"`
		Kind     kindText     `json:"kind"`
		Token    Token        `json:"token"`
		Revision revisionText `json:"revision"`
		Block    blockText    `json:"block"`
		Last     bool         `json:"last"`
		Node     string       `json:"node"`
		Author   Author       `json:"author"`
		Time     stamp        `json:"time"`
		Purged   *PurgeInfo   `json:"purged"`
		Withheld bool         `json:"withheld"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	*e = Event{
		Cursor: w.Cursor, Type: w.Type, Fork: w.Fork, Key: w.Key, Kind: w.Kind.is, Value: w.bytes(), Token: w.Token,
		Revision: w.Revision.is, Block: w.Block.is, Last: w.Last, Node: w.Node, Author: w.Author, Time: w.Time.Time,
		Purged: w.Purged, Withheld: w.Withheld,
	}
	return nil
}

// MarshalJSON returns the form of `show` of a block.
func (i BlockInfo) MarshalJSON() ([]byte, error) {
	type plain BlockInfo
	p := plain(i)
	p.Deps, p.Ops, p.Operations, p.Revisions = list(p.Deps), list(p.Ops), list(p.Operations), list(p.Revisions)
	return json.Marshal(struct {
		plain
		Time stamp `json:"time"`
	}{p, stamp{i.Time}})
}

// MarshalJSON returns the form of `info`.
func (i Info) MarshalJSON() ([]byte, error) {
	type plain Info
	p := plain(i)
	p.Heads = list(p.Heads)
	return json.Marshal(struct {
		plain
		Kind  kindText `json:"kind"`
		First stamp    `json:"first_time"`
		Last  stamp    `json:"last_time"`
	}{p, kindText{i.Kind}, stamp{i.First}, stamp{i.Last}})
}

// UnmarshalJSON reads the form of MarshalJSON.
func (i *Info) UnmarshalJSON(data []byte) error {
	type plain Info
	var w struct {
		plain
		Kind  kindText `json:"kind"`
		First stamp    `json:"first_time"`
		Last  stamp    `json:"last_time"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read info: %w", err)
	}
	*i = Info(w.plain)
	i.Kind, i.First, i.Last = w.Kind.is, w.First.Time, w.Last.Time
	return nil
}
