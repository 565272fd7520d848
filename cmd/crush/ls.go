package main

import (
	"iter"

	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) lsCommand() *cobra.Command {
	var at string
	var onlyCount bool
	cmd := &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "List keys",
		Long: `List the keys that start with PREFIX, one a line, in the order of their bytes.
Control characters in keys are written as \n, \t, \x00; -o json has them as they
are.`,
		Example: `  crush ls
  crush ls app/
  crush ls app/ --count
  crush ls --at yesterday
  crush ls -o jsonl`,
		Args: wantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			prefix := ""
			if len(args) == 1 {
				prefix = args[0]
			}
			return p.ls(cmd, prefix, at, onlyCount)
		},
	}
	cmd.Flags().BoolVar(&onlyCount, "count", false, "print only how many there are")
	cmd.Flags().StringVar(&at, "at", "", "the keys as they were at a `TIME` or after a block")
	return cmd
}

func (p *program) ls(cmd *cobra.Command, prefix, at string, onlyCount bool) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	keys := keysOf(door.List(ctx, rpc.ListRequest{Fork: p.flags.fork, Prefix: prefix, At: timeOrRef(at)}))
	if !onlyCount {
		return printList(p, keys, func(key string) { p.printf("%s\n", escape(key)) })
	}
	n := 0
	for _, err := range keys {
		if err != nil {
			return err
		}
		n++
	}
	return p.print(map[string]int{"count": n}, func() { p.printf("%d\n", n) })
}

func keysOf(entries iter.Seq2[rpc.Entry, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for e, err := range entries {
			if !yield(e.Key, err) {
				return
			}
		}
	}
}
