package dag

import (
	"bytes"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"
)

// TestAppendEqualsLibrary holds the encoder by hand against the library's.
func TestAppendEqualsLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Revision{
			Key:  rapid.StringN(1, 300, MaxKey).Draw(t, "key"),
			Kind: rapid.Uint64Range(0, 1<<62).Draw(t, "kind"), Deleted: rapid.Bool().Draw(t, "deleted"),
			Size: rapid.Int64Range(0, 1<<40).Draw(t, "size"), Seq: rapid.Uint64Range(0, 1<<62).Draw(t, "seq"),
			Index: rapid.Uint64Range(0, 1<<33).Draw(t, "index"), Time: rapid.Int64Range(0, maxTime).Draw(t, "time"),
			Mark: Mark(rapid.Uint64Range(0, 300).Draw(t, "mark")), Label: rapid.StringN(0, 30, 120).Draw(t, "label"),
		}
		for range rapid.IntRange(0, 30).Draw(t, "parents") {
			r.Parents = append(r.Parents, RevisionID(SumOf([]byte(rapid.String().Draw(t, "parent")))))
		}
		r.Fork, r.Chain, r.Value = ForkID(SumOf([]byte("f"))), ChainID(SumOf([]byte("c"))), SumOf([]byte("v"))
		if got, want := r.append(nil), r.encodeAny(); !bytes.Equal(got, want) {
			t.Fatalf("by hand %x, by the library %x", got, want)
		}
		if n := len(r.append(nil)); n > r.encodedSize() {
			t.Fatalf("%d bytes, encodedSize says %d", n, r.encodedSize())
		}
	})
}

// TestPlainBlock holds the codec of plain blocks against the library's, and
// against bytes that are changed or cut.
func TestPlainBlock(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &Block{
			Version: 1, Seq: rapid.Uint64Range(1, 1<<62).Draw(t, "seq"), Time: rapid.Int64Range(0, maxTime).Draw(t, "time"),
			Prev: BlockID(SumOf([]byte("p"))), Chain: ChainID(SumOf([]byte("c"))), Salt: goldenSalt,
		}
		if rapid.Bool().Draw(t, "first") {
			b.Seq, b.Prev = 0, BlockID{}
		}
		for range rapid.IntRange(0, 30).Draw(t, "deps") {
			b.Deps = append(b.Deps, BlockID(SumOf([]byte(rapid.String().Draw(t, "dep")))))
		}
		for range rapid.IntRange(0, 30).Draw(t, "revisions") {
			b.Revisions = append(b.Revisions, RevisionID(SumOf([]byte(rapid.String().Draw(t, "revision")))))
		}
		for range rapid.IntRange(0, 3).Draw(t, "operations") {
			b.Ops = append(b.Ops, Op{Kind: OpKind(rapid.Uint64Range(0, 300).Draw(t, "kind")), Body: rapid.SampledFrom([]cbor.RawMessage{{0xa0}, {0xa1, 0x61, 'x', 0x01}}).Draw(t, "body")})
		}
		if rapid.Bool().Draw(t, "noted") {
			b.Note = arbitraryNote(t)
		}
		raw := b.append(nil)
		if want := b.encodeAny(); !bytes.Equal(raw, want) {
			t.Fatalf("by hand %x, by the library %x", raw, want)
		}
		if len(raw) > b.encodedSize() {
			t.Fatalf("%d bytes, encodedSize says %d", len(raw), b.encodedSize())
		}
		if back, ok := readPlain(raw); !ok || !bytes.Equal(back.append(nil), raw) {
			t.Fatalf("read back: %v, %+v", ok, back)
		}
		bad := bytes.Clone(raw[:rapid.IntRange(0, len(raw)).Draw(t, "length")])
		for range min(len(bad), rapid.IntRange(0, 2).Draw(t, "changes")) {
			bad[rapid.IntRange(0, len(bad)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		by, plain := readPlain(bad)
		if !plain {
			return
		}
		any, err := readAny(bad)
		if err != nil || !bytes.Equal(by.encodeAny(), any.encodeAny()) {
			t.Fatalf("%x: by hand %+v, by the library %v", bad, by, err)
		}
	})
}

// arbitraryNote is a plain note.
func arbitraryNote(t *rapid.T) *Note {
	n := &Note{
		Author: rapid.StringN(0, 40, 80).Draw(t, "author"), Message: rapid.StringN(0, 300, 600).Draw(t, "message"),
		Source: rapid.StringN(0, 60, 90).Draw(t, "source"), Time: rapid.Int64Range(0, maxTime).Draw(t, "note's time"),
	}
	if n.IsZero() {
		n.Time = 1
	}
	return n
}

// TestPlainRest holds the codec of what a block with a note, and a revision
// whose value is kept apart, have besides the usual, against the library's.
func TestPlainRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &Block{Note: arbitraryNote(t)}
		raw := packRest(b)
		if want := marshal(&restWire{Note: b.Note}, nil); !bytes.Equal(raw, want) {
			t.Fatalf("by hand %x, by the library %x", raw, want)
		}
		a := &apart{Value: SumOf(raw), Size: rapid.Int64Range(0, 1<<40).Draw(t, "size")}
		raw = a.append(nil)
		if want := marshal(&revRest{Apart: a}, nil); !bytes.Equal(raw, want) {
			t.Fatalf("by hand %x, by the library %x", raw, want)
		}
		bad := bytes.Clone(raw[:rapid.IntRange(0, len(raw)).Draw(t, "length")])
		for range min(len(bad), rapid.IntRange(0, 2).Draw(t, "changes")) {
			bad[rapid.IntRange(0, len(bad)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		by, plain := readApart(bad)
		if len(bad) == len(raw) && bytes.Equal(bad, raw) && !plain {
			t.Fatalf("%x is not read", raw)
		}
		var want revRest
		if err := decMode.Unmarshal(bad, &want); plain && (err != nil || want.Apart == nil || *by != *want.Apart || !bytes.Equal(marshal(&want, nil), bad)) {
			t.Fatalf("%x: by hand %+v, by the library %+v, %v", bad, by, want.Apart, err)
		}
	})
}
