package crdt

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// ConflictKind says what stands against what.
type ConflictKind string

// Where several hold, the first in this list is named; the sides show the
// rest.
const (
	// TypeConflict: live values of different kinds, equal bytes or not.
	TypeConflict ConflictKind = "type"
	// DeleteEditConflict: a live deletion beside one or more live values.
	DeleteEditConflict ConflictKind = "delete/edit"
	// ValueConflict: two or more distinct live values.
	ValueConflict ConflictKind = "value"
)

// Conflict is two or more live writes of different content at a path, none of
// which has seen another.
type Conflict struct {
	ID    ConflictID
	State ConflictState
	Path  Path
	Kind  ConflictKind
	// Sides are in the order of their letters: at least two, of which at most
	// one is a deletion.
	Sides []Side
}

// Side is one of the contents that stand against each other, with all the
// live revisions that carry it.
type Side struct {
	// Letter is a, b, … z, aa, ab, … in the order of the sides' smallest
	// revisions. It is the same on every fork where the same revisions are in
	// conflict, and holds for one ConflictState.
	Letter string
	// Rank is 0 for the side that is served, and counts up from there.
	Rank    int
	Deleted bool
	// Kind is the kind of Revision, also where that is a deletion.
	Kind Kind
	// Value is that of a register; zero for a deletion and every other kind.
	Value Sum
	// Document is what the side serves of a document at and below the path, as a
	// document of its own; Text is what it serves of a counter or a set.
	Document *Document
	Text     []byte
	// Revision is the one of Revisions with the highest (Time, Chain, ID); but
	// where Value is set it is one that carries that, as it is anyway unless
	// someone wrote beside a register that he had read.
	Revision RevisionID
	// Revisions are in ascending order.
	Revisions []RevisionID
}

// conflict describes ranked sides, which are in the order of their letters.
// Others are revisions that are part of what sides read as.
func conflict(fork ForkID, key string, path Path, kind ConflictKind, sides []side, others []RevisionID) Conflict {
	c := Conflict{
		ID:    conflictID(fork, key, path),
		Path:  path,
		Kind:  kind,
		Sides: make([]Side, len(sides)),
	}
	all := others
	for i := range sides {
		s := &sides[i]
		c.Sides[i] = Side{
			Letter:    letter(i),
			Rank:      s.rank,
			Deleted:   s.serves.nothing(),
			Kind:      s.top.Kind,
			Revision:  s.top.ID,
			Revisions: s.ids,
			Document:  s.serves.document(path),
			Text:      s.serves.text(),
		}
		if s.serves.class == registerClass {
			c.Sides[i].Value = s.serves.content.sum
			c.Sides[i].Revision, c.Sides[i].Kind = s.serves.author.ID, s.serves.author.Kind
		}
		all = append(all, s.ids...)
	}
	c.State = conflictState(all)
	return c
}

// registerConflict returns the kind of a conflict of registers.
func registerConflict(sides []side) ConflictKind {
	var kind Kind
	var values, deletions int
	for _, s := range sides {
		if s.deletion {
			deletions++
			continue
		}
		if values > 0 && s.top.Kind != kind {
			return TypeConflict
		}
		kind = s.top.Kind
		values++
	}
	if deletions > 0 {
		return DeleteEditConflict
	}
	return ValueConflict
}

// letter counts a to z, then aa to zz, and so on.
func letter(i int) string {
	var s []byte
	for i++; i > 0; i /= 26 {
		i--
		s = append(s, 'a'+byte(i%26))
	}
	slices.Reverse(s)
	return string(s)
}

const (
	conflictDomain = "crush/conflict/1"
	stateDomain    = "crush/conflict-state/1"
)

// conflictID hashes the encoding in the package comment.
func conflictID(fork ForkID, key string, path Path) ConflictID {
	b := append([]byte(conflictDomain), fork[:]...)
	b = append(binary.BigEndian.AppendUint64(b, uint64(len(key))), key...)
	b = append(binary.BigEndian.AppendUint64(b, uint64(len(path))), path...)
	sum := sha256.Sum256(b)
	return ConflictID(sum[:len(ConflictID{})])
}

// conflictState hashes the encoding in the package comment. It sorts ids.
func conflictState(ids []RevisionID) ConflictState {
	slices.SortFunc(ids, compareIDs)
	ids = slices.Compact(ids)
	b := []byte(stateDomain)
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	sum := sha256.Sum256(b)
	return ConflictState(sum[:len(ConflictState{})])
}
