package crdt_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"math/big"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"crush/crdt"
)

// The golden payloads of the package comment.
const (
	goldenDocument = "7b2273223a5b2278225d2c2276223a327d" + "01" + "01" + "0002" + "2f73" + "01" + "02" + "0008" + "2f732f5b2278225d" + "0101" + "76" + "00000011"
	goldenCounter  = "3131" + "01" + "00" + "03" + "00000002"
	goldenSet      = "5b2261225d" + "01" + "00" + "01" + "0161" + "01" + "0162" + "00000005"
)

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoldenPayloads(t *testing.T) {
	document, err := crdt.DecodeDocument(fromHex(t, goldenDocument))
	want := crdt.DocumentPayload{
		Text:  []byte(`{"s":["x"],"v":2}`),
		Lists: crdt.Lists{{Path: "/s", Schema: crdt.SetList}},
		Paths: []crdt.Path{`/s/["x"]`, "/v"},
	}
	if err != nil || !reflect.DeepEqual(document, want) {
		t.Errorf("the document is %v, %v", document, err)
	}
	counter, err := crdt.DecodeCounter(fromHex(t, goldenCounter))
	if err != nil || counter.Total.Int64() != 11 || counter.Set || counter.N != -2 {
		t.Errorf("the counter is %v, %v", counter, err)
	}
	set, err := crdt.DecodeSet(fromHex(t, goldenSet))
	if err != nil || !reflect.DeepEqual(set, crdt.SetPayload{Elements: []string{"a"}, Added: []string{"a"}, Removed: []string{"b"}}) {
		t.Errorf("the set is %v, %v", set, err)
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	// In the comment the bytes stand in groups, with words behind them.
	var plain strings.Builder
	for line := range strings.Lines(string(doc)) {
		for word := range strings.FieldsSeq(strings.TrimPrefix(line, "//\t")) {
			if strings.Trim(word, "0123456789abcdef") != "" {
				break
			}
			plain.WriteString(word)
		}
	}
	for _, golden := range []string{goldenDocument, goldenCounter, goldenSet} {
		if !strings.Contains(plain.String(), golden) {
			t.Errorf("the package comment does not have %s", golden)
		}
	}
}

func TestDocumentPayload(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(someJSON().Draw(t, "text"))
		d, err := crdt.ParseDocument(crdt.JSON, text, someLists)
		if err != nil {
			t.Fatal(err)
		}
		p := crdt.DocumentPayload{Text: text, Lists: d.Lists(), Paths: crdt.Diff(drawDocument(t), d)}
		b, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := crdt.DecodeDocument(b)
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Fatalf("%v comes back as %v, %v", p, got, err)
		}
		again, err := got.Document(crdt.JSON)
		if err != nil || again.Sum() != d.Sum() {
			t.Fatalf("the document comes back as another: %v", err)
		}
		if !bytes.Equal(crdt.TextOf(crdt.JSON, b), text) {
			t.Fatalf("the text of %x", b)
		}
	})
}

