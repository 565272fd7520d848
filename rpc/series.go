package rpc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"time"

	"crush/crdt"
	"crush/dag"
)

// Series writes a history that comes from elsewhere: one atomic change after
// the other, each a block of its own, with many of them a batch on disk.
type Series interface {
	// OpenSeries yields first an entry with the id of a new series, and then what
	// was written before from sources that begin with a prefix, in the order in
	// which it came to this node. The series that was open before ends, when what
	// it is writing is written.
	OpenSeries(ctx context.Context, prefix string) iter.Seq2[SeriesEntry, error]
	// WriteSeries writes changes of the open series, behind the first sent ones,
	// whose requests it waits for. At the first that fails it returns its error,
	// with the receipts of those before it, which are written; and the series is
	// over. One that is over is ErrStale. The claim is that of changes which name
	// no author or no message.
	WriteSeries(ctx context.Context, id string, sent int, changes []SeriesChange, c Claim) ([]SeriesReceipt, error)
}

// SeriesEntry is a change that was written before, or the id of the series.
type SeriesEntry struct {
	Series string      `json:"series,omitempty"`
	Source string      `json:"source,omitempty"`
	Block  dag.BlockID `json:"-"`
	Fork   dag.ForkID  `json:"-"` // that it was about; zero for none
	// Live is true if that fork is not removed.
	Live bool `json:"live,omitempty"`
}

type seriesEntryWire struct {
	seriesEntryPlain
	Block blockText `json:"block"`
	Fork  forkText  `json:"fork"`
}

type seriesEntryPlain SeriesEntry

// MarshalJSON implements json.Marshaler.
func (e SeriesEntry) MarshalJSON() ([]byte, error) {
	return json.Marshal(seriesEntryWire{seriesEntryPlain(e), blockText{e.Block}, forkText{e.Fork}})
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *SeriesEntry) UnmarshalJSON(data []byte) error {
	var w seriesEntryWire
	err := json.Unmarshal(data, &w)
	*e = SeriesEntry(w.seriesEntryPlain)
	e.Block, e.Fork = w.Block.is, w.Fork.is
	return err
}

// SeriesChange is one atomic change. First it makes a fork, or merges, removes
// forks and sets a tag; then it writes, where a key does not serve the value
// already and without a conflict.
type SeriesChange struct {
	// Source names the change for ever, so that a later series can tell that it
	// is written.
	Source  string    `json:"source"`
	Author  Author    `json:"author,omitempty"`
	Message string    `json:"message,omitempty"`
	Time    time.Time `json:"-"` // claimed; zero for none
	// Fork is the name or id of the fork that the change is about; "" if it only
	// sets a tag.
	Fork string `json:"fork,omitempty"`
	// Create makes Fork, as From was; with no From it shows nothing yet. Else
	// From is merged into it.
	Create bool          `json:"create,omitempty"`
	From   []SeriesPlace `json:"from,omitempty"`
	Remove []string      `json:"remove,omitempty"` // forks
	Tag    string        `json:"tag,omitempty"`    // of From's blocks
	Writes []SeriesWrite `json:"writes,omitempty"`
}

// SeriesPlace is a fork as it was at a block, or, if that is zero, as the changes
// before have left it; a tag needs blocks.
type SeriesPlace struct {
	Fork  string
	Block dag.BlockID
}

