package main

import (
	"regexp"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) incrCommand() *cobra.Command {
	var message string
	cmd := &cobra.Command{
		Use:   incrVerb + " KEY [N]",
		Short: "Add to a counter",
		Long: `Add N, or 1, to a counter, and print its new value. N may be negative. A key that
is not there becomes a counter.

Increments add up: those of nodes that are apart, and of forks that are merged,
all count, each once, and never conflict.`,
		Example: `  crush incr stats/deploys
  crush incr stats/quota 50
  crush incr stats/quota -5 -m "given back"`,
		Args: wantArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return p.incr(cmd, args, message) },
	}
	addMessage(cmd, &message)
	return cmd
}

const incrVerb = "incr"

func (p *program) incr(cmd *cobra.Command, args []string, message string) error {
	r := rpc.IncrementRequest{KeyRef: p.keyRef(args[0]), Claim: p.claim(message), By: 1}
	if len(args) == 2 {
		var err error
		if r.By, err = strconv.ParseInt(args[1], 10, 64); err != nil {
			return usagef("incr KEY N: %q is no whole number of 64 bits", args[1])
		}
	}
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	n, err := door.Increment(ctx, r)
	if err != nil {
		return err
	}
	p.warnWritten(r.Key, n.Written)
	return p.print(n, func() {
		if n.Total != "" { // else nobody is told: the key is in conflict
			p.printf("%s\n", escape(n.Total))
		}
	})
}

// negativeNumber is an argument that looks like a flag.
var negativeNumber = regexp.MustCompile(`^-[0-9]+$`)

// negativesLast moves negative numbers behind "--": they are arguments there,
// and no flags. It leaves alone what is the value of a flag.
func negativesLast(cmd *cobra.Command, args []string) []string {
	var flags, numbers []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return slices.Concat(flags, []string{"--"}, numbers, args[i+1:])
		case negativeNumber.MatchString(arg):
			numbers = append(numbers, arg)
			continue
		}
		flags = append(flags, arg)
		if len(arg) > 1 && arg[0] == '-' && i+1 < len(args) && takesNext(cmd, arg, args[i+1]) {
			i++
			flags = append(flags, args[i])
		}
	}
	if len(numbers) == 0 {
		return args
	}
	return slices.Concat(flags, []string{"--"}, numbers)
}
