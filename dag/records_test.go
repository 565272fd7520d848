package dag

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"
)

// lineChain names the chains of records in these tests.
func lineChain(line uint32) ChainID { return ChainID{byte(line)} }

// recordKind is one kind of record: values of it, and its decoder, which
// encodes again what it has decoded.
type recordKind struct {
	samples [][]byte
	again   func(b []byte) ([]byte, error)
}

func recordKinds() map[string]recordKind {
	d := [32]byte(SumOf([]byte("d")))
	heads := []Head{
		{ID: d, Time: 1, Kind: 1, Value: d, Size: 3, loc: loc{1, 2, 3}, lam: 4, ordinal: 5, first: 2, inline: []byte("abc")},
		{ID: d, Time: goldenTime, Kind: 1 << 40, Value: d, Size: MaxValue, loc: loc{1 << 31, 1 << 62, 1 << 20}, lam: 1 << 60},
		{ID: d, Time: 1, Kind: 2, Deleted: true, loc: loc{1, 2, 3}},
		{ID: d, Kind: 1, Value: d, loc: loc{1, 0, 0}, inline: []byte{}},
	}
	entry := &Entry{Heads: heads, Count: 300, SinceDelete: 2, First: 7, lastDelete: order{lam: 9, chain: lineChain(2), seq: 8, index: 7, line: 2}}
	history := &historyRecord{ordinal: 300, lam: 1 << 40, first: 1 << 39, deleted: true, siblings: []loc{{1, 2, 3}, {1 << 20, 1 << 40, 0}}}
	chained := &historyRecord{ordinal: 3, lam: 9, first: 2, siblings: []loc{{1, 2, 3}}, chain: 31, total: 10_000, gone: []loc{{1, 2, 2}, {3, 0, 0}}}
	forkOp := &forkOpRecord{
		line: 300, seq: 1 << 40, lam: goldenTime, id: orderID{1}, salt: Salt{2}, op: NewOp(RestoreOp{Fork: defaultFork}),
		lacks: []clock{{}, {1: 2, 300: 1 << 33}, {7: 0}},
	}
	block := &blockRecord{lsn: 200, arrival: goldenTime, at: goldenTime, lam: goldenTime + 5, bundle: goldenBlocks()["block"].encode(apartOver(goldenBlocks()["block"], 4))}
	whole, delta := &clockRecord{clock: clock{1: 1, 2: 300, 70_000: 1 << 40}}, &clockRecord{clock: clock{3: 4}, delta: 31}
	line := &lineRecord{chain: goldenChain, node: goldenKey.ID(), first: 1 << 33, parent: 1 << 17}
	state := &stateRecord{lsn: 1, revisions: 1 << 35, keys: 3, void: 4, digest: Digest{1, 2}}
	return map[string]recordKind{
		"entry": {[][]byte{entry.encode(), (&Entry{Heads: []Head{}}).encode()}, func(b []byte) ([]byte, error) {
			e, err := decodeEntry(defaultFork, "k", b, lineChain)
			return e.encode(), err
		}},
		"history": {[][]byte{history.encode(), chained.encode(), (&historyRecord{}).encode()}, func(b []byte) ([]byte, error) {
			h, err := decodeHistory(b)
			return h.encode(), err
		}},
		"block": {[][]byte{block.encode()}, func(b []byte) ([]byte, error) {
			r, err := decodeBlockRecord(b)
			return r.encode(), err
		}},
		"clock": {[][]byte{whole.encode(), delta.encode(), (&clockRecord{}).encode()}, func(b []byte) ([]byte, error) {
			r, err := decodeClock(b)
			return r.encode(), err
		}},
		"fork operation": {[][]byte{forkOp.encode(), (&forkOpRecord{}).encode()}, func(b []byte) ([]byte, error) {
			r, err := decodeForkOp(b)
			return r.encode(), err
		}},
		"line": {[][]byte{line.encode(), (&lineRecord{}).encode()}, func(b []byte) ([]byte, error) {
			l, err := decodeLineRecord(b)
			return l.encode(), err
		}},
		"state": {[][]byte{state.encode()}, func(b []byte) ([]byte, error) {
			s, err := decodeState(b)
			return s.encode(), err
		}},
		"wrote": {[][]byte{encodeWrote([]uint32{2, 300}), encodeWrote(nil)}, func(b []byte) ([]byte, error) {
			f, err := decodeWrote(b)
			return encodeWrote(f), err
		}},
	}
}

