package dag_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// edited is a node with histories of configs whose lines change, one or many at
// a time.
func edited(t testing.TB, seed uint64, puts int) *node {
	t.Helper()
	a := foundNode(t, "a")
	r := rand.New(rand.NewPCG(seed, 9))
	texts := map[string][]byte{}
	for i := range puts {
		key := fmt.Sprint("svc/", r.IntN(8))
		if texts[key] == nil || r.IntN(30) == 0 {
			texts[key] = []byte(lines(r, 12+r.IntN(200)))
		}
		for range 1 + r.IntN(2)*r.IntN(6) {
			copy(texts[key][r.IntN(len(texts[key])/31)*31:], lines(r, 1))
		}
		a.put(t, key, string(texts[key]))
		if i%50 == 49 {
			texts[key] = nil
			a.commit(t, func(tx *dag.Tx) error { return putTx(tx, key, nil) })
		}
	}
	return a
}

// flowed gives a new node all of another as a flow, and returns how many bytes
// that was.
func flowed(t *testing.T, from *node, name string, deltas bool) (to *node, size int) {
	t.Helper()
	to = openNode(t, name, dagtest.NewMem())
	var in dag.Inflow
	for c, err := range from.Chunks(t.Context(), nil, deltas) {
		if err != nil {
			t.Fatal(err)
		}
		size += len(c.Bytes())
		if _, err := to.Take(t.Context(), &in, c.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	same(t, from, to)
	return to, size
}

// TestFlowOfDeltas: a node that gets payloads as deltas has what one has that
// gets them whole, and keeps the bytes that came; so does the next.
func TestFlowOfDeltas(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and 400 revisions of 10 KB")
	}
	a := edited(t, 1, 400)
	a.ForgetPayloads()
	b, size := flowed(t, a, "b", true)
	b.ForgetPayloads()
	c, again := flowed(t, b, "c", true)
	_, whole := flowed(t, a, "d", false)
	if size*4 > whole || again > size+size/10 {
		t.Errorf("%d bytes with deltas, then %d; %d whole", size, again, whole)
	}
	for _, k := range keysOf(t, a.store, 'b') {
		want, err := a.store.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []*node{b, c} {
			if got, err := n.store.Get(k); len(k) > 1+4+8 && (err != nil || !bytes.Equal(got, want)) {
				t.Errorf("%s keeps %x as %d bytes, %v, not as %d", n.name, k, len(got), err, len(want))
			}
		}
	}
}

// TestFlowOfPoorDeltas: a delta that says a payload at length is taken, and
// stored in fewer bytes.
func TestFlowOfPoorDeltas(t *testing.T) {
	a := foundNode(t, "a")
	r := rand.New(rand.NewPCG(2, 9))
	text := []byte(lines(r, 200))
	a.put(t, "k", string(text))
	copy(text[310:], lines(r, 1))
	a.put(t, "k", string(text))
	keys := keysOf(t, a.store, 'b')
	last := keys[len(keys)-1]
	good, err := a.store.Get(last)
	if err != nil || good[0] != dag.KeptSpliced {
		t.Fatalf("the record is %x, %v", good, err)
	}
	// The form, depth and base stay; it shares nothing.
	poor := append(bytes.Clone(good[:dag.SpliceHead(good)]), 0, 0)
	a.mem().Set(last, append(poor, text...))
	a.ForgetPayloads()
	b, _ := flowed(t, a, "b", true)
	if got, err := b.store.Get(last); err != nil || !bytes.Equal(got, good) {
		t.Errorf("stored as %d bytes, %v, not %d", len(got), err, len(good))
	}
}

// TestFlowOfDamagedDelta: a delta that does not decode, or to something else,
// ends the flow before it leaves, also when its payload is in memory.
func TestFlowOfDamagedDelta(t *testing.T) {
	for _, remembered := range []bool{false, true} {
		a := edited(t, 3, 60)
		keys := slices.DeleteFunc(keysOf(t, a.store, 'b'), func(k []byte) bool { return len(k) == 1+4+8 })
		k := keys[len(keys)-1]
		v, err := a.store.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		v[len(v)-1] ^= 1
		a.mem().Set(k, v)
		if !remembered {
			a.ForgetPayloads()
		}
		b := openNode(t, "b", dagtest.NewMem())
		var in dag.Inflow
		var failed error
		for c, err := range a.Chunks(t.Context(), nil, true) {
			if failed = err; err != nil {
				break
			}
			if _, err := b.Take(t.Context(), &in, c.Bytes()); err != nil {
				t.Fatal(err)
			}
		}
		if (failed == nil) != remembered {
			t.Errorf("remembered %v: %v", remembered, failed)
		}
		b.check(t)
	}
}
