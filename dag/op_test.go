package dag

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

var goldenCut = []link{link(SumOf([]byte("one"))), link(SumOf([]byte("two")))}

// goldenOps are operations of every kind, by name.
func goldenOps() map[string]Op {
	other := NodeID(SumOf([]byte("other")))
	return map[string]Op{
		"op-genesis":         NewOp(GenesisOp{Name: "north"}),
		"op-chain":           NewOp(ChainOp{Key: goldenKey.ID(), Nonce: goldenNonce}),
		"op-member":          NewOp(MemberOp{Node: other, Role: RoleWriter, Name: "n2", Zone: "eu/1"}),
		"op-member-removed":  NewOp(MemberOp{Node: other, Role: RoleRemoved}),
		"op-fork":            NewOp(ForkOp{Name: "staging", From: []Contribution{{Fork: defaultFork, Cut: []link{}}}}),
		"op-fork-of-nothing": NewOp(ForkOp{Name: "", From: []Contribution{}}),
		"op-fork-filtered": NewOp(ForkOp{Name: "hotfix/api", From: []Contribution{
			{Fork: defaultFork, Cut: goldenCut, Filter: &Filter{Keys: []string{"svc/api", "svc/*"}, Scopes: []string{"app/**"}}},
			{Fork: goldenFork, Cut: []link{}, Filter: &Filter{SkipKeys: []string{"app/x"}, Skips: []string{"env/*"}}},
		}}),
		"op-fork-named": NewOp(ForkOp{Name: "main", Named: true, From: []Contribution{}}),
		"op-merge":      NewOp(MergeOp{Into: defaultFork, From: Contribution{Fork: goldenFork, Cut: []link{}}}),
		"op-merge-filtered": NewOp(MergeOp{Into: defaultFork, From: Contribution{
			Fork: goldenFork, Cut: goldenCut, Filter: &Filter{SkipKeys: []string{"svc/api"}, Skips: []string{"env/**"}},
		}}),
		"op-delete":     NewOp(DeleteOp{Fork: goldenFork}),
		"op-rename":     NewOp(RenameOp{Fork: goldenFork, Name: "stage"}),
		"op-restore":    NewOp(RestoreOp{Fork: goldenFork}),
		"op-tag":        NewOp(TagOp{Name: "v1.0", Cut: goldenCut}),
		"op-tag-gone":   NewOp(TagOp{Name: "v1.0", Cut: []link{}, Gone: true}),
		"op-purge":      NewPurge(nil, []RevisionID{RevisionID(SumOf([]byte("one")))}, "a password"),
		"op-purge-keys": NewPurge([]string{"svc/api", "svc/db"}, nil, "a password"),
		"op-alias":      NewOp(AliasOp{Name: "live", Fork: goldenFork}),
		"op-alias-gone": NewOp(AliasOp{Name: "live", Gone: true}),
	}
}

// decodeAny decodes the body of a known kind and encodes it again.
func decodeAny(op Op) (again Op, err error) {
	switch op.Kind {
	case OpGenesis:
		return recode[GenesisOp](op)
	case OpChain:
		return recode[ChainOp](op)
	case OpMember:
		return recode[MemberOp](op)
	case OpFork:
		return recode[ForkOp](op)
	case OpMerge:
		return recode[MergeOp](op)
	case OpDelete:
		return recode[DeleteOp](op)
	case OpRename:
		return recode[RenameOp](op)
	case OpRestore:
		return recode[RestoreOp](op)
	case OpTag:
		return recode[TagOp](op)
	case OpAlias:
		return recode[AliasOp](op)
	case OpPurge:
		return recode[PurgeOp](op)
	}
	return op, fmt.Errorf("kind %d", op.Kind)
}

func recode[T opBody](op Op) (Op, error) {
	body, err := decodeOp[T](op)
	if err != nil {
		return Op{}, err
	}
	return NewOp(body), nil
}

func TestOpGolden(t *testing.T) {
	kinds := map[OpKind]bool{OpRevision: true}
	for name, op := range goldenOps() {
		kinds[op.Kind] = true
		t.Run(name, func(t *testing.T) {
			golden(t, name, op.Body)
			again, err := decodeAny(op)
			if err != nil || again.Kind != op.Kind || !bytes.Equal(again.Body, op.Body) {
				t.Errorf("%v: decoded and encoded as %d %x, was %d %x", err, again.Kind, again.Body, op.Kind, op.Body)
			}
		})
	}
	if len(kinds) != len(opNames) {
		t.Errorf("vectors of %d kinds, there are %d", len(kinds), len(opNames))
	}
}

