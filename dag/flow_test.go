package dag

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// shuffler makes blocks whose bytes are good, however little sense they make.
type shuffler struct {
	*rand.Rand
	chains []flowChain
	blocks []BlockID
	revs   []*Revision
	ids    []RevisionID
	time   int64
}

func (s *shuffler) digest() (d [32]byte) {
	for i := range d {
		d[i] = byte(s.Uint32())
	}
	return d
}

func pick[T any](s *shuffler, from []T) T { return from[s.IntN(len(from))] }

// parcel makes the next block: usually of a known chain, with revisions of
// known keys that have seen known revisions, sometimes of none of these.
func (s *shuffler) parcel() *parcel {
	s.time += int64(s.IntN(2000)) - 500
	b := &Block{Version: blockVersion, Chain: s.digest(), Time: s.time, Salt: Salt(goldenSalt)}
	b.Salt[0] = byte(s.Uint32())
	at := s.IntN(len(s.chains) + 1)
	if at < len(s.chains) {
		c := s.chains[at]
		b.Chain, b.Seq, b.Prev = c.id, c.next, c.prev
		if s.IntN(9) == 0 { // another continuation
			at = len(s.chains)
		}
	} else if s.IntN(2) == 0 {
		b.Seq, b.Prev = uint64(1+s.IntN(1000)), s.digest()
	}
	s.extend(b)
	p := &parcel{block: b}
	for i := range s.IntN(6) {
		s.revision(p, i)
	}
	p.id = b.ID()
	p.sig = bytes.Repeat(p.id[:], 2)
	c := flowChain{b.Chain, b.Seq + 1, p.id}
	if at == len(s.chains) {
		s.chains = append(s.chains, c)
	}
	s.chains[at] = c
	s.blocks = append(s.blocks, p.id)
	return p
}

// extend adds what not every block has.
func (s *shuffler) extend(b *Block) {
	for range s.IntN(3) * s.IntN(3) {
		if s.IntN(4) > 0 && len(s.blocks) > 0 {
			b.Deps = append(b.Deps, pick(s, s.blocks))
		} else {
			b.Deps = append(b.Deps, s.digest())
		}
	}
	slices.SortFunc(b.Deps, func(x, y BlockID) int { return bytes.Compare(x[:], y[:]) })
	b.Deps = slices.Compact(b.Deps)
	b.Deps = slices.DeleteFunc(b.Deps, func(d BlockID) bool { return d == b.Prev })
	if b.Seq == 0 {
		b.Ops = []Op{NewOp(ChainOp{Key: goldenKey.ID(), Nonce: goldenNonce}), NewOp(GenesisOp{Name: "x"})}
	} else if s.IntN(6) == 0 {
		b.Ops = []Op{NewOp(RenameOp{Fork: goldenFork, Name: "y"}), {Kind: 77, Body: cbor.RawMessage{0xa1, 0x61, 'z', 0xf6}}}
	}
	if s.IntN(6) == 0 {
		b.Note = &Note{Author: "ann", Message: fmt.Sprint(s.IntN(3))}
	}
	if s.IntN(8) == 0 {
		b.extra = extras{"zz": cbor.RawMessage{0x82, 0x01, 0xf5}}
	}
}

