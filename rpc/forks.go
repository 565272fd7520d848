package rpc

import (
	"context"
	"iter"
	"time"

	"crush/crdt"
	"crush/dag"
)

// Filter limits a fork or merge to some keys. A key passes if it is one of
// Keys or matches one of Scopes (or if both are empty), and is none of
// SkipKeys and matches none of Skips. In patterns * stops at a slash and **
// does not.
type Filter struct {
	Keys     []string `json:"keys,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`
	SkipKeys []string `json:"skip_keys,omitempty"`
	Skips    []string `json:"skips,omitempty"`
}

// ForkInfo describes a fork.
type ForkInfo struct {
	ID      dag.ForkID `json:"id"`
	Name    string     `json:"name"`
	Labels  []string   `json:"labels"`
	Deleted bool       `json:"deleted"`
	// Clash says that another live fork has the same name: writes by the name
	// alone are ambiguous.
	Clash bool `json:"clash"`
	// Frozen says that a newer version of crush is needed to write the fork.
	Frozen bool `json:"frozen,omitempty"`
	// From is what contributes to the fork, the newest last.
	From []ForkSource `json:"from"`
}

// ForkSource is one contribution to a fork.
type ForkSource struct {
	Fork     dag.ForkID `json:"fork"`
	Name     string     `json:"name"`
	Filter   *Filter    `json:"filter,omitempty"`
	Creation bool       `json:"creation"` // the fork was made of it; else it was merged
}

// The kinds of operation that stand in logs.
const (
	OperationFork    = "fork"
	OperationMerge   = "merge"
	OperationDelete  = "delete"
	OperationRename  = "rename"
	OperationRestore = "restore"
	OperationTag     = "tag"
	OperationAlias   = "alias"
	OperationMember  = "member"
	OperationPurge   = "purge"
)

// Operation is what a block did to a fork, a tag, an alias or the member list, or
// purged.
// Forks are named as they are now.
type Operation struct {
	Kind string `json:"kind"`
	// Fork is the one that was made, merged into, removed, renamed, restored or
	// pointed at.
	Fork string `json:"fork,omitempty"`
	// Source is what was forked or merged; "" of a fork that was made of none,
	// and of the merge of a change that was too big for one block.
	Source string `json:"source,omitempty"`
	// Name is the one given to the fork or node, or that of the tag or alias.
	Name string `json:"name,omitempty"`
	// Gone says that the tag, alias or member was removed.
	Gone   bool    `json:"gone,omitempty"`
	Filter *Filter `json:"filter,omitempty"`
	// Cut is what a tag names, or the earlier state that was forked.
	Cut []dag.BlockID `json:"cut,omitempty"`
	// Keys counts what a merge changed on Fork, with what settled it.
	Keys *KeyCount `json:"keys,omitempty"`
	// The node that a member operation is about, its role and zone.
	Node dag.NodeID `json:"node,omitzero"`
	Role string     `json:"role,omitempty"`
	Zone string     `json:"zone,omitempty"`
	// The keys and revisions that were purged.
	PurgedKeys      []string         `json:"purged_keys,omitempty"`
	PurgedRevisions []dag.RevisionID `json:"purged_revisions,omitempty"`
}

// KeyCount counts keys by what happened to them.
type KeyCount struct {
	Created int `json:"created"`
	Changed int `json:"changed"`
	Deleted int `json:"deleted"`
	Same    int `json:"same"` // other revisions, the same value
	// Conflict counts those that it left in conflict; they are in no other count.
	Conflict int `json:"conflict"`
	// AtMost is set instead if there are too many to look at each.
	AtMost int `json:"at_most,omitempty"`
}

// ForkRequest makes a fork.
type ForkRequest struct {
	Name   string  `json:"name"`
	From   string  `json:"from,omitempty"` // "" for default
	At     string  `json:"at,omitempty"`   // as in GetRequest, or a tag; "" for now
	Filter *Filter `json:"filter,omitempty"`
	Claim
}

// ForkChange renames, removes or restores a fork.
type ForkChange struct {
	Fork string `json:"fork"`
	// Name is the new name, of a rename.
	Name string `json:"name,omitempty"`
	// Force removes a fork that has writes which no other fork has.
	Force bool `json:"force,omitempty"`
	Claim
}

// Strategy says what a merge does with conflicts.
type Strategy string

