package rpc

import (
	"bufio"
	"encoding/base64"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"crush/crdt"
	"crush/dag"
)

// The bodies of the ancestor's API are byte-compatible: members in
// alphabetical order, nothing escaped that JSON does not ask for.
const ancestorOK = `{"status":"ok"}`

// serveAncestor serves /KEY[/FORK][/info] and /KEY/FORK/(fork|merge)/TARGET.
func (x *exchange) serveAncestor(path string) error {
	segments := strings.SplitN(path, "/", 5)
	for i, s := range segments {
		var err error
		if segments[i], err = unescape(s); err != nil {
			return err
		}
	}
	x.key, x.fork = segments[0], dag.DefaultForkName
	if err := checkKey(x.key); err != nil {
		return err
	}
	switch n := len(segments); {
	case n == 1:
		return x.ancestorValue()
	case n == 2 && segments[1] == "info":
		return x.ancestorInfo()
	case n == 2:
		x.fork = segments[1]
		return x.ancestorValue()
	case n == 3 && segments[2] == "info":
		x.fork = segments[1]
		return x.ancestorInfo()
	case n == 4 && (segments[2] == "fork" || segments[2] == "merge"):
		x.fork = segments[1]
		return x.ancestorFork(segments[2], segments[3])
	}
	return &Error{Code: CodeNotFound, Message: "there is no such route: a slash of a key is sent as %2F"}
}

func (x *exchange) keyRef() KeyRef { return KeyRef{Fork: x.fork, Key: x.key} }

// methodError answers 405 with what is allowed.
func (x *exchange) methodError(allowed ...string) error {
	x.w.Header()["Allow"] = []string{strings.Join(allowed, ", ")}
	return &Error{Code: CodeMethod, Message: x.r.Method + " is not for this path: it takes " + strings.Join(allowed, ", ")}
}

func (x *exchange) ancestorValue() error {
	switch x.r.Method {
	case http.MethodGet, http.MethodHead:
		return x.ancestorGet()
	case http.MethodPut:
		return x.ancestorPut()
	case http.MethodDelete:
		_, err := x.Service.Values.Delete(x.r.Context(), DeleteRequest{KeyRef: x.keyRef(), Claim: x.claimed()})
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		return x.writeBody(http.StatusOK, contentJSON, []byte(ancestorOK))
	}
	return x.methodError(http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete)
}

func (x *exchange) ancestorPut() error {
	value, err := x.readValue()
	if err != nil {
		return err
	}
	_, err = x.Service.Values.Put(x.r.Context(), PutRequest{
		KeyRef: x.keyRef(), Claim: x.claimed(), Value: value, Kind: crdt.Bytes, CreateFork: true,
	})
	if err != nil {
		return err
	}
	return x.writeBody(http.StatusOK, contentJSON, []byte(ancestorOK))
}

// claimed is the claim of a request that makes none of its own.
func (x *exchange) claimed() Claim {
	if x.Author == nil {
		return Claim{}
	}
	return Claim{Author: x.Author(x.r)}
}

// ancestorGet answers [value, history], or [] for what is not there.
func (x *exchange) ancestorGet() error {
	most, patched, err := historyWanted(x.r.URL)
	if err != nil {
		return err
	}
	entry, err := x.ancestorEntry(false)
	if err != nil {
		return err
	}
	if entry.Deleted {
		return x.writeBody(http.StatusOK, contentJSON, []byte("[]"))
	}
	if most == 0 {
		return x.writeJSON(http.StatusOK, func(b []byte) []byte {
			return append(appendAncestorValue(b, entry.Value), ",[]]"...)
		})
	}
	return x.ancestorHistory(entry, most, patched)
}

func appendAncestorValue(b, value []byte) []byte {
	b = slices.Grow(b, base64.StdEncoding.EncodedLen(len(value))+8)
	b = append(b, '[', '"')
	b = base64.StdEncoding.AppendEncode(b, value)
	return append(b, '"')
}

// ancestorEntry reads the key; a fork that does not exist has no keys.
func (x *exchange) ancestorEntry(meta bool) (Entry, error) {
	entry, err := x.Service.Values.Get(x.r.Context(), GetRequest{KeyRef: x.keyRef(), Meta: meta, Bare: true})
	if errors.Is(err, ErrNotFound) {
		return Entry{Deleted: true}, nil
	}
	return entry, err
}

// historyWanted reads ?revisions=N|all and &patch=true.
func historyWanted(u *url.URL) (most uint64, patched bool, err error) {
	if u.RawQuery == "" {
		return 0, false, nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return 0, false, invalid("the query does not parse: " + err.Error())
	}
	patched = query.Get("patch") == "true"
	switch n := query.Get("revisions"); n {
	case "":
	case "all":
		most = math.MaxUint64
	default:
		if most, err = strconv.ParseUint(n, 10, 64); err != nil {
			most = 0 // garbage, as in the ancestor
		}
	}
	return most, patched, nil
}

