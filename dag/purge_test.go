package dag_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// holds reports whether bytes stand anywhere in a store.
func holds(t testing.TB, s dag.Reader, what string) bool {
	t.Helper()
	found := false
	err := s.Iterate(dag.Range{}, func(k, v []byte) bool {
		found = bytes.Contains(k, []byte(what)) || bytes.Contains(v, []byte(what))
		return !found
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// purge purges a key, or some revisions.
func (n *node) purge(t testing.TB, key string, revs ...dag.RevisionID) dag.Receipt {
	t.Helper()
	var keys []string
	if key != "" {
		keys = []string{key}
	}
	r, err := n.Commit(t.Context(), dag.Note{Author: "sam"}, func(tx *dag.Tx) error { return tx.Op(dag.NewPurge(keys, revs, "leaked")) })
	if err != nil {
		t.Fatalf("%s: purge: %v", n.name, err)
	}
	return r
}

// reads checks every revision of a key, newest first: its value, or that it was
// purged.
func (n *node) reads(t testing.TB, key string, want ...string) {
	t.Helper()
	got := n.history(t, key)
	if len(got) != len(want) {
		t.Fatalf("%s: %q has %d revisions, want %d", n.name, key, len(got), len(want))
	}
	for i := range got {
		v, err := n.ChangePayload(&got[i])
		p, purged := n.Purged(&got[i])
		switch {
		case want[i] == "PURGED":
			e, ok := errors.AsType[*dag.PurgedError](err)
			if !ok || !purged || e.Purge != p || p.Why != "leaked" || p.Author != "sam" || p.Node != keyOf("a").ID() {
				t.Errorf("%s: %d of %q reads as %q, %v; purged %+v", n.name, i, key, v, err, p)
			}
		case err != nil || purged || string(v) != want[i]:
			t.Errorf("%s: %d of %q reads as %.40q, %v, purged %v, want %.40q", n.name, i, key, v, err, purged, want[i])
		}
	}
}

// leak writes five revisions of a key, of some size, of which the third has a
// secret. It returns them newest first.
func (n *node) leak(t testing.TB, key string, size int) (values []string) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, uint64(size)))
	text := lines(r, size)
	for i := range 5 {
		value := text[:31*(size/2)] + fmt.Sprintf("line %d of them\n", i) + text[31*(size/2):]
		if i == 2 {
			value = strings.Replace(value, "line 2", "SECRET", 1)
		}
		n.put(t, key, value)
		values = append([]string{value}, values...)
	}
	return values
}

// TestPurgeRevision: the bytes of a revision go, wherever they stand; all others
// are read as they were, also those that stood on it, and a node that comes
// later learns the same.
func TestPurgeRevision(t *testing.T) {
	for name, size := range map[string]int{"inline": 1, "short": 20, "long": 100} {
		t.Run(name, func(t *testing.T) {
			a := foundNode(t, "a")
			b := a.enlist(t, "b", dag.RoleWriter)
			values := a.leak(t, "key", size)
			b.pull(t, a)
			if !holds(t, a.store, "SECRET") {
				t.Fatal("the secret is not there to begin with")
			}
			a.purge(t, "", a.history(t, "key")[2].ID)
			values[2] = "PURGED"
			b.pull(t, a)
			c := openNode(t, "c", dagtest.NewMem())
			c.pull(t, a)
			d := openNode(t, "d", dagtest.NewMem())
			apply(t, d, bundles(d.lacks(t, c))...)
			for _, n := range []*node{a, b, c, d} {
				n.reads(t, "key", values...)
				n.check(t)
				if holds(t, n.store, "SECRET") {
					t.Errorf("%s: the secret is still there", n.name)
				}
				n.restart(t)
				n.reads(t, "key", values...)
				rebuilt(t, n)
			}
		})
	}
}

