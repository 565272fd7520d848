// Package rpc is the door for local programs: an HTTP handler that answers on
// the Unix socket and on 127.0.0.1:7654, and the Go [Client] of both.
//
// The package owns the words that both sides share: requests, answers, errors
// and their status and exit codes. What stands behind the door is declared
// here as small noun interfaces, which package daemon implements.
//
// # Forms of the native API
//
// The routes stand in one table, which also makes /api/v1/openapi.json. What
// holds for all of them:
//
//   - An error is {"error":{"code":…,"message":…}} with the status of its
//     [Code]. A stream that fails after it has begun ends with such a line; a
//     JSON answer that fails after it has begun is cut off, so that a part never
//     passes for the whole.
//   - A merge that stops adds its plan to the error: {"error":{…},"plan":{…}}.
//   - A list is an object with one list in it, and the member next, to send as
//     after, if more follows. With Accept: application/x-ndjson it is one element
//     a line, of one snapshot, and without an end unless limit is sent.
//   - An unknown query parameter is refused, not ignored.
//   - An id or kind that is not there is "", a time null; value or value_base64
//     is left out.
//   - Headers that carry text (Crush-Author, Crush-Message, Crush-Warning) carry
//     it as it is, or, if it has control characters, percent-encoded as an
//     ext-value of RFC 8187 in UTF-8 without a language.
//   - Crush-Timeout, a duration, bounds how long the node waits for what is not
//     there yet; then it says what is missing.
//   - Every route that writes takes wait: a number of other nodes, or zones. If
//     they have not said in time that the write is on their disks, the answer is
//     504 and {"error":{…},"written":{…}}: the write is stored on this node.
//   - watch: lines; with Accept: text/event-stream, server-sent events whose id
//     is the cursor (an event with an id and no data only moves it); with wait,
//     one answer {"events":[…],"cursor":…}.
package rpc

import (
	"context"
	"io"
	"iter"
	"time"

	"crush/crdt"
	"crush/dag"
)

// Token names the heads of one key on one fork that a client has read; the
// heads may be none. It is opaque, URL-safe, valid on every node and for ever.
type Token string

// Cursor is a place in the change feed: opaque, URL-safe, valid on every node.
type Cursor string

// Author is a claimed name; it is shown as claimed, never as proved.
type Author string

// Ref is what a person typed to name a revision: a CID, the distinctive part
// of one (6 characters or more), or "head~N".
type Ref string

// Claim is what a writer says of a write, and what the door waits for before it
// answers. It goes in headers and parameters, never in a body.
type Claim struct {
	Author  Author `json:"-"`
	Message string `json:"-"`
	// Wait is for the door of a daemon: if it ends first the error is
	// ErrTimeout, and its Written is the answer of the write, which is stored on
	// that daemon's node. What stands behind the door does not look at it.
	Wait Wait `json:"-"`
}

// KeyRef names a key on a fork. An empty fork is the default one.
type KeyRef struct {
	Fork string
	Key  string
}

// GetRequest asks for a key. At most one of Rev and At is set.
type GetRequest struct {
	KeyRef
	// Rev wants the value of one revision.
	Rev Ref
	// At wants the view of an earlier cut: RFC 3339 time, or a block's CID
	// (or its distinctive part).
	At string
	// After waits until the node has this block (a CID or its distinctive
	// part), or ctx ends: ErrNotHere. A read is so not older than a write on
	// another node, whose answer has the block.
	After string
	// Path wants what stands at a path of a json or yaml: Value is then that
	// alone, a string as its text and anything else in the notation of the kind.
	// Nothing there is ErrNotFound. "" and "/" are the whole value.
	Path crdt.Path
	// Winner reads a key in conflict also where a policy serves nothing then
	// (Policy.Served): else that is ErrConflict, but for Rev and Meta.
	Winner bool
	// Meta leaves the value out of the answer.
	Meta bool
	// Bare leaves out Block, Node, Author and Message, which stand in the
	// block and not with the head.
	Bare bool
}

