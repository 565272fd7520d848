package dag

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// goldenBlocks are blocks with their revisions and payloads, by name.
func goldenBlocks() map[string]*parcel {
	first := &Block{
		Version: 1, Chain: goldenChain, Time: goldenTime, Salt: goldenSalt,
		Ops: []Op{
			NewOp(ChainOp{Key: goldenKey.ID(), Nonce: goldenNonce}), NewOp(GenesisOp{Name: "north"}),
			NewOp(MemberOp{Node: goldenKey.ID(), Role: RoleAdmin, Name: "n1", Zone: "eu/1"}),
		},
	}
	revs := goldenRevisions()
	in := []*Revision{revs["revision"], revs["revision-delete"], revs["revision-full"], revs["revision-unknown-fields"]}
	payload := []byte("port: 80\n")
	plain := &Block{Version: 1, Chain: goldenChain, Seq: 7, Prev: first.ID(), Time: goldenTime, Salt: goldenSalt}
	full := *plain
	full.Deps = []BlockID{BlockID(SumOf([]byte("one"))), BlockID(SumOf([]byte("two")))}
	slices.SortFunc(full.Deps, func(a, b BlockID) int { return bytes.Compare(a[:], b[:]) })
	full.Note = &Note{Author: "ann <ann@example.org>", Message: "roll out", Time: 1_600_000_000_000}
	ops := goldenOps()
	for _, name := range []string{"op-fork-named", "op-fork", "op-merge-filtered", "op-tag"} {
		full.Ops = append(full.Ops, ops[name])
	}
	out := map[string]*parcel{
		"block-genesis": {block: first},
		"block":         {block: plain, revs: in[:1], payloads: [][]byte{payload}},
		"block-full":    {block: &full, revs: in, payloads: [][]byte{payload, nil, payload, payload}},
	}
	for _, p := range out {
		for _, r := range p.revs {
			p.block.Revisions = append(p.block.Revisions, r.ID())
		}
		p.id = p.block.ID()
		p.sig = goldenKey.signBlock(p.id)
	}
	return out
}

func TestBlockGolden(t *testing.T) {
	for name, p := range goldenBlocks() {
		t.Run(name, func(t *testing.T) {
			b := p.block.Encode()
			golden(t, name, b)
			golden(t, name+".cid", p.id.CID().Bytes())
			golden(t, name+".signed", signedBytes(p.id))
			golden(t, name+".sig", p.sig)
			back, err := DecodeBlock(b)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(back.Encode(), b) || back.ID() != p.id || len(back.Ops) != len(p.block.Ops) {
				t.Errorf("decoded %+v, want %+v", back, p.block)
			}
			if !goldenKey.ID().verifyBlock(p.id, p.sig) || NodeID(SumOf(nil)).verifyBlock(p.id, p.sig) {
				t.Error("signature")
			}
		})
	}
}

func TestSignatureIsBound(t *testing.T) {
	p := goldenBlocks()["block"]
	for name, message := range map[string][]byte{
		"the id alone": p.id[:], "the CID alone": p.id.CID().Bytes(), "the bytes": p.block.Encode(), "another domain": append([]byte("crush other 1\x00"), p.id.CID().Bytes()...),
	} {
		if goldenKey.ID().verifyBlock(p.id, goldenKey.Sign(message)) {
			t.Errorf("a signature of %s is taken", name)
		}
	}
	for i := range p.sig {
		bad := bytes.Clone(p.sig)
		bad[i] ^= 1
		if goldenKey.ID().verifyBlock(p.id, bad) {
			t.Errorf("signature with byte %d changed is taken", i)
		}
	}
	for _, n := range []int{0, 63, 65} {
		if goldenKey.ID().verifyBlock(p.id, make([]byte, n)) {
			t.Errorf("signature of %d bytes is taken", n)
		}
	}
}

