package dag_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"crush/dag"
	"crush/dag/dagtest"
)

func writeCAR(t testing.TB, n *node) []byte {
	t.Helper()
	var w bytes.Buffer
	if _, err := n.WriteCAR(t.Context(), &w, nil); err != nil {
		t.Fatal(err)
	}
	return w.Bytes()
}

// checkCAR is what a file is good for, by CheckCAR.
func checkCAR(t testing.TB, file []byte) error {
	t.Helper()
	c, err := dag.OpenCAR(bytes.NewReader(file))
	if err != nil {
		return err
	}
	return dag.CheckCAR(t.Context(), c, dagtest.NewMem(), nil)
}

func (n *node) takeCAR(t testing.TB, file []byte) (dag.Taken, error) {
	t.Helper()
	c, err := dag.OpenCAR(bytes.NewReader(file))
	if err != nil {
		return dag.Taken{}, err
	}
	return n.TakeCAR(t.Context(), c, nil)
}

// TestCAR: a node that takes a file is as one that got the blocks from a peer.
func TestCAR(t *testing.T) {
	a := everything(t)
	file := writeCAR(t, a)
	if err := checkCAR(t, file); err != nil {
		t.Fatal(err)
	}
	c, err := dag.OpenCAR(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	stats := a.Stats()
	if got := c.About(); got.Cluster != a.Cluster() || got.Node != a.Node() || got.Blocks != stats.Blocks || got.Revisions != stats.Revisions || got.Keys != stats.Keys {
		t.Errorf("the file says of itself %+v, of a graph with %+v", got, stats)
	}
	empty := openNode(t, "empty", dagtest.NewMem())
	taken, err := empty.takeCAR(t, file)
	if err != nil || taken.Blocks != stats.Blocks || taken.Known != 0 {
		t.Fatalf("took %+v, %v", taken, err)
	}
	same(t, a, empty)

	// A part of it was there; it goes on to the next from what was taken.
	a.put(t, "key", "newer")
	file = writeCAR(t, a)
	if taken, err = empty.takeCAR(t, file); err != nil || taken.Blocks != 1 || taken.Revisions != 1 || taken.Known != stats.Blocks {
		t.Fatalf("took %+v, %v", taken, err)
	}
	next := openNode(t, "next", dagtest.NewMem())
	next.pull(t, empty)
	same(t, a, next)
}

func same(t *testing.T, a, b *node) {
	t.Helper()
	if a.Digest() != b.Digest() || answersOf(t, a) != answersOf(t, b) {
		t.Errorf("%s is not as %s", b.name, a.name)
	}
	b.check(t)
}

func TestCAROfNothing(t *testing.T) {
	n := openNode(t, "a", dagtest.NewMem())
	if _, err := n.WriteCAR(t.Context(), io.Discard, nil); !errors.Is(err, dag.ErrNotFound) {
		t.Errorf("written of an empty graph: %v", err)
	}
}

// TestCARDamage: no byte can be another, and the file can end nowhere else.
func TestCARDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("one thing after another, and slow: not in short runs")
	}
	a := foundNode(t, "a")
	a.put(t, "k", "one")
	a.put(t, "k", "two")
	file := writeCAR(t, a)
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 1 << (i % 8)
		wantBadCAR(t, fmt.Sprintf("with byte %d changed", i), bad)
		wantBadCAR(t, fmt.Sprintf("with %d bytes", i), file[:i])
	}
	wantBadCAR(t, "with a byte more", append(bytes.Clone(file), 0))
	wantBadCAR(t, "twice", append(bytes.Clone(file), file...))
}

func wantBadCAR(t *testing.T, what string, file []byte) {
	t.Helper()
	err := checkCAR(t, file)
	if !errors.Is(err, dag.ErrRefused) || !strings.HasPrefix(err.Error(), "at byte ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("the file %s: %v", what, err)
	}
}

// section is one of a CAR, as this test reads it.
type section struct {
	cid  string
	data []byte
}

// sections reads a CAR by the words of its specification. The first is the
// header, which has no CID.
func sections(t testing.TB, file []byte) (out []section) {
	t.Helper()
	for len(file) > 0 {
		n, k := binary.Uvarint(file)
		if k <= 0 || n > uint64(len(file)-k) || len(out) > 0 && n < 36 {
			t.Fatalf("a section of %d bytes, of %d", n, len(file))
		}
		s := section{data: file[k : k+int(n)]}
		if len(out) > 0 {
			s.cid, s.data = string(s.data[:36]), s.data[36:]
		}
		out, file = append(out, s), file[k+int(n):]
	}
	return out
}

func carOf(all []section) (file []byte) {
	for _, s := range all {
		file = binary.AppendUvarint(file, uint64(len(s.cid)+len(s.data)))
		file = append(append(file, s.cid...), s.data...)
	}
	return file
}

