package daemon

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"crush/dag"
	"crush/p2p"
	"crush/rpc"
)

// skewWarning is how far a peer's clock may be off before status says so.
const skewWarning = time.Minute

// peers are the other members, as this node knows them.
func (d *Daemon) peers() []rpc.PeerStatus {
	return peersOf(d.replica.Graph().Members(), d.dir.key.ID(), d.host.Peers(), time.Now())
}

// peersOf says how the members but self stand, by what is known of them.
func peersOf(members []dag.Member, self dag.NodeID, states []p2p.PeerState, now time.Time) []rpc.PeerStatus {
	known := map[dag.NodeID]p2p.PeerState{}
	for _, s := range states {
		known[s.Node] = s
	}
	peers := []rpc.PeerStatus{}
	for _, m := range members {
		if m.Node == self {
			continue
		}
		s := known[m.Node]
		p := rpc.PeerStatus{
			Node: m.Node, Name: m.Name, Zone: m.Zone, Connected: s.Connected, Addresses: s.Addresses,
			InSync: s.Connected && s.InSync, ClockSkew: s.ClockSkew, LastSeen: s.LastSeen, Lag: lagOf(s.Lag, now),
		}
		if p.Addresses == nil {
			p.Addresses = []string{}
		}
		peers = append(peers, p)
	}
	return peers
}

// lagOf is nil if nothing is known.
func lagOf(l p2p.Lag, now time.Time) *rpc.Lag {
	if !l.Known {
		return nil
	}
	out := &rpc.Lag{Blocks: l.Blocks}
	if l.Blocks > 0 && !l.Since.IsZero() {
		out.Since = l.Since.UTC()
		out.Seconds = int64(max(now.Sub(l.Since), 0) / time.Second)
	}
	return out
}

// zonesOf says how the zones stand in which this node or a peer is, in order
// of name. Nodes without a zone are in none.
func zonesOf(own string, peers []rpc.PeerStatus) []rpc.ZoneStatus {
	zones := []rpc.ZoneStatus{}
	if own != "" {
		zones = append(zones, rpc.ZoneStatus{Zone: own, Self: true, Nodes: 1, Connected: 1, InSync: 1, Lag: &rpc.Lag{}})
	}
	for _, p := range peers {
		if p.Zone == "" {
			continue
		}
		i := slices.IndexFunc(zones, func(z rpc.ZoneStatus) bool { return z.Zone == p.Zone })
		if i < 0 {
			i = len(zones)
			zones = append(zones, rpc.ZoneStatus{Zone: p.Zone})
		}
		z := &zones[i]
		z.Nodes++
		if p.Connected {
			z.Connected++
		}
		if p.InSync {
			z.InSync++
		}
		if p.Lag != nil && (z.Lag == nil || p.Lag.Blocks < z.Lag.Blocks) {
			z.Lag = p.Lag
		}
	}
	slices.SortFunc(zones, func(a, b rpc.ZoneStatus) int { return cmp.Compare(a.Zone, b.Zone) })
	return zones
}

// peerWarnings are lines about other nodes that an operator should act on.
func peerWarnings(peers []rpc.PeerStatus) (list []string) {
	for _, p := range peers {
		if p.ClockSkew.Abs() >= skewWarning {
			list = append(list, fmt.Sprintf("the clock of %s differs from this node's by %s: one of them is wrong",
				called(dag.Member{Node: p.Node, Name: p.Name}), p.ClockSkew.Round(time.Second)))
		}
	}
	if len(peers) > 0 && !slices.ContainsFunc(peers, func(p rpc.PeerStatus) bool { return p.Connected }) {
		list = append(list, fmt.Sprintf("none of the %s is connected: what is written here stays here for now", plural(len(peers), "other node")))
	}
	return list
}

// nameWarnings says which names several members have.
func nameWarnings(members []dag.Member) (list []string) {
	nodes := map[string][]string{}
	for _, m := range members {
		nodes[m.Name] = append(nodes[m.Name], m.Node.String())
	}
	for _, m := range members {
		ids := nodes[m.Name]
		if m.Name == "" || len(ids) < 2 || ids[0] != m.Node.String() {
			continue
		}
		list = append(list, fmt.Sprintf("%d nodes are called %s (%s): give one of them another name with crush member add ID --name NAME",
			len(ids), m.Name, strings.Join(ids, ", ")))
	}
	return list
}
