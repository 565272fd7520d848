package dag_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// lines is a config of some lines of 30 bytes.
func lines(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		fmt.Fprintf(&b, "  key-%02d: %08x # agreed on\n", r.IntN(100), r.Uint32())
	}
	return b.String()
}

// shaped is a payload of any shape, often one like old.
func shaped(r *rand.Rand, old []byte) []byte {
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	switch r.IntN(9) {
	case 0:
		return nil
	case 1:
		return bytes.Repeat([]byte{byte(r.IntN(256))}, dag.InlineMax+r.IntN(3)-1)
	case 2:
		return random(r.IntN(3000))
	case 3:
		return []byte(lines(r, r.IntN(100)))
	case 4:
		return append(bytes.Clone(old[:len(old)/2]), lines(r, 1)...)
	case 5:
		return append([]byte(lines(r, 1+r.IntN(30))), old...)
	}
	b := bytes.Clone(old)
	if len(b) < 400 {
		b = []byte(lines(r, 15+r.IntN(40)))
	}
	for range 1 + r.IntN(5) {
		copy(b[r.IntN(len(b)):], lines(r, 1))
	}
	return b[:min(len(b), 8<<10)]
}

// TestHeadOfLongHistory: what reading a value costs is bounded, whatever its
// history is; a short one comes with its entry.
func TestHeadOfLongHistory(t *testing.T) {
	a, m := meteredNode(t, 0)
	r := rand.New(rand.NewPCG(1, 5))
	for name, n := range map[string]int{"short": 30, "long": 300} {
		text := []byte(lines(r, n))
		bytesOf := 0
		for i := range 100 {
			copy(text[r.IntN(n)*31:], lines(r, 1))
			if _, err := dag.ReadHeader(a.put(t, name, string(text)).Bundle); err != nil {
				t.Errorf("%s: revision %d goes to peers as %v", name, i, err)
			}
			a.ForgetPayloads()
			var e dag.Entry
			var v []byte
			cost := m.Of(func() {
				var err1, err2 error
				e, err1 = a.Entry(dag.DefaultFork(), name)
				v, err2 = a.Payload(&e.Heads[0])
				if err := errors.Join(err1, err2); err != nil {
					t.Fatal(err)
				}
			})
			if string(v) != string(text) {
				t.Fatalf("%s: revision %d is another one", name, i)
			}
			most := 1
			if name == "long" {
				most = 34 // the entry, a payload of its own, 31 deltas
			}
			if cost.Reads > most {
				t.Errorf("%s: revision %d is read with %d gets", name, i, cost.Reads)
			}
			rest := i % 32
			if d := a.DepthOf(&e.Heads[0]); d != rest {
				t.Errorf("%s: revision %d stands on %d, want %d", name, i, d, rest)
			}
			bytesOf += a.StoredSize(&e.Heads[0])
		}
		if most := 4*len(text) + 100*80; bytesOf > most {
			t.Errorf("%s: 100 revisions of %d bytes are stored in %d, want at most %d", name, len(text), bytesOf, most)
		}
	}
	a.check(t)
}