// Entry is what a read returns; its JSON form is that of `get -o json`.
type Entry struct {
	Key   string
	Fork  string
	Kind  crdt.Kind
	Value []byte // value (valid UTF-8) or value_base64 in JSON; nil when deleted
	// Document is Value as JSON, of a json or yaml; nil of other kinds, of bare
	// answers, and of what is not there.
	Document      []byte
	Deleted       bool // deleted or never written
	Heads         []dag.RevisionID
	Token         Token
	RevisionCount uint64
	Conflict      bool
	Conflicts     []Conflict
	Revision      dag.RevisionID // of the served value
	Block         dag.BlockID
	Node          string
	Author        Author
	Time          time.Time
	Message       string
	// Purged is set if the value was purged; then Value is not there.
	Purged *PurgeInfo
	// Withheld: the key is in conflict, and a policy serves nothing then, so
	// that Value is not there. Only lists have such entries.
	Withheld bool
	// Warning is one line that a person should see, as that a name is
	// ambiguous; "" for none.
	Warning string
}

// Conflict is two or more live values of which none has seen another.
type Conflict struct {
	Key   string             `json:"key"`
	Fork  string             `json:"fork"`
	ID    crdt.ConflictID    `json:"id"`
	State crdt.ConflictState `json:"state"`
	Path  string             `json:"path"`
	Kind  string             `json:"kind"` // value, delete/edit, type
	Sides []Side             `json:"sides"`
	// Base is what the sides had in common: of a plan, the newest revision that
	// both forks show; of an open conflict, the newest that every side has
	// seen. It is only for showing what was before; nil if there was nothing, or
	// if it is too far back.
	Base *Base `json:"base,omitempty"`
	// Proposal is the text that the lines of both sides join to, of two texts
	// whose changes since Base do not touch; "" if there is none. It is written
	// only when somebody takes it.
	Proposal string `json:"proposal,omitempty"`
}

// TakeProposal is the name of the proposal, where a side is taken.
const TakeProposal = "proposal"

// Base is what stood before the sides of a conflict parted.
type Base struct {
	Value    []byte // value or value_base64 in JSON
	Deleted  bool
	Kind     crdt.Kind
	Revision dag.RevisionID
	Node     string
	Author   Author
	Time     time.Time
	Fork     string
	Purged   *PurgeInfo // nil unless the value was purged, and Value is not there
}

// Side is one of the values of a conflict.
type Side struct {
	Letter   string
	Value    []byte // value or value_base64 in JSON
	Deleted  bool
	Served   bool
	Kind     crdt.Kind
	Revision dag.RevisionID
	Node     string
	Author   Author
	Time     time.Time
	Fork     string
	Purged   *PurgeInfo // nil unless the value was purged, and Value is not there
}

// PutRequest writes one key. At most one of Base, IfMatch, IfAbsent is set.
type PutRequest struct {
	KeyRef
	Claim
	Value []byte
	// Kind zero keeps the kind of what was read, or bytes. A json or yaml that is
	// what is served, byte for byte, writes nothing, nor does a value at a Path
	// that is there already: Written.Unchanged.
	Kind crdt.Kind
	// Otherwise is the kind of a key that has none, and that no policy has one
	// for; zero is bytes.
	Otherwise crdt.Kind
	// Path writes what stands at a path of the json or yaml that was read, and
	// nothing else. Value is in the notation of the key's kind, or, if Kind is
	// text, a string as such; another Kind must be the key's.
	Path crdt.Path
	// Base writes with the context that the token names; newer heads become
	// siblings.
	Base Token
	// IfMatch refuses with ErrStale unless the heads are exactly the token's.
	IfMatch Token
	// IfAbsent refuses with ErrStale if the key is there.
	IfAbsent bool
	// CreateFork names the fork into being if it does not exist (the
	// ancestor's API).
	CreateFork bool
}

// DeleteRequest deletes a key, or every key below Key if Recursive (Key then
// ends in "/"). Deleting nothing writes nothing.
type DeleteRequest struct {
	KeyRef
	Claim
	Base      Token
	IfMatch   Token
	Recursive bool
	// Path deletes what stands at a path of a json or yaml, and nothing else.
	Path crdt.Path
}

// Written is the answer to every write. Revision is zero when nothing had to
// be written.
type Written struct {
	Revision dag.RevisionID   `json:"revision"`
	Block    dag.BlockID      `json:"block"`
	Heads    []dag.RevisionID `json:"heads"`
	Token    Token            `json:"token"`
	Conflict bool             `json:"conflict"`
	// Unchanged is true when there was nothing to write.
	Unchanged bool `json:"unchanged,omitempty"`
	// Settled counts the sides of an open conflict that this write settled.
	Settled int `json:"settled,omitempty"`
	// Sibling is true when newer heads existed, so that this write became a
	// sibling of theirs.
	Sibling bool `json:"sibling,omitempty"`
	// Keys counts the keys written or deleted by a write of many.
	Keys int `json:"keys,omitempty"`
	// Warnings are lines that a person should see: of a json or yaml, which lists
	// are one value though a policy says how they are keyed.
	Warnings []string `json:"warnings,omitempty"`
}

