// Package oracle is the model once more, by brute force: it keeps every
// revision in a set and answers each question by looking at all of them. It is
// the specification that packages crdt, dag and daemon are tested against, so
// it is written to be read, shares nothing with crdt but the types of what it
// returns, and no production code imports it.
//
// All methods but the Adds are pure; no answer depends on the order in which
// things were added. An Oracle is not safe for use while it is added to.
package oracle

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"crush/crdt"
)

// Block names the block that a revision or an operation stands in.
type Block [32]byte

// Cut is a set of blocks that holds, with each block, all that come before it.
type Cut map[Block]bool

// Revision is one change to one key on one fork.
type Revision struct {
	ID      crdt.RevisionID
	Fork    crdt.ForkID
	Key     string
	Parents []crdt.RevisionID
	Kind    crdt.Kind
	Deleted bool
	// Value is the payload. It is what a revision without a Change writes, at
	// the path "/"; of one with a Change it only has to be different where
	// revisions are.
	Value []byte
	Time  int64
	// Change is what a document, a counter or a set changes. It is nil for the
	// other kinds, for a deletion, and for a payload that cannot be read.
	Change *Change
	// Open: the author left a conflict open beside what was changed.
	Open bool
	// Gone: the payload was purged. There is no Value and no Change.
	Gone bool

	// The place: Order counts the revisions of one chain, through its blocks
	// and inside them.
	Block Block
	Chain crdt.ChainID
	Order uint64
}

// Contribution makes what is visible on From at Cut visible on To.
type Contribution struct {
	Block Block
	Way   Way
	To    crdt.ForkID
	From  crdt.ForkID
	Cut   Cut
	Keys  func(key string) bool // nil: all
}

// Way says by what operation a contribution was made.
type Way int

// The ways. A fork has at most one Creation.
const (
	Creation Way = iota
	Merge
	Batch // From is an unnamed fork that gathered one batch
)

// Oracle holds revisions and contributions.
type Oracle struct {
	revisions     map[crdt.RevisionID]Revision
	contributions []Contribution
	cut           Cut // nil: everything
	uncut         bool
}

// New returns an Oracle that holds nothing.
func New() *Oracle { return &Oracle{revisions: make(map[crdt.RevisionID]Revision)} }

// Add adds a revision; adding it again changes nothing. The Oracle keeps r's
// slices.
func (o *Oracle) Add(r Revision) { o.revisions[r.ID] = r }

// AddContribution adds a contribution. The Oracle keeps c's Cut.
func (o *Oracle) AddContribution(c Contribution) { o.contributions = append(o.contributions, c) }

// At returns what a node knows that holds only the blocks of the cut. It is for
// reading, sees what is added to o later, and keeps the cut.
func (o *Oracle) At(cut Cut) *Oracle { return &Oracle{o.revisions, o.contributions, cut, o.uncut} }

// With returns what a node would know if there were one more contribution. It
// is for reading, and does not see what is added to o later.
func (o *Oracle) With(c Contribution) *Oracle {
	return &Oracle{o.revisions, append(slices.Clip(o.contributions), c), o.cut, o.uncut}
}

// Uncut returns an Oracle that reads by the rules alone: no revision stands for
// what is older. It is for reading, as what At returns.
func (o *Oracle) Uncut() *Oracle { return &Oracle{o.revisions, o.contributions, o.cut, true} }

func (o *Oracle) knows(b Block) bool { return o.cut == nil || o.cut[b] }

// shows: the contribution makes r visible on c.To.
func (o *Oracle) shows(c Contribution, r Revision) bool {
	return o.knows(c.Block) && (c.Keys == nil || c.Keys(r.Key)) && o.At(c.Cut).visible(c.From, r)
}

// visible: r was written on the fork, or a contribution shows it.
func (o *Oracle) visible(fork crdt.ForkID, r Revision) bool {
	return o.knows(r.Block) &&
		(r.Fork == fork || slices.ContainsFunc(o.contributions, func(c Contribution) bool {
			return c.To == fork && o.shows(c, r)
		}))
}

// Visible returns the revisions of the key that are visible on the fork, by ID.
func (o *Oracle) Visible(fork crdt.ForkID, key string) []Revision {
	var all []Revision
	for _, r := range o.revisions {
		if r.Key == key && o.visible(fork, r) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b Revision) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return all
}

// Revision returns one that was added.
func (o *Oracle) Revision(id crdt.RevisionID) Revision { return o.revisions[id] }

// Ancestors returns all revisions that the one named has seen: its parents,
// theirs, and so on. It is not among them.
func (o *Oracle) Ancestors(id crdt.RevisionID) map[crdt.RevisionID]bool {
	seen := make(map[crdt.RevisionID]bool)
	left := slices.Clone(o.revisions[id].Parents)
	for len(left) > 0 {
		parent := left[0]
		left = left[1:]
		if !seen[parent] {
			seen[parent] = true
			left = append(left, o.revisions[parent].Parents...)
		}
	}
	return seen
}