// history lists the revisions of a key, the newest first.
func (n *node) history(t testing.TB, key string) (out []dag.Change) {
	t.Helper()
	for c, err := range n.History(t.Context(), dag.DefaultFork(), key, dag.HistoryCursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

// versions writes some revisions of a config, each with another line, and
// returns the last.
func (n *node) versions(t testing.TB, r *rand.Rand, key string, text []byte, times int) []byte {
	t.Helper()
	for range times {
		copy(text[r.IntN(len(text)/31)*31:], lines(r, 1))
		n.put(t, key, string(text))
	}
	return text
}

// TestDamagedBase: a record that is damaged takes the values that stand on it
// with it, and is named; no value is encoded against what was read of it.
func TestDamagedBase(t *testing.T) {
	a := foundNode(t, "a")
	r := rand.New(rand.NewPCG(1, 5))
	for name, n := range map[string]int{"short": 30, "long": 300} {
		text := a.versions(t, r, name, []byte(lines(r, n)), 4)
		past := a.history(t, name)
		key := dag.PayloadKey(&past[1]) // of the newest but one
		good, err := a.store.Get(key)
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(good)
		bad[len(bad)-5] ^= 1
		for what, damage := range map[string][]byte{"changed": bad, "missing": nil, "empty": {}} {
			a.mem().Set(key, damage)
			a.ForgetPayloads()
			if faults := a.faults(t); len(faults) == 0 {
				t.Errorf("%s %s: no fault", name, what)
			}
			for i := range past {
				if _, err := a.ChangePayload(&past[i]); errors.Is(err, dag.ErrCorrupt) != (i < 2) {
					t.Errorf("%s %s: %d before the newest: %v", name, what, i, err)
				}
			}
		}
		a.mem().Set(key, good)

		// What comes next stands on the newest, unless that is not what it was.
		key = dag.PayloadKey(&past[0])
		if good, err = a.store.Get(key); err != nil {
			t.Fatal(err)
		}
		a.mem().Set(key, []byte{9})
		a.ForgetPayloads()
		a.versions(t, r, name, text, 1)
		a.ForgetPayloads()
		newest := a.history(t, name)[0]
		if v, err := a.ChangePayload(&newest); err != nil || !bytes.Equal(v, text) {
			t.Errorf("%s: what was written after the damage is %.40q, %v", name, v, err)
		}
		a.mem().Set(key, good)
	}
	a.ForgetPayloads()
	a.check(t)
	rebuilt(t, a) // to what is there, not to what would be written without damage
}

// TestDamagedHead: nothing is encoded against the value in a damaged entry.
func TestDamagedHead(t *testing.T) {
	a := foundNode(t, "a")
	r := rand.New(rand.NewPCG(1, 5))
	text := a.versions(t, r, "k", []byte(lines(r, 30)), 3)
	for _, key := range keysOf(t, a.store, 'h') {
		v, err := a.store.Get(key)
		if err != nil {
			t.Fatal(err)
		}
		v[len(v)-40] ^= 1
		a.mem().Set(key, v)
	}
	a.ForgetPayloads()
	text[len(text)-40] ^= 1 // as the entry has it: nothing would be new
	a.put(t, "k", string(text))
	a.ForgetPayloads()
	if v, err := a.ChangePayload(&a.history(t, "k")[0]); err != nil || !bytes.Equal(v, text) {
		t.Errorf("what was written after the damage is %.40q, %v", v, err)
	}
	a.check(t)
}

// TestShortHeadsOfOtherForks: a head that an entry takes over from another fork,
// of which only the difference is stored, comes with the entry all the same.
func TestShortHeadsOfOtherForks(t *testing.T) {
	a, m := meteredNode(t, 0)
	r := rand.New(rand.NewPCG(1, 5))
	text := a.versions(t, r, "k", []byte(lines(r, 30)), 2)
	want := string(text)
	cut := a.put(t, "other", "x")
	a.versions(t, r, "k", text, 2)
	var fork dag.ForkID
	a.commit(t, func(tx *dag.Tx) error {
		f, err := tx.CreateFork("old", dag.NewContribution(dag.DefaultFork(), []dag.BlockID{cut.Block}, nil))
		fork = f.ID
		return err
	})
	a.ForgetPayloads()
	a.commit(t, func(tx *dag.Tx) error {
		return tx.Put(dag.Draft{Fork: fork, Key: "k", Kind: 1, Payload: []byte("not having seen it")})
	})
	e, err := a.Entry(fork, "k")
	if err != nil || len(e.Heads) != 2 {
		t.Fatalf("%d heads, %v", len(e.Heads), err)
	}
	a.ForgetPayloads()
	cost := m.Of(func() {
		for i := range e.Heads {
			if v, err := a.Payload(&e.Heads[i]); err != nil || string(v) != want && len(v) > 20 {
				t.Errorf("head %d is %.40q, %v", i, v, err)
			}
		}
	})
	if cost.Reads > 0 {
		t.Errorf("the entry's heads are read with %d gets more", cost.Reads)
	}
	a.check(t)
}

// TestRebuildRenumbers: what a rebuild leaves out changes the numbers by which
// payloads name what they stand on.
func TestRebuildRenumbers(t *testing.T) {
	a := foundNode(t, "a")
	b, c := a.enlist(t, "b", dag.RoleWriter), a.enlist(t, "c", dag.RoleWriter)
	c.pull(t, a)
	r := rand.New(rand.NewPCG(1, 5))
	b.put(t, "b", "1")
	text := c.versions(t, r, "c", []byte(lines(r, 100)), 3)
	a.pull(t, b)
	a.pull(t, c)
	blocks := keysOf(t, a.store, 'b')
	for _, k := range blocks {
		if k[4] == 2 { // b's only block
			a.mem().Set(k, []byte("damaged"))
		}
	}
	into := dagtest.NewMem()
	done, err := dag.Rebuild(t.Context(), a.store, into, nil, func(dag.Fault) {})
	if err != nil || done.Dropped != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	n := openNode(t, "a", into)
	if got := n.value(t, "c"); got != string(text) {
		t.Errorf("value %.40q", got)
	}
	n.check(t)
}

// TestVoidPayload: a long payload of a revision that has no effect is kept.
func TestVoidPayload(t *testing.T) {
	a := foundNode(t, "a")
	b := a.enlist(t, "b", dag.RoleWriter)
	f := newForger(keyOf("b"), 1)
	block := f.block(tips(a)...)
	long := strings.Repeat("forged", dag.InlineMax)
	rev := revision(block, 0, "key", long)
	rev.Fork = dag.NamedFork("nowhere")
	id, bundle := dag.Forge(f.key, block, []*dag.Revision{rev}, [][]byte{[]byte(long)})
	apply(t, a, bundle)
	got, err := a.Block(id)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := a.ChangePayload(&got.Changes[0]); err != nil || string(v) != long {
		t.Errorf("value %.40q, %v", v, err)
	}
	if _, err := a.store.Get(dag.PayloadKey(&got.Changes[0])); err != nil {
		t.Errorf("it is not kept apart: %v", err)
	}
	b.pull(t, a)
	b.check(t)
	a.check(t)
}

// TestDepthsThatLie: records that name one another, or that say that they stand
// on less than they do, are damage; reading them ends.
func TestDepthsThatLie(t *testing.T) {
	a := foundNode(t, "a")
	r := rand.New(rand.NewPCG(1, 5))
	a.versions(t, r, "k", []byte(lines(r, 100)), 5)
	var places [][]byte
	for _, c := range a.history(t, "k") {
		places = append(places, dag.PayloadKey(&c))
	}
	e, err := a.Entry(dag.DefaultFork(), "k")
	if err != nil {
		t.Fatal(err)
	}
	records := map[string][]byte{}
	for _, k := range places {
		if records[string(k)], err = a.store.Get(k); err != nil {
			t.Fatal(err)
		}
	}
	newest := records[string(places[0])]
	for name, set := range map[string]func(){
		"itself":       func() { a.mem().Set(places[1], newest) },
		"one another":  func() { a.mem().Set(places[4], records[string(places[3])]) },
		"depth of 1":   func() { a.mem().Set(places[0], append([]byte{newest[0], 1}, newest[2:]...)) },
		"no such base": func() { a.mem().Set(places[0], append(append(bytes.Clone(newest[:2]), 1, 99, 0), newest[5:]...)) },
	} {
		set()
		a.ForgetPayloads()
		if _, err := a.Payload(&e.Heads[0]); !errors.Is(err, dag.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		for k, v := range records {
			a.mem().Set([]byte(k), v)
		}
	}
	a.ForgetPayloads()
	a.check(t)
}

// TestBombs: a record that says that its payload is another size than it is
// costs no memory.
func TestBombs(t *testing.T) {
	a := foundNode(t, "a")
	r := rand.New(rand.NewPCG(1, 5))
	a.versions(t, r, "k", []byte(lines(r, 100)), 2)
	e, err := a.Entry(dag.DefaultFork(), "k")
	if err != nil {
		t.Fatal(err)
	}
	const most = 4 << 20
	bomb := dag.PackedZeros(most)
	for name, record := range map[string][]byte{
		"of its size":           bomb,
		"of the payload's size": append([]byte{1, 0x9c, 0x18}, bomb[5:]...),
	} {
		a.mem().Set(dag.PayloadKey(&a.history(t, "k")[0]), record)
		a.ForgetPayloads()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = a.Payload(&e.Heads[0])
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, dag.ErrCorrupt) || took > most/4 {
			t.Errorf("%s: %v, %d bytes allocated", name, err, took)
		}
	}
}

// TestFormat2: a rebuild reads the payloads of a store of the format before and
// writes them as a node that was given the same blocks today.
func TestFormat2(t *testing.T) {
	a := unpurged(t)
	good := records(t, a.store)
	old := a.mem().Crash(0)
	dag.AsFormat2(t, old)
	if err := newNode("a", old).open(t.Context()); err == nil || !strings.Contains(err.Error(), "crush verify --rebuild") {
		t.Errorf("open: %v", err)
	}
	repaired(t, old, good)
	into := dagtest.NewMem()
	if _, err := dag.Rebuild(t.Context(), old, into, nil, func(f dag.Fault) { t.Errorf("rebuild: %v", f) }); err != nil {
		t.Fatal(err)
	}
	openNode(t, "a", into).check(t)
}

// TestReadersShare: many read what others write, and may append to it.
func TestReadersShare(t *testing.T) {
	a := foundNode(t, "a")
	r := rand.New(rand.NewPCG(1, 5))
	text := a.versions(t, r, "k", []byte(lines(r, 100)), 3)
	past := a.history(t, "k")
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			for j := range 200 {
				c := &past[(i+j)%len(past)]
				v, err := a.ChangePayload(c)
				if err != nil || dag.SumOf(v) != c.Revision.Value {
					t.Errorf("revision %s: %v", c.ID.Short(), err)
					return
				}
				mine := append(v, 'm')
				if again, err := a.ChangePayload(c); err != nil || append(again, 'n')[len(again)] != 'n' || mine[len(v)] != 'm' {
					t.Errorf("what a reader appends reaches another: %v", err)
					return
				}
				if j%50 == 49 {
					a.ForgetPayloads()
				}
			}
		})
	}
	a.versions(t, r, "k", text, 40)
	readers.Wait()
	a.check(t)
}
