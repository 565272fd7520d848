package dag

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxCARHeader bounds what the header of a CAR may claim to hold.
const maxCARHeader = MaxBlock

// CARReader reads the history in a CAR file that WriteCAR wrote, in one pass.
// An error of the file says at which byte, and wraps ErrRefused; errors of the
// reader below come as they are.
type CARReader struct {
	r       *bufio.Reader
	at      int64 // of the next byte
	section int64 // of the first byte of the newest section
	about   Archive
	roots   map[BlockID]bool // that did not come yet
	blocks  uint64           // that came
	absent  []RevisionID     // that came without their payloads
	version uint64           // of the order of the sections
}

// OpenCAR reads what a CAR file says of itself, which nothing vouches for
// before all of it has been read.
func OpenCAR(r io.Reader) (*CARReader, error) {
	c := &CARReader{r: bufio.NewReaderSize(r, chunkGoal), roots: map[BlockID]bool{}}
	if err := c.header(); err != nil {
		return nil, err
	}
	_, _, raw, err := c.next(MaxBlock)
	if err == io.EOF {
		err = c.ends()
	}
	if err != nil {
		return nil, err
	}
	var w archiveWire
	if err = checkCanonical(raw, maxNesting); err == nil {
		_, err = unmarshal(raw, &w, archiveFields)
	}
	switch {
	case err != nil || w.Crush == 0:
		return nil, c.foreign()
	case w.Crush > archivePurged:
		return nil, c.fault("it is of version %d of the form, this build reads 1 to %d", w.Crush, archivePurged)
	}
	c.version = w.Crush
	c.about = Archive{ClusterID(w.Cluster), w.Node, w.Time, w.Blocks, w.Revisions, w.Keys}
	return c, nil
}

// About is what the file says of itself.
func (c *CARReader) About() Archive { return c.about }

// fault is an error of the newest section.
func (c *CARReader) fault(format string, args ...any) error {
	return carFault(fmt.Sprintf("at byte %d: %s", c.section, fmt.Sprintf(format, args...)))
}

// carFault is an ErrRefused in the words of its file.
type carFault string

func (f carFault) Error() string { return string(f) }
func (f carFault) Unwrap() error { return ErrRefused }

func (c *CARReader) foreign() error {
	return c.fault("this is a CAR file, but not the history of a cluster of crush")
}

// header reads the header of the file.
func (c *CARReader) header() error {
	none := func() error { return c.fault("this is not a CAR file") }
	n, err := c.length()
	if err == io.EOF || errors.Is(err, ErrRefused) || err == nil && (n == 0 || n > maxCARHeader) {
		return none()
	}
	if err != nil {
		return err
	}
	if first, err := c.r.Peek(1); err == nil && first[0]>>5 != majorMap {
		return none()
	}
	raw, err := c.bytes(n)
	if err != nil {
		return err
	}
	var version struct {
		Version uint64 `cbor:"version"`
	}
	if err := checkCanonical(raw, maxNesting); err != nil {
		return none()
	}
	if _, err := unmarshal(raw, &version, []string{"version"}); err != nil || version.Version == 0 {
		return none()
	}
	if version.Version != 1 {
		return c.fault("a CAR file of version %d: only version 1 is read", version.Version)
	}
	var h carHeader
	if decMode.Unmarshal(raw, &h) != nil {
		return c.foreign()
	}
	for _, root := range h.Roots {
		c.roots[BlockID(root)] = true
	}
	return nil
}

// length reads the varint before a section; io.EOF if the file ends here.
func (c *CARReader) length() (uint64, error) {
	c.section = c.at
	var n uint64
	for shift := 0; ; shift += 7 {
		b, err := c.r.ReadByte()
		if err == io.EOF && shift > 0 {
			return 0, c.ends()
		}
		if err != nil {
			return 0, err
		}
		c.at++
		n |= uint64(b&0x7f) << shift
		switch {
		case shift == 63 && b > 1 || b == 0 && shift > 0:
			return 0, c.fault("a length that is none")
		case b < 0x80:
			return n, nil
		}
	}
}

func (c *CARReader) ends() error { return c.fault("the file ends in the middle, after %d bytes", c.at) }

// bytes reads n bytes. Memory is taken as they come, not as they are promised.
func (c *CARReader) bytes(n uint64) ([]byte, error) {
	if n <= chunkGoal {
		raw := make([]byte, n)
		got, err := io.ReadFull(c.r, raw)
		if c.at += int64(got); err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, c.ends()
		}
		return raw, err
	}
	var buf bytes.Buffer
	got, err := io.CopyN(&buf, c.r, int64(n))
	c.at += got
	if err == io.EOF {
		return nil, c.ends()
	}
	return buf.Bytes(), err
}

