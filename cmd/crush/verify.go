package main

import (
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"crush/daemon"
	"crush/rpc"
)

func (p *program) verifyCommand() *cobra.Command {
	var rebuild, repair bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check everything that is stored",
		Long: `Check everything that is stored: every block and signature, every revision, every
index. Exit 0 when all is clean; else every fault is listed and the exit code is
1. The daemon is asked; with none running the data directory is checked under
its lock.

With --repair the daemon first takes good copies of blocks and values that are
damaged from the nodes that it is connected to, while it runs.

With --rebuild, for which the daemon must be stopped, every index is computed
again from the blocks into a new store; blocks that are damaged are left out and
listed, and come back from other nodes. The old store is kept beside it.`,
		Example: `  crush verify
  crush verify --repair
  crush verify --rebuild
  crush verify --data /mnt/backup/crush
  crush verify -o jsonl`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if rebuild {
				return p.rebuild(cmd)
			}
			return p.verify(cmd, repair)
		},
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "take good copies of what is damaged from other nodes")
	cmd.Flags().BoolVar(&rebuild, "rebuild", false, "compute every index again from the blocks")
	exclusive(cmd, []string{"repair", "rebuild"})
	return cmd
}

func (p *program) rebuild(cmd *cobra.Command) error {
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	if _, err := p.door(); !noDaemon(err) {
		return errors.New("the daemon is running on this data: stop it first, then verify --rebuild")
	}
	g := p.startProgress("rebuilding blocks")
	var faults []rpc.Fault
	done, err := daemon.RebuildData(ctx, p.flags.data, g.set, func(f rpc.Fault) { faults = append(faults, f) })
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

func (p *program) verify(cmd *cobra.Command, repair bool) error {
	ctx, cancel := p.streaming(cmd.Context())
	defer cancel()
	door, err := p.door()
	switch {
	case noDaemon(err) && repair:
		return errors.New("verify --repair takes good copies from other nodes: start the daemon first")
	case err != nil && !noDaemon(err):
		return err
	}
	g := p.startProgress("checking blocks")
	faults := func(yield func(rpc.Fault, error) bool) {
		if repair && !passFaults(door.Repair(ctx, g.set), yield) {
			return
		}
		if door == nil {
			passFaults(daemon.VerifyData(ctx, p.flags.data, g.set), yield)
		} else {
			passFaults(door.Verify(ctx, g.set), yield)
		}
	}
	found, damaged := 0, false
	err = printList(p, func(yield func(rpc.Fault, error) bool) {
		for f, err := range faults {
			if err == nil && !f.Repaired {
				found++
				damaged = damaged || f.Kind == "block" || f.Kind == "payload"
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
	case found > 0:
		if damaged && !repair {
			p.note("crush verify --repair takes blocks that are damaged from other nodes")
		}
		return errors.New(count(found, "fault") + " found")
	case p.format == formatText:
		p.printf("clean\n")
	}
	return nil
}

// passFaults yields a list; false says that nothing more is wanted.
func passFaults(list iter.Seq2[rpc.Fault, error], yield func(rpc.Fault, error) bool) bool {
	for f, err := range list {
		if !yield(f, err) || err != nil {
			return false
		}
	}
	return true
}
