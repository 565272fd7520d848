package rpc

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"crush/crdt"
	"crush/dag"
)

// fake is a small service in memory: one head a key, no network. Its clock is
// a counter.
type fake struct {
	mu      sync.Mutex
	n       byte // of revisions
	forks   map[string]map[string][]LogEntry
	events  []Event
	changed chan struct{} // closed at the next event

	// hook, if set, is called by Get, Put and Status.
	hook   func(ctx context.Context) error
	faults []Fault
	added  []Member
	last   any // the request of the last write

	asked   GetRequest    // the last one
	listed  ListRequest   // the last one
	awaited []dag.BlockID // by AwaitHeld

	removed  map[string]bool // forks
	unmerged map[string]bool // forks that only force removes
	open     []Conflict
	pointers map[string]PointerInfo // tags, and aliases, which have a fork
}

func newFake() *fake {
	return &fake{
		forks:   map[string]map[string][]LogEntry{dag.DefaultForkName: {}},
		changed: make(chan struct{}),
		removed: map[string]bool{}, unmerged: map[string]bool{}, pointers: map[string]PointerInfo{},
	}
}

func (f *fake) service() Service {
	return Service{
		Values: f, Histories: f, Changes: f, Ancestry: f, Node: f,
		Forks: f, Merges: f, Pointers: f, Resets: f, Purges: f, AncestorForks: f, Series: f, Elements: f, Blames: f, Policies: f,
		Waits:   f,
		Metrics: func(w io.Writer) error { _, err := io.WriteString(w, "crush_keys 1\n"); return err },
	}
}

func forkName(name string) string {
	if name == "" {
		return dag.DefaultForkName
	}
	return name
}

func (f *fake) history(k KeyRef) ([]LogEntry, error) {
	keys, ok := f.forks[forkName(k.Fork)]
	if !ok {
		return nil, &Error{Code: CodeNotFound, Message: "the fork " + k.Fork + " is not there"}
	}
	return keys[k.Key], nil
}

// write adds a revision; f.mu is held.
func (f *fake) writeLocked(k KeyRef, c Claim, value []byte, kind crdt.Kind, deleted bool) Written {
	f.n++
	h := f.forks[forkName(k.Fork)][k.Key]
	if kind == 0 {
		kind = crdt.Bytes
	}
	e := LogEntry{
		Revision: dag.RevisionID(sha256.Sum256([]byte{f.n})), Block: dag.BlockID(sha256.Sum256([]byte{f.n, 1})),
		Key: k.Key, Fork: forkName(k.Fork), Kind: kind, Node: "n1", Author: c.Author, Message: c.Message,
		Time: time.UnixMilli(int64(f.n) * 1000).UTC(), Size: int64(len(value)), Deleted: deleted, Head: true,
		Cursor: fmt.Sprint(f.n),
	}
	if !deleted {
		e.Value = bytes.Clone(value)
	}
	if n := len(h); n > 0 {
		e.Parents = []dag.RevisionID{h[n-1].Revision}
		h[n-1].Head = false
	}
	f.forks[forkName(k.Fork)][k.Key] = append(h, e)
	kindOf := map[bool]string{true: "del", false: "put"}
	f.events = append(f.events, Event{
		Cursor: Cursor(fmt.Sprint(len(f.events) + 1)), Type: kindOf[deleted], Fork: e.Fork, Key: e.Key, Kind: kind, Value: e.Value,
		Token: tokenOf(e), Revision: e.Revision, Block: e.Block, Last: true, Node: e.Node, Author: e.Author, Time: e.Time,
	})
	close(f.changed)
	f.changed = make(chan struct{})
	return Written{Revision: e.Revision, Block: e.Block, Heads: []dag.RevisionID{e.Revision}, Token: tokenOf(e)}
}

func tokenOf(e LogEntry) Token { return Token("t" + e.Revision.Short()) }

const absentToken Token = "absent"

