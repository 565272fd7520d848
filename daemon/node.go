package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
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
		Cluster: g.Cluster(), Version: d.config.Version, Data: r.Data, Ready: d.isReady(),
		Started: d.started, Time: time.Now(), Addresses: r.Addresses,
		Blocks: stats.Blocks, Revisions: stats.Revisions, Keys: stats.Keys,
		Chains: stats.Chains, Frontier: g.Digest(), DiskBytes: used, Void: stats.Void,
		Peers: d.peers(), Warnings: d.warnings(stats),
	}
	if self, ok := g.Member(r.Node); ok {
		s.Name, s.Zone = self.Name, self.Zone
	}
	s.Zones = zonesOf(s.Zone, s.Peers)
	s.Warnings = slices.Concat(s.Warnings, peerWarnings(s.Peers), nameWarnings(g.Members()))
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
	g := d.replica.Graph()
	list = append(list, importWarning(d.dir, g)...)
	self, ok := g.Member(g.Node())
	switch want := d.calledAs(self); {
	case !ok && !g.Cluster().IsZero():
		list = append(list, "this node is not a member of its cluster: it takes no writes, and no other node talks to it")
	case !ok:
	case want != self:
		list = append(list, fmt.Sprintf("this node is configured with name %q and zone %q, but the member list says %q and %q: member add %s --name … --zone … on an admin changes it",
			want.Name, want.Zone, self.Name, self.Zone, self.Node))
	}
	return list
}

// Verify implements rpc.Node.
func (d *Daemon) Verify(ctx context.Context, progress rpc.Progress) iter.Seq2[rpc.Fault, error] {
	return faults(ctx, d.replica, d.dir.path, progress)
}

// Repair implements rpc.Node.
func (d *Daemon) Repair(ctx context.Context, progress rpc.Progress) iter.Seq2[rpc.Fault, error] {
	return func(yield func(rpc.Fault, error) bool) {
		if !d.joining.CompareAndSwap(false, true) {
			yield(rpc.Fault{}, errOccupied())
			return
		}
		defer d.joining.Store(false)
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		var from dag.NodeID
		fetch := func(ctx context.Context, id dag.BlockID) iter.Seq[dag.Bundle] {
			return func(take func(dag.Bundle) bool) {
				for node, b := range d.host.Copies(ctx, id) {
					if from = node; !take(b) {
						return
					}
				}
			}
		}
		wanted := true
		err := d.replica.Graph().Mend(ctx, fetch, dag.Progress(progress), func(m dag.Mended) {
			f := rpc.Fault{Kind: "block", Where: fmt.Sprintf("chain %s seq %d", m.Chain.Short(), m.Seq), Repaired: m.Err == nil}
			if !m.Block.IsZero() {
				f.Where = "block " + m.Block.String()
			}
			if m.Err == nil {
				f.Detail = fmt.Sprintf("%s; repaired with the copy of %s", m.Was, d.replica.nodeName(from))
				d.config.Logger.Info("damaged block repaired", "block", m.Block.String(), "was", m.Was.Error(), "from", from.String())
			} else {
				f.Detail = fmt.Sprintf("%s; not repaired: %s", m.Was, m.Err)
			}
			if wanted = wanted && yield(f, nil); !wanted {
				stop()
			}
		})
		if err != nil && wanted {
			yield(rpc.Fault{}, outward(err))
		}
	}
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
