package dag

import (
	"bytes"
	"maps"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
	"github.com/ipld/go-ipld-prime/node/basicnode"
)

// hostileItems runs what no decoder of a map may take. good is an accepted
// map in which the fields named hold a number, bytes of 32, links and text; ""
// if it has no such field.
func hostileItems(t *testing.T, decode func([]byte) error, good []byte, number, digest, links, text string) {
	if err := decode(good); err != nil {
		t.Fatal(err)
	}
	cases := hostileShapes(t, good)
	for field, kind := range map[string]func(*testing.T, []byte, string) map[string][]byte{
		number: hostileNumbers, digest: hostileBytes, links: hostileLinks, text: hostileTexts,
	} {
		if field != "" {
			maps.Copy(cases, kind(t, good, field))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		t.Run(name, func(t *testing.T) { refused(t, decode(cases[name])) })
	}
	t.Run("every truncation", func(t *testing.T) {
		for n := range good {
			refused(t, decode(good[:n]))
		}
	})
	t.Run("declared lengths are not allocated", func(t *testing.T) {
		for _, head := range []byte{0x5b, 0x7b, 0x9b, 0xbb} {
			for _, n := range []uint64{1 << 31, 1 << 40, math.MaxInt64, math.MaxUint64} {
				item := append([]byte{head}, appendHead(nil, 0, n)[1:]...)
				if n < 1<<32 {
					item = []byte{head - 1, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
				}
				for _, field := range slices.DeleteFunc([]string{number, digest, links, text, "zz"}, func(s string) bool { return s == "" }) {
					b := with(t, good, field, item...)
					if spent := allocated(func() { refused(t, decode(b)) }); spent > 1<<20 {
						t.Errorf("%d bytes allocated for a length of %d in %s", spent, n, field)
					}
				}
				refused(t, decode(item))
			}
		}
	})
}

// allocated is the number of bytes that f allocates.
func allocated(f func()) uint64 {
	var a, b runtime.MemStats
	runtime.ReadMemStats(&a)
	f()
	runtime.ReadMemStats(&b)
	return b.TotalAlloc - a.TotalAlloc
}

func hostileNumbers(t *testing.T, good []byte, number string) map[string][]byte {
	return map[string][]byte{
		"integer of 1 in 2 bytes":       with(t, good, number, 0x18, 0x01),
		"integer of 1 in 3 bytes":       with(t, good, number, 0x19, 0, 1),
		"integer of 1 in 5 bytes":       with(t, good, number, 0x1a, 0, 0, 0, 1),
		"integer of 1 in 9 bytes":       with(t, good, number, 0x1b, 0, 0, 0, 0, 0, 0, 0, 1),
		"integer of 23 in 2 bytes":      with(t, good, number, 0x18, 23),
		"integer of 255 in 3 bytes":     with(t, good, number, 0x19, 0, 255),
		"integer of 65535 in 5 bytes":   with(t, good, number, 0x1a, 0, 0, 255, 255),
		"integer of 2^32-1 in 9 bytes":  with(t, good, number, 0x1b, 0, 0, 0, 0, 255, 255, 255, 255),
		"integer of 2^63":               with(t, good, number, 0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0),
		"integer of 2^64-1":             with(t, good, number, 0x1b, 255, 255, 255, 255, 255, 255, 255, 255),
		"big integer by tag":            with(t, good, number, 0xc2, 0x41, 1),
		"number is negative":            with(t, good, number, 0x20),
		"number is a half float":        with(t, good, number, 0xf9, 0x3c, 0x00),
		"number is a single float":      with(t, good, number, 0xfa, 0x3f, 0x80, 0, 0),
		"number is a double float":      with(t, good, number, 0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0),
		"number is NaN":                 with(t, good, number, 0xf9, 0x7e, 0x00),
		"number is infinite":            with(t, good, number, 0xfb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0),
		"number is null":                with(t, good, number, 0xf6),
		"number is undefined":           with(t, good, number, 0xf7),
		"number is true":                with(t, good, number, 0xf5),
		"number is text":                with(t, good, number, 0x61, '1'),
		"number with a tag":             with(t, good, number, 0xc1, 0x01),
		"number is a simple value":      with(t, good, number, 0xe0),
		"number is a long simple value": with(t, good, number, 0xf8, 0x20),
		"number is a break":             with(t, good, number, 0xff),
		"reserved head":                 with(t, good, number, 0x1c),
	}
}

func hostileBytes(t *testing.T, good []byte, digest string) map[string][]byte {
	thirtyTwo := make([]byte, 32)
	return map[string][]byte{
		"bytes are null":             with(t, good, digest, 0xf6),
		"bytes are text":             with(t, good, digest, appendText(nil, string(thirtyTwo))...),
		"bytes are an array":         with(t, good, digest, append([]byte{0x98, 32}, thirtyTwo...)...),
		"bytes with a long length":   with(t, good, digest, append([]byte{0x59, 0, 32}, thirtyTwo...)...),
		"bytes of indefinite length": with(t, good, digest, append(append([]byte{0x5f, 0x58, 32}, thirtyTwo...), 0xff)...),
		"bytes with a tag":           with(t, good, digest, append([]byte{0xd8, 42, 0x58, 32}, thirtyTwo...)...),
	}
}

func hostileTexts(t *testing.T, good []byte, text string) map[string][]byte {
	return map[string][]byte{
		"text is null":              with(t, good, text, 0xf6),
		"text is bytes":             with(t, good, text, 0x41, 'a'),
		"text is not UTF-8":         with(t, good, text, 0x62, 'a', 0xff),
		"text is half a character":  with(t, good, text, 0x61, 0xc3),
		"text is a surrogate":       with(t, good, text, 0x63, 0xed, 0xa0, 0x80),
		"text with a long length":   with(t, good, text, 0x78, 1, 'a'),
		"text of indefinite length": with(t, good, text, 0x7f, 0x61, 'a', 0xff),
	}
}

func hostileLinks(t *testing.T, good []byte, links string) map[string][]byte {
	link := appendLink(nil, codecDagCBOR, SumOf([]byte("x")))
	list := func(change func(b []byte) []byte) []byte {
		return with(t, good, links, append([]byte{0x81}, change(bytes.Clone(link))...)...)
	}
	set := func(i int, to byte) []byte {
		return list(func(b []byte) []byte { b[i] = to; return b })
	}
	return map[string][]byte{
		"links are null":              with(t, good, links, 0xf6),
		"links of indefinite length":  with(t, good, links, append(append([]byte{0x9f}, link...), 0xff)...),
		"links with a long length":    with(t, good, links, append([]byte{0x98, 1}, link...)...),
		"link with another tag":       set(1, 43),
		"link with a long tag":        list(func(b []byte) []byte { return append([]byte{0xd9, 0, 42}, b[2:]...) }),
		"link with two tags":          list(func(b []byte) []byte { return append([]byte{0xd8, 42}, b...) }),
		"link without its zero byte":  set(4, 1),
		"link of CID version 0":       list(func(b []byte) []byte { return append([]byte{0xd8, 42, 0x58, 35, 0}, b[7:]...) }),
		"link of CID version 2":       set(5, 2),
		"link to dag-pb":              set(6, 0x70),
		"link with SHA-512":           set(7, 0x13),
		"link with BLAKE3":            set(7, 0x1e),
		"link with another length":    set(8, 0x1f),
		"link with a shorter digest":  list(func(b []byte) []byte { b[3], b[8] = 36, 31; return b[:len(b)-1] }),
		"link with a longer digest":   list(func(b []byte) []byte { b[3] = 38; return append(b, 0) }),
		"link with a long length":     list(func(b []byte) []byte { return append([]byte{0xd8, 42, 0x59, 0}, b[3:]...) }),
		"link in text":                list(func([]byte) []byte { return appendText(nil, BlockID{}.String()) }),
		"tag over something else":     list(func([]byte) []byte { return []byte{0xd8, 42, 0x01} }),
		"unknown field is a float":    with(t, good, "zz", 0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0),
		"unknown field is undefined":  with(t, good, "zz", 0xf7),
		"unknown field is tagged":     with(t, good, "zz", 0xc1, 0x01),
		"unknown field with CIDv0":    with(t, good, "zz", append([]byte{0xd8, 42, 0x58, 35, 0, 0x12, 0x20}, make([]byte, 32)...)...),
		"unknown field with half tag": with(t, good, "zz", 0xd8),
	}
}

func hostileShapes(t *testing.T, good []byte) map[string][]byte {
	fields := mapFields(t, good)
	swapped, twice, reversed := slices.Clone(fields), slices.Insert(slices.Clone(fields), 1, fields[0]), slices.Clone(fields)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	slices.Reverse(reversed)
	byteKey, numberKey := slices.Clone(fields), slices.Clone(fields)
	byteKey[0].name = append([]byte{0x40 | fields[0].name[0]&0x1f}, fields[0].name[1:]...)
	numberKey[0].name = []byte{0x01}
	longKey, badKey := slices.Clone(fields), append(slices.Clone(fields), mapField{[]byte{0x6f, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}, []byte{0}})
	longKey[0].name = append([]byte{0x78, fields[0].name[0] & 0x1f}, fields[0].name[1:]...)
	alphabetic := slices.Clone(fields)
	slices.SortFunc(alphabetic, func(a, b mapField) int { return bytes.Compare(a.name[1:], b.name[1:]) })
	many := slices.Clone(fields)
	for i := range maxFields {
		many = append(many, mapField{[]byte{0x64, 'z', 'z', '0' + byte(i/10), '0' + byte(i%10)}, []byte{0}})
	}
	nested := func(n int, open ...byte) []byte {
		return with(t, good, "zz", append(bytes.Repeat(open, n), 0)...)
	}
	body := good[1:]
	cases := map[string][]byte{
		"nothing":                     {},
		"null":                        {0xf6},
		"an array":                    {0x80},
		"an empty map":                {0xa0},
		"a number":                    {0x01},
		"bytes around it":             appendBytes(nil, good),
		"a tag around it":             append([]byte{0xd8, 42}, good...),
		"self-described CBOR":         append([]byte{0xd9, 0xd9, 0xf7}, good...),
		"a byte after it":             append(bytes.Clone(good), 0),
		"itself after it":             append(bytes.Clone(good), good...),
		"keys swapped":                mapOf(swapped),
		"keys reversed":               mapOf(reversed),
		"key twice":                   mapOf(twice),
		"key of bytes":                mapOf(byteKey),
		"key is a number":             mapOf(numberKey),
		"key with a long length":      mapOf(longKey),
		"key is not UTF-8":            mapOf(badKey),
		"map with a long length":      append([]byte{0xb8, good[0] & 0x1f}, body...),
		"map of indefinite length":    append(append([]byte{0xbf}, body...), 0xff),
		"map of one field more":       append([]byte{good[0] + 1}, body...),
		"map of one field less":       append([]byte{good[0] - 1}, body...),
		"more fields than the limit":  sortedMapOf(many),
		"nested 17 deep":              nested(maxNesting, 0x81),
		"nested 17 deep in maps":      nested(maxNesting, 0xa1, 0x60),
		"nested a million deep":       nested(1_000_000, 0x81),
		"nested a million tags deep":  nested(1_000_000, 0xc1),
		"nested a million maps deep":  nested(1_000_000, 0xa1, 0x60),
		"unknown field without value": append(append([]byte{good[0] + 1}, body...), 0x62, 'z', 'z'),
	}
	if b := mapOf(alphabetic); !bytes.Equal(b, good) {
		cases["keys in alphabetic order"] = b
	}
	return cases
}

// goldenVectors are the maps among the committed vectors.
func goldenVectors(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	paths, err := filepath.Glob("testdata/golden/*.hex")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".hex")
		if !strings.Contains(name, ".") && !strings.HasPrefix(name, "bundle") && !strings.HasPrefix(name, "chunk") && name != "car" {
			out[name] = readGolden(t, name)
		}
	}
	if len(out) < 20 {
		t.Fatalf("%d vectors", len(out))
	}
	return out
}