// Info is the answer of `info`.
type Info struct {
	Key           string           `json:"key"`
	RevisionCount uint64           `json:"revision_count"`
	Heads         []dag.RevisionID `json:"heads"`
	Fork          string           `json:"fork"`
	Kind          crdt.Kind        `json:"kind"`
	Deleted       bool             `json:"deleted"`
	Conflict      bool             `json:"conflict"`
	Size          int64            `json:"size"`
	First         time.Time        `json:"first_time"`
	Last          time.Time        `json:"last_time"`
	Token         Token            `json:"token"`
}

// ListRequest asks for the keys of a fork in byte order.
type ListRequest struct {
	Fork   string
	Prefix string
	After  string // exclusive
	At     string // as in GetRequest
	// AfterBlock is GetRequest's After. Within bounds that wait; zero for as
	// long as ctx.
	AfterBlock string
	Within     time.Duration
	// Values fills each Entry's Value.
	Values bool
	// Winner fills it also where a policy withholds it: see Entry.
	Winner bool
}

// LogRequest asks for the history of a key, of the keys below a prefix (Key
// ends in "/"), or of the fork (Key is empty), newest first: of keys causally,
// of a fork as it came to the node. The log of a fork has what was written on
// it, and the operations that it takes part in; those that name no fork, as tags
// and members, stand in the log of each fork from its creation on.
type LogRequest struct {
	KeyRef
	// All asks for the logs of every fork, and for every operation; the fork
	// and the key must be empty.
	All    bool
	After  string // cursor of an earlier page: LogEntry.Cursor; exclusive
	Since  time.Time
	Author Author
	Node   string
	Values bool // fill Value
	// Graph, if it is positive, asks for the newest Graph blocks by which the
	// fork came to show what it shows, also those of other forks, with what
	// each stands on (LogEntry.Before); operations that are of no fork are left
	// out, and After must be empty. With a key it changes nothing: revisions
	// have parents.
	Graph int
}

// MaxWrote is how many of the changes of one revision a [LogEntry] names.
const MaxWrote = 16

// LogEntry is one revision of a history; in the log of a fork, one revision
// or operation of a block. Of an operation, what belongs to a revision is zero.
type LogEntry struct {
	Revision dag.RevisionID
	Block    dag.BlockID
	Parents  []dag.RevisionID
	Key      string
	Fork     string
	Kind     crdt.Kind
	Node     string
	Zone     string // of the node, in the member list as it is now
	Author   Author
	Time     time.Time
	// Purged is set if the value was purged; then Value is not there.
	Purged *PurgeInfo
	// Claimed is when the change was made where it was imported from; zero if it
	// was made here.
	Claimed time.Time
	Message string
	Size    int64 // of the value, in bytes
	Deleted bool
	// Wrote is what of a value the revision changed, the first [MaxWrote] of
	// WroteCount: the paths of a json or yaml, "+5", "-5" or "=5" of a counter,
	// "+NAME", "-NAME" or "=NAME" of the elements of a set. Of other kinds, and
	// of a value that is not there any more, there is none.
	Wrote      []string
	WroteCount int
	// Layout: a revision of a json or yaml changed no field of what its author
	// had read, but comments, order or spelling.
	Layout bool
	// Mark says why a revision was written, if it was no ordinary write:
	// resolved (by resolve, or by what settles a merge), or reverted (by undo
	// or rollback).
	Mark string
	// Operation is what the block did beside writing revisions; nil of a
	// revision.
	Operation *Operation
	// Head is true for the heads of the key.
	Head bool
	// Value is set when asked for.
	Value []byte
	// Cursor continues after this entry.
	Cursor string
	// Before, in a graph, are the blocks that the entry's stands on: of each
	// fork that it wrote on the newest, and of each that it forks or merges;
	// nil outside of graphs.
	Before []dag.BlockID
	// Newest, in a graph, are the forks whose newest block the entry's is.
	Newest []string
}

