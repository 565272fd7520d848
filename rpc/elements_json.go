package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"

	"crush/crdt"
)

// elementsBody is the body of a change of a set.
type elementsBody struct {
	Add    []string `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
}

// decodeExactJSON is decodeStrictly of a body in which no byte may be put
// right: not names that stand twice, nor characters that are none.
func decodeExactJSON(data []byte, v any) error {
	if _, err := crdt.ParseDocument(crdt.JSON, data, nil); err != nil {
		return invalid("the request's body does not parse: " + err.Error())
	}
	return decodeStrictly(bytes.NewReader(data), v)
}

// MarshalJSON returns the form of the answer to an increment: that of any
// write, and the total.
func (c Counted) MarshalJSON() ([]byte, error) { return c.appendJSON(nil), nil }

func (c *Counted) appendJSON(b []byte) []byte {
	b = c.appendMembers(append(b, '{'))
	return append(appendStringMember(b, "total", c.Total), '}')
}

// UnmarshalJSON reads the form of MarshalJSON.
func (c *Counted) UnmarshalJSON(data []byte) error {
	var w struct {
		writtenWire
		Total string `json:"total"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read answer to an increment: %w", err)
	}
	*c = Counted{Written: w.written(), Total: w.Total}
	return nil
}

// MarshalJSON returns the form of an element of `blame`: path is left out if
// the value is no document, line if it is no text.
func (l BlameLine) MarshalJSON() ([]byte, error) { return l.appendJSON(nil), nil }

func (l *BlameLine) appendJSON(b []byte) []byte {
	b = append(b, '{')
	if l.Path != "" {
		b = appendStringMember(b, "path", string(l.Path))
	}
	if l.Line > 0 {
		b = appendUintMember(b, "line", uint64(l.Line))
	}
	b = appendValueMember(b, l.Value)
	b = appendIDMember(b, "revision", l.Revision)
	b = appendIDMember(b, "block", l.Block)
	b = appendStringMember(b, "node", l.Node)
	b = appendStringMember(b, "author", string(l.Author))
	b = appendTimeMember(b, "time", l.Time)
	if !l.Claimed.IsZero() {
		b = appendTimeMember(b, "claimed", l.Claimed)
	}
	return append(appendStringMember(b, "message", l.Message), '}')
}

// UnmarshalJSON reads the form of MarshalJSON.
func (l *BlameLine) UnmarshalJSON(data []byte) error {
	var w struct {
		valueWire
		Path     crdt.Path    `json:"path"`
		Line     int          `json:"line"`
		Revision revisionText `json:"revision"`
		Block    blockText    `json:"block"`
		Node     string       `json:"node"`
		Author   Author       `json:"author"`
		Time     stamp        `json:"time"`
		Claimed  stamp        `json:"claimed"`
		Message  string       `json:"message"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("read line of blame: %w", err)
	}
	*l = BlameLine{
		Path: w.Path, Line: w.Line, Value: w.bytes(), Revision: w.Revision.is, Block: w.Block.is, Node: w.Node,
		Author: w.Author, Time: w.Time.Time, Claimed: w.Claimed.Time, Message: w.Message,
	}
	return nil
}
