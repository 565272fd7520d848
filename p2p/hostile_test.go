package p2p

import (
	"errors"
	"iter"
	"runtime"
	"slices"
	"testing"

	"crush/dag"
)

// repeated yields a message for ever.
func repeated(m Message) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		for yield(m) {
		}
	}
}

// said yields messages, then those of another sequence.
func said(then iter.Seq[Message], first ...Message) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		for _, m := range first {
			if !yield(m) {
				return
			}
		}
		if then != nil {
			then(yield)
		}
	}
}

// rangeOf is a RANGE of blocks of a fake log.
func rangeOf(bundles ...dag.Bundle) Range { return Range{[][]byte{appendChunk(nil, bundles)}} }

// attack is what a hostile peer says, and what must come of it.
type attack struct {
	part Part // of the side that is attacked
	says iter.Seq[Message]
	most int   // messages that it may get rid of
	err  error // how the session ends
	gap  bool  // or: as one whose blocks do not connect
}

// attacks are what a peer can say that speaks the protocol and is a member of
// the cluster, against a log of 20 blocks of which it knows all.
func attacks(l *fakeLog) map[string]attack {
	hello := Hello{Version: 1, Follows: true, Cluster: l.cluster, Digest: dag.Digest{1}}
	answer := hello
	answer.Follows = false
	ours := dag.PinsOf(l.Frontier())
	last := l.bundles[l.order[len(l.order)-1]]
	unknown := dag.Pin{Chain: dag.ChainStart{0xee}, Seq: 3, Block: dag.BlockStart{3}}
	fork := dag.Pin{Chain: ours[0].Chain, Seq: 0, Block: dag.BlockStart{9}}
	tips := Frontier{Tips: ours}
	orphan := fakeBundle(dag.Header{Chain: dag.ChainID{0xee}, Seq: 3, Prev: dag.BlockID{7}, Signed: true}, nil)
	next := fakeBundle(dag.Header{Chain: dag.ChainID{0xee}, Deps: []dag.BlockID{l.order[len(l.order)-1]}}, nil)
	empty := Range{[][]byte{{1}}}
	return map[string]attack{
		"the same block for ever":      {Open, said(repeated(rangeOf(last)), answer, tips), 2 + maxUseless/minUseless + 1, errDamaged, false},
		"the same chunk for ever":      {Open, said(repeated(rangeOf(slices.Repeat([]dag.Bundle{last}, 5000)...)), answer, tips), 2 + maxUseless/(5000*len(last)) + 1, errDamaged, false},
		"a new block, then for ever":   {Answer, said(repeated(rangeOf(next)), hello, tips), 2 + maxUseless/minUseless + 2, errDamaged, false},
		"a frontier that is not there": {Open, said(nil, answer, Frontier{Tips: []dag.Pin{unknown}}, Done{}, Done{}), 4, errDamaged, false},
		"the same from the opener":     {Answer, said(nil, hello, Frontier{Tips: []dag.Pin{unknown}}, Done{}), 3, errDamaged, false},
		"blocks that do not connect":   {Open, said(repeated(rangeOf(orphan)), answer, tips), 3, nil, true},
		"no blocks":                    {Open, said(repeated(empty), answer, tips), 3, dag.ErrRefused, false},
		"DONE for ever":                {Open, said(repeated(Done{}), answer, tips), 4, nil, false},
		"DONE of an opener":            {Answer, said(repeated(Done{}), hello), 2, errDamaged, false},
		"RANGE before FRONTIER":        {Answer, said(nil, hello, rangeOf(last)), 2, errDamaged, false},
		"RANGE before HELLO":           {Open, said(nil, rangeOf(last)), 1, errDamaged, false},
		"RANGE after DONE":             {Answer, said(nil, hello, tips, Done{}, rangeOf(last)), 4, nil, false},
		"HELLO twice":                  {Answer, said(nil, hello, hello), 2, errDamaged, false},
		"FRONTIER for ever":            {Answer, said(repeated(tips), hello), 2 + maxRounds, errDamaged, false},
		"FRONTIER of an answerer":      {Open, said(repeated(tips), answer), 3, errDamaged, false},
		"LOCATOR for ever":             {Answer, said(repeated(Locator{[]Trail{{Chain: ours[0].Chain, Pins: ours}}}), hello), 2 + maxRounds, errDamaged, false},
		"a divergence for ever":        {Open, said(repeated(Done{}), answer, Frontier{Tips: []dag.Pin{fork}}), 4, errDamaged, false},
		"divergences for ever":         {Open, divergences(answer), 3 + 3*maxRounds, errDamaged, false},
	}
}

// divergences makes an opener begin another round as often as it can.
func divergences(hello Hello) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		more := yield(hello)
		for i := byte(0); more; i++ {
			more = yield(Locator{[]Trail{{Chain: dag.ChainStart{i, 0xcc}}}}) && yield(Frontier{}) && yield(Done{})
		}
	}
}

// A hostile peer ends its session, with one error, after a bounded number of
// messages, and little memory is held for it.
func TestHostilePeers(t *testing.T) {
	l, _ := history(newRand(1), 20, 0, 0)
	for name, a := range attacks(l) {
		t.Run(name, func(t *testing.T) {
			victim := l.clone()
			s := fakeSession(victim, a.part)
			defer s.Close()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			taken, told := 0, 0
			for m := range a.says {
				for _, ok := s.Next(t.Context()); ok; _, ok = s.Next(t.Context()) {
					told++
				}
				if s.Ended() || taken > a.most {
					break
				}
				taken++
				s.Receive(t.Context(), m)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if _, gap := errors.AsType[*dag.MissingError](s.Err()); taken > a.most || !s.Ended() || gap != a.gap || !gap && !errors.Is(s.Err(), a.err) {
				t.Errorf("%d messages taken, ended %v: %v", taken, s.Ended(), s.Err())
			}
			if told > 3*maxRounds+taken {
				t.Errorf("%d messages answered", told)
			}
			if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > 64<<20 {
				t.Errorf("%d MiB held", held>>20)
			}
			if name != "a new block, then for ever" {
				wantEqual(t, l, victim)
			}
		})
	}
}
