package rpc

import (
	"context"
	"iter"
	"strings"
	"testing"
)

// endless has keys without an end.
type endless struct {
	*fake
	made int
}

const endlessValue = 64 << 10

func (e *endless) List(ctx context.Context, _ ListRequest) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		value := []byte(strings.Repeat("v", endlessValue))
		for e.made = 0; ctx.Err() == nil; e.made++ {
			if !yield(Entry{Key: "k", Value: value}, nil) {
				return
			}
		}
		yield(Entry{}, ctx.Err())
	}
}

// TestListStreams: a list of all keys and values is made as it is read, at both
// ends: of one that has no end a part can be had, and little more is made.
func TestListStreams(t *testing.T) {
	e := &endless{fake: newFake()}
	s := serve(t, func(c *ServerConfig) { c.Handler.Service.Values = e })
	read := 0
	for got, err := range s.client.List(t.Context(), ListRequest{Values: true}) {
		if err != nil || len(got.Value) != endlessValue {
			t.Fatalf("%d bytes, %v", len(got.Value), err)
		}
		if read++; read == 100 {
			break
		}
	}
	s.client.Close()
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	if e.made < read || e.made > 2*read {
		t.Errorf("%d entries were made, %d were read", e.made, read)
	}
}
