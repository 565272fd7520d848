package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"crush/rpc"
)

// resetTree writes old values of many keys again.
func (p *program) resetTree(cmd *cobra.Command, r rpc.ResetRequest) error {
	return p.reset(cmd, func(ctx context.Context, door *rpc.Client) (rpc.Reset, error) { return door.Reset(ctx, r) })
}

func (p *program) undoCommand() *cobra.Command {
	var message string
	var plan bool
	cmd := &cobra.Command{
		Use:   "undo [BLOCK]",
		Short: "Write again what the keys of a change had before it",
		Long: `Write again what the keys of a change had before it: one put, one apply, one
merge. Without BLOCK that is the newest change of the fork. It is a change of its
own, which undo can undo; nothing is taken back. If one of the keys was written
again since, nothing is written (exit 4): undo that first, or roll the key back.

Undoing a merge does not make it not have happened: merging the same fork again
brings only what was written there since.

BLOCK is what crush log prints of a change, a part of it, or one of its
revisions.`,
		Example: `  crush undo --plan
  crush undo -m "wrong cluster"
  crush undo 3k2hq7wm -F staging`,
		Args: wantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			block := ""
			if len(args) == 1 {
				if block = args[0]; block == "" {
					return usagef("the block is empty: leave it out to undo the newest change")
				}
			}
			return p.undo(cmd, rpc.UndoRequest{Fork: p.flags.fork, Block: block, Plan: plan, Claim: p.claim(message)})
		},
	}
	cmd.Flags().BoolVar(&plan, "plan", false, "only say what would be written")
	addMessage(cmd, &message)
	return cmd
}

func (p *program) undo(cmd *cobra.Command, r rpc.UndoRequest) error {
	return p.reset(cmd, func(ctx context.Context, door *rpc.Client) (rpc.Reset, error) {
		var s rpc.Shown
		if r.Block != "" {
			var err error
			if s, err = door.Show(ctx, r.Block); err != nil {
				return rpc.Reset{}, err
			}
			if s.Revision != nil { // the log shows a change of one key by its revision
				r.Block = s.Revision.Block.String()
			}
		}
		out, err := door.Undo(ctx, r)
		if err == nil && len(out.Changed) == 0 {
			p.noteElsewhere(&s, r.Fork)
		}
		return out, err
	})
}

// noteElsewhere says on which other fork a block changed something, when it was
// undone on one where it did not.
func (p *program) noteElsewhere(s *rpc.Shown, fork string) {
	on := ""
	switch {
	case s.Revision != nil:
		on = s.Revision.Fork
	case s.Block != nil:
		for _, o := range s.Block.Operations {
			if o.Kind == rpc.OperationMerge || o.Kind == rpc.OperationFork {
				on = o.Fork
			}
		}
		for _, e := range s.Block.Revisions {
			on = e.Fork
		}
	}
	if on != "" && on != fork {
		p.note("that changed something on %s, not on %s: name the fork with -F", on, fork)
	}
}

func (p *program) reset(cmd *cobra.Command, ask func(context.Context, *rpc.Client) (rpc.Reset, error)) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	g := p.startProgress("waiting for the daemon")
	r, err := ask(ctx, door)
	g.end()
	if err != nil {
		return err
	}
	if err := p.page(); err != nil {
		return err
	}
	return p.print(r, func() { p.printReset(r) })
}

func (p *program) printReset(r rpc.Reset) {
	for _, k := range r.Changed {
		p.printf("%s %s\n", mark(k.Change), escape(k.Key))
	}
	switch {
	case len(r.Changed) == 0:
		p.printf("nothing to write: every value is what it was\n")
	case r.Plan:
		p.printf("would be %s\n", strings.ReplaceAll(tally(r.Changed), ", ", ", would be "))
	default:
		p.printf("%s, block %s\n", tally(r.Changed), new(shortener).short(r.Block))
	}
}
