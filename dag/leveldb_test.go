package dag

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"
	"github.com/syndtr/goleveldb/leveldb/util"
)

const (
	levelKeys  = 2000
	levelValue = 400
)

func levelKey(i int) []byte { return fmt.Appendf(nil, "k%06d", i) }

// levelPair is a value that does not compress, so that tables are large.
func levelPair(i int) []byte {
	out := make([]byte, 0, levelValue)
	for sum := SumOf(levelKey(i)); len(out) < levelValue; sum = SumOf(sum[:]) {
		out = append(out, sum[:]...)
	}
	return out[:levelValue]
}

func openLevel(t testing.TB, dir string, repair bool) *LevelDB {
	t.Helper()
	l, err := OpenLevelDB(dir, repair)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closeLevel(t testing.TB, l *LevelDB) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// filledLevel makes a store of levelKeys pairs; those up to inTables are in
// table files, the others in the journal.
func filledLevel(t testing.TB, inTables int) string {
	t.Helper()
	dir := t.TempDir()
	l := openLevel(t, dir, false)
	writeLevel(t, l, 0, inTables)
	closeLevel(t, l) // opening again writes the journal into a table
	l = openLevel(t, dir, false)
	writeLevel(t, l, inTables, levelKeys)
	closeLevel(t, l)
	return dir
}

func writeLevel(t testing.TB, l *LevelDB, from, to int) {
	t.Helper()
	for from < to {
		var b Batch
		for end := min(from+100, to); from < end; from++ {
			b.Put(levelKey(from), levelPair(from))
		}
		if err := l.Write(&b, true); err != nil {
			t.Fatal(err)
		}
	}
}

// newestFile returns the last file of a kind by its number.
func newestFile(t testing.TB, dir, pattern string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return slices.Max(paths)
}

// largest returns the largest file of a kind.
func largest(t testing.TB, dir, pattern string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	size := func(p string) int64 {
		s, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		return s.Size()
	}
	return slices.MaxFunc(paths, func(a, b string) int { return int(size(a) - size(b)) })
}

func changeFile(t testing.TB, path string, change func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// flip changes a bit in the byte at a part of the file.
func flip(part float64) func(b []byte) []byte {
	return func(b []byte) []byte {
		b[int(part*float64(len(b)-1))] ^= 0x10
		return b
	}
}

// readLevel reads everything in every way and returns how many pairs the
// iteration gave before its end or error; a wrong value fails the test.
func readLevel(t *testing.T, r Reader, reverse bool) (n int, err error) {
	t.Helper()
	err = r.Iterate(Range{Reverse: reverse}, func(k, v []byte) bool {
		i := n
		if reverse {
			i = levelKeys - 1 - n
		}
		if !bytes.Equal(k, levelKey(i)) {
			return false // a hole: the caller sees the count
		}
		if !bytes.Equal(v, levelPair(i)) {
			t.Errorf("the value of %s is wrong, and no error said so", k)
		}
		n++
		return true
	})
	return n, err
}

// checkDamaged: everything is there, or an error says that it is not.
func checkDamaged(t *testing.T, r Reader) (noticed bool) {
	t.Helper()
	for _, reverse := range []bool{false, true} {
		n, err := readLevel(t, r, reverse)
		switch {
		case err == nil && n != levelKeys:
			t.Errorf("reverse %v: %d of %d records, and no error", reverse, n, levelKeys)
		case err != nil && !errors.Is(err, ErrCorrupt):
			t.Errorf("reverse %v: error %v, want one that is ErrCorrupt", reverse, err)
		}
		noticed = noticed || err != nil
	}
	for i := range levelKeys {
		v, err := r.Get(levelKey(i))
		switch {
		case err == nil && !bytes.Equal(v, levelPair(i)):
			t.Fatalf("get %s: wrong value, and no error", levelKey(i))
		case err != nil && !errors.Is(err, ErrCorrupt):
			t.Fatalf("get %s: error %v, want one that is ErrCorrupt", levelKey(i), err)
		}
		noticed = noticed || err != nil
	}
	return noticed
}

// TestLevelDamage damages one file of a closed store. It must not open, or
// every read must give the right answer or ErrCorrupt.
func TestLevelDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("one thing after another, and slow: not in short runs")
	}
	remove := func([]byte) []byte { return nil }
	for _, test := range []struct {
		name, file string
		change     func([]byte) []byte
		opens      bool // else OpenLevelDB must give ErrCorrupt
	}{
		{"manifest with a bit flipped", "MANIFEST-*", flip(0.5), false},
		{"manifest with its first bit flipped", "MANIFEST-*", flip(0), false},
		{"manifest cut in half", "MANIFEST-*", func(b []byte) []byte { return b[:len(b)/2] }, false},
		{"manifest empty", "MANIFEST-*", func([]byte) []byte { return []byte{} }, false},
		{"manifest of zeros", "MANIFEST-*", func(b []byte) []byte { return make([]byte, len(b)) }, false},
		{"manifest missing", "MANIFEST-*", remove, false},
		{"table missing", "*.ldb", remove, true},
		{"table empty", "*.ldb", func([]byte) []byte { return []byte{} }, true},
		{"table cut in half", "*.ldb", func(b []byte) []byte { return b[:len(b)/2] }, true},
		{"table without its end", "*.ldb", func(b []byte) []byte { return b[:len(b)-1] }, true},
		{"table of zeros", "*.ldb", func(b []byte) []byte { return make([]byte, len(b)) }, true},
		{"table with its start flipped", "*.ldb", flip(0), true},
		{"table with its middle flipped", "*.ldb", flip(0.5), true},
		{"table with its index flipped", "*.ldb", func(b []byte) []byte { b[len(b)-100] ^= 1; return b }, true},
		{"table with its footer flipped", "*.ldb", func(b []byte) []byte { b[len(b)-40] ^= 1; return b }, true},
		{"table with its mark flipped", "*.ldb", flip(1), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filledLevel(t, levelKeys)
			damage(t, largest(t, dir, test.file), test.change)
			l, err := OpenLevelDB(dir, false)
			if !test.opens || err != nil {
				if !errors.Is(err, ErrCorrupt) {
					t.Errorf("open: error %v, want one that is ErrCorrupt", err)
				}
				if err == nil {
					closeLevel(t, l)
				}
				return
			}
			defer l.Close()
			if !checkDamaged(t, l) {
				t.Error("no read noticed the damage")
			}
			s, err := l.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Release()
			checkDamaged(t, s)
		})
	}
}

