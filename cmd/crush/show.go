package main

import (
	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a revision, a change or a conflict",
		Long: `Show what an id names: a revision; a block, which is one atomic change, as a merge
or an apply, with all that it did; or a conflict. ID is what log, info and
conflicts print, whole or shortened to 6 characters or more.`,
		Example: `  crush show 3k2hq7wm
  crush show 3k2hq7wm -o json`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.show(cmd, args[0]) },
	}
}

func (p *program) show(cmd *cobra.Command, id string) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	s, err := door.Show(ctx, id)
	if err != nil {
		return err
	}
	if err := p.page(); err != nil {
		return err
	}
	return p.print(s, func() {
		switch {
		case s.Revision != nil:
			p.printRevision(s.Revision)
		case s.Block != nil:
			p.printBlock(s.Block)
		case s.Conflict != nil:
			p.printShownConflict(s.Conflict)
		}
	})
}

func (p *program) printRevision(e *rpc.LogEntry) {
	p.printf("revision  %s\n", e.Revision)
	p.printf("block     %s\n", e.Block)
	for _, id := range e.Parents {
		p.printf("parent    %s\n", id)
	}
	p.printf("key       %s\n", escape(e.Key))
	p.printf("fork      %s\n", escape(e.Fork))
	p.printf("kind      %s\n", e.Kind)
	p.printWriter(e.Node, e.Author)
	p.printf("time      %s\n", when(e.Time))
	if !e.Claimed.IsZero() {
		p.printf("claimed   %s\n", when(e.Claimed))
	}
	if e.Message != "" {
		p.printf("message   %s\n", escape(e.Message))
	}
	if e.Deleted {
		p.printf("size      deleted\n")
		return
	}
	p.printf("size      %s\n", size(e.Size))
	if e.Layout {
		p.printf("wrote     layout only: comments, order or spelling\n")
	}
	if parts := changedParts(e); parts != "" {
		p.printf("wrote     %s\n", parts)
	}
	if e.Purged != nil {
		p.printf("value     %s\n", escape(e.Purged.String()))
	}
	if e.Value != nil {
		p.printf("value     %s\n", preview(e.Value))
	}
}

func (p *program) printWriter(node string, author rpc.Author) {
	p.printf("node      %s\n", escape(node))
	if author != "" {
		p.printf("author    %s (claimed)\n", escape(string(author)))
	}
}

func (p *program) printBlock(b *rpc.BlockInfo) {
	p.printf("block     %s\n", b.Block)
	p.printf("chain     %s, number %d\n", b.Chain, b.Seq)
	if b.Prev != "" {
		p.printf("previous  %s\n", escape(b.Prev))
	}
	for _, id := range b.Deps {
		p.printf("after     %s\n", id)
	}
	p.printWriter(b.Node, b.Author)
	p.printf("time      %s\n", when(b.Time))
	if b.Message != "" {
		p.printf("message   %s\n", escape(b.Message))
	}
	for i := range b.Operations {
		p.printf("did       %s\n", escape(sentence(&b.Operations[i])))
	}
	var short shortener
	for _, e := range b.Revisions {
		short.add(e.Revision)
	}
	for _, e := range b.Revisions {
		what := size(e.Size)
		if e.Deleted {
			what = "deleted"
		}
		p.printf("revision  %s  %s  %s\n", short.short(e.Revision), escape(e.Key), what)
	}
}

func (p *program) printShownConflict(c *rpc.Conflict) {
	var short shortener
	if c.Base != nil {
		short.add(c.Base.Revision)
	}
	for _, s := range c.Sides {
		short.add(s.Revision)
	}
	p.printf("key             %s\n", escape(c.Key))
	p.printf("fork            %s\n", escape(c.Fork))
	p.printConflict(*c, &short)
}
