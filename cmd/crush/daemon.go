package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"crush/daemon"
)

type daemonFlags struct {
	http, name, zone, socketGroup string
	mdns                          string
	httpOpen                      bool
	listen, peers, announce       []string
}

func (p *program) daemonCommand() *cobra.Command {
	var f daemonFlags
	cmd := &cobra.Command{
		Use:   "daemon",
		Short: "Run the node in the foreground",
		Long: `Run the node in the foreground. With an empty data directory it makes an
identity and a cluster of one node, so everything works at once.

When ready it prints where it can be reached, and a last line "ready". SIGTERM
and SIGINT end it after what is under way; a second one ends it at once. The log
goes to stderr.

Every flag is also a variable of the environment, as CRUSH_HTTP, and a line of
the configuration file, as "http off".`,
		Example: `  crush daemon
  crush daemon --data /srv/crush --name db1 --zone north
  crush daemon --http off --socket /run/crush/crush.sock --socket-group ops`,
		Args: wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.daemon(cmd.Context(), &f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.http, "http", daemon.DefaultHTTP, "`ADDRESS` of the HTTP port, or off")
	fl.BoolVar(&f.httpOpen, "http-open", false, "serve every user of this machine on the HTTP port")
	fl.StringVar(&f.name, "name", "", "`NAME` of the node that people are shown (default the machine's name)")
	fl.StringVar(&f.zone, "zone", "", "`ZONE` that the node is in")
	fl.StringArrayVar(&f.listen, "listen", daemon.DefaultListen(), "`MULTIADDR` to listen on for other nodes, or off; may be repeated")
	fl.StringArrayVar(&f.peers, "peer", nil, "`MULTIADDR` of another node, ending in /p2p/ID, to keep a connection to; may be repeated")
	fl.StringArrayVar(&f.announce, "announce", nil, "`MULTIADDR` that other nodes can reach this one at, besides those it listens on; may be repeated")
	fl.StringVar(&f.mdns, "mdns", daemon.Off, "`on` to look for members on the local network by multicast, and be found there, or off")
	fl.StringVar(&f.socketGroup, "socket-group", "", "`GROUP` whose members may use the socket too")
	return cmd
}

// config is the daemon's configuration as flags, environment and file have it.
func (p *program) daemonConfig(f *daemonFlags) (daemon.Config, error) {
	c := daemon.Config{
		Data:        p.flags.data,
		Socket:      p.flags.socket,
		SocketGroup: f.socketGroup,
		HTTP:        f.http,
		HTTPOpen:    f.httpOpen,
		Name:        f.name,
		Zone:        f.zone,
		Listen:      f.listen,
		Peers:       f.peers,
		Announce:    f.announce,
		MDNS:        f.mdns == daemon.On,
		Version:     version(),
		Logger:      slog.New(slog.NewTextHandler(p.stderr, nil)),
		Notify:      os.Getenv("NOTIFY_SOCKET"),
	}
	if slices.Equal(c.Listen, []string{daemon.Off}) {
		c.Listen = []string{}
	}
	if f.mdns != daemon.On && f.mdns != daemon.Off {
		return c, usagef("mdns %q: want on or off", f.mdns)
	}
	if err := c.Validate(); err != nil {
		return c, usagef("%v", err)
	}
	return c, nil
}

func (p *program) daemon(ctx context.Context, f *daemonFlags) error {
	c, err := p.daemonConfig(f)
	if err != nil {
		return err
	}
	syscall.Umask(0o077)
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	// From the first signal on, the next one has its default effect.
	context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt, syscall.SIGTERM) })
	var printed error
	c.Ready = func(r daemon.Reachable) { printed = p.printReady(r) }
	d, err := daemon.New(c)
	if err != nil {
		return err
	}
	if err := d.Run(ctx); err != nil {
		return err
	}
	return printed
}

// printReady prints where the node can be reached; "ready" is the last line.
func (p *program) printReady(r daemon.Reachable) error {
	err := p.print(r, func() {
		p.printf("node    %s\n", r.Node)
		p.printf("data    %s\n", escape(r.Data))
		p.printf("socket  %s\n", escape(r.Socket))
		if r.HTTP != "" {
			p.printf("http    %s\n", escape(r.HTTP))
		}
		for _, a := range r.Addresses {
			p.printf("peer    %s\n", escape(a))
		}
		p.printf("ready\n")
	})
	if err != nil {
		return err
	}
	return p.out.Flush()
}