func (s *shuffler) revision(p *parcel, i int) {
	b := p.block
	load := make([]byte, s.IntN(40)*s.IntN(40))
	r := &Revision{
		Key: fmt.Sprint("svc/", s.IntN(30), strings.Repeat("/x", s.IntN(3))), Fork: pick(s, []ForkID{defaultFork, defaultFork, goldenFork, s.digest()}),
		Kind: uint64(1 + s.IntN(2)), Chain: b.Chain, Seq: b.Seq, Index: uint64(i), Salt: b.Salt, Time: b.Time,
	}
	for range s.IntN(3) {
		if len(s.ids) == 0 || s.IntN(5) == 0 {
			r.Parents = append(r.Parents, s.digest())
			continue
		}
		of := s.IntN(len(s.ids))
		r.Parents = append(r.Parents, s.ids[of])
		if s.IntN(4) > 0 && len(r.Parents) == 1 {
			r.Key, r.Fork, r.Kind = s.revs[of].Key, s.revs[of].Fork, s.revs[of].Kind
		}
	}
	if r.Deleted = s.IntN(5) == 0; r.Deleted {
		load = nil
	} else {
		r.Value, r.Size = SumOf(load), int64(len(load))
		if s.IntN(30) == 0 {
			load = nil // purged
		}
	}
	switch s.IntN(12) {
	case 0:
		r.Label, r.Mark = "ci", MarkResolved
	case 1:
		r.Note, r.extra = &Note{Message: "m"}, extras{"until": cbor.RawMessage{0x05}}
	case 2:
		r.Seq++
	}
	p.revs, p.payloads = append(p.revs, r), append(p.payloads, load)
	b.Revisions = append(b.Revisions, r.ID())
	s.revs, s.ids = append(s.revs, r), append(s.ids, r.ID())
}

// TestFlow: what goes into a flow comes out of it, in chunks of any size; each
// chunk has the signature of the last block of each line, and no other.
func TestFlow(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		s := &shuffler{Rand: rand.New(rand.NewPCG(seed, 1)), time: goldenTime}
		out, in := newOutflow(false), &Inflow{}
		for range 40 {
			var blocks []outgoing
			for range 1 + s.IntN(8) {
				blocks = append(blocks, outgoing{p: s.parcel(), line: uint32(s.IntN(3))})
			}
			got, later, err := in.unpack(out.pack(blocks).Bytes())
			if err != nil || later > 0 || len(got) != len(blocks) {
				t.Fatalf("seed %d: %d of %d blocks, %d later, %v", seed, len(got), len(blocks), later, err)
			}
			for i, p := range got {
				want := *blocks[i].p
				if slices.ContainsFunc(blocks[i+1:], func(b outgoing) bool { return b.line == blocks[i].line }) {
					want.sig = nil
				}
				if !bytes.Equal(p.encode(nil), want.encode(nil)) || p.id != want.id {
					t.Fatalf("seed %d: got %+v, want %+v", seed, p.block, want.block)
				}
				if back, err := decodeBundle(want.encode(nil)); err != nil || back.size != p.size {
					t.Fatalf("seed %d: a block that no receiver takes: %v", seed, err)
				}
			}
		}
	}
}

// TestFlowForgets: both ends forget the same, at the bounds of revisions, of
// their keys and of blocks.
func TestFlowForgets(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and tables that are full")
	}
	for name, c := range map[string]struct{ blocks, revs, key, far int }{
		"revisions": {flowRevisions/500 + 20, 500, 3, 2 * flowRevisions},
		"keys":      {2 * flowKeys / MaxKey / 20, 20, MaxKey, 2 * flowKeys / MaxKey},
		"blocks":    {flowBlocks + 5000, 0, 0, 2 * flowBlocks},
	} {
		t.Run(name, func(t *testing.T) {
			s := &shuffler{Rand: rand.New(rand.NewPCG(1, 1))}
			out, in := newOutflow(false), &Inflow{}
			var prev BlockID
			explicit := 0
			for n := range c.blocks {
				b := &Block{Version: blockVersion, Chain: goldenChain, Seq: uint64(n + 1), Prev: prev, Salt: Salt{byte(n), byte(n >> 8), byte(n >> 16)}}
				if n == 0 {
					b.Prev = BlockID{1}
				}
				if far := s.IntN(c.far); c.revs == 0 && far < n-1 {
					b.Deps = []BlockID{s.blocks[n-2-far]}
				}
				p := &parcel{block: b}
				for i := range c.revs {
					r := &Revision{Key: strings.Repeat(string(rune('a'+i%26)), c.key), Fork: defaultFork, Deleted: true, Chain: b.Chain, Seq: b.Seq, Index: uint64(i), Salt: b.Salt}
					if far := s.IntN(c.far); far < len(s.ids) {
						r.Parents = []RevisionID{s.ids[len(s.ids)-1-far]}
					}
					id := r.ID()
					p.revs, p.payloads, b.Revisions = append(p.revs, r), append(p.payloads, nil), append(b.Revisions, id)
					s.ids = append(s.ids, id)
				}
				p.id = b.ID()
				prev = p.id
				s.blocks = append(s.blocks, p.id)
				chunk := out.pack([]outgoing{{p: p, line: 1}})
				explicit += len(chunk.Parts[1]) - len(b.Salt)
				got, _, err := in.unpack(chunk.Bytes())
				if err != nil || got[0].id != p.id {
					t.Fatalf("block %d: %v", n, err)
				}
			}
			if explicit < 10*32 {
				t.Errorf("%d bytes of ids: nothing was forgotten", explicit)
			}
			if in.revs.n > flowRevisions || in.keys > flowKeys || in.blocks.n > flowBlocks || len(out.revAt) > in.revs.n || len(out.blockAt) != in.blocks.n {
				t.Errorf("%d revisions, %d bytes of keys, %d blocks", in.revs.n, in.keys, in.blocks.n)
			}
		})
	}
}

