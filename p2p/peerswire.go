// # Peers, /crush/peers/1
//
// A node asks another for the addresses of other members by opening a stream
// and ending its side; it is answered with, for each of some members,
//
//	node       id, 32 bytes
//	addresses  how many, 1 byte, 1 to 8
//	           each: length 1 byte, not 0 | multiaddr without /p2p, in binary
//
// sorted by the id, none twice, 64 KiB in all at most, and the end of the
// stream. Addresses are hints: who is dialled at one proves who it is, and only
// members are dialled.
//
// # Example of an answer with addresses
//
//	6e6f64652061206e6f64652061206e6f64652061206e6f64652061206e6f6465 ; one node
//	02 ; two addresses
//	   08 04c0000202061de7 ; /ip4/192.0.2.2/tcp/7655
//	   14 2920010db800000000000000000000000106 1de7 ; /ip6/2001:db8::1/tcp/7655
package p2p

import (
	"bytes"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"crush/dag"
)

const peersProtocol protocol.ID = "/crush/peers/1"

// maxPeers is the length of an answer.
const maxPeers = 64 << 10

// appendPeer appends a node with its addresses, those that are too many or too
// long left out; nothing if none is left or it does not fit.
func appendPeer(b []byte, id dag.NodeID, addrs []ma.Multiaddr) []byte {
	entry := append(id[:], 0)
	for _, a := range addrs {
		raw := a.Bytes()
		if n := len(raw); n > 0 && n < 256 && entry[len(id)] < maxAddrs {
			entry = append(append(entry, byte(n)), raw...)
			entry[len(id)]++
		}
	}
	if entry[len(id)] == 0 || len(b)+len(entry) > maxPeers {
		return b
	}
	return append(b, entry...)
}

// parsePeers decodes an answer.
func parsePeers(b []byte) (infos []peer.AddrInfo, err error) {
	if len(b) > maxPeers {
		return nil, damaged("addresses of %d bytes", len(b))
	}
	var last []byte
	for len(b) > 0 {
		var id dag.NodeID
		if len(b) <= len(id) || b[len(id)] == 0 || b[len(id)] > maxAddrs {
			return nil, damaged("addresses of no node")
		}
		copy(id[:], b)
		if last != nil && bytes.Compare(last, id[:]) >= 0 {
			return nil, damaged("addresses out of order")
		}
		last = id[:]
		n := b[len(id)]
		b = b[len(id)+1:]
		info := peer.AddrInfo{ID: peerOf(id)}
		for range n {
			if len(b) == 0 || b[0] == 0 || len(b) <= int(b[0]) {
				return nil, damaged("address that is cut off")
			}
			a, err := ma.NewMultiaddrBytes(bytes.Clone(b[1 : 1+b[0]]))
			if err != nil {
				return nil, damaged("address: %v", err)
			}
			info.Addrs, b = append(info.Addrs, a), b[1+b[0]:]
		}
		infos = append(infos, info)
	}
	return infos, nil
}
