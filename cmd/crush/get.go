package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"crush/rpc"
)

type getFlags struct {
	rev, at   string
	after     string
	path      string
	recursive bool
	strict    bool
	served    string
}

func (p *program) getCommand() *cobra.Command {
	var f getFlags
	cmd := &cobra.Command{
		Use:   "get KEY | get -r PREFIX/",
		Short: "Print a value",
		Long: `Print the bytes of a value and nothing else. On a terminal a missing newline is
added, and a value that is not text is refused without -o raw.

A key in conflict prints the value that is served and a warning on stderr, and
exits 0; with --strict it exits 3. Where a policy serves nothing then (policy set
--served fail), nothing of it is printed, and the exit code is 3, also with -r;
--served winner prints it all the same.

--path prints what stands at one place of a json or yaml: a string as its text,
anything else in the notation of the kind. If nothing does, exit 5.

-r prints all keys below PREFIX/, one line each: key, tab, value, with control
characters written as \n, \t, \x00.

A value that was purged is not printed: who purged it, when and why is said on
stderr, and the exit code is 1.

--after waits until this node has a block, as the answer of a write on another
node names it: what is printed is then not older than that write. If it has not
come by the end of --timeout, exit 7.

TIME is RFC 3339, 2006-01-02[ 15:04[:05]] in local time, yesterday, 2h or 3d
(ago). REV is an id of log, a part of one, or head~N.`,
		Example: `  crush get app/port
  crush get app/logo > logo.png
  crush get app/port --rev head~1
  crush get app/port --at yesterday
  crush get app/port -o json
  crush get app/config --path /spec/replicas
  crush get app/port --after bafyreig5q... --timeout 10s
  crush get -r app/ -o jsonl`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.recursive {
				return p.getTree(cmd, args[0], &f)
			}
			return p.get(cmd, args[0], &f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.rev, "rev", "", "the value of revision `REV`")
	fl.StringVar(&f.at, "at", "", "the value as it was at a `TIME` or after a block")
	fl.StringVar(&f.path, "path", "", "what stands at this `PATH` of a json or yaml, as /spec/replicas")
	fl.StringVar(&f.after, "after", "", "wait until `BLOCK` is on this node (else exit 7)")
	fl.BoolVarP(&f.recursive, "recursive", "r", false, "all keys below PREFIX/")
	fl.BoolVar(&f.strict, "strict", false, "exit 3 if the key is in conflict")
	addServed(cmd, &f.served)
	exclusive(cmd, []string{"rev", "at"}, []string{"rev", "recursive"}, []string{"path", "recursive"})
	return cmd
}

func (p *program) get(cmd *cobra.Command, key string, f *getFlags) error {
	r := rpc.GetRequest{KeyRef: p.keyRef(key), Rev: rpc.Ref(f.rev), At: timeOrRef(f.at), After: f.after}
	err := setPath(&r.Path, f.path)
	if err == nil {
		r.Winner, err = wantsWinner(f.served)
	}
	if err != nil {
		return err
	}
	door, err := p.door()
	if err != nil {
		return err
	}
	within := p.bounded
	if f.after != "" {
		within = p.patient
	}
	ctx, cancel := within(cmd.Context())
	defer cancel()
	e, err := door.Get(ctx, r)
	if err != nil {
		return err
	}
	p.warnRead(e)
	if p.format != formatText {
		err = p.printJSON(e)
	} else if !e.Deleted {
		err = p.printValue(e.Value)
	}
	switch {
	case err != nil:
		return err
	case e.Deleted:
		return &rpc.Error{Code: rpc.CodeNotFound, Message: fmt.Sprintf("%s is not there", key)}
	case e.Conflict && f.strict:
		return conflictError(1)
	}
	return nil
}

// addServed adds --served.
func addServed(cmd *cobra.Command, served *string) {
	cmd.Flags().StringVar(served, "served", "", "winner: also of keys in conflict whose policy serves nothing then")
}

// wantsWinner reads --served.
func wantsWinner(served string) (bool, error) {
	if served != "" && served != rpc.ServedWinner {
		return false, usagef("--served %s: want winner, or leave it out", served)
	}
	return served != "", nil
}

// printValue prints the bytes of a value. People at a terminal get a line
// end, and are kept from bytes that would disturb the terminal.
func (p *program) printValue(value []byte) error {
	terminal := isTerminal(p.stdout) && format(p.flags.output) != formatRaw
	if terminal && !isText(value) {
		return errors.New("the value is not text: print it with -o raw, or send it to a file")
	}
	p.printf("%s", value)
	if terminal && len(value) > 0 && value[len(value)-1] != '\n' {
		p.printf("\n")
	}
	return nil
}

func (p *program) getTree(cmd *cobra.Command, prefix string, f *getFlags) error {
	if format(p.flags.output) == formatRaw {
		return usagef("get -r cannot print raw bytes: use -o json, or crush export")
	}
	winner, err := wantsWinner(f.served)
	if err != nil {
		return err
	}
	if prefix, err = treePrefix(prefix); err != nil {
		return err
	}
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.streaming(cmd.Context())
	if f.after != "" {
		ctx, cancel = context.WithCancel(cmd.Context())
	}
	defer cancel()
	conflicts, purged, withheld := 0, 0, 0
	entries := door.List(ctx, rpc.ListRequest{
		Fork: p.flags.fork, Prefix: prefix, At: timeOrRef(f.at), AfterBlock: f.after, Within: p.limit(), Values: true, Winner: winner,
	})
	entries = countedIf(entries, func(e rpc.Entry) bool { return e.Withheld }, &withheld)
	entries = countedIf(entries, func(e rpc.Entry) bool { return e.Purged != nil }, &purged)
	err = printList(p, countedIf(entries, func(e rpc.Entry) bool { return e.Conflict }, &conflicts), func(e rpc.Entry) {
		p.warnRead(e)
		if e.Purged == nil && !e.Withheld {
			p.printf("%s\t%s\n", escape(e.Key), escape(string(e.Value)))
		}
	})
	if err == nil && purged > 0 {
		return purgedError(purged)
	}
	if err == nil && withheld > 0 {
		return &rpc.Error{Code: rpc.CodeConflict, Message: count(withheld, "key") + " in conflict not printed: the policy serves nothing then"}
	}
	if err == nil && f.strict && conflicts > 0 {
		return conflictError(conflicts)
	}
	return err
}

// purgedError says that not all values that were asked for are there.
func purgedError(n int) error {
	return &rpc.Error{Code: rpc.CodePurged, Message: "the values of " + count(n, "key") + " were purged"}
}

func conflictError(n int) error {
	return &rpc.Error{Code: rpc.CodeConflict, Message: count(n, "key") + " in conflict"}
}

// warnRead says what a person should know of an answer: one line.
func (p *program) warnRead(e rpc.Entry) {
	if e.Purged != nil {
		p.warn("%s has no value here: %s", e.Key, e.Purged)
	}
	switch {
	case e.Conflict:
		p.warn("%s", conflictLine(e))
	case e.Warning != "":
		p.warn("%s", e.Warning)
	}
}

func conflictLine(e rpc.Entry) string {
	const most = 4
	where := e.Key
	if len(e.Conflicts) == 1 {
		where = place(e.Key, e.Conflicts[0].Path)
	}
	var sides []string
	for _, c := range e.Conflicts {
		at := ""
		if len(e.Conflicts) > 1 {
			at = c.Path + " "
		}
		for _, s := range c.Sides {
			what := "value"
			if s.Deleted {
				what = "deletion"
			}
			by := "by " + writer(s.Node, s.Author)
			if s.Served && !e.Withheld {
				by += ", served"
			}
			sides = append(sides, fmt.Sprintf("%s%s: %s %s", at, s.Letter, what, by))
		}
	}
	what := "is in conflict"
	if e.Withheld {
		what = "is not served: it is in conflict"
	}
	if len(sides) == 0 {
		return fmt.Sprintf("%s %s", e.Key, what)
	}
	if more := len(sides) - most; more > 0 {
		slices.SortStableFunc(sides, func(a, b string) int { // the one that was printed is among those that are named
			return cmp.Compare(strings.Count(b, ", served"), strings.Count(a, ", served"))
		})
		sides = append(sides[:most], fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("%s %s (%s)", where, what, strings.Join(sides, "; "))
}

// writer names who wrote something: the node, and the name that was claimed.
func writer(node string, author rpc.Author) string {
	switch {
	case node == "":
		node = "-"
	case len(node) > 40: // a node without a name: the end of its id tells it from others
		node = "…" + node[len(node)-shortLen:]
	}
	if author == "" {
		return node
	}
	return fmt.Sprintf("%s (%s)", node, author)
}
