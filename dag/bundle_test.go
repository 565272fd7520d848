package dag

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// goldenLacking is the plain one of the golden blocks without its payload.
func goldenLacking() *parcel {
	p := *goldenBlocks()["block"]
	p.payloads = [][]byte{nil}
	return &p
}

func TestBundleGolden(t *testing.T) {
	blocks := goldenBlocks()
	blocks["lacking"] = goldenLacking()
	for name, p := range blocks {
		t.Run(name, func(t *testing.T) {
			b := p.encode(nil)
			golden(t, "bundle-"+name, b)
			back, err := decodeBundle(b)
			if err != nil {
				t.Fatal(err)
			}
			if back.id != p.id || !bytes.Equal(back.sig, p.sig) || !slices.Equal(back.block.Revisions, p.block.Revisions) {
				t.Errorf("decoded %+v, want %+v", back.block, p.block)
			}
			for i, r := range back.revs {
				if !bytes.Equal(r.Encode(), p.revs[i].Encode()) || !p.isAbsent(i) && !r.Deleted && SumOf(back.payloads[i]) != r.Value {
					t.Errorf("revision %d is %+v, want %+v", i, r, p.revs[i])
				}
			}
			if again := back.encode(nil); !bytes.Equal(again, b) {
				t.Errorf("encoded again as\n%x\nwas\n%x", again, b)
			}
		})
	}
}

func TestReadHeader(t *testing.T) {
	blocks := goldenBlocks()
	for name, node := range map[string]NodeID{"block-genesis": goldenKey.ID(), "block": {}, "block-full": {}} {
		p := blocks[name]
		h, err := ReadHeader(p.encode(nil))
		if err != nil {
			t.Fatal(err)
		}
		if h.ID != p.id || h.Chain != goldenChain || h.Seq != p.block.Seq || h.Prev != p.block.Prev || !slices.Equal(h.Deps, p.block.Deps) ||
			h.Time != goldenTime || !h.Signed || h.Node != node {
			t.Errorf("%s: header %+v", name, h)
		}
		p.sig = nil
		if h, err := ReadHeader(p.encode(nil)); err != nil || h.Signed || h.ID != p.id {
			t.Errorf("%s without a signature: %+v, %v", name, h, err)
		}
	}
}

// items takes an encoded array apart.
func items(t testing.TB, b []byte) [][]byte {
	t.Helper()
	r := itemReader{b: b}
	out := make([][]byte, r.head(majorArray))
	for i := range out {
		out[i] = r.raw()
	}
	if r.bad || len(r.b) > 0 {
		t.Fatalf("not an array: %x", b)
	}
	return out
}

func arrayOf(parts ...[]byte) []byte {
	return append(appendHead(nil, majorArray, uint64(len(parts))), bytes.Join(parts, nil)...)
}

// replaced is an array with one item replaced.
func replaced(t testing.TB, array []byte, i int, item ...byte) []byte {
	t.Helper()
	parts := items(t, array)
	parts[i] = item
	return arrayOf(parts...)
}

// The items of a bundle and of a revision in it.
const (
	inVersion, inHead, inSig, inRevs = 0, 1, 2, 3

	inKey, inFork, inParents, inKind, inPayload, inRest = 0, 1, 2, 3, 4, 5
)

