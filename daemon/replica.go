package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"crush/dag"
	"crush/rpc"
)

// ReplicaConfig is what a replica is opened with.
type ReplicaConfig struct {
	// Dir is the directory of the LevelDB; unused if Store is set.
	Dir string
	// Store replaces the LevelDB, for tests and simulations.
	Store dag.Store
	// Key is the node's.
	Key dag.NodeKey
	// Fingerprint says where the store is; see dag.Config.
	Fingerprint string
	// Name and Zone of this node, if the replica founds a cluster.
	Name, Zone string
	// Unfounded leaves an empty replica without a cluster, to join one.
	Unfounded bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Rand gives the salts and nonces; nil means crypto/rand. A simulation
	// that is to come out the same again sets it.
	Rand io.Reader
	// PartSize is how many bytes of an atomic change go into one block; a
	// longer change is split. 0 means 8 MiB.
	PartSize int
	// Announce is called with every block that this node writes, after it is
	// on disk. It must not block. Nil for nobody.
	Announce func(dag.Bundle)
	// Logger gets what the operator should know; nil discards.
	Logger *slog.Logger
}

// Replica is the store of one node: it joins the history that package dag
// keeps with the rules of package crdt. It needs neither network nor socket.
// Its methods are safe for concurrent use; their errors are *rpc.Error, or of
// the context.
type Replica struct {
	graph    *dag.Graph
	now      func() time.Time
	announce func(dag.Bundle)
	log      *slog.Logger
	partSize int
	series   openSeries
	memo     policyMemo
	labels   labelMemo
	states   states
}

var (
	_ rpc.Values    = (*Replica)(nil)
	_ rpc.Histories = (*Replica)(nil)
	_ rpc.Changes   = (*Replica)(nil)
	_ rpc.Ancestry  = (*Replica)(nil)
)

// OpenReplica opens the store, and founds a cluster of one node if it is
// empty. Damage is an error with rpc.CodeDamaged.
func OpenReplica(ctx context.Context, cfg ReplicaConfig) (*Replica, error) {
	r := &Replica{now: cfg.Now, announce: cfg.Announce, log: cfg.Logger, partSize: cmp.Or(cfg.PartSize, defaultPartSize)}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	store := cfg.Store
	if store == nil {
		db, err := dag.OpenLevelDB(cfg.Dir, false)
		if err != nil {
			return nil, outward(err)
		}
		store = db
	}
	g, err := dag.Open(ctx, dag.Config{Store: store, Key: cfg.Key, Now: r.now, Rand: cfg.Rand, Fingerprint: cfg.Fingerprint})
	if err != nil {
		return nil, outward(errors.Join(err, store.Close()))
	}
	r.graph = g
	if !cfg.Unfounded {
		if err := r.found(ctx, cfg.Name, cfg.Zone); err != nil {
			return nil, errors.Join(err, g.Close())
		}
	}
	return r, nil
}

// found makes a cluster of this node alone, unless it has or joins one.
func (r *Replica) found(ctx context.Context, name, zone string) error {
	if !r.graph.Cluster().IsZero() || !r.graph.Joining().IsZero() {
		return nil
	}
	_, err := r.graph.Found(ctx, dag.Member{Name: name, Zone: zone})
	return outward(err)
}

// Close waits for the write under way and closes the store.
func (r *Replica) Close() error { return r.graph.Close() }

// Graph is the history below the replica. Writing to it passes by the rules.
func (r *Replica) Graph() *dag.Graph { return r.graph }