// damage changes a file, or removes it if the change gives nil.
func damage(t testing.TB, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b = change(b); b == nil {
		err = os.Remove(path)
	} else {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestLevelFlippedBits flips one bit at many places of a table.
func TestLevelFlippedBits(t *testing.T) {
	if testing.Short() {
		t.Skip("one thing after another, and slow: not in short runs")
	}
	dir := filledLevel(t, levelKeys)
	path := largest(t, dir, "*.ldb")
	for i := range 16 {
		part := flip(float64(i) / 15)
		damage(t, path, part)
		l, err := OpenLevelDB(dir, false)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d: open: error %v, want one that is ErrCorrupt", i, err)
		}
		if err == nil {
			if !checkDamaged(t, l) {
				t.Errorf("%d: no read noticed the damage", i)
			}
			_ = l.Close()
		}
		damage(t, path, part) // back
	}
	l := openLevel(t, dir, false)
	defer l.Close()
	if checkDamaged(t, l) {
		t.Error("the healed store is damaged")
	}
}

// TestLevelCompactionStopsAtDamage: what a compaction cannot read must not be
// dropped by it.
func TestLevelCompactionStopsAtDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("goleveldb gives up by closing a channel that it may just be sending to, and the race detector says so")
	}
	dir := filledLevel(t, levelKeys)
	damage(t, largest(t, dir, "*.ldb"), flip(0.5))
	l := openLevel(t, dir, false)
	var b Batch
	b.Put(levelKey(0), levelPair(0))
	if err := l.Write(&b, true); err != nil {
		t.Fatal(err)
	}
	if err := l.db.CompactRange(util.Range{}); err == nil {
		t.Error("compaction over a damaged table: no error")
	}
	if !checkDamaged(t, l) {
		t.Error("the damage is gone, and records with it")
	}
	_ = l.Close()
}

