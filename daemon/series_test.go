package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"crush/crdt"
	"crush/dag"
	"crush/dag/dagtest"
	"crush/rpc"
)

// openSeries begins a series, and returns what was written before by its sources.
func (l *lab) openSeries(prefix string) (id string, before map[string]rpc.SeriesEntry) {
	l.t.Helper()
	before = map[string]rpc.SeriesEntry{}
	for e, err := range l.OpenSeries(l.t.Context(), prefix) {
		if err != nil {
			l.t.Fatal(err)
		}
		if e.Series != "" {
			id = e.Series
			continue
		}
		before[e.Source] = e
	}
	return id, before
}

// series writes changes, all of which have to work.
func (l *lab) series(id string, changes ...rpc.SeriesChange) []rpc.SeriesReceipt {
	l.t.Helper()
	done, err := l.WriteSeries(l.t.Context(), id, l.Replica.series.next, changes, rpc.Claim{Author: "me"})
	if err != nil || len(done) != len(changes) {
		l.t.Fatalf("%d of %d written: %v", len(done), len(changes), err)
	}
	return done
}

func wants(key, value string) rpc.SeriesWrite { return rpc.SeriesWrite{Key: key, Value: []byte(value)} }

// TestSeries writes a fork, its merge with what is wanted behind it, and the
// fork's removal, and reads back blocks, notes and values.
func TestSeries(t *testing.T) {
	l := newLab(t, "a")
	id, _ := l.openSeries("s/")
	when := time.UnixMilli(1_000)
	first := l.series(id, rpc.SeriesChange{
		Source: "s/1", Fork: "default", Author: "Ann", Message: "one", Time: when,
		Writes: []rpc.SeriesWrite{wants("a", "1"), wants("b", "1"), wants("c", "1"), {Key: "not there", Deleted: true}},
	})[0]
	if first.Written != 3 || first.Equal != 1 || first.Fork != dag.DefaultFork() || first.Block.IsZero() {
		t.Errorf("the first: %+v", first)
	}
	base := []rpc.SeriesPlace{{Fork: "default", Block: first.Block}}
	// In one batch: what merges stands on forks and heads that are no part of the
	// graph yet.
	done := l.series(id,
		rpc.SeriesChange{Source: "s/2", Fork: "side", Create: true, From: base},
		rpc.SeriesChange{Source: "s/3", Fork: "side", Writes: []rpc.SeriesWrite{wants("a", "side"), wants("b", "side"), wants("new", "side")}},
		rpc.SeriesChange{Source: "s/4", Fork: "default", Writes: []rpc.SeriesWrite{wants("b", "2"), {Key: "c", Deleted: true}}},
		rpc.SeriesChange{
			Source: "s/5", Fork: "default", From: []rpc.SeriesPlace{{Fork: "side"}}, Remove: []string{"side"},
			Writes: []rpc.SeriesWrite{wants("a", "side"), wants("b", "2"), wants("new", "merged"), {Key: "c", Deleted: true}},
		},
		rpc.SeriesChange{Source: "s/6", Tag: "v1", From: base},
		rpc.SeriesChange{Source: "s/7", Fork: "default", Writes: []rpc.SeriesWrite{wants("a", "side")}},
	)
	merged := done[3:]
	// a came with the merge, c was gone; b was in conflict, though it served what
	// is wanted.
	if m := merged[0]; m.Written != 2 || m.Equal != 2 || m.Deleted != 0 {
		t.Errorf("the merge: %+v", m)
	}
	if !merged[2].Block.IsZero() || merged[2].Equal != 1 {
		t.Errorf("a change with nothing to write: %+v", merged[2])
	}
	for key, value := range map[string]string{"a": "side", "b": "2", "new": "merged"} {
		l.serves("default", key, value)
	}
	if e, err := l.Get(t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Key: "b"}, At: "v1"}); err != nil || string(e.Value) != "1" || e.Author != "me" && e.Author != "Ann" {
		t.Errorf("at the tag: %+v, %v", e, err)
	}
	if f, ok := l.Graph().ForkNamed("side"); ok {
		t.Errorf("the fork is still there: %+v", f)
	}
	b, err := l.Graph().Block(first.Block)
	if err != nil || *b.Block.Note != (dag.Note{Author: "Ann", Message: "one", Time: 1_000, Source: "s/1"}) || len(b.Changes) != 3 {
		t.Errorf("the first block: %+v, %v", b.Block.Note, err)
	}
	again, before := l.openSeries("s/")
	if len(before) != 6 || before["s/1"].Block != first.Block || before["s/3"].Live || before["s/3"].Fork != done[1].Fork || !before["s/5"].Live {
		t.Errorf("written before: %+v", before)
	}
	if _, before := l.openSeries("other"); len(before) > 0 {
		t.Errorf("of another prefix: %+v", before)
	}
	for _, old := range []string{id, again, ""} { // l.openSeries has begun another since
		if _, err := l.WriteSeries(t.Context(), old, 0, []rpc.SeriesChange{{Source: "s/9", Tag: "t"}}, rpc.Claim{}); !errors.Is(err, rpc.ErrStale) {
			t.Errorf("a series that is over: %v", err)
		}
	}
}