func (f *fake) Get(ctx context.Context, r GetRequest) (Entry, error) {
	if f.hook != nil {
		if err := f.hook(ctx); err != nil {
			return Entry{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = r
	h, err := f.history(r.KeyRef)
	if err != nil {
		return Entry{}, err
	}
	e, err := entryOf(r, h)
	if err == nil && r.Path != "" {
		err = e.cut(r.Path)
	}
	return e, err
}

func entryOf(r GetRequest, h []LogEntry) (Entry, error) {
	e := Entry{Key: r.Key, Fork: forkName(r.Fork), Deleted: true, Token: absentToken}
	if len(h) == 0 {
		return e, nil
	}
	top := h[len(h)-1]
	if r.Rev != "" {
		i := slices.IndexFunc(h, func(e LogEntry) bool { return strings.Contains(e.Revision.String(), string(r.Rev)) })
		if i < 0 {
			return Entry{}, &Error{Code: CodeNotFound, Message: "no such revision"}
		}
		top = h[i]
	}
	e = Entry{
		Key: r.Key, Fork: forkName(r.Fork), Kind: top.Kind, Value: top.Value, Deleted: top.Deleted,
		Heads: []dag.RevisionID{top.Revision}, Token: tokenOf(top), RevisionCount: uint64(len(h) - 1),
		Revision: top.Revision, Block: top.Block, Node: top.Node, Author: top.Author, Time: top.Time, Message: top.Message,
	}
	if r.Meta {
		e.Value = nil
	}
	return e, nil
}

func (f *fake) checkLocked(k KeyRef, match Token, absent bool) error {
	e, err := entryOf(GetRequest{KeyRef: k}, f.forks[forkName(k.Fork)][k.Key])
	if err != nil {
		return err
	}
	if match != "" && match != e.Token || absent && !e.Deleted {
		return &Error{Code: CodeStale, Message: "the key has moved"}
	}
	return nil
}

func (f *fake) Put(ctx context.Context, r PutRequest) (Written, error) {
	if f.hook != nil {
		if err := f.hook(ctx); err != nil {
			return Written{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	if f.forks[forkName(r.Fork)] == nil {
		if !r.CreateFork {
			return Written{}, &Error{Code: CodeNotFound, Message: "no such fork"}
		}
		f.forks[r.Fork] = map[string][]LogEntry{}
	}
	if err := f.checkLocked(r.KeyRef, r.IfMatch, r.IfAbsent); err != nil {
		return Written{}, err
	}
	value, err := f.putLocked(r)
	if err != nil {
		return Written{}, err
	}
	return f.writeLocked(r.KeyRef, r.Claim, value, r.Kind, false), nil
}

func (f *fake) Delete(_ context.Context, r DeleteRequest) (Written, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	keys, ok := f.forks[forkName(r.Fork)]
	if !ok {
		return Written{}, &Error{Code: CodeNotFound, Message: "no such fork"}
	}
	if err := f.checkLocked(r.KeyRef, r.IfMatch, false); err != nil {
		return Written{}, err
	}
	out := Written{Unchanged: true}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		h := keys[key]
		if key != r.Key && (!r.Recursive || !strings.HasPrefix(key, r.Key)) || h[len(h)-1].Deleted {
			continue
		}
		n := out.Keys + 1
		out = f.writeLocked(KeyRef{r.Fork, key}, r.Claim, nil, 0, true)
		out.Keys = n
	}
	return out, nil
}

func (f *fake) List(_ context.Context, r ListRequest) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		f.mu.Lock()
		f.listed = r
		var all []Entry
		keys := f.forks[forkName(r.Fork)]
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			e, _ := entryOf(GetRequest{KeyRef: KeyRef{r.Fork, key}, Meta: !r.Values}, keys[key])
			if !e.Deleted && strings.HasPrefix(key, r.Prefix) && key > r.After {
				all = append(all, e)
			}
		}
		f.mu.Unlock()
		if keys == nil {
			yield(Entry{}, &Error{Code: CodeNotFound, Message: "no such fork"})
		}
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
			if e.Key == "broken" {
				yield(Entry{}, &Error{Code: CodeDamaged, Message: "the next key is damaged"})
				return
			}
		}
	}
}

func (f *fake) Info(_ context.Context, k KeyRef) (Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, err := f.history(k)
	if err != nil || len(h) == 0 {
		return Info{Key: k.Key, Fork: forkName(k.Fork), Deleted: true, Token: absentToken}, err
	}
	top := h[len(h)-1]
	return Info{
		Key: k.Key, Fork: forkName(k.Fork), RevisionCount: uint64(len(h) - 1), Heads: []dag.RevisionID{top.Revision}, Kind: top.Kind,
		Size: top.Size, First: h[0].Time, Last: top.Time, Token: tokenOf(top), Deleted: top.Deleted,
	}, nil
}

func (f *fake) Log(_ context.Context, r LogRequest) iter.Seq2[LogEntry, error] {
	return func(yield func(LogEntry, error) bool) {
		f.mu.Lock()
		f.last = r
		var all []LogEntry
		for key, h := range f.forks[forkName(r.Fork)] {
			if r.Key == "" || key == r.Key || strings.HasSuffix(r.Key, "/") && strings.HasPrefix(key, r.Key) {
				all = append(all, h...)
			}
		}
		f.mu.Unlock()
		slices.SortFunc(all, func(a, b LogEntry) int { return b.Time.Compare(a.Time) })
		skip := r.After != ""
		for _, e := range all {
			if skip {
				skip = e.Cursor != r.After
				continue
			}
			if !r.Values {
				e.Value = nil
			}
			if !e.Time.Before(r.Since) && !yield(e, nil) {
				return
			}
		}
	}
}

func (f *fake) Show(_ context.Context, id string) (Shown, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, keys := range f.forks {
		for _, h := range keys {
			for _, e := range h {
				if strings.Contains(e.Revision.String(), id) {
					return Shown{Revision: &e}, nil
				}
				if strings.Contains(e.Block.String(), id) {
					return Shown{Block: &BlockInfo{Block: e.Block, Time: e.Time, Node: "n1", Revisions: []LogEntry{e}}}, nil
				}
			}
		}
	}
	return Shown{}, &Error{Code: CodeNotFound, Message: "no such id"}
}

func (f *fake) Watch(ctx context.Context, r WatchRequest) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f.mu.Lock()
		next := len(f.events)
		f.mu.Unlock()
		switch r.Since {
		case "", "now":
		case "start":
			next = 0
		default:
			if _, err := fmt.Sscan(r.Since, &next); err != nil {
				yield(Event{}, &Error{Code: CodeGone, Message: "cursor of another cluster"})
				return
			}
		}
		idle := time.NewTimer(0)
		defer idle.Stop()
		for {
			f.mu.Lock()
			events, changed := slices.Clone(f.events[next:]), f.changed
			f.mu.Unlock()
			for _, e := range events {
				next++
				if strings.HasPrefix(e.Key, r.Prefix) && !yield(e, nil) {
					return
				}
			}
			if len(events) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-idle.C:
				if r.Idle > 0 && !yield(Event{Cursor: Cursor(fmt.Sprint(next)), Type: eventIdle}, nil) {
					return
				}
				idle.Reset(max(r.Idle, time.Millisecond))
			case <-ctx.Done():
				yield(Event{}, context.Cause(ctx))
				return
			}
		}
	}
}

