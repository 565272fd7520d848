package p2p

import (
	"context"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

// mdnsService is what nodes are announced as on the local network.
const mdnsService = "_crush._udp"

// runMDNS announces this node on the local network and dials members that it
// hears of there, until the context ends. A network that takes no multicast is
// no error.
func (h *Host) runMDNS(ctx context.Context) error {
	if !h.cfg.MDNS {
		return nil
	}
	moved, err := h.net.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated))
	if err != nil {
		return err
	}
	defer moved.Close()
	for said := false; ; {
		service := mdns.NewMdnsService(h.net, mdnsService, mdnsFound{h})
		err := service.Start()
		if err != nil && !said {
			h.log.Warn("nodes of the local network are not looked for", "cause", err)
		}
		said = err != nil
		// It tells the addresses of its start only.
		waitErr := waitFor(ctx, moved.Out())
		service.Close()
		if waitErr != nil {
			return waitErr
		}
	}
}

// mdnsFound takes what mDNS hears.
type mdnsFound struct{ h *Host }

// HandlePeerFound implements mdns.Notifee. Anybody on the local network can
// say anything.
func (f mdnsFound) HandlePeerFound(info peer.AddrInfo) { f.h.heard(info) }
