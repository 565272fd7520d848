package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"crush/dag"
	"crush/rpc"
)

// A node that joins another cluster and brings its values along goes through
// these steps; after a crash in any of them the join is run again.
//
//  1. All of its store is copied into a directory aside, a data directory of
//     its own, while nobody writes.
//  2. The file "import" says that this copy is to be imported, and as what.
//  3. The store is emptied, and takes the other cluster's history.
//  4. What the forks of the copy serve is written in the new cluster: as one
//     block, or on forks without a name that become visible as one operation.
//  5. The file goes. The copy stays: the operator removes it.

// importName is the file that says that an import waits.
const importName = "import"

// asidePrefix starts the names of the directories that keep what a node had
// before it joined.
const asidePrefix = "before-join-"

// pendingImport is what the file holds, as JSON.
type pendingImport struct {
	From  dag.ClusterID `json:"from"`  // the cluster of the copy
	Tips  []dag.BlockID `json:"tips"`  // what it holds: these blocks and all before them
	Fork  string        `json:"fork"`  // what its default fork is to be called
	Aside string        `json:"aside"` // the name of the copy's directory
}

// needed reports whether a graph has lost what the copy holds.
func (p *pendingImport) needed(g *dag.Graph) bool {
	return slices.ContainsFunc(p.Tips, func(id dag.BlockID) bool { return !g.Have(id) })
}

func (d *directory) importFile() string { return filepath.Join(d.path, importName) }

func (d *directory) aside(p *pendingImport) string { return filepath.Join(d.path, p.Aside) }

// readImport returns the import that waits; nil for none.
func (d *directory) readImport() (*pendingImport, error) {
	text, err := os.ReadFile(d.importFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var p pendingImport
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil || !filepath.IsLocal(p.Aside) || !strings.HasPrefix(p.Aside, asidePrefix) {
		return nil, failure(rpc.CodeDamaged, "%s is damaged: what was to be imported is in a directory %s… beside it; remove the file to give the import up",
			d.importFile(), asidePrefix)
	}
	return &p, nil
}

func (d *directory) writeImport(p *pendingImport) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return writeDurably(d.importFile(), append(text, '\n'))
}

// forgetImport removes the file, if there is one.
func (d *directory) forgetImport() error {
	err := os.Remove(d.importFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncDirectory(d.path))
}

// pendingImport returns the import that an earlier join left unfinished, as
// the request now wants it: with --discard there is none any more.
func (j *joiner) pendingImport(r *rpc.JoinRequest) (*pendingImport, error) {
	p, err := j.dir.readImport()
	switch {
	case err != nil || p == nil:
		return nil, err
	case r.Discard:
		return nil, j.dir.forgetImport()
	case !p.needed(j.replica.Graph()):
		// Nothing has gone yet, and more may have been written since the copy.
		return nil, errors.Join(j.dir.forgetImport(), os.RemoveAll(j.dir.aside(p)))
	case r.ImportAs != "" && r.ImportAs != p.Fork:
		p.Fork = r.ImportAs
		return p, j.dir.writeImport(p)
	}
	return p, nil
}

// keepAndAdopt copies all that this node has aside, notes that it is to be
// imported, and then gives it up for another cluster's history.
func (j *joiner) keepAndAdopt(ctx context.Context, cluster dag.ClusterID, r *rpc.JoinRequest) (*pendingImport, error) {
	g := j.replica.Graph()
	if _, err := j.replica.toImport(ctx, r.ImportAs); err != nil {
		return nil, err
	}
	p := &pendingImport{From: g.Cluster(), Fork: r.ImportAs, Aside: asidePrefix + time.Now().UTC().Format("20060102T150405.000")}
	kept := false
	err := g.AdoptKeeping(ctx, cluster, func(all dag.Reader) error {
		p.Tips = g.Now().Tips()
		err := j.dir.keepAside(ctx, j.dir.aside(p), all)
		if err == nil {
			err = j.dir.writeImport(p)
		}
		kept = err == nil
		return err
	})
	if err != nil && !kept {
		err = fmt.Errorf("keep this node's data aside: %w", explain(j.dir.path, err))
		return nil, errors.Join(err, os.RemoveAll(j.dir.aside(p)))
	}
	return p, outward(err)
}

// partSuffix ends the name of a copy that is not whole yet.
const partSuffix = ".part"

// keepAside makes a data directory with this node's key and all records of its
// store. It is there whole or not at all; what a crash left of another goes.
func (d *directory) keepAside(ctx context.Context, path string, all dag.Reader) error {
	left, err := filepath.Glob(filepath.Join(d.path, asidePrefix+"*"+partSuffix))
	if err != nil {
		return err
	}
	for _, part := range left {
		if err := os.RemoveAll(part); err != nil {
			return err
		}
	}
	part := path + partSuffix
	if err := d.copyTo(ctx, part, all); err != nil {
		return errors.Join(err, os.RemoveAll(part))
	}
	return errors.Join(os.Rename(part, path), syncDirectory(d.path))
}