func TestOpKindNumbersAreFrozen(t *testing.T) {
	for i, name := range []string{"revision", "genesis", "chain", "member", "fork", "merge", "delete", "rename", "restore", "tag", "alias", "purge", "kind 12"} {
		if got := OpKind(i).String(); got != name {
			t.Errorf("kind %d is %q, want %q", i, got, name)
		}
	}
	if got := OpKind(1 << 63).String(); got != "kind 9223372036854775808" {
		t.Errorf("kind 2^63 is %q", got)
	}
}

// blockWith is the bytes of a block whose only operation has this kind, which
// must be below 24, and these bytes as its body.
func blockWith(t testing.TB, kind byte, body []byte) []byte {
	b := goldenBlocks()["block"].block.Encode()
	return with(t, b, "ops", append([]byte{0x81, 0x82, kind}, body...)...)
}

// decodeBody tells whether a block with this operation is refused, or the
// operation has no meaning.
func decodeBody(t testing.TB, kind byte, body []byte) error {
	b, err := DecodeBlock(blockWith(t, kind, body))
	if err != nil {
		return err
	}
	if _, err = decodeAny(b.Ops[0]); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

func TestOpHostile(t *testing.T) {
	ops := goldenOps()
	for name, f := range map[string]struct{ digest, links, text string }{
		"op-tag":    {"", "cut", "name"},
		"op-rename": {"fork", "", "name"},
		"op-delete": {"fork", "", ""},
		"op-member": {"node", "", "zone"},
	} {
		t.Run(name, func(t *testing.T) {
			kind := byte(ops[name].Kind)
			decode := func(body []byte) error { return decodeBody(t, kind, body) }
			if name == "op-delete" { // a map of one field cannot be put out of order
				refused(t, decode(without(t, ops[name].Body, "fork")))
				return
			}
			hostileItems(t, decode, ops[name].Body, "", f.digest, f.links, f.text)
		})
	}
	good := goldenBlocks()["block"].block.Encode()
	for name, value := range map[string][]byte{
		"operations are null":              {0xf6},
		"operation is null":                {0x81, 0xf6},
		"operation of one item":            {0x81, 0x81, 0x04},
		"operation of three items":         {0x81, 0x83, 0x04, 0xa0, 0xa0},
		"kind is negative":                 {0x81, 0x82, 0x20, 0xa0},
		"kind is text":                     {0x81, 0x82, 0x61, '4', 0xa0},
		"kind beyond 63 bits":              append([]byte{0x81, 0x82, 0x1b, 0x80, 0, 0, 0, 0, 0, 0}, 0, 0xa0),
		"body is null":                     {0x81, 0x82, 0x04, 0xf6},
		"body is an array":                 {0x81, 0x82, 0x04, 0x80},
		"body is bytes":                    {0x81, 0x82, 0x04, 0x41, 0xa0},
		"body of an unknown kind is bytes": {0x81, 0x82, 0x18, 99, 0x41, 0xa0},
		"body of an unknown kind is float": {0x81, 0x82, 0x18, 99, 0xa1, 0x61, 'a', 0xf9, 0, 0},
		"more operations than the limit":   append(appendHead(nil, majorArray, MaxOps+1), bytes.Repeat([]byte{0x82, 0x0b, 0xa0}, MaxOps+1)...),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeBlock(with(t, good, "ops", value...))
			refused(t, err)
		})
	}
}

// TestOpUnknown: what a newer version writes is kept, and is not guessed at.
func TestOpUnknown(t *testing.T) {
	body := []byte{0xa1, 0x61, 'a', 0x01}
	for _, kind := range []byte{0, 11, 23} {
		raw := blockWith(t, kind, body)
		b, err := DecodeBlock(raw)
		if err != nil || !bytes.Equal(b.Encode(), raw) || !bytes.Equal(b.Ops[0].Body, body) {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
	for name, op := range goldenOps() {
		more := Op{Kind: op.Kind, Body: with(t, op.Body, "zz", 0xa1, 0x61, 'a', 0xf6)}
		if _, err := decodeAny(more); !errors.Is(err, errNewer) {
			t.Errorf("%s with a field more: %v, want %v", name, err, errNewer)
		}
	}
	filter := with(t, marshal(&Filter{}, nil), "regexp", 0x61, '.')
	from := with(t, marshal(&Contribution{Cut: []link{}}, nil), "filter", filter...)
	merge := with(t, goldenOps()["op-merge"].Body, "from", from...)
	if _, err := decodeAny(Op{Kind: OpMerge, Body: merge}); !errors.Is(err, errNewer) {
		t.Errorf("unknown field in a filter: %v, want %v", err, errNewer)
	}
}