// TestSeriesFails stops at the first change that cannot be, keeps those before
// it, and says which it was.
func TestSeriesFails(t *testing.T) {
	good := rpc.SeriesChange{Source: "good", Fork: "default", Writes: []rpc.SeriesWrite{wants("k", "v")}}
	for why, bad := range map[string]struct {
		change rpc.SeriesChange
		code   rpc.Code
	}{
		"no fork":         {rpc.SeriesChange{Fork: "nowhere", Writes: []rpc.SeriesWrite{wants("k", "w")}}, rpc.CodeNotFound},
		"no source":       {rpc.SeriesChange{Fork: "default", From: []rpc.SeriesPlace{{Fork: "nowhere"}}}, rpc.CodeNotFound},
		"no block":        {rpc.SeriesChange{Fork: "new", Create: true, From: []rpc.SeriesPlace{{Fork: "default", Block: dag.BlockID{1}}}}, rpc.CodeInternal},
		"a fork too many": {rpc.SeriesChange{Fork: "default", Create: true}, rpc.CodeStale},
		"a bad name":      {rpc.SeriesChange{Fork: "a b", Create: true}, rpc.CodeInvalid},
		"nothing removed": {rpc.SeriesChange{Fork: "default", Remove: []string{"nowhere"}}, rpc.CodeNotFound},
		"a bad tag":       {rpc.SeriesChange{Tag: "a b"}, rpc.CodeInvalid},
		"no text": {rpc.SeriesChange{Fork: "default", Writes: []rpc.SeriesWrite{
			wants("half", "1"), {Key: "k2", Kind: crdt.Text, Value: []byte{0xff}},
		}}, rpc.CodeUnparsed},
		"large, no fork": {rpc.SeriesChange{Fork: "nowhere", Writes: []rpc.SeriesWrite{wants("k", strings.Repeat("x", 8000))}}, rpc.CodeNotFound},
		"large, a fork":  {rpc.SeriesChange{Fork: "new", Create: true, Writes: []rpc.SeriesWrite{wants("k", strings.Repeat("x", 8000))}}, rpc.CodeTooLarge},
	} {
		t.Run(why, func(t *testing.T) {
			l := newSmallLab(t)
			id, _ := l.openSeries("b")
			bad.change.Source = "bad"
			done, err := l.WriteSeries(t.Context(), id, 0, []rpc.SeriesChange{good, bad.change, good}, rpc.Claim{})
			if rpc.CodeOf(err) != bad.code || !strings.Contains(err.Error(), "change bad") || len(done) != 1 {
				t.Errorf("%d written, then %v (%s)", len(done), err, rpc.CodeOf(err))
			}
			if _, err := l.WriteSeries(t.Context(), id, 1, []rpc.SeriesChange{good}, rpc.Claim{}); !errors.Is(err, rpc.ErrStale) {
				t.Errorf("behind it: %v", err)
			}
			l.serves("default", "k", "v")
			if _, before := l.openSeries("bad"); len(before) > 0 {
				t.Errorf("of the bad change there is %+v", before)
			}
			if keys, err := l.presentKeys(t.Context(), dag.DefaultFork(), ""); err != nil || len(keys) != 1 {
				t.Errorf("the fork has %q, %v", keys, err)
			}
		})
	}
}

// TestSeriesLarge writes a merge that does not fit a block: for every reader it
// is there whole or not at all, and only its last block names the source.
func TestSeriesLarge(t *testing.T) {
	l := newSmallLab(t)
	id, _ := l.openSeries("s")
	change := func(source, fork, value string) rpc.SeriesChange {
		c := rpc.SeriesChange{Source: source, Fork: fork}
		for i := range largeKeys {
			c.Writes = append(c.Writes, wants(fmt.Sprintf("p/%02d", i), value))
		}
		return c
	}
	value := strings.Repeat("v", 200)
	var first, side rpc.SeriesReceipt
	l.inParts("the first", func() error { first = l.series(id, change("s1", "default", value))[0]; return nil })
	l.series(id, rpc.SeriesChange{Source: "s2", Fork: "side", Create: true, From: []rpc.SeriesPlace{{Fork: "default", Block: first.Block}}})
	side = l.series(id, change("s3", "side", "side"+value))[0]
	l.series(id, rpc.SeriesChange{Source: "s4", Fork: "default", Writes: []rpc.SeriesWrite{wants("p/00", "main"), wants("p/01", "side"+value)}})
	merge := change("s5", "default", "merged"+value)
	merge.From, merge.Remove = []rpc.SeriesPlace{{Fork: side.Fork.String(), Block: side.Block}}, []string{"side"}
	merge.Writes[1], merge.Writes[2], merge.Writes[3] = wants("p/01", "side"+value), wants("p/02", "side"+value), rpc.SeriesWrite{Key: "p/03", Deleted: true}
	var done rpc.SeriesReceipt
	l.inParts("the merge", func() error { done = l.series(id, merge)[0]; return nil })
	if done.Written != largeKeys-3 || done.Deleted != 1 || done.Equal != 2 || done.Fork != dag.DefaultFork() {
		t.Errorf("the merge: %+v", done)
	}
	l.serves("default", "p/00", "merged"+value)
	l.serves("default", "p/02", "side"+value)
	_, before := l.openSeries("s")
	if len(before) != 5 || before["s5"].Block != done.Block || before["s3"].Live || before["s3"].Fork != side.Fork {
		t.Errorf("written before: %+v", before)
	}
}