// TestFlowForgetsPayloads: both ends forget the same payloads, and the sender
// makes deltas of no others.
func TestFlowForgetsPayloads(t *testing.T) {
	s := &shuffler{Rand: rand.New(rand.NewPCG(4, 1))}
	out, in := newOutflow(true), &Inflow{}
	var prev BlockID
	var loads [][]byte
	deltas, whole := 0, 0
	for n := range 400 {
		b := &Block{Version: blockVersion, Chain: goldenChain, Seq: uint64(n + 1), Prev: prev, Salt: goldenSalt}
		if n == 0 {
			b.Prev = BlockID{1}
		}
		load := bytes.Repeat([]byte{byte(n)}, 1+s.IntN(200<<10))
		r := &Revision{Key: "k", Fork: defaultFork, Chain: b.Chain, Seq: b.Seq, Salt: b.Salt, Value: SumOf(load)}
		o := outgoing{p: &parcel{block: b, revs: []*Revision{r}}, line: 1, records: make([][]byte, 1)}
		if far := s.IntN(300); far < n {
			base := loads[n-1-far]
			load = append(bytes.Clone(base[:len(base)/2]), byte(n))
			r.Parents = []RevisionID{s.ids[n-1-far]}
			at := loc{1, uint64(n - far), 0}
			if n%7 == 0 { // it stands on another one
				load = bytes.Repeat([]byte{byte(n + 1)}, len(load))
				at.seq, base = 0, load[1:]
			}
			head := appendLoc([]byte{keptSpliced, 1}, at)
			o.records[0] = append(head, appendSplice(nil, base, load)...)
		}
		r.Value, r.Size, o.p.payloads = SumOf(load), int64(len(load)), [][]byte{load}
		b.Revisions = []RevisionID{r.ID()}
		o.p.id = b.ID()
		prev, loads, s.ids = o.p.id, append(loads, load), append(s.ids, b.Revisions[0])
		chunk := out.pack([]outgoing{o})
		got, _, err := in.unpack(chunk.Bytes())
		if err != nil || got[0].id != o.p.id || !bytes.Equal(got[0].payloads[0], load) {
			t.Fatalf("block %d: %v", n, err)
		}
		if in.loads != out.loads || in.bare != out.bare || in.loads > flowPayloads {
			t.Fatalf("block %d: %d bytes of payloads here, %d there", n, in.loads, out.loads)
		}
		if got[0].sent != nil {
			deltas++
		} else if o.records[0] != nil && len(load) >= deltaMin {
			whole++
		}
	}
	if deltas < 50 || whole < 50 {
		t.Errorf("%d deltas, %d that could have been", deltas, whole)
	}
}

