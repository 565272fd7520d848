package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"crush/dag"
)

// The data directory:
//
//	crush-format   "crush data 1\n": this is a data directory, of this layout
//	lock           locked while a process uses the directory; its number
//	node.key       the node's secret key, see key.go
//	store/         the LevelDB
//	stopped        what the store held at the last clean stop, see stopped.go
//	crush.conf     configuration, if the operator wrote one
//	crush.sock     the Unix socket, while a daemon runs
const (
	markerName = "crush-format"
	markerText = "crush data 1\n"
	storeName  = "store"
)

// directory is a data directory that this process has for itself.
type directory struct {
	path  string
	lock  *lock
	key   dag.NodeKey
	fresh bool // the key was made just now
}

// openDirectory locks a data directory and reads the node's key. Where nothing
// is, it makes both.
func openDirectory(path string) (*directory, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", explain(path, err))
	}
	if _, err := marked(path); err != nil {
		return nil, err
	}
	l, err := takeLock(path)
	if err != nil {
		return nil, err
	}
	d := &directory{path: path, lock: l}
	if err := d.load(); err != nil {
		return nil, errors.Join(err, l.release())
	}
	return d, nil
}

// openExisting is openDirectory for verbs that must not make anything.
func openExisting(path string) (*directory, error) {
	if _, err := os.Stat(filepath.Join(path, markerName)); err != nil {
		return nil, fmt.Errorf("there is no crush data in %s", path)
	}
	return openDirectory(path)
}

// load marks the directory and reads the key, under the lock, and removes what
// a crash left there that nobody needs.
func (d *directory) load() error {
	has, err := marked(d.path)
	if err != nil {
		return err
	}
	if !has {
		if err := writeDurably(filepath.Join(d.path, markerName), []byte(markerText)); err != nil {
			return fmt.Errorf("mark data directory: %w", explain(d.path, err))
		}
	}
	if err := d.removeScratch(); err != nil {
		return err
	}
	d.key, d.fresh, err = loadKey(d.path)
	return err
}

func (d *directory) close() error { return d.lock.release() }

func (d *directory) store() string { return filepath.Join(d.path, storeName) }

// rebuilt is where a rebuild makes the new store.
func (d *directory) rebuilt() string { return d.store() + ".new" }

// marked reports whether the directory carries the marker of this layout. It
// refuses a directory of another layout, and one without a marker that has
// anything in it that crush does not write there itself.
func marked(path string) (bool, error) {
	text, err := os.ReadFile(filepath.Join(path, markerName))
	switch {
	case err == nil && string(text) == markerText:
		return true, nil
	case err == nil:
		return false, fmt.Errorf("%s is of another version of crush: %s says %.40q, this one reads %q",
			path, markerName, strings.TrimSpace(string(text)), strings.TrimSpace(markerText))
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("open data directory: %w", explain(path, err))
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return false, fmt.Errorf("open data directory: %w", explain(path, err))
	}
	for _, e := range entries {
		if !slices.Contains([]string{lockName, ConfigName, SocketName, "lost+found"}, e.Name()) &&
			!strings.HasPrefix(e.Name(), temporaryPrefix) {
			return false, fmt.Errorf("%s is not a data directory of crush: it has other files (%s) and no %s: name an empty one with --data",
				path, e.Name(), markerName)
		}
	}
	return false, nil
}

const temporaryPrefix = ".crush-new-"

// writeDurably makes a file of mode 0600 that is whole or not there, also
// after a power loss. An existing file is replaced.
func writeDurably(name string, content []byte) (err error) {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, temporaryPrefix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDirectory(dir)
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// explain puts the usual causes of a failed write into words.
func explain(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk of %s is full: %w", dir, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s is read-only: %w", dir, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be written by this user: %w", dir, err)
	}
	return err
}