// TestPurgeKey: everything that is in the past of a purge of a key goes, on
// every fork; what others wrote at the same time, and what is written after,
// stays.
func TestPurgeKey(t *testing.T) {
	a := foundNode(t, "a")
	b := a.enlist(t, "b", dag.RoleWriter)
	blue := a.fork(t, "blue", dag.DefaultFork())
	a.leak(t, "key", 20)
	a.set(t, dag.DefaultFork(), "key", "DEL")
	a.set(t, blue, "key", "SECRET too")
	a.put(t, "other", "goes")
	b.pull(t, a)
	later := strings.Repeat("written meanwhile\n", 100)
	b.put(t, "key", later)
	a.commit(t, func(tx *dag.Tx) error { // what is written in the block of a purge comes after it
		if err := tx.Op(dag.NewPurge([]string{"other"}, nil, "leaked")); err != nil {
			return err
		}
		return putTx(tx, "other", []byte("stays"))
	})
	if written, n, err := a.Unpurged("key"); !written || n != 6 || err != nil {
		t.Errorf("%d values to purge, %v", n, err)
	}
	a.purge(t, "key")
	if written, n, err := a.Unpurged("key"); !written || n != 0 || err != nil {
		t.Errorf("%d values left to purge, %v", n, err)
	}
	a.pull(t, b)
	b.pull(t, a)
	a.put(t, "key", "after")
	b.pull(t, a)
	for _, n := range []*node{a, b} {
		n.reads(t, "key", "after", later, "", "PURGED", "PURGED", "PURGED", "PURGED", "PURGED")
		if v := n.value(t, "other"); v != "stays" || holds(t, n.store, "goes") {
			t.Errorf("%s: the other key is %q", n.name, v)
		}
		n.check(t)
		if holds(t, n.store, "SECRET") {
			t.Errorf("%s: the secret is still there", n.name)
		}
		e, err := n.Entry(blue, "key")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Payload(&e.Heads[0]); !isPurged(err) {
			t.Errorf("%s: on the fork it reads as %v", n.name, err)
		}
	}
}

// TestPurgeComesLater: a node that has a block without a value, and not yet the
// purge, says so, and takes the value from a peer that has it; the purge takes
// it again.
func TestPurgeComesLater(t *testing.T) {
	a := foundNode(t, "a")
	old := openNode(t, "old", dagtest.NewMem())
	values := a.leak(t, "key", 20)
	values = append(a.leak(t, "key", 1), values...)
	old.pull(t, a)
	whole := records(t, old.store)
	a.purge(t, "", a.history(t, "key")[2].ID, a.history(t, "key")[7].ID)
	b := openNode(t, "b", dagtest.NewMem())
	missing := b.lacks(t, a)
	apply(t, b, bundles(missing[:len(missing)-1])...)
	past := b.history(t, "key")
	for _, i := range []int{2, 7} {
		if v, err := b.ChangePayload(&past[i]); !errors.Is(err, dag.ErrCorrupt) || isPurged(err) {
			t.Errorf("before the purge, %d reads as %q, %v", i, v, err)
		}
	}
	if faults := b.faults(t); len(faults) != 2 || faults[0].Kind != "payload" || !strings.Contains(faults[0].Detail, "no purge took it") {
		t.Errorf("before the purge: %v", faults)
	}
	if mended, left := b.mend(t, from(t, a, new(int))); len(mended) != 0 || len(left) != 2 {
		t.Errorf("from a node that purged it: %v, %v", mended, left)
	}
	if mended, left := b.mend(t, from(t, old, new(int))); len(mended) != 2 || len(left) != 0 {
		t.Errorf("from a node that has it: %v, %v", mended, left)
	}
	b.reads(t, "key", values...)
	b.check(t)
	b.pull(t, a)
	values[2], values[7] = "PURGED", "PURGED"
	b.reads(t, "key", values...)
	b.check(t)

	// A peer that knows of no purge does not bring it back.
	for _, k := range keysOf(t, b.store, 'b') {
		v, err := b.store.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		bad := append(bytes.Clone(v[:len(v)-1]), v[len(v)-1]^1)
		b.mem().Set(k, bad)
		b.mend(t, from(t, old, new(int)))
		if again, err := b.store.Get(k); err == nil && whole[string(k)] != "" && bytes.Contains(again, []byte("SECRET")) {
			t.Errorf("record %x has the secret again", k)
		}
		b.mem().Set(k, v)
	}
	b.reads(t, "key", values...)
	b.check(t)
}

