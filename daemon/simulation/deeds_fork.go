package simulation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"crush/crdt"
	"crush/crdt/oracle"
	"crush/dag"
	"crush/rpc"
)

// filter reads the arguments that limit a fork or merge: patterns have a star.
func filter(only, skip string) *rpc.Filter {
	f := &rpc.Filter{}
	for _, s := range list(only) {
		if strings.Contains(s, "*") {
			f.Scopes = append(f.Scopes, s)
		} else {
			f.Keys = append(f.Keys, s)
		}
	}
	for _, s := range list(skip) {
		if strings.Contains(s, "*") {
			f.Skips = append(f.Skips, s)
		} else {
			f.SkipKeys = append(f.SkipKeys, s)
		}
	}
	return f
}

// newFork makes a fork of another, now or at an earlier cut, of some keys.
func newFork(ctx context.Context, t *turn) error {
	from, text, refusal, err := t.fork(t.s.From, false)
	if err != nil {
		return err
	}
	q := rpc.ForkRequest{Name: t.s.Name, From: text, Filter: filter(t.s.Only, t.s.Skip)}
	cut := t.n.has
	if t.s.At != "" {
		var late rpc.Code
		if cut, q.At, late, err = t.at(from, t.s.At); err != nil {
			return err
		}
		refusal = first(refusal, late)
	}
	if len(t.mirror.called(t.n.has, t.s.Name)) > 0 {
		refusal = first(refusal, rpc.CodeStale)
	}
	then := map[string]*sight{}
	for _, key := range t.keys() {
		if passes((*dag.Filter)(q.Filter), key) && refusal == "" {
			then[key] = t.mirror.see(cut, place{from, key})
		}
	}
	var got rpc.ForkInfo
	done, err := t.expect(refusal, func() (err error) { got, err = t.n.CreateFork(ctx, q); return err })
	if !done {
		return err
	}
	t.made.fork = got.ID
	if name, _, _ := t.mirror.title(t.n.has, got.ID); !t.mirror.known(t.n.has, got.ID) || name != t.s.Name || len(t.made.revisions) > 0 {
		return fmt.Errorf("the fork is called %q, and %d revisions were written", name, len(t.made.revisions))
	}
	for _, key := range t.keys() {
		at := place{got.ID, key}
		now, want := t.see(at), then[key]
		if want == nil {
			want = &sight{}
		}
		// Of equal documents a fork can give another one's spelling.
		served := now.view.Served == want.view.Served || t.documents && maps.Equal(now.leaves(), want.leaves())
		if !now.same(want) || now.visible != want.visible || !served {
			return fmt.Errorf("%s is %s, on its source %s", t.name(at), t.tell(now), t.tell(want))
		}
	}
	return t.others()
}

// rename, rm and restore change the life of a fork; none changes what is on it.
func rename(ctx context.Context, t *turn) error {
	return t.changeFork(ctx, t.n.RenameFork, func(fork dag.ForkID) rpc.Code {
		switch {
		case fork == dag.DefaultFork():
			return rpc.CodeInvalid
		case len(t.mirror.called(t.n.has, t.s.Name)) > 0:
			return rpc.CodeStale
		}
		return ""
	})
}

func rm(ctx context.Context, t *turn) error {
	return t.changeFork(ctx, t.n.RemoveFork, func(fork dag.ForkID) rpc.Code {
		switch {
		case fork == dag.DefaultFork():
			return rpc.CodeInvalid
		case t.mirror.naming(t.n.has, fork).deleted:
			return rpc.CodeNotFound
		case t.s.How != "force" && t.unmerged(fork):
			return rpc.CodeConflict
		}
		return ""
	})
}

func restore(ctx context.Context, t *turn) error {
	return t.changeFork(ctx, t.n.RestoreFork, func(fork dag.ForkID) rpc.Code {
		if fork == dag.DefaultFork() || !t.mirror.naming(t.n.has, fork).deleted {
			return rpc.CodeNotFound
		}
		return ""
	})
}

