package rpc

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"crush/crdt"
	"crush/dag"
)

func (f *fake) infoLocked(name string) (ForkInfo, error) {
	if f.forks[name] == nil {
		return ForkInfo{}, &Error{Code: CodeNotFound, Message: "there is no fork " + name}
	}
	return ForkInfo{ID: dag.NamedFork(name), Name: name, Labels: []string{name}, Deleted: f.removed[name]}, nil
}

func (f *fake) Forks(context.Context) ([]ForkInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []ForkInfo
	for _, name := range slices.Sorted(maps.Keys(f.forks)) {
		i, _ := f.infoLocked(name)
		out = append(out, i)
	}
	return out, nil
}

func (f *fake) CreateFork(_ context.Context, r ForkRequest) (ForkInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	from, err := f.infoLocked(forkName(r.From))
	if err != nil {
		return ForkInfo{}, err
	}
	f.forks[r.Name] = maps.Clone(f.forks[from.Name])
	i, err := f.infoLocked(r.Name)
	i.From = []ForkSource{{Fork: from.ID, Name: from.Name, Filter: r.Filter, Creation: true}}
	return i, err
}

func (f *fake) RenameFork(_ context.Context, r ForkChange) (ForkInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	if _, err := f.infoLocked(r.Fork); err != nil {
		return ForkInfo{}, err
	}
	f.forks[r.Name] = f.forks[r.Fork]
	delete(f.forks, r.Fork)
	return f.infoLocked(r.Name)
}

func (f *fake) RemoveFork(_ context.Context, r ForkChange) (ForkInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	if f.unmerged[r.Fork] && !r.Force {
		return ForkInfo{}, &Error{Code: CodeConflict, Message: "the fork has writes that no other has"}
	}
	f.removed[r.Fork] = true
	return f.infoLocked(r.Fork)
}

func (f *fake) RestoreFork(_ context.Context, r ForkChange) (ForkInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	delete(f.removed, r.Fork)
	return f.infoLocked(r.Fork)
}

func (f *fake) topLocked(fork, key string) []byte {
	if h := f.forks[fork][key]; len(h) > 0 {
		return h[len(h)-1].Value
	}
	return nil
}

// mergePlan finds a conflict in every key that both forks have with different
// values. Its id changes with each revision.
func (f *fake) mergePlanLocked(r MergeRequest) (Merged, error) {
	for _, name := range []string{r.Source, r.Into} {
		if _, err := f.infoLocked(name); err != nil {
			return Merged{}, err
		}
	}
	out := Merged{Plan: fmt.Sprintf("plan%d", f.n), Source: r.Source, Into: r.Into}
	for _, key := range slices.Sorted(maps.Keys(f.forks[r.Source])) {
		theirs, ours := f.topLocked(r.Source, key), f.topLocked(r.Into, key)
		switch {
		case bytes.Equal(theirs, ours):
		case ours == nil:
			out.Clean = append(out.Clean, MergedKey{key, "created"})
		case r.OnConflict == OnConflictTheirs:
			out.Settled = append(out.Settled, MergedKey{key, "changed"})
		default:
			out.Conflicts = append(out.Conflicts, Conflict{
				Key: key, Fork: r.Into, Path: "/", Kind: "value", Sides: []Side{{Letter: "a", Value: ours}, {Letter: "b", Value: theirs}},
			})
		}
	}
	return out, nil
}

func (f *fake) Merge(_ context.Context, r MergeRequest) (Merged, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	out, err := f.mergePlanLocked(r)
	if err != nil || r.Plan {
		return out, err
	}
	if r.Apply != "" && r.Apply != out.Plan {
		return out, &Error{Code: CodeStale, Message: "the plan no longer holds"}
	}
	if len(out.Conflicts) > 0 && (r.OnConflict == "" || r.OnConflict == OnConflictFail) {
		return out, fmt.Errorf("merge: %w", &Error{Code: CodeConflict, Message: "the merge stops for conflicts"})
	}
	for _, k := range slices.Concat(out.Clean, out.Settled) {
		w := f.writeLocked(KeyRef{r.Into, k.Key}, r.Claim, f.topLocked(r.Source, k.Key), 0, false)
		out.Block = &w.Block
	}
	out.Applied = true
	return out, nil
}

func (f *fake) Conflicts(_ context.Context, fork, prefix string) iter.Seq2[Conflict, error] {
	return func(yield func(Conflict, error) bool) {
		if f.forks[forkName(fork)] == nil {
			yield(Conflict{}, &Error{Code: CodeNotFound, Message: "there is no fork " + fork})
			return
		}
		for _, c := range f.open {
			if (fork == "" || c.Fork == fork) && strings.HasPrefix(c.Key, prefix) && !yield(c, nil) {
				return
			}
		}
	}
}

func (f *fake) Resolve(_ context.Context, r ResolveRequest) (Written, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	for i, c := range f.open {
		if r.ID != "" && r.ID != c.ID.String() || r.ID == "" && (r.Key != c.Key || forkName(r.Fork) != c.Fork) {
			continue
		}
		if r.State != "" && r.State != c.State.String() {
			return Written{}, &Error{Code: CodeStale, Message: "the conflict has moved"}
		}
		var value []byte
		if r.Value != nil {
			value = *r.Value
		}
		f.open = slices.Delete(f.open, i, i+1)
		w := f.writeLocked(KeyRef{c.Fork, c.Key}, r.Claim, value, 0, r.Delete)
		w.Settled = len(c.Sides)
		return w, nil
	}
	return Written{}, &Error{Code: CodeNotFound, Message: "there is no such conflict"}
}