// TestSeriesInOrder sends the requests of a series the last first: each waits
// for those before it, and one that is cancelled waits no more.
func TestSeriesInOrder(t *testing.T) {
	l := newLab(t, "a")
	id, _ := l.openSeries("s")
	const many = 8
	var wg sync.WaitGroup
	for i := many - 1; i >= 0; i-- {
		wg.Go(func() {
			_, err := l.WriteSeries(t.Context(), id, 2*i, []rpc.SeriesChange{
				{Source: "s", Fork: "default", Writes: []rpc.SeriesWrite{wants("k", fmt.Sprint(2*i))}},
				{Source: "s", Fork: "default", Writes: []rpc.SeriesWrite{wants("k", fmt.Sprint(2*i+1))}},
			}, rpc.Claim{})
			if err != nil {
				t.Error(err)
			}
		})
		runtime.Gosched()
	}
	wg.Wait()
	n := 2 * many
	for e, err := range l.Log(t.Context(), rpc.LogRequest{KeyRef: rpc.KeyRef{Key: "k"}, Values: true}) {
		if n--; err != nil || string(e.Value) != fmt.Sprint(n) {
			t.Fatalf("%d from the start: %q, %v", n, e.Value, err)
		}
	}
	if n != 0 {
		t.Errorf("%d are missing", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	change := []rpc.SeriesChange{{Source: "s", Tag: "t"}}
	if _, err := l.WriteSeries(ctx, id, 100, change, rpc.Claim{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := l.WriteSeries(t.Context(), id, 3, change, rpc.Claim{}); !errors.Is(err, rpc.ErrInvalid) {
		t.Errorf("sent again: %v", err)
	}
	l.series(id, change...)
}

// TestSeriesAnnounced tells peers of the last block of a request, once: they
// fetch what is before it.
func TestSeriesAnnounced(t *testing.T) {
	var told []dag.Bundle
	r, err := OpenReplica(t.Context(), ReplicaConfig{
		Store: dagtest.NewMem(), Key: dag.NewNodeKey(dag.SumOf([]byte("a"))), Name: "a",
		Announce: func(b dag.Bundle) { told = append(told, b) },
	})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{r, t}
	defer l.Close()
	id, _ := l.openSeries("s")
	done := l.series(id,
		rpc.SeriesChange{Source: "s1", Fork: "default", Writes: []rpc.SeriesWrite{wants("k", "1")}},
		rpc.SeriesChange{Source: "s2", Fork: "default", Writes: []rpc.SeriesWrite{wants("k", "2")}},
		rpc.SeriesChange{Source: "s3", Fork: "default", Writes: []rpc.SeriesWrite{wants("k", "2")}},
	)
	want, err := l.Graph().Bundle(done[1].Block)
	if err != nil || len(told) != 1 || !bytes.Equal(told[0], want) {
		t.Errorf("%d announcements, %v", len(told), err)
	}
}

// TestSeriesOfDocuments: a history is kept byte for byte, also where only a
// comment changes, and where a value is no document for a while.
func TestSeriesOfDocuments(t *testing.T) {
	l := newLab(t, "a")
	id, _ := l.openSeries("s/")
	values := []string{"a: 1\n", "a: 1 # one\n", "a: [\n", "a: 2\n", "\xff"}
	var changes []rpc.SeriesChange
	for i, v := range append(values, values[len(values)-1]) {
		w := wants("k", v)
		w.Kind = crdt.YAML
		changes = append(changes, rpc.SeriesChange{Source: fmt.Sprintf("s/%d", i), Fork: "default", Writes: []rpc.SeriesWrite{w}})
	}
	unparsed := 0
	for i, r := range l.series(id, changes...) {
		unparsed += r.Unparsed
		if wrote := i < len(values); r.Written == 1 != wrote {
			t.Errorf("change %d: %+v", i, r)
		}
	}
	if unparsed != 3 {
		t.Errorf("%d values are said not to parse, want 3: two, and one of them again", unparsed)
	}
	var got []string
	var kinds []crdt.Kind
	for e, err := range l.Log(t.Context(), rpc.LogRequest{KeyRef: rpc.KeyRef{Key: "k"}, Values: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got, kinds = append(got, string(e.Value)), append(kinds, e.Kind)
	}
	slices.Reverse(got)
	slices.Reverse(kinds)
	if !slices.Equal(got, values) || !slices.Equal(kinds, []crdt.Kind{crdt.YAML, crdt.YAML, crdt.Text, crdt.YAML, crdt.Bytes}) {
		t.Errorf("the history is %q of kinds %v", got, kinds)
	}
	l.clean()
}