// Count returns revision_count: the visible revisions, deletions included,
// less one, and 0 for none.
func (o *Oracle) Count(fork crdt.ForkID, key string) int {
	return max(0, len(o.Visible(fork, key))-1)
}

// Heads returns the visible revisions that no other visible one has seen, by
// ID. For registers these are the live writes of rule 1: each revision writes
// at the path "/", and all paths are at or below it.
func (o *Oracle) Heads(fork crdt.ForkID, key string) []Revision {
	all := o.Visible(fork, key)
	seen := make(map[crdt.RevisionID]bool)
	for _, r := range all {
		maps.Copy(seen, o.Ancestors(r.ID))
	}
	return slices.DeleteFunc(all, func(r Revision) bool { return seen[r.ID] })
}

// Origin says how a revision that is visible on the fork came there.
func (o *Oracle) Origin(fork crdt.ForkID, r Revision) crdt.Origin {
	origin := crdt.Merged
	if r.Fork == fork {
		origin = crdt.Written
	}
	for _, c := range o.contributions {
		if c.To != fork || !o.shows(c, r) {
			continue
		}
		switch {
		case c.Way == Batch && r.Fork == c.From:
			origin = crdt.Written
		case c.Way == Creation:
			origin = min(origin, crdt.Inherited)
		}
	}
	return origin
}

// Input returns what a correct caller hands to crdt for this key.
func (o *Oracle) Input(fork crdt.ForkID, key string) crdt.Visible {
	h := history{o, fork, key}
	in := crdt.Visible{Fork: fork, Key: key, History: h, Source: h.Source()}
	for _, r := range o.Heads(fork, key) {
		w := write(r)
		w.Origin = o.Origin(fork, r)
		in.Heads = append(in.Heads, w)
	}
	return in
}

func write(r Revision) crdt.Write {
	return crdt.Write{
		ID: r.ID, Chain: r.Chain, Time: r.Time, Kind: r.Kind, Deleted: r.Deleted,
		Value: sha256.Sum256(r.Value), Open: r.Open,
	}
}

// history is what a correct caller looks up for crdt.
type history struct {
	o    *Oracle
	fork crdt.ForkID
	key  string
}

// Revision implements crdt.History.
func (h history) Revision(id crdt.RevisionID) crdt.Revision {
	r := h.o.revisions[id]
	return crdt.Revision{
		Write: write(r), Parents: r.Parents, Payload: r.Value, Gone: r.Gone,
		Order: crdt.Order{Lamport: uint64(len(h.o.Ancestors(id)))},
	}
}

// Origin implements crdt.History.
func (h history) Origin(id crdt.RevisionID) crdt.Origin { return h.o.Origin(h.fork, h.o.revisions[id]) }

// Source implements crdt.History. It is the one thing here that crdt computes.
func (h history) Source() crdt.View {
	c, ok := h.o.creation(h.fork)
	if !ok {
		return crdt.View{}
	}
	return h.o.At(c.Cut).Input(c.From, h.key).View()
}

func (o *Oracle) creation(fork crdt.ForkID) (Contribution, bool) {
	i := slices.IndexFunc(o.contributions, func(c Contribution) bool {
		return c.To == fork && c.Way == Creation && o.knows(c.Block)
	})
	if i < 0 {
		return Contribution{}, false
	}
	return o.contributions[i], true
}

// before: a came before b in causality, by the key's parents or in its chain.
func (o *Oracle) before(a, b Revision) bool {
	return o.Ancestors(b.ID)[a.ID] || a.Chain == b.Chain && a.Order < b.Order
}

// History returns the visible revisions newest first: again and again, of
// those that came before no other one left, the highest (time, chain, CID).
func (o *Oracle) History(fork crdt.ForkID, key string) []Revision {
	left := o.Visible(fork, key)
	var history []Revision
	for len(left) > 0 {
		last := slices.Clone(left)
		last = slices.DeleteFunc(last, func(r Revision) bool {
			return slices.ContainsFunc(left, func(s Revision) bool { return o.before(r, s) })
		})
		newest := top(last)
		history = append(history, newest)
		left = slices.DeleteFunc(left, func(r Revision) bool { return r.ID == newest.ID })
	}
	return history
}

// CheckHistory returns nil if newestFirst lists each visible revision once and
// none after one that came before it. History is one such list; a store may
// break ties otherwise.
func (o *Oracle) CheckHistory(fork crdt.ForkID, key string, newestFirst []crdt.RevisionID) error {
	want := make(map[crdt.RevisionID]bool)
	for _, r := range o.Visible(fork, key) {
		want[r.ID] = true
	}
	for i, id := range newestFirst {
		if !want[id] {
			return fmt.Errorf("check history of %q: entry %d, %v, is repeated or not visible", key, i, id)
		}
		delete(want, id)
		for _, newer := range newestFirst[:i] {
			if o.before(o.revisions[newer], o.revisions[id]) {
				return fmt.Errorf("check history of %q: entry %d, %v, is older than an entry after it, %v", key, i, newer, id)
			}
		}
	}
	for id := range maps.Keys(want) {
		return fmt.Errorf("check history of %q: %v is missing, and %d in all", key, id, len(want))
	}
	return nil
}
