package main

import (
	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) importCommand() *cobra.Command {
	var f gitFlags
	cmd := &cobra.Command{
		Use:   "import FILE.car | import --git-stream FILE",
		Short: "Add the history in a file, of crush or of Git",
		Long: `Add the history in a file that export wrote, or standard input: -. All of the file
is checked before any of it is added: hashes, signatures, authors, and that
nothing is missing. What this node has already is left out; then everything
reads as if it had come from another node.

The file must be of the cluster that this node is in. The daemon is asked; with
none running the data directory is used under its lock, and one that is empty or
not there becomes a copy of the cluster, with an identity of its own.

With --git-stream, bring in what git fast-export writes, plain or compressed with
gzip or zstd, through a running daemon. Every commit becomes one atomic change
with its author, message and time; every version of every file a revision of the
key that is its path. The main ref goes to the fork --into: what is on the line
of its first parents. The other refs become forks of their names, tags tags. A
line that only merges lead to becomes a fork git/NUMBER, which is removed after
its last merge. A merge of Git is a merge here, with a revision for each path
where the result is another one. A symbolic link is its target; executable bits,
notes and submodules are left out, the last counted.

Run it again, with the same or a newer stream, and it goes on where it ended:
nothing is written twice. A stream that breaks off is imported up to there, and
the exit code is 1.`,
		Example: `  crush import backup.car
  crush import backup.car --data /srv/copy
  ssh db1 crush export - | crush import -
  git fast-export --all | crush import --git-stream -
  crush import --git-stream history.fe.zst --into imported
  crush import --git-stream repo.fe.gz --ref develop --type '**.md=text'
  crush import --git-stream repo.fe --skip-large -o json`,
		Args: wantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			git := cmd.Flags().Changed("git-stream")
			switch {
			case git && len(args) > 0:
				return usagef("import takes FILE.car or --git-stream FILE, not both")
			case git:
				return p.importGit(cmd, &f)
			case len(args) == 0:
				return wrongArgs(cmd, args, 1)
			case f.given(cmd):
				return usagef("--into, --ref, --type, --skip-large and --wait belong to --git-stream")
			}
			ctx, cancel := p.streaming(cmd.Context())
			defer cancel()
			return p.importCAR(ctx, args[0])
		},
	}
	f.add(cmd)
	return cmd
}

// gitFlags are the flags of an import of Git.
type gitFlags struct {
	from, into, ref string
	types           []string
	skipLarge       bool

	rules []rpc.KindRule
}

func (f *gitFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.from, "git-stream", "", "the `FILE` that git fast-export wrote, or standard input: -")
	fl.StringVar(&f.into, "into", "default", "the `FORK` that gets the main ref")
	fl.StringVar(&f.ref, "ref", "", "the main `REF` (default: main, master, or the only one)")
	fl.StringArrayVar(&f.types, "type", nil, "`PATTERN=KIND`, bytes, text, json or yaml, of the keys that match; can be given again, the first that matches holds")
	fl.BoolVar(&f.skipLarge, "skip-large", false, "leave values over the limit of 4 MiB out: the key is then not there")
	fl.String("wait", "", "return when `N` other nodes, or one in each of the zones (zones), have it on disk (else exit 10)")
}

// given reports whether any of them is.
func (f *gitFlags) given(cmd *cobra.Command) bool {
	for _, name := range []string{"into", "ref", "type", "skip-large", "wait"} {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

func (f *gitFlags) readRules() error {
	for _, text := range f.types {
		rule, err := rpc.ParseKindRule(text)
		if err != nil {
			return usagef("--type %v", err)
		}
		f.rules = append(f.rules, rule)
	}
	return nil
}