// changeFork calls a method of the node; refused says why it must refuse.
func (t *turn) changeFork(ctx context.Context, call func(context.Context, rpc.ForkChange) (rpc.ForkInfo, error), refused func(dag.ForkID) rpc.Code) error {
	fork, text, refusal, err := t.fork(t.s.Fork, true)
	if err != nil {
		return err
	}
	if refusal == "" {
		refusal = refused(fork)
	}
	done, err := t.expect(refusal, func() error {
		_, err := call(ctx, rpc.ForkChange{Fork: text, Name: t.s.Name, Force: t.s.How == "force"})
		return err
	})
	if !done {
		return err
	}
	name, naming, _ := t.mirror.title(t.n.has, fork)
	if len(t.made.revisions) > 0 || naming.deleted != (t.s.Do == "rm") || t.s.Do == "rename" && name != t.s.Name {
		return fmt.Errorf("the fork is called %q and deleted: %v; %d revisions were written", name, naming.deleted, len(t.made.revisions))
	}
	return t.others()
}

// unmerged reports whether a fork shows a revision that no other fork shows
// which people find in a list.
func (t *turn) unmerged(fork dag.ForkID) bool {
	for id, r := range t.mirror.revisions {
		if !t.readable(place{fork, r.Key}, crdt.RevisionID(id)) {
			continue
		}
		shown := slices.ContainsFunc(t.mirror.forks(t.n.has, false), func(other dag.ForkID) bool {
			gone := other != dag.DefaultFork() && t.mirror.naming(t.n.has, other).deleted
			return other != fork && !gone && t.readable(place{other, r.Key}, crdt.RevisionID(id))
		})
		if !shown {
			return true
		}
	}
	return false
}

// tag names a cut by the name of the step.
func tag(ctx context.Context, t *turn) error {
	q := rpc.PointRequest{Name: fmt.Sprint("release-", t.s.ID)}
	cut, refusal := t.n.has, rpc.Code("")
	if t.s.At != "" {
		var err error
		if cut, q.At, refusal, err = t.at(dag.DefaultFork(), t.s.At); err != nil {
			return err
		}
	}
	cut = maps.Clone(cut)
	var got rpc.PointerInfo
	done, err := t.expect(refusal, func() (err error) { got, err = t.n.Tag(ctx, q); return err })
	if !done {
		return err
	}
	if !t.mirror.sameCut(got.Cut, cut) {
		return fmt.Errorf("tagged another cut than was asked for")
	}
	t.tags[q.Name] = tagged{cut, oracle.Block(t.made.block)}
	return t.others()
}

// forkKey is the ancestor's request: one key of a fork, as it stands, becomes
// visible on another, which is named into being.
func forkKey(ctx context.Context, t *turn) error {
	from, text, refusal, err := t.fork(t.s.From, false)
	if err != nil {
		return err
	}
	into, name, _, err := t.fork(t.s.Fork, false)
	if err != nil {
		return err
	}
	if into.IsZero() {
		into = dag.NamedFork(name)
	}
	at := place{into, t.s.Key}
	if refusal == "" && t.see(place{from, t.s.Key}).view.Absent() {
		refusal = rpc.CodeNotFound
	}
	want := t.mirror.foresee(t.n.has, at, from)
	done, err := t.expect(refusal, func() error { return t.n.ForkKey(ctx, t.s.Key, text, name) })
	if !done {
		return err
	}
	t.made.fork = into
	if now := t.see(at); from != into && !now.same(want) {
		return fmt.Errorf("%s is %s, want %s", t.name(at), t.tell(now), t.tell(want))
	}
	return t.others(at)
}

// mergeKey is the ancestor's request: the source's value wins.
func mergeKey(ctx context.Context, t *turn) error {
	from, text, refusal, err := t.fork(t.s.From, false)
	if err != nil {
		return err
	}
	into, name, unknown, err := t.fork(t.s.Fork, false)
	if err != nil {
		return err
	}
	at := place{into, t.s.Key}
	source := t.see(place{from, t.s.Key})
	refusal = first(refusal, unknown)
	if refusal == "" && (source.view.Absent() || t.see(at).view.Absent()) {
		refusal = rpc.CodeNotFound
	}
	done, err := t.expect(refusal, func() error { return t.n.MergeKey(ctx, t.s.Key, text, name) })
	if !done {
		return err
	}
	if now := t.see(at); now.value() != source.value() || now.view.Kind != source.view.Kind || now.conflicted() {
		return fmt.Errorf("%s is %s, want what the source serves, %s", t.name(at), t.tell(now), t.tell(source))
	}
	return t.others(at)
}
