package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"crush/daemon"
	"crush/rpc"
)

// exportCAR writes the history into a file, or to standard output.
func (p *program) exportCAR(ctx context.Context, name string) error {
	var out rpc.Exported
	bytes, err := p.writeWhole(name, "exporting, MiB", func(w io.Writer) (err error) {
		out, err = p.exportTo(ctx, w)
		return err
	})
	if err != nil || name == "-" {
		return err
	}
	return p.print(out, func() {
		p.printf("exported %s and %s of cluster %s: %s in %s\n",
			count(out.Blocks, "block"), count(out.Revisions, "revision"), out.Cluster, size(bytes), escape(name))
	})
}

// exportTo writes the history of the daemon, or of the data directory if none
// runs.
func (p *program) exportTo(ctx context.Context, w io.Writer) (rpc.Exported, error) {
	door, err := p.door()
	if noDaemon(err) {
		return daemon.ExportData(ctx, p.flags.data, w)
	}
	if err != nil {
		return rpc.Exported{}, err
	}
	return door.Export(ctx, w)
}

// importCAR adds the history in a file.
func (p *program) importCAR(ctx context.Context, name string) error {
	from, done, err := p.openInput(name)
	if err != nil {
		return err
	}
	defer done()
	g := p.startProgress("importing, MiB")
	out, err := p.importFrom(ctx, from, g)
	g.end()
	if err != nil {
		return about(name, err)
	}
	err = p.print(out, func() {
		p.printf("imported %s and %s of cluster %s; %s were here already\n",
			count(out.Blocks, "block"), count(out.Revisions, "revision"), out.Cluster, count(out.Known, "block"))
	})
	if err == nil && !out.Member {
		p.note("this node cannot write there yet: crush member add %s on a node of the cluster", out.Node)
	}
	return err
}

func (p *program) importFrom(ctx context.Context, from *os.File, g *progress) (rpc.Imported, error) {
	door, err := p.door()
	if noDaemon(err) {
		return daemon.ImportData(ctx, p.flags.data, from)
	}
	if err != nil {
		return rpc.Imported{}, err
	}
	return door.Import(ctx, &metered{progress: g, r: from})
}

// about names the file in an error of what it holds.
func about(name string, err error) error {
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok || e.Code != rpc.CodeUnparsed && e.Code != rpc.CodeDenied {
		return err
	}
	if name == "-" {
		name = "standard input"
	}
	return &rpc.Error{Code: e.Code, Message: escape(name) + ": " + e.Message, Cause: err}
}

// openInput opens a file, or standard input.
func (p *program) openInput(name string) (f *os.File, done func(), err error) {
	if name == "-" {
		if in, ok := p.stdin.(*os.File); ok {
			return in, func() {}, nil
		}
		return nil, nil, errors.New("standard input is no file")
	}
	if f, err = os.Open(name); err != nil {
		return nil, nil, err
	}
	return f, func() { _ = f.Close() }, nil // it was only read
}

// writeWhole writes a file that is whole or not there, or writes to standard
// output, and shows how far it is.
func (p *program) writeWhole(name, what string, fill func(io.Writer) error) (size int64, err error) {
	g := p.startProgress(what)
	defer g.end()
	if name == "-" {
		if isTerminal(p.stdout) {
			return 0, errors.New("this is no text: send it to a file")
		}
		w := &metered{progress: g, w: p.out}
		return w.n, fill(w)
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return 0, fmt.Errorf("%s is a directory", name)
	}
	part := filepath.Join(filepath.Dir(name), ".crush-"+rand.Text())
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	w := &metered{progress: g, w: f}
	err = fill(w)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, name)
	}
	if err != nil {
		return 0, errors.Join(err, os.Remove(part))
	}
	return w.n, nil
}

// metered reads or writes, and tells a progress each MiB.
type metered struct {
	progress *progress
	r        io.Reader
	w        io.Writer
	n        int64
}

func (m *metered) Write(b []byte) (int, error) {
	n, err := m.w.Write(b)
	m.count(n)
	return n, err
}

func (m *metered) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	m.count(n)
	return n, err
}

func (m *metered) count(n int) {
	before := m.n >> 20
	m.n += int64(n)
	m.progress.add(int(m.n>>20 - before))
}