func nodeSection(data []byte) section {
	sum := dag.SumOf(data)
	return section{"\x01\x71\x12\x20" + string(sum[:]), data}
}

// TestCARHostile: files whose every hash is right, and that are still refused.
func TestCARHostile(t *testing.T) {
	a := foundNode(t, "a")
	a.put(t, "k", "one")
	a.put(t, "k", "two")
	good := sections(t, writeCAR(t, a))
	// header, archive, seal, genesis, seal, block, revision, value, seal, block, revision, value
	if len(good) != 12 {
		t.Fatalf("%d sections", len(good))
	}
	change := func(do func(s []section) []section) []byte { return carOf(do(slices.Clone(good))) }
	other := foundNode(t, "other")
	foreignSeal := sections(t, writeCAR(t, other))[2]
	flippedSig := bytes.Clone(good[8].data)
	flippedSig[10] ^= 1
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":             {nil, "at byte 0: this is not a CAR file"},
		"text":              {[]byte("this is text and no CAR file at all"), "this is not a CAR file"},
		"version 2":         {fromHex(t, "0aa16776657273696f6e02"), "a CAR file of version 2"},
		"only a header":     {carOf(good[:1]), "ends in the middle"},
		"foreign":           {carOf([]section{good[0], nodeSection([]byte{0xa0})}), "not the history of a cluster of crush"},
		"foreign roots":     {append(fromHex(t, "11a265726f6f7473806776657273696f6e01"), carOf(good[3:])...), "not the history"},
		"later":             {change(func(s []section) []section { s[1] = laterArchive(t, s[1]); return s }), "version 3 of the form"},
		"another cluster":   {change(func(s []section) []section { s[1] = sections(t, writeCAR(t, other))[1]; return s }), "comes first"},
		"no seals":          {change(func(s []section) []section { return slices.Delete(slices.Delete(slices.Delete(s, 8, 9), 4, 5), 2, 3) }), "no signature vouches for 3 of the 3 blocks"},
		"no last seal":      {change(func(s []section) []section { return slices.Delete(s, 8, 9) }), "no signature vouches for 1 of the 3 blocks"},
		"bad signature":     {change(func(s []section) []section { s[8] = nodeSection(flippedSig); return s }), "bad signature"},
		"seal of another":   {change(func(s []section) []section { s[8] = foreignSeal; return s }), "stands where"},
		"blocks swapped":    {change(func(s []section) []section { return slices.Concat(s[:4], s[8:], s[4:8]) }), "are not here"},
		"a block too few":   {change(func(s []section) []section { return slices.Delete(s, 4, 8) }), "after 2 blocks, of 3"},
		"the last too few":  {carOf(good[:8]), "which its header names"},
		"a value too few":   {change(func(s []section) []section { return slices.Delete(s, 7, 8) }), "where at most 39 can stand"},
		"values swapped":    {change(func(s []section) []section { s[7], s[11] = s[11], s[7]; return s }), "stands where"},
		"a value too many":  {change(func(s []section) []section { return append(s, s[11]) }), "belongs to no revision"},
		"a block too many":  {change(func(s []section) []section { return append(s, s[8:]...) }), "after 4 blocks, of 3"},
		"no block":          {change(func(s []section) []section { return append(s, nodeSection([]byte{0xa0})) }), "block"},
		"a long length":     {append(carOf(good), 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1), "a length that is none"},
		"a padded length":   {append(carOf(good), 0xa4, 0x00), "a length that is none"},
		"a section of none": {append(carOf(good), 0), "a section of 0 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkCAR(t, c.file)
			if !errors.Is(err, dag.ErrRefused) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// laterArchive is the first section of a version to come.
func laterArchive(t testing.TB, s section) section {
	t.Helper()
	later := bytes.Replace(s.data, []byte("crush\x01"), []byte("crush\x03"), 1)
	if bytes.Equal(later, s.data) {
		t.Fatal("no version in it")
	}
	return nodeSection(later)
}

// TestCARStranger: a block of somebody who was no member is refused, though
// its hashes and its signature are right.
func TestCARStranger(t *testing.T) {
	a := foundNode(t, "a")
	f := newForger(keyOf("b"), 1)
	block := f.block(tips(a)...)
	_, bundle := f.write(block)
	h, err := dag.ReadHeader(bundle)
	if err != nil {
		t.Fatal(err)
	}
	file := sections(t, writeCAR(t, a))
	link := append(fromHex(t, "d82a58250001711220"), h.ID[:]...)
	file[0].data = slices.Concat([]byte("\xa2\x65roots\x81"), link, []byte("\x67version\x01"))
	file[1] = nodeSection(bytes.Replace(file[1].data, []byte("blocks\x01"), []byte("blocks\x02"), 1))
	file = append(file, nodeSection(slices.Concat([]byte("\xa2\x63sig\x58\x40"), h.Sig, []byte("\x65block"), link)), nodeSection(block.Encode()))
	if err := checkCAR(t, carOf(file)); !errors.Is(err, dag.ErrRefused) || !strings.Contains(err.Error(), "writer") {
		t.Errorf("%v", err)
	}
}

// TestCAROtherCluster: nothing is written before the cluster is known.
func TestCAROtherCluster(t *testing.T) {
	file := writeCAR(t, foundNode(t, "a"))
	b := foundNode(t, "b")
	before := b.Digest()
	if _, err := b.takeCAR(t, file); !errors.Is(err, dag.ErrOtherCluster) || b.Digest() != before {
		t.Errorf("%v", err)
	}
	c := openNode(t, "c", dagtest.NewMem())
	if err := c.Adopt(t.Context(), b.Cluster()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.takeCAR(t, file); !errors.Is(err, dag.ErrOtherCluster) {
		t.Errorf("a node that waits for another cluster: %v", err)
	}
	if taken, err := c.takeCAR(t, writeCAR(t, b)); err != nil || taken.Blocks != 1 {
		t.Errorf("%+v, %v", taken, err)
	}
}

// TestCARBomb: what a file promises takes no memory.
func TestCARBomb(t *testing.T) {
	for _, promised := range []uint64{16 << 20, 1 << 40, 1<<63 - 1} {
		bomb := binary.AppendUvarint(nil, promised)
		per := testing.AllocsPerRun(1, func() {
			if _, err := dag.OpenCAR(bytes.NewReader(bomb)); !errors.Is(err, dag.ErrRefused) {
				t.Errorf("%d bytes promised: %v", promised, err)
			}
		})
		if per > 64 {
			t.Errorf("%v allocations", per)
		}
	}
}

// TestCARStreams counts that neither end holds more than a part of a history.
func TestCARStreams(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and 24 MB")
	}
	a := foundNode(t, "a")
	const n, size = 24, 1 << 20
	for i := range n {
		a.put(t, fmt.Sprint("k", i%3), strings.Repeat(string(rune('a'+i)), size))
	}
	meter := &counted{}
	_, err := a.WriteCAR(t.Context(), meter, func(done, total uint64) {
		if behind := int(done-1)*size - meter.n; behind > 2*size {
			t.Errorf("after %d of %d blocks %d bytes are not out", done, total, behind)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	file := writeCAR(t, a)
	from := &counted{r: bytes.NewReader(file)}
	c, err := dag.OpenCAR(from)
	if err != nil {
		t.Fatal(err)
	}
	before, batches := 0, 0
	b := openNode(t, "b", dagtest.NewMem())
	_, err = b.TakeCAR(t.Context(), c, func(done, total uint64) {
		if batches++; from.n-before > 6*size {
			t.Errorf("%d bytes for one batch", from.n-before)
		}
		before = from.n
	})
	if err != nil || batches < 4 {
		t.Errorf("%d batches, %v", batches, err)
	}
}

type counted struct {
	r io.Reader
	n int
}

func (c *counted) Write(p []byte) (int, error) { c.n += len(p); return len(p), nil }

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// goldenCAR is the file of the golden vector: two blocks of a node whose clock
// stands and whose random bytes are 0.
func goldenCAR(t testing.TB) []byte {
	t.Helper()
	at := time.UnixMilli(1767225600123)
	key := dag.NewNodeKey([32]byte{1, 2, 3, 4})
	n := &node{name: "golden", store: dagtest.NewMem(), key: key}
	var err error
	n.Graph, err = dag.Open(t.Context(), dag.Config{Store: n.store, Key: key, Now: func() time.Time { return at }, Rand: zeros{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Found(t.Context(), dag.Member{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	n.put(t, "svc/api", "port: 80\n")
	return writeCAR(t, n)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestCARGolden(t *testing.T) {
	const name = "testdata/golden/car.hex"
	got := goldenCAR(t)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatalf("%v; the file would be\n%x", err, got)
	}
	want := fromHex(t, strings.TrimSpace(string(text)))
	if !bytes.Equal(got, want) {
		t.Errorf("the file is\n%x\nthe vector is\n%x", got, want)
	}
	if err := checkCAR(t, want); err != nil {
		t.Error(err)
	}
}

func FuzzCAR(f *testing.F) {
	f.Add(goldenCAR(f))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := dag.OpenCAR(bytes.NewReader(file))
		if err == nil {
			err = dag.CheckCAR(t.Context(), c, dagtest.NewMem(), nil)
		}
		if err != nil && !errors.Is(err, dag.ErrRefused) {
			t.Errorf("%v", err)
		}
	})
}
