package dagtest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"crush/dag"
)

// TestStore is the conformance suite of dag.Store. open opens the store at a
// place, which is empty at first and keeps what a closed store left there.
func TestStore(t *testing.T, open func(t *testing.T, place string) dag.Store) {
	for name, test := range map[string]func(s *suite){
		"get and put":      (*suite).getAndPut,
		"order of a batch": (*suite).orderOfABatch,
		"iterate":          (*suite).iterate,
		"iterate inside":   (*suite).iterateInside,
		"snapshot":         (*suite).snapshot,
		"copies":           (*suite).copies,
		"reopen":           (*suite).reopen,
		"closed":           (*suite).closed,
		"large":            (*suite).large,
	} {
		t.Run(name, func(t *testing.T) {
			s := &suite{T: t, open: open, place: t.TempDir()}
			s.s = open(t, s.place)
			defer func() { _ = s.s.Close() }()
			test(s)
		})
	}
}

type suite struct {
	*testing.T
	open  func(t *testing.T, place string) dag.Store
	place string
	s     dag.Store
}

// write puts pairs; a pair with a nil value is a delete.
func (s *suite) write(sync bool, pairs ...pair) {
	s.Helper()
	var b dag.Batch
	for _, p := range pairs {
		if p.value == nil {
			b.Delete(p.key)
		} else {
			b.Put(p.key, p.value)
		}
	}
	if err := s.s.Write(&b, sync); err != nil {
		s.Fatalf("write: %v", err)
	}
}

func kv(key, value string) pair { return pair{[]byte(key), []byte(value)} }

func (s *suite) want(r dag.Reader, key, value string) {
	s.Helper()
	if v, err := r.Get([]byte(key)); err != nil || string(v) != value {
		s.Errorf("get %q: %.20q, %v, want %.20q", key, v, err, value)
	}
}

func (s *suite) wantNone(r dag.Reader, key string) {
	s.Helper()
	if v, err := r.Get([]byte(key)); !errors.Is(err, dag.ErrNotFound) {
		s.Errorf("get %q: %q, %v, want not found", key, v, err)
	}
}

// list iterates a range, stopping after n pairs.
func (s *suite) list(r dag.Reader, in dag.Range, n int) (out string) {
	s.Helper()
	err := r.Iterate(in, func(k, v []byte) bool {
		out += fmt.Sprintf("%s=%s ", k, v)
		n--
		return n != 0
	})
	if err != nil {
		s.Errorf("iterate: %v", err)
	}
	return out
}

func (s *suite) getAndPut() {
	s.wantNone(s.s, "k")
	s.write(true, kv("k", "1"), kv("empty", ""), kv("\x00\xff", "binary"))
	s.want(s.s, "k", "1")
	s.want(s.s, "empty", "")
	s.want(s.s, "\x00\xff", "binary")
	s.wantNone(s.s, "kk")
	s.write(false, kv("k", "2"))
	s.want(s.s, "k", "2")
	s.write(true, pair{key: []byte("k")}, pair{key: []byte("never")})
	s.wantNone(s.s, "k")
	s.write(true)
}

func (s *suite) orderOfABatch() {
	s.write(true, kv("a", "1"), pair{key: []byte("a")}, kv("a", "2"), kv("b", "1"), pair{key: []byte("b")})
	s.want(s.s, "a", "2")
	s.wantNone(s.s, "b")
	var b dag.Batch
	b.Put([]byte("x"), []byte("1"))
	b.Delete([]byte("y"))
	got := ""
	err := b.Each(func(k, v []byte) { got += fmt.Sprintf("%s=%s ", k, v) }, func(k []byte) { got += string(k) + " " })
	if err != nil || got != "x=1 y " || b.Len() != 2 || b.Size() == 0 {
		s.Errorf("batch %q, %d changes of %d bytes, %v", got, b.Len(), b.Size(), err)
	}
	if b.Reset(); b.Len() != 0 {
		s.Errorf("%d changes after Reset", b.Len())
	}
}

func (s *suite) iterate() {
	for _, k := range []string{"d", "b", "ba", "a", "c", "b\x00"} {
		s.write(false, kv(k, "1"))
	}
	for _, test := range []struct {
		start, end string
		reverse    bool
		n          int
		want       string
	}{
		{"", "", false, -1, "a=1 b=1 b\x00=1 ba=1 c=1 d=1 "},
		{"", "", true, -1, "d=1 c=1 ba=1 b\x00=1 b=1 a=1 "},
		{"b", "c", false, -1, "b=1 b\x00=1 ba=1 "},
		{"b", "c", true, -1, "ba=1 b\x00=1 b=1 "},
		{"b", "", false, 2, "b=1 b\x00=1 "},
		{"", "b", true, 1, "a=1 "},
		{"aa", "az", false, -1, ""},
		{"c", "b", false, -1, ""},
		{"c", "b", true, -1, ""},
		{"e", "", false, -1, ""},
	} {
		in := dag.Range{Start: []byte(test.start), End: []byte(test.end), Reverse: test.reverse}
		if test.end == "" {
			in.End = nil
		}
		if got := s.list(s.s, in, test.n); got != test.want {
			s.Errorf("%+v: %q", test, got)
		}
	}
}

