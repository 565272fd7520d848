package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Scratch is a node that is thrown away: a replica on a disk, as the daemon has
// one, without doors and network.
type Scratch struct {
	*Replica

	dir *directory
}

// OpenScratch makes one in a new directory below parent, which must be there.
func OpenScratch(ctx context.Context, parent string) (*Scratch, error) {
	path, err := os.MkdirTemp(parent, "crush-scratch-")
	if err != nil {
		return nil, fmt.Errorf("make a scratch directory: %w", explain(parent, err))
	}
	dir, err := openDirectory(path)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	r, err := openReplica(ctx, dir, Config{}.withDefaults(), opening{})
	if err != nil {
		return nil, errors.Join(err, dir.close(), os.RemoveAll(path))
	}
	return &Scratch{r, dir}, nil
}

// Close ends the node and removes its directory.
func (s *Scratch) Close() error {
	return errors.Join(s.Replica.Close(), s.dir.close(), os.RemoveAll(s.dir.path))
}

// ScratchParent is where a scratch node has the disk that the node of a data
// directory has, which need not be there: the directory above it, or the first
// further up that is there.
func ScratchParent(data string) (string, error) {
	path, err := filepath.Abs(data)
	if err != nil {
		return "", err
	}
	for {
		path = filepath.Dir(path)
		if info, err := os.Stat(path); err == nil && info.IsDir() || path == filepath.Dir(path) {
			return path, err
		}
	}
}
