package dag

import (
	"bytes"
	"cmp"
	"slices"
)

// Role is what a node may do in a cluster.
type Role string

// The roles. A removed node is none of the cluster any more.
const (
	RoleAdmin   Role = "admin"
	RoleWriter  Role = "writer"
	RoleReader  Role = "reader"
	RoleRemoved Role = "removed"
)

// Valid reports whether the role is one that this version knows.
func (r Role) Valid() bool {
	return r == RoleAdmin || r == RoleWriter || r == RoleReader || r == RoleRemoved
}

// writes reports whether a node with this role may write blocks.
func (r Role) writes() bool { return r == RoleAdmin || r == RoleWriter }

// Member is a node of the cluster.
type Member struct {
	Node NodeID
	Role Role
	Name string
	Zone string
}

// memberEvent is a membership operation that is not void.
type memberEvent struct {
	op     MemberOp
	author NodeID
	past   past // of its block
	loc    loc
	order  order
}

// concurrent reports whether neither event has seen the other.
func (e *memberEvent) concurrent(f *memberEvent) bool {
	return !e.past.covers(f.loc.line, f.loc.seq) && !f.past.covers(e.loc.line, e.loc.seq)
}

// roster is the list of membership operations, in an order that extends
// causality and is the same on every node. It is replaced, never changed.
type roster struct {
	events []memberEvent
	now    map[NodeID]Member // the whole applied set
}

// with returns the roster with one more event.
func (r *roster) with(e memberEvent) *roster {
	next := &roster{events: append(slices.Clone(r.events), e)}
	slices.SortFunc(next.events, func(a, b memberEvent) int {
		return cmp.Or(a.order.compare(b.order), bytes.Compare(a.order.block[:], b.order.block[:]))
	})
	next.now = next.fold()
	return next
}

// role is what a node was in the causal past that covers describes: the last
// operation on it there.
func (r *roster) role(node NodeID, covers func(loc) bool) Role {
	for _, e := range slices.Backward(r.events) {
		if e.op.Node == node && covers(e.loc) {
			return e.op.Role
		}
	}
	return ""
}

// fold computes who may connect: of the whole applied set, the last operation
// on each node. An operation that is concurrent with the removal of its author
// has no effect, unless it is a removal itself: so a removed admin cannot add
// himself back, and of two that remove each other both are out.
func (r *roster) fold() map[NodeID]Member {
	now := map[NodeID]Member{}
	for i := range r.events {
		e := &r.events[i]
		if e.op.Role == RoleRemoved {
			delete(now, e.op.Node)
		} else if !r.outlawed(e) {
			now[e.op.Node] = Member(e.op)
		}
	}
	return now
}

// outlawed reports whether an event's author was removed concurrently.
func (r *roster) outlawed(e *memberEvent) bool {
	return slices.ContainsFunc(r.events, func(f memberEvent) bool {
		return f.op.Role == RoleRemoved && f.op.Node == e.author && f.concurrent(e)
	})
}

// Members returns the member list of everything applied, in order of name,
// then node.
func (g *Graph) Members() []Member {
	now := g.moment.Load().roster.now
	out := make([]Member, 0, len(now))
	for _, m := range now {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), bytes.Compare(a.Node[:], b.Node[:]))
	})
	return out
}

// Member returns a node of the cluster; ok is false if it is none.
func (g *Graph) Member(id NodeID) (m Member, ok bool) {
	m, ok = g.moment.Load().roster.now[id]
	return m, ok
}

// IsMember reports whether a node is of the cluster.
func (g *Graph) IsMember(id NodeID) bool {
	_, ok := g.Member(id)
	return ok
}