// checkRecord: what is accepted is encoded the same again, and what is not is
// damage.
func checkRecord(t *testing.T, k recordKind, b []byte) bool {
	t.Helper()
	again, err := k.again(b)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		t.Errorf("%x: error %v, want one that is ErrCorrupt", b, err)
	}
	if err == nil && !bytes.Equal(again, b) {
		t.Errorf("%x is accepted and encoded again as %x", b, again)
	}
	return err == nil
}

func TestRecords(t *testing.T) {
	for name, k := range recordKinds() {
		t.Run(name, func(t *testing.T) {
			for _, b := range k.samples {
				if !checkRecord(t, k, b) {
					t.Errorf("%x is not accepted", b)
				}
				for n := range b {
					open := n > 0 && (name == "block" && n > 22-1 || name == "clock" || name == "wrote")
					if checkRecord(t, k, b[:n]) && !open {
						t.Errorf("cut short at %d of %d it is accepted", n, len(b))
					}
					for bit := range 8 {
						c := bytes.Clone(b)
						c[n] ^= 1 << bit
						if checkRecord(t, k, c) && n == 0 {
							t.Errorf("version %d is accepted", c[0])
						}
					}
				}
				if more := append(bytes.Clone(b), 0); checkRecord(t, k, more) && name != "block" {
					t.Errorf("%x is accepted with a byte after it", more)
				}
			}
		})
	}
}

// TestRecordsHaveOneEncoding names what the flipped bits above may not hit.
func TestRecordsHaveOneEncoding(t *testing.T) {
	kinds := recordKinds()
	for _, test := range []struct {
		name, kind string
		b          []byte
	}{
		{"number with a zero behind", "history", []byte{1, 0x81, 0x00, 1, 0, 0, 0}},
		{"number beyond 64 bits", "history", []byte{1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2, 1, 0, 0, 0}},
		{"unknown flag", "history", []byte{1, 0, 1, 0, 4, 0}},
		{"line beyond 32 bits", "history", []byte{1, 0, 1, 0, 0, 1, 0x80, 0x80, 0x80, 0x80, 0x10, 0, 0}},
		{"more siblings than bytes", "history", []byte{1, 0, 1, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40}},
		{"more heads than bytes", "entry", []byte{1, 0, 0, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40}},
		{"line twice", "clock", []byte{1, 0, 3, 4, 3, 4}},
		{"lines out of order", "clock", []byte{1, 0, 3, 4, 2, 4}},
		{"parent beyond 32 bits", "line", slices.Concat([]byte{1}, make([]byte, 64), []byte{0, 0x80, 0x80, 0x80, 0x80, 0x10})},
		{"block without a bundle", "block", []byte{1, 1, 1, 1, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if checkRecord(t, kinds[test.kind], test.b) {
				t.Errorf("%x is accepted", test.b)
			}
		})
	}
}

func FuzzRecords(f *testing.F) {
	kinds := recordKinds()
	names := slices.Sorted(maps.Keys(kinds))
	for i, name := range names {
		for _, b := range kinds[name].samples {
			f.Add(uint8(i), b)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		checkRecord(t, kinds[names[int(kind)%len(names)]], b)
		_, _, _ = decodeArrival(b)
		_, _, _ = parseBlockKey(b)
		_, _ = parseHistoryKey(b)
		if ranges, ok := decodeRanges(b); ok && !bytes.Equal(encodeRanges(ranges), b) {
			t.Errorf("%x are the ranges %x", b, encodeRanges(ranges))
		}
		_ = searchSegment(1, b, [6]byte{}, [6]byte{255}, func(findRef) {})
	})
}