func TestBundleHostile(t *testing.T) {
	good := goldenBlocks()["block-full"].encode(nil)
	decode := func(b []byte) error { _, err := ReadHeader(b); return err }
	if err := decode(good); err != nil {
		t.Fatal(err)
	}
	head := func(b []byte) []byte { return replaced(t, good, inHead, b...) }
	h := items(t, good)[inHead]
	deep := append(bytes.Repeat([]byte{0x81}, maxNesting), 0)
	for name, b := range map[string][]byte{
		"nothing":                        {},
		"null":                           {0xf6},
		"an array of 3":                  arrayOf(items(t, good)[:3]...),
		"an array of 5":                  arrayOf(append(items(t, good), []byte{0xf6})...),
		"an array with a long length":    append([]byte{0x98, 4}, good[1:]...),
		"an array of indefinite length":  append(append([]byte{0x9f}, good[1:]...), 0xff),
		"a map":                          append([]byte{0xa2}, good[1:]...),
		"a byte after it":                append(bytes.Clone(good), 0),
		"version 0":                      replaced(t, good, inVersion, 0),
		"version is negative":            replaced(t, good, inVersion, 0x20),
		"version in 2 bytes":             replaced(t, good, inVersion, 0x18, 1),
		"version is null":                replaced(t, good, inVersion, 0xf6),
		"signature is null":              replaced(t, good, inSig, 0xf6),
		"signature of 63 bytes":          replaced(t, good, inSig, appendBytes(nil, make([]byte, 63))...),
		"signature of 65 bytes":          replaced(t, good, inSig, appendBytes(nil, make([]byte, 65))...),
		"signature is text":              replaced(t, good, inSig, appendText(nil, strings.Repeat("a", 64))...),
		"signature is an array":          replaced(t, good, inSig, 0x80),
		"revisions are null":             replaced(t, good, inRevs, 0xf6),
		"revisions are bytes":            replaced(t, good, inRevs, 0x40),
		"head is null":                   head([]byte{0xf6}),
		"head is an array":               head([]byte{0x80}),
		"head with a list of revisions":  head(goldenBlocks()["block-full"].block.Encode()),
		"head is a link":                 head(appendLink(nil, codecDagCBOR, Sum{})),
		"head of version 0":              head(with(t, h, "v", 0)),
		"head without seq":               head(without(t, h, "seq")),
		"head with a float":              head(with(t, h, "zz", 0xf9, 0, 0)),
		"head nested too deep":           head(with(t, h, "zz", deep...)),
		"more revisions than can be":     replaced(t, good, inRevs, append(appendHead(nil, majorArray, MaxBlock/revMin+1), bytes.Repeat([]byte{0}, MaxBlock/revMin+1)...)...),
		"longer than the limit":          replaced(t, good, inRevs, append([]byte{0x81}, appendBytes(nil, make([]byte, MaxBlock))...)...),
		"declared length of revisions":   replaced(t, good, inRevs, 0x9b, 0x7f, 255, 255, 255, 255, 255, 255, 255),
		"declared length of a signature": replaced(t, good, inSig, 0x5b, 0x7f, 255, 255, 255, 255, 255, 255, 255),
	} {
		t.Run(name, func(t *testing.T) { refused(t, decode(b)) })
	}
	refused(t, decode(replaced(t, good, inVersion, bundleLacking))) // and lacks nothing
	for name, b := range map[string][]byte{"version": replaced(t, good, inVersion, 3), "version of the block": head(with(t, h, "v", 2))} {
		if err := decode(b); !errors.Is(err, ErrLater) || errors.Is(err, ErrRefused) {
			t.Errorf("later %s: %v", name, err)
		}
	}
	t.Run("every truncation", func(t *testing.T) {
		for n := range good {
			refused(t, decode(good[:n]))
		}
	})
}

// place is the rest of a revision that claims to stand somewhere.
func placeRest(chain ChainID, seq, index uint64) []byte {
	return marshal(&revRest{Place: &wirePlace{Chain: chain, Seq: seq, Index: index, Salt: goldenSalt, Time: goldenTime}}, nil)
}

