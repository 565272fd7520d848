package dag_test

import (
	"errors"
	"testing"

	"crush/dag"
)

func TestUnmerged(t *testing.T) {
	d := dag.DefaultFork()
	for name, test := range map[string]struct {
		do   func(a *node, x dag.ForkID) dag.ForkID // the fork that is asked about
		want bool
	}{
		"nothing written":      {func(a *node, x dag.ForkID) dag.ForkID { return x }, false},
		"written":              {func(a *node, x dag.ForkID) dag.ForkID { a.set(t, x, "k", "1"); return x }, true},
		"a deletion":           {func(a *node, x dag.ForkID) dag.ForkID { a.set(t, x, "k", "DEL"); return x }, true},
		"default, with a fork": {func(a *node, x dag.ForkID) dag.ForkID { a.set(t, x, "k", "1"); return d }, false},
		"merged": {func(a *node, x dag.ForkID) dag.ForkID {
			a.set(t, x, "k", "1")
			a.merge(t, d, x, nil)
			return x
		}, false},
		"written after the merge": {func(a *node, x dag.ForkID) dag.ForkID {
			a.set(t, x, "k", "1")
			a.merge(t, d, x, nil)
			a.set(t, x, "k", "2")
			return x
		}, true},
		"skipped by the merge": {func(a *node, x dag.ForkID) dag.ForkID {
			a.set(t, x, "k", "1")
			a.merge(t, d, x, &dag.Filter{Skips: []string{"*"}})
			return x
		}, true},
		"passed by a merge that skips": {func(a *node, x dag.ForkID) dag.ForkID {
			a.set(t, x, "k", "1")
			a.merge(t, d, x, &dag.Filter{Skips: []string{"env/*"}})
			return x
		}, false},
		"each key by another merge": {func(a *node, x dag.ForkID) dag.ForkID {
			a.set(t, x, "k", "1")
			a.set(t, x, "l", "1")
			y := a.fork(t, "y")
			a.merge(t, d, x, &dag.Filter{Keys: []string{"k"}})
			a.merge(t, y, x, &dag.Filter{Keys: []string{"l"}})
			return x
		}, false},
		"merged into a fork that is gone": {func(a *node, x dag.ForkID) dag.ForkID {
			y := a.fork(t, "y")
			a.set(t, x, "k", "1")
			a.merge(t, y, x, nil)
			a.op(t, dag.NewOp(dag.DeleteOp{Fork: y}))
			return x
		}, true},
		"forked on": {func(a *node, x dag.ForkID) dag.ForkID {
			a.set(t, x, "k", "1")
			a.fork(t, "y", x)
			return x
		}, false},
		"only of a fork that is gone": {func(a *node, x dag.ForkID) dag.ForkID {
			a.set(t, x, "k", "1")
			y := a.fork(t, "y", x)
			a.op(t, dag.NewOp(dag.DeleteOp{Fork: x}))
			return y
		}, true},
		"of a fork that is gone and was merged elsewhere": {func(a *node, x dag.ForkID) dag.ForkID {
			a.set(t, x, "k", "1")
			y := a.fork(t, "y", x)
			a.merge(t, d, x, nil)
			a.op(t, dag.NewOp(dag.DeleteOp{Fork: x}))
			return y
		}, false},
		"before the writes of a fork that is gone": {func(a *node, x dag.ForkID) dag.ForkID {
			y := a.fork(t, "y", x)
			a.set(t, x, "k", "1")
			a.op(t, dag.NewOp(dag.DeleteOp{Fork: x}))
			return y
		}, false},
		"other keys of a fork that is gone": {func(a *node, x dag.ForkID) dag.ForkID {
			a.set(t, x, "k", "1")
			y := a.forkOf(t, "y", dag.NewContribution(x, nil, &dag.Filter{Keys: []string{"l"}}))
			a.op(t, dag.NewOp(dag.DeleteOp{Fork: x}))
			return y
		}, false},
		"through a fork without a name": {func(a *node, x dag.ForkID) dag.ForkID {
			batch := a.fork(t, "", x)
			a.set(t, batch, "k", "1")
			a.merge(t, x, batch, nil)
			return x
		}, true},
		"through a fork without a name, merged": {func(a *node, x dag.ForkID) dag.ForkID {
			batch := a.fork(t, "", x)
			a.set(t, batch, "k", "1")
			a.merge(t, x, batch, nil)
			a.merge(t, d, x, nil)
			return x
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := foundNode(t, "a")
			a.set(t, d, "k", "0")
			fork := test.do(a, a.fork(t, "x", d))
			if got, err := a.Unmerged(fork); got != test.want || err != nil {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	if _, err := foundNode(t, "a").Unmerged(dag.ForkID{9}); !errors.Is(err, dag.ErrNotFound) {
		t.Error(err)
	}
}
