package dag_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

// everything is a node with a record of each kind.
func everything(t testing.TB) *node {
	t.Helper()
	a := unpurged(t)
	past := a.history(t, "config100")
	a.op(t, dag.NewPurge([]string{"config20"}, []dag.RevisionID{past[1].ID, a.history(t, "key")[2].ID}, "a password"))
	a.check(t)
	return a
}

func isPurged(err error) bool {
	_, ok := errors.AsType[*dag.PurgedError](err)
	return ok
}

// unpurged is everything but purges.
func unpurged(t testing.TB) *node {
	t.Helper()
	a := foundNode(t, "a")
	b := a.enlist(t, "b", dag.RoleWriter)
	for i := range 3 {
		a.put(t, "key", fmt.Sprint("a", i))
		b.put(t, "key", fmt.Sprint("b", i))
		a.pull(t, b)
	}
	a.put(t, "long", strings.Repeat("long", dag.InlineMax))
	a.configs(t)
	_, err := a.Commit(t.Context(), dag.Note{Message: "forks"}, func(tx *dag.Tx) error {
		for _, name := range []string{"blue", "green"} {
			f, err := tx.NameFork(name)
			if err != nil {
				return err
			}
			if err := tx.Put(dag.Draft{Fork: f.ID, Key: "key", Kind: 1, Payload: []byte(name)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f := newForger(keyOf("b"), 1)
	block := f.block(tips(a)...)
	r := revision(block, 0, "key", "forged")
	r.Fork = dag.NamedFork("nowhere")
	_, bundle := f.write(block, r)
	apply(t, a, bundle)
	a.check(t)
	return a
}

// configs writes some revisions of a long and of a short config.
func (n *node) configs(t testing.TB) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 6))
	for _, size := range []int{100, 20} {
		text := []byte(lines(r, size))
		for i := range 4 {
			for range i*i + 1 {
				copy(text[r.IntN(size)*31:], lines(r, 1))
			}
			n.put(t, fmt.Sprint("config", size), string(text))
		}
	}
}

// keysOf lists the keys of a store that start with a tag.
func keysOf(t testing.TB, s dag.Reader, tag byte) (keys [][]byte) {
	t.Helper()
	err := s.Iterate(dag.Range{Start: []byte{tag}, End: []byte{tag + 1}}, func(k, _ []byte) bool {
		keys = append(keys, bytes.Clone(k))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestCheckNamesEachRecord damages one derived record at a time: Check names
// it and nothing else, and a rebuild makes it good.
func TestCheckNamesEachRecord(t *testing.T) {
	a := everything(t)
	good := records(t, a.store)
	for _, tag := range dag.TagsDerived() {
		keys := keysOf(t, a.store, tag)
		if len(keys) == 0 {
			t.Errorf("no record of kind %c", tag)
			continue
		}
		for _, k := range slices.CompactFunc([][]byte{keys[0], keys[len(keys)/2], keys[len(keys)-1]}, bytes.Equal) {
			v := good[string(k)]
			changed := append([]byte(v), 0)
			if len(v) > 0 {
				changed = []byte(v)
				changed[len(v)-1] ^= 1
			}
			added := append(bytes.Clone(k), 'z')
			for name, damage := range map[string][3][]byte{
				"missing": {k, nil, k},
				"changed": {k, changed, k},
				"added":   {added, []byte(v), added},
			} {
				a.mem().Set(damage[0], damage[1])
				faults := a.faults(t)
				if len(faults) != 1 || faults[0].Kind != "record" || faults[0].Where != dag.NameRecord(damage[2]) {
					t.Errorf("%c record %s: %v", tag, name, faults)
				}
				repaired(t, a.mem(), good)
				if name == "added" {
					a.mem().Set(added, nil)
				} else {
					a.mem().Set(k, append([]byte{}, v...))
				}
			}
		}
	}
	a.check(t)
}

func repaired(t *testing.T, s dag.Store, good map[string]string) {
	t.Helper()
	into := dagtest.NewMem()
	if _, err := dag.Rebuild(t.Context(), s, into, nil, func(f dag.Fault) { t.Errorf("rebuild: %v", f) }); err != nil {
		t.Fatalf("rebuild: %v", err)
	}
	if !maps.Equal(records(t, into), good) {
		t.Error("a rebuild does not give the records that were")
	}
}

// TestCheckState: the records that stand for the whole.
func TestCheckState(t *testing.T) {
	a := everything(t)
	good := records(t, a.store)
	for _, key := range []string{"mstate", "mformat"} {
		for name, value := range map[string][]byte{"missing": nil, "changed": append([]byte(good[key]), 1)} {
			a.mem().Set([]byte(key), value)
			if faults := a.faults(t); len(faults) != 1 || faults[0].Kind != "state" {
				t.Errorf("%s %s: %v", key, name, faults)
			}
			a.mem().Set([]byte(key), []byte(good[key]))
		}
	}
}

// TestDamagedBytes flips bytes of blocks and payloads: Check notices, and no
// reader serves or passes on what is not what was written.
func TestDamagedBytes(t *testing.T) {
	a := everything(t)
	written := map[dag.RevisionID]dag.Sum{}
	readAll(t, a, func(id dag.RevisionID, v []byte, err error) {
		if written[id] = dag.SumOf(v); err != nil && !isPurged(err) {
			t.Fatal(err)
		}
	})
	places := 20 // of each record
	if testing.Short() {
		places = 2
	}
	for _, k := range keysOf(t, a.store, 'b') {
		v, err := a.store.Get(k)
		if err != nil {
			t.Fatal(err)
		}
		for i := len(k) % 7; i < len(v); i += 1 + len(v)/places {
			bad := bytes.Clone(v)
			bad[i] ^= 1
			a.mem().Set(k, bad)
			a.ForgetPayloads()
			where := fmt.Sprintf("byte %d of %d of %x", i, len(v), k)
			if faults := a.faults(t); len(faults) == 0 {
				t.Errorf("%s: no fault", where)
			}
			readAll(t, a, func(id dag.RevisionID, v []byte, err error) {
				if isPurged(err) && written[id] == dag.SumOf(nil) {
					return
				}
				if err == nil && written[id] != dag.SumOf(v) || err != nil && !errors.Is(err, dag.ErrCorrupt) {
					t.Errorf("%s: revision %s reads %.20q, %v", where, id.Short(), v, err)
				}
			})
			passesNoDamage(t, a, where)
			a.mem().Set(k, v)
		}
	}
	a.check(t)
}

// readAll reads every revision in every way.
func readAll(t *testing.T, a *node, got func(id dag.RevisionID, v []byte, err error)) {
	t.Helper()
	for _, f := range a.Forks() {
		for e, err := range a.Entries(t.Context(), f.ID, "", "") {
			if err != nil {
				t.Fatal(err)
			}
			for i := range e.Heads {
				v, err := a.Payload(&e.Heads[i])
				got(e.Heads[i].ID, v, err)
			}
			for c, err := range a.History(t.Context(), f.ID, e.Key, dag.HistoryCursor{}) {
				if err != nil {
					got(dag.RevisionID{}, nil, err)
					continue
				}
				v, err := a.ChangePayload(&c)
				got(c.ID, v, err)
			}
		}
	}
}

func passesNoDamage(t *testing.T, a *node, where string) {
	t.Helper()
	for o, err := range a.Missing(t.Context(), nil) {
		if err != nil {
			if !errors.Is(err, dag.ErrCorrupt) {
				t.Errorf("%s: missing answers %v", where, err)
			}
			return
		}
		if h, err := dag.ReadHeader(o.Bundle); err != nil || !a.Have(h.ID) {
			t.Errorf("%s: a damaged bundle is passed on: %v", where, err)
		}
	}
	t.Errorf("%s: everything is passed on", where)
}

// TestLostRecords: a store that lost records without an error does not open,
// or says so as soon as they are needed; a rebuild keeps what stands.
func TestLostRecords(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, m *dagtest.Mem){
		"newest block":   func(t *testing.T, m *dagtest.Mem) { m.Set(newestBlock(t, m), nil) },
		"state":          func(_ *testing.T, m *dagtest.Mem) { m.Set([]byte("mstate"), nil) },
		"format":         func(_ *testing.T, m *dagtest.Mem) { m.Set([]byte("mformat"), nil) },
		"first fork":     func(t *testing.T, m *dagtest.Mem) { m.Set(keysOf(t, m, 'f')[0], nil) },
		"second fork":    func(t *testing.T, m *dagtest.Mem) { m.Set(keysOf(t, m, 'f')[1], nil) },
		"a line":         func(t *testing.T, m *dagtest.Mem) { m.Set(keysOf(t, m, 'i')[0], nil) },
		"newest line":    func(t *testing.T, m *dagtest.Mem) { k := keysOf(t, m, 'i'); m.Set(k[len(k)-1], nil) },
		"an arrival":     func(t *testing.T, m *dagtest.Mem) { m.Set(keysOf(t, m, 'l')[3], nil) },
		"first arrival":  func(t *testing.T, m *dagtest.Mem) { m.Set(keysOf(t, m, 'l')[0], nil) },
		"clocks":         func(t *testing.T, m *dagtest.Mem) { all(t, m, 'v') },
		"a block inside": func(t *testing.T, m *dagtest.Mem) { m.Set(keysOf(t, m, 'b')[2], nil) },
	} {
		t.Run(name, func(t *testing.T) {
			a := everything(t)
			good := records(t, a.store)
			m := a.mem().Crash(0)
			lose(t, m)
			n := newNode("a", m)
			if err := n.open(t.Context()); !errors.Is(err, dag.ErrCorrupt) {
				t.Errorf("open: %v", err)
			}
			if strings.Contains(name, "block") {
				return
			}
			repaired(t, m, good)
		})
	}
}

func all(t *testing.T, m *dagtest.Mem, tag byte) {
	for _, k := range keysOf(t, m, tag) {
		m.Set(k, nil)
	}
}

func newestBlock(t *testing.T, m *dagtest.Mem) []byte {
	keys := keysOf(t, m, 'b')
	return keys[len(keys)-1]
}

// TestRebuildWithoutIndexes: the blocks are enough; without some of them, what
// stands on the others is kept.
func TestRebuildWithoutIndexes(t *testing.T) {
	a := everything(t)
	good := records(t, a.store)
	whole := a.Digest()
	m := a.mem().Crash(0)
	a = openNode(t, "a", a.mem().Crash(0))
	for k := range good {
		if k[0] != 'b' {
			m.Set([]byte(k), nil)
		}
	}
	repaired(t, m, good)

	m.Set(newestBlock(t, m), nil)
	into := dagtest.NewMem()
	faults := 0
	done, err := dag.Rebuild(t.Context(), m, into, nil, func(dag.Fault) { faults++ })
	if err != nil || done.Blocks+done.Dropped+1 != a.Stats().Blocks {
		t.Errorf("%+v, %v", done, err)
	}
	n := openNode(t, "a", into)
	for _, f := range n.faults(t) { // of values that were purged by the block that is gone
		if f.Kind != "payload" || !strings.Contains(f.Detail, "no purge took it") {
			t.Errorf("without the newest block: %v", f)
		}
	}
	n.pull(t, a)
	n.check(t)
	if n.Digest() != whole {
		t.Error("what was lost does not come back from a peer")
	}
}

// TestCheckStrayRecords: records that belong to nothing are named.
func TestCheckStrayRecords(t *testing.T) {
	a := everything(t)
	block := keysOf(t, a.store, 'b')[0]
	for name, k := range map[string][]byte{
		"payload of no revision": append(bytes.Clone(block), 0, 0, 0, 77),
		"payload of no block":    append(bytes.Clone(block[:5]), 0, 0, 0, 0, 0, 0, 0, 99, 0, 0, 0, 1),
		"unknown kind":           []byte("zzz"),
		"unknown metadata":       []byte("mwhat"),
	} {
		a.mem().Set(k, []byte("stray"))
		if faults := a.faults(t); len(faults) != 1 {
			t.Errorf("%s: %v", name, faults)
		}
		a.mem().Set(k, nil)
	}
	a.check(t)
}

// TestOtherFormat: a store of another layout is refused with what to do about
// it, and that helps.
func TestOtherFormat(t *testing.T) {
	a := everything(t)
	good := records(t, a.store)
	m := a.mem().Crash(0)
	m.Set([]byte("mformat"), []byte("crush graph 1"))
	for _, k := range keysOf(t, m, 'f') {
		m.Set(k, []byte{})
	}
	err := newNode("a", m).open(t.Context())
	if err == nil || errors.Is(err, dag.ErrCorrupt) {
		t.Fatalf("open: %v", err)
	}
	for _, want := range []string{`"crush graph 1"`, good["mformat"], "crush verify --rebuild"} {
		if text := err.Error(); !strings.Contains(text, want) || strings.Contains(text, "\n") {
			t.Errorf("open: %q does not say %q in one line", text, want)
		}
	}
	repaired(t, m, good)
}
