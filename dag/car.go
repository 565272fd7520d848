package dag

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// Archive is what a CAR file says of itself. The package comment has its form.
type Archive struct {
	Cluster   ClusterID
	Node      NodeID // that wrote the file
	Time      int64  // when, by that node's clock: unix milliseconds
	Blocks    uint64
	Revisions uint64
	Keys      uint64 // of all forks, deleted ones included
}

// The versions of the order in which the sections of a CAR stand: of one with
// all payloads, and of one in which purged ones are left out.
const (
	archiveVersion = 1
	archivePurged  = 2
)

// archiveWire is the first section of a CAR.
type archiveWire struct {
	Crush     uint64   `cbor:"crush"`
	Cluster   link     `cbor:"cluster"`
	Node      [32]byte `cbor:"node"`
	Time      int64    `cbor:"time"`
	Blocks    uint64   `cbor:"blocks"`
	Revisions uint64   `cbor:"revisions"`
	Keys      uint64   `cbor:"keys"`
}

// archiveFields are the fields of archiveWire.
var archiveFields = []string{"crush", "cluster", "node", "time", "blocks", "revisions", "keys"}

// sealWire is the section before a block that is signed.
type sealWire struct {
	Block link   `cbor:"block"`
	Sig   []byte `cbor:"sig"`
}

// absentWire is the section in the place of a payload that was purged.
type absentWire struct {
	Absent [32]byte `cbor:"absent"`
}

// carHeader starts a CAR.
type carHeader struct {
	Roots   []link `cbor:"roots"`
	Version uint64 `cbor:"version"`
}

// WriteCAR writes everything that is applied now as a CAR file, version 1, in
// an order of causality, with what vouches for it. Memory does not grow with
// the history; no lock is held meanwhile. An empty graph is ErrNotFound; damage
// of the store is an error after which the file is not whole.
func (g *Graph) WriteCAR(ctx context.Context, w io.Writer, progress Progress) (Archive, error) {
	m := g.moment.Load()
	a := Archive{
		Cluster: m.cluster, Node: g.key.ID(), Time: g.clock().UnixMilli(),
		Blocks: m.state.lsn, Revisions: m.state.revisions, Keys: m.state.keys,
	}
	if a.Blocks == 0 {
		return a, fmt.Errorf("write CAR: there is no history: %w", ErrNotFound)
	}
	var roots []link
	for id := range m.front.tips {
		roots = append(roots, link(id))
	}
	slices.SortFunc(roots, func(a, b link) int { return bytes.Compare(a[:], b[:]) })
	c := carWriter{bufio.NewWriterSize(w, chunkGoal)}
	c.header(roots)
	version := uint64(archiveVersion)
	if m.purges.count > 0 {
		version = archivePurged
	}
	c.node(marshal(&archiveWire{
		Crush: version, Cluster: link(a.Cluster), Node: a.Node, Time: a.Time,
		Blocks: a.Blocks, Revisions: a.Revisions, Keys: a.Keys,
	}, nil))
	done := uint64(0)
	for b, err := range g.outgoing(ctx, m.front, nil) {
		if err == nil && b.p.lacks() {
			err = g.excuseAt(m, b.p)
		}
		if err == nil {
			err = c.block(b.p)
		}
		if err != nil {
			return a, err
		}
		if done++; progress != nil {
			progress(done, a.Blocks)
		}
	}
	return a, c.w.Flush()
}

// carWriter writes sections. An error of its writer stays until the flush.
type carWriter struct{ w *bufio.Writer }

func (c carWriter) header(roots []link) {
	raw := marshal(&carHeader{Roots: roots, Version: 1}, nil)
	c.length(len(raw))
	_, _ = c.w.Write(raw)
}

func (c carWriter) length(n int) {
	var buf [binary.MaxVarintLen64]byte
	_, _ = c.w.Write(buf[:binary.PutUvarint(buf[:], uint64(n))])
}

func (c carWriter) section(codec byte, digest [32]byte, data []byte) {
	c.length(cidSize + len(data))
	_, _ = c.w.Write([]byte{0x01, codec, 0x12, 0x20})
	_, _ = c.w.Write(digest[:])
	_, _ = c.w.Write(data)
}

func (c carWriter) node(raw []byte) { c.section(codecDagCBOR, sha256.Sum256(raw), raw) }

// block writes a block with all that belongs to it. Its error is that of the
// writer, early.
func (c carWriter) block(p *parcel) error {
	if p.sig != nil {
		c.node(marshal(&sealWire{Block: link(p.id), Sig: p.sig}, nil))
	}
	c.section(codecDagCBOR, p.id, p.block.Encode())
	for i, r := range p.revs {
		c.section(codecDagCBOR, p.block.Revisions[i], r.Encode())
		switch {
		case r.Deleted:
		case p.isAbsent(i):
			c.node(marshal(&absentWire{r.Value}, nil))
		default:
			c.section(codecRaw, r.Value, p.payloads[i])
		}
	}
	_, err := c.w.Write(nil)
	return err
}

// cidSize is the length of a CID.
const cidSize = 4 + 32

// cidTextOf is the text of a CID of any codec of ours.
func cidTextOf(codec byte, digest [32]byte) string {
	raw := append([]byte{0x01, codec, 0x12, 0x20}, digest[:]...)
	return "b" + base32Lower.EncodeToString(raw)
}
