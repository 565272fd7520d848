package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"crush/daemon"
	"crush/rpc"
)

func (p *program) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check everything that is stored",
		Long: `Check everything that is stored: every block and signature, every revision, every
index. Exit 0 when all is clean; else every fault is listed and the exit code is
1. The daemon is asked; with none running the data directory is checked under
its lock.`,
		Example: `  crush verify
  crush verify --data /mnt/backup/crush
  crush verify -o jsonl`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.verify(cmd) },
	}
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
	}, func(f rpc.Fault) { p.printf("%s\n", escape(fmt.Sprintf("%s: %s: %s", f.Where, f.Kind, f.Detail))) })
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
