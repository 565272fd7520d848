package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// hints tells people who come from other tools what to type.
var hints = map[string]string{
	"add":         `writing is one step here: crush put KEY VALUE`,
	"annotate":    `crush blame KEY`,
	"append":      `crush set add KEY ELEM for a set, crush edit KEY for anything else`,
	"branch":      `a branch is called a fork here: crush fork create NAME, crush fork ls`,
	"cat":         `crush get KEY`,
	"checkout":    `nothing is checked out: name the fork on each command with -F NAME`,
	"cherry-pick": `crush pick REV --into FORK`,
	"clone":       `crush join ADDRESS for another node, crush fork create NAME for another line`,
	"cluster":     `crush status, crush member ls`,
	"commit":      `every put is a revision of its own; add -m MESSAGE to it`,
	"create":      `crush put KEY VALUE (--if-absent to create only)`,
	"count":       `crush incr KEY`,
	"decr":        `crush incr KEY -1`,
	"delete":      `crush del KEY`,
	"dump":        `crush export --dir DIR`,
	"find":        `crush ls PREFIX`,
	"forks":       `crush fork ls`,
	"fsck":        `crush verify`,
	"health":      `crush status`,
	"history":     `crush log KEY`,
	"inc":         `crush incr KEY`,
	"increment":   `crush incr KEY`,
	"keys":        `crush ls`,
	"list":        `crush ls`,
	"load":        `crush apply -f DIR`,
	"members":     `crush member ls`,
	"mergetool":   `crush conflicts lists them, crush resolve KEY settles one`,
	"nodes":       `crush member ls`,
	"patch":       `crush put KEY --path /a/b VALUE`,
	"pull":        `nodes sync by themselves: see crush status`,
	"push":        `nodes sync by themselves: see crush status`,
	"read":        `crush get KEY`,
	"rebase":      `crush merge SRC --into DST: merging brings only what is new, however often`,
	"remove":      `crush del KEY (a fork: crush fork rm NAME)`,
	"rename":      `crush fork rename FORK NAME`,
	"reset":       `crush rollback KEY --to REV, crush rollback PREFIX/ --to TIME`,
	"restore":     `crush rollback KEY --to REV (a removed fork: crush fork restore NAME; a whole node: crush snapshot restore FILE)`,
	"revert":      `crush undo BLOCK, crush rollback KEY --to REV`,
	"rm":          `crush del KEY (a fork: crush fork rm NAME)`,
	"run":         `crush daemon`,
	"serve":       `crush daemon`,
	"server":      `crush daemon`,
	"settle":      `crush resolve KEY --take SIDE`,
	"start":       `crush daemon`,
	"subscribe":   `crush watch PREFIX`,
	"switch":      `name the fork on each command with -F NAME; crush alias set NAME FORK switches for everybody`,
	"sync":        `nodes sync by themselves: see crush status`,
	"tags":        `crush tag ls`,
	"tail":        `crush watch PREFIX`,
	"unset":       `crush del KEY`,
	"whoami":      `crush id`,
	"vi":          `crush edit KEY`,
	"write":       `crush put KEY VALUE`,
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
			if i+1 < len(args) && takesNext(cmd, arg, args[i+1]) {
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
	if cmd.Name() == incrVerb {
		rest = negativesLast(cmd, rest)
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

// takesNext reports whether the flag arg has its value in the next argument. A
// flag that has a value with one verb and none with another has none if a verb
// follows.
func takesNext(cmd *cobra.Command, arg, next string) bool {
	if name, long := strings.CutPrefix(arg, "--"); long {
		if slices.Contains(twoMeanings, name) && subCommand(cmd, next) != nil {
			return false
		}
		return !strings.Contains(name, "=") && wantsValue(cmd, name)
	}
	for i, c := range []byte(arg[1:]) {
		if wantsValueShort(cmd, string(c)) {
			return i == len(arg)-2
		}
	}
	return false
}

// twoMeanings are the flags that are a switch of one verb and have a value with
// another: watch --state, resolve --state STATE.
var twoMeanings = []string{"state"}

// wantsValue looks for the flag in cmd and in everything below it; but for
// twoMeanings, no two verbs use one name for a switch and for a value.
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