type seriesPlaceWire struct {
	Fork  string    `json:"fork"`
	Block blockText `json:"block"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *SeriesPlace) UnmarshalJSON(data []byte) error {
	var w seriesPlaceWire
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(&w)
	*p = SeriesPlace{w.Fork, w.Block.is}
	return err
}

// SeriesWrite is what a key is to serve.
type SeriesWrite struct {
	Key     string
	Kind    crdt.Kind // zero keeps the kind of the key, or is bytes
	Value   []byte
	Deleted bool
}

// SeriesReceipt says what was written of a change.
type SeriesReceipt struct {
	Block dag.BlockID // zero if nothing was to write
	Fork  dag.ForkID  // that the change was about; zero for none
	// Written and Deleted count revisions; Equal the keys that were as wanted.
	Written, Deleted, Equal int
	// Unparsed counts the values, of those written, that were to be a json or
	// yaml and do not parse: they are text, or bytes if they are not that either.
	Unparsed int
}

type seriesReceiptWire struct {
	Block   blockText `json:"block"`
	Fork    forkText  `json:"fork"`
	Written int       `json:"written"`
	Deleted int       `json:"deleted"`
	Equal   int       `json:"equal"`

	Unparsed int `json:"unparsed,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (r SeriesReceipt) MarshalJSON() ([]byte, error) {
	return json.Marshal(seriesReceiptWire{blockText{r.Block}, forkText{r.Fork}, r.Written, r.Deleted, r.Equal, r.Unparsed})
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *SeriesReceipt) UnmarshalJSON(data []byte) error {
	var w seriesReceiptWire
	err := json.Unmarshal(data, &w)
	*r = SeriesReceipt{w.Block.is, w.Fork.is, w.Written, w.Deleted, w.Equal, w.Unparsed}
	return err
}

// seriesReceipts is the answer of a write.
type seriesReceipts struct {
	Receipts []SeriesReceipt `json:"receipts"`
}

// appendJSON appends the change as one line of a body, without its end.
func (c *SeriesChange) appendJSON(b []byte) []byte {
	b = appendStringMember(append(b, '{'), "source", c.Source)
	if c.Author != "" {
		b = appendStringMember(b, "author", string(c.Author))
	}
	if c.Message != "" {
		b = appendStringMember(b, "message", c.Message)
	}
	if !c.Time.IsZero() {
		b = appendTimeMember(b, "time", c.Time)
	}
	if c.Fork != "" {
		b = appendStringMember(b, "fork", c.Fork)
	}
	if c.Create {
		b = appendBoolMember(b, "create", true)
	}
	b = append(appendName(b, "from"), '[')
	for i, p := range c.From {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendIDMember(appendStringMember(append(b, '{'), "fork", p.Fork), "block", p.Block)
		b = append(b, '}')
	}
	b = append(appendName(append(b, ']'), "remove"), '[')
	for i, name := range c.Remove {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, name)
	}
	b = append(b, ']')
	if c.Tag != "" {
		b = appendStringMember(b, "tag", c.Tag)
	}
	b = append(appendName(b, "writes"), '[')
	for i := range c.Writes {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.Writes[i].appendJSON(b)
	}
	return append(b, ']', '}')
}

func (w *SeriesWrite) appendJSON(b []byte) []byte {
	b = appendStringMember(append(b, '{'), "key", w.Key)
	switch {
	case w.Deleted:
		b = appendBoolMember(b, "deleted", true)
	case w.Value == nil:
		b = appendValueMember(b, []byte{})
	default:
		b = appendValueMember(b, w.Value)
	}
	if !w.Kind.IsZero() {
		b = appendStringMember(b, "kind", w.Kind.String())
	}
	return append(b, '}')
}

// seriesChangeWire is a line of a body.
type seriesChangeWire struct {
	Source  string            `json:"source"`
	Author  Author            `json:"author"`
	Message string            `json:"message"`
	Time    stamp             `json:"time"`
	Fork    string            `json:"fork"`
	Create  bool              `json:"create"`
	From    []SeriesPlace     `json:"from"`
	Remove  []string          `json:"remove"`
	Tag     string            `json:"tag"`
	Writes  []seriesWriteWire `json:"writes"`
}

type seriesWriteWire struct {
	valueWire
	Key     string   `json:"key"`
	Kind    kindText `json:"kind"`
	Deleted bool     `json:"deleted"`
}

