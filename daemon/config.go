package daemon

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"crush/dag"
	"crush/p2p"
)

// Defaults that the command line prints.
const (
	// DefaultHTTP is where the HTTP port listens.
	DefaultHTTP = "127.0.0.1:7654"
	// SocketName is the Unix socket in the data directory.
	SocketName = "crush.sock"
	// ConfigName is the configuration file in the data directory.
	ConfigName = "crush.conf"
	// SystemSocket is where the system's unit has its socket.
	SystemSocket = "/run/crush/crush.sock"
	// On and Off switch on what can be switched, and ports off.
	On  = "on"
	Off = "off"
)

// maxSocketPath is what fits into the address of a Unix socket, without the
// NUL at its end.
const maxSocketPath = 107

// Config says how a node runs. The zero value works: it is the node of the
// user's default data directory.
type Config struct {
	// Data is the data directory. Default: that of DefaultData.
	Data string
	// Socket is the path of the Unix socket. Default: SocketName in Data.
	Socket string
	// SocketGroup is the group that may use the socket too; "" for none.
	SocketGroup string
	// HTTP is the address of the HTTP port, on this machine only: there is no
	// TLS. "off" for none. Default: DefaultHTTP.
	HTTP string
	// HTTPOpen serves every user of this machine on the HTTP port, not only
	// the daemon's own.
	HTTPOpen bool

	// Listen are the multiaddrs for other nodes; empty, not nil, for none.
	// Default: those of DefaultListen.
	Listen []string
	// Peers are multiaddrs with /p2p/ID that are dialled for ever.
	Peers []string
	// Announce are multiaddrs that peers are told besides those listened on.
	Announce []string
	// MDNS looks for members on the local network by multicast, and lets them
	// find this node there. Off by default: in a data centre it is noise.
	MDNS bool

	// Name and Zone are what people call the node and its place. Default: the
	// machine's name, and no zone.
	Name, Zone string

	// Version is shown in the status.
	Version string
	// Logger gets what the operator should know; nil discards.
	Logger *slog.Logger
	// Notify is the service manager's notification socket ($NOTIFY_SOCKET);
	// "" for none.
	Notify string
	// Ready is called once, when the node takes requests; nil for nobody.
	Ready func(Reachable)
}

// Reachable says where a node that is ready can be reached.
type Reachable struct {
	Node   dag.NodeID `json:"node"`
	Data   string     `json:"data"`
	Socket string     `json:"socket"`
	// HTTP is the URL of the HTTP port, "" for none.
	HTTP string `json:"http"`
	// Addresses are for other nodes.
	Addresses []string `json:"addresses"`
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$`)

// Validate names the first field whose value cannot be.
func (c *Config) Validate() error {
	if n := len(c.Socket); n > maxSocketPath {
		return fmt.Errorf("the path of the socket is too long: %s has %d bytes, a socket takes %d: name a shorter one with --socket",
			c.Socket, n, maxSocketPath)
	}
	for _, f := range []struct{ field, value string }{{"name", c.Name}, {"zone", c.Zone}} {
		if f.value != "" && !namePattern.MatchString(f.value) {
			return fmt.Errorf("%s %q: want letters, digits and ._/- (128 at most, a letter or digit first)", f.field, f.value)
		}
	}
	network := p2p.Config{Listen: c.Listen, Announce: c.Announce, Peers: c.Peers}
	if err := network.ValidateAddresses(); err != nil {
		return fmt.Errorf("%w (want one as /ip4/192.0.2.2/tcp/7655, of a peer with /p2p/ID behind it)", err)
	}
	if c.HTTP == "" || c.HTTP == Off {
		return nil
	}
	return checkLoopback(c.HTTP)
}

// checkLoopback refuses addresses that other machines can reach: without TLS
// and tokens everybody could write.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("http %q: want HOST:PORT or off", address)
	}
	if ip := net.ParseIP(host); host == "localhost" || (ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("http %s: only addresses of this machine are served, as 127.0.0.1:7654: there is no TLS", address)
}

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	if c.Data == "" {
		c.Data, _ = DefaultData(os.LookupEnv)
	}
	if path, err := filepath.Abs(c.Data); err == nil {
		c.Data = path
	}
	if c.Socket == "" {
		c.Socket = filepath.Join(c.Data, SocketName)
	}
	if c.HTTP == "" {
		c.HTTP = DefaultHTTP
	}
	if c.Name == "" {
		c.Name = machineName()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// machineName is the first label of the host's name, "" if that is no name
// that crush takes.
func machineName() string {
	host, err := os.Hostname()
	if err != nil {
		return ""
	}
	name, _, _ := strings.Cut(host, ".")
	if !namePattern.MatchString(name) {
		return ""
	}
	return name
}

// DefaultData returns the data directory that is used when none is named, and
// the rule that chose it: the service manager's, the system's for root, the
// user's.
func DefaultData(lookup func(string) (string, bool)) (dir, origin string) {
	if v, _ := lookup("STATE_DIRECTORY"); v != "" {
		first, _, _ := strings.Cut(v, ":")
		return first, "default, from STATE_DIRECTORY"
	}
	if os.Geteuid() == 0 {
		return "/var/lib/crush", "default"
	}
	if v, _ := lookup("XDG_DATA_HOME"); filepath.IsAbs(v) {
		return filepath.Join(v, "crush"), "default, from XDG_DATA_HOME"
	}
	home, _ := lookup("HOME")
	return filepath.Join(home, ".local", "share", "crush"), "default"
}
