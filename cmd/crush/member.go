package main

import (
	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) memberCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "member",
		Short: "List, add and remove the nodes of the cluster",
		Long: `The member list says which nodes take part in the cluster. It is kept in the
store itself, so every node has it. Admins change it.`,
		Example: `  crush member ls
  crush member add 12D3KooWGRUVh...
  crush member rm db2`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no verb %q: member ls, member add ID, member rm NODE", args[0])
			}
			return usagef("member wants a verb: member ls, member add ID, member rm NODE")
		},
	}
	cmd.AddCommand(p.memberAddCommand(), p.memberLsCommand(), p.memberRmCommand())
	return cmd
}

func (p *program) memberLsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "ls",
		Short:   "List the members",
		Long:    "List the members of the cluster: identity, name, zone and role.",
		Example: "  crush member ls -o json",
		Args:    wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			door, err := p.door()
			if err != nil {
				return err
			}
			ctx, cancel := p.bounded(cmd.Context())
			defer cancel()
			members, err := door.Members(ctx)
			if err != nil {
				return err
			}
			return printList(p, each(members), p.printMember)
		},
	}
}

func (p *program) printMember(m rpc.Member) {
	self := ""
	if m.Self {
		self = "  (this node)"
	}
	p.printf("%s  %-12s  %-12s  %s%s\n", m.Node, orDash(m.Name), orDash(m.Zone), escape(m.Role), self)
}

// orDash prints a name that may be missing.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return escape(s)
}

func (p *program) memberAddCommand() *cobra.Command {
	var m rpc.Member
	var message string
	cmd := &cobra.Command{
		Use:   "add ID",
		Short: "Add a node to the cluster, or change a member",
		Long: `Add the node whose crush id is ID. It may then connect, with its role: admin,
writer or reader. Of a node that is a member already, what is given changes and
the rest stays.

A name that another member has is refused (exit 4).`,
		Example: `  crush member add 12D3KooWGRUVh... --name db2 --zone north
  crush member add "$(ssh db2 crush id)"
  crush member add 12D3KooWGRUVh... --role admin`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := m.Node.UnmarshalText([]byte(args[0])); err != nil {
				return usagef("%q is not a node's identity: crush id prints it, on that node", args[0])
			}
			switch m.Role {
			case "", "admin", "writer", "reader":
			default:
				return usagef("--role %s: want admin, writer or reader", m.Role)
			}
			return p.memberAdd(cmd, m, message)
		},
	}
	cmd.Flags().StringVar(&m.Name, "name", "", "`NAME` of the node")
	cmd.Flags().StringVar(&m.Zone, "zone", "", "`ZONE` of the node")
	cmd.Flags().StringVar(&m.Role, "role", "", "`ROLE` of the node: admin, writer or reader (default writer)")
	addMessage(cmd, &message)
	return cmd
}

func (p *program) memberAdd(cmd *cobra.Command, m rpc.Member, message string) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	c, err := door.AddMember(ctx, m, p.claim(message))
	if err != nil {
		return err
	}
	return p.print(c, func() {
		if c.Block.IsZero() {
			p.printf("%s is that already\n", c.Node)
			return
		}
		p.printf("added %s%s as %s, block %s\n", c.Node, named(c.Name, c.Zone), escape(c.Role), new(shortener).short(c.Block))
	})
}

func (p *program) memberRmCommand() *cobra.Command {
	var message string
	cmd := &cobra.Command{
		Use:   "rm NODE",
		Short: "Remove a node from the cluster",
		Long: `Remove the member whose id or name is NODE: no node that knows of it talks to
that one any more, and nothing that it writes from then on is taken. What it has
written stays. Adding it again takes it back.

The only admin cannot be removed.`,
		Example: `  crush member rm db2 -m "sold"
  crush member rm 12D3KooWGRUVh...`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return usagef("member rm: the name is empty: want the id or the name of a member")
			}
			return p.memberRm(cmd, args[0], message)
		},
	}
	addMessage(cmd, &message)
	return cmd
}

func (p *program) memberRm(cmd *cobra.Command, who, message string) error {
	door, err := p.door()
	if err != nil {
		return err
	}
	ctx, cancel := p.bounded(cmd.Context())
	defer cancel()
	c, err := door.RemoveMember(ctx, who, p.claim(message))
	if err != nil {
		return err
	}
	return p.print(c, func() {
		p.printf("removed %s%s, block %s\n", c.Node, named(c.Name, c.Zone), new(shortener).short(c.Block))
	})
}
