package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"crush/daemon"
	"crush/rpc"
)

func (p *program) verifyCommand() *cobra.Command {
	var rebuild bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check everything that is stored",
		Long: `Check everything that is stored: every block and signature, every revision, every
index. Exit 0 when all is clean; else every fault is listed and the exit code is
1. The daemon is asked; with none running the data directory is checked under
its lock.

With --rebuild, for which the daemon must be stopped, every index is computed
again from the blocks into a new store; blocks that are damaged are left out and
listed, and come back from other nodes. The old store is kept beside it.`,
		Example: `  crush verify
  crush verify --rebuild
  crush verify --data /mnt/backup/crush
  crush verify -o jsonl`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if rebuild {
				return p.rebuild(cmd)
			}
			return p.verify(cmd)
		},
	}
	cmd.Flags().BoolVar(&rebuild, "rebuild", false, "compute every index again from the blocks")
	return cmd
}

func (p *program) rebuild(cmd *cobra.Command) error {
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	if _, err := p.door(); !noDaemon(err) {
		return errors.New("the daemon is running on this data: stop it first, then verify --rebuild")
	}
	g := p.startProgress("rebuilding")
	var faults []rpc.Fault
	done, err := daemon.RebuildData(ctx, p.flags.data, nil, func(f rpc.Fault) { faults = append(faults, f) })
	g.end()
	if err != nil {
		return err
	}
	return p.print(map[string]any{"blocks": done.Blocks, "revisions": done.Revisions, "dropped": done.Dropped, "old": done.Old, "faults": faults}, func() {
		for _, f := range faults {
			p.printFault(f)
		}
		p.printf("rebuilt %s and %s; %s left out; the old store is in %s\n",
			count(done.Blocks, "block"), count(done.Revisions, "revision"), count(done.Dropped, "damaged block"), escape(done.Old))
	})
}

func (p *program) printFault(f rpc.Fault) {
	p.printf("%s\n", escape(fmt.Sprintf("%s: %s: %s", f.Where, f.Kind, f.Detail)))
}

func (p *program) verify(cmd *cobra.Command) error {
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	door, err := p.door()
	var faults func(func(rpc.Fault, error) bool)
	switch {
	case noDaemon(err):
		faults = daemon.VerifyData(ctx, p.flags.data)
	case err != nil:
		return err
	default:
		faults = door.Verify(ctx)
	}
	g := p.startProgress("checking")
	n := 0
	err = printList(p, func(yield func(rpc.Fault, error) bool) {
		for f, err := range faults {
			if err == nil {
				n++
			}
			if !yield(f, err) {
				return
			}
		}
	}, p.printFault)
	g.end()
	switch {
	case err != nil:
		return err
	case n > 0:
		return errors.New(count(n, "fault") + " found")
	case p.format == formatText:
		p.printf("clean\n")
	}
	return nil
}