func TestEncodeRefuses(t *testing.T) {
	text := []byte("{}")
	for name, p := range map[string]crdt.DocumentPayload{
		"not ascending": {Text: text, Paths: []crdt.Path{"/b", "/a"}},
		"twice":         {Text: text, Paths: []crdt.Path{"/a", "/a"}},
		"no path":       {Text: text, Paths: []crdt.Path{""}},
		"broken path":   {Text: text, Paths: []crdt.Path{"/["}},
		"pattern":       {Text: text, Lists: crdt.Lists{{Path: "/*", Schema: crdt.SetList}}},
		"no schema":     {Text: text, Lists: crdt.Lists{{Path: "/a", Schema: crdt.AtomicList}}},
		"list twice":    {Text: text, Lists: crdt.Lists{{Path: "/a", Schema: crdt.SetList}, {Path: "/a", Schema: crdt.SetList}}},
		"too long":      {Text: make([]byte, crdt.MaxDocument+1)},
	} {
		if b, err := p.Encode(); err == nil {
			t.Errorf("%s: %x", name, b)
		}
	}
	for name, p := range map[string]crdt.CounterPayload{
		"no total":        {},
		"set and another": {Total: big.NewInt(1), Set: true, N: 2},
		"too long":        {Total: new(big.Int).Lsh(big.NewInt(1), 300)},
	} {
		if b, err := p.Encode(); err == nil {
			t.Errorf("%s: %x", name, b)
		}
	}
	for name, p := range map[string]crdt.SetPayload{
		"not ascending":    {Elements: []string{"b", "a"}},
		"twice":            {Elements: []string{"a", "a"}},
		"not UTF-8":        {Elements: []string{"\xff"}},
		"added elsewhere":  {Elements: []string{"a"}, Added: []string{"b"}},
		"removed, there":   {Elements: []string{"a"}, Removed: []string{"a"}},
		"added unordered":  {Elements: []string{"a", "b"}, Added: []string{"b", "a"}},
		"removed, no text": {Removed: []string{"\xff"}},
		"set to another":   {Set: true, Elements: []string{"a", "b"}, Added: []string{"a"}},
		"set, and removed": {Set: true, Elements: []string{"a"}, Added: []string{"a"}, Removed: []string{"b"}},
	} {
		if b, err := p.Encode(); err == nil {
			t.Errorf("%s: %x", name, b)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, s := range map[string]string{
		"empty":               "",
		"three bytes":         "000000",
		"nothing":             "00000000",
		"text past the end":   "01000000" + "05",
		"version":             "02" + "0000" + "00000000",
		"bytes behind":        "01" + "0000" + "00" + "00000000",
		"long number":         "01" + "00" + "8000" + "00000000",
		"more than there is":  "01" + "00" + "05" + "00000000",
		"shared, none before": "01" + "00" + "01" + "0101" + "61" + "00000000",
		"shares too little":   "01" + "00" + "02" + "0002" + "2f61" + "0102" + "6162" + "00000000",
		"descending":          "01" + "00" + "02" + "0002" + "2f62" + "0101" + "61" + "00000000",
		"no path":             "01" + "00" + "01" + "0001" + "61" + "00000000",
		"unknown schema":      "01" + "01" + "0002" + "2f61" + "04" + "00" + "00000000",
	} {
		if p, err := crdt.DecodeDocument(fromHex(t, s)); err == nil {
			t.Errorf("document, %s: %v", name, p)
		}
	}
	for name, s := range map[string]string{
		"no text": "01" + "00" + "02" + "00000000", "plus": "2b31" + "01" + "00" + "02" + "00000002",
		"zero before": "3031" + "01" + "00" + "02" + "00000002", "minus zero": "2d30" + "01" + "00" + "02" + "00000002",
		"code": "31" + "01" + "02" + "02" + "00000001", "bytes behind": "31" + "01" + "00" + "0200" + "00000001",
		"set to another": "31" + "01" + "01" + "04" + "00000001",
	} {
		if p, err := crdt.DecodeCounter(fromHex(t, s)); err == nil {
			t.Errorf("counter, %s: %v", name, p)
		}
	}
	for name, s := range map[string]string{
		"no list": "31" + "01" + "000000" + "00000001", "space": "5b205d" + "01" + "000000" + "00000003",
		"a number": "5b315d" + "01" + "000000" + "00000003", "an escape": hex.EncodeToString([]byte(`["\u0061"]`)) + "01" + "000000" + "0000000a",
		"bytes behind": "5b5d" + "01" + "000000" + "00" + "00000002", "code": "5b5d" + "01" + "020000" + "00000002",
		"set, but not all": "5b2261225d" + "01" + "010000" + "00000005",
	} {
		if p, err := crdt.DecodeSet(fromHex(t, s)); err == nil {
			t.Errorf("set, %s: %v", name, p)
		}
	}
}

// TestPathsOfAChangeAreBounded: three bytes a path can share a long one.
func TestPathsOfAChangeAreBounded(t *testing.T) {
	p := crdt.DocumentPayload{Text: []byte("{}")}
	long := crdt.Path("/" + strings.Repeat("a", 1<<20) + "/")
	for i := range 100 {
		p.Paths = append(p.Paths, long+crdt.Path([]byte{'0' + byte(i/10), '0' + byte(i%10)}))
	}
	if _, err := p.Encode(); err == nil {
		t.Error("100 paths of a megabyte")
	}
	p.Paths = p.Paths[:10]
	if _, err := p.Encode(); err != nil {
		t.Error(err)
	}
}

func TestCounterPayload(t *testing.T) {
	for _, p := range []crdt.CounterPayload{
		{Total: big.NewInt(0)},
		{Total: big.NewInt(-5), N: math.MinInt64},
		{Total: big.NewInt(math.MaxInt64), N: math.MaxInt64, Set: true},
		{Total: new(big.Int).Lsh(big.NewInt(-3), 100), N: 1},
		{Total: new(big.Int).Lsh(big.NewInt(1), 63), Set: true},
		{Total: new(big.Int).Lsh(big.NewInt(-3), 100), Set: true},
	} {
		b, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := crdt.DecodeCounter(b)
		if err != nil || got.Total.Cmp(p.Total) != 0 || got.N != p.N || got.Set != p.Set {
			t.Errorf("%v comes back as %v, %v", p, got, err)
		}
		if text := string(crdt.TextOf(crdt.Counter, b)); text != p.Total.String() {
			t.Errorf("the text of %v is %q", p, text)
		}
	}
}

func TestSetPayload(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		strings := func(label string) []string {
			all := rapid.SliceOfDistinct(rapid.StringOf(rapid.RuneFrom([]rune("ab\"\\\x00\u2028é"))), rapid.ID[string]).Draw(t, label)
			slices.Sort(all)
			return slices.Clip(all[:len(all):len(all)])
		}
		p := crdt.SetPayload{Elements: strings("elements")}
		p.Set = rapid.Bool().Draw(t, "set")
		for _, e := range p.Elements {
			if p.Set || rapid.Bool().Draw(t, "added") {
				p.Added = append(p.Added, e)
			}
		}
		for _, e := range strings("removed") {
			if !p.Set && !slices.Contains(p.Elements, e) {
				p.Removed = append(p.Removed, e)
			}
		}
		b, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := crdt.DecodeSet(b)
		if err != nil || !slices.Equal(got.Elements, p.Elements) || !slices.Equal(got.Added, p.Added) || got.Set != p.Set || !slices.Equal(got.Removed, p.Removed) {
			t.Fatalf("%v comes back as %v, %v", p, got, err)
		}
	})
}

