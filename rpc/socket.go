package rpc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// maxSocketPath is the longest path that a Unix socket can have on Linux.
const maxSocketPath = 107

// ListenUnix listens on a Unix socket at path, which nobody but those whom
// mode allows can ever connect to: the mode is there before the path is. A
// socket that nobody accepts on is replaced; one where a daemon answers, and
// anything that is not a socket, is left alone and named in the error. Closing
// the listener removes the path if it is still this listener's.
//
// Two daemons that start on one path at the same moment are kept apart by the
// lock of their data directory, not here.
func ListenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("listen on socket %s: the path has %d bytes and a socket's can have %d: choose a shorter one with --socket", path, len(path), maxSocketPath)
	}
	if err := clearSocket(path); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		// Linux gives the path the mode that the socket has when it is bound,
		// less the umask. Elsewhere the chmod below must do.
		if e := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), uint32(mode.Perm())) }); e != nil {
			return e
		}
		if errors.Is(err, syscall.EINVAL) {
			err = nil
		}
		return err
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on socket: %w", err)
	}
	own := &unixListener{UnixListener: l.(*net.UnixListener), path: path}
	own.SetUnlinkOnClose(false)
	if own.file, err = os.Lstat(path); err == nil && own.file.Mode().Perm() != mode.Perm() {
		err = os.Chmod(path, mode) // the umask took something away
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on socket: %w", err), own.Close())
	}
	return own, nil
}

// clearSocket makes way for a socket at path.
func clearSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listen on socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("listen on socket %s: something that is not a socket is in the way: move it, or choose another path with --socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("a daemon is already running on %s", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove stale socket: %w", err)
		}
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.EAGAIN): // its queue is full
		return fmt.Errorf("a daemon is already running on %s, and is busy", path)
	}
	return fmt.Errorf("a socket is in the way: %w", err)
}

// unixListener removes its path, and never one that took its place.
type unixListener struct {
	*net.UnixListener

	path string
	file fs.FileInfo // of path, while it was new
}

// Close implements net.Listener.
func (l *unixListener) Close() error {
	if now, err := os.Lstat(l.path); err == nil && l.file != nil && os.SameFile(now, l.file) {
		// A path that stays is stale, and the next daemon replaces it.
		_ = os.Remove(l.path)
	}
	return l.UnixListener.Close()
}
