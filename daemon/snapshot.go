package daemon

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"crush/dag"
	"crush/rpc"
)

// A snapshot is a file from which a node's data can be brought back: the CAR
// that an export writes, compressed. Every zstd reads it, because what else it
// has stands in skippable frames (RFC 8878): their magic number 50 2a 4d 18,
// the length in 4 bytes, little-endian, and
//
//	"crush snapshot 1\n"
//	the file node.key as it is, if the snapshot was to have the key
//	frames of zstd with the CAR; its window is at most 8 MiB
//	32 bytes: SHA-256 of everything before this last skippable frame
const (
	snapshotTitle  = "crush snapshot "
	snapshotMark   = snapshotTitle + "1\n"
	skippable      = 0x184d2a50
	skippableHead  = 8
	snapshotEnd    = skippableHead + sha256.Size
	snapshotWindow = 8 << 20
	maxSkippable   = 1 << 10 // of the mark, and of the key
)

// WriteSnapshot writes what export writes as a snapshot, with the node's key,
// which is that of the data directory keyDir, unless that is "".
func WriteSnapshot(w io.Writer, keyDir string, export func(io.Writer) (rpc.Exported, error)) (out rpc.Exported, err error) {
	var key dag.NodeKey
	if keyDir != "" {
		if key, err = readKeyFile(filepath.Join(keyDir, keyName)); err != nil {
			return out, fmt.Errorf("read the node's key: %w", err)
		}
	}
	sum := sha256.New()
	all := io.MultiWriter(w, sum)
	if err := writeSkippable(all, []byte(snapshotMark)); err != nil {
		return out, err
	}
	if !key.IsZero() {
		if err := writeSkippable(all, []byte(formatKey(key))); err != nil {
			return out, err
		}
	}
	z, err := zstd.NewWriter(all, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(snapshotWindow))
	if err != nil {
		return out, err
	}
	if out, err = export(z); err != nil {
		return out, errors.Join(err, z.Close())
	}
	if err := z.Close(); err != nil {
		return out, err
	}
	if !key.IsZero() && key.ID() != out.Node {
		return out, fmt.Errorf("the key in %s is not that of the node %s", keyDir, out.Node)
	}
	return out, writeSkippable(w, sum.Sum(nil))
}

func writeSkippable(w io.Writer, content []byte) error {
	head := binary.LittleEndian.AppendUint32(nil, skippable)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(content)))
	_, err := w.Write(append(head, content...))
	return err
}

func readKeyFile(name string) (dag.NodeKey, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return dag.NodeKey{}, err
	}
	key, ok := parseKey(string(text))
	if !ok {
		return key, fmt.Errorf("%s is no key of a node", name)
	}
	return key, nil
}

// Snapshot is what a snapshot says of itself.
type Snapshot struct {
	rpc.Exported
	Size int64 `json:"size"` // of the file
	Key  bool  `json:"key"`  // it has the node's key
}

// snapshot is one whose bytes are as they were written.
type snapshot struct {
	file  io.ReadSeeker
	size  int64
	start int64 // of the frames of zstd
	key   dag.NodeKey
}

// SnapshotStatus checks that a snapshot is as it was written, and says what is
// in it.
func SnapshotStatus(ctx context.Context, f io.ReadSeeker) (Snapshot, error) {
	s, err := openSnapshot(ctx, f)
	if err != nil {
		return Snapshot{}, err
	}
	c, done, err := s.open()
	if err != nil {
		return Snapshot{}, err
	}
	done()
	return Snapshot{Exported: rpc.ExportedOf(c.About()), Size: s.size, Key: !s.key.IsZero()}, nil
}

func badSnapshot(format string, args ...any) error {
	return failure(rpc.CodeUnparsed, format, args...)
}

// openSnapshot reads a snapshot to its end and holds it against its checksum.
func openSnapshot(ctx context.Context, f io.ReadSeeker) (*snapshot, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, err
	}
	mark, err := readSkippable(f)
	if err != nil || !bytes.HasPrefix(mark, []byte(snapshotTitle)) {
		return nil, badSnapshot("this is not a snapshot of crush")
	}
	if string(mark) != snapshotMark {
		return nil, badSnapshot("this snapshot is of another version of crush: it says %q, this one reads %q", mark, snapshotMark)
	}
	s := &snapshot{file: f, size: size, start: int64(skippableHead + len(mark))}
	body := size - snapshotEnd
	if body < s.start {
		return nil, badSnapshot("this snapshot was cut off: it has %d bytes", size)
	}
	if err := s.checkSum(ctx, body); err != nil {
		return nil, err
	}
	return s, s.findKey()
}

// checkSum holds the first bytes of the file against the sum behind them.
func (s *snapshot) checkSum(ctx context.Context, body int64) error {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.CopyN(cancelled{ctx, sum}, s.file, body); err != nil {
		return err
	}
	if want, err := readSkippable(s.file); err != nil || !bytes.Equal(want, sum.Sum(nil)) {
		return badSnapshot("this snapshot was changed or cut off after it was saved: its checksum does not match its %d bytes", s.size)
	}
	return nil
}

