package p2p

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/libp2p/go-libp2p/core/network"

	"crush/dag"
)

var _ Bundles = (*dag.Graph)(nil)

// shelf gives the blocks that stand on it.
type shelf map[dag.BlockID]dag.Bundle

func (s shelf) Bundle(id dag.BlockID) (dag.Bundle, error) {
	if b, ok := s[id]; ok {
		return b, nil
	}
	return nil, dag.ErrNotFound
}

// copies asks for a block, and says who sent it.
func copies(t *testing.T, m *member, id dag.BlockID) (from []dag.NodeID) {
	t.Helper()
	for node, b := range m.Copies(t.Context(), id) {
		if sha256.Sum256(b) != id {
			t.Errorf("%s sent another block", node)
		}
		from = append(from, node)
	}
	return from
}

// A block comes from who has a good one, whatever others send.
func TestCopies(t *testing.T) {
	logs := cluster(5)
	b := fakeBundle(dag.Header{Chain: dag.ChainID{7}}, []byte("wanted"))
	id := dag.BlockID(sha256.Sum256(b))
	other := fakeBundle(dag.Header{Chain: dag.ChainID{7}}, []byte("another"))
	with := func(s shelf) func(*Config) { return func(c *Config) { c.Bundles = s } }
	a := start(t, 1, logs[0])
	good := start(t, 2, logs[1], with(shelf{id: b}))
	none := start(t, 3, logs[2], with(shelf{}))
	bad := start(t, 4, logs[3], with(shelf{id: other}))
	mute := start(t, 5, logs[4]) // of an older version
	connectAll(t, a, good, none, bad, mute)
	if from := copies(t, a, id); len(from) != 1 || from[0] != good.ID() {
		t.Errorf("it came from %v", from)
	}
	a.lines.wait(t, "block refused: damaged bytes from the peer peer="+bad.Host.self.String())
	if from := copies(t, a, dag.BlockID{9}); len(from) > 0 {
		t.Errorf("what nobody has came from %v", from)
	}
	for range a.Copies(t.Context(), id) {
		break
	}
}

// Who asks in another way, or is no member any more, is not answered.
func TestBadBlockQuestion(t *testing.T) {
	logs := cluster(2)
	a := start(t, 1, logs[0], func(c *Config) { c.Bundles = shelf{{}: []byte("bundle")} })
	b := start(t, 2, logs[1])
	connectAll(t, a, b)
	ask := func(question []byte) ([]byte, error) {
		t.Helper()
		s, err := b.net.NewStream(network.WithNoDial(t.Context(), "test"), a.self, blockProtocol)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Reset()
		if _, err := s.Write(question); err != nil {
			return nil, err // who is asked too much does not wait for all of it
		}
		if err := s.CloseWrite(); err != nil {
			return nil, err
		}
		return io.ReadAll(s)
	}
	if got, err := ask(make([]byte, 32)); string(got) != "bundle" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, n := range []int{0, 31, 33, 1 << 16} {
		if got, err := ask(make([]byte, n)); err == nil || len(got) > 0 {
			t.Errorf("a question of %d bytes: %q, %v", n, got, err)
		}
	}
}

// A block that is longer than blocks are is not kept.
func TestLongBlock(t *testing.T) {
	if _, err := readBundle(bytes.NewReader(make([]byte, dag.MaxBlock+1))); !errors.Is(err, errDamaged) {
		t.Errorf("%v", err)
	}
	if _, err := readBundle(iotest.ErrReader(io.ErrUnexpectedEOF)); err != io.ErrUnexpectedEOF {
		t.Errorf("%v", err)
	}
}