func TestBundleRevisionHostile(t *testing.T) {
	good := goldenBlocks()["block"].encode(nil)
	rev := items(t, items(t, good)[inRevs])[0]
	change := func(i int, item ...byte) []byte { return replaced(t, rev, i, item...) }
	rest := func(b ...byte) []byte { return change(inRest, b...) }
	more := func(fields extras) []byte { return rest(marshal(&revRest{More: fields}, nil)...) }
	many := extras{}
	for i := range maxFields - 10 { // a plain revision has 11
		many["zz"+string(rune('A'+i))] = cbor.RawMessage{0}
	}
	apartRest := marshal(&revRest{Apart: &apart{Size: 9}}, nil)
	for name, r := range map[string][]byte{
		"null":                           {0xf6},
		"an array of 5":                  arrayOf(items(t, rev)[:5]...),
		"an array of 7":                  arrayOf(append(items(t, rev), []byte{0xa0})...),
		"a map":                          append([]byte{0xa3}, rev[1:]...),
		"key is bytes":                   change(inKey, 0x41, 'a'),
		"key is null":                    change(inKey, 0xf6),
		"key is empty":                   change(inKey, 0x60),
		"key is not UTF-8":               change(inKey, 0x61, 0xff),
		"key with NUL":                   change(inKey, 0x61, 0),
		"key over the limit":             change(inKey, appendText(nil, strings.Repeat("a", MaxKey+1))...),
		"fork is null":                   change(inFork, 0xf6),
		"fork is an array":               change(inFork, 0x80),
		"fork of 31 bytes":               change(inFork, appendBytes(nil, make([]byte, 31))...),
		"fork is the default, spelled":   change(inFork, appendBytes(nil, defaultFork[:])...),
		"parents are null":               change(inParents, 0xf6),
		"parents are an array":           change(inParents, 0x80),
		"parents of 33 bytes":            change(inParents, appendBytes(nil, make([]byte, 33))...),
		"kind is negative":               change(inKind, 0x20),
		"kind is null":                   change(inKind, 0xf6),
		"kind in 2 bytes":                change(inKind, 0x18, 1),
		"payload is text":                change(inPayload, 0x61, 'a'),
		"payload is an array":            change(inPayload, 0x80),
		"payload is undefined":           change(inPayload, 0xf7),
		"payload over the limit":         change(inPayload, appendBytes(nil, make([]byte, MaxValue+1))...),
		"payload of a kind over limit":   replaced(t, change(inKind, 3), inPayload, appendBytes(nil, make([]byte, MaxPayload+1))...),
		"rest is null":                   rest(0xf6),
		"rest is an array":               rest(0x80),
		"rest with mark 0":               rest(0xa1, 0x64, 'm', 'a', 'r', 'k', 0),
		"rest with an empty label":       rest(0xa1, 0x65, 'l', 'a', 'b', 'e', 'l', 0x60),
		"rest with no place":             rest(0xa1, 0x65, 'p', 'l', 'a', 'c', 'e', 0xf6),
		"rest with the usual place":      rest(placeRest(goldenChain, 7, 0)...),
		"rest with an empty more":        rest(0xa1, 0x64, 'm', 'o', 'r', 'e', 0xa0),
		"rest with an unknown field":     rest(0xa1, 0x62, 'z', 'z', 0),
		"more with a known field":        more(extras{"key": cbor.RawMessage{0x61, 'a'}}),
		"more with an optional field":    more(extras{"label": cbor.RawMessage{0x61, 'a'}}),
		"more than the limit of fields":  more(many),
		"more nested too deep":           more(extras{"zz": append(bytes.Repeat([]byte{0x81}, maxNesting), 0)}),
		"payload here and apart":         rest(apartRest...),
		"payload apart, on the wire":     replaced(t, rest(apartRest...), inPayload, 0xf6),
		"label over the limit":           rest(marshal(&revRest{Label: strings.Repeat("a", MaxName+1)}, nil)...),
		"note over the limit":            rest(marshal(&revRest{Note: &Note{Message: strings.Repeat("a", MaxNote+1)}}, nil)...),
		"place with a chain of 31 bytes": rest(append([]byte{0xa1, 0x65, 'p', 'l', 'a', 'c', 'e', 0x85}, append(appendBytes(nil, make([]byte, 31)), 7, 0, 0x40, 0)...)...),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadHeader(replaced(t, good, inRevs, append([]byte{0x81}, r...)...))
			refused(t, err)
		})
	}
}

// TestBundleOfWrongPlace: a claim of another place is a fault of meaning; its
// bytes are kept.
func TestBundleOfWrongPlace(t *testing.T) {
	good := goldenBlocks()["block"].encode(nil)
	rev := items(t, items(t, good)[inRevs])[0]
	for _, r := range [][]byte{placeRest(goldenChain, 7, 1), placeRest(goldenChain, 8, 0), placeRest(ChainID{}, 7, 1<<40)} {
		b := replaced(t, good, inRevs, append([]byte{0x81}, replaced(t, rev, inRest, r...)...)...)
		p, err := decodeBundle(b)
		if err != nil || !bytes.Equal(p.encode(nil), b) || p.block.places(p.revs[0], 0) {
			t.Errorf("%v: %+v", err, p)
		}
	}
}