func (f *fake) Rollback(_ context.Context, r RollbackRequest) (RolledBack, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	h := f.forks[forkName(r.Fork)][r.Key]
	for _, e := range h {
		if e.Revision.String() == r.To {
			from := h[len(h)-1].Revision
			return RolledBack{Written: f.writeLocked(r.KeyRef, r.Claim, e.Value, e.Kind, e.Deleted), From: from, To: e.Revision}, nil
		}
	}
	return RolledBack{}, &Error{Code: CodeNotFound, Message: "no such revision"}
}

func (f *fake) Apply(_ context.Context, r ApplyRequest) (Applied, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	out := Applied{Plan: r.Plan}
	for _, file := range r.Files {
		h := f.forks[forkName(r.Fork)][file.Key]
		switch {
		case len(h) > 0 && bytes.Equal(h[len(h)-1].Value, file.Value):
			out.Unchanged++
			continue
		case len(h) > 0:
			out.Changed = append(out.Changed, file.Key)
		default:
			out.Created = append(out.Created, file.Key)
		}
		if !r.Plan {
			out.Block = f.writeLocked(KeyRef{r.Fork, file.Key}, r.Claim, file.Value, 0, false).Block
		}
	}
	return out, nil
}

// since is the part of a history after the newest delete, newest first.
func (f *fake) sinceDelete(k KeyRef) []LogEntry {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := slices.Clone(f.forks[forkName(k.Fork)][k.Key])
	slices.Reverse(h)
	if i := slices.IndexFunc(h, func(e LogEntry) bool { return e.Deleted }); i >= 0 {
		h = h[:i]
	}
	return h
}

func (f *fake) Previous(_ context.Context, k KeyRef) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		h := f.sinceDelete(k)
		for _, e := range h[min(1, len(h)):] {
			if !yield(e.Value, nil) {
				return
			}
		}
	}
}

func (f *fake) PreviousCount(_ context.Context, k KeyRef) (uint64, error) {
	return uint64(max(len(f.sinceDelete(k)), 1) - 1), nil
}