// The values of LogEntry.Mark.
const (
	MarkResolved = "resolved"
	MarkReverted = "reverted"
)

// Shown is the answer of `show`: one of its fields is set.
type Shown struct {
	Revision *LogEntry  `json:"revision,omitempty"`
	Block    *BlockInfo `json:"block,omitempty"`
	Conflict *Conflict  `json:"conflict,omitempty"`
}

// BlockInfo describes a block.
type BlockInfo struct {
	Block   dag.BlockID   `json:"block"`
	Chain   dag.ChainID   `json:"chain"`
	Seq     uint64        `json:"seq"`
	Prev    string        `json:"prev,omitempty"`
	Deps    []dag.BlockID `json:"deps"`
	Time    time.Time     `json:"time"`
	Node    string        `json:"node"`
	Author  Author        `json:"author,omitempty"`
	Message string        `json:"message,omitempty"`
	Ops     []string      `json:"ops"` // the kinds of all
	// Operations are those with effect that stand in logs.
	Operations []Operation `json:"operations"`
	Revisions  []LogEntry  `json:"revisions"`
}

// RollbackRequest writes the value that a key had at To: a revision of that
// key, a time, or a block.
type RollbackRequest struct {
	KeyRef
	Claim
	To string
	// Plan only says what would be written.
	Plan bool
}

// RolledBack is the answer of a rollback.
type RolledBack struct {
	Written
	From dag.RevisionID `json:"from"`
	To   dag.RevisionID `json:"to"`
	Plan bool           `json:"plan,omitempty"`
}

// File is one key of an apply or export.
type File struct {
	Key string `json:"key"`
	// Value is nil if the door has put it aside, as it does with most of a long
	// batch: Size and Load know.
	Value []byte `json:"value_base64"`

	aside aside
}

// ApplyRequest writes many keys in one atomic change. Equal values are
// skipped.
type ApplyRequest struct {
	Fork string
	Claim
	Files []File
	// Prune deletes keys below Prefix (all keys if Prefix is "") that Files
	// does not have.
	Prune  bool
	Prefix string
	Plan   bool
	// Label names the job that applies its files again and again. Of a key that
	// was written under the label before, what it wrote then is what it has
	// read: what others have written since stays, and a file that has not
	// changed writes nothing.
	Label string
}

// Applied says what an apply wrote, or would write.
type Applied struct {
	Block     dag.BlockID `json:"block"`
	Created   []string    `json:"created"`
	Changed   []string    `json:"changed"`
	Deleted   []string    `json:"deleted"`
	Unchanged int         `json:"unchanged"`
	Plan      bool        `json:"plan,omitempty"`
}

// WatchRequest asks for changes. Since is "now" (the default), "start", an RFC
// 3339 time, or a Cursor.
type WatchRequest struct {
	Fork   string
	Prefix string
	Since  string
	// State first sends the present keys as put events.
	State bool
	// Idle sends an event of type idle with the newest cursor when the end of
	// the feed is reached, and then at this interval; zero for never.
	Idle time.Duration
}

// Event is one change; its JSON form is one line of `watch`.
type Event struct {
	Cursor   Cursor
	Type     string // put, del, conflict, resolved, fork, merge, idle
	Fork     string
	Key      string
	Kind     crdt.Kind
	Value    []byte // value or value_base64 in JSON
	Token    Token
	Revision dag.RevisionID
	Block    dag.BlockID
	Last     bool // last event of an atomic block
	Node     string
	Author   Author
	Time     time.Time
	Purged   *PurgeInfo // nil unless the value was purged, and Value is not there
	Withheld bool       // the key is in conflict, and a policy serves nothing then
}

// Status is the answer of `status`.
type Status struct {
	Node      dag.NodeID    `json:"node"`
	Name      string        `json:"name"`
	Zone      string        `json:"zone"`
	Cluster   dag.ClusterID `json:"cluster"`
	Version   string        `json:"version"`
	Data      string        `json:"data"`
	Ready     bool          `json:"ready"`
	ReadOnly  string        `json:"read_only,omitempty"` // why
	Started   time.Time     `json:"started"`
	Time      time.Time     `json:"time"`
	Addresses []string      `json:"addresses"`
	Blocks    uint64        `json:"blocks"`
	Revisions uint64        `json:"revisions"`
	Keys      uint64        `json:"keys"`
	Chains    int           `json:"chains"`
	Frontier  dag.Digest    `json:"frontier"`
	DiskBytes int64         `json:"disk_bytes"`
	Void      uint64        `json:"void"`
	Peers     []PeerStatus  `json:"peers"`
	Zones     []ZoneStatus  `json:"zones"`
	Warnings  []string      `json:"warnings"`
}

