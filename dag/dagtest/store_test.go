package dagtest_test

import (
	"errors"
	"testing"

	"crush/dag"
	"crush/dag/dagtest"
)

func TestMem(t *testing.T) {
	at := map[string]*dagtest.Mem{}
	dagtest.TestStore(t, func(_ *testing.T, place string) dag.Store {
		m := dagtest.NewMem()
		if old := at[place]; old != nil {
			m = old.Reopen()
		}
		at[place] = m
		return m
	})
}

func TestLevelDB(t *testing.T) {
	dagtest.TestStore(t, func(t *testing.T, place string) dag.Store {
		s, err := dag.OpenLevelDB(place, false)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func put(t *testing.T, m *dagtest.Mem, value string, sync bool) error {
	t.Helper()
	var b dag.Batch
	b.Put([]byte("k"), []byte(value))
	return m.Write(&b, sync)
}

func wantValue(t *testing.T, m *dagtest.Mem, want string) {
	t.Helper()
	if v, err := m.Get([]byte("k")); err != nil || string(v) != want {
		t.Errorf("%q, %v, want %q", v, err, want)
	}
}

// TestCrash: unsynced batches are lost from one on; a synced one keeps those
// before it.
func TestCrash(t *testing.T) {
	m := dagtest.NewMem()
	for _, w := range []struct {
		value string
		sync  bool
	}{{"0", false}, {"1", true}, {"2", false}, {"3", false}} {
		if err := put(t, m, w.value, w.sync); err != nil {
			t.Fatal(err)
		}
	}
	for keep, want := range []string{"1", "2", "3", "3"} {
		wantValue(t, m.Crash(keep), want)
	}
	wantValue(t, m.Reopen(), "3")
	if err := put(t, m, "4", true); err == nil {
		t.Error("a store that crashed is written")
	}
}

// TestFaults: the write that was named fails, and only that one.
func TestFaults(t *testing.T) {
	for fault, want := range map[dagtest.Fault]string{
		dagtest.FaultFailed: "1", dagtest.FaultFull: "1", dagtest.FaultPersisted: "2",
	} {
		m := dagtest.NewMem()
		m.FailWrite(2, fault)
		for i, value := range []string{"1", "2"} {
			if err := put(t, m, value, true); errors.Is(err, dagtest.ErrInjected) != (i == 1) {
				t.Errorf("fault %d, write %d: %v", fault, i+1, err)
			}
		}
		if wantValue(t, m, want); m.Writes() != 2 {
			t.Errorf("%d writes", m.Writes())
		}
		wantValue(t, m.Crash(0), want)
	}
}
