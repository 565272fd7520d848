package p2p

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestBackoff(t *testing.T) {
	for n, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		for _, luck := range []float64{0, 0.5, 0.999} {
			got := backoff(time.Second, 10*time.Second, n, luck)
			if exact := time.Duration(float64(want) * float64(time.Second) * (0.5 + luck)); got != exact {
				t.Errorf("try %d with luck %v: %v, want %v", n, luck, got, exact)
			}
		}
	}
	if got := backoff(time.Second, time.Minute, 1000, 0.5); got != time.Minute {
		t.Errorf("try 1000: %v", got)
	}
}

func TestPlan(t *testing.T) {
	p, now := newPlan(), time.Unix(1000, 0)
	if _, wait, ok := p.start(now, time.Hour); ok || wait != time.Hour {
		t.Errorf("empty plan: %v, %v", wait, ok)
	}
	p.want("a", now.Add(time.Second))
	p.want("a", now.Add(time.Minute)) // later does not put it off
	if _, wait, ok := p.start(now, time.Hour); ok || wait != time.Second {
		t.Errorf("before its time: %v, %v", wait, ok)
	}
	p.want("b", now)
	p.want("c", now)
	p.want("d", now)
	first, _, ok1 := p.start(now, time.Hour)
	second, _, ok2 := p.start(now, time.Hour)
	if _, _, ok := p.start(now, time.Hour); !ok1 || !ok2 || ok || first == second {
		t.Errorf("two at a time: %v, %v, %v", first, second, ok)
	}
	p.want(first, now)
	p.done(first, now, false)
	third, _, ok := p.start(now, time.Hour)
	if !ok || third == first {
		t.Errorf("a peer without its rest: %v", third)
	}
	p.done(second, now, true)
	p.done(third, now, true)
	var order []peer.ID
	for at := now; at.Before(now.Add(time.Minute)); at = at.Add(50 * time.Millisecond) {
		if id, _, ok := p.start(at, time.Hour); ok {
			order = append(order, id)
			p.done(id, at, true)
		}
	}
	if len(order) != 2 || order[0] != first || order[1] != "a" {
		t.Errorf("then %v", order)
	}
}

// After a session that did what it was for the next may follow at once, after
// others later and later.
func TestPlanRests(t *testing.T) {
	p, now := newPlan(), time.Unix(1000, 0)
	rested := func(hit bool) time.Duration {
		now = now.Add(time.Hour)
		p.want("a", now)
		if _, _, ok := p.start(now, time.Minute); !ok {
			t.Fatal("not started")
		}
		p.done("a", now, hit)
		p.want("a", now)
		_, wait, _ := p.start(now, time.Minute)
		return wait
	}
	for range 3 {
		if wait := rested(true); wait > restHit {
			t.Errorf("rests for %v after a success", wait)
		}
		for n, least := range []time.Duration{restMin, 2 * restMin, 4 * restMin} {
			if wait := rested(false); wait < least/2 || wait > least*3/2 {
				t.Errorf("rests for %v after failure %d", wait, n)
			}
		}
	}
}

func TestSlots(t *testing.T) {
	s := newSlots()
	if ok, _ := s.open("b", true); !ok {
		t.Fatal("nothing runs, yet no slot")
	}
	ok, changed := s.open("b", false)
	if ok || changed == nil {
		t.Error("two sessions with one peer")
	}
	// Both open at once: of the two sessions exactly one stands.
	if s.answer("a", "b") {
		t.Error("the smaller id gave way")
	}
	other := newSlots()
	other.open("a", true)
	if !other.answer("b", "a") {
		t.Error("neither session stands")
	}
	if !s.claimBulk() || s.claimBulk() {
		t.Error("not two transfers at most")
	}
	if ok, _ := s.open("c", true); ok {
		t.Error("a third transfer")
	}
	s.release("b", Open, true)
	select {
	case <-changed:
	default:
		t.Error("nobody is told of the free slot")
	}
	if ok, _ := s.open("b", true); !ok {
		t.Error("slot not given back")
	}
}

func TestQuiet(t *testing.T) {
	now := time.Unix(1000, 0)
	q := newQuiet(func() time.Time { return now })
	if !q.due("x", "a") || q.due("x", "a") || !q.due("y", "a") || !q.due("x", "b") {
		t.Error("not one line for each kind and peer")
	}
	now = now.Add(quietFor)
	if !q.due("x", "a") {
		t.Error("silent for ever")
	}
	lines := 1
	for i := range 3 * quietMax {
		if q.due("x", peer.ID(rune(i))) {
			lines++
		}
	}
	if lines != quietLines || !q.due("y", "a") {
		t.Errorf("%d lines about peers that are made up", lines)
	}
	for i := range 3 * quietMax {
		q.due(fmt.Sprint(i/10), peer.ID(rune(i)))
	}
	if len(q.said) > quietMax {
		t.Errorf("%d kept", len(q.said))
	}
}

func TestFileBook(t *testing.T) {
	b := FileBook{t.TempDir() + "/peers"}
	if got, err := b.Load(); err != nil || len(got) != 0 {
		t.Errorf("no file: %v, %v", got, err)
	}
	for _, addrs := range [][]string{{"/b", "/a"}, nil} {
		if err := b.Save(addrs); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Load(); err != nil || len(got) != len(addrs) {
			t.Errorf("saved %v, loaded %v, %v", addrs, got, err)
		}
	}
	if err := (FileBook{t.TempDir() + "/none/peers"}).Save(nil); err == nil {
		t.Error("saved nowhere")
	}
}
