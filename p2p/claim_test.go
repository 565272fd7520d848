package p2p

import (
	"slices"
	"testing"
	"time"

	"crush/dag"
)

func pinAt(chain byte, seq uint64) dag.Pin {
	return dag.Pin{Chain: dag.ChainStart{chain}, Seq: seq, Block: dag.BlockStart{chain, byte(seq)}}
}

func TestClaims(t *testing.T) {
	f := newFetches()
	if !f.alone() {
		t.Error("not alone at the start")
	}
	a := f.open()
	if f.alone() {
		t.Error("alone beside a session")
	}
	if got := a.coming(nil); len(got) > 0 || a.waits() || !a.take([]dag.Pin{pinAt(1, 10), pinAt(2, 5)}, true) {
		t.Errorf("the first: %v", got)
	}
	// The second has seen the peer's tips before it tells its own: the peer is
	// not to send what the first fetches, in pins that it knows.
	b := f.open()
	lacking := []dag.Pin{pinAt(1, 8), pinAt(2, 9), pinAt(3, 1)}
	if !b.take(lacking, false) {
		t.Error("a peer that can still be told")
	}
	if got, want := b.coming(lacking), []dag.Pin{pinAt(1, 8), pinAt(2, 5)}; !slices.Equal(got, want) || !b.waits() {
		t.Errorf("coming %v, want %v", got, want)
	}
	if got, want := b.pins, []dag.Pin{pinAt(2, 9), pinAt(3, 1)}; !slices.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
	// The third told its peer before it knew what that has.
	c := f.open()
	if got, want := c.coming(nil), []dag.Pin{pinAt(1, 10), pinAt(2, 5), pinAt(2, 9), pinAt(3, 1)}; !slices.Equal(got, want) {
		t.Errorf("coming %v, want %v", got, want)
	}
	for name, test := range map[string]struct {
		lacking dag.Pin
		want    bool
	}{
		"fetched and told": {pinAt(1, 10), true},
		"beyond":           {pinAt(1, 12), true},
		"told, not known":  {pinAt(1, 9), false},
		"of nobody":        {pinAt(7, 9), true},
	} {
		if got := c.take([]dag.Pin{test.lacking}, true); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	// What was claimed since the peer was told would come twice.
	d, e := f.open(), f.open()
	d.coming(nil)
	e.take([]dag.Pin{pinAt(9, 1)}, true)
	if d.take([]dag.Pin{pinAt(9, 1)}, true) {
		t.Error("two fetch the same")
	}
	for _, x := range []*claim{a, b, c, d, e} {
		x.close()
	}
	if !f.alone() {
		t.Error("claims are left")
	}
	var none *claim
	if none.coming(lacking) != nil || !none.take(lacking, true) || none.waits() {
		t.Error("a session that is alone")
	}
}

// A node that joins two peers that have the same gets each block once.
func TestNoBlockTwice(t *testing.T) {
	logs := cluster(3)
	for range 300 {
		logs[0].extend(dag.ChainID{1}, make([]byte, 5000))
	}
	logs[1] = logs[0].clone()
	a, b := start(t, 1, logs[0]), start(t, 2, logs[1])
	c := start(t, 3, logs[2], peers(a.Addresses()[0], b.Addresses()[0]))
	waitEqual(t, logs...)
	for _, m := range []*member{a, b} {
		if _, err := c.SyncWith(t.Context(), m.Addresses()[0]); err != nil {
			t.Fatal(err)
		}
	}
	received := uint64(0)
	for _, p := range c.Peers() {
		received += p.Received
	}
	if received != 300 {
		t.Errorf("%d blocks received, 300 were missing", received)
	}
}

// SyncWith returns when everything is here, also what another session fetched
// when it began.
func TestSyncWithTheRest(t *testing.T) {
	logs := cluster(2)
	for range 20 {
		logs[0].extend(dag.ChainID{1}, make([]byte, 100))
	}
	a, b := start(t, 1, logs[0]), start(t, 2, logs[1])
	other := b.fetches.open()
	other.take(dag.PinsOf(logs[0].Frontier()), true)
	defer time.AfterFunc(200*time.Millisecond, other.close).Stop()
	o, err := b.SyncWith(t.Context(), a.Addresses()[0])
	if err != nil || o.Left || logs[1].Digest() != logs[0].Digest() {
		t.Errorf("the sync is over: %+v, %v", o, err)
	}
}

// Two sessions of one node at once, message by message: the second gets what
// only its peer has, and nothing that the first fetches.
func TestSessionsShare(t *testing.T) {
	logs := cluster(1)
	whole := logs[0].clone()
	for range 100 {
		whole.extend(dag.ChainID{1}, make([]byte, 5000))
	}
	part := logs[0].clone()
	for range 30 {
		part.extend(dag.ChainID{7}, make([]byte, 100))
	}
	f := newFetches()
	talk := func(peer *fakeLog, part Part) (mine, theirs *Session) {
		mine, theirs = fakeSession(logs[0], part), fakeSession(peer, Answer)
		mine.share(f)
		t.Cleanup(mine.Close)
		t.Cleanup(theirs.Close)
		return mine, theirs
	}
	// It tells before the first has claimed anything, and hears from its peer
	// when the first has all.
	late, latePeer := talk(whole.clone(), Open)
	deliver(t, late, latePeer)
	first, firstPeer := talk(whole, Open)
	deliver(t, first, firstPeer)
	m, _ := firstPeer.Next(t.Context())
	first.Receive(t.Context(), m) // HELLO
	m, _ = firstPeer.Next(t.Context())
	first.Receive(t.Context(), m) // FRONTIER: claimed

	for _, test := range []struct {
		name string
		peer *fakeLog
		part Part
		want int // blocks received
	}{
		{"the same history, told late", whole, Probe, 0},
		{"the same history, told early", whole, Open, 0},
		{"a part of it", behind(whole, 50), Probe, 0},
		{"another history", part, Probe, 30},
	} {
		second, peer := talk(test.peer, test.part)
		settle(t, second, peer)
		if o := second.Outcome(); second.Err() != nil || o.Received != test.want || o.Left == (test.want > 0) {
			t.Errorf("%s: %d received, something left %v, %v", test.name, o.Received, o.Left, second.Err())
		}
	}
	// It told before the first had claimed anything: it gives way.
	early, earlyPeer := talk(behind(whole, 50), Open)
	settle(t, early, earlyPeer)
	if early.Err() != errBusy || early.Outcome().Received > 0 {
		t.Errorf("told too early: %v after %d blocks", early.Err(), early.Outcome().Received)
	}
	settle(t, first, firstPeer)
	settle(t, latePeer, late)
	if late.Err() != errBusy || late.Outcome().Received > 0 {
		t.Errorf("overtaken: %v after %d blocks", late.Err(), late.Outcome().Received)
	}
	if o := first.Outcome(); o.Received != 100 || o.Applied != 100 {
		t.Errorf("the first: %+v", o)
	}
}

// behind is a log without its last blocks.
func behind(l *fakeLog, n int) *fakeLog {
	out := newFakeLog()
	for _, id := range l.order[:len(l.order)-n] {
		out.addLocked(id, l.bundles[id])
	}
	return out
}

// deliver gives all that one session has to say to another.
func deliver(t *testing.T, from, to *Session) bool {
	t.Helper()
	said := false
	for m, ok := from.Next(t.Context()); ok; m, ok = from.Next(t.Context()) {
		to.Receive(t.Context(), m)
		said = true
	}
	return said
}

// settle moves messages between two sessions until both are silent.
func settle(t *testing.T, a, b *Session) {
	t.Helper()
	for more := true; more; {
		more = deliver(t, a, b)
		more = deliver(t, b, a) || more
	}
}

// A peer that needs a newer version of this program is left alone for a while.
func TestPlanHold(t *testing.T) {
	p, now := newPlan(), time.Unix(1000, 0)
	p.want("a", now)
	p.start(now, time.Hour)
	p.done("a", now, true)
	p.hold("a", now.Add(restLong))
	p.want("a", now)
	if _, wait, ok := p.start(now.Add(time.Minute), time.Hour); ok || wait != restLong-time.Minute {
		t.Errorf("started after a minute: %v, %v", ok, wait)
	}
	if _, _, ok := p.start(now.Add(restLong), time.Hour); !ok {
		t.Error("never again")
	}
}
