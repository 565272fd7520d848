package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say how the node and its peers are",
		Long: `Say how the node is: what it holds, whether it takes writes, and how the other
members stand that it knows of.`,
		Example: `  crush status
  crush status -o json`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			door, err := p.door()
			if err != nil {
				return err
			}
			ctx, cancel := p.bounded(cmd.Context())
			defer cancel()
			s, err := door.Status(ctx)
			if err != nil {
				return err
			}
			return p.print(s, func() { p.printStatus(s) })
		},
	}
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
		p.printf("peers     none: this node is alone in its cluster\n")
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
		p.printf("  %s%s  %s\n", peer.Node, named(peer.Name, peer.Zone), peerState(peer))
	}
}

func peerState(peer rpc.PeerStatus) string {
	if !peer.Connected {
		if peer.LastSeen.IsZero() {
			return "never seen"
		}
		return "not connected, last seen " + when(peer.LastSeen)
	}
	s := "connected, catching up"
	if peer.InSync {
		s = "connected, in sync"
	}
	if skew := peer.ClockSkew.Round(time.Millisecond); skew.Abs() >= time.Second {
		s += fmt.Sprintf(", its clock is %s away from ours", skew)
	}
	return s
}
