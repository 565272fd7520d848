package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// hints tells people who come from other tools what to type.
var hints = map[string]string{
	"add":       `writing is one step here: crush put KEY VALUE`,
	"branch":    `a branch is called a fork here: work on one with -F NAME`,
	"cat":       `crush get KEY`,
	"checkout":  `nothing is checked out: name the fork on each command with -F NAME`,
	"cluster":   `crush status, crush member ls`,
	"commit":    `every put is a revision of its own; add -m MESSAGE to it`,
	"create":    `crush put KEY VALUE (--if-absent to create only)`,
	"delete":    `crush del KEY`,
	"dump":      `crush export --dir DIR`,
	"find":      `crush ls PREFIX`,
	"fsck":      `crush verify`,
	"health":    `crush status`,
	"history":   `crush log KEY`,
	"import":    `crush apply -f DIR`,
	"keys":      `crush ls`,
	"list":      `crush ls`,
	"load":      `crush apply -f DIR`,
	"members":   `crush member ls`,
	"nodes":     `crush member ls`,
	"pull":      `nodes sync by themselves: see crush status`,
	"push":      `nodes sync by themselves: see crush status`,
	"read":      `crush get KEY`,
	"remove":    `crush del KEY`,
	"restore":   `crush rollback KEY --to REV`,
	"revert":    `crush rollback KEY --to REV`,
	"rm":        `crush del KEY`,
	"run":       `crush daemon`,
	"serve":     `crush daemon`,
	"server":    `crush daemon`,
	"set":       `crush put KEY VALUE`,
	"start":     `crush daemon`,
	"subscribe": `crush watch PREFIX`,
	"switch":    `name the fork on each command with -F NAME`,
	"sync":      `nodes sync by themselves: see crush status`,
	"tail":      `crush watch PREFIX`,
	"undo":      `crush rollback KEY --to head~1`,
	"unset":     `crush del KEY`,
	"whoami":    `crush id`,
	"write":     `crush put KEY VALUE`,
}

func unknownVerb(root *cobra.Command, name string) error {
	if hint := hints[name]; hint != "" {
		if strings.HasPrefix(hint, "crush ") {
			hint = "use " + hint
		}
		return usagef("there is no verb %q: %s", name, hint)
	}
	root.SuggestionsMinimumDistance = 2
	if near := root.SuggestionsFor(name); len(near) > 0 {
		return usagef("there is no verb %q: did you mean %s?", name, strings.Join(near, " or "))
	}
	return usagef("there is no verb %q: see crush --help", name)
}

// verbFirst moves the words that name the verb to the front, so that flags of
// the verb may stand before it. It stops at "--".
func verbFirst(root *cobra.Command, args []string) ([]string, error) {
	var verb []string
	rest := make([]string, 0, len(args))
	cmd := root
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" || !cmd.HasSubCommands() {
			rest = append(rest, args[i:]...)
			break
		}
		if len(arg) > 1 && arg[0] == '-' {
			rest = append(rest, arg)
			if takesNext(cmd, arg) && i+1 < len(args) {
				i++
				rest = append(rest, args[i])
			}
			continue
		}
		sub := subCommand(cmd, arg)
		switch {
		case sub != nil:
			verb, cmd = append(verb, arg), sub
		case cmd == root && arg != "help" && !strings.HasPrefix(arg, "__complete"):
			return nil, unknownVerb(root, arg)
		default:
			return append(append(verb, rest...), args[i:]...), nil
		}
	}
	return append(verb, rest...), nil
}

func subCommand(cmd *cobra.Command, name string) *cobra.Command {
	i := slices.IndexFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
	if i < 0 {
		return nil
	}
	return cmd.Commands()[i]
}

// takesNext reports whether the flag arg has its value in the next argument.
func takesNext(cmd *cobra.Command, arg string) bool {
	if name, long := strings.CutPrefix(arg, "--"); long {
		return !strings.Contains(name, "=") && wantsValue(cmd, name)
	}
	for i, c := range []byte(arg[1:]) {
		if wantsValueShort(cmd, string(c)) {
			return i == len(arg)-2
		}
	}
	return false
}

// wantsValue looks for the flag in cmd and in everything below it; no two
// verbs use one name for a switch and for a value.
func wantsValue(cmd *cobra.Command, name string) bool {
	if f := cmd.Root().PersistentFlags().Lookup(name); f != nil {
		return f.NoOptDefVal == ""
	}
	if f := cmd.Flags().Lookup(name); f != nil {
		return f.NoOptDefVal == ""
	}
	return slices.ContainsFunc(cmd.Commands(), func(c *cobra.Command) bool { return wantsValue(c, name) })
}

func wantsValueShort(cmd *cobra.Command, letter string) bool {
	if f := cmd.Root().PersistentFlags().ShorthandLookup(letter); f != nil {
		return f.NoOptDefVal == ""
	}
	if f := cmd.Flags().ShorthandLookup(letter); f != nil {
		return f.NoOptDefVal == ""
	}
	return slices.ContainsFunc(cmd.Commands(), func(c *cobra.Command) bool { return wantsValueShort(c, letter) })
}
