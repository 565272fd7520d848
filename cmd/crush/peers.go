package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) peersCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "peers",
		Short: "Say how the other nodes stand, and the zones",
		Long: `Say of each other member whether it is connected, how far it is behind this node
as far as it has told, when it was last seen, how far its clock is off, and the
address that it was last reached at; then how each zone stands. A zone is as far
behind as the node of it that is least behind.

What is behind catches up by itself when it is connected. crush status has more
on this node; -o json has all addresses.`,
		Example: `  crush peers
  crush peers -o json
  crush peers -o jsonl | jq -c 'select(.connected | not)'`,
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
			switch p.format {
			case formatJSONL:
				return printList(p, each(s.Peers), nil)
			case formatJSON:
				return p.printJSON(map[string]any{"peers": s.Peers, "zones": s.Zones})
			}
			p.printPeerTable(s)
			return nil
		},
	}
}

func (p *program) printPeerTable(s rpc.Status) {
	if len(s.Peers) == 0 {
		p.printf("%s\n", alone)
		return
	}
	rows := [][]string{{"NODE", "ZONE", "STATE", "BEHIND", "LAST SEEN", "CLOCK", "ADDRESS"}}
	for _, peer := range s.Peers {
		address := "-"
		if len(peer.Addresses) > 0 {
			address = escape(peer.Addresses[0])
		}
		rows = append(rows, []string{
			peerName(peer), orDash(peer.Zone), peerState(peer), behind(peer.Lag), when(peer.LastSeen), skew(peer), address,
		})
	}
	p.printTable(rows)
	if len(s.Zones) == 0 {
		return
	}
	p.printf("\n")
	rows = [][]string{{"ZONE", "CONNECTED", "IN SYNC", "BEHIND"}}
	for _, z := range s.Zones {
		last := behind(z.Lag)
		if z.Self {
			last = "- (this node's)"
		}
		rows = append(rows, []string{
			escape(z.Zone), fmt.Sprintf("%d of %d", z.Connected, z.Nodes), fmt.Sprintf("%d of %d", z.InSync, z.Nodes), last,
		})
	}
	p.printTable(rows)
}

// alone says that there is nobody to talk of.
const alone = "none: this node is alone in its cluster"

// printTable prints rows with their columns below each other.
func (p *program) printTable(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		p.printf("%s\n", strings.TrimRight(line.String(), " "))
	}
}

// peerName is what people call a node.
func peerName(peer rpc.PeerStatus) string {
	if peer.Name != "" {
		return escape(peer.Name)
	}
	return writer(peer.Node.String(), "")
}

func peerState(peer rpc.PeerStatus) string {
	switch {
	case !peer.Connected && peer.LastSeen.IsZero():
		return "never seen"
	case !peer.Connected:
		return "not connected"
	case peer.InSync:
		return "connected, in sync"
	case peer.Lag != nil && peer.Lag.Blocks > 0:
		return "connected, behind"
	}
	return "connected"
}

// behind says how far a node is behind this one.
func behind(l *rpc.Lag) string {
	switch {
	case l == nil:
		return "unknown"
	case l.Blocks == 0:
		return "-"
	}
	return fmt.Sprintf("%s, %s", count(l.Blocks, "block"), time.Duration(l.Seconds)*time.Second)
}

// skew says how far a peer's clock is from this node's.
func skew(peer rpc.PeerStatus) string {
	if peer.LastSeen.IsZero() {
		return "-"
	}
	d := peer.ClockSkew.Round(100 * time.Millisecond)
	if d < 0 {
		return d.String()
	}
	return "+" + d.String()
}
