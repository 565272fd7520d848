package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"crush/daemon"
	"crush/rpc"
)

func (p *program) snapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Save this node into a file, and bring it back",
		Long: `Save everything that this node has into a file, and make a node of it again: for
when the disk is gone, or for a copy elsewhere. Each node has all of the cluster's
history, so one snapshot of any node brings all of it back.`,
		Example: `  crush snapshot save db1.snapshot
  crush snapshot status db1.snapshot
  crush snapshot restore db1.snapshot --data /var/lib/crush`,
		RunE: func(_ *cobra.Command, args []string) error {
			const verbs = "snapshot save FILE, snapshot status FILE, snapshot restore FILE"
			if len(args) > 0 {
				return usagef("there is no verb %q: %s", args[0], verbs)
			}
			return usagef("snapshot wants a verb: %s", verbs)
		},
	}
	cmd.AddCommand(p.snapshotSaveCommand(), p.snapshotRestoreCommand(), p.snapshotStatusCommand())
	return cmd
}

func (p *program) snapshotSaveCommand() *cobra.Command {
	var withKey bool
	cmd := &cobra.Command{
		Use:   "save FILE",
		Short: "Save everything that this node has",
		Long: `Save everything that this node has into FILE, or to standard output: -. The daemon
is asked, and goes on taking writes; with none running the data directory is read
under its lock. The file is compressed, has a checksum, and is there whole or not
at all.

The node's secret key is not in it: a node that is restored gets an identity of
its own, which member add then lets write. --with-key puts the key of the data
directory on this machine in; who has the file can then be this node. The only
node of a cluster needs its key to write again: save it so, or keep node.key.`,
		Example: `  crush snapshot save db1.snapshot
  crush snapshot save db1.snapshot --with-key
  crush snapshot save - | ssh backup 'cat > db1.snapshot'`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := p.streaming(cmd.Context())
			defer cancel()
			return p.saveSnapshot(ctx, args[0], withKey)
		},
	}
	cmd.Flags().BoolVar(&withKey, "with-key", false, "put the node's secret key into the file")
	return cmd
}

func (p *program) saveSnapshot(ctx context.Context, name string, withKey bool) error {
	keyDir := ""
	if withKey {
		var err error
		if keyDir, err = p.keyDir(ctx); err != nil {
			return err
		}
	}
	var saved rpc.Exported
	bytes, err := p.writeWhole(name, "saving, MiB", func(w io.Writer) (err error) {
		saved, err = daemon.WriteSnapshot(w, keyDir, func(w io.Writer) (rpc.Exported, error) { return p.exportTo(ctx, w) })
		return err
	})
	if err != nil {
		return err
	}
	if !withKey {
		p.noteOnlyAdmin(ctx)
	}
	if name == "-" {
		return nil
	}
	return p.print(daemon.Snapshot{Exported: saved, Size: bytes, Key: withKey}, func() {
		p.printf("saved %s and %s of cluster %s: %s in %s\n",
			count(saved.Blocks, "block"), count(saved.Revisions, "revision"), saved.Cluster, size(bytes), escape(name))
	})
}

// keyDir is the data directory of the node, on this machine.
func (p *program) keyDir(ctx context.Context) (string, error) {
	door, err := p.door()
	if noDaemon(err) {
		return p.flags.data, nil
	}
	if err != nil {
		return "", err
	}
	s, err := door.Status(ctx)
	return s.Data, err
}

// noteOnlyAdmin says that without this node's key nobody could write again.
func (p *program) noteOnlyAdmin(ctx context.Context) {
	door, err := p.door()
	if err != nil {
		return
	}
	members, err := door.Members(ctx)
	if err != nil {
		return // the snapshot is saved, which is what was asked for
	}
	for _, m := range members {
		if m.Role == "admin" && !m.Self {
			return
		}
	}
	p.note("this node is the cluster's only admin, and its key is not in the snapshot: keep a copy of node.key, or save --with-key")
}

func (p *program) snapshotStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status FILE",
		Short: "Check a snapshot and say what is in it",
		Long:  `Read a snapshot, hold it against its checksum, and say what is in it.`,
		Example: `  crush snapshot status db1.snapshot
  crush snapshot status db1.snapshot -o json`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := p.streaming(cmd.Context())
			defer cancel()
			return p.snapshotStatus(ctx, args[0])
		},
	}
}

func (p *program) snapshotStatus(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	g := p.startProgress("reading")
	s, err := daemon.SnapshotStatus(ctx, f)
	g.end()
	if err != nil {
		return about(name, err)
	}
	return p.print(s, func() {
		p.printf("cluster    %s\nnode       %s\ntime       %s\nblocks     %d\nrevisions  %d\nkeys       %d\nsize       %s\n",
			s.Cluster, s.Node, when(s.Time), s.Blocks, s.Revisions, s.Keys, size(s.Size))
		p.printf("node key   %s\nchecksum   ok\n", map[bool]string{true: "in it", false: "not in it"}[s.Key])
	})
}

func (p *program) snapshotRestoreCommand() *cobra.Command {
	var keyFile string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a data directory of a snapshot",
		Long: `Make the data directory of a node out of a snapshot. The daemon must be stopped,
and the directory (--data) empty or not there. All of the file is checked; the
directory is there whole or not at all.

With the key of the node, from the snapshot or from --key, the node is who it was,
and gets from the others what it wrote after the snapshot was saved. Two nodes
with one key are not meant to run: restore without it for a copy. Without a key
the node has a new identity, which is printed: crush member add lets it in.`,
		Example: `  crush snapshot restore db1.snapshot
  crush snapshot restore db1.snapshot --key kept/node.key
  crush snapshot restore db1.snapshot --data /srv/copy`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := p.streaming(cmd.Context())
			defer cancel()
			return p.restoreSnapshot(ctx, args[0], keyFile)
		},
	}
	cmd.Flags().StringVar(&keyFile, "key", "", "the node's secret key: a copy of its file node.key, `FILE`")
	return cmd
}

func (p *program) restoreSnapshot(ctx context.Context, name, keyFile string) error {
	if _, err := p.door(); !noDaemon(err) {
		return errors.New("the daemon is running on this data: stop it first, then restore")
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	g := p.startProgress("restoring")
	r, err := daemon.RestoreSnapshot(ctx, p.flags.data, f, keyFile)
	g.end()
	if err != nil {
		return about(name, err)
	}
	err = p.print(r, func() {
		p.printf("restored %s and %s of cluster %s in %s\n", count(r.Blocks, "block"), count(r.Revisions, "revision"), r.Cluster, escape(r.Data))
	})
	if err == nil && !r.Member {
		p.note("this node has the new identity %s: crush member add it on a node of the cluster, or restore with the key that it had", r.Node)
	}
	return err
}