// The strategies. The empty one is fail.
const (
	OnConflictFail   Strategy = "fail"
	OnConflictKeep   Strategy = "keep"
	OnConflictOurs   Strategy = "ours"
	OnConflictTheirs Strategy = "theirs"
	OnConflictLWW    Strategy = "lww"
)

// Resolution settles one key of a merge: by a side (a letter of the plan, a
// fork, a node or a revision), or by a value.
type Resolution struct {
	Key string `json:"key"`
	// Path settles one conflict of a json or yaml; "" all of the key.
	Path  crdt.Path `json:"path,omitempty"`
	Side  string    `json:"side,omitempty"`
	Value *[]byte   `json:"value_base64,omitempty"`
}

// MergeRequest merges Source into Into.
type MergeRequest struct {
	Source string `json:"source"`
	Into   string `json:"into"`
	// OnConflict, if it is empty, is what the destination's policies say, or fail.
	OnConflict Strategy     `json:"on_conflict,omitempty"`
	Resolve    []Resolution `json:"resolve,omitempty"`
	Skip       []string     `json:"skip,omitempty"`   // keys or patterns left out; offered again next time
	Reject     []string     `json:"reject,omitempty"` // keys that keep the destination's value
	// Plan only says what would happen.
	Plan bool `json:"plan,omitempty"`
	// Apply is the id of a plan: anything else than that plan is ErrStale.
	Apply string `json:"apply,omitempty"`
	Claim
}

// Merged is a plan of a merge, or what a merge did.
type Merged struct {
	Plan      string       `json:"plan"` // its id
	Source    string       `json:"source"`
	Into      string       `json:"into"`
	Clean     []MergedKey  `json:"clean"`
	Skipped   []string     `json:"skipped"`
	Unmatched []string     `json:"unmatched,omitempty"` // of what was to be skipped: that which is no key of this merge, and matches none
	Conflicts []Conflict   `json:"conflicts"`           // that stay open, or stop the merge
	Settled   []MergedKey  `json:"settled"`             // by the strategy, a resolution or a rejection
	Overrides []string     `json:"overrides"`           // values of the destination that a settlement replaces; they travel back at the next reverse merge
	Stops     bool         `json:"stops,omitempty"`     // for one of the conflicts nothing is written
	Applied   bool         `json:"applied"`
	Unchanged bool         `json:"unchanged,omitempty"` // there was nothing to merge
	Block     *dag.BlockID `json:"block,omitempty"`
}

// MergedKey is one key of a merge.
type MergedKey struct {
	Key    string `json:"key"`
	Change string `json:"change"` // created, changed, deleted, same
}

// ResolveRequest settles an open conflict: one of Take, Value and Delete.
type ResolveRequest struct {
	KeyRef
	Claim
	// ID names the conflict instead of a key.
	ID string `json:"id,omitempty"`
	// Path names one conflict of a json or yaml, or a place within it; "" is all
	// of the key's, and then a letter must mean one side of one conflict.
	Path crdt.Path `json:"path,omitempty"`
	// State, if set, must still be the conflict's, else ErrStale.
	State string `json:"state,omitempty"`
	// Take is a letter of the list, a fork, a node or a revision.
	Take   string  `json:"take,omitempty"`
	Value  *[]byte `json:"value_base64,omitempty"`
	Delete bool    `json:"delete,omitempty"`
}

// DiffRequest compares two forks, or one fork at two cuts. A and B are a fork,
// or FORK@AT with AT as in GetRequest or a tag.
type DiffRequest struct {
	A, B string
	// Key limits it to one key, or to those below a prefix that ends in "/".
	Key string
}

// Difference is one key that two sides serve differently.
type Difference struct {
	Key    string
	Change string // created, changed, deleted: from A to B
	A, B   []byte // nil if not there; values in JSON as a, b or a_base64, b_base64
	// KindA and KindB are zero if not there.
	KindA, KindB crdt.Kind
	// Fields are where two documents differ. What stands behind the door may
	// leave it nil: the door fills it, and compares lists as a whole.
	Fields []FieldChange
	// Layout: they are the same document, and only their texts differ.
	Layout bool
	// The key is in conflict there, and a policy serves nothing then: neither A
	// nor B is there.
	WithheldA, WithheldB bool
	// Who purged the values, if somebody did; then they are not there.
	PurgedA, PurgedB *PurgeInfo
}