func (w *seriesChangeWire) change(limit int64) (c SeriesChange, err error) {
	c = SeriesChange{
		Source: w.Source, Author: w.Author, Message: w.Message, Time: w.Time.Time, Fork: w.Fork, Create: w.Create,
		From: w.From, Remove: w.Remove, Tag: w.Tag, Writes: make([]SeriesWrite, len(w.Writes)),
	}
	switch {
	case w.Source == "":
		return c, invalid("a change names no source")
	case w.Tag != "" && slices.ContainsFunc(w.From, func(p SeriesPlace) bool { return p.Block.IsZero() }):
		return c, invalid("the tag " + quote(w.Tag) + " names no block")
	case w.Fork == "" && (w.Create || w.Tag == "" || len(w.Writes)+len(w.Remove) > 0):
		return c, invalid("the change " + quote(w.Source) + " names no fork")
	}
	for i := range w.Writes {
		from := &w.Writes[i]
		to := SeriesWrite{Key: from.Key, Kind: from.Kind.is, Value: from.bytes(), Deleted: from.Deleted}
		if err := checkKey(to.Key); err != nil {
			return c, invalid("the change " + quote(w.Source) + ": key " + quote(to.Key) + ": " + err.Error())
		}
		if to.Deleted != (to.Value == nil) {
			return c, invalid("the change " + quote(w.Source) + ": " + quote(to.Key) + " wants one of value, value_base64 and deleted")
		}
		if int64(len(to.Value)) > limit {
			return c, &Error{Code: CodeTooLarge, Message: fmt.Sprintf("the value of %s is too large: at most %d bytes", quote(to.Key), limit)}
		}
		c.Writes[i] = to
	}
	return c, nil
}

// maxSeries is the most changes of one request.
const maxSeries = 1 << 10

// openSeries answers with the id of a new series and what was written before.
func (x *exchange) openSeries() error {
	var w struct {
		Prefix string `json:"prefix"`
	}
	if err := x.readJSON(&w); err != nil {
		return err
	}
	if w.Prefix == "" {
		return invalid("prefix is missing: what the sources of the series begin with")
	}
	all := x.Service.Series.OpenSeries(x.r.Context(), w.Prefix)
	return x.stream(contentLines, func(out *bufio.Writer) error {
		for e, err := range all {
			var line []byte
			if err == nil {
				line, err = json.Marshal(e)
			}
			if err != nil && x.wrote {
				line, err = appendError(nil, CodeOf(err), err.Error()), nil
			}
			if err != nil {
				return err
			}
			if _, err := out.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeSeries writes the changes of the body, one a line.
func (x *exchange) writeSeries() error {
	claim, err := x.claim()
	if err != nil {
		return err
	}
	sent, err := strconv.Atoi(x.query.Get("sent"))
	if err != nil || sent < 0 {
		return invalid("sent must be the number of the series' changes that other requests hold, before those of this one")
	}
	changes, err := x.readSeries()
	if err != nil {
		return err
	}
	done, err := x.Service.Series.WriteSeries(x.r.Context(), x.id, sent, changes, claim)
	if err == nil {
		return x.writeAny(seriesReceipts{list(done)})
	}
	written, bad := json.Marshal(seriesReceipts{list(done)})
	return errors.Join(&Error{Code: CodeOf(err), Message: err.Error(), Cause: err, Written: written}, bad)
}

func (x *exchange) readSeries() (changes []SeriesChange, err error) {
	if x.r.ContentLength > x.limits.Batch {
		return nil, x.batchTooLarge()
	}
	body := newBodyReader(x)
	limited := &io.LimitedReader{R: body, N: x.limits.Batch + 1}
	d := json.NewDecoder(bufio.NewReaderSize(limited, chunk))
	d.DisallowUnknownFields()
	for {
		var w seriesChangeWire
		err := d.Decode(&w)
		switch {
		case limited.N <= 0:
			return nil, x.batchTooLarge()
		case err == io.EOF:
			body.done()
			return changes, nil
		case err == nil && len(changes) == maxSeries:
			return nil, &Error{Code: CodeTooLarge, Message: fmt.Sprintf("more than %d changes in one request", maxSeries)}
		case err != nil:
			if _, ok := errors.AsType[*Error](err); ok {
				return nil, err
			}
			return nil, invalid(fmt.Sprintf("change %d of the series does not parse: %v", len(changes)+1, err))
		}
		c, err := w.change(x.limits.Value)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c)
	}
}
