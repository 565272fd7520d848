package dag

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/syndtr/goleveldb/leveldb/journal"
)

// TestJournalDamage: a flipped byte anywhere but in the last record is found,
// and no torn end is taken for damage.
func TestJournalDamage(t *testing.T) {
	var buf bytes.Buffer
	w := journal.NewWriter(&buf)
	var ends []int
	for _, n := range []int{10, 200, 40_000, 0, 5, 70_000, 30, 32_000, 12} {
		r, err := w.Next()
		if err != nil {
			t.Fatal(err)
		}
		r.Write(bytes.Repeat([]byte{byte(n)}, n))
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, buf.Len())
	}
	whole := buf.Bytes()
	if at, bad := journalDamage(whole); bad {
		t.Fatalf("a whole journal is damaged at %d", at)
	}
	last := ends[len(ends)-2]
	for i := 0; i < last; i += 97 {
		b := bytes.Clone(whole)
		b[i] ^= 0x40
		trailer := i%journalBlock > journalBlock-journalHeader
		if _, bad := journalDamage(b); !bad && !trailer {
			t.Errorf("byte %d of %d: not found", i, len(b))
		}
	}
	for n := range len(whole) {
		if n%53 == 0 || n > last {
			if at, bad := journalDamage(whole[:n]); bad {
				t.Fatalf("torn at %d: damage at %d", n, at)
			}
		}
	}
	torn := append(bytes.Clone(whole[:last+3]), make([]byte, 5000)...)
	if at, bad := journalDamage(torn); bad {
		t.Errorf("an end of zeros: damage at %d", at)
	}
}

// TestOpenDamagedJournal: the store of a process that was killed is refused if
// its journal was damaged since, and a repair reads on.
func TestOpenDamagedJournal(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenLevelDB(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		var b Batch
		b.Put(fmt.Append(nil, "k", i), bytes.Repeat([]byte("v"), 100))
		if err := s.Write(&b, true); err != nil {
			t.Fatal(err)
		}
	}
	killed := t.TempDir() // the files as a killed process leaves them
	if err := os.CopyFS(filepath.Join(killed, "s"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	killed = filepath.Join(killed, "s")
	logs, _ := filepath.Glob(filepath.Join(killed, "*.log"))
	b, err := os.ReadFile(logs[len(logs)-1])
	if err != nil || len(b) < 2000 {
		t.Fatalf("journal of %d bytes, %v", len(b), err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(logs[len(logs)-1], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLevelDB(killed, false); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("open: %v", err)
	}
	r, err := OpenLevelDB(killed, true)
	if err != nil {
		t.Fatalf("repair: %v", err)
	}
	r.Close()
}
