package main

import (
	"context"

	"github.com/spf13/cobra"

	"crush/daemon"
	"crush/rpc"
)

func (p *program) joinCommand() *cobra.Command {
	var discard bool
	cmd := &cobra.Command{
		Use:   "join ADDRESS",
		Short: "Become a member of another node's cluster",
		Long: `Become a member of the cluster of the node at ADDRESS, where this node's id was
added before. A node that has data of its own joins only with --discard, which
gives that data up.`,
		Example: `  crush id                                          # here
  crush member add 12D3KooWGRUVh...                 # there
  crush join /dns4/db1/tcp/7655/p2p/12D3KooWPj...   # here`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.join(cmd, rpc.JoinRequest{Address: args[0], Discard: discard})
		},
	}
	cmd.Flags().BoolVar(&discard, "discard", false, "give up the data that this node has")
	return cmd
}

func (p *program) join(cmd *cobra.Command, r rpc.JoinRequest) error {
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	joined, err := p.joinBy(ctx, r)
	if err != nil {
		return err
	}
	return p.print(joined, func() {
		p.printf("joined cluster %s through %s: %s\n", joined.Cluster, joined.Via, count(joined.Blocks, "block"))
	})
}

// joinBy joins through the daemon, or on the data directory if none runs.
func (p *program) joinBy(ctx context.Context, r rpc.JoinRequest) (rpc.Joined, error) {
	door, err := p.door()
	if err != nil && !noDaemon(err) {
		return rpc.Joined{}, err
	}
	g := p.startProgress("joining")
	defer g.end()
	if noDaemon(err) {
		return daemon.JoinData(ctx, daemon.Config{Data: p.flags.data}, r)
	}
	return door.Join(ctx, r)
}