func TestBundleApart(t *testing.T) {
	p := goldenBlocks()["block-full"]
	stored := p.encode(apartOver(p, 8))
	back, err := decodeStored(stored)
	if err != nil || back.id != p.id || back.payloads[0] != nil || !bytes.Equal(back.encode(apartOver(back, 8)), stored) {
		t.Fatalf("%v: %+v", err, back)
	}
	if _, err := decodeBundle(stored); !errors.Is(err, ErrRefused) {
		t.Errorf("payloads apart on the wire: %v", err)
	}
	whole, err := decodeStored(p.encode(apartOver(p, 9)))
	if err != nil || whole.payloads[0] == nil {
		t.Errorf("payload of the limit's size: %v", err)
	}
}

// blockOfSize is a block whose size, as MaxBlock counts it, is n.
func blockOfSize(n int) *parcel {
	p := goldenBlocks()["block"]
	big := bytes.Repeat([]byte{'a'}, MaxPayload)
	p.revs, p.payloads, p.block.Revisions = nil, nil, nil
	size := func() int {
		maps, payloads := 0, 0
		for _, r := range p.revs {
			maps, payloads = maps+len(r.Encode()), payloads+int(r.Size)
		}
		return blockSize(len(p.block.Encode()), maps, payloads)
	}
	add := func(payload []byte) {
		r := goldenRevision(uint64(len(p.revs)))
		r.Kind, r.Value, r.Size = 4, SumOf(payload), int64(len(payload))
		p.revs, p.payloads = append(p.revs, r), append(p.payloads, payload)
		p.block.Revisions = append(p.block.Revisions, r.ID())
	}
	add(big)
	add(big[:1<<20])
	rest := n - size()
	p.revs, p.payloads, p.block.Revisions = p.revs[:1], p.payloads[:1], p.block.Revisions[:1]
	add(big[:1<<20+rest])
	p.id = p.block.ID()
	p.sig = goldenKey.signBlock(p.id)
	return p
}

// TestBlockSize: the limit is the same with a signature and without, and a
// bundle is never longer.
func TestBlockSize(t *testing.T) {
	for _, signed := range []bool{true, false} {
		for n, want := range map[int]bool{MaxBlock - 1: true, MaxBlock: true, MaxBlock + 1: false} {
			p := blockOfSize(n)
			if !signed {
				p.sig = nil
			}
			b := p.encode(nil)
			if _, err := ReadHeader(b); (err == nil) != want {
				t.Errorf("size %d, signed %v: %v", n, signed, err)
			} else if err != nil && (!errors.Is(err, ErrRefused) || !errors.Is(err, ErrTooLarge)) {
				t.Errorf("size %d: error %v, want ErrRefused and ErrTooLarge", n, err)
			}
			if len(b) > n {
				t.Errorf("bundle of %d bytes of a block of size %d", len(b), n)
			}
		}
	}
	for name, p := range goldenBlocks() {
		size := len(p.block.Encode())
		for _, r := range p.revs {
			size += len(r.Encode()) + int(r.Size)
		}
		if b := p.encode(nil); len(b) > 128+size {
			t.Errorf("%s: bundle of %d bytes, size %d", name, len(b), 128+size)
		}
	}
	if r := (&Revision{Key: "k", Deleted: true}); len(r.Encode()) < revMin {
		t.Errorf("a revision of %d bytes, revMin is %d", len(r.Encode()), revMin)
	}
}

func FuzzBundle(f *testing.F) {
	for _, p := range goldenBlocks() {
		f.Add([]byte(p.encode(nil)))
		f.Add([]byte(p.encode(apartOver(p, 4))))
		p.sig = nil
		f.Add([]byte(p.encode(nil)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodeStored(b)
		if err != nil {
			refused(t, err)
			return
		}
		if p.id != p.block.ID() {
			t.Error("id is not that of the block")
		}
		wire, err := decodeBundle(b)
		if err != nil {
			refused(t, err)
			return
		}
		if again := wire.encode(nil); !bytes.Equal(again, b) {
			t.Errorf("encoded again as %x, was %x", again, b)
		}
		for i, r := range wire.revs {
			if back, err := DecodeRevision(r.Encode()); err != nil || back.ID() != wire.block.Revisions[i] {
				t.Errorf("revision %d does not stand alone: %v", i, err)
			}
		}
		if _, err := DecodeBlock(wire.block.Encode()); err != nil {
			t.Errorf("block does not stand alone: %v", err)
		}
	})
}
