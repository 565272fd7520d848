package rpc

import (
	"iter"
	"slices"
	"strconv"
	"unicode/utf8"

	"crush/crdt"
)

// postIncrement adds to a counter.
func (x *exchange) postIncrement() error {
	r := IncrementRequest{KeyRef: x.keyRef(), By: 1}
	if err := checkKey(x.key); err != nil {
		return err
	}
	var err error
	if x.query.Has("by") {
		if r.By, err = strconv.ParseInt(x.query.Get("by"), 10, 64); err != nil {
			return invalid("by must be a whole number of 64 bits, not " + quote(x.query.Get("by")))
		}
	}
	if r.Claim, err = x.claim(); err != nil {
		return err
	}
	if r.Base, r.IfMatch, err = x.contextOfChange(); err != nil {
		return err
	}
	counted, err := x.Service.Elements.Increment(x.r.Context(), r)
	if err != nil {
		return err
	}
	return x.answerWrite(&counted.Written, counted.appendJSON)
}

// postElements adds elements to a set, and removes others.
func (x *exchange) postElements() error {
	if err := checkKey(x.key); err != nil {
		return err
	}
	change, err := x.readElements()
	if err != nil {
		return err
	}
	r := ElementsRequest{KeyRef: x.keyRef(), Add: change.Add, Remove: change.Remove}
	if r.Claim, err = x.claim(); err != nil {
		return err
	}
	if r.Base, r.IfMatch, err = x.contextOfChange(); err != nil {
		return err
	}
	written, err := x.Service.Elements.ChangeSet(x.r.Context(), r)
	if err != nil {
		return err
	}
	return x.writeWritten(&written)
}

// contextOfChange is what the writer of a change has read.
func (x *exchange) contextOfChange() (base, match Token, err error) {
	when, err := x.conditions()
	if err == nil && when.absent {
		err = invalid("If-None-Match makes no sense for a change of what is there")
	}
	return when.base, when.match, err
}

// readElements reads the body of a change of a set. What encoding/json would
// quietly put right is refused: it would be another element.
func (x *exchange) readElements() (elementsBody, error) {
	var change elementsBody
	data, err := x.readBody(x.limits.Batch, "the request's body is too large: at most %d bytes")
	if err != nil {
		return change, err
	}
	if err := decodeExactJSON(data, &change); err != nil {
		return change, err
	}
	return change, checkElements(change.Add, change.Remove)
}

// checkElements says why a change of a set cannot be one.
func checkElements(add, remove []string) error {
	if len(add)+len(remove) == 0 {
		return invalid("nothing to add or to remove: name elements")
	}
	for _, e := range slices.Concat(add, remove) {
		if !utf8.ValidString(e) {
			return invalid("the element " + quote(e) + " is not valid UTF-8")
		}
	}
	added := make(map[string]bool, len(add))
	for _, e := range add {
		added[e] = true
	}
	for _, e := range remove {
		if added[e] {
			return invalid("the element " + quote(e) + " is to be added and removed at once")
		}
	}
	return nil
}

// getElements lists a set.
func (x *exchange) getElements() error {
	if err := checkKey(x.key); err != nil {
		return err
	}
	all, err := x.Service.Elements.Elements(x.r.Context(), x.keyRef())
	if err != nil {
		return err
	}
	if x.query.Has("after") {
		n, found := slices.BinarySearch(all, x.query.Get("after"))
		if found {
			n++
		}
		all = all[n:]
	}
	return writeList(x, "elements", func(yield func(string, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	}, func(b []byte, e *string) []byte { return appendString(b, *e) }, func(e *string) string { return *e })
}

// getBlame lists the parts of a value and who wrote them. A page goes on after
// a number of parts.
func (x *exchange) getBlame() error {
	if err := checkKey(x.key); err != nil {
		return err
	}
	var skip uint64
	if x.query.Has("after") {
		var err error
		if skip, err = strconv.ParseUint(x.query.Get("after"), 10, 64); err != nil {
			return invalid("after must be the member next of the page before, not " + quote(x.query.Get("after")))
		}
	}
	n := uint64(0)
	all := skipped(x.Service.Blames.Blame(x.r.Context(), x.keyRef()), skip)
	return writeList(x, "blame", all,
		func(b []byte, l *BlameLine) []byte {
			n++
			return l.appendJSON(b)
		},
		func(*BlameLine) string { return strconv.FormatUint(skip+n, 10) })
}

// skipped leaves out the first n elements.
func skipped[T any](all iter.Seq2[T, error], n uint64) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		left := n
		for v, err := range all {
			if err == nil && left > 0 {
				left--
			} else if !yield(v, err) {
				return
			}
		}
	}
}

// path is the place that a read or a write of a document is for; "" if it is
// for all of it.
func (x *exchange) path() (crdt.Path, error) {
	if !x.query.Has("path") {
		return "", nil
	}
	p, err := crdt.ParsePath(x.query.Get("path"))
	if err != nil {
		return "", invalid(err.Error())
	}
	return p, nil
}
