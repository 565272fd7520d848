package main

import (
	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) aliasCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "alias",
		Short: "Let a name stand for a fork",
		Long: `An alias is a name that stands for a fork wherever a fork is named. Pointing it
at another fork switches every key at once, on each node as soon as it hears of
it: readers of -F live go from one colour to the other in one step.`,
		Example: `  crush alias set live blue
  crush get app/port -F live
  crush alias set live green --expect blue
  crush alias log live`,
		RunE: wantVerb("set, ls, log, rm"),
	}
	cmd.AddCommand(p.aliasLogCommand(), p.aliasLsCommand(), p.aliasRmCommand(), p.aliasSetCommand())
	return cmd
}

func (p *program) aliasSetCommand() *cobra.Command {
	var expect, message string
	cmd := &cobra.Command{
		Use:   "set NAME FORK",
		Short: "Point an alias at a fork",
		Long: `Point an alias at a fork. With --expect it is only moved if it points at that
fork now (else exit 4); that is decided on this node: two nodes that are apart
can both move it, and alias ls then marks it.`,
		Example: `  crush alias set live blue
  crush alias set live green --expect blue -m "release 12"`,
		Args: wantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := rpc.PointRequest{Name: args[0], Fork: args[1], Expect: expect, Claim: p.claim(message)}
			return p.point(cmd, r, (*rpc.Client).Alias, func(a rpc.PointerInfo) {
				p.printf("%s stands for %s\n", escape(a.Name), escape(a.Fork))
			})
		},
	}
	cmd.Flags().StringVar(&expect, "expect", "", "only if it points at this `FORK` now (else exit 4)")
	addMessage(cmd, &message)
	return cmd
}

func (p *program) aliasLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List the aliases",
		Long: `List the aliases, the forks that they stand for, and who pointed them there, when.
One that two nodes have moved at once is marked; setting it again settles it.`,
		Example: `  crush alias ls
  crush alias ls -o json`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.listPointers(cmd, (*rpc.Client).Aliases, func(a rpc.PointerInfo) {
				p.printf("%-20s  %-20s  %s%s\n", escape(a.Name), escape(a.Fork), setBy(a), clashMark(a.Clash))
			})
		},
	}
}

func (p *program) aliasLogCommand() *cobra.Command {
	var n int
	cmd := &cobra.Command{
		Use:   "log NAME",
		Short: "List where an alias pointed",
		Long: `List where an alias pointed, who pointed it there, and when, the newest first: what
was live at a time. An alias that was removed has a log too.`,
		Example: `  crush alias log live
  crush alias log live -n 1 -o json`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if n < 0 && cmd.Flags().Changed("number") {
				return usagef("-n %d: want a number of lines", n)
			}
			return p.aliasLog(cmd, args[0], n)
		},
	}
	addNumber(cmd, &n)
	return cmd
}

func (p *program) aliasLog(cmd *cobra.Command, name string, n int) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	if err := p.page(); err != nil {
		return err
	}
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	entries := first(door.AliasLog(ctx, name, ""), n)
	if p.format != formatText {
		return printList(p, entries, func(rpc.LogEntry) {})
	}
	return p.printLog(rowsOf(singly(entries)), true)
}

func (p *program) aliasRmCommand() *cobra.Command {
	var message string
	cmd := &cobra.Command{
		Use:     "rm NAME",
		Short:   "Remove an alias",
		Long:    "Remove an alias. The fork that it stands for stays.",
		Example: "  crush alias rm live",
		Args:    wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.point(cmd, rpc.PointRequest{Name: args[0], Remove: true, Claim: p.claim(message)}, (*rpc.Client).Alias,
				func(a rpc.PointerInfo) { p.printf("removed the alias %s\n", escape(a.Name)) })
		},
	}
	addMessage(cmd, &message)
	return cmd
}
