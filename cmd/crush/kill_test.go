package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"crush/dag"
	"crush/rpc"
)

// The environment that changes TestKill: how often the daemon is killed, and
// the seed that a failed run has printed.
const (
	killCyclesEnv = "CRUSH_KILL_CYCLES"
	killSeedEnv   = "CRUSH_KILL_SEED"
)

const (
	killWriters = 4
	killKeys    = 8 // of each writer
	killBatch   = 5 // keys of an atomic change
)

// TestKill kills the real daemon with SIGKILL at random moments, also while it
// starts, while writers note what was acknowledged. After each start every
// acknowledged write is there, byte for byte, under its revision; nothing is
// there that nobody wrote; an atomic change is there whole or not at all; and
// a watcher that goes on from its cursor has seen everything after its causes.
func TestKill(t *testing.T) {
	t.Parallel()
	cycles, seed := 10, rand.Uint64()
	if testing.Short() {
		cycles = 3
	}
	if v := os.Getenv(killCyclesEnv); v != "" {
		cycles = int(parseUint(t, v))
	}
	if v := os.Getenv(killSeedEnv); v != "" {
		seed = parseUint(t, v)
	}
	t.Logf("%s=%d %s=%d", killSeedEnv, seed, killCyclesEnv, cycles)
	k := &killRun{
		node:   newNode(t, t.TempDir()),
		chance: rand.New(rand.NewPCG(seed, 0)),
		acked:  map[dag.RevisionID]killWrite{},
		asked:  map[string]bool{},
		seen:   map[dag.RevisionID]int{},
		since:  "start",
	}
	for cycle := range cycles {
		k.cycle(t, cycle)
	}
	k.node.start()
	k.check(t)
	k.watchToEnd(t)
	k.checkSeen(t)
	k.node.verify()
	k.node.stop()
	k.node.verify()
	t.Logf("%d acknowledged writes survived; %d starts were cut short", len(k.acked), k.halfStarts)
}

func parseUint(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// killWrite is a write that was acknowledged.
type killWrite struct {
	key, value string
	deleted    bool
	writer     int
	place      int // among the writer's: it began after those before it had ended
}

type killRun struct {
	node       *node
	chance     *rand.Rand
	halfStarts int

	mu    sync.Mutex // guards acked and asked
	acked map[dag.RevisionID]killWrite
	asked map[string]bool // values that a writer has sent, acknowledged or not

	// Owned by the watcher, of which one runs at a time.
	since string
	seen  map[dag.RevisionID]int // when first
	order []rpc.Event
}

// cycle starts the daemon, checks, has it written to and kills it.
func (k *killRun) cycle(t *testing.T, cycle int) {
	for k.chance.IntN(3) == 0 { // the start itself is killed, perhaps the recovery after a kill
		k.node.launch()
		<-time.After(time.Duration(k.chance.Int64N(int64(60 * time.Millisecond))))
		k.node.kill()
		k.halfStarts++
	}
	k.node.start()
	if cycle <= 10 || cycle%10 == 0 { // it reads the whole history
		k.check(t)
	}
	var acks atomic.Int64
	limit := 1 + k.chance.Int64N(300)
	enough := make(chan struct{})
	var running sync.WaitGroup
	for w := range killWriters {
		chance := rand.New(rand.NewPCG(k.chance.Uint64(), 0))
		running.Go(func() {
			k.write(t, chance, cycle, w, func() {
				if acks.Add(1) == limit {
					close(enough)
				}
			})
		})
	}
	running.Go(func() { k.watch(t, 0) })
	select {
	case <-enough:
	case <-time.After(patience):
		t.Error("no acknowledgement comes any more")
	}
	k.node.kill()
	running.Wait()
	if t.Failed() {
		t.FailNow()
	}
	if len(k.order) > 0 && k.chance.IntN(2) == 0 {
		// The watcher lost what it had done since an earlier place.
		k.since = string(k.order[k.chance.IntN(len(k.order))].Cursor)
	}
}

// write writes until the daemon is gone.
func (k *killRun) write(t *testing.T, chance *rand.Rand, cycle, writer int, acknowledged func()) {
	for i := 0; ; i++ {
		value := fmt.Sprintf("%d.%d.%d. %s", cycle, writer, i, strings.Repeat("x\x00\xff", chance.IntN(200)))
		key := fmt.Sprintf("%d/%d", writer, chance.IntN(killKeys))
		var err error
		switch chance.IntN(8) {
		case 0:
			err = k.apply(t, writer, i, fmt.Sprintf("%d.%d.%d", cycle, writer, i), value)
		case 1:
			err = k.delete(t, key, writer, i)
		default:
			err = k.put(t, key, value, writer, i)
		}
		if err != nil {
			return // only the kill ends it; an early end would be noticed by who waits
		}
		acknowledged()
	}
}

func (k *killRun) ask(value string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked[value] = true
}

func (k *killRun) note(r dag.RevisionID, w killWrite) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.acked[r] = w
}

