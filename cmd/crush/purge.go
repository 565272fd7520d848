package main

import (
	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) purgeCommand() *cobra.Command {
	var key, why string
	cmd := &cobra.Command{
		Use:   "purge REV|KEY -m WHY",
		Short: "Take a leaked secret out of the history, on every node",
		Long: `Take the value of a revision, or all values that a key has had on any fork, out of
the history: of this node at once, of the others when they have this change, of
those that join later too. For a secret that was written. Revisions, their ids and
the log stay, and say who purged them, when and why. It cannot be undone.

With KEY everything goes that this node knows of the key now. What other nodes
write meanwhile stays, as do other keys and revisions with the same secret in them:
crush watch and crush log find those. After it, put a new value.

The bytes stand in old files of the store until it has moved them, and in
snapshots, exports and copies of the data directory: change the secret too.

REV is an id of log or a part of one of 6 characters or more. --key names a key
that reads like one.`,
		Example: `  crush purge 3k2hq7wm -m "a password, by mistake"
  crush purge app/db/password -m "leaked"
  crush purge app/db/password -m "leaked" --wait zones`,
		Args: wantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := rpc.PurgeRequest{Key: key, Claim: p.claim(why)}
			switch {
			case len(args) == 0 && key == "":
				return usagef("purge: an argument is missing: crush %s", cmd.Use)
			case len(args) == 1 && key != "":
				return usagef("purge takes REV, KEY or --key KEY, not two of them")
			case why == "":
				return usagef("purge wants -m WHY: whoever reads what was purged is told")
			case len(args) == 1 && args[0] == "":
				return usagef("purge: the key is empty")
			case len(args) == 1:
				r.Name = args[0]
			}
			return p.purge(cmd, r)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "all values of `KEY`")
	addMessage(cmd, &why)
	return cmd
}

func (p *program) purge(cmd *cobra.Command, r rpc.PurgeRequest) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	done, err := door.Purge(ctx, r)
	if err != nil {
		return err
	}
	return p.print(done, func() {
		var short shortener
		short.add(done.Revision, done.Block)
		switch {
		case done.Block.IsZero():
			p.printf("nothing to purge: no value is left of it\n")
		case done.Revision.IsZero():
			p.printf("purged %s of %s\n", count(done.Values, "value"), escape(done.Key))
		default:
			p.printf("purged the value of revision %s of %s\n", short.short(done.Revision), escape(done.Key))
		}
	})
}
