package main

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy COMMAND",
		Short: "Say how keys are written, merged and served",
		Long: `Policies of a fork say, for the keys that match a pattern (* stops at a slash,
** does not), what kind a new key gets, by what the elements of lists are told
apart, what a merge into the fork does with conflicts, which keys merges leave
alone, and whether a key in conflict is served. Of the policies that match a key
the one with the longest pattern that says something decides.

They are the key ` + rpc.PolicyKey + ` of the fork, one json, and so have a history, are
forked, merged and rolled back like any other. A policy that was changed in two
places at once counts as none, and stops merges that change keys it matches,
until it is set again.`,
		Example: `  crush policy set 'deploy/**' --kind yaml --list '/**/containers=map(name)'
  crush policy ls`,
		RunE: wantVerb("set, ls, rm"),
	}
	cmd.AddCommand(p.policySetCommand(), p.policyLsCommand(), p.policyRmCommand())
	return cmd
}

func (p *program) policySetCommand() *cobra.Command {
	var r rpc.PolicyRequest
	var lists []string
	var sticky bool
	var how, message string
	cmd := &cobra.Command{
		Use:   "set PATTERN",
		Short: "Set the policy of a pattern",
		Long: `Set the whole policy of a pattern: what was set before and is not given again is
gone.

  --kind     the kind of a new key whose writer names none
  --list     PATH=SCHEMA: how the elements of the lists at a path of a json or
             yaml are told apart: set (by themselves), map(FIELD) (by the value
             of a field), documents (those of a YAML stream, by apiVersion, kind,
             namespace and name) or atomic (not at all, the default); in PATH *
             is any step and ** any number of them
  --merge    what a merge into this fork does with a conflict of such a key where
             it is not told: fail, keep, ours, theirs or lww
  --sticky   merges into this fork leave such keys alone
  --served   fail serves nothing of such a key while it is in conflict: get
             exits 3, and export, if there is one; winner serves the side that
             ranks first`,
		Example: `  crush policy set 'deploy/**' --kind yaml --list '/**/containers=map(name)'
  crush policy set 'env/**' --sticky
  crush policy set 'lock/*' --served fail
  crush policy set '**' --merge theirs -F staging`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Policy.Pattern, r.Policy.Merge = args[0], rpc.Strategy(how)
			if cmd.Flags().Changed("sticky") {
				r.Policy.Sticky = &sticky
			}
			for _, rule := range lists {
				if err := r.Policy.AddList(rule); err != nil {
					return usagef("--list %s: %s", rule, err)
				}
			}
			if q := r.Policy; q.Kind == "" && len(q.Lists) == 0 && q.Merge == "" && q.Sticky == nil && q.Served == "" {
				return usagef("policy set %s: say something: --kind, --list, --merge, --sticky or --served", args[0])
			}
			return p.changePolicy(cmd, r, message, "set")
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&r.Policy.Kind, "kind", "", "`KIND` of new keys: bytes, text, json, yaml, counter or set")
	fl.StringArrayVar(&lists, "list", nil, "`PATH=SCHEMA` of the lists at a path; may be repeated")
	fl.StringVar(&how, "merge", "", "`WHAT` a merge does with conflicts: fail, keep, ours, theirs or lww")
	fl.BoolVar(&sticky, "sticky", false, "merges leave the keys alone")
	fl.StringVar(&r.Policy.Served, "served", "", "in conflict: winner or fail")
	addMessage(cmd, &message)
	return cmd
}

func (p *program) changePolicy(cmd *cobra.Command, r rpc.PolicyRequest, message, did string) error {
	r.Fork, r.Claim = p.flags.fork, p.claim(message)
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	written, err := door.ChangePolicy(ctx, r)
	if err != nil {
		return err
	}
	return p.print(written, func() {
		if written.Unchanged {
			p.printf("nothing to change\n")
			return
		}
		p.printf("%s the policy of %s\n", did, escape(r.Policy.Pattern))
	})
}

func (p *program) policyRmCommand() *cobra.Command {
	var message string
	cmd := &cobra.Command{
		Use:     "rm PATTERN",
		Short:   "Remove the policy of a pattern",
		Long:    "Remove the policy of a pattern. Keys that were written by it stay as they are.",
		Example: `  crush policy rm 'env/**'`,
		Args:    wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.changePolicy(cmd, rpc.PolicyRequest{Policy: rpc.Policy{Pattern: args[0]}, Remove: true}, message, "removed")
		},
	}
	addMessage(cmd, &message)
	return cmd
}

func (p *program) policyLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "List the policies of a fork",
		Long:    "List the policies of a fork, in byte order of their patterns.",
		Example: `  crush policy ls` + "\n" + `  crush policy ls -F staging -o json`,
		Args:    wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			door, err := p.door()
			if err != nil {
				return err
			}
			ctx, cancel := p.bounded(cmd.Context())
			defer cancel()
			all, err := door.Policies(ctx, p.flags.fork)
			if err != nil {
				return err
			}
			return printList(p, each(all), p.printPolicy)
		},
	}
}

func (p *program) printPolicy(q rpc.Policy) {
	p.printf("%s", escape(q.Pattern))
	say := func(name, value string) {
		if value != "" {
			p.printf("  %s %s", name, escape(value))
		}
	}
	say("kind", q.Kind)
	for _, at := range slices.Sorted(maps.Keys(q.Lists)) {
		say("list", at.String()+"="+q.Lists[at].String())
	}
	say("merge", string(q.Merge))
	if q.Sticky != nil {
		say("sticky", map[bool]string{true: "yes", false: "no"}[*q.Sticky])
	}
	say("served", q.Served)
	if q.Conflict {
		p.printf("  (changed in two places at once: set it again)")
	}
	p.printf("\n")
}
