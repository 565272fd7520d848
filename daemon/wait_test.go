package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"crush/dag"
	"crush/rpc"
)

// member writes what a node is in the lab's cluster.
func (l *lab) member(name string, role dag.Role, zone string) dag.NodeID {
	l.t.Helper()
	id := dag.NewNodeKey(dag.SumOf([]byte(name))).ID()
	_, err := l.commit(l.t.Context(), rpc.Claim{}, func(tx *dag.Tx) error {
		return tx.Op(dag.NewOp(dag.MemberOp{Node: id, Role: role, Name: name, Zone: zone}))
	})
	if err != nil {
		l.t.Fatalf("member %s: %v", name, err)
	}
	return id
}

// heldBy answers as a p2p.Host whose peers say one after the other that they
// have a block, and then nothing more; it counts who had to be heard.
func heldBy(heard *int, ids ...dag.NodeID) func(context.Context, dag.BlockID, func([]dag.NodeID) bool) ([]dag.NodeID, error) {
	return func(ctx context.Context, _ dag.BlockID, enough func([]dag.NodeID) bool) ([]dag.NodeID, error) {
		for *heard = 0; *heard <= len(ids); *heard++ {
			if held := ids[:*heard]; enough(slices.Clone(held)) {
				return held, nil
			}
		}
		<-ctx.Done()
		return ids, context.Cause(ctx)
	}
}

func TestAwaitHeld(t *testing.T) {
	l := newLab(t, "self")
	id := map[string]dag.NodeID{"stranger": {1}}
	for _, m := range []struct{ name, zone string }{{"s2", "south"}, {"s3", "south"}, {"w", "west"}, {"nowhere", ""}, {"home", "north"}, {"gone", "east"}} {
		id[m.name] = l.member(m.name, dag.RoleReader, m.zone)
	}
	l.member("self", dag.RoleAdmin, "north")
	l.member("gone", dag.RoleRemoved, "east")
	block := l.Graph().Now().Tips()[0]
	for name, test := range map[string]struct {
		want  rpc.Wait
		says  string // who says so, in this order
		heard int    // how many are enough; -1 if all are not
		left  string // in the error
	}{
		"one":                        {rpc.Wait{Peers: 1}, "s2 s3", 1, ""},
		"three":                      {rpc.Wait{Peers: 3}, "s2 s3 w home", 3, ""},
		"a removed node counts not":  {rpc.Wait{Peers: 2}, "gone s2 home", 3, ""},
		"nor does a stranger":        {rpc.Wait{Peers: 1}, "stranger home", 2, ""},
		"too few":                    {rpc.Wait{Peers: 3}, "s2 w", -1, "only 2 of 3 other nodes said in time that it is on their disk (not home, nowhere, s3)"},
		"a node of each zone":        {rpc.Wait{Zones: true}, "s2 s3 nowhere w home", 4, ""},
		"a zone is missing":          {rpc.Wait{Zones: true}, "s2 s3 nowhere home", -1, "in time no node of west has said"},
		"both zones are missing":     {rpc.Wait{Zones: true}, "home nowhere", -1, "no node of south, west has said"},
		"a removed node has no zone": {rpc.Wait{Zones: true}, "w s3", 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var ids []dag.NodeID
			for who := range strings.FieldsSeq(test.says) {
				ids = append(ids, id[who])
			}
			heard := 0
			w := waits{l.Graph(), heldBy(&heard, ids...)}
			ctx, cancel := context.WithDeadline(t.Context(), time.Now())
			defer cancel()
			err := w.AwaitHeld(ctx, block, test.want)
			switch {
			case test.heard >= 0 && (err != nil || heard != test.heard):
				t.Errorf("%v after %d, want %d", err, heard, test.heard)
			case test.heard < 0 && (!errors.Is(err, rpc.ErrTimeout) || !strings.Contains(err.Error(), test.left) || !strings.HasPrefix(err.Error(), "stored on this node")):
				t.Errorf("got %v, want %q", err, test.left)
			}
			ctx, stop := context.WithCancelCause(t.Context())
			stop(errors.New("the host is gone"))
			if err := w.AwaitHeld(ctx, block, test.want); test.heard < 0 && (errors.Is(err, rpc.ErrTimeout) || !strings.Contains(err.Error(), "the host is gone")) {
				t.Errorf("the host's end: %v", err)
			}
		})
	}
}