// TestLevelUnfinished: a store that was killed while it was made is made anew;
// one without the file that names its manifest, but with a journal or a table, is
// damaged.
func TestLevelUnfinished(t *testing.T) {
	for name, test := range map[string]struct {
		files   map[string]string
		damaged bool
	}{
		"nothing but a log":    {map[string]string{"LOG": "log", "LOCK": ""}, false},
		"an empty manifest":    {map[string]string{"LOG": "log", "LOCK": "", "MANIFEST-000000": ""}, false},
		"a part of a manifest": {map[string]string{"LOG.old": "log", "MANIFEST-000000": "part"}, false},
		"an empty pointer":     {map[string]string{"MANIFEST-000000": "part", "CURRENT.0": ""}, false},
		"a whole pointer":      {map[string]string{"MANIFEST-000000": "part", "CURRENT.0": "MANIFEST-000000\n"}, false},
		"a journal":            {map[string]string{"MANIFEST-000000": "part", "000001.log": ""}, true},
		"a table":              {map[string]string{"MANIFEST-000000": "part", "000002.ldb": ""}, true},
		"a later manifest":     {map[string]string{"MANIFEST-000004": "part"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range test.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			l, err := OpenLevelDB(dir, false)
			if test.damaged {
				if !errors.Is(err, ErrCorrupt) {
					t.Fatalf("error %v, want one that is ErrCorrupt", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			writeLevel(t, l, 0, 100)
			closeLevel(t, l)
			l = openLevel(t, dir, false)
			defer closeLevel(t, l)
			if n, err := readLevel(t, l, false); n != 100 || err != nil {
				t.Errorf("%d records, %v", n, err)
			}
		})
	}
}

// TestLevelJournal: a torn tail is what a power cut leaves, and loses the
// batches that it tore; what is before it stays.
func TestLevelJournal(t *testing.T) {
	for name, cut := range map[string]int{"a byte": 1, "half a batch": 20_000, "several batches": 150_000} {
		t.Run(name, func(t *testing.T) {
			dir := filledLevel(t, levelKeys/2)
			changeFile(t, newestFile(t, dir, "*.log"), func(b []byte) []byte { return b[:len(b)-cut] })
			l := openLevel(t, dir, false)
			defer l.Close()
			n, err := readLevel(t, l, false)
			if err != nil || n >= levelKeys || n < levelKeys/2 || n%100 != 0 {
				t.Errorf("%d records, %v: want whole batches up to the torn one", n, err)
			}
		})
	}
}

// TestLevelJournalChecksum: flipped bits in the journal never come back as
// data. goleveldb leaves the block out, without an error: the graph's own
// counts notice that.
func TestLevelJournalChecksum(t *testing.T) {
	for i := range 8 {
		dir := filledLevel(t, levelKeys/2)
		changeFile(t, newestFile(t, dir, "*.log"), flip(float64(i)/8+0.01))
		l, err := OpenLevelDB(dir, false)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("open: error %v, want one that is ErrCorrupt", err)
			}
			continue
		}
		for j := range levelKeys {
			v, err := l.Get(levelKey(j))
			if err == nil && !bytes.Equal(v, levelPair(j)) {
				t.Errorf("get %s: wrong value, and no error", levelKey(j))
			}
			if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
				t.Errorf("get %s: %v", levelKey(j), err)
			}
		}
		_ = l.Close()
	}
}

// TestLevelRepair: repair opens what is left; without it nothing is changed.
func TestLevelRepair(t *testing.T) {
	dir := filledLevel(t, levelKeys)
	damage(t, largest(t, dir, "MANIFEST-*"), flip(0.5))
	before := listing(t, dir)
	for range 2 {
		if _, err := OpenLevelDB(dir, false); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("open: error %v, want one that is ErrCorrupt", err)
		}
	}
	if after := listing(t, dir); after != before {
		t.Errorf("a refused open changed the files from\n%s\nto\n%s", before, after)
	}
	l := openLevel(t, dir, true)
	if n, err := readLevel(t, l, false); err != nil || n != levelKeys {
		t.Errorf("repaired: %d of %d records, %v", n, levelKeys, err)
	}
	closeLevel(t, l)
	l = openLevel(t, dir, false)
	defer l.Close()
	if checkDamaged(t, l) {
		t.Error("the repaired store is damaged")
	}
}

// listing names the data files of a store with their sizes.
func listing(t testing.TB, dir string) string {
	t.Helper()
	var out strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil {
			t.Fatal(err)
		} else if !strings.HasPrefix(e.Name(), "LO") { // LOG, LOCK
			fmt.Fprintln(&out, e.Name(), info.Size())
		}
	}
	return out.String()
}

// TestLevelLocked: a second opening is refused, and is not damage.
func TestLevelLocked(t *testing.T) {
	dir := t.TempDir()
	l := openLevel(t, dir, false)
	defer l.Close()
	if _, err := OpenLevelDB(dir, false); err == nil || errors.Is(err, ErrCorrupt) {
		t.Errorf("opened twice: %v", err)
	}
}

