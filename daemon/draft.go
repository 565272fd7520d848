package daemon

import (
	"errors"
	"slices"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// change is draft with what the key becomes; the revision is nil if the key is
// read as c already, and without a conflict.
func (s *sight) change(c *content, mark dag.Mark) (*dag.Draft, string, error) {
	what, err := s.changeToContent(c)
	if err != nil || what == "same" && s.settled() && !isDocument(c.kind) {
		return nil, "", err
	}
	d, err := s.draft(c, mark) // a text that is there can be read otherwise, by other schemas
	if d == nil {
		what = ""
	}
	return d, what, err
}

// draft is the revision that makes c of the key, for a writer who has read
// what s shows. It is nil if c is a document or a set that is read already.
func (s *sight) draft(c *content, mark dag.Mark) (*dag.Draft, error) {
	return s.draftOn(s.parents(), c, mark)
}

// draftOn is draft for a writer who has read parents.
func (s *sight) draftOn(parents []dag.RevisionID, c *content, mark dag.Mark) (*dag.Draft, error) {
	if c.deleted || !isDelta(c.kind) {
		return &dag.Draft{
			Fork: s.Fork, Key: s.Key, Parents: parents, Kind: uint64(c.kind), Deleted: c.deleted, Payload: c.value, Mark: mark,
		}, nil
	}
	lists, err := s.lists()
	if err != nil {
		return nil, err
	}
	return s.drafted(parents, mark, func(x crdt.Context) (crdt.Draft, error) { return x.Put(c.kind, c.value, lists) })
}

// drafted is the revision that the rules of crdt make for a writer who has
// read parents; nil if there is nothing to write.
func (s *sight) drafted(parents []dag.RevisionID, mark dag.Mark, rule func(crdt.Context) (crdt.Draft, error)) (*dag.Draft, error) {
	read, err := s.as(parents)
	if err != nil {
		return nil, err
	}
	x, err := read.writing()
	if err != nil {
		return nil, err
	}
	d, err := rule(x)
	if err != nil {
		return nil, unparsed(s.Key, err)
	}
	if d.Open {
		mark |= dag.MarkOpen
	}
	s.warnings = d.Warnings
	if err := s.checkDraft(&d); d.Empty || err != nil {
		return nil, err
	}
	return &dag.Draft{Fork: s.Fork, Key: s.Key, Parents: parents, Kind: uint64(d.Kind), Deleted: d.Deleted, Payload: d.Payload, Mark: mark}, nil
}

// as is the key as a writer sees it who has read these revisions.
func (s *sight) as(read []dag.RevisionID) (*sight, error) {
	if len(read) == len(s.Heads) && !slices.ContainsFunc(read, func(id dag.RevisionID) bool { return headOf(s.Entry, id) == nil }) {
		return s, nil
	}
	return s.beforeIDs(read)
}

// checkDraft refuses a text that is too long, and one of the policy key that
// holds no policies.
func (s *sight) checkDraft(d *crdt.Draft) error {
	if d.Deleted {
		return nil
	}
	text := crdt.TextOf(d.Kind, d.Payload)
	if len(text) > dag.MaxValue {
		return valueTooLarge(s.Key, len(text))
	}
	if s.Key != rpc.PolicyKey {
		return nil
	}
	if _, err := parsePolicies(text); err != nil {
		return failure(rpc.CodeUnparsed, "%s: %s", s.Key, err)
	}
	return nil
}

// unparsed tells a person what the rules of crdt have refused of a key.
func unparsed(key string, err error) error {
	if syntax, ok := errors.AsType[*crdt.SyntaxError](err); ok {
		return &rpc.Error{Code: rpc.CodeUnparsed, Message: "the value of \"" + key + "\": " + syntax.Error(), Cause: err}
	}
	if open, ok := errors.AsType[*crdt.ConflictError](err); ok {
		return failure(rpc.CodeConflict, "%q is in conflict at %s: crush resolve settles that first", key, open.Path)
	}
	if _, ok := errors.AsType[*crdt.TextError](err); ok {
		return failure(rpc.CodeInvalid, "%q would be no document: an element of a keyed list has the identity that its path says, and lists and objects are not at one place", key)
	}
	if kind, ok := errors.AsType[*crdt.KindError](err); ok {
		want := kind.Want.String()
		if isDocument(kind.Want) {
			want = "json or yaml"
		}
		return failure(rpc.CodeInvalid, "%q is of kind %s: that works on a %s", key, kind.Have, want)
	}
	return err
}
