package p2p

import (
	"strings"
	"testing"
	"time"
)

func byMDNS(c *Config) {
	c.MDNS = true
	c.Listen = []string{"/ip4/0.0.0.0/tcp/0"}
}

// Two members that nobody told of one another find each other. Where there is
// no multicast they say so, and all else works.
func TestMDNS(t *testing.T) {
	logs := cluster(2)
	logs[0].extend([32]byte{1}, nil)
	a, b := start(t, 1, logs[0], byMDNS), start(t, 2, logs[1], byMDNS)
	timeout := time.After(30 * time.Second)
	for logs[0].Digest() != logs[1].Digest() {
		changed := b.Changed()
		select {
		case <-changed:
		case line := <-a.lines:
			if strings.HasPrefix(line, "nodes of the local network are not looked for") {
				t.Skip(line)
			}
		case <-timeout:
			t.Fatal("two members on one machine did not find each other")
		}
	}
}

// Who is no member is not dialled, whoever says that it is there.
func TestMDNSFindsMembersOnly(t *testing.T) {
	logs := cluster(2)
	logs[0].extend([32]byte{1}, nil)
	a, b := start(t, 1, logs[0]), start(t, 2, logs[1])
	stranger := start(t, 9, logs[0].clone())
	found := mdnsFound{b.Host}
	found.HandlePeerFound(mustAddr(stranger.Addresses()[0]))
	found.HandlePeerFound(mustAddr(b.Addresses()[0]))
	if b.dials.knows(stranger.self) || b.dials.knows(b.self) {
		t.Error("a stranger, or the node itself, is to be dialled")
	}
	found.HandlePeerFound(mustAddr(a.Addresses()[0]))
	waitEqual(t, logs...)
}

// A node that cannot announce itself says so once and runs on.
func TestMDNSFails(t *testing.T) {
	logs := cluster(2)
	a := start(t, 1, logs[0])
	logs[0].extend([32]byte{1}, nil)
	b := start(t, 2, logs[1], peers(a.Addresses()...), func(c *Config) { c.MDNS, c.Listen = true, []string{} })
	b.lines.wait(t, "nodes of the local network are not looked for")
	waitEqual(t, logs...)
}
