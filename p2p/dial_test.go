package p2p

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

func infoOf(p peer.ID, from, n int) peer.AddrInfo {
	info := peer.AddrInfo{ID: p}
	for i := range n {
		info.Addrs = append(info.Addrs, ma.StringCast(fmt.Sprintf("/ip4/10.0.%d.%d/tcp/1", (from+i)/256, (from+i)%256)))
	}
	return info
}

func anybody(peer.ID, bool) bool { return true }

// Addresses on somebody's word take no place from others, are few, and are
// tried soon.
func TestDialsHear(t *testing.T) {
	d, now := newDials(), time.Unix(1000, 0)
	own := infoOf("a", 0, 2)
	d.add(own, true)
	for range 20 { // nobody there
		now = now.Add(time.Hour)
		if _, _, ok := d.start(now, time.Hour, anybody); !ok {
			t.Fatal("not dialled")
		}
		d.done("a", now)
	}
	if _, wait, ok := d.start(now, time.Hour, anybody); ok || wait < dialMax/2 || wait > dialMax*3/2 {
		t.Errorf("rests for %v", wait)
	}
	for i := range 100 {
		d.hear(infoOf("a", 10+i*10, 10), now)
	}
	info, wait, ok := d.start(now.Add(dialMin), time.Hour, anybody)
	if !ok {
		t.Fatalf("a new address is tried in %v", wait)
	}
	if n := len(info.Addrs); n != len(own.Addrs)+maxHeard || !info.Addrs[0].Equal(own.Addrs[0]) || !info.Addrs[1].Equal(own.Addrs[1]) {
		t.Errorf("dials %v", info.Addrs)
	}
	d.done("a", now)
	d.hear(peer.AddrInfo{ID: "a", Addrs: info.Addrs}, now)
	if _, wait, ok := d.start(now.Add(dialMin), time.Hour, anybody); ok || wait < dialMin {
		t.Errorf("known addresses are tried again in %v", wait)
	}
}

// Many are dialled at a time, and each by one dial.
func TestDialsAtOnce(t *testing.T) {
	d, now := newDials(), time.Unix(1000, 0)
	for i := range 2 * maxDials {
		d.add(infoOf(peer.ID(fmt.Sprint(i)), i, 1), false)
	}
	running := map[peer.ID]bool{}
	for range maxDials {
		info, _, ok := d.start(now, time.Hour, anybody)
		if !ok || running[info.ID] {
			t.Fatalf("%v after %v", info.ID, running)
		}
		running[info.ID] = true
	}
	if _, _, ok := d.start(now, time.Hour, anybody); ok {
		t.Error("more than allowed")
	}
}

// A configured peer that is not reached is told about once, others never.
func TestDialsUnreached(t *testing.T) {
	d, now := newDials(), time.Unix(1000, 0)
	d.add(infoOf("configured", 0, 1), true)
	d.add(infoOf("remembered", 1, 1), false)
	count := func() (said int) {
		for range 50 {
			if d.done("remembered", now) {
				t.Error("told about one that nobody asked for")
			}
			if d.done("configured", now) {
				said++
			}
		}
		return said
	}
	if n := count(); n != 1 {
		t.Errorf("told %d times", n)
	}
	if !d.reached("configured") || d.reached("configured") || d.reached("remembered") {
		t.Error("not told once that it is reached")
	}
	if n := count(); n != 1 {
		t.Errorf("later told %d times", n)
	}
}

// TCP goes first, unless there is none.
func TestRank(t *testing.T) {
	tcp, quic := ma.StringCast("/ip4/1.2.3.4/tcp/1"), ma.StringCast("/ip4/1.2.3.4/udp/1/quic-v1")
	if r := rank([]ma.Multiaddr{quic, tcp}); r[0].Delay == 0 || r[1].Delay != 0 {
		t.Errorf("both: %v", r)
	}
	if r := rank([]ma.Multiaddr{quic}); r[0].Delay != 0 {
		t.Errorf("QUIC alone waits: %v", r)
	}
}
