package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"crush/rpc"
)

type statusFlags struct {
	watch  bool
	maxLag time.Duration
}

// statusEvery is how often status --watch looks.
const statusEvery = 2 * time.Second

func (p *program) statusCommand() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say how the node and its peers are",
		Long: `Say how the node is: what it holds, whether it takes writes, how the other
members stand that it knows of, and what somebody should look after. crush peers
says more of the others.

--max-lag is for checks: exit 7 if a member is behind this node for longer than
TIME, or has not told how far it is. --watch prints the status again and again,
until interrupted or, with --max-lag, until a member is too far behind.`,
		Example: `  crush status
  crush status -o json
  crush status --max-lag 5m >/dev/null
  crush status --watch`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("max-lag") && f.maxLag <= 0 {
				return usagef("--max-lag %s: want a duration as 30s", f.maxLag)
			}
			return p.status(cmd.Context(), &f)
		},
	}
	cmd.Flags().BoolVar(&f.watch, "watch", false, "print it again and again")
	cmd.Flags().DurationVar(&f.maxLag, "max-lag", 0, "exit 7 if a member is behind for longer than `TIME`")
	return cmd
}

func (p *program) status(ctx context.Context, f *statusFlags) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		s, err := p.askStatus(ctx, door)
		if err != nil {
			return err
		}
		if f.watch && p.format == formatText {
			p.separate(n)
		}
		if err := p.print(s, func() { p.printStatus(s) }); err != nil {
			return err
		}
		if err := tooFarBehind(s, f.maxLag); err != nil || !f.watch {
			return err
		}
		if err := p.out.Flush(); err != nil {
			return &localError{verb: "write output", cause: err}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (p *program) askStatus(ctx context.Context, door *rpc.Client) (rpc.Status, error) {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	return door.Status(ctx)
}

// separate tells one status of a watch from the one before: a terminal is
// cleared.
func (p *program) separate(n int) {
	switch {
	case isTerminal(p.stdout):
		p.printf("\x1b[H\x1b[2J")
	case n > 0:
		p.printf("\n")
	}
}

// tooFarBehind names the members that are behind for longer than a limit; zero
// is none.
func tooFarBehind(s rpc.Status, limit time.Duration) error {
	var names []string
	for _, peer := range s.Peers {
		switch {
		case limit == 0:
		case peer.Lag == nil:
			names = append(names, peerName(peer)+" has not told how far it is")
		case peer.Lag.Blocks > 0 && s.Time.Sub(peer.Lag.Since) >= limit:
			names = append(names, fmt.Sprintf("%s is behind (%s)", peerName(peer), behind(peer.Lag)))
		}
	}
	if names == nil {
		return nil
	}
	return &rpc.Error{Code: rpc.CodeNotHere, Message: strings.Join(names, "; ")}
}

func (p *program) printStatus(s rpc.Status) {
	p.printf("node      %s%s\n", s.Node, named(s.Name, s.Zone))
	if s.Cluster.IsZero() {
		p.printf("cluster   none yet\n")
	} else {
		p.printf("cluster   %s\n", s.Cluster)
	}
	p.printf("state     %s\n", state(s))
	p.printf("version   %s\n", escape(s.Version))
	p.printf("data      %s, %s on disk\n", escape(s.Data), size(s.DiskBytes))
	p.printf("holds     %s, %s in %s\n", count(s.Keys, "key"), count(s.Revisions, "revision"), count(s.Blocks, "block"))
	p.printf("frontier  %s, digest %s\n", count(s.Chains, "chain"), s.Frontier)
	if s.Void > 0 {
		p.printf("void      %s that break a rule and are never shown (crush verify lists them)\n", count(s.Void, "operation"))
	}
	for _, a := range s.Addresses {
		p.printf("address   %s\n", escape(a))
	}
	p.printPeers(s.Peers)
	for _, w := range s.Warnings {
		p.printf("warning   %s\n", escape(w))
	}
}

// named prints what people call a node.
func named(name, zone string) string {
	var parts []string
	if name != "" {
		parts = append(parts, "name "+escape(name))
	}
	if zone != "" {
		parts = append(parts, "zone "+escape(zone))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func state(s rpc.Status) string {
	since := ", since " + when(s.Started)
	switch {
	case s.ReadOnly != "":
		return "READ-ONLY: " + escape(s.ReadOnly) + since
	case !s.Ready:
		return "starting" + since
	}
	return "ready" + since
}

func (p *program) printPeers(peers []rpc.PeerStatus) {
	if len(peers) == 0 {
		p.printf("peers     %s\n", alone)
		return
	}
	connected := 0
	for _, peer := range peers {
		if peer.Connected {
			connected++
		}
	}
	p.printf("peers     %d of %d connected\n", connected, len(peers))
	for _, peer := range peers {
		p.printf("  %s%s  %s\n", peer.Node, named(peer.Name, peer.Zone), peerLine(peer))
	}
}

// peerLine says how a peer stands.
func peerLine(peer rpc.PeerStatus) string {
	s := peerState(peer)
	if !peer.Connected && !peer.LastSeen.IsZero() {
		s += ", last seen " + when(peer.LastSeen)
	}
	if peer.Lag != nil && peer.Lag.Blocks > 0 {
		s = strings.TrimSuffix(s, ", behind") + ", " + behind(peer.Lag) + " behind"
	}
	if peer.Connected && peer.ClockSkew.Abs() >= time.Second {
		s += ", its clock is off by " + skew(peer)
	}
	return s
}