// TestIndependentDecoder reads the golden vectors with the IPLD library.
func TestIndependentDecoder(t *testing.T) {
	system := cidlink.DefaultLinkSystem()
	proto := cidlink.LinkPrototype{Prefix: cid.Prefix{Version: 1, Codec: cid.DagCBOR, MhType: 0x12, MhLength: 32}}
	for name, b := range goldenVectors(t) {
		t.Run(name, func(t *testing.T) {
			nb := basicnode.Prototype.Any.NewBuilder()
			if err := (dagcbor.DecodeOptions{AllowLinks: true}).Decode(nb, bytes.NewReader(b)); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := dagcbor.Encode(nb.Build(), &out); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), b) {
				t.Errorf("re-encoded as %x, was %x", out.Bytes(), b)
			}
			link, err := system.ComputeLink(proto, nb.Build())
			if err != nil {
				t.Fatal(err)
			}
			if want := cidOf(SumOf(b)); link.(cidlink.Link).Cid != want || want.String() != BlockID(SumOf(b)).String() {
				t.Errorf("CID %s, want %s", link, want)
			}
		})
	}
}

// TestUnknownFieldsAreKept adds fields to every map that may have some.
func TestUnknownFieldsAreKept(t *testing.T) {
	values := map[string][]byte{
		"null": {0xf6}, "number": {0x18, 0x64}, "negative": {0x38, 0x63}, "text": {0x61, 'a'}, "map": {0xa1, 0x61, 'a', 0xf4},
		"link": appendLink(nil, codecRaw, SumOf(nil)), "nested as deep as may be": append(bytes.Repeat([]byte{0x81}, maxNesting-1), 0),
	}
	for name, value := range values {
		for _, field := range []string{"", "a", "zz", "KEY", "a-rather-long-name-of-a-field-of-the-year-2050"} {
			t.Run(name+" in "+field, func(t *testing.T) { keptField(t, field, value) })
		}
	}
}

