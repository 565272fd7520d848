package main

import "github.com/spf13/cobra"

func (p *program) importCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE.car",
		Short: "Add the history in a file",
		Long: `Add the history in a file that export wrote, or standard input: -. All of the file
is checked before any of it is added: hashes, signatures, authors, and that
nothing is missing. What this node has already is left out; then everything
reads as if it had come from another node.

The file must be of the cluster that this node is in. The daemon is asked; with
none running the data directory is used under its lock, and one that is empty or
not there becomes a copy of the cluster, with an identity of its own.`,
		Example: `  crush import backup.car
  crush import backup.car --data /srv/copy
  ssh db1 crush export - | crush import -`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := p.streaming(cmd.Context())
			defer cancel()
			return p.importCAR(ctx, args[0])
		},
	}
}
