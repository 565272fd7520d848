package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"crush/dag"
	"crush/rpc"
)

// Members implements rpc.Node.
func (d *Daemon) Members(context.Context) ([]rpc.Member, error) {
	list := []rpc.Member{}
	for _, m := range d.replica.Graph().Members() {
		list = append(list, d.member(m))
	}
	return list, nil
}

func (d *Daemon) member(m dag.Member) rpc.Member {
	return rpc.Member{Node: m.Node, Name: m.Name, Zone: m.Zone, Role: string(m.Role), Self: m.Node == d.dir.key.ID()}
}

// AddMember implements rpc.Node.
func (d *Daemon) AddMember(ctx context.Context, m rpc.Member, c rpc.Claim) (rpc.MemberChange, error) {
	role := dag.Role(m.Role)
	if m.Role != "" && (!role.Valid() || role == dag.RoleRemoved) {
		return rpc.MemberChange{}, invalid("role %q: want admin, writer or reader", m.Role)
	}
	for _, f := range []struct{ field, value string }{{"name", m.Name}, {"zone", m.Zone}} {
		if f.value != "" && !namePattern.MatchString(f.value) {
			return rpc.MemberChange{}, invalid("%s %q: want letters, digits and ._/- (128 at most, a letter or digit first)", f.field, f.value)
		}
	}
	want := dag.Member{Node: m.Node, Role: role, Name: m.Name, Zone: m.Zone}
	old, ok := d.replica.Graph().Member(m.Node)
	if !ok {
		old = dag.Member{Role: dag.RoleWriter}
	}
	if want.Role == "" {
		want.Role = old.Role
	}
	if want.Name == "" {
		want.Name = old.Name
	}
	if want.Zone == "" {
		want.Zone = old.Zone
	}
	return d.setMember(ctx, want, c, "add member")
}

// RemoveMember implements rpc.Node.
func (d *Daemon) RemoveMember(ctx context.Context, who string, c rpc.Claim) (rpc.MemberChange, error) {
	m, err := d.memberNamed(who)
	if err != nil {
		return rpc.MemberChange{}, err
	}
	gone := m
	gone.Role = dag.RoleRemoved
	out, err := d.setMember(ctx, gone, c, "remove member")
	out.Member = d.member(m)
	return out, err
}

// memberNamed finds the member that an id or a name means.
func (d *Daemon) memberNamed(who string) (dag.Member, error) {
	g := d.replica.Graph()
	if id, err := dag.ParseNodeID(who); err == nil {
		if m, ok := g.Member(id); ok {
			return m, nil
		}
		return dag.Member{}, failure(rpc.CodeNotFound, "%s is not a member of the cluster", who)
	}
	found := slices.DeleteFunc(g.Members(), func(m dag.Member) bool { return m.Name != who })
	switch len(found) {
	case 0:
		return dag.Member{}, failure(rpc.CodeNotFound, "no member of the cluster is called %.128s (member ls lists them)", who)
	case 1:
		return found[0], nil
	}
	return dag.Member{}, failure(rpc.CodeAmbiguous, "%d members are called %s: name one by its id, as %s", len(found), who, found[0].Node)
}

// setMember writes what a node is in the cluster, unless it is that.
func (d *Daemon) setMember(ctx context.Context, want dag.Member, c rpc.Claim, verb string) (rpc.MemberChange, error) {
	g := d.replica.Graph()
	if self, ok := g.Member(g.Node()); !ok || self.Role != dag.RoleAdmin {
		return rpc.MemberChange{}, failure(rpc.CodeDenied, "%s: only an admin of the cluster changes its members; this node is none", verb)
	}
	var same bool
	receipt, err := d.replica.commit(ctx, c, func(tx *dag.Tx) error {
		members := g.Members()
		if err := checkMembers(members, want); err != nil {
			return err
		}
		if same = slices.Contains(members, want); same {
			return nil
		}
		return tx.Op(dag.NewOp(dag.MemberOp(want)))
	})
	switch {
	case errors.Is(err, dag.ErrReadOnly):
		return rpc.MemberChange{}, &rpc.Error{Code: rpc.CodeReadOnly, Message: verb + ": " + err.Error(), Cause: err}
	case err != nil:
		return rpc.MemberChange{}, fmt.Errorf("%s: %w", verb, err)
	case same:
		return rpc.MemberChange{Member: d.member(want)}, nil
	}
	return rpc.MemberChange{Member: d.member(want), Block: receipt.Block}, nil
}

// checkMembers refuses a change that leaves two members of one name, or no
// admin.
func checkMembers(members []dag.Member, want dag.Member) error {
	admins := 0
	for _, m := range members {
		if m.Node == want.Node {
			m = want
		}
		if m.Role == dag.RoleAdmin {
			admins++
		}
		if m.Node != want.Node && m.Name == want.Name && want.Name != "" && want.Role != dag.RoleRemoved {
			return failure(rpc.CodeStale, "%s is called %s already: choose another name with --name, or remove that node first", m.Node, m.Name)
		}
	}
	if admins == 0 && want.Role != dag.RoleAdmin {
		return failure(rpc.CodeDenied, "this is the only admin: without one nobody could change the members any more (make another node one first)")
	}
	return nil
}

// callSelf writes the name and zone that the configuration gives this node
// into the member list, if they differ there. Only an admin can; another
// node's are set by member add on one.
func (d *Daemon) callSelf(ctx context.Context) error {
	g := d.replica.Graph()
	self, ok := g.Member(g.Node())
	want := d.calledAs(self)
	if !ok || want == self {
		return nil
	}
	err := failure(rpc.CodeDenied, "only an admin changes the members")
	if self.Role == dag.RoleAdmin {
		_, err = d.setMember(ctx, want, rpc.Claim{}, "name this node")
	}
	if errors.Is(err, rpc.ErrDenied) || errors.Is(err, rpc.ErrStale) {
		d.config.Logger.Warn("name and zone stay as the member list has them", "name", self.Name, "zone", self.Zone, "cause", err.Error())
		return nil
	}
	return err
}

// calledAs is what the configuration makes of this node's entry in the member
// list.
func (d *Daemon) calledAs(self dag.Member) dag.Member {
	if d.called.Name != "" {
		self.Name = d.called.Name
	}
	if d.called.Zone != "" {
		self.Zone = d.called.Zone
	}
	return self
}
