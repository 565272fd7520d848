package main

import (
	"regexp"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) incrCommand() *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use:   incrVerb + " KEY [N]",
		Short: "Add to a counter",
		Long: `Add N, or 1, to a counter, and print its new value. N may be negative. A key that
is not there becomes a counter.

Increments add up: those of nodes that are apart, and of forks that are merged,
all count, each once, and never conflict. --if-match decides on this node: two
nodes that are apart can both succeed.`,
		Example: `  crush incr stats/deploys
  crush incr stats/quota 50
  crush incr stats/quota -5 -m "given back"
  crush incr stats/lease --if-match "$(crush get stats/lease -o json | jq -r .token)"`,
		Args: wantArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return p.incr(cmd, args, &f) },
	}
	f.add(cmd)
	return cmd
}

// changeFlags are those of verbs that change what is there by a rule.
type changeFlags struct{ base, ifMatch, message string }

func (f *changeFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.base, "base", "", "the `TOKEN` that was read: the change is of what was there then, beside what is newer")
	fl.StringVar(&f.ifMatch, "if-match", "", "only if the key is as at `TOKEN` (else exit 4)")
	exclusive(cmd, []string{"base", "if-match"})
	addMessage(cmd, &f.message)
}

const incrVerb = "incr"

func (p *program) incr(cmd *cobra.Command, args []string, f *changeFlags) error {
	r := rpc.IncrementRequest{
		KeyRef: p.keyRef(args[0]), Claim: p.claim(f.message), By: 1, Base: rpc.Token(f.base), IfMatch: rpc.Token(f.ifMatch),
	}
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