func (k *killRun) put(t *testing.T, key, value string, writer, place int) error {
	k.ask(value)
	w, err := k.node.client.Put(t.Context(), rpc.PutRequest{KeyRef: rpc.KeyRef{Key: key}, Value: []byte(value)})
	if err == nil {
		k.note(w.Revision, killWrite{key: key, value: value, writer: writer, place: place})
	}
	return err
}

func (k *killRun) delete(t *testing.T, key string, writer, place int) error {
	w, err := k.node.client.Delete(t.Context(), rpc.DeleteRequest{KeyRef: rpc.KeyRef{Key: key}})
	if err == nil && !w.Revision.IsZero() {
		k.note(w.Revision, killWrite{key: key, deleted: true, writer: writer, place: place})
	}
	return err
}

// apply writes keys of a batch in one atomic change. Its answer names no
// revisions; the block does.
func (k *killRun) apply(t *testing.T, writer, place int, name, value string) error {
	var files []rpc.File
	for i := range killBatch {
		v := fmt.Sprintf("%s %d", value, i)
		k.ask(v)
		files = append(files, rpc.File{Key: fmt.Sprintf("batch/%s/%d", name, i), Value: []byte(v)})
	}
	done, err := k.node.client.Apply(t.Context(), rpc.ApplyRequest{Files: files})
	if err != nil {
		return err
	}
	if len(done.Created) != killBatch {
		t.Errorf("apply of %s created %q", name, done.Created)
	}
	shown, err := k.node.client.Show(t.Context(), done.Block.String())
	if err != nil || shown.Block == nil {
		return fmt.Errorf("show block: %w", err) // written, but not noted: killed in between
	}
	for _, e := range shown.Block.Revisions {
		for i, f := range files {
			if e.Key == f.Key {
				k.note(e.Revision, killWrite{key: f.Key, value: string(files[i].Value), writer: writer, place: place})
			}
		}
	}
	return nil
}

// check reads the whole history back and holds it against what was noted.
func (k *killRun) check(t *testing.T) {
	t.Helper()
	left := maps.Clone(k.acked)
	batches, counts := map[string]int{}, map[string]uint64{}
	for e, err := range k.node.client.Log(t.Context(), rpc.LogRequest{Values: true}) {
		if err != nil {
			t.Fatalf("log: %v", err)
		}
		if e.Revision.IsZero() || e.Key == "" {
			continue // an operation, as the cluster's beginning
		}
		counts[e.Key]++
		if w, ok := left[e.Revision]; ok {
			delete(left, e.Revision)
			if w.key != e.Key || w.deleted != e.Deleted || !e.Deleted && w.value != string(e.Value) {
				t.Errorf("revision %s of %s has changed: deleted %t, %d bytes; it was %s, deleted %t, %d bytes",
					e.Revision, e.Key, e.Deleted, len(e.Value), w.key, w.deleted, len(w.value))
			}
		} else if !e.Deleted && !k.asked[string(e.Value)] {
			t.Errorf("revision %s of %s has a value that nobody wrote: %.60q", e.Revision, e.Key, e.Value)
		}
		if rest, ok := strings.CutPrefix(e.Key, "batch/"); ok {
			name, _, _ := strings.Cut(rest, "/")
			batches[name]++
		}
	}
	for r, w := range left {
		t.Errorf("an acknowledged write is gone: revision %s of %s, number %d of writer %d", r, w.key, w.place, w.writer)
	}
	for name, n := range batches {
		if n != killBatch {
			t.Errorf("the atomic change %s is there in part: %d of %d keys", name, n, killBatch)
		}
	}
	k.checkHeads(t, counts)
	if t.Failed() {
		t.FailNow()
	}
}

