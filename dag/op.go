package dag

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// OpKind numbers the kinds of operation. The numbers are frozen.
type OpKind uint64

// The kinds. Revisions stand in a block's own list; their number is kept free.
const (
	OpRevision OpKind = 0
	OpGenesis  OpKind = 1
	OpChain    OpKind = 2
	OpMember   OpKind = 3
	OpFork     OpKind = 4
	OpMerge    OpKind = 5
	OpDelete   OpKind = 6
	OpRename   OpKind = 7
	OpRestore  OpKind = 8
	OpTag      OpKind = 9
	OpAlias    OpKind = 10
	OpPurge    OpKind = 11
)

var opNames = [...]string{"revision", "genesis", "chain", "member", "fork", "merge", "delete", "rename", "restore", "tag", "alias", "purge"}

// String returns the name of the kind, or its number if it is unknown.
func (k OpKind) String() string {
	if k < OpKind(len(opNames)) {
		return opNames[k]
	}
	return "kind " + strconv.FormatUint(uint64(k), 10)
}

// GenesisOp founds a cluster. It stands in the first block of all.
type GenesisOp struct {
	Name string `cbor:"name"`
}

// ChainOp announces a chain: its author's key, and the nonce that makes the
// chain's id. It is the first operation of a chain's first block.
type ChainOp struct {
	Key   NodeID `cbor:"key"`
	Nonce Salt   `cbor:"nonce"`
}

// MemberOp sets what a node is in the cluster.
type MemberOp struct {
	Node NodeID `cbor:"node"`
	Role Role   `cbor:"role"`
	Name string `cbor:"name"`
	Zone string `cbor:"zone"`
}

// Filter limits a contribution to some keys. A key passes if it is one of Keys
// or matches one of Scopes (or if both are empty), and is none of SkipKeys and
// matches none of Skips. In patterns * stops at a slash and ** does not.
type Filter struct {
	Keys     []string `cbor:"keys,omitempty"`
	Scopes   []string `cbor:"scopes,omitempty"`
	SkipKeys []string `cbor:"skip_keys,omitempty"`
	Skips    []string `cbor:"skips,omitempty"`
}

// Contribution makes the revisions of a fork at a cut visible on another.
type Contribution struct {
	Fork   ForkID  `cbor:"fork"`
	Cut    []link  `cbor:"cut"` // maximal blocks; none for the causal past of the block that carries it
	Filter *Filter `cbor:"filter,omitempty"`
}

// ForkOp creates a fork. Its id is NewForkID of its place, or NamedFork of its
// name if Named, which repeated creations share.
type ForkOp struct {
	Name  string         `cbor:"name"`
	Named bool           `cbor:"named,omitempty"`
	From  []Contribution `cbor:"from"`
}

// MergeOp adds a contribution to a fork.
type MergeOp struct {
	Into ForkID       `cbor:"into"`
	From Contribution `cbor:"from"`
}

// DeleteOp hides a fork's name.
type DeleteOp struct {
	Fork ForkID `cbor:"fork"`
}

// RenameOp gives a fork another name.
type RenameOp struct {
	Fork ForkID `cbor:"fork"`
	Name string `cbor:"name"`
}

// named returns the fork that an operation acts on which this version does not
// understand: the field fork, or of a merge into, of its body.
func (op Op) named() (id ForkID, ok bool) {
	if err := checkCanonical(op.Body, maxNesting-opNesting); err != nil {
		return id, false
	}
	fields := extras{}
	if err := decMode.Unmarshal(op.Body, &fields); err != nil {
		return id, false
	}
	name := "fork"
	if op.Kind == OpMerge {
		name = "into"
	}
	var b []byte
	if err := decMode.Unmarshal(fields[name], &b); err != nil || len(b) != len(id) {
		return id, false
	}
	return ForkID(b), true
}

// unknownOp is why operations of a kind are void.
func unknownOp(k OpKind) string {
	return "this version does not act on operations of kind " + k.String()
}

// fault is why the operation is void whoever wrote it; "" if it is not.
func (m *MemberOp) fault() string {
	switch {
	case !m.Role.Valid():
		return fmt.Sprintf("unknown role %q", m.Role)
	case m.Name != "" && ValidName(m.Name) != nil, m.Zone != "" && ValidName(m.Zone) != nil:
		return "bad name or zone"
	}
	return ""
}

// RestoreOp undoes a deletion.
type RestoreOp struct {
	Fork ForkID `cbor:"fork"`
}

// TagOp names a cut; Gone removes the name.
type TagOp struct {
	Name string `cbor:"name"`
	Cut  []link `cbor:"cut"`
	Gone bool   `cbor:"gone,omitempty"`
}

// AliasOp points a name at a fork; Gone removes the name.
type AliasOp struct {
	Name string `cbor:"name"`
	Fork ForkID `cbor:"fork"`
	Gone bool   `cbor:"gone,omitempty"`
}

// opBody is any of the bodies above.
type opBody interface {
	GenesisOp | ChainOp | MemberOp | ForkOp | MergeOp | DeleteOp | RenameOp | RestoreOp | TagOp | AliasOp | PurgeOp
}

// NewOp makes an operation of a body.
func NewOp[T opBody](body T) Op { return Op{Kind: kindOf(body), Body: marshal(&body, nil)} }

func kindOf(body any) OpKind {
	switch body.(type) {
	case GenesisOp:
		return OpGenesis
	case ChainOp:
		return OpChain
	case MemberOp:
		return OpMember
	case ForkOp:
		return OpFork
	case MergeOp:
		return OpMerge
	case DeleteOp:
		return OpDelete
	case RenameOp:
		return OpRename
	case RestoreOp:
		return OpRestore
	case TagOp:
		return OpTag
	case AliasOp:
		return OpAlias
	case PurgeOp:
		return OpPurge
	}
	panic(fmt.Sprintf("dag: no kind for %T", body))
}

// errNewer marks an operation with fields that this version does not know.
var errNewer = errors.New("written by a newer version")

// decodeOp reads the body of an operation of T's kind. A body with unknown
// fields gives errNewer: this version must not guess what it does.
func decodeOp[T opBody](op Op) (body T, err error) {
	if want := kindOf(body); op.Kind != want {
		return body, fmt.Errorf("operation of kind %s, want %s", op.Kind, want)
	}
	more, err := unmarshal(op.Body, &body, nil)
	if err != nil {
		return body, err
	}
	if len(more) > 0 {
		return body, errNewer
	}
	if !bytes.Equal(marshal(&body, nil), op.Body) {
		return body, fmt.Errorf("body of %s: field missing or null", op.Kind)
	}
	return body, nil
}