func (f *fake) Diff(_ context.Context, r DiffRequest) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.last = r
		if f.forks[r.A] == nil || f.forks[r.B] == nil {
			yield(Difference{}, &Error{Code: CodeNotFound, Message: "there is no such fork"})
			return
		}
		keys := maps.Clone(f.forks[r.A])
		maps.Copy(keys, f.forks[r.B])
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			a, b := f.topLocked(r.A, key), f.topLocked(r.B, key)
			change := map[[2]bool]string{{true, false}: "created", {false, true}: "deleted"}[[2]bool{a == nil, b == nil}]
			if change == "" {
				change = "changed"
			}
			d := Difference{Key: key, Change: change, A: a, B: b}
			if a != nil {
				d.KindA = crdt.Bytes
			}
			if b != nil {
				d.KindB = crdt.Bytes
			}
			if !bytes.Equal(a, b) && !yield(d, nil) {
				return
			}
		}
	}
}

func (f *fake) Pick(_ context.Context, r PickRequest) (Written, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	for _, keys := range f.forks {
		for key, h := range keys {
			for _, e := range h {
				if e.Revision.String() == string(r.Revision) {
					return f.writeLocked(KeyRef{r.Into, key}, r.Claim, e.Value, e.Kind, e.Deleted), nil
				}
			}
		}
	}
	return Written{}, &Error{Code: CodeNotFound, Message: "no such revision"}
}

func (f *fake) listPointers(aliases bool) (out []PointerInfo) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(f.pointers)) {
		if p := f.pointers[name]; aliases == (p.Fork != "") {
			out = append(out, p)
		}
	}
	return out
}

func (f *fake) Tags(context.Context) ([]PointerInfo, error) { return f.listPointers(false), nil }

func (f *fake) Aliases(context.Context) ([]PointerInfo, error) { return f.listPointers(true), nil }

func (f *fake) Tag(_ context.Context, r PointRequest) (PointerInfo, error) {
	return f.point(r, PointerInfo{Name: r.Name, Cut: []dag.BlockID{{1}}})
}

func (f *fake) Alias(_ context.Context, r PointRequest) (PointerInfo, error) {
	return f.point(r, PointerInfo{Name: r.Name, Fork: r.Fork})
}

func (f *fake) AliasLog(_ context.Context, name, after string) iter.Seq2[LogEntry, error] {
	return func(yield func(LogEntry, error) bool) {
		f.mu.Lock()
		p, ok := f.pointers[name]
		f.mu.Unlock()
		if !ok {
			yield(LogEntry{}, &Error{Code: CodeNotFound, Message: "there was never an alias " + name})
			return
		}
		if after == "" {
			yield(LogEntry{Cursor: "1", Operation: &Operation{Kind: OperationAlias, Name: name, Fork: p.Fork}}, nil)
		}
	}
}

func (f *fake) point(r PointRequest, p PointerInfo) (PointerInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	old, ok := f.pointers[r.Name]
	switch {
	case r.Expect != "" && r.Expect != old.Fork:
		return PointerInfo{}, &Error{Code: CodeStale, Message: "the alias points elsewhere"}
	case r.Remove && !ok:
		return PointerInfo{}, &Error{Code: CodeNotFound, Message: "there is no " + r.Name}
	case r.Remove:
		delete(f.pointers, r.Name)
		return old, nil
	}
	f.pointers[r.Name] = p
	return p, nil
}

func (f *fake) Reset(_ context.Context, r ResetRequest) (Reset, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	return Reset{Written: Written{Block: dag.BlockID{4}, Keys: 1}, Changed: []MergedKey{{r.Prefix + "k", "changed"}}, Plan: r.Plan}, nil
}

func (f *fake) Undo(_ context.Context, r UndoRequest) (Reset, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	return Reset{Written: Written{Unchanged: true}, Plan: r.Plan}, nil
}

func (f *fake) Policies(_ context.Context, fork string) ([]Policy, error) {
	return []Policy{{Pattern: "of " + fork, Lists: map[crdt.PathPattern]crdt.ListSchema{"/a/*": crdt.SetList}}}, nil
}

func (f *fake) ChangePolicy(_ context.Context, r PolicyRequest) (Written, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	return Written{Block: dag.BlockID{4}}, nil
}

func (f *fake) ForkKey(_ context.Context, key, fork, target string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	value := f.topLocked(fork, key)
	if value == nil {
		return fmt.Errorf("fork %s: %w", key, &Error{Code: CodeNotFound, Message: "not_found"})
	}
	if f.forks[target] == nil {
		f.forks[target] = map[string][]LogEntry{}
	}
	f.forks[target][key] = slices.Clone(f.forks[fork][key])
	return nil
}

func (f *fake) MergeKey(_ context.Context, key, fork, target string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	value := f.topLocked(fork, key)
	switch {
	case value == nil:
		return &Error{Code: CodeNotFound, Message: "source_not_found"}
	case f.forks[target] == nil:
		return &Error{Code: CodeNotFound, Message: "target_not_found"}
	}
	f.writeLocked(KeyRef{target, key}, Claim{}, value, 0, false)
	return nil
}
