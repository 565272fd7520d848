package simulation

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/fxamacker/cbor/v2"

	"crush/crdt"
	"crush/crdt/oracle"
	"crush/dag"
)

// Mirror knows every block that was written anywhere, and judges each by the
// rules of the model, by brute force. What breaks a rule is void, as the
// mirror sees it: it does not ask a node which places those are, so a node
// that voids too much or too little serves something else than the mirror.
type Mirror struct {
	oracle    *oracle.Oracle
	blocks    map[dag.BlockID]*block
	revisions map[dag.RevisionID]*dag.Revision // void ones left out
	home      map[dag.RevisionID]*block        // where revisions stand
	chains    map[dag.ChainID]dag.NodeID       // who writes them
	lines     map[dag.ForkID][]*block          // what created a fork; none for the default one
	labels    map[dag.ForkID]string            // the first name; "" for the fork of a batch
	order     []dag.ForkID                     // in which forks became known
	voids     map[dag.BlockID]int              // how many parts of a block are void
	wrote     map[string][]oracle.Block        // by key
	joined    []oracle.Block                   // blocks with contributions
	seen      map[string]*sight
	policies  map[*sight]map[string]policy // by policy key, and key
	purged    map[dag.RevisionID]bool      // whose values are gone
}

// sight is what a read of a key on a fork must find.
type sight struct {
	view    crdt.View
	reading oracle.Reading // with view, and what is in it
	heads   []oracle.Revision
	visible int // revisions
}

// place is a key on a fork.
type place struct {
	fork dag.ForkID
	key  string
}

func newMirror() *Mirror {
	return &Mirror{
		oracle: oracle.New(), blocks: map[dag.BlockID]*block{}, revisions: map[dag.RevisionID]*dag.Revision{},
		home: map[dag.RevisionID]*block{}, chains: map[dag.ChainID]dag.NodeID{}, lines: map[dag.ForkID][]*block{},
		labels: map[dag.ForkID]string{dag.DefaultFork(): dag.DefaultForkName}, order: []dag.ForkID{dag.DefaultFork()},
		voids: map[dag.BlockID]int{}, wrote: map[string][]oracle.Block{}, seen: map[string]*sight{},
		policies: map[*sight]map[string]policy{}, purged: map[dag.RevisionID]bool{},
	}
}

// learn judges a new block. Those before it must be known.
func (m *Mirror) learn(bundle dag.Bundle) (*block, error) {
	b, err := readBlock(bundle)
	if err != nil {
		return nil, err
	}
	b.past, b.lam = oracle.Cut{}, uint64(b.Time)
	before := b.Deps
	if !b.Prev.IsZero() {
		before = append(slices.Clone(before), b.Prev)
	}
	for _, id := range before {
		p := m.blocks[id]
		if p == nil {
			return nil, fmt.Errorf("block %s stands on %s, which nobody wrote", b.id, id)
		}
		maps.Copy(b.past, p.past)
		b.lam = max(b.lam, p.lam+1)
	}
	b.past[oracle.Block(b.id)] = true
	m.blocks[b.id] = b
	for i, op := range b.Ops {
		if err := m.judge(b, uint32(i), op); err != nil {
			return nil, err
		}
	}
	b.node = m.chains[b.Chain]
	for i := range b.revisions {
		m.judgeRevision(b, i)
	}
	return b, nil
}

// judge applies an operation.
func (m *Mirror) judge(b *block, index uint32, op dag.Op) error {
	var err error
	ok := true
	switch op.Kind {
	case dag.OpChain:
		var body dag.ChainOp
		err = cbor.Unmarshal(op.Body, &body)
		m.chains[b.Chain] = body.Key
	case dag.OpFork:
		var body dag.ForkOp
		err = cbor.Unmarshal(op.Body, &body)
		ok = m.create(b, index, &body)
	case dag.OpMerge:
		var body dag.MergeOp
		err = cbor.Unmarshal(op.Body, &body)
		ok = m.merge(b, index, &body)
	case dag.OpDelete:
		var body dag.DeleteOp
		err = cbor.Unmarshal(op.Body, &body)
		ok = m.name(b, index, op.Kind, body.Fork, "")
	case dag.OpRestore:
		var body dag.RestoreOp
		err = cbor.Unmarshal(op.Body, &body)
		ok = m.name(b, index, op.Kind, body.Fork, "")
	case dag.OpRename:
		var body dag.RenameOp
		err = cbor.Unmarshal(op.Body, &body)
		ok = m.name(b, index, op.Kind, body.Fork, body.Name)
	}
	if !ok {
		m.voids[b.id]++
	}
	return err
}

