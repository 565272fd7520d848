package main

import (
	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) infoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "info KEY",
		Short: "Say what is known of a key",
		Long: `Say what is known of a key: how many revisions it has, its heads, when it was
first and last written, and the sides of its conflict if it has one.

revision_count is the number of revisions before the present one, deletions
included.`,
		Example: `  crush info app/port
  crush info app/port -o json`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.info(cmd, args[0]) },
	}
}

func (p *program) info(cmd *cobra.Command, key string) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	in, err := door.Info(ctx, p.keyRef(key))
	if err != nil {
		return err
	}
	var conflicts []rpc.Conflict
	if in.Conflict && p.format == formatText {
		e, err := door.Get(ctx, rpc.GetRequest{KeyRef: p.keyRef(key), Meta: true})
		if err != nil {
			return err
		}
		conflicts = e.Conflicts
	}
	return p.print(in, func() { p.printInfo(in, conflicts) })
}

func (p *program) printInfo(in rpc.Info, conflicts []rpc.Conflict) {
	var short shortener
	for _, id := range in.Heads {
		short.add(id)
	}
	for _, c := range conflicts {
		if c.Base != nil {
			short.add(c.Base.Revision)
		}
		for _, s := range c.Sides {
			short.add(s.Revision)
		}
	}
	p.printf("key             %s\n", escape(in.Key))
	p.printf("fork            %s\n", escape(in.Fork))
	p.printf("kind            %s\n", in.Kind)
	if in.Deleted {
		p.printf("size            deleted\n")
	} else {
		p.printf("size            %s\n", size(in.Size))
	}
	p.printf("revision_count  %d\n", in.RevisionCount)
	p.printf("first           %s\n", when(in.First))
	p.printf("last            %s\n", when(in.Last))
	for _, id := range in.Heads {
		p.printf("head            %s\n", short.short(id))
	}
	p.printf("token           %s\n", escape(string(in.Token)))
	for _, c := range conflicts {
		p.printConflict(c, &short)
	}
}

// printConflict prints what was before a conflict and its sides, one a line.
func (p *program) printConflict(c rpc.Conflict, short *shortener) {
	p.printf("conflict        %s (%s), id %s\n", escape(c.Path), escape(c.Kind), c.ID)
	p.printf("  %s\n", baseLine(c.Base, short))
	for _, s := range c.Sides {
		served := ""
		if s.Served {
			served = ", served"
		}
		p.printf("  %-2s %s  %s  %s%s: %s\n", escape(s.Letter), short.short(s.Revision), when(s.Time),
			escape(writer(s.Node, s.Author)), served, valueText(s.Kind, s.Value, s.Deleted, s.Purged))
	}
}

// preview is the start of a value on one line.
func preview(value []byte) string {
	if !isText(value) {
		return count(len(value), "byte") + " that are not text"
	}
	return shorten(string(value), `"`)
}

// shorten returns the start of a text on one line, between quotes.
func shorten(text, quote string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return quote + escape(string(runes[:most])) + quote + "…"
	}
	return quote + escape(text) + quote
}
