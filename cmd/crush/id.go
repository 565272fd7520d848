package main

import (
	"errors"

	"github.com/spf13/cobra"

	"crush/daemon"
)

func (p *program) idCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "id",
		Short: "Print the identity of this node",
		Long: `Print the identity of this node, which other nodes add as a member. It is asked
from the daemon; with no daemon running it is read from the data directory, and
made there if the directory is empty.`,
		Example: `  crush id
  crush id --data /var/lib/crush`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.id(cmd) },
	}
}

func (p *program) id(cmd *cobra.Command) error {
	door, err := p.door()
	if noDaemon(err) {
		id, made, err := daemon.Identity(p.flags.data)
		if err != nil {
			return err
		}
		if made {
			p.note("made a new identity in %s", p.flags.data)
		}
		return p.print(map[string]any{"node": id}, func() { p.printf("%s\n", id) })
	}
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	s, err := door.Status(ctx)
	if err != nil {
		return err
	}
	return p.print(map[string]any{"node": s.Node, "name": s.Name, "zone": s.Zone, "cluster": s.Cluster},
		func() { p.printf("%s\n", s.Node) })
}

// noDaemon reports whether nobody answers on this machine, so that a verb may
// work on the data directory itself.
func noDaemon(err error) bool {
	e, ok := errors.AsType[*unreachableError](err)
	return ok && !e.denied()
}