// known reports whether a fork was created in a cut.
func (m *Mirror) known(cut oracle.Cut, fork dag.ForkID) bool {
	return fork == dag.DefaultFork() ||
		slices.ContainsFunc(m.lines[fork], func(b *block) bool { return cut[oracle.Block(b.id)] })
}

// contribution reads what an operation of a block contributes; ok is false if
// its fork or cut are not in the block's past.
func (m *Mirror) contribution(b *block, c *dag.Contribution) (out oracle.Contribution, ok bool) {
	if !m.known(b.past, c.Fork) {
		return out, false
	}
	out = oracle.Contribution{Block: oracle.Block(b.id), From: crdt.ForkID(c.Fork), Cut: oracle.Cut{}}
	if f := c.Filter; f != nil {
		out.Keys = func(key string) bool { return passes(f, key) }
	}
	if len(c.Cut) == 0 {
		maps.Copy(out.Cut, b.past)
		delete(out.Cut, oracle.Block(b.id))
	}
	for _, id := range c.Cut {
		p := m.blocks[dag.BlockID(id)]
		if p == nil || p == b || !b.past[oracle.Block(p.id)] {
			return out, false
		}
		maps.Copy(out.Cut, p.past)
	}
	return out, true
}

func (m *Mirror) contribute(c oracle.Contribution) {
	m.oracle.AddContribution(c)
	m.joined = append(m.joined, c.Block)
}

func (m *Mirror) create(b *block, index uint32, op *dag.ForkOp) (ok bool) {
	id := dag.NewForkID(b.Chain, b.Seq, index, b.Salt)
	if op.Named {
		id = dag.NamedFork(op.Name)
	}
	var from []oracle.Contribution
	for i := range op.From {
		c, ok := m.contribution(b, &op.From[i])
		if !ok {
			return false
		}
		c.Way, c.To = oracle.Creation, crdt.ForkID(id)
		from = append(from, c)
	}
	again := m.known(b.past, id)
	b.ops = append(b.ops, forkDeed{op: dag.OpFork, fork: id, name: op.Name, index: index, again: again})
	if again {
		return true
	}
	if _, ok := m.labels[id]; !ok {
		m.labels[id], m.order = op.Name, append(m.order, id)
	}
	m.lines[id] = append(m.lines[id], b)
	for _, c := range from {
		m.contribute(c)
	}
	return true
}

func (m *Mirror) merge(b *block, index uint32, op *dag.MergeOp) (ok bool) {
	c, ok := m.contribution(b, &op.From)
	if !ok || !m.known(b.past, op.Into) || op.Into == op.From.Fork {
		return false
	}
	c.Way, c.To = oracle.Merge, crdt.ForkID(op.Into)
	if m.labels[op.From.Fork] == "" {
		c.Way = oracle.Batch
	}
	m.contribute(c)
	b.ops = append(b.ops, forkDeed{op: dag.OpMerge, fork: op.Into, index: index})
	return true
}

func (m *Mirror) name(b *block, index uint32, kind dag.OpKind, fork dag.ForkID, name string) (ok bool) {
	if !m.known(b.past, fork) || fork == dag.DefaultFork() && kind != dag.OpRestore {
		return false
	}
	b.ops = append(b.ops, forkDeed{op: kind, fork: fork, name: name, index: index})
	return true
}

// judgeRevision adds the i-th revision of a block, if it claims its own place,
// its fork was made before it, and its parents, each given once, were visible
// on that fork at its place: in the block's past or before it in the block.
func (m *Mirror) judgeRevision(b *block, i int) {
	r, id := b.revisions[i], b.Revisions[i]
	fine := r.Chain == b.Chain && r.Seq == b.Seq && r.Index == uint64(i) && r.Salt == b.Salt && r.Time == b.Time && m.known(b.past, r.Fork)
	var readable []crdt.RevisionID
	if fine {
		for _, v := range m.oracle.At(b.past).Visible(crdt.ForkID(r.Fork), r.Key) {
			readable = append(readable, v.ID)
		}
	}
	var parents []crdt.RevisionID
	for _, p := range r.Parents {
		fine = fine && slices.Contains(readable, crdt.RevisionID(p)) && !slices.Contains(parents, crdt.RevisionID(p))
		parents = append(parents, crdt.RevisionID(p))
	}
	m.home[id] = b
	if !fine {
		m.voids[b.id]++
		return
	}
	m.revisions[id] = r
	m.wrote[r.Key] = append(m.wrote[r.Key], oracle.Block(b.id))
	added := oracle.Revision{
		ID: crdt.RevisionID(id), Fork: crdt.ForkID(r.Fork), Key: r.Key, Parents: parents, Kind: crdt.Kind(r.Kind), Deleted: r.Deleted,
		Value: b.payloads[i], Time: r.Time, Block: oracle.Block(b.id), Chain: crdt.ChainID(r.Chain), Order: r.Seq<<20 + r.Index,
		Open: r.Mark&dag.MarkOpen != 0,
	}
	if !r.Deleted {
		added.Change = changeOf(added.Kind, added.Value)
	}
	m.oracle.Add(added)
}

