package rpc

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"strings"
	"testing"
	"time"

	"crush/crdt"
	"crush/dag"
)

// OpenSeries implements Series: what was written before is one change.
func (f *fake) OpenSeries(_ context.Context, prefix string) iter.Seq2[SeriesEntry, error] {
	return func(yield func(SeriesEntry, error) bool) {
		if yield(SeriesEntry{Series: "n5"}, nil) {
			yield(SeriesEntry{Source: prefix + "1", Block: dag.BlockID{1}, Fork: dag.DefaultFork(), Live: true}, nil)
		}
	}
}

// WriteSeries implements Series: a change with the source "bad" fails.
func (f *fake) WriteSeries(_ context.Context, id string, sent int, changes []SeriesChange, c Claim) (done []SeriesReceipt, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = changes
	if id != "n5" || sent != 0 && sent != 7 {
		return nil, &Error{Code: CodeStale, Message: "another series"}
	}
	for _, ch := range changes {
		if ch.Source == "bad" {
			return done, &Error{Code: CodeConflict, Message: "it is bad, says " + string(c.Author)}
		}
		done = append(done, SeriesReceipt{Block: dag.BlockID{2}, Fork: dag.DefaultFork(), Written: len(ch.Writes)})
	}
	return done, nil
}

func TestSeries(t *testing.T) {
	r := serve(t, nil)
	var got []SeriesEntry
	for e, err := range r.client.OpenSeries(t.Context(), "git:") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if len(got) != 2 || got[0].Series != "n5" || got[1] != (SeriesEntry{Source: "git:1", Block: dag.BlockID{1}, Fork: dag.DefaultFork(), Live: true}) {
		t.Fatalf("the series opens with %+v", got)
	}
	sent := []SeriesChange{{
		Source: "s", Author: "a <b>", Message: "m\n\u2028", Time: time.UnixMilli(-1500).UTC(), Fork: "git/1", Create: true,
		From: []SeriesPlace{{"default", dag.BlockID{7}}, {"git/2", dag.BlockID{8}}}, Remove: []string{"git/2"}, Tag: "t",
		Writes: []SeriesWrite{
			{Key: "k", Value: []byte("text \"\\\n\x00é")},
			{Key: "empty", Value: []byte{}, Kind: crdt.Text},
			{Key: "raw", Value: []byte{0xff, 0, 0x80}},
			{Key: "gone", Deleted: true},
		},
	}, {Source: "s2", Fork: "default", From: []SeriesPlace{{Fork: "git/3"}}, Writes: []SeriesWrite{{Key: "k", Value: []byte{}}}}, {Source: "bad", Tag: "t"}, {Source: "s4", Tag: "t"}}
	done, err := r.client.WriteSeries(t.Context(), "n5", 7, sent, Claim{Author: "me"})
	if !errors.Is(err, ErrConflict) || err.Error() != "it is bad, says me" {
		t.Errorf("the third change: %v", err)
	}
	if len(done) != 2 || done[0] != (SeriesReceipt{Block: dag.BlockID{2}, Fork: dag.DefaultFork(), Written: 4}) {
		t.Errorf("of which are written: %+v", done)
	}
	read := r.fake.last.([]SeriesChange)
	for i := range read {
		if read[i].From == nil || read[i].Remove == nil || read[i].Writes == nil {
			t.Errorf("change %d arrived with a nil list", i)
		}
		if len(read[i].From)+len(read[i].Remove)+len(read[i].Writes) == 0 || i > 0 {
			continue
		}
		if !reflect.DeepEqual(read[i], sent[i]) {
			t.Errorf("change %d arrived as\n%+v, not\n%+v", i, read[i], sent[i])
		}
	}
	if len(read) != len(sent) {
		t.Errorf("%d changes arrived", len(read))
	}
	if _, err := r.client.WriteSeries(t.Context(), "old", 0, sent, Claim{}); !errors.Is(err, ErrStale) {
		t.Errorf("a series that is over: %v", err)
	}
}

// TestSeriesRefuses refuses bodies that mean nothing, whole: their first change
// is good.
func TestSeriesRefuses(t *testing.T) {
	f := newFake()
	h := NewHandler(HandlerConfig{Service: f.service(), Limits: Limits{Value: 8}})
	const good = `{"source":"s","fork":"default","writes":[{"key":"k","value":"v"}]}` + "\n"
	for body, status := range map[string]int{
		`{"fork":"default"}`: 400,
		`{"source":"s","writes":[{"key":"k","value":"v"}]}`:                          400,
		`{"source":"s","fork":"f","writes":[{"key":"","value":"v"}]}`:                400,
		`{"source":"s","fork":"f","writes":[{"key":"k"}]}`:                           400,
		`{"source":"s","fork":"f","writes":[{"key":"k","value":"","deleted":true}]}`: 400,
		`{"source":"s","fork":"f","writes":[{"key":"k","value":"123456789"}]}`:       413,
		`{"source":"s","fork":"f","writes":[{"key":"k","value":"v","kind":"what"}]}`: 400,
		`{"source":"s","fork":"f","from":[{"fork":"g","blok":""}]}`:                  400,
		`{"source":"s","tag":"t","from":[{"fork":"g"}]}`:                             400,
		`{"source":"s","fork":"f","misspelt":1}`:                                     400,
		`{"source":"s"`:                                                              400,
		strings.Repeat(`{"source":"s","tag":"t"}`, maxSeries):                        413,
	} {
		f.last = nil
		w := call(h, "POST", "/api/v1/series/n5?sent=0", strings.NewReader(good+body))
		if w.Code != status || f.last != nil {
			t.Errorf("%.80s: %d %s", body, w.Code, w.Body)
		}
	}
	for _, query := range []string{"", "?sent=-1", "?sent=x"} {
		want(t, call(h, "POST", "/api/v1/series/n5"+query, strings.NewReader(good)), 400, "sent must be")
	}
	want(t, call(h, "POST", "/api/v1/series", strings.NewReader(`{}`)), 400, "prefix")
}
