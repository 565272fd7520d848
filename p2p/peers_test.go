package p2p

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"crush/dag"
)

func TestDocumentedPeers(t *testing.T) {
	raw := documented(t, "Example of an answer with addresses")
	infos, err := parsePeers(raw)
	if err != nil || len(infos) != 1 {
		t.Fatalf("%v, %v", infos, err)
	}
	id, _ := nodeOf(infos[0].ID)
	if string(id[:]) != "node a node a node a node a node" || !slices.Equal(texts(infos[0].Addrs), []string{"/ip4/192.0.2.2/tcp/7655", "/ip6/2001:db8::1/tcp/7655"}) {
		t.Errorf("%v", infos)
	}
	if got := appendPeer(nil, id, infos[0].Addrs); !bytes.Equal(got, raw) {
		t.Errorf("written otherwise: %x", got)
	}
}

func FuzzPeers(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		infos, err := parsePeers(raw)
		if err != nil {
			if !errors.Is(err, errDamaged) {
				t.Error(err)
			}
			return
		}
		var again []byte
		for _, info := range infos {
			id, _ := nodeOf(info.ID)
			again = appendPeer(again, id, info.Addrs)
		}
		if !bytes.Equal(again, raw) {
			t.Errorf("not canonical: %x", raw)
		}
	})
}

// What does not fit an answer is left out of it.
func TestPeersBounded(t *testing.T) {
	var raw []byte
	for i := range 3000 {
		raw = appendPeer(raw, dag.NodeID{byte(i >> 8), byte(i)}, infoOf("", i, 10).Addrs)
	}
	infos, err := parsePeers(raw)
	if err != nil || len(raw) > maxPeers || len(infos) < 500 || len(infos[0].Addrs) != maxAddrs {
		t.Errorf("%d nodes in %d bytes, %v", len(infos), len(raw), err)
	}
	if _, err := parsePeers(make([]byte, maxPeers+1)); !errors.Is(err, errDamaged) {
		t.Errorf("too long: %v", err)
	}
	if raw := appendPeer(nil, dag.NodeID{1}, nil); len(raw) > 0 {
		t.Errorf("without an address: %x", raw)
	}
}

// Only who is asked from the same machine tells of addresses there.
func TestReachable(t *testing.T) {
	all := []string{"/ip4/127.0.0.1/tcp/1", "/ip6/fe80::1/tcp/1", "/ip4/0.0.0.0/tcp/1", "/ip4/10.0.0.1/tcp/1", "nonsense"}
	if got := texts(reachable(all, false)); !slices.Equal(got, all[3:4]) {
		t.Errorf("elsewhere: %v", got)
	}
	if got := texts(reachable(all, true)); !slices.Equal(got, []string{all[0], all[1], all[3]}) {
		t.Errorf("here: %v", got)
	}
}

// Who is told where a member is dials it; of others it keeps nothing.
func TestPeersTold(t *testing.T) {
	logs := cluster(3)
	a, b, c := start(t, 1, logs[0]), start(t, 2, logs[1]), start(t, 3, logs[2])
	stranger := mustAddr("/ip4/10.0.0.9/tcp/1/p2p/" + peerOf(keyOf(9).ID()).String())
	a.roster.learn(stranger.ID, "/ip4/10.0.0.9/tcp/1")
	connectAll(t, a, b, c)
	timeout := time.After(30 * time.Second)
	for { // a connection that nobody configured
		changed := b.questions.changed()
		if b.net.Network().Connectedness(c.self) == network.Connected {
			break
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatal("two that know the same third did not find each other")
		}
	}
	if b.dials.knows(stranger.ID) || c.dials.knows(stranger.ID) {
		t.Error("a stranger is to be dialled")
	}
}

// An answer of nonsense is one line in the log, and a question of nonsense
// gets no answer.
func TestBadPeersAnswer(t *testing.T) {
	logs := cluster(2)
	a, b := start(t, 1, logs[0]), start(t, 2, logs[1])
	b.net.SetStreamHandler(peersProtocol, func(s network.Stream) {
		s.Write([]byte("nonsense"))
		s.Close()
	})
	connectAll(t, a, b)
	a.lines.wait(t, "addresses refused: damaged bytes from the peer peer="+b.ID().String())

	s, err := b.net.NewStream(t.Context(), a.self, peersProtocol)
	if err != nil {
		t.Fatal(err)
	}
	s.Write([]byte("why?"))
	s.SetReadDeadline(time.Now().Add(20 * time.Second))
	if raw, err := io.ReadAll(s); !errors.Is(err, network.ErrReset) || len(raw) > 0 {
		t.Errorf("answered %x, %v", raw, err)
	}
	var none peer.ID
	if got := a.knownPeers(none, ma.StringCast("/ip4/127.0.0.1/tcp/1")); len(got) == 0 {
		t.Error("nothing is known of a connected member")
	}
}
