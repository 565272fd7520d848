package rpc

import (
	"bytes"
	"net/http"
	"strconv"

	"crush/dag"
)

// getRequest is what a read of one key asks for.
func (x *exchange) getRequest() (GetRequest, error) {
	r := GetRequest{KeyRef: x.keyRef()}
	if err := checkKey(x.key); err != nil || x.query == nil {
		return r, err
	}
	r.Rev, r.At, r.After = Ref(x.query.Get("rev")), x.query.Get("at"), x.query.Get("after")
	var err error
	if r.Path, err = x.path(); err != nil {
		return r, err
	}
	if r.After == "" && x.query.Has("after") {
		return r, invalid("after is empty: the block to wait for")
	}
	if r.Rev != "" && r.At != "" {
		return r, invalid("at most one of rev and at can be asked for")
	}
	if r.Winner, err = x.winner(); err != nil {
		return r, err
	}
	if r.Meta, err = x.flag("meta"); err != nil {
		return r, err
	}
	r.Bare, err = x.flag("bare")
	return r, err
}

// winner reads whether what a policy withholds is asked for.
func (x *exchange) winner() (bool, error) {
	switch v := x.query.Get("served"); v {
	case "":
		return false, nil
	case ServedWinner:
		return true, nil
	default:
		return false, invalid("served must be winner, not " + quote(v))
	}
}

// getKV answers with the value's bytes and nothing else.
func (x *exchange) getKV() error {
	r, err := x.getRequest()
	if err != nil {
		return err
	}
	// What is left out stands in no header; the document says what a part is.
	r.Bare = r.Path == ""
	entry, err := x.Service.Values.Get(x.r.Context(), r)
	if err != nil {
		return err
	}
	x.entryHeaders(&entry)
	if entry.Deleted {
		// The token of an absent key stands in the headers: it can be matched.
		return &Error{Code: CodeNotFound, Message: "the key " + quote(x.key) + " is not there"}
	}
	if tags := x.header("If-None-Match"); tags != "" && matchesToken(tags, entry.Token) {
		x.writeHeader(http.StatusNotModified)
		return nil
	}
	return x.writeBody(http.StatusOK, contentOfEntry(&entry), entry.Value)
}

// contentOfEntry is the content type of what was read: a string that is a part
// of a document is text.
func contentOfEntry(e *Entry) string {
	if len(e.Document) > 0 && e.Document[0] == '"' && !bytes.Equal(e.Document, e.Value) {
		return contentText
	}
	return contentOf(e.Kind)
}

// entryHeaders sets the headers of a read.
func (x *exchange) entryHeaders(e *Entry) {
	tag := `"` + string(e.Token) + `"`
	values := [...]string{tag, tag[1 : len(tag)-1], strconv.FormatBool(e.Conflict), idText(e.Revision), ""}
	header := x.w.Header()
	header["ETag"] = values[0:1:1]
	header[headerToken] = values[1:2:2]
	header[headerConflict] = values[2:3:3]
	if !e.Revision.IsZero() {
		header[headerRevision] = values[3:4:4]
	}
	if !e.Kind.IsZero() {
		values[4] = e.Kind.String()
		header[headerKind] = values[4:5:5]
	}
	if e.Warning != "" {
		header[headerWarning] = []string{encodeHeader(e.Warning)}
	}
}

// idText is "" for the zero id.
func idText[T interface {
	dag.RevisionID | dag.BlockID
	IsZero() bool
	String() string
}](id T) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

func (x *exchange) putKV() error {
	if err := checkKey(x.key); err != nil {
		return err
	}
	claim, err := x.claim()
	if err != nil {
		return err
	}
	when, err := x.conditions()
	if err != nil {
		return err
	}
	kind, err := x.kind()
	if err != nil {
		return err
	}
	otherwise, err := x.otherwise()
	if err != nil {
		return err
	}
	create, err := x.flag("create_fork")
	if err != nil {
		return err
	}
	path, err := x.path()
	if err != nil {
		return err
	}
	value, err := x.readValue()
	if err != nil {
		return err
	}
	written, err := x.Service.Values.Put(x.r.Context(), PutRequest{
		KeyRef: x.keyRef(), Claim: claim, Value: value, Kind: kind, Otherwise: otherwise, Path: path,
		Base: when.base, IfMatch: when.match, IfAbsent: when.absent, CreateFork: create,
	})
	if err != nil {
		return err
	}
	return x.writeWritten(&written)
}

func (x *exchange) deleteKV() error {
	if err := checkKey(x.key); err != nil {
		return err
	}
	return x.delete(false)
}

// deletePrefix deletes every key below a prefix.
func (x *exchange) deletePrefix() error {
	if x.key = x.query.Get("prefix"); x.key == "" {
		return invalid("prefix is missing: name what to delete below")
	}
	return x.delete(true)
}

func (x *exchange) delete(recursive bool) error {
	claim, err := x.claim()
	if err != nil {
		return err
	}
	when, err := x.conditions()
	if err != nil {
		return err
	}
	if when.absent {
		return invalid("If-None-Match makes no sense for a delete")
	}
	path, err := x.path()
	if err != nil {
		return err
	}
	written, err := x.Service.Values.Delete(x.r.Context(), DeleteRequest{
		KeyRef: x.keyRef(), Claim: claim, Base: when.base, IfMatch: when.match, Recursive: recursive, Path: path,
	})
	if err != nil {
		return err
	}
	return x.writeWritten(&written)
}

// writeWritten answers a write of one key.
func (x *exchange) writeWritten(w *Written) error { return x.answerWrite(w, w.appendJSON) }

// answerWrite answers a write of one key with what fill appends.
func (x *exchange) answerWrite(w *Written, fill func(b []byte) []byte) error {
	tag := `"` + string(w.Token) + `"`
	values := [...]string{tag, tag[1 : len(tag)-1], idText(w.Revision), idText(w.Block)}
	header := x.w.Header()
	if w.Token != "" {
		header["ETag"] = values[0:1:1]
		header[headerToken] = values[1:2:2]
	}
	if values[2] != "" {
		header[headerRevision] = values[2:3:3]
	}
	if values[3] != "" {
		header[headerBlock] = values[3:4:4]
	}
	if !x.wait.IsZero() {
		if err := x.awaitHeld(w, fill(nil)); err != nil {
			return err
		}
	}
	return x.writeJSON(http.StatusOK, fill)
}

// getEntry answers with everything that is known of a key, as JSON. A key
// that is not there is an answer like any other.
func (x *exchange) getEntry() error {
	r, err := x.getRequest()
	if err != nil {
		return err
	}
	entry, err := x.Service.Values.Get(x.r.Context(), r)
	if err != nil {
		return err
	}
	return x.writeJSON(http.StatusOK, entry.appendJSON)
}

func (x *exchange) getInfo() error {
	if err := checkKey(x.key); err != nil {
		return err
	}
	info, err := x.Service.Histories.Info(x.r.Context(), x.keyRef())
	if err != nil {
		return err
	}
	return x.writeAny(info)
}
