package rpc

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"crush/crdt"
)

// postMerge plans or does a merge; one that stops answers its error and the
// plan.
func (x *exchange) postMerge() (err error) {
	var r MergeRequest
	if err := x.readFull(&r, x.limits.Batch, "apply", "on_conflict"); err != nil {
		return err
	}
	if x.fork != "" { // of the path
		if r.Into != "" && r.Into != x.fork {
			return invalid("into is " + quote(r.Into) + ", but the path says " + quote(x.fork))
		}
		r.Into = x.fork
	}
	if err := x.checkMerge(&r); err != nil {
		return err
	}
	if r.Claim, err = x.claim(); err != nil {
		return err
	}
	merged, err := x.Service.Merges.Merge(x.r.Context(), r)
	if err == nil {
		return x.writeAny(merged)
	}
	if merged.Plan == "" || !errors.Is(err, ErrConflict) && !errors.Is(err, ErrStale) {
		return err
	}
	plan, bad := json.Marshal(merged)
	if bad != nil {
		return fmt.Errorf("encode answer: %w", bad)
	}
	code := CodeOf(err)
	return x.writeJSON(code.Status(), func(b []byte) []byte {
		b = appendError(b, code, err.Error())
		b = append(appendName(b[:len(b)-1], "plan"), plan...)
		return append(b, '}')
	})
}

// checkMerge says why a request to merge cannot be one.
func (x *exchange) checkMerge(r *MergeRequest) error {
	switch {
	case r.Source == "":
		return invalid("source is missing: the fork to merge")
	case r.Into == "":
		return invalid("into is missing: the fork to merge into")
	case r.Plan && r.Apply != "":
		return invalid("at most one of plan and apply can be asked for")
	case !isWord(r.Apply):
		return invalid("apply must be the id of a plan, not " + quote(r.Apply))
	}
	switch r.OnConflict {
	case "", OnConflictFail, OnConflictKeep, OnConflictOurs, OnConflictTheirs, OnConflictLWW:
	default:
		return invalid("on_conflict must be fail, keep, ours, theirs or lww, not " + quote(string(r.OnConflict)))
	}
	settled := make(map[string]bool, len(r.Resolve)+len(r.Reject))
	paths := make(map[string][]crdt.Path)
	for i := range r.Resolve {
		s := &r.Resolve[i]
		if err := x.checkResolution(s); err != nil {
			return err
		}
		twice := func(p crdt.Path) bool { return s.Path == "" || p.Within(s.Path) || s.Path.Within(p) }
		if settled[s.Key] || slices.ContainsFunc(paths[s.Key], twice) {
			return invalid("the key " + quote(s.Key) + " is settled twice")
		}
		if s.Path == "" {
			settled[s.Key] = true
		} else {
			paths[s.Key] = append(paths[s.Key], s.Path)
		}
	}
	for _, key := range r.Reject {
		if err := checkKey(key); err != nil {
			return invalid("reject: " + err.Error())
		}
		if settled[key] || paths[key] != nil {
			return invalid("the key " + quote(key) + " is settled twice")
		}
		settled[key] = true
	}
	if slices.Contains(r.Skip, "") {
		return invalid("skip: a key or pattern is empty")
	}
	return nil
}

func (x *exchange) checkResolution(r *Resolution) error {
	if err := checkKey(r.Key); err != nil {
		return invalid("resolve: " + err.Error())
	}
	switch {
	case r.Side == "" && r.Value == nil:
		return invalid("the resolution of " + quote(r.Key) + " chooses nothing: give a side or a value")
	case r.Side != "" && r.Value != nil:
		return invalid("the resolution of " + quote(r.Key) + " has both a side and a value: give one of them")
	}
	return x.checkSize(r.Key, r.Value)
}

// checkSize refuses a value that is too large; nil is none.
func (x *exchange) checkSize(key string, value *[]byte) error {
	if value != nil && int64(len(*value)) > x.limits.Value {
		return &Error{Code: CodeTooLarge, Message: fmt.Sprintf("the value of %s is too large: at most %d bytes", quote(key), x.limits.Value)}
	}
	return nil
}

