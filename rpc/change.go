package rpc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MarshalJSON returns an element of a batch.
func (f File) MarshalJSON() ([]byte, error) { return f.appendJSON(nil), nil }

func (f *File) appendJSON(b []byte) []byte {
	b = appendStringMember(append(b, '{'), "key", f.Key)
	value := f.Value
	if value == nil {
		value = []byte{}
	}
	return append(appendValueMember(b, value), '}')
}

// UnmarshalJSON reads an element of a batch: its key, and its value or
// value_base64.
func (f *File) UnmarshalJSON(data []byte) error {
	var w struct {
		valueWire
		Key string `json:"key"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return fmt.Errorf("read file: %w", err)
	}
	*f = File{Key: w.Key, Value: w.bytes()}
	if f.Value == nil {
		return fmt.Errorf("read file %s: it has no value and no value_base64", quote(w.Key))
	}
	return nil
}

// postBatch writes many keys in one atomic change. The body is one JSON
// object, or a file a line with the options in the query.
func (x *exchange) postBatch() error {
	r := ApplyRequest{Fork: x.fork, Prefix: x.query.Get("prefix"), Label: x.query.Get("as")}
	var err error
	if r.Claim, err = x.claim(); err != nil {
		return err
	}
	if r.Prune, err = x.flag("prune"); err != nil {
		return err
	}
	if r.Plan, err = x.flag("plan"); err != nil {
		return err
	}
	values := &asides{dir: x.Aside}
	defer values.close() // of a file that nobody needs any more
	if err := x.readBatch(&r, values); err != nil {
		return err
	}
	for _, f := range r.Files {
		if err := checkKey(f.Key); err != nil {
			return invalid("file " + quote(f.Key) + ": " + err.Error())
		}
		if int64(f.Size()) > x.limits.Value {
			return &Error{Code: CodeTooLarge, Message: fmt.Sprintf("the value of %s is too large: at most %d bytes", quote(f.Key), x.limits.Value)}
		}
	}
	applied, err := x.Service.Changes.Apply(x.r.Context(), r)
	if err != nil {
		return err
	}
	return x.writeAny(applied)
}

func (x *exchange) readBatch(r *ApplyRequest, values *asides) error {
	if x.r.ContentLength > x.limits.Batch {
		return x.batchTooLarge()
	}
	body := newBodyReader(x)
	limited := &io.LimitedReader{R: body, N: x.limits.Batch + 1}
	var err error
	if strings.HasPrefix(x.header("Content-Type"), contentLines) {
		r.Files, err = readFiles(limited, values)
	} else {
		var w struct {
			Files  []File `json:"files"`
			Prefix string `json:"prefix"`
			Prune  bool   `json:"prune"`
			Plan   bool   `json:"plan"`
			Label  string `json:"as"`
		}
		w.Prefix, w.Prune, w.Plan, w.Label = r.Prefix, r.Prune, r.Plan, r.Label
		err = decodeStrictly(limited, &w)
		r.Files, r.Prefix, r.Prune, r.Plan, r.Label = w.Files, w.Prefix, w.Prune, w.Plan, w.Label
	}
	if limited.N <= 0 {
		return x.batchTooLarge()
	}
	if err == nil {
		body.done()
	}
	return err
}

func (x *exchange) batchTooLarge() error {
	return &Error{Code: CodeTooLarge, Message: fmt.Sprintf("the batch is too large: at most %d bytes", x.limits.Batch)}
}

// readFiles reads a file a line. The values of a long batch are put aside as they
// come.
func readFiles(r io.Reader, values *asides) ([]File, error) {
	var files []File
	d := json.NewDecoder(bufio.NewReaderSize(r, chunk))
	for {
		var f File
		err := d.Decode(&f)
		if err == io.EOF {
			return files, nil
		}
		if _, ok := errors.AsType[*Error](err); ok {
			return nil, err
		}
		if err != nil {
			return nil, invalid(fmt.Sprintf("file %d of the batch does not parse: %v", len(files)+1, err))
		}
		if len(files) == maxFiles {
			return nil, &Error{Code: CodeTooLarge, Message: fmt.Sprintf("the batch has too many files: at most %d", maxFiles)}
		}
		if err := values.add(&f); err != nil {
			return nil, err
		}
		files = append(files, f)
	}
}

// postRollback writes an old value again.
func (x *exchange) postRollback() error {
	var w struct {
		Key  string `json:"key"`
		To   string `json:"to"`
		Plan bool   `json:"plan"`
	}
	if err := x.readJSON(&w); err != nil {
		return err
	}
	if err := checkKey(w.Key); err != nil {
		return err
	}
	if w.To == "" {
		return invalid("to is missing: a revision, a time or a block")
	}
	claim, err := x.claim()
	if err != nil {
		return err
	}
	rolled, err := x.Service.Changes.Rollback(x.r.Context(), RollbackRequest{
		KeyRef: KeyRef{Fork: x.fork, Key: w.Key}, Claim: claim, To: w.To, Plan: w.Plan,
	})
	if err != nil {
		return err
	}
	return x.writeAny(rolled)
}