// next reads a section of a CID of ours and at most most bytes, whose hash is
// right; io.EOF if the file ends before it.
func (c *CARReader) next(most int) (codec byte, digest [32]byte, data []byte, err error) {
	n, err := c.length()
	if err != nil {
		return 0, digest, nil, err
	}
	if n < cidSize || n > cidSize+uint64(most) {
		return 0, digest, nil, c.fault("a section of %d bytes, where at most %d can stand", n, cidSize+most)
	}
	raw, err := c.bytes(n)
	if err != nil {
		return 0, digest, nil, err
	}
	codec, data = raw[1], raw[cidSize:]
	if binary.BigEndian.Uint32(raw)|0x00ff0000 != 0x01ff1220 || codec != codecDagCBOR && codec != codecRaw {
		return 0, digest, nil, c.fault("the name of a section is no CID of crush")
	}
	if digest = [32]byte(raw[4:]); sha256.Sum256(data) != digest {
		return 0, digest, nil, c.fault("the bytes of %s do not have its hash", cidTextOf(codec, digest))
	}
	return codec, digest, data, nil
}

// named reads the section that has this name.
func (c *CARReader) named(codec byte, digest [32]byte, most int) ([]byte, error) {
	have, got, data, err := c.next(most)
	if err == io.EOF {
		return nil, c.ends()
	}
	if err == nil && (have != codec || got != digest) {
		err = c.fault("%s stands where %s belongs", cidTextOf(have, got), cidTextOf(codec, digest))
	}
	return data, err
}

// block reads the next block with all that belongs to it; io.EOF after the
// last, if everything has come that the header names.
func (c *CARReader) block() (*parcel, error) {
	codec, digest, data, err := c.next(MaxBlock)
	if err == io.EOF {
		return nil, c.end()
	}
	if err != nil {
		return nil, err
	}
	if codec != codecDagCBOR {
		return nil, c.fault("a value that belongs to no revision")
	}
	p := &parcel{}
	if sealed, sig, ok := readSeal(data); ok {
		p.sig = sig
		if data, err = c.named(codecDagCBOR, sealed, MaxBlock); err != nil {
			return nil, err
		}
		digest = sealed
	}
	if p.block, err = DecodeBlock(data); err != nil {
		return nil, c.fault("block %s: %s", BlockID(digest), err)
	}
	p.id = digest
	if c.blocks == 0 && p.id != BlockID(c.about.Cluster) {
		return nil, c.fault("block %s comes first, not the one that founded the cluster", p.id)
	}
	if err := c.revisions(p, len(data)); err != nil {
		return nil, err
	}
	c.blocks++
	delete(c.roots, p.id)
	return p, nil
}

// readSeal reads the signature of the block that comes next.
func readSeal(raw []byte) (id BlockID, sig []byte, ok bool) {
	if len(raw) > 2*sigLen+linkSize {
		return id, nil, false
	}
	var w sealWire
	if checkCanonical(raw, maxNesting) != nil || decMode.Unmarshal(raw, &w) != nil || len(w.Sig) != sigLen {
		return id, nil, false
	}
	return BlockID(w.Block), w.Sig, true
}

// revisions reads the revisions and payloads of a block of so many bytes.
func (c *CARReader) revisions(p *parcel, blockMap int) error {
	maps, loads := 0, 0
	size := func() int { return blockSize(blockMap, maps, loads) }
	for _, id := range p.block.Revisions {
		raw, err := c.named(codecDagCBOR, id, MaxBlock-min(size(), MaxBlock))
		if err != nil {
			return err
		}
		r, err := DecodeRevision(raw)
		if err == nil {
			err = r.checkExtra()
		}
		if err != nil {
			return c.fault("revision %s: %s", id, err)
		}
		maps += len(raw)
		var load []byte
		if !r.Deleted {
			if loads += int(r.Size); size() > MaxBlock {
				return c.fault("block %s is of more than %d bytes", p.id, MaxBlock)
			}
			if load, err = c.payload(id, r); err != nil {
				return err
			}
			if load != nil && int64(len(load)) != r.Size {
				return c.fault("the value of revision %s has %d bytes, not %d", id, len(load), r.Size)
			}
		}
		p.revs, p.payloads = append(p.revs, r), append(p.payloads, load)
	}
	if p.size = size(); p.size > MaxBlock {
		return c.fault("block %s is of more than %d bytes", p.id, MaxBlock)
	}
	return nil
}

// payload reads the payload of a revision; nil if the file says that it was
// purged.
func (c *CARReader) payload(id RevisionID, r *Revision) ([]byte, error) {
	if c.version < archivePurged {
		return c.named(codecRaw, r.Value, int(r.Size))
	}
	have, got, data, err := c.next(max(int(r.Size), 2*len(r.Value)))
	var w absentWire
	switch {
	case err == io.EOF:
		return nil, c.ends()
	case err != nil:
		return nil, err
	case have == codecRaw && got == r.Value:
		return data, nil
	case have == codecDagCBOR && checkCanonical(data, maxNesting) == nil && decMode.Unmarshal(data, &w) == nil && w.Absent == r.Value:
		c.absent = append(c.absent, id)
		return nil, nil
	}
	return nil, c.fault("%s stands where %s belongs", cidTextOf(have, got), cidTextOf(codecRaw, r.Value))
}

