// # Block, /crush/block/1
//
// A node asks another for one block, of which its own copy is damaged, by
// opening a stream and sending the id, 32 bytes, and the end of its side. It is
// answered with the bundle, as package dag has it, 16 MiB at most, or nothing if
// the other does not have a good one; and the end of the stream.
//
// # Example of asking for a block
//
//	626c6f636b20626c6f636b20626c6f636b20626c6f636b20626c6f636b20626c
package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"crush/dag"
)

const (
	blockProtocol protocol.ID = "/crush/block/1"
	blockTimeout              = 30 * time.Second // to ask a peer for a block
)

// Bundles gives single blocks as they go to peers. Implemented by dag.Graph.
// Its method may be called from any goroutine.
type Bundles interface {
	Bundle(id dag.BlockID) (dag.Bundle, error)
}

// Copies asks the members that are connected for a block, one after the other,
// and yields what has its id, until the caller breaks.
func (h *Host) Copies(ctx context.Context, id dag.BlockID) iter.Seq2[dag.NodeID, dag.Bundle] {
	return func(yield func(dag.NodeID, dag.Bundle) bool) {
		if waitFor(ctx, h.ready) != nil {
			return
		}
		peers := slices.DeleteFunc(h.roster.connected(), func(p peer.ID) bool { return !h.gate.isMember(p) })
		for _, p := range peers {
			b, err := h.askForBlock(ctx, p, id)
			if err == nil && len(b) > 0 {
				var header dag.Header
				if header, err = h.cfg.header(b); err == nil && header.ID != id {
					err = damaged("block %s was asked for, %s came", id, header.ID)
				}
			}
			node, _ := nodeOf(p)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil && (errors.Is(err, dag.ErrRefused) || errors.Is(err, errDamaged)):
				h.log.Warn("block refused: damaged bytes from the peer", "peer", p.String(), "cause", err)
			case err != nil:
				h.log.Debug("asking for a block failed", "peer", p.String(), "cause", err)
			case len(b) > 0 && !yield(node, b):
				return
			}
		}
	}
}

// askForBlock asks a peer for a block; nothing if it has no good one.
func (h *Host) askForBlock(ctx context.Context, p peer.ID, id dag.BlockID) (dag.Bundle, error) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "block"), blockTimeout)
	defer cancel()
	stream, err := h.net.NewStream(ctx, p, blockProtocol)
	if err != nil {
		return nil, err
	}
	defer stream.Reset()
	defer context.AfterFunc(ctx, func() { stream.Reset() })()
	if _, err := stream.Write(id[:]); err != nil {
		return nil, err
	}
	if err := stream.CloseWrite(); err != nil {
		return nil, err
	}
	return readBundle(stream)
}

// readBundle reads the answer to the question for a block.
func readBundle(r io.Reader) (dag.Bundle, error) {
	raw, err := io.ReadAll(io.LimitReader(r, dag.MaxBlock+1))
	if len(raw) > dag.MaxBlock {
		return nil, damaged("block of more than %d bytes", dag.MaxBlock)
	}
	return raw, err
}

// answerBlock is libp2p's handler of a stream on which a peer asks for a block.
func (h *Host) answerBlock(stream network.Stream) {
	if !h.enter() {
		stream.Reset()
		return
	}
	defer h.handlers.Done()
	stream.SetDeadline(time.Now().Add(blockTimeout))
	if err := h.sendBlock(stream); err != nil {
		stream.Reset()
		return
	}
	stream.Close() // Reset would take back what is on its way
}

func (h *Host) sendBlock(stream network.Stream) error {
	id, err := readAsked(stream)
	if err != nil {
		return err
	}
	if !h.gate.isMember(stream.Conn().RemotePeer()) {
		return errNoQuestion
	}
	b, err := h.cfg.Bundles.Bundle(id)
	if err != nil {
		h.log.Debug("asked for a block that is not here", "block", id.String(), "cause", err)
		return nil
	}
	_, err = stream.Write(b)
	return err
}

// readAsked reads the question for a block.
func readAsked(r io.Reader) (id dag.BlockID, err error) {
	raw, err := io.ReadAll(io.LimitReader(r, int64(len(id))+1))
	if err == nil && len(raw) != len(id) {
		err = fmt.Errorf("%w: a question of %d bytes", errDamaged, len(raw))
	}
	copy(id[:], raw)
	return id, err
}