// chunkExample is a golden block and one that follows on it.
func chunkExample() []*parcel {
	first := goldenBlocks()["block"]
	b := &Block{Version: 1, Chain: goldenChain, Seq: 8, Prev: first.id, Deps: []BlockID{}, Time: goldenTime + 5000, Salt: goldenSalt}
	next := &parcel{block: b, payloads: [][]byte{[]byte("port: 81\n"), nil}}
	for i, key := range []string{"svc/api", "svc/apt"} {
		r := goldenRevision(uint64(i))
		r.Key, r.Seq, r.Time = key, b.Seq, b.Time
		if i == 0 {
			r.Parents, r.Value = []RevisionID{first.block.Revisions[0]}, SumOf(next.payloads[0])
		} else {
			r.Deleted, r.Value, r.Size = true, Sum{}, 0
		}
		next.revs, b.Revisions = append(next.revs, r), append(b.Revisions, r.ID())
	}
	next.id = b.ID()
	next.sig = goldenKey.signBlock(next.id)
	return []*parcel{first, next}
}

// TestDocumentedChunk reads the example in the package comment.
func TestDocumentedChunk(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(doc), "// its chain:\n//\n")
	if !ok {
		t.Fatal("there is no example")
	}
	example, _, _ = strings.Cut(example, "//\n")
	var digits strings.Builder
	for line := range strings.Lines(example) {
		line, _, _ = strings.Cut(strings.TrimPrefix(line, "//"), "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	raw, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	want := chunkExample()
	got, _, err := new(Inflow).unpack(raw)
	if err != nil || len(got) != 2 || got[0].id != want[0].id || !bytes.Equal(got[1].encode(nil), want[1].encode(nil)) {
		t.Errorf("%d blocks, %v", len(got), err)
	}
	if packed := newOutflow(false).pack([]outgoing{{p: want[0]}, {p: want[1]}}).Bytes(); !bytes.Equal(raw, packed) {
		t.Errorf("the example is\n%x\nit is packed as\n%x", raw, packed)
	}
}

// goldenChunk is the golden blocks but the first.
func goldenChunk() []byte {
	blocks := goldenBlocks()
	return newOutflow(false).pack([]outgoing{{p: blocks["block"], line: 1}, {p: blocks["block-full"], line: 2}}).Bytes()
}

// goldenDelta is a block with a payload, and what follows on it as a delta.
func goldenDelta() []byte {
	p := &parcel{block: &Block{Version: 1, Chain: goldenChain, Seq: 7, Prev: BlockID(SumOf([]byte("one"))), Time: goldenTime, Salt: goldenSalt}}
	for i, text := range []string{strings.Repeat("on: 1\n", 60), strings.Repeat("on: 1\n", 60) + "off: 1\n"} {
		r := goldenRevision(uint64(i))
		r.Value, r.Size, r.Parents = SumOf([]byte(text)), int64(len(text)), p.block.Revisions
		p.revs, p.payloads = append(p.revs, r), append(p.payloads, []byte(text))
		p.block.Revisions = append(p.block.Revisions[:i:i], r.ID())
	}
	p.id = p.block.ID()
	p.sig = goldenKey.signBlock(p.id)
	record := appendSplice(appendLoc([]byte{keptSpliced, 1}, loc{1, 7, 0}), p.payloads[0], p.payloads[1])
	return newOutflow(true).pack([]outgoing{{p: p, line: 1, records: [][]byte{nil, record}}}).Bytes()
}

func TestChunkGolden(t *testing.T) {
	golden(t, "chunk", goldenChunk())
	got, _, err := new(Inflow).unpack(readGolden(t, "chunk"))
	if err != nil || len(got) != 2 {
		t.Fatalf("%d blocks, %v", len(got), err)
	}
	lacking := newOutflow(false).pack([]outgoing{{p: goldenLacking()}}).Bytes()
	golden(t, "chunk-lacking", lacking)
	if got, _, err := new(Inflow).unpack(lacking); err != nil || len(got) != 1 || !bytes.Equal(got[0].encode(nil), readGolden(t, "bundle-lacking")) {
		t.Errorf("a block that lacks a payload: %v, %v", got, err)
	}
	golden(t, "chunk-delta", goldenDelta())
	if got, _, err := new(Inflow).unpack(readGolden(t, "chunk-delta")); err != nil || len(got) != 1 || got[0].revs[1].Value != SumOf([]byte(strings.Repeat("on: 1\n", 60)+"off: 1\n")) {
		t.Errorf("a payload that comes as a delta: %v, %v", got, err)
	}
	for i, name := range []string{"block", "block-full"} {
		if !bytes.Equal(got[i].encode(nil), readGolden(t, "bundle-"+name)) {
			t.Errorf("%s became %x", name, got[i].encode(nil))
		}
	}
}

// chunkOf puts the parts of a chunk together.
func chunkOf(plan, ids, loads []byte) []byte {
	head := binary.AppendUvarint(nil, uint64(len(plan)))
	head = binary.AppendUvarint(head, uint64(len(ids)))
	return slices.Concat(head, plan, ids, loads)
}

func TestChunkHostile(t *testing.T) {
	good := goldenChunk()
	ids := make([]byte, 1<<10)
	for i := range ids {
		ids[i] = byte(i)
	}
	// A block at seq 1 of a new chain behind an unknown block, at time 0.
	first := []byte{1, 0, 0, 1, 0, 0}
	size := func(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }
	whole, lacks := readGolden(t, "bundle-block"), readGolden(t, "bundle-lacking")
	rev := func(more ...byte) []byte { return slices.Concat(first, []byte{1}, more) }
	// A revision with a payload, and one with a delta of that.
	short, long := strings.Repeat("x", deltaMin-1), strings.Repeat("0123456789", 200)
	after := func(n int, delta []byte) []byte {
		return slices.Concat(first, []byte{2, 0, 0, 1, 0, 0, 1, 'k'}, size(n), []byte{revIsLike | revOneParent | revIsDelta, 1}, delta)
	}
	onShort := func(delta ...byte) []byte { return after(len(short), delta) }
	onLong := func(delta ...byte) []byte { return after(len(long), delta) }
	patch := string(new(codec).patch([]byte(long), []byte(long+"abc"+long)))
	for name, c := range map[string]struct {
		plan []byte
		ids  int // bytes
		load string
	}{
		"no blocks":              {[]byte{0}, 0, ""},
		"more blocks than bytes": {[]byte{9, 0}, 16, ""},
		"empty plan":             {nil, 0, ""},
		"plan cut":               {first[:3], 1000, ""},
		"no salt":                {append(first, 0), 15, ""},
		"no chain id":            {append(first, 0), 40, ""},
		"no prev":                {append(first, 0), 60, ""},
		"chain not named":        {[]byte{1, 0, 1, 1, 0, 0, 0}, 80, ""},
		"block not passed":       {[]byte{1, 0, 0, 1, 1, 0, 0}, 80, ""},
		"prev of the first":      {[]byte{1, 0, 0, 0, 0, 0}, 48, ""},
		"seq beyond 63 bits":     {slices.Concat([]byte{1, 0, 0}, bytes.Repeat([]byte{0xff}, 9), []byte{1, 0, 0, 0}), 80, ""},
		"number in a long form":  {[]byte{1, 0, 0x80, 0, 1, 0, 0, 0}, 80, ""},
		"time before 1970":       {[]byte{1, 0, 0, 1, 0, 1, 0}, 80, ""},
		"no deps":                {[]byte{1, formDeps, 0, 1, 0, 0, 0, 0}, 80, ""},
		"dep not passed":         {[]byte{1, formDeps, 0, 1, 0, 0, 1, 1, 0}, 80, ""},
		"more deps than bytes":   {[]byte{1, formDeps, 0, 1, 0, 0, 99, 0, 0}, 80, ""},
		"rest cut":               {[]byte{1, formRest, 0, 1, 0, 0, 9, 0xa0, 0}, 80, ""},
		"rest no map":            {[]byte{1, formRest, 0, 1, 0, 0, 1, 0x80, 0}, 80, ""},
		"rest not canonical":     {[]byte{1, formRest, 0, 1, 0, 0, 4, 0xa1, 0x61, 'z', 0xf7, 0}, 80, ""},
		"rest with a seq":        {slices.Concat([]byte{1, formRest, 0, 1, 0, 0, 6, 0xa1}, appendText(nil, "seq"), []byte{5, 0}), 80, ""},
		"note no map":            {slices.Concat([]byte{1, formRest, 0, 1, 0, 0, 7, 0xa1}, appendText(nil, "note"), []byte{5, 0}), 80, ""},
		"no signature":           {[]byte{1, formSigned, 0, 1, 0, 0, 0}, 80 + 63, ""},
		"ids left":               {append(first, 0), 81, ""},
		"payload left":           {append(first, 0), 80, "x"},
		"plan left":              {append(first, 0, 0), 80, ""},
		"later, cut":             {[]byte{1, formLacking, 5, 1, 2}, 32, ""},
		"bundle of nothing":      {[]byte{1, formLacking, 1, 0x80}, 32, ""},
		"bundle that lacks none": {slices.Concat([]byte{1, formLacking}, size(len(whole)), whole), 32, ""},
		"bundle of another id":   {slices.Concat([]byte{1, formLacking}, size(len(lacks)), lacks), 32, ""},
		"later, without id":      {[]byte{1, formLacking, 0}, 31, ""},
		"revisions cut":          {append(first, 9), 80, ""},
		"unknown flag":           {rev(32, 0, 1, 0, 0, 1, 'k', 0), 80, ""},
		"revision not passed":    {rev(revOneParent, 1, 1, 0, 0, 1, 'k', 0), 80, ""},
		"like no parent":         {rev(revIsLike, 0, 0), 80, ""},
		"like an unknown parent": {rev(revIsLike|revOneParent, 0, 0), 112, ""},
		"more parents":           {rev(0, 0x7f, 1, 0, 0, 1, 'k', 0), 80, ""},
		"fork not named":         {rev(0, 0, 1, 2, 0, 1, 'k', 0), 112, ""},
		"key of nothing":         {rev(0, 0, 1, 0, 1, 1, 'k', 0), 80, ""},
		"empty key":              {rev(0, 0, 1, 0, 0, 0, 0), 80, ""},
		"key not UTF-8":          {rev(0, 0, 1, 0, 0, 1, 0xff, 0), 80, ""},
		"key with NUL":           {rev(0, 0, 1, 0, 0, 1, 0, 0), 80, ""},
		"long key":               {rev(slices.Concat([]byte{0, 0, 1, 0, 0}, size(MaxKey+1), bytes.Repeat([]byte("k"), MaxKey+1), []byte{0})...), 80, ""},
		"payload cut":            {rev(0, 0, 1, 0, 0, 1, 'k', 2), 80, "x"},
		"payload too long":       {rev(slices.Concat([]byte{0, 0, 1, 0, 0, 1, 'k'}, size(MaxValue+1))...), 80, strings.Repeat("x", MaxValue+1)},
		"kind beyond 63 bits":    {rev(slices.Concat([]byte{0, 0}, bytes.Repeat([]byte{0xff}, 9), []byte{1, 0, 0, 1, 'k', 0})...), 80, ""},
		"revision's rest empty":  {rev(revHasRest, 0, 1, 0, 0, 1, 'k', 1, 0x80, 0), 80, ""},
		"delta of nothing":       {rev(revIsDelta, 0, 1, 0, 0, 1, 'k', keptSpliced, 3), 80, "\x00\x00x"},
		"delta of what is gone":  {rev(revIsDelta|revOneParent, 0, 1, 0, 0, 1, 'k', keptSpliced, 3), 112, "\x00\x00x"},
		"delta of a short one":   {onShort(keptSpliced, 3), 80, short + "\x00\x00x"},
		"delta of no form":       {onLong(keptWhole, 3), 80, long + "\x00\x00x"},
		"delta of a later form":  {onLong(9, 3), 80, long + "\x00\x00x"},
		"delta beyond its base":  {onLong(keptSpliced, 3), 80, long + "\xff\x7fx"},
		"delta without a form":   {onLong(), 80, long},
		"delta cut":              {onLong(keptSpliced, 4), 80, long + "\x00\x00x"},
		"delta of no frame":      {onLong(keptPatched, 1, 3), 80, long + "abc"},
		"delta of another size":  {onLong(append([]byte{keptPatched, 9}, byte(len(patch)))...), 80, long + patch},
		"delta of a long size":   {onLong(slices.Concat([]byte{keptPatched}, size(MaxPayload+1), size(len(patch)))...), 80, long + patch},
		"delete that is a delta": {slices.Concat(first, []byte{2, 0, 0, 1, 0, 0, 1, 'k'}, size(len(long)), []byte{revIsDelete | revIsLike | revOneParent | revIsDelta, 1, keptSpliced, 3}), 80, long + "\x00\x00x"},
		"revision's payload apart": {rev(slices.Concat([]byte{revHasRest | revIsDelete, 0, 1, 0, 0, 1, 'k', 46, 0xa1}, appendText(nil, "apart"),
			[]byte{0x82}, appendBytes(nil, make([]byte, 32)), []byte{0x19, 8, 0})...), 80, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := &Inflow{}
			got, _, err := in.unpack(chunkOf(c.plan, ids[:c.ids], []byte(c.load)))
			if refused(t, err); err == nil {
				t.Errorf("unpacked %+v", got[0].block)
			}
			if _, _, err := in.unpack(good); err == nil {
				t.Error("the flow goes on after an error")
			}
		})
	}
	if _, _, err := new(Inflow).unpack(chunkOf(append(first, 0), ids[:80], nil)); err != nil {
		t.Errorf("the block that the others are made of: %v", err)
	}
	got, _, err := new(Inflow).unpack(chunkOf(onLong(slices.Concat([]byte{keptPatched}, size(2*len(long)+3), size(len(patch)))...), ids[:80], []byte(long+patch)))
	if err != nil || string(got[0].payloads[1]) != long+"abc"+long {
		t.Errorf("the delta that others are made of: %v", err)
	}
	for n := range good {
		if _, _, err := new(Inflow).unpack(good[:n]); err == nil {
			t.Errorf("cut after %d bytes", n)
		}
	}
}