// steadyReads is how often a read of value and history is tried again when a
// write came between the two.
const steadyReads = 8

// errMoved marks a history that is not that of the value read before it.
var errMoved = errors.New("the key was written meanwhile")

// ancestorHistory streams the newest values before the entry, or the patches
// to them, with two values in memory.
func (x *exchange) ancestorHistory(entry Entry, most uint64, patched bool) error {
	for try := 0; ; try++ {
		err := x.stream(contentJSON, func(w *bufio.Writer) error {
			return x.writeHistory(w, entry, most, patched, try < steadyReads)
		})
		if !errors.Is(err, errMoved) {
			return err
		}
		if entry, err = x.ancestorEntry(false); err != nil {
			return err
		}
		if entry.Deleted {
			return x.writeBody(http.StatusOK, contentJSON, []byte("[]"))
		}
	}
}

// writeHistory returns errMoved, having written nothing, when the history is
// not the entry's; only if check is set.
func (x *exchange) writeHistory(w *bufio.Writer, entry Entry, most uint64, patched, check bool) error {
	b := append(appendAncestorValue(nil, entry.Value), ',', '[')
	newer, n := entry.Value, uint64(0)
	for older, err := range x.Service.Ancestry.Previous(x.r.Context(), x.keyRef()) {
		if err != nil {
			return err
		}
		if n == 0 && check {
			now, err := x.ancestorEntry(true)
			if err != nil {
				return err
			}
			if now.Token != entry.Token {
				return errMoved
			}
		}
		if n > 0 {
			b = append(b, ',')
		}
		b = appendPrevious(b, newer, older, patched)
		if _, err := w.Write(b); err != nil {
			return err
		}
		b, newer = b[:0], older
		if n++; n == most {
			break
		}
	}
	_, err := w.Write(append(b, ']', ']'))
	return err
}

func appendPrevious(b, newer, older []byte, patched bool) []byte {
	if !patched {
		return Diff(newer, older).appendJSON(b)
	}
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, older)
	return append(b, '"')
}

// ancestorInfo answers how many values stand before the served one.
func (x *exchange) ancestorInfo() error {
	if !isRead(x.r.Method) {
		return x.methodError(http.MethodGet, http.MethodHead)
	}
	n, err := x.Service.Ancestry.PreviousCount(x.r.Context(), x.keyRef())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return x.writeJSON(http.StatusOK, func(b []byte) []byte {
		b = appendStringMember(append(b, '{'), "key", x.key)
		return append(appendUintMember(b, "revision_count", n), '}')
	})
}

// ancestorFork forks a key to another fork, or merges it into one.
func (x *exchange) ancestorFork(change, target string) error {
	if x.r.Method != http.MethodPost {
		return x.methodError(http.MethodPost)
	}
	forks := x.Service.AncestorForks
	if forks == nil {
		return x.writeBody(http.StatusNotFound, contentJSON,
			[]byte(`{"error":"not_found","message":"this daemon serves no forks and merges","status":"error"}`))
	}
	var err error
	if change == "fork" {
		err = forks.ForkKey(x.r.Context(), x.key, x.fork, target)
	} else {
		err = forks.MergeKey(x.r.Context(), x.key, x.fork, target)
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Code == CodeNotFound {
		return x.ancestorMissing(e.Message)
	}
	if err != nil {
		return err
	}
	return x.writeBody(http.StatusOK, contentJSON, []byte(ancestorOK))
}

// ancestorMissing answers 404 with the ancestor's word for it.
func (x *exchange) ancestorMissing(word string) error {
	switch word {
	case "source_not_found", "target_not_found":
	default:
		word = "not_found"
	}
	return x.writeBody(http.StatusNotFound, contentJSON, []byte(`{"error":"`+word+`","status":"error"}`))
}

// ancestorKeys streams "FORK:KEY" of every fork, or those of one fork below a
// prefix.
func (x *exchange) ancestorKeys() error {
	query, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return invalid("the query does not parse: " + err.Error())
	}
	fork, prefix := "", ""
	if query.Has("prefix") {
		fork, prefix = query.Get("fork"), query.Get("prefix")
		if fork == "" {
			fork = dag.DefaultForkName
		}
	}
	return x.stream(contentJSON, func(w *bufio.Writer) error {
		b := []byte{'['}
		for k, err := range x.Service.Ancestry.ForkKeys(x.r.Context(), fork, prefix) {
			if errors.Is(err, ErrNotFound) {
				break
			}
			if err != nil {
				return err
			}
			if len(b) == 0 {
				b = append(b, ',')
			}
			b = appendString(b, k.Fork+":"+k.Key)
			if _, err := w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
		_, err := w.Write(append(b, ']'))
		return err
	})
}