// PeerStatus says how another member stands.
type PeerStatus struct {
	Node      dag.NodeID `json:"node"`
	Name      string     `json:"name"`
	Zone      string     `json:"zone"`
	Connected bool       `json:"connected"`
	Addresses []string   `json:"addresses"`
	// InSync is true when the peer's last known frontier equals ours.
	InSync bool `json:"in_sync"`
	// ClockSkew is the peer's clock minus ours, at the last HELLO.
	ClockSkew time.Duration `json:"clock_skew_ns"`
	LastSeen  time.Time     `json:"last_seen,omitzero"`
	// Lag is how far the peer is behind this node; nil if it has told nothing
	// since this node started.
	Lag *Lag `json:"lag"`
}

// Lag is how far a node is behind this one, as far as it has told.
type Lag struct {
	Blocks  int   `json:"blocks"`
	Seconds int64 `json:"seconds"` // since the first of them arrived here, rounded down
	// Since is when that was; zero if there are none.
	Since time.Time `json:"since"`
}

// ZoneStatus says how a zone stands. This node is one of its zone's.
type ZoneStatus struct {
	Zone      string `json:"zone"`
	Self      bool   `json:"self"` // this node is in it
	Nodes     int    `json:"nodes"`
	Connected int    `json:"connected"`
	InSync    int    `json:"in_sync"`
	// Lag is that of the node of the zone that is least behind; nil if none has
	// told.
	Lag *Lag `json:"lag"`
}

// Member is one line of the member list.
type Member struct {
	Node dag.NodeID `json:"node"`
	Name string     `json:"name"`
	Zone string     `json:"zone"`
	Role string     `json:"role"` // admin, writer, reader
	Self bool       `json:"self,omitempty"`
}

// MemberChange is the answer to a change of the member list: the member as it
// now is, or was when it was removed. Block is zero if nothing was to change.
type MemberChange struct {
	Member
	Block dag.BlockID `json:"block"`
}

// JoinRequest makes this node a member of another cluster: it must have been
// added there. A node with data of its own says what becomes of them.
type JoinRequest struct {
	Address string `json:"address"`
	// Discard gives them up.
	Discard bool `json:"discard"`
	// ImportAs brings their values along as a new fork of this name, see
	// Import; its author is the claim's.
	ImportAs string `json:"import_as,omitempty"`
	Claim
}

// Joined is the answer of a join.
type Joined struct {
	Cluster dag.ClusterID `json:"cluster"`
	Via     dag.NodeID    `json:"via"`
	Blocks  uint64        `json:"blocks"`
	// Import is set if the node brought data along.
	Import *Import `json:"import,omitempty"`
}

// Import says what a node that joined has brought along: the values that its
// forks served. All that it had is kept aside too, with its history.
type Import struct {
	Forks []ImportedFork `json:"forks"`
	Block dag.BlockID    `json:"block"` // that made the forks
	Aside string         `json:"aside"` // the data directory as it was
}

// ImportedFork is one fork of an import.
type ImportedFork struct {
	From string `json:"from"` // its name before
	Fork string `json:"fork"` // its name now
	Keys int    `json:"keys"`
	// Conflicts counts the keys that were in conflict: only what they served
	// was imported.
	Conflicts int `json:"conflicts"`
}

// Fault is one finding of `verify`.
type Fault struct {
	Kind   string `json:"kind"`
	Where  string `json:"where"`
	Detail string `json:"detail"`
	// Repaired is true if it is one no more.
	Repaired bool `json:"repaired,omitempty"`
}

// Progress is told how much of a long work is done; nil for nobody.
type Progress func(done, total uint64)

// Values reads and writes single keys.
type Values interface {
	Get(ctx context.Context, r GetRequest) (Entry, error)
	Put(ctx context.Context, r PutRequest) (Written, error)
	Delete(ctx context.Context, r DeleteRequest) (Written, error)
	// List yields the keys in byte order, of one snapshot.
	List(ctx context.Context, r ListRequest) iter.Seq2[Entry, error]
}

