package daemon

import (
	"context"
	"fmt"
	"path/filepath"

	"crush/dag"
	"crush/p2p"
)

// bookName is the file of the peers' addresses in the data directory.
const bookName = "peers"

// DefaultListen is where a node listens for others unless told otherwise.
func DefaultListen() []string { return p2p.DefaultListen() }

// newHost makes the node's line to the others; it does nothing until it runs.
func newHost(c Config, dir *directory, g *dag.Graph) (*p2p.Host, error) {
	h, err := p2p.New(p2p.Config{
		Key: dir.key, State: g, Blocks: g, Chains: g, Gate: g, Judge: g, Bundles: g,
		Listen: c.Listen, Announce: c.Announce, Peers: c.Peers, MDNS: c.MDNS,
		Book: p2p.FileBook{Path: filepath.Join(dir.path, bookName)}, Logger: c.Logger,
	})
	if err != nil {
		return nil, invalid("%s", err)
	}
	return h, nil
}

// announce gives a block that this node wrote to gossip.
func (d *Daemon) announce(b dag.Bundle) {
	if d.host != nil {
		d.host.Announce(b)
	}
}

// runHost runs the network and says in one line what to do if it cannot.
func runHost(ctx context.Context, h *p2p.Host) error {
	if err := h.Run(ctx); err != nil {
		return fmt.Errorf("%w (choose other addresses with --listen, or --listen off)", err)
	}
	return nil
}
