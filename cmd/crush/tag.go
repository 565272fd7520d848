package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) tagCommand() *cobra.Command {
	var at, message string
	var force bool
	cmd := &cobra.Command{
		Use:   "tag NAME",
		Short: "Give the present state a name",
		Long: `Give a name to all that this node knows now, or knew at a time or after a block:
of every fork. The name stands where a time may: get --at, fork create --at,
rollback --to, diff FORK@TAG. Tags are replicated as everything else. A tag that
is there is not moved without --force (exit 4).`,
		Example: `  crush tag v1.4 -m "release 1.4"
  crush tag before-migration --at 2h
  crush get app/port --at v1.4
  crush tag ls
  crush tag rm v1.3`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if _, ok := parseTime(name, time.Now()); ok {
				return usagef("tag %s: that reads as a time; choose another name", name)
			}
			ask := (*rpc.Client).Tag
			if !force {
				ask = newTag
			}
			return p.point(cmd, rpc.PointRequest{Name: name, At: timeOrRef(at), Claim: p.claim(message)}, ask,
				func(t rpc.PointerInfo) { p.printf("tagged %s\n", escape(t.Name)) })
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "what was known at a `TIME`, at a tag, or after a block")
	cmd.Flags().BoolVar(&force, "force", false, "move a tag that is there")
	addMessage(cmd, &message)
	cmd.AddCommand(p.tagLsCommand(), p.tagRmCommand())
	return cmd
}

// newTag sets a tag that is not there, or that two nodes have set at once: what
// a script goes back to must not move by mistake.
func newTag(door *rpc.Client, ctx context.Context, r rpc.PointRequest) (rpc.PointerInfo, error) {
	tags, err := door.Tags(ctx)
	if err != nil {
		return rpc.PointerInfo{}, err
	}
	if slices.ContainsFunc(tags, func(t rpc.PointerInfo) bool { return t.Name == r.Name && !t.Clash }) {
		return rpc.PointerInfo{}, &rpc.Error{Code: rpc.CodeStale, Message: fmt.Sprintf("there is a tag %q already: --force moves it", r.Name)}
	}
	return door.Tag(ctx, r)
}

// point asks for the setting or removing of a tag or alias.
func (p *program) point(cmd *cobra.Command, r rpc.PointRequest,
	ask func(*rpc.Client, context.Context, rpc.PointRequest) (rpc.PointerInfo, error), text func(rpc.PointerInfo),
) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	info, err := ask(door, ctx, r)
	if err != nil {
		return err
	}
	return p.print(info, func() { text(info) })
}

// listPointers lists tags or aliases.
func (p *program) listPointers(cmd *cobra.Command, ask func(*rpc.Client, context.Context) ([]rpc.PointerInfo, error), text func(rpc.PointerInfo)) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	list, err := ask(door, ctx)
	if err != nil {
		return err
	}
	return printList(p, each(list), text)
}

// setBy is who set a tag or alias, and when.
func setBy(t rpc.PointerInfo) string {
	return when(t.Time) + "  " + escape(writer(t.Node, t.Author))
}

// clashMark marks a name that several nodes have set at once.
func clashMark(clash bool) string {
	if clash {
		return "  (set twice at once: set it again to settle it)"
	}
	return ""
}

func (p *program) tagLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List the tags",
		Long: `List the tags: the name, who set it and when, and the newest blocks of what it
names. A tag that two nodes have set at once is marked; setting it again settles
it.`,
		Example: `  crush tag ls
  crush tag ls -o json`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.listPointers(cmd, (*rpc.Client).Tags, p.printTag)
		},
	}
}

func (p *program) printTag(t rpc.PointerInfo) {
	const most = 3
	var short shortener
	for _, id := range t.Cut {
		short.add(id)
	}
	p.printf("%-20s  %s ", escape(t.Name), setBy(t))
	for i, id := range t.Cut {
		if i == most {
			p.printf(" and %d more", len(t.Cut)-most)
			break
		}
		p.printf(" %s", short.short(id))
	}
	p.printf("%s\n", clashMark(t.Clash))
}

func (p *program) tagRmCommand() *cobra.Command {
	var message string
	cmd := &cobra.Command{
		Use:     "rm NAME",
		Short:   "Remove a tag",
		Long:    "Remove a tag. What it named stays: every revision does.",
		Example: "  crush tag rm v1.3",
		Args:    wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.point(cmd, rpc.PointRequest{Name: args[0], Remove: true, Claim: p.claim(message)}, (*rpc.Client).Tag,
				func(t rpc.PointerInfo) { p.printf("removed the tag %s\n", escape(t.Name)) })
		},
	}
	addMessage(cmd, &message)
	return cmd
}
