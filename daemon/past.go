package daemon

import (
	"crush/crdt"
	"crush/dag"
)

// past looks up what is behind the heads of an entry, for the rules of crdt, and
// in what the replica remembers of open revisions. It keeps its first error: what was read with it is then worth nothing.
type past struct {
	r     *Replica
	from  reader
	e     *dag.Entry
	known map[crdt.RevisionID]*dag.Change
	// source is what Source has returned: the view of a source can want that of
	// its own source, so that asking twice at each fork would double the work.
	source *crdt.View
	purges int // that the graph had when looking began
	err    error
}

// Revision implements crdt.History.
func (p *past) Revision(id crdt.RevisionID) crdt.Revision {
	c, err := p.from.change(p.e.Key, dag.RevisionID(id))
	if err != nil {
		p.fail(err)
		return crdt.Revision{}
	}
	p.known[id] = &c
	r := c.Revision
	order := c.Order()
	out := crdt.Revision{
		Write: crdt.Write{
			ID: id, Chain: crdt.ChainID(r.Chain), Time: r.Time, Kind: crdt.Kind(r.Kind), Deleted: r.Deleted, Value: crdt.Sum(r.Value),
			Open: r.Mark&dag.MarkOpen != 0,
		},
		Order: crdt.Order(order),
	}
	for _, parent := range r.Parents {
		out.Parents = append(out.Parents, crdt.RevisionID(parent))
	}
	if !r.Deleted {
		h := p.from.head(&c)
		if out.Payload, err = p.from.payload(&h); isGone(err) {
			out.Gone = true
		} else {
			p.fail(err)
		}
	}
	return out
}

// Origin implements crdt.History.
func (p *past) Origin(id crdt.RevisionID) crdt.Origin {
	c := p.known[id]
	if c == nil {
		p.Revision(id)
		if c = p.known[id]; c == nil {
			return crdt.Merged
		}
	}
	one := &dag.Entry{Fork: p.e.Fork, Key: p.e.Key, Heads: []dag.Head{p.from.head(c)}}
	return origins[p.from.ways(one)[0]]
}

// Source implements crdt.History.
func (p *past) Source() crdt.View {
	if p.source == nil {
		v, err := p.r.sourceView(p.e)
		p.fail(err)
		p.source = &v
	}
	return *p.source
}

func (p *past) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}
