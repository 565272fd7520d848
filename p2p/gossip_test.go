package p2p

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"testing"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"

	"crush/dag"
)

func TestDocumentedGossip(t *testing.T) {
	raw := documented(t, "Example of a gossip message")
	m, err := parseGossip(raw, fakeHeader)
	if err != nil || m.kind != gossipHead || string(m.digest[:]) != "digest of after!" || string(m.head[:]) != "block block block block block bl" {
		t.Errorf("%+v, %v", m, err)
	}
	if got := appendHead(m.digest, m.head); !bytes.Equal(got, raw) {
		t.Errorf("written otherwise: %x", got)
	}
}

func TestBadGossip(t *testing.T) {
	good := appendInline(dag.Digest{1}, []dag.Bundle{fakeBundle(dag.Header{Chain: dag.ChainID{1}}, nil)})
	if _, err := parseGossip(good, fakeHeader); err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{
		"empty":     nil,
		"no body":   good[:17],
		"cut":       good[:len(good)-1],
		"kind 3":    append([]byte{3}, good[1:]...),
		"long head": append(appendHead(dag.Digest{}, dag.BlockID{}), 0),
		"bad block": appendInline(dag.Digest{}, []dag.Bundle{dag.Bundle("x")}),
		"too long":  appendInline(dag.Digest{}, []dag.Bundle{fakeBundle(dag.Header{}, make([]byte, maxInline))}),
	} {
		if _, err := parseGossip(raw, fakeHeader); !errors.Is(err, errDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if p := newGossipParser(fakeHeader); p.id(raw) == p.id(good) {
			t.Errorf("%s takes the place of a good message", name)
		}
	}
}

// A block of a later version counts against nobody, unlike bad bytes.
func TestLaterGossip(t *testing.T) {
	l := newFakeLog()
	said := make(lines, 10)
	h, err := New(Config{Key: keyOf(1), State: l, Blocks: l, Chains: l, Gate: l, Logger: slog.New(said), header: fakeReader(1)})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		payload string
		want    pubsub.ValidationResult
		line    string
	}{
		{"\x01", pubsub.ValidationAccept, ""},
		{"\x02", pubsub.ValidationIgnore, "gossip left out: newer version needed"},
	} {
		data := appendInline(dag.Digest{}, []dag.Bundle{fakeBundle(dag.Header{Chain: dag.ChainID{1}}, []byte(test.payload))})
		m := &pubsub.Message{Message: &pb.Message{Data: data}}
		if got := h.validate(t.Context(), "peer", m); got != test.want {
			t.Errorf("version %x: %v", test.payload, got)
		}
		if test.line != "" {
			said.wait(t, test.line)
		}
	}
	if got := h.validate(t.Context(), "peer", &pubsub.Message{Message: &pb.Message{Data: []byte("x")}}); got != pubsub.ValidationReject {
		t.Errorf("bad bytes: %v", got)
	}
}

func FuzzGossip(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, header := range []func(dag.Bundle) (dag.Header, error){fakeHeader, dag.ReadHeader} {
			m, err := parseGossip(raw, header)
			if err != nil {
				continue
			}
			again := appendHead(m.digest, m.head)
			if m.kind == gossipInline {
				var bundles []dag.Bundle
				for _, b := range m.blocks {
					bundles = append(bundles, b.bundle)
				}
				again = appendInline(m.digest, bundles)
			}
			if !bytes.Equal(again, raw) {
				t.Errorf("not canonical: %x", raw)
			}
		}
	})
}

// Blocks in any order come out in causal order, once.
func TestOrphans(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 4))
		from, _ := history(r, 60, 0, 0)
		var blocks []block
		for _, id := range from.order {
			blocks = append(blocks, block{from.headers[id], from.bundles[id]})
		}
		r.Shuffle(len(blocks), func(i, j int) { blocks[i], blocks[j] = blocks[j], blocks[i] })
		to, o := newFakeLog(), newOrphans()
		for len(blocks) > 0 {
			n := min(len(blocks), 1+r.IntN(10))
			for _, b := range blocks[:n] {
				o.add(b)
				o.add(b)
			}
			blocks = blocks[n:]
			for _, b := range o.take(to.Have) {
				if _, err := to.Apply(t.Context(), []dag.Bundle{b.bundle}); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		}
		wantEqual(t, from, to)
		if len(o.blocks)+len(o.held)+o.bytes > 0 {
			t.Errorf("seed %d: %d orphans of %d bytes left", seed, len(o.blocks), o.bytes)
		}
	}
}

func TestOrphansBounded(t *testing.T) {
	o := newOrphans()
	for i := range 3 * maxOrphans {
		b := block{Header: dag.Header{ID: dag.BlockID{byte(i), byte(i >> 8)}, Prev: dag.BlockID{1, 2, 3}}, bundle: make(dag.Bundle, 12<<10)}
		o.add(b)
		if len(o.blocks) > maxOrphans || o.bytes > maxOrphanBytes || len(o.held) != len(o.blocks) {
			t.Fatalf("%d orphans of %d bytes", len(o.blocks), o.bytes)
		}
	}
	last := o.blocks[len(o.blocks)-1]
	if last.ID != (dag.BlockID{byte((3*maxOrphans - 1) & 0xff), byte((3*maxOrphans - 1) >> 8)}) {
		t.Error("the newest was given up")
	}
	if got := o.take(func(dag.BlockID) bool { return true }); len(got) > 0 || len(o.blocks) > 0 {
		t.Errorf("blocks that are here: %d taken, %d left", len(got), len(o.blocks))
	}
}

func TestOutbox(t *testing.T) {
	o := newOutbox()
	small := func(n int) dag.Bundle { return make(dag.Bundle, n) }
	o.put([]dag.Bundle{small(6000), small(1000)})
	o.put([]dag.Bundle{small(6000)})
	o.put([]dag.Bundle{small(6000)})
	o.put([]dag.Bundle{small(10000), small(9000)}) // together too big: the last
	o.put([]dag.Bundle{small(1 << 20)})
	var got []int
	for b := o.take(); len(b) > 0; b = o.take() {
		got = append(got, len(b))
	}
	if len(got) != 3 || got[0] != 3 || got[1] != 2 || got[2] != 1 || o.bytes != 0 {
		t.Errorf("messages of %v blocks, %d bytes left", got, o.bytes)
	}
	for range 100 {
		o.put([]dag.Bundle{small(1 << 20)})
	}
	if o.bytes > outboxBytes || o.dropped == 0 {
		t.Errorf("%d bytes kept, %d dropped", o.bytes, o.dropped)
	}
}
