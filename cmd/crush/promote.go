package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"crush/rpc"
)

// gatePoll is how often promote asks again whether everything is here.
const gatePoll = 100 * time.Millisecond

func (p *program) promoteCommand() *cobra.Command {
	f := mergeFlags{onConflict: string(rpc.OnConflictFail)}
	force := false
	cmd := &cobra.Command{
		Use:   "promote SRC --into DST",
		Short: "Merge all of a fork, or nothing",
		Long: `Promote SRC to DST: crush merge SRC --into DST --on-conflict fail, behind two
gates. SRC has no open conflict (else exit 3), and this node has all that the
nodes which it is connected to have: it waits for that up to --timeout (else
exit 7). Members that are not connected are named, and not waited for. --force
opens both gates.

All that is new on SRC arrives in one atomic change, or, if one key is in
conflict, nothing does: the plan is printed, and the exit code is 3. Settle the
conflicts with crush merge --resolve.`,
		Example: `  crush promote staging --into default --plan
  crush promote staging --into default -m "release 12"`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !force && f.into != "" {
				if err := p.passGates(cmd, args[0]); err != nil {
					return err
				}
			}
			return p.merge(cmd, args[0], &f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.into, "into", "", "the `FORK` that gets the writes")
	fl.BoolVar(&f.plan, "plan", false, "only say what would happen")
	fl.StringVar(&f.apply, "apply", "", "do what the plan `ID` says, or nothing (exit 4)")
	fl.BoolVar(&force, "force", false, "also with open conflicts on SRC, and when not everything is here")
	exclusive(cmd, []string{"plan", "apply"})
	addMessage(cmd, &f.message)
	return cmd
}

// passGates returns an error if a fork is in no state to be promoted.
func (p *program) passGates(cmd *cobra.Command, source string) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	n := 0
	for _, err := range door.Conflicts(ctx, source, "") {
		if err != nil {
			return err
		}
		n++
	}
	if n > 0 {
		return &rpc.Error{Code: rpc.CodeConflict, Message: count(n, "open conflict") + " on " + source + ": " +
			command(append(onFork(source), "conflicts")...) + " lists them; --force promotes all the same"}
	}
	away, err := p.awaitPeers(ctx, door)
	for _, name := range away {
		p.note("%s is not connected: what it wrote lately may be missing", name)
	}
	return err
}

// awaitPeers returns once this node has all that the members which it is
// connected to have, with the names of the others.
func (p *program) awaitPeers(ctx context.Context, door *rpc.Client) (away []string, err error) {
	again := time.NewTicker(gatePoll)
	defer again.Stop()
	ahead := ""
	behind := func() error {
		return &rpc.Error{Code: rpc.CodeNotHere, Message: "this node and " + ahead + " do not have the same yet: crush status says how far; --force promotes all the same"}
	}
	for {
		s, err := door.Status(ctx)
		if err != nil {
			if ahead != "" && ctx.Err() != nil {
				err = behind()
			}
			return nil, err
		}
		ahead, away = "", nil
		for _, m := range s.Peers {
			name := m.Name
			if name == "" {
				name = m.Node.Short()
			}
			switch {
			case !m.Connected:
				away = append(away, name)
			case !m.InSync:
				ahead = name
			}
		}
		if ahead == "" {
			return away, nil
		}
		select {
		case <-ctx.Done():
			return away, behind()
		case <-again.C:
		}
	}
}
