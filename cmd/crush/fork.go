package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) forkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fork",
		Short: "Make, list, rename and remove forks",
		Long: `A fork is a named line of the key space, as a branch is. Making one costs the
same for three keys and for three million: nothing is copied. Every verb works
on the fork that -F names; crush merge brings the writes of one to another.`,
		Example: `  crush fork create staging
  crush -F staging put app/port 8081
  crush fork ls
  crush merge staging --into default`,
		RunE: wantVerb("create, ls, show, rename, rm, restore"),
	}
	cmd.AddCommand(p.forkCreateCommand(), p.forkLsCommand(), p.forkRenameCommand(), p.forkRestoreCommand(),
		p.forkRmCommand(), p.forkShowCommand())
	return cmd
}

// wantVerb answers a noun that came without one of its verbs.
func wantVerb(verbs string) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef("there is no verb %q: %s has %s", cmd.Name()+" "+args[0], cmd.Name(), verbs)
		}
		return usagef("%s wants a verb: %s", cmd.Name(), verbs)
	}
}

type forkFlags struct {
	from, at, message   string
	keys, scopes, skips []string
}

func (p *program) forkCreateCommand() *cobra.Command {
	var f forkFlags
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a fork",
		Long: `Make a fork of what another fork shows now, or showed at a time, a tag or after a
block. --key and --scope limit it to some keys; the others are absent there, and
may be written. --skip leaves keys out.

In a PATTERN * stands for anything but a slash, and ** for anything.

Without --from the fork of -F or CRUSH_FORK is forked, which is default unless
you say otherwise.`,
		Example: `  crush fork create staging
  crush fork create hotfix --at v1.4 -m "TLS certificate"
  crush fork create canary --scope 'web/**' --skip 'web/secrets/**'
  crush fork create try --from staging --key app/replicas`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.forkCreate(cmd, args[0], &f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.from, "from", "", "the `FORK` to fork (default: that of -F)")
	fl.StringVar(&f.at, "at", "", "what it showed at a `TIME`, a tag, or after a block")
	fl.StringArrayVar(&f.keys, "key", nil, "only this `KEY`; may be repeated")
	fl.StringArrayVar(&f.scopes, "scope", nil, "only the keys that match `PATTERN`; may be repeated")
	fl.StringArrayVar(&f.skips, "skip", nil, "not the keys that match `PATTERN`; may be repeated")
	addMessage(cmd, &f.message)
	return cmd
}

// filter is nil if the fork is of all keys.
func (f *forkFlags) filter() *rpc.Filter {
	if len(f.keys)+len(f.scopes)+len(f.skips) == 0 {
		return nil
	}
	return &rpc.Filter{Keys: f.keys, Scopes: f.scopes, Skips: f.skips}
}

func (p *program) forkCreate(cmd *cobra.Command, name string, f *forkFlags) error {
	if f.from != "" && p.origins["fork"] == "flag --fork" && f.from != p.flags.fork {
		return usagef("-F %s and --from %s contradict each other", p.flags.fork, f.from)
	}
	if f.from == "" {
		f.from = p.flags.fork
	}
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	made, err := door.CreateFork(ctx, rpc.ForkRequest{
		Name: name, From: f.from, At: timeOrRef(f.at), Filter: f.filter(), Claim: p.claim(f.message),
	})
	if err != nil {
		return err
	}
	if f.filter() != nil && p.format == formatText {
		if err := p.noteEmpty(ctx, door, made, f.from); err != nil {
			return err
		}
	}
	return p.print(made, func() {
		p.printf("forked %s from %s; work on it with -F %s\n", escape(made.Name), escape(f.from), escape(made.Name))
	})
}

// noteEmpty says that no key passed the filter of a new fork: that is allowed,
// and mostly a typing mistake.
func (p *program) noteEmpty(ctx context.Context, door *rpc.Client, made rpc.ForkInfo, from string) error {
	for _, err := range door.List(ctx, rpc.ListRequest{Fork: made.ID.String()}) {
		return err
	}
	p.note("no key of %s matches: %s is empty", from, made.Name)
	return nil
}

func (p *program) forkRenameCommand() *cobra.Command {
	var message string
	cmd := &cobra.Command{
		Use:   "rename FORK NAME",
		Short: "Give a fork another name",
		Long: `Give a fork another name. Its identity stays, so that writes of nodes which know
it by the old name land on it. default cannot be renamed.

Where two forks have one name, as when two nodes made it while apart, this
settles it: name the fork by its id, as fork ls prints it.`,
		Example: `  crush fork rename staging stage
  crush fork rename staging~4f2a9c31 staging-west`,
		Args: wantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.changeFork(cmd, rpc.ForkChange{Fork: args[0], Name: args[1], Claim: p.claim(message)},
				(*rpc.Client).RenameFork, "renamed "+escape(args[0])+" to %s\n")
		},
	}
	addMessage(cmd, &message)
	return cmd
}

func (p *program) forkRmCommand() *cobra.Command {
	var message string
	var force bool
	cmd := &cobra.Command{
		Use:   "rm FORK",
		Short: "Remove a fork",
		Long: `Remove a fork: its name goes, its history stays, and fork restore brings it back.
A fork with writes that no other fork has is refused without --force. default
cannot be removed. Elsewhere, a write to the fork that had not seen the removal
brings it back.`,
		Example: `  crush fork rm staging
  crush fork rm experiment --force -m "did not work out"`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.changeFork(cmd, rpc.ForkChange{Fork: args[0], Force: force, Claim: p.claim(message)},
				(*rpc.Client).RemoveFork, "removed %s\n")
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "remove it although nobody has merged its writes")
	addMessage(cmd, &message)
	return cmd
}

