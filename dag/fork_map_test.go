package dag

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// TestNumMap compares with Go's map, through every version of a history.
func TestNumMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 13))
	type version struct {
		m    numMap[int]
		want map[uint32]int
	}
	all := []version{{want: map[uint32]int{}}}
	keys := []uint32{0, 1, 15, 16, 17, 1 << 28, 1<<28 + 1, 1<<32 - 1, 1<<31 + 16}
	for i := range 1000 {
		key := r.Uint32()
		switch r.IntN(3) {
		case 0:
			key = keys[r.IntN(len(keys))]
		case 1:
			key %= 64
		}
		old := all[r.IntN(len(all))]
		next := version{old.m.with(key, i), maps.Clone(old.want)}
		next.want[key] = i
		all = append(all, next)
	}
	for i, v := range all {
		if v.m.len != len(v.want) {
			t.Fatalf("version %d has length %d, want %d", i, v.m.len, len(v.want))
		}
		got := map[uint32]int{}
		v.m.each(func(key uint32, value int) bool { got[key] = value; return true })
		if !maps.Equal(got, v.want) {
			t.Fatalf("version %d has %v, want %v", i, got, v.want)
		}
		for _, key := range append(keys, 2, 3, 1<<16) {
			value, ok := v.m.get(key)
			if want, has := v.want[key]; ok != has || value != want {
				t.Fatalf("version %d has %d, %v at %d, want %d, %v", i, value, ok, key, want, has)
			}
		}
	}
}

// TestTextMap: texts with one hash do not get in each other's way.
func TestTextMap(t *testing.T) {
	byHash := map[uint32]string{}
	a, b := "", ""
	for i := 0; a == ""; i++ {
		s := strconv.Itoa(i)
		if o, ok := byHash[textHash(s)]; ok {
			a, b = o, s
		}
		byHash[textHash(s)] = s
	}
	var none textMap[int]
	m := none.with(a, 1).with(b, 2).with("c", 3).with(a, 4)
	for key, want := range map[string]int{a: 4, b: 2, "c": 3, "d": 0} {
		if got, ok := m.get(key); got != want || ok != (want > 0) {
			t.Errorf("%q is %d, %v, want %d", key, got, ok, want)
		}
	}
	if _, ok := none.get(a); ok {
		t.Error("with changes the map that it is called on")
	}
	var keys []string
	m.each(func(key string, _ int) bool { keys = append(keys, key); return true })
	want := []string{a, b, "c"}
	slices.Sort(keys)
	slices.Sort(want)
	if !slices.Equal(keys, want) {
		t.Errorf("each yields %q, want %q", keys, want)
	}
	n := 0
	m.each(func(string, int) bool { n++; return n < 2 })
	if n != 2 {
		t.Errorf("each yields %d after the second was the last wanted", n)
	}
}