// cancelled is a hash that ends with a context.
type cancelled struct {
	ctx context.Context
	hash.Hash
}

func (c cancelled) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Hash.Write(p)
}

// findKey reads the key, if the snapshot has one.
func (s *snapshot) findKey() error {
	if _, err := s.file.Seek(s.start, io.SeekStart); err != nil {
		return err
	}
	text, err := readSkippable(s.file)
	if err != nil {
		return nil // a frame of zstd
	}
	key, ok := parseKey(string(text))
	if !ok {
		return badSnapshot("the key in this snapshot does not decode")
	}
	s.key, s.start = key, s.start+int64(skippableHead+len(text))
	return nil
}

// errNoFrame marks what is no skippable frame of ours.
var errNoFrame = errors.New("no skippable frame")

// readSkippable reads a short skippable frame.
func readSkippable(r io.Reader) ([]byte, error) {
	var head [skippableHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[4:])
	if binary.LittleEndian.Uint32(head[:]) != skippable || n > maxSkippable {
		return nil, errNoFrame
	}
	content := make([]byte, n)
	_, err := io.ReadFull(r, content)
	return content, err
}

// open reads the history; done must be called.
func (s *snapshot) open() (c *dag.CARReader, done func(), err error) {
	if _, err := s.file.Seek(s.start, io.SeekStart); err != nil {
		return nil, nil, err
	}
	z, err := zstd.NewReader(s.file, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(snapshotWindow))
	if err != nil {
		return nil, nil, err
	}
	if c, err = dag.OpenCAR(z); err != nil {
		z.Close()
		return nil, nil, badSnapshot("the history in this snapshot: %s", err)
	}
	return c, z.Close, nil
}

// Restored says what a snapshot became.
type Restored struct {
	rpc.Imported
	Data string `json:"data"`
	// NewIdentity is true if the node has a key that was made just now.
	NewIdentity bool `json:"new_identity"`
}

// restorePart ends the name of a directory that a restore has not finished.
const restorePart = ".restore-part"

// RestoreSnapshot makes a data directory out of a snapshot, with the key in the
// file keyFile, or if that is "" the one in the snapshot, or a new one. The
// directory must be empty or not there; it is there whole or not at all. The
// node starts a new chain.
func RestoreSnapshot(ctx context.Context, path string, f io.ReadSeeker, keyFile string) (out Restored, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return out, err
	}
	if err := emptyOrAbsent(path); err != nil {
		return out, err
	}
	s, err := openSnapshot(ctx, f)
	if err != nil {
		return out, err
	}
	if keyFile != "" {
		if s.key, err = readKeyFile(keyFile); err != nil {
			return out, err
		}
	}
	part := path + restorePart
	if err := makePart(part, s.key); err != nil {
		return out, fmt.Errorf("restore: %w", explain(filepath.Dir(path), err))
	}
	if out.Imported, err = s.restoreInto(ctx, part); err != nil {
		return out, errors.Join(err, os.RemoveAll(part))
	}
	out.Data, out.NewIdentity = path, s.key.IsZero()
	err = os.Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = errors.Join(os.Rename(part, path), syncDirectory(filepath.Dir(path)))
	}
	if err != nil {
		return out, errors.Join(explain(filepath.Dir(path), err), os.RemoveAll(part))
	}
	return out, nil
}

func emptyOrAbsent(path string) error {
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty (%s): restore wants a directory that is empty or not there; stop the daemon and move the old one away, or name another with --data",
			path, entries[0].Name())
	}
	return nil
}

// makePart makes the directory of a restore, in place of one that a crash left.
func makePart(part string, key dag.NodeKey) error {
	if l, err := takeLock(part); err == nil {
		if err := errors.Join(os.RemoveAll(part), l.release()); err != nil {
			return err
		}
	} else if _, ok := errors.AsType[*LockedError](err); ok {
		return errors.New("another restore is under way there")
	} else if err := os.RemoveAll(part); err != nil {
		return err
	}
	if err := os.MkdirAll(part, 0o700); err != nil {
		return err
	}
	if err := writeDurably(filepath.Join(part, markerName), []byte(markerText)); err != nil || key.IsZero() {
		return err
	}
	return writeDurably(filepath.Join(part, keyName), []byte(formatKey(key)))
}

func (s *snapshot) restoreInto(ctx context.Context, part string) (out rpc.Imported, err error) {
	dir, err := openDirectory(part)
	if err != nil {
		return out, err
	}
	err = withGraph(ctx, dir, func(g *dag.Graph) error {
		c, done, err := s.open()
		if err != nil {
			return err
		}
		defer done()
		taken, err := g.TakeCAR(ctx, c, nil)
		if errors.Is(err, dag.ErrRefused) {
			return badSnapshot("the history in this snapshot: %s", err)
		}
		out = imported(g, c.About(), taken)
		return outward(err)
	})
	return out, err
}
