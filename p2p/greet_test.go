package p2p

import (
	"testing"

	"crush/dag"
)

// What changes on the opener's side between its HELLO and the answer does not
// make the two sides judge differently whether they are equal.
func TestGreetingOfOneMoment(t *testing.T) {
	for _, equal := range []bool{true, false} {
		logs := cluster(2)
		next := logs[0].clone().extend(dag.ChainID{1}, nil)
		add := func(l *fakeLog) {
			if _, err := l.Apply(t.Context(), []dag.Bundle{next}); err != nil {
				t.Fatal(err)
			}
		}
		opener := NewSession(logs[0], logs[0], Probe, 1)
		answerer := NewSession(logs[1], logs[1], Answer, 1)
		defer opener.Close()
		defer answerer.Close()
		if !equal {
			add(logs[1])
		}
		hello, _ := opener.Next(t.Context())
		add(logs[0])
		answerer.Receive(t.Context(), hello)
		for m, ok := answerer.Next(t.Context()); ok; m, ok = answerer.Next(t.Context()) {
			opener.Receive(t.Context(), m)
		}
		if opener.Ended() != equal || answerer.Ended() != equal || opener.Err() != nil || answerer.Err() != nil {
			t.Errorf("equal %v: opener ended %v (%v), answerer ended %v (%v)", equal, opener.Ended(), opener.Err(), answerer.Ended(), answerer.Err())
		}
	}
}
