package main

import (
	"context"

	"github.com/spf13/cobra"

	"crush/daemon"
	"crush/rpc"
)

func (p *program) joinCommand() *cobra.Command {
	var r rpc.JoinRequest
	cmd := &cobra.Command{
		Use:   "join ADDRESS",
		Short: "Become a member of another node's cluster",
		Long: `Become a member of the cluster of the node at ADDRESS, where this node's id was
added before. It works with a running daemon, and without one on the data
directory.

A node that has data of its own says what becomes of them. --import-as FORK
brings along what its keys serve, as a new fork of the cluster; other forks of
its own become FORK/NAME. All of them show at once, on every node, and all that
the node had is kept in a directory that is printed, with its history. --discard
gives it up for good.

Whatever interrupts a join, running it again goes on with it.`,
		Example: `  crush id                                          # here
  crush member add 12D3KooWGRUVh...                 # there
  crush join /dns4/db1/tcp/7655/p2p/12D3KooWPj...   # here
  crush join /dns4/db1/tcp/7655/p2p/12D3KooWPj... --import-as laptop`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Address = args[0]
			return p.join(cmd, r)
		},
	}
	cmd.Flags().BoolVar(&r.Discard, "discard", false, "give up the data that this node has")
	cmd.Flags().StringVar(&r.ImportAs, "import-as", "", "bring the values that this node has along as `FORK`")
	exclusive(cmd, []string{"discard", "import-as"})
	return cmd
}

func (p *program) join(cmd *cobra.Command, r rpc.JoinRequest) error {
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	r.Claim = p.claim("")
	joined, err := p.joinBy(ctx, r)
	if err != nil {
		return err
	}
	return p.print(joined, func() {
		p.printf("joined cluster %s through %s: %s\n", joined.Cluster, joined.Via, count(joined.Blocks, "block"))
		if joined.Import != nil {
			p.printImport(joined.Import)
		} else if r.ImportAs != "" {
			p.note("there was nothing to import")
		}
	})
}

func (p *program) printImport(in *rpc.Import) {
	for _, f := range in.Forks {
		p.printf("imported %s as the fork %s: %s\n", escape(f.From), escape(f.Fork), count(f.Keys, "key"))
		if f.Conflicts > 0 {
			p.note("%s of %s had other sides in conflict: what was served came along", count(f.Conflicts, "key"), f.From)
		}
	}
	p.printf("all that this node had is kept in %s: remove it when it is not needed any more\n", escape(in.Aside))
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