// TestChunkBomb: a chunk that says much in few bytes is refused before it
// takes much memory.
func TestChunkBomb(t *testing.T) {
	const many = 1 << 20
	first := []byte{1, 0, 0, 1, 0, 0}
	key := slices.Concat([]byte{revIsDelete, 0, 1, 0, 0}, binary.AppendUvarint(nil, MaxKey), bytes.Repeat([]byte("k"), MaxKey))
	many20 := binary.AppendUvarint(nil, many)
	chain := make([]byte, 80)
	for name, plan := range map[string][]byte{
		"one key":     slices.Concat(first, many20, key, bytes.Repeat([]byte{revIsDelete | revIsLike | revOneParent, 1}, many)),
		"one prefix":  slices.Concat(first, many20, key, bytes.Repeat([]byte{revIsDelete, 0, 1, 0, 0x80, 8, 0}, many)),
		"one parent":  slices.Concat(first, []byte{2}, key, []byte{revIsDelete}, many20, bytes.Repeat([]byte{1}, many)),
		"one dep":     slices.Concat([]byte{2, 0, 0, 1, 0, 0, 0, formDeps, 0, 0}, many20, bytes.Repeat([]byte{1}, many)),
		"many blocks": slices.Concat(many20, first[1:], []byte{0}, bytes.Repeat([]byte{0, 0, 0, 0}, many-1)),
	} {
		t.Run(name, func(t *testing.T) {
			ids := chain
			if name == "many blocks" {
				ids = make([]byte, 80+16*(many-1))
			}
			raw := chunkOf(plan, ids, nil)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := new(Inflow).unpack(raw)
			runtime.ReadMemStats(&after)
			refused(t, err)
			if n := after.TotalAlloc - before.TotalAlloc; n > 256<<20 {
				t.Errorf("%d MiB allocated for %d KiB", n>>20, len(raw)>>10)
			}
		})
	}
}

