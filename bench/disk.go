package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"

	"crush/bench/load"
	"crush/rpc"
)

// disk compares what a history of configs takes on disk, and shows where crush's bytes go.
func disk(ctx context.Context, args []string) error {
	var c load.Configs
	var without bool
	var stream string
	r, err := begin("disk", args, func(flags *flag.FlagSet) {
		flags.IntVar(&c.Keys, "keys", 64, "configs")
		flags.IntVar(&c.Revisions, "revisions", 160, "revisions of each")
		flags.BoolVar(&without, "without-etcd", false, "leave etcd out")
		flags.StringVar(&stream, "stream", "", "also import this Git stream, as crush import does")
	})
	if err != nil {
		return err
	}
	defer r.end()
	t := newTable()
	if !without {
		size, err := r.etcdDisk(ctx, c)
		if err != nil {
			return err
		}
		t.add("etcd, defragmented", size)
	}
	for _, c.Together = range []int{1, 16} {
		name := fmt.Sprintf("crush, blocks of %d", c.Together)
		size, err := r.crushDisk(ctx, c, name)
		if err != nil {
			return err
		}
		t.add(name, size)
	}
	group := fmt.Sprintf("%d configs of 10 KB, %d revisions, of which each changes a line", c.Keys, c.Keys*c.Revisions)
	if err := r.show("bytes on disk a revision", group, t, "bytes", "etcd, defragmented"); err != nil || stream == "" {
		return err
	}
	return r.streamDisk(ctx, stream)
}

// streamDisk imports a Git stream into a daemon and prints what its store takes.
func (r *run) streamDisk(ctx context.Context, stream string) error {
	program, err := r.program(ctx)
	if err != nil {
		return err
	}
	m, err := startMember(ctx, program, filepath.Join(r.tmp, "stream"))
	if err != nil {
		return err
	}
	from := time.Now()
	out, err := exec.CommandContext(ctx, program, "--socket", m.client.Socket, "import", "--git-stream", stream).CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("crush import: %w: %s", err, out), m.end())
	}
	progress(from, "imported %s", filepath.Base(stream))
	s, err := m.client.Status(ctx)
	if err = errors.Join(err, m.end()); err != nil {
		return err
	}
	each, err := printDisk(filepath.Join(m.data, "store"), fmt.Sprintf("%s, %d revisions", filepath.Base(stream), s.Revisions), int(s.Revisions))
	fmt.Printf("%.2f MiB\n", each*float64(s.Revisions)/(1<<20))
	return err
}

// etcdDisk fills an etcd, lets it defragment, and returns the bytes of its database a revision, without its log.
func (r *run) etcdDisk(ctx context.Context, c load.Configs) (float64, error) {
	program, err := r.build(ctx, "etcd", ".", "./peers/etcd")
	if err != nil {
		return 0, err
	}
	dir := filepath.Join(r.tmp, "etcd-store")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return 0, err
	}
	server, _, err := startReady(ctx, program, "serve", dir)
	if err != nil {
		return 0, err
	}
	client, line, err := startReady(ctx, program, "fill", strconv.Itoa(c.Keys), strconv.Itoa(c.Revisions), dir)
	if err != nil {
		return 0, errors.Join(err, server.stop())
	}
	var size float64
	_, err = fmt.Sscan(line, &size)
	return size / float64(c.Keys*c.Revisions), errors.Join(err, client.stop(), server.stop())
}

// crushDisk writes the configs into a replica, prints its bytes a revision by kind of record before and after LevelDB
// has compacted all of it, and returns those after.
func (r *run) crushDisk(ctx context.Context, c load.Configs, name string) (float64, error) {
	dir, err := os.MkdirTemp(r.tmp, "crush")
	if err != nil {
		return 0, err
	}
	l, err := openLocal(ctx, dir)
	if err != nil {
		return 0, err
	}
	err = c.Each(func(keys []string, values [][]byte) error {
		var files []rpc.File
		for i := range keys {
			files = append(files, rpc.File{Key: keys[i], Value: values[i]})
		}
		_, err := l.Apply(ctx, rpc.ApplyRequest{Files: files})
		return err
	})
	if err = errors.Join(err, l.Close()); err != nil {
		return 0, err
	}
	return printDisk(dir, name, c.Keys*c.Revisions)
}

// recordKinds are the tags of crush's records; a block's own is told from those of its payloads by the key's length.
var recordKinds = []struct {
	tag  byte
	name string
}{
	{'b', "blocks and payloads"},
	{'c', "index of ids"},
	{'h', "heads"},
	{'l', "arrivals"},
	{'n', "fork log"},
	{'r', "history"},
	{'v', "clocks"},
}

// tableOptions makes tables as crush does.
func tableOptions() *opt.Options {
	return &opt.Options{Filter: filter.NewBloomFilter(10), CompactionTableSize: 8 * opt.MiB}
}

// printDisk prints what the records of a store take, and returns the bytes of its directory a revision after LevelDB
// has compacted it.
func printDisk(dir, name string, revisions int) (float64, error) {
	before, err := sizeOf(dir)
	if err != nil {
		return 0, err
	}
	db, err := leveldb.OpenFile(dir, tableOptions())
	if err != nil {
		return 0, err
	}
	defer db.Close()
	if err := db.CompactRange(util.Range{}); err != nil {
		return 0, err
	}
	each := float64(revisions)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s: bytes a revision\trecords\tkeys\tvalues\ton disk\t\n", name)
	for _, kind := range recordKinds {
		span := util.Range{Start: []byte{kind.tag}, Limit: []byte{kind.tag + 1}}
		sizes, err := db.SizeOf([]util.Range{span})
		if err != nil {
			return 0, err
		}
		records, keys, values := countRecords(db, span)
		fmt.Fprintf(w, "%s\t%.2f\t%.0f\t%.0f\t%.0f\t\n", kind.name, records/each, keys/each, values/each, float64(sizes[0])/each)
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	if err := db.Close(); err != nil {
		return 0, err
	}
	// What was compacted is removed by the next opening.
	if db, err = leveldb.OpenFile(dir, tableOptions()); err == nil {
		err = db.Close()
	}
	if err != nil {
		return 0, err
	}
	after, err := sizeOf(dir)
	fmt.Printf("whole directory: %.0f before the compaction, %.0f after it\n\n", before/each, after/each)
	return after / each, err
}

// countRecords adds up the bytes of a range's keys and values, as they are before LevelDB compresses them.
func countRecords(db *leveldb.DB, span util.Range) (records, keys, values float64) {
	it := db.NewIterator(&span, nil)
	defer it.Release()
	for it.Next() {
		records++
		keys += float64(len(it.Key()))
		values += float64(len(it.Value()))
	}
	return records, keys, values
}

// sizeOf adds up the files below a directory, in bytes.
func sizeOf(dir string) (size float64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += float64(info.Size())
		}
		return err
	})
	return size, err
}
