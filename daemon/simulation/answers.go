package simulation

import (
	"context"
	"fmt"
	"strings"

	"crush/rpc"
)

// answers is everything that must be equal on nodes that have the same blocks:
// also what the oracle leaves open, as the order of a history.
func (w *World) answers(ctx context.Context, n *Node) (string, error) {
	var out strings.Builder
	g := n.Graph()
	s := g.Stats()
	fmt.Fprintln(&out, g.Cluster(), g.Digest(), s.Blocks, s.Revisions, s.Keys, s.Void, s.Chains, g.Tags())
	for _, m := range g.Members() {
		fmt.Fprintln(&out, m)
	}
	forks, err := n.Forks(ctx)
	if err != nil {
		return "", err
	}
	for _, f := range forks {
		fmt.Fprintln(&out, f.ID, f.Name, f.Labels, f.Deleted, f.Clash)
		for _, key := range w.keys() {
			at := rpc.KeyRef{Fork: f.ID.String(), Key: key}
			e, err := n.Get(ctx, rpc.GetRequest{KeyRef: at})
			if err != nil && rpc.CodeOf(err) != rpc.CodeConflict {
				return "", err
			}
			fmt.Fprintln(&out, " ", key, rpc.CodeOf(err), e.Revision, e.Token, e.RevisionCount, e.Block, e.Node, e.Time)
			for _, c := range e.Conflicts {
				if c.Base != nil {
					fmt.Fprintln(&out, "   base", c.Base.Revision)
				}
				for _, s := range c.Sides {
					fmt.Fprintln(&out, "   side", s)
				}
			}
			info, err := n.Info(ctx, at)
			fmt.Fprintln(&out, " ", info, err)
			for e, err := range n.Log(ctx, rpc.LogRequest{KeyRef: at}) {
				e.Cursor = "" // of one node
				fmt.Fprintln(&out, "   ", e, err)
			}
			count, err := n.PreviousCount(ctx, at)
			fmt.Fprintln(&out, " ", count, err)
		}
	}
	return out.String(), nil
}
