package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"time"

	"crush/dag"
	"crush/rpc"
)

var _ rpc.Node = (*Daemon)(nil)

// Status implements rpc.Node.
func (d *Daemon) Status(ctx context.Context) (rpc.Status, error) {
	if err := ctx.Err(); err != nil {
		return rpc.Status{}, context.Cause(ctx)
	}
	g := d.replica.Graph()
	stats := g.Stats()
	used, err := diskUse(d.dir.path)
	if err != nil {
		return rpc.Status{}, fmt.Errorf("measure data directory: %w", err)
	}
	r := d.reachable()
	s := rpc.Status{
		Node: r.Node, Name: d.config.Name, Zone: d.config.Zone,
		Cluster: g.Cluster(), Version: d.config.Version, Data: r.Data, Ready: true,
		Started: d.started, Time: time.Now(), Addresses: r.Addresses,
		Blocks: stats.Blocks, Revisions: stats.Revisions, Keys: stats.Keys,
		Chains: stats.Chains, Frontier: g.Digest(), DiskBytes: used, Void: stats.Void,
		Peers: d.peers(), Warnings: d.warnings(stats),
	}
	s.Warnings = append(s.Warnings, skewed(s.Peers)...)
	if self, ok := g.Member(r.Node); ok {
		s.Name, s.Zone = self.Name, self.Zone
	}
	if stats.Failed != nil {
		s.ReadOnly = stats.Failed.Error()
	}
	return s, nil
}

// warnings are lines that an operator should act on.
func (d *Daemon) warnings(stats dag.Stats) []string {
	list := []string{}
	if stats.Fenced > 0 {
		list = append(list, fmt.Sprintf(
			"%d blocks signed by this node came from others: its data was restored from a backup, or another node runs with its key",
			stats.Fenced))
	}
	if c := d.replica.Graph().Joining(); !c.IsZero() {
		list = append(list, fmt.Sprintf("this node waits for the history of cluster %s: run join again", c))
	}
	if g := d.replica.Graph(); !g.Cluster().IsZero() && !g.IsMember(d.dir.key.ID()) {
		list = append(list, "this node is not a member of its cluster: it takes no writes, and no other node talks to it")
	}
	return list
}

// Members implements rpc.Node.
func (d *Daemon) Members(context.Context) ([]rpc.Member, error) {
	list := []rpc.Member{}
	for _, m := range d.replica.Graph().Members() {
		list = append(list, rpc.Member{
			Node: m.Node, Name: m.Name, Zone: m.Zone, Role: string(m.Role), Self: m.Node == d.dir.key.ID(),
		})
	}
	return list, nil
}

// AddMember implements rpc.Node. A node that is a member already gets the new
// role, name and zone.
func (d *Daemon) AddMember(ctx context.Context, m rpc.Member, c rpc.Claim) (dag.BlockID, error) {
	role := dag.Role(m.Role)
	if role == "" {
		role = dag.RoleWriter
	}
	if !role.Valid() || role == dag.RoleRemoved {
		return dag.BlockID{}, invalid("role %q: want admin, writer or reader", m.Role)
	}
	for _, f := range []struct{ field, value string }{{"name", m.Name}, {"zone", m.Zone}} {
		if f.value != "" && !namePattern.MatchString(f.value) {
			return dag.BlockID{}, invalid("%s %q: want letters, digits and ._/- (128 at most, a letter or digit first)", f.field, f.value)
		}
	}
	g := d.replica.Graph()
	if self, ok := g.Member(g.Node()); !ok || self.Role != dag.RoleAdmin {
		return dag.BlockID{}, &rpc.Error{Code: rpc.CodeDenied, Message: "only an admin of the cluster adds members; this node is none"}
	}
	receipt, err := d.replica.commit(ctx, c, func(tx *dag.Tx) error {
		return tx.Op(dag.NewOp(dag.MemberOp{Node: m.Node, Role: role, Name: m.Name, Zone: m.Zone}))
	})
	switch {
	case errors.Is(err, dag.ErrReadOnly):
		return dag.BlockID{}, &rpc.Error{Code: rpc.CodeReadOnly, Message: "add member: " + err.Error(), Cause: err}
	case err != nil:
		return dag.BlockID{}, fmt.Errorf("add member: %w", err)
	}
	return receipt.Block, nil
}

// callSelf writes the name and zone that the configuration gives this node
// into the member list, if they differ there. Only an admin can; another
// node's are set by member add on one.
func (d *Daemon) callSelf(ctx context.Context) error {
	g := d.replica.Graph()
	self, ok := g.Member(g.Node())
	want := self
	if d.called.Name != "" {
		want.Name = d.called.Name
	}
	if d.called.Zone != "" {
		want.Zone = d.called.Zone
	}
	if !ok || want == self {
		return nil
	}
	if self.Role != dag.RoleAdmin {
		d.config.Logger.Warn("name and zone stay as the member list has them: an admin sets them with member add",
			"name", self.Name, "zone", self.Zone)
		return nil
	}
	_, err := d.replica.commit(ctx, rpc.Claim{}, func(tx *dag.Tx) error { return tx.Op(dag.NewOp(dag.MemberOp(want))) })
	if err != nil {
		return fmt.Errorf("write the node's name: %w", err)
	}
	return nil
}

// Verify implements rpc.Node.
func (d *Daemon) Verify(ctx context.Context) iter.Seq2[rpc.Fault, error] {
	return faults(ctx, d.replica, d.dir.path)
}

func invalid(format string, args ...any) error {
	return &rpc.Error{Code: rpc.CodeInvalid, Message: fmt.Sprintf(format, args...)}
}

// diskUse adds up the files of a directory. Files that go away meanwhile do
// not count.
func diskUse(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				total += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return total, err
}