// TestPurgeInterrupted: what a purge had not done at a power loss is done at
// the next start.
func TestPurgeInterrupted(t *testing.T) {
	done := 0
	for n := 1; n < 5; n++ {
		a := foundNode(t, "a")
		values := a.leak(t, "key", 20)
		a.put(t, "key", "SECRET")
		id := a.history(t, "key")[0].ID
		a.mem().FailWrite(n, dagtest.FaultFailed)
		_, err := a.Commit(t.Context(), dag.Note{Author: "sam"}, func(tx *dag.Tx) error {
			return tx.Op(dag.NewPurge(nil, []dag.RevisionID{id, a.history(t, "key")[3].ID}, "leaked"))
		})
		a.crash(t)
		a.check(t)
		if (err == nil) != (n > 3) {
			t.Errorf("write %d fails: %v", n, err)
		}
		if len(keysOf(t, a.store, 'p')) == 0 {
			continue // nothing of it was written
		}
		done++
		values[2] = "PURGED"
		a.reads(t, "key", append([]string{"PURGED"}, values...)...)
		if holds(t, a.store, "SECRET") {
			t.Errorf("write %d fails: the secret is still there", n)
		}
	}
	if done != 3 {
		t.Errorf("%d of the purges were begun", done)
	}
}

// letting is a store that notes what it was told to let go of.
type letting struct {
	*dagtest.Mem
	gone []dag.Range
	fail error
}

func (l *letting) Compact(r dag.Range) error {
	if l.fail == nil {
		l.gone = append(l.gone, r)
	}
	return l.fail
}

// has reports whether a record is among what was let go of.
func (l *letting) has(key []byte) bool {
	return slices.ContainsFunc(l.gone, func(r dag.Range) bool {
		return bytes.Compare(key, r.Start) >= 0 && bytes.Compare(key, r.End) < 0
	})
}

// again is the node after a power loss, on another such store; worn says whether
// it is told that there is something to compact.
func (n *node) again(t *testing.T) (l *letting, worn bool) {
	t.Helper()
	l = &letting{Mem: n.store.(*letting).Crash(99)}
	n.store = l
	if err := n.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-n.Worn():
		worn = true
	default:
	}
	n.check(t)
	return l, worn
}

