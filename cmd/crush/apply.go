package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"crush/rpc"
)

type applyFlags struct {
	from, prefix, label, message string
	prune, all, plan             bool
}

func (p *program) applyCommand() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply -f DIR|FILE",
		Short: "Write the files of a directory, in one atomic change",
		Long: `Write many keys in one atomic change. The key of a file is its path below DIR
(of a single FILE: its name), with the prefix before it. Keys that have the
value already are left alone. A new key holds bytes, unless a policy gives it
another kind: crush policy set 'app/**.yaml' --kind yaml.

.git is skipped. Links that leave DIR are refused. --prune deletes the keys that
DIR does not have: below --prefix, or with --all everywhere on the fork.

A job that applies the same files again and again names itself with --as: then
it changes what has changed in its files since it applied them last, and leaves
alone what others have written meanwhile, down to the field of a json or yaml.`,
		Example: `  crush apply -f config/ --prefix app/ -m "release 12"
  crush apply -f config/ --prefix app/ --prune --plan
  crush apply -f app.yaml --prefix config/
  crush apply -f config/ --prefix app/ --as ci`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.apply(cmd, &f) },
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.from, "file", "f", "", "the `DIR` or file to read")
	fl.StringVar(&f.prefix, "prefix", "", "put `P/` before every key")
	fl.StringVar(&f.label, "as", "", "apply as the job `LABEL`")
	fl.BoolVar(&f.prune, "prune", false, "delete the keys that DIR does not have")
	fl.BoolVar(&f.all, "all", false, "let --prune work on all keys of the fork")
	fl.BoolVar(&f.plan, "plan", false, "only say what would be written")
	exclusive(cmd, []string{"prefix", "all"})
	addMessage(cmd, &f.message)
	return cmd
}

func (f *applyFlags) validate() error {
	switch {
	case f.from == "":
		return usagef("apply wants -f DIR or -f FILE")
	case f.prune && f.prefix == "" && !f.all:
		return usagef("--prune wants --prefix P/, or --all to work on all keys of the fork")
	case f.all && !f.prune:
		return usagef("--all belongs to --prune")
	case f.prefix != "":
		_, err := treePrefix(f.prefix)
		return err
	}
	return nil
}

func (p *program) apply(cmd *cobra.Command, f *applyFlags) error {
	if err := f.validate(); err != nil {
		return err
	}
	g := p.startProgress("files read")
	files, err := readTree(cmd.Context(), f.from, f.prefix, g)
	g.end()
	switch {
	case err != nil:
		return err
	case f.prune && len(files) == 0:
		return fmt.Errorf("%s has no files: --prune would delete everything (crush del -r does that)", f.from)
	}
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	g = p.startProgress("waiting for the daemon to write " + count(len(files), "file"))
	applied, err := door.Apply(ctx, rpc.ApplyRequest{
		Fork: p.flags.fork, Claim: p.claim(f.message), Files: files,
		Prune: f.prune, Prefix: f.prefix, Plan: f.plan, Label: f.label,
	})
	g.end()
	if err != nil {
		return err
	}
	return p.print(applied, func() { p.printApplied(applied) })
}

func (p *program) printApplied(a rpc.Applied) {
	for _, list := range []struct {
		mark string
		keys []string
	}{{"+", a.Created}, {"~", a.Changed}, {"-", a.Deleted}} {
		for _, key := range list.keys {
			p.printf("%s %s\n", list.mark, escape(key))
		}
	}
	would := ""
	if a.Plan {
		would = "would be "
	}
	p.printf("%d %screated, %d %schanged, %d %sdeleted, %d unchanged", len(a.Created), would,
		len(a.Changed), would, len(a.Deleted), would, a.Unchanged)
	if !a.Block.IsZero() {
		p.printf(", block %s", new(shortener).short(a.Block))
	}
	p.printf("\n")
}
