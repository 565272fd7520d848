package dag

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// textOf is a config of some lines.
func textOf(r *rand.Rand, lines int) []byte {
	var b []byte
	for range lines {
		b = fmt.Appendf(b, "  setting-%d: %08x # agreed\n", r.IntN(20), r.Uint32())
	}
	return b
}

// edited changes some lines of a text, or some bytes of anything.
func edited(r *rand.Rand, b []byte, places int) []byte {
	b = bytes.Clone(b)
	for range places {
		at := 0
		if len(b) > 0 {
			at = r.IntN(len(b))
		}
		end := min(len(b), at+r.IntN(30))
		b = append(b[:at:at], append(textOf(r, r.IntN(2)), b[end:]...)...)
	}
	return b
}

// TestKeptRoundTrip stores payloads of all shapes, alone and on one another,
// and reads them back. DAG_SEED=n runs one seed.
func TestKeptRoundTrip(t *testing.T) {
	first, end := 0, 200
	if testing.Short() {
		end = 40
	}
	if seed, err := strconv.Atoi(os.Getenv("DAG_SEED")); err == nil {
		first, end = seed, seed+1
	}
	var c codec
	did := map[byte]int{}
	for seed := first; seed < end; seed++ {
		r := rand.New(rand.NewPCG(uint64(seed), 4))
		random := make([]byte, r.IntN(3000))
		for i := range random {
			random[i] = byte(r.Uint32())
		}
		text := textOf(r, r.IntN(400))
		bases := [][]byte{{}, {'x'}, random, text, bytes.Repeat([]byte("ab"), r.IntN(4000)), textOf(r, 30)}
		base := bases[r.IntN(len(bases))]
		for _, value := range [][]byte{{}, base, edited(r, base, 1), edited(r, base, 5), edited(r, base, 40), text, random, append(bytes.Clone(base), text...), base[:len(base)/2], base[len(base)/3:]} {
			at := loc{3, 1 << 40, uint32(seed)}
			depth := r.IntN(deltaDepth + 2)
			got, err := c.keepOn(value, base, at, func() (int, error) { return depth, nil })
			if err != nil {
				t.Fatalf("DAG_SEED=%d: %v", seed, err)
			}
			for _, k := range []kept{got, c.keep(value)} {
				if k.record == nil {
					if k.depth != 0 || len(value) > inlineMax {
						t.Fatalf("DAG_SEED=%d: %d bytes are to stand in their block, depth %d", seed, len(value), k.depth)
					}
					continue
				}
				did[k.record[0]]++
				rec, err := decodeKept(k.record)
				if err != nil || rec.depth != k.depth || k.depth > 0 && (rec.base != at || k.depth != depth+1) {
					t.Fatalf("DAG_SEED=%d: %+v of %+v on %d: %v", seed, rec, k, depth, err)
				}
				if back, err := rec.payload(&c, base); err != nil || !bytes.Equal(back, value) {
					t.Fatalf("DAG_SEED=%d: form %d gives %d bytes, not %d: %v", seed, rec.form, len(back), len(value), err)
				}
				if len(k.record) > len(value)+1 {
					t.Errorf("DAG_SEED=%d: %d bytes are stored in %d", seed, len(value), len(k.record))
				}
			}
		}
	}
	for form := range byte(keptPatched + 1) {
		if did[form] == 0 && end-first > 1 {
			t.Errorf("no payload was stored in form %d", form)
		}
	}
}

// TestKeptIsSmall: a config of 10 KB of which one line was changed is some 40
// bytes, of which lines far from one another were, some more.
func TestKeptIsSmall(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 4))
	var c codec
	base := textOf(r, 320)
	lines := bytes.SplitAfter(base, []byte("\n"))
	for _, i := range []int{100, 5, 300, 200} {
		lines[i] = textOf(r, 1)
	}
	one := bytes.Join(append(append([][]byte{}, bytes.SplitAfter(base, []byte("\n"))[:100]...), append([][]byte{lines[100]}, bytes.SplitAfter(base, []byte("\n"))[101:]...)...), nil)
	for name, want := range map[string]struct {
		value []byte
		form  byte
		most  int
	}{
		"one line":    {one, keptSpliced, 64},
		"four lines":  {bytes.Join(lines, nil), keptPatched, 200},
		"nothing new": {base, keptSpliced, 16},
	} {
		k, err := c.keepOn(want.value, base, loc{1, 1000, 0}, func() (int, error) { return 3, nil })
		if err != nil || k.record[0] != want.form || len(k.record) > want.most {
			t.Errorf("%s: %d bytes in form %d, %v", name, len(k.record), k.record[0], err)
		}
	}
}

// TestLargeIsSmallToo: what is large and has few changes, far from one another.
func TestLargeIsSmallToo(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 4))
	var c codec
	for _, lines := range []int{3000, 40_000} {
		base := textOf(r, lines)
		value := edited(r, base, 10)
		if frame := c.patch(base, value); len(frame) == 0 || len(frame) > 1000 {
			t.Errorf("10 changes in %d bytes take %d", len(base), len(frame))
		}
	}
}

