package main

import (
	"github.com/spf13/cobra"

	"crush/rpc"
)

type delFlags struct {
	base, ifMatch, path, message string
	recursive                    bool
}

func (p *program) delCommand() *cobra.Command {
	var f delFlags
	cmd := &cobra.Command{
		Use:   "del KEY | del -r PREFIX/",
		Short: "Delete a key, or all keys below a prefix",
		Long: `Delete a key: a revision that says it is gone. Its history stays, and
rollback brings it back. Deleting what is not there writes nothing and exits 0.

-r deletes every key below PREFIX/ in one atomic change. --path deletes one place
of a json or yaml, and nothing else (crush put --help says how paths are
written).`,
		Example: `  crush del app/port -m "read from the environment now"
  crush del app/config --path /spec/replicas
  crush del -r app/old/`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.del(cmd, args[0], &f) },
	}
	fl := cmd.Flags()
	fl.BoolVarP(&f.recursive, "recursive", "r", false, "all keys below PREFIX/")
	fl.StringVar(&f.base, "base", "", "the `TOKEN` that was read: what is newer stays")
	fl.StringVar(&f.ifMatch, "if-match", "", "delete only if the key is as at `TOKEN` (else exit 4)")
	fl.StringVar(&f.path, "path", "", "delete only what stands at this `PATH` of a json or yaml")
	exclusive(cmd, []string{"base", "if-match", "recursive"}, []string{"path", "recursive"})
	addMessage(cmd, &f.message)
	return cmd
}

func (p *program) del(cmd *cobra.Command, key string, f *delFlags) error {
	within := p.bounded
	if f.recursive {
		within = p.streaming // of any number of keys
		var err error
		if key, err = treePrefix(key); err != nil {
			return err
		}
	}
	r := rpc.DeleteRequest{
		KeyRef:    p.keyRef(key),
		Claim:     p.claim(f.message),
		Base:      rpc.Token(f.base),
		IfMatch:   rpc.Token(f.ifMatch),
		Recursive: f.recursive,
	}
	if err := setPath(&r.Path, f.path); err != nil {
		return err
	}
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := within(cmd.Context())
	defer cancel()
	w, err := door.Delete(ctx, r)
	if err != nil {
		return err
	}
	p.warnWritten(key, w)
	return p.print(w, func() {
		switch {
		case w.Block.IsZero():
			p.printf("nothing to delete\n")
		case f.recursive:
			p.printf("deleted %s below %s\n", count(w.Keys, "key"), escape(key))
		default:
			p.printf("deleted %s, revision %s\n", place(key, f.path), new(shortener).short(w.Revision))
		}
	})
}
