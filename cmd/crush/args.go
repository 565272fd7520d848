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
		return usagef("%s: an argument is missing: crush %s", cmd.CommandPath(), useLine(cmd))
	}
	return usagef("%s: too many arguments: crush %s", cmd.CommandPath(), useLine(cmd))
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