// keptExamples are those of the package comment, on one base. Zstd's own program
// made the frames.
const keptBase = "replicas: 2\nport: 80\n"

var keptExamples = map[string]struct{ record, value string }{
	"whole":   {"00" + hex.EncodeToString([]byte("port: 80\n")), "port: 80\n"},
	"spliced": {"02 03 01 ac02 00 0a 0a 33", "replicas: 3\nport: 80\n"},
	"packed":  {"01 18 28b52ffd00584d00001861626301007e6e08", strings.Repeat("abc", 8)},
	"patched": {"03 01 01 07 02 2a 28b52ffd202a350000000100119a40", keptBase + keptBase},
}

func unspaced(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestKeptExamples(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var c codec
	for name, x := range keptExamples {
		if name != "whole" && !strings.Contains(string(doc), "//\t"+x.record+"  #") {
			t.Errorf("%s: the package comment does not have it", name)
		}
		k, err := decodeKept(unspaced(t, x.record))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if v, err := k.payload(&c, []byte(keptBase)); err != nil || string(v) != x.value {
			t.Errorf("%s: %q, %v", name, v, err)
		}
	}
	x := keptExamples["spliced"]
	k := append(appendLoc([]byte{keptSpliced, 3}, loc{1, 300, 0}), appendSplice(nil, []byte(keptBase), []byte(x.value))...)
	if !bytes.Equal(k, unspaced(t, x.record)) {
		t.Errorf("the splice is %x", k)
	}
}

// TestKeptRefuses: records that are damaged, or that would take more memory
// than the payload has bytes.
func TestKeptRefuses(t *testing.T) {
	var c codec
	zeros := c.pack(make([]byte, 1<<20))
	for name, record := range map[string][]byte{
		"empty":               {},
		"unknown form":        {4, 'x'},
		"no depth":            {keptSpliced},
		"depth 0":             {keptSpliced, 0, 1, 0, 0, 0, 0},
		"too deep":            {keptSpliced, deltaDepth + 1, 1, 0, 0, 0, 0},
		"long number":         {keptSpliced, 0x81, 0, 1, 0, 0, 0, 0},
		"line too high":       unspaced(t, "02 01 8080808010 00 00 00 00"),
		"no splice":           {keptSpliced, 1, 1, 0, 0},
		"prefix too long":     {keptSpliced, 1, 1, 0, 0, byte(len(keptBase)) + 1, 0},
		"suffix too long":     {keptSpliced, 1, 1, 0, 0, 0, byte(len(keptBase)) + 1},
		"they overlap":        {keptSpliced, 1, 1, 0, 0, 20, 20},
		"size over the limit": unspaced(t, "01 ffffffff0f 28b52ffd"),
		"no frame":            {keptPacked, 9},
		"no zstd":             {keptPacked, 9, 1, 2, 3, 4, 5},
		"bomb":                append([]byte{keptPacked, 200, 1}, zeros...),
		"bomb on a base":      append([]byte{keptPatched, 1, 1, 0, 0, 200, 1}, zeros...),
		"too short":           append([]byte{keptPacked, 0x81, 0x80, 0x40}, zeros...),
		"two frames":          append(append([]byte{keptPacked, 0x80, 0x80, 0x40}, zeros...), zeros...),
	} {
		k, err := decodeKept(record)
		if err == nil {
			_, err = k.payload(&c, []byte(keptBase))
		}
		if !errors.Is(err, errDelta) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzKept(f *testing.F) {
	var c codec
	r := rand.New(rand.NewPCG(1, 4))
	base := textOf(r, 60)
	for _, x := range keptExamples {
		f.Add(unspaced(f, x.record), []byte(keptBase))
	}
	for _, value := range [][]byte{edited(r, base, 1), edited(r, base, 9), make([]byte, 1<<16)} {
		k, err := c.keepOn(value, base, loc{1, 2, 3}, func() (int, error) { return 0, nil })
		if err != nil {
			f.Fatal(err)
		}
		f.Add(k.record, base)
		f.Add(c.keep(value).record, base)
	}
	f.Fuzz(func(t *testing.T, record, base []byte) {
		k, err := decodeKept(record)
		if err != nil {
			return
		}
		v, err := k.payload(&c, base)
		if err != nil {
			if !errors.Is(err, errDelta) {
				t.Errorf("error %v", err)
			}
			return
		}
		if k.size >= 0 && len(v) != k.size || len(v) > max(MaxPayload, len(record)) || k.depth > deltaDepth {
			t.Errorf("%+v gives %d bytes", k, len(v))
		}
		if again, err := k.payload(&c, base); err != nil || !bytes.Equal(again, v) {
			t.Errorf("the second time it gives %d bytes of %d, %v", len(again), len(v), err)
		}
	})
}