// TestLevelClosed: everything after Close is an error, and nothing panics.
func TestLevelClosed(t *testing.T) {
	l := openLevel(t, t.TempDir(), false)
	closeLevel(t, l)
	var b Batch
	b.Put([]byte("k"), nil)
	_, getErr := l.Get([]byte("k"))
	_, snapErr := l.Snapshot()
	for name, err := range map[string]error{
		"get": getErr, "iterate": l.Iterate(Range{}, func(_, _ []byte) bool { return true }), "write": l.Write(&b, true), "snapshot": snapErr,
	} {
		if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) {
			t.Errorf("%s after close: %v", name, err)
		}
	}
}

// countingStorage counts the syncs of journals.
type countingStorage struct {
	storage.Storage
	syncs atomic.Int64
	fail  atomic.Bool
}

func (s *countingStorage) Create(fd storage.FileDesc) (storage.Writer, error) {
	w, err := s.Storage.Create(fd)
	if err != nil || fd.Type != storage.TypeJournal {
		return w, err
	}
	return &countingWriter{w, s}, nil
}

type countingWriter struct {
	storage.Writer
	s *countingStorage
}

func (w *countingWriter) Sync() error {
	w.s.syncs.Add(1)
	if w.s.fail.Load() {
		return io.ErrShortWrite
	}
	return w.Writer.Sync()
}

// TestLevelSync: a write with sync, and no other, syncs the journal; its
// failure is an error.
func TestLevelSync(t *testing.T) {
	s := &countingStorage{Storage: storage.NewMemStorage()}
	o := levelOptions()
	db, err := leveldb.Open(s, &o)
	if err != nil {
		t.Fatal(err)
	}
	l := &LevelDB{db: db}
	defer db.Close()
	var b Batch
	b.Put([]byte("k"), []byte("v"))
	for i, sync := range []bool{false, true, false, true, true} {
		before := s.syncs.Load()
		if err := l.Write(&b, sync); err != nil {
			t.Fatal(err)
		}
		if got := s.syncs.Load() - before; (got == 1) != sync || got > 1 {
			t.Errorf("write %d with sync %v: %d syncs", i, sync, got)
		}
	}
	s.fail.Store(true)
	if err := l.Write(&b, true); err == nil {
		t.Error("a failed sync gives no error")
	}
}

// TestLevelLargeBatch: a batch beyond the write buffer is one journal entry
// like any other, not a transaction.
func TestLevelLargeBatch(t *testing.T) {
	s := &countingStorage{Storage: storage.NewMemStorage()}
	o := levelOptions()
	o.WriteBuffer = 64 * opt.KiB
	db, err := leveldb.Open(s, &o)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	l := &LevelDB{db: db}
	var b Batch
	for i := range levelKeys {
		b.Put(levelKey(i), levelPair(i))
	}
	if err := l.Write(&b, true); err != nil {
		t.Fatal(err)
	}
	if n := s.syncs.Load(); n != 1 {
		t.Errorf("%d syncs, want 1", n)
	}
	if checkDamaged(t, l) {
		t.Error("records are missing")
	}
}

// TestLevelPanicIsDamage: a panic inside goleveldb is an error of damage.
func TestLevelPanicIsDamage(t *testing.T) {
	l := &LevelDB{} // each call on a nil database panics
	var b Batch
	_, getErr := l.Get([]byte("k"))
	for name, err := range map[string]error{
		"get": getErr, "iterate": l.Iterate(Range{}, func(_, _ []byte) bool { return true }), "write": l.Write(&b, true), "close": l.Close(),
	} {
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: error %v, want one that is ErrCorrupt", name, err)
		}
	}
	if _, err := l.Snapshot(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("snapshot: error %v, want one that is ErrCorrupt", err)
	}
}

// TestLevelOptions: Strict replaces the default flags instead of adding to
// them.
func TestLevelOptions(t *testing.T) {
	o := levelOptions()
	for _, flag := range []opt.Strict{opt.StrictManifest, opt.StrictJournalChecksum, opt.StrictBlockChecksum, opt.StrictCompaction, opt.StrictReader} {
		if !o.GetStrict(flag) {
			t.Errorf("strictness %b is off", flag)
		}
	}
	if o.GetNoSync() || o.NoWriteMerge || o.ReadOnly {
		t.Error("options that change durability are set")
	}
}

// TestLevelPanicOfTheCaller: a bug of whoever iterates is not taken for damage.
func TestLevelPanicOfTheCaller(t *testing.T) {
	l := openLevel(t, t.TempDir(), false)
	defer l.Close()
	writeLevel(t, l, 0, 1)
	defer func() {
		if recover() != "bug" {
			t.Error("the panic did not come through")
		}
	}()
	err := l.Iterate(Range{}, func(_, _ []byte) bool { panic("bug") })
	t.Errorf("iterate returned %v", err)
}