func (d *directory) copyTo(ctx context.Context, path string, all dag.Reader) (err error) {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	for name, text := range map[string]string{markerName: markerText, keyName: formatKey(d.key)} {
		if err := writeDurably(filepath.Join(path, name), []byte(text)); err != nil {
			return err
		}
	}
	db, err := dag.OpenLevelDB(filepath.Join(path, storeName), false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close(), syncDirectory(path)) }()
	return dag.CopyStore(ctx, all, db)
}

// finishImport writes what was kept aside as forks of this cluster, unless an
// earlier join did so and could not say so any more.
func (j *joiner) finishImport(ctx context.Context, p *pendingImport, c rpc.Claim) (out *rpc.Import, err error) {
	aside := j.dir.aside(p)
	old, err := OpenReplica(ctx, ReplicaConfig{Dir: filepath.Join(aside, storeName), Key: j.dir.key, Unfounded: true})
	if err != nil {
		return nil, fmt.Errorf("open what was kept in %s: %w", aside, err)
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	forks, err := old.toImport(ctx, p.Fork)
	if err != nil {
		return nil, err
	}
	c.Message = fmt.Sprintf("imported from cluster %s, block %s", p.From, blockTexts(old.Graph().Now().Tips()))
	block, err := j.replica.importedBefore(ctx, p.Fork, c.Message)
	if err == nil && block.IsZero() {
		block, err = j.replica.importForks(ctx, old, forks, c)
	}
	if err != nil {
		return nil, failure(rpc.CodeOf(err), "this node has joined, but what it had is not imported yet: %s; it waits in %s: run join again, with another --import-as if need be", err, aside)
	}
	out = &rpc.Import{Block: block, Aside: aside}
	for _, f := range forks {
		out.Forks = append(out.Forks, rpc.ImportedFork{From: f.from, Fork: f.to, Keys: f.keys, Conflicts: f.conflicts})
	}
	return out, j.dir.forgetImport()
}

func blockTexts(ids []dag.BlockID) string {
	var list []string
	for _, id := range ids {
		list = append(list, id.String())
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// importedFork is a fork of another cluster, and what it is to be called here.
type importedFork struct {
	fork      dag.ForkID
	from, to  string
	keys      int
	conflicts int
	size      int // bytes that its values take in blocks, about
}

// toImport lists the forks of this replica that serve anything, the default
// one first, which is to be called name; the others name/FORK.
func (r *Replica) toImport(ctx context.Context, name string) (out []importedFork, err error) {
	for _, f := range r.graph.Forks() {
		if f.Deleted {
			continue
		}
		i := importedFork{fork: f.ID, from: f.Name, to: name + "/" + strings.ReplaceAll(f.Name, "~", "-")}
		if f.ID == dag.DefaultFork() {
			i.to = name
		}
		if err := checkName(i.to); err != nil {
			return nil, err
		}
		for v, err := range r.servedValues(ctx, &i) {
			if err != nil {
				return nil, err
			}
			i.keys++
			i.size += v.room()
		}
		switch {
		case f.ID == dag.DefaultFork():
			out = slices.Insert(out, 0, i)
		case i.keys > 0:
			out = append(out, i)
		}
	}
	return out, nil
}

// servedValue is a key that serves something.
type servedValue struct {
	*sight
	head *dag.Head
}

// claimRoom is the most that an author or message of a value takes that is
// imported: they stand with every value of a block.
const claimRoom = 256

// room is about how many bytes of a block the value takes.
func (v *servedValue) room() int { return len(v.Key) + int(v.head.Size) + partRoom + 2*claimRoom }

// servedValues yields what the keys of a fork serve, and counts the conflicts
// among them.
func (r *Replica) servedValues(ctx context.Context, f *importedFork) iter.Seq2[servedValue, error] {
	return func(yield func(servedValue, error) bool) {
		f.conflicts = 0
		for e, err := range r.graph.Entries(ctx, f.fork, "", "") {
			if err != nil {
				yield(servedValue{}, outward(err))
				return
			}
			s, err := r.look(&e)
			if err != nil {
				yield(servedValue{}, outward(err))
				return
			}
			if s.Opaque {
				yield(servedValue{}, failure(rpc.CodeDenied, "%q on %q holds a value of a kind that this version does not know: a newer one can import it", e.Key, f.from))
				return
			}
			if !s.settled() {
				f.conflicts++
			}
			if s.Absent() || r.graph.PurgedHead(e.Key, s.served()) {
				continue
			}
			if !yield(servedValue{s, s.served()}, nil) {
				return
			}
		}
	}
}

// draft is the revision that a served value of this replica becomes on another
// fork. Who wrote it, when and why goes along, as claims.
func (r *Replica) draft(v servedValue) (d dag.Draft, err error) {
	value, err := v.content()
	if err != nil {
		return d, outward(err)
	}
	fresh := sight{Entry: &dag.Entry{Fork: v.Fork, Key: v.Key}, r: r, from: v.from}
	first, err := fresh.draft(&value, dag.MarkNone)
	if err != nil {
		return d, outward(err)
	}
	c, err := r.graph.HeadChange(v.head)
	if err != nil {
		return d, outward(err)
	}
	d = *first
	message := fmt.Sprintf("imported; written by %s at %s", r.nodeName(c.Node), timeOf(v.head.Time).Format(time.RFC3339))
	if m := clip(c.Note.Message); m != "" {
		message = m + " (" + message + ")"
	}
	d.Note = &dag.Note{Author: clip(c.Note.Author), Message: message, Time: v.head.Time}
	return d, nil
}

// clip shortens a claim to claimRoom.
func clip(text string) string {
	if len(text) <= claimRoom {
		return text
	}
	return strings.ToValidUTF8(text[:claimRoom-len("…")], "") + "…"
}

// importedBefore returns the block that made a fork with a message on this
// node; zero if there is none. A fork of that name that came otherwise is
// refused.
func (r *Replica) importedBefore(ctx context.Context, name, message string) (dag.BlockID, error) {
	f, ok := r.graph.ForkNamed(name)
	if !ok {
		return dag.BlockID{}, nil
	}
	for e, err := range r.Log(ctx, rpc.LogRequest{KeyRef: rpc.KeyRef{Fork: f.Name}}) {
		if err != nil {
			return dag.BlockID{}, err
		}
		if e.Operation != nil && e.Operation.Kind == rpc.OperationFork && e.Message == message {
			return e.Block, nil
		}
	}
	return dag.BlockID{}, failure(rpc.CodeStale, "the cluster has a fork %q already", name)
}

// importForks writes what forks of another replica serve as new forks of this
// one: for every reader, on every node, all of them or none.
func (r *Replica) importForks(ctx context.Context, old *Replica, forks []importedFork, c rpc.Claim) (dag.BlockID, error) {
	size := 0
	for i := range forks {
		size += forks[i].size
	}
	if size > r.partSize {
		return r.importParts(ctx, old, forks, c)
	}
	values := make([][]dag.Draft, len(forks))
	for i := range forks {
		for v, err := range old.servedValues(ctx, &forks[i]) {
			if err != nil {
				return dag.BlockID{}, err
			}
			d, err := old.draft(v)
			if err != nil {
				return dag.BlockID{}, err
			}
			values[i] = append(values[i], d)
		}
	}
	rec, err := r.commit(ctx, c, func(tx *dag.Tx) error {
		made, err := makeForks(tx, forks)
		if err != nil {
			return err
		}
		for i, f := range made {
			for _, d := range values[i] {
				d.Fork = f.ID
				if err := tx.Put(d); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return rec.Block, err
}

// makeForks makes the forks of an import, showing nothing yet.
func makeForks(tx *dag.Tx, forks []importedFork) (made []dag.Fork, err error) {
	for i := range forks {
		if err := nameIsFree(tx, forks[i].to); err != nil {
			return nil, err
		}
		f, err := tx.CreateFork(forks[i].to)
		if err != nil {
			return nil, err
		}
		made = append(made, f)
	}
	return made, nil
}

// importParts is importForks for what is too big for one block: it is written
// on forks without a name, which become visible as one operation.
func (r *Replica) importParts(ctx context.Context, old *Replica, forks []importedFork, c rpc.Claim) (dag.BlockID, error) {
	batches := make([]dag.Fork, len(forks))
	for i := range forks {
		var err error
		if batches[i], err = r.importBatch(ctx, old, &forks[i], c); err != nil {
			return dag.BlockID{}, err
		}
	}
	tips := r.graph.Now().Tips()
	rec, err := r.commit(ctx, c, func(tx *dag.Tx) error {
		made, err := makeForks(tx, forks)
		if err != nil {
			return err
		}
		for i, f := range made {
			if err := tx.Op(dag.NewOp(dag.MergeOp{Into: f.ID, From: dag.NewContribution(batches[i].ID, tips, nil)})); err != nil {
				return err
			}
		}
		return nil
	})
	return rec.Block, err
}

// importBatch writes what a fork of another replica serves on a fork without a
// name, a part a block.
func (r *Replica) importBatch(ctx context.Context, old *Replica, f *importedFork, c rpc.Claim) (batch dag.Fork, err error) {
	_, err = r.commit(ctx, c, func(tx *dag.Tx) (err error) {
		batch, err = tx.CreateFork("")
		return err
	})
	if err != nil {
		return batch, err
	}
	var part []dag.Draft
	size := 0
	write := func() error {
		_, err := r.commit(ctx, c, func(tx *dag.Tx) error {
			for _, d := range part {
				if err := tx.Put(d); err != nil {
					return err
				}
			}
			return nil
		})
		part, size = nil, 0
		return err
	}
	for v, err := range old.servedValues(ctx, f) {
		if err != nil {
			return batch, err
		}
		if size+v.room() > r.partSize && len(part) > 0 {
			if err := write(); err != nil {
				return batch, err
			}
		}
		d, err := old.draft(v)
		if err != nil {
			return batch, err
		}
		d.Fork = batch.ID
		part, size = append(part, d), size+v.room()
	}
	if len(part) == 0 {
		return batch, nil
	}
	return batch, write()
}