// outward gives errors of the packages below the code that clients see.
func outward(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*rpc.Error](err); ok {
		return err
	}
	code := rpc.CodeInternal
	if _, ok := errors.AsType[*dag.PurgedError](err); ok {
		return &rpc.Error{Code: rpc.CodePurged, Message: err.Error(), Cause: err}
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, dag.ErrAbsent):
		return &rpc.Error{Code: rpc.CodeNotHere, Cause: err, Message: err.Error() + " (crush verify --repair asks other nodes for it)"}
	case errors.Is(err, dag.ErrCorrupt):
		return &rpc.Error{
			Code: rpc.CodeDamaged, Cause: err,
			Message: err.Error() + " (stop the daemon and run crush verify --rebuild; what is lost comes back from other nodes)",
		}
	case errors.Is(err, dag.ErrReadOnly):
		code = rpc.CodeReadOnly
	case errors.Is(err, dag.ErrTooLarge):
		code = rpc.CodeTooLarge
	case errors.Is(err, dag.ErrBadKey), errors.Is(err, dag.ErrBadID):
		code = rpc.CodeInvalid
	case errors.Is(err, dag.ErrNotWriter):
		code = rpc.CodeDenied
	case errors.Is(err, dag.ErrNotFound):
		code = rpc.CodeNotFound
	case errors.Is(err, dag.ErrLater):
		code = rpc.CodeNotHere
	}
	return &rpc.Error{Code: code, Message: err.Error(), Cause: err}
}

func failure(code rpc.Code, format string, args ...any) error {
	return &rpc.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// fork finds the fork that a name reads from.
func (r *Replica) fork(name string) (dag.Fork, error) {
	if name == "" {
		name = dag.DefaultForkName
	}
	f, ok := r.graph.ForkNamed(name)
	if !ok {
		return f, r.noFork(name)
	}
	return f, nil
}

// forkToChange finds the fork that a name writes to: the name must mean one.
func (r *Replica) forkToChange(name string) (dag.Fork, error) {
	f, err := r.fork(name)
	if err != nil || !f.Clash || f.ID.String() == name || strings.HasSuffix(name, "~"+f.ID.Short()) {
		return f, err
	}
	var ids []string
	for _, c := range r.graph.ForksLabelled(name) {
		ids = append(ids, name+"~"+c.ID.Short())
	}
	if len(ids) < 2 {
		return f, nil
	}
	return f, failure(rpc.CodeAmbiguous, "%d forks are called %q: write to one of %s, or rename one", len(ids), name, strings.Join(ids, ", "))
}

func (r *Replica) noFork(name string) error {
	for _, f := range r.graph.Forks() {
		if f.Deleted && f.Name == name {
			return failure(rpc.CodeNotFound, "the fork %q was removed: crush fork restore brings it back", name)
		}
	}
	return failure(rpc.CodeNotFound, "there is no fork %q on this node: crush fork ls lists them", name)
}

// checkKey refuses what cannot be a key.
func checkKey(key string) error { return outward(dag.ValidKey(key)) }

func headIDs(e *dag.Entry) []dag.RevisionID {
	out := make([]dag.RevisionID, len(e.Heads))
	for i := range e.Heads {
		out[i] = e.Heads[i].ID
	}
	return out
}

// nodeName is what people call a node: its name in the member list, else the
// end of its id.
func (r *Replica) nodeName(id dag.NodeID) string {
	if m, ok := r.graph.Member(id); ok && m.Name != "" {
		return m.Name
	}
	return id.Short()
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func timeOf(unixMilli int64) time.Time { return time.UnixMilli(unixMilli).UTC() }

func noteOf(c rpc.Claim) dag.Note { return dag.Note{Author: string(c.Author), Message: c.Message} }

// commit runs fn as one atomic write and announces the block.
func (r *Replica) commit(ctx context.Context, c rpc.Claim, fn func(*dag.Tx) error, hints ...dag.Hint) (dag.Receipt, error) {
	return r.commitNote(ctx, noteOf(c), fn, hints...)
}

// commitNote is commit with any note.
func (r *Replica) commitNote(ctx context.Context, n dag.Note, fn func(*dag.Tx) error, hints ...dag.Hint) (dag.Receipt, error) {
	rec, err := r.graph.Commit(ctx, n, fn, hints...)
	if err != nil {
		return rec, outward(err)
	}
	if r.announce != nil && rec.Bundle != nil {
		r.announce(rec.Bundle)
	}
	return rec, nil
}
