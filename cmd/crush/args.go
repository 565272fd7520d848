package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// wantArgs checks the number of arguments.
func wantArgs(low, high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= low && len(args) <= high {
			return nil
		}
		return wrongArgs(cmd, args, low)
	}
}

func wrongArgs(cmd *cobra.Command, args []string, low int) error {
	if len(args) < low {
		return usagef("an argument is missing: crush %s", useLine(cmd))
	}
	return usagef("too many arguments: crush %s", useLine(cmd))
}

// useLine is how the verb is used, with the verbs before it.
func useLine(cmd *cobra.Command) string {
	if cmd.HasParent() && cmd.Parent().HasParent() {
		return cmd.Parent().Name() + " " + cmd.Use
	}
	return cmd.Use
}

// exclusive makes a verb refuse two flags of one group.
func exclusive(cmd *cobra.Command, groups ...[]string) {
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		for _, group := range groups {
			var given []string
			for _, name := range group {
				if cmd.Flags().Changed(name) {
					given = append(given, "--"+name)
				}
			}
			if len(given) > 1 {
				return usagef("%s cannot stand together", strings.Join(given, " and "))
			}
		}
		return nil
	}
}

// neverEmpty are the flags whose empty value would mean that they are not
// there: --if-match "$TOKEN" with a variable that is not set must not become an
// unconditional write.
var neverEmpty = []string{
	"addr", "after", "apply", "as", "at", "base", "config", "cursor-file", "data", "expect", "file", "fork", "from", "git-stream", "if-match", "import-as", "into",
	"on-conflict", "path", "ref", "rev", "served", "since", "socket", "state", "take", "to", "type", "wait",
}

func refuseEmpty(cmd *cobra.Command) error {
	for _, name := range neverEmpty {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed && f.Value.String() == "" {
			return usagef("--%s is empty: leave it out, or give it a value", name)
		}
	}
	return nil
}

// flagError says what is wrong with a flag, without the names of Go's
// functions.
func flagError(cmd *cobra.Command, err error) error {
	message, _, _ := strings.Cut(err.Error(), ": strconv.")
	switch message {
	case "unknown flag: --version", "unknown shorthand flag: 'v' in -v", "unknown shorthand flag: 'V' in -V":
		return usagef("%s: use crush version", message)
	}
	return usagef("%s (see %s --help)", message, cmd.CommandPath())
}
