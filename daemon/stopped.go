package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"crush/dag"
	"crush/rpc"
)

// stoppedName is the file that a clean stop leaves beside the store: one line,
// the number of blocks and the digest of the frontier that the store held. The
// next start holds the store against it and removes it. Without it the damage
// of a journal, or a store that is gone, would look like an ordinary loss of
// power before the last writes, of which none was acknowledged.
const stoppedName = "stopped"

func (d *directory) stopped() string { return filepath.Join(d.path, stoppedName) }

// expectStore refuses a directory whose store has gone since the last clean
// stop: a new one would found another cluster.
func (d *directory) expectStore() error {
	held, err := os.ReadFile(d.stopped())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(d.store()); errors.Is(err, fs.ErrNotExist) {
		return changedSince(string(held), "is missing")
	}
	return nil
}

// consumeStop holds the store against what the last clean stop noted. From
// then on the note is gone, on disk.
func (d *directory) consumeStop(g *dag.Graph) error {
	held, err := os.ReadFile(d.stopped())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if now := holding(g); now != string(held) {
		return changedSince(string(held), fmt.Sprintf("now holds %d", g.Stats().Blocks))
	}
	return d.forgetStop()
}

// forgetStop removes the note, if there is one.
func (d *directory) forgetStop() error {
	err := os.Remove(d.stopped())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncDirectory(d.path))
}

func holding(g *dag.Graph) string { return fmt.Sprintf("%d %s\n", g.Stats().Blocks, g.Digest()) }

func changedSince(held, now string) error {
	var blocks uint64
	if _, err := fmt.Sscan(held, &blocks); err != nil {
		return failure(rpc.CodeDamaged, "the file %s is damaged: remove it after crush verify --rebuild", stoppedName)
	}
	return failure(rpc.CodeDamaged,
		"stored data is damaged: the store held %d blocks at its last clean stop and %s (put it back, or run crush verify --rebuild to go on without; what is lost comes back from other nodes)",
		blocks, now)
}

// closeReplica closes a replica that openReplica opened, and notes what it
// held. A store that failed is not noted, nor one on a disk that takes no more:
// its next start is one after a loss of power.
func closeReplica(dir *directory, r *Replica) error {
	held, failed := holding(r.Graph()), r.Graph().Stats().Failed
	if err := r.Close(); err != nil {
		return fmt.Errorf("close data of %s: %w", dir.path, explain(dir.path, err))
	}
	if failed == nil {
		if err := writeDurably(dir.stopped(), []byte(held)); err != nil {
			r.log.Warn("the stop is not noted", "error", explain(dir.path, err).Error())
		}
	}
	return nil
}