func keptField(t *testing.T, field string, value []byte) {
	name := appendText(nil, field)
	add := func(b []byte) []byte {
		all := extras{}
		if err := decMode.Unmarshal(b, &all); err != nil {
			t.Fatal(err)
		}
		all[field] = cbor.RawMessage(value)
		return marshal(all, nil)
	}
	p := goldenBlocks()["block"]
	b := add(p.block.Encode())
	block, err := DecodeBlock(b)
	if err != nil || !bytes.Equal(block.Encode(), b) || !bytes.Contains(b, append(name, value...)) {
		t.Fatalf("block: %v: re-encoded as\n%x\nwas\n%x", err, block.Encode(), b)
	}
	b = add(p.revs[0].Encode())
	rev, err := DecodeRevision(b)
	if err != nil || !bytes.Equal(rev.Encode(), b) {
		t.Fatalf("revision: %v: re-encoded as\n%x\nwas\n%x", err, rev.Encode(), b)
	}
	block.Revisions = []RevisionID{rev.ID()}
	bundle := (&parcel{block: block, revs: []*Revision{rev}, payloads: p.payloads[:1]}).encode(nil)
	back, err := decodeBundle(bundle)
	if err != nil || !bytes.Equal(back.revs[0].Encode(), b) || back.id != block.ID() {
		t.Fatalf("bundle: %v", err)
	}
	if strings.HasPrefix(t.Name(), "TestUnknownFieldsAreKept/nested") {
		return // a note stands one level deeper
	}
	b = add(marshal(&Note{Author: "ann"}, nil))
	b = with(t, p.revs[0].Encode(), "note", b...)
	if rev, err = DecodeRevision(b); err != nil || !bytes.Equal(rev.Encode(), b) || rev.Note.Author != "ann" {
		t.Fatalf("note: %v: re-encoded as\n%x\nwas\n%x", err, rev.Encode(), b)
	}
}

