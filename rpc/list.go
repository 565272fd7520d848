package rpc

import (
	"bufio"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"time"
)

// writeAny answers with the JSON of anything, off the hot paths.
func (x *exchange) writeAny(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	if err := x.awaitHeld(v, data); err != nil {
		return err
	}
	return x.writeBody(http.StatusOK, contentJSON, data)
}

// writeList answers with a member name of elements, and the member next if
// more follow; or with one element a line if the client takes lines.
func writeList[T any](x *exchange, name string, all iter.Seq2[T, error], add func(b []byte, v *T) []byte, cursor func(v *T) string) error {
	limit, err := x.limit()
	if err != nil {
		return err
	}
	if x.wantsLines() {
		return x.stream(contentLines, func(w *bufio.Writer) error {
			return writeLines(x, w, all, limit, add)
		})
	}
	return x.stream(contentJSON, func(w *bufio.Writer) error {
		b := append(appendName([]byte{'{'}, name), '[')
		n, last := 0, ""
		for v, err := range all {
			if err != nil {
				return err
			}
			if n == limit {
				b = appendStringMember(append(b, ']'), "next", last)
				_, err := w.Write(append(b, '}'))
				return err
			}
			if n > 0 {
				b = append(b, ',')
			}
			b = add(b, &v)
			n, last = n+1, cursor(&v)
			if _, err := w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
		_, err := w.Write(append(b, ']', '}'))
		return err
	})
}

// writeLines writes one element a line. An error after the first lines are
// out stands in the last line.
func writeLines[T any](x *exchange, w *bufio.Writer, all iter.Seq2[T, error], limit int, add func(b []byte, v *T) []byte) error {
	var b []byte
	n := 0
	for v, err := range all {
		if err != nil {
			if !x.wrote {
				return err
			}
			_, err = w.Write(append(appendError(nil, CodeOf(err), err.Error()), '\n'))
			return err
		}
		b = append(add(b[:0], &v), '\n')
		if _, err := w.Write(b); err != nil {
			return err
		}
		if n++; n == limit {
			break
		}
	}
	return nil
}

func (x *exchange) listRequest(values bool) ListRequest {
	return ListRequest{
		Fork: x.fork, Prefix: x.query.Get("prefix"), After: x.query.Get("after"), At: x.query.Get("at"),
		AfterBlock: x.query.Get("after_block"), Within: x.waitFor, Values: values,
	}
}

// listKeys answers with the keys of a fork.
func (x *exchange) listKeys() error {
	all := x.Service.Values.List(x.r.Context(), x.listRequest(false))
	return writeList(x, "keys", all,
		func(b []byte, e *Entry) []byte { return appendString(b, e.Key) },
		func(e *Entry) string { return e.Key })
}

// listKV answers with the keys and values of one snapshot.
func (x *exchange) listKV() error {
	meta, err := x.flag("meta")
	if err != nil {
		return err
	}
	r := x.listRequest(!meta)
	if r.Winner, err = x.winner(); err != nil {
		return err
	}
	all := x.Service.Values.List(x.r.Context(), r)
	return writeList(x, "entries", all,
		func(b []byte, e *Entry) []byte { return e.appendJSON(b) },
		func(e *Entry) string { return e.Key })
}

// mostGraph is how many changes a graph has at most: it is computed as a whole.
const mostGraph = 10_000

// getLog answers with the history of a key, of the keys below a prefix, of the
// fork, or, if the path names none, of every fork.
func (x *exchange) getLog() error {
	r := LogRequest{
		KeyRef: x.keyRef(), After: x.query.Get("after"), All: x.fork == "",
		Author: Author(x.query.Get("author")), Node: x.query.Get("node"),
	}
	if r.Key == "" {
		r.Key = x.query.Get("prefix")
	} else if err := checkKey(r.Key); err != nil {
		return err
	}
	var err error
	if r.Values, err = x.flag("values"); err != nil {
		return err
	}
	if since := x.query.Get("since"); since != "" {
		if r.Since, err = time.Parse(time.RFC3339, since); err != nil {
			return invalid("since must be an RFC 3339 time, not " + quote(since))
		}
	}
	if n := x.query.Get("graph"); n != "" {
		if r.Graph, err = strconv.Atoi(n); err != nil || r.Graph < 1 || r.Graph > mostGraph {
			return invalid(fmt.Sprintf("graph must be a number of changes up to %d, not %s", mostGraph, quote(n)))
		}
		if !x.wantsLines() {
			return x.writeGraph(r)
		}
	}
	return x.writeLog(x.Service.Histories.Log(x.r.Context(), r))
}

// writeGraph answers with a graph, which has no pages.
func (x *exchange) writeGraph(r LogRequest) error {
	all := struct {
		Log []LogEntry `json:"log"`
	}{[]LogEntry{}}
	for e, err := range x.Service.Histories.Log(x.r.Context(), r) {
		if err != nil {
			return err
		}
		all.Log = append(all.Log, e)
	}
	return x.writeAny(all)
}

func (x *exchange) writeLog(entries iter.Seq2[LogEntry, error]) error {
	return writeList(x, "log", entries,
		func(b []byte, e *LogEntry) []byte { return e.appendJSON(b) },
		func(e *LogEntry) string { return e.Cursor })
}

func (x *exchange) getShown() error {
	shown, err := x.Service.Histories.Show(x.r.Context(), x.id)
	if err != nil {
		return err
	}
	return x.writeAny(shown)
}

// getRevision is show, of revisions only.
func (x *exchange) getRevision() error {
	shown, err := x.Service.Histories.Show(x.r.Context(), x.id)
	if err != nil {
		return err
	}
	if shown.Revision == nil {
		return &Error{Code: CodeNotFound, Message: quote(x.id) + " is not a revision"}
	}
	return x.writeJSON(http.StatusOK, shown.Revision.appendJSON)
}

// getBlock is show, of blocks only.
func (x *exchange) getBlock() error {
	shown, err := x.Service.Histories.Show(x.r.Context(), x.id)
	if err != nil {
		return err
	}
	if shown.Block == nil {
		return &Error{Code: CodeNotFound, Message: quote(x.id) + " is not a block"}
	}
	return x.writeAny(shown.Block)
}