// TestAwaitAllHeld: what was written before, and not again, is waited for too.
func TestAwaitAllHeld(t *testing.T) {
	a, b := pair(t)
	a.put("", "a", "1")
	b.put("", "b", "1")
	a.pull(b)
	var asked []dag.BlockID
	w := waits{a.Graph(), func(_ context.Context, id dag.BlockID, _ func([]dag.NodeID) bool) ([]dag.NodeID, error) {
		asked = append(asked, id)
		return nil, nil
	}}
	if err := w.AwaitHeld(t.Context(), dag.BlockID{}, rpc.Wait{Peers: 1}); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 2 || !slices.Equal(asked, a.Graph().Now().Tips()) {
		t.Errorf("asked for %v, the tips are %v", asked, a.Graph().Now().Tips())
	}
}

func TestCanWait(t *testing.T) {
	l := newLab(t, "self")
	w := waits{graph: l.Graph()}
	can := func(want rpc.Wait) bool {
		err := w.CanWait(t.Context(), want)
		if err != nil && !errors.Is(err, rpc.ErrInvalid) {
			t.Fatal(err)
		}
		return err == nil
	}
	if can(rpc.Wait{Peers: 1}) || can(rpc.Wait{Zones: true}) || !can(rpc.Wait{}) {
		t.Error("alone")
	}
	l.member("b", dag.RoleWriter, "")
	if !can(rpc.Wait{Peers: 1}) || can(rpc.Wait{Peers: 2}) || can(rpc.Wait{Zones: true}) {
		t.Error("with one other, without a zone")
	}
	l.member("b", dag.RoleWriter, "south")
	if !can(rpc.Wait{Zones: true}) {
		t.Error("with a zone")
	}
	l.member("b", dag.RoleRemoved, "south")
	if can(rpc.Wait{Peers: 1}) || can(rpc.Wait{Zones: true}) {
		t.Error("alone again")
	}
}

// TestReadAfter reads on one node what was written on another, not before it is
// there: by block, its distinctive part, its revision, and two of them.
func TestReadAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		for i, form := range []func(w rpc.Written) string{
			func(w rpc.Written) string { return w.Block.String() },
			func(w rpc.Written) string { return w.Block.String()[7:15] },
			func(w rpc.Written) string { return strings.ToUpper(w.Block.String()[7:15]) },
			func(w rpc.Written) string { return w.Revision.String() },
			func(w rpc.Written) string { return w.Block.String() + "," + w.Revision.String() },
		} {
			value := strings.Repeat("x", i+1)
			w, err := a.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: "k"}, Value: []byte(value)})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			got := make(chan string, 2)
			var reads sync.WaitGroup
			reads.Go(func() {
				e, err := b.Get(ctx, rpc.GetRequest{KeyRef: rpc.KeyRef{Key: "k"}, After: form(w)})
				if err != nil {
					t.Error(err)
				}
				got <- string(e.Value)
			})
			reads.Go(func() {
				for e, err := range b.List(ctx, rpc.ListRequest{AfterBlock: form(w), Values: true}) {
					if err != nil {
						t.Error(err)
					}
					got <- string(e.Value)
				}
			})
			synctest.Wait()
			if len(got) > 0 {
				t.Errorf("%s: a read did not wait", form(w))
			}
			b.pull(a)
			for range 2 {
				if v := <-got; v != value {
					t.Errorf("%s: got %q, want %q", form(w), v, value)
				}
			}
			reads.Wait()
			cancel()
		}
	})
}

func TestReadAfterNothing(t *testing.T) {
	l := newLab(t, "l")
	get := func(ctx context.Context, after string) error {
		_, err := l.Get(ctx, rpc.GetRequest{KeyRef: rpc.KeyRef{Key: "k"}, After: after})
		return err
	}
	for _, bad := range []string{"abc", "no/block", "abcdef,", "0000001", strings.Repeat("a", 60), "\n"} {
		if err := get(t.Context(), bad); !errors.Is(err, rpc.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if err := get(late, "abcdef"); !errors.Is(err, rpc.ErrNotHere) || !strings.Contains(err.Error(), "abcdef is not on this node yet") {
		t.Errorf("at the end of the time: %v", err)
	}
	for _, err := range l.List(t.Context(), rpc.ListRequest{AfterBlock: "abcdef", Within: 1}) {
		if !errors.Is(err, rpc.ErrNotHere) {
			t.Errorf("a list: %v", err)
		}
	}
	hungUp, stop := context.WithCancel(t.Context())
	stop()
	if err := get(hungUp, "abcdef"); !errors.Is(err, context.Canceled) {
		t.Errorf("hung up: %v", err)
	}
}