// TestChunkDeltaBomb: many deltas of few bytes that each give a long payload
// are refused at the limit of a block.
func TestChunkDeltaBomb(t *testing.T) {
	const many, size = 1 << 16, 1 << 20
	plan := slices.Concat([]byte{1, 0, 0, 1, 0, 0}, binary.AppendUvarint(nil, many+1),
		[]byte{0, 0, 1, 0, 0, 1, 'k'}, binary.AppendUvarint(nil, size),
		bytes.Repeat([]byte{revIsLike | revOneParent | revIsDelta, 1, keptSpliced, 4}, many))
	bodies := append(make([]byte, size), bytes.Repeat([]byte{0x80, 0x80, 0x40, 0}, many)...) // all of the base
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := new(Inflow).unpack(chunkOf(plan, make([]byte, 80), bodies))
	runtime.ReadMemStats(&after)
	if refused(t, err); err == nil || !strings.Contains(err.Error(), "block of more than") {
		t.Errorf("%v", err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("%d MiB allocated", n>>20)
	}
}

// TestChunkLater: a block of a later version is left out, and what it names can
// be named behind it.
func TestChunkLater(t *testing.T) {
	id := sha256.Sum256([]byte("later"))
	plan := []byte{2, formLacking + 3, 2, 0xff, 0xff, 0, 0, 1, 1, 0, 0}
	got, later, err := new(Inflow).unpack(chunkOf(plan, slices.Concat(id[:], make([]byte, 48)), nil))
	if err != nil || later != 1 || len(got) != 1 || got[0].block.Prev != id {
		t.Errorf("%d blocks, %d later, %v", len(got), later, err)
	}
}

func FuzzChunk(f *testing.F) {
	f.Add(goldenChunk())
	f.Add(chunkOf([]byte{1, 0, 0, 1, 0, 0, 2, 0, 0, 1, 0, 0, 1, 'k', 0xc0, 2, revIsLike | revOneParent | revIsDelta, 1, keptSpliced, 3}, make([]byte, 80), append(make([]byte, deltaMin), 9, 9, 'x')))
	f.Add(chunkOf([]byte{2, formLacking, 1, 7, 0, 0, 1, 1, 0, 0}, make([]byte, 80), nil))
	s := &shuffler{Rand: rand.New(rand.NewPCG(1, 1)), time: goldenTime}
	f.Add(newOutflow(false).pack([]outgoing{{p: s.parcel()}, {p: s.parcel()}, {p: s.parcel()}}).Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, later, err := new(Inflow).unpack(raw)
		if err != nil {
			refused(t, err)
			return
		}
		var again []outgoing
		for i, p := range got {
			again = append(again, outgoing{p: p, line: uint32(i)})
			if _, err := decodeBundle(p.encode(nil)); err != nil {
				t.Errorf("a block that cannot be stored: %v", err)
			}
		}
		back, _, err := new(Inflow).unpack(newOutflow(false).pack(again).Bytes())
		if later == 0 && (err != nil || !slices.EqualFunc(back, got, func(a, b *parcel) bool { return bytes.Equal(a.encode(nil), b.encode(nil)) })) {
			t.Errorf("packed again: %v", err)
		}
	})
}