func TestKeysAreInverse(t *testing.T) {
	for _, l := range []loc{{1, 0, 0}, {1 << 31, 1 << 63, 1 << 30}, {7, 8, 9}} {
		if got, main, ok := parseBlockKey(blockKey(l.line, l.seq)); !ok || !main || got != (loc{line: l.line, seq: l.seq}) {
			t.Errorf("block key of %v: %v", l, got)
		}
		if got, main, ok := parseBlockKey(payloadKey(l)); !ok || main || got != l {
			t.Errorf("payload key of %v: %v", l, got)
		}
		if got, ok := parseHistoryKey(historyKey(3, "a\x01b", l)); !ok || got != l {
			t.Errorf("history key of %v: %v", l, got)
		}
	}
	// Newest first, and a key is no prefix of another one's records.
	if bytes.Compare(historyKey(1, "k", loc{1, 5, 0}), historyKey(1, "k", loc{1, 4, 9})) >= 0 {
		t.Error("history is not newest first by seq")
	}
	if bytes.Compare(historyKey(1, "k", loc{1, 5, 1}), historyKey(1, "k", loc{1, 5, 0})) >= 0 {
		t.Error("history is not newest first by index")
	}
	if bytes.HasPrefix(historyKey(1, "kk", loc{1, 0, 0}), historyPrefix(1, "k", 0)) {
		t.Error("the history of kk is within that of k")
	}
}

func TestFeedCursorText(t *testing.T) {
	tip := func(b byte) []byte { return bytes.Repeat([]byte{b}, cursorTip) }
	for name, c := range map[string]FeedCursor{
		"start":    {},
		"one":      {lsn: 1, tips: [][]byte{tip(1)}},
		"within":   {lsn: 300, index: 70_000, part: [8]byte{1}, tips: [][]byte{tip(1), tip(2)}},
		"all tips": {lsn: 1 << 40, tips: slices.Repeat([][]byte{tip(3)}, cursorMaxTips)},
	} {
		text, err := c.MarshalText()
		if err != nil || len(text) > 4096 {
			t.Fatalf("%s: %d bytes, %v", name, len(text), err)
		}
		var back FeedCursor
		if err := back.UnmarshalText(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if again, _ := back.MarshalText(); !bytes.Equal(again, text) {
			t.Errorf("%s: %s reads as %s", name, text, again)
		}
		badCursor(t, &back, text)
	}
}

func TestHistoryCursorText(t *testing.T) {
	for _, c := range []HistoryCursor{{}, {order{lam: 1, chain: goldenChain, seq: 2, index: 3}}, {order{lam: 1 << 63, seq: 1 << 63, index: 1 << 31, block: orderID{15: 1}}}} {
		text, err := c.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back HistoryCursor
		if err := back.UnmarshalText(text); err != nil || back != c {
			t.Errorf("%s reads as %v, %v", text, back, err)
		}
		badCursor(t, &back, text)
	}
}

func badCursor(t *testing.T, c interface{ UnmarshalText([]byte) error }, text []byte) {
	t.Helper()
	bad := [][]byte{nil, []byte("!"), append(bytes.Clone(text), '\n'), append([]byte{'\r', '\n'}, text...), append(bytes.Clone(text), '='), append([]byte{'z'}, text[1:]...), text[:len(text)-1], append(bytes.Clone(text), 'A')}
	for _, b := range bad {
		if err := c.UnmarshalText(b); !errors.Is(err, ErrBadID) {
			t.Errorf("cursor %q: %v, want an error that is ErrBadID", b, err)
		}
	}
}

func FuzzFeedCursor(f *testing.F) {
	for _, c := range []FeedCursor{{}, {lsn: 300, index: 2, tips: [][]byte{make([]byte, cursorTip)}}} {
		text, _ := c.MarshalText()
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c FeedCursor
		if err := c.UnmarshalText(text); err != nil {
			if !errors.Is(err, ErrBadID) {
				t.Error(err)
			}
			return
		}
		if again, err := c.MarshalText(); err != nil || !bytes.Equal(again, text) {
			t.Errorf("%q reads as %q, %v", text, again, err)
		}
	})
}

func FuzzHistoryCursor(f *testing.F) {
	for _, c := range []HistoryCursor{{}, {order{lam: 1, chain: goldenChain, seq: 2, index: 3}}} {
		text, _ := c.MarshalText()
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c HistoryCursor
		if err := c.UnmarshalText(text); err != nil {
			if !errors.Is(err, ErrBadID) {
				t.Error(err)
			}
			return
		}
		if again, err := c.MarshalText(); err != nil || !bytes.Equal(again, text) {
			t.Errorf("%q reads as %q, %v", text, again, err)
		}
	})
}