func (p *program) forkRestoreCommand() *cobra.Command {
	var message string
	cmd := &cobra.Command{
		Use:   "restore FORK",
		Short: "Bring a removed fork back",
		Long: `Bring a removed fork back, with its name if that is free, else as NAME~ID.
fork ls --all lists the removed ones.`,
		Example: `  crush fork ls --all
  crush fork restore experiment`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.changeFork(cmd, rpc.ForkChange{Fork: args[0], Claim: p.claim(message)},
				(*rpc.Client).RestoreFork, "restored %s\n")
		},
	}
	addMessage(cmd, &message)
	return cmd
}

// changeFork asks for a change of one fork, and prints said with its name.
func (p *program) changeFork(cmd *cobra.Command, r rpc.ForkChange,
	ask func(*rpc.Client, context.Context, rpc.ForkChange) (rpc.ForkInfo, error), said string,
) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	changed, err := ask(door, ctx, r)
	if err != nil {
		return err
	}
	return p.print(changed, func() { p.printf(said, escape(changed.Name)) })
}

func (p *program) forkLsCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the forks",
		Long: `List the forks by name, and what each was made of. --all lists the removed ones
too. Forks that share a name are marked; the ~ and what follows tell them apart,
and fork rename settles it.`,
		Example: `  crush fork ls
  crush fork ls --all -o json`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			forks, err := p.forks(cmd)
			if err != nil {
				return err
			}
			if !all {
				forks = slices.DeleteFunc(forks, func(f rpc.ForkInfo) bool { return f.Deleted })
			}
			return p.printForks(forks)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "the removed forks too")
	return cmd
}

func (p *program) forks(cmd *cobra.Command) ([]rpc.ForkInfo, error) {
	door, err := p.door()
	if err != nil {
		return nil, err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	return door.Forks(ctx)
}

func (p *program) printForks(forks []rpc.ForkInfo) error {
	width := 0
	for _, f := range forks {
		width = max(width, len(escape(f.Name)))
	}
	return printList(p, each(forks), func(f rpc.ForkInfo) {
		line := fmt.Sprintf("%-*s  %s", width, escape(f.Name), forkNotes(f))
		p.printf("%s\n", strings.TrimRight(line, " "))
	})
}

// forkNotes says on one line what is to be known of a fork beside its name.
func forkNotes(f rpc.ForkInfo) string {
	var notes []string
	for _, s := range f.From {
		if s.Creation {
			notes = append(notes, "from "+escape(s.Name)+some(s.Filter))
		}
	}
	for _, label := range f.Labels {
		if label != f.Name && !strings.HasPrefix(f.Name, label+"~") {
			notes = append(notes, "also named "+escape(label))
		}
	}
	if f.Clash {
		note := "another fork has this name"
		if exact := f.Name + "~" + f.ID.Short(); !strings.HasSuffix(f.Name, "~"+f.ID.Short()) {
			note += ": write to this one as " + escape(exact)
		}
		notes = append(notes, note)
	}
	if f.Deleted {
		notes = append(notes, "removed")
	}
	if f.Frozen {
		notes = append(notes, "frozen: a newer crush is needed to write it")
	}
	return strings.Join(notes, ", ")
}

// some marks what is not of all keys.
func some(filter *rpc.Filter) string {
	if filter == nil {
		return ""
	}
	return " (some keys)"
}

func (p *program) forkShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show FORK",
		Short: "Say what is known of a fork",
		Long: `Say what is known of a fork: its id, its names, what it was made of and what was
merged into it, the newest last. FORK is a name, an id, or an alias.`,
		Example: `  crush fork show staging
  crush fork show staging -o json`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.forkShow(cmd, args[0]) },
	}
}

func (p *program) forkShow(cmd *cobra.Command, name string) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	f, err := door.ShowFork(ctx, name)
	if errors.Is(err, rpc.ErrNotFound) {
		f, err = removedFork(ctx, door, name, err)
	}
	if err != nil {
		return err
	}
	if f.Clash {
		p.warn("several forks are named %s: fork rename settles it", strings.Join(f.Labels, ", "))
	}
	return p.print(f, func() { p.printFork(f) })
}

// removedFork finds a fork by a name that only a removed one has; missing is
// the error if there is none.
func removedFork(ctx context.Context, door *rpc.Client, name string, missing error) (rpc.ForkInfo, error) {
	forks, err := door.Forks(ctx)
	if err != nil {
		return rpc.ForkInfo{}, err
	}
	i := slices.IndexFunc(forks, func(f rpc.ForkInfo) bool {
		return f.Deleted && (f.Name == name || slices.Contains(f.Labels, name))
	})
	if i < 0 {
		return rpc.ForkInfo{}, missing
	}
	return forks[i], nil
}

func (p *program) printFork(f rpc.ForkInfo) {
	p.printf("name    %s\n", escape(f.Name))
	p.printf("id      %s\n", f.ID)
	for _, label := range f.Labels {
		if label != f.Name {
			p.printf("label   %s\n", escape(label))
		}
	}
	if f.Deleted {
		p.printf("state   removed (fork restore brings it back)\n")
	}
	if f.Frozen {
		p.printf("state   frozen: something newer was done to it, a newer crush is needed to write it\n")
	}
	for _, s := range f.From {
		what := "merged"
		if s.Creation {
			what = "from"
		}
		p.printf("%-7s %s\n", what, escape(s.Name))
		p.printFilter(s.Filter)
	}
}

func (p *program) printFilter(f *rpc.Filter) {
	if f == nil {
		return
	}
	for _, list := range []struct {
		name string
		of   []string
	}{{"key", f.Keys}, {"scope", f.Scopes}, {"skip", f.SkipKeys}, {"skip", f.Skips}} {
		for _, s := range list.of {
			p.printf("        %-5s %s\n", list.name, escape(s))
		}
	}
}
