package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"crush/rpc"
)

// gitDir is skipped by apply and refused by export: no key should become a
// hook that Git runs.
const gitDir = ".git"

// readTree reads the files below a directory, or one file, in the order of
// their keys. It never follows a link out of the directory.
func readTree(ctx context.Context, from, prefix string, g *progress) ([]rpc.File, error) {
	info, err := os.Stat(from)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is neither a file nor a directory", from)
		}
		if info.Size() > maxValue {
			return nil, tooLarge(from)
		}
		value, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		return []rpc.File{{Key: prefix + filepath.Base(from), Value: value}}, nil
	}
	root, err := os.OpenRoot(from)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	w := treeReader{root: root, from: from, prefix: prefix, progress: g}
	if err := w.walk(ctx, ".", nil); err != nil {
		return nil, err
	}
	return w.files, nil
}

// treeReader gathers the files of a directory.
type treeReader struct {
	root         *os.Root
	from, prefix string
	progress     *progress
	files        []rpc.File
}

// walk reads the directory dir; above are the directories that it is in, to
// find links that go round.
func (w *treeReader) walk(ctx context.Context, dir string, above []fs.FileInfo) error {
	info, err := w.root.Stat(dir)
	if err != nil {
		return w.fail(dir, err)
	}
	if slices.ContainsFunc(above, func(i fs.FileInfo) bool { return os.SameFile(i, info) }) {
		return fmt.Errorf("%s is a link to a directory above it", path.Join(w.from, dir))
	}
	above = append(slices.Clip(above), info)
	entries, err := fs.ReadDir(w.root.FS(), dir)
	if err != nil {
		return w.fail(dir, err)
	}
	for _, e := range entries {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if e.Name() == gitDir {
			continue
		}
		if err := w.entry(ctx, path.Join(dir, e.Name()), above); err != nil {
			return err
		}
	}
	return nil
}

func (w *treeReader) entry(ctx context.Context, name string, above []fs.FileInfo) error {
	info, err := w.root.Stat(name)
	switch {
	case err != nil:
		return w.fail(name, err)
	case info.IsDir():
		return w.walk(ctx, name, above)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is neither a file nor a directory", path.Join(w.from, name))
	case info.Size() > maxValue:
		return tooLarge(path.Join(w.from, name))
	case !utf8.ValidString(name):
		return fmt.Errorf("%s: the name is not UTF-8, so it cannot be a key", path.Join(w.from, name))
	}
	value, err := w.root.ReadFile(name)
	if err != nil {
		return w.fail(name, err)
	}
	w.files = append(w.files, rpc.File{Key: w.prefix + name, Value: value})
	w.progress.add(1)
	return nil
}

// fail explains why a name could not be opened. A link that leaves the
// directory is refused by os.Root, which has no error value for it.
func (w *treeReader) fail(name string, err error) error {
	where := path.Join(w.from, name)
	if info, e := w.root.Lstat(name); e == nil && info.Mode()&fs.ModeSymlink != 0 {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is a link to nothing", where)
		}
		return fmt.Errorf("%s is a link that leaves %s, or cannot be followed", where, w.from)
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return fmt.Errorf("read %s: %w", where, err)
}