// isWord reports whether an id of the daemon's making can look like that.
func isWord(id string) bool {
	const most = 128
	return len(id) <= most && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

func (x *exchange) postResolve() error {
	var r ResolveRequest
	if err := x.readFull(&r, x.limits.Batch, "fork", "key", "id", "state", "take"); err != nil {
		return err
	}
	if err := x.checkResolve(&r); err != nil {
		return err
	}
	var err error
	if r.Claim, err = x.claim(); err != nil {
		return err
	}
	written, err := x.Service.Merges.Resolve(x.r.Context(), r)
	if err != nil {
		return err
	}
	return x.writeWritten(&written)
}

// checkResolve says why a request to resolve cannot be one.
func (x *exchange) checkResolve(r *ResolveRequest) error {
	switch {
	case r.ID == "" && r.Key == "":
		return invalid("key is missing: the key in conflict, or id, that of the conflict")
	case r.ID != "" && r.Key != "":
		return invalid("at most one of key and id can be given")
	case r.ID != "" && r.Path != "":
		return invalid("at most one of path and id can be given")
	case !isWord(r.ID):
		return invalid("id must be that of a conflict, not " + quote(r.ID))
	case !isWord(r.State):
		return invalid("state must be that of a conflict, not " + quote(r.State))
	}
	if r.Key != "" {
		if err := checkKey(r.Key); err != nil {
			return err
		}
	}
	chosen := 0
	for _, choice := range []bool{r.Take != "", r.Value != nil, r.Delete} {
		if choice {
			chosen++
		}
	}
	switch chosen {
	case 0:
		return invalid("nothing is chosen: take a side, give a value, or delete")
	case 1:
		return x.checkSize(r.Key, r.Value)
	}
	return invalid("only one of take, value and delete can be chosen")
}

func (x *exchange) postPick() error {
	var r PickRequest
	if err := x.readJSON(&r); err != nil {
		return err
	}
	switch {
	case r.Revision == "":
		return invalid("revision is missing: the one whose value to write")
	case r.Into == "":
		return invalid("into is missing: the fork to write on")
	}
	var err error
	if r.Claim, err = x.claim(); err != nil {
		return err
	}
	written, err := x.Service.Merges.Pick(x.r.Context(), r)
	if err != nil {
		return err
	}
	return x.writeWritten(&written)
}

// getConflicts answers with the open conflicts of the fork that the path or
// the query names, or of all.
func (x *exchange) getConflicts() error {
	fork := x.fork
	if fork == "" {
		fork = x.query.Get("fork")
	}
	after, err := base64.RawURLEncoding.DecodeString(x.query.Get("after"))
	if err != nil {
		return invalid("after must be the member next of the page before, not " + quote(x.query.Get("after")))
	}
	all := x.Service.Merges.Conflicts(x.r.Context(), fork, x.query.Get("prefix"))
	return writeList(x, "conflicts", behind(all, string(after), placeOf),
		func(b []byte, c *Conflict) []byte { return c.appendJSON(b) },
		func(c *Conflict) string { return base64.RawURLEncoding.EncodeToString([]byte(placeOf(c))) })
}

// placeOf is where a conflict stands in their order: neither names nor keys
// have a NUL.
func placeOf(c *Conflict) string { return c.Fork + "\x00" + c.Key + "\x00" + c.Path }

// behind leaves out what stands up to a place in the order.
func behind[T any](all iter.Seq2[T, error], after string, place func(*T) string) iter.Seq2[T, error] {
	if after == "" {
		return all
	}
	return func(yield func(T, error) bool) {
		for v, err := range all {
			if (err != nil || place(&v) > after) && !yield(v, err) {
				return
			}
		}
	}
}

func (x *exchange) getDiff() error {
	r := DiffRequest{A: x.query.Get("a"), B: x.query.Get("b"), Key: x.query.Get("key")}
	switch {
	case r.A == "":
		return invalid("a is missing: the fork to compare, or FORK@AT")
	case r.B == "":
		return invalid("b is missing: the fork to compare with, or FORK@AT")
	}
	key := func(d *Difference) string { return d.Key }
	all := x.Service.Merges.Diff(x.r.Context(), r)
	return writeList(x, "differences", behind(all, x.query.Get("after"), key),
		func(b []byte, d *Difference) []byte {
			if d.Fields == nil && !d.Layout {
				d.Fields, _ = CompareFields(d.KindA, d.A, d.KindB, d.B, nil)
			}
			return d.appendJSON(b)
		}, key)
}
