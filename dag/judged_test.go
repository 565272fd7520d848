package dag

import (
	"encoding/binary"
	"testing"
)

// TestJudgedBounded: the newest signatures are remembered, each for its author
// and block only.
func TestJudgedBounded(t *testing.T) {
	var j judged
	sig := make([]byte, sigLen)
	id := func(i int) (b BlockID) {
		binary.BigEndian.PutUint32(b[:], uint32(i))
		return b
	}
	for i := range 3 * maxJudged {
		j.note(NodeID{1}, id(i), sig)
		j.note(NodeID{1}, id(i), sig)
	}
	if len(j.known) != maxJudged || len(j.order) != maxJudged {
		t.Errorf("%d remembered, in order %d", len(j.known), len(j.order))
	}
	last := id(3*maxJudged - 1)
	if !j.good(NodeID{1}, last, sig) || j.good(NodeID{1}, id(0), sig) {
		t.Error("not the newest are remembered")
	}
	other := append([]byte{1}, sig[1:]...)
	if j.good(NodeID{2}, last, sig) || j.good(NodeID{1}, last, other) || j.good(NodeID{1}, last, sig[1:]) {
		t.Error("good for another author, or another signature")
	}
}