func TestTextOf(t *testing.T) {
	for _, test := range []struct {
		kind          crdt.Kind
		payload, want string
	}{
		{crdt.JSON, "{}\x00\x00\x00\x02", "{}"},
		{crdt.YAML, "{}\x00\x00\x00\x03", "{}\x00\x00\x00\x03"},
		{crdt.Set, "abc", "abc"},
		{crdt.Bytes, "{}\x00\x00\x00\x02", "{}\x00\x00\x00\x02"},
		{crdt.Kind(9), "{}\x00\x00\x00\x02", "{}\x00\x00\x00\x02"},
	} {
		if got := string(crdt.TextOf(test.kind, []byte(test.payload))); got != test.want {
			t.Errorf("%s of %q: %q", test.kind, test.payload, got)
		}
	}
}

// FuzzDecodePayload: one content has one encoding.
func FuzzDecodePayload(f *testing.F) {
	for _, s := range []string{goldenDocument, goldenCounter, goldenSet} {
		f.Add(fromHex(f, s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var b []byte
		var err error
		if p, bad := crdt.DecodeDocument(payload); bad == nil {
			if b, err = p.Encode(); err != nil || !bytes.Equal(b, payload) {
				t.Fatalf("the document %q is encoded as %q, %v", payload, b, err)
			}
			if d, bad := p.Document(crdt.JSON); bad == nil && d.Sum().IsZero() {
				t.Fatal("a document of nothing")
			}
		}
		if p, bad := crdt.DecodeCounter(payload); bad == nil {
			if b, err = p.Encode(); err != nil || !bytes.Equal(b, payload) {
				t.Fatalf("the counter %q is encoded as %q, %v", payload, b, err)
			}
		}
		if p, bad := crdt.DecodeSet(payload); bad == nil {
			if b, err = p.Encode(); err != nil || !bytes.Equal(b, payload) {
				t.Fatalf("the set %q is encoded as %q, %v", payload, b, err)
			}
		}
	})
}
