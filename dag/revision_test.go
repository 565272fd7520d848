package dag

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// The golden vectors are made of these.
var (
	goldenKey   = NewNodeKey([32]byte{1, 2, 3, 4})
	goldenNonce = Salt{0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf}
	goldenSalt  = Salt{0xb0, 0xb1, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf}
	goldenChain = NewChainID(goldenKey.ID(), goldenNonce)
	goldenFork  = NewForkID(goldenChain, 7, 2, goldenSalt)
)

const goldenTime = 1_767_225_600_123

// goldenRevision is the i-th of block 7 of the golden chain.
func goldenRevision(i uint64) *Revision {
	return &Revision{
		Key: "svc/api", Fork: defaultFork, Kind: 1, Parents: []RevisionID{}, Value: SumOf([]byte("port: 80\n")), Size: 9,
		Chain: goldenChain, Seq: 7, Index: i, Salt: goldenSalt, Time: goldenTime,
	}
}

// goldenRevisions are revisions by name.
func goldenRevisions() map[string]*Revision {
	first := goldenRevision(0)
	gone := goldenRevision(1)
	gone.Parents, gone.Deleted, gone.Value, gone.Size = []RevisionID{first.ID()}, true, Sum{}, 0
	full := goldenRevision(2)
	full.Fork, full.Parents = goldenFork, []RevisionID{gone.ID(), first.ID()}
	full.Mark, full.Label = MarkReverted, "ci"
	full.Note = &Note{Author: "ann <ann@example.org>", Message: "back to port 80", Time: -1}
	newer := goldenRevision(3)
	newer.extra = extras{"until": cbor.RawMessage{0x1a, 0x12, 0x34, 0x56, 0x78}, "x": cbor.RawMessage{0x82, 0xf6, 0xf5}}
	newer.Note = &Note{Author: "ann", extra: "\xa1\x63url\x61u"}
	return map[string]*Revision{"revision": first, "revision-delete": gone, "revision-full": full, "revision-unknown-fields": newer}
}

