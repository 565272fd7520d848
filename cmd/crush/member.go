package main

import (
	"github.com/spf13/cobra"

	"crush/rpc"
)

func (p *program) memberCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "member",
		Short: "List and add the nodes of the cluster",
		Long: `The member list says which nodes take part in the cluster. It is kept in the
store itself, so every node has it.`,
		Example: `  crush member ls
  crush member add 12D3KooWGRUVh...`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no verb %q: member ls, member add ID", args[0])
			}
			return usagef("member wants a verb: member ls, member add ID")
		},
	}
	cmd.AddCommand(p.memberAddCommand(), p.memberLsCommand())
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
		Short: "Add a node to the cluster",
		Long: `Add the node whose crush id is ID. It may then connect, with its role: admin,
writer or reader.`,
		Example: `  crush member add 12D3KooWGRUVh... --name db2 --zone north
  crush member add "$(ssh db2 crush id)"`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := m.Node.UnmarshalText([]byte(args[0])); err != nil {
				return usagef("%q is not a node's identity: crush id prints it, on that node", args[0])
			}
			switch m.Role {
			case "admin", "writer", "reader":
			default:
				return usagef("--role %s: want admin, writer or reader", m.Role)
			}
			return p.memberAdd(cmd, m, message)
		},
	}
	cmd.Flags().StringVar(&m.Name, "name", "", "`NAME` of the node")
	cmd.Flags().StringVar(&m.Zone, "zone", "", "`ZONE` of the node")
	cmd.Flags().StringVar(&m.Role, "role", "writer", "`ROLE` of the node: admin, writer or reader")
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
	block, err := door.AddMember(ctx, m, p.claim(message))
	if err != nil {
		return err
	}
	return p.print(map[string]any{"block": block, "node": m.Node, "role": m.Role}, func() {
		p.printf("added %s as %s, block %s\n", m.Node, m.Role, new(shortener).short(block))
	})
}