// explained checks that a graph which has all of the file knows who purged what
// is not in it.
func (c *CARReader) explained(g *Graph) error {
	for _, id := range c.absent {
		ch, err := g.Revision(id)
		if err != nil {
			return err
		}
		if _, ok := g.Purged(&ch); !ok {
			return c.fault("the value of revision %s is not there, and nothing in the file purged it", id)
		}
	}
	return nil
}

// end checks at the end of the file that all of it came.
func (c *CARReader) end() error {
	for id := range c.roots {
		return c.fault("the file ends before block %s, which its header names", id)
	}
	if c.blocks != c.about.Blocks {
		return c.fault("the file ends after %d blocks, of %d", c.blocks, c.about.Blocks)
	}
	return io.EOF
}

// Taken says what TakeCAR found and added.
type Taken struct {
	Blocks    uint64 // new here
	Revisions uint64 // of those
	Known     uint64 // blocks that were here already
}

// takeGoal is how many bytes of a CAR are applied at once, about.
const takeGoal = 4 << 20

// TakeCAR adds what the graph lacks of the history in a CAR, in batches, each
// closed under "comes before": an error leaves those before it, which the
// result counts. It is meant for a file that CheckCAR found good. An empty
// graph that waits for no cluster takes that of the file; any other cluster is
// ErrOtherCluster, before anything is written.
func (g *Graph) TakeCAR(ctx context.Context, c *CARReader, progress Progress) (Taken, error) {
	var out Taken
	if err := g.Takes(c.about.Cluster); err != nil {
		return out, err
	}
	next := taking{in: &Inflow{}, open: map[ChainID]bool{}}
	for {
		p, err := c.block()
		last := err == io.EOF
		if err != nil && !last {
			return out, err
		}
		if err := ctx.Err(); err != nil {
			return out, err
		}
		if !last {
			next.add(p)
		}
		if next.size > MaxChunk {
			return out, c.fault("block %s: no signature stands in the %d bytes up to here", p.id, next.size)
		}
		if last || next.size > takeGoal && len(next.open) == 0 {
			if err := next.apply(g, c, &out); err != nil {
				return out, err
			}
			if progress != nil {
				progress(c.blocks, c.about.Blocks)
			}
		}
		if last {
			return out, c.explained(g)
		}
	}
}

// ErrOtherCluster marks the history of another cluster.
var ErrOtherCluster = errors.New("another cluster")

// Takes reports whether the history of a cluster can be added to this graph;
// its error is ErrOtherCluster.
func (g *Graph) Takes(cluster ClusterID) error {
	mine := g.Cluster()
	if mine.IsZero() {
		mine = g.Joining()
	}
	if mine.IsZero() || mine == cluster {
		return nil
	}
	return fmt.Errorf("it is of %w, %s, and this node of %s", ErrOtherCluster, cluster, mine)
}

// taking is blocks of a CAR that are not applied yet.
type taking struct {
	in      *Inflow // what is remembered of keys from batch to batch
	parcels []*parcel
	size    int
	open    map[ChainID]bool // chains whose newest block is not signed
}

func (t *taking) add(p *parcel) {
	t.parcels, t.size = append(t.parcels, p), t.size+p.size
	if p.sig == nil {
		t.open[p.block.Chain] = true
	} else {
		delete(t.open, p.block.Chain)
	}
}

// apply applies what was gathered.
func (t *taking) apply(g *Graph, c *CARReader, out *Taken) error {
	applied, err := g.applyParcels(t.in, t.parcels, 0)
	_, missing := errors.AsType[*MissingError](err)
	switch {
	case missing || errors.Is(err, ErrRefused):
		return c.fault("in the %d blocks up to here: %s", len(t.parcels), err)
	case err != nil:
		return err
	case applied.Unvouched > 0:
		return c.fault("no signature vouches for %d of the %d blocks up to here", applied.Unvouched, len(t.parcels))
	}
	out.Blocks += uint64(len(applied.Blocks))
	out.Revisions += uint64(applied.Revisions)
	out.Known += uint64(applied.Known)
	clear(t.parcels)
	t.parcels, t.size = t.parcels[:0], 0
	return nil
}

// CheckCAR reads a whole CAR and checks all of it, as a node would that takes
// it: bytes, hashes, limits, signatures, authors, and that nothing is missing.
// Scratch must be an empty store, and holds the indexes of the history then;
// it is not made durable.
func CheckCAR(ctx context.Context, c *CARReader, scratch Store, progress Progress) error {
	g := newReplay(scratch, scratch, nil).g
	g.clock = func() time.Time { return time.UnixMilli(c.about.Time) }
	_, err := g.TakeCAR(ctx, c, progress)
	return err
}