// golden compares bytes with testdata/golden/NAME.hex. DAG_GOLDEN=new writes
// vectors that are missing; one that exists is never changed.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".hex")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && os.Getenv("DAG_GOLDEN") == "new" {
		if err := os.WriteFile(path, []byte(hex.EncodeToString(got)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := readGolden(t, name); !bytes.Equal(got, want) {
		t.Errorf("%s: encoded as\n%x\nthe format is\n%x", name, got, want)
	}
}

func readGolden(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "golden", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

func TestRevisionGolden(t *testing.T) {
	for name, r := range goldenRevisions() {
		t.Run(name, func(t *testing.T) {
			b := r.Encode()
			golden(t, name, b)
			golden(t, name+".cid", r.ID().CID().Bytes())
			back, err := DecodeRevision(b)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(back, r) || back.ID() != r.ID() {
				t.Errorf("decoded %+v, want %+v", back, r)
			}
		})
	}
}

// mapField is one field of an encoded map, both halves encoded.
type mapField struct{ name, value []byte }

// mapFields takes an encoded map apart.
func mapFields(t testing.TB, b []byte) []mapField {
	t.Helper()
	r := itemReader{b: b}
	out := make([]mapField, r.head(majorMap))
	for i := range out {
		out[i] = mapField{r.raw(), r.raw()}
	}
	if r.bad || len(r.b) > 0 {
		t.Fatalf("not a map: %x", b)
	}
	return out
}

// mapOf puts a map together in the order given.
func mapOf(fields []mapField) []byte {
	b := appendHead(nil, majorMap, uint64(len(fields)))
	for _, f := range fields {
		b = append(append(b, f.name...), f.value...)
	}
	return b
}

// sortedMapOf puts a map together in canonical order: that of the encoded keys.
func sortedMapOf(fields []mapField) []byte {
	slices.SortFunc(fields, func(a, b mapField) int { return bytes.Compare(a.name, b.name) })
	return mapOf(fields)
}

// with returns the map with one field set to raw bytes, in canonical order.
func with(t testing.TB, b []byte, name string, value ...byte) []byte {
	t.Helper()
	fields := mapFields(t, b)
	for i, f := range fields {
		if string(f.name[1:]) == name {
			fields[i].value = value
			return mapOf(fields)
		}
	}
	return sortedMapOf(append(fields, mapField{appendText(nil, name), value}))
}

// without returns the map without a field.
func without(t testing.TB, b []byte, name string) []byte {
	t.Helper()
	var kept []mapField
	for _, f := range mapFields(t, b) {
		if string(f.name[1:]) != name {
			kept = append(kept, f)
		}
	}
	return mapOf(kept)
}

func refused(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrRefused) {
		t.Errorf("error %v, want one that is ErrRefused", err)
	}
}

func TestRevisionHostile(t *testing.T) {
	good := goldenRevisions()["revision-full"].Encode()
	decode := func(b []byte) error { _, err := DecodeRevision(b); return err }
	hostileItems(t, decode, good, "seq", "fork", "parents", "key")
	for _, name := range []string{"key", "fork", "kind", "parents", "value", "size", "chain", "seq", "index", "salt", "time"} {
		t.Run("without "+name, func(t *testing.T) { refused(t, decode(without(t, good, name))) })
	}
	link, rawLink := appendLink(nil, codecDagCBOR, SumOf(nil)), appendLink(nil, codecRaw, SumOf(nil))
	for name, b := range map[string][]byte{
		"value is a link to a node":           with(t, good, "value", link...),
		"parent is a link to a payload":       with(t, good, "parents", append([]byte{0x81}, rawLink...)...),
		"parent is null":                      with(t, good, "parents", 0x81, 0xf6),
		"parent is bytes":                     with(t, good, "parents", append([]byte{0x81}, link[2:]...)...),
		"parents are a map":                   with(t, good, "parents", 0xa0),
		"kind is negative":                    with(t, good, "kind", 0x20),
		"size is negative":                    with(t, good, "size", 0x20),
		"size beyond the limit of its kind":   with(t, good, "size", 0x1a, 0x00, 0x40, 0x00, 0x01),
		"size of a delete":                    with(t, good, "value", 0xf6),
		"time is negative":                    with(t, good, "time", 0x20),
		"time beyond 2^53":                    with(t, good, "time", 0x1b, 0, 0x20, 0, 0, 0, 0, 0, 1),
		"mark of 0 written out":               with(t, good, "mark", 0),
		"label of nothing written out":        with(t, good, "label", 0x60),
		"label with NUL":                      with(t, good, "label", 0x61, 0),
		"label over the limit":                with(t, good, "label", appendText(nil, strings.Repeat("a", MaxName+1))...),
		"note is null":                        with(t, good, "note", 0xf6),
		"note is text":                        with(t, good, "note", 0x61, 'a'),
		"note with an empty author":           with(t, good, "note", appendText([]byte{0xa1, 0x66, 'a', 'u', 't', 'h', 'o', 'r'}, "")...),
		"note over the limit":                 with(t, good, "note", appendText([]byte{0xa1, 0x66, 'a', 'u', 't', 'h', 'o', 'r'}, strings.Repeat("a", MaxNote+1))...),
		"unknown part of a note over limit":   with(t, good, "note", appendText([]byte{0xa1, 0x61, 'z'}, strings.Repeat("a", MaxNote))...),
		"key is empty":                        with(t, good, "key", 0x60),
		"key with NUL":                        with(t, good, "key", 0x63, 'a', 0, 'b'),
		"key over the limit":                  with(t, good, "key", appendText(nil, strings.Repeat("a", MaxKey+1))...),
		"known field in other case beside":    with(t, without(t, good, "seq"), "SEQ", 7),
		"more than the limit of all sizes":    with(t, good, "zz", appendBytes(nil, make([]byte, MaxBlock))...),
		"fork of 31 bytes":                    with(t, good, "fork", appendBytes(nil, make([]byte, 31))...),
		"fork of 33 bytes":                    with(t, good, "fork", appendBytes(nil, make([]byte, 33))...),
		"salt of 15 bytes":                    with(t, good, "salt", appendBytes(nil, make([]byte, 15))...),
		"chain as an array of integers":       with(t, good, "chain", appendHead(nil, majorArray, 0)...),
		"chain as 32 integers in an array":    with(t, good, "chain", append(appendHead(nil, majorArray, 32), make([]byte, 32)...)...),
		"unknown field that is not canonical": with(t, good, "zz", 0x18, 0x01),
	} {
		t.Run(name, func(t *testing.T) { refused(t, decode(b)) })
	}
}

func TestRevisionLimitsAreInclusive(t *testing.T) {
	good := goldenRevision(0).Encode()
	for name, b := range map[string][]byte{
		"key":              with(t, good, "key", appendText(nil, strings.Repeat("é", MaxKey/2))...),
		"size of bytes":    with(t, good, "size", 0x1a, 0x00, 0x40, 0x00, 0x00),
		"size of others":   with(t, with(t, good, "size", 0x1a, 0x00, 0x81, 0x00, 0x00), "kind", 3),
		"time":             with(t, good, "time", 0x1b, 0, 0x20, 0, 0, 0, 0, 0, 0),
		"label":            with(t, good, "label", appendText(nil, strings.Repeat("a", MaxName))...),
		"unknown kind":     with(t, good, "kind", 0x1b, 0x7f, 255, 255, 255, 255, 255, 255, 255),
		"unknown mark":     with(t, good, "mark", 0x1b, 0x7f, 255, 255, 255, 255, 255, 255, 255),
		"empty note":       with(t, good, "note", 0xa0),
		"KEY beside key":   with(t, good, "KEY", 0x01),
		"no value, size 0": with(t, with(t, good, "value", 0xf6), "size", 0),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := DecodeRevision(b)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(r.Encode(), b) {
				t.Errorf("re-encoded as %x, was %x", r.Encode(), b)
			}
		})
	}
}

func FuzzDecodeRevision(f *testing.F) {
	for _, r := range goldenRevisions() {
		f.Add(r.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRevision(b)
		if err != nil {
			refused(t, err)
			return
		}
		if again := r.Encode(); !bytes.Equal(again, b) || RevisionID(SumOf(b)) != r.ID() {
			t.Errorf("re-encoded as %x, was %x", again, b)
		}
	})
}

// TestDocumentedExample reads the example in the package comment.
func TestDocumentedExample(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(doc), "payload \"port: 80\\n\":\n")
	if !ok {
		t.Fatal("there is no example")
	}
	var digits strings.Builder
	for line := range strings.Lines(example) {
		line, _, _ = strings.Cut(strings.TrimPrefix(line, "//"), "#")
		if strings.Contains(line, "Its id is") {
			break
		}
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	r, err := DecodeRevision(b)
	if err != nil || !reflect.DeepEqual(r, goldenRevision(0)) {
		t.Errorf("%v: the example is %+v, want %+v", err, r, goldenRevision(0))
	}
	if !strings.Contains(example, "Its id is "+r.ID().String()+".") {
		t.Errorf("the example's id is %s", r.ID())
	}
	if err := checkPayloadOf(r, []byte("port: 80\n")); err != nil {
		t.Error(err)
	}
}

func checkPayloadOf(r *Revision, payload []byte) error {
	_, err := checkPayload(payload, r.Value, r.ID())
	return err
}
