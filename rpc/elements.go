package rpc

import (
	"context"
	"iter"
	"time"

	"crush/crdt"
	"crush/dag"
)

// IncrementRequest adds By to a counter. A key that is not there becomes one.
type IncrementRequest struct {
	KeyRef
	Claim
	By            int64
	Base, IfMatch Token // at most one, as in PutRequest
}

// Counted is the answer of an increment.
type Counted struct {
	Written
	// Total is the sum in decimal digits, as this node knew it after the write;
	// "" if the counter is in conflict and a policy serves nothing then.
	Total string `json:"total"`
}

// ElementsRequest adds elements to a set and removes others. A key that is not
// there becomes one if something is added.
type ElementsRequest struct {
	KeyRef
	Claim
	Add           []string
	Remove        []string
	Base, IfMatch Token // at most one, as in PutRequest
}

// Elements changes counters and sets, whose changes add up: writers that have
// not seen one another never conflict.
type Elements interface {
	Increment(ctx context.Context, r IncrementRequest) (Counted, error)
	// ChangeSet answers Unchanged, and has written nothing, if the set has all
	// that was to be added, and nothing that was to be removed.
	ChangeSet(ctx context.Context, r ElementsRequest) (Written, error)
	// Elements lists a set in byte order; nothing if it is not there.
	Elements(ctx context.Context, k KeyRef) ([]string, error)
}

// BlameLine is a part of a value, and who wrote it last.
type BlameLine struct {
	// Path is where the part stands in a json or yaml; "" of other kinds.
	Path crdt.Path
	// Line is its number in a text, from 1; 0 of other kinds.
	Line     int
	Value    []byte // value or value_base64 in JSON: one line without its end, an element, or JSON
	Revision dag.RevisionID
	Block    dag.BlockID
	Node     string
	Author   Author
	Time     time.Time
	Claimed  time.Time // as in LogEntry
	Message  string
}

// Blames says who wrote what.
type Blames interface {
	// Blame yields the fields of a json or yaml in order of their paths, the
	// lines of a text in order, the elements of a set in order, and the value of
	// any other kind as one part.
	Blame(ctx context.Context, k KeyRef) iter.Seq2[BlameLine, error]
}
