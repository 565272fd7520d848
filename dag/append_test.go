package dag

import (
	"bytes"
	"testing"

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
