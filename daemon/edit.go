package daemon

import (
	"bytes"
	"encoding/json"

	"crush/crdt"
	"crush/dag"
	"crush/rpc"
)

// edit is the revision that puts a value, or nothing if it is nil, at a path of
// a document, for a writer who has read parents. Where nothing is, a json is
// made.
func (s *sight) edit(parents []dag.RevisionID, path crdt.Path, value *[]byte, kind crdt.Kind, mark dag.Mark) (*dag.Draft, error) {
	s, err := s.as(parents)
	if err != nil {
		return nil, err
	}
	if _, err := s.context(); isGone(err) && !s.Absent() && s.Document == nil {
		return nil, err // a part of what is gone cannot be changed
	}
	var d *crdt.Document
	if value != nil {
		if d, err = s.fragment(*value, path, kind); err != nil {
			return nil, err
		}
	}
	of, err := s.documentKind(kind)
	if err != nil {
		return nil, err
	}
	return s.drafted(parents, mark, func(x crdt.Context) (crdt.Draft, error) {
		if d != nil {
			if err := s.leads(x.Tree(), path); err != nil {
				return crdt.Draft{}, err
			}
		}
		return x.Edit(of, path, d)
	})
}

// leads refuses a path through a value, which a write there would replace: that
// is more than who names a place in it has asked for.
func (s *sight) leads(d *crdt.Document, path crdt.Path) error {
	for at := path; at != crdt.Root; {
		at = at.Parent()
		l, ok := d.Leaf(at)
		if ok && l.JSON != "{}" && l.JSON != "[]" && l.JSON != "null" {
			return failure(rpc.CodeInvalid, "%q has no place for %s: what stands at %s is %.40s; write that, or delete it first", s.Key, path, at, l.JSON)
		}
	}
	return nil
}

// documentKind is the kind of the document that a path of the key leads into:
// what it has, or else the wanted one, that of a policy, or json.
func (s *sight) documentKind(want crdt.Kind) (crdt.Kind, error) {
	if isDocument(s.Kind) {
		return s.Kind, nil
	}
	if isDocument(want) {
		return want, nil
	}
	p, err := s.r.policiesBy(s.from, s.Fork)
	if err != nil {
		return 0, err
	}
	if k := p.kind(s.Key); isDocument(k) {
		return k, nil
	}
	return crdt.JSON, nil
}

// fragment reads a value that is to stand at a path of the key: in the notation
// of its kind, or, if kind is text, as a string.
func (s *sight) fragment(value []byte, path crdt.Path, kind crdt.Kind) (*crdt.Document, error) {
	of, err := s.documentKind(kind)
	if err != nil {
		return nil, err
	}
	switch {
	case len(value) > dag.MaxValue:
		return nil, valueTooLarge(s.Key, len(value))
	case kind == crdt.Text:
		if err := crdt.ValidText(value); err != nil {
			return nil, unparsed(s.Key, err)
		}
		var text bytes.Buffer
		quote := json.NewEncoder(&text)
		quote.SetEscapeHTML(false) // the spelling is kept
		if err := quote.Encode(string(value)); err != nil {
			return nil, err
		}
		value, of = text.Bytes(), crdt.JSON
	case !kind.IsZero() && kind != of:
		return nil, failure(rpc.CodeInvalid, "%q is of kind %s: a value at a path of it is %s, or text for a string", s.Key, of, of)
	}
	lists, err := s.lists()
	if err != nil {
		return nil, err
	}
	d, err := crdt.ParseFragment(of, value, path, lists)
	return d, unparsed(s.Key, err)
}