// see asks the oracle for a place within a cut. Answers are kept: they are the
// same for all cuts that agree on the blocks which matter to the key.
func (m *Mirror) see(cut oracle.Cut, at place) *sight {
	var sum oracle.Block
	for _, list := range [][]oracle.Block{m.wrote[at.key], m.joined} {
		for _, b := range list {
			if cut[b] {
				for i := range sum {
					sum[i] = sum[i]*3 + b[i]
				}
			}
		}
	}
	name := string(sum[:]) + string(at.fork[:]) + at.key
	if s := m.seen[name]; s != nil {
		return s
	}
	s := look(m.oracle.At(cut), at)
	m.seen[name] = s
	return s
}

func look(o *oracle.Oracle, at place) *sight {
	fork := crdt.ForkID(at.fork)
	reading := o.Read(fork, at.key)
	return &sight{view: reading.View, reading: reading, heads: o.Heads(fork, at.key), visible: len(o.Visible(fork, at.key))}
}

// foresee asks what a place would be if a fork, at a cut, were merged into its
// fork.
func (m *Mirror) foresee(cut oracle.Cut, at place, from dag.ForkID) *sight {
	merged := maps.Clone(cut)
	merged[oracle.Block{}] = true
	o := m.oracle.At(merged).With(oracle.Contribution{Way: oracle.Merge, To: crdt.ForkID(at.fork), From: crdt.ForkID(from), Cut: cut})
	return look(o, at)
}

// forks lists those that were made within a cut, in the order in which the
// mirror learned of them; those of batches only if asked for.
func (m *Mirror) forks(cut oracle.Cut, batches bool) (out []dag.ForkID) {
	for _, id := range m.order {
		if m.known(cut, id) && (batches || m.labels[id] != "") {
			out = append(out, id)
		}
	}
	return out
}

// tips are the blocks of a cut that no other one of it stands on, ascending.
func (m *Mirror) tips(cut oracle.Cut) (out []dag.BlockID) {
	covered := oracle.Cut{}
	for b := range cut {
		for _, id := range m.blocks[dag.BlockID(b)].before() {
			covered[oracle.Block(id)] = true
		}
	}
	for b := range cut {
		if !covered[b] {
			out = append(out, dag.BlockID(b))
		}
	}
	slices.SortFunc(out, func(a, b dag.BlockID) int { return bytes.Compare(a[:], b[:]) })
	return out
}

// before lists the blocks that b names as coming before it.
func (b *block) before() []dag.BlockID {
	if b.Prev.IsZero() {
		return b.Deps
	}
	return append(slices.Clone(b.Deps), b.Prev)
}

func (s *sight) exists() bool { return s.visible > 0 }

// served is the revision that is served; zero if there is none.
func (s *sight) served() (r oracle.Revision) {
	for _, h := range s.heads {
		if h.ID == s.view.Served {
			return h
		}
	}
	return r
}

// servedOrGone is the served revision, or a deletion where nothing is.
func (s *sight) servedOrGone() oracle.Revision {
	if !s.exists() {
		return oracle.Revision{Deleted: true, Kind: crdt.Bytes}
	}
	return s.served()
}

// value is what is served: "-" if nothing.
func (s *sight) value() string {
	if s.view.Absent() {
		return "-"
	}
	return string(s.served().Value)
}

func (s *sight) conflicted() bool { return len(s.view.Conflicts) > 0 }

func (s *sight) headIDs() []crdt.RevisionID {
	out := make([]crdt.RevisionID, len(s.heads))
	for i, h := range s.heads {
		out[i] = h.ID
	}
	return out
}

// same reports whether two sights have the same heads.
func (s *sight) same(t *sight) bool {
	return s == t || slices.Equal(s.headIDs(), t.headIDs())
}