// checkHeads holds the heads, which are an index, against the history.
func (k *killRun) checkHeads(t *testing.T, counts map[string]uint64) {
	t.Helper()
	for key, n := range counts {
		e, err := k.node.client.Get(t.Context(), rpc.GetRequest{KeyRef: rpc.KeyRef{Key: key}})
		if err != nil {
			t.Fatalf("get %s: %v", key, err)
		}
		if e.RevisionCount != n-1 || e.Conflict || len(e.Heads) != 1 {
			t.Errorf("%s counts %d revisions before the present one and has %d heads; its history has %d", key, e.RevisionCount, len(e.Heads), n)
		}
		if w, ok := k.acked[e.Revision]; ok && !w.deleted && !bytes.Equal(e.Value, []byte(w.value)) {
			t.Errorf("%s serves %d bytes, which are not those of its revision %s", key, len(e.Value), e.Revision)
		}
	}
}

// watch takes changes from the cursor on, until the daemon is gone or, with
// idle, until the end of the feed.
func (k *killRun) watch(t *testing.T, idle time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for e, err := range k.node.client.Watch(ctx, rpc.WatchRequest{Since: k.since, Idle: idle}) {
		if err != nil {
			if ctx.Err() != nil || idle > 0 {
				t.Errorf("watch since %q: %v", k.since, err)
			}
			return
		}
		k.since = string(e.Cursor)
		if e.Type == typeIdle {
			return
		}
		if _, ok := k.seen[e.Revision]; !ok && !e.Revision.IsZero() {
			k.seen[e.Revision] = len(k.order)
			k.order = append(k.order, e)
		}
	}
}

func (k *killRun) watchToEnd(t *testing.T) {
	t.Helper()
	k.watch(t, 20*time.Millisecond)
}

// checkSeen holds what the watcher saw against the history: all of it, and
// each revision after its parents and after what its writer wrote before it.
func (k *killRun) checkSeen(t *testing.T) {
	t.Helper()
	for e, err := range k.node.client.Log(t.Context(), rpc.LogRequest{}) {
		if err != nil {
			t.Fatalf("log: %v", err)
		}
		if e.Revision.IsZero() || e.Key == "" {
			continue
		}
		at, ok := k.seen[e.Revision]
		if !ok {
			t.Errorf("the watcher never saw revision %s of %s", e.Revision, e.Key)
		}
		for _, parent := range e.Parents {
			if before, ok := k.seen[parent]; !ok || before >= at {
				t.Errorf("the watcher saw revision %s of %s before its parent %s", e.Revision, e.Key, parent)
			}
		}
	}
	for r, w := range k.acked {
		if at, ok := k.seen[r]; !ok {
			t.Errorf("the watcher never saw the acknowledged revision %s of %s", r, w.key)
		} else if e := k.order[at]; e.Key != w.key || !w.deleted && w.value != string(e.Value) {
			t.Errorf("the watcher saw for revision %s of %s another key or value: %s, %d bytes", r, w.key, e.Key, len(e.Value))
		}
	}
	k.checkWritersOrder(t)
}

// checkWritersOrder: a writer waits for each answer, so its writes come in its
// order.
func (k *killRun) checkWritersOrder(t *testing.T) {
	t.Helper()
	var inOrder []killWrite
	for _, e := range k.order {
		if w, ok := k.acked[e.Revision]; ok {
			inOrder = append(inOrder, w)
		}
	}
	cycleOf := func(w killWrite) string { c, _, _ := strings.Cut(w.value, "."); return c }
	for writer := range killWriters {
		own := slices.DeleteFunc(slices.Clone(inOrder), func(w killWrite) bool { return w.writer != writer || w.deleted })
		for i := 1; i < len(own); i++ {
			if a, b := own[i-1], own[i]; cycleOf(a) == cycleOf(b) && a.place > b.place {
				t.Errorf("the watcher saw write %d of writer %d before write %d", a.place, writer, b.place)
			}
		}
	}
}
