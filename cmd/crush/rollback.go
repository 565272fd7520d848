package main

import (
	"strings"

	"github.com/spf13/cobra"

	"crush/rpc"
)

type rollbackFlags struct {
	to, message string
	plan, all   bool
}

func (p *program) rollbackCommand() *cobra.Command {
	var f rollbackFlags
	cmd := &cobra.Command{
		Use:   "rollback KEY|PREFIX/|--all --to REV|TIME|BLOCK|TAG",
		Short: "Write old values again",
		Long: `Write the value that a key had: at a revision, at a time, at a tag, or after a
block. With PREFIX/ or --all, those that all keys had, in one atomic change.
These are new revisions; nothing is taken back. Keys that were not there are
deleted.

REV is an id of log, a part of one of 6 characters or more, or head~N; it is of
one key. TIME is RFC 3339, 2006-01-02[ 15:04[:05]] in local time, yesterday, 2h
or 3d (ago).`,
		Example: `  crush rollback app/config --to head~1 -m "the new limits were wrong"
  crush rollback app/config --to yesterday --plan
  crush rollback app/ --to v1.4 -m "back to the last release"
  crush rollback --all --to 2h --plan`,
		Args: wantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.rollback(cmd, args, &f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.to, "to", "", "the `REV`, TIME, block or tag that had the values")
	fl.BoolVar(&f.plan, "plan", false, "only say what would be written")
	fl.BoolVar(&f.all, "all", false, "all keys of the fork")
	addMessage(cmd, &f.message)
	return cmd
}

func (p *program) rollback(cmd *cobra.Command, args []string, f *rollbackFlags) error {
	switch {
	case f.to == "":
		return usagef("rollback wants --to REV, TIME, BLOCK or TAG")
	case f.all && len(args) > 0:
		return usagef("rollback takes KEY, PREFIX/ or --all, not two of them")
	case !f.all && len(args) == 0:
		return usagef("rollback: an argument is missing: crush %s", cmd.Use)
	case f.all || strings.HasSuffix(args[0], "/"):
		return p.resetTree(cmd, rpc.ResetRequest{
			Fork: p.flags.fork, Prefix: strings.Join(args, ""), To: timeOrRef(f.to), Plan: f.plan, Claim: p.claim(f.message),
		})
	}
	return p.rollbackKey(cmd, rpc.RollbackRequest{
		KeyRef: p.keyRef(args[0]), Claim: p.claim(f.message), To: timeOrRef(f.to), Plan: f.plan,
	})
}

func (p *program) rollbackKey(cmd *cobra.Command, r rpc.RollbackRequest) error {
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