func TestBlockHostile(t *testing.T) {
	full := goldenBlocks()["block-full"].block
	good, first := full.Encode(), goldenBlocks()["block-genesis"].block.Encode()
	decode := func(b []byte) error { _, err := DecodeBlock(b); return err }
	hostileItems(t, decode, good, "seq", "chain", "revs", "")
	hostileItems(t, decode, good, "time", "chain", "deps", "")
	for _, name := range []string{"v", "chain", "seq", "prev", "deps", "time", "salt", "ops", "revs"} {
		t.Run("without "+name, func(t *testing.T) { refused(t, decode(without(t, good, name))) })
	}
	link := func(id BlockID) []byte { return appendLink(nil, codecDagCBOR, id) }
	deps := func(ids ...BlockID) []byte {
		b := appendHead(nil, majorArray, uint64(len(ids)))
		for _, id := range ids {
			b = append(b, link(id)...)
		}
		return with(t, good, "deps", b...)
	}
	for name, b := range map[string][]byte{
		"version 0":                      with(t, good, "v", 0),
		"version 2":                      with(t, good, "v", 2),
		"prev of the first":              with(t, first, "prev", link(full.Prev)...),
		"no prev behind the first":       with(t, good, "prev", 0xf6),
		"prev is a link to nothing":      with(t, good, "prev", link(BlockID{})...),
		"prev is a link to a payload":    with(t, good, "prev", appendLink(nil, codecRaw, full.Prev)...),
		"deps out of order":              deps(full.Deps[1], full.Deps[0]),
		"dep twice":                      deps(full.Deps[0], full.Deps[0]),
		"dep is prev":                    deps(full.Prev),
		"time is negative":               with(t, good, "time", 0x20),
		"time beyond 2^53":               with(t, good, "time", 0x1b, 0, 0x20, 0, 0, 0, 0, 0, 1),
		"salt of 15 bytes":               with(t, good, "salt", appendBytes(nil, make([]byte, 15))...),
		"salt of 17 bytes":               with(t, good, "salt", appendBytes(nil, make([]byte, 17))...),
		"chain of 31 bytes":              with(t, good, "chain", appendBytes(nil, make([]byte, 31))...),
		"note is null":                   with(t, good, "note", 0xf6),
		"note with time 0 written out":   with(t, good, "note", 0xa1, 0x64, 't', 'i', 'm', 'e', 0),
		"note over the limit":            with(t, good, "note", appendText([]byte{0xa1, 0x67, 'm', 'e', 's', 's', 'a', 'g', 'e'}, strings.Repeat("a", MaxNote+1))...),
		"revision id is null":            with(t, good, "revs", 0x81, 0xf6),
		"revision id is a payload's":     with(t, good, "revs", append([]byte{0x81}, appendLink(nil, codecRaw, Sum{})...)...),
		"first without operations":       with(t, first, "ops", 0x80),
		"first that founds nothing":      with(t, first, "ops", append([]byte{0x81, 0x82, byte(OpChain)}, goldenOps()["op-chain"].Body...)...),
		"over the limit of a block":      with(t, good, "zz", appendBytes(nil, make([]byte, MaxBlock))...),
		"field v in another case":        with(t, without(t, good, "v"), "V", 1),
		"revs are bytes":                 with(t, good, "revs", 0x40),
		"seq of the first at the second": with(t, good, "seq", 0),
	} {
		t.Run(name, func(t *testing.T) { refused(t, decode(b)) })
	}
}

func TestBlockLimitsAreInclusive(t *testing.T) {
	good := goldenBlocks()["block-full"].block.Encode()
	for name, b := range map[string][]byte{
		"operations":    with(t, good, "ops", append(appendHead(nil, majorArray, MaxOps), bytes.Repeat([]byte{0x82, 0x0b, 0xa0}, MaxOps)...)...),
		"time":          with(t, good, "time", 0x1b, 0, 0x20, 0, 0, 0, 0, 0, 0),
		"note":          with(t, good, "note", appendText([]byte{0xa1, 0x67, 'm', 'e', 's', 's', 'a', 'g', 'e'}, strings.Repeat("a", MaxNote))...),
		"note's time":   with(t, good, "note", 0xa1, 0x64, 't', 'i', 'm', 'e', 0x3b, 0x7f, 255, 255, 255, 255, 255, 255, 255),
		"empty note":    with(t, good, "note", 0xa0),
		"seq":           with(t, good, "seq", 0x1b, 0x7f, 255, 255, 255, 255, 255, 255, 255),
		"no revisions":  with(t, good, "revs", 0x80),
		"no operations": with(t, good, "ops", 0x80),
	} {
		t.Run(name, func(t *testing.T) {
			back, err := DecodeBlock(b)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(back.Encode(), b) {
				t.Error("re-encoded differently")
			}
		})
	}
}

// TestAnnounces: a chain is its author's only by key and nonce.
func TestAnnounces(t *testing.T) {
	announce := NewOp(ChainOp{Key: goldenKey.ID(), Nonce: goldenNonce})
	foreign := NewOp(ChainOp{Key: NodeID(SumOf(nil)), Nonce: goldenNonce})
	for i, test := range []struct {
		block Block
		want  bool
	}{
		{Block{Chain: goldenChain, Ops: []Op{announce}}, true},
		{Block{Chain: goldenChain, Ops: []Op{foreign}}, false},
		{Block{Chain: goldenChain, Ops: []Op{goldenOps()["op-genesis"], announce}}, false},
		{Block{Chain: goldenChain, Seq: 1, Ops: []Op{announce}}, false},
		{Block{Chain: ChainID{}, Ops: []Op{announce}}, false},
		{Block{Chain: goldenChain}, false},
	} {
		if _, got := test.block.announces(); got != test.want {
			t.Errorf("%d: announces %v, want %v", i, got, test.want)
		}
	}
}

