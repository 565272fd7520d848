package main

import (
	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) setCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set",
		Short: "Add, remove and list the elements of a set",
		Long: `A set is a value of many elements, each of which is there once. Changes of sets
merge by themselves: what was added stays, unless somebody who had seen it there
removes it.

To set a key to a value, use crush put KEY VALUE.`,
		Example: `  crush set add team/oncall ann bob
  crush set rm team/oncall bob
  crush set ls team/oncall`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("set has add, rm and ls; to write a value use crush put KEY VALUE")
			}
			return wantVerb("add, rm, ls")(cmd, args)
		},
	}
	cmd.AddCommand(p.setAddCommand(), p.setLsCommand(), p.setRmCommand())
	return cmd
}

func (p *program) setAddCommand() *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use:   "add KEY ELEM...",
		Short: "Add elements to a set",
		Long: `Add elements to a set, in one change. A key that is not there becomes a set. If
all of them are in it already, nothing is written. --if-match decides on this
node: two nodes that are apart can both succeed.`,
		Example: `  crush set add team/oncall ann bob
  crush set add team/oncall carol -m "joined in May"
  crush set add offsets -- -5`,
		Args: wantElements,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := rpc.ElementsRequest{KeyRef: p.keyRef(args[0]), Add: args[1:]}
			return p.changeSet(cmd, r, &f, "added %s to %s, revision %s\n", "%s has them already: nothing to write\n")
		},
	}
	f.add(cmd)
	return cmd
}

func (p *program) setRmCommand() *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use:   "rm KEY ELEM...",
		Short: "Remove elements from a set",
		Long: `Remove elements from a set, in one change. Removing what is not in it writes
nothing and exits 0. An element that somebody adds at the same time, without
having seen the removal, stays. --if-match decides on this node: two nodes that
are apart can both succeed.`,
		Example: `  crush set rm team/oncall bob
  crush set rm team/oncall ann carol -m "on leave"`,
		Args: wantElements,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := rpc.ElementsRequest{KeyRef: p.keyRef(args[0]), Remove: args[1:]}
			return p.changeSet(cmd, r, &f, "removed %s from %s, revision %s\n", "%s has none of them: nothing to remove\n")
		},
	}
	f.add(cmd)
	return cmd
}

// wantElements wants a key and one element or more.
func wantElements(cmd *cobra.Command, args []string) error {
	if len(args) < 2 {
		return wrongArgs(cmd, args, 2)
	}
	return nil
}

// changeSet changes a set; did and nothing say that it has, or that there was
// nothing to change.
func (p *program) changeSet(cmd *cobra.Command, r rpc.ElementsRequest, f *changeFlags, did, nothing string) error {
	r.Claim, r.Base, r.IfMatch = p.claim(f.message), rpc.Token(f.base), rpc.Token(f.ifMatch)
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	w, err := door.ChangeSet(ctx, r)
	if err != nil {
		return err
	}
	p.warnWritten(r.Key, w)
	return p.print(w, func() {
		if w.Unchanged {
			p.printf(nothing, escape(r.Key))
			return
		}
		p.printf(did, count(len(r.Add)+len(r.Remove), "element"), escape(r.Key), new(shortener).short(w.Revision))
	})
}

func (p *program) setLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ls KEY",
		Short: "List the elements of a set",
		Long: `List the elements of a set, one a line, in byte order; of a key that is not there,
none. Control characters are written as \n, \t, \x00; -o json has the elements as
they are.`,
		Example: `  crush set ls team/oncall
  crush set ls team/oncall -o json`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.setLs(cmd, args[0]) },
	}
}

func (p *program) setLs(cmd *cobra.Command, key string) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	all, err := door.Elements(ctx, p.keyRef(key))
	if err != nil {
		return err
	}
	return printList(p, each(all), func(e string) { p.printf("%s\n", escape(e)) })
}
