package p2p

import (
	"bytes"
	"strings"
	"testing"

	"crush/dag"
)

// forged is a bundle with another signature.
func forged(t *testing.T, b dag.Bundle, n byte) dag.Bundle {
	t.Helper()
	h, err := dag.ReadHeader(b)
	if err != nil || len(h.Sig) == 0 {
		t.Fatalf("header: %v", err)
	}
	sig := bytes.Clone(h.Sig)
	sig[0] ^= n
	return bytes.Replace(b, h.Sig, sig, 1)
}

// shameless makes a host pass on whatever it is given.
func shameless(c *Config) {
	c.Judge = nil
	c.header = func(b dag.Bundle) (dag.Header, error) {
		if h, err := dag.ReadHeader(b); err == nil {
			return h, nil
		}
		return dag.Header{ID: dag.BlockID(dag.SumOf(b)), Signed: true}, nil
	}
}

// A member gossips nonsense and forged signatures: each is one line in the log
// and goes no further, and the true block comes through all the same.
func TestBadGossipGoesNoFurther(t *testing.T) {
	graphs := found(t, 3)
	a := startGraph(t, 1, graphs[0])
	bad := startGraph(t, 2, graphs[1], peers(a.Addresses()...), shameless)
	// c hears of the bad one over a alone.
	c := startGraph(t, 3, graphs[2], peers(a.Addresses()...), func(c *Config) { c.Gate = without{graphs[2], keyOf(2).ID()} })
	connectAll(t, a, bad, c)
	waitSame(t, graphs...)

	bad.Announce(dag.Bundle("nonsense"))
	a.lines.wait(t, "gossip refused: damaged bytes from the peer peer="+bad.ID().String())
	first := put(t, graphs[1], "k", []byte("first"))
	bad.Announce(forged(t, first, 1))
	a.lines.wait(t, "gossip refused: bad signature peer="+bad.ID().String())
	bad.Announce(first)
	waitSame(t, graphs...)

	for i := range 200 {
		bad.Announce(forged(t, first, byte(2+i)))
	}
	for i := range 10 {
		c.Announce(put(t, graphs[2], "k", []byte{byte(i)}))
	}
	waitSame(t, graphs...)
	for _, m := range []*member{a, c} {
		for len(m.lines) > 0 {
			if line := <-m.lines; strings.HasPrefix(line, "gossip refused") {
				t.Errorf("one more line: %s", line)
			}
		}
	}
}

// without is a member list without one member.
type without struct {
	Gate
	who dag.NodeID
}

func (w without) IsMember(id dag.NodeID) bool { return id != w.who && w.Gate.IsMember(id) }

// A message is known by what it carries, whoever passes it on and whatever
// frontier was told with it, and not by less.
func TestGossipID(t *testing.T) {
	g := found(t, 1)[0]
	b := put(t, g, "k", []byte("v"))
	p := newGossipParser(dag.ReadHeader)
	good := p.id(appendInline(dag.Digest{1}, []dag.Bundle{b}))
	if again := p.id(appendInline(dag.Digest{2}, []dag.Bundle{b})); again != good {
		t.Error("the same blocks with another digest are another message")
	}
	if bad := p.id(appendInline(dag.Digest{1}, []dag.Bundle{forged(t, b, 1)})); bad == good {
		t.Error("a forged signature takes the place of the good one")
	}
	if more := p.id(appendInline(dag.Digest{1}, []dag.Bundle{b, b})); more == good {
		t.Error("more blocks are the same message")
	}
}