func FuzzDecodeBlock(f *testing.F) {
	for _, p := range goldenBlocks() {
		f.Add(p.block.Encode())
	}
	for _, op := range goldenOps() {
		f.Add(blockWith(f, byte(op.Kind), op.Body))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		block, err := DecodeBlock(b)
		if err != nil {
			refused(t, err)
			return
		}
		if again := block.Encode(); !bytes.Equal(again, b) || BlockID(SumOf(b)) != block.ID() {
			t.Errorf("re-encoded as %x, was %x", again, b)
		}
		for _, op := range block.Ops {
			if again, err := decodeAny(op); err == nil && (again.Kind != op.Kind || !bytes.Equal(again.Body, op.Body)) {
				t.Errorf("operation re-encoded as %x, was %x", again.Body, op.Body)
			}
		}
		_ = fmt.Sprint(block.announces())
	})
}

// openFounded is a graph with a cluster of its own.
func openFounded(t *testing.T) *Graph {
	t.Helper()
	now := func() time.Time { return time.UnixMilli(goldenTime) }
	g, err := Open(t.Context(), Config{Store: openLevel(t, t.TempDir(), false), Key: goldenKey, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	if _, err := g.Found(t.Context(), Member{Name: "n1"}); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestWriterKeepsTheLimits: what a commit takes, every receiver takes.
func TestWriterKeepsTheLimits(t *testing.T) {
	g := openFounded(t)
	note := Note{Message: strings.Repeat("n", MaxNote)}
	payload := make([]byte, MaxValue)
	taken, refusedN := 0, 0
	for _, spare := range []int{80 << 10, 70 << 10, 68 << 10, 60 << 10, 5 << 10, 0} {
		receipt, err := g.Commit(t.Context(), note, func(tx *Tx) error {
			for i := range 4 {
				size := MaxValue
				if i == 3 {
					size -= spare
				}
				d := Draft{Fork: defaultFork, Key: fmt.Sprint("k", spare, i), Kind: 1, Payload: payload[:size]}
				if err := tx.Put(d); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			if !errors.Is(err, ErrTooLarge) {
				t.Fatal(err)
			}
			refusedN++
			continue
		}
		taken++
		if _, err := ReadHeader(receipt.Bundle); err != nil {
			t.Errorf("with %d bytes to spare a commit was taken, and its block is refused: %v", spare, err)
		}
	}
	if taken == 0 || refusedN == 0 {
		t.Errorf("%d commits taken, %d refused: the limit was not tried", taken, refusedN)
	}
	bad := string([]byte{'a', 0xff})
	for name, fn := range map[string]func(*Tx) error{
		"label":     func(tx *Tx) error { return tx.Put(Draft{Fork: defaultFork, Key: "k", Kind: 1, Label: bad}) },
		"key":       func(tx *Tx) error { return tx.Put(Draft{Fork: defaultFork, Key: bad, Kind: 1}) },
		"kind":      func(tx *Tx) error { return tx.Put(Draft{Fork: defaultFork, Key: "k", Kind: 1 << 63}) },
		"operation": func(tx *Tx) error { return tx.Op(NewOp(MemberOp{Role: RoleReader, Name: bad})) },
	} {
		if _, err := g.Commit(t.Context(), Note{}, fn); err == nil {
			t.Errorf("a block with a bad %s was written", name)
		}
	}
	if _, err := g.Commit(t.Context(), Note{Author: bad}, func(*Tx) error { return nil }); err == nil {
		t.Error("a note that is not UTF-8 was taken")
	}
}

// TestOperationsHaveTheirNote: an operation is not written under somebody
// else's note.
func TestOperationsHaveTheirNote(t *testing.T) {
	g := openFounded(t)
	put := func(tx *Tx) error { return tx.Put(Draft{Fork: defaultFork, Key: "k", Kind: 1}) }
	op := func(tx *Tx) error { return tx.Op(goldenOps()["op-member"]) }
	waiters := func(ann, bob func(*Tx) error) []*waiter {
		return []*waiter{{note: Note{Author: "ann"}, fn: ann}, {note: Note{Author: "bob"}, fn: bob}}
	}
	for name, test := range map[string]struct {
		group []*waiter
		taken int
	}{
		"revisions of two":         {waiters(put, put), 2},
		"an operation of another":  {waiters(put, op), 1},
		"operations of two":        {waiters(op, op), 1},
		"a revision after another": {waiters(op, put), 1},
	} {
		w := g.newWorkspace(goldenTime, 0)
		b, err := g.newBuilding(w, g.mine, goldenTime)
		if err != nil {
			t.Fatal(err)
		}
		if n := b.fill(test.group); n != test.taken {
			t.Errorf("%s: %d of the two share a block, want %d", name, n, test.taken)
		}
		if b.p.block.Note == nil || b.p.block.Note.Author != "ann" {
			t.Errorf("%s: the block's note is %+v", name, b.p.block.Note)
		}
	}
}
