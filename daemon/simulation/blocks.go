package simulation

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"crush/crdt/oracle"
	"crush/dag"
)

// block is one block as its bundle says it is, read by the formats of package
// dag's comment and not through a graph.
type block struct {
	*dag.Block // with the ids of its revisions
	id         dag.BlockID
	revisions  []*dag.Revision
	payloads   [][]byte
	bundle     dag.Bundle

	// The mirror fills these in.
	past oracle.Cut // with the block itself
	node dag.NodeID // its author
	lam  uint64     // the highest time in past, where each step counts at least one
	ops  []forkDeed // on names of forks, void ones left out
}

// bundleForm and what follows are the arrays of a bundle.
type bundleForm struct {
	_         struct{} `cbor:",toarray"`
	Version   uint64
	Head      cbor.RawMessage
	Signature []byte
	Revisions []revisionForm
}

type revisionForm struct {
	_       struct{} `cbor:",toarray"`
	Key     string
	Fork    []byte
	Parents []byte
	Kind    uint64
	Payload []byte // nil for a delete
	Rest    restForm
}

type restForm struct {
	Mark  dag.Mark   `cbor:"mark,omitempty"`
	Label string     `cbor:"label,omitempty"`
	Note  *dag.Note  `cbor:"note,omitempty"`
	Place *placeForm `cbor:"place,omitempty"`
}

type placeForm struct {
	_     struct{} `cbor:",toarray"`
	Chain [32]byte
	Seq   uint64
	Index uint64
	Salt  [16]byte
	Time  int64
}

// readBlock decodes a bundle.
func readBlock(bundle dag.Bundle) (*block, error) {
	var form bundleForm
	if err := cbor.Unmarshal(bundle, &form); err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	head, err := dag.DecodeBlock(form.Head)
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	b := &block{Block: head, bundle: bundle}
	for i, f := range form.Revisions {
		r := f.revision(head, i)
		b.revisions, b.payloads = append(b.revisions, r), append(b.payloads, f.Payload)
		head.Revisions = append(head.Revisions, r.ID())
	}
	b.id = sha256.Sum256(head.Encode())
	if h, err := dag.ReadHeader(bundle); err != nil || h.ID != b.id {
		return nil, fmt.Errorf("read bundle: it has the id %s, the header says %s: %w", b.id, h.ID, err)
	}
	return b, nil
}

// revision is the i-th of a block: what the form leaves out follows from it.
func (f *revisionForm) revision(b *dag.Block, i int) *dag.Revision {
	r := &dag.Revision{
		Key: f.Key, Fork: dag.DefaultFork(), Kind: f.Kind, Deleted: f.Payload == nil, Mark: f.Rest.Mark, Label: f.Rest.Label,
		Note: f.Rest.Note, Chain: b.Chain, Seq: b.Seq, Index: uint64(i), Salt: b.Salt, Time: b.Time,
	}
	if len(f.Fork) > 0 {
		r.Fork = dag.ForkID(f.Fork)
	}
	for p := range slices.Chunk(f.Parents, 32) {
		r.Parents = append(r.Parents, dag.RevisionID(p))
	}
	if p := f.Rest.Place; p != nil {
		r.Chain, r.Seq, r.Index, r.Salt, r.Time = p.Chain, p.Seq, p.Index, p.Salt, p.Time
	}
	if !r.Deleted {
		r.Value, r.Size = dag.SumOf(f.Payload), int64(len(f.Payload))
	}
	return r
}

// forge signs a block that no honest node would write, with one revision at
// most, and returns its bundle.
func forge(key dag.NodeKey, b *dag.Block, r *dag.Revision, payload []byte) (dag.Bundle, error) {
	mode, err := cbor.EncOptions{Sort: cbor.SortLengthFirst}.EncMode()
	if err != nil {
		return nil, err
	}
	form := bundleForm{Version: 1, Head: b.Encode(), Revisions: []revisionForm{}}
	whole := *b
	if r != nil {
		whole.Revisions = []dag.RevisionID{r.ID()}
		f := revisionForm{Key: r.Key, Parents: []byte{}, Kind: r.Kind, Payload: payload, Fork: []byte{}}
		if r.Fork != dag.DefaultFork() {
			f.Fork = r.Fork[:]
		}
		for _, p := range r.Parents {
			f.Parents = append(f.Parents, p[:]...)
		}
		if r.Seq != b.Seq || r.Time != b.Time {
			f.Rest.Place = &placeForm{Chain: r.Chain, Seq: r.Seq, Index: r.Index, Salt: r.Salt, Time: r.Time}
		}
		form.Revisions = append(form.Revisions, f)
	}
	id := dag.BlockID(sha256.Sum256(whole.Encode()))
	form.Signature = key.Sign(append([]byte("crush block 1\x00\x01\x71\x12\x20"), id[:]...))
	return mode.Marshal(&form)
}

// passes reports whether a key is one of a filter's.
func passes(f *dag.Filter, key string) bool {
	if f == nil {
		return true
	}
	like := func(pattern string) bool { return matches(pattern, key) }
	wanted := len(f.Keys)+len(f.Scopes) == 0 || slices.Contains(f.Keys, key) || slices.ContainsFunc(f.Scopes, like)
	return wanted && !slices.Contains(f.SkipKeys, key) && !slices.ContainsFunc(f.Skips, like)
}

// matches tries every way in which a pattern can match.
func matches(pattern, key string) bool {
	if rest, ok := bytes.CutPrefix([]byte(pattern), []byte("**")); ok {
		for i := range len(key) + 1 {
			if matches(string(rest), key[i:]) {
				return true
			}
		}
		return false
	}
	switch {
	case pattern == "":
		return key == ""
	case pattern[0] == '*':
		for i := 0; ; i++ {
			if matches(pattern[1:], key[i:]) {
				return true
			}
			if i == len(key) || key[i] == '/' {
				return false
			}
		}
	}
	return key != "" && pattern[0] == key[0] && matches(pattern[1:], key[1:])
}
