package main

import (
	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) rollbackCommand() *cobra.Command {
	var to, message string
	var plan bool
	cmd := &cobra.Command{
		Use:   "rollback KEY --to REV|TIME|BLOCK",
		Short: "Write an old value again",
		Long: `Write the value that a key had: at a revision, at a time, or after a block. That
is a new revision; nothing is taken back. Where the key was not there, it is
deleted.

REV is an id of log, a part of one of 6 characters or more, or head~N. TIME is
RFC 3339, 2006-01-02[ 15:04[:05]] in local time, yesterday, 2h or 3d (ago).`,
		Example: `  crush rollback app/config --to head~1 -m "the new limits were wrong"
  crush rollback app/config --to yesterday --plan`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return usagef("rollback wants --to REV, TIME or BLOCK")
			}
			return p.rollback(cmd, rpc.RollbackRequest{
				KeyRef: p.keyRef(args[0]), Claim: p.claim(message), To: timeOrRef(to), Plan: plan,
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the `REV`, TIME or block that had the value")
	cmd.Flags().BoolVar(&plan, "plan", false, "only say what would be written")
	addMessage(cmd, &message)
	return cmd
}

func (p *program) rollback(cmd *cobra.Command, r rpc.RollbackRequest) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	back, err := door.Rollback(ctx, r)
	if err != nil {
		return err
	}
	p.warnWritten(r.Key, back.Written)
	return p.print(back, func() {
		var short shortener
		short.add(back.From, back.To, back.Revision)
		key, to := escape(r.Key), "to "+short.short(back.To)
		if back.To.IsZero() {
			to = "to where it was not there, so it is deleted"
		}
		switch {
		case r.Plan:
			p.printf("would roll %s back from %s %s\n", key, short.short(back.From), to)
		case back.Unchanged:
			p.printf("%s is as it was at %s: nothing to write\n", key, escape(r.To))
		default:
			p.printf("rolled %s back from %s %s, revision %s\n", key, short.short(back.From), to, short.short(back.Revision))
		}
	})
}