// Histories reads what was.
type Histories interface {
	Info(ctx context.Context, k KeyRef) (Info, error)
	Log(ctx context.Context, r LogRequest) iter.Seq2[LogEntry, error]
	// Show finds a revision, block or conflict by its id or a part of it.
	Show(ctx context.Context, id string) (Shown, error)
	Watch(ctx context.Context, r WatchRequest) iter.Seq2[Event, error]
}

// Changes writes more than one key, or an old value.
type Changes interface {
	Rollback(ctx context.Context, r RollbackRequest) (RolledBack, error)
	Apply(ctx context.Context, r ApplyRequest) (Applied, error)
}

// Ancestry answers the routes of the ancestor's API, whose history starts
// again after the newest delete. A fork or key that does not exist is "not
// there", never an error.
type Ancestry interface {
	// Previous yields the values before the served one, newest first, back to
	// the newest delete or the first write.
	Previous(ctx context.Context, k KeyRef) iter.Seq2[[]byte, error]
	// PreviousCount is the number of values that Previous yields; of a key with
	// one head, without walking the history.
	PreviousCount(ctx context.Context, k KeyRef) (uint64, error)
	// ForkKeys yields every key that is there, of every fork if fork is "".
	ForkKeys(ctx context.Context, fork, prefix string) iter.Seq2[KeyRef, error]
}

// Node is the daemon behind the door.
type Node interface {
	Status(ctx context.Context) (Status, error)
	Members(ctx context.Context) ([]Member, error)
	// AddMember adds a node, or changes a member: what m leaves empty stays.
	AddMember(ctx context.Context, m Member, c Claim) (MemberChange, error)
	// RemoveMember removes a member, named by its id or its name.
	RemoveMember(ctx context.Context, who string, c Claim) (MemberChange, error)
	Join(ctx context.Context, r JoinRequest) (Joined, error)
	// Verify checks the whole store and yields every fault. Progress is called
	// from within the loop.
	Verify(ctx context.Context, progress Progress) iter.Seq2[Fault, error]
	// Repair takes good copies of blocks that are damaged from other nodes, and
	// yields each that was.
	Repair(ctx context.Context, progress Progress) iter.Seq2[Fault, error]
}

// Archives moves the whole history of a cluster into a file and back. The file
// is a CAR, version 1, as package dag writes it.
type Archives interface {
	// Export writes everything that the node has applied. If it fails the file
	// is not whole.
	Export(ctx context.Context, w io.Writer) (Exported, error)
	// Import reads a file to its end and checks all of it, and then adds what the
	// node lacks. A file that is damaged or foreign is CodeUnparsed, one of
	// another cluster ErrDenied, both with nothing added.
	Import(ctx context.Context, r io.Reader) (Imported, error)
}

// Exported says what a file of a history holds.
type Exported struct {
	Cluster   dag.ClusterID `json:"cluster"`
	Node      dag.NodeID    `json:"node"` // that wrote it
	Time      time.Time     `json:"time"` // when
	Blocks    uint64        `json:"blocks"`
	Revisions uint64        `json:"revisions"`
	Keys      uint64        `json:"keys"` // of all forks, deleted ones included
}

// Imported says what a file of a history has added.
type Imported struct {
	Cluster   dag.ClusterID `json:"cluster"`
	Blocks    uint64        `json:"blocks"`    // new here
	Revisions uint64        `json:"revisions"` // of those
	Known     uint64        `json:"known"`     // blocks that were here already
	Node      dag.NodeID    `json:"node"`
	// Member is false if the node cannot write: nobody has added it to the
	// cluster yet.
	Member bool `json:"member"`
}

// Service is all that stands behind the door. The routes of a noun from Forks
// to Policies that is nil are answered with 404.
type Service struct {
	Values    Values
	Histories Histories
	Changes   Changes
	Ancestry  Ancestry
	Node      Node

	Forks         Forks
	Merges        Merges
	Pointers      Pointers
	Resets        Resets
	Purges        Purges
	AncestorForks AncestorForks
	Archives      Archives
	Series        Series
	Elements      Elements
	Blames        Blames
	Policies      Policies

	// Waits is for writes that wait for other nodes; nil refuses them.
	Waits Waits
	// Metrics writes Prometheus text; nil for none.
	Metrics func(w io.Writer) error
}
