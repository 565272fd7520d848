package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) blameCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "blame KEY",
		Short: "Say who wrote what of a value last",
		Long: `Say who wrote each field of a json or yaml, each line of a text, or each element
of a set last: the revision, where and by whom it was written, and when. A value
of any other kind is one part. crush show REV says more of a revision.`,
		Example: `  crush blame app/config
  crush blame app/motd
  crush blame app/config -o json`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.blame(cmd, args[0]) },
	}
}

func (p *program) blame(cmd *cobra.Command, key string) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	if err := p.page(); err != nil {
		return err
	}
	list := door.Blame(ctx, p.keyRef(key))
	if p.format != formatText {
		return printList(p, list, func(rpc.BlameLine) {})
	}
	var all []rpc.BlameLine
	var short shortener
	for l, err := range list {
		if err != nil {
			return err
		}
		all = append(all, l)
		short.add(l.Revision)
	}
	for i := range all {
		p.printf("%s\n", blameLine(&all[i], &short))
	}
	return nil
}

func blameLine(l *rpc.BlameLine, short *shortener) string {
	said := fmt.Sprintf("%s  %s  %s  ", short.short(l.Revision), when(l.Time), escape(writer(l.Node, claimant(l.Author, l.Claimed))))
	switch {
	case l.Path != "":
		return said + escape(string(l.Path)) + ": " + shorten(string(l.Value), "")
	case l.Line > 0:
		return said + fmt.Sprintf("%d: ", l.Line) + escape(string(l.Value))
	}
	return said + preview(l.Value)
}