func (f *fake) ForkKeys(ctx context.Context, fork, prefix string) iter.Seq2[KeyRef, error] {
	return func(yield func(KeyRef, error) bool) {
		f.mu.Lock()
		names := slices.Sorted(maps.Keys(f.forks))
		f.mu.Unlock()
		for _, name := range names {
			if fork != "" && name != fork {
				continue
			}
			for e, err := range f.List(ctx, ListRequest{Fork: name, Prefix: prefix}) {
				if !yield(KeyRef{name, e.Key}, err) {
					return
				}
			}
		}
	}
}

func (f *fake) Status(ctx context.Context) (Status, error) {
	if f.hook != nil {
		if err := f.hook(ctx); err != nil {
			return Status{}, err
		}
	}
	peer := PeerStatus{Node: dag.NodeID{2}, Name: "n2", ClockSkew: time.Second, LastSeen: time.UnixMilli(2000).UTC(), Lag: &Lag{Blocks: 3, Seconds: 1, Since: time.UnixMilli(500).UTC()}}
	return Status{
		Node: dag.NodeID{1}, Name: "n1", Version: "test", Ready: true, Started: time.UnixMilli(1).UTC(), Time: time.UnixMilli(1500).UTC(),
		Peers: []PeerStatus{peer}, Zones: []ZoneStatus{{Zone: "z", Nodes: 2, Lag: peer.Lag}},
	}, nil
}

func (f *fake) Members(context.Context) ([]Member, error) {
	return append([]Member{{Node: dag.NodeID{1}, Name: "n1", Role: "admin", Self: true}}, f.added...), nil
}

func (f *fake) AddMember(_ context.Context, m Member, _ Claim) (MemberChange, error) {
	f.added = append(f.added, m)
	return MemberChange{Member: m, Block: dag.BlockID{9}}, nil
}

func (f *fake) RemoveMember(_ context.Context, who string, _ Claim) (MemberChange, error) {
	for i, m := range f.added {
		if who == m.Name || who == m.Node.String() {
			f.added = slices.Delete(f.added, i, i+1)
			return MemberChange{Member: m, Block: dag.BlockID{10}}, nil
		}
	}
	return MemberChange{}, &Error{Code: CodeNotFound, Message: "no such member"}
}

// CanWait knows two other nodes, in one zone.
func (f *fake) CanWait(_ context.Context, w Wait) error {
	if w.Peers > 2 {
		return invalid("there are only 2 other nodes")
	}
	return nil
}

func (f *fake) AwaitHeld(ctx context.Context, block dag.BlockID, w Wait) error {
	f.mu.Lock()
	f.awaited = append(f.awaited, block)
	f.mu.Unlock()
	if w.Peers < 2 {
		return nil
	}
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &Error{Code: CodeTimeout, Message: "only on n2"}
}

func (f *fake) Join(_ context.Context, r JoinRequest) (Joined, error) {
	f.last = r
	j := Joined{Cluster: dag.ClusterID{7}, Via: dag.NodeID{2}, Blocks: 3}
	if r.ImportAs != "" {
		j.Import = &Import{Forks: []ImportedFork{{"default", r.ImportAs, 2, 1}}, Block: dag.BlockID{11}, Aside: "/aside"}
	}
	return j, nil
}

func (f *fake) Repair(ctx context.Context, progress Progress) iter.Seq2[Fault, error] {
	return func(yield func(Fault, error) bool) {
		for fault := range f.Verify(ctx, progress) {
			fault.Repaired = true
			if !yield(fault, nil) {
				return
			}
		}
	}
}

func (f *fake) Verify(_ context.Context, progress Progress) iter.Seq2[Fault, error] {
	return func(yield func(Fault, error) bool) {
		for i := range uint64(1000) {
			if progress != nil {
				progress(i+1, 1000)
			}
		}
		for _, fault := range f.faults {
			if !yield(fault, nil) {
				return
			}
		}
	}
}

// Purge forgets the newest value of a key.
func (f *fake) Purge(_ context.Context, r PurgeRequest) (Purged, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = r
	key := r.Key + r.Name
	h, err := f.history(KeyRef{Key: key})
	if err != nil || len(h) == 0 {
		return Purged{}, &Error{Code: CodeNotFound, Message: "there is no " + key}
	}
	e := &h[len(h)-1]
	e.Value, e.Purged = nil, &PurgeInfo{Block: dag.BlockID{9}, Node: "n1", Author: r.Author, Time: e.Time, Why: r.Message}
	return Purged{Key: key, Values: 1, Block: dag.BlockID{9}}, nil
}