// TestOpaqueItems puts what is not canonical where this version does not look:
// only the walk refuses it there.
func TestOpaqueItems(t *testing.T) {
	link := appendLink(nil, codecRaw, SumOf(nil))
	changed := func(i int, to byte) []byte {
		b := bytes.Clone(link)
		b[i] = to
		return b
	}
	good, p := goldenBlocks()["block"].block.Encode(), goldenBlocks()["block"]
	rev, bundle := p.revs[0].Encode(), p.encode(nil)
	places := map[string]func(item []byte) error{
		"field of a revision": func(item []byte) error { _, err := DecodeRevision(with(t, rev, "zz", item...)); return err },
		"field of a block":    func(item []byte) error { _, err := DecodeBlock(with(t, good, "zz", item...)); return err },
		"field of a note": func(item []byte) error {
			_, err := DecodeBlock(with(t, good, "note", append([]byte{0xa1, 0x61, 'a'}, item...)...))
			return err
		},
		"unknown operation": func(item []byte) error {
			_, err := DecodeBlock(blockWith(t, 23, append([]byte{0xa1, 0x61, 'a'}, item...)))
			return err
		},
		"more of a bundle": func(item []byte) error {
			rest := append([]byte{0xa1, 0x64, 'm', 'o', 'r', 'e', 0xa1, 0x62, 'z', 'z'}, item...)
			r := replaced(t, items(t, items(t, bundle)[inRevs])[0], inRest, rest...)
			_, err := ReadHeader(replaced(t, bundle, inRevs, append([]byte{0x81}, r...)...))
			return err
		},
	}
	for place, decode := range places {
		for _, item := range [][]byte{{0x00}, {0xa2, 0x61, 'a', 0, 0x61, 'b', 0}, link, {0x82, 0xf6, 0x20}} {
			if err := decode(item); err != nil {
				t.Errorf("%s: %x: %v", place, item, err)
			}
		}
		for name, item := range map[string][]byte{
			"keys out of order":       {0xa2, 0x61, 'b', 0, 0x61, 'a', 0},
			"longer key first":        {0xa2, 0x62, 'a', 'a', 0, 0x61, 'b', 0},
			"key twice":               {0xa2, 0x61, 'a', 0, 0x61, 'a', 0},
			"key of bytes":            {0xa1, 0x41, 'a', 0},
			"key not UTF-8":           {0xa1, 0x61, 0xff, 0},
			"text not UTF-8":          {0x61, 0xff},
			"long integer":            {0x18, 0x17},
			"long negative integer":   {0x38, 0x17},
			"integer beyond 63 bits":  {0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0},
			"negative beyond 63 bits": {0x3b, 0x80, 0, 0, 0, 0, 0, 0, 0},
			"long length":             {0x58, 0x01, 0},
			"long array":              {0x98, 0x01, 0},
			"indefinite array":        {0x9f, 0, 0xff},
			"indefinite map":          {0xbf, 0xff},
			"indefinite text":         {0x7f, 0xff},
			"float":                   {0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0},
			"NaN":                     {0xf9, 0x7e, 0},
			"undefined":               {0xf7},
			"simple value":            {0xe5},
			"another tag":             {0xc0, 0x60},
			"tag over a tag":          append([]byte{0xd8, 42}, link...),
			"CID version 2":           changed(5, 2),
			"dag-pb":                  changed(6, 0x70),
			"SHA-512":                 changed(7, 0x13),
			"another digest length":   changed(8, 0x1f),
			"no zero byte":            changed(4, 1),
			"tag over text":           append([]byte{0xd8, 42, 0x78}, link[3:]...),
		} {
			t.Run(place+"/"+name, func(t *testing.T) { refused(t, decode(item)) })
		}
	}
}