// iterateInside reads and writes during an iteration, which goes on over what
// was there when it began.
func (s *suite) iterateInside() {
	s.write(true, kv("a", "1"), kv("b", "1"), kv("c", "1"))
	got := ""
	err := s.s.Iterate(dag.Range{}, func(k, v []byte) bool {
		s.want(s.s, string(k), s.now(k))
		s.write(false, kv("b", "2"), kv("d", "2"))
		got += fmt.Sprintf("%s=%s ", k, v)
		return true
	})
	if err != nil || got != "a=1 b=1 c=1 " {
		s.Errorf("%q, %v", got, err)
	}
}

func (s *suite) now(k []byte) string {
	v, err := s.s.Get(k)
	if err != nil {
		s.Fatal(err)
	}
	return string(v)
}

func (s *suite) snapshot() {
	s.write(true, kv("a", "1"), kv("b", "1"))
	snap, err := s.s.Snapshot()
	if err != nil {
		s.Fatal(err)
	}
	defer snap.Release()
	s.write(true, kv("a", "2"), pair{key: []byte("b")}, kv("c", "2"))
	s.want(snap, "a", "1")
	s.want(snap, "b", "1")
	s.wantNone(snap, "c")
	if got := s.list(snap, dag.Range{Reverse: true}, -1); got != "b=1 a=1 " {
		s.Errorf("snapshot lists %q", got)
	}
	if got := s.list(s.s, dag.Range{}, -1); got != "a=2 c=2 " {
		s.Errorf("store lists %q", got)
	}
}

// copies: neither side keeps the other's slices.
func (s *suite) copies() {
	k, v := []byte("k"), []byte("v")
	var b dag.Batch
	b.Put(k, v)
	k[0], v[0] = 'x', 'x'
	if err := s.s.Write(&b, true); err != nil {
		s.Fatal(err)
	}
	got, err := s.s.Get([]byte("k"))
	if err != nil {
		s.Fatal(err)
	}
	got[0] = 'x'
	s.want(s.s, "k", "v")
}

func (s *suite) reopen() {
	s.write(true, kv("a", "1"), kv("b", "1"))
	s.write(false, kv("a", "2"))
	if err := s.s.Close(); err != nil {
		s.Fatalf("close: %v", err)
	}
	s.s = s.open(s.T, s.place)
	s.want(s.s, "a", "2")
	s.want(s.s, "b", "1")
}

func (s *suite) closed() {
	s.write(true, kv("a", "1"))
	if err := s.s.Close(); err != nil {
		s.Fatalf("close: %v", err)
	}
	var b dag.Batch
	b.Put([]byte("a"), []byte("2"))
	if _, err := s.s.Get([]byte("a")); err == nil || errors.Is(err, dag.ErrNotFound) {
		s.Errorf("get after close: %v", err)
	}
	if err := s.s.Iterate(dag.Range{}, func(_, _ []byte) bool { return true }); err == nil {
		s.Error("iterate after close: no error")
	}
	if err := s.s.Write(&b, true); err == nil {
		s.Error("write after close: no error")
	}
	if _, err := s.s.Snapshot(); err == nil {
		s.Error("snapshot after close: no error")
	}
	s.s = s.open(s.T, s.place)
	s.want(s.s, "a", "1")
}

func (s *suite) large() {
	long := bytes.Repeat([]byte("long"), 1<<19)
	var pairs []pair
	for i := range 5 {
		pairs = append(pairs, pair{fmt.Append(nil, "long", i), long})
	}
	for i := range 5000 {
		pairs = append(pairs, kv(fmt.Sprintf("short%04d", i), "x"))
	}
	s.write(true, pairs...)
	for i := range 5 {
		s.want(s.s, fmt.Sprint("long", i), string(long))
	}
	n := 0
	err := s.s.Iterate(dag.Range{Start: []byte("short")}, func(_, _ []byte) bool { n++; return true })
	if err != nil || n != 5000 {
		s.Errorf("%d pairs, %v", n, err)
	}
}