// TestPurgeNotCompacted: what the files still have of a purge after a power loss
// is let go of after the start, until that is done; also if it fails at first,
// and if the record of it is damaged.
func TestPurgeNotCompacted(t *testing.T) {
	a := newNode("a", &letting{Mem: dagtest.NewMem()})
	if err := a.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Found(t.Context(), dag.Member{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	a.leak(t, "key", 100)
	if _, worn := a.again(t); worn {
		t.Error("there was no purge, and something is to be compacted")
	}
	before := keysOf(t, a.store, 'b')
	payload := before[len(before)-5] // of the third of five, each a block and a payload
	a.purge(t, "", a.history(t, "key")[2].ID)
	head := keysOf(t, a.store, 'h')[0]
	l, worn := a.again(t)
	l.fail = errors.New("not now")
	if err := a.Compact(); !worn || !errors.Is(err, l.fail) || len(l.gone) > 0 {
		t.Errorf("told of it: %v; the store cannot: %v", worn, err)
	}
	l, worn = a.again(t)
	if err := a.Compact(); !worn || err != nil || !l.has(payload) || !l.has(head) || l.has(before[0]) {
		t.Errorf("told of it: %v; %v; let go of %v", worn, err, l.gone)
	}
	if l, worn = a.again(t); worn || a.Compact() != nil || len(l.gone) > 0 {
		t.Errorf("it was done, and again let go of %v", l.gone)
	}
	a.purge(t, "", a.history(t, "key")[1].ID)
	l.Set([]byte("mworn"), []byte{200, 1})
	if l, worn = a.again(t); !worn || a.Compact() != nil || !l.has(payload) || !l.has(before[0]) || !l.has(head) {
		t.Errorf("the record is damaged: told of it: %v; let go of %v", worn, l.gone)
	}
}

// TestPurgeCAR: a file has the purges and not what they took, and a node that
// takes it reads what the writer does.
func TestPurgeCAR(t *testing.T) {
	a := foundNode(t, "a")
	values := a.leak(t, "key", 20)
	a.purge(t, "", a.history(t, "key")[2].ID)
	values[2] = "PURGED"
	file := writeCAR(t, a)
	if bytes.Contains(file, []byte("SECRET")) {
		t.Error("the secret is in the file")
	}
	if err := checkCAR(t, file); err != nil {
		t.Fatal(err)
	}
	b := openNode(t, "b", dagtest.NewMem())
	if _, err := b.takeCAR(t, file); err != nil {
		t.Fatal(err)
	}
	b.reads(t, "key", values...)
	b.check(t)

	// A value that is left out and that nothing purged is refused.
	all := sections(t, file)
	i := slices.IndexFunc(all, func(s section) bool { return bytes.Contains(s.data, []byte("line 4")) })
	sum := dag.SumOf(all[i].data)
	all[i] = nodeSection(append([]byte{0xa1, 0x66, 'a', 'b', 's', 'e', 'n', 't', 0x58, 32}, sum[:]...))
	if err := checkCAR(t, carOf(all)); !errors.Is(err, dag.ErrRefused) || !strings.Contains(err.Error(), "nothing in the file purged it") {
		t.Errorf("a file without a value: %v", err)
	}
	c := openNode(t, "c", dagtest.NewMem())
	missing := c.lacks(t, a)
	apply(t, c, bundles(missing[:len(missing)-1])...)
	var w bytes.Buffer
	if _, err := c.WriteCAR(t.Context(), &w, nil); !errors.Is(err, dag.ErrCorrupt) {
		t.Errorf("a file of a node that lacks a value: %v", err)
	}
}

// TestPurgeVoid: a purge that says nothing is not written; one of a fork's
// reader is refused like all that it writes.
func TestPurgeVoid(t *testing.T) {
	a := foundNode(t, "a")
	id := a.put(t, "key", "value").Revisions[0]
	for name, op := range map[string]dag.Op{
		"nothing":     dag.NewPurge(nil, nil, "leaked"),
		"no reason":   dag.NewPurge([]string{"key"}, nil, ""),
		"long reason": dag.NewPurge(nil, []dag.RevisionID{id}, strings.Repeat("x", dag.MaxWhy+1)),
	} {
		if _, err := a.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error { return tx.Op(op) }); !errors.Is(err, dag.ErrVoid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := a.enlist(t, "b", dag.RoleReader)
	if _, err := b.Commit(t.Context(), dag.Note{}, func(tx *dag.Tx) error { return tx.Op(dag.NewPurge([]string{"key"}, nil, "x")) }); !errors.Is(err, dag.ErrNotWriter) {
		t.Errorf("a reader purges: %v", err)
	}
	b.reads(t, "key", "value")
	if written, n, err := b.Unpurged("nothing"); written || n != 0 || err != nil {
		t.Errorf("a key that was never written: %v %d %v", written, n, err)
	}
}

// TestPurgeOnDisk: once the store has been told to let go, no file of it has the
// bytes of what was purged, be they in a journal or deep in its tables.
func TestPurgeOnDisk(t *testing.T) {
	for name, revisions := range map[string]int{"few": 3, "many": 200} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			store, err := dag.OpenLevelDB(dir, false)
			if err != nil {
				t.Fatal(err)
			}
			a := openNode(t, "a", store)
			defer func() { a.Close() }()
			if _, err := a.Found(t.Context(), dag.Member{Name: "a"}); err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 7))
			var secrets [][]byte
			write := func(i int) {
				secret := fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())
				secrets = append(secrets, []byte(secret))
				a.put(t, "key", strings.Repeat(lines(r, 1), i%3*20)+secret)
				a.put(t, "beside", lines(r, 10)) // what stays, between
			}
			for i := range revisions {
				write(i)
			}
			for _, tag := range []byte{'b', 'h'} {
				if err := store.Compact(dag.Range{Start: []byte{tag}, End: []byte{tag + 1}}); err != nil {
					t.Fatal(err)
				}
			}
			write(revisions)
			if left := inFiles(t, dir, secrets); left == 0 {
				t.Fatal("the secrets are not there to begin with")
			}
			a.purge(t, "key")
			select {
			case <-a.Worn():
			default:
				t.Error("nothing says that the store is to let go")
			}
			a.reopenDisk(t, dir) // it does not come to that
			select {
			case <-a.Worn():
			default:
				t.Error("after a restart, nothing says that the store is to let go")
			}
			if err := a.Compact(); err != nil {
				t.Fatal(err)
			}
			a.reopenDisk(t, dir) // files that are not in use any more go in their own time, and now
			if left := inFiles(t, dir, secrets); left > 0 {
				t.Errorf("%d of %d secrets are still in the files", left, len(secrets))
			}
			a.check(t)
		})
	}
}

// reopenDisk closes a node and opens it again on its directory.
func (n *node) reopenDisk(t *testing.T, dir string) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	store, err := dag.OpenLevelDB(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	n.store = store
	if err := n.open(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// inFiles counts the texts that stand in files of a directory.
func inFiles(t *testing.T, dir string, texts [][]byte) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range texts {
			found[i] = found[i] || bytes.Contains(data, text)
		}
	}
	for _, is := range found {
		if is {
			n++
		}
	}
	return n
}
