package crdt_test

import (
	"bytes"
	"encoding"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"crush/crdt"
)

// The golden values of the package comment.
const (
	goldenID    = "6i53vopt7vznxgztycvxczvecndxchre"
	goldenState = "a2bgmm2ag3mlned4bsfrnhihqsz42c6t"
)

func TestGolden(t *testing.T) {
	fill := func(b byte) (id [32]byte) {
		copy(id[:], bytes.Repeat([]byte{b}, 32))
		return id
	}
	c := crdt.Visible{
		Fork: fill(1), Key: key,
		Heads: []crdt.Write{
			{ID: fill(0x0b), Kind: crdt.Bytes, Value: crdt.Sum{1}},
			{ID: fill(0x0a), Kind: crdt.Bytes, Value: crdt.Sum{2}},
		},
	}.View().Conflicts[0]
	if got := c.ID.String(); got != goldenID {
		t.Errorf("id %s, want %s", got, goldenID)
	}
	if got := c.State.String(); got != goldenState {
		t.Errorf("state %s, want %s", got, goldenState)
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, golden := range []string{goldenID, goldenState} {
		if !strings.Contains(string(doc), golden) {
			t.Errorf("the package comment does not name %s", golden)
		}
	}
}

// identifier is what every identifier of this package can do.
type identifier interface {
	comparable
	encoding.TextMarshaler
	String() string
	IsZero() bool
}

func TestIdentifiers(t *testing.T) {
	t.Run("RevisionID", func(t *testing.T) { testIdentifier(t, crdt.RevisionID{1, 0xab}, crdt.ParseRevisionID) })
	t.Run("ChainID", func(t *testing.T) { testIdentifier(t, crdt.ChainID{1, 0xab}, crdt.ParseChainID) })
	t.Run("ForkID", func(t *testing.T) { testIdentifier(t, crdt.ForkID{1, 0xab}, crdt.ParseForkID) })
	t.Run("Sum", func(t *testing.T) { testIdentifier(t, crdt.Sum{1, 0xab}, crdt.ParseSum) })
	t.Run("ConflictID", func(t *testing.T) { testIdentifier(t, crdt.ConflictID{1, 0xab}, crdt.ParseConflictID) })
	t.Run("ConflictState", func(t *testing.T) { testIdentifier(t, crdt.ConflictState{1, 0xab}, crdt.ParseConflictState) })
	t.Run("Kind", func(t *testing.T) { testIdentifier(t, crdt.Text, crdt.ParseKind) })
}

func testIdentifier[T identifier](t *testing.T, id T, parse func(string) (T, error)) {
	var zero T
	if !zero.IsZero() || id.IsZero() {
		t.Errorf("IsZero: %v of the zero value, %v of %v", zero.IsZero(), id.IsZero(), id)
	}
	for _, v := range []T{zero, id} {
		if got, err := parse(v.String()); err != nil || got != v {
			t.Errorf("parse %q: %v, %v", v, got, err)
		}
		b, err := json.Marshal([]T{v})
		if want := `["` + v.String() + `"]`; err != nil || string(b) != want {
			t.Errorf("marshal: %s, %v; want %s", b, err, want)
		}
		var back []T
		if err := json.Unmarshal(b, &back); err != nil || back[0] != v {
			t.Errorf("unmarshal %s: %v, %v", b, back, err)
		}
	}
	s := id.String()
	last := s[:len(s)-1]
	for _, bad := range []string{"", last, s + "a", " " + s, s + "\n", last + "\n", strings.ToUpper(s), last + "!", "é" + s} {
		if got, err := parse(bad); err == nil || got != zero {
			t.Errorf("parse %q: %v, %v; want an error", bad, got, err)
		}
	}
	kept := []T{id}
	if err := json.Unmarshal([]byte(`["?"]`), &kept); err == nil || kept[0] != id {
		t.Errorf("unmarshal of nonsense: %v, %v", kept, err)
	}
	if _, err := parse(strings.Repeat("x", 10_000)); err == nil || len(err.Error()) > 200 {
		t.Errorf("error of a long text: %v", err)
	}
}

func TestKind(t *testing.T) {
	for k, want := range map[crdt.Kind]struct {
		name          string
		known, opaque bool
	}{
		0:            {"kind-0", false, true},
		crdt.Bytes:   {"bytes", true, false},
		crdt.Text:    {"text", true, false},
		crdt.JSON:    {"json", true, false},
		crdt.YAML:    {"yaml", true, false},
		crdt.Counter: {"counter", true, false},
		crdt.Set:     {"set", true, false},
		7:            {"kind-7", false, true},
	} {
		if k.String() != want.name || k.Known() != want.known || k.Opaque() != want.opaque {
			t.Errorf("%d: %q, known %v, opaque %v", uint64(k), k, k.Known(), k.Opaque())
		}
	}
	if k, err := crdt.ParseKind("kind-18446744073709551615"); err != nil || k != 1<<64-1 {
		t.Errorf("parse the highest kind: %v, %v", k, err)
	}
	for i, k := range []crdt.Kind{crdt.Bytes, crdt.Text, crdt.JSON, crdt.YAML, crdt.Counter, crdt.Set} {
		if k != crdt.Kind(i+1) {
			t.Errorf("%v has number %d, want %d", k, uint64(k), i+1)
		}
	}
	for _, bad := range []string{"kind-1", "kind-07", "kind-+7", "kind--7", "kind-", "kind-18446744073709551616", "Text", "string"} {
		if k, err := crdt.ParseKind(bad); err == nil {
			t.Errorf("parse %q: %v", bad, k)
		}
	}
}

// FuzzParse: what is taken has one spelling.
func FuzzParse(f *testing.F) {
	f.Add("text")
	f.Add("kind-7")
	f.Add(crdt.ConflictID{1}.String())
	f.Add(crdt.RevisionID{1}.String())
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := crdt.ParseKind(s); err == nil && k.String() != s {
			t.Errorf("kind %q parses as %v", s, k)
		}
		if id, err := crdt.ParseConflictID(s); err == nil && id.String() != s {
			t.Errorf("conflict id %q parses as %v", s, id)
		}
		if id, err := crdt.ParseConflictState(s); err == nil && id.String() != s {
			t.Errorf("conflict state %q parses as %v", s, id)
		}
		if id, err := crdt.ParseRevisionID(s); err == nil && id.String() != s {
			t.Errorf("revision id %q parses as %v", s, id)
		}
	})
}