// UndoRequest writes again what the keys of a block had before it.
type UndoRequest struct {
	Fork  string `json:"fork"`
	Block string `json:"block"` // "" for the newest that wrote on the fork
	Plan  bool   `json:"plan,omitempty"`
	Claim
}

// PickRequest writes the value of a revision on a fork.
type PickRequest struct {
	Revision Ref    `json:"revision"`
	Into     string `json:"into"`
	Claim
}

// Reset is what a rollback of many keys, or an undo, wrote.
type Reset struct {
	Written
	Changed []MergedKey `json:"changed"`
	Plan    bool        `json:"plan,omitempty"`
}

// ResetRequest writes the values again that all keys below a prefix ("" for
// every key) had at To: a time, a block or a tag.
type ResetRequest struct {
	Fork   string `json:"fork"`
	Prefix string `json:"prefix"`
	To     string `json:"to"`
	Plan   bool   `json:"plan,omitempty"`
	Claim
}

// PointerInfo is a tag or an alias, and who set it to what it is, and when. Of
// one that has just been removed, who removed it.
type PointerInfo struct {
	Name    string        `json:"name"`
	Fork    string        `json:"fork,omitempty"` // of an alias
	Cut     []dag.BlockID `json:"cut,omitempty"`  // of a tag
	Time    time.Time     `json:"time,omitzero"`
	Node    string        `json:"node,omitempty"`
	Author  Author        `json:"author,omitempty"`
	Message string        `json:"message,omitempty"`
	Clash   bool          `json:"clash,omitempty"`
}

// PointRequest sets or removes a tag (of the cut At, "" for now) or an alias
// (of Fork).
type PointRequest struct {
	Name   string `json:"name"`
	At     string `json:"at,omitempty"`
	Fork   string `json:"fork,omitempty"`
	Expect string `json:"expect,omitempty"` // an alias must point at this fork, else ErrStale
	Remove bool   `json:"remove,omitempty"`
	Claim
}

// Forks makes and names forks.
type Forks interface {
	Forks(ctx context.Context) ([]ForkInfo, error)
	CreateFork(ctx context.Context, r ForkRequest) (ForkInfo, error)
	RenameFork(ctx context.Context, r ForkChange) (ForkInfo, error)
	RemoveFork(ctx context.Context, r ForkChange) (ForkInfo, error)
	RestoreFork(ctx context.Context, r ForkChange) (ForkInfo, error)
}

// Merges joins forks and settles conflicts.
type Merges interface {
	// Merge plans a merge, or does it. When conflicts stop it, it returns the
	// plan with ErrConflict; when the plan to apply has moved, a fresh one with
	// ErrStale.
	Merge(ctx context.Context, r MergeRequest) (Merged, error)
	// Conflicts yields the open conflicts of a fork, of all if fork is "", in
	// byte order of fork, key and path.
	Conflicts(ctx context.Context, fork, prefix string) iter.Seq2[Conflict, error]
	Resolve(ctx context.Context, r ResolveRequest) (Written, error)
	// Diff yields, in byte order, the keys of which the two serve different
	// values; also where both show the same conflict, and each serves its own
	// side of it.
	Diff(ctx context.Context, r DiffRequest) iter.Seq2[Difference, error]
	Pick(ctx context.Context, r PickRequest) (Written, error)
}

// Pointers keeps tags and aliases, and goes back to what they name.
type Pointers interface {
	Tags(ctx context.Context) ([]PointerInfo, error)
	Aliases(ctx context.Context) ([]PointerInfo, error)
	Tag(ctx context.Context, r PointRequest) (PointerInfo, error)
	Alias(ctx context.Context, r PointRequest) (PointerInfo, error)
	// AliasLog yields the operations on an alias, newest first, from behind the
	// cursor after of an entry; ErrNotFound if it was never set.
	AliasLog(ctx context.Context, name, after string) iter.Seq2[LogEntry, error]
}

// Resets writes old values of many keys.
type Resets interface {
	Reset(ctx context.Context, r ResetRequest) (Reset, error)
	Undo(ctx context.Context, r UndoRequest) (Reset, error)
}

// AncestorForks answers the ancestor's fork and merge requests of one key.
// Sources that do not exist are ErrNotFound, and the message is the ancestor's
// word for it: not_found, source_not_found, target_not_found.
type AncestorForks interface {
	ForkKey(ctx context.Context, key, fork, target string) error
	MergeKey(ctx context.Context, key, fork, target string) error
}
